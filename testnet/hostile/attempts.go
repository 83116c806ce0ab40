package hostile

import (
	"context"
	"time"

	"gongji/federation"
	"gongji/testnet/topology"
)

// Attempt is a hold request that must be refused for its ticket, and the reason that the audit is to name.
type Attempt struct {
	Name string
	Hold Hold
	Why  string
}

// Target is whom a member is after: a beneficiary with a grant, and another grant that is not the ticket's.
type Target struct {
	Beneficiary topology.Person
	PayerHome   federation.Region
	Grant       string
	OtherGrant  string
}

// Attempts are what a visit region could try that has real keys, and a genuine ticket for another payment.
func (x *Insider) Attempts(ctx context.Context, t Target, ticket []byte, payment string) ([]Attempt, error) {
	home, who := federation.Region(t.Beneficiary.Region), ClearPerson(t.Beneficiary)
	good := func() Hold { return x.NewHold(t.Grant, who) }
	none, noise, other, own, late := good(), good(), good(), good(), good()
	larger, elsewhere, stranger, changed := good(), good(), good(), good()
	noise.Ticket, other.Ticket = []byte("a ticket"), ticket
	larger.Payment, larger.Ticket, larger.Amount = payment, ticket, 8001
	elsewhere.Payment, elsewhere.Ticket, elsewhere.Grant = payment, ticket, t.OtherGrant
	stranger.Payment, stranger.Ticket = payment, ticket
	stranger.Persons = ClearPerson(SomebodyElse(t.Beneficiary))
	changed.Payment, changed.Ticket = payment, Flip(ticket, len(ticket)-1)
	var err error
	if own.Ticket, err = x.OwnTicket(own, t.PayerHome); err != nil {
		return nil, err
	}
	late.Ticket, err = x.LookUp(ctx, home, late.Payment, who, time.Now().Add(-time.Second))
	return []Attempt{
		{"no ticket", none, "there is none"},
		{"noise instead of a ticket", noise, "not a proof"},
		{"another payment's ticket", other, "for another payment"},
		{"more than the ticket says", larger, "for a smaller amount"},
		{"another grant than the ticket's", elsewhere, "for other grants"},
		{"another person than the ticket's", stranger, "of another person"},
		{"a changed ticket", changed, "federation: refused: proof"},
		{"a ticket of one's own", own, "not signed by the home of the person"},
		{"an expired ticket", late, "expired"},
	}, err
}

// SomebodyElse is another person of the same region.
func SomebodyElse(p topology.Person) topology.Person {
	for _, q := range topology.People() {
		if q.Region == p.Region && q.IDNumber != p.IDNumber {
			return q
		}
	}
	return p
}
