package client

import "encoding/json"

// Words of a grant's status.
const (
	GrantPendingBeneficiary = "pending_beneficiary"
	GrantActive             = "active"
	GrantSuspended          = "suspended"
	GrantRevoked            = "revoked"
	GrantEnded              = "ended"
)

// Words of a grant's end: revoked is the will of either side, ended comes by itself.
const (
	EndPayerRevoked         = "payer_revoked"
	EndBeneficiaryRenounced = "beneficiary_renounced"
	EndPayerInsurance       = "payer_insurance_ended"
	EndBeneficiaryInsurance = "beneficiary_insurance_ended"
	EndValidityOver         = "validity_over"
)

// Words of a grant's funding.
const (
	FundingBalance      = "balance" // the default
	FundingVirtualLimit = "virtual_limit"
)

// Consent is the payer's consent to a commitment text.
type Consent struct {
	Version   string `json:"version"`
	Digest    string `json:"digest"`    // lower-case hex SM3 of the commitment's text_zh
	Signature string `json:"signature"` // base64, made by the channel that vouches for the person
}

// Proof refers to a proof of kinship by its digest; the document itself is never stored.
type Proof struct {
	Kind   string `json:"kind"`
	Digest string `json:"digest"` // 64 hex digits
}

// GrantRequest is the body of POST /v1/grants.
type GrantRequest struct {
	RequestID       string  `json:"request_id"`
	Payer           Person  `json:"payer"`
	Beneficiary     Person  `json:"beneficiary"`
	Relation        string  `json:"relation"` // what the beneficiary is to the payer
	Channel         string  `json:"channel"`
	ClerkID         string  `json:"clerk_id,omitempty"`    // of a counter
	ScanDigest      string  `json:"scan_digest,omitempty"` // of a counter: 64 hex digits
	Consent         Consent `json:"consent"`
	Proofs          []Proof `json:"proofs"` // may be empty, but not nil
	ValidFrom       string  `json:"valid_from"`
	ValidUntil      string  `json:"valid_until,omitempty"`
	PerPaymentLimit string  `json:"per_payment_limit,omitempty"`
	AnnualLimit     string  `json:"annual_limit,omitempty"`
	Funding         string  `json:"funding,omitempty"`
	Limit           string  `json:"limit,omitempty"` // of a virtual limit
}

// Grant is a grant as answers show one.
type Grant struct {
	GrantID         string       `json:"grant_id"`
	Status          string       `json:"status"`
	EndCause        string       `json:"end_cause,omitempty"` // of revoked and ended, see the words above
	Hotline         string       `json:"hotline"`
	RequestID       string       `json:"request_id,omitempty"`
	Payer           MaskedPerson `json:"payer"`
	Beneficiary     MaskedPerson `json:"beneficiary"`
	Relation        string       `json:"relation"`
	Channel         string       `json:"channel"`
	ClerkID         string       `json:"clerk_id,omitempty"`
	ScanDigest      string       `json:"scan_digest,omitempty"`
	Consent         Consent      `json:"consent"`
	Proofs          []Proof      `json:"proofs"`
	ValidFrom       string       `json:"valid_from"`
	ValidUntil      string       `json:"valid_until,omitempty"`
	PerPaymentLimit string       `json:"per_payment_limit,omitempty"`
	AnnualLimit     string       `json:"annual_limit,omitempty"`
	Funding         string       `json:"funding"`
	Limit           string       `json:"limit,omitempty"`      // of a virtual limit, at the payer's home
	LimitLeft       string       `json:"limit_left,omitempty"` // of it, and not drawn by payments
}

// GrantSearch is the body of POST /v1/grants/search: exactly one of the two persons.
type GrantSearch struct {
	Payer       *Person `json:"payer,omitempty"`
	Beneficiary *Person `json:"beneficiary,omitempty"`
	Limit       int     `json:"limit,omitempty"` // 1 to 1000, 0 for the default of 100
	Cursor      string  `json:"cursor,omitempty"`
}

// GrantList is the answer to a search.
type GrantList struct {
	Grants     []Grant `json:"grants"`
	NextCursor string  `json:"next_cursor,omitempty"` // while there is more
}

// Change is a change of an optional field: leave it, remove it, or set it. The zero value leaves it.
type Change struct {
	Given bool   // the field is in the request
	Value string // "" removes it (null in JSON)
}

// Set changes to value.
func Set(value string) Change { return Change{Given: true, Value: value} }

// Remove takes the field away.
func Remove() Change { return Change{Given: true} }

// IsZero leaves the field out of the JSON.
func (c Change) IsZero() bool { return !c.Given }

// MarshalJSON writes null for a removal.
func (c Change) MarshalJSON() ([]byte, error) {
	if c.Value == "" {
		return []byte("null"), nil
	}
	return json.Marshal(c.Value)
}

// UnmarshalJSON is called only if the field is there.
func (c *Change) UnmarshalJSON(data []byte) error {
	var value *string
	if err := json.Unmarshal(data, &value); err != nil {
		return err
	}
	*c = Remove()
	if value != nil {
		c.Value = *value
	}
	return nil
}

// GrantPatch is the body of PATCH /v1/grants/{grant_id}; at least one change.
type GrantPatch struct {
	RequestID       string `json:"request_id"`
	ValidFrom       string `json:"valid_from,omitempty"`
	ValidUntil      Change `json:"valid_until,omitzero"`
	PerPaymentLimit Change `json:"per_payment_limit,omitzero"`
	AnnualLimit     Change `json:"annual_limit,omitzero"`
	Status          string `json:"status,omitempty"` // suspended or active
}

// Act is the body of the writes that need nothing but their id: accept and cancel.
type Act struct {
	RequestID string `json:"request_id"`
}

// OrderRequest is the body of PUT /v1/beneficiaries/order; no grants restore the default order.
type OrderRequest struct {
	RequestID   string   `json:"request_id"`
	Beneficiary Person   `json:"beneficiary"`
	Grants      []string `json:"grants"`
}

// Order is the answer: all usable grants, in the order in which they are used.
type Order struct {
	Beneficiary MaskedPerson `json:"beneficiary"`
	Grants      []string     `json:"grants"`
}

// Commitment is the text that a payer consents to.
type Commitment struct {
	Version string `json:"version"`
	Digest  string `json:"digest"` // lower-case hex SM3 of the UTF-8 bytes of TextZH
	Text    string `json:"text"`
	TextZH  string `json:"text_zh"`
}

// Rules are the public part of a region's rules in force.
type Rules struct {
	AnnualShare            string            `json:"annual_share"` // "0.60"
	RetainedFloor          string            `json:"retained_floor"`
	VisitLimits            map[string]string `json:"visit_limits"` // by purpose
	DecideWithinSecondsMax int               `json:"decide_within_seconds_max"`
	Purposes               []string          `json:"purposes"`
	Relations              []string          `json:"relations"`
	Hotline                string            `json:"hotline"`
}
