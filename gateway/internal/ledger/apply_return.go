package ledger

import (
	"time"

	"gongji/adapters"
	"gongji/federation"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/refund"
	"gongji/gateway/internal/wire/wirepb"
)

// refund begins the return of what a hold took, or answers with where it stands. Grant, payer and limits are not
// asked about: money goes back also when the grant has ended or the payer is suspended. What may not be is
// answered as failed, since the origin waits for an answer: a hold that is not the peer's, or not of that payment.
func (x *tx) refund(now time.Time, peer federation.Region, m *wirepb.Refund) {
	r := get(x, x.l.returns, returnKey(m.GetHoldId(), m.GetRefundId()))
	if r != nil && r.Origin == string(peer) {
		x.tellReturn(&r.Return)
		return
	}
	paymentID, _, ok := refund.OfID(m.GetRefundId())
	h := get(x, x.l.holds, m.GetHoldId())
	r = &ReturnRecord{Return: refund.Return{
		RefundID: m.GetRefundId(), HoldID: m.GetHoldId(), Origin: string(peer), Amount: money.Amount(m.GetAmount()),
	}}
	if !ok || !ownID("r", m.GetRefundId(), peer) || h == nil || h.Origin != string(peer) || h.PaymentID != paymentID ||
		m.GetPaymentId() != paymentID || len(r.VoidRef()) > adapters.RefMax {
		x.stranger(peer, StrangerRefund, m.GetRefundId())
		r.State, r.Code = refund.ReturnFailed, policy.CodeRefundExceedsCaptured
		x.tellReturn(&r.Return)
		return
	}
	x.doReturn(now, h, r, r.Request(now, h.Refundable()))
}

// doReturn carries a return's actions out: in this entry with a Book, by intent with a core outside. It keeps all that
// follows from its state: what its hold counts, its deadline, the call under way.
func (x *tx) doReturn(now time.Time, h *HoldRecord, r *ReturnRecord, actions []refund.Action) {
	for len(actions) > 0 && x.err == nil {
		a := actions[0]
		actions = actions[1:]
		switch a {
		case refund.CallRefund, refund.CallVoid:
			if !h.InCore {
				actions = append(x.returnByBook(now, r), actions...)
			}
		case refund.Tell:
			x.tellReturn(&r.Return)
		case refund.Alarm:
			x.alarm(AlarmRefundWaits, r.RefundID)
		}
	}
	if !h.InCore && x.l.cfg.Book != nil {
		x.refill(now, h, r.Back()-r.BackInHold)
	}
	h.Refunding += r.Open() - r.OpenInHold
	h.Refunded += r.Back() - r.BackInHold
	r.OpenInHold, r.BackInHold = r.Open(), r.Back()
	x.recount(h)
	put(x, x.l.holds, h.ID, h)
	x.postReturn(h, r)
	x.keepReturnCall(h, r)
	x.wake(dueReturn, r.key(), r.Due, r.WakeAt)
	r.Due = r.WakeAt
	r.Moments = moments(r.Moments, x.now, uint8(r.State))
	put(x, x.l.returns, r.key(), r)
}

// returnByBook gives back in the region's own Book, which remembers its refusals. Without the Book that had taken the
// money the return waits.
func (x *tx) returnByBook(now time.Time, r *ReturnRecord) []refund.Action {
	if x.l.cfg.Book == nil {
		return nil
	}
	err := x.l.cfg.Book.Refund(x, now, r.Ref(), r.HoldID, r.Amount.Fen())
	if reason := x.reason(err); reason != "" {
		return r.CoreRefused(now, refundCode(reason), true)
	}
	return r.CoreRefunded(now)
}

// keepReturnCall notes the call to a core outside that is under way, for the leader of now and for the next one.
func (x *tx) keepReturnCall(h *HoldRecord, r *ReturnRecord) {
	if !h.InCore {
		return
	}
	if r.Calls() == 0 {
		x.Delete(stateKey(keyCall, r.key()))
		return
	}
	x.Set(stateKey(keyCall, r.key()), nil)
	x.l.effects.Calls = appendOnce(x.l.effects.Calls, r.key())
}

// refundCode is the reason that a core's refusal of a refund shows as.
func refundCode(r adapters.Reason) policy.Code {
	switch r {
	case adapters.ReasonUnknownPerson, adapters.ReasonIdentity:
		return policy.CodeIdentityMismatch
	case adapters.ReasonStatus, adapters.ReasonScheme:
		return policy.CodePayerNotInsured
	case adapters.ReasonClosed:
		return policy.CodeAccountClosed
	case adapters.ReasonAbove, adapters.ReasonNotHeld:
		return policy.CodeRefundExceedsCaptured
	case adapters.ReasonBalance, adapters.ReasonReleased, adapters.ReasonCaptured, adapters.ReasonLate,
		adapters.ReasonConflict, adapters.ReasonInvalid, adapters.ReasonPaid:
	}
	return policy.CodeCoreUnavailable
}

func (x *tx) tellReturn(r *refund.Return) {
	x.send(federation.Region(r.Origin), &wirepb.Body{Kind: &wirepb.Body_RefundAnswer{RefundAnswer: &wirepb.RefundAnswer{
		RefundId: r.RefundID, HoldId: r.HoldID, State: r.State.Told().String(), Code: string(r.Code),
	}}}, nil, nil)
}

// expireReturn does what is due, and reports whether the item still stood.
func (x *tx) expireReturn(now time.Time, item dueItem) bool {
	r := get(x, x.l.returns, item.id)
	if r == nil || !r.Due.Equal(item.at) {
		return false
	}
	h := get(x, x.l.holds, r.HoldID)
	if h == nil {
		return false
	}
	x.doReturn(now, h, r, r.Expire(now))
	return true
}

// returnResult takes the answer of a core outside, if the return still waits for that call.
func (x *tx) returnResult(now time.Time, c *ReturnResult) Outcome {
	r, h := get(x, x.l.returns, returnKey(c.HoldID, c.RefundID)), get(x, x.l.holds, c.HoldID)
	if r == nil || h == nil || !h.InCore || r.Calls() != c.Call {
		return Outcome{}
	}
	var next []refund.Action
	switch {
	case c.Call == refund.CallRefund && c.Refused == "":
		next = r.CoreRefunded(now)
	case c.Call == refund.CallRefund:
		next = r.CoreRefused(now, refundCode(adapters.Reason(c.Refused)), c.Final)
	case c.Call == refund.CallVoid && c.Refused == "":
		next = r.CoreVoided(now)
	case c.Call == refund.CallVoid && c.Refused == string(adapters.ReasonCaptured):
		next = r.CoreRefunded(now) // an earlier call had come through after all
	default:
		return Outcome{} // not confirmed: the call is repeated when the return wakes
	}
	x.doReturn(now, h, r, next)
	return Outcome{}
}
