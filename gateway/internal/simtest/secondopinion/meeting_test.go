package secondopinion_test

import (
	"fmt"
	"slices"
	"testing"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/secondopinion"
)

// limits in the order in which they are named among equals (api.md section 3).
var limits = []string{
	"balance_insufficient", "annual_quota", "retained_floor", "visit_limit", "payment_limit", "grant_annual_limit",
}

// meeting is one account of which a set of limits allows exactly the same, and the others more. ok is false for a set
// that cannot be: a payer's limit for one leg is never 0.00, and where the balance is the limit nothing has to stay.
func meeting(set, allows int) (policy.Ask, bool) {
	has := func(limit int) bool { return set&(1<<limit) != 0 }
	used := 7
	if allows+used > amounts {
		used = 0
	}
	wide := min(allows+1_000_00, amounts)
	if wide == allows && set != 1<<len(limits)-1 || has(4) && allows == 0 || has(0) && !has(2) {
		return policy.Ask{}, false
	}
	value := func(limit int) money.Amount {
		if has(limit) {
			return money.Amount(allows)
		}
		return money.Amount(wide)
	}
	in := policy.Ask{
		Amount: money.Amount(wide), Balance: value(2), Opening: value(1), Terms: policy.Terms{Share: money.Whole},
		PaymentLimit: value(4), GrantAnnualLimit: value(5) + money.Amount(used), UsedGrant: money.Amount(used),
		UsedVisit: money.Amount(used),
	}
	in.Terms.VisitLimit = value(3) + money.Amount(used)
	if has(2) && !has(0) { // the floor is what makes it less than the balance
		in.Terms.Floor = min(200_000_00, money.Amount(amounts-allows))
		in.Balance += in.Terms.Floor
	}
	for _, limit := range []*money.Amount{&in.GrantAnnualLimit, &in.Terms.VisitLimit} {
		*limit = min(*limit, money.Max)
		if *limit == 0 { // which would say that there is none
			*limit, in.UsedGrant, in.UsedVisit = 1, in.UsedGrant+1, in.UsedVisit+1
		}
	}
	return in, true
}

// asTables is the same account for the second opinion.
func asTables(in policy.Ask) (*secondopinion.World, *secondopinion.Grant) {
	w := secondopinion.New("2026-11-20 10:00:00")
	w.Regions["110000"] = &secondopinion.Region{
		Share: int(in.Terms.Share), Floor: int(in.Terms.Floor),
		VisitLimit: map[string]int{"outpatient": int(in.Terms.VisitLimit)},
	}
	w.Persons["payer"] = &secondopinion.Person{
		Region: "110000", Scheme: 310, Status: 1, Paid: int(in.Balance), Opening: map[string]int{"2026": int(in.Opening)},
	}
	g := &secondopinion.Grant{
		ID: "grant", Payer: "payer", PerPayment: int(in.PaymentLimit), Annual: int(in.GrantAnnualLimit),
	}
	w.Grants = append(w.Grants, g)
	// What was used, of neither balance nor quota: another year's, given under this grant for this visit.
	if in.UsedVisit > 0 {
		w.Persons["payer"].Paid += int(in.UsedVisit)
		w.Holds = append(w.Holds, &secondopinion.Hold{
			Grant: "grant", Payer: "other", VisitRegion: "310000", Visit: "other", Year: "2026", State: "captured",
			Amount: int(in.UsedGrant), Captured: int(in.UsedGrant),
		}, &secondopinion.Hold{
			Grant: "other", Payer: "payer", VisitRegion: "310000", Visit: "visit", Year: "2025", State: "captured",
			Amount: int(in.UsedVisit), Captured: int(in.UsedVisit),
		})
	}
	return w, g
}

// TestLimitsThatMeet: every set of limits that allow exactly the same least amount, from 0.00 to the largest:
// that much is given, and the first of the set is named; asked for exactly that much, none is.
func TestLimitsThatMeet(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, allows := range []int{0, 1, 2, 60, 99_99, 100_00, 2_000_00, amounts / 2, amounts - 1_000_00, amounts - 1} {
		for set := 1; set < 1<<len(limits); set++ {
			in, ok := meeting(set, allows)
			if !ok {
				continue
			}
			tried++
			first := ""
			for i, limit := range slices.Backward(limits) {
				if set&(1<<i) != 0 {
					first = limit
				}
			}
			what := fmt.Sprintf("%06b at %s", set, secondopinion.Yuan(allows))
			if d := policy.Decide(in); int(d.Given) != allows || string(d.LimitedBy) != first {
				t.Errorf("%s: given %s by %s, want %s\n%+v", what, d.Given, d.LimitedBy, first, in)
			}
			w, g := asTables(in)
			if n, by := w.Gives(g, "310000", "visit", "outpatient", int(in.Amount)); n != allows || by != first {
				t.Errorf("%s: the second opinion gives %s by %s, want %s\n%s", what, secondopinion.Yuan(n), by, first, w)
			}
			in.Amount = money.Amount(allows)
			if d := policy.Decide(in); int(d.Given) != allows || d.LimitedBy != "" {
				t.Errorf("%s: exactly that is asked for, given %s by %s", what, d.Given, d.LimitedBy)
			}
		}
	}
	if tried < 300 {
		t.Errorf("only %d sets could be", tried)
	}
}

// TestEveryShare: every share that a region can write, of small, awkward and the largest amounts: the
// part is never rounded up, and less than a fen below.
func TestEveryShare(t *testing.T) {
	t.Parallel()
	for share := range 10_001 {
		for _, opening := range []int{
			0, 1, 2, 3, 9, 99, 101, 9_999, 10_000, 10_001, 333_33, amounts / 3, amounts - 1, amounts,
		} {
			got := int(money.Share(share).Of(money.Amount(opening))) //nolint:gosec // ≤ 10000
			if rest := share*opening - got*10_000; rest < 0 || rest >= 10_000 {
				t.Fatalf("%d ten-thousandths of %s are %s", share, secondopinion.Yuan(opening), secondopinion.Yuan(got))
			}
		}
	}
	if got := money.Share(6_000).Of(1); got != 0 {
		t.Errorf("60 %% of 0.01 are %s", got)
	}
}
