// Package adapters is the contract with what keeps the money: the core system of a region.
//
// There are two shapes. A Book is a deterministic account book over the region's own replicated
// state: rule check and hold are one log entry. A Core is a system outside: the gateway writes its
// intention into the log, its leader carries the call out, and the outcome comes back through the
// log.
//
// Amounts are whole fen (1/100 yuan) as int64, never negative. A person is known to a Core by the
// clear identity, and to a Book by the region's own person number (a Book never sees an identity).
//
// An act has a reference that its caller makes. References are told apart by kind: those of holds,
// captures, releases, refunds and voids are spaces of their own, so that a caller may, but need not,
// use one text in several of them. A repeat is the same reference with the same content; it changes
// nothing and gets the first answer. The same reference with other content is refused with
// ReasonConflict and changes nothing.
//
// Implementations: embedded (a Book), and the simulated Core of adaptertest. Both pass the contract
// tests in adaptertest.
package adapters

import (
	"errors"
	"fmt"
	"time"
)

// Limits.
const (
	RefMax     = 64                 // bytes of a reference or of an account's name; at least 1
	EntriesMax = 1000               // movements in one page of Entries
	AmountMax  = 99_999_999_999_999 // fen of one amount or balance; within the 16,2 of the national tables
)

// RefOpening is the reference of the credit that an account is opened with.
const RefOpening = "opening"

// ErrUnavailable: the call surely never left. It may be tried again under the same reference.
var ErrUnavailable = errors.New("adapters: core system unavailable")

// ErrUnknown: the call was sent and its outcome is not known: maybe done, maybe done later.
// It is repeated with the same reference, never with a new one.
var ErrUnknown = errors.New("adapters: outcome unknown")

// RefusedError is a final refusal with a reason; the same reference gives it for ever.
type RefusedError struct {
	Reason Reason
	// Captured is what a Release that came too late had captured, in fen (with ReasonCaptured).
	Captured int64
}

// Error names the reason.
func (e *RefusedError) Error() string { return fmt.Sprintf("adapters: refused: %s", e.Reason) }

// ReasonOf returns the reason if err is a refusal, and "" if it is not.
func ReasonOf(err error) Reason {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return refused.Reason
	}
	return ""
}

// Reason is why a core system refuses.
type Reason string

// The reasons.
const (
	ReasonUnknownPerson Reason = "unknown_person" // no account of that person
	ReasonBalance       Reason = "balance"        // nothing above the floor is free
	ReasonStatus        Reason = "insured_status" // not in normal insured status
	ReasonScheme        Reason = "scheme"         // not insured in the employee scheme
	ReasonClosed        Reason = "account_closed" // the account was closed
	ReasonReleased      Reason = "released"       // the reference is dead: a release was answered
	ReasonCaptured      Reason = "captured"       // a release of what is captured; see RefusedError.Captured
	ReasonNotHeld       Reason = "not_held"       // a capture or refund of what was never held
	ReasonAbove         Reason = "above"          // a capture above the hold, a refund above the capture
	ReasonLate          Reason = "late"           // not_after has passed
	ReasonConflict      Reason = "conflict"       // the same reference with other content
	ReasonIdentity      Reason = "identity"       // the name does not belong to the number
	ReasonPaid          Reason = "premium_paid"   // the premium is paid already, under another reference
	// ReasonInvalid: an amount outside 1 to AmountMax, a floor outside 0 to AmountMax, a reference
	// or name that does not have 1 to RefMax bytes. Told by the arguments alone, so not recorded.
	ReasonInvalid Reason = "invalid"
)

// Insured status (domain dictionary psn_insu_stas) and schemes (insutype).
const (
	StatusNormal     = 1
	StatusSuspended  = 2
	StatusTerminated = 4

	SchemeEmployee = 310
	SchemeResident = 390
)

// Account is what a core knows of one person.
type Account struct {
	Scheme  int   // 310 employee, 390 resident
	Status  int   // 1 normal, 2 suspended, 4 terminated
	Balance int64 // fen; not lowered by holds
	Held    int64 // fen in open holds
	Year    int   // the business year that Opening belongs to
	Opening int64 // fen, the balance at the start of Year
	// Provisional: the opening of Year is not published yet, and Opening is the balance at first
	// touch less the year's credits.
	Provisional bool
	// Credited is what of Balance came in since the opening of Year, in fen: never refunds. A core that does not know
	// it says 0, and then cannot serve a region whose rules share the carried-over balance only.
	Credited int64
}

// Publish is the account once the opening of its Year is known: what the opening that stood in provisionally has
// above it was credited since.
func (a Account) Publish(opening int64) Account {
	a.Credited += max(0, a.Opening-opening)
	a.Opening, a.Provisional = opening, false
	return a
}

// InYear is the account as a first touch in that year would leave it: an account whose Year is
// older gets its present balance as provisional opening. Every credit is itself a touch, so
// there are no credits of the new year to take off. A later or equal Year stays as it is.
func (a Account) InYear(year int) Account {
	if year > a.Year {
		a.Year, a.Opening, a.Provisional, a.Credited = year, a.Balance, true, 0
	}
	return a
}

// BusinessYear is the year of at in Beijing (UTC+8 the whole year), the year that quotas count in.
func BusinessYear(at time.Time) int {
	const beijing = 8 * time.Hour
	return at.UTC().Add(beijing).Year()
}

// HoldState is where a hold stands in a core's book. The numbers are stored: never renumber them.
type HoldState int

// The states of a hold in a core.
const (
	HoldNone     HoldState = 0 // never seen
	HoldOpen     HoldState = 1 // held
	HoldCaptured HoldState = 2 // captured; what was not captured is free again
	HoldReleased HoldState = 3 // released, or dead by a release that came first
	HoldRefused  HoldState = 4 // refused, or dead by a capture that came first (ReasonNotHeld)
)

// String names the state as it stands in reports.
func (s HoldState) String() string {
	switch s {
	case HoldNone:
		return "none"
	case HoldOpen:
		return "open"
	case HoldCaptured:
		return "captured"
	case HoldReleased:
		return "released"
	case HoldRefused:
		return "refused"
	}
	return fmt.Sprintf("HoldState(%d)", int(s))
}

// Hold is a core's record of one hold. Amounts are fen.
type Hold struct {
	State    HoldState
	Held     int64  // what was placed; it stays after capture and release
	Captured int64  // at most Held
	Refunded int64  // at most Captured, the sum of its refunds
	Reason   Reason // of HoldRefused
}

// Kind of a movement.
type Kind string

// The kinds, and what each does to an account.
const (
	KindHold    Kind = "hold"    // held + amount
	KindCapture Kind = "capture" // balance − amount, held − amount
	KindRelease Kind = "release" // held − amount
	KindRefund  Kind = "refund"  // balance + amount
	KindCredit  Kind = "credit"  // balance + amount
)

// Movement is one change of one account, in the order of its book. A capture of a part of a hold is
// two movements: the capture, and the release of the rest.
type Movement struct {
	Seq     uint64 // 1, 2, 3, … of its account
	At      time.Time
	Kind    Kind
	Ref     string // of the hold (hold, capture, release), the refund or the credit
	Amount  int64  // fen, positive
	Balance int64  // after it
	Held    int64  // after it
}
