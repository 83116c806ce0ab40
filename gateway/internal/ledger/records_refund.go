package ledger

import (
	"time"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/record"
	"gongji/gateway/internal/refund"
)

// RefundRecord is a refund as the origin of its payment keeps it.
type RefundRecord struct {
	refund.Refund
	Request Request
	Due     time.Time // the deadline that stands in the state
	Moments []Moment
}

// Walk is the record.Record of a RefundRecord.
func (r *RefundRecord) Walk(c *record.Coder) {
	record.Str(c, &r.ID)
	record.Str(c, &r.PaymentID)
	record.Int(c, &r.Amount)
	record.Str(c, &r.Reason)
	c.Time(&r.Created)
	record.ListOf(c, &r.Legs, func(c *record.Coder, l *refund.Leg) {
		record.Str(c, &l.HoldID)
		record.Str(c, &l.GrantID)
		record.Str(c, &l.Region)
		record.Int(c, &l.Amount)
		record.Int(c, &l.State)
		record.Str(c, &l.Code)
		c.Time(&l.Resend)
		record.Int(c, &l.Wait)
	})
	c.Bool(&r.Alarmed)
	c.Sub(&r.Request)
	c.Time(&r.Due)
	record.List(c, &r.Moments)
}

// ReturnRecord is one refund of one hold as the payer's home keeps it.
type ReturnRecord struct {
	refund.Return
	OpenInHold money.Amount // what stands in its hold as on its way
	BackInHold money.Amount // what stands in its hold as back
	Due        time.Time    // the deadline that stands in the state
	Moments    []Moment
}

// Walk is the record.Record of a ReturnRecord.
func (r *ReturnRecord) Walk(c *record.Coder) {
	record.Str(c, &r.RefundID)
	record.Str(c, &r.HoldID)
	record.Str(c, &r.Origin)
	record.Int(c, &r.Amount)
	record.Int(c, &r.State)
	record.Str(c, &r.Code)
	record.Str(c, &r.Refusal)
	c.Time(&r.Asked)
	c.Time(&r.Ended)
	c.Bool(&r.Alarmed)
	record.Int(c, &r.Wait)
	c.Time(&r.WakeAt)
	record.Int(c, &r.OpenInHold)
	record.Int(c, &r.BackInHold)
	c.Time(&r.Due)
	record.List(c, &r.Moments)
}

// key is the return's place in the state, and its name among the calls to a core: no hold's id begins as it does.
func (r *ReturnRecord) key() string { return returnKey(r.HoldID, r.RefundID) }

func returnKey(holdID, refundID string) string { return joined(holdID, refundID) }
