package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Commitment returns the text in force, to be consented to before a grant is made.
func (c *Client) Commitment(ctx context.Context) (Commitment, error) {
	return ask[Commitment](ctx, c, Request{Method: http.MethodGet, Path: "/v1/commitment"})
}

// Rules returns the public part of the region's rules in force.
func (c *Client) Rules(ctx context.Context) (Rules, error) {
	return ask[Rules](ctx, c, Request{Method: http.MethodGet, Path: "/v1/rules"})
}

// CreateGrant makes a grant at the payer's home.
func (c *Client) CreateGrant(ctx context.Context, f GrantRequest) (Grant, error) {
	if f.Proofs == nil {
		f.Proofs = []Proof{}
	}
	return ask[Grant](ctx, c, Request{Method: http.MethodPost, Path: "/v1/grants", Body: f})
}

// Grant reads a grant at the payer's home.
func (c *Client) Grant(ctx context.Context, id string) (Grant, error) {
	return ask[Grant](ctx, c, Request{Method: http.MethodGet, Path: grantPath(id)})
}

func grantPath(id string) string { return "/v1/grants/" + url.PathEscape(id) }

// SearchGrants returns one page; ask again with its NextCursor while there is one.
func (c *Client) SearchGrants(ctx context.Context, f GrantSearch) (GrantList, error) {
	return ask[GrantList](ctx, c, Request{Method: http.MethodPost, Path: "/v1/grants/search", Body: f})
}

// PatchGrant changes a grant.
func (c *Client) PatchGrant(ctx context.Context, id string, f GrantPatch) (Grant, error) {
	return ask[Grant](ctx, c, Request{Method: http.MethodPatch, Path: grantPath(id), Body: f})
}

// RevokeGrant revokes a grant.
func (c *Client) RevokeGrant(ctx context.Context, id, requestID string) (Grant, error) {
	path := grantPath(id) + "?request_id=" + url.QueryEscape(requestID)
	return ask[Grant](ctx, c, Request{Method: http.MethodDelete, Path: path})
}

// AcceptGrant is the beneficiary's consent, at the beneficiary's home.
func (c *Client) AcceptGrant(ctx context.Context, id, requestID string) (Grant, error) {
	return ask[Grant](ctx, c, Request{Method: http.MethodPost, Path: grantPath(id) + "/accept", Body: Act{requestID}})
}

// RenounceGrant ends a grant by the beneficiary's will, at the beneficiary's home.
func (c *Client) RenounceGrant(ctx context.Context, id, requestID string) (Grant, error) {
	return ask[Grant](ctx, c, Request{Method: http.MethodPost, Path: grantPath(id) + "/renounce", Body: Act{requestID}})
}

// SetOrder sets the order in which a beneficiary's grants are used, at the beneficiary's home.
func (c *Client) SetOrder(ctx context.Context, f OrderRequest) (Order, error) {
	if f.Grants == nil {
		f.Grants = []string{}
	}
	return ask[Order](ctx, c, Request{Method: http.MethodPut, Path: "/v1/beneficiaries/order", Body: f})
}

// CreatePayment asks for a payment at the visit region. A payment that was declined is an answer, not an error.
func (c *Client) CreatePayment(ctx context.Context, f PaymentRequest) (Payment, error) {
	return ask[Payment](ctx, c, Request{Method: http.MethodPost, Path: "/v1/payments", Body: f})
}

// Quote tells what CreatePayment would answer, without any effect.
func (c *Client) Quote(ctx context.Context, f PaymentRequest) (Payment, error) {
	return ask[Payment](ctx, c, Request{Method: http.MethodPost, Path: "/v1/quotes", Body: f})
}

// Payment reads a payment at the visit region.
func (c *Client) Payment(ctx context.Context, id string) (Payment, error) {
	return ask[Payment](ctx, c, Request{Method: http.MethodGet, Path: paymentPath(id)})
}

func paymentPath(id string) string { return "/v1/payments/" + url.PathEscape(id) }

// SearchPayments returns one page; ask again with its NextCursor while there is one.
func (c *Client) SearchPayments(ctx context.Context, f PaymentSearch) (PaymentList, error) {
	return ask[PaymentList](ctx, c, Request{Method: http.MethodPost, Path: "/v1/payments/search", Body: f})
}

// Confirm captures what is held, or f.Amount of it. The gateway waits up to wait, in whole seconds (0 to 30), for
// the legs; an answer that is still capturing is told to the end by Payment.
func (c *Client) Confirm(ctx context.Context, id string, f Confirmation, wait time.Duration) (Payment, error) {
	path := paymentPath(id) + "/confirm?wait=" + strconv.Itoa(int(wait/time.Second))
	return ask[Payment](ctx, c, Request{Method: http.MethodPost, Path: path, Body: f})
}

// Complete asks again for an emergency that was declined, after a grant was made.
func (c *Client) Complete(ctx context.Context, id string, f Completion) (Payment, error) {
	return ask[Payment](ctx, c, Request{Method: http.MethodPost, Path: paymentPath(id) + "/complete", Body: f})
}

// Cancel gives back what is held.
func (c *Client) Cancel(ctx context.Context, id, requestID string) (Payment, error) {
	return ask[Payment](ctx, c, Request{Method: http.MethodPost, Path: paymentPath(id) + "/cancel", Body: Act{requestID}})
}

// CreateRefund gives money of a captured payment back, and waits some seconds for its end. One that is still requested
// is told to the end by Refund.
func (c *Client) CreateRefund(ctx context.Context, paymentID string, f RefundRequest) (Refund, error) {
	return ask[Refund](ctx, c, Request{Method: http.MethodPost, Path: paymentPath(paymentID) + "/refunds", Body: f})
}

// Refunds lists the refunds of a payment, oldest first.
func (c *Client) Refunds(ctx context.Context, paymentID string) (RefundList, error) {
	return ask[RefundList](ctx, c, Request{Method: http.MethodGet, Path: paymentPath(paymentID) + "/refunds"})
}

// Refund reads a refund.
func (c *Client) Refund(ctx context.Context, paymentID, refundID string) (Refund, error) {
	path := paymentPath(paymentID) + "/refunds/" + url.PathEscape(refundID)
	return ask[Refund](ctx, c, Request{Method: http.MethodGet, Path: path})
}
