package grant

import (
	"time"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// Entry is what is known of a grant at the beneficiary's home region, which may not be the
// region that keeps it: enough to put grants in order and to ask the payers' homes.
type Entry struct {
	ID         string
	Status     Status
	ValidFrom  policy.Date
	ValidUntil policy.Date // 0 for none
	CreatedAt  time.Time
}

// Entry gives the grant's own.
func (g Grant) Entry() Entry {
	return Entry{
		ID: g.ID, Status: g.Status, CreatedAt: g.CreatedAt,
		ValidFrom: g.Terms.ValidFrom, ValidUntil: g.Terms.ValidUntil,
	}
}

// EffectiveStatus is the status on a Beijing day: ended from the day after valid_until,
// except where the grant was revoked before.
func (e Entry) EffectiveStatus(day policy.Date) Status {
	if !e.Status.Final() && e.ValidUntil != 0 && day > e.ValidUntil {
		return StatusEnded
	}
	return e.Status
}

// Usable tells whether the grant can be used on a Beijing day: active, from valid_from to
// valid_until.
func (e Entry) Usable(day policy.Date) bool {
	return e.EffectiveStatus(day) == StatusActive && day >= e.ValidFrom
}

// Disposition says how a payment treats a grant that stands in its order (api.md section 3).
type Disposition int

// The dispositions.
const (
	PassOver Disposition = iota // revoked, ended, pending: silently
	Decline                     // suspended, or not yet valid: declined grant_not_active
	Ask                         // usable: the payer's home is asked
)

// Disposition says how a payment on a Beijing day treats the grant.
func (e Entry) Disposition(day policy.Date) Disposition {
	switch e.EffectiveStatus(day) {
	case StatusActive:
		if day < e.ValidFrom {
			return Decline
		}
		return Ask
	case StatusSuspended:
		return Decline
	case StatusPending, StatusRevoked, StatusEnded:
		return PassOver
	default:
		return PassOver // a status of a later version: no money moves by it
	}
}

// EffectiveStatus is Entry's.
func (g Grant) EffectiveStatus(day policy.Date) Status { return g.Entry().EffectiveStatus(day) }

// Usable is Entry's.
func (g Grant) Usable(day policy.Date) bool { return g.Entry().Usable(day) }

// Blocks tells whether the grant makes another one of the same two persons a duplicate.
func (g Grant) Blocks(day policy.Date) bool { return !g.EffectiveStatus(day).Final() }

// Patch is what a change asks for. A nil field stays; one that points to a zero value is
// removed, which only the optional ones can be.
type Patch struct {
	ValidFrom       *policy.Date
	ValidUntil      *policy.Date
	PerPaymentLimit *money.Amount
	AnnualLimit     *money.Amount
	Status          *Status // StatusActive or StatusSuspended
}

// Empty tells whether there is nothing to change.
func (p Patch) Empty() bool {
	return p.ValidFrom == nil && p.ValidUntil == nil && p.PerPaymentLimit == nil && p.AnnualLimit == nil &&
		p.Status == nil
}

// Check is the part of Change that needs no grant: nothing to change, a status that cannot
// be asked for, a limit or date that is none, valid_until before today or before the
// valid_from of the same patch. All are 400s, and so come before every wrong_state.
func (p Patch) Check(today policy.Date) error {
	switch {
	case p.Empty():
		return policy.RefuseWith(policy.CodeInvalidRequest, "", "There is nothing to change.", "没有需要变更的内容。")
	case p.ValidFrom != nil && !p.ValidFrom.Valid():
		return policy.Refuse(policy.CodeInvalidRequest, "/valid_from")
	case p.PerPaymentLimit != nil && !limitOK(*p.PerPaymentLimit):
		return policy.Refuse(policy.CodeInvalidAmount, "/per_payment_limit")
	case p.AnnualLimit != nil && !limitOK(*p.AnnualLimit):
		return policy.Refuse(policy.CodeInvalidAmount, "/annual_limit")
	case p.Status != nil && *p.Status != StatusActive && *p.Status != StatusSuspended:
		return policy.Refuse(policy.CodeInvalidRequest, "/status")
	}
	if p.ValidUntil == nil {
		return nil
	}
	from := policy.Date(0)
	if p.ValidFrom != nil {
		from = *p.ValidFrom
	}
	return checkValidity(from, *p.ValidUntil, today)
}

// Change applies a patch. The present values again are no change: the grant comes
// back as it was, with the same Version. Refused: what Check refuses; wrong_state for a
// revoked, ended or pending grant; invalid_request if valid_until would lie before
// valid_from.
func (g Grant) Change(p Patch, at time.Time) (Grant, error) {
	today := policy.Day(at)
	if err := p.Check(today); err != nil {
		return Grant{}, err
	}
	switch s := g.EffectiveStatus(today); s {
	case StatusActive, StatusSuspended:
	case StatusPending, StatusRevoked, StatusEnded:
		return Grant{}, wrongState(s)
	default:
		return Grant{}, wrongState(s)
	}
	next := g
	set(&next.Terms.ValidFrom, p.ValidFrom)
	set(&next.Terms.ValidUntil, p.ValidUntil)
	set(&next.Terms.PerPaymentLimit, p.PerPaymentLimit)
	set(&next.Terms.AnnualLimit, p.AnnualLimit)
	set(&next.Status, p.Status)
	if err := checkValidity(next.Terms.ValidFrom, next.Terms.ValidUntil, today); err != nil {
		if p.ValidUntil == nil { // then valid_from is what has moved
			return Grant{}, policy.Refuse(policy.CodeInvalidRequest, "/valid_from")
		}
		return Grant{}, err
	}
	if same(g, next) {
		return g, nil
	}
	return next.changed(at), nil
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// same compares what a patch can change.
func same(a, b Grant) bool {
	return a.Status == b.Status && a.Terms.ValidFrom == b.Terms.ValidFrom &&
		a.Terms.ValidUntil == b.Terms.ValidUntil && a.Terms.PerPaymentLimit == b.Terms.PerPaymentLimit &&
		a.Terms.AnnualLimit == b.Terms.AnnualLimit
}

// changed marks a new version.
func (g Grant) changed(at time.Time) Grant {
	g.Version++
	g.ChangedAt = at
	return g
}

// to moves the grant to a status as a new version.
func (g Grant) to(s Status, at time.Time) Grant {
	g.Status = s
	return g.changed(at)
}

// wrongState is the 409 for a grant in state s.
func wrongState(s Status) error {
	return policy.RefuseWith(policy.CodeWrongState, "", "The grant is "+string(s)+".", "共济关系当前状态为 "+string(s)+"。")
}

// Suspend stops new uses until Resume; suspending again changes nothing. Refused like Change.
func (g Grant) Suspend(at time.Time) (Grant, error) {
	s := StatusSuspended
	return g.Change(Patch{Status: &s}, at)
}

// Resume makes a suspended grant active again. Refused like Change.
func (g Grant) Resume(at time.Time) (Grant, error) {
	s := StatusActive
	return g.Change(Patch{Status: &s}, at)
}

// Revoke ends the grant for ever; holds already placed still finish. wrong_state for
// one that is revoked or ended.
func (g Grant) Revoke(at time.Time) (Grant, error) {
	if s := g.EffectiveStatus(policy.Day(at)); s.Final() {
		return Grant{}, wrongState(s)
	}
	g.Cause = CausePayer
	return g.to(StatusRevoked, at), nil
}

// Renounce ends the grant for ever by the beneficiary's will, also one that waits for the
// beneficiary's consent; holds already placed still finish. It is revoked, with its Cause: ended is what
// comes by itself. wrong_state for one that is revoked or ended.
func (g Grant) Renounce(at time.Time) (Grant, error) {
	next, err := g.Revoke(at)
	if err == nil {
		next.Cause = CauseBeneficiary
	}
	return next, err
}

// Accept is the beneficiary's consent: a pending grant becomes active. wrong_state in
// every other status.
func (g Grant) Accept(at time.Time) (Grant, error) {
	if s := g.EffectiveStatus(policy.Day(at)); s != StatusPending {
		return Grant{}, wrongState(s)
	}
	return g.to(StatusActive, at), nil
}

// End ends the grant because an insurance of either side changed, as cause says. wrong_state for
// one that is revoked or ended.
func (g Grant) End(at time.Time, cause Cause) (Grant, error) {
	if s := g.EffectiveStatus(policy.Day(at)); s.Final() {
		return Grant{}, wrongState(s)
	}
	g.Cause = cause
	return g.to(StatusEnded, at), nil
}

// Expire writes down that the validity is over, for a grant that has something to give back by then.
// wrong_state for one whose validity is not over, or that was final before.
func (g Grant) Expire(at time.Time) (Grant, error) {
	if g.Status.Final() || g.EffectiveStatus(policy.Day(at)) != StatusEnded {
		return Grant{}, wrongState(g.Status)
	}
	g.Cause = CauseValidity
	return g.to(StatusEnded, at), nil
}
