package client

import (
	"context"
	"net/http"
	"net/url"
)

// Words of a mandate's status.
const (
	MandateActive = "active"
	MandateEnded  = "ended"
)

// Words of what became of one year's premium.
const (
	PremiumWaiting = "waiting" // nothing came of it so far; it is tried again in the season
	PremiumPaid    = "paid"
	PremiumSkipped = "skipped" // it need not be paid under this mandate: it is paid already, or cannot be
	PremiumFailed  = "failed"  // the season is over
)

// MandateRequest is the body of POST /v1/grants/{grant_id}/mandates.
type MandateRequest struct {
	RequestID string `json:"request_id"`
	Purpose   string `json:"purpose,omitempty"`    // resident_premium (the default) or ltc_premium
	MaxAmount string `json:"max_amount,omitempty"` // the most that one payment of that purpose takes under the grant
}

// Mandate lets a grant pay a premium of its beneficiary by itself, once a year.
type Mandate struct {
	MandateID string          `json:"mandate_id"`
	GrantID   string          `json:"grant_id"`
	Purpose   string          `json:"purpose"`
	Status    string          `json:"status"`
	MaxAmount string          `json:"max_amount,omitempty"`
	Results   []PremiumResult `json:"results"` // one for each year, oldest first
}

// PremiumResult is what became of one year's premium under a mandate.
type PremiumResult struct {
	Year      int    `json:"year"` // that the premium insures
	Status    string `json:"status"`
	Amount    string `json:"amount"` // what this grant gave; while nothing came of it, what was asked
	Code      string `json:"code,omitempty"`
	PaymentID string `json:"payment_id,omitempty"`
	Time      string `json:"time"`
}

// MandateList is all mandates of a grant, oldest first.
type MandateList struct {
	Mandates []Mandate `json:"mandates"`
}

func mandatesPath(grantID string) string { return grantPath(grantID) + "/mandates" }

// CreateMandate has the premium of the beneficiary collected under a grant, at the payer's home.
func (c *Client) CreateMandate(ctx context.Context, grantID string, f MandateRequest) (Mandate, error) {
	return ask[Mandate](ctx, c, Request{Method: http.MethodPost, Path: mandatesPath(grantID), Body: f})
}

// Mandates lists the mandates of a grant with their results.
func (c *Client) Mandates(ctx context.Context, grantID string) (MandateList, error) {
	return ask[MandateList](ctx, c, Request{Method: http.MethodGet, Path: mandatesPath(grantID)})
}

// EndMandates ends one mandate of a grant, or all of them if mandateID is empty.
func (c *Client) EndMandates(ctx context.Context, grantID, requestID, mandateID string) (MandateList, error) {
	path := mandatesPath(grantID) + "?request_id=" + url.QueryEscape(requestID)
	if mandateID != "" {
		path += "&mandate_id=" + url.QueryEscape(mandateID)
	}
	return ask[MandateList](ctx, c, Request{Method: http.MethodDelete, Path: path})
}
