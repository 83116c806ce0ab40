// Package grant holds a payer's consent that one beneficiary may use the account (R-05 to
// R-08), and what may happen to it.
//
// A grant is a value. Every transition is a function of the grant and its arguments that
// gives the next grant or a refusal, and leaves the old one as it was: no clock (the
// instant is the command's stamp), no I/O. Persons are opaque references; no identity
// number and no name stands in a grant.
//
// How a grant comes to be: Parse turns a request into persons and Terms (all 400s), the
// caller finds out the Facts, New checks them in the order of api.md section 1 and makes
// the grant. Then Change, Suspend, Resume, Revoke, Accept, End.
package grant

import (
	"time"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// Status is where a grant stands (api.md section 2).
type Status string

// The statuses.
const (
	StatusPending   Status = "pending_beneficiary" // the beneficiary's consent is missing
	StatusActive    Status = "active"              // also before valid_from, though not usable then
	StatusSuspended Status = "suspended"           // by the payer, who can resume it
	StatusRevoked   Status = "revoked"             // by the payer, for ever
	StatusEnded     Status = "ended"               // by itself: validity over, or an insurance changed
)

// Cause is why a grant takes no new hold any more.
type Cause string

// The causes. revoked is a person's will, of either side; ended is what comes by itself.
const (
	CausePayer                Cause = "payer_revoked"
	CauseBeneficiary          Cause = "beneficiary_renounced"
	CausePayerInsurance       Cause = "payer_insurance_ended"
	CauseBeneficiaryInsurance Cause = "beneficiary_insurance_ended"
	CauseValidity             Cause = "validity_over"
)

// Valid tells whether the word is one of the causes; none, of a grant that is not over, is not.
func (c Cause) Valid() bool {
	switch c {
	case CausePayer, CauseBeneficiary, CausePayerInsurance, CauseBeneficiaryInsurance, CauseValidity:
		return true
	default:
		return false
	}
}

// Valid tells whether the word is one of the statuses.
func (s Status) Valid() bool {
	switch s {
	case StatusPending, StatusActive, StatusSuspended, StatusRevoked, StatusEnded:
		return true
	default:
		return false
	}
}

// Final tells whether nothing can happen to the grant any more.
func (s Status) Final() bool { return s == StatusRevoked || s == StatusEnded }

// PersonRef refers to a person whom the caller knows how to find.
type PersonRef string

// Funding is where the money of a grant comes from.
type Funding string

// The fundings. Of a virtual limit the whole limit is held from the payer when the grant is made.
const (
	FundingBalance      Funding = "balance"
	FundingVirtualLimit Funding = "virtual_limit"
)

// Consent is the evidence of the payer's consent. The signature comes from the
// channel, which vouches for the person; it is kept, not verified.
type Consent struct {
	Version   string // of the commitment text
	Digest    string // lower-case hex SM3 of its Chinese text
	Signature string // base64
}

// Proof refers to a document of the relation by digest.
type Proof struct {
	Kind   string
	Digest string // 64 hex digits
}

// Terms are what the payer asked for: all of a grant but persons and state. They carry no
// personal data. Proofs are shared by all versions of a grant and must not be changed.
type Terms struct {
	Relation   policy.Relation
	Channel    policy.Channel
	ClerkID    string // of a counter, else ""
	ScanDigest string // of a counter, else "": 64 hex digits
	Consent    Consent
	Proofs     []Proof

	ValidFrom       policy.Date
	ValidUntil      policy.Date  // the last day; 0 for none
	PerPaymentLimit money.Amount // of one leg; 0 for none
	AnnualLimit     money.Amount // of a Beijing calendar year; 0 for none
	Funding         Funding
	Limit           money.Amount // of a virtual limit: what is held from the payer at once; else 0
}

// Grant is one grant at the payer's home region.
type Grant struct {
	ID                string
	Payer             PersonRef
	Beneficiary       PersonRef
	PayerRegion       string // home region of the payer, which keeps this grant
	BeneficiaryRegion string
	Terms             Terms
	// Status as written last; EffectiveStatus also knows that validity ends by itself.
	Status    Status
	Cause     Cause     // of a final status, as far as something was written
	Version   uint64    // 1 when made, one more with every change
	CreatedAt time.Time // stamp of the entry that made it
	ChangedAt time.Time // stamp of the entry that changed it last
}

// Facts are what New has to know beside the terms. The zero value of each is the refusing
// one.
type Facts struct {
	ID                string
	Payer             PersonRef
	Beneficiary       PersonRef
	PayerRegion       string
	BeneficiaryRegion string
	PayerStanding     policy.Standing // by the payer's home
	// BeneficiaryStanding comes from the beneficiary's home, which may be another region.
	BeneficiaryStanding policy.Standing
	Rules               *policy.Rules // of the payer's home, in force today
	// CommitmentDigest is the lower-case hex SM3 of Rules.Commitment.TextZH.
	CommitmentDigest string
	PairOpen         bool // payer's home – beneficiary's home; true if they are the same
	Duplicate        bool // another grant of the two that is neither revoked nor ended
	BothConsents     bool // the rules ask for both consents for this pair of regions
	At               time.Time
}

// New checks and makes a grant. The first failing check answers, in the order of api.md
// section 1: what is wrong in the terms (invalid_request, invalid_relation, not_supported),
// payer identity_mismatch, payer_scheme, payer_not_insured, beneficiary identity_mismatch,
// beneficiary_not_insured, relation_not_allowed, region_pair_closed, consent_outdated,
// duplicate_grant. Every error is a policy.Refusal.
func New(t Terms, f Facts) (Grant, error) {
	today := policy.Day(f.At)
	if err := t.Check(today); err != nil {
		return Grant{}, err
	}
	if f.Payer == f.Beneficiary {
		return Grant{}, policy.Refuse(policy.CodeInvalidRelation, "/beneficiary")
	}
	if err := CheckPayer(f.PayerStanding); err != nil {
		return Grant{}, err
	}
	if err := CheckBeneficiary(f.BeneficiaryStanding); err != nil {
		return Grant{}, err
	}
	switch {
	case !f.Rules.AllowsRelation(t.Relation):
		return Grant{}, policy.Refuse(policy.CodeRelationNotAllowed, "/relation")
	case !f.PairOpen:
		return Grant{}, policy.Refuse(policy.CodeRegionPairClosed, "")
	case t.Consent.Version != f.Rules.Commitment.Version || t.Consent.Digest != f.CommitmentDigest:
		return Grant{}, policy.Refuse(policy.CodeConsentOutdated, "/consent")
	case f.Duplicate:
		return Grant{}, policy.Refuse(policy.CodeDuplicateGrant, "")
	}
	g := Grant{
		ID: f.ID, Payer: f.Payer, Beneficiary: f.Beneficiary,
		PayerRegion: f.PayerRegion, BeneficiaryRegion: f.BeneficiaryRegion,
		Terms: t, Status: StatusActive, Version: 1, CreatedAt: f.At, ChangedAt: f.At,
	}
	if f.BothConsents || f.Rules.Consent == policy.ConsentBoth { // the rules' general word needs no pair
		g.Status = StatusPending
	}
	return g, nil
}

// CheckPayer is New's part on the payer, for a caller that asks the beneficiary's home only
// if this holds.
func CheckPayer(s policy.Standing) error {
	if !s.Known {
		return policy.Refuse(policy.CodeIdentityMismatch, "/payer")
	}
	return policy.CheckPayer(s.Scheme, s.Status)
}

// CheckBeneficiary is New's part on the beneficiary.
func CheckBeneficiary(s policy.Standing) error {
	if !s.Known {
		return policy.Refuse(policy.CodeIdentityMismatch, "/beneficiary")
	}
	return policy.CheckBeneficiary(s.Scheme, s.Status)
}

// Check holds the terms against what does not depend on any region: the words, the forms,
// and that valid_until lies neither before valid_from nor before today. Parse has checked
// all this; terms from a log are checked again.
func (t Terms) Check(today policy.Date) error {
	switch {
	case !t.Relation.Valid():
		return policy.Refuse(policy.CodeInvalidRelation, "/relation")
	case !t.Channel.Valid():
		return policy.Refuse(policy.CodeInvalidRequest, "/channel")
	case (t.Channel == policy.ChannelCounter) != (t.ClerkID != ""):
		return policy.Refuse(policy.CodeInvalidRequest, "/clerk_id")
	case (t.Channel == policy.ChannelCounter) != (t.ScanDigest != ""):
		return policy.Refuse(policy.CodeInvalidRequest, "/scan_digest")
	case !t.ValidFrom.Valid():
		return policy.Refuse(policy.CodeInvalidRequest, "/valid_from")
	case !limitOK(t.PerPaymentLimit):
		return policy.Refuse(policy.CodeInvalidAmount, "/per_payment_limit")
	case !limitOK(t.AnnualLimit):
		return policy.Refuse(policy.CodeInvalidAmount, "/annual_limit")
	case t.Funding != FundingBalance && t.Funding != FundingVirtualLimit:
		return policy.Refuse(policy.CodeInvalidRequest, "/funding")
	case (t.Funding == FundingVirtualLimit) != (t.Limit != 0):
		return policy.Refuse(policy.CodeInvalidRequest, "/limit")
	case !limitOK(t.Limit):
		return policy.Refuse(policy.CodeInvalidAmount, "/limit")
	}
	return checkValidity(t.ValidFrom, t.ValidUntil, today)
}

func limitOK(a money.Amount) bool { return a >= 0 && a <= money.Max }

// checkValidity: valid_until may not lie before valid_from or today.
func checkValidity(from, until, today policy.Date) error {
	if until != 0 && (!until.Valid() || until < from || until < today) {
		return policy.Refuse(policy.CodeInvalidRequest, "/valid_until")
	}
	return nil
}
