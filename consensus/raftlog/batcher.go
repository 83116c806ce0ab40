package raftlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"gongji/consensus"
)

// waitingBytesMax bounds the bytes of all commands taken and not answered, beside their
// number: more are refused with ErrBusy.
const waitingBytesMax = 64 << 20

// batcher collects the commands that wait on the leader and puts them into entries.
// It keeps the order in which they came, and at most EntriesInFlight entries under way:
// while these are, the next commands gather, so packs grow with the load by themselves.
type batcher struct {
	raft    *raft.Raft
	clock   func() (int64, error) // microseconds; an error when the clock is not to be trusted
	linger  time.Duration
	timeout time.Duration
	metrics *metrics
	logger  *slog.Logger
	slots   chan struct{} // one for each entry under way
	wake    chan struct{} // buffered 1
	full    chan struct{} // buffered 1: a whole pack waits
	lull    chan struct{} // buffered 1: no entry is under way
	entries sync.WaitGroup

	mu      sync.Mutex
	queue   []*proposal
	bytes   int   // of the commands in queue
	waiting int   // taken and not answered: queue and entries under way
	held    int   // bytes of those
	open    error // nil while this node leads and serves, else what to answer
	last    int64 // last stamp given
}

// proposal is one command on its way.
type proposal struct {
	command []byte
	done    func(result []byte, err error) // called once, from a goroutine that must not block
	state   proposalState
}

type proposalState int

const (
	proposalQueued    proposalState = iota // not in an entry yet: may be withdrawn
	proposalCut                            // in an entry: may be applied whatever happens
	proposalWithdrawn                      // its caller has left
)

func newBatcher(r *raft.Raft, clock func() (int64, error), t Tuning, m *metrics, logger *slog.Logger) *batcher {
	return &batcher{
		raft: r, clock: clock, linger: t.Linger, timeout: t.RPCTimeout, metrics: m, logger: logger,
		slots: make(chan struct{}, t.EntriesInFlight), wake: make(chan struct{}, 1), full: make(chan struct{}, 1),
		lull: make(chan struct{}, 1), open: consensus.ErrNoLeader,
	}
}

// start lets commands in; stamps go on above last.
func (b *batcher) start(last int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = nil
	b.last = max(b.last, last)
}

// halt refuses commands with err from now on, and those that are in no entry yet too:
// they surely were not proposed.
func (b *batcher) halt(err error) {
	b.mu.Lock()
	if !errors.Is(b.open, consensus.ErrStopped) {
		b.open = err
	}
	queue := b.queue
	b.queue, b.bytes = nil, 0
	var refused []*proposal
	for _, p := range queue {
		if p.state == proposalQueued {
			p.state = proposalWithdrawn
			refused = append(refused, p)
			b.held -= len(p.command)
		}
	}
	b.waiting -= len(refused)
	b.mu.Unlock()
	for _, p := range refused {
		p.done(nil, err)
	}
}

// submit takes a command in, or says why not.
func (b *batcher) submit(p *proposal) error {
	b.mu.Lock()
	if b.open != nil {
		defer b.mu.Unlock()
		return b.open
	}
	if b.waiting >= consensus.WaitingMax || b.waiting > 0 && b.held+len(p.command) > waitingBytesMax {
		b.mu.Unlock()
		return consensus.ErrBusy
	}
	if len(b.queue) >= 2*consensus.WaitingMax { // of callers that came and left
		b.queue = slices.DeleteFunc(b.queue, func(q *proposal) bool { return q.state == proposalWithdrawn })
	}
	b.queue = append(b.queue, p)
	b.bytes += len(p.command)
	b.held += len(p.command)
	b.waiting++
	b.metrics.waiting.Set(float64(b.waiting))
	full := b.fullLocked()
	b.mu.Unlock()
	poke(b.wake)
	if full {
		poke(b.full)
	}
	return nil
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// withdraw takes a command back; false if it is in an entry already.
func (b *batcher) withdraw(p *proposal) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.state != proposalQueued {
		return p.state == proposalWithdrawn
	}
	p.state = proposalWithdrawn
	b.bytes -= len(p.command)
	b.held -= len(p.command)
	b.waiting--
	return true
}

// run cuts entries until ctx ends.
func (b *batcher) run(ctx context.Context) {
	for {
		select {
		case <-b.wake:
		case <-ctx.Done():
			return
		}
		for b.pending() {
			select {
			case b.slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			b.gather(ctx)
			b.cut()
		}
	}
}

func (b *batcher) pending() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue) > 0
}

// gather waits for more commands while other entries are under way, until these are
// done, a pack is full, or linger is over. So entries are as large as the load allows at no
// cost of time: on a fast disk one is under way while the next one gathers; between
// members far apart several are, linger apart.
func (b *batcher) gather(ctx context.Context) {
	drain(b.full)
	drain(b.lull)
	if b.linger <= 0 || len(b.slots) <= 1 {
		return
	}
	b.mu.Lock()
	full := b.fullLocked()
	b.mu.Unlock()
	if full {
		return
	}
	timer := time.NewTimer(b.linger)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.full:
	case <-b.lull:
	case <-ctx.Done():
	}
}

func (b *batcher) fullLocked() bool {
	return len(b.queue) >= consensus.PackMax || b.bytes >= consensus.PackBytesMax
}

func drain(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// cut takes a pack off the queue and proposes it. A slot is held, and let go when the
// entry is answered.
func (b *batcher) cut() {
	now, err := b.clock()
	b.mu.Lock()
	if err != nil {
		b.mu.Unlock()
		<-b.slots
		b.logger.Error("clock is not to be trusted", slog.Any("error", err))
		b.halt(consensus.ErrNoLeader)
		return
	}
	taken := b.takeLocked()
	first := max(b.last+1, now)
	b.last = max(b.last, first+int64(len(taken))-1)
	b.mu.Unlock()
	if len(taken) == 0 {
		<-b.slots
		return
	}
	commands := make([][]byte, len(taken))
	for i, p := range taken {
		commands[i] = p.command
	}
	// raft takes entries in the order of these calls; its channel is buffered for more
	// entries than there are slots, so the call does not wait.
	future := b.raft.Apply(encodePack(first, commands), b.timeout)
	b.entries.Go(func() {
		results, err := await(future, len(taken))
		<-b.slots
		if len(b.slots) <= 1 { // at most the one that gathers
			poke(b.lull)
		}
		b.answer(taken, results, err)
	})
}

// takeLocked removes one pack from the queue: up to PackMax commands of PackBytesMax
// together, or a single larger one.
func (b *batcher) takeLocked() []*proposal {
	var taken []*proposal
	size, n := 0, 0
	for _, p := range b.queue {
		if p.state == proposalWithdrawn {
			n++
			continue
		}
		if len(taken) == consensus.PackMax || len(taken) > 0 && size+len(p.command) > consensus.PackBytesMax {
			break
		}
		p.state = proposalCut
		taken = append(taken, p)
		size += len(p.command)
		n++
	}
	b.queue = b.queue[n:]
	b.bytes -= size
	if len(b.queue) == 0 {
		b.queue = nil // lets the array go
	}
	return taken
}

func (b *batcher) answer(taken []*proposal, results [][]byte, err error) {
	b.mu.Lock()
	b.waiting -= len(taken)
	for _, p := range taken {
		b.held -= len(p.command)
	}
	b.metrics.waiting.Set(float64(b.waiting))
	b.mu.Unlock()
	for i, p := range taken {
		if err != nil {
			p.done(nil, err)
			continue
		}
		p.done(results[i], nil)
	}
}

// await waits for an entry's future.
func await(future raft.ApplyFuture, commands int) ([][]byte, error) {
	if err := future.Error(); err != nil {
		return nil, classify(err)
	}
	a, ok := future.Response().(applied)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: no answer from the state", consensus.ErrUnknown)
	case a.err != nil:
		return nil, fmt.Errorf("%w: %w", consensus.ErrUnknown, a.err)
	case len(a.results) != commands:
		return nil, fmt.Errorf("%w: %d results for %d commands", consensus.ErrUnknown, len(a.results), commands)
	}
	return a.results, nil
}

// classify turns raft's errors into the contract's. What raft refused before it took
// the entry was surely not proposed; of everything else nothing is known.
func classify(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrEnqueueTimeout),
		errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return fmt.Errorf("%w: %w", consensus.ErrNoLeader, err)
	default: // ErrLeadershipLost, ErrRaftShutdown, ErrAbortedByRestore, errors of the disk
		return fmt.Errorf("%w: %w", consensus.ErrUnknown, err)
	}
}

// drained returns a channel that is closed when no entry is under way.
func (b *batcher) drained() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		b.entries.Wait()
		close(done)
	}()
	return done
}
