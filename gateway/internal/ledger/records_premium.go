package ledger

import (
	"fmt"
	"time"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// Words of a mandate's status.
const (
	MandateActive = "active"
	MandateEnded  = "ended"
)

// Words of what became of one year's premium (api.md section 2).
const (
	PremiumWaiting = "waiting" // nothing came of it so far; it is tried again
	PremiumPaid    = "paid"
	PremiumSkipped = "skipped" // it need not be paid under this mandate
	PremiumFailed  = "failed"  // the season is over
)

// Mandate lets a grant pay a premium, as the payer's home keeps it.
type Mandate struct {
	ID        string
	Purpose   policy.Purpose
	MaxAmount money.Amount // of one payment of that purpose under the grant; 0: no bound
	Status    string
	Made      time.Time
	Ended     time.Time
	Results   []PremiumResult // one for each year, oldest first
}

// Walk is the record.Record of a Mandate.
func (m *Mandate) Walk(c *record.Coder) {
	record.Str(c, &m.ID)
	record.Str(c, &m.Purpose)
	record.Int(c, &m.MaxAmount)
	record.Str(c, &m.Status)
	c.Time(&m.Made)
	c.Time(&m.Ended)
	record.List(c, &m.Results)
}

// PremiumResult is what the beneficiary's home has told of one year.
type PremiumResult struct {
	Year      int
	Status    string
	Amount    money.Amount
	Code      policy.Code
	PaymentID string
	At        time.Time
}

// Walk is the record.Record of a PremiumResult.
func (r *PremiumResult) Walk(c *record.Coder) {
	record.Int(c, &r.Year)
	record.Str(c, &r.Status)
	record.Int(c, &r.Amount)
	record.Str(c, &r.Code)
	record.Str(c, &r.PaymentID)
	c.Time(&r.At)
}

// MandatesRecord is all mandates of one grant, at the payer's home.
type MandatesRecord struct {
	Revision uint64 // counts the notices of all of them
	List     []Mandate
}

// Walk is the record.Record of a MandatesRecord.
func (m *MandatesRecord) Walk(c *record.Coder) {
	c.U64(&m.Revision)
	record.List(c, &m.List)
}

// DutyRecord is a mandate as the beneficiary's home knows it: the newest of a grant and purpose.
type DutyRecord struct {
	GrantID   string
	MandateID string
	Region    string // the payer's home
	Revision  uint64
	Active    bool
	Since     time.Time
	// What was told last.
	Year   int
	Status string
	Code   policy.Code
}

// Walk is the record.Record of a DutyRecord.
func (d *DutyRecord) Walk(c *record.Coder) {
	record.Str(c, &d.GrantID)
	record.Str(c, &d.MandateID)
	record.Str(c, &d.Region)
	c.U64(&d.Revision)
	c.Bool(&d.Active)
	c.Time(&d.Since)
	record.Int(c, &d.Year)
	record.Str(c, &d.Status)
	record.Str(c, &d.Code)
}

// PremiumState is where the premium of one person, purpose and year stands, at the beneficiary's home. The numbers
// stand in logs and are never reused.
type PremiumState uint8

// The states.
const (
	StateAsking    PremiumState = 1 // the leader finds out whether it is paid already, and begins a payment
	StateHolding   PremiumState = 2 // the payment is asking the payers' homes
	StatePaying    PremiumState = 3 // the money is held; the core is to register the premium as paid
	StateTaking    PremiumState = 4 // registered; the money is being taken
	StateReturning PremiumState = 5 // the core will not register it; the money is being given back
	StateWaiting   PremiumState = 6 // nothing came of the attempt; the next day has another
	StatePaid      PremiumState = 7
	StateSkipped   PremiumState = 8
	StateFailed    PremiumState = 9 // the season is over
)

// PremiumStates are all the states, for tests and tables.
func PremiumStates() []PremiumState {
	return []PremiumState{
		StateAsking, StateHolding, StatePaying, StateTaking, StateReturning, StateWaiting, StatePaid, StateSkipped,
		StateFailed,
	}
}

// Open reports whether an attempt is under way.
func (s PremiumState) Open() bool { return s >= StateAsking && s <= StateReturning }

// String is the state's word.
func (s PremiumState) String() string {
	words := [...]string{
		"", "asking", "holding", "paying", "taking", "returning", PremiumWaiting, PremiumPaid, PremiumSkipped, PremiumFailed,
	}
	if int(s) < len(words) && s > 0 {
		return words[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// PremiumRecord is the premium of one person, purpose and year. With a Book it is also the register of what is paid.
type PremiumRecord struct {
	Purpose    policy.Purpose
	Year       int
	Person     string       // number
	Amount     money.Amount // of the attempt: as the rules were when it began
	State      PremiumState
	Code       policy.Code // why it waits, was skipped, or failed
	Attempt    int
	PaymentID  string // of the newest attempt that came so far
	Registered bool   // the core, or the Book's region itself, has it as paid
	PaidBefore bool   // the core has it as paid by somebody else
	TakeBy     time.Time
	Wait       time.Duration
	Due        time.Time // the deadline that stands in the state
}

// Walk is the record.Record of a PremiumRecord.
func (p *PremiumRecord) Walk(c *record.Coder) {
	record.Str(c, &p.Purpose)
	record.Int(c, &p.Year)
	record.Str(c, &p.Person)
	record.Int(c, &p.Amount)
	record.Int(c, &p.State)
	record.Str(c, &p.Code)
	record.Int(c, &p.Attempt)
	record.Str(c, &p.PaymentID)
	c.Bool(&p.Registered)
	c.Bool(&p.PaidBefore)
	c.Time(&p.TakeBy)
	record.Int(c, &p.Wait)
	c.Time(&p.Due)
}

// Key names the record.
func (p *PremiumRecord) Key() string { return premiumKey(p.Purpose, p.Year, p.Person) }

// again reports whether a day of the season begins another attempt. A person who was not insured may be so tomorrow,
// one whom nobody would pay for may find somebody, and what had failed is taken up when the rules reopen a season. Only
// what is paid stays so.
func (p *PremiumRecord) again() bool {
	switch p.State {
	case StateWaiting, StateFailed:
		return true
	case StateSkipped:
		return p.Code != ""
	case StateAsking, StateHolding, StatePaying, StateTaking, StateReturning, StatePaid:
	}
	return false
}

// SeasonRecord is how far the collection of one purpose has come.
type SeasonRecord struct {
	Year    int         // the premium's
	Day     policy.Date // the newest day of the season on which the persons were gone through
	After   string      // the pass goes on behind this key
	Done    bool        // the pass of Day has come to its end
	Closing bool        // the season is over, and what was not paid is being closed
	Closed  bool
	// How many premiums of the year there are in each kind of state.
	Open, Waiting, Paid, Skipped, Failed int
}

// Walk is the record.Record of a SeasonRecord.
func (s *SeasonRecord) Walk(c *record.Coder) {
	record.Int(c, &s.Year)
	record.Int(c, &s.Day)
	record.Str(c, &s.After)
	c.Bool(&s.Done)
	c.Bool(&s.Closing)
	c.Bool(&s.Closed)
	record.Int(c, &s.Open)
	record.Int(c, &s.Waiting)
	record.Int(c, &s.Paid)
	record.Int(c, &s.Skipped)
	record.Int(c, &s.Failed)
}

// count is where premiums of a state are counted; nil for a premium that has just begun.
func (s *SeasonRecord) count(state PremiumState) *int {
	switch {
	case state.Open():
		return &s.Open
	case state == StateWaiting:
		return &s.Waiting
	case state == StatePaid:
		return &s.Paid
	case state == StateSkipped:
		return &s.Skipped
	case state == StateFailed:
		return &s.Failed
	}
	return nil
}
