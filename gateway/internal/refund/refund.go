// Package refund gives money of a captured payment back: the origin's side of a refund, and the home's side of
// each of its legs, as two state tables.
//
// The origin splits the amount over the legs of the payment, tells each home, and tells it again until it has
// answered. A home gives back through its core system under one reference that never changes, and calls a leg failed
// only when that reference can bring nothing any more: after a refusal that the core remembers, or after a void.
// Until then the leg is requested, however long that takes.
//
// The package is pure: an event and the time of the command that brought it come in, and what is to be done goes out.
// Every state that is not final has a time at which it wakes by itself.
package refund

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// Times and bounds.
const (
	Max         = 256              // refunds of one payment, failed ones included
	ReasonMax   = 200              // characters of the platform's reason
	ResendFirst = 10 * time.Second // a leg that has not ended is told to its home again, doubling
	ResendMax   = 5 * time.Minute  // the longest wait between two such messages
	CallWait    = 2 * time.Second  // a call to the core that was not answered is repeated, doubling
	CallMax     = 2 * time.Minute  // the longest wait between two such calls
	AlarmAfter  = 15 * time.Minute // a refund that has waited so long is told to operators, once
)

// State is where a refund stands, or one leg of it. The numbers stand in logs and are never reused.
type State uint8

// The states.
const (
	Requested State = 1 // something is still to be heard; it counts against what is left
	Done      State = 2 // the money is back
	Failed    State = 3 // nothing came back, and nothing will
)

// States are all the states, for tests and tables.
func States() []State { return []State{Requested, Done, Failed} }

// Final reports whether the state moves no more.
func (s State) Final() bool { return s == Done || s == Failed }

// String is the state's word in the API and between regions.
func (s State) String() string {
	switch s {
	case Requested:
		return "requested"
	case Done:
		return "done"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// ParseState reads a home's word.
func ParseState(word string) (State, bool) {
	for _, s := range States() {
		if s.String() == word {
			return s, true
		}
	}
	return 0, false
}

// codes are why a leg may fail or wait, as homes say it.
func codes() []policy.Code {
	return []policy.Code{
		policy.CodeIdentityMismatch, policy.CodePayerNotInsured, policy.CodeAccountClosed, policy.CodeCoreUnavailable,
		policy.CodeRefundExceedsCaptured,
	}
}

// ID is the id of the n-th refund (from 1) of a payment.
func ID(paymentID string, n int) string {
	return "r" + strings.TrimPrefix(paymentID, "p") + "-" + strconv.Itoa(n)
}

// OfID takes a refund's id apart: the payment's id, and the number of the refund. It is false for what is no such id.
func OfID(id string) (string, int, bool) {
	i := strings.LastIndexByte(id, '-')
	if i < 2 || id[0] != 'r' {
		return "", 0, false
	}
	n, err := strconv.Atoi(id[i+1:])
	if err != nil || n < 1 || n > Max || strconv.Itoa(n) != id[i+1:] {
		return "", 0, false
	}
	return "p" + id[1:i], n, true
}

// Leg is what one payer gets back.
type Leg struct {
	HoldID  string
	GrantID string
	Region  string // the payer's home
	Amount  money.Amount
	State   State
	Code    policy.Code // why it failed, or why it waits
	Resend  time.Time   // when the home is told again
	Wait    time.Duration
}

// Refund is one refund at the origin of its payment.
type Refund struct {
	ID        string
	PaymentID string
	Amount    money.Amount
	Reason    string // the platform's own words; they stand in no log
	Created   time.Time
	Legs      []Leg
	Alarmed   bool // operators know that it waits
}

// Start asks every leg's home. It returns the legs to be told.
func (r *Refund) Start(now time.Time) []int {
	r.Created = now
	tell := make([]int, 0, len(r.Legs))
	for i := range r.Legs {
		l := &r.Legs[i]
		l.State, l.Wait, l.Resend = Requested, ResendFirst, now.Add(ResendFirst)
		tell = append(tell, i)
	}
	return tell
}

// State is that of the whole: requested while a leg is open, then failed if one has failed.
func (r *Refund) State() State {
	state := Done
	for i := range r.Legs {
		switch r.Legs[i].State {
		case Requested:
			return Requested
		case Failed:
			state = Failed
		case Done:
		}
	}
	return state
}

// Code is why the refund failed, or while it is open why it waits: the first reason of its legs.
func (r *Refund) Code() policy.Code {
	state := r.State()
	for i := range r.Legs {
		if r.Legs[i].State == state && r.Legs[i].Code != "" {
			return r.Legs[i].Code
		}
	}
	return ""
}

// Back is the money that is back.
func (r *Refund) Back() money.Amount {
	var sum money.Amount
	for i := range r.Legs {
		if r.Legs[i].State == Done {
			sum += r.Legs[i].Amount
		}
	}
	return sum
}

// Leg finds a leg by its hold; nil when there is none.
func (r *Refund) Leg(holdID string) *Leg {
	for i := range r.Legs {
		if r.Legs[i].HoldID == holdID {
			return &r.Legs[i]
		}
	}
	return nil
}

// Answered takes a home's word on one leg, and returns the leg if that ended it. An end is never taken back.
func (r *Refund) Answered(holdID string, said State, code policy.Code) *Leg {
	l := r.Leg(holdID)
	if l == nil || l.State != Requested {
		return nil
	}
	if code != "" && !slices.Contains(codes(), code) {
		code = policy.CodeCoreUnavailable
	}
	switch said {
	case Requested:
		l.Code = code
		return nil
	case Done:
		l.Code = ""
	case Failed:
		if l.Code = code; code == "" {
			l.Code = policy.CodeCoreUnavailable
		}
	default:
		return nil
	}
	l.State, l.Resend, l.Wait = said, time.Time{}, 0
	return l
}

// Expire does what is due: it returns the legs whose homes are to be told again, and whether operators are to hear that
// the refund has waited long. A home that has said nothing so far shows as unreachable.
func (r *Refund) Expire(now time.Time) ([]int, bool) {
	var tell []int
	for i := range r.Legs {
		l := &r.Legs[i]
		if l.State != Requested || now.Before(l.Resend) {
			continue
		}
		if l.Code == "" {
			l.Code = policy.CodeRegionUnreachable
		}
		l.Wait = min(2*l.Wait, ResendMax)
		l.Resend = now.Add(l.Wait)
		tell = append(tell, i)
	}
	alarm := !r.Alarmed && len(tell) > 0 && now.Sub(r.Created) >= AlarmAfter
	r.Alarmed = r.Alarmed || alarm
	return tell, alarm
}

// Wake is when Expire has something to do; zero when no leg is open.
func (r *Refund) Wake() time.Time {
	var wake time.Time
	for i := range r.Legs {
		if l := &r.Legs[i]; l.State == Requested && (wake.IsZero() || l.Resend.Before(wake)) {
			wake = l.Resend
		}
	}
	return wake
}
