package check

import (
	"cmp"
	"math/big"
	"slices"
	"time"

	"gongji/gateway/client"
)

// Words of the audit.
const (
	kindHold    = "hold"
	kindCapture = "capture"
	kindRelease = "release"
	kindRefund  = "refund"
	kindCredit  = "credit"

	refOpening = "opening" // the credit that an account is opened with

	coreOpen = "open"
)

// account is all that the audit says of one account.
type account struct {
	client.AuditAccount
	movements []*client.AuditMovement
	holds     []*client.AuditHold
	reserves  []*client.AuditGrant
}

func (b *books) checkAccount(id string, items []accountItem) error {
	var a account
	found := false
	for _, item := range items {
		switch {
		case item.Account != nil:
			if found {
				b.report.fail(Balances, "account %s of %s stands twice", id, b.region)
			}
			a.AuditAccount, found = *item.Account, true
		case item.Movement != nil:
			a.movements = append(a.movements, item.Movement)
		case item.Hold != nil:
			a.holds = append(a.holds, item.Hold)
		case item.Reserve != nil:
			a.reserves = append(a.reserves, item.Reserve)
		}
	}
	if !found {
		b.checkNoAccount(id, &a)
		return nil
	}
	b.checkBalance(&a)
	b.checkOpenHolds(&a)
	b.replay(&a)
	return nil
}

// checkNoAccount: a hold that was declined may name a person without an account; nothing else may.
func (b *books) checkNoAccount(id string, a *account) {
	if len(a.movements) > 0 {
		b.report.fail(Balances, "movements of %s in %s, which has no account", id, b.region)
	}
	for _, h := range a.holds {
		if h.Amount > 0 || h.Captured > 0 {
			b.report.fail(OpenHolds, "hold %s is on an account that does not exist", h.ID)
		}
	}
}

// checkBalance is I-1: the account's sums, and the chain of its movements.
func (b *books) checkBalance(a *account) {
	want := a.Opening + a.Credits - a.Captured + a.Refunded
	if a.Balance != want {
		b.report.fail(Balances, "account %s of %s has %d fen, its movements make %d", a.Account, b.region, a.Balance, want)
	}
	slices.SortFunc(a.movements, func(x, y *client.AuditMovement) int { return cmp.Compare(x.Seq, y.Seq) })
	var balance, held int64
	sums := map[string]int64{}
	opening := int64(0)
	for i, m := range a.movements {
		switch m.Kind {
		case kindHold:
			held += m.Amount
		case kindRelease:
			held -= m.Amount
		case kindCapture:
			balance, held = balance-m.Amount, held-m.Amount
		case kindRefund, kindCredit:
			balance += m.Amount
		}
		if m.Kind == kindCredit && m.Ref == refOpening {
			opening += m.Amount
		} else {
			sums[m.Kind] += m.Amount
		}
		if m.Seq != uint64(i)+1 || m.Amount <= 0 || m.Balance != balance || m.Held != held || balance < 0 || held < 0 {
			b.report.fail(Balances, "movement %d of account %s in %s does not follow from the one before", m.Seq, a.Account,
				b.region)
			return
		}
	}
	if opening != a.Opening || sums[kindCredit] != a.Credits || sums[kindCapture] != a.Captured ||
		sums[kindRefund] != a.Refunded || balance != a.Balance {
		b.report.fail(Balances, "account %s of %s has other sums than its movements", a.Account, b.region)
	}
	var captured, refunded int64
	for _, h := range a.holds {
		captured, refunded = captured+h.Captured, refunded+h.CoreRefunded
	}
	if captured != a.Captured || refunded != a.Refunded {
		b.report.fail(Balances, "account %s of %s lost %d fen, its holds took %d", a.Account, b.region,
			a.Captured-a.Refunded, captured-refunded)
	}
}

// checkOpenHolds is I-2. What is left of virtual limits is held too.
func (b *books) checkOpenHolds(a *account) {
	var open int64
	for _, g := range a.reserves {
		open += g.Reserved
		if g.Reserve != g.Reserved || g.Status == client.GrantRevoked && g.Reserve != 0 {
			b.report.fail(OpenHolds, "grant %s is %s with %d fen reserved, the core system holds %d", g.ID, g.Status, g.Reserve,
				g.Reserved)
		}
	}
	for _, h := range a.holds {
		if h.CoreState == coreOpen {
			open += h.CoreHeld
		}
	}
	if open != a.Held {
		b.report.fail(OpenHolds, "account %s of %s holds %d fen, its open holds are %d", a.Account, b.region, a.Held, open)
	}
	if most := max(0, a.Balance-at(b.rules, b.end.Stamp).Floor); a.Held > most {
		b.report.fail(OpenHolds, "account %s of %s holds %d fen, %d are free above the floor", a.Account, b.region,
			a.Held, most)
	}
}

// event is a moment at which a hold begins or ceases to count, wholly or in part.
type event struct {
	at    time.Time
	order int // of what has one stamp: what ended before, then what began, then what ended as it began
	hold  *client.AuditHold
	begin bool
	gain  int64 // by how much it changes what counts
}

// ends is the end of a hold, or of a refund of it: what it frees is free from then on.
func ends(at time.Time, h *client.AuditHold, gain int64) event {
	order := 0
	if !at.After(h.CheckedAt) {
		order = 2
	}
	return event{at: at, order: order, hold: h, gain: gain}
}

// events are those of the holds that ever counted, in the order of the log. A hold that was asked for and given back
// in one entry is left out: nobody can tell whether it still counted when the others of that entry were checked.
func events(holds []*client.AuditHold) []event {
	var out []event
	for _, h := range holds {
		if !h.Checked || h.Amount == 0 || (h.EndedAt.Equal(h.CheckedAt) && h.Captured == 0) {
			continue
		}
		out = append(out, event{at: h.CheckedAt, order: 1, hold: h, begin: true, gain: h.Amount})
		if !h.EndedAt.IsZero() {
			out = append(out, ends(h.EndedAt, h, h.Captured-h.Amount))
		}
		for _, r := range h.Returns {
			if r.State == refundDone {
				out = append(out, ends(r.EndedAt, h, -r.Amount)) // back to the year and visit of its hold
			}
		}
	}
	slices.SortStableFunc(out, func(x, y event) int { return cmp.Or(x.at.Compare(y.at), cmp.Compare(x.order, y.order)) })
	return out
}

// replay is I-7 for what is counted by account: quota of the year, visit limit, retained floor.
func (b *books) replay(a *account) {
	years, visits := map[int]int64{}, map[string]int64{}
	for _, e := range events(a.holds) {
		h := e.hold
		visit := h.VisitRegion + " " + h.VisitID
		years[h.Year] += e.gain
		visits[visit] += e.gain
		if !e.begin {
			continue
		}
		rules := at(b.rules, e.at)
		if quota, ok := quota(rules.AnnualShare, a.YearOpening); h.Year == a.Year && (!ok || years[h.Year] > quota) {
			b.report.fail(Limits, "hold %s: account %s gave %d fen of year %d, its quota is %d", h.ID, a.Account,
				years[h.Year], h.Year, quota)
		}
		if limit, ok := rules.VisitLimits[h.Purpose]; ok && visits[visit] > limit {
			b.report.fail(Limits, "hold %s: account %s gave %d fen to one visit, the limit is %d", h.ID, a.Account,
				visits[visit], limit)
		}
	}
	for _, m := range a.movements {
		if floor := at(b.rules, m.At).Floor; m.Kind == kindHold && m.Held > max(0, m.Balance-floor) {
			b.report.fail(Limits, "movement %d of account %s went below the floor of %d fen", m.Seq, a.Account, floor)
		}
	}
	for _, h := range a.holds {
		if h.Amount > 0 && (!h.Checked || h.CheckedAt.IsZero()) {
			b.report.fail(Limits, "hold %s was placed and its limits were never checked", h.ID)
		}
	}
}

// quota is ⌊share × opening⌋ in fen, in whole numbers; false if share is no decimal number.
func quota(share string, opening int64) (int64, bool) {
	r, ok := new(big.Rat).SetString(share)
	if !ok {
		return 0, false
	}
	r.Mul(r, new(big.Rat).SetInt64(opening))
	q := new(big.Int).Quo(r.Num(), r.Denom())
	return q.Int64(), q.IsInt64()
}

// checkGrant is I-7 for what is counted by grant: the limit of one leg, and of a year.
func (b *books) checkGrant(id string, items []grantItem) error {
	var grant client.AuditGrant
	var holds []*client.AuditHold
	for _, item := range items {
		switch {
		case item.Grant != nil:
			grant = *item.Grant
		case item.Hold != nil:
			holds = append(holds, item.Hold)
		}
	}
	years := map[int]int64{}
	for _, e := range events(holds) {
		h := e.hold
		years[h.Year] += e.gain
		if !e.begin || h.CheckedAt.Before(grant.Since) {
			continue
		}
		switch {
		case grant.ID == "":
			b.report.fail(Limits, "hold %s is on a grant that does not exist", h.ID)
		case grant.PerPayment > 0 && h.Amount > grant.PerPayment:
			b.report.fail(Limits, "hold %s has %d fen, its grant %s allows %d", h.ID, h.Amount, id, grant.PerPayment)
		case grant.Annual > 0 && years[h.Year] > grant.Annual:
			b.report.fail(Limits, "hold %s: grant %s gave %d fen of year %d and allows %d", h.ID, id, years[h.Year], h.Year,
				grant.Annual)
		}
	}
	return nil
}
