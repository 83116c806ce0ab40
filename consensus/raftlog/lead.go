package raftlog

import (
	"context"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"

	"gongji/consensus"
)

// Reasons for which a node refuses to lead, as Status shows them.
const (
	refusedOff  = "clock_off"  // its clock does not agree with a majority's; ends by itself
	refusedJump = "clock_jump" // its clock jumped; ends by AcknowledgeClock
	refusedDisk = "disk_slow"  // a write of the log takes too long; ends with the write
)

// leadRetry is how soon an elected node that may not serve yet tries again.
const leadRetry = 200 * time.Millisecond

// hear takes raft's words on leadership. It always listens: raft's main loop waits for it.
// Losing leadership closes the gate here and at once.
func (n *Node) hear(ctx context.Context, words <-chan bool) {
	for {
		select {
		case elected := <-words:
			n.mu.Lock()
			n.epoch++
			n.elected = elected
			n.closeGateLocked()
			n.mu.Unlock()
			poke(n.leadWake)
		case <-ctx.Done():
			return
		}
	}
}

// lead opens the gate for an elected node, in steps that may wait: its clock agrees with
// a majority's; everything committed before is applied here; nothing speaks against it.
func (n *Node) lead(ctx context.Context) {
	ticker := time.NewTicker(leadRetry)
	defer ticker.Stop()
	for {
		select {
		case <-n.leadWake:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		n.mu.Lock()
		elected, open, epoch, refused := n.elected, n.open, n.epoch, n.refusal() != ""
		n.publishLocked()
		n.mu.Unlock()
		switch {
		case !elected || open:
		case refused:
			n.handOver(ctx)
		default:
			n.take(ctx, epoch)
		}
	}
}

// take does the steps of lead once, for the election counted by epoch.
func (n *Node) take(ctx context.Context, epoch uint64) {
	p, err := n.current()
	if err != nil {
		return
	}
	if _, err := n.clock.read(); err != nil {
		n.refuse(refusedJump, true)
		return
	}
	verdict, offset := compareClocks(n.exchange(ctx, p), p.voters())
	if verdict == clockOff {
		n.cfg.Logger.Error("refusing to lead: clock does not agree with a majority's", slog.Duration("offset", offset))
		n.refuse(refusedOff, true)
		return
	}
	if verdict == clockUnknown {
		return
	}
	barrier := p.raft.Apply(encodePack(0, nil), n.cfg.Tuning.RPCTimeout)
	if err := barrier.Error(); err != nil {
		n.cfg.Logger.Debug("leadership went before the barrier", slog.Any("error", err))
		return
	}
	if a, ok := barrier.Response().(applied); !ok || a.err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.epoch != epoch || !n.elected || n.stopped || n.refusal() != "" {
		return
	}
	p.batcher.start(p.store.now().stamp)
	n.open = true
	n.metrics.leader.Set(1)
	n.publishLocked()
	n.cfg.Logger.Info("leading", slog.Uint64("term", n.known.Term))
}

// closeGateLocked stops serving. What is in no entry yet is refused; what is, raft answers.
func (n *Node) closeGateLocked() {
	n.open = false
	n.metrics.leader.Set(0)
	if n.parts != nil {
		n.parts.batcher.halt(consensus.ErrNoLeader)
	}
	n.publishLocked()
}

// publishLocked tells of a change of leadership, if there is one.
func (n *Node) publishLocked() {
	now := consensus.Leadership{Leader: n.open}
	if n.parts != nil && !n.stopped {
		_, id := n.parts.raft.LeaderWithID()
		now.LeaderID = string(id)
		now.Term = n.parts.raft.CurrentTerm()
	} else {
		now.Term = n.known.Term
	}
	if now == n.known {
		return
	}
	n.known = now
	close(n.changed)
	n.changed = make(chan struct{})
}

// observe hears of other leaders.
func (n *Node) observe(ctx context.Context, words <-chan raft.Observation) {
	for {
		select {
		case <-words:
			n.mu.Lock()
			n.publishLocked()
			n.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// refusal returns the first reason not to lead, empty if there is none. n.mu is held.
func (n *Node) refusal() string {
	for _, reason := range []string{refusedJump, refusedOff, refusedDisk} {
		if n.refused[reason] {
			return reason
		}
	}
	return ""
}

// refuse sets or clears a reason not to lead. Setting one closes the gate at once and
// has the leadership handed over.
func (n *Node) refuse(reason string, on bool) {
	n.mu.Lock()
	if n.refused[reason] == on {
		n.mu.Unlock()
		return
	}
	n.refused[reason] = on
	n.metrics.refuse(reason, on)
	if on && n.open {
		n.closeGateLocked()
	}
	n.mu.Unlock()
	n.cfg.Logger.Warn("refusing to lead", slog.String("reason", reason), slog.Bool("refused", on))
	poke(n.leadWake)
}

// handOver gives leadership to a member that votes and whose clock agrees with ours or,
// when ours is the odd one, with most; else to whom raft thinks best.
func (n *Node) handOver(ctx context.Context) {
	p, err := n.current()
	if err != nil {
		return
	}
	others := n.exchange(ctx, p)
	_, off := compareClocks(others, p.voters())
	for _, o := range others {
		if (o.offset+off).Abs() > consensus.ClockOffMax || !o.votes {
			continue
		}
		if addr, ok := p.voterAddr(o.id); ok {
			if err := p.raft.LeadershipTransferToServer(raft.ServerID(o.id), addr).Error(); err == nil {
				return
			}
		}
	}
	if err := p.raft.LeadershipTransfer().Error(); err != nil {
		n.cfg.Logger.Warn("leadership could not be handed over", slog.Any("error", err))
	}
}
