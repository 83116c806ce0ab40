package desk

import (
	"context"

	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

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
	if err == nil && !o.Replay {
		d.noticed(ctx, g.Beneficiary.Region)
	}
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
	g, w, err := d.atBeneficiary(ctx, id, &ledger.AcceptGrant{Request: request(key), GrantID: id})
	if err != nil || g.Status != client.GrantPendingBeneficiary {
		return g, w, err
	}
	g, err = d.awaitIndexed(ctx, id, g)
	return g, w, err
}

// awaitIndexed waits a short while until a grant's home has told that it is pending no more, and returns the grant as
// it is then.
func (d *Desk) awaitIndexed(ctx context.Context, id string, g client.Grant) (client.Grant, error) {
	wait, cancel := context.WithTimeout(ctx, noticeIn)
	defer cancel()
	err := d.Settle.Wait(wait, id, func() (bool, error) {
		failed := d.view(ctx, func(v ledger.View) error {
			x, missing := v.Indexed(id)
			if missing != nil || x == nil {
				return missing
			}
			g, missing = d.shownIndexed(v, x)
			return missing
		})
		return g.Status != client.GrantPendingBeneficiary, failed
	})
	return g, err
}

// RenounceGrant ends a grant by the beneficiary's will, at the beneficiary's home.
func (d *Desk) RenounceGrant(ctx context.Context, key api.RequestKey, id string) (client.Grant, api.Written, error) {
	if homeOf(id) == "" {
		return client.Grant{}, api.Written{}, d.refusal(policy.CodeNotFound)
	}
	return d.atBeneficiary(ctx, id, &ledger.RenounceGrant{Request: request(key), GrantID: id})
}

// atBeneficiary carries out what the beneficiary says of a grant, and shows it as this region knows it.
func (d *Desk) atBeneficiary(ctx context.Context, id string, c ledger.Command) (client.Grant, api.Written, error) {
	o, err := d.propose(ctx, c)
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
	day := policy.Day(d.Now())
	ordered, err := v.InOrder(beneficiary, day)
	entries := make([]grant.Entry, 0, len(ordered))
	for i := range ordered {
		entries = append(entries, ordered[i].Entry)
	}
	return grant.UsableIDs(entries, day), err
}
