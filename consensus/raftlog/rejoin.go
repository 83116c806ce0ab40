package raftlog

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// A node that lost its disk has forgotten what it promised: the entries it said it
// had, and whom it voted for. If it voted now, two members that lack an entry which
// it once helped to commit could elect a leader without it, and the entry would be lost.
// So a node that starts without state neither votes nor stands for election until it
// has heard from so many others that every majority it may have been part of is met among
// them, and has a term, and a log, at least as far as the farthest of these. The name of
// the file `rejoining` in its folder keeps that over restarts.
//
// When the group is first formed no member has anything, which is the same question
// with another answer: nobody that answers has more than the first entry.
type rejoin struct {
	fs     vfs.FS
	path   string
	self   string
	logger *slog.Logger

	mu    sync.Mutex
	on    bool
	heard map[string]peerStatus // first words of each member since this start
}

const rejoinName = "rejoining"

func newRejoin(fs vfs.FS, dir, self string, logger *slog.Logger) (*rejoin, error) {
	r := &rejoin{
		fs: fs, path: fs.PathJoin(dir, rejoinName), self: self, logger: logger, heard: make(map[string]peerStatus),
	}
	there, err := exists(fs, r.path)
	r.on = there
	return r, err
}

func (r *rejoin) active() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.on
}

// begin makes this node one that has to catch up before it votes.
func (r *rejoin) begin() error {
	if err := replaceFile(r.fs, r.path, nil); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = true
	return nil
}

// enough is how many of the others must be heard, in a group of n, so that every
// majority with this node has one of them.
func enough(n int) int {
	return min(n-(n/2+1)+1, n-1)
}

// formed judges by what others say whether the group exists already.
type formed int

const (
	formedUnknown formed = iota
	formedNot            // and enough have said so
	formedAlready
)

func judge(heard []peerStatus, members int) formed {
	for _, s := range heard {
		if s.term > 1 || s.lastIndex > 1 {
			return formedAlready
		}
	}
	if len(heard) >= enough(members) {
		return formedNot
	}
	return formedUnknown
}

// formation decides how a node without state begins: true means it forms the group.
// It waits until enough members answer.
func (r *rejoin) formation(ctx context.Context, hear func() []peerStatus, members int) (bool, error) {
	ticker := time.NewTicker(leadRetry)
	defer ticker.Stop()
	for {
		switch judge(hear(), members) {
		case formedNot:
			return true, nil
		case formedAlready:
			r.logger.Warn("no state here, but the group exists: catching up before voting")
			return false, r.begin()
		case formedUnknown:
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// look ends the waiting when this node has caught up.
func (r *rejoin) look(p *parts, others []peerStatus) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.on {
		return nil
	}
	for _, o := range others {
		if _, known := r.heard[o.id]; !known {
			r.heard[o.id] = o
		}
	}
	members := p.members()
	if len(members) == 0 || len(r.heard) < enough(len(members)) {
		return nil
	}
	index, term := p.lastEntry()
	for _, o := range r.heard {
		if p.raft.CurrentTerm() < o.term || cmp.Or(cmp.Compare(term, o.lastTerm), cmp.Compare(index, o.lastIndex)) < 0 {
			return nil
		}
	}
	if addr, _ := p.raft.LeaderWithID(); addr == "" {
		return nil
	}
	if err := removeTree(r.fs, r.path); err != nil {
		return err
	}
	r.on = false
	r.logger.Info("caught up: voting again", slog.Uint64("index", index))
	return nil
}

// members are the group's, as this node's raft knows them.
func (p *parts) members() []raft.Server {
	return p.raft.GetConfiguration().Configuration().Servers
}

// others are the members to talk to: raft's if it knows any, else those configured.
func (p *parts) others() []Peer {
	var peers []Peer
	for _, s := range p.members() {
		if string(s.ID) != p.self {
			peers = append(peers, Peer{ID: string(s.ID), Addr: string(s.Address)})
		}
	}
	if len(peers) > 0 {
		return peers
	}
	return othersOf(p.configured, p.self)
}

func othersOf(peers []Peer, self string) []Peer {
	var others []Peer
	for _, peer := range peers {
		if peer.ID != self {
			others = append(others, peer)
		}
	}
	return others
}

// voters is how many members vote, at least 1.
func (p *parts) voters() int {
	n := 0
	for _, s := range p.members() {
		if s.Suffrage == raft.Voter {
			n++
		}
	}
	return max(n, 1)
}

func (p *parts) voterAddr(id string) (raft.ServerAddress, bool) {
	for _, s := range p.members() {
		if string(s.ID) == id && s.Suffrage == raft.Voter {
			return s.Address, true
		}
	}
	return "", false
}

// lastEntry is index and term of the last entry in the log, or of the snapshot that
// stands for it.
func (p *parts) lastEntry() (uint64, uint64) {
	index, term, err := p.log.lastEntry()
	if err != nil {
		return 0, 0
	}
	metas, err := p.snapshots.all()
	if err == nil && len(metas) > 0 && metas[0].Index > index {
		return metas[0].Index, metas[0].Term
	}
	return index, term
}
