package desk

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
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
	c, err := d.grantCommand(ctx, key, asked)
	if err != nil {
		return client.Grant{}, api.Written{}, err
	}
	o, err := d.propose(ctx, c)
	if err != nil {
		return client.Grant{}, api.Written{}, err
	}
	if home := federation.Region(f.Beneficiary.Region); !o.Replay && home != d.Self {
		wait, cancel := context.WithTimeout(ctx, noticeIn)
		_ = d.Settle.WaitAcked(wait, home) // the notice arrives in any case; this only lets a payment follow at once
		cancel()
	}
	g, err := d.Grant(ctx, o.ID)
	return g, api.Written{Replay: o.Replay, Created: !o.Replay}, err
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

// standing asks a person's home. Where the pair is closed nobody is asked: the refusal in the log says so, after the
// checks that come before it.
func (d *Desk) standing(ctx context.Context, home federation.Region, who vault.Identity) (policy.Standing, error) {
	if !d.Ledger.InForce().PairOpen(d.Now(), home) {
		return policy.Standing{}, d.refusal(policy.CodeRegionPairClosed)
	}
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
		GrantID: g.ID, Status: string(g.EffectiveStatus(policy.Day(d.Now()))), Hotline: d.hotline(), RequestID: g.Request,
		Payer: payer, Beneficiary: beneficiary, Relation: string(t.Relation), Channel: string(t.Channel),
		ClerkID: t.ClerkID, ScanDigest: t.ScanDigest, Consent: client.Consent(t.Consent), Proofs: []client.Proof{},
		ValidFrom: date(t.ValidFrom), ValidUntil: date(t.ValidUntil),
		PerPaymentLimit: limit(t.PerPaymentLimit), AnnualLimit: limit(t.AnnualLimit), Funding: string(t.Funding),
	}
	for _, p := range t.Proofs {
		out.Proofs = append(out.Proofs, client.Proof(p))
	}
	return out, nil
}

// SearchGrants lists the grants of a payer, or of a beneficiary.
func (d *Desk) SearchGrants(ctx context.Context, f client.GrantSearch) ([]client.Grant, string, error) {
	if f.Payer != nil {
		if err := d.home(f.Payer.Region); err != nil {
			return nil, "", err
		}
		return d.ofPayer(ctx, f)
	}
	if f.Beneficiary.Region == string(d.Self) {
		return d.ofBeneficiary(ctx, f)
	}
	return d.toBeneficiary(ctx, f)
}

// page cuts a list that stands oldest first behind a cursor.
func page(all []client.Grant, f client.GrantSearch) ([]client.Grant, string) {
	begin := 0
	if f.Cursor != "" {
		begin = len(all)
		for i := range all {
			if all[i].GrantID == f.Cursor {
				begin = i + 1
			}
		}
	}
	all = all[begin:]
	if len(all) <= f.Limit {
		return all, ""
	}
	return all[:f.Limit], all[f.Limit-1].GrantID
}

func (d *Desk) personOf(v ledger.View, p client.Person) (string, error) {
	token, _, err := d.Vault.Token(identity(p))
	if err != nil {
		return "", err
	}
	no, _, err := v.PersonByToken(token)
	return no, err
}

// grantsRead bounds what one search reads of a payer's grants.
const grantsRead = 10_000

func (d *Desk) ofPayer(ctx context.Context, f client.GrantSearch) ([]client.Grant, string, error) {
	all := []client.Grant{}
	err := d.view(ctx, func(v ledger.View) error {
		no, err := d.personOf(v, *f.Payer)
		if err != nil || no == "" {
			return err
		}
		found, err := v.GrantsOfPayer(no, grantsRead)
		if err != nil {
			return err
		}
		all, err = d.oldestFirst(v, found)
		return err
	})
	out, next := page(all, f)
	return out, next, err
}

func (d *Desk) oldestFirst(v ledger.View, found []*ledger.GrantRecord) ([]client.Grant, error) {
	slices.SortStableFunc(found, func(a, b *ledger.GrantRecord) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	out := make([]client.Grant, 0, len(found))
	for _, g := range found {
		s, err := d.shownGrant(v, g)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// ofBeneficiary lists from the index: grants of all regions.
func (d *Desk) ofBeneficiary(ctx context.Context, f client.GrantSearch) ([]client.Grant, string, error) {
	all := []client.Grant{}
	err := d.view(ctx, func(v ledger.View) error {
		no, err := d.personOf(v, *f.Beneficiary)
		if err != nil || no == "" {
			return err
		}
		index, err := v.Index(no)
		if err != nil {
			return err
		}
		slices.SortStableFunc(index, func(a, b ledger.IndexRecord) int {
			return cmp.Or(a.Entry.CreatedAt.Compare(b.Entry.CreatedAt), cmp.Compare(a.Entry.ID, b.Entry.ID))
		})
		for i := range index {
			g, err := d.shownIndexed(v, &index[i])
			if err != nil {
				return err
			}
			all = append(all, g)
		}
		return nil
	})
	out, next := page(all, f)
	return out, next, err
}

func (d *Desk) shownIndexed(v ledger.View, x *ledger.IndexRecord) (client.Grant, error) {
	if x.PayerRegion == string(d.Self) {
		if g, err := v.Grant(x.Entry.ID); err != nil || g != nil {
			if err != nil {
				return client.Grant{}, err
			}
			return d.shownGrant(v, g)
		}
	}
	beneficiary, err := masked(v, x.Beneficiary)
	if err != nil {
		return client.Grant{}, err
	}
	return client.Grant{
		GrantID: x.Entry.ID, Status: string(x.Entry.EffectiveStatus(policy.Day(d.Now()))), Hotline: d.hotline(),
		Payer:       client.MaskedPerson{IDNumber: x.Payer, Name: x.PayerName, Region: x.PayerRegion},
		Beneficiary: beneficiary, Relation: x.Relation, Channel: x.Channel, Proofs: []client.Proof{},
		ValidFrom: date(x.Entry.ValidFrom), ValidUntil: date(x.Entry.ValidUntil),
		PerPaymentLimit: limit(x.PerPayment), AnnualLimit: limit(x.Annual), Funding: x.Funding,
	}, nil
}

// toBeneficiary lists the grants that this region's payers have given to somebody whose home is elsewhere.
func (d *Desk) toBeneficiary(ctx context.Context, f client.GrantSearch) ([]client.Grant, string, error) {
	all := []client.Grant{}
	err := d.view(ctx, func(v ledger.View) error {
		no, err := d.personOf(v, *f.Beneficiary)
		if err != nil || no == "" {
			return err
		}
		found, err := v.GrantsTo(no, grantsRead)
		if err != nil {
			return err
		}
		all, err = d.oldestFirst(v, found)
		return err
	})
	out, next := page(all, f)
	return out, next, err
}

// PatchGrant changes a grant.
func (d *Desk) PatchGrant(
	ctx context.Context, key api.RequestKey, id string, f client.GrantPatch,
) (client.Grant, api.Written, error) {
	if err := d.grantHome(id); err != nil {
		return client.Grant{}, api.Written{}, err
	}
	p, err := patch(f)
	if err == nil {
		err = p.Check(policy.Day(d.Now()))
	}
	if err != nil {
		return client.Grant{}, api.Written{}, err
	}
	return d.changeGrant(ctx, ledger.Patched(request(key), id, p))
}

func patch(f client.GrantPatch) (grant.Patch, error) {
	var p grant.Patch
	day := func(c client.Change, field string) (*policy.Date, error) {
		if !c.Given {
			return nil, nil //nolint:nilnil // not in the patch
		}
		v := policy.Date(0)
		if c.Value == "" {
			return &v, nil
		}
		v, err := policy.ParseDay(c.Value, field)
		return &v, err
	}
	amount := func(c client.Change, field string) (*money.Amount, error) {
		if !c.Given {
			return nil, nil //nolint:nilnil // not in the patch
		}
		v := money.Amount(0)
		if c.Value == "" {
			return &v, nil
		}
		v, err := policy.ParsePositive(c.Value, field)
		return &v, err
	}
	var err error
	if p.ValidFrom, err = day(from(f), "/valid_from"); err != nil {
		return p, err
	}
	if p.ValidUntil, err = day(f.ValidUntil, "/valid_until"); err != nil {
		return p, err
	}
	if p.PerPaymentLimit, err = amount(f.PerPaymentLimit, "/per_payment_limit"); err != nil {
		return p, err
	}
	if p.AnnualLimit, err = amount(f.AnnualLimit, "/annual_limit"); err != nil {
		return p, err
	}
	if f.Status != "" {
		s := grant.Status(f.Status)
		p.Status = &s
	}
	return p, nil
}

func from(f client.GrantPatch) client.Change {
	if f.ValidFrom == "" {
		return client.Change{}
	}
	return client.Set(f.ValidFrom)
}

func (d *Desk) changeGrant(ctx context.Context, c ledger.Command) (client.Grant, api.Written, error) {
	o, err := d.propose(ctx, c)
	if err != nil {
		return client.Grant{}, api.Written{}, err
	}
	g, err := d.Grant(ctx, o.ID)
	return g, api.Written{Replay: o.Replay}, err
}

// RevokeGrant ends a grant.
func (d *Desk) RevokeGrant(ctx context.Context, key api.RequestKey, id string) (client.Grant, api.Written, error) {
	if err := d.grantHome(id); err != nil {
		return client.Grant{}, api.Written{}, err
	}
	return d.changeGrant(ctx, &ledger.RevokeGrant{Request: request(key), GrantID: id})
}

// AcceptGrant is the beneficiary's consent, at the beneficiary's home.
func (d *Desk) AcceptGrant(ctx context.Context, key api.RequestKey, id string) (client.Grant, api.Written, error) {
	if homeOf(id) == "" {
		return client.Grant{}, api.Written{}, d.refusal(policy.CodeNotFound)
	}
	o, err := d.propose(ctx, &ledger.AcceptGrant{Request: request(key), GrantID: id})
	if err != nil {
		return client.Grant{}, api.Written{}, err
	}
	var out client.Grant
	err = d.view(ctx, func(v ledger.View) error {
		x, failed := v.Indexed(id)
		if failed != nil {
			return failed
		}
		if x == nil {
			return d.refusal(policy.CodeNotFound)
		}
		out, failed = d.shownIndexed(v, x)
		return failed
	})
	return out, api.Written{Replay: o.Replay}, err
}

// SetOrder sets the order of use at the beneficiary's home.
func (d *Desk) SetOrder(
	ctx context.Context, key api.RequestKey, f client.OrderRequest,
) (client.Order, api.Written, error) {
	if err := d.home(f.Beneficiary.Region); err != nil {
		return client.Order{}, api.Written{}, err
	}
	who := identity(f.Beneficiary)
	_, facts, err := d.Settle.Facts(ctx, who)
	if err != nil {
		return client.Order{}, api.Written{}, d.asked(err, d.Self)
	}
	c := &ledger.SetOrder{Request: request(key), Facts: &facts, Grants: f.Grants}
	if c.Beneficiary, err = d.Vault.Person(who, d.Vault.NewNo()); err != nil {
		return client.Order{}, api.Written{}, err
	}
	o, err := d.propose(ctx, c)
	if err != nil {
		return client.Order{}, api.Written{}, err
	}
	out := client.Order{Beneficiary: f.Beneficiary.Masked()}
	err = d.view(ctx, func(v ledger.View) error {
		var failed error
		out.Grants, failed = d.usable(v, o.ID)
		return failed
	})
	return out, api.Written{Replay: o.Replay}, err
}

// usable are the ids of a beneficiary's usable grants in the order in force.
func (d *Desk) usable(v ledger.View, beneficiary string) ([]string, error) {
	index, err := v.Index(beneficiary)
	if err != nil {
		return nil, err
	}
	listed, err := v.Order(beneficiary)
	if err != nil {
		return nil, err
	}
	entries := make([]grant.Entry, 0, len(index))
	for i := range index {
		entries = append(entries, index[i].Entry)
	}
	ids := []string{}
	day := policy.Day(d.Now())
	for _, e := range grant.Arrange(listed, entries) {
		if e.Disposition(day) != grant.PassOver {
			ids = append(ids, e.ID)
		}
	}
	return ids, nil
}

// Commitment is the text in force.
func (d *Desk) Commitment(_ context.Context) (client.Commitment, error) {
	r, err := d.rules()
	if err != nil {
		return client.Commitment{}, err
	}
	digest := d.Vault.Hash([]byte(r.Commitment.TextZH))
	return client.Commitment{
		Version: r.Commitment.Version, Digest: hex.EncodeToString(digest[:]),
		Text: r.Commitment.Text, TextZH: r.Commitment.TextZH,
	}, nil
}

// Rules is the public part of the rules in force.
func (d *Desk) Rules(_ context.Context) (client.Rules, error) {
	r, err := d.rules()
	if err != nil {
		return client.Rules{}, err
	}
	var out client.Rules
	return out, json.Unmarshal(r.PublicJSON(), &out)
}
