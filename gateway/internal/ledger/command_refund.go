package ledger

import (
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/record"
	"gongji/gateway/internal/refund"
)

// CreateRefund is the platform's wish to give Amount of a captured payment back.
type CreateRefund struct {
	Request   Request
	PaymentID string
	Amount    money.Amount
	Reason    string
}

// Kind and Walk make a CreateRefund a Command.
func (*CreateRefund) Kind() Kind { return KindCreateRefund }

// Walk walks over the fields.
func (p *CreateRefund) Walk(c *record.Coder) {
	c.Sub(&p.Request)
	record.Str(c, &p.PaymentID)
	record.Int(c, &p.Amount)
	record.Str(c, &p.Reason)
}

// ReturnResult brings a core's answer to a call for one return. It counts only if the return still waits for that call.
type ReturnResult struct {
	HoldID   string
	RefundID string
	Call     refund.Action
	Refused  string // an adapters.Reason; empty: done
	Final    bool   // the core remembers its refusals
}

// Kind and Walk make a ReturnResult a Command.
func (*ReturnResult) Kind() Kind { return KindReturnResult }

// Walk walks over the fields.
func (r *ReturnResult) Walk(c *record.Coder) {
	record.Str(c, &r.HoldID)
	record.Str(c, &r.RefundID)
	record.Int(c, &r.Call)
	record.Str(c, &r.Refused)
	c.Bool(&r.Final)
}
