package ledger

import (
	"fmt"

	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/payment"
)

// What operators have to hear of, since nothing moves it on any more.
const (
	AlarmShortfall = "shortfall" // a payment is captured and misses a leg's money
	AlarmCoreWon   = "core_won"  // the core had captured what was to be given back

	// AlarmReceiptForked: a peer has signed for another content than was sent to it. ID is the peer.
	AlarmReceiptForked = "receipt_forked"

	// AlarmHistoryLost: a peer has acked what this region never sent: it was restored from a backup, and has to begin a
	// new epoch. ID is the peer.
	AlarmHistoryLost = "history_lost"
	AlarmLinkAnew    = "link_anew"   // a link has begun anew: no new holds before both sides have compared
	AlarmDifferences = "differences" // the two sides of a link do not know all alike; people are to look

	// AlarmMemberRevoked: a member has no signing key any more that is not revoked; its open holds go in doubt. ID is it.
	AlarmMemberRevoked = "member_revoked"

	AlarmPremiumUndecided = "premium_undecided" // a premium's money is taken though its registration is not known
	AlarmPremiumOwed      = "premium_owed"      // a premium and its money do not agree: registered or refused against it

	// AlarmRefundWaits: a refund has waited for refund.AlarmAfter, told at its origin and at the home that cannot pay.
	AlarmRefundWaits = "refund_waits"
	// AlarmPersonTwice: a person stood in the index of tokens twice.
	AlarmPersonTwice  = "person_twice"
	AlarmRefundFailed = "refund_failed" // at the origin: a leg's money did not come back
)

// Alarm is something that has ended otherwise than was decided.
type Alarm struct {
	What string // one of the constants above
	ID   string // of the payment or hold
}

func (x *tx) alarm(what, id string) {
	x.l.effects.Alarms = appendOnce(x.l.effects.Alarms, Alarm{what, id})
}

// shortfall raises the alarm of a payment that a leg's word has just ended.
func (x *tx) shortfall(before payment.State, p *PaymentRecord) {
	if before != payment.Captured && p.State == payment.Captured && p.Shortfall() > 0 {
		x.alarm(AlarmShortfall, p.ID)
	}
}

// coreWon raises the alarm of a hold that was to be given back and turns out to be captured.
func (x *tx) coreWon(h *HoldRecord) {
	if h.State == hold.Releasing || h.State == hold.Abandoning {
		x.alarm(AlarmCoreWon, h.ID)
	}
}

// Opened is told what Open finds. A nil field is not asked for; a false answer ends the visit.
type Opened struct {
	Payments func(*PaymentRecord) bool
	Holds    func(*HoldRecord) bool
	Refunds  func(*RefundRecord) bool
	Returns  func(*ReturnRecord) bool
}

// Open visits everything that has a deadline in the state, the nearest first, until one of the visitors returns false:
// payments and refunds that are not over, holds and returns that wait for somebody.
func (v View) Open(o Opened) error {
	var failed error
	lo := []byte{keyDue}
	v.r.Scan(lo, prefixEnd(lo), func(key, _ []byte) bool {
		if len(key) < 11 {
			failed = fmt.Errorf("ledger: a deadline key of %d bytes", len(key))
			return false
		}
		more := true
		switch kind, id := key[9], string(key[10:]); kind {
		case duePayment:
			more, failed = opened(o.Payments, v.Payment, id)
		case dueHold:
			more, failed = opened(o.Holds, v.Hold, id)
		case dueRefund:
			more, failed = opened(o.Refunds, v.Refund, id)
		case dueReturn:
			more, failed = opened(o.Returns, v.Return, id)
		}
		return more && failed == nil
	})
	return failed
}

// opened shows a record to a visitor, if both are there.
func opened[T any](visit func(*T) bool, find func(id string) (*T, error), id string) (bool, error) {
	if visit == nil {
		return true, nil
	}
	t, err := find(id)
	return t == nil || visit(t), err
}
