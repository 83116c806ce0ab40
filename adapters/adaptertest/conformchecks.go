package adaptertest

import (
	"fmt"
	"strings"

	"gongji/adapters"
)

// conformChecks are all checks, in the order of the report.
func conformChecks() []conformCheck {
	return []conformCheck{
		{"1", "a repeated hold gets the same answer and holds once", needsNothing, checkHoldRepeat},
		{"1", "a hold that placed less than asked says so again", needsNothing, checkHoldPart},
		{"1", "a hold at the same time eight times holds once", needsNothing, checkHoldTogether},
		{"1", "a hold repeated after its capture gets the same answer", needsNothing, checkHoldAfterCapture},
		{"1", "a repeated capture debits once", needsNothing, checkCaptureRepeat},
		{"1", "a capture at the same time eight times debits once", needsNothing, checkCaptureTogether},
		{"1", "a repeated refund credits once", needsNothing, checkRefundRepeat},
		{"1", "a release of what is captured is refused with the amount", needsNothing, checkReleaseCaptured},
		{"1", "the same reference with other content is refused", needsNothing, checkConflict},
		{"1", "a refused hold stays refused when money is free again", needsRefusals, checkHoldRefused},
		{"1", "a refused hold stays refused after a release", needsEither, checkRefusedReleased},
		{"1", "a refused capture stays refused", needsNothing, checkCaptureRefused},
		{"1", "a refund refused before the capture stays refused after it", needsRefusals, checkRefundRefused},
		{"2", "a release of what was never seen refuses the hold that comes later", needsFinal, checkReleaseFirst},
		{"2", "a release refuses the capture that comes later", needsNothing, checkReleaseCapture},
		{"2", "a hold repeated after its release holds nothing", needsNothing, checkReleaseHold},
		{"2", "hold and release at the same time: answered releases win", needsFinal, checkReleaseTogether},
		{"2", "a void refuses the refund that comes later", needsFinal, checkVoid},
		{"2", "a void of a refund that was carried out is refused with the amount", needsNothing, checkVoidDone},
		{"3", "a capture of a part frees the rest in the same act", needsNothing, checkCapturePart},
		{"money", "a hold keeps the floor, and counts the other open holds", needsNothing, checkFloor},
		{"money", "a capture above the hold is refused", needsNothing, checkCaptureAbove},
		{"money", "refunds above the capture are refused", needsNothing, checkRefundAbove},
		{"money", "a capture or refund of what was never held is refused", needsNothing, checkNeverHeld},
		{"late", "a call after its time is refused and has no effect", needsNothing, checkLate},
		{"late", "a refusal as late is remembered", needsRefusals, checkLateRemembered},
		{"late", "a call carried out in time gets its answer afterwards", needsNothing, checkLateRepeat},
		{"person", "unknown numbers and wrong names are refused", needsNothing, checkPersons},
		{"person", "a person not in normal status is refused", needsNothing, checkSuspended},
		{"person", "a person in the resident scheme is refused", needsNothing, checkResident},
		{"input", "bad amounts and references are refused", needsNothing, checkInput},
		{"entries", "a day's entries hold every movement once, in order", needsNothing, checkEntries},
		{"4, 5", "nothing is forgotten while a call can be delayed, and no hold lapses", needsNothing, checkPass},
	}
}

const together = 8

func checkHoldRepeat(r *run) {
	r.hold("h", 100, 0, done(100))
	r.hold("h", 100, 0, done(100))
	r.funds(0, 100)
	if h := r.state("h", adapters.HoldOpen); r.err == nil && h.Held != 100 {
		r.err = fmt.Errorf("status says %d held, want 100", h.Held)
	}
}

func checkHoldPart(r *run) {
	floor := r.floor(60)
	r.hold("h", 100, floor, done(60))
	r.hold("h", 100, floor, done(60))
	r.funds(0, 60)
	r.release("r", "h", done(0))
	r.funds(0, 0)
}

func (r *run) allSame(what string, answers []answer, want answer) {
	for _, a := range answers {
		r.expect(what, a, []answer{want})
	}
}

func repeated(call func(r *run) answer) []func(r *run) answer {
	calls := make([]func(r *run) answer, together)
	for i := range calls {
		calls[i] = call
	}
	return calls
}

func checkHoldTogether(r *run) {
	ref := r.noted("h")
	answers := r.together(repeated(func(r *run) answer {
		return r.try(r.holding(r.o.Person, 100, 0), ref)
	})...)
	r.allSame("one of eight holds", answers, done(100))
	r.funds(0, 100)
}

func checkHoldAfterCapture(r *run) {
	r.hold("h", 100, 0, done(100))
	r.capture("c", "h", 100, done(0))
	r.hold("h", 100, 0, done(100))
	r.state("h", adapters.HoldCaptured)
	r.funds(-100, 0)
}

func checkCaptureRepeat(r *run) {
	r.hold("h", 100, 0, done(100))
	r.capture("c", "h", 80, done(0))
	r.capture("c", "h", 80, done(0))
	r.funds(-80, 0)
	// Under another reference: whatever is said, nothing is debited again.
	r.capture("c2", "h", 80, done(0), refusal(anyReason))
	r.capture("c3", "h", 20, refusal(anyReason))
	r.funds(-80, 0)
	if h := r.state("h", adapters.HoldCaptured); r.err == nil && (h.Captured != 80 || h.Held != 100) {
		r.err = fmt.Errorf("status says %d captured of %d, want 80 of 100", h.Captured, h.Held)
	}
}

func checkCaptureTogether(r *run) {
	r.hold("h", 100, 0, done(100))
	answers := r.together(repeated(func(r *run) answer {
		return r.try(r.capturing("h", 100), r.ref("c"))
	})...)
	r.allSame("one of eight captures", answers, done(0))
	r.funds(-100, 0)
}

func checkRefundRepeat(r *run) {
	r.hold("h", 100, 0, done(100))
	r.capture("c", "h", 100, done(0))
	r.refund("f", "h", 30, done(0))
	r.refund("f", "h", 30, done(0))
	r.funds(-70, 0)
	r.refund("f2", "h", 70, done(0))
	r.refund("f", "h", 30, done(0))
	r.funds(0, 0)
}

func checkReleaseCaptured(r *run) {
	refused := answer{reason: adapters.ReasonCaptured, captured: 60}
	r.hold("h", 100, 0, done(100))
	r.capture("c", "h", 60, done(0))
	r.release("r", "h", refused)
	r.release("r", "h", refused)
	r.release("r2", "h", refused)
	r.capture("c", "h", 60, done(0))
	r.state("h", adapters.HoldCaptured)
	r.funds(-60, 0)
}

func checkConflict(r *run) {
	r.hold("h", 100, 0, done(100))
	r.hold("h", 101, 0, refusal(adapters.ReasonConflict))
	r.hold("h", 100, 1, refusal(adapters.ReasonConflict))
	r.funds(0, 100)
	r.capture("c", "h", 90, done(0))
	r.capture("c", "h", 10, refusal(adapters.ReasonConflict))
	r.capture("c", "other", 90, refusal(adapters.ReasonConflict))
	r.funds(-90, 0)
	r.refund("f", "h", 50, done(0))
	r.refund("f", "h", 40, refusal(adapters.ReasonConflict))
	r.funds(-40, 0)
}

// refuseHold makes a hold be refused for want of money, and then frees money that would suffice.
func (r *run) refuseHold() {
	floor := r.floor(100)
	r.hold("all", 100, floor, done(100))
	r.hold("h", 50, floor, refusal(adapters.ReasonBalance))
	r.release("r", "all", done(0))
}

func checkHoldRefused(r *run) {
	floor := r.floor(100)
	r.refuseHold()
	r.hold("h", 50, floor, refusal(adapters.ReasonBalance))
	r.state("h", adapters.HoldRefused, adapters.HoldNone)
	r.funds(0, 0)
	r.capture("c", "h", 50, refusal(adapters.ReasonNotHeld))
}

// checkRefusedReleased is the way out for a core that forgets refusals: each is confirmed by a release.
func checkRefusedReleased(r *run) {
	floor := r.floor(100)
	r.refuseHold()
	r.release("r2", "h", done(0))
	r.hold("h", 50, floor, refusal(anyReason))
	r.state("h", adapters.HoldRefused, adapters.HoldReleased, adapters.HoldNone)
	r.funds(0, 0)
}

func checkCaptureRefused(r *run) {
	r.hold("h", 100, 0, done(100))
	r.capture("above", "h", 101, refusal(adapters.ReasonAbove))
	r.capture("above", "h", 101, refusal(adapters.ReasonAbove))
	r.state("h", adapters.HoldOpen)
	r.capture("c", "h", 100, done(0))
	r.capture("above", "h", 101, refusal(adapters.ReasonAbove))
	r.funds(-100, 0)
}

func checkRefundRefused(r *run) {
	r.hold("h", 100, 0, done(100))
	r.refund("early", "h", 10, refusal(anyReason))
	r.capture("c", "h", 100, done(0))
	r.refund("early", "h", 10, refusal(anyReason))
	r.funds(-100, 0)
}

func checkReleaseFirst(r *run) {
	r.release("r", "h", done(0))
	r.hold("h", 100, 0, refusal(adapters.ReasonReleased))
	r.capture("c", "h", 100, refusal(anyReason))
	r.hold("h", 100, 0, refusal(adapters.ReasonReleased))
	r.release("r", "h", done(0))
	r.state("h", adapters.HoldReleased, adapters.HoldRefused, adapters.HoldNone)
	r.funds(0, 0)
}

func checkReleaseCapture(r *run) {
	r.hold("h", 100, 0, done(100))
	r.release("r", "h", done(0))
	r.capture("c", "h", 100, refusal(adapters.ReasonReleased))
	r.release("r", "h", done(0))
	r.release("r2", "h", done(0))
	r.capture("c", "h", 100, refusal(adapters.ReasonReleased))
	r.state("h", adapters.HoldReleased)
	r.funds(0, 0)
}

func checkReleaseHold(r *run) {
	r.hold("h", 100, 0, done(100))
	r.release("r", "h", done(0))
	r.hold("h", 100, 0, done(100), refusal(adapters.ReasonReleased))
	r.state("h", adapters.HoldReleased)
	r.funds(0, 0)
}

func checkReleaseTogether(r *run) {
	for i := range together {
		name := fmt.Sprintf("h%d", i)
		ref := r.noted(name)
		hold := func(r *run) answer { return r.try(r.holding(r.o.Person, 100, 0), ref) }
		release := func(r *run) answer { return r.try(r.releasing(name), r.ref("r"+name)) }
		answers := r.together(hold, release, hold)
		r.expect("release beside a hold", answers[1], []answer{done(0)})
		r.state(name, adapters.HoldReleased)
	}
	r.funds(0, 0)
}

func checkVoid(r *run) {
	r.hold("h", 100, 0, done(100))
	r.capture("c", "h", 100, done(0))
	r.void("v", "f", done(0))
	r.refund("f", "h", 100, refusal(adapters.ReasonReleased))
	r.void("v", "f", done(0))
	r.funds(-100, 0)
}

func checkVoidDone(r *run) {
	refused := answer{reason: adapters.ReasonCaptured, captured: 100}
	r.hold("h", 100, 0, done(100))
	r.capture("c", "h", 100, done(0))
	r.refund("f", "h", 100, done(0))
	r.void("v", "f", refused)
	r.refund("f", "h", 100, done(0))
	r.funds(0, 0)
}

func checkCapturePart(r *run) {
	floor := r.floor(100)
	r.hold("h", 100, floor, done(100))
	r.capture("c", "h", 40, done(0))
	r.funds(-40, 0)
	r.hold("rest", 100, floor, done(60))
	r.funds(-40, 60)
}

func checkFloor(r *run) {
	floor := r.floor(100)
	r.hold("h1", 70, floor, done(70))
	r.hold("h2", 70, floor, done(30))
	r.hold("h3", 70, floor, refusal(adapters.ReasonBalance))
	r.funds(0, 100)
	r.hold("h4", adapters.AmountMax, r.floor(150), done(50))
	r.funds(0, 150)
}

func checkCaptureAbove(r *run) {
	r.hold("h", 100, r.floor(100), done(100))
	r.capture("c", "h", 101, refusal(adapters.ReasonAbove))
	r.funds(0, 100)
	r.release("r", "h", done(0))
	r.funds(0, 0)
}

func checkRefundAbove(r *run) {
	r.hold("h", 100, 0, done(100))
	r.capture("c", "h", 80, done(0))
	r.refund("f1", "h", 81, refusal(adapters.ReasonAbove))
	r.refund("f2", "h", 50, done(0))
	r.refund("f3", "h", 31, refusal(adapters.ReasonAbove))
	r.refund("f4", "h", 30, done(0))
	r.refund("f5", "h", 1, refusal(adapters.ReasonAbove))
	r.funds(0, 0)
	if h := r.state("h", adapters.HoldCaptured); r.err == nil && h.Refunded != 80 {
		r.err = fmt.Errorf("status says %d refunded, want 80", h.Refunded)
	}
}

func checkNeverHeld(r *run) {
	r.capture("c", "never", 10, refusal(adapters.ReasonNotHeld))
	r.refund("f", "never", 10, refusal(adapters.ReasonNotHeld))
	r.state("nobody", adapters.HoldNone)
	r.funds(0, 0)
}

func checkLate(r *run) {
	late := refusal(adapters.ReasonLate)
	r.noted("h1")
	r.late("h1", r.holding(r.o.Person, 100, 0), late)
	r.state("h1", adapters.HoldNone, adapters.HoldRefused)
	r.hold("h2", 100, 0, done(100))
	r.late("c1", r.capturing("h2", 100), late)
	r.state("h2", adapters.HoldOpen)
	r.late("r1", r.releasing("h2"), late)
	r.state("h2", adapters.HoldOpen)
	r.funds(0, 100)
	r.capture("c2", "h2", 100, done(0))
	r.late("f1", r.refunding("h2", 100), late)
	r.funds(-100, 0)
}

func checkLateRemembered(r *run) {
	late := refusal(adapters.ReasonLate)
	r.noted("h1")
	r.late("h1", r.holding(r.o.Person, 100, 0), late)
	r.hold("h1", 100, 0, late)
	r.hold("h2", 100, 0, done(100))
	r.late("c1", r.capturing("h2", 100), late)
	r.capture("c1", "h2", 100, late)
	r.funds(0, 100)
}

func checkLateRepeat(r *run) {
	r.hold("h", 100, 0, done(100))
	r.late("h", r.holding(r.o.Person, 100, 0), done(100))
	r.capture("c", "h", 100, done(0))
	r.late("c", r.capturing("h", 100), done(0))
	r.refund("f", "h", 100, done(0))
	r.late("f", r.refunding("h", 100), done(0))
	r.funds(0, 0)
}

// person asks for a person and expects a refusal.
func (r *run) person(p adapters.Person, reason adapters.Reason) {
	ask := func(adapters.Call) (int64, error) {
		_, err := r.core.Person(r.ctx, p)
		return 0, err
	}
	r.expect("a look at a person", r.tryUntil(ask, adapters.Call{}), []answer{refusal(reason)})
}

func checkPersons(r *run) {
	wrong := r.o.Person
	wrong.Name += "某"
	r.person(r.o.Unknown, adapters.ReasonUnknownPerson)
	r.person(wrong, adapters.ReasonIdentity)
	r.holdOf(r.o.Unknown, "h1", 1, 0, refusal(adapters.ReasonUnknownPerson))
	r.holdOf(wrong, "h2", 1, 0, refusal(adapters.ReasonIdentity))
	r.funds(0, 0)
}

func checkSuspended(r *run) {
	if r.o.Suspended == nil {
		r.err = errNotRun
		return
	}
	r.holdOf(*r.o.Suspended, "h", 1, 0, refusal(adapters.ReasonStatus))
}

func checkResident(r *run) {
	if r.o.Resident == nil {
		r.err = errNotRun
		return
	}
	r.holdOf(*r.o.Resident, "h", 1, 0, refusal(adapters.ReasonScheme))
}

func checkInput(r *run) {
	invalid := refusal(adapters.ReasonInvalid)
	r.hold("good", 100, 0, done(100))
	for i, amount := range []int64{0, -1, adapters.AmountMax + 1, -1 << 63} {
		r.hold(fmt.Sprintf("h%d", i), amount, 0, invalid)
		r.capture(fmt.Sprintf("c%d", i), "good", amount, invalid)
		r.refund(fmt.Sprintf("f%d", i), "good", amount, invalid)
	}
	r.hold("floor", 1, -1, invalid)
	for _, name := range []string{"", strings.Repeat("x", adapters.RefMax+1)} {
		r.hold(name, 1, 0, invalid)
		r.capture(name, "good", 1, invalid)
		r.release(name, "good", invalid)
		r.release("r", name, invalid)
	}
	r.funds(0, 100)
}

func checkPass(r *run) {
	floor := r.floor(500)
	r.hold("kept", 100, 0, done(100))
	r.hold("captured", 100, 0, done(100))
	r.capture("c", "captured", 70, done(0))
	r.refund("f", "captured", 20, done(0))
	r.hold("released", 100, 0, done(100))
	r.release("r", "released", done(0))
	r.hold("part", 400, floor, done(350))
	r.release("rp", "part", done(0))
	r.pass()
	r.rule = "5"
	r.state("kept", adapters.HoldOpen)
	if r.err != nil {
		return
	}
	r.rule = "4"
	r.hold("kept", 100, 0, done(100))
	r.hold("captured", 100, 0, done(100))
	r.capture("c", "captured", 70, done(0))
	r.refund("f", "captured", 20, done(0))
	r.hold("released", 100, 0, done(100), refusal(adapters.ReasonReleased))
	r.funds(-50, 100)
	r.capture("ck", "kept", 100, done(0))
	r.funds(-150, 0)
	if r.err == nil {
		r.rule = ""
	}
}
