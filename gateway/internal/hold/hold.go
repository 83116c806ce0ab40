// Package hold is the home's side of a payment: what a payer's home region does with one hold, as one state table.
//
// A hold is asked for by the origin of a payment, checked against the region's rules in the log, placed in the core
// system, and later captured or released as the origin decides. A home never releases on its own clock once placed
// stands in its log: past the deadline the hold is in doubt, the origin is asked, and only its decision, or two
// operators together, end it.
//
// The package is pure: a Hold takes an event and the time of the command that brought it, changes, and says what is
// to be done. With a Book the core's answer comes in the same entry; with a Core it comes back through the log.
package hold

import (
	"fmt"
	"slices"
	"time"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// Times of the home's side.
const (
	Grace       = 30 * time.Second // past decide_by before a placed hold is in doubt: the decision may be under way
	EnquiryWait = 30 * time.Second // between two enquiries, doubling
	EnquiryMax  = 10 * time.Minute // the longest wait between two enquiries
	CallWait    = 2 * time.Second  // a call to the core that was not answered is repeated, doubling
	CallMax     = 2 * time.Minute  // the longest wait between two such calls
	DecideMax   = 25 * time.Hour   // the longest way to a deadline: what a region's rules may allow, and an hour
)

// State is where a hold stands. The numbers stand in logs and are never reused.
type State uint8

// The states; Final says which of them end.
const (
	Requested     State = 1  // asked for; rules checked or about to be; the core has not answered
	Placed        State = 2  // the core holds the amount
	Declined      State = 3  // nothing is held
	Abandoning    State = 4  // to be given back before the core has answered the hold
	InDoubt       State = 5  // past the deadline, and the origin has said nothing
	Capturing     State = 6  // the decision to take is in the log; the core is told
	Undoing       State = 7  // the core refused to take; it is told to release
	Releasing     State = 8  // the decision to give back is in the log; the core is told
	Released      State = 9  // given back
	Captured      State = 10 // taken
	CaptureFailed State = 11 // could not be taken, and is given back
)

// States are all the states, for tests and tables.
func States() []State {
	return []State{
		Requested, Placed, Declined, Abandoning, InDoubt, Capturing, Undoing, Releasing, Released, Captured, CaptureFailed,
	}
}

// Final reports whether the hold moves no more.
func (s State) Final() bool {
	return s == Declined || s == Released || s == Captured || s == CaptureFailed
}

// String is the state's own word; API is the word in the API.
func (s State) String() string {
	words := [...]string{
		"", "requested", "placed", "declined", "abandoning", "in_doubt", "capturing", "undoing", "releasing",
		"released", "captured", "capture_failed",
	}
	if int(s) < len(words) && s > 0 {
		return words[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// API is the state's word in the API: abandoning shows as releasing, undoing as capturing.
func (s State) API() string {
	switch s {
	case Abandoning:
		return Releasing.String()
	case Undoing:
		return Capturing.String()
	case Requested, Placed, Declined, InDoubt, Capturing, Releasing, Released, Captured, CaptureFailed:
	}
	return s.String()
}

// Hold is one hold on one payer's account.
type Hold struct {
	ID        string
	PaymentID string
	Origin    string // the visit region
	GrantID   string
	State     State
	Asked     money.Amount
	Amount    money.Amount // what is held, or was
	Take      money.Amount // what the origin decided to take
	Captured  money.Amount // what was taken
	LimitedBy policy.Code
	Code      policy.Code // of Declined
	Act       string      // id of the origin's decision
	DecideBy  time.Time
	Placed    time.Time
	Ended     time.Time
	Checked   bool     // the rules have been checked: the amount counts
	Forced    []string // operators that asked for a forced release
	ByForce   bool     // two of them did
	Wait      time.Duration
	WakeAt    time.Time
	Refunded  money.Amount // what is back of Captured
	Refunding money.Amount // what refunds under way may still give back
}

// Action is what is to be done.
type Action uint8

// The actions. The first five call the core; the others tell the origin.
const (
	CallPerson  Action = iota + 1 // ask the core for the payer's account, then check the rules
	CallHold                      // place Amount
	CallCapture                   // take Take and free the rest
	CallRelease                   // give back, and make the reference dead
	TellAnswer                    // placed or declined
	TellOutcome                   // captured, released or capture_failed
	TellForced                    // released by force
	AskOrigin                     // the hold is in doubt
	Free                          // what the hold counted against limits is given back, as far as it was not captured
)

// Request begins a hold whose person is still to be looked up in a core outside. With a Book, Check follows at once.
func (h *Hold) Request(now time.Time) []Action {
	h.State = Requested
	h.await(now)
	return []Action{CallPerson}
}

// Check takes the verdict of the rules: an amount to place, or a code.
func (h *Hold) Check(now time.Time, amount money.Amount, limitedBy, refused policy.Code) []Action {
	if h.State != Requested || h.Checked {
		return nil
	}
	if refused != "" {
		return h.decline(now, refused)
	}
	h.Checked, h.Amount, h.LimitedBy = true, amount, limitedBy
	h.await(now)
	return []Action{CallHold}
}

// decline ends a hold that nothing was placed for.
func (h *Hold) decline(now time.Time, code policy.Code) []Action {
	counted := h.Checked
	h.State, h.Code, h.Amount = Declined, code, 0
	h.end(now)
	if counted {
		return []Action{Free, TellAnswer}
	}
	return []Action{TellAnswer}
}

// Late declines a hold that arrived after its own deadline.
func (h *Hold) Late(now time.Time) []Action {
	h.State = Requested
	return h.decline(now, policy.CodeRegionUnreachable)
}

// CoreHeld tells that the core placed held, at most Amount. Less than 1 fen is no answer that a core may give: the
// call is repeated, and in the end given up.
func (h *Hold) CoreHeld(now time.Time, held money.Amount) []Action {
	if h.State != Requested || !h.Checked || held <= 0 {
		return nil // Abandoning: the release that is under way frees it
	}
	var do []Action
	if held < h.Amount {
		h.LimitedBy = policy.CodeBalanceInsufficient
		do = append(do, Free)
	}
	h.State, h.Amount, h.Placed = Placed, min(held, h.Amount), now
	h.Wait = EnquiryWait
	h.WakeAt = h.DecideBy.Add(Grace)
	return append(do, TellAnswer)
}

// CoreRefusedHold tells that the core places nothing, for good.
func (h *Hold) CoreRefusedHold(now time.Time, code policy.Code) []Action {
	switch h.State {
	case Requested:
		return h.decline(now, code)
	case Abandoning:
		return h.released(now)
	case Placed, Declined, InDoubt, Capturing, Undoing, Releasing, Released, Captured, CaptureFailed:
	}
	return nil
}

// Capture is the origin's decision to take amount. A decision that comes again is answered with what stands.
func (h *Hold) Capture(now time.Time, act string, amount money.Amount) []Action {
	switch h.State {
	case Placed, InDoubt:
		h.State, h.Act, h.Take = Capturing, act, min(amount, h.Amount)
		h.await(now)
		return []Action{CallCapture}
	case Requested:
		// The origin captures only what it was told is placed: this is not its word. It is given back like a release.
		return h.Release(now, act)
	case Declined, Released, Captured, CaptureFailed:
		return []Action{TellOutcome}
	case Abandoning, Capturing, Undoing, Releasing:
	}
	return nil
}

// Release is the origin's decision to give back.
func (h *Hold) Release(now time.Time, act string) []Action {
	switch h.State {
	case Requested:
		h.Act = act
		return h.abandon(now)
	case Placed, InDoubt:
		h.State, h.Act = Releasing, act
		h.await(now)
		return []Action{CallRelease}
	case Declined, Released, Captured, CaptureFailed:
		return []Action{TellOutcome}
	case Abandoning, Capturing, Undoing, Releasing:
	}
	return nil
}

// abandon gives back before the core has answered.
func (h *Hold) abandon(now time.Time) []Action {
	if !h.Checked {
		return h.released(now) // the core was only asked about the person: nothing can be held
	}
	h.State = Abandoning
	h.await(now)
	return []Action{CallRelease}
}

func (h *Hold) released(now time.Time) []Action {
	counted := h.Checked
	h.State = Released
	h.end(now)
	tell := TellOutcome
	if h.ByForce {
		tell = TellForced
	}
	if counted {
		return []Action{Free, tell}
	}
	return []Action{tell}
}

// CoreCaptured tells that the core took amount and freed the rest.
func (h *Hold) CoreCaptured(now time.Time, amount money.Amount) []Action {
	switch h.State {
	case Capturing, Undoing, Releasing, Abandoning:
		h.State, h.Captured = Captured, max(amount, 0)
		h.end(now)
		return []Action{Free, TellOutcome}
	case Requested, Placed, Declined, InDoubt, Released, Captured, CaptureFailed:
	}
	return nil
}

// CoreRefusedCapture tells that the core will not take, for good. It is failed only after a release is confirmed.
func (h *Hold) CoreRefusedCapture(now time.Time) []Action {
	if h.State != Capturing {
		return nil
	}
	h.State = Undoing
	h.await(now)
	return []Action{CallRelease}
}

// CoreReleased tells that the core holds nothing any more and the reference is dead.
func (h *Hold) CoreReleased(now time.Time) []Action {
	switch h.State {
	case Abandoning, Releasing:
		return h.released(now)
	case Undoing:
		h.State = CaptureFailed
		h.end(now)
		return []Action{Free, TellOutcome}
	case Requested, Placed, Declined, InDoubt, Capturing, Released, Captured, CaptureFailed:
	}
	return nil
}

// Force is one operator's word that a hold in doubt is to be released; the second, another one, makes it so.
func (h *Hold) Force(now time.Time, operator string) ([]Action, policy.Code) {
	if h.State != InDoubt {
		return nil, policy.CodeWrongState
	}
	if slices.Contains(h.Forced, operator) {
		return nil, ""
	}
	h.Forced = append(h.Forced, operator)
	if len(h.Forced) < 2 {
		return nil, ""
	}
	h.ByForce = true
	h.State = Releasing
	h.await(now)
	return []Action{CallRelease}, ""
}

// OriginGone puts a placed hold in doubt at once: the keys of its origin count for nothing any more, so that no
// decision can come. Two persons end it, or the origin with new keys.
func (h *Hold) OriginGone(now time.Time) {
	if h.State != Placed {
		return
	}
	h.State, h.Wait = InDoubt, EnquiryWait
	h.WakeAt = now.Add(h.Wait)
}

// Expire does what is due at WakeAt: repeats a call to the core, gives up a hold that the core never answered, or
// asks the origin.
func (h *Hold) Expire(now time.Time) []Action {
	if h.WakeAt.IsZero() || now.Before(h.WakeAt) {
		return nil
	}
	switch h.State {
	case Requested:
		if !now.Before(h.DecideBy) {
			return h.abandon(now)
		}
		h.again(now)
		if !h.Checked {
			return []Action{CallPerson}
		}
		return []Action{CallHold}
	case Placed, InDoubt:
		h.State = InDoubt
		h.WakeAt = now.Add(h.Wait)
		h.Wait = min(2*h.Wait, EnquiryMax)
		return []Action{AskOrigin}
	case Capturing:
		h.again(now)
		return []Action{CallCapture}
	case Abandoning, Undoing, Releasing:
		h.again(now)
		return []Action{CallRelease}
	case Declined, Released, Captured, CaptureFailed:
	}
	return nil
}

// Calls is the call to the core that is under way in a state, zero if none: what a new leader takes up again.
func (h *Hold) Calls() Action {
	switch h.State {
	case Requested:
		if h.Checked {
			return CallHold
		}
		return CallPerson
	case Capturing:
		return CallCapture
	case Abandoning, Undoing, Releasing:
		return CallRelease
	case Placed, Declined, InDoubt, Released, Captured, CaptureFailed:
	}
	return 0
}

// Counts is what the hold takes of every limit: from the check until the core has confirmed its end. What is back of
// what was captured counts no more.
func (h *Hold) Counts() money.Amount {
	switch h.State {
	case Requested, Abandoning, Placed, InDoubt, Capturing, Undoing, Releasing:
		if h.Checked {
			return h.Amount
		}
	case Captured:
		return h.Captured.Less(h.Refunded)
	case Declined, Released, CaptureFailed:
	}
	return 0
}

// Refundable is what can still be given back: captured, less what is back and what is on its way.
func (h *Hold) Refundable() money.Amount {
	if h.State != Captured {
		return 0
	}
	return h.Captured.Less(h.Refunded + h.Refunding)
}

func (h *Hold) await(now time.Time) {
	h.Wait = CallWait
	h.WakeAt = now.Add(h.Wait)
	if h.State == Requested && h.DecideBy.Before(h.WakeAt) {
		h.WakeAt = h.DecideBy
	}
}

func (h *Hold) again(now time.Time) {
	h.Wait = min(2*h.Wait, CallMax)
	h.WakeAt = now.Add(h.Wait)
	if h.State == Requested && h.DecideBy.Before(h.WakeAt) {
		h.WakeAt = h.DecideBy
	}
}

func (h *Hold) end(now time.Time) {
	h.Ended, h.WakeAt, h.Wait = now, time.Time{}, 0
}
