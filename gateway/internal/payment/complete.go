package payment

import (
	"time"

	"gongji/gateway/internal/policy"
)

// Completion is a new attempt at an emergency that was declined: who may be asked now, and until when the
// platform decides.
type Completion struct {
	Candidates  []Candidate
	Declines    []Decline // grants that may not be asked
	DecideBy    time.Time
	AutoConfirm bool
}

// short reports whether nothing came of the asking: declined, or still giving back what was held on the way.
func (p *Payment) short() bool {
	return p.State == Declined || p.State == Releasing && p.Cause == CauseShort
}

// awaits reports whether the payment may still be completed, as far as its state knows.
func (p *Payment) awaits() bool { return p.short() && !p.CompleteBy.IsZero() && !p.Lapsed }

// CompletableUntil is until when the payment can be completed, the zero time if it cannot.
func (p *Payment) CompletableUntil() time.Time {
	if !p.awaits() {
		return time.Time{}
	}
	return p.CompleteBy
}

// Completable returns why the payment cannot be completed now: wrong_state for what is no declined emergency, or was
// attempted too often; expired when the region's window has closed; empty if it can.
func (p *Payment) Completable(now time.Time) policy.Code {
	switch {
	case !p.short() || p.CompleteBy.IsZero():
		return policy.CodeWrongState
	case p.Lapsed || !now.Before(p.CompleteBy):
		return policy.CodeExpired
	case len(p.Legs)+LegsMax > LegsKept:
		return policy.CodeWrongState
	}
	return ""
}

// Complete asks again. The legs of before stay recorded and go on giving back, and their hold ids are not used again;
// the declines are those of the new attempt. It returns the refusing code, or the effects.
func (p *Payment) Complete(now time.Time, c Completion) ([]Effect, policy.Code) {
	if code := p.Completable(now); code != "" {
		return nil, code
	}
	for i := range p.Legs {
		p.Legs[i].Earlier = true
	}
	p.Cause, p.Held = CauseNone, 0
	p.Candidates, p.Declines = c.Candidates, c.Declines
	p.DecideBy, p.AutoConfirm = c.DecideBy, c.AutoConfirm
	return p.begin(now), ""
}
