package desk

import (
	"context"
	"errors"
	"strings"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire/wirepb"
)

var errAnswer = errors.New("desk: the answer does not fit the question")

// homeOf is the region in a grant's id, empty for another form.
func homeOf(grantID string) string {
	parts := strings.Split(grantID, "-")
	if len(parts) != 3 || parts[0] != "g" || !federation.Region(parts[1]).Valid() {
		return ""
	}
	return parts[1]
}

// home refuses what belongs to another region, naming it.
func (d *Desk) home(region string) error {
	if region == string(d.Self) {
		return nil
	}
	e := d.refusal(policy.CodeNotHomeRegion)
	e.Region = region
	return e
}

func (d *Desk) grantHome(id string) error {
	region := homeOf(id)
	if region == "" || !d.Member(region) {
		return d.refusal(policy.CodeNotFound)
	}
	return d.home(region)
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func input(p client.Person) person.Input {
	return person.Input{IDType: p.IDType, IDNumber: p.IDNumber, Name: p.Name, Region: p.Region}
}

// CreateGrant makes a grant, and waits a short while until the beneficiary's home knows of it.
func (d *Desk) CreateGrant(
	ctx context.Context, key api.RequestKey, f client.GrantRequest,
) (client.Grant, api.Written, error) {
	in := grant.Input{
		Payer: input(f.Payer), Beneficiary: input(f.Beneficiary), Relation: f.Relation, Channel: f.Channel,
		ClerkID: text(f.ClerkID), ScanDigest: text(f.ScanDigest), Consent: grant.Consent(f.Consent), ValidFrom: f.ValidFrom,
		ValidUntil: text(f.ValidUntil), PerPaymentLimit: text(f.PerPaymentLimit), AnnualLimit: text(f.AnnualLimit),
		Funding: text(f.Funding), Limit: text(f.Limit),
	}
	for _, p := range f.Proofs {
		in.Proofs = append(in.Proofs, grant.Proof(p))
	}
	asked, err := grant.Parse(in, policy.Day(d.Now()))
	if err != nil {
		return client.Grant{}, api.Written{}, err
	}
	if err = d.home(f.Payer.Region); err != nil {
		return client.Grant{}, api.Written{}, err
	}
	if asked.Terms.Limit > 0 && d.Ledger.Book() == nil { // a core outside has no holds without a payment
		e := d.refusal(policy.CodeNotSupported)
		e.Field = "/funding"
		return client.Grant{}, api.Written{}, e
	}
	c, err := d.grantCommand(ctx, key, asked)
	if err != nil {
		return client.Grant{}, api.Written{}, err
	}
	o, err := d.propose(ctx, c)
	if err != nil {
		return client.Grant{}, api.Written{}, err
	}
	if !o.Replay {
		d.noticed(ctx, f.Beneficiary.Region)
	}
	g, err := d.Grant(ctx, o.ID)
	return g, api.Written{Replay: o.Replay, Created: !o.Replay}, err
}

// noticed waits a short while until the beneficiary's home knows what has become of a grant. The notice arrives in any
// case; this only lets a payment or an order follow at once.
func (d *Desk) noticed(ctx context.Context, beneficiary string) {
	home := federation.Region(beneficiary)
	if home == d.Self {
		return
	}
	wait, cancel := context.WithTimeout(ctx, noticeIn)
	defer cancel()
	_ = d.Settle.WaitAcked(wait, home)
}

// grantCommand gathers what the homes of both persons say. The payer is looked at first, so that the first failing
// check answers; the log checks everything again.
func (d *Desk) grantCommand(ctx context.Context, key api.RequestKey, asked grant.Request) (*ledger.MakeGrant, error) {
	payer, beneficiary := vault.Of(asked.Payer), vault.Of(asked.Beneficiary)
	c := &ledger.MakeGrant{Request: request(key), GrantID: d.Vault.ID("g-" + string(d.Self)), Terms: asked.Terms}
	_, facts, err := d.Settle.Facts(ctx, payer)
	if err != nil {
		return nil, d.asked(err, d.Self)
	}
	standing := policy.Standing{
		Known: facts.Known, Scheme: policy.Scheme(facts.Scheme), Status: policy.InsuredStatus(facts.Status),
	}
	if err = grant.CheckPayer(standing); err != nil {
		return nil, err
	}
	c.PayerFacts = &facts
	home := federation.Region(beneficiary.Region)
	if !d.Ledger.InForce().PairForGrant(d.Now(), home, asked.Terms) {
		return nil, d.closed(asked.Terms, home)
	}
	if c.Standing, err = d.standing(ctx, home, beneficiary); err != nil {
		return nil, err
	}
	if c.Payer, err = d.Vault.Person(payer, d.Vault.NewNo()); err != nil {
		return nil, err
	}
	if c.Beneficiary, err = d.Vault.Person(beneficiary, d.Vault.NewNo()); err != nil {
		return nil, err
	}
	c.Persons, err = d.Vault.Bundle(beneficiary)
	return c, err
}

// closed refuses a grant to a region with which nothing new may begin. Nobody is asked about the beneficiary there; of
// what this region knows by itself the first failing check answers.
func (d *Desk) closed(terms grant.Terms, home federation.Region) error {
	rules, err := d.rules()
	if err != nil {
		return err
	}
	if !rules.AllowsRelation(terms.Relation) {
		e := d.refusal(policy.CodeRelationNotAllowed)
		e.Field = "/relation"
		return e
	}
	if terms.Limit > 0 {
		if err := d.mayBegin(home); err != nil {
			return err
		}
	}
	return d.refusal(policy.CodeRegionPairClosed)
}

// standing asks a person's home.
func (d *Desk) standing(ctx context.Context, home federation.Region, who vault.Identity) (policy.Standing, error) {
	question := &wirepb.Body{Kind: &wirepb.Body_CheckPerson{CheckPerson: &wirepb.CheckPerson{}}}
	got, err := d.Settle.Ask(ctx, home, question, who)
	if err != nil {
		return policy.Standing{}, d.asked(err, home)
	}
	a := got.Body.GetCheckPersonAnswer()
	if a == nil {
		return policy.Standing{}, d.asked(errAnswer, home)
	}
	return policy.Standing{
		Known: a.GetKnown(), Scheme: policy.Scheme(a.GetScheme()), Status: policy.InsuredStatus(a.GetStatus()),
	}, nil
}

// Grant reads a grant that this region keeps.
func (d *Desk) Grant(ctx context.Context, id string) (client.Grant, error) {
	if err := d.grantHome(id); err != nil {
		return client.Grant{}, err
	}
	var out client.Grant
	err := d.view(ctx, func(v ledger.View) error {
		g, err := v.Grant(id)
		if err != nil {
			return err
		}
		if g == nil {
			return d.refusal(policy.CodeNotFound)
		}
		out, err = d.shownGrant(v, g)
		return err
	})
	return out, err
}

func (d *Desk) hotline() string {
	r, err := d.rules()
	if err != nil {
		return ""
	}
	return r.Hotline
}

func masked(v ledger.View, no string) (client.MaskedPerson, error) {
	p, err := v.Person(no)
	if err != nil || p == nil {
		return client.MaskedPerson{}, err
	}
	return client.MaskedPerson{IDNumber: p.Masked, Name: p.Called, Region: p.Region}, nil
}

func limit(a money.Amount) string {
	if a == 0 {
		return ""
	}
	return a.String()
}

func date(day policy.Date) string {
	if day == 0 {
		return ""
	}
	return day.String()
}

func (d *Desk) shownGrant(v ledger.View, g *ledger.GrantRecord) (client.Grant, error) {
	payer, err := masked(v, string(g.Payer))
	if err != nil {
		return client.Grant{}, err
	}
	beneficiary, err := masked(v, string(g.Beneficiary))
	if err != nil {
		return client.Grant{}, err
	}
	t := g.Terms
	out := client.Grant{
		GrantID: g.ID, Status: string(g.EffectiveStatus(policy.Day(d.Now()))), EndCause: string(g.Cause),
		Hotline: d.hotline(), RequestID: g.Request,
		Payer: payer, Beneficiary: beneficiary, Relation: string(t.Relation), Channel: string(t.Channel),
		ClerkID: t.ClerkID, ScanDigest: t.ScanDigest, Consent: client.Consent(t.Consent), Proofs: []client.Proof{},
		ValidFrom: date(t.ValidFrom), ValidUntil: date(t.ValidUntil),
		PerPaymentLimit: limit(t.PerPaymentLimit), AnnualLimit: limit(t.AnnualLimit), Funding: string(t.Funding),
		Limit: limit(t.Limit),
	}
	if t.Limit > 0 {
		out.LimitLeft = g.Reserve.Left.String()
	}
	for _, p := range t.Proofs {
		out.Proofs = append(out.Proofs, client.Proof(p))
	}
	return out, nil
}
