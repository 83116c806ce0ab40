package raftlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"gongji/consensus"
)

// startRaft builds raft on the parts; it forms the group if there is none.
func (n *Node) startRaft(ctx context.Context, p *parts) error {
	form, err := n.formsGroup(ctx, p)
	if err != nil {
		return err
	}
	t, logger := n.cfg.Tuning, &hclogAdapter{n.cfg.Logger}
	network := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: p.mux, MaxPool: 3, MaxRPCsInFlight: t.MaxRPCsInFlight, Timeout: t.RPCTimeout,
		Logger: logger.named("transport"), MsgpackUseNewTimeFormat: true,
	})
	p.transport = newGuard(network, p.rejoin.active, p.log.isSlow)
	p.words = make(chan bool, 1)
	cfg := n.raftConfig(p.words)
	if form {
		err = n.bootstrap(p, cfg)
	}
	var cached *raft.LogCache
	if err == nil {
		cached, err = raft.NewLogCache(t.LogCache, p.log)
	}
	if err == nil {
		p.raft, err = newRaft(cfg, p, cached)
	}
	if err != nil {
		return errors.Join(err, network.Close())
	}
	p.log.setRunning(true)
	p.batcher = newBatcher(p.raft, n.stampClock, t, n.metrics, n.cfg.Logger)
	p.leaderReads = newCoalescer(n.leaderIndex)
	p.followerReads = newCoalescer(n.followerIndex)
	return nil
}

func (n *Node) raftConfig(words chan<- bool) *raft.Config {
	t := n.cfg.Tuning
	cfg := raft.DefaultConfig()
	cfg.LocalID = raft.ServerID(n.cfg.NodeID)
	cfg.HeartbeatTimeout, cfg.ElectionTimeout = t.Heartbeat, t.Election
	cfg.LeaderLeaseTimeout, cfg.CommitTimeout = t.LeaderLease, t.CommitInterval
	cfg.MaxAppendEntries = t.MaxAppendEntries
	// The channel to raft's main loop is buffered, so the batcher never waits there. That
	// Apply's timeout then no longer covers the way into the log does not matter: nothing
	// here takes a timeout for an answer.
	cfg.BatchApplyCh = true
	cfg.SnapshotInterval, cfg.SnapshotThreshold = t.SnapshotInterval, t.SnapshotThreshold
	cfg.TrailingLogs = t.TrailingLogs
	cfg.NoSnapshotRestoreOnStart = true // settleState has done it, if it was needed
	cfg.ShutdownOnRemove = false        // Run ends raft, in its own order
	cfg.NoLegacyTelemetry = true
	cfg.Logger = (&hclogAdapter{n.cfg.Logger}).named("raft")
	cfg.NotifyCh = words
	return cfg
}

// newRaft starts raft. It panics on a log that it cannot read; here that is an error.
func newRaft(cfg *raft.Config, p *parts, logs raft.LogStore) (r *raft.Raft, err error) { //nolint:nonamedreturns // the deferred function sets them
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", ErrDisk, v)
		}
	}()
	return raft.NewRaft(cfg, p.fsm, logs, p.log, p.snapshots, p.transport)
}

// formsGroup decides how this node begins: with what it has; without anything, as one of
// those who form the group; or as one that has to catch up before it votes.
func (n *Node) formsGroup(ctx context.Context, p *parts) (bool, error) {
	fresh := n.boot.lastIndex == 0 && n.boot.applied == 0
	switch {
	case !fresh || p.rejoin.active():
		return false, nil
	case !n.cfg.Bootstrap:
		return false, p.rejoin.begin()
	}
	others := othersOf(n.cfg.Peers, n.cfg.NodeID)
	hear := func() []peerStatus { return ask(ctx, p.client, n.cfg.Clock, others) }
	return p.rejoin.formation(ctx, hear, len(n.cfg.Peers))
}

// bootstrap writes the members as the first entry. Every member writes the same one.
func (n *Node) bootstrap(p *parts, cfg *raft.Config) error {
	// A crash between raft's two writes leaves the term without the entry, and raft would
	// refuse for ever. Nobody votes in the first term, so it may be taken back.
	if n.boot.term == 1 {
		if err := p.log.SetUint64([]byte(raftTerm), 0); err != nil {
			return err
		}
	}
	var members raft.Configuration
	for _, peer := range n.cfg.Peers {
		members.Servers = append(members.Servers, raft.Server{
			Suffrage: raft.Voter, ID: raft.ServerID(peer.ID), Address: raft.ServerAddress(peer.Addr),
		})
	}
	if err := raft.BootstrapCluster(cfg, p.log, p.log, p.snapshots, p.transport, members); err != nil {
		return fmt.Errorf("form the group: %w", err)
	}
	n.cfg.Logger.Info("forming the group", slog.Int("members", len(members.Servers)))
	return nil
}

// stampClock is the batcher's clock. A jump found here closes the gate before anything
// is stamped.
func (n *Node) stampClock() (int64, error) {
	now, err := n.clock.read()
	if err != nil {
		n.refuse(refusedJump, true)
	}
	return now, err
}

// serveRaft runs everything that works on raft until ctx ends or the node fails.
func (n *Node) serveRaft(ctx context.Context, p *parts) error {
	observations := make(chan raft.Observation, 64)
	observer := raft.NewObserver(observations, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	p.raft.RegisterObserver(observer)
	var ears, hands sync.WaitGroup
	// The ears stay open until raft has ended: it waits for them.
	earCtx, deafen := context.WithCancel(context.WithoutCancel(ctx))
	handCtx, letGo := context.WithCancel(ctx)
	defer deafen()
	defer letGo()
	ears.Go(func() { n.hear(earCtx, p.words) })
	ears.Go(func() { n.observe(earCtx, observations) })
	ears.Go(func() { p.transport.run(earCtx) })
	n.mu.Lock()
	n.parts = p
	n.publishLocked()
	n.mu.Unlock()
	hands.Go(func() { p.batcher.run(handCtx) })
	hands.Go(func() { p.leaderReads.run(handCtx) })
	hands.Go(func() { p.followerReads.run(handCtx) })
	hands.Go(func() { n.lead(handCtx) })
	hands.Go(func() { n.watch(handCtx, p) })
	var failure error
	select {
	case <-ctx.Done():
		failure = ctx.Err()
	case failure = <-n.fatal:
	}
	n.mu.Lock()
	n.stopped, n.open = true, false
	p.batcher.halt(consensus.ErrStopped)
	n.publishLocked()
	n.mu.Unlock()
	letGo()
	err := n.endRaft(p, &hands)
	deafen()
	ears.Wait()
	p.raft.DeregisterObserver(observer)
	return errors.Join(failure, err)
}

// endRaft ends raft. Entries under way are waited for first: raft forgets the futures of
// those that are in its channels when it shuts down. They end by being committed or by
// the loss of leadership, within its lease; with a hung disk they do not end, nor does raft,
// and their goroutines stay behind until the disk answers or the process ends.
func (n *Node) endRaft(p *parts, hands *sync.WaitGroup) error {
	t := n.cfg.Tuning
	ended := make(chan struct{})
	go func() {
		hands.Wait()
		<-p.batcher.drained()
		close(ended)
	}()
	limit := time.NewTimer(t.LeaderLease + 2*t.Heartbeat + statusLimit)
	defer limit.Stop()
	select {
	case <-ended:
	case <-limit.C:
		n.cfg.Logger.Warn("entries under way did not end")
	}
	shutdown := p.raft.Shutdown()
	p.mux.Close()
	down := make(chan error, 1)
	go func() { down <- shutdown.Error() }()
	last := time.NewTimer(t.DiskLimit + t.RPCTimeout)
	defer last.Stop()
	select {
	case err := <-down:
		return err
	case <-last.C:
		return fmt.Errorf("%w: raft did not end", ErrDisk)
	}
}
