package check

import (
	"slices"

	"gongji/gateway/client"
)

// States of payments, legs and holds in the audit.
const (
	requested     = "requested"
	held          = "held"
	placed        = "placed"
	declined      = "declined"
	inDoubt       = "in_doubt"
	capturing     = "capturing"
	captured      = "captured"
	releasing     = "releasing"
	released      = "released"
	captureFailed = "capture_failed"

	refundDone   = "done"
	refundFailed = "failed"
)

// checkHold is I-4 for a hold, and that the core system's record of it says the same.
func (b *books) checkHold(h *client.AuditHold) {
	if h.Captured > h.Amount || h.Amount > h.Asked || h.Refunded > h.Captured ||
		min(h.Captured, h.Amount, h.Refunded) < 0 {
		b.report.fail(Bounds, "hold %s: asked %d, held %d, captured %d, refunded %d fen", h.ID, h.Asked, h.Amount, h.Captured,
			h.Refunded)
	}
	open := h.CoreState == coreOpen
	switch h.State {
	case placed, inDoubt:
		if !open || h.CoreHeld != h.Amount {
			b.report.fail(OpenHolds, "hold %s is %s with %d fen, its core system says %q and %d", h.ID, h.State, h.Amount,
				h.CoreState, h.CoreHeld)
		}
	case captured:
		if h.CoreState != captured || h.CoreCaptured != h.Captured {
			b.report.fail(OpenHolds, "hold %s captured %d fen, its core system says %q and %d", h.ID, h.Captured,
				h.CoreState, h.CoreCaptured)
		}
		b.checkReturns(h)
	case declined, released, captureFailed:
		if open || h.CoreCaptured != 0 || h.Captured != 0 {
			b.report.fail(OpenHolds, "hold %s is %s, its core system says %q", h.ID, h.State, h.CoreState)
		}
	}
}

// checkReturns: what refunds gave back is what the core system gave back, as far as it has answered.
func (b *books) checkReturns(h *client.AuditHold) {
	var done, open int64
	for _, r := range h.Returns {
		switch r.State {
		case refundDone:
			done += r.Amount
		case refundFailed:
		default:
			open += r.Amount
		}
	}
	if done != h.Refunded || open != h.Refunding || h.CoreRefunded < done || h.CoreRefunded > done+open {
		b.report.fail(Balances, "hold %s gave %d fen back and %d are on their way, its refunds say %d and %d, its core "+
			"system %d", h.ID, h.Refunded, h.Refunding, done, open, h.CoreRefunded)
	}
	if done+open > h.Captured {
		b.report.fail(Bounds, "hold %s: captured %d fen, refunded %d, %d on their way", h.ID, h.Captured, done, open)
	}
}

// checkPayment is I-4 and I-5 for a payment.
func (b *books) checkPayment(p *client.AuditPayment) {
	var sum, back int64
	for i := range p.Legs {
		l := &p.Legs[i]
		sum, back = sum+l.Captured, back+l.Refunded
		if l.Captured > l.Amount || l.Amount > l.Asked || l.Refunded+l.Refunding > l.Captured ||
			min(l.Captured, l.Amount, l.Refunded, l.Refunding) < 0 {
			b.report.fail(Bounds, "leg %s: asked %d, held %d, captured %d, refunded %d, on their way back %d fen", l.HoldID,
				l.Asked, l.Amount, l.Captured, l.Refunded, l.Refunding)
		}
	}
	if back != p.Refunded {
		b.report.fail(Bounds, "payment %s: refunded %d fen, its legs %d", p.ID, p.Refunded, back)
	}
	if sum != p.Captured || p.Captured > p.Held || p.Confirmed > p.Held || p.Held > p.Amount ||
		p.Amount > p.SelfBorne-p.OwnAccountPaid {
		b.report.fail(Bounds, "payment %s: self-borne %d of which %d by the own account, asked %d, held %d, confirmed %d, "+
			"captured %d, its legs %d fen", p.ID, p.SelfBorne, p.OwnAccountPaid, p.Amount, p.Held, p.Confirmed, p.Captured, sum)
	}
	if slices.Contains([]string{requested, held, capturing, releasing}, p.State) && b.now.After(p.DecideBy.Add(overtime)) {
		b.report.fail(Ends, "payment %s is %s, %s past its deadline", p.ID, p.State, b.now.Sub(p.DecideBy).Round(1e9))
	}
}

// counts is what a payment takes of its bill.
func counts(p *client.AuditPayment) int64 {
	switch p.State {
	case requested:
		return p.Amount
	case held, releasing:
		return p.Held
	case capturing:
		return p.Confirmed
	case captured:
		return p.Captured - p.Refunded
	}
	return 0
}

// checkBill is I-4 for all payments of one bill.
func (p *pass) checkBill(key string, items []billItem) error {
	var used, most, said int64
	found := false
	for _, item := range items {
		switch {
		case item.Payment != nil:
			used += counts(item.Payment)
			most = max(most, item.Payment.SelfBorne-item.Payment.OwnAccountPaid)
		case item.Bill != nil:
			said += item.Bill.Used
			found = true
		}
	}
	if used > most {
		p.report.fail(Bounds, "bill %s: payments take %d fen of %d", key, used, most)
	}
	if found && said != used {
		p.report.fail(Bounds, "bill %s: %d fen are noted, its payments take %d", key, said, used)
	}
	return nil
}

// checkLegs is I-3: the two sides of one leg.
func (p *pass) checkLegs(id string, items []legItem) error {
	var legs, holds []legItem
	for _, item := range items {
		if item.Leg != nil {
			legs = append(legs, item)
		} else {
			holds = append(holds, item)
		}
	}
	switch {
	case len(legs) > 1 || len(holds) > 1:
		p.report.fail(LegsAndHolds, "%s: %d legs and %d holds", id, len(legs), len(holds))
	case len(legs) == 0:
		p.orphan(holds[0])
	case len(holds) == 0:
		// A request that policy refused at the door leaves no hold behind.
		if legs[0].Leg.State != declined {
			p.report.fail(LegsAndHolds, "leg %s is %s and has no hold in %s", id, legs[0].Leg.State, legs[0].Leg.Region)
		}
	default:
		p.pair(legs[0], holds[0])
	}
	return nil
}

// orphan: a hold that no origin knows may only have ended without taking anything.
func (p *pass) orphan(h legItem) {
	if !slices.Contains([]string{declined, released, captureFailed}, h.Hold.State) {
		p.report.fail(LegsAndHolds, "hold %s in %s is %s and no payment in %s has it", h.Hold.ID, h.Region, h.Hold.State,
			h.Hold.Origin)
	}
}

func (p *pass) pair(leg, hold legItem) {
	l, h := leg.Leg, hold.Hold
	if l.Region != hold.Region || h.Origin != leg.Region {
		p.report.fail(LegsAndHolds, "leg %s of %s is to be in %s, its hold is in %s for %s", l.HoldID, leg.Region, l.Region,
			hold.Region, h.Origin)
		return
	}
	if !slices.Contains(outcomes(l.State), h.State) {
		p.report.fail(LegsAndHolds, "leg %s is %s in %s, its hold is %s in %s", l.HoldID, l.State, leg.Region, h.State,
			hold.Region)
		return
	}
	// What was never heard of placed (given up, or released before the answer) has no amount at the origin.
	unheard := l.Amount == 0 && (l.State == released || l.State == declined)
	// The home gives back first, and the origin hears of it.
	if h.Refunded < l.Refunded || h.Refunded > l.Refunded+l.Refunding {
		p.report.fail(LegsAndHolds, "leg %s: refunded %d fen, %d on their way; its hold: refunded %d", l.HoldID, l.Refunded,
			l.Refunding, h.Refunded)
	}
	if l.Captured != h.Captured || (l.Amount != h.Amount && !unheard) || l.GrantID != h.GrantID {
		p.report.fail(LegsAndHolds, "leg %s: held %d, captured %d fen; its hold: held %d, captured %d fen", l.HoldID,
			l.Amount, l.Captured, h.Amount, h.Captured)
	}
}

// outcomes are the states that a hold may have when its leg has come to rest. A leg that is still under way has
// none: the federation is not quiet.
func outcomes(leg string) []string {
	switch leg {
	case placed:
		return []string{placed, inDoubt}
	case declined:
		return []string{declined}
	case captured:
		return []string{captured}
	case released:
		// declined: the answer came after the leg had been given up. capture_failed: a decision for a hold never seen.
		return []string{released, declined, captureFailed}
	case captureFailed:
		return []string{captureFailed, released, declined}
	}
	return nil
}
