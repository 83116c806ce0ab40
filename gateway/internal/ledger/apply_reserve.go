package ledger

import (
	"strconv"
	"time"

	"gongji/adapters"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// Reserve is what is left of a virtual limit, held from the payer in the region's Book. A payment under the
// grant draws from it: the Book's hold is given back and taken again smaller, under the next reference, and the leg's
// own hold takes what became free, all in one entry.
type Reserve struct {
	Left   money.Amount // held; 0: nothing is
	Number int          // of the newest reference
	Year   int          // the business year whose quota Left counts in: that in which the grant was made
	Due    time.Time    // the deadline that stands in the state: the day after the last one
}

// Walk is the record.Record of a Reserve.
func (r *Reserve) Walk(c *record.Coder) {
	record.Int(c, &r.Left)
	record.Int(c, &r.Number)
	record.Int(c, &r.Year)
	c.Time(&r.Due)
}

// ReserveRef is the reference under which the Book holds what is left of a grant's virtual limit.
func (g *GrantRecord) ReserveRef() string { return g.ID + "/v" + strconv.Itoa(g.Reserve.Number) }

// virtual reports whether payments under the grant draw from a reserve.
func (g *GrantRecord) virtual() bool { return g.Terms.Funding == grant.FundingVirtualLimit }

// reservable tells whether a virtual limit can be held from a payer wholly: what the account may still give in this
// year, for no purpose of its own, is asked as of any leg. The refusal names the limit.
func (x *tx) reservable(now time.Time, payer string, limit money.Amount, rules *policy.Rules) error {
	if x.l.cfg.Book == nil {
		return policy.Refuse(policy.CodeNotSupported, "/funding")
	}
	account, ok, err := x.l.cfg.Book.Account(x, payer)
	if err != nil {
		x.fail(err)
	}
	if !ok {
		return policy.Refuse(policy.CodeIdentityMismatch, "/payer")
	}
	year := policy.Year(now)
	d := policy.Decide(policy.Ask{
		Amount: limit, Balance: money.Amount(account.Balance), OpenHolds: money.Amount(account.Held),
		Opening:  money.Amount(account.InYear(year).Opening),
		Credited: money.Amount(account.InYear(year).Credited),
		UsedYear: x.used(useYear(payer, year)), Terms: rules.Terms(""),
	})
	if d.Given < limit {
		return policy.Refuse(d.LimitedBy, "/limit")
	}
	return nil
}

// reserve holds a new grant's virtual limit from the payer.
func (x *tx) reserve(now time.Time, g *GrantRecord) {
	if !g.virtual() {
		return
	}
	g.Reserve.Year = policy.Year(now)
	x.resize(now, g, g.Terms.Limit)
}

// resize makes the reserve what is to be left, which the Book has: its floor and the year's quota were asked when the
// limit was made. With 0 everything goes back to the account.
func (x *tx) resize(now time.Time, g *GrantRecord, left money.Amount) {
	r, account := &g.Reserve, string(g.Payer)
	before := r.Left
	if r.Left > 0 {
		x.reason(x.l.cfg.Book.Release(x, now, g.ReserveRef()))
		r.Left = 0
	}
	if left > 0 {
		r.Number++
		held, err := x.l.cfg.Book.Hold(x, now, g.ReserveRef(), account, left.Fen(), 0)
		if x.reason(err) == "" {
			r.Left = money.Amount(held)
		}
	}
	x.addUse(useYear(account, r.Year), r.Left-before)
}

// holdInBook places a leg in the Book: from the account, or from the reserve of its grant. What a reserve has lost to
// the leg counts in the leg's year from now on.
func (x *tx) holdInBook(now time.Time, h *HoldRecord) []hold.Action {
	g := get(x, x.l.grants, h.GrantID)
	amount, floor := h.Amount, h.Floor()
	drawn := g != nil && g.virtual()
	if drawn {
		amount, floor = min(amount, g.Reserve.Left), 0
		x.resize(now, g, g.Reserve.Left-amount)
	}
	held, err := x.l.cfg.Book.Hold(x, now, h.ID, h.Account, amount.Fen(), floor.Fen())
	reason := x.reason(err)
	if drawn {
		if lost := amount - money.Amount(held); lost > 0 || reason != "" {
			x.resize(now, g, g.Reserve.Left+lost)
		}
		put(x, x.l.grants, g.ID, g)
	}
	if reason != "" {
		return h.CoreRefusedHold(now, codeOf(reason))
	}
	return h.CoreHeld(now, money.Amount(held))
}

// refill brings back to the reserve what a leg has freed. It stays in the account when the grant is over, or when the
// Book holds nothing from the account just now, since the payer's insurance is not in force.
func (x *tx) refill(now time.Time, h *HoldRecord, amount money.Amount) {
	g := get(x, x.l.grants, h.GrantID)
	if amount <= 0 || g == nil || !g.virtual() || g.EffectiveStatus(policy.Day(now)).Final() || x.err != nil {
		return
	}
	account, ok, err := x.l.cfg.Book.Account(x, h.Account)
	if err != nil {
		x.fail(err)
		return
	}
	if !ok || account.Scheme != adapters.SchemeEmployee || account.Status != adapters.StatusNormal {
		return
	}
	x.resize(now, g, g.Reserve.Left+amount)
	put(x, x.l.grants, g.ID, g)
}

// keepGrant writes a grant. What a virtual limit has left goes back when the grant is over; until then its last day
// has a deadline.
func (x *tx) keepGrant(now time.Time, g *GrantRecord) {
	if g.virtual() {
		due := time.Time{}
		if g.Status.Final() {
			x.resize(now, g, 0)
		} else if g.Terms.ValidUntil != 0 {
			due = g.Terms.ValidUntil.AddDays(1).Start()
		}
		x.wake(dueGrant, g.ID, g.Reserve.Due, due)
		g.Reserve.Due = due
	}
	put(x, x.l.grants, g.ID, g)
}

// expireGrant ends a grant with a virtual limit on the day after its last one, and reports whether the item still
// stood.
func (x *tx) expireGrant(now time.Time, item dueItem) bool {
	g := get(x, x.l.grants, item.id)
	if g == nil || !g.Reserve.Due.Equal(item.at) {
		return false
	}
	x.change(now, Request{}, item.id, func(g grant.Grant) (grant.Grant, error) { return g.Expire(now) })
	return true
}
