package policy_test

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
)

// yuan reads an amount that a test is sure of.
func yuan(t testing.TB, s string) money.Amount {
	t.Helper()
	a, err := money.Parse(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return a
}

// rule is one limit as R-16 words it: may this account give x fen more? It is written as
// a condition on what would then be true, with numbers of any size, and not as the
// subtraction that Decide makes.
type rule struct {
	code policy.Code
	may  func(in policy.Ask, x *big.Int) bool
}

func fen(a money.Amount) *big.Int        { return big.NewInt(a.Fen()) }
func plus(a, b *big.Int) *big.Int        { return new(big.Int).Add(a, b) }
func times(a *big.Int, n int64) *big.Int { return new(big.Int).Mul(a, big.NewInt(n)) }
func atMost(a, b *big.Int) bool          { return a.Cmp(b) <= 0 }

// rulesOfR16 in the order of api.md section 3.
var rulesOfR16 = []rule{
	{"balance_insufficient", func(in policy.Ask, x *big.Int) bool { // what is held never exceeds what is there
		return atMost(plus(fen(in.OpenHolds), x), fen(in.Balance))
	}},
	{"annual_quota", func(in policy.Ask, x *big.Int) bool { // (used + x) ≤ share × opening, in whole fen
		// carried over only: what was credited this year stays behind
		if in.Terms.CarriedOver && !atMost(plus(plus(fen(in.OpenHolds), x), fen(in.Credited)), fen(in.Balance)) {
			return false
		}
		return atMost(times(plus(fen(in.UsedYear), x), 10_000), times(fen(in.Opening), int64(in.Terms.Share)))
	}},
	{"retained_floor", func(in policy.Ask, x *big.Int) bool { // the floor stays behind
		return atMost(plus(plus(fen(in.OpenHolds), x), fen(in.Terms.Floor)), fen(in.Balance))
	}},
	{"visit_limit", func(in policy.Ask, x *big.Int) bool {
		return in.Terms.VisitLimit == 0 || atMost(plus(fen(in.UsedVisit), x), fen(in.Terms.VisitLimit))
	}},
	{"payment_limit", func(in policy.Ask, x *big.Int) bool {
		return in.PaymentLimit == 0 || atMost(x, fen(in.PaymentLimit))
	}},
	{"grant_annual_limit", func(in policy.Ask, x *big.Int) bool {
		return in.GrantAnnualLimit == 0 || atMost(plus(fen(in.UsedGrant), x), fen(in.GrantAnnualLimit))
	}},
}

// most finds the largest x from 0 to asked that a rule lets through, by halving; 0 is always
// let through, since nothing given breaks nothing.
func most(r rule, in policy.Ask) int64 {
	low, high := int64(0), in.Amount.Fen()
	for low < high {
		x := low + (high-low+1)/2
		if r.may(in, big.NewInt(x)) {
			low = x
		} else {
			high = x - 1
		}
	}
	return low
}

// decideSlowly is the second opinion.
func decideSlowly(in policy.Ask) (int64, policy.Code) {
	given := in.Amount.Fen()
	for _, r := range rulesOfR16 {
		given = min(given, most(r, in))
	}
	if given == in.Amount.Fen() {
		return given, ""
	}
	for _, r := range rulesOfR16 {
		if most(r, in) == given {
			return given, r.code
		}
	}
	return given, "none"
}

// ask is a comfortable account: nothing limits 100.00.
func ask() policy.Ask {
	return policy.Ask{
		Amount: 100_00, Balance: 10_000_00, Opening: 10_000_00, Terms: policy.Terms{Share: 6_000},
	}
}

func TestDecideTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		set   func(*policy.Ask)
		given string
		by    policy.Code
	}{
		{"all given", func(*policy.Ask) {}, "100.00", ""},
		{"nothing asked", func(in *policy.Ask) { in.Amount = 0 }, "0.00", ""},
		{"empty account", func(in *policy.Ask) { in.Balance = 0 }, "0.00", "balance_insufficient"},
		{
			"empty account of an empty year", func(in *policy.Ask) { in.Balance, in.Opening = 0, 0 }, "0.00",
			"balance_insufficient",
		},
		{"exactly the balance", func(in *policy.Ask) { in.Balance = 100_00 }, "100.00", ""},
		{"a fen short", func(in *policy.Ask) { in.Balance = 99_99 }, "99.99", "balance_insufficient"},
		{"holds count", func(in *policy.Ask) { in.OpenHolds = 9_950_00 }, "50.00", "balance_insufficient"},
		{"holds above the balance", func(in *policy.Ask) { in.OpenHolds = 10_001_00 }, "0.00", "balance_insufficient"},
		{"no opening balance", func(in *policy.Ask) { in.Opening = 0 }, "0.00", "annual_quota"},
		{"60 % of one fen", func(in *policy.Ask) { in.Amount, in.Opening = 1, 1 }, "0.00", "annual_quota"},
		{"60 % of two fen", func(in *policy.Ask) { in.Amount, in.Opening = 2, 2 }, "0.01", "annual_quota"},
		{"quota to the fen", func(in *policy.Ask) { in.Opening = 166_66 }, "99.99", "annual_quota"},
		{"quota met exactly", func(in *policy.Ask) { in.Opening = 166_67 }, "100.00", ""},
		{"quota used up", func(in *policy.Ask) { in.UsedYear = 6_000_00 }, "0.00", "annual_quota"},
		{"quota overdrawn", func(in *policy.Ask) { in.UsedYear = 7_000_00 }, "0.00", "annual_quota"},
		{"floor", func(in *policy.Ask) { in.Terms.Floor, in.Balance = 2_000_00, 2_040_00 }, "40.00", "retained_floor"},
		{
			"below the floor", func(in *policy.Ask) { in.Terms.Floor, in.Balance = 2_000_00, 1_500_00 }, "0.00",
			"retained_floor",
		},
		{
			"empty, with a floor", func(in *policy.Ask) { in.Terms.Floor, in.Balance = 2_000_00, 0 }, "0.00",
			"balance_insufficient",
		},
		{"floor and holds", func(in *policy.Ask) {
			in.Terms.Floor, in.Balance, in.OpenHolds = 2_000_00, 2_100_00, 30_00
		}, "70.00", "retained_floor"},
		{"visit", func(in *policy.Ask) { in.Terms.VisitLimit, in.UsedVisit = 500_00, 420_00 }, "80.00", "visit_limit"},
		{"visit without limit", func(in *policy.Ask) { in.UsedVisit = 420_00 }, "100.00", ""},
		{
			"visit overdrawn", func(in *policy.Ask) { in.Terms.VisitLimit, in.UsedVisit = 500_00, 600_00 }, "0.00",
			"visit_limit",
		},
		{"payment", func(in *policy.Ask) { in.PaymentLimit = 30_00 }, "30.00", "payment_limit"},
		{
			"grant's year", func(in *policy.Ask) { in.GrantAnnualLimit, in.UsedGrant = 1_000_00, 999_99 }, "0.01",
			"grant_annual_limit",
		},
		{
			"grant's year used up", func(in *policy.Ask) { in.GrantAnnualLimit, in.UsedGrant = 1_000_00, 1_000_00 },
			"0.00", "grant_annual_limit",
		},
		{"the lowest decides", func(in *policy.Ask) {
			in.PaymentLimit, in.GrantAnnualLimit, in.Terms.VisitLimit = 30_00, 20_00, 25_00
		}, "20.00", "grant_annual_limit"},
		{"carried over only", func(in *policy.Ask) {
			in.Balance, in.Credited, in.Terms.CarriedOver = 1_050_00, 1_000_00, true
		}, "50.00", "annual_quota"},
		{"carried over only, held already", func(in *policy.Ask) {
			in.Balance, in.Credited, in.OpenHolds, in.Terms.CarriedOver = 1_050_00, 1_000_00, 30_00, true
		}, "20.00", "annual_quota"},
		{"carried over only, nothing left of it", func(in *policy.Ask) {
			in.Balance, in.Credited, in.Terms.CarriedOver = 900_00, 1_000_00, true
		}, "0.00", "annual_quota"},
		{"carried over only, nothing credited", func(in *policy.Ask) {
			in.Balance, in.Terms.CarriedOver = 50_00, true
		}, "50.00", "balance_insufficient"},
		{"carried over only, the share is less", func(in *policy.Ask) {
			in.Balance, in.Opening, in.Credited, in.Terms.CarriedOver = 1_100_00, 100_00, 1_000_00, true
		}, "60.00", "annual_quota"},
		{"credits count where the region does not say so", func(in *policy.Ask) { in.Credited = in.Balance }, "100.00", ""},
		{
			"equal limits: balance before quota", func(in *policy.Ask) { in.Balance, in.Opening = 60_00, 100_00 },
			"60.00", "balance_insufficient",
		},
		{"equal limits: quota before floor", func(in *policy.Ask) {
			in.Opening, in.Balance, in.Terms.Floor = 100_00, 2_060_00, 2_000_00
		}, "60.00", "annual_quota"},
		{"equal limits: floor before visit", func(in *policy.Ask) {
			in.Balance, in.Terms.Floor, in.Terms.VisitLimit = 2_060_00, 2_000_00, 60_00
		}, "60.00", "retained_floor"},
		{"equal limits: visit before payment", func(in *policy.Ask) {
			in.Terms.VisitLimit, in.PaymentLimit = 60_00, 60_00
		}, "60.00", "visit_limit"},
		{"equal limits: payment before grant", func(in *policy.Ask) {
			in.PaymentLimit, in.GrantAnnualLimit = 60_00, 60_00
		}, "60.00", "payment_limit"},
		{"all limits at what is asked name none", func(in *policy.Ask) {
			in.PaymentLimit, in.GrantAnnualLimit, in.Terms.VisitLimit, in.Balance = 100_00, 100_00, 100_00, 100_00
		}, "100.00", ""},
		{"the largest amounts", func(in *policy.Ask) {
			in.Amount, in.Balance, in.Opening = money.Max, money.Max, money.Max
		}, "599999999999.99", "annual_quota"},
	} {
		in := ask()
		c.set(&in)
		d := policy.Decide(in)
		if d.Given != yuan(t, c.given) || d.LimitedBy != c.by {
			t.Errorf("%s: %s by %q, want %s by %q", c.name, d.Given, d.LimitedBy, c.given, c.by)
		}
		if given, by := decideSlowly(in); d.Given.Fen() != given || d.LimitedBy != by {
			t.Errorf("%s: the second opinion is %d by %q", c.name, given, by)
		}
	}
}

// near draws amounts that lie close to each other and to the edges, so that limits meet.
func near() *rapid.Generator[money.Amount] {
	return rapid.Custom(func(t *rapid.T) money.Amount {
		base := rapid.SampledFrom([]int64{
			0, 1, 2, 50_000, 200_000, 408_400, money.Max.Fen() / 2,
			money.Max.Fen(),
		}).Draw(t, "base")
		a := base + rapid.Int64Range(-3, 3).Draw(t, "off")
		return money.Amount(min(max(a, 0), money.Max.Fen()))
	})
}

// amounts draws both such and any.
func amounts() *rapid.Generator[money.Amount] {
	return rapid.OneOf(near(), rapid.Map(rapid.Int64Range(0, 1_000),
		func(v int64) money.Amount { return money.Amount(v) }),
		rapid.Map(rapid.Int64Range(0, money.Max.Fen()), func(v int64) money.Amount { return money.Amount(v) }))
}

func asks() *rapid.Generator[policy.Ask] {
	return rapid.Custom(func(t *rapid.T) policy.Ask {
		a := amounts()
		return policy.Ask{
			Amount: a.Draw(t, "amount"), Balance: a.Draw(t, "balance"), OpenHolds: a.Draw(t, "holds"),
			Opening: a.Draw(t, "opening"), Credited: a.Draw(t, "credited"),
			UsedYear: a.Draw(t, "used"), UsedVisit: a.Draw(t, "visit"),
			PaymentLimit: a.Draw(t, "payment limit"), GrantAnnualLimit: a.Draw(t, "grant limit"),
			UsedGrant: a.Draw(t, "grant used"),
			Terms: policy.Terms{
				Share: money.Share(rapid.SampledFrom([]int32{0, 1, 5000, 6000, 7000, 9999, 10_000}).Draw(t, "share")),
				Floor: a.Draw(t, "floor"), VisitLimit: a.Draw(t, "visit limit"),
				CarriedOver: rapid.Bool().Draw(t, "carried over only"),
			},
		}
	})
}

func TestDecideAgainstSecondOpinion(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := asks().Draw(t, "ask")
		d := policy.Decide(in)
		given, by := decideSlowly(in)
		if d.Given.Fen() != given || d.LimitedBy != by {
			t.Fatalf("Decide gives %d by %q, the second opinion %d by %q", d.Given.Fen(), d.LimitedBy, given, by)
		}
		for i, r := range rulesOfR16 { // the explanation: each limit's own number
			l := d.Limits[i]
			if l.Code != r.code || l.Allows < 0 {
				t.Fatalf("limit %d is %+v", i, l)
			}
			if l.InForce && min(l.Allows, in.Amount).Fen() != most(r, in) || !l.InForce && most(r,
				in) != in.Amount.Fen() {
				t.Fatalf("%s allows %d, by the rule %d", l.Code, l.Allows.Fen(), most(r, in))
			}
		}
	})
}

// Whatever stands in the state, negative or beyond all bounds: nothing below 0, nothing above
// what is asked or there, and the same answer each time.
func TestDecideOfAnything(t *testing.T) {
	t.Parallel()
	wild := rapid.OneOf(
		rapid.SampledFrom([]money.Amount{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, money.Max, math.MaxInt64}),
		rapid.Map(rapid.Int64(), func(v int64) money.Amount { return money.Amount(v) }))
	rapid.Check(t, func(t *rapid.T) {
		in := policy.Ask{
			Amount: wild.Draw(t, "a"), Balance: wild.Draw(t, "b"), OpenHolds: wild.Draw(t, "h"),
			Opening:  wild.Draw(t, "o"),
			UsedYear: wild.Draw(t, "u"), UsedVisit: wild.Draw(t, "v"), PaymentLimit: wild.Draw(t, "p"),
			GrantAnnualLimit: wild.Draw(t, "g"), UsedGrant: wild.Draw(t, "ug"),
			Terms: policy.Terms{
				Share: money.Share(rapid.Int32().Draw(t, "s")), Floor: wild.Draw(t, "f"), VisitLimit: wild.Draw(t,
					"vl"),
			},
		}
		d := policy.Decide(in)
		if d.Given < 0 || d.Given > max(in.Amount, 0) || d.Given > max(in.Balance, 0) {
			t.Fatalf("gives %d", d.Given)
		}
		if in.OpenHolds >= 0 && in.OpenHolds >= in.Balance && d.Given != 0 {
			t.Fatalf("gives %d of what is held", d.Given)
		}
		if (d.LimitedBy == "") != (d.Given == max(in.Amount, 0)) {
			t.Fatalf("gives %d of %d, limited by %q", d.Given, in.Amount, d.LimitedBy)
		}
		if d != policy.Decide(in) {
			t.Fatal("another answer the second time")
		}
	})
}

// leg is one hold of the walk below.
type leg struct {
	grant, visit int
	amount       money.Amount
	captured     money.Amount
	open         bool
}

// I-7: through any sequence of holds, captures, releases, credits and refunds, every limit
// holds at every moment. The sums are made anew from the legs each time.
func TestLimitsHoldThroughAnyHistory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		opening := money.Amount(rapid.Int64Range(0, 600_000).Draw(t, "opening"))
		terms := policy.Terms{
			Share:      money.Share(rapid.Int32Range(5_000, 7_000).Draw(t, "share")),
			Floor:      money.Amount(rapid.SampledFrom([]int64{0, 200_000}).Draw(t, "floor")),
			VisitLimit: money.Amount(rapid.SampledFrom([]int64{0, 50_000}).Draw(t, "visit limit")),
		}
		limits := []money.Amount{0, money.Amount(rapid.Int64Range(1, 100_000).Draw(t, "grant limit"))}
		balance := opening
		var legs []leg
		sum := func(counts func(leg) bool) (money.Amount, money.Amount) { // open, and used
			var open, used money.Amount
			for _, l := range legs {
				if l.open && counts(l) {
					open += l.amount
				}
				if counts(l) {
					used += l.captured
					if l.open {
						used += l.amount
					}
				}
			}
			return open, used
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			i := -1
			if len(legs) > 0 {
				i = rapid.IntRange(0, len(legs)-1).Draw(t, "leg")
			}
			switch rapid.SampledFrom([]string{
				"hold", "hold", "hold", "capture", "release", "refund",
				"credit",
			}).Draw(t, "step") {
			case "hold":
				l := leg{
					grant: rapid.IntRange(0, 1).Draw(t, "grant"), visit: rapid.IntRange(0, 2).Draw(t, "visit"),
					open: true,
				}
				in := policy.Ask{
					Amount: money.Amount(rapid.Int64Range(1, 200_000).Draw(t, "amount")), Balance: balance,
					Opening:          opening,
					GrantAnnualLimit: limits[l.grant], Terms: terms,
				}
				in.OpenHolds, in.UsedYear = sum(func(leg) bool { return true })
				_, in.UsedVisit = sum(func(o leg) bool { return o.visit == l.visit })
				_, in.UsedGrant = sum(func(o leg) bool { return o.grant == l.grant })
				l.amount = policy.Decide(in).Given
				legs = append(legs, l)
			case "capture":
				if i >= 0 && legs[i].open {
					legs[i].captured = money.Amount(rapid.Int64Range(0, legs[i].amount.Fen()).Draw(t, "captured"))
					legs[i].open = false
					balance -= legs[i].captured
				}
			case "release":
				if i >= 0 {
					legs[i].open = false
				}
			case "refund":
				if i >= 0 && !legs[i].open {
					back := money.Amount(rapid.Int64Range(0, legs[i].captured.Fen()).Draw(t, "refund"))
					legs[i].captured -= back
					balance += back
				}
			case "credit":
				balance += money.Amount(rapid.Int64Range(0, 50_000).Draw(t, "credit"))
			}
			open, used := sum(func(leg) bool { return true })
			if open > max(0, balance-terms.Floor) {
				t.Fatalf("I-2: %d held of %d with a floor of %d", open, balance, terms.Floor)
			}
			if used > terms.Share.Of(opening) {
				t.Fatalf("%d used of %s × %d", used, terms.Share, opening)
			}
			for v := range 3 {
				if _, u := sum(func(o leg) bool { return o.visit == v }); terms.VisitLimit > 0 && u > terms.VisitLimit {
					t.Fatalf("%d used of the visit's %d", u, terms.VisitLimit)
				}
			}
			if _, u := sum(func(o leg) bool { return o.grant == 1 }); u > limits[1] {
				t.Fatalf("%d used of the grant's %d", u, limits[1])
			}
		}
	})
}

func TestCheckEligible(t *testing.T) {
	t.Parallel()
	rules, err := rulebook.BuiltIn("350100")
	if err != nil {
		t.Fatal(err)
	}
	good := policy.Use{
		GrantUsable: true, Scheme: 310, Status: 1, Relation: "parent", PairOpen: true, Purpose: "outpatient",
		Rules: &rules,
	}
	if err := policy.CheckEligible(good); err != nil {
		t.Fatal(err)
	}
	// Each spoils one more thing, from the last check to the first: the first failing answers.
	u := good
	for _, c := range []struct {
		code  policy.Code
		spoil func()
	}{
		{policy.CodePurposeNotOpen, func() { u.Purpose = "checkup" }},
		{policy.CodeRegionPairClosed, func() { u.PairOpen = false }},
		{policy.CodeRelationNotAllowed, func() { u.Relation = "cousin" }},
		{policy.CodePayerNotInsured, func() { u.Status = 2 }},
		{policy.CodePayerScheme, func() { u.Scheme = 390 }},
		{policy.CodeGrantNotActive, func() { u.GrantUsable = false }},
	} {
		c.spoil()
		if got := policy.CodeOf(policy.CheckEligible(u)); got != c.code || !got.MayDecline() {
			t.Errorf("got %s, want %s", got, c.code)
		}
	}
	u = good
	u.Rules = nil
	if got := policy.CodeOf(policy.CheckEligible(u)); got != policy.CodeRelationNotAllowed {
		t.Errorf("without rules: %s", got)
	}
	u = good
	u.Rules = &policy.Rules{Relations: []policy.Relation{"spouse", "child"}}
	if got := policy.CodeOf(policy.CheckEligible(u)); got != policy.CodeRelationNotAllowed {
		t.Errorf("a region that allows fewer: %s", got)
	}
}

func TestStanding(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scheme       policy.Scheme
		status       policy.InsuredStatus
		payer, other policy.Code
		reason       string
	}{
		{310, 1, "", "", ""},
		{390, 1, "payer_scheme", "", ""},
		{310, 2, "payer_not_insured", "beneficiary_not_insured", "The insurance is suspended."},
		{310, 4, "payer_not_insured", "beneficiary_not_insured", "The insurance is terminated."},
		{310, 0, "payer_not_insured", "beneficiary_not_insured", "There is no insurance in force."},
		{310, 3, "payer_not_insured", "beneficiary_not_insured", "There is no insurance in force."},
		{390, 2, "payer_scheme", "beneficiary_not_insured", ""},
		{0, 1, "payer_scheme", "beneficiary_not_insured", ""},
		{391, 1, "payer_scheme", "beneficiary_not_insured", ""},
	} {
		payer := policy.CheckPayer(c.scheme, c.status)
		if got := policy.CodeOf(payer); got != c.payer {
			t.Errorf("payer %d/%d: %q, want %q", c.scheme, c.status, got, c.payer)
		}
		if got := policy.CodeOf(policy.CheckBeneficiary(c.scheme, c.status)); got != c.other {
			t.Errorf("beneficiary %d/%d: %q, want %q", c.scheme, c.status, got, c.other)
		}
		if r, ok := policy.AsRefusal(payer); ok && (r.Detail != c.reason || (r.DetailZH == "") != (r.Detail == "")) {
			t.Errorf("payer %d/%d: reason %q, want %q (R-03)", c.scheme, c.status, r.Detail, c.reason)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	in := ask()
	in.PaymentLimit, in.GrantAnnualLimit = 30_00, 1_000_00
	b.ReportAllocs()
	for b.Loop() {
		if policy.Decide(in).Given != 30_00 {
			b.Fatal("wrong")
		}
	}
}
