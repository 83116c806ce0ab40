package story

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gongji/gateway/client"
	"gongji/testnet/topology"
)

const (
	visit       = "310000" // where the bills arise
	confirmWait = 5 * time.Second
)

func (t *teller) prologue() {
	c, o := t.cast, t.out
	o.title("A family over three provinces 一家三地")
	o.line("%s, 72, is insured in the resident scheme (城乡居民) of %s and has no account of her own.", c.mother.Name,
		place(c.mother.Region))
	o.line("%s, her daughter, has a personal account (个人账户) in %s.", c.daughter.Name, place(c.daughter.Region))
	o.line("%s, her son, has one in %s.", c.son.Name, place(c.son.Region))
	o.line("She visits her youngest son %s and his daughter %s in %s, and falls ill there.", c.youngest.Name,
		c.grandchild.Name, place(visit))
}

// payer is one grant to be made.
type payer struct {
	person     topology.Person
	to         topology.Person
	relation   string // what to is to the payer
	perPayment string
}

func (t *teller) payers() []payer {
	return []payer{
		{person: t.cast.daughter, to: t.cast.mother, relation: "parent"},
		{person: t.cast.son, to: t.cast.mother, relation: "parent", perPayment: "1000.00"},
	}
}

// grants: both children consent, and the daughter's account is to be used first.
func (t *teller) grants(ctx context.Context) error {
	t.out.title("1. Two grants 授权")
	for _, p := range t.payers() {
		if err := t.grant(ctx, p); err != nil {
			return err
		}
	}
	if err := t.known(ctx); err != nil {
		return err
	}
	order, err := t.regions[t.cast.mother.Region].SetOrder(ctx, client.OrderRequest{
		RequestID: "story-order-" + t.run, Beneficiary: api(t.cast.mother), Grants: t.told.Grants,
	})
	if err != nil {
		return fmt.Errorf("story: the order: %w", err)
	}
	t.out.line("%s notes the order: first %s, then %s.", place(t.cast.mother.Region), t.payerOf(at(order.Grants, 0)),
		t.payerOf(at(order.Grants, 1)))
	return nil
}

// known waits until the beneficiary's home has heard of both grants.
func (t *teller) known(ctx context.Context) error {
	mother := api(t.cast.mother)
	return until(ctx, func(ctx context.Context) (bool, error) {
		list, err := t.regions[mother.Region].SearchGrants(ctx, client.GrantSearch{Beneficiary: &mother})
		if err != nil {
			return false, fmt.Errorf("story: the grants at home: %w", err)
		}
		found := 0
		for _, g := range list.Grants {
			if slices.Contains(t.told.Grants, g.GrantID) {
				found++
			}
		}
		return found == len(t.told.Grants), nil
	})
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

func (t *teller) grant(ctx context.Context, p payer) error {
	home := t.regions[p.person.Region]
	text, err := home.Commitment(ctx)
	if err != nil {
		return fmt.Errorf("story: the commitment: %w", err)
	}
	proof := sha256.Sum256([]byte("household register of family 1"))
	limit := "with no limit of " + p.person.Name + "'s own"
	if p.perPayment != "" {
		limit = "at most " + p.perPayment + " for one payment"
	}
	t.out.line("%s reads the commitment %s (承诺书) and signs it in the national app, %s.", p.person.Name, text.Version,
		limit)
	g, err := home.CreateGrant(ctx, client.GrantRequest{
		RequestID: fmt.Sprintf("story-grant-%d-%s", len(t.told.Grants)+1, t.run), Payer: api(p.person),
		Beneficiary: api(p.to), Relation: p.relation, Channel: "national_app",
		Consent:   client.Consent{Version: text.Version, Digest: text.Digest, Signature: signature(p.person)},
		Proofs:    []client.Proof{{Kind: "household_register", Digest: hex.EncodeToString(proof[:])}},
		ValidFrom: t.today, PerPaymentLimit: p.perPayment,
	})
	if codeOf(err) == "duplicate_grant" {
		return t.earlierGrant(ctx, p)
	}
	if err != nil {
		return fmt.Errorf("story: a grant: %w", err)
	}
	t.out.line("  → %s checked both insurances: grant %s is %s.", place(p.person.Region), g.GrantID, g.Status)
	t.told.Grants = append(t.told.Grants, g.GrantID)
	return nil
}

// earlierGrant finds what an earlier telling made.
func (t *teller) earlierGrant(ctx context.Context, p payer) error {
	person := api(p.person)
	list, err := t.regions[p.person.Region].SearchGrants(ctx, client.GrantSearch{Payer: &person})
	if err != nil {
		return fmt.Errorf("story: the grants of before: %w", err)
	}
	for _, g := range list.Grants {
		if g.Status == client.GrantActive {
			t.out.line("  → %s: grant %s was made before and is %s.", place(p.person.Region), g.GrantID, g.Status)
			t.told.Grants = append(t.told.Grants, g.GrantID)
			return nil
		}
	}
	return fmt.Errorf("%w: a duplicate grant that cannot be found", ErrOther)
}

// hospital: one bill, two accounts, the rest in cash.
func (t *teller) hospital(ctx context.Context) error {
	t.out.title("2. A hospital bill 医院账单, two accounts")
	request := t.request("hospital", client.Institution{Code: "H" + visit + "00001", Kind: "hospital"}, "inpatient",
		client.Bill{Total: "5286.50", FundPaid: "4000.00", SelfBorne: "1286.50"})
	t.out.line("The hospital in %s bills 5286.50; the funds (统筹基金) pay 4000.00; 1286.50 is self-borne (个人负担).",
		place(visit))
	p, err := t.regions[visit].CreatePayment(ctx, request)
	if err != nil {
		return fmt.Errorf("story: the hospital's payment: %w", err)
	}
	t.tellHeld(p)
	if p.Status != client.PaymentHeld {
		return t.nothingLeft(p)
	}
	if err = t.explain(ctx, p.Legs); err != nil {
		return err
	}
	t.out.line("%s agrees at the counter, and the hospital confirms (确认).", t.cast.mother.Name)
	decision := client.Confirmation{RequestID: "story-confirm-" + t.run}
	p, err = t.regions[visit].Confirm(ctx, p.PaymentID, decision, confirmWait)
	if err == nil {
		p, err = t.ended(ctx, p, client.PaymentCapturing)
	}
	if err != nil {
		return fmt.Errorf("story: the confirmation: %w", err)
	}
	t.paid = p
	return t.tellCaptured(p)
}

func (t *teller) tellCaptured(p client.Payment) error {
	t.told.Payments = append(t.told.Payments, p)
	for _, l := range p.Legs {
		t.out.line("  %s: %s, %s taken from %s's account", place(l.Region), l.Status, l.Captured, t.payerOf(l.GrantID))
	}
	t.out.line("Captured (扣款) %s; %s is left to pay in cash (现金).", p.Captured, p.CashDue)
	if p.Status != client.PaymentCaptured {
		return fmt.Errorf("%w: the payment is %s", ErrOther, p.Status)
	}
	return nil
}

// pharmacy: a payment that is held and then cancelled.
func (t *teller) pharmacy(ctx context.Context) error {
	t.out.title("3. A pharmacy 药店, and a change of mind")
	request := t.request("pharmacy", client.Institution{Code: "P" + visit + "00001", Kind: "pharmacy"}, "drug",
		client.Bill{Total: "86.00", FundPaid: "0.00", SelfBorne: "86.00"})
	p, err := t.regions[visit].CreatePayment(ctx, request)
	if err != nil {
		return fmt.Errorf("story: the pharmacy's payment: %w", err)
	}
	t.tellHeld(p)
	if p.Status != client.PaymentHeld {
		return t.nothingLeft(p)
	}
	t.out.line("The medicine is out of stock; the pharmacy cancels (撤销).")
	p, err = t.regions[visit].Cancel(ctx, p.PaymentID, "story-cancel-"+t.run)
	if err == nil {
		p, err = t.ended(ctx, p, client.PaymentReleasing)
	}
	if err != nil {
		return fmt.Errorf("story: the cancellation: %w", err)
	}
	t.told.Payments = append(t.told.Payments, p)
	t.out.line("  → %s: whatever was held is given back (解冻).", p.Status)
	if p.Status != client.PaymentReleased {
		return fmt.Errorf("%w: the payment is %s", ErrOther, p.Status)
	}
	return nil
}

// ended asks on while a payment is on its way out of a status.
func (t *teller) ended(ctx context.Context, p client.Payment, status string) (client.Payment, error) {
	err := until(ctx, func(ctx context.Context) (bool, error) {
		if p.Status != status {
			return true, nil
		}
		var err error
		p, err = t.regions[regionOf(p)].Payment(ctx, p.PaymentID)
		return false, err
	})
	return p, err
}

// refusals: what no federation may do.
func (t *teller) refusals(ctx context.Context) error {
	t.out.title("9. Two refusals 拒付")
	hospital := client.Institution{Code: "H" + visit + "00001", Kind: "hospital"}
	bill := client.Bill{Total: "30.00", FundPaid: "0.00", SelfBorne: "30.00"}

	kin := t.request("kin", hospital, "outpatient", bill)
	kin.Credential.Type = client.CredentialKinAccount
	t.out.line("Somebody shows a kin account (亲情账户) instead of %s's own credential.", t.cast.mother.Name)
	if err := t.refused(ctx, kin, "kin_account"); err != nil {
		return err
	}
	gym := t.request("fitness", hospital, "fitness", bill)
	t.out.line("Somebody bills a gym (健身) as a medical expense.")
	return t.refused(ctx, gym, "purpose_forbidden")
}

func (t *teller) refused(ctx context.Context, r client.PaymentRequest, code string) error {
	_, err := t.regions[visit].CreatePayment(ctx, r)
	if err == nil {
		return fmt.Errorf("%w: nobody refused what is %s", ErrOther, code)
	}
	var problem *client.ProblemError
	if !errors.As(err, &problem) || problem.Problem.Code != code {
		return fmt.Errorf("%w: want %s, got %w", ErrOther, code, err)
	}
	t.told.Refusals = append(t.told.Refusals, code)
	said := problem.Problem
	t.out.line("  → %s refuses: %s, %s %s", place(said.Origin), code, said.Title, said.TitleZH)
	return nil
}

// request is a payment of the whole self-borne part, with the mother's own credential.
func (t *teller) request(what string, at client.Institution, purpose string, bill client.Bill) client.PaymentRequest {
	bill.ID = "story-" + what + "-" + t.run
	return client.PaymentRequest{
		RequestID: "story-pay-" + what + "-" + t.run, Beneficiary: api(t.cast.mother),
		Credential:  client.Credential{Type: client.CredentialECredential, HolderIDNumber: t.cast.mother.IDNumber},
		Institution: at, Purpose: purpose, VisitID: "story-visit-" + what + "-" + t.run, VisitDate: t.today,
		Bill: bill, Amount: bill.SelfBorne,
	}
}

// tellHeld tells which region answered what.
func (t *teller) tellHeld(p client.Payment) {
	t.out.line("%s asks the payers in order for %s:", place(regionOf(p)), p.Amount)
	for _, d := range p.Declines {
		t.out.line("  %s: declined, %s %s", place(d.Region), d.Code, d.MessageZH)
	}
	for _, l := range p.Legs {
		why := ""
		if l.LimitedBy != "" {
			why = ", limited by " + l.LimitedBy
		}
		t.out.line("  %s: %s held (冻结) on %s's account%s", place(l.Region), l.Amount, t.payerOf(l.GrantID), why)
	}
	t.out.line("Payment %s is %s: held %s of %s, cash %s.", p.PaymentID, p.Status, p.Held, p.Amount, p.CashDue)
}

// nothingLeft: told again and again on the same data, the story uses the accounts up.
func (t *teller) nothingLeft(p client.Payment) error {
	t.told.Payments = append(t.told.Payments, p)
	if p.Status != client.PaymentDeclined {
		return fmt.Errorf("%w: the payment is %s", ErrOther, p.Status)
	}
	t.out.line("Nobody has anything left this year: all of it is paid in cash (现金).")
	return nil
}

// regionOf is the region in a payment's id, where the bill arose.
func regionOf(p client.Payment) string {
	if parts := strings.Split(p.PaymentID, "-"); len(parts) > 1 {
		return parts[1]
	}
	return visit
}

func (t *teller) payerOf(grant string) string {
	if grant != "" && grant == t.father {
		return t.cast.youngest.Name
	}
	for i, p := range t.payers() {
		if at(t.told.Grants, i) == grant && grant != "" {
			return p.person.Name
		}
	}
	return "another payer"
}
