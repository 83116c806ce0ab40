package ledger

import (
	"time"

	"gongji/gateway/internal/operator"
	"gongji/gateway/internal/record"
)

// Bounds and times of operators and their sessions (GB/T 22239-2019, identity and login).
const (
	OperatorsMax   = 256
	SessionsMax    = 4 // of one operator; one more ends the oldest
	FailuresMax    = 5 // wrong passphrases with the right key
	LockedFor      = 30 * time.Minute
	SessionIdle    = 15 * time.Minute
	SessionEnds    = 8 * time.Hour
	sessionTouched = time.Minute // a session's use is written down that often at most

	ActsMax     = 64        // that wait for a second person
	ActBodyMax  = 512 << 10 // bytes
	ActWaits    = 24 * time.Hour
	actKept     = 183 * 24 * time.Hour // with its result; the audit log keeps its lines longer
	actsKeptMax = 4096                 // past it nobody proposes until old ones are gone
	resultMax   = 4 << 10              // bytes of an act's result
)

// OperatorState says whether an operator may come in.
type OperatorState string

// The states. A removed operator's name is never given again.
const (
	OperatorActive  OperatorState = "active"
	OperatorLocked  OperatorState = "locked"
	OperatorRemoved OperatorState = "removed"
)

// OperatorRecord is an operator.
type OperatorRecord struct {
	Registration operator.Registration
	Role         operator.Role
	State        OperatorState
	Failures     int       // wrong passphrases in a row
	LockedUntil  time.Time // by failures
	Sessions     []string  // digests of their tokens, the oldest first
	Changed      time.Time // of registration, role or state
	By           string
}

// Walk is the record.Record of an OperatorRecord.
func (o *OperatorRecord) Walk(c *record.Coder) {
	walkRegistration(c, &o.Registration)
	record.Str(c, &o.Role)
	record.Str(c, &o.State)
	record.Int(c, &o.Failures)
	c.Time(&o.LockedUntil)
	record.Strs(c, &o.Sessions)
	c.Time(&o.Changed)
	record.Str(c, &o.By)
}

// SessionRecord is a session. Its key is the digest of the token: nobody reads a token out of the state.
type SessionRecord struct {
	Name  string
	Begun time.Time
	Seen  time.Time // to the minute
	Ends  time.Time
}

// Walk is the record.Record of a SessionRecord.
func (s *SessionRecord) Walk(c *record.Coder) {
	record.Str(c, &s.Name)
	c.Time(&s.Begun)
	c.Time(&s.Seen)
	c.Time(&s.Ends)
}

// Good tells whether a session still lives.
func (s *SessionRecord) Good(now time.Time) bool {
	return now.Before(s.Ends) && now.Sub(s.Seen) < SessionIdle
}

// Tired tells whether its use is to be written down.
func (s *SessionRecord) Tired(now time.Time) bool { return now.Sub(s.Seen) >= sessionTouched }

// ActState says how far an act of two persons is.
type ActState string

// The states. An approved act without a status was begun by a node that did not come to tell its end.
const (
	ActPending  ActState = "pending"
	ActApproved ActState = "approved"
	ActDone     ActState = "done"
	ActRejected ActState = "rejected"
	ActExpired  ActState = "expired"
)

// ActRecord is an act of two persons.
type ActRecord struct {
	ID       string
	Act      operator.Act
	Digest   [32]byte
	Needs    operator.Duty
	State    ActState
	By       string
	Second   string
	Proposed time.Time
	Due      time.Time // it expires; later, it is forgotten
	Decided  time.Time
	Status   int
	Result   string
}

// Walk is the record.Record of an ActRecord.
func (a *ActRecord) Walk(c *record.Coder) {
	record.Str(c, &a.ID)
	walkAct(c, &a.Act)
	c.Fixed(a.Digest[:])
	record.Str(c, &a.Needs)
	record.Str(c, &a.State)
	record.Str(c, &a.By)
	record.Str(c, &a.Second)
	c.Time(&a.Proposed)
	c.Time(&a.Due)
	c.Time(&a.Decided)
	record.Int(c, &a.Status)
	record.Str(c, &a.Result)
}
