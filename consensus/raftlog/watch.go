package raftlog

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"gongji/consensus"
)

const (
	watchInterval = time.Second
	statusLimit   = time.Second // of one status call; a stream that takes longer is hung up
	stuckAfter    = 10          // looks without progress before a follower far behind counts as stuck
)

// peerStatus is what this node tells the others.
func (n *Node) peerStatus() peerStatus {
	n.mu.Lock()
	p, open, s := n.parts, n.open, n.boot
	n.mu.Unlock()
	s.clock, s.leads = n.cfg.Clock().UnixMicro(), open
	if p == nil {
		return s
	}
	s.term = p.raft.CurrentTerm()
	s.lastIndex, s.lastTerm = p.lastEntry()
	s.applied = p.store.now().index
	s.votes = !p.rejoin.active()
	s.digests = p.digests.all()
	return s
}

// exchange asks all other members for their status, at once.
func (n *Node) exchange(ctx context.Context, p *parts) []peerStatus {
	return ask(ctx, p.client, n.cfg.Clock, p.others())
}

// ask asks some members for their status. Who does not answer in time is left out.
func ask(ctx context.Context, c *client, clock func() time.Time, peers []Peer) []peerStatus {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		heard []peerStatus
	)
	for _, peer := range peers {
		wg.Go(func() {
			start, wall := time.Now(), clock()
			f, err := c.call(ctx, peer.Addr, callStatus, nil)
			if err != nil {
				if errors.Is(err, context.DeadlineExceeded) {
					c.hangUp(peer.Addr)
				}
				return
			}
			s, err := decodeStatus(f.payload)
			if err != nil || f.kind != codeOK {
				return
			}
			s.id, s.trip = peer.ID, time.Since(start)
			s.offset = time.Duration(s.clock-wall.UnixMicro())*time.Microsecond - s.trip/2
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, s)
		})
	}
	wg.Wait()
	slices.SortFunc(heard, func(a, b peerStatus) int { return strings.Compare(a.id, b.id) })
	return heard
}

// watch looks at clocks, digests and lag every second.
func (n *Node) watch(ctx context.Context, p *parts) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	behind := make(map[string]*progress)
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if _, err := n.clock.read(); err != nil {
			n.refuse(refusedJump, true)
		}
		others := n.exchange(ctx, p)
		if ctx.Err() != nil {
			return
		}
		n.watchClock(others, p.voters())
		n.watchDigests(p, others)
		n.watchLag(p, others, behind)
		if err := p.rejoin.look(p, others); err != nil {
			n.fail(err)
		}
	}
}

func (n *Node) watchClock(others []peerStatus, voters int) {
	verdict, offset := compareClocks(others, voters)
	n.mu.Lock()
	n.offset = offset
	n.mu.Unlock()
	n.metrics.offset.Set(offset.Seconds())
	switch verdict {
	case clockAgrees:
		n.refuse(refusedOff, false)
	case clockOff:
		n.refuse(refusedOff, true)
	case clockUnknown:
	}
}

func (n *Node) watchDigests(p *parts, others []peerStatus) {
	heard := make([][]digestAt, len(others))
	for i, o := range others {
		heard[i] = o.digests
	}
	if index, alone := p.digests.outvoted(heard, p.voters()/2+1); alone {
		n.fail(fmt.Errorf("%w: at index %d", ErrDiverged, index))
	}
}

// progress is how a follower that is behind gets on.
type progress struct {
	last  uint64
	looks int // without progress
}

// watchLag raises the alarm for a follower that answers and gets nothing: raft's pipeline
// to it can wedge while its heartbeats go on.
func (n *Node) watchLag(p *parts, others []peerStatus, behind map[string]*progress) {
	lag := make(map[string]uint64)
	leads := p.raft.State() == raft.Leader
	if leads { //nolint:nestif // one look at each follower, in one place
		end := p.raft.LastIndex()
		for _, o := range others {
			lag[o.id] = end - min(end, o.lastIndex)
			at := behind[o.id]
			if at == nil {
				at = &progress{}
				behind[o.id] = at
			}
			if o.lastIndex > at.last || lag[o.id] <= n.cfg.Tuning.LagAlarm {
				at.looks = 0
			} else {
				at.looks++
			}
			at.last = o.lastIndex
			n.metrics.lag.WithLabelValues(o.id).Set(float64(lag[o.id]))
			stuck := 0.0
			if at.looks >= stuckAfter {
				stuck = 1
			}
			n.metrics.stuck.WithLabelValues(o.id).Set(stuck)
			if at.looks == stuckAfter {
				n.cfg.Logger.Error("follower is far behind and gets nothing though it answers",
					slog.String("peer", o.id), slog.Uint64("lag", lag[o.id]))
			}
		}
	} else {
		clear(behind)
		n.metrics.lag.Reset()
		n.metrics.stuck.Reset()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lag = lag
}

// Status describes this node.
func (n *Node) Status() consensus.Status {
	n.mu.Lock()
	s := consensus.Status{
		ID: n.cfg.NodeID, State: "stopped", Term: n.known.Term, ClockOffset: n.offset, Refused: n.refusal(),
		Lag: make(map[string]uint64, len(n.lag)),
	}
	maps.Copy(s.Lag, n.lag)
	p := n.parts
	n.mu.Unlock()
	if p == nil {
		return s
	}
	if state := p.raft.State(); state != raft.Shutdown {
		s.State = strings.ToLower(state.String())
	}
	s.Term = p.raft.CurrentTerm()
	s.LastIndex, s.CommitIndex = p.raft.LastIndex(), p.raft.CommitIndex()
	m := p.store.now()
	s.AppliedIndex, s.LastStamp, s.Digest = m.index, m.time(), hex.EncodeToString(m.digest[:])
	s.Commands, s.Entries, s.Snapshots = p.fsm.counts()
	if metas, err := p.snapshots.all(); err == nil && len(metas) > 0 {
		s.Snapshot = metas[0].Index
	}
	for _, server := range p.raft.GetConfiguration().Configuration().Servers {
		s.Peers = append(s.Peers, string(server.ID))
	}
	return s
}
