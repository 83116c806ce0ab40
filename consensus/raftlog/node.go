package raftlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"gongji/consensus"
)

// asksMax bounds the requests of Ask that a node handles at once; more are refused
// with ErrBusy.
const asksMax = 1024

// Node is one member of a group: the consensus.Log on hashicorp/raft.
type Node struct {
	cfg     Config
	metrics *metrics
	clock   *wallClock
	fatal   chan error // buffered 1: the reason for which Run ends
	asks    chan struct{}

	mu       sync.Mutex
	ran      bool
	stopped  bool
	parts    *parts // nil until raft runs, and after Run
	elected  bool   // raft says so
	epoch    uint64 // counts raft's words on leadership
	open     bool   // elected, and everything for leading is in place: see lead.go
	refused  map[string]bool
	known    consensus.Leadership
	changed  chan struct{}
	leadWake chan struct{} // buffered 1
	boot     peerStatus    // what the disk had, until raft runs
	offset   time.Duration
	lag      map[string]uint64
}

var _ consensus.Log = (*Node)(nil)

// New returns a node that Run brings to life. Errors: whatever Validate finds, each
// wrapping ErrConfig, and metrics that do not register.
func New(cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("%w: metrics: %w", ErrConfig, err)
	}
	return &Node{
		cfg: cfg, metrics: m, clock: newWallClock(cfg.Clock), fatal: make(chan error, 1),
		asks: make(chan struct{}, asksMax), refused: make(map[string]bool), changed: make(chan struct{}),
		leadWake: make(chan struct{}, 1),
	}, nil
}

// fail makes Run end with err. Only the first counts.
func (n *Node) fail(err error) {
	select {
	case n.fatal <- err:
	default:
	}
}

// current returns the running parts, or why there are none.
func (n *Node) current() (*parts, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.stopped:
		return nil, consensus.ErrStopped
	case n.parts == nil:
		return nil, consensus.ErrNoLeader
	}
	return n.parts, nil
}

// serving returns the running parts and whether this node leads and serves.
func (n *Node) serving() (*parts, bool, error) {
	p, err := n.current()
	if err != nil {
		return nil, false, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return p, n.open, nil
}

// leaderAddr returns the address of another node that leads.
func (p *parts) leaderAddr(self string) (string, error) {
	addr, id := p.raft.LeaderWithID()
	if addr == "" || string(id) == self {
		return "", consensus.ErrNoLeader
	}
	return string(addr), nil
}

// Propose puts a command into the log: here, or by one call to the leader.
func (n *Node) Propose(ctx context.Context, command []byte) ([]byte, error) {
	if len(command) > consensus.CommandMax {
		return nil, consensus.ErrTooLarge
	}
	p, leads, err := n.serving()
	if err != nil {
		return nil, err
	}
	if leads {
		return p.propose(ctx, command)
	}
	addr, err := p.leaderAddr(n.cfg.NodeID)
	if err != nil {
		return nil, err
	}
	return p.forward(ctx, addr, callPropose, command)
}

type result struct {
	value []byte
	err   error
}

func (p *parts) propose(ctx context.Context, command []byte) ([]byte, error) {
	answer := make(chan result, 1)
	item := &proposal{command: command, done: func(value []byte, err error) { answer <- result{value, err} }}
	if err := p.batcher.submit(item); err != nil {
		return nil, err
	}
	select {
	case r := <-answer:
		return r.value, r.err
	case <-ctx.Done():
	}
	if p.batcher.withdraw(item) {
		return nil, fmt.Errorf("%w: %w", consensus.ErrNoLeader, ctx.Err())
	}
	select {
	case r := <-answer:
		return r.value, r.err
	default:
		return nil, fmt.Errorf("%w: %w", consensus.ErrUnknown, ctx.Err())
	}
}

// forward makes a call that may change something.
func (p *parts) forward(ctx context.Context, addr string, kind byte, payload []byte) ([]byte, error) {
	f, err := p.client.call(ctx, addr, kind, payload)
	if err != nil {
		return nil, sent(err)
	}
	return outcome(f)
}

// Read calls view with a state that has everything that was answered before.
func (n *Node) Read(ctx context.Context, view func(consensus.Reader) error) error {
	p, leads, err := n.serving()
	if err != nil {
		return err
	}
	from := p.followerReads
	if leads {
		from = p.leaderReads
	}
	index, err := from.get(ctx)
	if err != nil {
		return err
	}
	if err := p.store.wait(ctx, index); err != nil {
		return err
	}
	return p.store.view(ctx, view)
}

// ReadStale calls view with the state as it is on this node.
func (n *Node) ReadStale(view func(consensus.Reader) error) error {
	p, err := n.current()
	if err != nil {
		return err
	}
	return p.store.view(p.ctx, view)
}

// leaderIndex is asked by the leader for its readers, and for those of followers: an
// index that covers everything answered before. Behind the gate every index in the log
// comes by the state machine, so waiting for it ends.
func (n *Node) leaderIndex(context.Context) (uint64, error) {
	p, leads, err := n.serving()
	if err != nil {
		return 0, err
	}
	if !leads {
		return 0, consensus.ErrNoLeader
	}
	index := p.raft.CommitIndex()
	if err := p.raft.VerifyLeader().Error(); err != nil {
		return 0, fmt.Errorf("%w: %w", consensus.ErrNoLeader, err)
	}
	return index, nil
}

// followerIndex asks the leader.
func (n *Node) followerIndex(ctx context.Context) (uint64, error) {
	p, err := n.current()
	if err != nil {
		return 0, err
	}
	addr, err := p.leaderAddr(n.cfg.NodeID)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Tuning.RPCTimeout)
	defer cancel()
	f, err := p.client.call(ctx, addr, callIndex, nil)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", consensus.ErrNoLeader, err)
	}
	payload, err := outcome(f)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", consensus.ErrNoLeader, err)
	}
	if len(payload) != 8 {
		return 0, fmt.Errorf("%w: %w", consensus.ErrNoLeader, errFrame)
	}
	return binary.BigEndian.Uint64(payload), nil
}

// Ask carries a request to the leader's Handler.
func (n *Node) Ask(ctx context.Context, request []byte) ([]byte, error) {
	if len(request) > consensus.AskMax {
		return nil, consensus.ErrTooLarge
	}
	p, leads, err := n.serving()
	if err != nil {
		return nil, err
	}
	if leads {
		return n.handle(ctx, request)
	}
	addr, err := p.leaderAddr(n.cfg.NodeID)
	if err != nil {
		return nil, err
	}
	payload := make([]byte, 0, 4+len(request))
	payload = binary.BigEndian.AppendUint32(payload, millisLeft(ctx))
	return p.forward(ctx, addr, callAsk, append(payload, request...))
}

// millisLeft is what is left of ctx, at least 1; 0 means no limit.
func millisLeft(ctx context.Context) uint32 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	const most = 1 << 31
	return uint32(min(max(time.Until(deadline).Milliseconds(), 1), most))
}

// handle runs the Handler.
func (n *Node) handle(ctx context.Context, request []byte) ([]byte, error) {
	select {
	case n.asks <- struct{}{}:
		defer func() { <-n.asks }()
	default:
		return nil, consensus.ErrBusy
	}
	if n.cfg.Handler == nil {
		return nil, nil
	}
	answer := n.cfg.Handler(ctx, request)
	if len(answer) > consensus.AskMax {
		return nil, fmt.Errorf("%w: answer of %d bytes", consensus.ErrUnknown, len(answer))
	}
	return answer, nil
}

// Leadership returns what this node knows, and a channel that is closed when it changes.
func (n *Node) Leadership() (consensus.Leadership, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known, n.changed
}

// Snapshot takes a snapshot now and returns when it is on disk and the log is cut.
// ErrNoLeader before raft runs; nothing new to take is no error.
func (n *Node) Snapshot() error {
	p, err := n.current()
	if err != nil {
		return err
	}
	err = p.raft.Snapshot().Error()
	if errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return nil
	}
	return err
}

// AcknowledgeClock is an operator's word that the node's clock is right after a jump:
// the node may lead again.
func (n *Node) AcknowledgeClock() {
	n.clock.acknowledge()
	n.refuse(refusedJump, false)
}
