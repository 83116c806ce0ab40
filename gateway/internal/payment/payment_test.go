package payment_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
)

// TestWords: the words of the API (api.md section 3) and no other.
func TestWords(t *testing.T) {
	t.Parallel()
	var states, legs []string
	for _, s := range payment.States() {
		states = append(states, s.String())
	}
	for _, s := range payment.LegStates() {
		legs = append(legs, s.String())
	}
	if got := strings.Join(states, " "); got != "requested held declined capturing captured releasing released expired" {
		t.Error(got)
	}
	if got := strings.Join(legs, " "); got !=
		"requested placed declined capturing captured releasing released capture_failed" {
		t.Error(got)
	}
	if payment.State(0).String() != "state(0)" || payment.LegState(99).String() != "leg(99)" {
		t.Error("a state that is none must show as such")
	}
}

// TestHoldIDs: a hold's id names its payment, and no other id of any form does.
func TestHoldIDs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := "p" + rapid.OneOf(rapid.StringMatching(`-[0-9]{6}-[0-9a-z]{20}`), rapid.StringN(1, 40, -1)).Draw(t, "id")
		n := rapid.IntRange(1, payment.LegsMax).Draw(t, "n")
		got, ok := payment.OfHold(payment.HoldID(id, n))
		if !ok || got != id {
			t.Fatalf("%q → %q → %q, %v", id, payment.HoldID(id, n), got, ok)
		}
		if n > 1 && payment.HoldID(id, n) == payment.HoldID(id, n-1) {
			t.Fatal("two legs have one id")
		}
	})
	for _, id := range []string{"", "-", "h", "h-", "h1", "-1", "p-310000-x-1", "x-310000-x-1", "H-1-1", "\x00-1"} {
		if got, ok := payment.OfHold(id); ok {
			t.Errorf("%q is said to be a hold of %q", id, got)
		}
	}
	for _, id := range []string{"", "p", "x", "\xff"} {
		if got := payment.HoldID(id, 1); !strings.HasPrefix(got, "h") {
			t.Errorf("%q", got)
		}
	}
}

// TestNobodyToAsk: declined at once, since no leg is open.
func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	p := &payment.Payment{ID: "p-310000-x", Amount: 100, AllowPartial: true, DecideBy: start.Add(time.Minute)}
	if e := p.Start(start); len(e) != 0 || p.State != payment.Declined || p.CashDue() != 100 || !p.Wake().IsZero() {
		t.Errorf("%s, %v", p.State, e)
	}
}

// TestDeclinedNamesLimits: a payer that could have given part stands in the declines with its limit's code (api.md 3).
func TestDeclinedNamesLimits(t *testing.T) {
	t.Parallel()
	p := asked()
	p.AllowPartial = false
	p.Placed(start, hold(1), 100, policy.CodeRetainedFloor)
	p.Placed(start, hold(2), 100, "")
	p.Refused(start, hold(3), policy.CodeVisitLimit)
	if p.State != payment.Releasing || p.Held != 0 || p.Counts() != 0 {
		t.Fatalf("%s, held %s", p.State, p.Held)
	}
	codes := map[string]policy.Code{}
	for _, d := range p.Declines {
		codes[d.GrantID] = d.Code
	}
	if len(p.Declines) != 3 || codes["g-110000-a"] != policy.CodeRetainedFloor ||
		codes["g-350100-b"] != policy.CodeBalanceInsufficient || codes["g-110000-c"] != policy.CodeVisitLimit {
		t.Errorf("%+v", p.Declines)
	}
}

// TestGivenUpLeg: a payment does not wait for a leg that was given up to be captured, and waits for it to be declined.
func TestGivenUpLeg(t *testing.T) {
	t.Parallel()
	late := start.Add(payment.LegWait)
	p := asked()
	p.Expire(late) // the first payer gives nothing
	p.Placed(late, hold(2), 10000, "")
	if p.State != payment.Held || p.Held != 10000 {
		t.Fatal(p.State, p.Held)
	}
	must(t, second(p.Confirm(late, 10000)))
	p.LegCapturedBy(hold(2), 10000)
	if p.State != payment.Captured || !p.Open() || p.Wake().IsZero() {
		t.Errorf("%s, open %v: the given up leg must go on being told", p.State, p.Open())
	}
	if e := p.Expire(p.Wake()); len(e) != 1 || e[0] != (payment.Effect{Do: payment.TellRelease, Leg: 0}) {
		t.Errorf("%v", e)
	}
	p.LegReleasedBy(late, hold(1), false)
	if p.Open() || !p.Wake().IsZero() {
		t.Error("it is over")
	}

	p = asked()
	p.Candidates = nil
	p.Expire(late)
	if p.State != payment.Releasing {
		t.Errorf("%s while a leg is open", p.State)
	}
	p.Refused(late, hold(1), policy.CodeNotFound)
	if p.State != payment.Declined || len(p.Declines) != 1 || p.Declines[0].Code != policy.CodeRegionUnreachable {
		t.Errorf("%s, %+v", p.State, p.Declines)
	}
}

// TestResends: a decision that is not answered is sent again, less and less often, for ever.
func TestResends(t *testing.T) {
	t.Parallel()
	p := inState(t, payment.Capturing)
	wait := payment.ResendFirst
	at := start
	for range 12 {
		if want := at.Add(wait); !p.Wake().Equal(want) {
			t.Fatalf("wakes at %s, want %s", p.Wake(), want)
		}
		at = p.Wake()
		if e := effects(p.Expire(at)); e != "capture 1, capture 2" {
			t.Fatal(e)
		}
		wait = min(2*wait, payment.ResendMax)
	}
}

// TestEnquiries: the leg's own decision is sent again, whatever the leg has come to.
func TestEnquiries(t *testing.T) {
	t.Parallel()
	want := map[payment.LegState]string{
		payment.LegRequested: "-", payment.LegPlaced: "-", payment.LegDeclined: "release 2",
		payment.LegCapturing: "capture 2", payment.LegCaptured: "capture 2", payment.LegReleasing: "release 2",
		payment.LegReleased: "release 2", payment.LegCaptureFailed: "release 2",
	}
	for _, s := range payment.LegStates() {
		p := legIn(t, s)
		e, undecided := p.Enquired(start, hold(2))
		if effects(e) != want[s] || undecided != (want[s] == "-") {
			t.Errorf("%s: %s, undecided %v", s, effects(e), undecided)
		}
	}
	// A leg that took what it was told to give back is told what it was told.
	p := inState(t, payment.Releasing)
	p.LegCapturedBy(hold(2), 4000)
	if e, _ := p.Enquired(start, hold(2)); effects(e) != "release 2" {
		t.Error(effects(e))
	}
	p.LegReleasedBy(start, hold(1), false)
	if p.State != payment.Released || p.Counts() != 4000 {
		t.Errorf("%s: the bill counts %s: what was taken against the decision was paid", p.State, p.Counts())
	}
}
