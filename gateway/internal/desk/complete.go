package desk

import (
	"context"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

// Complete asks again for the holds of an emergency that was declined, after a grant was made, and waits for
// them as a new payment does. What the form leaves out is as the payment had it.
func (d *Desk) Complete(
	ctx context.Context, key api.RequestKey, id string, f client.Completion,
) (client.Payment, api.Written, error) {
	var p *ledger.PaymentRecord
	err := d.view(ctx, func(v ledger.View) error {
		var failed error
		p, failed = v.Payment(id)
		return failed
	})
	switch {
	case err != nil:
		return client.Payment{}, api.Written{}, err
	case p == nil:
		return client.Payment{}, api.Written{}, d.refusal(policy.CodeNotFound)
	}
	c, err := d.completion(ctx, key, p, f)
	if err != nil {
		return d.earlier(ctx, key, err)
	}
	o, err := d.propose(ctx, c)
	if err != nil {
		return client.Payment{}, api.Written{}, err
	}
	wait, cancel := context.WithTimeout(ctx, holdsWait)
	defer cancel()
	out, err := d.await(ctx, wait, id, answered)
	return out, api.Written{Replay: o.Replay}, err
}

// completion makes the command: it asks the beneficiary's home for the grants of now. Bill, institution and credential
// were judged when the payment was made and are not judged again.
func (d *Desk) completion(
	ctx context.Context, key api.RequestKey, p *ledger.PaymentRecord, f client.Completion,
) (*ledger.Complete, error) {
	if code := p.Completable(d.Now()); code != "" {
		return nil, d.refusal(code)
	}
	a, err := d.askingAgain(p, f)
	if err != nil {
		return nil, err
	}
	if err = d.mayBegin(federation.Region(a.who.Region)); err != nil {
		return nil, err
	}
	ticket, proof, err := d.lookUp(ctx, &a, p.ID)
	if err != nil {
		return nil, err
	}
	c := &ledger.Complete{
		Request: request(key), PaymentID: p.ID, AutoConfirm: p.AutoConfirm, DecideWithin: a.within,
		Offers: d.offers(ticket),
	}
	shown, persons, err := d.committed(proof, a.who)
	if err != nil {
		return nil, err
	}
	c.Ticket, c.Persons = shown, &persons
	who, err := d.Vault.Person(a.who, d.Vault.NewNo())
	if err != nil {
		return nil, err
	}
	c.Beneficiary = &who
	if f.Confirm != "" {
		c.AutoConfirm = f.Confirm == client.ConfirmAuto
	}
	return c, nil
}

// askingAgain is what the payment asked, as its look-up needs it.
func (d *Desk) askingAgain(p *ledger.PaymentRecord, f client.Completion) (asking, error) {
	rules, err := d.rules()
	if err != nil {
		return asking{}, err
	}
	most := time.Duration(rules.DecideWithinSecondsMax) * time.Second
	a := asking{bill: p.Bill, amount: p.Amount, date: p.VisitDate, rules: rules, within: min(p.DecideWithin, most)}
	if f.DecideWithinSeconds != nil {
		a.within = time.Duration(*f.DecideWithinSeconds) * time.Second
		if a.within > most || *f.DecideWithinSeconds < policy.DecideWithinSecondsMin {
			return a, policy.Refuse(policy.CodeInvalidRequest, "/decide_within_seconds")
		}
	}
	if a.who, err = d.Vault.Open(p.Beneficiary.Sealed); err != nil {
		return a, err
	}
	// The use away from home was switched on, or not needed, when the payment was made: else there would be none.
	remote := true
	a.form.Beneficiary.Region = a.who.Region
	a.form.Credential = client.Credential{Type: p.Credential, RemoteUse: &remote}
	a.form.Grants = f.Grants
	return a, nil
}
