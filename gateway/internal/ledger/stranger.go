package ledger

import (
	"gongji/federation"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/wire/wirepb"
)

// Reasons of a Stranger; stable, they name counters and audit lines.
const (
	StrangerHold       = "hold_not_own"       // asks for, decides on or speaks of a hold that is not its own
	StrangerPayment    = "payment_not_own"    // answers for a leg that it is not the home of
	StrangerGrant      = "grant_not_own"      // speaks of a grant that is not its own, or of its own people's
	StrangerMandate    = "mandate_not_own"    // the same of a mandate
	StrangerRefund     = "refund_not_own"     // wants back what it did not take, or answers for another's refund
	StrangerUnknown    = "hold_refused"       // asks for a hold under a grant that is none, or another person's
	StrangerIll        = "not_understood"     // a body that cannot be understood, or does not travel on a link
	StrangerImpossible = "impossible"         // an amount, a time or a state that nobody honest can say
	StrangerForked     = "forked"             // the same number with another content
	StrangerReconcile  = "before_reconciling" // asks for a hold before both sides have reconciled
	StrangerUnacked    = "answers_unacked"    // goes on asking and acks no answer; not used up, it comes again
)

// Stranger is a message that the log has refused, since its sender may not say such a thing: it has changed nothing. ID
// is what it named.
type Stranger struct {
	Peer   federation.Region
	Reason string
	ID     string
}

// strangersMax bounds those of one entry: a parcel of such messages is told in numbers by the first of them.
const strangersMax = 1024

func (x *tx) stranger(peer federation.Region, reason, id string) {
	x.waste(peer)
	if peer == x.l.cfg.Self || len(x.l.effects.Strangers) >= strangersMax {
		return
	}
	x.l.effects.Strangers = append(x.l.effects.Strangers, Stranger{peer, reason, id})
}

// Waste is how many messages of a peer an entry has written for nothing: refused ones, repeats under new numbers, and
// words about holds that are over or that nobody ever asked for. Honest peers say such things rarely. A peer that has
// keys can say them as fast as it can number them, and each costs an entry's part and an answer.
type Waste struct {
	Peer     federation.Region
	Messages int
}

func (x *tx) waste(peer federation.Region) {
	if peer == x.l.cfg.Self {
		return
	}
	for i := range x.l.effects.Wasted { // as many as there are peers
		if w := &x.l.effects.Wasted[i]; w.Peer == peer {
			w.Messages++
			return
		}
	}
	x.l.effects.Wasted = append(x.l.effects.Wasted, Waste{peer, 1})
}

// answerAgain tells a peer that asks again, under a new number, what stands.
func (x *tx) answerAgain(peer federation.Region, h *HoldRecord) {
	x.waste(peer)
	switch {
	case h.State == hold.Requested:
	case h.State == hold.Placed, h.State == hold.InDoubt, h.State == hold.Declined:
		x.answer(h)
	case h.State.Final():
		x.tellOutcome(h, false)
	}
}

// whyNoHold names what is wrong with a request that nobody honest makes.
func whyNoHold(m *wirepb.HoldRequest, peer federation.Region) string {
	if !ownID("h", m.GetHoldId(), peer) || !ownID("p", m.GetPaymentId(), peer) {
		return StrangerHold
	}
	return StrangerImpossible
}
