package desk

import (
	"context"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire/wirepb"
)

// asking is a payment or quote as far as it is known before the look-up.
type asking struct {
	who    vault.Identity
	form   client.PaymentRequest
	bill   ledger.Bill
	amount money.Amount
	date   policy.Date
	within time.Duration
	rules  *policy.Rules
}

// begin checks what this region can know by itself, in the order of api.md section 1.
func (d *Desk) begin(ctx context.Context, f client.PaymentRequest) (asking, error) {
	rules, err := d.rules()
	if err != nil {
		return asking{}, err
	}
	a := asking{who: identity(f.Beneficiary), form: f, rules: rules}
	if err = a.amounts(); err != nil {
		return a, err
	}
	if f.Credential.Type == client.CredentialKinAccount {
		return a, d.refusal(policy.CodeKinAccount)
	}
	purpose := policy.Purpose(f.Purpose)
	if purpose.Forbidden() {
		return a, d.refusal(policy.CodePurposeForbidden)
	}
	var used money.Amount
	err = d.view(ctx, func(v ledger.View) error {
		var failed error
		used, failed = v.BillUsed(f.Institution.Code, f.Bill.ID)
		return failed
	})
	if err != nil {
		return a, err
	}
	if used+a.amount > a.bill.SelfBorne-a.bill.OwnPaid {
		e := d.refusal(policy.CodeAmountExceedsSelfBorne)
		e.Field = "/amount"
		return a, e
	}
	holder := identity(client.Person{IDType: f.Beneficiary.IDType, IDNumber: f.Credential.HolderIDNumber})
	if holder.Number != a.who.Number {
		return a, d.refusal(policy.CodeCredentialMismatch)
	}
	remote := f.Credential.RemoteUse != nil && *f.Credential.RemoteUse
	if f.Beneficiary.Region != string(d.Self) && f.Credential.Type != client.CredentialECredential && !remote {
		return a, d.refusal(policy.CodeRemoteUseRequired)
	}
	if !rules.Designated(f.Institution.Code, policy.InstitutionKind(f.Institution.Kind), purpose) {
		return a, d.refusal(policy.CodeInstitutionNotDesignated)
	}
	home := federation.Region(f.Beneficiary.Region)
	if !d.Ledger.InForce().PairOpen(d.Now(), home) {
		return a, d.refusal(policy.CodeRegionPairClosed)
	}
	return a, nil
}

// amounts reads the figures of the form.
func (a *asking) amounts() error {
	f := a.form
	fields := []struct {
		text string
		to   *money.Amount
		name string
	}{
		{f.Bill.Total, &a.bill.Total, "/bill/total"},
		{f.Bill.FundPaid, &a.bill.FundPaid, "/bill/fund_paid"},
		{f.Bill.SelfBorne, &a.bill.SelfBorne, "/bill/self_borne"},
		{f.Bill.OwnAccountPaid, &a.bill.OwnPaid, "/bill/own_account_paid"},
		{f.Amount, &a.amount, "/amount"},
	}
	for _, x := range fields {
		if x.text == "" {
			continue
		}
		v, err := policy.ParseAmount(x.text, x.name)
		if err != nil {
			return err
		}
		*x.to = v
	}
	a.bill.ID = f.Bill.ID
	date, err := policy.ParseDay(f.VisitDate, "/visit_date")
	if err != nil {
		return err
	}
	a.date = date
	most := a.rules.DecideWithinSecondsMax
	a.within = time.Duration(most) * time.Second
	if f.DecideWithinSeconds != nil {
		if *f.DecideWithinSeconds > most || *f.DecideWithinSeconds < policy.DecideWithinSecondsMin {
			return policy.Refuse(policy.CodeInvalidRequest, "/decide_within_seconds")
		}
		a.within = time.Duration(*f.DecideWithinSeconds) * time.Second
	}
	return nil
}

// lookUp asks the beneficiary's home. paymentID is empty for a quote, and then the ticket is of no use.
func (d *Desk) lookUp(ctx context.Context, a *asking, paymentID string) (*wirepb.Ticket, []byte, error) {
	f := a.form
	home := federation.Region(f.Beneficiary.Region)
	q := &wirepb.LookUp{
		PaymentId: paymentID, Amount: a.amount.Fen(), SelfBorne: a.bill.SelfBorne.Fen(),
		OwnAccountPaid: a.bill.OwnPaid.Fen(), Credential: f.Credential.Type,
		RemoteUse: f.Credential.RemoteUse != nil && *f.Credential.RemoteUse,
		Grants:    f.Grants, Named: len(f.Grants) > 0, Expires: d.Now().Add(a.within).UnixMicro(),
	}
	got, err := d.Settle.Ask(ctx, home, &wirepb.Body{Kind: &wirepb.Body_LookUp{LookUp: q}}, a.who)
	if err != nil {
		return nil, nil, d.asked(err, home)
	}
	ticket := got.Body.GetTicket()
	if ticket == nil || ticket.GetPaymentId() != paymentID || ticket.GetVisitRegion() != string(d.Self) {
		return nil, nil, d.asked(errAnswer, home)
	}
	if code := policy.Code(ticket.GetCode()); code != "" {
		e := d.refusal(code)
		e.Origin = string(home)
		if code == policy.CodeIdentityMismatch || code == policy.CodeBeneficiaryNotInsured {
			e.Field = "/beneficiary"
		}
		return nil, nil, e
	}
	return ticket, got.Proof, nil
}

// CreatePayment makes a payment and waits for its holds.
func (d *Desk) CreatePayment(
	ctx context.Context, key api.RequestKey, f client.PaymentRequest,
) (client.Payment, api.Written, error) {
	a, err := d.begin(ctx, f)
	if err != nil {
		return client.Payment{}, api.Written{}, err
	}
	id := d.Vault.ID("p-" + string(d.Self))
	ticket, proof, err := d.lookUp(ctx, &a, id)
	if err != nil {
		return client.Payment{}, api.Written{}, err
	}
	c, err := d.payment(&a, key, id, ticket, proof)
	if err != nil {
		return client.Payment{}, api.Written{}, err
	}
	o, err := d.propose(ctx, c)
	if err != nil {
		return client.Payment{}, api.Written{}, err
	}
	if o.Replay {
		earlier, failed := d.Payment(ctx, o.ID)
		return earlier, api.Written{Replay: true}, failed
	}
	wait, cancel := context.WithTimeout(ctx, holdsWait)
	defer cancel()
	p, err := d.await(ctx, wait, id, func(p *ledger.PaymentRecord) bool {
		return p.State != payment.Requested && (p.State != payment.Capturing || !p.AutoConfirm)
	})
	return p, api.Written{Created: true}, err
}

// payment makes the command of a payment.
func (d *Desk) payment(
	a *asking, key api.RequestKey, id string, ticket *wirepb.Ticket, proof []byte,
) (*ledger.CreatePayment, error) {
	f := a.form
	c := &ledger.CreatePayment{
		Request: request(key), PaymentID: id, Credential: f.Credential.Type,
		Institution: f.Institution.Code, InstKind: f.Institution.Kind, Purpose: policy.Purpose(f.Purpose),
		VisitID: f.VisitID, VisitDate: a.date, Bill: a.bill, Amount: a.amount,
		AllowPartial: f.AllowPartial == nil || *f.AllowPartial, AutoConfirm: f.Confirm == client.ConfirmAuto,
		DecideWithin: a.within, Ticket: proof,
	}
	var err error
	if c.Beneficiary, err = d.Vault.Person(a.who, d.Vault.NewNo()); err != nil {
		return nil, err
	}
	if c.Persons, err = d.Vault.Bundle(a.who); err != nil {
		return nil, err
	}
	for _, x := range ticket.GetDeclines() {
		code := policy.Code(x.GetCode())
		if !code.MayDecline() {
			code = policy.CodeGrantNotActive
		}
		c.Offers = append(c.Offers, ledger.Offer{GrantID: x.GetGrantId(), Region: x.GetRegion(), Code: code})
	}
	for _, x := range ticket.GetOffers() {
		o := ledger.Offer{GrantID: x.GetGrantId(), Region: x.GetRegion()}
		if !d.Settle.Reachable(federation.Region(o.Region)) {
			o.Code = policy.CodeRegionUnreachable
		}
		c.Offers = append(c.Offers, o)
	}
	return c, nil
}

// await waits until a payment is as far as enough says, and returns it as it is then.
func (d *Desk) await(
	ctx, wait context.Context, id string, enough func(*ledger.PaymentRecord) bool,
) (client.Payment, error) {
	var last *ledger.PaymentRecord
	err := d.Settle.Wait(wait, id, func() (bool, error) {
		var p *ledger.PaymentRecord
		err := d.view(ctx, func(v ledger.View) error {
			var err error
			p, err = v.Payment(id)
			return err
		})
		if err != nil || p == nil {
			return true, err
		}
		last = p
		return enough(p), nil
	})
	if err != nil {
		return client.Payment{}, err
	}
	if last == nil {
		return client.Payment{}, d.refusal(policy.CodeNotFound)
	}
	return shown(last), nil
}

// Payment reads a payment.
func (d *Desk) Payment(ctx context.Context, id string) (client.Payment, error) {
	var p *ledger.PaymentRecord
	err := d.view(ctx, func(v ledger.View) error {
		var err error
		p, err = v.Payment(id)
		return err
	})
	if err != nil {
		return client.Payment{}, err
	}
	if p == nil {
		return client.Payment{}, d.refusal(policy.CodeNotFound)
	}
	return shown(p), nil
}

// SearchPayments finds payments by request, visit or bill.
func (d *Desk) SearchPayments(
	ctx context.Context, platform string, f client.PaymentSearch,
) ([]client.Payment, string, error) {
	out := []client.Payment{}
	next := ""
	err := d.view(ctx, func(v ledger.View) error {
		if f.RequestID != "" {
			rec, err := v.Request(platform, f.RequestID)
			if err != nil || rec == nil || rec.Thing != ledger.ThingPayment {
				return err
			}
			p, err := v.Payment(rec.ID)
			if p != nil {
				out = append(out, shown(p))
			}
			return err
		}
		found, err := v.PaymentsOf(f.VisitID, f.BillID, f.Cursor, f.Limit+1)
		if len(found) > f.Limit {
			found = found[:f.Limit]
			next = found[f.Limit-1].ID
		}
		for _, p := range found {
			out = append(out, shown(p))
		}
		return err
	})
	return out, next, err
}

// Confirm takes what is held, or a part of it.
func (d *Desk) Confirm(
	ctx context.Context, key api.RequestKey, id string, amount *money.Amount, wait time.Duration,
) (client.Payment, api.Written, error) {
	c := &ledger.Confirm{Request: request(key), PaymentID: id, All: amount == nil}
	if amount != nil {
		c.Amount = *amount
	}
	return d.decide(ctx, c, id, wait)
}

// Cancel gives everything back.
func (d *Desk) Cancel(ctx context.Context, key api.RequestKey, id string) (client.Payment, api.Written, error) {
	return d.decide(ctx, &ledger.Cancel{Request: request(key), PaymentID: id}, id, cancelWait)
}

// cancelWait is how long a cancel waits for the legs: most answer at once.
const cancelWait = 2 * time.Second

func (d *Desk) decide(
	ctx context.Context, c ledger.Command, id string, wait time.Duration,
) (client.Payment, api.Written, error) {
	o, err := d.propose(ctx, c)
	if err != nil {
		return client.Payment{}, api.Written{}, err
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	p, err := d.await(ctx, waiting, id, func(p *ledger.PaymentRecord) bool { return p.State.Final() })
	return p, api.Written{Replay: o.Replay}, err
}

// Quote says what a payment would hold now, without any effect.
func (d *Desk) Quote(ctx context.Context, f client.PaymentRequest) (client.Payment, error) {
	a, err := d.begin(ctx, f)
	if err != nil {
		return client.Payment{}, err
	}
	day := policy.Day(d.Now())
	if a.date > day || a.date < day.AddDays(-ledger.RequestDays) {
		return client.Payment{}, policy.Refuse(policy.CodeInvalidRequest, "/visit_date")
	}
	ticket, _, err := d.lookUp(ctx, &a, "")
	if err != nil {
		return client.Payment{}, err
	}
	p := payment.Payment{
		ID: "p-quote", Amount: a.amount, AllowPartial: f.AllowPartial == nil || *f.AllowPartial,
		DecideBy: d.Now().Add(a.within),
	}
	for _, x := range ticket.GetDeclines() {
		p.Declines = append(p.Declines, payment.Decline{
			GrantID: x.GetGrantId(), Region: x.GetRegion(), Code: policy.Code(x.GetCode()),
		})
	}
	for _, x := range ticket.GetOffers() {
		p.Candidates = append(p.Candidates, payment.Candidate{GrantID: x.GetGrantId(), Region: x.GetRegion()})
	}
	d.play(ctx, &p, &a)
	out := client.Payment{
		Status: p.State.String(), Amount: p.Amount.String(), Held: p.Held.String(),
		Captured: money.Amount(0).String(), Refunded: money.Amount(0).String(), CashDue: p.CashDue().String(),
		Legs: legs(&p), Declines: declines(&p),
	}
	for i := range out.Legs {
		out.Legs[i].HoldID = ""
	}
	return out, nil
}

// play runs the origin's own state table with quotes in the place of holds, so that a quote and a payment decide alike.
func (d *Desk) play(ctx context.Context, p *payment.Payment, a *asking) {
	effects := p.Start(d.Now())
	for len(effects) > 0 && effects[0].Do == payment.AskHold {
		l := &p.Legs[effects[0].Leg]
		q := &wirepb.Quote{
			GrantId: l.GrantID, Amount: l.Asked.Fen(), Purpose: a.form.Purpose,
			Institution: a.form.Institution.Code, VisitId: a.form.VisitID,
		}
		home := federation.Region(l.Region)
		var got *wirepb.QuoteAnswer
		code := policy.CodeRegionUnreachable
		if d.Ledger.InForce().PairOpen(d.Now(), home) {
			if answer, err := d.Settle.Ask(ctx, home, &wirepb.Body{Kind: &wirepb.Body_Quote{Quote: q}}, a.who); err == nil {
				got = answer.Body.GetQuoteAnswer()
			}
		} else {
			code = policy.CodeRegionPairClosed
		}
		switch {
		case got == nil:
			effects = p.Refused(d.Now(), l.HoldID, code)
		case got.GetCode() != "":
			effects = p.Refused(d.Now(), l.HoldID, policy.Code(got.GetCode()))
		default:
			l.Payer, l.PayerName = got.GetPayer(), got.GetPayerName()
			effects = p.Placed(d.Now(), l.HoldID, money.Amount(got.GetAmount()), policy.Code(got.GetLimitedBy()))
		}
	}
	if p.State == payment.Releasing { // nothing is held for a quote, so nothing is waited for
		p.State = payment.Declined
	}
}

// shown is a payment as the API shows it.
func shown(p *ledger.PaymentRecord) client.Payment {
	out := client.Payment{
		PaymentID: p.ID, Status: p.State.String(), Amount: p.Amount.String(), Held: p.Held.String(),
		Captured: p.CapturedSum().String(), Refunded: money.Amount(0).String(), CashDue: p.CashDue().String(),
		DecideBy: client.FormatTime(p.DecideBy), Legs: legs(&p.Payment), Declines: declines(&p.Payment),
	}
	if s := p.Shortfall(); s > 0 {
		out.Shortfall = s.String()
	}
	return out
}

// legs shows who pays. What was held on the way to a decline, or by a payer that was given up, stands in no answer.
func legs(p *payment.Payment) []client.Leg {
	out := []client.Leg{}
	if p.Cause == payment.CauseShort || p.State == payment.Declined {
		return out
	}
	for i := range p.Legs {
		l := &p.Legs[i]
		if l.GivenUp || l.State == payment.LegDeclined || l.Amount == 0 {
			continue
		}
		leg := client.Leg{
			HoldID: l.HoldID, GrantID: l.GrantID, Region: l.Region, Status: l.State.String(),
			Payer:  client.MaskedPerson{IDNumber: l.Payer, Name: l.PayerName, Region: l.Region},
			Amount: l.Amount.String(), Captured: l.Captured.String(), Refunded: money.Amount(0).String(),
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
			GrantID: x.GrantID, Region: x.Region, Code: string(x.Code),
			Message: x.Code.Message(), MessageZH: x.Code.MessageZH(),
		})
	}
	return out
}
