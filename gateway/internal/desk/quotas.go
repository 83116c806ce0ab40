package desk

import (
	"cmp"
	"context"
	"slices"

	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// Quota says what is left of a payer's account this year, for the account and each grant, and why. It asks what
// a hold would ask, without any effect.
func (d *Desk) Quota(ctx context.Context, f client.QuotaRequest) (client.Quota, error) {
	if err := d.home(f.Person.Region); err != nil {
		return client.Quota{}, err
	}
	no, facts, err := d.Settle.Facts(ctx, identity(f.Person))
	if err != nil {
		return client.Quota{}, d.asked(err, d.Self)
	}
	if !facts.Known {
		e := d.refusal(policy.CodeIdentityMismatch)
		e.Field = "/person"
		return client.Quota{}, e
	}
	if policy.Scheme(facts.Scheme) != policy.SchemeEmployee {
		return client.Quota{}, policy.Refuse(policy.CodePayerScheme, "/person")
	}
	var out client.Quota
	err = d.view(ctx, func(v ledger.View) error {
		grants, next, failed := quotaGrants(v, no, f)
		if failed != nil {
			return failed
		}
		q, failed := v.Quota(d.Now(), no, facts, d.Ledger.InForce(), grants)
		if failed != nil {
			return failed
		}
		out = shownQuota(&q)
		out.Person, out.NextCursor = f.Person.Masked(), next
		out.Grants, failed = d.shownGrantQuotas(v, &q)
		return failed
	})
	return out, err
}

// quotaGrants is one page of a payer's grants, oldest first.
func quotaGrants(v ledger.View, no string, f client.QuotaRequest) ([]*ledger.GrantRecord, string, error) {
	if no == "" {
		return nil, "", nil
	}
	all, err := v.GrantsOfPayer(no, grantsRead)
	if err != nil {
		return nil, "", err
	}
	slices.SortStableFunc(all, func(a, b *ledger.GrantRecord) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	if f.Cursor != "" {
		at := slices.IndexFunc(all, func(g *ledger.GrantRecord) bool { return g.ID == f.Cursor })
		if at < 0 {
			return nil, "", nil // as with every list: behind what is not there comes nothing
		}
		all = all[at+1:]
	}
	if len(all) <= f.Limit {
		return all, "", nil
	}
	return all[:f.Limit], all[f.Limit-1].ID, nil
}

func shownQuota(q *ledger.AccountQuota) client.Quota {
	quota := q.Ask.Terms.Share.Of(q.Ask.Opening)
	out := client.Quota{
		Year: q.Year, Opening: q.Ask.Opening.String(), Provisional: q.Facts.Provisional, Share: q.Ask.Terms.Share.String(),
		Quota: quota.String(), Used: q.Ask.UsedYear.String(), Left: quota.Less(q.Ask.UsedYear).String(),
		RetainedFloor: q.Ask.Terms.Floor.String(), Balance: q.Ask.Balance.String(), Held: q.Ask.OpenHolds.String(),
		Available: q.Decision.Given.String(), DecidedBy: string(q.Decision.LimitedBy),
		Limits: []client.QuotaLimit{}, Purposes: []client.PurposeQuota{},
	}
	for _, l := range q.Decision.Limits {
		if l.InForce {
			out.Limits = append(out.Limits, client.QuotaLimit{Code: string(l.Code), Allows: l.Allows.String()})
		}
	}
	if q.Refused != "" {
		out.Available, out.DecidedBy = money.Amount(0).String(), string(q.Refused)
	}
	for _, p := range q.Purposes {
		quota := p.Ask.Terms.Share.Of(p.Ask.Opening)
		shown := client.PurposeQuota{
			Purpose: string(p.Purpose), Share: p.Ask.Terms.Share.String(), Quota: quota.String(),
			Left: quota.Less(p.Ask.UsedYear).String(), VisitLimit: optionalAmount(p.Ask.Terms.VisitLimit),
			Available: p.Decision.Given.String(), DecidedBy: string(p.Decision.LimitedBy),
		}
		if q.Refused != "" {
			shown.Available, shown.DecidedBy = out.Available, out.DecidedBy
		}
		out.Purposes = append(out.Purposes, shown)
	}
	return out
}

func optionalAmount(a money.Amount) string {
	if a <= 0 {
		return ""
	}
	return a.String()
}

func (d *Desk) shownGrantQuotas(v ledger.View, q *ledger.AccountQuota) ([]client.GrantQuota, error) {
	out := []client.GrantQuota{}
	day := policy.Day(d.Now())
	for _, x := range q.Grants {
		to, err := masked(v, string(x.Grant.Beneficiary))
		if err != nil {
			return nil, err
		}
		g := client.GrantQuota{
			GrantID: x.Grant.ID, Beneficiary: to, Relation: string(x.Grant.Terms.Relation),
			Status:          string(x.Grant.EffectiveStatus(day)),
			PerPaymentLimit: optionalAmount(x.Grant.Terms.PerPaymentLimit),
			AnnualLimit:     optionalAmount(x.Grant.Terms.AnnualLimit), Used: x.Used.String(),
			Available: x.Available.String(), LimitedBy: string(x.LimitedBy),
		}
		if x.Grant.Terms.AnnualLimit > 0 {
			g.Left = x.Grant.Terms.AnnualLimit.Less(x.Used).String()
		}
		out = append(out, g)
	}
	return out, nil
}
