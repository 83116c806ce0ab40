package adaptertest

import (
	"context"
	"fmt"
	"time"

	"gongji/adapters"
)

var _ adapters.Premiums = (*SimCore)(nil)

// simPremium names one premium.
type simPremium struct {
	number, purpose string
	year            int
}

// PremiumPaid reports whether a premium is paid.
func (s *SimCore) PremiumPaid(ctx context.Context, p adapters.Person, purpose string, year int) (bool, error) {
	paid := false
	err := s.ask(ctx, func(time.Time) error {
		if !adapters.ValidPremium(purpose, year) {
			return no(adapters.ReasonInvalid)
		}
		if _, refused := s.ledger.person(p); refused != nil {
			return refused
		}
		paid = s.ledger.premiums[simPremium{p.Number, purpose, year}] != ""
		return nil
	})
	return paid, err
}

// PayPremium registers a premium as paid.
func (s *SimCore) PayPremium(
	ctx context.Context, c adapters.Call, p adapters.Person, purpose string, year int, amount int64,
) error {
	s.mu.Lock()
	down := s.premiumsDown
	s.mu.Unlock()
	if down {
		return adapters.ErrUnavailable
	}
	_, err := s.carry(ctx, s.ledger.payPremium(c, p, simPremium{p.Number, purpose, year}, amount))
	return err
}

// PayElsewhere is somebody who pays a premium at the tax office, without any gateway.
func (s *SimCore) PayElsewhere(p adapters.Person, purpose string, year int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ledger.premiums[simPremium{p.Number, purpose, year}] = "elsewhere"
}

// PremiumRef is the reference under which a premium is registered as paid; empty if it is not. It meets no fault.
func (s *SimCore) PremiumRef(p adapters.Person, purpose string, year int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now()
	return s.ledger.premiums[simPremium{p.Number, purpose, year}]
}

func (l *simLedger) payPremium(c adapters.Call, p adapters.Person, premium simPremium, amount int64) act {
	return act{
		space: spacePremium, call: c, valid: !badAmount(amount) && adapters.ValidPremium(premium.purpose, premium.year),
		content: fmt.Sprintf("%s|%s|%s|%s|%d|%d", p.IDType, p.Number, p.Name, premium.purpose, premium.year, amount),
		do: func(time.Time) (int64, *adapters.RefusedError) {
			known, refused := l.person(p)
			if refused != nil {
				return 0, refused
			}
			switch {
			case l.premiums[premium] != "" && !l.has(FlawPaysPremiumTwice):
				return 0, no(adapters.ReasonPaid)
			case known.account.Status != adapters.StatusNormal:
				return 0, no(adapters.ReasonStatus)
			case premium.purpose == adapters.PremiumResident && known.account.Scheme != adapters.SchemeResident:
				return 0, no(adapters.ReasonScheme)
			}
			l.premiums[premium] = c.Ref
			return 0, nil
		},
	}
}

// remembers reports whether a refused act is answered for ever.
func (l *simLedger) remembers(space string) bool {
	if space == spacePremium {
		return !l.has(FlawForgetsPremiums)
	}
	return l.claims.RemembersRefusals && !l.has(FlawForgetsRefusals)
}

// Credit pays amount into an account, as an employer does, under a reference of its own.
func (s *SimCore) Credit(p adapters.Person, ref string, amount int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ledger.move(s.now(), p.Number, adapters.KindCredit, ref, amount)
}

// SetPremiumsDown makes the part of the core that takes premiums away, or brings it back: PayPremium is ErrUnavailable
// while the rest answers.
func (s *SimCore) SetPremiumsDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.premiumsDown = down
}
