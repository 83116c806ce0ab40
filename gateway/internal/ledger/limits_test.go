package ledger_test

import (
	"testing"
	"time"

	"gongji/adapters"
	"gongji/adapters/embedded"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

// couple is one payer with one beneficiary in another region, who visits a third.
func couple(t testing.TB, home string, facts ledger.Facts, change func(terms *grant.Terms)) (*fed, someone, someone) {
	t.Helper()
	f := federationOf(t, beijing, shanghai, fuzhou)
	payer := f.live("Payer", f.order[map[string]int{"110000": 0, "310000": 1, "350100": 2}[home]], facts)
	mother := f.live("Mother", fuzhou, resident())
	if change == nil {
		change = func(*grant.Terms) {}
	}
	f.grantsWith(payer, mother, change)
	return f, payer, mother
}

// TestShareOfTheOpening: the year's quota is the share of the opening in whole fen, over all that is held or captured;
// what is given back is free again.
func TestShareOfTheOpening(t *testing.T) {
	t.Parallel()
	f, payer, mother := couple(t, "110000", employee(100000, 33333), nil) // ⌊0.60 × 333.33⌋ = 199.99
	p := f.pays(shanghai, mother, "150.00")
	f.want(f.pays(shanghai, mother, "100.00"), "held 49.99/100.00; 110000 placed 49.99 annual_quota")
	f.want(f.pays(shanghai, mother, "100.00"), "declined 0.00/100.00; 110000 declined 0.00; -110000 annual_quota")
	f.confirms(p, "50.00")
	f.flow()
	f.want(f.pays(shanghai, mother, "500.00"), "held 100.00/500.00; 110000 placed 100.00 annual_quota")
	f.wantAccount(payer, "950.00", "149.99")

	f.now = time.Date(2026, 12, 31, 16, 0, 0, 0, time.UTC) // midnight in Beijing: a new year, an opening of its own
	f.flow()
	f.pass(time.Second)
	f.flow() // the holds of the old year expire
	f.wantAccount(payer, "950.00", "0.00")
	f.want(f.pays(shanghai, mother, "900.00"), "held 570.00/900.00; 110000 placed 570.00 annual_quota")
}

// TestYearOfTheHold: what was held in the old year counts there, also when it is captured in the new one.
func TestYearOfTheHold(t *testing.T) {
	t.Parallel()
	f, payer, mother := couple(t, "110000", employee(100000, 100000), nil)
	f.now = time.Date(2026, 12, 31, 15, 59, 50, 0, time.UTC)
	p := f.pays(shanghai, mother, "600.00")
	f.pass(20 * time.Second)
	f.want(f.pays(shanghai, mother, "600.00"), "held 400.00/600.00; 110000 placed 400.00 balance_insufficient")
	f.confirms(p, "600.00")
	f.flow()
	f.wantAccount(payer, "400.00", "400.00")
	if h := f.hold(&f.payment(p.ID).Legs[0]); h.Year != 2026 || h.Counted != h.Captured {
		t.Errorf("%+v", h)
	}
}

// TestFloor: only what is above the retained floor is shared, whatever is held at the moment.
func TestFloor(t *testing.T) {
	t.Parallel()
	f, payer, mother := couple(t, "350100", employee(230000, 500000), nil)
	f.want(f.pays(shanghai, mother, "250.00"), "held 250.00/250.00; 350100 placed 250.00")
	f.want(f.pays(shanghai, mother, "250.00"), "held 50.00/250.00; 350100 placed 50.00 retained_floor")
	f.want(f.pays(shanghai, mother, "250.00"), "declined 0.00/250.00; 350100 declined 0.00; -350100 retained_floor")
	f.wantAccount(payer, "2300.00", "300.00")
}

// TestVisitLimit: what one account gives to one visit, over several payments and purposes; another visit is free.
func TestVisitLimit(t *testing.T) {
	t.Parallel()
	f, _, mother := couple(t, "310000", employee(500000, 500000), nil)
	visit := func(visit string, purpose policy.Purpose, amount, want string) *ledger.PaymentRecord {
		t.Helper()
		c := f.bill(beijing, mother, amount)
		c.VisitID, c.Purpose = visit, purpose
		p := f.payment(f.done(beijing, c).ID)
		f.flow()
		f.want(p, want)
		return p
	}
	visit("a", policy.PurposeInpatient, "450.00", "held 450.00/450.00; 310000 placed 450.00")
	p := visit("a", policy.PurposeOutpatient, "100.00", "held 50.00/100.00; 310000 placed 50.00 visit_limit")
	visit("a", policy.PurposeOutpatient, "100.00", "declined 0.00/100.00; 310000 declined 0.00; -310000 visit_limit")
	visit("a", policy.PurposeInpatient, "100.00", "held 100.00/100.00; 310000 placed 100.00")
	visit("b", policy.PurposeOutpatient, "600.00", "held 500.00/600.00; 310000 placed 500.00 visit_limit")
	f.cancels(p)
	f.flow()
	visit("a", policy.PurposeOutpatient, "1.00", "declined 0.00/1.00; 310000 declined 0.00; -310000 visit_limit")
	// The same visit id in another region is another visit.
	c := f.bill(fuzhou, mother, "100.00")
	c.VisitID = "a"
	q := f.payment(f.done(fuzhou, c).ID)
	f.flow()
	f.want(q, "held 100.00/100.00; 310000 placed 100.00")
}

// TestGrantLimits: the payer's own, for one leg and for the year.
func TestGrantLimits(t *testing.T) {
	t.Parallel()
	f, _, mother := couple(t, "110000", employee(500000, 500000), func(terms *grant.Terms) {
		terms.PerPaymentLimit, terms.AnnualLimit = 30000, 50000
	})
	p := f.pays(shanghai, mother, "1000.00")
	f.want(p, "held 300.00/1000.00; 110000 placed 300.00 payment_limit")
	f.want(f.pays(shanghai, mother, "300.00"), "held 200.00/300.00; 110000 placed 200.00 grant_annual_limit")
	f.want(f.pays(shanghai, mother, "300.00"), "declined 0.00/300.00; 110000 declined 0.00; -110000 grant_annual_limit")
	f.confirms(p, "100.00")
	f.flow()
	f.want(f.pays(shanghai, mother, "300.00"), "held 200.00/300.00; 110000 placed 200.00 grant_annual_limit")
}

// TestBalance: no more than is free, of which the first limit among equals is named.
func TestBalance(t *testing.T) {
	t.Parallel()
	f, payer, mother := couple(t, "110000", employee(10000, 500000), nil)
	f.want(f.pays(shanghai, mother, "60.00"), "held 60.00/60.00; 110000 placed 60.00")
	f.want(f.pays(shanghai, mother, "60.00"), "held 40.00/60.00; 110000 placed 40.00 balance_insufficient")
	f.want(f.pays(shanghai, mother, "60.00"), "declined 0.00/60.00; 110000 declined 0.00; -110000 balance_insufficient")
	f.wantAccount(payer, "100.00", "100.00")
}

// TestEligible: what the payer's home refuses whatever the limits.
func TestEligible(t *testing.T) {
	t.Parallel()
	f, payer, mother := couple(t, "350100", employee(500000, 500000), nil)
	c := f.bill(shanghai, mother, "10.00")
	c.Purpose = policy.PurposeCheckup
	p := f.payment(f.done(shanghai, c).ID)
	f.flow()
	f.want(p, "declined 0.00/10.00; 350100 declined 0.00; -350100 purpose_not_open")

	// The payer's insurance is suspended between two payments.
	held := f.pays(shanghai, mother, "10.00")
	suspend(f, payer)
	f.want(f.pays(shanghai, mother, "10.00"), "declined 0.00/10.00; 350100 declined 0.00; -350100 payer_not_insured")
	f.confirms(held, "10.00")
	f.flow()
	f.want(held, "captured 10.00/10.00; 350100 captured 10.00 took 10.00")
}

// suspend sets a payer's insured status in the Book, under the ledger: the core's own business.
func suspend(f *fed, s someone) {
	f.t.Helper()
	no := f.number(s.home, s)
	for i, n := range f.regions[s.home].nodes {
		a := adapters.Account{Scheme: adapters.SchemeEmployee, Status: adapters.StatusSuspended}
		if err := embedded.New(ledger.KeyBook).Open(n.txn, f.now, no, a); err != nil {
			f.t.Fatal(err)
		}
		if err := n.l.Reset(n.txn); err != nil {
			f.t.Fatal(i, err)
		}
	}
}

// TestQuoteAgrees: a quote says what a payment then gives, and changes nothing.
func TestQuoteAgrees(t *testing.T) {
	t.Parallel()
	f, _, mother := couple(t, "310000", employee(500000, 500000), nil)
	ask := func(purpose policy.Purpose) ledger.Quoted {
		t.Helper()
		n := f.regions[shanghai].nodes[0]
		before := n.txn.Clone()
		q, err := f.view(shanghai).Quote(f.now, ledger.Wanted{
			Origin: beijing, GrantID: f.indexOf(mother)[0].Entry.ID, Amount: 90000, Purpose: purpose, VisitID: "v",
			Beneficiary: tokensOf(f.person(shanghai, mother)),
		}, nil, n.l.InForce())
		if err != nil || !before.Equal(n.txn) {
			t.Fatal("a quote changed something, or failed: ", err)
		}
		return q
	}
	if q := ask(policy.PurposeOutpatient); q.Amount != 50000 || q.LimitedBy != policy.CodeVisitLimit || q.Payer == "" {
		t.Errorf("%+v", q)
	}
	c := f.bill(beijing, mother, "450.00")
	c.VisitID = "v"
	f.done(beijing, c)
	f.flow()
	if q := ask(policy.PurposeOutpatient); q.Amount != 5000 {
		t.Errorf("%+v", q)
	}
	if q := ask("spa"); q.Code != policy.CodePurposeNotOpen || q.Amount != 0 {
		t.Errorf("%+v", q)
	}
	v, in := f.view(shanghai), f.regions[shanghai].nodes[0].l.InForce()
	stranger := ledger.Tokens{{Token: [32]byte{1}}}
	for name, w := range map[string]ledger.Wanted{
		"unknown grant":     {Origin: beijing, GrantID: "g-310000-none"},
		"another's grant":   {Origin: beijing, GrantID: f.indexOf(mother)[0].Entry.ID, Beneficiary: stranger},
		"nobody's and none": {},
	} {
		if q, err := v.Quote(f.now, w, nil, in); err != nil || q.Code != policy.CodeNotFound {
			t.Errorf("%s: %+v, %v", name, q, err)
		}
	}
}
