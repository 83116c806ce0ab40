package adaptertest

import (
	"errors"
	"fmt"

	"gongji/adapters"
)

// premiumChecks are those of adapters.Premiums. Each has a year of its own, since nothing takes a registration back.
func premiumChecks() []conformCheck {
	return []conformCheck{
		{"premium", "a premium is paid once, and a repeat gets the same answer", needsPremiums, checkPremiumOnce},
		{"premium", "a premium at the same time eight times is paid once", needsPremiums, checkPremiumTogether},
		{"premium", "a refused premium stays refused", needsPremiums, checkPremiumRefused},
		{"premium", "a premium that comes too late is never paid", needsPremiums, checkPremiumLate},
		{"premium", "unknown persons, wrong names and bad input are refused", needsPremiums, checkPremiumInput},
	}
}

const premiumFen = 400_00

var errNoPremiums = errors.New("the core does not claim premiums")

// premiums is the core's part for premiums and the person to pay for; nil when the check cannot go on.
func (r *run) premiums() (adapters.Premiums, adapters.Person) {
	core, ok := r.core.(adapters.Premiums)
	switch {
	case !r.core.Capabilities().Premiums:
		r.err = errNoPremiums
	case !ok:
		r.err = errors.New("the core claims premiums and does not implement adapters.Premiums")
	case r.o.Resident == nil || r.o.PremiumYear == 0:
		r.err = errNotRun
	default:
		return core, *r.o.Resident
	}
	return nil, adapters.Person{}
}

// premiumYear is the year of the present check and one of its places.
func (r *run) premiumYear(place int) int {
	const places = 2
	for i, c := range premiumChecks() {
		if c.name == r.name {
			return r.o.PremiumYear + places*i + place
		}
	}
	return r.o.PremiumYear
}

func (r *run) pay(p adapters.Person, name string, year int, amount int64, wants ...answer) {
	got := r.try(r.paying(p, year, amount), r.ref(name))
	r.expect(fmt.Sprintf("premium %s of %d for %d", name, amount, year), got, wants)
}

func (r *run) paying(p adapters.Person, year int, amount int64) func(c adapters.Call) (int64, error) {
	core, _ := r.premiums()
	return func(c adapters.Call) (int64, error) {
		return 0, core.PayPremium(r.ctx, c, p, adapters.PremiumResident, year, amount)
	}
}

// paid holds what PremiumPaid says against what it must say.
func (r *run) paid(p adapters.Person, year int, want bool) {
	core, _ := r.premiums()
	if r.err != nil {
		return
	}
	paid := false
	r.err = r.repeat(func() error {
		var err error
		paid, err = core.PremiumPaid(r.ctx, p, adapters.PremiumResident, year)
		return err
	})
	if r.err == nil && paid != want {
		r.err = fmt.Errorf("the premium of %d is paid: %v, want %v", year, paid, want)
	}
}

func checkPremiumOnce(r *run) {
	_, who := r.premiums()
	if r.err != nil {
		return
	}
	year := r.premiumYear(0)
	r.paid(who, year, false)
	r.pay(who, "t", year, premiumFen, done(0))
	r.pay(who, "t", year, premiumFen, done(0))
	r.paid(who, year, true)
	r.pay(who, "t", year, premiumFen+1, refusal(adapters.ReasonConflict))
	r.pay(who, "t2", year, premiumFen, refusal(adapters.ReasonPaid))
	r.pay(who, "t", year, premiumFen, done(0))
	r.paid(who, r.premiumYear(1), false)
}

func checkPremiumTogether(r *run) {
	_, who := r.premiums()
	if r.err != nil {
		return
	}
	year := r.premiumYear(0)
	r.allSame("one of eight premiums", r.together(repeated(func(r *run) answer {
		return r.try(r.paying(who, year, premiumFen), r.ref("t"))
	})...), done(0))
	year = r.premiumYear(1)
	calls := make([]func(r *run) answer, together)
	for i := range calls {
		calls[i] = func(r *run) answer {
			return r.try(r.paying(who, year, premiumFen), r.ref(fmt.Sprintf("o%d", i)))
		}
	}
	times := 0
	for _, a := range r.together(calls...) {
		r.expect("one of eight premiums under other references", a, []answer{done(0), refusal(adapters.ReasonPaid)})
		if a == done(0) {
			times++
		}
	}
	if r.err == nil && times != 1 {
		r.err = fmt.Errorf("a premium was paid %d times", times)
	}
}

func checkPremiumRefused(r *run) {
	_, who := r.premiums()
	if r.err != nil {
		return
	}
	wrong := who
	wrong.Name += "某"
	r.pay(wrong, "t", r.premiumYear(0), premiumFen, refusal(adapters.ReasonIdentity))
	r.pay(wrong, "t", r.premiumYear(0), premiumFen, refusal(adapters.ReasonIdentity))
	// The reference is used up, also for what would be right.
	r.pay(who, "t", r.premiumYear(0), premiumFen, refusal(anyReason))
	r.paid(who, r.premiumYear(0), false)
}

func checkPremiumLate(r *run) {
	_, who := r.premiums()
	if r.err != nil {
		return
	}
	r.late("t", r.paying(who, r.premiumYear(0), premiumFen), refusal(adapters.ReasonLate))
	r.pay(who, "t", r.premiumYear(0), premiumFen, refusal(adapters.ReasonLate))
	r.paid(who, r.premiumYear(0), false)
}

func checkPremiumInput(r *run) {
	_, who := r.premiums()
	if r.err != nil {
		return
	}
	invalid := refusal(adapters.ReasonInvalid)
	r.pay(r.o.Unknown, "unknown", r.premiumYear(0), premiumFen, refusal(adapters.ReasonUnknownPerson))
	for i, amount := range []int64{0, -1, adapters.AmountMax + 1} {
		r.pay(who, fmt.Sprintf("t%d", i), r.premiumYear(0), amount, invalid)
	}
	r.pay(who, "past", adapters.PremiumYearMin-1, premiumFen, invalid)
	r.pay(who, "far", adapters.PremiumYearMax+1, premiumFen, invalid)
	if r.o.Suspended != nil {
		r.pay(*r.o.Suspended, "suspended", r.premiumYear(0), premiumFen, refusal(adapters.ReasonStatus))
	}
	r.pay(r.o.Person, "scheme", r.premiumYear(0), premiumFen, refusal(adapters.ReasonScheme))
	r.paid(who, r.premiumYear(0), false)
}
