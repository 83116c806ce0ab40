package payment_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
)

// watched is a payment under random events, with what must never change once it was seen.
type watched struct {
	*payment.Payment
	now      time.Time
	told     map[int]payment.Action // the decision each leg was told
	before   payment.Payment
	captured map[int]money.Amount
}

func drawn(t *rapid.T) *watched {
	p := &payment.Payment{
		ID:           "p-310000-" + rapid.StringMatching(`[0-9a-z]{1,8}`).Draw(t, "id"),
		Amount:       money.Amount(rapid.Int64Range(1, 20000).Draw(t, "amount")),
		AllowPartial: rapid.Bool().Draw(t, "partial"),
		AutoConfirm:  rapid.Bool().Draw(t, "auto"),
		DecideBy:     start.Add(time.Duration(rapid.IntRange(5, 900).Draw(t, "within")) * time.Second),
	}
	if rapid.Bool().Draw(t, "emergency") {
		p.CompleteBy = start.Add(time.Duration(rapid.IntRange(-1, 24).Draw(t, "hours")) * time.Hour)
	}
	for i := range rapid.IntRange(0, 12).Draw(t, "candidates") {
		p.Candidates = append(p.Candidates, payment.Candidate{GrantID: fmt.Sprintf("g-%d", i), Region: "110000"})
	}
	w := &watched{Payment: p, now: start, told: map[int]payment.Action{}, captured: map[int]money.Amount{}}
	w.did(t, "start", p.Start(start))
	return w
}

// did checks everything that must hold after an event, and what the event had done.
func (w *watched) did(t *rapid.T, what string, effects []payment.Effect) {
	t.Helper()
	for _, e := range effects {
		w.effect(t, what, e)
	}
	w.decided(t, what)
	w.sums(t, what)
	w.legsFit(t, what)
	w.wakes(t, what)
	w.before = *w.Payment
	w.before.Legs = slices.Clone(w.Legs)
}

// effect: a leg is told one decision, and never the other one; only a capture that failed may be told to give back.
func (w *watched) effect(t *rapid.T, what string, e payment.Effect) {
	l := &w.Legs[e.Leg]
	switch e.Do {
	case payment.AskHold:
		if l.State != payment.LegRequested {
			t.Fatalf("%s: asked for a hold of a leg that is %s", what, l.State)
		}
		return
	case payment.TellCapture:
		if w.State != payment.Capturing && w.State != payment.Captured || l.Share <= 0 {
			t.Fatalf("%s: a capture of %s while %s", what, l.Share, w.State)
		}
	case payment.TellRelease:
		if w.told[e.Leg] == payment.TellCapture && l.State == payment.LegCaptureFailed {
			return
		}
	}
	if before, ok := w.told[e.Leg]; ok && before != e.Do {
		t.Fatalf("%s: leg %d was told %d and now %d", what, e.Leg, before, e.Do)
	}
	w.told[e.Leg] = e.Do
}

// decided: final states and final legs never move, a decision never changes.
func (w *watched) decided(t *rapid.T, what string) {
	b := &w.before
	if what == "complete" {
		return
	}
	if b.State.Final() && (w.State != b.State || w.Confirmed != b.Confirmed || w.Held != b.Held) {
		t.Fatalf("%s: %s moved to %s", what, b.State, w.State)
	}
	if b.State == payment.Capturing &&
		(w.State != payment.Capturing && w.State != payment.Captured || w.Confirmed != b.Confirmed) {
		t.Fatalf("%s: capturing %s became %s of %s", what, b.Confirmed, w.State, w.Confirmed)
	}
	ends := map[payment.Cause]payment.State{
		payment.CauseCancelled: payment.Released, payment.CauseExpired: payment.Expired, payment.CauseShort: payment.Declined,
	}
	if b.State == payment.Releasing && (w.Cause != b.Cause || w.State != b.State && w.State != ends[b.Cause]) {
		t.Fatalf("%s: releasing (%d) became %s (%d)", what, b.Cause, w.State, w.Cause)
	}
	if b.State == payment.Held && w.State == payment.Requested {
		t.Fatalf("%s: held became requested", what)
	}
	for i := range b.Legs {
		if old, l := b.Legs[i], w.Legs[i]; old.State.Final() && old != l {
			t.Fatalf("%s: a final leg moved from %+v to %+v", what, old, l)
		}
	}
}

// sums: confirmed ≤ held ≤ amount, and the shares are what was confirmed, in order.
func (w *watched) sums(t *rapid.T, what string) {
	if w.Confirmed > w.Held || w.Held > w.Amount || w.Covered() > w.Amount {
		t.Fatalf("%s: confirmed %s, held %s, covered %s, amount %s", what, w.Confirmed, w.Held, w.Covered(), w.Amount)
	}
	var shares money.Amount
	short := false
	for i := range w.Legs {
		l := &w.Legs[i]
		if l.Share < 0 || l.Share > l.Amount || l.Amount > l.Asked || l.Captured < 0 || l.Captured > l.Asked {
			t.Fatalf("%s: leg %+v", what, l)
		}
		if l.Captured > l.Share && l.Share > 0 {
			t.Fatalf("%s: captured above the share: %+v", what, l)
		}
		if decided := !l.State.Final() && !l.GivenUp && !l.Earlier; decided && w.State == payment.Capturing &&
			w.before.State != payment.Capturing {
			if short && l.Share > 0 {
				t.Fatalf("%s: leg %d gives although one before it did not give all: %+v", what, i, w.Legs)
			}
			short = short || l.Share < l.Amount
		}
		shares += l.Share
	}
	if shares != w.Confirmed {
		t.Fatalf("%s: shares of %s, confirmed %s", what, shares, w.Confirmed)
	}
	if w.Counts() < w.CapturedSum() {
		t.Fatalf("%s: the bill counts %s, captured is %s", what, w.Counts(), w.CapturedSum())
	}
	if w.CashDue() < 0 || w.Shortfall() < 0 {
		t.Fatalf("%s: cash %s, shortfall %s", what, w.CashDue(), w.Shortfall())
	}
}

// legsFit: the states of the legs fit the payment's.
func (w *watched) legsFit(t *rapid.T, what string) {
	asking := 0
	declined := map[string]int{}
	for _, d := range w.Declines {
		if declined[d.GrantID]++; declined[d.GrantID] > 1 || d.Code == "" {
			t.Fatalf("%s: declines %+v", what, w.Declines)
		}
	}
	now := 0
	for i := range w.Legs {
		if !w.Legs[i].Earlier {
			now++
		}
	}
	if now > payment.LegsMax || len(w.Legs) > payment.LegsKept {
		t.Fatalf("%s: %d legs, %d of them now", what, len(w.Legs), now)
	}
	for i := range w.Legs {
		l := &w.Legs[i]
		if l.HoldID != payment.HoldID(w.ID, i+1) || w.Leg(l.HoldID) != l {
			t.Fatalf("%s: leg %d is %q", what, i, l.HoldID)
		}
		if l.State == payment.LegRequested {
			asking++
		}
		open := !l.State.Final()
		if open && w.State.Final() && (w.State != payment.Captured || !l.GivenUp && !l.Earlier) {
			t.Fatalf("%s: %s while leg %d is %s", what, w.State, i, l.State)
		}
		if (l.State == payment.LegPlaced) && w.State != payment.Requested && w.State != payment.Held {
			t.Fatalf("%s: %s while leg %d is placed", what, w.State, i)
		}
		if w.Cause == payment.CauseShort && declined[l.GrantID] == 0 && l.State != payment.LegReleased && !l.Earlier {
			t.Fatalf("%s: declined, and %s stands in no decline: %+v", what, l.GrantID, w.Declines)
		}
	}
	if want := w.State == payment.Requested; (asking == 1) != want || asking > 1 {
		t.Fatalf("%s: %s while %d legs are asked", what, w.State, asking)
	}
}

// wakes: what is open wakes by itself, at a time that lies ahead once the time has been told.
func (w *watched) wakes(t *rapid.T, what string) {
	if wake := w.Wake(); (w.Open() || !w.CompletableUntil().IsZero()) == wake.IsZero() {
		t.Fatalf("%s: %s, open %v, wakes at %s", what, w.State, w.Open(), wake)
	}
}

// step is one random event: anybody may say anything at any time.
func (w *watched) step(t *rapid.T) {
	if d := rapid.IntRange(0, 6).Draw(t, "passes"); d > 3 {
		w.now = w.now.Add(time.Duration(rapid.Int64Range(1, int64(400*time.Second/time.Microsecond)).
			Draw(t, "µs")) * time.Microsecond)
	}
	holdID := payment.HoldID(w.ID, rapid.IntRange(1, len(w.Legs)+1).Draw(t, "leg"))
	amount := money.Amount(rapid.OneOf(rapid.Int64Range(1, 20000), rapid.Int64()).Draw(t, "value"))
	switch kind := rapid.IntRange(0, 10).Draw(t, "event"); kind {
	case 0, 1:
		w.did(t, "placed", w.Placed(w.now, holdID, max(amount, 1), policy.CodeAnnualQuota))
	case 2:
		w.did(t, "refused", w.Refused(w.now, holdID, policy.CodeNotFound))
	case 3:
		effects, code := w.Confirm(w.now, amount)
		if code == "" && !w.now.Before(w.DecideBy) {
			t.Fatal("confirmed after the deadline")
		}
		w.did(t, "confirm", effects)
	case 4:
		effects, code := w.Cancel(w.now)
		if code == "" && !w.now.Before(w.DecideBy) {
			t.Fatal("cancelled after the deadline")
		}
		w.did(t, "cancel", effects)
	case 5:
		w.LegCapturedBy(holdID, amount)
		w.did(t, "captured", nil)
	case 6:
		w.did(t, "released", w.LegReleasedBy(w.now, holdID, rapid.Bool().Draw(t, "forced")))
	case 7:
		w.did(t, "failed", w.LegFailed(w.now, holdID))
	case 8:
		effects, undecided := w.Enquired(w.now, holdID)
		if undecided && !w.now.Before(w.DecideBy) {
			t.Fatal("undecided after the deadline")
		}
		w.did(t, "enquiry", effects)
	case 10:
		w.complete(t)
	case 9:
		w.did(t, "time", w.Expire(w.now))
		if wake := w.Wake(); !wake.IsZero() && !wake.After(w.now) {
			t.Fatalf("it wakes at %s, and it is %s", wake, w.now)
		}
	}
}

// complete tries to complete the payment; the legs of before stay as they are, but for their mark.
func (w *watched) complete(t *rapid.T) {
	before := slices.Clone(w.Legs)
	was := w.State
	c := payment.Completion{DecideBy: w.now.Add(time.Minute), AutoConfirm: rapid.Bool().Draw(t, "auto again")}
	for i := range rapid.IntRange(0, 12).Draw(t, "candidates again") {
		c.Candidates = append(c.Candidates, payment.Candidate{GrantID: fmt.Sprintf("n-%d", i), Region: "310000"})
	}
	effects, code := w.Complete(w.now, c)
	if code != "" {
		if len(effects) > 0 || w.State != was || !slices.Equal(before, w.Legs) {
			t.Fatalf("a refused completion changed the payment: %+v", w.Legs)
		}
		return
	}
	if was != payment.Declined && was != payment.Releasing || !w.now.Before(w.CompleteBy) {
		t.Fatalf("completed while %s, at %s", was, w.now)
	}
	for i := range before {
		before[i].Earlier = true
		if before[i] != w.Legs[i] {
			t.Fatalf("a completion changed leg %d: %+v", i, w.Legs[i])
		}
	}
	w.did(t, "complete", effects)
}

// TestAnythingGoes holds the invariants against homes and platforms that say anything at any time.
func TestAnythingGoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawn(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.step(t)
		}
	})
}

// home is what one honest payer's home does with one hold. Its answers come when the test lets them.
type home struct {
	placed, captured money.Amount
	dead             bool
	answers          []func(w *watched) []payment.Effect
}

func (h *home) told(t *rapid.T, w *watched, e payment.Effect) {
	l := w.Legs[e.Leg]
	id := l.HoldID
	switch e.Do {
	case payment.AskHold:
		given := money.Amount(rapid.Int64Range(0, int64(l.Asked)).Draw(t, "given"))
		if given == 0 || h.dead {
			h.dead = true
			h.answers = append(h.answers, func(w *watched) []payment.Effect {
				return w.Refused(w.now, id, policy.CodeBalanceInsufficient)
			})
			return
		}
		h.placed = given
		h.answers = append(h.answers, func(w *watched) []payment.Effect { return w.Placed(w.now, id, given, "") })
	case payment.TellCapture:
		if h.captured == 0 && !h.dead {
			if rapid.IntRange(0, 4).Draw(t, "fails") == 0 {
				h.dead = true
			} else {
				h.captured = l.Share
			}
		}
		took := h.captured
		h.answers = append(h.answers, func(w *watched) []payment.Effect {
			if took == 0 {
				return w.LegFailed(w.now, id)
			}
			w.LegCapturedBy(id, took)
			return nil
		})
	case payment.TellRelease:
		if h.captured > 0 {
			t.Fatalf("leg %d is told to give back what it was told to take", e.Leg)
		}
		h.dead = true
		h.answers = append(h.answers, func(w *watched) []payment.Effect { return w.LegReleasedBy(w.now, id, false) })
	}
}

// TestHonestHomes lets homes answer in their own time, and some of what they say get lost: every payment ends, captured
// is at most confirmed, and nothing is captured unless the payment is.
func TestHonestHomes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &watched{told: map[int]payment.Action{}, now: start}
		homes := map[int]*home{}
		tell := func(what string, effects []payment.Effect) {
			w.did(t, what, effects)
			for _, e := range effects {
				if homes[e.Leg] == nil {
					homes[e.Leg] = &home{}
				}
				homes[e.Leg].told(t, w, e)
			}
		}
		d := drawn(t)
		w.Payment = d.Payment
		if len(w.Legs) > 0 {
			homes[0] = &home{}
			homes[0].told(t, w, payment.Effect{Do: payment.AskHold, Leg: 0})
		}
		w.before = d.before
		for range 400 {
			if !w.Open() {
				if w.CompletableUntil().IsZero() {
					break
				}
				if len(w.Legs) <= payment.LegsMax && rapid.Bool().Draw(t, "completed") {
					effects, code := w.Complete(w.now, payment.Completion{
						Candidates: []payment.Candidate{{GrantID: "g-again", Region: "110000"}}, DecideBy: w.now.Add(time.Minute),
					})
					if code != "" && w.now.Before(w.CompleteBy) {
						t.Fatalf("not completed: %s", code)
					}
					tell("complete", effects)
					continue
				}
				w.now = w.Wake()
				tell("time", w.Expire(w.now))
				continue
			}
			legs := slices.Sorted(maps.Keys(homes))
			waiting := slices.DeleteFunc(legs, func(i int) bool { return len(homes[i].answers) == 0 })
			choice := rapid.IntRange(0, 3).Draw(t, "next")
			switch {
			case choice == 0 && w.State == payment.Held:
				effects, _ := w.Confirm(w.now, money.Amount(rapid.Int64Range(1, int64(w.Held)).Draw(t, "confirm")))
				tell("confirm", effects)
			case choice == 1 && w.State == payment.Held:
				effects, _ := w.Cancel(w.now)
				tell("cancel", effects)
			case choice != 2 && len(waiting) > 0:
				h := homes[rapid.SampledFrom(waiting).Draw(t, "home")]
				answer := h.answers[0]
				h.answers = h.answers[1:]
				if rapid.IntRange(0, 5).Draw(t, "lost") > 0 {
					tell("answer", answer(w))
				}
			default:
				w.now = w.Wake()
				tell("time", w.Expire(w.now))
			}
		}
		w.ended(t)
	})
}

func (w *watched) ended(t *rapid.T) {
	if !w.State.Final() || w.Open() || !w.Wake().IsZero() {
		t.Fatalf("after all %s, wakes at %s: %+v", w.State, w.Wake(), w.Legs)
	}
	if sum := w.CapturedSum(); sum > w.Confirmed || (sum > 0) && w.State != payment.Captured ||
		w.State == payment.Captured && sum+w.Shortfall() != w.Confirmed || w.Counts() != sum {
		t.Fatalf("%s: captured %s, confirmed %s, shortfall %s, counts %s",
			w.State, sum, w.Confirmed, w.Shortfall(), w.Counts())
	}
}
