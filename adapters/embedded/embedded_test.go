package embedded_test

import (
	"testing"
	"time"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
	"gongji/adapters/embedded"
)

var noon = time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC)

// TestCost holds the promise that an act costs two reads and a few writes.
func TestCost(t *testing.T) {
	b, txn := embedded.New('B'), adaptertest.NewTxn()
	if err := b.Open(txn, noon, "p", adapters.Account{Scheme: 310, Status: 1, Balance: 1000}); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name       string
		act        func() error
		gets, sets int
	}{
		{"hold", func() error { _, err := b.Hold(txn, noon, "h", "p", 600, 0); return err }, 2, 3},
		{"repeat", func() error { _, err := b.Hold(txn, noon, "h", "p", 600, 0); return err }, 1, 0},
		{"part", func() error { return b.Capture(txn, noon, "h", 500) }, 2, 4},
		{"refund", func() error { return b.Refund(txn, noon, "f", "h", 100) }, 3, 4},
		{"dead", func() error { return b.Release(txn, noon, "x") }, 1, 1},
	}
	for _, c := range cases {
		gets, sets := txn.Cost()
		if err := c.act(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		gets2, sets2 := txn.Cost()
		if gets2-gets != c.gets || sets2-sets != c.sets {
			t.Errorf("%s: %d reads and %d writes, want %d and %d", c.name, gets2-gets, sets2-sets, c.gets, c.sets)
		}
	}
}
