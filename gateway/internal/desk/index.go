package desk

import (
	"context"
	"errors"
	"fmt"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

// RebuildIndex begins to rebuild the index of this region's beneficiaries: every region is asked for its grants to them
// . It returns when all have been asked; Rebuilds tells how far each has come. A region of which a rebuild is
// under way is not asked twice.
func (d *Desk) RebuildIndex(ctx context.Context) error {
	for after := ""; ; {
		o, err := d.propose(ctx, &ledger.RebuildIndex{Peer: d.Self, After: after})
		if err != nil {
			return fmt.Errorf("desk: own grants: %w", err)
		}
		if after = o.ID; after == "" {
			break
		}
	}
	dir := d.Ledger.InForce().Directory
	if dir == nil {
		return nil
	}
	var failed error
	for _, lane := range dir.Lanes(d.Self) {
		if lane.From != d.Self {
			continue
		}
		o, err := d.propose(ctx, &ledger.RebuildIndex{Peer: lane.To})
		if err != nil && o.Code != policy.CodeWrongState {
			failed = errors.Join(failed, fmt.Errorf("desk: grants of %s: %w", lane.To, err))
		}
	}
	return failed
}

// Rebuilt is how far the rebuild of the index from one region has come.
type Rebuilt struct {
	Region federation.Region `json:"region"`
	Grants uint64            `json:"grants"` // told so far
	Ended  bool              `json:"ended"`
}

// Rebuilds tells how far the rebuild has come with each region that was asked.
func (d *Desk) Rebuilds(ctx context.Context) ([]Rebuilt, error) {
	out := []Rebuilt{}
	err := d.view(ctx, func(v ledger.View) error {
		list, err := v.Rebuilds()
		for i := range list {
			out = append(out, Rebuilt{list[i].Peer, list[i].Count, !list[i].Ended.IsZero()})
		}
		return err
	})
	return out, err
}
