package settle_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/adapters"
	"gongji/gateway/client"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/refund"
	"gongji/gateway/internal/simtest/regiontest"
)

// gauges are the values of one metric, by the values of its labels.
func gauges(t *testing.T, g prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			out[strings.Join(labels, " ")] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}

// TestEveryStateHasAnAlarm: from the state tables, so that a new state is not forgotten.
func TestEveryStateHasAnAlarm(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		number, overdue := gauges(t, p.sh.Registry, "gongji_open"), gauges(t, p.sh.Registry, "gongji_open_overdue_seconds")
		var want []string
		for _, s := range payment.States() {
			if !s.Final() {
				want = append(want, s.String()+" payment")
			}
		}
		for _, s := range hold.States() {
			if !s.Final() {
				want = append(want, s.String()+" hold")
			}
		}
		for _, s := range refund.States() {
			if !s.Final() {
				want = append(want, s.String()+" refund")
			}
		}
		for _, s := range refund.ReturnStates() {
			if !s.Final() {
				want = append(want, s.String()+" return")
			}
		}
		slices.Sort(want)
		for _, shown := range []map[string]float64{number, overdue} {
			if got := slices.Sorted(maps.Keys(shown)); !slices.Equal(got, want) {
				t.Errorf("shown %v, want %v", got, want)
			}
		}
	})
}

// TestOpenIsCounted: what waits is counted by state, with the time that it is overdue, and counted no more when it
// ends.
func TestOpenIsCounted(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		p.asks()
		passes(5 * time.Minute)
		if n := gauges(t, p.sh.Registry, "gongji_open")["releasing payment"]; n != 1 {
			t.Errorf("%v payments wait for the leg that was given up", n)
		}
		if s := gauges(t, p.sh.Registry, "gongji_open_overdue_seconds")["releasing payment"]; s < 220 || s > 240 {
			t.Errorf("overdue by %v", s)
		}
		if got := gauges(t, p.sh.Registry, "gongji_outbox_messages")["110000"]; got < 2 {
			t.Errorf("%v messages in the outbox", got)
		}
		if got := gauges(t, p.sh.Registry, "gongji_peer_unreachable")["110000"]; got != 1 {
			t.Errorf("a silent peer is %v", got)
		}
		until := gauges(t, p.sh.Registry, "gongji_directory_expires_timestamp_seconds")[""]
		if want := float64(p.Directory.Expires().Unix()); until != want {
			t.Errorf("the directory expires at %v, want %v", until, want)
		}
		p.sh.Group.SetLeader(-1)
		passes(time.Second)
		for _, name := range []string{"gongji_open", "gongji_outbox_messages", "gongji_peer_unreachable"} {
			if got := gauges(t, p.sh.Registry, name); len(got) > 0 {
				t.Errorf("a node that does not lead shows %s: %v", name, got)
			}
		}
	})
}

// TestOverdue: how long a hold waits for its core past the deadline is shown.
func TestOverdue(t *testing.T) {
	t.Parallel()
	withCore(t, both, 1, func(t *testing.T, c *cored) {
		p := c.pay(t)
		c.rec.answers(func(string, string) error { return adapters.ErrUnknown })
		c.decide(t, p, "")
		passes(20 * time.Minute)
		const labels = "releasing hold"
		if got := gauges(t, c.fz.Registry, "gongji_open_overdue_seconds")[labels]; got < 280 || got > 310 {
			t.Errorf("overdue by %v", got)
		}
		c.rec.answers(nil)
		passes(5 * time.Minute)
		if got := gauges(t, c.fz.Registry, "gongji_open")[labels]; got != 0 {
			t.Errorf("%v still open", got)
		}
	})
}

// TestAlarms: a shortfall, and a core whose word won over a release, are counted and audited, once.
func TestAlarms(t *testing.T) {
	t.Parallel()
	t.Run("shortfall", func(t *testing.T) {
		t.Parallel()
		withCore(t, both, 1, func(t *testing.T, c *cored) {
			p := c.pay(t)
			c.rec.answers(func(kind, _ string) error {
				if kind == "capture" {
					return &adapters.RefusedError{Reason: adapters.ReasonClosed}
				}
				return nil
			})
			if p = c.decide(t, p, "100.00"); p.Shortfall != "100.00" {
				t.Fatalf("%+v", p)
			}
			c.alarmed(t, "shortfall", p.PaymentID)
		})
	})
	t.Run("the core's word", func(t *testing.T) {
		t.Parallel()
		withCore(t, both, 1, func(t *testing.T, c *cored) {
			p := c.pay(t)
			id := p.Legs[0].HoldID
			c.rec.answers(func(kind, _ string) error {
				if kind != "release" {
					return nil
				}
				if err := c.sim.Capture(t.Context(), adapters.Call{Ref: "by hand"}, id, 10_000); err != nil {
					return err
				}
				return nil
			})
			if p = c.decide(t, p, ""); p.Status != client.PaymentReleased || p.Captured != "100.00" {
				t.Fatalf("%+v", p)
			}
			c.alarmed(t, "core_won", id)
		})
	})
}

func (c *cored) alarmed(t *testing.T, what, id string) {
	t.Helper()
	if got := gauges(t, c.fz.Registry, "gongji_alarms_total"); len(got) != 1 || got[what] != 1 {
		t.Errorf("alarms %v, want one of %s", got, what)
	}
	if line := "alarm what=" + what + " id=" + id; !slices.Contains(c.fz.Audits.List(), line) {
		t.Errorf("no %q in %q", line, c.fz.Audits.List())
	}
}
