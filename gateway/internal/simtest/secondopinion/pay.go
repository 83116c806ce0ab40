package secondopinion

import "slices"

// Pay carries a request out and returns the payment, or the code of the problem with which there is none.
func (w *World) Pay(r Request) (*Payment, string) {
	if code := w.Refuses(r); code != "" {
		return nil, code
	}
	asked, declines := w.line(r)
	p := &Payment{Request: r, Status: "held", Declines: declines}
	w.Payments = append(w.Payments, p)
	for _, g := range asked {
		if p.Held == r.Amount {
			break
		}
		if !w.PairOpen(w.Persons[g.Payer].Region, r.VisitRegion) { // the visit region knows, and asks nobody there
			p.Declines = append(p.Declines, Decline{g.ID, "region_pair_closed"})
			continue
		}
		if code := w.MayUse(g, r.VisitRegion, r.Purpose); code != "" {
			p.Declines = append(p.Declines, Decline{g.ID, code})
			if payer := w.Persons[g.Payer]; payer.over() || payer.Scheme != 310 {
				w.End(g, "ended") // by itself, found at use
			}
			continue
		}
		gives, by := w.Gives(g, r.VisitRegion, r.Visit, r.Purpose, r.Amount-p.Held)
		if gives == 0 {
			p.Declines = append(p.Declines, Decline{g.ID, by})
			continue
		}
		w.open(g.Payer)
		w.Holds = append(w.Holds, &Hold{
			Payment: r.ID, Grant: g.ID, Payer: g.Payer, VisitRegion: r.VisitRegion, Visit: r.Visit,
			Year: w.year(), Amount: gives, State: "placed", LimitedBy: by,
		})
		p.Held += gives
		if g.Virtual > 0 {
			g.Left -= gives
		}
	}
	if p.Held == 0 || p.Held < r.Amount && !r.AllowPartial {
		w.decline(p)
		return p, ""
	}
	if r.Auto {
		w.Confirm(p, p.Held)
	}
	return p, ""
}

// decline gives back what was held on the way and names, for each that could have given part, its limit.
func (w *World) decline(p *Payment) {
	p.Status, p.Held = "declined", 0
	for _, h := range w.HoldsOf(p.ID) {
		h.State = "released"
		w.refill(h, h.Amount)
		p.Declines = append(p.Declines, Decline{h.Grant, h.LimitedBy})
	}
}

// Confirm takes amount of what is held, the first legs first, and returns a problem's code or "".
func (w *World) Confirm(p *Payment, amount int) string {
	switch {
	case p.Status != "held":
		return "wrong_state"
	case amount <= 0 || amount > p.Held:
		return "invalid_amount"
	}
	p.Status, p.Confirmed = "captured", amount
	for _, h := range w.HoldsOf(p.ID) {
		take := min(amount, h.Amount)
		amount -= take
		w.open(h.Payer)
		w.refill(h, h.Amount-take)
		if take == 0 {
			h.State = "released"
			continue
		}
		h.State, h.Captured = "captured", take
	}
	return ""
}

// GiveBack ends a held payment as released (cancelled) or expired, and returns a problem's code or "".
func (w *World) GiveBack(p *Payment, end string) string {
	if p.Status != "held" {
		return "wrong_state"
	}
	p.Status = end
	for _, h := range w.HoldsOf(p.ID) {
		w.open(h.Payer)
		h.State = "released"
		w.refill(h, h.Amount)
	}
	return ""
}

// Captured is what was taken and what of it was given back.
func (w *World) Captured(p *Payment) (int, int) {
	captured, refunded := 0, 0
	for _, h := range w.HoldsOf(p.ID) {
		captured += h.Captured
		refunded += h.Refunded
	}
	return captured, refunded
}

// Refund gives back to the accounts that it came from, last used first, and returns a problem's code or "". An account
// whose owner's insurance is terminated is closed: its part does not come back, and can be asked for anew.
func (w *World) Refund(p *Payment, amount int) string {
	captured, refunded := w.Captured(p)
	switch {
	case amount <= 0:
		return "invalid_amount"
	case p.Status != "captured":
		return "wrong_state"
	case amount > captured-refunded:
		return "refund_exceeds_captured"
	}
	for _, h := range slices.Backward(w.HoldsOf(p.ID)) {
		back := min(amount, h.Captured-h.Refunded)
		amount -= back
		if back > 0 && w.Persons[h.Payer].Status != 4 {
			w.open(h.Payer)
			h.Refunded += back
			w.refill(h, back)
		}
	}
	return ""
}

// CashDue is what the citizen pays otherwise; refunds leave it.
func (p *Payment) CashDue() int {
	switch p.Status {
	case "held":
		return p.Amount - p.Held
	case "captured":
		return p.Amount - p.Confirmed
	default:
		return p.Amount
	}
}
