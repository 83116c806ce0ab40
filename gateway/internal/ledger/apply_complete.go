package ledger

import (
	"time"

	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// Complete asks again for the holds of an emergency that was declined: what a new look-up offers, under a new
// ticket.
type Complete struct {
	Request      Request
	PaymentID    string
	AutoConfirm  bool
	DecideWithin time.Duration
	Offers       []Offer
	Ticket       []byte
	Beneficiary  *Person // as this region may know them by now
	Persons      *Bundle // of the hold requests from now on: it commits to the person as the new ticket does
}

// Kind and Walk make a Complete a Command.
func (*Complete) Kind() Kind { return KindComplete }

// Walk walks over the fields.
func (p *Complete) Walk(c *record.Coder) {
	c.Sub(&p.Request)
	record.Str(c, &p.PaymentID)
	c.Bool(&p.AutoConfirm)
	record.Int(c, &p.DecideWithin)
	offers := p.Offers[:min(len(p.Offers), OffersMax)] // as in CreatePayment
	record.List(c, &offers)
	p.Offers = offers
	c.Bytes(&p.Ticket)
	record.Opt(c, &p.Beneficiary)
	record.Opt(c, &p.Persons)
}

// newPaymentCommand is a command of a platform about its payment.
func newPaymentCommand(k Kind) Command {
	for _, c := range []Command{new(CreatePayment), new(Confirm), new(Cancel)} {
		if c.Kind() == k {
			return c
		}
	}
	return new(Complete)
}

// completeBy is until when an emergency of a visit can be completed: the end of the last day that the rules in force
// when the payment is made allow. Zero: not at all.
func (x *tx) completeBy(visit, today policy.Date) time.Time {
	rules, err := x.l.rules.At(today)
	if err != nil || rules.EmergencyDays <= 0 {
		return time.Time{}
	}
	return visit.AddDays(rules.EmergencyDays + 1).Start().UTC()
}

// complete moves a declined emergency back to requested. The bill is checked as for a new payment: other payments may
// have taken it meanwhile.
func (x *tx) complete(now time.Time, c *Complete) Outcome {
	p, out, done := x.decide(c.Request, c.PaymentID)
	if done {
		return out
	}
	if code := p.Completable(now); code != "" {
		return refuse(code)
	}
	if len(c.Ticket) > ticketMax || x.badTicket(c.Ticket) {
		return refuse(policy.CodeRegionUnreachable)
	}
	others := -p.Counted
	if b := get(x, x.l.bills, billKey(p.Institution, p.Bill.ID)); b != nil {
		others += b.Used
	}
	if others+p.Amount+p.CapturedSum() > p.Bill.SelfBorne-p.Bill.OwnPaid {
		return Outcome{Code: policy.CodeAmountExceedsSelfBorne}
	}
	again := payment.Completion{
		DecideBy:    now.Add(c.DecideWithin.Truncate(time.Microsecond)), // as the state keeps it
		AutoConfirm: c.AutoConfirm,
	}
	again.Candidates, again.Declines = x.candidates(now, c.Offers)
	effects, code := p.Complete(now, again)
	if code != "" {
		return refuse(code)
	}
	p.Ticket = c.Ticket
	if c.Persons != nil {
		p.Persons = *c.Persons
	}
	if c.Beneficiary != nil {
		p.Beneficiary = x.beneficiary(c.Beneficiary)
	}
	x.remember(now, c.Request, ThingPayment, p.ID)
	x.actOnPayment(p, effects)
	return Outcome{ID: p.ID}
}
