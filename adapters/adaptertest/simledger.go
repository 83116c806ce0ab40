package adaptertest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"gongji/adapters"
)

// Flaw is a way in which a core can break its contract although its Capabilities claim otherwise.
// Each one must be found by the conformance run. Flaws can be added up.
type Flaw uint32

// The flaws, by the rule of adapters.Core that each breaks.
const (
	FlawForgetsRefusals     Flaw = 1 << iota // 1: a refusal is not remembered
	FlawHoldsAgain                           // 1: a repeated Hold holds again when its hold was captured
	FlawAnswerChanges                        // 1: a repeated Hold answers what was asked, not what was placed
	FlawCapturesAgain                        // 1: a repeated Capture debits again
	FlawRefundsAgain                         // 1: a repeated Refund credits again
	FlawIgnoresContent                       // 1: the same reference with other content gets the first answer
	FlawForgetsRelease                       // 2: a Release of what was never seen leaves no trace
	FlawHoldsReleased                        // 2: a repeated Hold holds again when its hold was released
	FlawForgetsVoid                          // 2: a Void leaves no trace
	FlawKeepsRest                            // 3: a Capture leaves the rest held
	FlawForgetsReferences                    // 4: references are forgotten after ForgetAfter
	FlawLapses                               // 5: holds lapse after ForgetAfter
	FlawIgnoresNotAfter                      // a call that comes too late is carried out
	FlawReleasesCaptured                     // a Release of a captured hold gives the money back
	FlawIgnoresFloor                         // a Hold goes below the floor
	FlawIgnoresHolds                         // a Hold forgets the other open holds
	FlawIgnoresNames                         // another name with a known number is accepted
	FlawCapturesAbove                        // a Capture above the hold is carried out
	FlawRefundsAbove                         // Refunds above the capture are carried out
	FlawStatusForgets                        // Status finds no hold that has ended
	FlawEntriesSkip                          // Entries leaves out the first movement of each further page
	FlawTakesInvalid                         // amounts of zero and less, and references of any length
	FlawUntruthfulOpenHolds                  // Person tells nothing of what is held
	FlawPaysPremiumTwice                     // a premium that is paid is paid again under another reference
	FlawForgetsPremiums                      // a refused premium is not remembered

	flawEnd
)

// FlawsAll is every flaw that there is.
const FlawsAll = flawEnd - 1

// ForgetAfter is after what time FlawForgetsReferences and FlawLapses forget.
const ForgetAfter = time.Hour

// Spaces of references.
const (
	spaceHold    = "hold"
	spaceCapture = "capture"
	spaceRelease = "release"
	spaceRefund  = "refund"
	spaceVoid    = "void"
	spacePremium = "premium"
)

// simLedger is the book of the simulated core: sequential, without faults, with the flaws asked for.
type simLedger struct {
	claims   adapters.Capabilities
	flaws    Flaw
	order    []string
	persons  map[string]*simPerson
	holds    map[string]*simHold
	refunds  map[string]*simRefund
	answered map[simRef]simAnswer
	premiums map[simPremium]string // the reference that paid
	entries  []adapters.Movement
}

type simPerson struct {
	person    adapters.Person
	account   adapters.Account
	movements []adapters.Movement
}

type simHold struct {
	adapters.Hold
	number string
	placed time.Time
}

type simRefund struct {
	amount int64
	dead   bool
}

type simRef struct{ space, ref string }

type simAnswer struct {
	content string
	held    int64
	refused *adapters.RefusedError
	at      time.Time
}

func newSimLedger(claims adapters.Capabilities, flaws Flaw) *simLedger {
	return &simLedger{
		claims: claims, flaws: flaws, persons: map[string]*simPerson{}, holds: map[string]*simHold{},
		refunds: map[string]*simRefund{}, answered: map[simRef]simAnswer{}, premiums: map[simPremium]string{},
	}
}

func (l *simLedger) has(f Flaw) bool { return l.flaws&f != 0 }

func (a simAnswer) result() (int64, error) {
	if a.refused != nil {
		again := *a.refused
		return 0, &again
	}
	return a.held, nil
}

// act is one changing call as the ledger meets it.
type act struct {
	space   string
	call    adapters.Call
	content string // all that must be the same in a repeat
	valid   bool
	do      func(at time.Time) (int64, *adapters.RefusedError)
}

func no(reason adapters.Reason) *adapters.RefusedError {
	return &adapters.RefusedError{Reason: reason}
}

// carry carries an act out, or answers the repeat.
func (l *simLedger) carry(at time.Time, a act) (int64, error) {
	l.age(at)
	if !l.has(FlawTakesInvalid) && (!a.valid || badName(a.call.Ref)) {
		return 0, no(adapters.ReasonInvalid)
	}
	key := simRef{a.space, a.call.Ref}
	if first, ok := l.answered[key]; ok && !l.again(key, first) {
		if first.content != a.content && !l.has(FlawIgnoresContent) {
			return 0, no(adapters.ReasonConflict)
		}
		return first.result()
	}
	var answer simAnswer
	late := !a.call.NotAfter.IsZero() && at.After(a.call.NotAfter) && !l.has(FlawIgnoresNotAfter)
	if late {
		answer.refused = no(adapters.ReasonLate)
	} else {
		answer.held, answer.refused = a.do(at)
	}
	if a.space == spaceHold && answer.refused != nil && answer.refused.Reason == adapters.ReasonReleased {
		return answer.result() // its tombstone remembers, whatever the content of a repeat
	}
	if answer.refused == nil || l.remembers(a.space) {
		answer.content, answer.at = a.content, at
		l.answered[key] = answer
		if late && a.space == spaceHold && l.holds[a.call.Ref] == nil {
			refused := adapters.Hold{State: adapters.HoldRefused, Reason: adapters.ReasonLate}
			l.holds[a.call.Ref] = &simHold{Hold: refused}
		}
	}
	return answer.result()
}

// again reports whether a flaw makes the ledger carry a repeat out once more.
func (l *simLedger) again(key simRef, first simAnswer) bool {
	if first.refused != nil {
		return false
	}
	switch key.space {
	case spaceHold:
		state := l.holds[key.ref].State
		again := l.has(FlawHoldsAgain) && state == adapters.HoldCaptured ||
			l.has(FlawHoldsReleased) && state == adapters.HoldReleased
		if again {
			delete(l.holds, key.ref)
		}
		return again || l.has(FlawAnswerChanges)
	case spaceCapture:
		return l.has(FlawCapturesAgain)
	case spaceRefund:
		return l.has(FlawRefundsAgain)
	}
	return false
}

// age lets time do what it does in a flawed core.
func (l *simLedger) age(at time.Time) {
	before := at.Add(-ForgetAfter)
	if l.has(FlawForgetsReferences) {
		maps.DeleteFunc(l.answered, func(_ simRef, a simAnswer) bool { return a.at.Before(before) })
	}
	if !l.has(FlawLapses) {
		return
	}
	for _, ref := range slices.Sorted(maps.Keys(l.holds)) {
		if h := l.holds[ref]; h.State == adapters.HoldOpen && h.placed.Before(before) {
			l.free(at, ref, h)
		}
	}
}

func (l *simLedger) move(at time.Time, number string, kind adapters.Kind, ref string, amount int64) {
	p := l.persons[number]
	a := p.account.InYear(adapters.BusinessYear(at))
	switch kind {
	case adapters.KindHold:
		a.Held += amount
	case adapters.KindRelease:
		a.Held -= amount
	case adapters.KindCapture:
		a.Held -= amount
		a.Balance -= amount
	case adapters.KindRefund, adapters.KindCredit:
		a.Balance += amount
	}
	p.account = a
	m := adapters.Movement{
		Seq: uint64(len(p.movements) + 1), At: at.UTC(), Kind: kind, Ref: ref,
		Amount: amount, Balance: a.Balance, Held: a.Held,
	}
	p.movements = append(p.movements, m)
	l.entries = append(l.entries, m)
}

// person finds the account of an identity.
func (l *simLedger) person(p adapters.Person) (*simPerson, *adapters.RefusedError) {
	known, ok := l.persons[p.Number]
	if !ok {
		return nil, no(adapters.ReasonUnknownPerson)
	}
	if known.person != p && !l.has(FlawIgnoresNames) {
		return nil, no(adapters.ReasonIdentity)
	}
	return known, nil
}

func (l *simLedger) hold(c adapters.Call, p adapters.Person, amount, floor int64) act {
	return act{
		space: spaceHold, call: c, valid: !badAmount(amount) && !badMoney(floor),
		content: fmt.Sprintf("%s|%s|%s|%d|%d", p.IDType, p.Number, p.Name, amount, floor),
		do: func(at time.Time) (int64, *adapters.RefusedError) {
			if h, ok := l.holds[c.Ref]; ok {
				if h.State == adapters.HoldReleased && h.Held == 0 {
					return 0, no(adapters.ReasonReleased)
				}
				if l.has(FlawAnswerChanges) && h.State != adapters.HoldRefused {
					return amount, nil
				}
			}
			h := &simHold{number: p.Number, placed: at}
			var refused *adapters.RefusedError
			h.Held, refused = l.place(p, amount, floor)
			if refused != nil {
				h.State, h.Reason = adapters.HoldRefused, refused.Reason
				if l.claims.RemembersRefusals && !l.has(FlawForgetsRefusals) {
					l.holds[c.Ref] = h
				}
				return 0, refused
			}
			h.State = adapters.HoldOpen
			l.holds[c.Ref] = h
			l.move(at, p.Number, adapters.KindHold, c.Ref, h.Held)
			return h.Held, nil
		},
	}
}

// place says what a hold gets.
func (l *simLedger) place(p adapters.Person, amount, floor int64) (int64, *adapters.RefusedError) {
	known, refused := l.person(p)
	if refused != nil {
		return 0, refused
	}
	a := known.account
	free := a.Balance - a.Held - floor
	if l.has(FlawIgnoresFloor) {
		free += floor
	}
	if l.has(FlawIgnoresHolds) {
		free += a.Held
	}
	switch {
	case a.Scheme != adapters.SchemeEmployee:
		return 0, no(adapters.ReasonScheme)
	case a.Status != adapters.StatusNormal:
		return 0, no(adapters.ReasonStatus)
	case free < 1:
		return 0, no(adapters.ReasonBalance)
	}
	return min(amount, free), nil
}

func (l *simLedger) capture(c adapters.Call, hold string, amount int64) act {
	return act{
		space: spaceCapture, call: c, valid: !badAmount(amount) && !badName(hold),
		content: fmt.Sprintf("%s|%d", hold, amount),
		do: func(at time.Time) (int64, *adapters.RefusedError) {
			h, ok := l.holds[hold]
			again := ok && h.State == adapters.HoldCaptured && l.has(FlawCapturesAgain)
			switch {
			case !ok || h.State == adapters.HoldRefused:
				return 0, no(adapters.ReasonNotHeld)
			case h.Held > 0 && amount > h.Held && !l.has(FlawCapturesAbove):
				return 0, no(adapters.ReasonAbove)
			case h.State == adapters.HoldReleased:
				return 0, no(adapters.ReasonReleased)
			case h.State == adapters.HoldCaptured && amount != h.Captured:
				return 0, no(adapters.ReasonConflict)
			case h.State == adapters.HoldCaptured && !again:
				return 0, nil
			}
			l.move(at, h.number, adapters.KindCapture, hold, amount)
			if again {
				return 0, nil
			}
			h.State, h.Captured = adapters.HoldCaptured, amount
			if rest := h.Held - amount; rest > 0 && !l.has(FlawKeepsRest) {
				l.move(at, h.number, adapters.KindRelease, hold, rest)
			}
			return 0, nil
		},
	}
}

func (l *simLedger) release(c adapters.Call, hold string) act {
	return act{
		space: spaceRelease, call: c, valid: !badName(hold), content: hold,
		do: func(at time.Time) (int64, *adapters.RefusedError) {
			h, ok := l.holds[hold]
			if !ok {
				if l.claims.ReleaseIsFinal && !l.has(FlawForgetsRelease) {
					l.holds[hold] = &simHold{Hold: adapters.Hold{State: adapters.HoldReleased}}
				}
				return 0, nil
			}
			if h.State == adapters.HoldCaptured && l.has(FlawReleasesCaptured) {
				l.move(at, h.number, adapters.KindRefund, hold, h.Captured)
				h.State = adapters.HoldReleased
				return 0, nil
			}
			if h.State == adapters.HoldCaptured {
				return 0, &adapters.RefusedError{Reason: adapters.ReasonCaptured, Captured: h.Captured}
			}
			if h.State == adapters.HoldOpen {
				l.free(at, hold, h)
			}
			return 0, nil
		},
	}
}

func (l *simLedger) free(at time.Time, ref string, h *simHold) {
	l.move(at, h.number, adapters.KindRelease, ref, h.Held)
	h.State = adapters.HoldReleased
}

func (l *simLedger) refund(c adapters.Call, hold string, amount int64) act {
	return act{
		space: spaceRefund, call: c, valid: !badAmount(amount) && !badName(hold),
		content: fmt.Sprintf("%s|%d", hold, amount),
		do: func(at time.Time) (int64, *adapters.RefusedError) {
			if f, ok := l.refunds[c.Ref]; ok && f.dead {
				return 0, no(adapters.ReasonReleased)
			}
			h, ok := l.holds[hold]
			switch {
			case !ok || h.State == adapters.HoldRefused:
				return 0, no(adapters.ReasonNotHeld)
			case h.State == adapters.HoldReleased:
				return 0, no(adapters.ReasonReleased)
			case h.Refunded+amount > h.Captured && !l.has(FlawRefundsAbove|FlawRefundsAgain):
				return 0, no(adapters.ReasonAbove)
			case l.persons[h.number].account.Status == adapters.StatusTerminated:
				return 0, no(adapters.ReasonClosed)
			}
			l.move(at, h.number, adapters.KindRefund, c.Ref, amount)
			h.Refunded += amount
			l.refunds[c.Ref] = &simRefund{amount: amount}
			return 0, nil
		},
	}
}

func (l *simLedger) void(c adapters.Call, ref string) act {
	return act{
		space: spaceVoid, call: c, valid: !badName(ref), content: ref,
		do: func(time.Time) (int64, *adapters.RefusedError) {
			f, ok := l.refunds[ref]
			if ok && !f.dead {
				return 0, &adapters.RefusedError{Reason: adapters.ReasonCaptured, Captured: f.amount}
			}
			if l.claims.ReleaseIsFinal && !l.has(FlawForgetsVoid) {
				l.refunds[ref] = &simRefund{dead: true}
			}
			return 0, nil
		},
	}
}

// status is what Status answers.
func (l *simLedger) status(at time.Time, ref string) adapters.Hold {
	l.age(at)
	h, ok := l.holds[ref]
	if !ok || l.has(FlawStatusForgets) && h.State != adapters.HoldOpen {
		return adapters.Hold{}
	}
	return h.Hold
}
