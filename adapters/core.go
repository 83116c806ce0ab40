package adapters

import (
	"context"
	"log/slog"
	"time"
)

// Person is a clear identity on its way to a core system. It is never logged or stored.
type Person struct {
	IDType string // 01
	Number string
	Name   string
}

// String hides the identity, so that no log line can show it by accident.
func (Person) String() string { return "person(hidden)" }

// GoString hides the identity too.
func (Person) GoString() string { return "person(hidden)" }

// LogValue hides the identity from every handler of slog.
func (Person) LogValue() slog.Value { return slog.StringValue("person(hidden)") }

// Capabilities are what a core can do; the gateway asks once at start.
type Capabilities struct {
	NativeHolds       bool // the core knows holds; else the adapter keeps them
	RemembersRefusals bool // contract rule 1, for refusals
	ReleaseIsFinal    bool // contract rule 2
	Premiums          bool // the core implements Premiums
}

// Admitted reports whether a gateway can work with the core at all: a core that neither remembers
// refusals nor makes releases final lets a late call undo what was settled.
func (c Capabilities) Admitted() bool { return c.RemembersRefusals || c.ReleaseIsFinal }

// Call is what every changing call to a Core carries.
type Call struct {
	// Ref is the caller's reference, 1 to RefMax bytes. That of a Hold names the hold.
	Ref string
	// NotAfter: the core refuses the call with ReasonLate after this time, and then never carries it
	// out: like every refusal this one is remembered. The zero time is no limit. It is not
	// part of the content: a repeat may carry another. An act carried out in time gives its
	// answer to repeats at any time.
	NotAfter time.Time
}

// Core is a core system outside. Every method may fail with ErrUnavailable, ErrUnknown or
// *RefusedError (all to be told by errors.Is and errors.As); a context that ends before the answer is
// ErrUnknown, or ErrUnavailable if the call surely never left. The five rules that the
// conformance run of adaptertest checks:
//
//  1. The same reference gives the same answer for ever, refusals included, also after capture or
//     release. (A repeated Hold whose hold was released since may get ReasonReleased instead.)
//  2. A Release that was answered makes its reference dead, even one never seen: a Hold or Capture
//     that arrives later is refused. Void does so for a Refund.
//  3. A Capture frees the rest of its hold in the same act.
//  4. References are remembered longer than any call can be delayed.
//  5. A hold never lapses by the core's own clock.
//
// A core may lack rule 1 for refusals, or rule 2, and says so in Capabilities; never both. Refusals for
// bad arguments are ReasonInvalid. Safe for concurrent use.
type Core interface {
	// Capabilities is what the core can do; it never changes.
	Capabilities() Capabilities
	// Person checks the identity and returns the account. An unknown number is refused with
	// ReasonUnknownPerson, another name with ReasonIdentity. It changes nothing.
	Person(ctx context.Context, p Person) (Account, error)
	// Hold may place less than amount; refusals as of a Book, and ReasonIdentity and ReasonLate.
	Hold(ctx context.Context, c Call, p Person, amount, floor int64) (held int64, err error)
	// Capture takes amount of a hold and frees the rest; refusals as of a Book, and ReasonLate. The
	// capture of a hold never seen is refused with ReasonNotHeld under c.Ref; the hold's own
	// reference need not be dead by it.
	Capture(ctx context.Context, c Call, hold string, amount int64) error
	// Release frees a hold and makes its reference dead; refused with ReasonCaptured, and ReasonLate.
	Release(ctx context.Context, c Call, hold string) error
	// Refund gives amount back from a captured hold; refusals as of a Book, ReasonLate, and
	// ReasonReleased of a reference that was made dead.
	Refund(ctx context.Context, c Call, hold string, amount int64) error
	// Void makes the reference of a refund or debit dead, as Release does for a hold: refused with
	// ReasonCaptured, and the amount, when it was carried out before.
	Void(ctx context.Context, c Call, ref string) error
	Records
}

// Records is what a Core can be asked about the past.
type Records interface {
	// Status returns what is known of a hold; HoldNone never ends anything: a late call may still
	// come.
	Status(ctx context.Context, hold string) (Hold, error)
	// Entries returns a Beijing day's movements, oldest first, at most EntriesMax, from a cursor (""
	// first); next is "" at the end. Seq counts within an account.
	Entries(ctx context.Context, day time.Time, cursor string) (entries []Movement, next string, err error)
}
