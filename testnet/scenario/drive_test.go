//go:build integration && unix

package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/testnet/topology"
)

// What a load of the scenarios is.
const (
	loadRate     = 100             // payments a second, by the clock
	loadPatience = 2 * time.Minute // for one payment, from its request to its end
	loadAmount   = "1.00"
	underWayMax  = 8192
)

// drive pays by the clock, whatever happens to the federation, and remembers how every payment ended.
type drive struct {
	fed   *fed
	pairs []topology.Pair
	rate  int // payments a second

	mu      sync.Mutex
	ends    map[string]end // by payment id
	refused map[string]int // by code: no payment was made
	lost    []string       // asked for, and no answer in all the time
}

// end is how a payment ended, and when it was asked for and known to have ended.
type end struct {
	payment     client.Payment
	visit       string
	began, took time.Duration // since the start of the drive
}

// drove starts the load. stop ends the driving and waits until every payment has ended.
func drove(t *testing.T, f *fed, pairs []topology.Pair) (*drive, func()) {
	t.Helper()
	return droveAt(t, f, pairs, loadRate)
}

// droveAt is drove with so many payments a second.
func droveAt(t *testing.T, f *fed, pairs []topology.Pair, rate int) (*drive, func()) {
	t.Helper()
	for _, p := range pairs {
		f.grant(t, p)
	}
	d := &drive{fed: f, pairs: pairs, rate: rate, ends: map[string]end{}, refused: map[string]int{}}
	driving, enough := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.run(driving, context.WithoutCancel(t.Context()))
	}()
	stop := func() {
		enough()
		<-done
	}
	t.Cleanup(stop)
	return d, stop
}

func (d *drive) run(driving, whole context.Context) {
	var group errgroup.Group
	group.SetLimit(underWayMax)
	start := time.Now()
	tick := time.NewTicker(time.Second / time.Duration(d.rate))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-driving.Done():
			_ = group.Wait() // none of them fails: see one
			return
		}
		pair := d.pairs[n%len(d.pairs)]
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(whole, loadPatience)
			defer cancel()
			d.one(ctx, start, pair)
			return nil
		})
	}
}

func (d *drive) one(ctx context.Context, start time.Time, pair topology.Pair) {
	began := time.Since(start)
	p, err := d.fed.pay(ctx, pair, loadAmount)
	took := time.Since(start) - began
	d.mu.Lock()
	defer d.mu.Unlock()
	var problem *client.ProblemError
	switch {
	case err == nil:
		d.ends[p.PaymentID] = end{p, pair.Visit, began, took}
	case errors.As(err, &problem) && p.PaymentID == "" && problem.Problem.Outcome == client.OutcomeNone:
		d.refused[problem.Problem.Code]++
	default:
		d.lost = append(d.lost, fmt.Sprintf("%s: %v", p.PaymentID, err))
	}
}

// captured is how many payments the clients know as captured.
func (d *drive) captured() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, e := range d.ends {
		if e.payment.Status == client.PaymentCaptured {
			n++
		}
	}
	return n
}

// mustHave waits until the clients know n more payments captured.
func (d *drive) mustHave(t *testing.T, n int) {
	t.Helper()
	n += d.captured()
	until(t, fmt.Sprintf("%d payments are captured", n), func(context.Context) bool { return d.captured() >= n })
}

// settled checks, after the load, that nothing was lost: every payment that was asked for was answered and came to an
// end, no outbox has anything left, and the books have exactly the payments and the money that the clients know of.
func (d *drive) settled(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, text := range d.lost {
		if i < 5 {
			t.Errorf("lost: %s", text)
		}
	}
	statuses := map[string]int{}
	for _, e := range d.ends {
		statuses[e.payment.Status]++
	}
	t.Logf("ends: %v, refused at the door: %v, lost: %d", statuses, d.refused, len(d.lost))
	until(t, "the outboxes are empty", d.fed.drained)
	inBooks, fen := 0, int64(0)
	for _, r := range d.fed.session.Regions {
		b := d.fed.read(t.Context(), t, r.Code)
		for _, p := range b.payments {
			if !ended(p.State) {
				t.Errorf("payment %s of %s is %s", p.ID, r.Code, p.State)
			}
			known, ok := d.ends[p.ID]
			if ok && known.payment.Status != p.State {
				t.Errorf("payment %s was answered as %s and is %s", p.ID, known.payment.Status, p.State)
			}
			if p.State == client.PaymentCaptured {
				inBooks++
			}
		}
		for _, a := range b.accounts {
			fen += a.Captured
			if a.Held != 0 {
				t.Errorf("%d fen are still held on account %s of %s", a.Held, a.Account, r.Code)
			}
		}
	}
	const fenEach = 100
	if n := statuses[client.PaymentCaptured]; inBooks != n || fen != int64(n)*fenEach {
		t.Errorf("the clients know %d payments captured; the books have %d, and %d fen taken", n, inBooks, fen)
	}
}

// drained reports whether every message of every link is in the receiver's log.
func (f *fed) drained(ctx context.Context) bool {
	for _, r := range f.session.Regions {
		links, err := f.links(ctx, r.Code)
		if err != nil || len(links) != len(f.session.Regions)-1 {
			return false
		}
		for _, l := range links {
			if l.Waiting != 0 || l.Forked {
				return false
			}
		}
	}
	return true
}

// byLane sums a metric with the label peer over the nodes of each receiving region, by lane. format has a %s for the
// peer.
func (f *fed) byLane(ctx context.Context, format string) map[federation.Lane]float64 {
	var mu sync.Mutex
	var group sync.WaitGroup
	out := map[federation.Lane]float64{}
	for _, to := range f.session.Regions {
		for _, n := range to.Nodes {
			group.Go(func() {
				m, err := metrics(ctx, n)
				if err != nil {
					return // it is down, and counts nothing
				}
				mu.Lock()
				defer mu.Unlock()
				for _, lane := range lanesTo(to.Code) {
					out[lane] += m[fmt.Sprintf(format, lane.From)]
				}
			})
		}
	}
	group.Wait()
	return out
}

// lanesTo are the lanes that end in a region.
func lanesTo(code string) []federation.Lane {
	var out []federation.Lane
	for _, from := range topology.Regions() {
		if from.Code != code {
			out = append(out, federation.Lane{From: federation.Region(from.Code), To: federation.Region(code)})
		}
	}
	return out
}

// arrivals are the parcels that came in.
func (f *fed) arrivals(ctx context.Context) map[federation.Lane]float64 {
	return f.byLane(ctx, `gongji_parcels_total{direction="in",peer="%s"}`)
}

// flowing waits until something has arrived on every lane since then, and returns how long the slowest took.
func (f *fed) flowing(t *testing.T, since time.Time, before map[federation.Lane]float64) time.Duration {
	t.Helper()
	waiting := maps.Clone(before)
	var slowest time.Duration
	until(t, "parcels flow on every lane", func(ctx context.Context) bool {
		for lane, n := range f.arrivals(ctx) {
			if old, ok := waiting[lane]; ok && n > old {
				slowest = time.Since(since)
				t.Logf("parcels on %s again after %s", lane.Topic(), slowest.Round(time.Millisecond))
				delete(waiting, lane)
			}
		}
		return len(waiting) == 0
	})
	return slowest
}
