package ledger

import (
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// The kinds of a grant's whole life, and of the insurance that it stands on.
const (
	KindSetStanding   Kind = 23
	KindRenounceGrant Kind = 24
	KindEndInsurance  Kind = 25
)

// newLifeCommand makes an empty command of one of these kinds.
func newLifeCommand(k Kind) Command {
	if k == KindSetStanding {
		return new(SetStanding)
	}
	if k == KindRenounceGrant {
		return new(RenounceGrant)
	}
	if k == KindEndInsurance {
		return new(EndInsurance)
	}
	if k == KindRebuildIndex {
		return new(RebuildIndex)
	}
	return new(SweepGrants)
}

// SetStanding sets scheme and insured status of one person of the region's Book.
type SetStanding struct {
	Person Person
	Scheme policy.Scheme
	Status policy.InsuredStatus
}

// Kind and Walk make a SetStanding a Command.
func (*SetStanding) Kind() Kind { return KindSetStanding }

// Walk walks over the fields.
func (s *SetStanding) Walk(c *record.Coder) {
	c.Sub(&s.Person)
	record.Int(c, &s.Scheme)
	record.Int(c, &s.Status)
}

// RenounceGrant is the beneficiary's will to have a grant no longer, given at the beneficiary's home.
type RenounceGrant struct {
	Request Request
	GrantID string
}

// Kind and Walk make a RenounceGrant a Command.
func (*RenounceGrant) Kind() Kind { return KindRenounceGrant }

// Walk walks over the fields.
func (r *RenounceGrant) Walk(c *record.Coder) {
	c.Sub(&r.Request)
	record.Str(c, &r.GrantID)
}

// EndInsurance ends the grants to a beneficiary whose insurance here has ended, as a look-up found. With a Book
// the log looks itself once more.
type EndInsurance struct{ Person string } // number

// Kind and Walk make an EndInsurance a Command.
func (*EndInsurance) Kind() Kind { return KindEndInsurance }

// Walk walks over the fields.
func (e *EndInsurance) Walk(c *record.Coder) { record.Str(c, &e.Person) }
