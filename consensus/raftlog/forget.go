package raftlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"gongji/consensus"
)

// HandOver gives leadership to another node, if this one leads: for a node that finds that it cannot do a leader's
// work.
func (n *Node) HandOver(ctx context.Context) {
	if lead, _ := n.Leadership(); lead.Leader {
		n.handOver(ctx)
	}
}

// forgetTrailing is how many entries Forget leaves in the log: an empty log would look like one that lost its end.
const forgetTrailing = 1

// Forget makes this node's disk forget what was deleted from the state: tombstones are compacted away, two new
// snapshots push out the kept ones, and the log is cut behind them. Bytes of entries that were cut stay in the newest
// segment of the log until it is full. It reads and writes the whole state once, beside the work. ErrNoLeader before
// raft runs.
func (n *Node) Forget(ctx context.Context) error {
	p, err := n.current()
	if err != nil {
		return err
	}
	if err = p.store.compact(ctx); err != nil {
		return err
	}
	usual := p.raft.ReloadableConfig()
	short := usual
	short.TrailingLogs = forgetTrailing
	if err = p.raft.ReloadConfig(short); err != nil {
		return fmt.Errorf("raftlog: cut the log: %w", err)
	}
	for range snapshotsKept {
		if err = n.Snapshot(); err != nil {
			break
		}
	}
	if failed := p.raft.ReloadConfig(usual); err == nil && failed != nil {
		err = fmt.Errorf("raftlog: cut the log: %w", failed)
	}
	return err
}

// compact rewrites the state without what was deleted. It holds no snapshot of the state, which would keep that alive,
// but counts as a reader: the database stays open.
func (s *store) compact(ctx context.Context) error {
	s.mu.Lock()
	if s.closed || s.swap != nil || s.db == nil {
		s.mu.Unlock()
		return consensus.ErrNoLeader // being replaced: the caller asks again
	}
	db := s.db
	s.readers++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		if s.readers--; s.readers == 0 && s.idle != nil {
			close(s.idle)
			s.idle = nil
		}
		s.mu.Unlock()
	}()
	// A lone table is moved down as it is. Deletions of two keys that never are, one at either end, lie over everything
	// when it is compacted for the second time, so that every table is written anew.
	lowest, highest := []byte{0}, []byte{0xfe}
	for range 2 {
		if err := errors.Join(db.Delete(lowest, pebble.NoSync), db.Delete(highest, pebble.NoSync)); err != nil {
			return fmt.Errorf("raftlog: compact the state: %w", err)
		}
		if err := db.Compact(ctx, lowest, []byte{0xff}, false); err != nil {
			return fmt.Errorf("raftlog: compact the state: %w", err)
		}
	}
	return nil
}
