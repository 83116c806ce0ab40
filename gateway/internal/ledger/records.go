package ledger

import (
	"time"

	"gongji/federation"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// PaymentRecord is a payment as its origin keeps it.
type PaymentRecord struct {
	payment.Payment
	Request     Request
	Beneficiary Person
	Persons     Bundle
	Credential  string
	Institution string
	InstKind    string
	Purpose     policy.Purpose
	VisitID     string
	VisitDate   policy.Date
	Bill        Bill
	Ticket      []byte
	Counted     money.Amount // what stands in the bill's record for this payment
	Due         time.Time    // the deadline that stands in the state
	Premium     string       // the PremiumRecord that it pays
	Refunds     int          // how many refunds it has
	// DecideWithin is how long the platform may think, by its request; a completion without its own has the same.
	DecideWithin time.Duration
	Moments      []Moment
}

// Walk is the record.Record of a PaymentRecord.
func (p *PaymentRecord) Walk(c *record.Coder) {
	walkPayment(c, &p.Payment)
	c.Sub(&p.Request)
	c.Sub(&p.Beneficiary)
	c.Sub(&p.Persons)
	record.Str(c, &p.Credential)
	record.Str(c, &p.Institution)
	record.Str(c, &p.InstKind)
	record.Str(c, &p.Purpose)
	record.Str(c, &p.VisitID)
	record.Int(c, &p.VisitDate)
	c.Sub(&p.Bill)
	c.Bytes(&p.Ticket)
	record.Int(c, &p.Counted)
	c.Time(&p.Due)
	record.Str(c, &p.Premium)
	record.Int(c, &p.Refunds)
	record.Int(c, &p.DecideWithin)
	record.List(c, &p.Moments)
}

func walkPayment(c *record.Coder, p *payment.Payment) {
	record.Str(c, &p.ID)
	record.Int(c, &p.State)
	record.Int(c, &p.Cause)
	record.Int(c, &p.Amount)
	record.Int(c, &p.Held)
	record.Int(c, &p.Confirmed)
	c.Bool(&p.AllowPartial)
	c.Bool(&p.AutoConfirm)
	c.Time(&p.Created)
	c.Time(&p.LegsBy)
	c.Time(&p.DecideBy)
	record.ListOf(c, &p.Candidates, func(c *record.Coder, v *payment.Candidate) {
		record.Str(c, &v.GrantID)
		record.Str(c, &v.Region)
	})
	record.ListOf(c, &p.Legs, walkLeg)
	record.ListOf(c, &p.Declines, func(c *record.Coder, v *payment.Decline) {
		record.Str(c, &v.GrantID)
		record.Str(c, &v.Region)
		record.Str(c, &v.Code)
	})
	c.Time(&p.CompleteBy)
	c.Bool(&p.Lapsed)
}

func walkLeg(c *record.Coder, l *payment.Leg) {
	record.Str(c, &l.HoldID)
	record.Str(c, &l.GrantID)
	record.Str(c, &l.Region)
	record.Int(c, &l.State)
	record.Int(c, &l.Asked)
	record.Int(c, &l.Amount)
	record.Int(c, &l.Share)
	record.Int(c, &l.Captured)
	record.Str(c, &l.LimitedBy)
	record.Str(c, &l.Payer)
	record.Str(c, &l.PayerName)
	c.Bool(&l.GivenUp)
	c.Bool(&l.Claim)
	c.Time(&l.Deadline)
	c.Time(&l.Resend)
	record.Int(c, &l.Wait)
	record.Int(c, &l.Refunded)
	record.Int(c, &l.Refunding)
	c.Bool(&l.Earlier)
}

// HoldRecord is a hold as the payer's home keeps it.
type HoldRecord struct {
	hold.Hold
	Account     string // person number of the payer
	Beneficiary string // person number
	Purpose     policy.Purpose
	Institution string
	VisitID     string
	Year        int // the business year that it counts in: of the stamp that checked it
	Payer       string
	PayerName   string
	CheckedAt   time.Time
	Counted     money.Amount // what stands in the records of use for this hold
	Open        money.Amount // what stands in the account's open holds for this hold (only with InCore)
	InCore      bool         // its account is kept by a core outside
	Due         time.Time    // the deadline that stands in the state
	Verdict     *Verdict     // what the rules said; nil before they were asked, or where there was nothing to ask about
	Void        bool         // nothing came of its payment: it stands in no statement
	Posted      uint64       // the kinds of movement that stand in the payer's statement, a bit each
	Moments     []Moment
}

// Walk is the record.Record of a HoldRecord.
func (h *HoldRecord) Walk(c *record.Coder) {
	walkHold(c, &h.Hold)
	record.Str(c, &h.Account)
	record.Str(c, &h.Beneficiary)
	record.Str(c, &h.Purpose)
	record.Str(c, &h.Institution)
	record.Str(c, &h.VisitID)
	record.Int(c, &h.Year)
	record.Str(c, &h.Payer)
	record.Str(c, &h.PayerName)
	c.Time(&h.CheckedAt)
	record.Int(c, &h.Counted)
	record.Int(c, &h.Open)
	c.Bool(&h.InCore)
	c.Time(&h.Due)
	record.Opt(c, &h.Verdict)
	record.Int(c, &h.Refunded)
	record.Int(c, &h.Refunding)
	c.Bool(&h.Void)
	c.U64(&h.Posted)
	record.List(c, &h.Moments)
}

func walkHold(c *record.Coder, h *hold.Hold) {
	record.Str(c, &h.ID)
	record.Str(c, &h.PaymentID)
	record.Str(c, &h.Origin)
	record.Str(c, &h.GrantID)
	record.Int(c, &h.State)
	record.Int(c, &h.Asked)
	record.Int(c, &h.Amount)
	record.Int(c, &h.Take)
	record.Int(c, &h.Captured)
	record.Str(c, &h.LimitedBy)
	record.Str(c, &h.Code)
	record.Str(c, &h.Act)
	c.Time(&h.DecideBy)
	c.Time(&h.Placed)
	c.Time(&h.Ended)
	c.Bool(&h.Checked)
	record.Strs(c, &h.Forced)
	c.Bool(&h.ByForce)
	record.Int(c, &h.Wait)
	c.Time(&h.WakeAt)
}

// useRecord is what is used of one limit: open holds of an account, an account's or grant's year, an account's visit.
type useRecord struct{ Used money.Amount }

// Walk is the record.Record of a useRecord.
func (u *useRecord) Walk(c *record.Coder) { record.Int(c, &u.Used) }

// billRecord is what the payments of one bill take of it.
type billRecord struct{ Used money.Amount }

// Walk is the record.Record of a billRecord.
func (b *billRecord) Walk(c *record.Coder) { record.Int(c, &b.Used) }

// Things that a request can have made.
const (
	ThingPayment = "payment"
	ThingGrant   = "grant"
	ThingOrder   = "order"

	ThingMandate  = "mandate"  // one that was made
	ThingMandates = "mandates" // of the grant whose mandates were ended
	ThingRefund   = "refund"
)

// RequestRecord remembers a platform's request.
type RequestRecord struct {
	Digest [32]byte
	Thing  string // what it made or changed
	ID     string
	At     time.Time
}

// Walk is the record.Record of a RequestRecord.
func (r *RequestRecord) Walk(c *record.Coder) {
	c.Fixed(r.Digest[:])
	record.Str(c, &r.Thing)
	record.Str(c, &r.ID)
	c.Time(&r.At)
}

// PersonRecord is a person that the region knows by number.
type PersonRecord struct {
	Name   [32]byte // token of number and name
	Sealed []byte
	Masked string
	Called string // masked name
	Region string
	InBook bool // has an account in the region's Book
}

// Walk is the record.Record of a PersonRecord.
func (p *PersonRecord) Walk(c *record.Coder) {
	c.Fixed(p.Name[:])
	c.Bytes(&p.Sealed)
	record.Str(c, &p.Masked)
	record.Str(c, &p.Called)
	record.Str(c, &p.Region)
	c.Bool(&p.InBook)
}

// tokenRecord names the person of a token.
type tokenRecord struct{ Person string }

// Walk is the record.Record of a tokenRecord.
func (t *tokenRecord) Walk(c *record.Coder) { record.Str(c, &t.Person) }

// pairRecord names the grant between two persons that is neither revoked nor ended.
type pairRecord struct{ GrantID string }

// Walk is the record.Record of a pairRecord.
func (p *pairRecord) Walk(c *record.Coder) { record.Str(c, &p.GrantID) }

// LinkRecord is what a region keeps of one peer: both halves of the link, and where to read on.
type LinkRecord struct {
	Out        federation.Out
	In         federation.In
	NextOffset int64
	Protocol   uint16
	NewEpoch   uint64 // the peer has begun anew; set until ResumeLink
	// AckForked is the epoch of Out in which the peer acked another content than was sent; its acks count no more in it.
	AckForked uint64
	// Reunion is set when the link has begun anew; it stays when it is over.
	Reunion *Reunion
}

// Differs reports whether the two sides have different histories of what this region sent.
func (l *LinkRecord) Differs() bool { return l.AckForked != 0 && l.AckForked == l.Out.Epoch }

// Walk is the record.Record of a LinkRecord.
func (l *LinkRecord) Walk(c *record.Coder) {
	c.U64(&l.Out.Epoch)
	c.U64(&l.Out.Last)
	c.U64(&l.Out.Acked)
	c.Fixed(l.Out.Chain[:])
	c.U64(&l.In.Epoch)
	c.U64(&l.In.Applied)
	c.Fixed(l.In.Chain[:])
	c.Bool(&l.In.Forked)
	c.I64(&l.NextOffset)
	record.Int(c, &l.Protocol)
	c.U64(&l.NewEpoch)
	c.U64(&l.AckForked)
	record.Opt(c, &l.Reunion)
}

// OutMessage waits in the outbox until its receiver's log has it, and is evidence from then on. Its persons are sealed.
type OutMessage struct {
	Chain   [federation.HashSize]byte
	Body    []byte
	Persons *Bundle
	At      time.Time
}

// Walk is the record.Record of an OutMessage.
func (m *OutMessage) Walk(c *record.Coder) {
	c.Fixed(m.Chain[:])
	c.Bytes(&m.Body)
	record.Opt(c, &m.Persons)
	c.Time(&m.At)
}

// Receipt is a peer's signed word that its log has everything up to a number of this region's, with this content. It
// stands under the number that it acks. Header and Signature are empty where the parcel that brought the ack had
// messages too and is kept as Evidence: Epoch and First name that.
type Receipt struct {
	At           time.Time
	From         uint64 // the first number that it is new for
	Header       []byte
	Signature    []byte
	Epoch, First uint64
	Forked       bool // it speaks of another content than was sent: proof that the two sides differ
}

// Walk is the record.Record of a Receipt.
func (r *Receipt) Walk(c *record.Coder) {
	c.Time(&r.At)
	c.U64(&r.From)
	c.Bytes(&r.Header)
	c.Bytes(&r.Signature)
	c.U64(&r.Epoch)
	c.U64(&r.First)
	c.Bool(&r.Forked)
}

// Evidence is what a peer signed, kept as it came: the parcel with the messages that were applied from it.
type Evidence struct {
	At     time.Time
	Parcel Parcel
}

// Walk is the record.Record of an Evidence.
func (e *Evidence) Walk(c *record.Coder) {
	c.Time(&e.At)
	c.Sub(&e.Parcel)
}
