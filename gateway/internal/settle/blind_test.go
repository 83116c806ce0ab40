package settle_test

import (
	"sync/atomic"
	"testing"
	"time"

	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/simtest/regiontest"
)

// TestBlindVault: a region that cannot seal a person now, because its key module is away, loses no message for it. The
// message is not taken, and comes again until the module is back.
func TestBlindVault(t *testing.T) {
	together(t, func(t *testing.T, w *three) {
		home := w.Regions[fuzhou]
		var away atomic.Bool
		home.Vault.Follow(func() ledger.KeysRecord {
			keys := home.Ledger.InForce().Keys
			if away.Load() {
				keys.Data = "data-away"
			}
			return keys
		})
		other := regiontest.Resident(string(fuzhou), "王小红", 5)
		w.must(home.Open(t.Context(), other))
		away.Store(true)
		w.grant(beijing, w.father, other) // told to the beneficiary's home, which keeps the index
		passes(5 * time.Second)
		away.Store(false)
		passes(5 * time.Second)
		if w.state(beijing, w.held(shanghai, other)) != "placed" {
			t.Error("the home does not know the grant")
		}
	})
}
