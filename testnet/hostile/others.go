package hostile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gongji/gateway/client"
	"gongji/testnet/check"
	"gongji/testnet/load"
	"gongji/testnet/topology"
)

const (
	confirmWait = 10 * time.Second
	endWait     = 30 * time.Second // until a payment has ended
	othersPay   = "80.00"
)

// Others are the members that mean well: what they do, and what the attacks are not to change.
type Others struct {
	Regions map[string]load.API
	Pairs   []topology.Pair // at least two, of the same payer's home
	Source  check.Source
}

// Facts makes what the attacker is after: two grants, a payment that is held, and one that is captured.
func (o *Others) Facts(ctx context.Context) (Facts, error) {
	f := Facts{Pair: o.Pairs[0]}
	var err error
	if f.Grant, err = load.Grant(ctx, o.Regions, o.Pairs[0]); err != nil {
		return f, err
	}
	if f.OtherGrant, err = load.Grant(ctx, o.Regions, o.Pairs[1]); err != nil {
		return f, err
	}
	if f.Open.Payment, err = o.held(ctx, f.Pair); err != nil {
		return f, err
	}
	if f.Taken.Payment, err = o.held(ctx, f.Pair); err != nil {
		return f, err
	}
	if err = o.Confirm(ctx, f.Pair, f.Taken.Payment); err != nil {
		return f, err
	}
	err = o.Source.Audit(ctx, f.Pair.Payer.Region, func(l client.AuditLine) error {
		switch {
		case l.Hold == nil:
		case l.Hold.PaymentID == f.Open.Payment:
			f.Open.Hold = l.Hold.ID
		case l.Hold.PaymentID == f.Taken.Payment:
			f.Taken.Hold = l.Hold.ID
		}
		return nil
	})
	if err == nil && (f.Open.Hold == "" || f.Taken.Hold == "") {
		err = errors.New("hostile: the payer's home has no holds for the payments")
	}
	return f, err
}

// held asks for a payment of the pair.
func (o *Others) held(ctx context.Context, pair topology.Pair) (string, error) {
	id, b := client.NewRequestID(), pair.Beneficiary
	p, err := o.Regions[pair.Visit].CreatePayment(ctx, client.PaymentRequest{
		RequestID: id,
		Beneficiary: client.Person{
			IDType: client.IDTypeResident, IDNumber: b.IDNumber, Name: b.Name, Region: b.Region,
		},
		Credential:  client.Credential{Type: client.CredentialECredential, HolderIDNumber: b.IDNumber},
		Institution: client.Institution{Code: "H" + pair.Visit + "00001", Kind: "hospital"}, Purpose: "outpatient",
		VisitID: id, VisitDate: time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly),
		Bill: client.Bill{ID: id, Total: othersPay, FundPaid: "0.00", SelfBorne: othersPay}, Amount: othersPay,
	})
	if err == nil && p.Status != client.PaymentHeld {
		err = fmt.Errorf("hostile: payment %s is %s, %v", p.PaymentID, p.Status, p.Declines)
	}
	return p.PaymentID, err
}

// Confirm has a payment captured, and waits until it is.
func (o *Others) Confirm(ctx context.Context, pair topology.Pair, payment string) error {
	ctx, cancel := context.WithTimeout(ctx, endWait)
	defer cancel()
	region := o.Regions[pair.Visit]
	p, err := region.Confirm(ctx, payment, client.Confirmation{RequestID: client.NewRequestID()}, confirmWait)
	for err == nil && p.Status == client.PaymentCapturing {
		if !pause(ctx) {
			return ctx.Err()
		}
		p, err = region.Payment(ctx, payment)
	}
	if err == nil && p.Status != client.PaymentCaptured {
		err = fmt.Errorf("hostile: payment %s is %s", payment, p.Status)
	}
	return err
}

// Books are the accounts, holds, payments and grants of every region, each as a line of its audit. Of what the fourth
// member asked for only what was given counts.
type Books map[string]string

// Books reads them. It is for a federation at rest.
func (o *Others) Books(ctx context.Context) (Books, error) {
	out := Books{}
	for code := range o.Regions {
		err := o.Source.Audit(ctx, code, func(l client.AuditLine) error {
			var key string
			switch {
			case l.Account != nil:
				key = "account " + l.Account.Account
			case l.Hold != nil && strings.HasPrefix(l.Hold.ID, "h-"+topology.Fourth) && given(l.Hold) == 0:
				return nil
			case l.Hold != nil:
				key = "hold " + l.Hold.ID
			case l.Payment != nil:
				key = "payment " + l.Payment.ID
			case l.Grant != nil:
				key = "grant " + l.Grant.ID
			default:
				return nil
			}
			raw, err := json.Marshal(l)
			out[code+" "+key] = string(raw)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// given is what a hold took or could take, in fen.
func given(h *client.AuditHold) int64 {
	return max(h.Amount, h.Take, h.Captured, h.CoreHeld, h.CoreCaptured)
}

// changedMax is how many changes are told.
const changedMax = 10

// Changed says what is otherwise than before; nothing when all is as it was.
func (b Books) Changed(before Books) []string {
	var out []string
	for key, line := range b {
		if before[key] != line {
			out = append(out, fmt.Sprintf("%s: %s; it was: %s", key, line, before[key]))
		}
	}
	for key, line := range before {
		if _, ok := b[key]; !ok {
			out = append(out, fmt.Sprintf("%s is gone; it was: %s", key, line))
		}
	}
	slices.Sort(out)
	return out[:min(len(out), changedMax)]
}
