package refund

import (
	"fmt"
	"strconv"
	"time"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// ReturnState is where a return stands at the payer's home. The numbers stand in logs and are never reused.
type ReturnState uint8

// The states of a return.
const (
	ReturnRequested ReturnState = 1 // the core has not answered
	ReturnDone      ReturnState = 2 // the money is on the account
	ReturnFailed    ReturnState = 3 // nothing came back, and nothing will
	ReturnVoiding   ReturnState = 4 // the core refused without remembering: its reference is to be made dead first
)

// ReturnStates are all the states, for tests and tables.
func ReturnStates() []ReturnState {
	return []ReturnState{ReturnRequested, ReturnDone, ReturnFailed, ReturnVoiding}
}

// Final reports whether the state moves no more.
func (s ReturnState) Final() bool { return s == ReturnDone || s == ReturnFailed }

// String is the state's own word.
func (s ReturnState) String() string {
	switch s {
	case ReturnVoiding:
		return "voiding"
	case ReturnRequested, ReturnDone, ReturnFailed:
		return s.Told().String()
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Told is the state as the origin is told it: what is being voided is not over.
func (s ReturnState) Told() State {
	switch s {
	case ReturnDone:
		return Done
	case ReturnFailed:
		return Failed
	case ReturnRequested, ReturnVoiding:
	}
	return Requested
}

// Return is one refund of one hold at the payer's home. Refund and hold together name it.
type Return struct {
	RefundID string
	HoldID   string
	Origin   string // the visit region
	Amount   money.Amount
	State    ReturnState
	Code     policy.Code // why it failed, or why it waits
	Refusal  policy.Code // why the core refused, while its reference is made dead
	Asked    time.Time
	Ended    time.Time
	Alarmed  bool // operators know that it waits
	Wait     time.Duration
	WakeAt   time.Time
}

// Action is what is to be done at the home.
type Action uint8

// The actions. The numbers stand in logs and are never reused.
const (
	CallRefund Action = 1 // ask the core to give Amount back
	CallVoid   Action = 2 // ask the core to make the reference dead
	Tell       Action = 3 // tell the origin where it stands
	Alarm      Action = 4 // tell operators that it waits
)

// Ref is the reference under which the core is called: the hold's id and the number of the refund. It is never another.
func (r *Return) Ref() string {
	_, n, _ := OfID(r.RefundID)
	return r.HoldID + "/" + strconv.Itoa(n)
}

// VoidRef is the reference of the call that makes Ref dead.
func (r *Return) VoidRef() string { return r.Ref() + "/v" }

// Request begins a return of a hold of which left can still go back.
func (r *Return) Request(now time.Time, left money.Amount) []Action {
	r.Asked = now
	if r.Amount <= 0 || r.Amount > left {
		return r.fail(now, policy.CodeRefundExceedsCaptured)
	}
	r.State = ReturnRequested
	r.await(now)
	return []Action{CallRefund}
}

// CoreRefunded tells that the core has given the money back.
func (r *Return) CoreRefunded(now time.Time) []Action {
	if r.State.Final() {
		return nil
	}
	r.State, r.Code, r.Refusal = ReturnDone, "", ""
	r.end(now)
	return []Action{Tell}
}

// CoreRefused tells that the core refused. final: it remembers that, so that the reference brings nothing any more.
// Otherwise an earlier call may still come through, and the reference is made dead before the refusal counts.
func (r *Return) CoreRefused(now time.Time, code policy.Code, final bool) []Action {
	if r.State != ReturnRequested {
		return nil
	}
	if final {
		return r.fail(now, code)
	}
	r.State, r.Refusal = ReturnVoiding, code
	r.await(now)
	return []Action{CallVoid}
}

// CoreVoided tells that the reference is dead and had brought nothing.
func (r *Return) CoreVoided(now time.Time) []Action {
	if r.State != ReturnVoiding {
		return nil
	}
	return r.fail(now, r.Refusal)
}

// Expire repeats the call that the core has not answered, under the same reference. The first time the origin is told
// that the core is why it waits.
func (r *Return) Expire(now time.Time) []Action {
	if r.State.Final() || now.Before(r.WakeAt) {
		return nil
	}
	r.Wait = min(2*r.Wait, CallMax)
	r.WakeAt = now.Add(r.Wait)
	do := []Action{r.Calls()}
	if r.Code == "" {
		r.Code = policy.CodeCoreUnavailable
		do = append(do, Tell)
	}
	if !r.Alarmed && now.Sub(r.Asked) >= AlarmAfter {
		r.Alarmed = true
		do = append(do, Alarm)
	}
	return do
}

// Calls is the call to the core that is under way in a state, zero if none: what a new leader takes up again.
func (r *Return) Calls() Action {
	switch r.State {
	case ReturnRequested:
		return CallRefund
	case ReturnVoiding:
		return CallVoid
	case ReturnDone, ReturnFailed:
	}
	return 0
}

// Open is what may still come back of it, and Back what has.
func (r *Return) Open() money.Amount {
	if r.State == ReturnRequested || r.State == ReturnVoiding {
		return r.Amount
	}
	return 0
}

// Back is what has come back.
func (r *Return) Back() money.Amount {
	if r.State == ReturnDone {
		return r.Amount
	}
	return 0
}

func (r *Return) fail(now time.Time, code policy.Code) []Action {
	r.State, r.Code, r.Refusal = ReturnFailed, code, ""
	r.end(now)
	return []Action{Tell}
}

func (r *Return) await(now time.Time) {
	r.Wait = CallWait
	r.WakeAt = now.Add(r.Wait)
}

func (r *Return) end(now time.Time) { r.Ended, r.WakeAt, r.Wait = now, time.Time{}, 0 }
