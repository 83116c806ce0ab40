package desk

import (
	"context"

	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

// CreateMandate has a premium collected under a grant that this region keeps, and waits a short while until the
// beneficiary's home, which collects, knows of it.
func (d *Desk) CreateMandate(
	ctx context.Context, key api.RequestKey, grantID string, f client.MandateRequest,
) (client.Mandate, api.Written, error) {
	if err := d.grantHome(grantID); err != nil {
		return client.Mandate{}, api.Written{}, err
	}
	c := &ledger.MakeMandate{
		Request: request(key), MandateID: d.Vault.ID("m-" + string(d.Self)), GrantID: grantID,
		Purpose: policy.Purpose(f.Purpose),
	}
	if f.MaxAmount != "" {
		most, err := policy.ParsePositive(f.MaxAmount, "/max_amount")
		if err != nil {
			return client.Mandate{}, api.Written{}, err
		}
		c.MaxAmount = most
	}
	o, err := d.propose(ctx, c)
	if err != nil {
		return client.Mandate{}, api.Written{}, err
	}
	if !o.Replay {
		d.mandatesNoticed(ctx, grantID)
	}
	m, err := d.Mandate(ctx, o.ID)
	return m, api.Written{Replay: o.Replay}, err
}

// mandatesNoticed waits a short while until the beneficiary's home knows of a change.
func (d *Desk) mandatesNoticed(ctx context.Context, grantID string) {
	home := string(d.Self)
	err := d.view(ctx, func(v ledger.View) error {
		g, failed := v.Grant(grantID)
		if g != nil {
			home = g.BeneficiaryRegion
		}
		return failed
	})
	if err == nil {
		d.noticed(ctx, home)
	}
}

// Mandate reads a mandate by its own id.
func (d *Desk) Mandate(ctx context.Context, id string) (client.Mandate, error) {
	var out *client.Mandate
	err := d.view(ctx, func(v ledger.View) error {
		list, err := d.mandates(v, v.GrantOfMandate(id))
		for i := range list.Mandates {
			if list.Mandates[i].MandateID == id {
				out = &list.Mandates[i]
			}
		}
		return err
	})
	switch {
	case err != nil:
		return client.Mandate{}, err
	case out == nil:
		return client.Mandate{}, d.refusal(policy.CodeNotFound)
	}
	return *out, nil
}

// Mandates lists the mandates of a grant that this region keeps.
func (d *Desk) Mandates(ctx context.Context, grantID string) (client.MandateList, error) {
	var out client.MandateList
	if err := d.grantHome(grantID); err != nil {
		return out, err
	}
	err := d.view(ctx, func(v ledger.View) error {
		var err error
		out, err = d.mandates(v, grantID)
		return err
	})
	return out, err
}

func (d *Desk) mandates(v ledger.View, grantID string) (client.MandateList, error) {
	out := client.MandateList{Mandates: []client.Mandate{}}
	g, err := v.Grant(grantID)
	if err != nil {
		return out, err
	}
	if g == nil {
		return out, d.refusal(policy.CodeNotFound)
	}
	rec, err := v.Mandates(grantID)
	if err != nil || rec == nil {
		return out, err
	}
	over := g.EffectiveStatus(policy.Day(d.Now())).Final()
	for i := range rec.List {
		m := &rec.List[i]
		shown := client.Mandate{
			MandateID: m.ID, GrantID: grantID, Purpose: string(m.Purpose), Status: m.Status, MaxAmount: limit(m.MaxAmount),
			Results: []client.PremiumResult{},
		}
		if over {
			shown.Status = client.MandateEnded
		}
		for _, r := range m.Results {
			shown.Results = append(shown.Results, client.PremiumResult{
				Year: r.Year, Status: r.Status, Amount: r.Amount.String(), Code: string(r.Code), PaymentID: r.PaymentID,
				Time: client.FormatTime(r.At),
			})
		}
		out.Mandates = append(out.Mandates, shown)
	}
	return out, nil
}

// EndMandates ends one mandate of a grant, or all.
func (d *Desk) EndMandates(
	ctx context.Context, key api.RequestKey, grantID, mandateID string,
) (client.MandateList, api.Written, error) {
	if err := d.grantHome(grantID); err != nil {
		return client.MandateList{}, api.Written{}, err
	}
	o, err := d.propose(ctx, &ledger.EndMandates{Request: request(key), GrantID: grantID, MandateID: mandateID})
	if err != nil {
		return client.MandateList{}, api.Written{}, err
	}
	if !o.Replay {
		d.mandatesNoticed(ctx, grantID)
	}
	list, err := d.Mandates(ctx, grantID)
	return list, api.Written{Replay: o.Replay}, err
}
