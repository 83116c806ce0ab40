package marked

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gongji/gateway/client"
)

// ErrOther: the regions answered something else than the story expects.
var ErrOther = errors.New("marked: went otherwise")

// Story is everything that can happen to the cast.
type Story struct {
	Cast        Cast
	Visit, Home *client.Client // the regions of the bills and of the beneficiary
	// Raw sends bytes to a node of the region of the bills, and returns the status of the answer.
	Raw func(ctx context.Context, method, path, body string) (int, error)
	// AllYear is set where premiums have no season.
	AllYear bool

	first, second string // grants
	paid          client.Payment
}

// Payments is how many payments Live makes.
const Payments = 12

const (
	askPause = 50 * time.Millisecond
	askMax   = time.Minute
)

// Tell plays all of it.
func (s *Story) Tell(ctx context.Context) error {
	for _, act := range []func(context.Context) error{
		s.Live, s.Refund, s.Premium, s.Read, s.Emergency, s.Leave, s.Misbehave,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Paid is the id of the payment that was refunded.
func (s *Story) Paid() string { return s.paid.PaymentID }

// day is today in Beijing's sense.
func day() string { return time.Now().In(time.FixedZone("CST", 8*60*60)).Format(time.DateOnly) }

// Bill is a payment of a bill of that name.
func (s *Story) Bill(visit string) client.PaymentRequest {
	child := s.Cast.Child
	return client.PaymentRequest{
		RequestID: client.NewRequestID(), Beneficiary: child.API(),
		Credential:  client.Credential{Type: client.CredentialECredential, HolderIDNumber: child.IDNumber},
		Institution: client.Institution{Code: "H31000000001", Kind: "hospital"}, Purpose: "outpatient",
		VisitID: visit, VisitDate: day(), Bill: client.Bill{ID: visit, Total: "60.00", FundPaid: "0.00", SelfBorne: "60.00"},
		Amount: "30.00",
	}
}

// grant makes a grant at the payer's home.
func (s *Story) grant(ctx context.Context, at *client.Client, payer Person) (string, error) {
	text, err := at.Commitment(ctx)
	if err != nil {
		return "", err
	}
	g, err := at.CreateGrant(ctx, client.GrantRequest{
		RequestID: client.NewRequestID(), Payer: payer.API(), Beneficiary: s.Cast.Child.API(), Relation: "child",
		Channel: "portal", Consent: client.Consent{Version: text.Version, Digest: text.Digest, Signature: "c2lnbmF0dXJl"},
		Proofs: []client.Proof{}, ValidFrom: day(),
	})
	if err != nil {
		return "", fmt.Errorf("marked: a grant: %w", err)
	}
	return g.GrantID, s.until(ctx, "the beneficiary's home knows the grant", func(ctx context.Context) (bool, error) {
		child := s.Cast.Child.API()
		list, err := s.Home.SearchGrants(ctx, client.GrantSearch{Beneficiary: &child})
		for _, known := range list.Grants {
			if known.GrantID == g.GrantID {
				return true, err
			}
		}
		return false, err
	})
}

// until asks again until done says so.
func (s *Story) until(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	ticker := time.NewTicker(askPause)
	defer ticker.Stop()
	for {
		if ok, err := done(ctx); ok || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: not %s", ErrOther, what)
		}
	}
}

// Live makes grants, an order, quotes and payments, captured and released.
func (s *Story) Live(ctx context.Context) error {
	var err error
	if s.first, err = s.grant(ctx, s.Visit, s.Cast.Payer); err != nil {
		return err
	}
	if s.second, err = s.grant(ctx, s.Home, s.Cast.Remote); err != nil {
		return err
	}
	_, err = s.Home.SetOrder(ctx, client.OrderRequest{
		RequestID: client.NewRequestID(), Beneficiary: s.Cast.Child.API(), Grants: []string{s.second},
	})
	if err != nil {
		return fmt.Errorf("marked: the order: %w", err)
	}
	patch := client.GrantPatch{RequestID: client.NewRequestID(), PerPaymentLimit: client.Set("500.00")}
	if _, err = s.Visit.PatchGrant(ctx, s.first, patch); err != nil {
		return fmt.Errorf("marked: a grant's limit: %w", err)
	}
	for i := range Payments {
		if err = s.pay(ctx, fmt.Sprint("visit-", i), i%2 == 0); err != nil {
			return err
		}
	}
	return nil
}

// pay asks for a quote, makes a payment and confirms or cancels it.
func (s *Story) pay(ctx context.Context, visit string, confirm bool) error {
	f := s.Bill(visit)
	if _, err := s.Visit.Quote(ctx, f); err != nil {
		return fmt.Errorf("marked: a quote: %w", err)
	}
	p, err := s.Visit.CreatePayment(ctx, f)
	if err != nil {
		return fmt.Errorf("marked: a payment: %w", err)
	}
	if p.Status != client.PaymentHeld {
		return fmt.Errorf("%w: %+v", ErrOther, p)
	}
	if confirm {
		_, err = s.Visit.Confirm(ctx, p.PaymentID, client.Confirmation{RequestID: client.NewRequestID()}, 0)
	} else {
		_, err = s.Visit.Cancel(ctx, p.PaymentID, client.NewRequestID())
	}
	return err
}

// Refund takes a part of a captured payment back.
func (s *Story) Refund(ctx context.Context) error {
	f := s.Bill("to-refund")
	f.Confirm = client.ConfirmAuto
	var err error
	if s.paid, err = s.Visit.CreatePayment(ctx, f); err != nil {
		return fmt.Errorf("marked: a payment: %w", err)
	}
	err = s.until(ctx, "captured", func(ctx context.Context) (bool, error) {
		got, failed := s.Visit.Payment(ctx, s.paid.PaymentID)
		return got.Status == client.PaymentCaptured, failed
	})
	if err != nil {
		return err
	}
	r, err := s.Visit.CreateRefund(ctx, s.paid.PaymentID, client.RefundRequest{
		RequestID: client.NewRequestID(), Amount: "10.00", Reason: "退费",
	})
	if err != nil {
		return fmt.Errorf("marked: a refund: %w", err)
	}
	return s.until(ctx, "refunded", func(ctx context.Context) (bool, error) {
		got, err := s.Visit.Refund(ctx, s.paid.PaymentID, r.RefundID)
		return got.Status == client.RefundDone, err
	})
}

// seasonOpens is the month from which premiums are collected everywhere.
const seasonOpens = time.September

// Premium has next year's premium paid under a mandate; before the season it stays at the mandate.
func (s *Story) Premium(ctx context.Context) error {
	_, err := s.Home.CreateMandate(ctx, s.second, client.MandateRequest{
		RequestID: client.NewRequestID(), Purpose: "resident_premium",
	})
	if err != nil {
		return fmt.Errorf("marked: the mandate: %w", err)
	}
	if !s.AllYear && time.Now().In(time.FixedZone("CST", 8*60*60)).Month() < seasonOpens {
		return nil
	}
	return s.until(ctx, "the premium is paid", func(ctx context.Context) (bool, error) {
		list, err := s.Home.Mandates(ctx, s.second)
		for _, m := range list.Mandates {
			for _, r := range m.Results {
				if r.Status == client.PremiumPaid {
					return true, err
				}
			}
		}
		return false, err
	})
}

// Emergency is declined for want of a grant, and completed when there is one.
func (s *Story) Emergency(ctx context.Context) error {
	if _, err := s.Visit.RevokeGrant(ctx, s.first, client.NewRequestID()); err != nil {
		return fmt.Errorf("marked: the revocation: %w", err)
	}
	f := s.Bill("emergency")
	f.Purpose, f.Grants = "emergency", []string{s.first}
	p, err := s.Visit.CreatePayment(ctx, f)
	if err != nil || p.Status != client.PaymentDeclined {
		return fmt.Errorf("%w: emergency: %+v, %w", ErrOther, p, err)
	}
	if s.first, err = s.grant(ctx, s.Visit, s.Cast.Payer); err != nil {
		return err
	}
	done := client.Completion{RequestID: client.NewRequestID(), Confirm: client.ConfirmAuto}
	if _, err = s.Visit.Complete(ctx, p.PaymentID, done); err != nil {
		return fmt.Errorf("marked: the completion: %w", err)
	}
	return s.until(ctx, "completed", func(ctx context.Context) (bool, error) {
		got, failed := s.Visit.Payment(ctx, p.PaymentID)
		return got.Status == client.PaymentCaptured, failed
	})
}

// Leave ends the mandate, and the beneficiary renounces a grant.
func (s *Story) Leave(ctx context.Context) error {
	if _, err := s.Home.EndMandates(ctx, s.second, client.NewRequestID(), ""); err != nil {
		return fmt.Errorf("marked: the mandate's end: %w", err)
	}
	if _, err := s.Home.RenounceGrant(ctx, s.second, client.NewRequestID()); err != nil {
		return fmt.Errorf("marked: the renunciation: %w", err)
	}
	return nil
}
