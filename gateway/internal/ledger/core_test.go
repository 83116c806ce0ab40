package ledger_test

import (
	"slices"
	"testing"
	"time"

	"gongji/adapters"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
)

// withCore is a beneficiary in Fuzhou whose payer's money a core system outside keeps, in Beijing; visits are in
// Shanghai.
func withCore(t *testing.T) *fed {
	t.Helper()
	f := federationOf(t, "core:"+beijing, shanghai, fuzhou)
	f.son = someone{"110101199003070011", "Son", beijing}
	f.mother = f.live("Mother", fuzhou, resident())
	c := f.granting(f.son, f.mother, f.terms(beijing))
	c.PayerFacts = new(employee(20000, 20000))
	f.done(beijing, c)
	f.flow()
	return f
}

// asks begins a payment and returns its first leg, whose home has been asked.
func (f *fed) asks(amount string) (*ledger.PaymentRecord, *payment.Leg) {
	f.t.Helper()
	p := f.payment(f.done(shanghai, f.bill(shanghai, f.mother, amount)).ID)
	f.flow()
	return p, &f.payment(p.ID).Legs[0]
}

// answers brings the core's answer to the log.
func (f *fed) answers(l *payment.Leg, call hold.Action, change func(c *ledger.CoreResult)) {
	f.t.Helper()
	c := &ledger.CoreResult{HoldID: l.HoldID, Call: call}
	if change != nil {
		change(c)
	}
	f.done(beijing, c)
	f.flow()
}

func (f *fed) wantCall(l *payment.Leg, want hold.Action) {
	f.t.Helper()
	calls := f.view(beijing).Calls()
	if got := f.hold(l).Calls(); got != want || slices.Contains(calls, l.HoldID) != (want != 0) {
		f.t.Fatalf("call %d is under way, want %d; of %q", got, want, calls)
	}
}

func facts(balance, held int64) func(c *ledger.CoreResult) {
	return func(c *ledger.CoreResult) {
		c.Facts = ledger.Facts{
			Known: true, Scheme: adapters.SchemeEmployee, Status: adapters.StatusNormal,
			Balance: money.Amount(balance), Held: money.Amount(held), Year: 2026, Opening: money.Amount(balance),
		}
	}
}

func held(fen int64) func(c *ledger.CoreResult) {
	return func(c *ledger.CoreResult) { c.Amount = money.Amount(fen) }
}

func refusedBy(reason adapters.Reason) func(c *ledger.CoreResult) {
	return func(c *ledger.CoreResult) { c.Refused = string(reason) }
}

// TestCorePath is intent → effect → result, for every call.
func TestCorePath(t *testing.T) {
	t.Parallel()
	f := withCore(t)
	p, l := f.asks("100.00")
	f.wantCall(l, hold.CallPerson)
	f.answers(l, hold.CallHold, held(10000)) // nobody asked that
	f.wantHold(l, hold.Requested)
	f.answers(l, hold.CallPerson, facts(20000, 0))
	f.wantCall(l, hold.CallHold)
	if h := f.wantHold(l, hold.Requested); h.Amount != 10000 || !h.Checked || h.Counts() != 10000 {
		t.Fatalf("%+v", h)
	}
	f.answers(l, hold.CallPerson, facts(0, 0)) // the same answer late
	f.answers(l, hold.CallHold, held(10000))
	f.wantCall(l, 0)
	f.want(p, "held 100.00/100.00; 110000 placed 100.00")
	f.confirms(p, "60.00")
	f.flow()
	f.wantCall(l, hold.CallCapture)
	f.want(p, "capturing 100.00/100.00; 110000 capturing 100.00")
	f.answers(l, hold.CallCapture, nil)
	f.wantCall(l, 0)
	f.want(p, "captured 100.00/100.00; 110000 captured 100.00 took 60.00")
	f.answers(l, hold.CallCapture, nil)
	f.wantHold(l, hold.Captured)
}

// TestCoreCounts: holds count from the check on, whatever the core says of open holds; two at once never exceed a
// limit.
func TestCoreCounts(t *testing.T) {
	t.Parallel()
	f := withCore(t)
	p, a := f.asks("100.00")
	q, b := f.asks("100.00")
	f.answers(a, hold.CallPerson, facts(20000, 0))
	f.answers(b, hold.CallPerson, facts(20000, 0))
	if h := f.hold(b); h.Amount != 2000 || h.LimitedBy != policy.CodeAnnualQuota { // 120.00 a year
		t.Fatalf("%+v", h)
	}
	f.answers(a, hold.CallHold, held(10000))
	f.answers(b, hold.CallHold, held(1500))
	f.want(q, "held 15.00/100.00; 110000 placed 15.00 balance_insufficient")
	f.confirms(p, "10.00")
	f.flow()
	f.answers(a, hold.CallCapture, nil)
	// 10.00 taken and 15.00 held of the year's 120.00. The core's own count of open holds may be behind ours or before it.
	_, c := f.asks("200.00")
	f.answers(c, hold.CallPerson, facts(9000, 8000))
	if h := f.hold(c); h.Amount != 1000 || h.LimitedBy != policy.CodeBalanceInsufficient {
		t.Fatalf("%+v", h)
	}
	_, d := f.asks("200.00")
	f.answers(d, hold.CallPerson, facts(2600, 0))
	if h := f.hold(d); h.State != hold.Declined || h.Code != policy.CodeAnnualQuota { // 35.00 of ⌊0.60 × 26.00⌋ are used
		t.Fatalf("%+v", h)
	}
}

// TestOpenHoldsOfACore: what is asked of the core counts against the balance from the check on, although the core
// does not know of it yet; what it frees is free.
func TestOpenHoldsOfACore(t *testing.T) {
	t.Parallel()
	f := withCore(t)
	says := func(c *ledger.CoreResult) {
		facts(10000, 0)(c)
		c.Facts.Opening = 1_000_000
	}
	_, a := f.asks("80.00")
	_, b := f.asks("80.00")
	f.answers(a, hold.CallPerson, says)
	f.answers(b, hold.CallPerson, says)
	if h := f.hold(b); h.Amount != 2000 || h.LimitedBy != policy.CodeBalanceInsufficient {
		t.Fatalf("%+v", h)
	}
	f.answers(a, hold.CallHold, refusedBy(adapters.ReasonBalance))
	_, c := f.asks("90.00")
	f.answers(c, hold.CallPerson, says)
	if h := f.hold(c); h.Amount != 8000 || h.LimitedBy != policy.CodeBalanceInsufficient {
		t.Fatalf("%+v", h)
	}
}

// TestCoreRefuses to know the person, which ends the grant; to hold.
func TestCoreRefuses(t *testing.T) {
	t.Parallel()
	for reason, want := range map[adapters.Reason]string{
		adapters.ReasonUnknownPerson: "not_found", adapters.ReasonIdentity: "not_found",
		adapters.ReasonScheme: "payer_scheme", adapters.ReasonStatus: "payer_not_insured",
		adapters.ReasonBalance: "balance_insufficient", adapters.ReasonClosed: "core_unavailable",
		adapters.ReasonReleased: "core_unavailable", adapters.ReasonLate: "core_unavailable",
		adapters.ReasonConflict: "core_unavailable", adapters.ReasonInvalid: "core_unavailable", "new": "core_unavailable",
	} {
		f := withCore(t)
		p, l := f.asks("100.00")
		f.answers(l, hold.CallPerson, refusedBy(reason))
		f.want(p, "declined 0.00/100.00; 110000 declined 0.00; -110000 "+want)
		if g := f.grant(l.GrantID); reason == adapters.ReasonUnknownPerson {
			if g.Status != grant.StatusEnded || g.Cause != grant.CausePayerInsurance ||
				f.indexed(g.ID).Entry.Status != grant.StatusEnded {
				t.Errorf("nobody, and the grant is %s", g.Status)
			}
			continue
		}
		p, l = f.asks("100.00")
		f.answers(l, hold.CallPerson, facts(20000, 0))
		f.answers(l, hold.CallHold, refusedBy(reason))
		f.want(p, "declined 0.00/100.00; 110000 declined 0.00; -110000 "+want)
		f.wantCall(l, 0)
		p, l = f.asks("120.00") // the whole quota is free again
		f.answers(l, hold.CallPerson, facts(20000, 0))
		f.answers(l, hold.CallHold, held(12000))
		f.want(p, "held 120.00/120.00; 110000 placed 120.00")
	}
}

// TestCoreHoldsNothing is no answer: the call is repeated, and given up at decide_by with a release.
func TestCoreHoldsNothing(t *testing.T) {
	t.Parallel()
	f := withCore(t)
	p, l := f.asks("100.00")
	f.answers(l, hold.CallPerson, facts(20000, 0))
	f.answers(l, hold.CallHold, held(0))
	f.answers(l, hold.CallHold, held(-5))
	f.wantCall(l, hold.CallHold)
	r := f.regions[beijing]
	f.pass(hold.CallWait)
	if !slices.Contains(r.last.Calls, l.HoldID) {
		t.Errorf("%+v", r.last)
	}
	f.now = f.hold(l).DecideBy
	f.pass(0)
	f.wantHold(l, hold.Abandoning)
	f.wantCall(l, hold.CallRelease)
	f.answers(l, hold.CallRelease, nil)
	f.want(p, "expired 0.00/100.00; 110000 released 0.00")
	f.wantHold(l, hold.Released)
}

// TestReleaseBeforeTheCoresAnswer: abandoning, until the core has confirmed a release; what it says of the hold
// meanwhile does not count.
func TestReleaseBeforeTheCoresAnswer(t *testing.T) {
	t.Parallel()
	f := withCore(t)
	p, l := f.asks("100.00")
	f.answers(l, hold.CallPerson, facts(20000, 0))
	f.pass(payment.LegWait)
	f.flow()
	f.wantHold(l, hold.Abandoning)
	f.wantCall(l, hold.CallRelease)
	if h := f.hold(l); h.State.API() != "releasing" || h.Counts() != 10000 {
		t.Errorf("%+v", h)
	}
	f.want(p, "releasing 0.00/100.00; 110000 releasing 0.00; -110000 region_unreachable")
	f.answers(l, hold.CallHold, held(10000))
	f.wantHold(l, hold.Abandoning)
	f.answers(l, hold.CallHold, refusedBy(adapters.ReasonBalance))
	f.wantHold(l, hold.Abandoning)
	f.answers(l, hold.CallRelease, refusedBy(adapters.ReasonLate)) // not confirmed
	f.wantHold(l, hold.Abandoning)
	f.answers(l, hold.CallRelease, nil)
	f.wantHold(l, hold.Released)
	f.want(p, "declined 0.00/100.00; 110000 released 0.00; -110000 region_unreachable")
	_, l = f.asks("120.00")
	f.answers(l, hold.CallPerson, facts(20000, 0))
	if h := f.hold(l); h.Amount != 12000 {
		t.Errorf("something still counts: %+v", h)
	}
}

// TestReleaseBeforeTheCheck: the core was only asked about the person, so nothing can be held there.
func TestReleaseBeforeTheCheck(t *testing.T) {
	t.Parallel()
	f := withCore(t)
	_, l := f.asks("100.00")
	f.pass(payment.LegWait)
	f.flow()
	f.wantHold(l, hold.Released)
	f.answers(l, hold.CallPerson, facts(20000, 0))
	f.wantHold(l, hold.Released)
	f.wantCall(l, 0)
}

// TestCoreRefusesToCapture: failed only after a release was confirmed; if that one is refused as captured, the leg
// is captured.
func TestCoreRefusesToCapture(t *testing.T) {
	t.Parallel()
	undoing := func() (*fed, *ledger.PaymentRecord, *payment.Leg) {
		f := withCore(t)
		p, l := f.asks("100.00")
		f.answers(l, hold.CallPerson, facts(20000, 0))
		f.answers(l, hold.CallHold, held(10000))
		f.confirms(p, "60.00")
		f.flow()
		f.answers(l, hold.CallCapture, refusedBy(adapters.ReasonStatus))
		f.wantHold(l, hold.Undoing)
		f.wantCall(l, hold.CallRelease)
		f.want(p, "capturing 100.00/100.00; 110000 capturing 100.00")
		if f.hold(l).State.API() != "capturing" {
			t.Error("undoing shows as capturing")
		}
		return f, p, l
	}
	f, p, l := undoing()
	f.answers(l, hold.CallRelease, nil)
	f.wantHold(l, hold.CaptureFailed)
	f.want(p, "captured 100.00/100.00; 110000 capture_failed 100.00")
	if got := f.payment(p.ID); got.Shortfall() != 6000 || got.Legs[0].Claim || got.Counts() != 0 {
		t.Errorf("%+v", got.Legs[0])
	}

	f, p, l = undoing()
	f.answers(l, hold.CallRelease, func(c *ledger.CoreResult) {
		c.Refused, c.Amount = string(adapters.ReasonCaptured), 6000
	})
	f.wantHold(l, hold.Captured)
	f.want(p, "captured 100.00/100.00; 110000 captured 100.00 took 60.00")
}

// TestCoreTookAfterAll: the core's word wins over a release, with its amount, and the bill counts it.
func TestCoreTookAfterAll(t *testing.T) {
	t.Parallel()
	f := withCore(t)
	p, l := f.asks("100.00")
	f.answers(l, hold.CallPerson, facts(20000, 0))
	f.answers(l, hold.CallHold, held(10000))
	f.cancels(p)
	f.flow()
	f.wantCall(l, hold.CallRelease)
	f.answers(l, hold.CallRelease, func(c *ledger.CoreResult) {
		c.Refused, c.Amount = string(adapters.ReasonCaptured), 4000
	})
	f.want(p, "released 100.00/100.00; 110000 captured 100.00 took 40.00")
	p = f.payment(p.ID)
	if used, err := f.view(shanghai).BillUsed(p.Institution, p.Bill.ID); err != nil || used != 4000 {
		t.Errorf("the bill has used %s, %v", used, err)
	}
}

// TestCallsAreTakenUp: what is under way stands in the state, wakes by itself, and is known to the next leader.
func TestCallsAreTakenUp(t *testing.T) {
	t.Parallel()
	f := withCore(t)
	_, a := f.asks("10.00")
	_, b := f.asks("10.00")
	f.answers(a, hold.CallPerson, facts(20000, 0))
	want := []string{a.HoldID, b.HoldID}
	slices.Sort(want)
	if got := f.view(beijing).Calls(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	r := f.regions[beijing]
	due := r.nodes[0].l.NextDue()
	if due.After(f.now.Add(hold.CallWait)) || due.IsZero() {
		t.Errorf("wakes at %s", due)
	}
	f.done(beijing, &ledger.CoreResult{HoldID: "h-310000-none-1", Call: hold.CallHold})
	f.now = f.now.Add(hold.CallWait)
	f.done(beijing, &ledger.Tick{})
	got := slices.Clone(r.last.Calls)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("after the wait %q are called", got)
	}
}

// TestGrantWithCore: the payer's facts come with the command; nobody is taken in without them.
func TestGrantWithCore(t *testing.T) {
	t.Parallel()
	f := withCore(t)
	other := someone{"110101199003070028", "Other", beijing}
	c := f.granting(other, f.mother, f.terms(beijing))
	f.refused(beijing, c, policy.CodeIdentityMismatch)
	c.PayerFacts = &ledger.Facts{}
	f.refused(beijing, c, policy.CodeIdentityMismatch)
	c.PayerFacts = &ledger.Facts{Known: true, Scheme: 390, Status: 1}
	f.refused(beijing, c, policy.CodePayerScheme)
	self := f.granting(other, other, f.terms(beijing))
	self.PayerFacts = new(employee(1, 1))
	f.refused(beijing, self, policy.CodeInvalidRelation)
	f.refused(beijing, &ledger.OpenAccounts{}, policy.CodeNotSupported)

	order := &ledger.SetOrder{Request: f.request(), Beneficiary: f.person(beijing, other)}
	f.refused(beijing, order, policy.CodeIdentityMismatch)
	order.Facts = &ledger.Facts{Known: true}
	f.done(beijing, order) // known to the core, and not to the state yet: there is nothing to order
	if _, ok, err := f.view(beijing).Account("n"); ok || err != nil {
		t.Error("an account without a Book")
	}
	v, in := f.view(beijing), f.regions[beijing].nodes[0].l.InForce()
	w := ledger.Wanted{
		Origin: shanghai, GrantID: f.grantIn("110000", f.mother), Amount: 50000, Purpose: policy.PurposeOutpatient,
		Beneficiary: tokensOf(f.person(beijing, f.mother)),
	}
	if q, err := v.Quote(f.now, w, new(employee(20000, 20000)), in); err != nil || q.Amount != 12000 {
		t.Errorf("%+v, %v", q, err)
	}
	if q, err := v.Quote(f.now, w, &ledger.Facts{}, in); err != nil || q.Code != policy.CodeNotFound {
		t.Errorf("%+v, %v", q, err)
	}
}

// TestDecisionsWhileTheCoreIsSilent come once it answers again, days later.
func TestDecisionsWhileTheCoreIsSilent(t *testing.T) {
	t.Parallel()
	f := withCore(t)
	p, l := f.asks("100.00")
	f.answers(l, hold.CallPerson, facts(20000, 0))
	f.answers(l, hold.CallHold, held(10000))
	f.confirms(p, "100.00")
	f.flow()
	f.cut(beijing, shanghai)
	for range 100 {
		f.pass(time.Hour)
	}
	f.wantCall(l, hold.CallCapture)
	f.heal()
	f.answers(l, hold.CallCapture, nil)
	f.want(p, "captured 100.00/100.00; 110000 captured 100.00 took 100.00")
}
