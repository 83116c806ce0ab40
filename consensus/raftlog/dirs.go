package raftlog

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// dirs are the folders of a node:
//
//	LOCK                   one process at a time
//	rejoining              while the node does not vote (rejoin.go)
//	wal/                   raft's log and its metadata
//	state/live/            the Pebble that is open
//	state/incoming/        a snapshot being unpacked; worthless after a crash
//	state/ready/           a snapshot unpacked and synced, about to become live
//	state/checkpoints/ID/  a snapshot: meta.json, and db/ (a checkpoint) or state.tar (received)
//	state/checkpoints/ID.tmp, cut-N   on their way; worthless after a crash
type dirs struct {
	root, wal, state, live, incoming, ready, checkpoints string
}

func newDirs(fs vfs.FS, root string) dirs {
	state := fs.PathJoin(root, "state")
	return dirs{
		root: root, wal: fs.PathJoin(root, "wal"), state: state,
		live: fs.PathJoin(state, "live"), incoming: fs.PathJoin(state, "incoming"),
		ready: fs.PathJoin(state, "ready"), checkpoints: fs.PathJoin(state, "checkpoints"),
	}
}

const (
	tmpSuffix = ".tmp"
	cutPrefix = "cut-"
)

// prepare makes the folders and finishes or undoes what a crash left half done.
func (d dirs) prepare(fs vfs.FS) error {
	for _, dir := range []string{d.root, d.wal, d.state, d.checkpoints} {
		if err := makeDir(fs, dir); err != nil {
			return err
		}
	}
	if err := d.finishSwap(fs); err != nil {
		return err
	}
	names, err := listDir(fs, d.checkpoints)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, tmpSuffix) || strings.HasPrefix(name, cutPrefix) {
			if err := removeTree(fs, fs.PathJoin(d.checkpoints, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// finishSwap puts a ready state in the place of the live one. A crash at any point of
// it is cured by running it again: until the rename is durable, ready is there.
func (d dirs) finishSwap(fs vfs.FS) error {
	ready, err := exists(fs, d.ready)
	if err != nil {
		return err
	}
	if ready {
		if err := removeTree(fs, d.live); err != nil {
			return err
		}
		if err := moveDir(fs, d.ready, d.live); err != nil {
			return err
		}
	}
	return removeTree(fs, d.incoming)
}
