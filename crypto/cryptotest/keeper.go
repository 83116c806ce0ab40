package cryptotest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"gongji/crypto"
)

// RunKeeperContract runs the contract of crypto.KeyKeeper, that of crypto.KeyRing included, over empty keepers that
// fresh makes. suite verifies and wraps from outside.
func RunKeeperContract(t *testing.T, suite crypto.Suite, fresh func(t *testing.T) crypto.KeyKeeper) {
	t.Helper()
	RunRingContract(t, suite, func(t *testing.T) Ring { return fresh(t) })
	tests := []struct {
		name string
		run  func(*testing.T, crypto.KeyKeeper)
	}{
		{"ids", keeperIDs},
		{"monthly", keeperMonthly},
		{"destroy", keeperDestroy},
		{"order", keeperOrder},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh(t)) })
	}
}

func keeperIDs(t *testing.T, keeper crypto.KeyKeeper) {
	for _, use := range uses() {
		ids, err := keeper.IDs(use)
		if err != nil || len(ids) > 0 {
			t.Errorf("empty: %v, %v", ids, err)
		}
		one, two := generateKey(t, keeper, use), generateKey(t, keeper, use)
		if ids, err = keeper.IDs(use); err != nil || !slices.Equal(ids, []string{two, one}) {
			t.Errorf("%s: %v, want %s before %s (%v)", use, ids, two, one, err)
		}
	}
	if ids, err := keeper.IDs("other"); err != nil || len(ids) > 0 {
		t.Errorf("unknown use: %v, %v", ids, err)
	}
	if err := keeper.Reload(); err != nil {
		t.Error(err)
	}
}

func keeperMonthly(t *testing.T, keeper crypto.KeyKeeper) {
	now := time.Now()
	id, err := keeper.Monthly(now)
	must(t, id, err)
	if again, err := keeper.Monthly(now); again != id || err != nil {
		t.Errorf("again: %q, %v", again, err)
	}
	if current, err := keeper.Current(crypto.UseData); current != id || err != nil {
		t.Errorf("current: %q, %v", current, err)
	}
	if next, err := keeper.Monthly(now.Add(32 * 24 * time.Hour)); next == id || next == "" || err != nil {
		t.Errorf("next month: %q, %v", next, err)
	}
}

func keeperDestroy(t *testing.T, keeper crypto.KeyKeeper) {
	order := crypto.Order{Who: "two officers", Reason: "its month is over"}
	for _, use := range uses() {
		kept, gone := generateKey(t, keeper, use), generateKey(t, keeper, use)
		if err := keeper.Destroy(gone, order); err != nil {
			t.Fatal(err)
		}
		nothing(t, keeper, gone, nil)
		if err := keeper.Destroy(gone, order); !errors.Is(err, crypto.ErrNoKey) {
			t.Errorf("twice: %v", err)
		}
		if current, err := keeper.Current(use); current != kept {
			t.Errorf("%s: current %q, %v", use, current, err)
		}
	}
}

func keeperOrder(t *testing.T, keeper crypto.KeyKeeper) {
	id := generateKey(t, keeper, crypto.UseData)
	for _, order := range []crypto.Order{{}, {Who: "x"}, {Reason: "x"}, {Who: "x", Reason: "a\nb"}} {
		if err := keeper.Destroy(id, order); !errors.Is(err, crypto.ErrOrder) {
			t.Errorf("%+v: %v", order, err)
		}
	}
	if current, err := keeper.Current(crypto.UseData); current != id {
		t.Errorf("%q, %v", current, err)
	}
}
