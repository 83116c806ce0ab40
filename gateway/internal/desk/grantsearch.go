package desk

import (
	"cmp"
	"context"
	"slices"

	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

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

// about shows the state to see, with the number of a person in it; empty for one whom it does not know.
func (d *Desk) about(ctx context.Context, p client.Person, see func(v ledger.View, no string) error) error {
	return d.Vault.Finding(identity(p), func(tokens ledger.Tokens) error {
		return d.view(ctx, func(v ledger.View) error {
			f, err := v.Find(tokens)
			if err != nil {
				return err
			}
			return see(v, f.No)
		})
	})
}

// grantsRead bounds what one search reads of a payer's grants.
const grantsRead = 10_000

func (d *Desk) ofPayer(ctx context.Context, f client.GrantSearch) ([]client.Grant, string, error) {
	all := []client.Grant{}
	err := d.about(ctx, *f.Payer, func(v ledger.View, no string) error {
		if no == "" {
			return nil
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
	err := d.about(ctx, *f.Beneficiary, func(v ledger.View, no string) error {
		if no == "" {
			return nil
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
		GrantID: x.Entry.ID, Status: string(x.Entry.EffectiveStatus(policy.Day(d.Now()))), EndCause: string(x.Cause),
		Hotline:     x.Hotline,
		Payer:       client.MaskedPerson{IDNumber: x.Payer, Name: x.PayerName, Region: x.PayerRegion},
		Beneficiary: beneficiary, Relation: x.Relation, Channel: x.Channel, Proofs: []client.Proof{},
		ValidFrom: date(x.Entry.ValidFrom), ValidUntil: date(x.Entry.ValidUntil),
		PerPaymentLimit: limit(x.PerPayment), AnnualLimit: limit(x.Annual), Funding: x.Funding,
		Limit: limit(x.Limit),
	}, nil
}

// toBeneficiary lists the grants that this region's payers have given to somebody whose home is elsewhere.
func (d *Desk) toBeneficiary(ctx context.Context, f client.GrantSearch) ([]client.Grant, string, error) {
	all := []client.Grant{}
	err := d.about(ctx, *f.Beneficiary, func(v ledger.View, no string) error {
		if no == "" {
			return nil
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
