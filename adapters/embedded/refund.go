package embedded

import (
	"time"

	"gongji/adapters"
)

// Refund gives amount back from a captured hold; see adapters.Book.
func (b *Book) Refund(t adapters.Txn, at time.Time, ref, holdRef string, amount int64) error {
	if !named(ref) || !named(holdRef) || !amounts(amount) {
		return refused(adapters.ReasonInvalid)
	}
	s := b.take()
	defer b.spare.Put(s)
	if v, ok := t.Get(key(b, s, keyRefund, ref)); ok {
		return answerRefund(v, holdRef, amount)
	}
	h, err := b.getHold(s, t, holdRef)
	if err != nil {
		return err
	}
	reason := refundRefusal(&h, amount)
	var a account
	if reason == reasonNone {
		var exists bool
		if a, exists, err = getAccount(b, s, t, h.account); err != nil {
			return err
		}
		if !exists {
			return corrupt("hold", "no account")
		}
		a.touch(at)
		reason = crediting(&a, amount)
	}
	f := refund{reason: reason, amount: amount}
	t.Set(key(b, s, keyRefund, ref), appendRefund(s.value[:0], &f, holdRef))
	if reason != reasonNone {
		return refused(reasons[reason])
	}
	a.Balance += amount
	b.move(s, t, &a, movement{kind: kindRefund, at: at.UnixMicro(), amount: amount}, ref)
	b.putAccount(s, t, &a)
	h.refunded += amount
	b.putHold(s, t, holdRef, &h)
	return nil
}

// answerRefund is what a Refund gets whose reference is known.
func answerRefund(v []byte, holdRef string, amount int64) error {
	f, err := decodeRefund(v)
	switch {
	case err != nil:
		return err
	case string(f.hold) != holdRef || f.amount != amount:
		return refused(adapters.ReasonConflict)
	case f.reason != reasonNone:
		return refused(reasons[f.reason])
	}
	return nil
}

// refundRefusal says why a hold gives nothing back, as a stored reason.
func refundRefusal(h *hold, amount int64) uint8 {
	switch {
	case h.state == adapters.HoldNone || h.state == adapters.HoldRefused:
		return reasonNotHeld
	case h.state == adapters.HoldReleased:
		return reasonReleased
	case amount > h.captured-h.refunded: // an open hold has captured nothing yet
		return reasonAbove
	}
	return reasonNone
}

// crediting says why an account takes nothing, as a stored reason. A refund cannot lift a balance
// above AmountMax, since it gives back what was once taken from it.
func crediting(a *account, amount int64) uint8 {
	if a.Status == adapters.StatusTerminated || amount > adapters.AmountMax-a.Balance {
		return reasonClosed
	}
	return reasonNone
}
