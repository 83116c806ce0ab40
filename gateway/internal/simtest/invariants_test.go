package simtest_test

import (
	"cmp"
	"math/big"
	"slices"
	"time"

	"gongji/gateway/client"
)

// The invariants of design 5, computed from the pages of all regions. Nothing of the testnet's check is used, so that
// the two can be wrong only apart.

func ruleAt(rules []client.AuditRules, t time.Time) client.AuditRules {
	var in client.AuditRules
	for _, r := range rules {
		if !r.From.After(t) && !r.From.Before(in.From) {
			in = r
		}
	}
	return in
}

// balances is I-1: every account against its movements.
func (b *books) balances(p *page) {
	for name, a := range p.accounts {
		if a.Opening+a.Credits-a.Captured+a.Refunded != a.Balance {
			b.w.story.fault("I-1 account %s of %s has %d fen, not what came and went", name, p.region, a.Balance)
		}
		moves := p.movements[name]
		slices.SortFunc(moves, func(x, y client.AuditMovement) int { return cmp.Compare(x.Seq, y.Seq) })
		var balance, held int64
		for i, m := range moves {
			switch m.Kind {
			case "hold":
				held += m.Amount
			case "release":
				held -= m.Amount
			case "capture":
				balance, held = balance-m.Amount, held-m.Amount
			default:
				balance += m.Amount
			}
			if m.Seq != uint64(i)+1 || m.Balance != balance || m.Held != held || balance < 0 || held < 0 || m.Amount <= 0 {
				b.w.story.fault("I-1 movement %d of account %s of %s does not follow", m.Seq, name, p.region)
				break
			}
			if floor := ruleAt(p.rules, m.At).Floor; m.Kind == "hold" && m.Held > max(0, m.Balance-floor) {
				b.w.story.fault("I-7 movement %d of account %s of %s goes below the floor", m.Seq, name, p.region)
			}
		}
		if balance != a.Balance || held != a.Held {
			b.w.story.fault("I-1 account %s of %s: its movements end at %d and %d", name, p.region, balance, held)
		}
	}
	captured, refunded := map[string]int64{}, map[string]int64{}
	for _, h := range p.holds {
		captured[h.Account] += h.Captured
		refunded[h.Account] += h.Refunded
	}
	for name, a := range p.accounts {
		if refunded[name] != a.Refunded {
			b.w.story.fault("I-1 account %s of %s got %d fen back, its holds gave %d", name, p.region, a.Refunded, refunded[name])
		}
		if captured[name] != a.Captured {
			b.w.story.fault("I-1 account %s of %s lost %d fen, its holds took %d", name, p.region, a.Captured, captured[name])
		}
	}
}

// openHolds is I-2: what is held is what open holds hold, and is free above the floor; the log and the core system
// agree.
func (b *books) openHolds(p *page) {
	open := map[string]int64{}
	for _, h := range p.holds {
		isOpen := h.CoreState == "open"
		if isOpen {
			open[h.Account] += h.CoreHeld
		}
		ok := true
		switch h.State {
		case "placed", "in_doubt":
			ok = isOpen && h.CoreHeld == h.Amount
		case "captured":
			ok = h.CoreState == "captured" && h.CoreCaptured == h.Captured && h.CoreRefunded == h.Refunded
		case "declined", "released", "capture_failed":
			ok = !isOpen && h.CoreCaptured == 0 && h.Captured == 0
		case "not in the log":
			ok = !isOpen && h.CoreCaptured == 0
		}
		if !ok {
			b.w.story.fault("I-2 hold %s is %s with %d fen, captured %d; the core system says %s, %d, %d", h.ID, h.State,
				h.Amount, h.Captured, h.CoreState, h.CoreHeld, h.CoreCaptured)
		}
	}
	for _, g := range p.grants {
		open[g.Account] += g.Reserved
		if g.Reserve != g.Reserved {
			b.w.story.fault("I-2 grant %s reserves %d fen, the core system holds %d", g.ID, g.Reserve, g.Reserved)
		}
	}
	for name, a := range p.accounts {
		if open[name] != a.Held || a.Held > max(0, a.Balance-ruleAt(p.rules, p.end.Stamp).Floor) {
			b.w.story.fault("I-2 account %s of %s holds %d fen of %d, its open holds are %d", name, p.region, a.Held, a.Balance,
				open[name])
		}
	}
}

// legsAndHolds is I-3: each leg has its one hold, and each hold that gave or gives something its leg.
func (b *books) legsAndHolds(pages map[string]*page) {
	legs := map[string]*client.AuditLeg{}
	for _, p := range pages {
		for _, pay := range p.payments {
			for i := range pay.Legs {
				l := &pay.Legs[i]
				if legs[l.HoldID] != nil {
					b.w.story.fault("I-3 leg %s stands twice", l.HoldID)
				}
				legs[l.HoldID] = l
				b.pair(pay, l, pages[l.Region])
			}
		}
	}
	for _, p := range pages {
		for id, h := range p.holds {
			if legs[id] == nil && (h.Captured != 0 || h.CoreState == "open" || !final(h.State)) && h.State != "not in the log" &&
				h.Origin != ghostRegion {
				b.w.story.fault("I-3 hold %s in %s is %s, and no payment has it", id, p.region, h.State)
			}
		}
	}
}

func (b *books) pair(pay *client.AuditPayment, l *client.AuditLeg, home *page) {
	h := home.holds[l.HoldID]
	if h == nil {
		if l.State != "declined" {
			b.w.story.fault("I-3 leg %s of %s is %s and has no hold", l.HoldID, pay.ID, l.State)
		}
		return
	}
	if !slices.Contains(outcomes(l.State), h.State) {
		b.w.story.fault("I-3 leg %s of %s is %s, its hold is %s", l.HoldID, pay.ID, l.State, h.State)
	}
	unheard := l.Amount == 0 && l.State != "captured"
	if l.Refunded != h.Refunded || l.Refunding != 0 || h.Refunding != 0 {
		b.w.story.fault("I-3 leg %s: %d fen are back and %d on their way; its hold %d and %d", l.HoldID, l.Refunded,
			l.Refunding, h.Refunded, h.Refunding)
	}
	if l.Captured != h.Captured || (l.Amount != h.Amount && !unheard) {
		b.w.story.fault("I-3 leg %s has %d fen, captured %d; its hold %d and %d", l.HoldID, l.Amount, l.Captured, h.Amount,
			h.Captured)
	}
}

// bounds is I-4: captured ≤ held ≤ self-borne, for each leg, payment and bill.
func (b *books) bounds(p *page) {
	used, most := map[string]int64{}, map[string]int64{}
	for _, h := range p.holds {
		if h.Captured > h.Amount || (h.Amount > h.Asked && h.State != "not in the log") || h.Refunded+h.Refunding > h.Captured ||
			h.CoreRefunded > h.CoreCaptured || min(h.Refunded, h.Refunding) < 0 {
			b.w.story.fault("I-4 hold %s: asked %d, held %d, captured %d, back %d and %d, in the core %d", h.ID, h.Asked,
				h.Amount, h.Captured, h.Refunded, h.Refunding, h.CoreRefunded)
		}
	}
	for _, pay := range p.payments {
		var sum, share, back int64
		for _, l := range pay.Legs {
			sum, share, back = sum+l.Captured, share+l.Share, back+l.Refunded
			if l.Refunded+l.Refunding > l.Captured || min(l.Refunded, l.Refunding) < 0 {
				b.w.story.fault("I-4 leg %s: captured %d, back %d and %d", l.HoldID, l.Captured, l.Refunded, l.Refunding)
			}
			if l.Captured > l.Amount || l.Amount > l.Asked || l.Captured > l.Share {
				b.w.story.fault("I-4 leg %s: asked %d, held %d, share %d, captured %d", l.HoldID, l.Asked, l.Amount, l.Share,
					l.Captured)
			}
		}
		if sum != pay.Captured || pay.Captured > pay.Confirmed || pay.Confirmed > pay.Held || pay.Held > pay.Amount ||
			pay.Amount > pay.SelfBorne || share != pay.Confirmed {
			b.w.story.fault("I-4 payment %s: asked %d, held %d, confirmed %d, shares %d, captured %d, legs %d", pay.ID,
				pay.Amount, pay.Held, pay.Confirmed, share, pay.Captured, sum)
		}
		if pay.State == "captured" && pay.Captured != pay.Confirmed {
			b.w.story.fault("I-4 payment %s took %d fen of %d that were confirmed", pay.ID, pay.Captured, pay.Confirmed)
		}
		if back != pay.Refunded {
			b.w.story.fault("I-4 payment %s has %d fen back, its legs %d", pay.ID, pay.Refunded, back)
		}
		used[pay.BillKey] += takes(pay)
		most[pay.BillKey] = max(most[pay.BillKey], pay.SelfBorne-pay.OwnAccountPaid)
	}
	for key, sum := range used {
		if sum > most[key] || p.bills[key] != sum {
			b.w.story.fault("I-4 bill %s of %s: %d fen taken of %d, %d noted", key, p.region, sum, most[key], p.bills[key])
		}
	}
}

// takes is what a payment takes of its bill.
func takes(p *client.AuditPayment) int64 {
	switch p.State {
	case "requested":
		return p.Amount
	case "held", "releasing":
		return p.Held
	case "capturing":
		return p.Confirmed
	case "captured":
		return p.Captured - p.Refunded
	}
	return 0
}

// event is a moment at which a hold begins or ceases to count.
type event struct {
	at    time.Time
	order int
	hold  *client.AuditHold
	gain  int64
}

// events are those of the holds that ever counted, by their stamps. What one entry asked for and gave back is left
// out: a
// late parcel brings both, and nobody can tell whether it still counted when its neighbours were checked.
func events(holds map[string]*client.AuditHold) []event {
	var out []event
	for _, h := range holds {
		if !h.Checked || h.Amount == 0 || (h.EndedAt.Equal(h.CheckedAt) && h.Captured == 0) {
			continue
		}
		out = append(out, event{h.CheckedAt, 1, h, h.Amount})
		if !h.EndedAt.IsZero() {
			order := 0
			if !h.EndedAt.After(h.CheckedAt) {
				order = 2
			}
			out = append(out, event{h.EndedAt, order, h, h.Captured - h.Amount})
		}
		for _, r := range h.Returns {
			if r.State == "done" {
				out = append(out, event{r.EndedAt, 0, h, -r.Amount})
			}
		}
	}
	slices.SortFunc(out, func(x, y event) int {
		return cmp.Or(x.at.Compare(y.at), cmp.Compare(x.order, y.order), cmp.Compare(x.hold.ID, y.hold.ID))
	})
	return out
}

type yearOf struct {
	of   string
	year int
}

// limits is I-7: the history of all holds is played again, and every limit in force held at every moment.
func (b *books) limits(p *page) {
	accounts, grants, visits := map[yearOf]int64{}, map[yearOf]int64{}, map[string]int64{}
	for _, e := range events(p.holds) {
		h := e.hold
		account, grant, visit := yearOf{h.Account, h.Year}, yearOf{h.GrantID, h.Year}, h.Account+h.VisitRegion+h.VisitID
		accounts[account] += e.gain
		grants[grant] += e.gain
		visits[visit] += e.gain
		if e.order != 1 {
			continue
		}
		rules := ruleAt(p.rules, e.at)
		if a := p.accounts[h.Account]; a != nil && a.Year == h.Year && accounts[account] > quotaOf(rules.AnnualShare, a.YearOpening) {
			b.w.story.fault("I-7 hold %s: account %s gave %d fen in a year, more than its quota", h.ID, h.Account, accounts[account])
		}
		if limit, ok := rules.VisitLimits[h.Purpose]; ok && visits[visit] > limit {
			b.w.story.fault("I-7 hold %s: %d fen for one visit, the limit is %d", h.ID, visits[visit], limit)
		}
		switch g := p.grants[h.GrantID]; {
		case g.PerPayment > 0 && h.Amount > g.PerPayment:
			b.w.story.fault("I-7 hold %s: %d fen, its grant allows %d", h.ID, h.Amount, g.PerPayment)
		case g.Annual > 0 && grants[grant] > g.Annual:
			b.w.story.fault("I-7 hold %s: grant %s gave %d fen in a year, it allows %d", h.ID, h.GrantID, grants[grant], g.Annual)
		}
	}
}

// quotaOf is ⌊share × opening⌋ in fen.
func quotaOf(share string, opening int64) int64 {
	r, ok := new(big.Rat).SetString(share)
	if !ok {
		return 0
	}
	r.Mul(r, new(big.Rat).SetInt64(opening))
	return new(big.Int).Quo(r.Num(), r.Denom()).Int64()
}
