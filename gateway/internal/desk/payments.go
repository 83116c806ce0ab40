package desk

import (
	"context"
	"log/slog"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/evidence"
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
		d.Audit("impersonation", slog.String("beneficiary", f.Beneficiary.Masked().IDNumber),
			slog.String("home", f.Beneficiary.Region), slog.String("credential", f.Credential.Type),
			slog.String("institution", f.Institution.Code), slog.String("visit", f.VisitID))
		return a, d.refusal(policy.CodeCredentialMismatch)
	}
	remote := f.Credential.RemoteUse != nil && *f.Credential.RemoteUse
	if f.Beneficiary.Region != string(d.Self) && f.Credential.Type != client.CredentialECredential && !remote {
		return a, d.refusal(policy.CodeRemoteUseRequired)
	}
	if !rules.Designated(f.Institution.Code, policy.InstitutionKind(f.Institution.Kind), purpose) {
		return a, d.refusal(policy.CodeInstitutionNotDesignated)
	}
	return a, d.mayBegin(federation.Region(f.Beneficiary.Region))
}

// mayBegin refuses what would end in a new hold where none may begin now.
func (d *Desk) mayBegin(with federation.Region) error {
	in, now := d.Ledger.InForce(), d.Now()
	if in.DirectoryExpired(now) {
		e := d.refusal(policy.CodeRegionUnreachable)
		e.Detail = "The federation's directory has expired: no new hold begins before the next one is in force."
		e.DetailZH = "联网目录已过期，新目录生效前不办理新的资金冻结。"
		return e
	}
	if !in.PairOpen(now, with) {
		return d.refusal(policy.CodeRegionPairClosed)
	}
	return nil
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
		return d.earlier(ctx, key, err)
	}
	id := d.Vault.TimedID("p-"+string(d.Self), d.Now())
	ticket, proof, err := d.lookUp(ctx, &a, id)
	if err != nil {
		return d.earlier(ctx, key, err)
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
	p, err := d.await(ctx, wait, id, answered)
	return p, api.Written{Created: true}, err
}

// answered reports whether a new payment is as far as its request waits for: the holds are decided, what was held for
// nothing is given back, and an automatic confirm has taken. A leg that was given up is waited for by nobody.
func answered(p *ledger.PaymentRecord) bool {
	switch {
	case p.State == payment.Requested:
		return false
	case p.State == payment.Capturing:
		return !p.AutoConfirm
	case !short(&p.Payment):
		return true
	}
	for i := range p.Legs {
		if l := &p.Legs[i]; !l.GivenUp && !l.Earlier && !l.State.Final() {
			return false
		}
	}
	return true
}

// earlier answers a request that was refused before the log: if the same one was done meanwhile, the refusal may come
// of that (its own amount stands on the bill), and what it made is the answer.
func (d *Desk) earlier(ctx context.Context, key api.RequestKey, refusal error) (client.Payment, api.Written, error) {
	kind, id, seen, err := d.Seen(ctx, key)
	switch {
	case seen && err != nil:
		return client.Payment{}, api.Written{}, err
	case !seen || kind != ledger.ThingPayment:
		return client.Payment{}, api.Written{}, refusal
	}
	p, err := d.Payment(ctx, id)
	return p, api.Written{Replay: true}, err
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
		DecideWithin: a.within,
	}
	var err error
	if c.Beneficiary, err = d.Vault.Person(a.who, d.Vault.NewNo()); err != nil {
		return nil, err
	}
	if c.Ticket, c.Persons, err = d.committed(proof, a.who); err != nil {
		return nil, err
	}
	c.Offers = d.offers(ticket)
	return c, nil
}

// committed makes what hold requests show and carry: the ticket without its salt, and the person, committed to as in
// the ticket. So the payer's home can check both, and what stands in evidence opens nobody's identity.
func (d *Desk) committed(ticket []byte, who vault.Identity) ([]byte, ledger.Bundle, error) {
	b, err := d.Vault.Bundle(who)
	if err != nil {
		return nil, b, err
	}
	blind, salt, digest := evidence.Blind(ticket)
	if digest != ([federation.HashSize]byte{}) &&
		digest == federation.PersonsDigest(d.Settle.Sealer.Hash, salt, vault.Clear(who)) {
		b.Salt, b.Digest = salt, digest
		return blind, b, nil
	}
	return ticket, b, nil
}

// offers are the grants of a ticket as the log is told of them, those that cannot be asked with the reason.
func (d *Desk) offers(ticket *wirepb.Ticket) []ledger.Offer {
	var offers []ledger.Offer
	for _, x := range ticket.GetDeclines() {
		code := policy.Code(x.GetCode())
		if !code.MayDecline() {
			code = policy.CodeGrantNotActive
		}
		offers = append(offers, ledger.Offer{GrantID: x.GetGrantId(), Region: x.GetRegion(), Code: code})
	}
	for _, x := range ticket.GetOffers() {
		o := ledger.Offer{GrantID: x.GetGrantId(), Region: x.GetRegion()}
		if !d.Settle.Reachable(federation.Region(o.Region)) {
			o.Code = policy.CodeRegionUnreachable
		}
		offers = append(offers, o)
	}
	return offers
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
