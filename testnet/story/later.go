package story

import (
	"context"
	"fmt"
	"time"

	"gongji/gateway/client"
)

// returned is what the hospital gives back of its bill.
const returned = "86.50"

// refund: a part of the hospital's bill goes back to where it came from.
func (t *teller) refund(ctx context.Context) error {
	t.out.title("4. A refund 退费")
	if t.paid.Status != client.PaymentCaptured {
		t.out.line("Nothing was taken for the hospital's bill, so there is nothing to give back.")
		return nil
	}
	t.out.line("An examination was billed and not done: the hospital gives %s back, to the payer used last first.",
		returned)
	hospital := t.regions[visit]
	r, err := hospital.CreateRefund(ctx, t.paid.PaymentID, client.RefundRequest{
		RequestID: "story-refund-" + t.run, Amount: returned, Reason: "examination not done",
	})
	if err != nil {
		return fmt.Errorf("story: the refund: %w", err)
	}
	err = until(ctx, func(ctx context.Context) (bool, error) {
		if r.Status != client.RefundRequested {
			return true, nil
		}
		var failed error
		r, failed = hospital.Refund(ctx, t.paid.PaymentID, r.RefundID)
		return false, failed
	})
	if err != nil {
		return fmt.Errorf("story: the refund's progress: %w", err)
	}
	for _, l := range r.Legs {
		t.out.line("  %s: %s, %s back on %s's account", place(l.Region), l.Status, l.Amount, t.payerOf(l.GrantID))
	}
	t.out.line("  → refund %s of %s is %s%s.", r.RefundID, r.Amount, r.Status, because(r.Code))
	t.told.Refunds = append(t.told.Refunds, r)
	if r.Status != client.RefundDone {
		return fmt.Errorf("%w: the refund is %s", ErrOther, r.Status)
	}
	return nil
}

// seasonOpens is the month from which the premium is collected in every pilot region.
const seasonOpens = time.September

// premium: a mandate on the son's grant pays the mother's premium of next year by itself.
func (t *teller) premium(ctx context.Context) error {
	t.out.title("5. Next year's premium 居民医保缴费")
	grant := at(t.told.Grants, 1)
	home := t.regions[t.cast.son.Region]
	t.out.line("%s must not lapse: %s lets her premium be paid under his grant (代缴), once a year from September on.",
		t.cast.mother.Name, t.cast.son.Name)
	m, err := home.CreateMandate(ctx, grant, client.MandateRequest{
		RequestID: "story-mandate-" + t.run, Purpose: "resident_premium",
	})
	earlier := codeOf(err) == "conflict" // told again
	if err != nil && !earlier {
		return fmt.Errorf("story: the mandate: %w", err)
	}
	if !earlier {
		t.out.line("  → mandate %s is %s.", m.MandateID, m.Status)
	}
	if t.now.In(t.zone()).Month() < seasonOpens {
		t.out.line("The season has not begun: nothing is taken before September.")
		return nil
	}
	var result *client.PremiumResult
	err = until(ctx, func(ctx context.Context) (bool, error) {
		list, failed := home.Mandates(ctx, grant)
		for _, m := range list.Mandates {
			if n := len(m.Results); n > 0 && m.Status == client.MandateActive {
				result = &m.Results[n-1]
			}
		}
		return result != nil, failed
	})
	if err != nil {
		return fmt.Errorf("story: the premium: %w", err)
	}
	return t.tellPremium(*result)
}

func (t *teller) tellPremium(r client.PremiumResult) error {
	t.told.Premiums = append(t.told.Premiums, r)
	switch r.Status {
	case client.PremiumPaid:
		t.out.line("  → %s registers it: %s for %d, taken from %s's account (payment %s).", place(t.cast.mother.Region),
			r.Amount, r.Year, t.cast.son.Name, r.PaymentID)
	case client.PremiumWaiting, client.PremiumSkipped, client.PremiumFailed:
		t.out.line("  → the premium for %d is %s%s, and the son can read it.", r.Year, r.Status, because(r.Code))
	default:
		return fmt.Errorf("%w: the premium is %s", ErrOther, r.Status)
	}
	return nil
}

// because tells a code, if there is one.
func because(code string) string {
	if code == "" {
		return ""
	}
	return " (" + code + ")"
}

// zone is the zone of every day of the story.
func (t *teller) zone() *time.Location { return time.FixedZone("CST", beijingSeconds) }
