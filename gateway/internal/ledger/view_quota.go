package ledger

import (
	"time"

	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// AccountQuota is what an account can still give this year, and why not more, by the very questions that a hold
// is held against.
type AccountQuota struct {
	Year  int
	Rules *policy.Rules
	Facts Facts
	// Ask and Decision are of an outpatient bill without end, without a grant and outside of any visit.
	Ask      policy.Ask
	Decision policy.Decision
	// Refused is why the account can give nothing whatever its limits are; empty: it can.
	Refused  policy.Code
	Purposes []PurposeQuota
	Grants   []GrantQuota
}

// PurposeQuota is the decision for a purpose whose terms are not those of an outpatient bill.
type PurposeQuota struct {
	Purpose  policy.Purpose
	Ask      policy.Ask
	Decision policy.Decision
}

// GrantQuota is what one grant can still give at once.
type GrantQuota struct {
	Grant     *GrantRecord
	Used      money.Amount // of the year
	Available money.Amount
	LimitedBy policy.Code
}

// quotaPurpose is what the account's figures are told for: the everyday case.
const quotaPurpose = policy.PurposeOutpatient

// Quota says what is left of a payer's account, for some of its grants. facts are those of now.
func (v View) Quota(
	now time.Time, account string, facts Facts, in InForce, grants []*GrantRecord,
) (AccountQuota, error) {
	out := AccountQuota{Year: policy.Year(now), Facts: facts}
	out.Facts.Provisional = facts.account().InYear(out.Year).Provisional // a core may still speak of last year
	var err error
	if out.Rules, err = in.Rules.At(policy.Day(now)); err != nil {
		return out, err
	}
	if refusal := policy.CheckPayer(policy.Scheme(facts.Scheme), policy.InsuredStatus(facts.Status)); refusal != nil {
		out.Refused = policy.CodeOf(refusal)
	}
	var failed error
	used := func(key string) money.Amount {
		u, err := read[useRecord](v.r, keyUse, key)
		if err != nil {
			failed = err
		}
		if u == nil {
			return 0
		}
		return u.Used
	}
	asks := func(p policy.Purpose, g *GrantRecord) policy.Ask {
		h := &HoldRecord{
			Hold: hold.Hold{GrantID: g.ID, Asked: money.Max}, Account: account, Purpose: p, Year: out.Year,
			InCore: v.book == nil,
		}
		return ask(h, g, &facts, out.Rules, used)
	}
	out.Ask = asks(quotaPurpose, &GrantRecord{})
	out.Decision = policy.Decide(out.Ask)
	for _, p := range out.Rules.Purposes {
		if a := asks(p, &GrantRecord{}); a.Terms != out.Ask.Terms {
			out.Purposes = append(out.Purposes, PurposeQuota{p, a, policy.Decide(a)})
		}
	}
	for _, g := range grants {
		a := asks(quotaPurpose, g)
		d := policy.Decide(a)
		q := GrantQuota{Grant: g, Used: a.UsedGrant, Available: d.Given, LimitedBy: d.LimitedBy}
		switch {
		case !g.Usable(policy.Day(now)):
			q.Available, q.LimitedBy = 0, policy.CodeGrantNotActive
		case out.Refused != "":
			q.Available, q.LimitedBy = 0, out.Refused
		case !out.Rules.AllowsRelation(g.Terms.Relation):
			q.Available, q.LimitedBy = 0, policy.CodeRelationNotAllowed
		}
		out.Grants = append(out.Grants, q)
	}
	return out, failed
}
