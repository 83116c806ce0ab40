package raftlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"

	"gongji/consensus"
)

// parts are what a node consists of while it runs.
type parts struct {
	ctx        context.Context //nolint:containedctx // Run's, for calls that bring none
	self       string
	configured []Peer

	lock      io.Closer
	cache     *pebble.Cache // ours, nil if handed in
	log       *logStore
	store     *store
	snapshots *snapshots
	digests   *digests
	fsm       *fsm
	rejoin    *rejoin
	mux       *mux
	client    *client
	transport *guard
	raft      *raft.Raft
	words     chan bool // raft's on leadership
	batcher   *batcher

	leaderReads   *coalescer
	followerReads *coalescer
}

// Run serves until ctx ends, which is no error, or the node has to stop. It may be
// called once; a new Node on the same folder goes on.
func (n *Node) Run(ctx context.Context) error {
	n.mu.Lock()
	again := n.ran
	n.ran = true
	n.mu.Unlock()
	if again {
		return fmt.Errorf("%w: this node has run before", consensus.ErrStopped)
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	err := n.live(inner, cancel)
	n.mu.Lock()
	n.stopped, n.parts, n.elected, n.open = true, nil, false, false
	n.metrics.leader.Set(0)
	n.publishLocked()
	n.mu.Unlock()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil {
		n.cfg.Logger.Error("node stopped", slog.String("node", n.cfg.NodeID), slog.Any("error", err))
	}
	return err
}

// live brings the parts up from the disk to the network, serves, and takes them down in
// the opposite order.
func (n *Node) live(ctx context.Context, cancel context.CancelFunc) (failure error) {
	p := &parts{ctx: ctx, self: n.cfg.NodeID, configured: n.cfg.Peers}
	defer func() { failure = errors.Join(failure, n.closeDisk(p)) }()
	if err := n.openDisk(ctx, p); err != nil {
		return err
	}
	go p.log.run() // close waits for it
	defer func() { failure = errors.Join(failure, p.log.close()) }()
	if err := n.settleState(ctx, p); err != nil {
		return err
	}
	if err := n.noteBoot(p); err != nil {
		return err
	}
	m, err := newMux(ctx, n.cfg, func(conn net.Conn) { n.serve(ctx, conn) })
	if err != nil {
		return err
	}
	p.mux = m
	p.client = newClient(m.connect)
	var listener sync.WaitGroup
	listener.Go(m.run)
	defer func() {
		cancel()
		m.Close()
		p.client.close()
		listener.Wait()
		m.wait()
	}()
	if err := n.startRaft(ctx, p); err != nil {
		return err
	}
	return n.serveRaft(ctx, p)
}

// noteBoot keeps what this node says of itself before raft runs.
func (n *Node) noteBoot(p *parts) error {
	term, err := p.log.GetUint64([]byte(raftTerm))
	if err != nil {
		return err
	}
	index, lastTerm := p.lastEntry()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.boot = peerStatus{term: term, lastTerm: lastTerm, lastIndex: index, applied: p.store.now().index}
	return nil
}

// openDisk opens log, snapshots and state as they are.
func (n *Node) openDisk(_ context.Context, p *parts) error {
	fs, t := n.cfg.FS, n.cfg.Tuning
	d := newDirs(fs, n.cfg.Dir)
	if err := makeDir(fs, d.root); err != nil {
		return err
	}
	lock, err := fs.Lock(fs.PathJoin(d.root, "LOCK"))
	if err != nil {
		return fmt.Errorf("folder %s is in use: %w", d.root, err)
	}
	p.lock = lock
	if err = d.prepare(fs); err != nil {
		return err
	}
	p.cache = n.cfg.Cache
	if p.cache == nil {
		p.cache = pebble.NewCache(t.CacheSize)
	} else {
		p.cache.Ref()
	}
	p.store = newStore(storeConfig{
		fs: fs, dirs: d, cache: p.cache, mem: t.MemTableSize, logger: n.cfg.Logger,
		failed: func(err error) { n.fail(fmt.Errorf("%w: state: %w", ErrDisk, err)) },
	})
	p.digests = &digests{}
	p.snapshots = newSnapshots(fs, d.checkpoints, n.cfg.Logger)
	if p.rejoin, err = newRejoin(fs, d.root, n.cfg.NodeID, n.cfg.Logger); err != nil {
		return err
	}
	cuts := 0
	p.fsm = &fsm{
		ctx: p.ctx, store: p.store, sm: n.cfg.StateMachine, digests: p.digests, metrics: n.metrics,
		logger: n.cfg.Logger, failed: n.fail,
		cut: func() string {
			cuts++
			return fs.PathJoin(d.checkpoints, fmt.Sprintf("%s%d", cutPrefix, cuts))
		},
	}
	p.log, err = openLog(logConfig{
		fs: fs, dir: d.wal, segment: t.SegmentSize, limit: t.DiskLimit, logger: &hclogAdapter{n.cfg.Logger},
		metrics: n.metrics, failed: n.fail, slow: func(on bool) { n.refuse(refusedDisk, on) },
	})
	return err
}

// closeDisk closes what openDisk opened; the log closes itself before.
func (n *Node) closeDisk(p *parts) error {
	var errs []error
	if p.store != nil {
		errs = append(errs, p.store.close())
	}
	if p.cache != nil {
		p.cache.Unref()
	}
	if p.lock != nil {
		errs = append(errs, p.lock.Close())
	}
	return errors.Join(errs...)
}

// settleState brings state, newest snapshot and log together, or refuses: raft begins
// to apply behind the newest snapshot, so the state must reach there and not beyond the log.
func (n *Node) settleState(ctx context.Context, p *parts) error {
	if err := p.store.open(); err != nil {
		return err
	}
	metas, err := p.snapshots.all()
	if err != nil {
		return err
	}
	var newest snapMeta
	if len(metas) > 0 {
		newest = metas[0]
	}
	if err = n.settleLog(p, newest); err != nil {
		return err
	}
	if p.store.now().index < newest.Index {
		n.cfg.Logger.Warn("state is behind the newest snapshot: restoring",
			slog.Uint64("state", p.store.now().index), slog.Uint64("snapshot", newest.Index))
		if err = restoreFrom(ctx, p, newest); err != nil {
			return err
		}
	}
	first, err := p.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := p.log.LastIndex()
	if err != nil {
		return err
	}
	applied := p.store.now().index
	if applied > max(last, newest.Index) {
		return fmt.Errorf("%w: applied %d, log ends at %d, snapshot at %d", ErrStateAhead, applied, last, newest.Index)
	}
	if last > 0 && first > newest.Index+1 {
		return fmt.Errorf("%w: snapshot at %d, log begins at %d", ErrStateBehind, newest.Index, first)
	}
	term, err := p.log.GetUint64([]byte(raftTerm))
	if err != nil {
		return err
	}
	if term < newest.Term {
		return fmt.Errorf("%w: term %d, snapshot of term %d", ErrLogLost, term, newest.Term)
	}
	p.fsm.seen = 0
	return p.fsm.reset()
}

func restoreFrom(ctx context.Context, p *parts, meta snapMeta) error {
	r, err := p.snapshots.open(meta.ID)
	if err != nil {
		return err
	}
	return errors.Join(p.store.restore(ctx, r, meta.Index), r.Close())
}

// settleLog empties the log if a snapshot was installed over it and the node ended before
// raft emptied it: the log takes no gaps, and entries from another history below the snapshot's
// end would make the leader send the same snapshot for ever (raft issue 697).
func (n *Node) settleLog(p *parts, newest snapMeta) error {
	first, err := p.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := p.log.LastIndex()
	if err != nil || last == 0 || newest.Index == 0 {
		return err
	}
	stale := last < newest.Index
	if !stale && first <= newest.Index {
		var l raft.Log
		if err := p.log.GetLog(newest.Index, &l); err != nil {
			return fmt.Errorf("%w: read entry %d: %w", ErrDisk, newest.Index, err)
		}
		stale = l.Term != newest.Term
	}
	if !stale {
		return nil
	}
	n.cfg.Logger.Warn("log is older than the newest snapshot: emptying it",
		slog.Uint64("last", last), slog.Uint64("snapshot", newest.Index))
	return p.log.DeleteRange(first, last)
}
