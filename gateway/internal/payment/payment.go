// Package payment is the origin's side of a payment: what the visit region decides, as one state table.
//
// A payment covers the self-borne part of one bill from one or more payers' accounts. Each payer asked is a leg,
// with a hold in that payer's home region. The origin asks leg by leg until the amount is covered, waits for the
// platform's word, and tells each leg what to do. The decision is the origin's log entry: once capturing stands,
// nothing turns it back.
//
// The package is pure: a Payment takes an event and the time of the command that brought it, changes, and says what
// is to be sent. It has no clock and carries nothing out. Every non-terminal state has a time at which it wakes by
// itself (Wake).
package payment

import (
	"fmt"
	"strings"
	"time"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// Times and bounds of the origin's side. They are protocol, not configuration: both sides of a link count on them.
const (
	LegsMax      = 8                // payers asked for one payment
	LegWait      = 3 * time.Second  // a leg that has not answered by then is given up
	LegsWait     = 10 * time.Second // all legs together
	ResendFirst  = 10 * time.Second // a decision that a leg has not answered is sent to it again
	ResendMax    = 5 * time.Minute  // the longest wait between two such sendings
	CandidateMax = 64               // grants that a look-up may offer
	LegsKept     = 8 * LegsMax      // legs that a payment ever has: as many attempts to complete it as that allows
)

// State is where a payment stands. The numbers stand in logs and are never reused.
type State uint8

// The states; Final says which of them end.
const (
	Requested State = 1 // holds are being asked for
	Held      State = 2 // the amount is held; the platform decides until DecideBy
	Declined  State = 3 // nothing is held, and nothing will be
	Capturing State = 4 // the decision to take is in the log; the legs are told
	Captured  State = 5 // every leg has said what it took
	Releasing State = 6 // every leg asked is told to give back
	Released  State = 7 // cancelled by the platform
	Expired   State = 8 // not decided in time
)

// States are all the states, for tests and tables.
func States() []State {
	return []State{Requested, Held, Declined, Capturing, Captured, Releasing, Released, Expired}
}

// Final reports whether the payment itself moves no more. A leg that was given up may still be open.
func (s State) Final() bool {
	return s == Declined || s == Captured || s == Released || s == Expired
}

// String is the state's word in the API.
func (s State) String() string {
	switch s {
	case Requested:
		return "requested"
	case Held:
		return "held"
	case Declined:
		return "declined"
	case Capturing:
		return "capturing"
	case Captured:
		return "captured"
	case Releasing:
		return "releasing"
	case Released:
		return "released"
	case Expired:
		return "expired"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// LegState is where a leg stands, as the origin knows it.
type LegState uint8

// The states of a leg.
const (
	LegRequested     LegState = 1 // the hold was asked for
	LegPlaced        LegState = 2 // the home holds the amount
	LegDeclined      LegState = 3 // the home holds nothing
	LegCapturing     LegState = 4 // told to take
	LegCaptured      LegState = 5
	LegReleasing     LegState = 6 // told to give back
	LegReleased      LegState = 7
	LegCaptureFailed LegState = 8 // the money could not be taken: a shortfall
)

// LegStates are all the states of a leg.
func LegStates() []LegState {
	return []LegState{
		LegRequested, LegPlaced, LegDeclined, LegCapturing, LegCaptured, LegReleasing, LegReleased, LegCaptureFailed,
	}
}

// Final reports whether the leg moves no more.
func (s LegState) Final() bool {
	return s == LegDeclined || s == LegCaptured || s == LegReleased || s == LegCaptureFailed
}

// String is the state's word in the API.
func (s LegState) String() string {
	switch s {
	case LegRequested:
		return "requested"
	case LegPlaced:
		return "placed"
	case LegDeclined:
		return "declined"
	case LegCapturing:
		return "capturing"
	case LegCaptured:
		return "captured"
	case LegReleasing:
		return "releasing"
	case LegReleased:
		return "released"
	case LegCaptureFailed:
		return "capture_failed"
	}
	return fmt.Sprintf("leg(%d)", uint8(s))
}

// Cause is why a payment is being given back: it decides which end Releasing has.
type Cause uint8

// The causes.
const (
	CauseNone      Cause = 0
	CauseCancelled Cause = 1 // → Released
	CauseExpired   Cause = 2 // → Expired
	CauseShort     Cause = 3 // not enough, or nothing at all → Declined
)

// end is the final state of a cause.
func (c Cause) end() State {
	switch c {
	case CauseCancelled:
		return Released
	case CauseExpired:
		return Expired
	case CauseNone, CauseShort:
	}
	return Declined
}

// Candidate is a grant that the look-up offered, in the order of use.
type Candidate struct {
	GrantID string
	Region  string // the payer's home
}

// Decline is a grant that was asked and gives nothing.
type Decline struct {
	GrantID string
	Region  string
	Code    policy.Code
}

// Leg is one payer asked.
type Leg struct {
	HoldID    string
	GrantID   string
	Region    string // the payer's home
	State     LegState
	Asked     money.Amount // what was still wanted
	Amount    money.Amount // what was placed
	Share     money.Amount // what is to be taken
	Captured  money.Amount // what was taken
	LimitedBy policy.Code  // why Amount is less than Asked
	Payer     string       // masked number
	PayerName string       // masked name
	GivenUp   bool         // it did not answer in time; its late hold is given back, and it stands in Declines
	Claim     bool         // the home released it by force although it was being captured
	Earlier   bool         // of an attempt before the payment was completed: it gives nothing, and is not shown
	Deadline  time.Time    // of the answer to the hold request
	Resend    time.Time    // when the decision is sent again
	Wait      time.Duration
	Refunded  money.Amount // what is back of Captured
	Refunding money.Amount // what refunds under way may still give back
}

// Shortfall is what a leg that has ended misses of its share.
func (l *Leg) Shortfall() money.Amount {
	if l.State == LegCaptured || l.State == LegCaptureFailed {
		return l.Share.Less(l.Captured)
	}
	return 0
}

// open reports whether something is still to be heard of the leg.
func (l *Leg) open() bool { return !l.State.Final() }

// Payment is one payment at its origin.
type Payment struct {
	ID           string
	State        State
	Cause        Cause
	Amount       money.Amount // asked for by the platform
	Held         money.Amount // fixed once the holds are placed
	Confirmed    money.Amount
	AllowPartial bool
	AutoConfirm  bool
	Created      time.Time
	LegsBy       time.Time // no further leg is asked from then on
	DecideBy     time.Time
	Candidates   []Candidate // not asked yet
	Legs         []Leg
	Declines     []Decline
	CompleteBy   time.Time // an emergency that was declined can be completed before then; zero: never
	Lapsed       bool      // CompleteBy has passed, and what only a completion needs was dropped
}

// Action is what the origin tells a leg's home.
type Action uint8

// The actions.
const (
	AskHold Action = iota + 1
	TellCapture
	TellRelease
)

// Effect is one message to be sent to the home of leg Legs[Leg].
type Effect struct {
	Do  Action
	Leg int
}

// HoldID is the id of the n-th hold (from 1) of a payment: known before it is asked for, the same on every repeat.
func HoldID(paymentID string, n int) string {
	return fmt.Sprintf("h%s-%d", strings.TrimPrefix(paymentID, "p"), n)
}

// Start asks the first payer. Candidates, Amount, DecideBy, CompleteBy and the flags are set by the caller.
func (p *Payment) Start(now time.Time) []Effect {
	p.Created = now
	p.Lapsed = !p.CompleteBy.IsZero() && !now.Before(p.CompleteBy)
	return p.begin(now)
}

// begin opens an attempt: its payers are asked one after the other.
func (p *Payment) begin(now time.Time) []Effect {
	p.State = Requested
	p.LegsBy = now.Add(LegsWait)
	if p.DecideBy.Before(p.LegsBy) {
		p.LegsBy = p.DecideBy
	}
	return p.next(now)
}

// OfHold is the payment that a hold's id belongs to, and whether the id has the form of one.
func OfHold(holdID string) (string, bool) {
	i := strings.LastIndexByte(holdID, '-')
	if i < 2 || holdID[0] != 'h' {
		return "", false
	}
	return "p" + holdID[1:i], true
}

// Covered is what the placed legs hold now.
func (p *Payment) Covered() money.Amount {
	var sum money.Amount
	for i := range p.Legs {
		if p.Legs[i].State == LegPlaced {
			sum += p.Legs[i].Amount
		}
	}
	return sum
}

// next asks the next payer, or ends the asking.
func (p *Payment) next(now time.Time) []Effect {
	left := p.Amount - p.Covered()
	if left > 0 && len(p.Candidates) > 0 && p.asked() < LegsMax && now.Before(p.LegsBy) {
		c := p.Candidates[0]
		p.Candidates = p.Candidates[1:]
		deadline := now.Add(LegWait)
		if deadline.After(p.LegsBy) {
			deadline = p.LegsBy
		}
		p.Legs = append(p.Legs, Leg{
			HoldID: HoldID(p.ID, len(p.Legs)+1), GrantID: c.GrantID, Region: c.Region,
			State: LegRequested, Asked: left, Deadline: deadline,
		})
		return []Effect{{AskHold, len(p.Legs) - 1}}
	}
	p.Candidates = nil
	p.Held = p.Covered()
	if p.Held == 0 || (left > 0 && !p.AllowPartial) {
		p.declineShort()
		p.Held = 0
		return p.giveBack(now, CauseShort)
	}
	p.State = Held
	if p.AutoConfirm {
		return p.capture(now, p.Held)
	}
	return nil
}

// asked is how many payers were asked in the present attempt.
func (p *Payment) asked() int {
	n := 0
	for i := range p.Legs {
		if !p.Legs[i].Earlier {
			n++
		}
	}
	return n
}

// declineShort names, for each payer that could have given part, the limit that left it short.
func (p *Payment) declineShort() {
	for i := range p.Legs {
		l := &p.Legs[i]
		if l.State != LegPlaced {
			continue
		}
		code := l.LimitedBy
		if code == "" {
			code = policy.CodeBalanceInsufficient
		}
		p.Declines = append(p.Declines, Decline{l.GrantID, l.Region, code})
	}
}

// giveBack tells every leg that was asked and not declined to give back, answered or not.
func (p *Payment) giveBack(now time.Time, cause Cause) []Effect {
	p.State, p.Cause = Releasing, cause
	var effects []Effect
	for i := range p.Legs {
		if l := &p.Legs[i]; l.State == LegRequested || l.State == LegPlaced {
			effects = append(effects, p.release(i, now))
		}
	}
	p.settle()
	return effects
}

func (p *Payment) release(i int, now time.Time) Effect {
	l := &p.Legs[i]
	l.State = LegReleasing
	l.Wait = ResendFirst
	l.Resend = now.Add(l.Wait)
	return Effect{TellRelease, i}
}

func (p *Payment) capture(now time.Time, amount money.Amount) []Effect {
	p.State, p.Confirmed = Capturing, amount
	left := amount
	var effects []Effect
	for i := range p.Legs {
		l := &p.Legs[i]
		if l.State != LegPlaced {
			continue
		}
		l.Share = min(left, l.Amount)
		left -= l.Share
		if l.Share == 0 {
			effects = append(effects, p.release(i, now))
			continue
		}
		l.State = LegCapturing
		l.Wait = ResendFirst
		l.Resend = now.Add(l.Wait)
		effects = append(effects, Effect{TellCapture, i})
	}
	p.settle()
	return effects
}

// settle ends the payment when nothing is open that its end waits for. A leg that was given up before the
// decision, or is of an earlier attempt, gives nothing either way: a capture does not wait for it, a release does.
func (p *Payment) settle() {
	for i := range p.Legs {
		l := &p.Legs[i]
		if l.open() && (p.State == Releasing || !l.GivenUp && !l.Earlier) {
			return
		}
	}
	switch p.State {
	case Capturing:
		p.State = Captured
	case Releasing:
		p.State = p.Cause.end()
	case Requested, Held, Declined, Captured, Released, Expired:
	}
}

// Open reports whether anything is still to be heard or done: the payment is not final, or a leg is open.
func (p *Payment) Open() bool {
	if !p.State.Final() {
		return true
	}
	for i := range p.Legs {
		if p.Legs[i].open() {
			return true
		}
	}
	return false
}

// Wake is when Expire has something to do; zero when nothing is open and the payment cannot be completed.
func (p *Payment) Wake() time.Time {
	var wake time.Time
	add := func(t time.Time) {
		if !t.IsZero() && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
	}
	if p.State == Requested || p.State == Held {
		add(p.DecideBy)
	}
	if p.awaits() {
		add(p.CompleteBy)
	}
	for i := range p.Legs {
		switch l := &p.Legs[i]; l.State {
		case LegRequested:
			add(l.Deadline)
		case LegCapturing, LegReleasing:
			add(l.Resend)
		case LegPlaced, LegDeclined, LegCaptured, LegReleased, LegCaptureFailed:
		}
	}
	return wake
}

// Leg finds a leg by its hold; nil when there is none.
func (p *Payment) Leg(holdID string) *Leg {
	_, l := p.leg(holdID)
	return l
}

func (p *Payment) leg(holdID string) (int, *Leg) {
	for i := range p.Legs {
		if p.Legs[i].HoldID == holdID {
			return i, &p.Legs[i]
		}
	}
	return -1, nil
}
