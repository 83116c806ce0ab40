package regiontest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/consensus"
	"gongji/consensus/consensustest"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
)

// Run runs every region until ctx ends.
func (f *Federation) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range f.Regions {
		g.Go(func() error { return f.keep(ctx, r) })
	}
	return g.Wait()
}

// keep runs a region, and begins again when it is restored.
func (f *Federation) keep(ctx context.Context, r *Region) error {
	for {
		inner, stop := context.WithCancel(ctx)
		g, working := errgroup.WithContext(inner)
		for _, n := range r.Nodes {
			g.Go(func() error { return n.mem.Run(working) })
			g.Go(func() error { return n.Settler.Run(working) })
			g.Go(func() error { return n.Premiums.Run(working) })
			g.Go(func() error { return n.Rotator.Run(working) })
			if n.Archives != nil {
				g.Go(func() error { return n.Archives.Run(working) })
			}
		}
		var again *restore
		select {
		case again = <-r.restores:
		case <-working.Done():
		}
		stop()
		if err := g.Wait(); err != nil || again == nil {
			return err
		}
		again.done <- f.remake(r, again.from)
	}
}

type restore struct {
	from consensustest.Backup
	done chan error
}

// Restore stops a region, puts the backup in the place of its log, as on a new set of disks, and starts it again. Keys
// are the same. The region's parts are new ones.
func (f *Federation) Restore(ctx context.Context, code federation.Region, from consensustest.Backup) error {
	r := f.Regions[code]
	x := &restore{from: from, done: make(chan error, 1)}
	r.restores <- x
	if err := <-x.done; err != nil {
		return err
	}
	return r.led(ctx)
}

func (f *Federation) remake(r *Region, from consensustest.Backup) error {
	r.Nodes = nil
	if err := f.makeRegion(r); err != nil {
		return err
	}
	r.Group.Restore(from)
	return nil
}

// Begin brings rules and directory into the log of every region that runs.
func (f *Federation) Begin(ctx context.Context) error {
	for _, code := range f.config.Codes {
		r := f.Regions[code]
		if err := r.led(ctx); err != nil {
			return err
		}
		rules, err := f.builtIn(code)
		if err != nil {
			return err
		}
		if f.config.Rules != nil {
			f.config.Rules(code, &rules)
		}
		data, err := policy.EncodeRules(rules)
		if err != nil {
			return err
		}
		for _, c := range []ledger.Command{&ledger.SetRules{Rules: data}, &ledger.SetDirectory{Signed: f.signed}} {
			if _, err := r.Put(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// builtIn are the rules that a region begins with.
func (f *Federation) builtIn(code federation.Region) (policy.Rules, error) {
	like, borrowed := f.config.Like[code]
	if !borrowed {
		return rulebook.BuiltIn(string(code))
	}
	rules, err := rulebook.BuiltIn(string(like))
	rules.Region = string(code)
	rules.Institutions = slices.Clone(rules.Institutions)
	for i := range rules.Institutions {
		rules.Institutions[i].Code = strings.Replace(rules.Institutions[i].Code, string(like), string(code), 1)
	}
	return rules, err
}

// Start runs the federation until the test ends and brings rules and directory in.
func (f *Federation) Start(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the federation ended with %v", err)
		}
		if err := f.bus.Close(); err != nil {
			t.Errorf("bus: %v", err)
		}
	})
	if err := f.Begin(ctx); err != nil {
		t.Fatal(err)
	}
}

const readyEvery = 10 * time.Millisecond

// led waits until the region has a leader: of several nodes the first one, to which everybody speaks.
func (r *Region) led(ctx context.Context) error {
	for {
		lead, changed := r.Log.Leadership()
		runs := r.Log.ReadStale(func(consensus.Reader) error { return nil }) == nil
		if runs && lead.LeaderID != "" {
			if len(r.Nodes) > 1 && !lead.Leader {
				r.Group.SetLeader(0)
			}
			return nil
		}
		select {
		case <-changed:
		case <-time.After(readyEvery): // a node that begins to run later than its leader is not told
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
