package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"gongji/adapters"
	"gongji/adapters/embedded"
	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
)

// newYear is midnight in Beijing: the first instant of 2027.
var newYear = time.Date(2026, 12, 31, 16, 0, 0, 0, time.UTC)

// at sets the clock so that the next command is stamped with t.
func (f *fed) at(t time.Time) { f.now = t.Add(-time.Microsecond) }

// visits asks amount for a visit in Shanghai and lets the messages flow.
func (f *fed) visits(who someone, amount, visit string) *ledger.PaymentRecord {
	f.t.Helper()
	c := f.bill(shanghai, who, amount)
	c.VisitID = visit
	p := f.payment(f.done(shanghai, c).ID)
	f.flow()
	return p
}

// limited is a payer of Beijing or Shanghai with one limit that bites at 100.00, and whether the year sets it back.
type limited struct {
	code   policy.Code
	yearly bool
	home   federation.Region
	facts  ledger.Facts
	rules  func(r *policy.Rules)
	terms  func(t *grant.Terms)
	fresh  string // what the new year allows at most, where it is yearly
}

func everyLimit() []limited {
	none, same := func(*policy.Rules) {}, func(*grant.Terms) {}
	return []limited{
		{policy.CodeBalanceInsufficient, false, beijing, employee(100_00, 1_000_00), func(r *policy.Rules) {
			r.AnnualShare = money.Whole
		}, same, ""},
		{policy.CodeAnnualQuota, true, beijing, employee(1_000_00, 166_67), none, same, "600.00"},
		{policy.CodeRetainedFloor, false, beijing, employee(1_000_00, 2_000_00), func(r *policy.Rules) {
			r.RetainedFloor = 900_00
		}, same, ""},
		{policy.CodeVisitLimit, false, beijing, employee(1_000_00, 2_000_00), func(r *policy.Rules) {
			r.VisitLimits = []policy.VisitLimit{{Purpose: policy.PurposeOutpatient, Limit: 100_00}}
		}, same, ""},
		{policy.CodePaymentLimit, false, beijing, employee(1_000_00, 2_000_00), none, func(t *grant.Terms) {
			t.PerPaymentLimit = 100_00
		}, ""},
		{policy.CodeGrantAnnualLimit, true, beijing, employee(1_000_00, 2_000_00), none, func(t *grant.Terms) {
			t.AnnualLimit = 100_00
		}, "100.00"},
	}
}

// begin makes the limit's federation, an hour before the year ends.
func (l limited) begin(t *testing.T) (*fed, someone, someone) {
	t.Helper()
	f := federationOf(t, beijing, shanghai, fuzhou)
	f.at(newYear.Add(-time.Hour))
	rules, err := rulebook.BuiltIn(string(l.home))
	if err != nil {
		t.Fatal(err)
	}
	rules.EffectiveFrom = policy.Day(f.now)
	l.rules(&rules)
	f.rules(rules)
	payer, mother := f.live("Payer", l.home, l.facts), f.live("Mother", fuzhou, resident())
	f.grantsWith(payer, mother, l.terms)
	return f, payer, mother
}

// tries is one payment of 500.00 and what it must hold.
func (f *fed) tries(who someone, visit, held string, code policy.Code) *ledger.PaymentRecord {
	f.t.Helper()
	p := f.visits(who, "500.00", visit)
	want := fmt.Sprintf("held %s/500.00; 110000 placed %s %s", held, held, code)
	switch held {
	case "0.00":
		want = fmt.Sprintf("declined 0.00/500.00; 110000 declined 0.00; -110000 %s", code)
	case "500.00":
		want = "held 500.00/500.00; 110000 placed 500.00"
	}
	f.want(p, want)
	return p
}

// TestEachLimitAcrossMidnight: what was placed at 23:59:59.999999 counts for the limits of its own year; those
// that no year sets back count it at 00:00:00 as before. What is taken or given back afterwards counts where it was
// placed.
func TestEachLimitAcrossMidnight(t *testing.T) {
	t.Parallel()
	for _, l := range everyLimit() {
		for _, act := range []string{"capture", "part", "release", "expire", "refund", "refund later"} {
			t.Run(string(l.code)+" "+act, func(t *testing.T) {
				t.Parallel()
				l.across(t, act)
			})
		}
	}
}

func (l limited) across(t *testing.T, act string) {
	t.Helper()
	f, payer, mother := l.begin(t)
	f.at(newYear.Add(-time.Millisecond))
	old := f.tries(mother, "visit", "100.00", l.code)
	if l.code != policy.CodePaymentLimit {
		f.tries(mother, "visit", "0.00", l.code)
	}
	if h := f.hold(&f.payment(old.ID).Legs[0]); h.Year != 2026 {
		t.Fatalf("the hold counts for %d", h.Year)
	}

	if act == "refund later" {
		f.confirms(old, "100.00")
		f.flow()
	}

	// On the other side: a fresh year for what the year sets back, and nothing new for the rest.
	f.at(newYear)
	fresh := "0.00"
	if l.yearly {
		fresh = l.fresh
		if fresh == "600.00" {
			fresh = "500.00"
		}
	}
	if l.code == policy.CodePaymentLimit {
		fresh = "100.00"
	}
	next := f.tries(mother, "visit", fresh, l.code)
	if f.payment(next.ID).Held > 0 {
		if h := f.hold(&f.payment(next.ID).Legs[0]); h.Year != 2027 {
			t.Fatalf("the new hold counts for %d", h.Year)
		}
		f.cancels(next)
		f.flow()
	}

	left := map[string]string{
		"capture": "100.00", "part": "30.00", "release": "0.00", "expire": "0.00", "refund": "60.00", "refund later": "60.00",
	}[act]
	switch act {
	case "capture", "part":
		f.confirms(old, left)
	case "refund":
		f.confirms(old, "100.00")
		f.flow()
		f.givesBack(old, "40.00")
	case "refund later":
		f.givesBack(old, "40.00")
	case "release":
		f.cancels(old)
	case "expire":
		f.pass(15 * time.Minute)
	}
	f.flow()
	f.pass(time.Second)
	f.flow()
	if h := f.hold(&f.payment(old.ID).Legs[0]); h.Year != 2026 || !h.State.Final() || h.Counted != yuan(t, left) {
		t.Fatalf("%+v", h)
	}
	if balance, held := f.account(payer); balance != l.facts.Balance-yuan(t, left) || held != 0 {
		t.Fatalf("%s and %s held", balance, held)
	}
	l.after(f, mother, act, yuan(t, left))
}

// after: what the new year gives once the old hold has ended, with what of it was taken.
func (l limited) after(f *fed, mother someone, act string, taken money.Amount) {
	f.t.Helper()
	want := money.Amount(100_00) - taken
	code := l.code
	switch l.code {
	case policy.CodeBalanceInsufficient:
		if act == "refund later" { // the year began with an empty account, of which nothing can be shared
			want, code = 0, policy.CodeAnnualQuota
		}
	case policy.CodeAnnualQuota: // of the balance with which the year began, whatever was given back of the old year
		want = 500_00
	case policy.CodeGrantAnnualLimit, policy.CodePaymentLimit:
		want = 100_00
	}
	f.tries(mother, "visit", want.String(), code)
}

// TestCheckedAfterMidnight: the year of a hold is that of its check at the home, not of the payment's entry.
func TestCheckedAfterMidnight(t *testing.T) {
	t.Parallel()
	f, _, mother := couple(t, "110000", employee(1_000_00, 100_00), nil)
	f.at(newYear.Add(-time.Microsecond))
	c := f.bill(shanghai, mother, "500.00")
	p := f.payment(f.done(shanghai, c).ID)
	f.at(newYear)
	f.flow()
	f.want(p, "held 500.00/500.00; 110000 placed 500.00") // 60.00 of the old year, 600.00 of the new one
	if h := f.hold(&f.payment(p.ID).Legs[0]); h.Year != 2027 || !h.CheckedAt.Equal(newYear) {
		t.Errorf("%+v", h)
	}
}

// TestQuoteAcrossMidnight: a look at the limits a microsecond before midnight and at midnight.
func TestQuoteAcrossMidnight(t *testing.T) {
	t.Parallel()
	f, _, mother := couple(t, "110000", employee(1_000_00, 100_00), nil)
	f.at(newYear.Add(-time.Hour))
	f.tries(mother, "visit", "60.00", policy.CodeAnnualQuota)
	for at, want := range map[time.Time]string{newYear.Add(-time.Microsecond): "0.00", newYear: "600.00"} {
		q, err := f.view(beijing).Quote(at, ledger.Wanted{
			Origin: shanghai, GrantID: f.indexOf(mother)[0].Entry.ID, Amount: 900_00, Purpose: policy.PurposeOutpatient,
			VisitID: "v", Beneficiary: tokensOf(f.person(beijing, mother)),
		}, nil, f.regions[beijing].nodes[0].l.InForce())
		if err != nil || q.Amount != yuan(t, want) {
			t.Errorf("at %s: %+v, %v, want %s", at, q, err, want)
		}
	}
}

// givesBack asks for a refund that must begin.
func (f *fed) givesBack(p *ledger.PaymentRecord, amount string) {
	f.t.Helper()
	f.done(regionOf(p), &ledger.CreateRefund{
		Request: f.request(), PaymentID: p.ID, Amount: yuan(f.t, amount), Reason: "returned",
	})
	f.flow()
}

// publish brings a year's opening into the Book, under the ledger: the core's own business.
func (f *fed) publish(s someone, year int, opening money.Amount) {
	f.t.Helper()
	no := f.number(s.home, s)
	for _, n := range f.regions[s.home].nodes {
		a := adapters.Account{
			Scheme: adapters.SchemeEmployee, Status: adapters.StatusNormal, Year: year, Opening: opening.Fen(),
		}
		if err := embedded.New(ledger.KeyBook).Open(n.txn, f.now, no, a); err != nil {
			f.t.Fatal(err)
		}
		if err := n.l.Reset(n.txn); err != nil {
			f.t.Fatal(err)
		}
	}
}

// TestOpeningPublishedLate: until the opening of the new year is published, the balance at the first touch
// stands in for it; then the published one, with all that was placed meanwhile counted; and it does not change again.
func TestOpeningPublishedLate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opening     money.Amount
		first, next string // once published; once all but 100.00 was given back
	}{
		{2_000_00, "700.00", "1100.00"}, // 1200.00 of quota, 500.00 of it placed
		{1_000_00, "100.00", "500.00"},  // as the provisional one
		{833_33, "0.00", "399.99"},      // ⌊499.998⌋, below what was placed: nothing more, and nothing is taken back
		{0, "0.00", "0.00"},
	} {
		t.Run(c.opening.String(), func(t *testing.T) {
			t.Parallel()
			f, payer, mother := couple(t, "110000", employee(1_000_00, 9_000_00), nil)
			f.at(newYear)
			held := f.tries(mother, "a", "500.00", "")
			v := f.view(beijing)
			a, _, err := v.Account(f.number(beijing, payer))
			if err != nil || !a.Provisional || a.Year != 2027 || a.Opening != 1_000_00 {
				t.Fatalf("%+v, %v", a, err)
			}
			f.now = newYear.AddDate(0, 0, 2)
			f.publish(payer, 2027, c.opening)
			f.now = newYear.Add(time.Minute) // the payment's own time has not passed
			f.allows(payer, mother, c.first)
			f.confirms(held, "100.00")
			f.flow()
			f.allows(payer, mother, c.next)
			f.publish(payer, 2027, 7_777_00) // what is published once stays
			f.allows(payer, mother, c.next)
		})
	}
}

// allows: how much the year's quota allows, whatever the balance.
func (f *fed) allows(payer, mother someone, want string) {
	f.t.Helper()
	v := f.view(payer.home)
	facts, _, err := v.Account(f.number(payer.home, payer))
	if err != nil {
		f.t.Fatal(err)
	}
	facts.Balance, facts.Held = 9_000_00, 0
	q, err := v.Quote(f.now, ledger.Wanted{
		Origin: shanghai, GrantID: f.indexOf(mother)[0].Entry.ID, Amount: 5_000_00, Purpose: policy.PurposeOutpatient,
		VisitID: "v", Beneficiary: tokensOf(f.person(payer.home, mother)),
	}, &facts, f.regions[payer.home].nodes[0].l.InForce())
	if err != nil || q.Amount != yuan(f.t, want) || q.Code == "" && q.LimitedBy != policy.CodeAnnualQuota {
		f.t.Fatalf("the quota allows %+v (%v), want %s", q, err, want)
	}
}

// TestValidityAtMidnight: a grant can be used to the last microsecond of valid_until and from the first one of
// valid_from; a hold that was placed before finishes; one that was asked for before and is checked after is declined.
func TestValidityAtMidnight(t *testing.T) {
	t.Parallel()
	day := func(s string) policy.Date {
		d, err := policy.ParseDate(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	f, payer, mother := couple(t, "110000", employee(9_000_00, 9_000_00), func(terms *grant.Terms) {
		terms.ValidUntil = day("2026-12-31")
	})
	later := f.live("Later", shanghai, employee(9_000_00, 9_000_00))
	f.grantsWith(later, mother, func(terms *grant.Terms) { terms.ValidFrom = day("2027-01-01") })

	f.at(newYear.Add(-time.Millisecond))
	p := f.visits(mother, "10.00", "a")
	f.want(p, "held 10.00/10.00; 110000 placed 10.00; -310000 grant_not_active")
	f.at(newYear.Add(-time.Microsecond))
	c := f.bill(fuzhou, mother, "10.00")
	f.done(fuzhou, c) // the look-up of the old year
	f.at(newYear)
	f.flow()
	f.want(f.payment(c.PaymentID),
		"declined 0.00/10.00; 110000 declined 0.00; -310000 grant_not_active; -110000 grant_not_active")
	f.want(f.visits(mother, "10.00", "c"), "held 10.00/10.00; 310000 placed 10.00")
	f.confirms(p, "4.00")
	f.flow()
	f.wantAccount(payer, "8996.00", "0.00")
}

// TestDecideByAcrossMidnight: the deadline is an instant, on whatever side of midnight: confirmed before it,
// expired from it on, and neither both.
func TestDecideByAcrossMidnight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		placed, by, confirmed time.Duration // from midnight
		code                  policy.Code
	}{
		{-10 * time.Second, 0, -time.Microsecond, ""},
		{-10 * time.Second, 0, 0, policy.CodeExpired},
		{-10 * time.Second, 5 * time.Second, 5*time.Second - time.Microsecond, ""},
		{-10 * time.Second, 5 * time.Second, 5 * time.Second, policy.CodeExpired},
		{-10 * time.Second, -time.Microsecond, 0, policy.CodeExpired},
	} {
		f, payer, mother := couple(t, "110000", employee(9_000_00, 9_000_00), nil)
		f.at(newYear.Add(c.placed))
		create := f.bill(shanghai, mother, "10.00")
		create.DecideWithin = c.by - c.placed
		p := f.payment(f.done(shanghai, create).ID)
		f.flow()
		if !f.payment(p.ID).DecideBy.Equal(newYear.Add(c.by)) {
			t.Fatalf("decide_by is %s", f.payment(p.ID).DecideBy)
		}
		f.at(newYear.Add(c.confirmed))
		out := f.apply(shanghai, &ledger.Confirm{Request: f.request(), PaymentID: p.ID, All: true})
		if out.Code != c.code {
			t.Errorf("%+v: answered %q", c, out.Code)
		}
		f.flow()
		f.pass(time.Minute)
		f.flow()
		left, state := "8990.00", "captured 10.00/10.00; 110000 captured 10.00 took 10.00"
		if c.code != "" {
			left, state = "9000.00", "expired 10.00/10.00; 110000 released 10.00"
		}
		f.want(p, state)
		f.wantAccount(payer, left, "0.00")
	}
}
