package ledger

import (
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// Verdict is what the rules said to one hold, with the facts that they said it by: recorded with the hold, so that
// the decision can be explained later by what was known then, whatever rules and limits say by now. Numbers only: the
// texts are made by whoever explains. It is never changed once it is made.
type Verdict struct {
	Rules       policy.Date // the day from which the version that decided holds; with it the hold is finished, too
	Scheme      int         // of the payer, as the core said
	Status      int         // of the payer's insurance
	GrantUsable bool
	PairOpen    bool
	Provisional bool // Ask.Opening is not published yet
	// Ask is what the limits depended on; zero where the use was refused before.
	Ask policy.Ask
	// Given is what the rules gave, before the core had its say.
	Given     money.Amount
	LimitedBy policy.Code // the limit that decided, "" if none
	Limits    [policy.LimitCount]Allowed
}

// Allowed is what one limit allowed, in the order of policy.Decision.
type Allowed struct {
	InForce bool
	Amount  money.Amount // 0 where the limit was not in force
}

// Bits of a Verdict's truth values, one number in the record; bit verdictLimits+n is the n-th limit's InForce.
const (
	verdictUsable = 1 << iota
	verdictPair
	verdictProvisional
	verdictCarried
	verdictLimits = 4

	verdictReserved = 1 << (verdictLimits + policy.LimitCount)
	verdictCounted  = verdictReserved << 1
)

// Walk is the record.Record of a Verdict.
func (v *Verdict) Walk(c *record.Coder) {
	bits := v.bits()
	c.U64(&bits)
	if c.Reading() {
		v.setBits(bits)
	}
	record.Int(c, &v.Rules)
	record.Int(c, &v.Scheme)
	record.Int(c, &v.Status)
	a := &v.Ask
	record.Int(c, &a.Terms.Share)
	for _, amount := range []*money.Amount{
		&a.Amount, &a.Balance, &a.OpenHolds, &a.Opening, &a.Credited, &a.UsedYear, &a.UsedVisit, &a.UsedGrant,
		&a.PaymentLimit, &a.GrantAnnualLimit, &a.Terms.Floor, &a.Terms.VisitLimit, &v.Given,
	} {
		record.Int(c, amount)
	}
	record.Str(c, &v.LimitedBy)
	for i := range v.Limits {
		record.Int(c, &v.Limits[i].Amount)
	}
}

func (v *Verdict) bits() uint64 {
	var bits uint64
	for i, set := range []bool{v.GrantUsable, v.PairOpen, v.Provisional, v.Ask.Terms.CarriedOver} {
		if set {
			bits |= 1 << i
		}
	}
	for i := range v.Limits {
		if v.Limits[i].InForce {
			bits |= 1 << (verdictLimits + i)
		}
	}
	if v.Ask.Reserved {
		bits |= verdictReserved
	}
	if v.Ask.QuotaCounted {
		bits |= verdictCounted
	}
	return bits
}

func (v *Verdict) setBits(bits uint64) {
	v.GrantUsable = bits&verdictUsable != 0
	v.PairOpen = bits&verdictPair != 0
	v.Provisional = bits&verdictProvisional != 0
	v.Ask.Terms.CarriedOver = bits&verdictCarried != 0
	v.Ask.Reserved, v.Ask.QuotaCounted = bits&verdictReserved != 0, bits&verdictCounted != 0
	for i := range v.Limits {
		v.Limits[i].InForce = bits&(1<<(verdictLimits+i)) != 0
	}
}

// decided fills in what Decide said.
func (v *Verdict) decided(in policy.Ask) {
	d := policy.Decide(in)
	v.Ask, v.Given, v.LimitedBy = in, d.Given, d.LimitedBy
	for i, l := range d.Limits {
		v.Limits[i] = Allowed{InForce: l.InForce}
		if l.InForce {
			v.Limits[i].Amount = l.Allows
		}
	}
}

// Floor is what must stay in the account for this hold: by the rules that decided on it, whatever has come into force
// since. A hold that no rules have let through leaves everything where it is.
func (h *HoldRecord) Floor() money.Amount {
	if h.Verdict == nil {
		return money.Max
	}
	return h.Verdict.Ask.Terms.Floor
}
