package ledger

import (
	"time"

	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

func walkTerms(c *record.Coder, t *grant.Terms) {
	record.Str(c, &t.Relation)
	record.Str(c, &t.Channel)
	record.Str(c, &t.ClerkID)
	record.Str(c, &t.ScanDigest)
	record.Str(c, &t.Consent.Version)
	record.Str(c, &t.Consent.Digest)
	record.Str(c, &t.Consent.Signature)
	record.ListOf(c, &t.Proofs, func(c *record.Coder, p *grant.Proof) {
		record.Str(c, &p.Kind)
		record.Str(c, &p.Digest)
	})
	record.Int(c, &t.ValidFrom)
	record.Int(c, &t.ValidUntil)
	record.Int(c, &t.PerPaymentLimit)
	record.Int(c, &t.AnnualLimit)
	record.Str(c, &t.Funding)
	record.Int(c, &t.Limit)
}

func walkStanding(c *record.Coder, s *policy.Standing) {
	c.Bool(&s.Known)
	record.Int(c, &s.Scheme)
	record.Int(c, &s.Status)
}

// MakeGrant makes a grant at the payer's home. The leader has asked the beneficiary's home about the beneficiary,
// and a core outside about the payer.
type MakeGrant struct {
	Request     Request
	GrantID     string
	Payer       Person
	PayerFacts  *Facts // of a core outside
	Beneficiary Person
	Standing    policy.Standing // of the beneficiary, where another region is their home
	Persons     Bundle          // the beneficiary, for the beneficiary's home
	Terms       grant.Terms
}

// Kind and Walk make a MakeGrant a Command.
func (*MakeGrant) Kind() Kind { return KindMakeGrant }

// Walk walks over the fields.
func (m *MakeGrant) Walk(c *record.Coder) {
	c.Sub(&m.Request)
	record.Str(c, &m.GrantID)
	c.Sub(&m.Payer)
	record.Opt(c, &m.PayerFacts)
	c.Sub(&m.Beneficiary)
	walkStanding(c, &m.Standing)
	c.Sub(&m.Persons)
	walkTerms(c, &m.Terms)
}

// ChangeGrant changes a grant (PATCH). The flags say which fields of the patch are present.
type ChangeGrant struct {
	Request         Request
	GrantID         string
	HasFrom         bool
	ValidFrom       policy.Date
	HasUntil        bool
	ValidUntil      policy.Date
	HasPerPayment   bool
	PerPaymentLimit money.Amount
	HasAnnual       bool
	AnnualLimit     money.Amount
	HasStatus       bool
	Status          grant.Status
}

// Kind and Walk make a ChangeGrant a Command.
func (*ChangeGrant) Kind() Kind { return KindChangeGrant }

// Walk walks over the fields.
func (m *ChangeGrant) Walk(c *record.Coder) {
	c.Sub(&m.Request)
	record.Str(c, &m.GrantID)
	c.Bool(&m.HasFrom)
	record.Int(c, &m.ValidFrom)
	c.Bool(&m.HasUntil)
	record.Int(c, &m.ValidUntil)
	c.Bool(&m.HasPerPayment)
	record.Int(c, &m.PerPaymentLimit)
	c.Bool(&m.HasAnnual)
	record.Int(c, &m.AnnualLimit)
	c.Bool(&m.HasStatus)
	record.Str(c, &m.Status)
}

// Patched makes the command of a patch.
func Patched(r Request, grantID string, p grant.Patch) *ChangeGrant {
	m := &ChangeGrant{Request: r, GrantID: grantID}
	if m.HasFrom = p.ValidFrom != nil; m.HasFrom {
		m.ValidFrom = *p.ValidFrom
	}
	if m.HasUntil = p.ValidUntil != nil; m.HasUntil {
		m.ValidUntil = *p.ValidUntil
	}
	if m.HasPerPayment = p.PerPaymentLimit != nil; m.HasPerPayment {
		m.PerPaymentLimit = *p.PerPaymentLimit
	}
	if m.HasAnnual = p.AnnualLimit != nil; m.HasAnnual {
		m.AnnualLimit = *p.AnnualLimit
	}
	if m.HasStatus = p.Status != nil; m.HasStatus {
		m.Status = *p.Status
	}
	return m
}

func (m *ChangeGrant) patch() grant.Patch {
	var p grant.Patch
	if m.HasFrom {
		p.ValidFrom = &m.ValidFrom
	}
	if m.HasUntil {
		p.ValidUntil = &m.ValidUntil
	}
	if m.HasPerPayment {
		p.PerPaymentLimit = &m.PerPaymentLimit
	}
	if m.HasAnnual {
		p.AnnualLimit = &m.AnnualLimit
	}
	if m.HasStatus {
		p.Status = &m.Status
	}
	return p
}

// RevokeGrant ends a grant by the payer's will.
type RevokeGrant struct {
	Request Request
	GrantID string
}

// Kind and Walk make a RevokeGrant a Command.
func (*RevokeGrant) Kind() Kind { return KindRevokeGrant }

// Walk walks over the fields.
func (m *RevokeGrant) Walk(c *record.Coder) {
	c.Sub(&m.Request)
	record.Str(c, &m.GrantID)
}

// AcceptGrant is the beneficiary's consent, given at the beneficiary's home.
type AcceptGrant struct {
	Request Request
	GrantID string
}

// Kind and Walk make an AcceptGrant a Command.
func (*AcceptGrant) Kind() Kind { return KindAcceptGrant }

// Walk walks over the fields.
func (m *AcceptGrant) Walk(c *record.Coder) {
	c.Sub(&m.Request)
	record.Str(c, &m.GrantID)
}

// SetOrder sets the order in which a beneficiary's grants are used, at the beneficiary's home.
type SetOrder struct {
	Request     Request
	Beneficiary Person
	Facts       *Facts // of a core outside
	Grants      []string
}

// Kind and Walk make a SetOrder a Command.
func (*SetOrder) Kind() Kind { return KindSetOrder }

// Walk walks over the fields.
func (m *SetOrder) Walk(c *record.Coder) {
	c.Sub(&m.Request)
	c.Sub(&m.Beneficiary)
	record.Opt(c, &m.Facts)
	record.Strs(c, &m.Grants)
}

// GrantRecord is a grant as the payer's home keeps it.
type GrantRecord struct {
	grant.Grant
	Persons Bundle  // the beneficiary, for notices to the beneficiary's home
	Request string  // id of the request that made it
	Reserve Reserve // of a virtual limit
}

// Walk is the record.Record of a GrantRecord.
func (g *GrantRecord) Walk(c *record.Coder) {
	record.Str(c, &g.ID)
	record.Str(c, &g.Payer)
	record.Str(c, &g.Beneficiary)
	record.Str(c, &g.PayerRegion)
	record.Str(c, &g.BeneficiaryRegion)
	walkTerms(c, &g.Terms)
	record.Str(c, &g.Status)
	c.U64(&g.Version)
	c.Time(&g.CreatedAt)
	c.Time(&g.ChangedAt)
	c.Sub(&g.Persons)
	record.Str(c, &g.Request)
	record.Str(c, &g.Cause)
	c.Sub(&g.Reserve)
}

// IndexRecord is a grant as the beneficiary's home knows it, wherever it is kept.
type IndexRecord struct {
	Entry       grant.Entry
	Revision    uint64
	PayerRegion string
	Payer       string // masked
	PayerName   string // masked
	Beneficiary string // person number
	Relation    string
	Channel     string
	PerPayment  money.Amount
	Annual      money.Amount
	Funding     string
	Accepted    string    // request of the consent given here, on its way to the payer's home
	Renounced   string    // request of the beneficiary who wants it no longer
	EndSent     time.Time // the payer's home was told that the beneficiary's insurance has ended
	Over        bool      // its validity is over, as the sweep has found
	Hotline     string    // of the payer's home
	Limit       money.Amount
	Cause       grant.Cause // of a final status
}

// Walk is the record.Record of an IndexRecord.
func (r *IndexRecord) Walk(c *record.Coder) {
	record.Str(c, &r.Entry.ID)
	record.Str(c, &r.Entry.Status)
	record.Int(c, &r.Entry.ValidFrom)
	record.Int(c, &r.Entry.ValidUntil)
	c.Time(&r.Entry.CreatedAt)
	c.U64(&r.Revision)
	record.Str(c, &r.PayerRegion)
	record.Str(c, &r.Payer)
	record.Str(c, &r.PayerName)
	record.Str(c, &r.Beneficiary)
	record.Str(c, &r.Relation)
	record.Str(c, &r.Channel)
	record.Int(c, &r.PerPayment)
	record.Int(c, &r.Annual)
	record.Str(c, &r.Funding)
	record.Str(c, &r.Accepted)
	record.Str(c, &r.Renounced)
	c.Time(&r.EndSent)
	c.Bool(&r.Over)
	record.Str(c, &r.Hotline)
	record.Int(c, &r.Limit)
	record.Str(c, &r.Cause)
}

// orderRecord is the order of use that a beneficiary has set.
type orderRecord struct{ Grants []string }

// Walk is the record.Record of an orderRecord.
func (o *orderRecord) Walk(c *record.Coder) { record.Strs(c, &o.Grants) }
