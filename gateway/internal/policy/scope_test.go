package policy_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// TestScopeOf: the first two digits are the province; the Xinjiang Corps (66) is none of Xinjiang's (65).
func TestScopeOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		home, other string
		want        policy.Scope
	}{
		{"350100", "350100", policy.ScopeSameRegion},
		{"350100", "350200", policy.ScopeSameProvince},
		{"350100", "359900", policy.ScopeSameProvince},
		{"350100", "310000", policy.ScopeCrossProvince},
		{"650100", "660000", policy.ScopeCrossProvince},
		{"350100", "", policy.ScopeCrossProvince},
		{"", "", policy.ScopeSameRegion},
	} {
		if got := policy.ScopeOf(c.home, c.other); got != c.want {
			t.Errorf("%s to %s: %s, want %s", c.home, c.other, got, c.want)
		}
	}
}

// TestPurposesByScope: a scope with a list of its own goes by it, the others by the general list.
func TestPurposesByScope(t *testing.T) {
	t.Parallel()
	r := pilot(t, "110000")
	r.Purposes = []policy.Purpose{"outpatient", "drug"}
	r.ScopePurposes = []policy.ScopePurposes{
		{policy.ScopeSameProvince, nil}, {policy.ScopeSameRegion, []policy.Purpose{"checkup"}},
	}
	r = r.Normalize()
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		scope policy.Scope
		p     policy.Purpose
		open  bool
	}{
		{"", "outpatient", true},
		{"", "checkup", false},
		{policy.ScopeSameRegion, "checkup", true},
		{policy.ScopeSameRegion, "outpatient", false},
		{policy.ScopeSameProvince, "outpatient", false},
		{policy.ScopeCrossProvince, "outpatient", true},
		{policy.ScopeCrossProvince, "checkup", false},
	} {
		if got := r.OpensPurpose(c.scope, c.p); got != c.open {
			t.Errorf("%s within %q: %v", c.p, c.scope, got)
		}
		use := policy.Use{
			GrantUsable: true, Scheme: policy.SchemeEmployee, Status: policy.StatusNormal, Relation: "parent",
			PairOpen: true, Scope: c.scope, Purpose: c.p, Rules: &r,
		}
		if err := policy.CheckEligible(use); (err == nil) != c.open || err != nil &&
			policy.CodeOf(err) != policy.CodePurposeNotOpen {
			t.Errorf("%s within %q: %v", c.p, c.scope, err)
		}
	}
}

// TestPairs: listed pairs bound other provinces only, on their days; no list leaves it to the directory.
func TestPairs(t *testing.T) {
	t.Parallel()
	r := pilot(t, "350100")
	if !r.PairOpen("310000", day(t, "2026-11-20")) || !r.PairOpen("350200", day(t, "2026-11-20")) {
		t.Error("no list closes a pair")
	}
	r.Pairs = []policy.Pair{
		{Region: "310000", From: day(t, "2026-06-05"), Until: day(t, "2026-12-31")},
		{Region: "310000", From: day(t, "2027-03-01")},
		{Region: "110000", From: day(t, "2026-06-05"), Until: day(t, "2026-06-05")},
	}
	r = r.Normalize()
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		other, on string
		open      bool
	}{
		{"310000", "2026-06-04", false},
		{"310000", "2026-06-05", true},
		{"310000", "2026-12-31", true},
		{"310000", "2027-01-01", false},
		{"310000", "2027-03-01", true},
		{"310000", "2099-01-01", true},
		{"110000", "2026-06-05", true},
		{"110000", "2026-06-06", false},
		{"440100", "2026-06-05", false},
		{"350200", "2026-06-04", true},
		{"350100", "2026-06-04", true},
	} {
		if got := r.PairOpen(c.other, day(t, c.on)); got != c.open {
			t.Errorf("%s on %s: %v", c.other, c.on, got)
		}
	}
}

// TestOwnAccount: what the beneficiary's own account has comes first, in either mode.
func TestOwnAccount(t *testing.T) {
	t.Parallel()
	exhaust, zero := pilot(t, "110000"), pilot(t, "110000")
	zero.OwnAccount = policy.OwnZeroOnly
	if exhaust.OwnAccount != policy.OwnExhaust {
		t.Errorf("a region that says nothing is %q", exhaust.OwnAccount)
	}
	for _, c := range []struct {
		name                 string
		balance, borne, paid string
		exhaust, zeroOnly    bool
	}{
		{"no account", "0.00", "200.00", "0.00", true, true},
		{"empty, though it paid before", "0.00", "200.00", "50.00", true, true},
		{"pays along what it has", "50.00", "200.00", "50.00", true, false},
		{"a fen is kept back", "50.00", "200.00", "49.99", false, false},
		{"pays nothing", "0.01", "200.00", "0.00", false, false},
		{"could pay all", "500.00", "200.00", "199.99", false, false},
		{"pays all", "500.00", "200.00", "200.00", true, false},
		{"overdrawn", "0.00", "0.00", "0.00", true, true},
	} {
		balance, borne, paid := yuan(t, c.balance), yuan(t, c.borne), yuan(t, c.paid)
		if err := zero.CheckOwnAccount(balance, borne, paid); (err == nil) != c.zeroOnly || err != nil &&
			policy.CodeOf(err) != policy.CodeOwnAccountFirst {
			t.Errorf("%s, zero_only: %v", c.name, err)
		}
		if err := exhaust.CheckOwnAccount(balance, borne, paid); (err == nil) != c.exhaust {
			t.Errorf("%s, exhaust: %v", c.name, err)
		}
	}
	var none *policy.Rules
	if none.CheckOwnAccount(1, 2, 0) == nil || none.CheckOwnAccount(1, 2, 1) != nil {
		t.Error("no rules are not exhaust")
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	for f, want := range map[string]bool{
		"annual_share": true, "visit_limits": true, "visit_limits.outpatient": true, "purposes_by_scope.same_region": true,
		"premiums.ltc_premium": true, "": false, "other": false, "annual_share.outpatient": false,
		"visit_limits.": false, "visit_limits.other": false, "sources": false, "region": false,
	} {
		if policy.ValidFigure(f) != want {
			t.Errorf("%q: %v", f, !want)
		}
	}
}

// scopeSpoils make good rules bad in a part of scope.go.
var scopeSpoils = map[string]func(*policy.Rules){
	"scope unknown": func(r *policy.Rules) { r.ScopePurposes = []policy.ScopePurposes{{"near", nil}} },
	"scope twice": func(r *policy.Rules) {
		r.ScopePurposes = []policy.ScopePurposes{{policy.ScopeSameRegion, nil}, {policy.ScopeSameRegion, nil}}
	},
	"scope with a forbidden purpose": func(r *policy.Rules) {
		r.ScopePurposes = []policy.ScopePurposes{{policy.ScopeSameRegion, []policy.Purpose{"wellness"}}}
	},
	"own account":       func(r *policy.Rules) { r.OwnAccount = "never" },
	"pair with itself":  func(r *policy.Rules) { r.Pairs = []policy.Pair{{r.Region, 1, 0}} },
	"pair of no region": func(r *policy.Rules) { r.Pairs = []policy.Pair{{"11000", 1, 0}} },
	"pair in the province": func(r *policy.Rules) {
		r.Pairs = []policy.Pair{{r.Region[:2] + "9900", 1, 0}}
	},
	"pair without a day":    func(r *policy.Rules) { r.Pairs = []policy.Pair{{"440100", 0, 0}} },
	"pair that ends before": func(r *policy.Rules) { r.Pairs = []policy.Pair{{"440100", 9, 8}} },
	"pair with a bad end":   func(r *policy.Rules) { r.Pairs = []policy.Pair{{"440100", 9, -1}} },
	"pairs that overlap":    func(r *policy.Rules) { r.Pairs = []policy.Pair{{"440100", 1, 8}, {"440100", 8, 9}} },
	"pair after an open one": func(r *policy.Rules) {
		r.Pairs = []policy.Pair{{"440100", 1, 0}, {"440100", 8, 9}}
	},
	"too many pairs": func(r *policy.Rules) {
		for i := range policy.PairsMax + 1 {
			r.Pairs = append(r.Pairs, policy.Pair{"440100", policy.Date(2*i + 1), policy.Date(2*i + 1)})
		}
	},
	"source of nothing":     func(r *policy.Rules) { r.Sources = []policy.Source{{"other", "x"}} },
	"source twice":          func(r *policy.Rules) { r.Sources = []policy.Source{{"pairs", "x"}, {"pairs", "y"}} },
	"source without text":   func(r *policy.Rules) { r.Sources = []policy.Source{{"pairs", ""}} },
	"source with a bell":    func(r *policy.Rules) { r.Sources = []policy.Source{{"pairs", "a\a"}} },
	"source that is a book": func(r *policy.Rules) { r.Sources = []policy.Source{{"pairs", strings.Repeat("书", 301)}} },
	"too many sources": func(r *policy.Rules) {
		r.Sources = make([]policy.Source, policy.SourcesMax+1)
	},
}

func TestValidateScopes(t *testing.T) {
	t.Parallel()
	for name, spoil := range scopeSpoils {
		base := pilot(t, "310000")
		r := base.Normalize()
		spoil(&r)
		r = r.Normalize()
		if err := r.Validate(); err == nil {
			t.Errorf("%s passes", name)
		}
		if b, err := policy.EncodeRules(r); err == nil || b != nil {
			t.Errorf("%s is encoded", name)
		}
	}
}

// withScopes draws the parts of scope.go.
func withScopes(t *rapid.T, r policy.Rules) policy.Rules {
	r.Sources = nil
	r.CarriedOver = rapid.Bool().Draw(t, "carried over")
	r.OwnAccount = rapid.SampledFrom([]policy.OwnAccount{"", policy.OwnExhaust, policy.OwnZeroOnly}).Draw(t, "own account")
	for _, s := range rapid.SliceOfNDistinct(rapid.SampledFrom(policy.Scopes()), 0, 3, rapid.ID).Draw(t, "scopes") {
		r.ScopePurposes = append(r.ScopePurposes, policy.ScopePurposes{
			Scope: s, Purposes: rapid.SliceOfNDistinct(rapid.SampledFrom(policy.Purposes()), 0, 12, rapid.ID).Draw(t, "open"),
		})
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "pairs") {
		p := policy.Pair{Region: "440100", From: policy.Date(10 * (i + 1))}
		p.Until = p.From + policy.Date(rapid.IntRange(0, 9).Draw(t, "days"))
		r.Pairs = append([]policy.Pair{p}, r.Pairs...)
	}
	if len(r.Pairs) == 0 && rapid.Bool().Draw(t, "open end") {
		r.Pairs = []policy.Pair{{Region: "650100", From: 5}}
	}
	for _, f := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
		"annual_share", "visit_limits.outpatient", "pairs", "purposes_by_scope.same_region",
	}), 0, 4, rapid.ID).Draw(t, "sources") {
		r.Sources = append(r.Sources, policy.Source{Figure: f, Text: "R-16 \"x\" 来源"})
	}
	return r
}

// TestCarriedOverOfTerms: the mark goes with every purpose of the region.
func TestCarriedOverOfTerms(t *testing.T) {
	t.Parallel()
	r := pilot(t, "310000")
	r.CarriedOver = true
	for _, p := range policy.Purposes() {
		if !r.Terms(p).CarriedOver {
			t.Errorf("%s is not", p)
		}
	}
	var none money.Amount
	if in := (policy.Ask{Amount: 1, Terms: r.Terms("drug")}); policy.Decide(in).Given != none {
		t.Error("an empty account gives")
	}
}
