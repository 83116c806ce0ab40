package payment

import "gongji/gateway/internal/money"

// CapturedSum is the money that all legs have taken.
func (p *Payment) CapturedSum() money.Amount {
	var sum money.Amount
	for i := range p.Legs {
		sum += p.Legs[i].Captured
	}
	return sum
}

// Shortfall is what was confirmed and could not be taken.
func (p *Payment) Shortfall() money.Amount {
	var sum money.Amount
	for i := range p.Legs {
		sum += p.Legs[i].Shortfall()
	}
	return sum
}

// CashDue is what the citizen pays otherwise (api.md section 3).
func (p *Payment) CashDue() money.Amount {
	switch p.State {
	case Held:
		return p.Amount - p.Held
	case Capturing, Captured:
		return p.Amount - p.Confirmed
	case Requested, Declined, Releasing, Released, Expired:
	}
	return p.Amount
}

// Counts is what the payment takes of its bill: what is held or captured; while holds are being asked for, all that is
// asked. What a home took against the decision counts too: it was paid. What is back does not.
func (p *Payment) Counts() money.Amount {
	switch p.State {
	case Requested:
		return p.Amount + p.stray()
	case Held:
		return p.Held + p.stray()
	case Capturing:
		return p.Confirmed + p.stray()
	case Releasing:
		return max(p.Held, p.CapturedSum())
	case Captured, Declined, Released, Expired:
	}
	return p.CapturedSum() - p.RefundedSum()
}

// stray is what homes took of legs that were told to give back.
func (p *Payment) stray() money.Amount {
	var sum money.Amount
	for i := range p.Legs {
		if p.Legs[i].Share == 0 {
			sum += p.Legs[i].Captured
		}
	}
	return sum
}
