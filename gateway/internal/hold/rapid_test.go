package hold_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// allowed is the home's table of design 5. Beside it: a hold whose rules were not checked yet is released at once,
// since the core was asked for nothing; and the core's word that it captured wins wherever a call was under way.
var allowed = map[hold.State][]hold.State{
	hold.Requested:     {hold.Placed, hold.Declined, hold.Abandoning, hold.Released},
	hold.Abandoning:    {hold.Released, hold.Captured},
	hold.Placed:        {hold.Capturing, hold.Releasing, hold.InDoubt},
	hold.InDoubt:       {hold.Capturing, hold.Releasing},
	hold.Capturing:     {hold.Captured, hold.Undoing},
	hold.Undoing:       {hold.CaptureFailed, hold.Captured},
	hold.Releasing:     {hold.Released, hold.Captured},
	hold.Declined:      nil,
	hold.Released:      nil,
	hold.Captured:      nil,
	hold.CaptureFailed: nil,
}

// watched is a hold under random events.
type watched struct {
	*hold.Hold
	now      time.Time
	before   hold.Hold
	decision hold.Action // the first that the origin took while there was something to decide
	given    money.Amount
}

func drawn(t *rapid.T) *watched {
	h := fresh()
	h.Asked = money.Amount(rapid.Int64Range(1, 1<<40).Draw(t, "asked"))
	h.DecideBy = start.Add(time.Duration(rapid.IntRange(1, 900).Draw(t, "within")) * time.Second)
	w := &watched{Hold: h, now: start}
	w.did(t, "request", h.Request(start))
	return w
}

func (w *watched) did(t *rapid.T, what string, do []hold.Action) {
	t.Helper()
	b := &w.before
	if w.State != b.State && b.State != 0 {
		if !slices.Contains(allowed[b.State], w.State) {
			t.Fatalf("%s: %s became %s", what, b.State, w.State)
		}
		if w.State == hold.Released && b.State == hold.Requested && b.Checked {
			t.Fatalf("%s: released without a word to the core", what)
		}
		if w.State == hold.Captured && b.State == hold.Abandoning && what != "core captured" {
			t.Fatalf("%s: captured without the core's word", what)
		}
	}
	// Once placed stands in the log, only the origin's decision or two operators move it.
	if (b.State == hold.Placed || b.State == hold.InDoubt) && w.State != b.State && w.State != hold.InDoubt &&
		!slices.Contains([]string{"capture", "release", "force"}, what) {
		t.Fatalf("%s: a placed hold became %s", what, w.State)
	}
	if what == "force" && w.State != b.State &&
		(b.State != hold.InDoubt || len(w.Forced) < 2 || w.Forced[0] == w.Forced[1]) {
		t.Fatalf("%s became %s by force of %q", b.State, w.State, w.Forced)
	}
	w.calls(t, what, do)
	if w.State.Final() != w.WakeAt.IsZero() || w.State.Final() == w.Ended.IsZero() {
		t.Fatalf("%s: %s wakes at %s, ended %s", what, w.State, w.WakeAt, w.Ended)
	}
	if w.Amount > w.given || w.Take > w.Amount || w.Amount < 0 || w.Captured < 0 ||
		w.Counts() < 0 || w.Counts() > max(w.given, w.Captured) {
		t.Fatalf("%s: given %s, amount %s, take %s, captured %s, counts %s",
			what, w.given, w.Amount, w.Take, w.Captured, w.Counts())
	}
	w.before = *w.Hold
	w.before.Forced = slices.Clone(w.Forced)
}

// calls: what the core and the origin are told fits the state, and the one decision that was taken.
func (w *watched) calls(t *rapid.T, what string, do []hold.Action) {
	for _, a := range do {
		switch a {
		case hold.CallPerson, hold.CallHold, hold.CallCapture, hold.CallRelease:
			if w.Calls() != a {
				t.Fatalf("%s: %s, call %d is not the one of its state, %d", what, w.State, a, w.Calls())
			}
			if a == hold.CallCapture && (w.decision != hold.CallCapture || w.Take <= 0) {
				t.Fatalf("%s: a capture of %s that nobody decided", what, w.Take)
			}
		case hold.TellAnswer:
			if w.State != hold.Placed && w.State != hold.Declined {
				t.Fatalf("%s: an answer while %s", what, w.State)
			}
		case hold.TellOutcome, hold.TellForced:
			if !w.State.Final() || (a == hold.TellForced) && !w.ByForce {
				t.Fatalf("%s: an outcome while %s", what, w.State)
			}
		case hold.AskOrigin:
			if w.State != hold.InDoubt || w.now.Before(w.DecideBy.Add(hold.Grace)) {
				t.Fatalf("%s: asks while %s", what, w.State)
			}
		case hold.Free:
		}
	}
}

func (w *watched) step(t *rapid.T) {
	if rapid.Bool().Draw(t, "passes") {
		w.now = w.now.Add(time.Duration(rapid.Int64Range(1, int64(600*time.Second/time.Microsecond)).
			Draw(t, "µs")) * time.Microsecond)
	}
	amount := money.Amount(rapid.OneOf(rapid.Int64Range(1, 1<<40), rapid.Int64()).Draw(t, "amount"))
	undecided := w.State == hold.Placed || w.State == hold.InDoubt
	switch rapid.IntRange(0, 10).Draw(t, "event") {
	case 0, 1:
		code := rapid.SampledFrom([]policy.Code{"", "", policy.CodeVisitLimit}).Draw(t, "code")
		given := max(min(amount, w.Asked), 1)
		if w.State == hold.Requested && !w.Checked && code == "" {
			w.given = given
		}
		w.did(t, "check", w.Check(w.now, given, policy.CodeVisitLimit, code))
	case 2, 3:
		w.did(t, "core holds", w.CoreHeld(w.now, amount))
	case 4:
		w.did(t, "core refuses", w.CoreRefusedHold(w.now, policy.CodeBalanceInsufficient))
	case 5:
		if undecided {
			w.decision = hold.CallCapture
		}
		w.did(t, "capture", w.Capture(w.now, "c", max(amount, 1)))
	case 6:
		if undecided {
			w.decision = hold.CallRelease
		}
		w.did(t, "release", w.Release(w.now, "r"))
	case 7:
		w.did(t, "core captured", w.CoreCaptured(w.now, amount))
	case 8:
		if rapid.Bool().Draw(t, "refused") {
			w.did(t, "core refuses to capture", w.CoreRefusedCapture(w.now))
		} else {
			w.did(t, "core released", w.CoreReleased(w.now))
		}
	case 9:
		do, code := w.Force(w.now, rapid.SampledFrom([]string{"li", "wang"}).Draw(t, "operator"))
		if (code == "") != undecided && w.before.State != hold.Placed {
			t.Fatalf("%s: force answers %q", w.before.State, code)
		}
		w.did(t, "force", do)
	case 10:
		w.did(t, "time", w.Expire(w.now))
		if !w.WakeAt.IsZero() && !w.WakeAt.After(w.now) {
			t.Fatalf("it wakes at %s, and it is %s", w.WakeAt, w.now)
		}
	}
}

// TestAnythingGoes holds the invariants against origins, cores and operators that say anything at any time.
func TestAnythingGoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawn(t)
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			w.step(t)
		}
	})
}

// core is a core system that keeps the contract of design 7: one answer for each reference, and a release that binds.
type core struct {
	held, captured money.Amount
	dead           bool
}

func (c *core) carryOut(t *rapid.T, w *watched, call hold.Action) func() []hold.Action {
	switch call {
	case hold.CallPerson:
		given := money.Amount(rapid.Int64Range(0, int64(w.Asked)).Draw(t, "allowed"))
		code := policy.Code("")
		if given == 0 {
			code = policy.CodeAnnualQuota
		}
		return func() []hold.Action {
			if w.State == hold.Requested && !w.Checked {
				w.given = given
			}
			return w.Check(w.now, given, "", code)
		}
	case hold.CallHold:
		if c.held == 0 && !c.dead {
			c.held = min(w.Amount, money.Amount(rapid.Int64Range(0, int64(w.Amount)+5).Draw(t, "core's")))
			c.dead = c.held == 0
		}
		if held := c.held; held > 0 && !c.dead {
			return func() []hold.Action { return w.CoreHeld(w.now, held) }
		}
		return func() []hold.Action { return w.CoreRefusedHold(w.now, policy.CodeBalanceInsufficient) }
	case hold.CallCapture:
		if c.captured == 0 && (c.dead || rapid.IntRange(0, 3).Draw(t, "refuses") == 0) {
			return func() []hold.Action { return w.CoreRefusedCapture(w.now) }
		}
		c.captured = w.Take
		return func() []hold.Action { return w.CoreCaptured(w.now, w.Take) }
	case hold.CallRelease:
		if took := c.captured; took > 0 {
			return func() []hold.Action { return w.CoreCaptured(w.now, took) }
		}
		c.dead = true
		return func() []hold.Action { return w.CoreReleased(w.now) }
	case hold.TellAnswer, hold.TellOutcome, hold.TellForced, hold.AskOrigin, hold.Free:
	}
	t.Fatalf("call %d", call)
	return nil
}

// TestHonestCore lets a core answer late, twice or not at all: the hold comes to an end, and it is the core's.
func TestHonestCore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawn(t)
		c := &core{}
		var late []func() []hold.Action
		for range 600 {
			if w.State.Final() {
				break
			}
			call := w.Calls()
			if call == 0 && rapid.IntRange(0, 2).Draw(t, "decides") == 0 {
				if rapid.Bool().Draw(t, "takes") {
					w.decision = hold.CallCapture
					w.did(t, "capture", w.Capture(w.now, "c", money.Amount(rapid.Int64Range(1, int64(w.Amount)).Draw(t, "take"))))
				} else {
					w.decision = hold.CallRelease
					w.did(t, "release", w.Release(w.now, "r"))
				}
				continue
			}
			if call == hold.CallHold && rapid.IntRange(0, 5).Draw(t, "gives up") == 0 {
				w.did(t, "release", w.Release(w.now, "r"))
				continue
			}
			if call != 0 {
				answer := c.carryOut(t, w, call)
				switch rapid.IntRange(0, 3).Draw(t, "answer") {
				case 0: // lost
				case 1: // as a repeat, which the log takes only for the call that is under way
					late = append(late, func() []hold.Action {
						if w.Calls() != call {
							return nil
						}
						return answer()
					})
				default:
					w.did(t, "answer", answer())
					continue
				}
			}
			if len(late) > 0 && rapid.Bool().Draw(t, "late") {
				w.did(t, "late answer", late[0]())
				late = late[1:]
				continue
			}
			if !w.State.Final() {
				w.now = w.WakeAt
				w.did(t, "time", w.Expire(w.now))
			}
		}
		if !w.State.Final() {
			t.Fatalf("it stays %s", w.State)
		}
		if w.Captured != c.captured || (w.State == hold.Captured) != (c.captured > 0) {
			t.Fatalf("%s with %s, the core took %s", w.State, w.Captured, c.captured)
		}
		if c.held > 0 && c.captured == 0 && !c.dead {
			t.Fatalf("%s, and the core holds %s for ever", w.State, c.held)
		}
	})
}
