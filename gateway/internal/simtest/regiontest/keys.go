package regiontest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/gateway/internal/rotate"
)

// ringOf is the ring of one more node of a region.
func (f *Federation) ringOf(r *Region) (*keyfile.Ring, error) {
	if !f.config.OwnRings || r.Nodes[0].Ring == nil {
		return r.Ring, nil
	}
	ring := keyfile.NewMemory(r.Sealer.suite, keyfile.WithClock(r.clock))
	return ring, CopyKeys(ring, r.Ring)
}

// CopyKeys gives a ring every key at rest of another one that it does not have, as an operator does with files.
func CopyKeys(to, from *keyfile.Ring) error {
	kek, err := keyfile.RawKEK(make([]byte, keyfile.KEKSize))
	if err != nil {
		return fmt.Errorf("regiontest: key: %w", err)
	}
	for _, use := range []crypto.Use{crypto.UseToken, crypto.UseData, crypto.UseEvidence} {
		ids, err := from.IDs(use)
		if err != nil {
			return fmt.Errorf("regiontest: key: %w", err)
		}
		has, err := to.IDs(use)
		if err != nil {
			return fmt.Errorf("regiontest: key: %w", err)
		}
		for _, id := range ids {
			if slices.Contains(has, id) {
				continue
			}
			file, err := from.Export(id, kek)
			if err == nil {
				_, err = to.Restore(file, kek)
			}
			if err != nil {
				return fmt.Errorf("regiontest: key: %w", err)
			}
		}
	}
	return nil
}

func (f *Federation) makeRotator(r *Region, n *Node) error {
	metrics, err := rotate.NewMetrics(n.Registry)
	if err != nil {
		return err
	}
	timing := rotate.DefaultTiming()
	if !f.config.OwnRings { // nothing to rotate is looked for: months of virtual time pass in many tests
		timing.Look = 10 * time.Minute
	}
	if f.config.RotationRate > 0 {
		timing.Rate = f.config.RotationRate
	}
	n.Rotator, err = rotate.New(rotate.Deps{
		Node: n.mem.Status().ID, Log: n.Log, Ledger: n.Ledger, Vault: n.Vault, Ring: n.Ring,
		HandOver: func(context.Context) { r.Group.SetLeader((r.nodeOf(n) + 1) % len(r.Nodes)) },
		Forget:   func(context.Context) error { return nil }, // a map in memory forgets at once
		Now:      r.clock, Logger: n.Logger(), Metrics: metrics, Audit: n.Audits.add, Timing: timing,
	})
	return err
}

func (r *Region) nodeOf(n *Node) int {
	return slices.Index(r.Nodes, n)
}
