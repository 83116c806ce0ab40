package rotate

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"gongji/crypto"
	"gongji/gateway/internal/ledger"
)

// fitness is whether this node has every key that is in force.
type fitness struct {
	mu       sync.Mutex
	lacking  []string // ids
	tried    ledger.KeysRecord
	triedAt  time.Time
	loadedAt time.Time
	gaveAt   time.Time
}

// Lacking are the keys in force, or leaving, that this node does not have: it can do a leader's work only in part.
func (r *Rotator) Lacking() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lacking)
}

// tryKeys works with every key in force when they have changed, and now and then; a leader that lacks one hands over.
func (r *Rotator) tryKeys(ctx context.Context, k *ledger.KeysRecord) {
	now := r.Now()
	lacked := len(r.Lacking()) > 0
	same := r.tried.Token == k.Token && r.tried.Data == k.Data && r.tried.Evidence == k.Evidence
	if same && !lacked && now.Sub(r.triedAt) < fitEvery {
		return
	}
	lacking := r.lackingOf(k)
	if len(lacking) > 0 && r.reload() {
		lacking = r.lackingOf(k)
	}
	r.tried, r.triedAt = *k, now
	r.mu.Lock()
	told := slices.Equal(r.lacking, lacking)
	r.lacking = lacking
	r.mu.Unlock()
	r.Metrics.lacking.Set(float64(len(lacking)))
	if len(lacking) == 0 {
		return
	}
	if !told {
		r.Audit("key_missing", slog.String("keys", strings.Join(lacking, " ")))
	}
	if lead, _ := r.Log.Leadership(); lead.Leader && now.Sub(r.gaveAt) >= handOverEvery {
		r.gaveAt = now
		r.HandOver(ctx)
	}
}

func (r *Rotator) lackingOf(k *ledger.KeysRecord) []string {
	var lacking []string
	try := func(use ledger.KeyUse, id string) {
		if id == "" {
			return
		}
		if _, err := r.Vault.Probe(crypto.Use(use), id); errors.Is(err, crypto.ErrNoKey) {
			lacking = append(lacking, id)
		}
	}
	for _, use := range []ledger.KeyUse{ledger.KeyToken, ledger.KeyData, ledger.KeyEvidence} {
		try(use, k.InForce(use))
	}
	if leaving, needed := k.OtherToken(); needed {
		try(ledger.KeyToken, leaving)
	}
	return lacking
}

// reload looks for keys that were put into the ring, not too often, and reports whether it did.
func (r *Rotator) reload() bool {
	if now := r.Now(); now.Sub(r.loadedAt) >= reloadEvery {
		r.loadedAt = now
		return r.Ring.Reload() == nil
	}
	return false
}
