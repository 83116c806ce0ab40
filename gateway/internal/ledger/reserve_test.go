package ledger_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"gongji/adapters"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// virtual makes the terms those of a virtual limit.
func virtual(limit money.Amount) func(*grant.Terms) {
	return func(t *grant.Terms) { t.Funding, t.Limit = grant.FundingVirtualLimit, limit }
}

// reserved has a grant with a virtual limit of 300.00. The son has 1000.00, of which Beijing shares 600.00 in the year.
func reserved(t testing.TB) (*fed, string) {
	t.Helper()
	f := federationOf(t, beijing, shanghai, fuzhou)
	f.son = f.live("Son", beijing, employee(100000, 100000))
	f.mother = f.live("Mother", fuzhou, resident())
	return f, f.grantsWith(f.son, f.mother, virtual(30000))
}

// wantReserve: what is left of the virtual limit, what the Book holds of it under its newest reference, and what the
// account holds in all.
func (f *fed) wantReserve(id string, left, held money.Amount) {
	f.t.Helper()
	g := f.grant(id)
	in, err := f.view(beijing).BookHold(g.ReserveRef())
	if err != nil {
		f.t.Fatal(err)
	}
	book := money.Amount(0)
	if in.State == adapters.HoldOpen {
		book = money.Amount(in.Held)
	}
	account, _, err := f.view(beijing).Account(string(g.Payer))
	if err != nil || g.Reserve.Left != left || book != left || account.Held != held {
		f.t.Fatalf("%s are left, the Book holds %s of it and %s in all; want %s and %s (%v)", g.Reserve.Left, book,
			account.Held, left, held, err)
	}
}

// TestReserve: the limit is held at once, payments draw from it, what they do not take comes back to it, and the
// rest goes back to the account and its quota when the grant ends.
func TestReserve(t *testing.T) {
	t.Parallel()
	f, id := reserved(t)
	f.wantReserve(id, 30000, 30000)
	p := f.pays(shanghai, f.mother, "100.00")
	f.want(p, "held 100.00/100.00; 110000 placed 100.00")
	f.wantReserve(id, 20000, 30000)
	f.confirms(p, "60.00")
	f.flow()
	f.want(p, "captured 100.00/100.00; 110000 captured 100.00 took 60.00")
	f.wantReserve(id, 24000, 24000)
	q := f.pays(shanghai, f.mother, "300.00") // more than is left
	f.want(q, "held 240.00/300.00; 110000 placed 240.00 balance_insufficient")
	f.wantReserve(id, 0, 24000)
	f.want(f.pays(shanghai, f.mother, "1.00"), "declined 0.00/1.00; 110000 declined 0.00; -110000 balance_insufficient")
	f.cancels(q)
	f.flow()
	f.wantReserve(id, 24000, 24000)

	// The quota has 600.00 less 60.00 taken and 240.00 reserved: 300.00 for somebody else.
	aunt := f.live("Aunt", fuzhou, resident())
	other := f.grants(f.son, aunt)
	r := f.pays(shanghai, aunt, "400.00")
	f.want(r, "held 300.00/400.00; 110000 placed 300.00 annual_quota")
	f.cancels(r)
	f.done(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: other})
	q = f.pays(shanghai, f.mother, "40.00")
	f.done(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: id})
	f.flow()
	f.wantReserve(id, 0, 4000) // the leg that is under way finishes
	f.cancels(q)
	f.flow()
	f.wantReserve(id, 0, 0)
	f.grants(f.son, aunt)
	f.want(f.pays(shanghai, aunt, "600.00"), "held 540.00/600.00; 110000 placed 540.00 annual_quota")
}

// TestReserveRefused: a limit that is not wholly there is refused with the limit's name, and nothing is made.
func TestReserveRefused(t *testing.T) {
	t.Parallel()
	f := federationOf(t, beijing, fuzhou, "core:"+shanghai)
	son := f.live("Son", beijing, employee(100000, 100000))
	poor := f.live("Poor", beijing, employee(5000, 100000))
	keeps := f.live("Keeps", fuzhou, employee(250000, 1000000))
	mother := f.live("Mother", fuzhou, resident())
	asks := func(payer someone, limit money.Amount) *ledger.MakeGrant {
		terms := f.terms(payer.home)
		virtual(limit)(&terms)
		return f.granting(payer, mother, terms)
	}
	f.refused(beijing, asks(son, 60001), policy.CodeAnnualQuota)
	f.refused(beijing, asks(poor, 5001), policy.CodeBalanceInsufficient)
	f.refused(fuzhou, asks(keeps, 50001), policy.CodeRetainedFloor)
	f.done(beijing, asks(son, 60000))
	f.done(beijing, asks(poor, 5000))
	f.done(fuzhou, asks(keeps, 50000))

	outside := asks(someone{"110101199003070011", "Out", shanghai}, 100)
	outside.PayerFacts = new(employee(20000, 20000))
	f.refused(shanghai, outside, policy.CodeNotSupported)
}

// TestReserveEnds: whatever ends the grant gives the rest back at once; a suspended grant keeps it.
func TestReserveEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(f *fed, id string){
		"revoked": func(f *fed, id string) { f.done(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: id}) },
		"renounced": func(f *fed, id string) {
			f.done(fuzhou, &ledger.RenounceGrant{Request: f.request(), GrantID: id})
		},
		"beneficiary gone": func(f *fed, _ string) {
			f.standing(f.mother, policy.SchemeResident, policy.StatusTerminated)
			f.done(fuzhou, &ledger.EndInsurance{Person: f.number(fuzhou, f.mother)})
		},
		"payer gone": func(f *fed, _ string) {
			f.standing(f.son, policy.SchemeEmployee, policy.StatusTerminated)
			f.pays(shanghai, f.mother, "1.00")
		},
		"last day over": func(f *fed, id string) {
			until := policy.Day(f.now).AddDays(2)
			f.done(beijing, ledger.Patched(f.request(), id, grant.Patch{ValidUntil: &until}))
			f.now = until.AddDays(1).Start().Add(-time.Second)
			f.pass(0)
			f.wantReserve(id, 30000, 30000)
			f.pass(time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, id := reserved(t)
			f.done(beijing, ledger.Patched(f.request(), id, grant.Patch{Status: new(grant.StatusSuspended)}))
			f.wantReserve(id, 30000, 30000)
			f.done(beijing, ledger.Patched(f.request(), id, grant.Patch{Status: new(grant.StatusActive)}))
			f.flow()
			end(f, id)
			f.flow()
			f.wantReserve(id, 0, 0)
			if g := f.grant(id); !g.Status.Final() || g.Cause == "" {
				t.Errorf("%s %s", g.Status, g.Cause)
			}
		})
	}
}

// TestReserveOfSuspendedPayer: the Book holds nothing anew from somebody who is not insured just now, so what a
// leg gives back then stays in the account.
func TestReserveOfSuspendedPayer(t *testing.T) {
	t.Parallel()
	f, id := reserved(t)
	p := f.pays(shanghai, f.mother, "100.00")
	f.standing(f.son, policy.SchemeEmployee, policy.StatusSuspended)
	f.cancels(p)
	f.flow()
	f.wantReserve(id, 20000, 20000)
	f.done(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: id})
	f.wantReserve(id, 0, 0)
}

// TestReserveOverTheYear: a reserve counts in the year in which it was made; what a payment of another
// year draws moves to that year's quota, which is asked.
func TestReserveOverTheYear(t *testing.T) {
	t.Parallel()
	f, id := reserved(t)
	aunt := f.live("Aunt", fuzhou, resident())
	f.now = time.Date(2026, 12, 31, 15, 59, 0, 0, time.UTC) // 23:59 in Beijing
	f.grants(f.son, aunt)
	old := f.pays(shanghai, f.mother, "50.00")
	f.now = time.Date(2026, 12, 31, 16, 0, 0, 0, time.UTC)
	f.pass(time.Minute)
	f.cancels(old) // back into the reserve of 2026
	f.flow()
	f.wantReserve(id, 30000, 30000)

	// 2027: 1000.00 of balance, 600.00 to share; 500.00 are the aunt's.
	f.want(f.pays(shanghai, aunt, "500.00"), "held 500.00/500.00; 110000 placed 500.00")
	p := f.pays(fuzhou, f.mother, "200.00")
	f.want(p, "held 100.00/200.00; 110000 placed 100.00 annual_quota")
	f.wantReserve(id, 20000, 80000)
	f.confirms(p, "80.00")
	f.flow()
	f.wantReserve(id, 22000, 72000) // 20.00 are 2026's again
	f.want(f.pays(fuzhou, f.mother, "200.00"), "held 20.00/200.00; 110000 placed 20.00 annual_quota")
	f.done(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: id})
	f.wantReserve(id, 0, 52000)
}

// TestReserveNeverLoses: whatever is granted, drawn, captured, released, refunded and ended, in any order: the
// reserve's hold and the legs' are all that the Book holds, and the account has what was not captured.
func TestReserveNeverLoses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		f, id := reserved(t)
		var open []*ledger.PaymentRecord
		ids := []string{id}
		for range rapid.IntRange(1, 25).Draw(rt, "acts") {
			amount := money.Amount(rapid.Int64Range(1, 15000).Draw(rt, "amount"))
			switch rapid.SampledFrom([]string{"pay", "pay", "capture", "cancel", "end", "grant", "suspend", "back", "day"}).
				Draw(rt, "act") {
			case "pay":
				if p := f.pays(shanghai, f.mother, amount.String()); p.Held > 0 {
					open = append(open, p)
				}
			case "capture":
				if len(open) > 0 {
					p := f.payment(open[0].ID)
					f.confirms(p, min(amount, p.Held).String())
					open = open[1:]
				}
			case "cancel":
				if len(open) > 0 {
					f.cancels(open[0])
					open = open[1:]
				}
			case "end":
				f.apply(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: ids[len(ids)-1]})
			case "grant":
				terms := f.terms(beijing)
				virtual(amount)(&terms)
				if out := f.apply(beijing, f.granting(f.son, f.mother, terms)); out.Code == "" {
					ids = append(ids, out.ID)
				}
			case "suspend":
				f.standing(f.son, policy.SchemeEmployee, policy.StatusSuspended)
			case "back":
				f.standing(f.son, policy.SchemeEmployee, policy.StatusNormal)
			case "day":
				f.flow()
				f.pass(time.Minute)
			}
			f.flow()
			f.sumsUp(rt, ids)
		}
	})
}

// sumsUp checks the son's account against his holds and reserves.
func (f *fed) sumsUp(t *rapid.T, ids []string) {
	v := f.view(beijing)
	no := f.number(beijing, f.son)
	account, _, err := v.Account(no)
	if err != nil {
		t.Fatal(err)
	}
	var held, captured, quota money.Amount
	for _, id := range ids {
		g := f.grant(id)
		held += g.Reserve.Left
		quota += g.Reserve.Left
		if g.Reserve.Left > g.Terms.Limit || g.Status.Final() && g.Reserve.Left > 0 {
			t.Fatalf("%s of %s are left of a grant that is %s", g.Reserve.Left, g.Terms.Limit, g.Status)
		}
	}
	err = v.Holds(func(h *ledger.HoldRecord) bool {
		if !h.State.Final() {
			held += h.Amount
		}
		captured += h.Captured
		quota += h.Counts()
		return true
	})
	used, failed := v.UsedYear(no, policy.Year(f.now))
	if err != nil || failed != nil || account.Held != held || account.Balance != 100000-captured || used != quota {
		t.Fatalf("the Book has %s with %s held; %s captured and %s held are known, %s of %s count (%v, %v)",
			account.Balance, account.Held, captured, held, used, quota, err, failed)
	}
}
