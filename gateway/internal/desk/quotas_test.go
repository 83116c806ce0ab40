package desk_test

import (
	"slices"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

func (w *world) quota(who regiontest.Person, change ...func(*client.QuotaRequest)) (client.Quota, error) {
	f := client.QuotaRequest{Person: who.Person, Limit: 100}
	for _, c := range change {
		c(&f)
	}
	return w.region(who.Region).Desk.Quota(w.t.Context(), f)
}

// TestQuotas: what is left of an account and of each grant, and which limit says so; it is what a payment gets.
func TestQuotas(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		aunt := regiontest.Resident(string(shanghai), "周小妹", 45)
		w.open(aunt)
		first := w.grant(payers[2], grandson, func(f *client.GrantRequest) { f.AnnualLimit = "1000.00" })
		second := w.grant(payers[2], aunt, func(f *client.GrantRequest) { f.PerPaymentLimit = "50.00" })
		paid := w.pay(w.sh, grandson, "300.00")
		_, _, err := w.sh.Desk.Confirm(t.Context(), w.key(), paid.PaymentID, amount(t, "200.00"), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		w.pay(w.bj, grandson, "100.00")
		q, err := w.quota(payers[2])
		if err != nil {
			t.Fatal(err)
		}
		want := client.Quota{
			Person: payers[2].Masked(), Year: 2000, Opening: "5000.00", Share: "0.70", Quota: "3500.00", Used: "300.00",
			Left: "3200.00", RetainedFloor: "2000.00", Balance: "4800.00", Held: "100.00", Available: "2700.00",
			DecidedBy: "retained_floor",
		}
		limits, grants := q.Limits, q.Grants
		purposes := len(q.Purposes)
		q.Limits, q.Grants, q.Purposes = nil, nil, nil
		if !sameQuota(q, want) {
			t.Errorf("%+v\nwant\n%+v", q, want)
		}
		if !slices.Equal(limits, []client.QuotaLimit{
			{Code: "balance_insufficient", Allows: "4700.00"},
			{Code: "annual_quota", Allows: "3200.00"},
			{Code: "retained_floor", Allows: "2700.00"},
		}) {
			t.Errorf("%+v", limits)
		}
		if !slices.Equal(grants, []client.GrantQuota{
			{
				GrantID: first, Beneficiary: grandson.Masked(), Relation: "parent", Status: "active", AnnualLimit: "1000.00",
				Used: "300.00", Left: "700.00", Available: "700.00", LimitedBy: "grant_annual_limit",
			},
			{
				GrantID: second, Beneficiary: aunt.Masked(), Relation: "parent", Status: "active", PerPaymentLimit: "50.00",
				Used: "0.00", Available: "50.00", LimitedBy: "payment_limit",
			},
		}) || purposes != 0 {
			t.Errorf("%+v, %d purposes", grants, purposes)
		}
		w.quotaPages(payers[2], first, second)
		if p := w.pay(w.sh, grandson, "5000.00"); p.Held != "700.00" || p.Legs[0].LimitedBy != "grant_annual_limit" {
			t.Errorf("a payment gets otherwise: %+v", p)
		}
	})
}

func sameQuota(a, b client.Quota) bool {
	return a.Person == b.Person && a.Year == b.Year && a.Provisional == b.Provisional && slices.Equal(
		[]string{a.Opening, a.Share, a.Quota, a.Used, a.Left, a.RetainedFloor, a.Balance, a.Held, a.Available, a.DecidedBy},
		[]string{b.Opening, b.Share, b.Quota, b.Used, b.Left, b.RetainedFloor, b.Balance, b.Held, b.Available, b.DecidedBy})
}

func (w *world) quotaPages(who regiontest.Person, first, second string) {
	w.t.Helper()
	one := func(f *client.QuotaRequest) { f.Limit = 1 }
	page, err := w.quota(who, one)
	if err != nil || len(page.Grants) != 1 || page.Grants[0].GrantID != first || page.NextCursor != first {
		w.t.Errorf("%+v, %v", page, err)
	}
	page, err = w.quota(who, one, func(f *client.QuotaRequest) { f.Cursor = first })
	if err != nil || len(page.Grants) != 1 || page.Grants[0].GrantID != second || page.NextCursor != "" {
		w.t.Errorf("%+v, %v", page, err)
	}
	page, err = w.quota(who, func(f *client.QuotaRequest) { f.Cursor = "g-none" })
	if err != nil || len(page.Grants) != 0 {
		w.t.Errorf("%+v, %v", page, err)
	}
}

// TestQuotaReasons: why nothing can be used, and purposes with terms of their own.
func TestQuotaReasons(t *testing.T) {
	t.Parallel()
	config := regiontest.Config{Rules: func(r federation.Region, rules *policy.Rules) {
		if r == beijing {
			rules.PurposeShares = []policy.PurposeShare{{Purpose: policy.PurposeChronic, Share: rules.AnnualShare + 1}}
		}
	}}
	with(t, config, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		g := w.grant(payers[0], grandson)
		_, _, err := w.bj.Desk.PatchGrant(t.Context(), w.key(), g, client.GrantPatch{Status: client.GrantSuspended})
		if err != nil {
			t.Fatal(err)
		}
		q, err := w.quota(payers[0])
		if err != nil || q.Grants[0].LimitedBy != "grant_not_active" || q.Grants[0].Available != "0.00" ||
			q.Grants[0].Status != "suspended" || q.DecidedBy != "annual_quota" || q.Available != "600.00" {
			t.Errorf("%+v, %v", q, err)
		}
		if len(q.Purposes) != 1 || q.Purposes[0].Purpose != "chronic" || q.Purposes[0].Quota <= q.Quota {
			t.Errorf("%+v", q.Purposes)
		}
		_, err = w.quota(grandson)
		refused(t, err, policy.CodePayerScheme)
		wrong := payers[0]
		wrong.Name = "周建业"
		_, err = w.quota(wrong)
		refused(t, err, policy.CodeIdentityMismatch)
		_, err = w.sh.Desk.Quota(t.Context(), client.QuotaRequest{Person: payers[0].Person, Limit: 1})
		refused(t, err, policy.CodeNotHomeRegion)
		idle := regiontest.Employee(string(beijing), "周停保", 46, 10_000)
		idle.Facts.Status = int(policy.StatusSuspended)
		w.open(idle)
		q, err = w.quota(idle)
		if err != nil || q.Available != "0.00" || q.DecidedBy != "payer_not_insured" || len(q.Grants) != 0 {
			t.Errorf("%+v, %v", q, err)
		}
	})
}
