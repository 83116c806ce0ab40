package ledger_test

import (
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/wire/wirepb"
)

// doubt is a hold in Beijing of a payment in Shanghai that lost its decision on the way.
func doubt(t *testing.T) (*fed, *ledger.PaymentRecord, *payment.Leg) {
	t.Helper()
	f := family(t)
	p := f.pays(shanghai, f.mother, "100.00")
	f.cut(shanghai, beijing)
	return f, p, &f.payment(p.ID).Legs[0]
}

func (f *fed) wantHold(l *payment.Leg, want hold.State) *ledger.HoldRecord {
	f.t.Helper()
	h := f.hold(l)
	if h.State != want {
		f.t.Fatalf("the hold is %s, want %s", h.State, want)
	}
	return h
}

// TestNeverOnItsOwnClock: a placed hold stays, for days; it asks more and more seldom, and only asks.
func TestNeverOnItsOwnClock(t *testing.T) {
	t.Parallel()
	f, p, leg := doubt(t)
	f.pass(15*time.Minute + hold.Grace - time.Second)
	f.wantHold(leg, hold.Placed)
	f.pass(time.Second)
	f.wantHold(leg, hold.InDoubt)
	for range 400 {
		f.pass(10 * time.Minute)
	}
	f.wantHold(leg, hold.InDoubt)
	f.wantAccount(f.son, "200.00", "100.00")
	if n := len(f.waiting(beijing, shanghai)); n < 400 || n > 420 {
		t.Errorf("asked %d times", n)
	}
	f.heal()
	f.flow() // the origin has expired the payment meanwhile, and says so
	f.wantHold(leg, hold.Released)
	f.want(p, "expired 100.00/100.00; 110000 released 100.00")
	f.wantAccount(f.son, "200.00", "0.00")
}

// TestCaptureSurvivesEverything: confirmed in time, the money is taken whenever the regions meet again.
func TestCaptureSurvivesEverything(t *testing.T) {
	t.Parallel()
	f, p, leg := doubt(t)
	f.confirms(p, "70.00")
	for range 48 {
		f.pass(time.Hour)
	}
	f.wantHold(leg, hold.InDoubt)
	f.want(p, "capturing 100.00/100.00; 110000 capturing 100.00")
	f.heal()
	f.flow()
	f.want(p, "captured 100.00/100.00; 110000 captured 100.00 took 70.00")
	f.wantAccount(f.son, "130.00", "0.00")
}

// TestEnquiryMakesItExpire: past decide_by the question itself brings the decision about.
func TestEnquiryMakesItExpire(t *testing.T) {
	t.Parallel()
	f, p, leg := doubt(t)
	ask := &wirepb.Body{Kind: &wirepb.Body_Enquiry{Enquiry: &wirepb.Enquiry{HoldId: leg.HoldID, PaymentId: p.ID}}}
	f.say(beijing, shanghai, ask, nil)
	if w := f.waiting(shanghai, beijing); len(w) != 1 || !w[0].GetEnquiryAnswer().GetUndecided() {
		t.Fatalf("%v", w)
	}
	f.want(p, "held 100.00/100.00; 110000 placed 100.00")
	f.heal()
	f.flow()
	f.now = f.payment(p.ID).DecideBy
	f.say(beijing, shanghai, ask, nil)
	f.want(p, "releasing 100.00/100.00; 110000 releasing 100.00")
	// The deadline fired with the question, and the question was answered: the same act twice.
	w := f.waiting(shanghai, beijing)
	if len(w) != 2 || w[0].GetRelease().GetHoldId() != leg.HoldID ||
		w[0].GetRelease().GetActId() != w[1].GetRelease().GetActId() {
		t.Fatalf("%v", w)
	}
}

// TestDecisionIsSentAgain: asked about a decided leg, the origin repeats that leg's decision under the same act id.
func TestDecisionIsSentAgain(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.pays(shanghai, f.mother, "150.00") // 120.00 and 30.00
	f.confirms(p, "100.00")
	ask := func(n int) []*wirepb.Body {
		l := f.payment(p.ID).Legs[n]
		f.say(federation.Region(l.Region), shanghai, &wirepb.Body{Kind: &wirepb.Body_Enquiry{Enquiry: &wirepb.Enquiry{
			HoldId: l.HoldID, PaymentId: p.ID,
		}}}, nil)
		return f.waiting(shanghai, beijing)
	}
	w := ask(0)
	if len(w) != 2 || w[0].GetCapture().GetActId() != w[1].GetCapture().GetActId() ||
		w[1].GetCapture().GetAmount() != 10000 {
		t.Fatalf("%v", w)
	}
	f.flow()
	f.want(p, "captured 150.00/150.00; 110000 captured 120.00 took 100.00 annual_quota; 310000 released 30.00")
	f.wantAccount(f.son, "100.00", "0.00")
	if w = ask(0); len(w) != 1 || w[0].GetCapture().GetAmount() != 10000 {
		t.Fatalf("%v", w)
	}
	f.flow()
	f.wantAccount(f.son, "100.00", "0.00") // once
}

// TestUnknownDoesNotRelease: an origin that lost its history says so, and the hold waits for two persons.
func TestUnknownDoesNotRelease(t *testing.T) {
	t.Parallel()
	f, _, leg := doubt(t)
	f.now = f.now.Add(time.Hour)
	f.done(beijing, &ledger.Tick{})
	f.wantHold(leg, hold.InDoubt)
	f.say(shanghai, beijing, &wirepb.Body{Kind: &wirepb.Body_EnquiryAnswer{EnquiryAnswer: &wirepb.EnquiryAnswer{
		HoldId: leg.HoldID, Unknown: true,
	}}}, nil)
	f.wantHold(leg, hold.InDoubt)
	f.wantAccount(f.son, "200.00", "100.00")

	// What such an origin answers.
	g := family(t)
	ask := &wirepb.Body{Kind: &wirepb.Body_Enquiry{Enquiry: &wirepb.Enquiry{HoldId: leg.HoldID}}}
	g.say(beijing, shanghai, ask, nil)
	if w := g.waiting(shanghai, beijing); len(w) != 1 || !w[0].GetEnquiryAnswer().GetUnknown() {
		t.Errorf("%v", w)
	}
}

// TestForcedRelease: two different operators, and only in doubt; the leg being captured has failed, with a claim.
func TestForcedRelease(t *testing.T) {
	t.Parallel()
	f, p, leg := doubt(t)
	force := func(operator string) *ledger.ForceRelease {
		return &ledger.ForceRelease{HoldID: leg.HoldID, Operator: operator, Reason: "the origin is gone"}
	}
	f.refused(beijing, force("li"), policy.CodeWrongState)
	f.refused(beijing, &ledger.ForceRelease{HoldID: "h-310000-none-1", Operator: "li"}, policy.CodeNotFound)
	f.confirms(p, "100.00")
	f.pass(16 * time.Minute)
	f.wantHold(leg, hold.InDoubt)
	f.done(beijing, force("li"))
	f.done(beijing, force("li"))
	f.wantHold(leg, hold.InDoubt)
	f.wantAccount(f.son, "200.00", "100.00")
	f.done(beijing, force("wang"))
	if h := f.wantHold(leg, hold.Released); !h.ByForce || len(h.Forced) != 2 {
		t.Errorf("%+v", h)
	}
	f.wantAccount(f.son, "200.00", "0.00")
	f.refused(beijing, force("zhao"), policy.CodeWrongState)
	f.heal()
	f.flow()
	f.want(p, "captured 100.00/100.00; 110000 capture_failed 100.00")
	got := f.payment(p.ID)
	if !got.Legs[0].Claim || got.Shortfall() != 10000 || got.CapturedSum() != 0 || got.Counts() != 0 {
		t.Errorf("%+v", got.Legs[0])
	}
}

// TestForcedByTwo: both operators' words in one entry, only in doubt, and never one person twice; the line of the audit
// log stands in that entry.
func TestForcedByTwo(t *testing.T) {
	t.Parallel()
	f, p, leg := doubt(t)
	force := &ledger.ForceRelease{HoldID: leg.HoldID, Operator: "li", Second: "wang", Reason: "the origin is gone"}
	f.refused(beijing, force, policy.CodeWrongState)
	f.confirms(p, "100.00")
	f.pass(16 * time.Minute)
	f.refused(beijing, &ledger.ForceRelease{HoldID: leg.HoldID, Operator: "li", Second: "li"}, policy.CodeForbidden)
	f.wantHold(leg, hold.InDoubt)
	line := auditlog.Line{Event: "force_release", Operator: "li", Object: leg.HoldID}
	f.done(beijing, &ledger.DoneBy{Line: line, Command: ledger.EncodeCommand(force)})
	if h := f.wantHold(leg, hold.Released); !h.ByForce || len(h.Forced) != 2 {
		t.Errorf("%+v", h)
	}
	if events := f.events(); len(events) == 0 || events[len(events)-1] != "force_release" {
		t.Error(events)
	}
	f.refused(beijing, force, policy.CodeWrongState)
}

// TestDecisionBeforeTheSecondOperator: the origin's word comes first, and the first operator's is of no use any more.
func TestDecisionBeforeTheSecondOperator(t *testing.T) {
	t.Parallel()
	f, p, leg := doubt(t)
	f.confirms(p, "100.00")
	f.pass(16 * time.Minute)
	f.done(beijing, &ledger.ForceRelease{HoldID: leg.HoldID, Operator: "li"})
	f.heal()
	f.flow()
	f.refused(beijing, &ledger.ForceRelease{HoldID: leg.HoldID, Operator: "wang"}, policy.CodeWrongState)
	f.want(p, "captured 100.00/100.00; 110000 captured 100.00 took 100.00")
}

// TestForcedWhileHeld: an undecided leg is released, and a confirm above what the open legs hold is refused.
func TestForcedWhileHeld(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.pays(shanghai, f.mother, "150.00")
	leg := &f.payment(p.ID).Legs[0]
	// The home's clock runs ahead of the origin's: it is in doubt before decide_by.
	r := f.regions[beijing]
	now := f.now
	f.now = f.now.Add(20 * time.Minute)
	f.done(beijing, &ledger.ForceRelease{HoldID: leg.HoldID, Operator: "li"})
	f.done(beijing, &ledger.ForceRelease{HoldID: leg.HoldID, Operator: "wang"})
	f.now = now
	if len(r.last.Peers) == 0 {
		t.Error("nobody is told")
	}
	f.carry(beijing, shanghai)
	f.want(p, "held 150.00/150.00; 110000 released 120.00 annual_quota; 310000 placed 30.00")
	f.refused(shanghai, &ledger.Confirm{Request: f.request(), PaymentID: p.ID, Amount: 3001}, policy.CodeInvalidAmount)
	f.done(shanghai, &ledger.Confirm{Request: f.request(), PaymentID: p.ID, All: true})
	f.want(p, "captured 150.00/150.00; 110000 released 120.00 annual_quota; 310000 captured 30.00 took 30.00")
}

// TestReleaseOfAHoldNeverSeen is recorded and answered, and the hold that comes later changes nothing.
func TestReleaseOfAHoldNeverSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body *wirepb.Body
		want hold.State
	}{
		"release": {&wirepb.Body{Kind: &wirepb.Body_Release{Release: &wirepb.Release{
			HoldId: "h-310000-late-1", PaymentId: "p-310000-late", ActId: "act",
		}}}, hold.Released},
		"capture": {&wirepb.Body{Kind: &wirepb.Body_Capture{Capture: &wirepb.Capture{
			HoldId: "h-310000-late-1", PaymentId: "p-310000-late", ActId: "act", Amount: 100,
		}}}, hold.CaptureFailed},
	} {
		f := family(t)
		f.say(shanghai, beijing, c.body, nil)
		leg := &payment.Leg{HoldID: "h-310000-late-1", Region: "110000"}
		f.wantHold(leg, c.want)
		f.say(shanghai, beijing, c.body, nil)
		w := f.waiting(beijing, shanghai)
		if len(w) != 2 || w[0].GetOutcome().GetState() != c.want.String() || w[1].GetOutcome().GetState() != c.want.String() {
			t.Fatalf("%s: %v", name, w)
		}
		f.say(shanghai, beijing, request(f, "late"), &f.mother)
		f.wantHold(leg, c.want)
		f.wantAccount(f.son, "200.00", "0.00")
		if w := f.waiting(beijing, shanghai); len(w) != 3 || w[2].GetOutcome().GetState() != c.want.String() {
			t.Errorf("%s: %v", name, w)
		}
	}
}

// request is a good hold request of Shanghai for the mother, of the son's grant.
func request(f *fed, name string) *wirepb.Body {
	return &wirepb.Body{Kind: &wirepb.Body_HoldRequest{HoldRequest: &wirepb.HoldRequest{
		HoldId: "h-310000-" + name + "-1", PaymentId: "p-310000-" + name, GrantId: f.grantIn("110000", f.mother),
		Amount: 5000, DecideBy: f.now.Add(15 * time.Minute).UnixMicro(), Purpose: "outpatient",
		Institution: "H31000000001", VisitId: "visit", Ticket: []byte(ticketOf("p-310000-" + name)),
	}}}
}

// grantIn is the beneficiary's grant that a region keeps.
func (f *fed) grantIn(payerRegion string, s someone) string {
	f.t.Helper()
	for _, rec := range f.indexOf(s) {
		if rec.PayerRegion == payerRegion {
			return rec.Entry.ID
		}
	}
	f.t.Fatal("no grant in ", payerRegion)
	return ""
}

// TestHoldAfterItsDeadline is declined.
func TestHoldAfterItsDeadline(t *testing.T) {
	t.Parallel()
	f := family(t)
	body := request(f, "late")
	f.now = f.now.Add(15 * time.Minute)
	f.say(shanghai, beijing, body, &f.mother)
	if w := f.waiting(beijing, shanghai); len(w) != 1 || w[0].GetHoldAnswer().GetCode() != "region_unreachable" {
		t.Errorf("%v", w)
	}
	f.wantAccount(f.son, "200.00", "0.00")
}

// TestHoldAskedTwice (under two numbers, as only a broken origin does) is answered with what stands.
func TestHoldAskedTwice(t *testing.T) {
	t.Parallel()
	f := family(t)
	f.say(shanghai, beijing, request(f, "twice"), &f.mother)
	f.say(shanghai, beijing, request(f, "twice"), &f.mother)
	w := f.waiting(beijing, shanghai)
	if len(w) != 2 || w[0].GetHoldAnswer().GetAmount() != 5000 || w[1].GetHoldAnswer().GetAmount() != 5000 {
		t.Errorf("%v", w)
	}
	f.wantAccount(f.son, "200.00", "50.00")
}
