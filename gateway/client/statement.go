package client

import (
	"context"
	"net/http"
)

// Words of a statement's role.
const (
	RolePayer       = "payer"
	RoleBeneficiary = "beneficiary"
)

// StatementRequest is the body of POST /v1/statements, at the person's home.
type StatementRequest struct {
	Person Person `json:"person"`
	Role   string `json:"role"`
	From   string `json:"from"` // a Beijing day, inclusive as To
	To     string `json:"to"`   // at most 400 days in all
	Limit  int    `json:"limit,omitempty"`
	Cursor string `json:"cursor,omitempty"`
	// AllowMissing takes a beneficiary's statement without the regions that do not answer, which Missing then names.
	// Without it such a statement is refused as region_unreachable: nobody takes a part for the whole.
	AllowMissing bool `json:"allow_missing,omitempty"`
}

// StatementEntry is one movement of one leg.
type StatementEntry struct {
	Time         string       `json:"time"` // FormatTime
	PaymentID    string       `json:"payment_id"`
	HoldID       string       `json:"hold_id"`
	Counterparty MaskedPerson `json:"counterparty"` // the beneficiary for a payer, the payer for a beneficiary
	Institution  string       `json:"institution"`  // its code
	Purpose      string       `json:"purpose"`
	Kind         string       `json:"kind"` // hold, release, capture, refund
	Amount       string       `json:"amount"`
	Status       string       `json:"status"` // the leg's present one
}

// Statement is one page, oldest first.
type Statement struct {
	Entries    []StatementEntry `json:"entries"`
	NextCursor string           `json:"next_cursor,omitempty"`
	Missing    []string         `json:"missing,omitempty"` // regions that did not answer
}

// Statement returns one page; ask again with its NextCursor while there is one.
func (c *Client) Statement(ctx context.Context, f StatementRequest) (Statement, error) {
	return ask[Statement](ctx, c, Request{Method: http.MethodPost, Path: "/v1/statements", Body: f})
}

// QuotaRequest is the body of POST /v1/quotas, at the payer's home. Limit and Cursor are those of the grants.
type QuotaRequest struct {
	Person Person `json:"person"`
	Limit  int    `json:"limit,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

// QuotaLimit is what one limit allows now.
type QuotaLimit struct {
	Code   string `json:"code"`
	Allows string `json:"allows"`
}

// PurposeQuota is what is otherwise for a purpose whose share, or limit of a visit, is not that of the others.
type PurposeQuota struct {
	Purpose    string `json:"purpose"`
	Share      string `json:"share"`
	Quota      string `json:"quota"`
	Left       string `json:"left"`
	VisitLimit string `json:"visit_limit,omitempty"`
	Available  string `json:"available"`
	DecidedBy  string `json:"decided_by"`
}

// GrantQuota is what one grant can still give.
type GrantQuota struct {
	GrantID         string       `json:"grant_id"`
	Beneficiary     MaskedPerson `json:"beneficiary"`
	Relation        string       `json:"relation"`
	Status          string       `json:"status"`
	PerPaymentLimit string       `json:"per_payment_limit,omitempty"`
	AnnualLimit     string       `json:"annual_limit,omitempty"`
	Used            string       `json:"used"`           // this year: held or captured less releases and refunds
	Left            string       `json:"left,omitempty"` // of the annual limit
	Available       string       `json:"available"`      // in one payment, now
	LimitedBy       string       `json:"limited_by"`     // why not more
}

// Quota is what is left of an account this year, and why.
type Quota struct {
	Person        MaskedPerson   `json:"person"`
	Year          int            `json:"year"`
	Opening       string         `json:"opening"` // the balance that the year began with
	Provisional   bool           `json:"provisional"`
	Share         string         `json:"share"`
	Quota         string         `json:"quota"` // share of the opening
	Used          string         `json:"used"`
	Left          string         `json:"left"`
	RetainedFloor string         `json:"retained_floor"`
	Balance       string         `json:"balance"`
	Held          string         `json:"held"`
	Limits        []QuotaLimit   `json:"limits"`
	Available     string         `json:"available"`  // for an outpatient bill, before the limits of grants and visits
	DecidedBy     string         `json:"decided_by"` // the limit, or why nothing can be used
	Purposes      []PurposeQuota `json:"purposes"`
	Grants        []GrantQuota   `json:"grants"` // oldest first
	NextCursor    string         `json:"next_cursor,omitempty"`
}

// Quota returns what is left, with one page of the grants.
func (c *Client) Quota(ctx context.Context, f QuotaRequest) (Quota, error) {
	return ask[Quota](ctx, c, Request{Method: http.MethodPost, Path: "/v1/quotas", Body: f})
}
