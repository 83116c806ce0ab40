package ledger

import (
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// MakeMandate lets a grant pay a premium of its beneficiary by itself, once a year. At the payer's home.
type MakeMandate struct {
	Request   Request
	MandateID string
	GrantID   string
	Purpose   policy.Purpose
	MaxAmount money.Amount // 0: whatever the premium is
}

// Kind and Walk make a MakeMandate a Command.
func (*MakeMandate) Kind() Kind { return KindMakeMandate }

// Walk walks over the fields.
func (m *MakeMandate) Walk(c *record.Coder) {
	c.Sub(&m.Request)
	record.Str(c, &m.MandateID)
	record.Str(c, &m.GrantID)
	record.Str(c, &m.Purpose)
	record.Int(c, &m.MaxAmount)
}

// EndMandates ends one mandate of a grant, or all of them.
type EndMandates struct {
	Request   Request
	GrantID   string
	MandateID string // empty: all
}

// Kind and Walk make an EndMandates a Command.
func (*EndMandates) Kind() Kind { return KindEndMandates }

// Walk walks over the fields.
func (m *EndMandates) Walk(c *record.Coder) {
	c.Sub(&m.Request)
	record.Str(c, &m.GrantID)
	record.Str(c, &m.MandateID)
}

// CollectPremiums takes the next step of a premium's season: begins what is due, or closes what was not paid. What is
// next stands in the state (SeasonRecord), so that any leader may propose it.
type CollectPremiums struct{ Purpose policy.Purpose }

// Kind and Walk make a CollectPremiums a Command.
func (*CollectPremiums) Kind() Kind { return KindCollectPremiums }

// Walk walks over the fields.
func (m *CollectPremiums) Walk(c *record.Coder) { record.Str(c, &m.Purpose) }

// PremiumWord is what the leader found out about one premium. The numbers stand in logs and are never reused.
type PremiumWord uint8

// The words.
const (
	PremiumBlocked    PremiumWord = 1 // no payment can be begun, with the code
	PremiumPaidBefore PremiumWord = 2 // the premium is paid already, by whomever
	PremiumRegistered PremiumWord = 3 // the core has registered it as paid by this payment
	PremiumDenied     PremiumWord = 4 // the core will never register it under this payment
)

// PremiumReport brings such a word to the log. It counts only if the premium still waits for it, in that attempt.
type PremiumReport struct {
	Key     string // of the PremiumRecord
	Attempt int
	Word    PremiumWord
	Code    policy.Code // of PremiumBlocked and PremiumDenied
}

// Kind and Walk make a PremiumReport a Command.
func (*PremiumReport) Kind() Kind { return KindPremiumReport }

// Walk walks over the fields.
func (m *PremiumReport) Walk(c *record.Coder) {
	record.Str(c, &m.Key)
	record.Int(c, &m.Attempt)
	record.Int(c, &m.Word)
	record.Str(c, &m.Code)
}

func newPremiumCommand(k Kind) Command {
	for _, c := range []Command{new(MakeMandate), new(EndMandates), new(CollectPremiums)} {
		if c.Kind() == k {
			return c
		}
	}
	return new(PremiumReport)
}
