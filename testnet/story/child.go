package story

import (
	"context"
	"fmt"

	"gongji/gateway/client"
)

// trip is where the grandchild falls ill.
const trip = "110000"

// emergency: nobody is bound to the child yet; the bill is settled by a grant made afterwards.
func (t *teller) emergency(ctx context.Context) error {
	c := t.cast
	t.out.title("6. An emergency 急诊, and the grant afterwards")
	t.out.line("%s, 9, falls ill on a school trip to %s and is treated at once.",
		c.grandchild.Name, place(trip))
	p, err := t.regions[trip].CreatePayment(ctx, t.child("emergency", trip, "emergency", "320.00"))
	if err != nil {
		return fmt.Errorf("story: the emergency: %w", err)
	}
	if p.Status == client.PaymentDeclined && p.CompletableUntil != "" {
		t.out.line("Nobody has made a grant for her.")
		t.out.line("  → %s: %s, %s is due in cash, and can still be settled by a grant made before %s.", place(trip),
			p.Status, p.CashDue, day(p.CompletableUntil))
	} else {
		t.out.line("  → %s: %s, under a grant of before.", place(trip), p.Status)
	}
	if err = t.grantForChild(ctx); err != nil {
		return err
	}
	if p.Status == client.PaymentDeclined {
		t.out.line("The hospital in %s completes the payment (补办结算).", place(trip))
		p, err = t.regions[trip].Complete(ctx, p.PaymentID, client.Completion{
			RequestID: "story-complete-" + t.run, Confirm: client.ConfirmAuto,
		})
	} else {
		p, err = t.confirmed(ctx, p, "emergency")
	}
	if err == nil {
		p, err = t.ended(ctx, p, client.PaymentCapturing)
	}
	if err != nil {
		return fmt.Errorf("story: the completion: %w", err)
	}
	if p.Status == client.PaymentDeclined {
		return t.nothingLeft(p)
	}
	return t.tellCaptured(p)
}

// day cuts the day out of a time.
func day(at string) string {
	const length = len("2006-01-02")
	return at[:min(length, len(at))]
}

// grantForChild: the father consents, from a distance.
func (t *teller) grantForChild(ctx context.Context) error {
	c := t.cast
	before := len(t.told.Grants)
	if err := t.grant(ctx, payer{person: c.youngest, to: c.grandchild, relation: "child"}); err != nil {
		return err
	}
	t.father = t.told.Grants[before]
	return nil
}

func (t *teller) confirmed(ctx context.Context, p client.Payment, what string) (client.Payment, error) {
	region := t.regions[regionOf(p)]
	p, err := region.Confirm(ctx, p.PaymentID, client.Confirmation{RequestID: "story-confirm-" + what + "-" + t.run},
		confirmWait)
	if err != nil {
		return p, err
	}
	return t.ended(ctx, p, client.PaymentCapturing)
}

// limit: Shanghai gives only so much to one outpatient visit, and says so.
func (t *teller) limit(ctx context.Context) error {
	t.out.title("7. A limit that bites 限额")
	t.out.line("Back home in %s the child sees a doctor: 640.00 are self-borne.", place(visit))
	p, err := t.regions[visit].CreatePayment(ctx, t.child("doctor", visit, "outpatient", "640.00"))
	if err != nil {
		return fmt.Errorf("story: the doctor's payment: %w", err)
	}
	t.tellHeld(p)
	if p.Status != client.PaymentHeld {
		return t.nothingLeft(p)
	}
	if err = t.explain(ctx, p.Legs); err != nil {
		return err
	}
	if p, err = t.confirmed(ctx, p, "doctor"); err != nil {
		return fmt.Errorf("story: the doctor's confirmation: %w", err)
	}
	return t.tellCaptured(p)
}

// explain tells which rule of the payer's home, or which wish of the payer, kept a leg below what was asked.
func (t *teller) explain(ctx context.Context, legs []client.Leg) error {
	for _, l := range legs {
		rules, err := t.regions[l.Region].Rules(ctx)
		if err != nil {
			return fmt.Errorf("story: the rules: %w", err)
		}
		why := ""
		switch l.LimitedBy {
		case "visit_limit":
			why = "its rules give at most " + rules.VisitLimits["outpatient"] + " to one outpatient visit, whatever the bill"
		case "annual_quota":
			why = "its rules share " + rules.AnnualShare + " of what stood in the account when the year began"
		case "retained_floor":
			why = "its rules keep " + rules.RetainedFloor + " in every account"
		case "payment_limit":
			why = t.payerOf(l.GrantID) + " allows no more for one payment"
		}
		if why != "" {
			t.out.line("  Why not more? %s: %s, %s.", l.LimitedBy, place(l.Region), why)
		}
	}
	return nil
}

// revoked: the father takes his consent back; what was paid stays paid, and nothing new is taken.
func (t *teller) revoked(ctx context.Context) error {
	t.out.title("8. A revoked grant 撤销授权")
	c := t.cast
	g, err := t.regions[c.youngest.Region].RevokeGrant(ctx, t.father, "story-revoke-"+t.run)
	if err != nil {
		return fmt.Errorf("story: the revocation: %w", err)
	}
	t.out.line("%s revokes his grant: %s is %s. What was captured stays captured.", c.youngest.Name, g.GrantID, g.Status)
	request := t.child("medicine", visit, "drug", "45.00")
	request.Institution = client.Institution{Code: "P" + visit + "00001", Kind: "pharmacy"}
	p, err := t.regions[visit].CreatePayment(ctx, request)
	if err != nil {
		return fmt.Errorf("story: the medicine: %w", err)
	}
	t.told.Payments = append(t.told.Payments, p)
	t.out.line("The pharmacy asks for 45.00 more.")
	t.out.line("  → %s: %s, nobody's account is touched; %s is due in cash (现金).", place(visit), p.Status, p.CashDue)
	if p.Status != client.PaymentDeclined {
		return fmt.Errorf("%w: the payment is %s", ErrOther, p.Status)
	}
	return nil
}

// child is a hospital's payment for the grandchild, all of it self-borne.
func (t *teller) child(what, region, purpose, amount string) client.PaymentRequest {
	r := t.request(what, client.Institution{Code: "H" + region + "00001", Kind: "hospital"}, purpose,
		client.Bill{Total: amount, FundPaid: "0.00", SelfBorne: amount})
	r.Beneficiary = api(t.cast.grandchild)
	r.Credential.HolderIDNumber = t.cast.grandchild.IDNumber
	return r
}
