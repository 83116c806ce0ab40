package client

import "time"

// The lines of GET /admin/v1/audit: newline-delimited JSON, one AuditLine each, a whole region at one
// applied index, for the check of the money invariants from outside. No person stands in it:
// accounts, grants and payments are named by their ids. Amounts are whole fen (1/100 yuan), times UTC.
//
// Lines come in this order: rules, accounts, grants, movements (per account, in the order of their
// numbers), holds, payments, bills, and one end.

// AuditLine is one line; exactly one field is set.
type AuditLine struct {
	Rules    *AuditRules    `json:"rules,omitempty"`
	Account  *AuditAccount  `json:"account,omitempty"`
	Grant    *AuditGrant    `json:"grant,omitempty"`
	Movement *AuditMovement `json:"movement,omitempty"`
	Hold     *AuditHold     `json:"hold,omitempty"`
	Payment  *AuditPayment  `json:"payment,omitempty"`
	Bill     *AuditBill     `json:"bill,omitempty"`
	End      *AuditEnd      `json:"end,omitempty"`
}

// AuditAccount is a personal account, as the gateway's record and the core system have it.
type AuditAccount struct {
	Region      string `json:"region"`
	Account     string `json:"account"` // the region's own person number
	Opening     int64  `json:"opening"` // when the account was made
	Credits     int64  `json:"credits"` // since
	Captured    int64  `json:"captured"`
	Refunded    int64  `json:"refunded"`
	Balance     int64  `json:"balance"` // of the core system; not lowered by holds
	Held        int64  `json:"held"`    // in open holds
	YearOpening int64  `json:"year_opening"`
	Year        int    `json:"year"` // that YearOpening belongs to
}

// AuditMovement is one change of one account.
type AuditMovement struct {
	Account string    `json:"account"`
	Seq     uint64    `json:"seq"` // 1, 2, 3, … of its account
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"` // hold, capture, release, refund, credit
	Ref     string    `json:"ref"`
	Amount  int64     `json:"amount"`
	Balance int64     `json:"balance"` // after it
	Held    int64     `json:"held"`    // after it
}

// AuditHold is the home's record of one leg.
type AuditHold struct {
	ID          string `json:"id"`
	PaymentID   string `json:"payment_id"`
	Origin      string `json:"origin"` // region of the payment
	GrantID     string `json:"grant_id"`
	Account     string `json:"account"`
	State       string `json:"state"` // of the hold's state table
	Asked       int64  `json:"asked"`
	Amount      int64  `json:"amount"` // placed
	Take        int64  `json:"take"`   // decided to capture
	Captured    int64  `json:"captured"`
	Refunded    int64  `json:"refunded"`  // of what was captured, as the log has it
	Refunding   int64  `json:"refunding"` // what refunds under way may still give back
	Year        int    `json:"year"`      // business year that its limits were checked in
	Purpose     string `json:"purpose"`
	VisitRegion string `json:"visit_region"`
	VisitID     string `json:"visit_id"`
	LimitedBy   string `json:"limited_by,omitempty"`
	Code        string `json:"code,omitempty"` // why it was declined

	Checked   bool      `json:"checked"`             // its limits were checked: it counts from CheckedAt
	CheckedAt time.Time `json:"checked_at,omitzero"` // stamp of that entry
	PlacedAt  time.Time `json:"placed_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"` // the core confirmed its end
	DecideBy  time.Time `json:"decide_by,omitzero"`

	CoreState    string `json:"core_state,omitempty"` // none, open, captured, released, refused
	CoreHeld     int64  `json:"core_held"`
	CoreCaptured int64  `json:"core_captured"`
	CoreRefunded int64  `json:"core_refunded"`

	Returns []AuditReturn `json:"returns,omitempty"` // its refunds
}

// AuditReturn is the home's record of one refund of one leg.
type AuditReturn struct {
	RefundID string    `json:"refund_id"`
	Amount   int64     `json:"amount"`
	State    string    `json:"state"`             // requested, voiding, done, failed
	EndedAt  time.Time `json:"ended_at,omitzero"` // what is done counts no more from here on
}

// AuditPayment is the origin's record.
type AuditPayment struct {
	ID             string     `json:"id"`
	State          string     `json:"state"`
	Cause          string     `json:"cause,omitempty"` // why it is releasing or was released
	Amount         int64      `json:"amount"`
	SelfBorne      int64      `json:"self_borne"`
	OwnAccountPaid int64      `json:"own_account_paid"`
	Held           int64      `json:"held"`
	Confirmed      int64      `json:"confirmed"`
	Captured       int64      `json:"captured"`
	Refunded       int64      `json:"refunded"`
	BillKey        string     `json:"bill_key"` // equal for the payments of one bill
	Institution    string     `json:"institution"`
	VisitID        string     `json:"visit_id"`
	Created        time.Time  `json:"created"`
	DecideBy       time.Time  `json:"decide_by"`
	Legs           []AuditLeg `json:"legs"`
}

// AuditLeg is the origin's record of one payer.
type AuditLeg struct {
	HoldID   string `json:"hold_id"`
	GrantID  string `json:"grant_id"`
	Region   string `json:"region"` // home of the payer
	State    string `json:"state"`
	Asked    int64  `json:"asked"`
	Amount   int64  `json:"amount"` // placed
	Share    int64  `json:"share"`  // of what was confirmed
	Captured int64  `json:"captured"`
	GivenUp  bool   `json:"given_up"` // not answered in time: released, whatever comes

	Refunded  int64 `json:"refunded"`
	Refunding int64 `json:"refunding"` // what refunds under way may still give back
}

// AuditRules is one version of the region's rules and from when it holds.
type AuditRules struct {
	AnnualShare string           `json:"annual_share"` // decimal, as 0.60
	Floor       int64            `json:"floor"`
	VisitLimits map[string]int64 `json:"visit_limits"` // by purpose
	From        time.Time        `json:"from"`
}

// AuditGrant is what a grant allows; 0 is no limit.
type AuditGrant struct {
	ID         string    `json:"id"`
	PerPayment int64     `json:"per_payment"`
	Annual     int64     `json:"annual"`
	Status     string    `json:"status"`
	Since      time.Time `json:"since,omitzero"` // these limits are in force; holds checked before had others

	// Of a virtual limit: what is left of it, held from the account under a reference of the grant's own.
	Account  string `json:"account,omitempty"`
	Reserve  int64  `json:"reserve,omitempty"`
	Reserved int64  `json:"reserved,omitempty"` // what the core system holds of it
}

// AuditBill is what the payments of one bill hold or took together.
type AuditBill struct {
	Key  string `json:"key"`
	Used int64  `json:"used"`
}

// AuditEnd closes the lines; an audit without it was cut off.
type AuditEnd struct {
	Index  uint64    `json:"index"`  // applied, that all lines belong to
	Digest string    `json:"digest"` // of the state there
	Stamp  time.Time `json:"stamp"`  // of the last entry

	Accounts  int `json:"accounts"`
	Movements int `json:"movements"`
	Holds     int `json:"holds"`
	Payments  int `json:"payments"`
}
