package rotate

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"gongji/crypto"
	"gongji/gateway/internal/ledger"
)

// A key that two officers had destroyed may stand on no node any more. The order is an entry of the log; each node
// carries it out when it has applied the entry, at its start if it was down, and again if the key comes back with an
// old backup of its folder. Doing it twice changes nothing.

// goneEvery is how often a node looks for keys that have come back, or that it could not destroy.
const goneEvery = 10 * time.Second

// carryOut destroys what was ordered and is still here, and says so in the log.
func (r *Rotator) carryOut(ctx context.Context, gone map[string]*ledger.DestroyedKey) error {
	now := r.Now()
	if len(gone) == 0 || len(gone) == r.carried && now.Sub(r.carriedAt) < goneEvery {
		return nil
	}
	if err := r.Ring.Reload(); err != nil {
		return err
	}
	here, err := r.here()
	if err != nil {
		return err
	}
	waits := 0
	var failed error
	for _, id := range slices.Sorted(maps.Keys(gone)) {
		d := gone[id]
		before, has := d.At(r.Node), slices.Contains(here, id)
		if !has && before.Gone() {
			continue
		}
		if has && before.Gone() {
			r.Audit("key_came_back", slog.String("key", id))
		}
		end := r.end(ctx, d)
		if !end.Gone() {
			waits++
		}
		if before != end {
			_, told := r.propose(ctx, &ledger.KeyDestroyed{ID: id, Node: r.Node, End: end})
			failed = errors.Join(failed, told)
		}
	}
	r.Metrics.toDestroy.Set(float64(waits))
	if failed == nil {
		r.carried, r.carriedAt = len(gone), now
	}
	return failed
}

// here are the ids of all keys of this node.
func (r *Rotator) here() ([]string, error) {
	var all []string
	for _, use := range []crypto.Use{
		crypto.UseSign, crypto.UseDecrypt, crypto.UseToken, crypto.UseData, crypto.UseEvidence,
	} {
		ids, err := r.Ring.IDs(use)
		if err != nil {
			return nil, err
		}
		all = append(all, ids...)
	}
	return all, nil
}

// end destroys one key and says what became of it. The ring's own journal has the intention before and the end behind.
func (r *Rotator) end(ctx context.Context, d *ledger.DestroyedKey) ledger.KeyEnd {
	err := r.Ring.Destroy(d.ID, orderOf(d))
	switch {
	case err == nil:
		return ledger.KeyEndDestroyed
	case errors.Is(err, crypto.ErrNoKey), errors.Is(err, crypto.ErrDestroyed):
		return ledger.KeyEndAbsent
	case errors.Is(err, crypto.ErrAccess):
		return ledger.KeyEndNoRight
	}
	r.Logger.LogAttrs(ctx, slog.LevelError, "a key that was to be destroyed was not", slog.String("key", d.ID),
		slog.String("error", err.Error()))
	return ledger.KeyEndFailed
}

// orderOf names both persons for the journal of the keys.
func orderOf(d *ledger.DestroyedKey) crypto.Order {
	o := crypto.Order{Who: d.Operator + " and " + d.Second, Reason: d.Reason}
	if d.Operator == "" || !o.Valid() { // of a region that asks nobody who he is
		o = crypto.Order{Who: "operators' API", Reason: "ordered in the region's log"}
	}
	return o
}
