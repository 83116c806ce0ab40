package ledger_test

import (
	"gongji/adapters"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/refund"
)

// giveBack asks for a refund of a payment, whatever has become of it; mostly of one that is captured.
func (w *world) giveBack() {
	id := w.payments[w.rng.IntN(len(w.payments))]
	for range 8 {
		if w.payment(id).State != payment.Captured {
			id = w.payments[w.rng.IntN(len(w.payments))]
		}
	}
	p := w.payment(id)
	c := &ledger.CreateRefund{
		Request: w.request(), PaymentID: id, Amount: 1 + money.Amount(w.rng.Int64N(int64(p.Amount))), Reason: "random",
	}
	switch out := w.apply(regionOf(p), c); out.Code {
	case "", policy.CodeWrongState, policy.CodeRefundExceedsCaptured:
	default:
		w.t.Fatalf("%+v", out)
	}
}

// carryBack has the core carry out the call of a return. It forgets some of its refusals until a void binds it.
func (w *world) carryBack(r *ledger.ReturnRecord) *ledger.ReturnResult {
	k := w.core[r.HoldID]
	c := &ledger.ReturnResult{HoldID: r.HoldID, RefundID: r.RefundID, Call: r.Calls(), Final: w.rng.IntN(2) == 0}
	given, known := k.returns[r.RefundID]
	switch {
	case c.Call == refund.CallVoid && given > 0:
		c.Refused = string(adapters.ReasonCaptured)
	case c.Call == refund.CallVoid:
		k.returns[r.RefundID] = 0
	case known && given == 0:
		c.Refused, c.Final = string(adapters.ReasonReleased), true
	case known:
	case w.rng.IntN(3) == 0:
		if c.Refused = string(adapters.ReasonStatus); c.Final {
			k.returns[r.RefundID] = 0
		}
	default:
		k.returns[r.RefundID] = r.Amount
		h, err := w.view(shanghai).Hold(r.HoldID)
		if err != nil {
			w.t.Fatal(err)
		}
		p, err := w.view(shanghai).Person(h.Account)
		if err != nil {
			w.t.Fatal(err)
		}
		*w.budget[parsePerson(w.t, p.Sealed).number] += r.Amount
	}
	return c
}

// refundsAgree: nothing is under way, both sides of every leg say the same, the core gave back what its region says,
// and never more than was captured (I-1, I-3, I-4).
func (w *world) refundsAgree() {
	w.t.Helper()
	ended := 0
	for _, at := range w.order {
		err := w.view(at).Refunds(func(r *ledger.RefundRecord) bool {
			switch r.State() {
			case refund.Done, refund.Failed:
				ended++
			case refund.Requested:
				w.t.Errorf("%s is requested", r.ID)
			}
			return true
		})
		if err != nil {
			w.t.Error(err)
		}
	}
	for _, id := range w.payments {
		p := w.payment(id)
		for i := range p.Legs {
			l := &p.Legs[i]
			if l.Captured == 0 && l.Refunded == 0 {
				continue
			}
			h := w.hold(l)
			var core money.Amount
			if k := w.core[l.HoldID]; k != nil {
				for _, back := range k.returns {
					core += back
				}
			}
			if h.Refunded != l.Refunded || h.Refunding != 0 || l.Refunded > l.Captured || (h.InCore && core != h.Refunded) {
				w.t.Errorf("leg %+v, hold %+v, the core gave %s back", l, h.Hold, core)
			}
		}
	}
	if ended < 5 {
		w.t.Errorf("only %d refunds", ended)
	}
}
