package refund_test

import (
	"fmt"
	"testing"
	"time"

	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/refund"
)

var start = time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)

const closed, core = policy.CodeAccountClosed, policy.CodeCoreUnavailable

func twoLegs() *refund.Refund {
	r := &refund.Refund{
		ID: refund.ID("p-310000-abc", 1), PaymentID: "p-310000-abc", Amount: 300,
		Legs: []refund.Leg{
			{HoldID: "h-310000-abc-2", Region: "350100", Amount: 200}, {HoldID: "h-310000-abc-1", Region: "110000", Amount: 100},
		},
	}
	r.Start(start)
	return r
}

// TestEnds: done when every leg is done; failed when none is open and one has failed; the reason is the failed
// leg's, and while it waits the waiting one's.
func TestEnds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		first, second refund.State
		want          refund.State
		back          int64
		code          policy.Code
	}{
		{refund.Requested, refund.Requested, refund.Requested, 0, core},
		{refund.Done, refund.Requested, refund.Requested, 200, core},
		{refund.Failed, refund.Requested, refund.Requested, 0, core},
		{refund.Done, refund.Done, refund.Done, 300, ""},
		{refund.Failed, refund.Done, refund.Failed, 100, closed},
		{refund.Done, refund.Failed, refund.Failed, 200, closed},
		{refund.Failed, refund.Failed, refund.Failed, 0, closed},
	} {
		t.Run(fmt.Sprintf("%s %s", tc.first, tc.second), func(t *testing.T) {
			t.Parallel()
			r := twoLegs()
			for i, said := range []refund.State{tc.first, tc.second} {
				code := policy.Code("")
				switch said {
				case refund.Requested:
					code = core
				case refund.Failed:
					code = closed
				case refund.Done:
				}
				ended := r.Answered(r.Legs[i].HoldID, said, code)
				if (ended != nil) != said.Final() {
					t.Errorf("leg %d: ended %v", i, ended)
				}
			}
			if r.State() != tc.want || r.Back().Fen() != tc.back || r.Code() != tc.code {
				t.Errorf("%s, %s back, %q", r.State(), r.Back(), r.Code())
			}
			if r.Wake().IsZero() != (tc.want != refund.Requested) {
				t.Errorf("wakes at %s", r.Wake())
			}
		})
	}
}

// TestAnEndStays: whatever a home says afterwards; nobody's legs, and words that no home may say, change nothing.
func TestAnEndStays(t *testing.T) {
	t.Parallel()
	r := twoLegs()
	if r.Answered("h-310000-abc-3", refund.Done, "") != nil || r.Answered(r.Legs[0].HoldID, refund.State(9), "") != nil {
		t.Error("nobody's leg has ended")
	}
	r.Answered(r.Legs[0].HoldID, refund.Failed, "balance_insufficient")
	if got := r.Legs[0].Code; got != core {
		t.Errorf("another code than R-19 has: %s", got)
	}
	r.Answered(r.Legs[1].HoldID, refund.Failed, "")
	if got := r.Legs[1].Code; got != core {
		t.Errorf("failed without a reason: %q", got)
	}
	for _, s := range refund.States() {
		if r.Answered(r.Legs[0].HoldID, s, "") != nil || r.Legs[0].State != refund.Failed {
			t.Errorf("%s after the end", s)
		}
	}
}

// TestResend: a leg that has not ended is told again with growing waits; a home that says nothing shows as unreachable,
// and operators hear once of a long wait.
func TestResend(t *testing.T) {
	t.Parallel()
	r := twoLegs()
	r.Answered(r.Legs[0].HoldID, refund.Done, "")
	if tell, alarm := r.Expire(start.Add(refund.ResendFirst - 1)); len(tell) != 0 || alarm {
		t.Error("too early")
	}
	now, wait, alarms := start, time.Duration(0), 0
	for range 12 {
		next := r.Wake()
		if d := next.Sub(now); d < wait || d > refund.ResendMax {
			t.Fatalf("waits %s after %s", d, wait)
		} else {
			wait, now = d, next
		}
		tell, alarm := r.Expire(now)
		if len(tell) != 1 || tell[0] != 1 || r.Legs[1].Code != policy.CodeRegionUnreachable {
			t.Fatalf("told %v, %s", tell, r.Legs[1].Code)
		}
		if alarm {
			alarms++
			if now.Sub(start) < refund.AlarmAfter {
				t.Errorf("alarmed after %s", now.Sub(start))
			}
		}
	}
	if wait != refund.ResendMax || alarms != 1 {
		t.Errorf("the last wait was %s, %d alarms", wait, alarms)
	}
	r.Answered(r.Legs[1].HoldID, refund.Requested, core)
	if r.Code() != core {
		t.Errorf("the home waits for its core, and %q is shown", r.Code())
	}
}

// numbers are the actions as they stand in logs.
func numbers(do []refund.Action) string { return fmt.Sprintf("%d", do) }

func aReturn(amount, left int64) (*refund.Return, []refund.Action) {
	r := &refund.Return{RefundID: "r-310000-abc-7", HoldID: "h-310000-abc-1", Origin: "310000"}
	r.Amount = yuan(amount)
	return r, r.Request(start, yuan(left))
}

// TestReturnTable: the home's side, event by event. Failed only on a refusal that the core remembers, or after a
// void; a void that is refused as carried out is done.
func TestReturnTable(t *testing.T) {
	t.Parallel()
	type step struct {
		event string
		do    string
		state refund.ReturnState
		code  policy.Code
	}
	later := start
	events := map[string]func(r *refund.Return) []refund.Action{
		"refunded":   func(r *refund.Return) []refund.Action { return r.CoreRefunded(later) },
		"refused":    func(r *refund.Return) []refund.Action { return r.CoreRefused(later, closed, false) },
		"remembered": func(r *refund.Return) []refund.Action { return r.CoreRefused(later, closed, true) },
		"voided":     func(r *refund.Return) []refund.Action { return r.CoreVoided(later) },
		"due": func(r *refund.Return) []refund.Action {
			if r.WakeAt.IsZero() {
				return r.Expire(later.AddDate(1, 0, 0))
			}
			return r.Expire(r.WakeAt)
		},
		"early": func(r *refund.Return) []refund.Action { return r.Expire(r.Asked) },
	}
	const requested, done = refund.ReturnRequested, refund.ReturnDone
	const failed, voiding = refund.ReturnFailed, refund.ReturnVoiding
	for name, steps := range map[string][]step{
		"done": {
			{"refunded", "[3]", done, ""}, {"refused", "[]", done, ""}, {"due", "[]", done, ""}, {"voided", "[]", done, ""},
		},
		"remembered": {
			{"remembered", "[3]", failed, closed}, {"refunded", "[]", failed, closed}, {"refused", "[]", failed, closed},
		},
		"voided": {
			{"refused", "[2]", voiding, ""},
			{"refused", "[]", voiding, ""},
			{"due", "[2 3]", voiding, core},
			{"due", "[2]", voiding, core},
			{"voided", "[3]", failed, closed},
			{"voided", "[]", failed, closed},
		},
		"void came too late": {{"refused", "[2]", voiding, ""}, {"refunded", "[3]", done, ""}},
		"silent": {
			{"early", "[]", requested, ""},
			{"voided", "[]", requested, ""},
			{"due", "[1 3]", requested, core},
			{"due", "[1]", requested, core},
			{"refunded", "[3]", done, ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, do := aReturn(100, 100)
			if numbers(do) != "[1]" {
				t.Fatalf("begins with %v", do)
			}
			for i, s := range steps {
				if do = events[s.event](r); numbers(do) != s.do || r.State != s.state || r.Code != s.code {
					t.Fatalf("step %d, %s: %v, %s %q", i, s.event, do, r.State, r.Code)
				}
			}
		})
	}
}

// TestReturnIsBounded: never above what is left of the hold, and never nothing.
func TestReturnIsBounded(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		amount, left int64
		want         refund.ReturnState
	}{
		{100, 100, refund.ReturnRequested},
		{101, 100, refund.ReturnFailed},
		{1, 0, refund.ReturnFailed},
		{0, 100, refund.ReturnFailed},
		{-1, 100, refund.ReturnFailed},
	} {
		r, do := aReturn(tc.amount, tc.left)
		beyond := r.Code == policy.CodeRefundExceedsCaptured
		if r.State != tc.want || (r.State == refund.ReturnFailed) != beyond || len(do) != 1 {
			t.Errorf("%d of %d: %s %s %v", tc.amount, tc.left, r.State, r.Code, do)
		}
	}
}

// TestEveryOpenStateWakes: from the state table, so that no state is left without a time at which it goes on by itself.
func TestEveryOpenStateWakes(t *testing.T) {
	t.Parallel()
	for _, s := range refund.ReturnStates() {
		r, _ := aReturn(100, 100)
		switch s {
		case refund.ReturnRequested:
		case refund.ReturnVoiding:
			r.CoreRefused(start, closed, false)
		case refund.ReturnDone:
			r.CoreRefunded(start)
		case refund.ReturnFailed:
			r.CoreRefused(start, closed, true)
		}
		if r.State != s || r.WakeAt.IsZero() != s.Final() || (r.Calls() == 0) != s.Final() || s.Told().Final() != s.Final() {
			t.Errorf("%s: wakes at %s, calls %d", r.State, r.WakeAt, r.Calls())
		}
	}
}

// TestReturnAlarm: operators hear once of a return that has waited long, and its waits are bounded.
func TestReturnAlarm(t *testing.T) {
	t.Parallel()
	r, _ := aReturn(100, 100)
	alarms := 0
	for range 30 {
		now := r.WakeAt
		for _, a := range r.Expire(now) {
			if a == refund.Alarm {
				alarms++
			}
		}
		if d := r.WakeAt.Sub(now); d < refund.CallWait || d > refund.CallMax {
			t.Errorf("waits %s", d)
		}
	}
	if alarms != 1 {
		t.Errorf("%d alarms", alarms)
	}
}

// TestIDs: a refund's id is read as it was made, and nothing else is.
func TestIDs(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 9, 10, refund.Max} {
		id := refund.ID("p-310000-abc", n)
		if payment, got, ok := refund.OfID(id); !ok || payment != "p-310000-abc" || got != n {
			t.Errorf("%s is %s, %d, %v", id, payment, got, ok)
		}
	}
	for _, id := range []string{
		"", "r", "r-", "r-1", "p-310000-abc-1", "r-310000-abc-0", "r-310000-abc-01", "r-310000-abc-+1", "r-310000-abc-",
		"r-310000-abc-x", fmt.Sprint("r-310000-abc-", refund.Max+1), "r-310000-abc--1",
	} {
		if payment, n, ok := refund.OfID(id); ok && refund.ID(payment, n) != id {
			t.Errorf("%q is %q, %d", id, payment, n)
		}
	}
	for _, id := range []string{"r-310000-abc-0", "r-310000-abc-01", "r-310000-abc-257", "h-310000-abc-1"} {
		if _, _, ok := refund.OfID(id); ok {
			t.Errorf("%q is an id", id)
		}
	}
	r, _ := aReturn(1, 1)
	if r.Ref() != "h-310000-abc-1/7" || r.VoidRef() != "h-310000-abc-1/7/v" {
		t.Errorf("called as %s and %s", r.Ref(), r.VoidRef())
	}
}

// TestWords: what stands in the API and between regions is read as it is written.
func TestWords(t *testing.T) {
	t.Parallel()
	for _, s := range refund.States() {
		if got, ok := refund.ParseState(s.String()); !ok || got != s {
			t.Errorf("%s is read as %s", s, got)
		}
	}
	if _, ok := refund.ParseState("voiding"); ok {
		t.Error("voiding is a home's own word")
	}
	if refund.State(9).String() != "state(9)" || refund.ReturnState(9).String() != "state(9)" ||
		refund.ReturnVoiding.String() != "voiding" || refund.ReturnDone.String() != "done" {
		t.Error("words")
	}
}
