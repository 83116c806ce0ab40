package adapters

import "time"

// Reader is what a Book reads: ordered keys of bytes.
type Reader interface {
	// Get returns the value of key, and whether there is one. The slice must not be changed; a Book
	// keeps it no longer than until its next write.
	Get(key []byte) (value []byte, ok bool)
	// Scan calls visit for each key with lo <= key < hi in ascending order until visit returns
	// false. A nil hi means no upper bound. The slices are valid only inside visit.
	Scan(lo, hi []byte, visit func(key, value []byte) bool)
}

// Txn is a Reader that writes. Reads see the writes made before them. The slices handed in belong to
// the caller again when the call returns: an implementation copies what it keeps.
type Txn interface {
	Reader
	Set(key, value []byte)
	Delete(key []byte)
}

// Book is an account book inside the region's replicated log. Every method is a deterministic
// function of the Txn and its arguments; at is the stamp of the command, kept to the microsecond.
//
// All acts but Open are idempotent by reference: the same reference with the same content gives the
// same answer for ever, refusals included, also after capture and release. A refusal changes no
// account. Accounts are named by opaque ids (1 to RefMax bytes), which must not be an identity.
//
// The only errors are *RefusedError, and an error for a state that cannot be decoded (which stops
// the node). After such an error the Txn must be thrown away.
//
// The first act that changes an account in a new business year sets its Year and a provisional
// Opening, as Account.InYear says, before the act counts.
//
// Writes come from one goroutine at a time; a BookReader may be used by many, each with a Reader of
// its own.
type Book interface {
	// Open makes an account or sets its person data (scheme, status). It has no reference: to say
	// the same again changes nothing, and to say something else is a change.
	//
	// Of a new account a.Balance is the opening balance: a credit under RefOpening, if above zero.
	// a.Year and a.Opening say what is published of the business year's opening; a Year of zero or
	// before the present one, or a.Provisional, means that it is not, and then the opening balance
	// stands in provisionally.
	//
	// Of an account that exists a.Balance means nothing, and a.Opening is taken only if it publishes
	// the opening of the present year for the first time. a.Held and a.Credited never mean anything.
	//
	// Refusal: ReasonInvalid (also for a Year after the present one, a scheme outside 0 to 65535 and
	// a status outside 0 to 255).
	Open(t Txn, at time.Time, account string, a Account) error
	// Hold places up to amount, as far as the balance less open holds stays at or above floor. It
	// returns what was placed, at least 1 fen. ref is new or a repeat; it names the hold from now on.
	//
	// Refusals, the first that fits: ReasonInvalid; of a reference that is dead ReasonReleased or
	// ReasonNotHeld, whatever came first; ReasonConflict; ReasonUnknownPerson; ReasonScheme (not
	// 310); ReasonStatus (not 1); ReasonBalance (not 1 fen is free above the floor).
	Hold(t Txn, at time.Time, ref, account string, amount, floor int64) (held int64, err error)
	// Capture takes amount (1 fen up to the hold) and frees the rest of the hold in the same act.
	//
	// Refusals, the first that fits: ReasonInvalid; ReasonNotHeld (never seen, which makes the
	// reference dead; or refused); ReasonAbove; ReasonReleased; ReasonConflict (captured with
	// another amount).
	Capture(t Txn, at time.Time, ref string, amount int64) error
	// Release frees the hold. A reference never seen becomes dead: a later Hold with it is refused.
	// The release of a refused hold, or of one released already, is answered and changes nothing.
	//
	// Refusals: ReasonInvalid; ReasonCaptured, with the amount.
	Release(t Txn, at time.Time, ref string) error
	// Refund gives amount back from a captured hold to its account, under a reference of its own.
	// It counts in the balance at once, whatever the insured status, but an account of
	// StatusTerminated takes nothing any more.
	//
	// Refusals, the first that fits: ReasonInvalid; ReasonConflict; ReasonNotHeld (hold never seen or
	// refused); ReasonReleased; ReasonAbove (above what is captured and not yet refunded);
	// ReasonClosed.
	Refund(t Txn, at time.Time, ref, hold string, amount int64) error
	BookReader
}

// BookReader asks a Book.
type BookReader interface {
	// Account reads an account as its last change left it; ok is false when there is none. Its Year
	// may lie before the caller's, see Account.InYear.
	Account(r Reader, account string) (a Account, ok bool, err error)
	// Find reads the record of a hold; HoldNone when it was never seen.
	Find(r Reader, ref string) (Hold, error)
	// Accounts visits the accounts in the order they were opened until visit returns false.
	Accounts(r Reader, visit func(account string, a Account) bool) error
	// Movements visits the movements of one account, oldest first, from sequence number from (0 and
	// 1 are the first), until visit returns false. visit must not write.
	Movements(r Reader, account string, from uint64, visit func(m Movement) bool) error
}
