package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// Trace is a payment's way through all regions, oldest first.
type Trace struct {
	Events []TraceEvent `json:"events"`
	// Missing names regions that took part and did not answer, or have more than they could tell.
	Missing []string `json:"missing,omitempty"`
}

// TraceEvent is one step: a transition of a payment, hold or refund in one region, or a message.
type TraceEvent struct {
	Time      string `json:"time"`
	Region    string `json:"region"`
	Node      string `json:"node"` // which led that region then; empty where it is not known any more
	What      string `json:"what"`
	FromState string `json:"from_state"`
	ToState   string `json:"to_state"`
	MessageID string `json:"message_id,omitempty"` // from/to/epoch/number
	SignedBy  string `json:"signed_by,omitempty"`
	Verified  *bool  `json:"verified,omitempty"` // whether the evidence for the message verifies in that region now
}

// Trace reads a payment's way through all regions, at its visit region.
func (c *Client) Trace(ctx context.Context, paymentID string) (Trace, error) {
	return ask[Trace](ctx, c, Request{Method: http.MethodGet, Path: paymentPath(paymentID) + "/trace"})
}

// Evidence reads the bundle that `gateway evidence verify` checks. Its bytes are to be kept as they are.
func (c *Client) Evidence(ctx context.Context, paymentID string) (json.RawMessage, error) {
	return ask[json.RawMessage](ctx, c, Request{Method: http.MethodGet, Path: paymentPath(paymentID) + "/evidence"})
}
