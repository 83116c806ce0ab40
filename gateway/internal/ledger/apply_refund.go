package ledger

import (
	"time"

	"gongji/federation"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/refund"
	"gongji/gateway/internal/wire/wirepb"
)

// createRefund begins a refund of a captured payment. Two refunds that race for what is left are sorted here.
func (x *tx) createRefund(now time.Time, c *CreateRefund) Outcome {
	p, out, done := x.decide(c.Request, c.PaymentID)
	if done {
		return out
	}
	if p.Refunds >= refund.Max {
		return Outcome{
			Code: policy.CodeWrongState, Detail: "The payment has had as many refunds as one can have.",
			DetailZH: "该笔支付的退费次数已达上限。",
		}
	}
	shares, code := p.Refund(c.Amount)
	if code == policy.CodeWrongState {
		return refuse(code)
	}
	if code != "" {
		return Outcome{Code: code, Field: "/amount"}
	}
	p.Refunds++
	r := &RefundRecord{
		Refund: refund.Refund{
			ID: refund.ID(p.ID, p.Refunds), PaymentID: p.ID, Amount: c.Amount, Reason: c.Reason,
		},
		Request: c.Request.bare(),
	}
	for _, s := range shares {
		l := &p.Legs[s.Leg]
		r.Legs = append(r.Legs, refund.Leg{HoldID: l.HoldID, GrantID: l.GrantID, Region: l.Region, Amount: s.Amount})
	}
	x.remember(now, c.Request, ThingRefund, r.ID)
	x.actOnRefund(r, r.Start(now))
	x.actOnPayment(p, nil)
	return Outcome{ID: r.ID}
}

// actOnRefund tells the homes of legs, and keeps what follows from the refund's state.
func (x *tx) actOnRefund(r *RefundRecord, tell []int) {
	for _, i := range tell {
		l := &r.Legs[i]
		x.send(federation.Region(l.Region), &wirepb.Body{Kind: &wirepb.Body_Refund{Refund: &wirepb.Refund{
			RefundId: r.ID, HoldId: l.HoldID, PaymentId: r.PaymentID, Amount: l.Amount.Fen(),
		}}}, nil, nil)
	}
	wake := r.Wake()
	x.wake(dueRefund, r.ID, r.Due, wake)
	r.Due = wake
	r.Moments = moments(r.Moments, x.now, uint8(r.State()))
	put(x, x.l.refunds, r.ID, r)
	x.l.effects.Payments = appendOnce(x.l.effects.Payments, r.PaymentID)
}

// refundAnswer takes the word of a leg's home. Nobody else may say it.
func (x *tx) refundAnswer(peer federation.Region, m *wirepb.RefundAnswer) {
	r := get(x, x.l.refunds, m.GetRefundId())
	said, ok := refund.ParseState(m.GetState())
	if r == nil || !ok {
		x.stranger(peer, StrangerRefund, m.GetRefundId())
		return
	}
	l := r.Leg(m.GetHoldId())
	if l == nil || l.Region != string(peer) {
		x.stranger(peer, StrangerRefund, m.GetRefundId())
		return
	}
	p := get(x, x.l.payments, r.PaymentID)
	if p == nil {
		return
	}
	before := r.State()
	if ended := r.Answered(l.HoldID, said, policy.Code(m.GetCode())); ended != nil {
		var back money.Amount
		if ended.State == refund.Done {
			back = ended.Amount
		}
		p.RefundEnded(ended.HoldID, ended.Amount, back)
		x.actOnPayment(p, nil)
	}
	x.actOnRefund(r, nil)
	if before == refund.Requested && r.State() == refund.Failed {
		x.alarm(AlarmRefundFailed, r.ID)
	}
}

// expireRefund does what is due, and reports whether the item still stood.
func (x *tx) expireRefund(now time.Time, item dueItem) bool {
	r := get(x, x.l.refunds, item.id)
	if r == nil || !r.Due.Equal(item.at) {
		return false
	}
	tell, alarm := r.Expire(now)
	if alarm {
		x.alarm(AlarmRefundWaits, r.ID)
	}
	x.actOnRefund(r, tell)
	return true
}
