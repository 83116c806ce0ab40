package ledger

import (
	"gongji/gateway/internal/refund"
)

// Refund finds a refund of a payment of this region.
func (v View) Refund(id string) (*RefundRecord, error) {
	return read[RefundRecord](v.r, keyRefund, id)
}

// RefundsOf lists the refunds of a payment in the order in which they were asked for. There are at most refund.Max.
func (v View) RefundsOf(p *PaymentRecord) ([]*RefundRecord, error) {
	var out []*RefundRecord
	for n := 1; n <= p.Refunds; n++ {
		r, err := v.Refund(refund.ID(p.ID, n))
		if err != nil {
			return nil, err
		}
		if r != nil {
			out = append(out, r)
		}
	}
	return out, nil
}

// Return finds what Calls and Effects.Calls name by key; nil when the key is that of a hold.
func (v View) Return(key string) (*ReturnRecord, error) {
	if len(split([]byte(key))) != 2 {
		return nil, nil //nolint:nilnil // see View
	}
	return read[ReturnRecord](v.r, keyReturn, key)
}

// ReturnsOf lists the returns of a hold of this region's payers, in the order of their keys. There are at most
// refund.Max.
func (v View) ReturnsOf(holdID string) ([]*ReturnRecord, error) {
	prefix := stateKey(keyReturn, joined(holdID))
	var out []*ReturnRecord
	err := within(v.r, prefix, func(r *ReturnRecord) bool {
		out = append(out, r)
		return true
	})
	return out, err
}

// Refunds visits all refunds, and Returns all returns, in the order of their keys until visit returns false.
func (v View) Refunds(visit func(*RefundRecord) bool) error { return each(v.r, keyRefund, visit) }

// Returns visits all returns.
func (v View) Returns(visit func(*ReturnRecord) bool) error { return each(v.r, keyReturn, visit) }
