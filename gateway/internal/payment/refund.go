package payment

import (
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// Share is what a leg gives back in one refund.
type Share struct {
	Leg    int
	Amount money.Amount
}

// Refundable is what of a leg can still be given back: captured, less what is back and what is on its way.
func (l *Leg) Refundable() money.Amount { return l.Captured.Less(l.Refunded + l.Refunding) }

// Refund takes a refund of amount out of what is left, the last used leg first. What it takes counts until
// RefundEnded. It returns the shares, or the refusing code.
func (p *Payment) Refund(amount money.Amount) ([]Share, policy.Code) {
	if p.State != Captured {
		return nil, policy.CodeWrongState
	}
	if amount <= 0 {
		return nil, policy.CodeInvalidAmount
	}
	var shares []Share
	left := amount
	for i := len(p.Legs) - 1; i >= 0 && left > 0; i-- {
		if share := min(left, p.Legs[i].Refundable()); share > 0 {
			shares = append(shares, Share{i, share})
			left -= share
		}
	}
	if left > 0 {
		return nil, policy.CodeRefundExceedsCaptured
	}
	for _, s := range shares {
		p.Legs[s.Leg].Refunding += s.Amount
	}
	return shares, ""
}

// RefundEnded tells that a leg's share of a refund has ended: back is what came back of it. What did not come back can
// be asked for anew.
func (p *Payment) RefundEnded(holdID string, share, back money.Amount) {
	_, l := p.leg(holdID)
	if l == nil {
		return
	}
	l.Refunding = l.Refunding.Less(share)
	l.Refunded = min(l.Refunded+min(max(back, 0), share), l.Captured)
}

// RefundedSum is the money of all legs that is back.
func (p *Payment) RefundedSum() money.Amount {
	var sum money.Amount
	for i := range p.Legs {
		sum += p.Legs[i].Refunded
	}
	return sum
}

// Refunding reports whether a refund is under way.
func (p *Payment) Refunding() bool {
	for i := range p.Legs {
		if p.Legs[i].Refunding > 0 {
			return true
		}
	}
	return false
}
