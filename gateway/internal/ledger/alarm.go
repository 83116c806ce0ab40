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

	AlarmPremiumUndecided = "premium_undecided" // a premium's money is taken though its registration is not known
	AlarmPremiumOwed      = "premium_owed"      // a premium and its money do not agree: registered or refused against it
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

// Open visits everything that has a deadline in the state, the nearest first, until one of the visitors returns false:
// payments that are not over, holds that wait for somebody.
func (v View) Open(payments func(*PaymentRecord) bool, holds func(*HoldRecord) bool) error {
	var failed error
	lo := []byte{keyDue}
	v.r.Scan(lo, prefixEnd(lo), func(key, _ []byte) bool {
		if len(key) < 11 {
			failed = fmt.Errorf("ledger: a deadline key of %d bytes", len(key))
			return false
		}
		kind, id := key[9], string(key[10:])
		switch kind {
		case duePayment:
			p, err := v.Payment(id)
			failed = err
			return err == nil && (p == nil || payments(p))
		case dueHold:
			h, err := v.Hold(id)
			failed = err
			return err == nil && (h == nil || holds(h))
		}
		return true
	})
	return failed
}
