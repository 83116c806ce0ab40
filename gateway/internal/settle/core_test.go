package settle_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
	"gongji/federation"
	"gongji/federation/membus"
	"gongji/gateway/client"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/simtest/regiontest"
)

// TestCoreCalls: each call under its own reference, once, where the core answers.
func TestCoreCalls(t *testing.T) {
	t.Parallel()
	withCore(t, both, 1, func(t *testing.T, c *cored) {
		p := c.pay(t)
		id := p.Legs[0].HoldID
		if p = c.decide(t, p, "60.00"); p.Status != client.PaymentCaptured || p.Captured != "60.00" {
			t.Errorf("%+v", p)
		}
		want(t, "captured", c.rec.list(id), []string{"hold", "capture/c"})
		p = c.pay(t)
		id = p.Legs[0].HoldID
		if p = c.decide(t, p, ""); p.Status != client.PaymentReleased {
			t.Errorf("%+v", p)
		}
		want(t, "released", c.rec.list(id), []string{"hold", "release/r"})
	})
}

// TestUnknownIsRepeated: every kind of call is repeated under the same reference until it is answered, and done once.
func TestUnknownIsRepeated(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string]adapters.Capabilities{"both": both, "1-not-2": oneOnly, "2-not-1": twoOnly} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withCore(t, claims, 1, func(t *testing.T, c *cored) {
				for _, faults := range []adaptertest.Faults{{UnknownDone: 1000}, {UnknownLost: 1000}, {Unavailable: 1000}} {
					for _, amount := range []string{"60.00", ""} {
						c.once(t, faults, amount)
					}
				}
			})
		})
	}
}

func (c *cored) once(t *testing.T, faults adaptertest.Faults, amount string) {
	t.Helper()
	before := len(c.sim.Holds())
	// Only changing calls meet the faults: a look-up that is not answered is a payment that does not exist.
	c.rec.answers(func(string, string) error { c.sim.SetFaults(faults); return nil })
	go func() {
		<-time.After(1900 * time.Millisecond)
		c.rec.answers(nil)
		c.sim.SetFaults(adaptertest.Faults{})
	}()
	p := c.pay(t)
	if p.Status != client.PaymentHeld {
		t.Fatalf("%s after the second call", p.Status)
	}
	id := p.Legs[0].HoldID
	want(t, "holds", c.rec.list(id), []string{"hold", "hold"})
	c.sim.SetFaults(faults)
	p = c.decide(t, p, amount)
	passes(time.Minute)
	c.sim.SetFaults(adaptertest.Faults{})
	passes(3 * time.Minute)
	p = c.now(t, p)
	end, call := client.PaymentCaptured, "capture/c"
	if amount == "" {
		end, call = client.PaymentReleased, "release/r"
	}
	if p.Status != end {
		t.Errorf("%s, want %s", p.Status, end)
	}
	calls := c.rec.list(id)[2:]
	if len(calls) < 3 || slices.ContainsFunc(calls, func(s string) bool { return s != call }) {
		t.Errorf("calls %v, want several of %s", calls, call)
	}
	if got := len(c.sim.Holds()) - before; got != 1 {
		t.Errorf("%d holds in the core", got)
	}
}

// TestRefusedHold: where refusals are not remembered, a release makes the reference dead before the refusal counts.
func TestRefusedHold(t *testing.T) {
	t.Parallel()
	refuse := func(kind, _ string) error {
		if kind == "hold" {
			return &adapters.RefusedError{Reason: adapters.ReasonBalance}
		}
		return nil
	}
	for name, tc := range map[string]struct {
		claims adapters.Capabilities
		calls  []string
	}{
		"both":    {both, []string{"hold"}},
		"1-not-2": {oneOnly, []string{"hold"}},
		"2-not-1": {twoOnly, []string{"hold", "release/r"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withCore(t, tc.claims, 1, func(t *testing.T, c *cored) {
				c.rec.answers(refuse)
				p := c.pay(t)
				if p.Status != client.PaymentDeclined || p.Declines[0].Code != "balance_insufficient" {
					t.Fatalf("%+v", p)
				}
				want(t, "calls", c.rec.list(c.hold(t)), tc.calls)
			})
		})
	}
}

// TestRefusalNotConfirmed: the release that has to confirm a refusal is not answered: the refusal does not count, and
// the hold is asked again.
func TestRefusalNotConfirmed(t *testing.T) {
	t.Parallel()
	withCore(t, twoOnly, 1, func(t *testing.T, c *cored) {
		n := 0
		c.rec.answers(func(string, string) error {
			n++
			switch n {
			case 1:
				return &adapters.RefusedError{Reason: adapters.ReasonBalance}
			case 2:
				return adapters.ErrUnknown
			}
			return nil
		})
		p := c.pay(t)
		if p.Status != client.PaymentHeld {
			t.Fatalf("%+v", p)
		}
		want(t, "calls", c.rec.list(p.Legs[0].HoldID), []string{"hold", "release/r", "hold"})
	})
}

// TestAbandoned: the origin gave up before the core answered. Where a release does not bind a hold that comes later,
// the hold is asked until it is answered, and only then released.
func TestAbandoned(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string]adapters.Capabilities{"both": both, "1-not-2": oneOnly, "2-not-1": twoOnly} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withCore(t, claims, 1, func(t *testing.T, c *cored) {
				c.rec.answers(func(kind, _ string) error {
					if kind == "hold" {
						return adapters.ErrUnknown
					}
					return nil
				})
				p := c.pay(t) // the leg is given up after three seconds
				if p.Status == client.PaymentHeld {
					t.Fatalf("%+v", p)
				}
				id := c.hold(t)
				passes(3 * time.Second)
				unanswered := c.rec.list(id)
				c.rec.answers(nil)
				passes(time.Minute)
				if got := c.state(t, id); got != "released" {
					t.Errorf("the hold is %s", got)
				}
				if claims.ReleaseIsFinal {
					want(t, "calls", c.rec.list(id), []string{"hold", "hold", "release/r"})
				} else {
					if slices.Contains(unanswered, "release/r") {
						t.Errorf("released before the hold was answered: %v", unanswered)
					}
					want(t, "then", c.rec.list(id)[len(unanswered):], []string{"hold", "release/r"})
				}
				if p = c.now(t, p); p.Status != client.PaymentDeclined {
					t.Errorf("the payment is %s", p.Status)
				}
			})
		})
	}
}

// TestRefusedCapture: it fails only after a release was confirmed; a release refused as captured is a capture.
func TestRefusedCapture(t *testing.T) {
	t.Parallel()
	t.Run("failed", func(t *testing.T) {
		t.Parallel()
		withCore(t, both, 1, func(t *testing.T, c *cored) {
			p := c.pay(t)
			releases := 0
			c.rec.answers(func(kind, _ string) error {
				switch kind {
				case "capture":
					return &adapters.RefusedError{Reason: adapters.ReasonClosed}
				case "release":
					if releases++; releases < 3 {
						return adapters.ErrUnknown
					}
				}
				return nil
			})
			if p = c.decide(t, p, "100.00"); p.Status != client.PaymentCapturing {
				t.Errorf("%s before the release was confirmed", p.Status)
			}
			passes(time.Minute)
			p = c.now(t, p)
			if p.Status != client.PaymentCaptured || p.Captured != "0.00" || p.Shortfall != "100.00" ||
				p.Legs[0].Status != "capture_failed" {
				t.Errorf("%+v", p)
			}
		})
	})
	t.Run("captured after all", func(t *testing.T) {
		t.Parallel()
		withCore(t, both, 1, func(t *testing.T, c *cored) {
			p := c.pay(t)
			c.rec.answers(func(kind, ref string) error {
				if kind != "capture" {
					return nil
				}
				if err := c.sim.Capture(context.Background(), adapters.Call{Ref: ref}, p.Legs[0].HoldID, 10_000); err != nil {
					return err
				}
				return &adapters.RefusedError{Reason: adapters.ReasonClosed}
			})
			if p = c.decide(t, p, "100.00"); p.Status != client.PaymentCaptured || p.Captured != "100.00" {
				t.Errorf("%+v", p)
			}
		})
	})
}

// TestNextLeaderTakesUpCalls: a call that the last leader did not bring back is made again under the same reference.
func TestNextLeaderTakesUpCalls(t *testing.T) {
	t.Parallel()
	withCore(t, both, 2, func(t *testing.T, c *cored) {
		p := c.pay(t)
		id := p.Legs[0].HoldID
		c.rec.answers(func(string, string) error { return adapters.ErrUnknown })
		c.decide(t, p, "100.00")
		passes(50 * time.Second) // the waits between two calls have grown by now
		c.rec.answers(nil)
		before := len(c.rec.list(id))
		lead, _ := c.fz.Log.Leadership()
		next := 1
		if !lead.Leader {
			next = 0
		}
		c.fz.Group.SetLeader(next)
		passes(time.Second)
		want(t, "the next leader's calls", c.rec.list(id)[before:], []string{"capture/c"})
		c.fz.Node = c.fz.Nodes[next]
		if p = c.now(t, p); p.Status != client.PaymentCaptured {
			t.Errorf("%+v", p)
		}
	})
}

// TestFaultyCore: every fault of the line by chance, with each admitted profile. When the faults end, everything
// settles, and the core's books agree with the region's.
func TestFaultyCore(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string]adapters.Capabilities{"both": both, "1-not-2": oneOnly, "2-not-1": twoOnly} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withCore(t, claims, 1, func(t *testing.T, c *cored) {
				var wg sync.WaitGroup
				c.rec.answers(func(string, string) error { c.sim.SetFaults(adaptertest.Some(120)); return nil })
				for i := range 40 {
					wg.Go(func() { c.random(t, i) })
					passes(200 * time.Millisecond)
				}
				wg.Wait()
				passes(30 * time.Minute)
				c.rec.answers(nil)
				c.sim.SetFaults(adaptertest.Faults{})
				passes(2 * time.Hour)
				c.agree(t)
			})
		})
	}
}

func (c *cored) random(t *testing.T, i int) {
	p, err := c.fz.Pay(t.Context(), c.kin, fmt.Sprint("r", i), "10.00")
	if err != nil || p.Status != client.PaymentHeld {
		return // the line to the core was out, or its hold was given up
	}
	switch i % 3 {
	case 0:
		_, _, err = c.fz.Desk.Confirm(t.Context(), regiontest.Key(fmt.Sprint("rc", i)), p.PaymentID, nil, time.Second)
	case 1:
		_, _, err = c.fz.Desk.Cancel(t.Context(), regiontest.Key(fmt.Sprint("rx", i)), p.PaymentID)
	}
	if err != nil {
		t.Error(err)
	}
}

// agree: every payment and hold has ended, and the core holds and took what the region says.
func (c *cored) agree(t *testing.T) {
	t.Helper()
	captured, ended := map[string]int64{}, 0
	err := c.fz.View(func(v ledger.View) error {
		err := v.Payments(func(p *ledger.PaymentRecord) bool {
			if p.Open() {
				t.Errorf("payment %s is %s", p.ID, p.State)
			}
			return true
		})
		return errors.Join(err, v.Holds(func(h *ledger.HoldRecord) bool {
			if ended++; !h.State.Final() {
				t.Errorf("hold %s is %s", h.ID, h.State)
			}
			captured[h.ID] = h.Captured.Fen()
			return true
		}))
	})
	if err != nil || ended < 5 {
		t.Errorf("%d holds, %v", ended, err)
	}
	c.sim.RunPending()
	for _, h := range c.sim.Holds() {
		if h.Hold.State == adapters.HoldOpen {
			t.Errorf("the core still holds %s", h.Ref)
		}
		if h.Hold.Captured != captured[h.Ref] {
			t.Errorf("%s: the core took %d, the region says %d", h.Ref, h.Hold.Captured, captured[h.Ref])
		}
	}
}

// TestCallersAreBounded: so many calls at the same time, and no more; none is lost.
func TestCallersAreBounded(t *testing.T) {
	t.Parallel()
	withCore(t, both, 1, func(t *testing.T, c *cored) {
		var mu sync.Mutex
		busy, most := 0, 0
		c.rec.Core = holding{c.sim, func() func() {
			mu.Lock()
			defer mu.Unlock()
			busy++
			most = max(most, busy)
			return func() {
				<-time.After(100 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				busy--
			}
		}}
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				if p, err := c.fz.Pay(t.Context(), c.kin, fmt.Sprint("b", i), "10.00"); err != nil || p.Status != "held" {
					t.Errorf("%s, %v", p.Status, err)
				}
			})
		}
		wg.Wait()
		if most != 16 {
			t.Errorf("%d calls at the same time", most)
		}
	})
}

// holding counts the holds under way.
type holding struct {
	*adaptertest.SimCore

	begin func() func()
}

func (h holding) Hold(ctx context.Context, c adapters.Call, p adapters.Person, amount, floor int64) (int64, error) {
	end := h.begin()
	defer end()
	return h.SimCore.Hold(ctx, c, p, amount, floor)
}

// TestNewRefuses: a core that keeps neither rule 1 nor rule 2, and anything missing.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	f, err := regiontest.New(regiontest.Config{Codes: []federation.Region{fuzhou}})
	if err != nil {
		t.Fatal(err)
	}
	fz := f.Regions[fuzhou]
	metrics, err := settle.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	good := settle.Deps{
		Self: fuzhou, Log: fz.Log, Ledger: fz.Ledger, Bus: membus.New(1), Sealer: fz.Sealer, Ring: fz.Ring, Vault: fz.Vault,
		Tickets: evidence.NewTickets(fuzhou, fz.Sealer), Now: time.Now, Random: func([]byte) {},
		Logger: slog.New(slog.DiscardHandler), Metrics: metrics, Audit: func(string, ...slog.Attr) {},
		Timing: settle.DefaultTiming(),
	}
	if _, err := settle.New(good); err != nil {
		t.Fatalf("complete: %v", err)
	}
	for name, spoil := range map[string]func(*settle.Deps){
		"log": func(d *settle.Deps) { d.Log = nil }, "ledger": func(d *settle.Deps) { d.Ledger = nil },
		"bus": func(d *settle.Deps) { d.Bus = nil }, "sealer": func(d *settle.Deps) { d.Sealer = nil },
		"ring": func(d *settle.Deps) { d.Ring = nil }, "vault": func(d *settle.Deps) { d.Vault = nil },
		"tickets": func(d *settle.Deps) { d.Tickets = nil }, "now": func(d *settle.Deps) { d.Now = nil },
		"random": func(d *settle.Deps) { d.Random = nil }, "logger": func(d *settle.Deps) { d.Logger = nil },
		"metrics": func(d *settle.Deps) { d.Metrics = nil }, "audit": func(d *settle.Deps) { d.Audit = nil },
		"a core that keeps neither rule": func(d *settle.Deps) {
			d.Core = adaptertest.NewCoreWith(adaptertest.SimOptions{Clock: time.Now})
		},
	} {
		d := good
		spoil(&d)
		if _, err := settle.New(d); err == nil {
			t.Errorf("%s: admitted", name)
		}
	}
	for _, claims := range []adapters.Capabilities{both, oneOnly, twoOnly} {
		d := good
		d.Core = adaptertest.NewCoreWith(adaptertest.SimOptions{Clock: time.Now, Claims: claims})
		if _, err := settle.New(d); err != nil {
			t.Errorf("%+v: %v", claims, err)
		}
	}
}
