package payment

import (
	"cmp"
	"slices"
	"time"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// Placed tells that a leg's home holds amount. A leg that was given up meanwhile stays given up: its release is on the
// way. What the home gives less than was asked has a reason, whether the home names it or not.
func (p *Payment) Placed(now time.Time, holdID string, amount money.Amount, limitedBy policy.Code) []Effect {
	effects := p.late(now)
	_, l := p.leg(holdID)
	if l == nil || l.State != LegRequested || p.State != Requested {
		return effects
	}
	l.State, l.Amount = LegPlaced, min(amount, l.Asked)
	if l.Amount < l.Asked {
		l.LimitedBy = cmp.Or(limitedBy, policy.CodeBalanceInsufficient)
	}
	return p.next(now)
}

// Refused tells that a leg's home holds nothing, for good.
func (p *Payment) Refused(now time.Time, holdID string, code policy.Code) []Effect {
	effects := p.late(now)
	_, l := p.leg(holdID)
	if l == nil {
		return effects
	}
	switch {
	case l.State == LegRequested && p.State == Requested:
		l.State = LegDeclined
		p.Declines = append(p.Declines, Decline{l.GrantID, l.Region, code})
		return p.next(now)
	case l.State == LegReleasing && l.Amount == 0:
		// It was told to give back before its answer came; there is nothing to give back.
		l.State = LegReleased
		p.settle()
	}
	return effects
}

// late expires a payment whose deadline has passed, so that no answer is taken for it after that, whether its
// deadline has fired or not.
func (p *Payment) late(now time.Time) []Effect {
	if p.State == Requested && !now.Before(p.DecideBy) {
		return p.Expire(now)
	}
	return nil
}

// Confirm takes amount of what is held. It returns the refusing code, or the effects.
func (p *Payment) Confirm(now time.Time, amount money.Amount) ([]Effect, policy.Code) {
	if code := p.decidable(now); code != "" {
		return nil, code
	}
	if amount <= 0 || amount > p.Covered() {
		return nil, policy.CodeInvalidAmount
	}
	return p.capture(now, amount), ""
}

// Cancel gives everything back. It returns the refusing code, or the effects.
func (p *Payment) Cancel(now time.Time) ([]Effect, policy.Code) {
	if code := p.decidable(now); code != "" {
		return nil, code
	}
	return p.giveBack(now, CauseCancelled), ""
}

// decidable returns why the platform may not decide now: api.md section 3, last rule.
func (p *Payment) decidable(now time.Time) policy.Code {
	switch {
	case p.State == Held && now.Before(p.DecideBy):
		return ""
	case p.State == Held, p.State == Expired, p.State == Releasing && p.Cause == CauseExpired,
		p.State == Requested && !now.Before(p.DecideBy):
		return policy.CodeExpired
	}
	return policy.CodeWrongState
}

// Expire does what is due: gives up legs that have not answered, gives back what was not decided in time, and sends
// decisions again that have not been answered. It ends the time in which an emergency can be completed.
func (p *Payment) Expire(now time.Time) []Effect {
	var effects []Effect
	if (p.State == Requested || p.State == Held) && !now.Before(p.DecideBy) {
		if p.State == Requested {
			p.Candidates, p.Held = nil, p.Covered()
		}
		effects = p.giveBack(now, CauseExpired)
	}
	for i := range p.Legs {
		l := &p.Legs[i]
		switch {
		case l.State == LegRequested && p.State == Requested && !now.Before(l.Deadline):
			l.GivenUp = true
			p.Declines = append(p.Declines, Decline{l.GrantID, l.Region, policy.CodeRegionUnreachable})
			effects = append(effects, p.release(i, now))
			effects = append(effects, p.next(now)...)
		case (l.State == LegCapturing || l.State == LegReleasing) && !now.Before(l.Resend):
			effects = append(effects, p.again(i, now))
		}
	}
	if p.awaits() && !now.Before(p.CompleteBy) {
		p.Lapsed = true
	}
	return effects
}

// again tells a leg its decision once more, waiting twice as long each time.
func (p *Payment) again(i int, now time.Time) Effect {
	l := &p.Legs[i]
	l.Wait = min(2*l.Wait, ResendMax)
	l.Resend = now.Add(l.Wait)
	if l.State == LegCapturing {
		return Effect{TellCapture, i}
	}
	return Effect{TellRelease, i}
}

// LegCapturedBy tells that a leg's home has taken amount. The home's word is final once there is a decision: if it
// took what it was told to give back, that is how it is, up to what was asked of it. Before the decision nobody can
// have taken anything, and the word is not taken; the home repeats it when it is told the decision.
func (p *Payment) LegCapturedBy(holdID string, amount money.Amount) {
	_, l := p.leg(holdID)
	if l == nil {
		return
	}
	switch l.State {
	case LegCapturing:
		amount = min(amount, l.Share)
	case LegReleasing:
		amount = min(amount, l.Asked)
	case LegRequested, LegPlaced, LegDeclined, LegCaptured, LegReleased, LegCaptureFailed:
		return
	}
	l.State, l.Captured = LegCaptured, max(amount, 0)
	p.settle()
}

// LegReleasedBy tells that a leg's home holds nothing any more. forced: two operators there released it. A leg that was
// to be captured has failed, with a claim; one that has not answered gives nothing, and the next payer is asked.
func (p *Payment) LegReleasedBy(now time.Time, holdID string, forced bool) []Effect {
	return p.legGone(now, holdID, forced)
}

// LegFailed tells that a leg's home could not take the money: it is released there.
func (p *Payment) LegFailed(now time.Time, holdID string) []Effect {
	return p.legGone(now, holdID, false)
}

func (p *Payment) legGone(now time.Time, holdID string, claim bool) []Effect {
	_, l := p.leg(holdID)
	if l == nil {
		return nil
	}
	switch l.State {
	case LegRequested:
		return p.Refused(now, holdID, policy.CodeCoreUnavailable)
	case LegCapturing:
		l.State, l.Claim = LegCaptureFailed, claim
	case LegPlaced, LegReleasing:
		l.State = LegReleased
	case LegDeclined, LegCaptured, LegReleased, LegCaptureFailed:
	}
	p.settle()
	return nil
}

// Enquired answers a home whose hold is in doubt: the effects send the leg's decision again, or the second result says
// that there is none yet. Past DecideBy the payment expires first, so there is one.
func (p *Payment) Enquired(now time.Time, holdID string) ([]Effect, bool) {
	var effects []Effect
	if (p.State == Held || p.State == Requested) && !now.Before(p.DecideBy) {
		effects = p.Expire(now)
	}
	i, l := p.leg(holdID)
	if l == nil || slices.ContainsFunc(effects, func(e Effect) bool { return e.Leg == i }) {
		return effects, false
	}
	switch l.State {
	case LegCapturing, LegCaptured:
		if l.Share > 0 {
			return append(effects, Effect{TellCapture, i}), false
		}
		return append(effects, Effect{TellRelease, i}), false
	case LegReleasing, LegReleased, LegDeclined, LegCaptureFailed:
		return append(effects, Effect{TellRelease, i}), false
	case LegRequested, LegPlaced:
	}
	return effects, true
}
