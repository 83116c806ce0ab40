// Package premium collects, on the leader of a region, the yearly premiums of the region's insured from their
// relatives' accounts.
//
// Which premium stands where is in the log (ledger, apply_premium.go): a premium of one person, purpose and year is
// asked about, held for, registered, taken. Here the leader does what Apply cannot: it goes on through the season by
// proposing the next step, asks a core system outside whether a premium is paid and tells it that one is, and begins
// the payments. Everything may be done twice and by two leaders: an attempt has one request id and one reference.
package premium

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/adapters"
	"gongji/consensus"
	"gongji/gateway/internal/desk"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/vault"
)

// Times and bounds of the leader's part.
const (
	lookEvery = time.Second      // how often the seasons are looked at
	stepsMost = 16               // commands for one purpose at one look: with ledger's bounds some hundred persons
	coreCall  = 10 * time.Second // one call to a core outside
	workers   = 8                // premiums worked on at the same time
	queueMax  = 1024             // premiums waiting for a worker; what is beyond wakes again by the log
)

// Beginner begins the payment of a premium; *desk.Desk is one.
type Beginner interface {
	BeginPremium(ctx context.Context, o desk.PremiumOrder) (policy.Code, error)
}

var _ Beginner = (*desk.Desk)(nil)

// Deps are what a Collector works with.
type Deps struct {
	Log     consensus.Log
	Ledger  *ledger.Ledger
	Desk    Beginner
	Vault   *vault.Vault
	Core    adapters.Core // nil where the region keeps a Book: then its log is the register of what is paid
	Now     func() time.Time
	Logger  *slog.Logger
	Metrics *Metrics
}

// Collector is the leader's part of the collection. Safe for concurrent use.
type Collector struct {
	Deps
	register adapters.Premiums // nil: the Book's region, or a core that takes no premiums

	mu   sync.Mutex
	term *term // nil on a node that does not lead
}

// term is the work of one leadership.
type term struct {
	c     *Collector
	queue chan string
	mu    sync.Mutex
	known map[string]bool // in the queue
}

// New checks Deps and makes a Collector. It starts nothing.
func New(d Deps) (*Collector, error) {
	if d.Log == nil || d.Ledger == nil || d.Desk == nil || d.Vault == nil || d.Now == nil || d.Logger == nil ||
		d.Metrics == nil {
		return nil, errors.New("premium: something is missing in Deps")
	}
	c := &Collector{Deps: d}
	if d.Core != nil && d.Core.Capabilities().Premiums {
		register, ok := d.Core.(adapters.Premiums)
		if !ok {
			return nil, errors.New("premium: the core system claims premiums and its adapter does not implement them")
		}
		c.register = register
	}
	return c, nil
}

// Run does the leader's part whenever this node leads, until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		lead, changed := c.Log.Leadership()
		if lead.Leader {
			if err := c.lead(ctx, changed); err != nil {
				return err
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil
}

// lead works until leadership changes. Its errors are faults of the state.
func (c *Collector) lead(ctx context.Context, changed <-chan struct{}) error {
	leading, cancel := context.WithCancel(ctx)
	defer cancel()
	g, work := errgroup.WithContext(leading)
	t := &term{c: c, queue: make(chan string, queueMax), known: map[string]bool{}}
	c.setTerm(t)
	defer c.setTerm(nil)
	g.Go(func() error {
		select {
		case <-changed:
			cancel()
		case <-work.Done():
		}
		return nil
	})
	g.Go(func() error { return t.seasons(work) })
	for range workers {
		g.Go(func() error { return t.work(work) })
	}
	if err := t.takeUp(); err != nil {
		cancel()
		return errors.Join(err, g.Wait())
	}
	err := g.Wait()
	if leading.Err() != nil {
		return nil // the leadership or the node has ended, and the work with it
	}
	return err
}

func (c *Collector) setTerm(t *term) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.term = t
}

// Notify is told by the ledger, on every node, what was applied. It does not block.
func (c *Collector) Notify(e ledger.Effects) {
	if len(e.Premiums) == 0 {
		return
	}
	c.mu.Lock()
	t := c.term
	c.mu.Unlock()
	if t == nil {
		return
	}
	for _, key := range e.Premiums {
		t.put(key)
	}
}

// put queues a premium that waits for the leader. A full queue drops it: it wakes, and is queued again.
func (t *term) put(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known[key] {
		return
	}
	select {
	case t.queue <- key:
		t.known[key] = true
	default:
	}
}

// takeUp queues what an earlier leader left.
func (t *term) takeUp() error {
	return t.c.Log.ReadStale(func(r consensus.Reader) error {
		for _, key := range t.c.Ledger.View(r).DuePremiums() {
			t.put(key)
		}
		return nil
	})
}

// seasons goes on through the persons with mandates, as far as the log says that there is something to do.
func (t *term) seasons(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	defer t.c.Metrics.clear()
	for {
		for _, p := range policy.PremiumPurposes() {
			if err := t.season(ctx, p); err != nil {
				return err
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (t *term) season(ctx context.Context, p policy.Purpose) error {
	data := ledger.EncodeCommand(&ledger.CollectPremiums{Purpose: p})
	for n := 0; n < stepsMost && ctx.Err() == nil; n++ {
		var s *ledger.SeasonRecord
		err := t.c.Log.ReadStale(func(r consensus.Reader) error {
			var err error
			s, err = t.c.Ledger.View(r).Season(p)
			return err
		})
		if err != nil {
			return err
		}
		now := t.c.Now()
		premium, step := ledger.NextStep(t.c.Ledger.InForce().Rules, p, s, now)
		t.c.Metrics.season(p, s, premium, policy.Day(now))
		full := step == ledger.SeasonCollect && s != nil && s.Open >= ledger.PremiumsOpenMax
		if step == ledger.SeasonRest || full {
			return nil
		}
		if !t.propose(ctx, data) {
			return nil // no leader any more, or too much to do: the next look goes on
		}
	}
	return nil
}

// propose puts a command into the log, and reports whether it is there. One that is not is made again when its time
// comes: all of them are made from the state.
func (t *term) propose(ctx context.Context, data []byte) bool {
	_, err := t.c.Log.Propose(ctx, data)
	return err == nil
}
