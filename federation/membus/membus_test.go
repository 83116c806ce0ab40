package membus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"gongji/federation"
	"gongji/federation/federationtest"
	"gongji/federation/membus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) federationtest.Subject {
	t.Helper()
	b := membus.New(1)
	t.Cleanup(func() { _ = b.Close() })
	return federationtest.Subject{
		Bus:    b,
		Forget: func(*testing.T) { b.Forget() },
		Trim:   func(_ *testing.T, l federation.Lane, n int64) { b.Trim(l, int(n)) },
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	federationtest.RunBusContract(t, open, federationtest.Lanes(4))
}

// TestBoard: the board of directories, and the gaps that compaction leaves.
func TestBoard(t *testing.T) {
	t.Parallel()
	federationtest.RunBoardContract(t, func(t *testing.T) (federation.Board, func(t *testing.T)) {
		t.Helper()
		b := membus.New(1)
		t.Cleanup(func() { _ = b.Close() })
		return b, func(*testing.T) { b.Forget() }
	})
	b := membus.New(1)
	for i, key := range []string{"a", "b", "a", "c", "b"} {
		if err := b.Post(t.Context(), key, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	b.Compact()
	all, next, err := b.Posted(t.Context(), 0)
	if err != nil || len(all) != 3 || next != 5 || all[0].Offset != 2 || string(all[2].Value) != "4" {
		t.Errorf("%v, next %d, %v", all, next, err)
	}
	b.Cut(federation.Lane{})
	if err := b.Post(t.Context(), "a", nil); !errors.Is(err, federation.ErrBus) {
		t.Errorf("a cut board takes: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Post(t.Context(), "a", nil); !errors.Is(err, federation.ErrClosed) {
		t.Errorf("a closed board takes: %v", err)
	}
}

var lane = federation.Lane{From: federationtest.Beijing, To: federationtest.Shanghai}

// TestFaultsFollowTheSeed: the same seed and the same records, the same lane.
func TestFaultsFollowTheSeed(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		var out string
		synctest.Test(t, func(t *testing.T) {
			b := membus.New(seed)
			b.SetFaults(membus.Faults{Drop: 0.1, Repeat: 0.1, Reorder: 0.2})
			for i := range 200 {
				if err := b.Publish(t.Context(), lane, fmt.Append(nil, i)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(2 * membus.ReorderMax)
			for _, r := range b.Records(lane) {
				out += string(r.Value) + " "
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		})
		return out
	}
	if once, again := run(1), run(1); once != again {
		t.Error("one seed, two outcomes")
	}
	if run(1) == run(2) {
		t.Error("two seeds, one outcome")
	}
}

func TestLoseTailAndCut(t *testing.T) {
	t.Parallel()
	b := membus.New(1)
	for i := range 10 {
		if err := b.Publish(t.Context(), lane, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	b.LoseTail(lane, 4)
	if _, _, err := b.Fetch(t.Context(), lane, 10); !errors.Is(err, federation.ErrRewound) {
		t.Errorf("after the loss: %v", err)
	}
	if records, _, err := b.Fetch(t.Context(), lane, 0); err != nil || len(records) != 6 {
		t.Errorf("got %d, %v", len(records), err)
	}
	b.Cut(lane)
	if _, _, err := b.Fetch(t.Context(), lane, 0); !errors.Is(err, federation.ErrBus) {
		t.Errorf("fetch on a cut lane: %v", err)
	}
	if err := b.Publish(t.Context(), lane, nil); !errors.Is(err, federation.ErrBus) {
		t.Errorf("publish on a cut lane: %v", err)
	}
	if err := b.Ready(t.Context(), []federation.Lane{lane}); !errors.Is(err, federation.ErrBus) {
		t.Errorf("ready: %v", err)
	}
	if err := b.Ready(t.Context(), []federation.Lane{{From: lane.To, To: lane.From}}); err != nil {
		t.Errorf("ready, the other way: %v", err)
	}
	b.Mend(lane)
	b.Inject(lane, []byte("foreign"))
	if got := b.Records(lane); string(got[len(got)-1].Value) != "foreign" {
		t.Errorf("got %q", got[len(got)-1].Value)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLinkOverEveryFault: seven minutes of all faults together, then calm: everything exactly once,
// in order, both ways.
func TestLinkOverEveryFault(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { linkOverFaults(t, seed) })
		})
	}
}

func linkOverFaults(t *testing.T, seed uint64) {
	t.Helper()
	f, err := federationtest.NewFederation()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := f.Directory()
	if err != nil {
		t.Fatal(err)
	}
	b := membus.New(seed)
	b.SetFaults(membus.Faults{Drop: 0.2, Repeat: 0.2, Reorder: 0.2})
	b.SetLaneFaults(lane, membus.Faults{Drop: 0.2, Repeat: 0.3, Delay: 3 * time.Second})
	ends := []*federationtest.Peer{
		federationtest.NewPeer(f, dir, b, lane.From, lane.To),
		federationtest.NewPeer(f, dir, b, lane.To, lane.From),
	}
	ctx, cancel := context.WithCancel(t.Context())
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range ends {
		g.Go(func() error { return p.Run(ctx) })
	}
	const rounds, each = 40, 10
	for round := range rounds {
		for i := range each {
			for _, p := range ends {
				p.Send(fmt.Append(nil, round*each+i))
			}
		}
		switch round % 10 {
		case 3:
			b.Cut(lane)
		case 5:
			b.Mend(lane)
		case 6:
			b.LoseTail(lane, 5)
		case 8:
			b.Forget()
		case 9:
			b.Inject(lane, []byte("no parcel"))
		}
		time.Sleep(10 * time.Second)
	}
	b.SetFaults(membus.Faults{})
	b.SetLaneFaults(lane, membus.Faults{})
	calm, done := context.WithTimeout(ctx, time.Hour)
	for _, p := range ends {
		if err := p.Await(calm, rounds*each); err != nil {
			t.Error(err)
		}
	}
	done()
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	for _, p := range ends {
		for i, body := range p.Applied() {
			if string(body) != fmt.Sprint(i) {
				t.Fatalf("place %d has %q", i, body)
			}
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
