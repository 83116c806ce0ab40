package client

import "time"

// Words of a payment's status.
const (
	PaymentRequested = "requested"
	PaymentHeld      = "held"
	PaymentDeclined  = "declined"
	PaymentCapturing = "capturing"
	PaymentCaptured  = "captured"
	PaymentReleasing = "releasing"
	PaymentReleased  = "released"
	PaymentExpired   = "expired"
)

// Words of a credential's type.
const (
	CredentialECredential = "e_credential"
	CredentialSocialCard  = "social_card"
	CredentialIDCard      = "id_card"
	CredentialKinAccount  = "kin_account" // always refused
)

// Words of confirm.
const (
	ConfirmManual = "manual" // the default
	ConfirmAuto   = "auto"
)

// Credential is what the patient presented.
type Credential struct {
	Type           string `json:"type"`
	HolderIDNumber string `json:"holder_id_number"`
	RemoteUse      *bool  `json:"remote_use,omitempty"` // false by default
}

// String leaves the holder masked.
func (c Credential) String() string { return c.Type + " of " + maskNumber(c.HolderIDNumber) }

// GoString is String.
func (c Credential) GoString() string { return c.String() }

// Institution is where the bill arose.
type Institution struct {
	Code string `json:"code"`
	Kind string `json:"kind"` // hospital, pharmacy, tax, insurer
}

// Bill is the bill to be paid.
type Bill struct {
	ID             string `json:"id"`
	Total          string `json:"total"`
	FundPaid       string `json:"fund_paid"`
	SelfBorne      string `json:"self_borne"`
	OwnAccountPaid string `json:"own_account_paid,omitempty"` // "0.00" by default
}

// PaymentRequest is the body of POST /v1/payments and POST /v1/quotes.
type PaymentRequest struct {
	RequestID           string      `json:"request_id,omitempty"` // a quote needs none
	Beneficiary         Person      `json:"beneficiary"`
	Credential          Credential  `json:"credential"`
	Institution         Institution `json:"institution"`
	Purpose             string      `json:"purpose"`
	VisitID             string      `json:"visit_id"`
	VisitDate           string      `json:"visit_date"`
	Bill                Bill        `json:"bill"`
	Amount              string      `json:"amount"`
	AllowPartial        *bool       `json:"allow_partial,omitempty"` // true by default
	Confirm             string      `json:"confirm,omitempty"`
	DecideWithinSeconds *int        `json:"decide_within_seconds,omitempty"` // the region's most by default
	Grants              []string    `json:"grants,omitempty"`                // none: the order in force
}

// Leg is what one payer gives.
type Leg struct {
	HoldID    string       `json:"hold_id,omitempty"` // a quote has none
	GrantID   string       `json:"grant_id"`
	Payer     MaskedPerson `json:"payer"`
	Region    string       `json:"region"` // the payer's home
	Status    string       `json:"status"`
	Amount    string       `json:"amount"`
	Captured  string       `json:"captured"`
	Refunded  string       `json:"refunded"`
	LimitedBy string       `json:"limited_by,omitempty"` // where less was given than still asked
	Shortfall string       `json:"shortfall,omitempty"`  // what a capture_failed leg misses
}

// Decline is a grant that was asked and gives nothing.
type Decline struct {
	GrantID   string `json:"grant_id"`
	Region    string `json:"region,omitempty"`
	Code      string `json:"code"`
	Message   string `json:"message"`
	MessageZH string `json:"message_zh"`
}

// Payment is a payment as answers show one, and a quote, which has neither id nor deadline.
type Payment struct {
	PaymentID string    `json:"payment_id,omitempty"`
	Status    string    `json:"status"`
	Amount    string    `json:"amount"`
	Held      string    `json:"held"`
	Captured  string    `json:"captured"`
	Refunded  string    `json:"refunded"`
	CashDue   string    `json:"cash_due"`
	Shortfall string    `json:"shortfall,omitempty"`
	DecideBy  string    `json:"decide_by,omitempty"` // FormatTime
	Legs      []Leg     `json:"legs"`
	Declines  []Decline `json:"declines"`
	// CompletableUntil is there on a declined emergency that can be completed before then; FormatTime.
	CompletableUntil string `json:"completable_until,omitempty"`
}

// PaymentSearch is the body of POST /v1/payments/search. Exactly one of VisitID and BillID, or RequestID alone.
type PaymentSearch struct {
	RequestID string `json:"request_id,omitempty"`
	VisitID   string `json:"visit_id,omitempty"`
	BillID    string `json:"bill_id,omitempty"`
	Limit     int    `json:"limit,omitempty"` // 1 to 1000, 0 for the default of 100
	Cursor    string `json:"cursor,omitempty"`
}

// PaymentList is the answer to a search.
type PaymentList struct {
	Payments   []Payment `json:"payments"`
	NextCursor string    `json:"next_cursor,omitempty"`
}

// Confirmation is the body of POST /v1/payments/{payment_id}/confirm.
type Confirmation struct {
	RequestID string `json:"request_id"`
	Amount    string `json:"amount,omitempty"` // all that is held by default
}

// Words of a refund's status, and of each of its legs.
const (
	RefundRequested = "requested"
	RefundDone      = "done"
	RefundFailed    = "failed"
)

// RefundReasonMax is how many characters the reason of a refund may have. It names no person.
const RefundReasonMax = 200

// RefundRequest is the body of POST /v1/payments/{payment_id}/refunds.
type RefundRequest struct {
	RequestID string `json:"request_id"`
	Amount    string `json:"amount"`
	Reason    string `json:"reason"`
}

// RefundLeg is what one payer gets back.
type RefundLeg struct {
	HoldID  string `json:"hold_id"`
	GrantID string `json:"grant_id"`
	Region  string `json:"region"` // the payer's home
	Amount  string `json:"amount"`
	Status  string `json:"status"`
	Code    string `json:"code,omitempty"` // why it failed, or why it still waits
}

// Refund is a refund as answers show one.
type Refund struct {
	RefundID  string      `json:"refund_id"`
	PaymentID string      `json:"payment_id"`
	Status    string      `json:"status"`
	Amount    string      `json:"amount"`
	Reason    string      `json:"reason"`
	Created   string      `json:"created"` // FormatTime
	Legs      []RefundLeg `json:"legs"`
	Code      string      `json:"code,omitempty"` // why it failed, or why it still waits
}

// RefundList are the refunds of one payment, oldest first.
type RefundList struct {
	Refunds []Refund `json:"refunds"`
}

// Completion is the body of POST /v1/payments/{payment_id}/complete. What is left out is as the payment had it,
// but for Grants: none is the order in force.
type Completion struct {
	RequestID           string   `json:"request_id"`
	Confirm             string   `json:"confirm,omitempty"`
	DecideWithinSeconds *int     `json:"decide_within_seconds,omitempty"`
	Grants              []string `json:"grants,omitempty"`
}

// timeForm is RFC 3339 with as many digits of a second as are needed, at most six.
const timeForm = "2006-01-02T15:04:05.999999Z07:00"

// beijingSeconds are what the whole country's clock is ahead of UTC.
const beijingSeconds = 8 * 60 * 60

// FormatTime writes t as the API shows times: RFC 3339 with +08:00, to the microsecond. The zero time is "".
func FormatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(time.FixedZone("", beijingSeconds)).Format(timeForm)
}
