package ledger_test

import (
	"testing"
	"time"

	"gongji/consensus"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
	"gongji/gateway/internal/rulebook"
)

// beijingRules are Beijing's with a change, from a day.
func beijingRules(t *testing.T, from policy.Date, change func(r *policy.Rules)) policy.Rules {
	t.Helper()
	r, err := rulebook.BuiltIn(string(beijing))
	if err != nil {
		t.Fatal(err)
	}
	r.EffectiveFrom = from
	change(&r)
	return r
}

// TestVerdict: a hold keeps the facts that it was decided on, and a change of the rules afterwards changes
// none of them; the hold is finished under its own version.
func TestVerdict(t *testing.T) {
	t.Parallel()
	f, _, mother := couple(t, "110000", employee(400000, 408400), func(terms *grant.Terms) {
		terms.PerPaymentLimit, terms.AnnualLimit = 200_00, 1000_00
	})
	first := f.pays(shanghai, mother, "120.00")
	p := f.pays(shanghai, mother, "250.00")
	f.want(p, "held 200.00/250.00; 110000 placed 200.00 payment_limit")
	h := f.hold(&p.Legs[0])
	v := h.Verdict
	if v == nil {
		t.Fatal("no verdict")
	}
	want := ledger.Verdict{
		Rules: v.Rules, Scheme: 310, Status: 1, GrantUsable: true, PairOpen: true,
		Ask: policy.Ask{
			Amount: 250_00, Balance: 4000_00, OpenHolds: 120_00, Opening: 4084_00, UsedYear: 120_00,
			UsedVisit: v.Ask.UsedVisit, UsedGrant: 120_00, PaymentLimit: 200_00, GrantAnnualLimit: 1000_00,
			Terms: policy.Terms{Share: 6000},
		},
		Given: 200_00, LimitedBy: policy.CodePaymentLimit,
		Limits: [policy.LimitCount]ledger.Allowed{
			{InForce: true, Amount: 3880_00},
			{InForce: true, Amount: 2450_40 - 120_00},
			{InForce: true, Amount: 3880_00},
			{},
			{InForce: true, Amount: 200_00},
			{InForce: true, Amount: 880_00},
		},
	}
	if *v != want || v.Rules.String() != "1999-01-01" {
		t.Errorf("\n got %+v\nwant %+v", *v, want)
	}

	today := policy.Day(f.now)
	f.rules(beijingRules(t, today, func(r *policy.Rules) {
		r.AnnualShare, r.RetainedFloor, r.Purposes = 1, 3_900_00, []policy.Purpose{"drug"}
	}))
	f.confirms(p, "150.00")
	f.flow()
	after := f.hold(&p.Legs[0])
	if *after.Verdict != want || after.State != hold.Captured || after.Captured != 150_00 || after.Floor() != 0 {
		t.Errorf("after the change: %s, %+v", after.State, *after.Verdict)
	}
	next := f.pays(shanghai, mother, "10.00")
	f.want(next, "declined 0.00/10.00; 110000 declined 0.00; -110000 purpose_not_open")
	if declined := f.hold(&next.Legs[0]).Verdict; declined == nil || declined.Rules != today ||
		declined.Ask.Balance != 0 || !declined.PairOpen || declined.Scheme != 310 {
		t.Errorf("the decline keeps %+v", declined)
	}
	holds, err := f.view(beijing).HoldsOf(p.ID)
	if err != nil || len(holds) != 1 || holds[0].ID != h.ID {
		t.Errorf("%d holds of the payment, %v", len(holds), err)
	}
	for _, other := range []string{"", "x", "p", "p-", "h-310000-1", first.ID + "1", "p-110000-none"} {
		if holds, err := f.view(beijing).HoldsOf(other); err != nil || len(holds) != 0 {
			t.Errorf("%q has %d holds, %v", other, len(holds), err)
		}
	}
}

// TestVerdictIsCompact: hundreds are written in a second.
func TestVerdictIsCompact(t *testing.T) {
	t.Parallel()
	f, _, mother := couple(t, "310000", employee(400000, 408400), nil)
	p := f.pays(beijing, mother, "600.00")
	f.want(p, "held 500.00/600.00; 310000 placed 500.00 visit_limit")
	if n := len(record.Encode(f.hold(&p.Legs[0]).Verdict)); n > 64 {
		t.Errorf("a verdict has %d bytes", n)
	}
	if h := (ledger.HoldRecord{}); h.Floor() != money.Max {
		t.Error("a hold that nothing has let through may take something")
	}
}

// TestRulesHistory: a version may not reach into the past once any is in force; one that was in force
// and is replaced on its own day is kept beside the book; one that is still to come can be taken back.
func TestRulesHistory(t *testing.T) {
	t.Parallel()
	f := family(t)
	set := func(day policy.Date, floor string) *ledger.SetRules {
		return setRules(t, func(r *policy.Rules) { r.EffectiveFrom, r.RetainedFloor = day, yuan(t, floor) })
	}
	today := policy.Day(f.now)
	out := f.refused(beijing, set(today.AddDays(-1), "1.00"), policy.CodeInvalidRequest)
	if out.Field != "/effective_from" || out.DetailZH == "" {
		t.Errorf("the refusal says %+v", out)
	}
	if first := f.done(beijing, set(today, "10.00")); first.ID != today.String() || first.Replay {
		t.Errorf("%+v", first)
	}
	if again := f.done(beijing, set(today, "10.00")); !again.Replay {
		t.Error("the same version again is another")
	}
	replaced := func(want ...string) {
		t.Helper()
		got, err := f.view(beijing).ReplacedRules()
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d versions were replaced, want %d: %v", len(got), len(want), err)
		}
		for i := range got {
			if got[i].RetainedFloor.String() != want[i] {
				t.Errorf("replaced %s, want %s", got[i].RetainedFloor, want[i])
			}
		}
	}
	replaced()
	f.pass(time.Minute)
	f.done(beijing, set(today, "20.00"))
	replaced("10.00")
	f.done(beijing, set(today.AddDays(3), "30.00"))
	f.done(beijing, set(today.AddDays(3), "40.00"))
	replaced("10.00") // what was never in force leaves no trace in the history

	versions := func() []policy.Rules { return f.regions[beijing].nodes[0].l.InForce().Rules.Versions() }
	if n := len(versions()); n != 3 {
		t.Errorf("%d versions", n)
	}
	f.refused(beijing, &ledger.WithdrawRules{From: today}, policy.CodeWrongState)
	f.refused(beijing, &ledger.WithdrawRules{From: today.AddDays(2)}, policy.CodeNotFound)
	f.refused(beijing, &ledger.WithdrawRules{}, policy.CodeNotFound)
	f.done(beijing, &ledger.WithdrawRules{From: today.AddDays(3)})
	f.refused(beijing, &ledger.WithdrawRules{From: today.AddDays(3)}, policy.CodeNotFound)
	if v := versions(); len(v) != 2 || v[1].RetainedFloor.String() != "20.00" {
		t.Errorf("%d versions are left", len(v))
	}
	f.restart(f.regions[beijing])
	if v := versions(); len(v) != 2 {
		t.Errorf("%d versions after a restart", len(v))
	}
	f.same(beijing)
}

// TestScopesAndPairs: the payer's home goes by the purposes of the scope; either side's list of pairs
// closes a pair that the directory has open.
func TestScopesAndPairs(t *testing.T) {
	t.Parallel()
	f, _, mother := couple(t, "110000", employee(400000, 408400), nil)
	today := policy.Day(f.now)
	f.rules(beijingRules(t, today, func(r *policy.Rules) {
		r.ScopePurposes = []policy.ScopePurposes{{Scope: policy.ScopeCrossProvince, Purposes: []policy.Purpose{"drug"}}}
	}))
	f.want(f.pays(shanghai, mother, "10.00"), "declined 0.00/10.00; 110000 declined 0.00; -110000 purpose_not_open")
	f.want(f.pays(beijing, mother, "10.00"), "held 10.00/10.00; 110000 placed 10.00")
	f.rules(beijingRules(t, today, func(r *policy.Rules) {
		r.Pairs = []policy.Pair{{Region: "350100", From: today}, {Region: "310000", From: today.AddDays(1)}}
	}))
	f.want(f.pays(shanghai, mother, "10.00"), "declined 0.00/10.00; 110000 declined 0.00; -110000 region_pair_closed")
	f.want(f.pays(fuzhou, mother, "10.00"), "held 10.00/10.00; 110000 placed 10.00")
	f.pass(24 * time.Hour)
	f.flow()
	f.want(f.pays(shanghai, mother, "10.00"), "held 10.00/10.00; 110000 placed 10.00")
}

// TestCarriedOverOnly: what came in since the year began stays, also when the payer has spent of what was
// there before; the facts of the core say it.
func TestCarriedOverOnly(t *testing.T) {
	t.Parallel()
	f := withCore(t)
	f.rules(beijingRules(t, policy.Day(f.now), func(r *policy.Rules) { r.AnnualShare, r.CarriedOver = 10_000, true }))
	p, l := f.asks("150.00")
	f.answers(l, hold.CallPerson, func(c *ledger.CoreResult) {
		facts(200_00, 0)(c) // 300.00 at the opening, 80.00 came in, 180.00 was spent by the payer
		c.Facts.Opening, c.Facts.Credited = 300_00, 80_00
	})
	f.answers(l, hold.CallHold, held(120_00))
	f.want(f.payment(p.ID), "held 120.00/150.00; 110000 placed 120.00 annual_quota")
	if v := f.hold(l).Verdict; v.Ask.Credited != 80_00 || !v.Ask.Terms.CarriedOver || v.Limits[1].Amount != 120_00 {
		t.Errorf("%+v", v)
	}
}

// TestLargestRulesFit: whatever can be encoded as rules can be proposed and read back from the log.
func TestLargestRulesFit(t *testing.T) {
	t.Parallel()
	c := ledger.EncodeCommand(&ledger.SetRules{Rules: make([]byte, policy.RulesBytesMax)})
	if len(c) > consensus.CommandMax {
		t.Errorf("a command of %d bytes", len(c))
	}
	if _, err := ledger.DecodeCommand(c); err != nil {
		t.Error(err)
	}
}
