package settle_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/simtest/regiontest"
)

func (r *recorder) Refund(ctx context.Context, c adapters.Call, hold string, amount int64) error {
	if err := r.met("refund", c.Ref); err != nil {
		return err
	}
	return r.Core.Refund(ctx, c, hold, amount)
}

func (r *recorder) Void(ctx context.Context, c adapters.Call, ref string) error {
	if err := r.met("void", c.Ref); err != nil {
		return err
	}
	return r.Core.Void(ctx, c, ref)
}

// giveBack asks for a refund, which waits a while for its end.
func (c *cored) giveBack(t *testing.T, p client.Payment, amount string) client.Refund {
	t.Helper()
	c.next++
	a, err := money.Parse(amount)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := c.fz.Desk.CreateRefund(t.Context(), regiontest.Key(fmt.Sprint("rf", c.next)), p.PaymentID,
		client.RefundRequest{Amount: amount, Reason: "test"}, a)
	if err != nil || !w.Created {
		t.Fatalf("%+v, %v", w, err)
	}
	return r
}

func (c *cored) nowRefund(t *testing.T, r client.Refund) client.Refund {
	t.Helper()
	r, err := c.fz.Desk.Refund(t.Context(), r.RefundID)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// captured is a payment of 100.00 that is captured.
func (c *cored) captured(t *testing.T) (client.Payment, string) {
	t.Helper()
	p := c.pay(t)
	if p = c.decide(t, p, "100.00"); p.Status != client.PaymentCaptured {
		t.Fatalf("%+v", p)
	}
	return p, p.Legs[0].HoldID
}

// given is what the core says is back of a hold.
func (c *cored) given(t *testing.T, id string) int64 {
	t.Helper()
	h, err := c.sim.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return h.Refunded
}

func profiles() map[string]adapters.Capabilities {
	return map[string]adapters.Capabilities{"both": both, "1-not-2": oneOnly, "2-not-1": twoOnly}
}

// TestRefundCalls: each refund under its own reference, once, where the core answers.
func TestRefundCalls(t *testing.T) {
	t.Parallel()
	withCore(t, both, 1, func(t *testing.T, c *cored) {
		p, id := c.captured(t)
		for _, amount := range []string{"30.00", "70.00"} {
			if r := c.giveBack(t, p, amount); r.Status != client.RefundDone || r.Code != "" {
				t.Errorf("%+v", r)
			}
		}
		want(t, "calls", c.rec.list(id)[2:], []string{"refund/1", "refund/2"})
		if p = c.now(t, p); p.Refunded != "100.00" || p.Legs[0].Refunded != "100.00" || p.CashDue != "0.00" {
			t.Errorf("%+v", p)
		}
		if got := c.given(t, id); got != 10_000 {
			t.Errorf("the core gave %d back", got)
		}
	})
}

// TestUnknownRefundIsRepeated: whatever the line does, under the same reference until it is answered, and done
// once. Meanwhile the refund is requested and says why.
func TestUnknownRefundIsRepeated(t *testing.T) {
	t.Parallel()
	for name, claims := range profiles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withCore(t, claims, 1, func(t *testing.T, c *cored) {
				for _, faults := range []adaptertest.Faults{{UnknownDone: 1000}, {UnknownLost: 1000}, {Down: true}} {
					p, id := c.captured(t)
					c.sim.SetFaults(faults)
					r := c.giveBack(t, p, "60.00")
					if r.Status != client.RefundRequested || r.Code != "core_unavailable" || r.Legs[0].Code != "core_unavailable" {
						t.Errorf("%+v", r)
					}
					passes(time.Hour)
					if r = c.nowRefund(t, r); r.Status != client.RefundRequested {
						t.Errorf("%+v", r)
					}
					c.sim.SetFaults(adaptertest.Faults{})
					passes(3 * time.Minute)
					if r = c.nowRefund(t, r); r.Status != client.RefundDone || r.Code != "" {
						t.Errorf("%+v", r)
					}
					calls := c.rec.list(id)[2:]
					other := slices.ContainsFunc(calls, func(s string) bool { return s != "refund/1" })
					if len(calls) < 10 || len(calls) > 60 || other {
						t.Errorf("%d calls %v", len(calls), calls[:min(len(calls), 5)])
					}
					if got := c.given(t, id); got != 6_000 {
						t.Errorf("the core gave %d back", got)
					}
				}
			})
		})
	}
}

// TestRefusedRefund: a core that remembers its refusals ends it; one that does not is asked for a void first,
// and only the confirmed void makes it failed.
func TestRefusedRefund(t *testing.T) {
	t.Parallel()
	for name, calls := range map[string][]string{
		"both": {"refund/1"}, "1-not-2": {"refund/1"}, "2-not-1": {"refund/1", "void/1/v", "void/1/v", "void/1/v"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withCore(t, profiles()[name], 1, func(t *testing.T, c *cored) {
				p, id := c.captured(t)
				voids := 0
				c.rec.answers(func(kind, _ string) error {
					switch kind {
					case "refund":
						return &adapters.RefusedError{Reason: adapters.ReasonIdentity}
					case "void":
						if voids++; voids < 3 {
							return adapters.ErrUnknown
						}
					}
					return nil
				})
				r := c.giveBack(t, p, "60.00")
				passes(time.Minute)
				if r = c.nowRefund(t, r); r.Status != client.RefundFailed || r.Code != "identity_mismatch" {
					t.Errorf("%+v", r)
				}
				want(t, "calls", c.rec.list(id)[2:], calls)
				c.rec.answers(nil)
				if r = c.giveBack(t, p, "100.00"); r.Status != client.RefundDone {
					t.Errorf("what failed cannot be asked for again: %+v", r)
				}
			})
		})
	}
}

// TestRefundCameThroughAfterAll: the refusal was of a later call, the first one had been carried out: the void is
// refused as carried out, and the refund is done, once.
func TestRefundCameThroughAfterAll(t *testing.T) {
	t.Parallel()
	withCore(t, twoOnly, 1, func(t *testing.T, c *cored) {
		p, id := c.captured(t)
		c.rec.answers(func(kind, ref string) error {
			if kind != "refund" {
				return nil
			}
			if err := c.sim.Refund(context.Background(), adapters.Call{Ref: ref}, id, 6_000); err != nil {
				return err
			}
			return &adapters.RefusedError{Reason: adapters.ReasonStatus}
		})
		if r := c.giveBack(t, p, "60.00"); r.Status != client.RefundDone {
			t.Errorf("%+v", r)
		}
		if got := c.given(t, id); got != 6_000 {
			t.Errorf("the core gave %d back", got)
		}
	})
}

// TestClosedAccountAtACore fails with the reason, in every profile.
func TestClosedAccountAtACore(t *testing.T) {
	t.Parallel()
	for name, claims := range profiles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withCore(t, claims, 1, func(t *testing.T, c *cored) {
				p, id := c.captured(t)
				payer := regiontest.Employee(string(fuzhou), "陈国强", 1, 500_000)
				c.sim.AddPerson(adapters.Person{IDType: payer.IDType, Number: payer.IDNumber, Name: payer.Name},
					adapters.Account{Scheme: adapters.SchemeEmployee, Status: adapters.StatusTerminated})
				if r := c.giveBack(t, p, "60.00"); r.Status != client.RefundFailed || r.Code != "account_closed" {
					t.Errorf("%+v", r)
				}
				if p = c.now(t, p); p.Refunded != "0.00" || c.given(t, id) != 0 {
					t.Errorf("%+v", p)
				}
			})
		})
	}
}

// TestNextLeaderTakesUpRefunds: a call that the last leader did not bring back is made again under the same reference.
func TestNextLeaderTakesUpRefunds(t *testing.T) {
	t.Parallel()
	withCore(t, both, 2, func(t *testing.T, c *cored) {
		p, id := c.captured(t)
		c.rec.answers(func(string, string) error { return adapters.ErrUnknown })
		r := c.giveBack(t, p, "100.00")
		passes(50 * time.Second) // the waits between two calls have grown by now
		c.rec.answers(nil)
		before := len(c.rec.list(id))
		c.fz.Group.SetLeader(1)
		passes(time.Second)
		want(t, "the next leader's calls", c.rec.list(id)[before:], []string{"refund/1"})
		c.fz.Node = c.fz.Nodes[1]
		if r = c.nowRefund(t, r); r.Status != client.RefundDone {
			t.Errorf("%+v", r)
		}
	})
}

// TestRefundWaitIsShown: a refund that the core cannot take is counted, with how long it waits, and told to
// operators once.
func TestRefundWaitIsShown(t *testing.T) {
	t.Parallel()
	withCore(t, both, 1, func(t *testing.T, c *cored) {
		p, _ := c.captured(t)
		c.sim.SetFaults(adaptertest.Faults{Down: true})
		c.giveBack(t, p, "60.00")
		passes(40 * time.Minute)
		for _, labels := range []string{"requested refund", "requested return"} {
			if n := gauges(t, c.fz.Registry, "gongji_open")[labels]; n != 1 {
				t.Errorf("%s: %v are counted", labels, n)
			}
			if got := gauges(t, c.fz.Registry, "gongji_open_overdue_seconds")[labels]; got < 2380 || got > 2410 {
				t.Errorf("%s: waits for %v", labels, got)
			}
		}
		if n := gauges(t, c.fz.Registry, "gongji_alarms_total")[ledger.AlarmRefundWaits]; n != 2 { // as origin, and as home
			t.Errorf("%v alarms in %q", n, c.fz.Audits.List())
		}
		c.sim.SetFaults(adaptertest.Faults{})
		passes(3 * time.Minute)
		if n := gauges(t, c.fz.Registry, "gongji_open")["requested refund"]; n != 0 {
			t.Errorf("%v are counted at the end", n)
		}
	})
}

// TestFaultyCoreRefunds: every fault of the line by chance, many refunds of the same payments at the same
// time, with each admitted profile. When the faults end every refund has ended, the core gave back exactly what the
// region says, and never more than was captured.
func TestFaultyCoreRefunds(t *testing.T) {
	t.Parallel()
	for name, claims := range profiles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withCore(t, claims, 1, func(t *testing.T, c *cored) {
				payments := make([]client.Payment, 6)
				for i := range payments {
					payments[i], _ = c.captured(t)
				}
				var wg sync.WaitGroup
				c.sim.SetFaults(adaptertest.Some(120))
				for i := range 60 {
					wg.Go(func() { c.randomRefund(t, payments[i%len(payments)], i) })
					passes(500 * time.Millisecond)
				}
				wg.Wait()
				passes(30 * time.Minute)
				c.sim.SetFaults(adaptertest.Faults{})
				passes(2 * time.Hour)
				c.refundsAgree(t)
			})
		})
	}
}

func (c *cored) randomRefund(t *testing.T, p client.Payment, i int) {
	amount := money.Amount(700 + 311*(i%7))
	_, _, err := c.fz.Desk.CreateRefund(t.Context(), regiontest.Key(fmt.Sprint("rr", i)), p.PaymentID,
		client.RefundRequest{Amount: amount.String(), Reason: "test"}, amount)
	if refusal, ok := errors.AsType[*api.Error](err); err != nil && (!ok || refusal.Code != "refund_exceeds_captured") {
		t.Error(err)
	}
}

func (c *cored) refundsAgree(t *testing.T) {
	t.Helper()
	c.sim.RunPending()
	refunds := 0
	err := c.fz.View(func(v ledger.View) error {
		err := v.Refunds(func(r *ledger.RefundRecord) bool {
			if refunds++; !r.State().Final() {
				t.Errorf("%s is %s", r.ID, r.State())
			}
			return true
		})
		if err != nil {
			return err
		}
		return v.Payments(func(p *ledger.PaymentRecord) bool {
			for _, l := range p.Legs {
				if got := c.given(t, l.HoldID); got != l.Refunded.Fen() || l.Refunding != 0 || l.Refunded > l.Captured {
					t.Errorf("%s: the core gave %d back, the region says %s and %s", l.HoldID, got, l.Refunded, l.Refunding)
				}
			}
			return true
		})
	})
	if err != nil || refunds < 20 {
		t.Errorf("%d refunds, %v", refunds, err)
	}
}
