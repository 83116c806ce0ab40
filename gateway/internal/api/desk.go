package api

import (
	"context"
	"time"

	"gongji/gateway/client"
	"gongji/gateway/internal/money"
)

// Caller is who is speaking.
type Caller struct {
	Platform string // "unsigned" for an unsigned request
	Unsigned bool
	Signed   *Signature // nil for an unsigned request
	Ahead    bool       // it is dated ahead of this node's clock
}

// RequestKey names a write: whose it is, its id, and the digest of method, path and canonical body.
type RequestKey struct {
	Platform string
	ID       string
	Digest   [32]byte
	Signed   *Signature // goes into the command; nil for an unsigned request
}

// Written says how a write went: Created answers 201, Replay answers 200 with Idempotent-Replay: true.
type Written struct {
	Replay  bool
	Created bool
}

// Kinds of things that a request id may have made, as Requests.Seen tells them.
const (
	KindGrant   = "grant"   // created, changed, revoked or accepted
	KindPayment = "payment" // created, confirmed, cancelled or completed
	KindOrder   = "order"
	KindRefund  = "refund"

	KindMandate  = "mandate"  // made
	KindMandates = "mandates" // of the grant whose mandates were ended
)

// Desk is what the face needs of the leader's application. All methods return *Error, *policy.Refusal, the errors
// of consensus or the context's; everything else is a fault of the gateway and answers 500. Forms that come in
// have been checked: every field is there, of its form, with its default filled in.
type Desk interface {
	Requests
	Payments
	Refunds
	Grants
	Mandates
	Statements
	Traces
	Info
}

// Requests remembers request ids.
type Requests interface {
	// Seen tells whether the id was used: kind and id of what it made. The id with another digest
	// is an *Error of conflict. The writes check again in the log; this keeps the order of checks.
	// What was seen is read and answered by the face, but for SetOrder, AcceptGrant and RenounceGrant: they are
	// called again with the same key, and answer with Replay.
	Seen(ctx context.Context, key RequestKey) (kind, id string, seen bool, err error)
	// Spend leaves the nonce of a signed request in the log, and refuses it (stale_request) if another attempt has left
	// it there before.
	Spend(ctx context.Context, s Signature) error
}

// Payments are the calls of api.md section 3.
type Payments interface {
	CreatePayment(ctx context.Context, key RequestKey, f client.PaymentRequest) (client.Payment, Written, error)
	Quote(ctx context.Context, f client.PaymentRequest) (client.Payment, error)
	Payment(ctx context.Context, id string) (client.Payment, error)
	// SearchPayments returns one page, and where the next begins ("" at the end). f.Limit is set.
	SearchPayments(ctx context.Context, platform string, f client.PaymentSearch) ([]client.Payment, string, error)
	// Confirm captures amount, all that is held if nil; amount is above zero. It waits for the legs up to wait.
	Confirm(
		ctx context.Context, key RequestKey, id string, amount *money.Amount, wait time.Duration,
	) (client.Payment, Written, error)
	Cancel(ctx context.Context, key RequestKey, id string) (client.Payment, Written, error)
	// Complete asks again for a declined emergency. f.Confirm is empty where the payment's own stands.
	Complete(ctx context.Context, key RequestKey, id string, f client.Completion) (client.Payment, Written, error)
}

// Refunds are the calls of api.md section 3 that give money of a captured payment back.
type Refunds interface {
	// CreateRefund begins a refund of f.Amount, which is amount and above zero, and waits for its end a while.
	CreateRefund(
		ctx context.Context, key RequestKey, paymentID string, f client.RefundRequest, amount money.Amount,
	) (client.Refund, Written, error)
	// Refund finds a refund by its own id; it tells its payment.
	Refund(ctx context.Context, id string) (client.Refund, error)
	// Refunds lists those of a payment, oldest first.
	Refunds(ctx context.Context, paymentID string) ([]client.Refund, error)
}

// Grants are the calls of api.md section 2.
type Grants interface {
	CreateGrant(ctx context.Context, key RequestKey, f client.GrantRequest) (client.Grant, Written, error)
	Grant(ctx context.Context, id string) (client.Grant, error)
	// SearchGrants returns one page, and where the next begins ("" at the end). f.Limit is set.
	SearchGrants(ctx context.Context, f client.GrantSearch) ([]client.Grant, string, error)
	PatchGrant(ctx context.Context, key RequestKey, id string, f client.GrantPatch) (client.Grant, Written, error)
	RevokeGrant(ctx context.Context, key RequestKey, id string) (client.Grant, Written, error)
	AcceptGrant(ctx context.Context, key RequestKey, id string) (client.Grant, Written, error)
	RenounceGrant(ctx context.Context, key RequestKey, id string) (client.Grant, Written, error)
	SetOrder(ctx context.Context, key RequestKey, f client.OrderRequest) (client.Order, Written, error)
}

// Mandates are the calls of the collection of premiums, at the payer's home.
type Mandates interface {
	CreateMandate(ctx context.Context, key RequestKey, grantID string, f client.MandateRequest) (
		client.Mandate, Written, error)
	// Mandate reads one by its own id.
	Mandate(ctx context.Context, id string) (client.Mandate, error)
	Mandates(ctx context.Context, grantID string) (client.MandateList, error)
	// EndMandates ends one, or all of the grant if mandateID is empty.
	EndMandates(ctx context.Context, key RequestKey, grantID, mandateID string) (client.MandateList, Written, error)
}

// Statements tell a person of this region what became of the money, and what is left. f.Limit is set.
type Statements interface {
	// Statement returns one page of movements, oldest first.
	Statement(ctx context.Context, f client.StatementRequest) (client.Statement, error)
	// Quota tells what an account can still give, with one page of its grants.
	Quota(ctx context.Context, f client.QuotaRequest) (client.Quota, error)
}

// Traces tell how a payment of this region went, and prove it.
type Traces interface {
	// Both answer not_found for a payment that another platform has asked for.
	Trace(ctx context.Context, platform, id string) (client.Trace, error)
	// Evidence is a bundle for `gateway evidence verify`: JSON, to be handed on byte for byte.
	Evidence(ctx context.Context, platform, id string) ([]byte, error)
}

// Info is what everybody may know.
type Info interface {
	Commitment(ctx context.Context) (client.Commitment, error)
	// Rules are those in force. The face asks for them where a form depends on one.
	Rules(ctx context.Context) (client.Rules, error)
	// Member tells whether the directory knows the region; it is cheap.
	Member(region string) bool
	// Ready returns the reasons why this node is not ready, none if it is, and warnings that take nothing away from it.
	// It is asked on every node.
	Ready() (reasons, warnings []string)
}
