package desk

import (
	"cmp"

	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/payment"
)

// short reports whether a payment is as good as declined: not enough was held, and that is being given back. It
// stands in no answer (api.md section 3).
func short(p *payment.Payment) bool {
	return p.State == payment.Releasing && p.Cause == payment.CauseShort
}

func status(p *payment.Payment) string {
	if short(p) {
		return payment.Declined.String()
	}
	return p.State.String()
}

// shown is a payment as the API shows it.
func shown(p *ledger.PaymentRecord) client.Payment {
	out := client.Payment{
		PaymentID: p.ID, Status: status(&p.Payment), Amount: p.Amount.String(), Held: p.Held.String(),
		Captured: p.CapturedSum().String(), Refunded: p.RefundedSum().String(), CashDue: p.CashDue().String(),
		DecideBy: client.FormatTime(p.DecideBy), Legs: legs(&p.Payment), Declines: declines(&p.Payment),
		CompletableUntil: client.FormatTime(p.CompletableUntil()),
	}
	if s := p.Shortfall(); s > 0 {
		out.Shortfall = s.String()
	}
	return out
}

// legs shows who pays. What was held on the way to a decline, or by a payer that was given up, stands in no answer,
// nor do the legs of before a completion.
func legs(p *payment.Payment) []client.Leg {
	out := []client.Leg{}
	if p.Cause == payment.CauseShort || p.State == payment.Declined {
		return out
	}
	for i := range p.Legs {
		l := &p.Legs[i]
		if l.GivenUp || l.Earlier || l.State == payment.LegDeclined || l.Amount == 0 {
			continue
		}
		leg := client.Leg{
			HoldID: l.HoldID, GrantID: l.GrantID, Region: l.Region, Status: l.State.String(),
			Payer:  client.MaskedPerson{IDNumber: l.Payer, Name: l.PayerName, Region: l.Region},
			Amount: l.Amount.String(), Captured: l.Captured.String(), Refunded: l.Refunded.String(),
		}
		if l.Amount < l.Asked {
			leg.LimitedBy = string(l.LimitedBy)
		}
		if s := l.Shortfall(); s > 0 {
			leg.Shortfall = s.String()
		}
		out = append(out, leg)
	}
	return out
}

func declines(p *payment.Payment) []client.Decline {
	out := []client.Decline{}
	for _, x := range p.Declines {
		out = append(out, client.Decline{
			GrantID: x.GrantID, Region: cmp.Or(x.Region, homeOf(x.GrantID)), Code: string(x.Code),
			Message: x.Code.Message(), MessageZH: x.Code.MessageZH(),
		})
	}
	return out
}
