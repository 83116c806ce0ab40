package node

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gongji/consensus/raftlog"
	"gongji/gateway/config"
)

// Backup copies the newest snapshot of a node's state, which may be running, into a new folder. No secret key is in it,
// and persons stand in it sealed: without the region's keys it cannot be read, and with them it is the region. The text
// says what was copied. Errors: raftlog.ErrNoBackup, raftlog.ErrOccupied, the file system's.
func Backup(c config.Config, to string) (string, error) {
	saved, err := raftlog.Backup(vfs.Default, c.DataDir, to)
	if err != nil {
		return "", fmt.Errorf("node: backup: %w", err)
	}
	return told(saved), nil
}

// Restore fills the empty data folder of a node with a backup, for a region that has lost all its nodes: each of them
// is restored from the same one. Errors: raftlog.ErrNoBackup, raftlog.ErrOccupied, raftlog.ErrOtherGroup, the file
// system's.
func Restore(c config.Config, from string) (string, error) {
	var peers []raftlog.Peer
	for _, p := range c.Peers {
		peers = append(peers, raftlog.Peer{ID: p.ID, Addr: p.Addr})
	}
	saved, err := raftlog.Restore(vfs.Default, from, c.DataDir, peers)
	if err != nil {
		return "", fmt.Errorf("node: restore: %w", err)
	}
	return told(saved), nil
}

func told(s raftlog.Saved) string {
	return fmt.Sprintf("the state up to entry %d of term %d, %d bytes", s.Index, s.Term, s.Bytes)
}
