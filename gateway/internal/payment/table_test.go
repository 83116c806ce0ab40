package payment_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
)

// The tables in testdata are the whole truth of the origin's side: every state and every event, with what comes of it.
// They are written by -update and read in review.
var update = flag.Bool("update", false, "write the tables in testdata anew")

var start = time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)

const decideIn = 15 * time.Minute

// window is how long after start an emergency can be completed.
const window = 14 * 24 * time.Hour

// again is an attempt to complete a payment with one grant, one more being suspended.
func again(now time.Time) payment.Completion {
	return payment.Completion{
		Candidates: []payment.Candidate{{GrantID: "g-310000-d", Region: "310000"}},
		Declines:   []payment.Decline{{GrantID: "g-110000-a", Region: "110000", Code: policy.CodeGrantNotActive}},
		DecideBy:   now.Add(decideIn),
	}
}

// asked is a payment of 100.00 from three candidates, the first of which has been asked.
func asked() *payment.Payment {
	p := &payment.Payment{
		ID: "p-310000-x", Amount: 10000, AllowPartial: true, DecideBy: start.Add(decideIn),
		CompleteBy: start.Add(window),
		Candidates: []payment.Candidate{
			{GrantID: "g-110000-a", Region: "110000"},
			{GrantID: "g-350100-b", Region: "350100"},
			{GrantID: "g-110000-c", Region: "110000"},
		},
	}
	p.Start(start)
	return p
}

func hold(n int) string { return payment.HoldID("p-310000-x", n) }

// inState brings a payment with two legs of 60.00 and 40.00 into a state.
func inState(t *testing.T, s payment.State) *payment.Payment {
	t.Helper()
	p := asked()
	p.Placed(start, hold(1), 6000, policy.CodePaymentLimit)
	if s == payment.Requested {
		return p
	}
	if s == payment.Declined {
		p.AllowPartial = false
		p.Placed(start, hold(2), 1000, policy.CodeAnnualQuota)
		p.Refused(start, hold(3), policy.CodeBalanceInsufficient)
		p.LegReleasedBy(start, hold(1), false)
		p.LegReleasedBy(start, hold(2), false)
		return p
	}
	p.Placed(start, hold(2), 4000, "")
	switch s {
	case payment.Held, payment.Requested, payment.Declined:
	case payment.Capturing, payment.Captured:
		must(t, second(p.Confirm(start, 8000)))
	case payment.Releasing, payment.Released:
		must(t, second(p.Cancel(start)))
	case payment.Expired:
		p.Expire(p.DecideBy)
	}
	switch s {
	case payment.Captured:
		p.LegCapturedBy(hold(1), 6000)
		p.LegCapturedBy(hold(2), 2000)
	case payment.Released, payment.Expired:
		p.LegReleasedBy(start, hold(1), false)
		p.LegReleasedBy(start, hold(2), false)
	case payment.Requested, payment.Held, payment.Declined, payment.Capturing, payment.Releasing:
	}
	return p
}

func second[A, B any](_ A, b B) B { return b }

func must(t *testing.T, code policy.Code) {
	t.Helper()
	if code != "" {
		t.Fatal("refused: ", code)
	}
}

// event is one thing that can happen to a payment; what it returns beside effects is told as a word.
type event struct {
	name string
	do   func(p *payment.Payment) ([]payment.Effect, string)
}

func plain(name string, do func(p *payment.Payment) []payment.Effect) event {
	return event{name, func(p *payment.Payment) ([]payment.Effect, string) { return do(p), "" }}
}

func coded(name string, do func(p *payment.Payment) ([]payment.Effect, policy.Code)) event {
	return event{name, func(p *payment.Payment) ([]payment.Effect, string) {
		e, code := do(p)
		return e, string(code)
	}}
}

func enquired(name string, at time.Time, holdID string) event {
	return event{name, func(p *payment.Payment) ([]payment.Effect, string) {
		e, undecided := p.Enquired(at, holdID)
		if undecided {
			return e, "undecided"
		}
		return e, ""
	}}
}

// events are all that can happen, those of a home about the leg with the given hold.
func events(h string) []event {
	soon, late := start.Add(time.Second), start.Add(decideIn)
	return []event{
		plain("placed, all that was asked", func(p *payment.Payment) []payment.Effect { return p.Placed(soon, h, 4000, "") }),
		plain("placed, a part", func(p *payment.Payment) []payment.Effect {
			return p.Placed(soon, h, 1500, policy.CodeVisitLimit)
		}),
		plain("placed, more than was asked", func(p *payment.Payment) []payment.Effect {
			return p.Placed(soon, h, 1<<60, "")
		}),
		plain("placed, after decide_by", func(p *payment.Payment) []payment.Effect { return p.Placed(late, h, 4000, "") }),
		plain("refused", func(p *payment.Payment) []payment.Effect { return p.Refused(soon, h, policy.CodeAnnualQuota) }),
		plain("refused, after decide_by", func(p *payment.Payment) []payment.Effect {
			return p.Refused(late, h, policy.CodeAnnualQuota)
		}),
		plain("captured", func(p *payment.Payment) []payment.Effect { p.LegCapturedBy(h, 2000); return nil }),
		plain("captured, beyond everything", func(p *payment.Payment) []payment.Effect {
			p.LegCapturedBy(h, 1<<62)
			return nil
		}),
		plain("released", func(p *payment.Payment) []payment.Effect { return p.LegReleasedBy(soon, h, false) }),
		plain("released by force", func(p *payment.Payment) []payment.Effect { return p.LegReleasedBy(soon, h, true) }),
		plain("capture failed", func(p *payment.Payment) []payment.Effect { return p.LegFailed(soon, h) }),
		coded("confirm all", func(p *payment.Payment) ([]payment.Effect, policy.Code) { return p.Confirm(soon, 10000) }),
		coded("confirm a part", func(p *payment.Payment) ([]payment.Effect, policy.Code) { return p.Confirm(soon, 6000) }),
		coded("confirm nothing", func(p *payment.Payment) ([]payment.Effect, policy.Code) { return p.Confirm(soon, 0) }),
		coded("confirm too much", func(p *payment.Payment) ([]payment.Effect, policy.Code) { return p.Confirm(soon, 10001) }),
		coded("confirm at decide_by", func(p *payment.Payment) ([]payment.Effect, policy.Code) {
			return p.Confirm(late, 10000)
		}),
		coded("cancel", func(p *payment.Payment) ([]payment.Effect, policy.Code) { return p.Cancel(soon) }),
		coded("cancel at decide_by", func(p *payment.Payment) ([]payment.Effect, policy.Code) { return p.Cancel(late) }),
		coded("complete", func(p *payment.Payment) ([]payment.Effect, policy.Code) { return p.Complete(soon, again(soon)) }),
		coded("complete, as late as can be", func(p *payment.Payment) ([]payment.Effect, policy.Code) {
			last := start.Add(window - time.Microsecond)
			return p.Complete(last, again(last))
		}),
		coded("complete, the window closed", func(p *payment.Payment) ([]payment.Effect, policy.Code) {
			return p.Complete(start.Add(window), again(start.Add(window)))
		}),
		plain("time, nothing due", func(p *payment.Payment) []payment.Effect { return p.Expire(soon) }),
		plain("time, the leg's deadline", func(p *payment.Payment) []payment.Effect {
			return p.Expire(start.Add(payment.LegWait))
		}),
		plain("time, all legs' deadline", func(p *payment.Payment) []payment.Effect {
			return p.Expire(start.Add(payment.LegsWait))
		}),
		plain("time, decide_by", func(p *payment.Payment) []payment.Effect { return p.Expire(late) }),
		enquired("enquiry", soon, h),
		enquired("enquiry after decide_by", late, h),
		enquired("enquiry about another's hold", soon, "h-310000-y-1"),
	}
}

func effects(list []payment.Effect) string {
	words := map[payment.Action]string{
		payment.AskHold: "ask", payment.TellCapture: "capture", payment.TellRelease: "release",
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		out = append(out, fmt.Sprintf("%s %d", words[e.Do], e.Leg+1))
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, ", ")
}

func legs(p *payment.Payment) string {
	out := make([]string, 0, len(p.Legs))
	for i := range p.Legs {
		l := &p.Legs[i]
		s := l.State.String()
		if l.GivenUp {
			s += "(given up)"
		}
		if l.Claim {
			s += "(claim)"
		}
		if l.Earlier {
			s += "(earlier)"
		}
		if l.State == payment.LegCaptured {
			s += " " + l.Captured.String()
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func row(p *payment.Payment, e event) string {
	out, word := e.do(p)
	if word != "" {
		word = " [" + word + "]"
	}
	return fmt.Sprintf("  %-29s → %-9s | %s | %s%s\n", e.name, p.State, legs(p), effects(out), word)
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	path := "testdata/" + file
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	a, b := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			t.Errorf("%s:%d\n got %q\nwant %q", path, i+1, a[i], append(b, "")[min(i, len(b))])
		}
	}
	if len(a) != len(b) {
		t.Errorf("%s: %d lines, want %d", path, len(a), len(b))
	}
}

// TestTransitions is every state and every event.
func TestTransitions(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, s := range payment.States() {
		p := inState(t, s)
		if p.State != s {
			t.Fatalf("%s came out as %s", s, p.State)
		}
		fmt.Fprintf(&b, "%s: %s\n", s, legs(p))
		for _, e := range events(hold(2)) {
			b.WriteString(row(inState(t, s), e))
		}
	}
	compare(t, "transitions.txt", b.String())
}

// legIn brings the second leg of a payment into a state.
func legIn(t *testing.T, s payment.LegState) *payment.Payment {
	t.Helper()
	switch s {
	case payment.LegRequested:
		return inState(t, payment.Requested)
	case payment.LegPlaced:
		return inState(t, payment.Held)
	case payment.LegDeclined:
		p := inState(t, payment.Requested)
		p.Refused(start, hold(2), policy.CodeAnnualQuota)
		return p
	case payment.LegCapturing:
		return inState(t, payment.Capturing)
	case payment.LegCaptured:
		p := inState(t, payment.Capturing)
		p.LegCapturedBy(hold(2), 2000)
		return p
	case payment.LegReleasing:
		return inState(t, payment.Releasing)
	case payment.LegReleased:
		p := inState(t, payment.Releasing)
		p.LegReleasedBy(start, hold(2), false)
		return p
	case payment.LegCaptureFailed:
		p := inState(t, payment.Capturing)
		p.LegReleasedBy(start, hold(2), true)
		return p
	}
	t.Fatalf("no way to %s", s)
	return nil
}

// TestLegTransitions is every state of a leg and every event: what becomes of that leg.
func TestLegTransitions(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, s := range payment.LegStates() {
		if got := legIn(t, s).Legs[1].State; got != s {
			t.Fatalf("%s came out as %s", s, got)
		}
		fmt.Fprintf(&b, "%s\n", s)
		for _, e := range events(hold(2)) {
			p := legIn(t, s)
			before := p.Legs[1]
			e.do(p)
			l := p.Legs[1]
			before.Earlier = l.Earlier
			if s.Final() && l != before {
				t.Errorf("%s, %s: a final leg moved to %+v", s, e.name, l)
			}
			if l.State == s {
				continue
			}
			fmt.Fprintf(&b, "  %-29s → %s, amount %s, share %s, captured %s, misses %s\n",
				e.name, l.State, l.Amount, l.Share, l.Captured, l.Shortfall())
		}
	}
	compare(t, "legs.txt", b.String())
}

// TestSums is what the API and the bill make of a payment in each state.
func TestSums(t *testing.T) {
	t.Parallel()
	type sums struct{ held, captured, cash, counts money.Amount }
	want := map[payment.State]sums{
		payment.Requested: {0, 0, 10000, 10000},
		payment.Held:      {10000, 0, 0, 10000},
		payment.Declined:  {0, 0, 10000, 0},
		payment.Capturing: {10000, 0, 2000, 8000},
		payment.Captured:  {10000, 8000, 2000, 8000},
		payment.Releasing: {10000, 0, 10000, 10000},
		payment.Released:  {10000, 0, 10000, 0},
		payment.Expired:   {10000, 0, 10000, 0},
	}
	for _, s := range payment.States() {
		p := inState(t, s)
		if got := (sums{p.Held, p.CapturedSum(), p.CashDue(), p.Counts()}); got != want[s] {
			t.Errorf("%s: %+v, want %+v", s, got, want[s])
		}
	}
}
