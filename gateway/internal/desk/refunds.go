package desk

import (
	"context"
	"time"

	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// refundWait is how long a new refund waits for its end: as long as a confirm by default.
const refundWait = 5 * time.Second

// CreateRefund gives money of a captured payment back, and waits a while for the homes.
func (d *Desk) CreateRefund(
	ctx context.Context, key api.RequestKey, paymentID string, f client.RefundRequest, amount money.Amount,
) (client.Refund, api.Written, error) {
	o, err := d.propose(ctx, &ledger.CreateRefund{
		Request: request(key), PaymentID: paymentID, Amount: amount, Reason: f.Reason,
	})
	if err != nil {
		return client.Refund{}, api.Written{}, err
	}
	written := api.Written{Created: !o.Replay, Replay: o.Replay}
	wait, cancel := context.WithTimeout(ctx, refundWait)
	defer cancel()
	var last *ledger.RefundRecord
	err = d.Settle.Wait(wait, paymentID, func() (bool, error) {
		r, failed := d.refund(ctx, o.ID)
		if failed != nil {
			return true, failed
		}
		last = r
		return r.State().Final(), nil
	})
	if err != nil {
		return client.Refund{}, api.Written{}, err
	}
	return shownRefund(last), written, nil
}

// refund finds a refund; there is none of nil.
func (d *Desk) refund(ctx context.Context, id string) (*ledger.RefundRecord, error) {
	var r *ledger.RefundRecord
	err := d.view(ctx, func(v ledger.View) error {
		var err error
		r, err = v.Refund(id)
		return err
	})
	if err == nil && r == nil {
		err = d.refusal(policy.CodeNotFound)
	}
	return r, err
}

// Refund reads a refund.
func (d *Desk) Refund(ctx context.Context, id string) (client.Refund, error) {
	r, err := d.refund(ctx, id)
	if err != nil {
		return client.Refund{}, err
	}
	return shownRefund(r), nil
}

// Refunds lists the refunds of a payment, oldest first.
func (d *Desk) Refunds(ctx context.Context, paymentID string) ([]client.Refund, error) {
	var list []*ledger.RefundRecord
	err := d.view(ctx, func(v ledger.View) error {
		p, err := v.Payment(paymentID)
		if err == nil && p == nil {
			err = d.refusal(policy.CodeNotFound)
		}
		if err != nil {
			return err
		}
		list, err = v.RefundsOf(p)
		return err
	})
	out := make([]client.Refund, 0, len(list))
	for _, r := range list {
		out = append(out, shownRefund(r))
	}
	return out, err
}

// shownRefund is a refund as the API shows it.
func shownRefund(r *ledger.RefundRecord) client.Refund {
	out := client.Refund{
		RefundID: r.ID, PaymentID: r.PaymentID, Status: r.State().String(), Amount: r.Amount.String(), Reason: r.Reason,
		Created: client.FormatTime(r.Created), Legs: make([]client.RefundLeg, 0, len(r.Legs)), Code: string(r.Code()),
	}
	for i := range r.Legs {
		l := &r.Legs[i]
		out.Legs = append(out.Legs, client.RefundLeg{
			HoldID: l.HoldID, GrantID: l.GrantID, Region: l.Region, Amount: l.Amount.String(), Status: l.State.String(),
			Code: string(l.Code),
		})
	}
	return out
}
