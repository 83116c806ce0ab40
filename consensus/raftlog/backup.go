package raftlog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// Saved says what a backup holds.
type Saved struct {
	ID    string // of the snapshot
	Index uint64 // the last entry of the log that is in it
	Term  uint64
	Bytes int64  // of all files
	Peers []Peer // the group that it was taken of
}

// Errors of backups.
var (
	// ErrNoBackup: there is no snapshot to copy, or the folder holds no backup.
	ErrNoBackup = errors.New("raftlog: no snapshot")
	// ErrOccupied: the folder to be filled is not empty. A backup never goes over what a node has.
	ErrOccupied = errors.New("raftlog: the folder is not empty")
	// ErrOtherGroup: the backup is of a group with other members.
	ErrOtherGroup = errors.New("raftlog: the backup is of other members")
)

// again is how often a backup is begun anew because the node has removed the snapshot meanwhile.
const again = 3

// Backup copies the newest snapshot of a node's folder dir, which may be running, into the folder to, which must not
// exist, and reads it back. The copy is durable when it returns. Errors: ErrNoBackup, ErrOccupied, ErrSnapshot, the
// file system's.
func Backup(fs vfs.FS, dir, to string) (Saved, error) {
	if there, err := exists(fs, to); err != nil || there {
		return Saved{}, errors.Join(err, fmt.Errorf("%w: %s", ErrOccupied, to))
	}
	checkpoints := newSnapshots(fs, newDirs(fs, dir).checkpoints, slog.New(slog.DiscardHandler))
	var failed error
	for range again {
		metas, err := checkpoints.all()
		if err != nil {
			return Saved{}, err
		}
		if len(metas) == 0 {
			return Saved{}, fmt.Errorf("%w in %s: the node has taken none yet", ErrNoBackup, checkpoints.dir)
		}
		if failed = copyTree(fs, fs.PathJoin(checkpoints.dir, metas[0].ID), to+tmpSuffix); failed == nil {
			if err = moveDir(fs, to+tmpSuffix, to); err != nil {
				return Saved{}, err
			}
			return ReadBackup(fs, to)
		}
		if err = removeTree(fs, to+tmpSuffix); err != nil {
			return Saved{}, errors.Join(failed, err)
		}
		if !notExist(failed) { // not taken away by the node
			break
		}
	}
	return Saved{}, failed
}

// ReadBackup says what a backup holds, after a look whether its files are there as its own list says. Errors:
// ErrNoBackup, ErrSnapshot, the file system's.
func ReadBackup(fs vfs.FS, from string) (Saved, error) {
	meta, err := readBackup(fs, from)
	if err != nil {
		return Saved{}, err
	}
	size, err := contentSize(fs, from, meta.Tar)
	if err != nil {
		return Saved{}, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if size != meta.Size {
		return Saved{}, fmt.Errorf("%w: %d bytes instead of %d", ErrSnapshot, size, meta.Size)
	}
	out := Saved{ID: meta.ID, Index: meta.Index, Term: meta.Term, Bytes: size}
	for _, s := range raft.DecodeConfiguration(meta.Configuration).Servers {
		out.Peers = append(out.Peers, Peer{ID: string(s.ID), Addr: string(s.Address)})
	}
	return out, nil
}

// contentSize is what meta.json calls the size: that of the tar that the content is, or would be.
func contentSize(fs vfs.FS, from string, tar bool) (int64, error) {
	if !tar {
		_, size, err := tarFiles(fs, fs.PathJoin(from, dbName))
		return size, err
	}
	info, err := fs.Stat(fs.PathJoin(from, tarName))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func readBackup(fs vfs.FS, from string) (snapMeta, error) {
	data, err := readSmall(fs, fs.PathJoin(from, metaName), metaMax)
	if err != nil {
		return snapMeta{}, fmt.Errorf("%w in %s: %w", ErrNoBackup, from, err)
	}
	var meta snapMeta
	if err := json.Unmarshal(data, &meta); err != nil {
		return snapMeta{}, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if meta.Version != metaVersion || meta.ID == "" || meta.ID != fs.PathBase(meta.ID) || meta.Index == 0 ||
		meta.Index == math.MaxUint64 {
		return snapMeta{}, fmt.Errorf("%w: version %d of %q", ErrSnapshot, meta.Version, meta.ID)
	}
	return meta, nil
}

// Restore fills the empty or missing folder dir of a node that does not run with a backup. Every member of the group is
// restored from the same backup, and none keeps anything from before: what came after the backup is lost, and a member
// that remembered it would be believed. peers are the group's members now: their ids are those of the backup, their
// addresses too, since the log names them. Errors: ErrNoBackup, ErrOccupied, ErrOtherGroup, ErrSnapshot, the file
// system's.
func Restore(fs vfs.FS, from, dir string, peers []Peer) (Saved, error) {
	saved, err := ReadBackup(fs, from)
	if err != nil {
		return Saved{}, err
	}
	if !slices.Equal(sorted(saved.Peers), sorted(peers)) {
		return Saved{}, fmt.Errorf("%w: it has %v, this group has %v", ErrOtherGroup, saved.Peers, peers)
	}
	d := newDirs(fs, dir)
	if err = mustBeEmpty(fs, d.root); err != nil {
		return Saved{}, err
	}
	for _, path := range []string{d.root, d.wal, d.state, d.checkpoints} {
		if err = makeDir(fs, path); err != nil {
			return Saved{}, err
		}
	}
	// The term first: without a snapshot it harms nobody. Entries of a lower term than the snapshot's would be taken for
	// older than what the snapshot ends with.
	meta := newWALMeta(fs, d.wal)
	term := binary.LittleEndian.AppendUint64(nil, saved.Term)
	if err = errors.Join(meta.read(), meta.SetStable([]byte(raftTerm), term)); err != nil {
		return Saved{}, err
	}
	temporary := fs.PathJoin(d.checkpoints, saved.ID+tmpSuffix)
	if err = copyTree(fs, from, temporary); err != nil {
		return Saved{}, err
	}
	return saved, moveDir(fs, temporary, fs.PathJoin(d.checkpoints, saved.ID))
}

func sorted(peers []Peer) []Peer {
	return slices.SortedFunc(slices.Values(peers), func(a, b Peer) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
}

// mustBeEmpty refuses a folder in which a node has been.
func mustBeEmpty(fs vfs.FS, dir string) error {
	there, err := exists(fs, dir)
	if err != nil || !there {
		return err
	}
	names, err := listDir(fs, dir)
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("%w: %s has %s", ErrOccupied, dir, names[0])
	}
	return err
}

// copyTree copies a folder with all below it into a new one, durably.
func copyTree(fs vfs.FS, from, to string) error {
	if err := makeDir(fs, to); err != nil {
		return err
	}
	names, err := listDir(fs, from)
	if err != nil {
		return err
	}
	for _, name := range names {
		source, target := fs.PathJoin(from, name), fs.PathJoin(to, name)
		info, err := fs.Stat(source)
		if err != nil {
			return fmt.Errorf("look at %s: %w", source, err)
		}
		if info.IsDir() {
			err = copyTree(fs, source, target)
		} else {
			err = copyFile(fs, source, target)
		}
		if err != nil {
			return err
		}
	}
	return syncDir(fs, to)
}

func copyFile(fs vfs.FS, from, to string) error {
	in, err := fs.Open(from)
	if err != nil {
		return fmt.Errorf("open %s: %w", from, err)
	}
	out, err := fs.Create(to, writeCategory)
	if err != nil {
		return errors.Join(fmt.Errorf("create %s: %w", to, err), in.Close())
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close(), in.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}
