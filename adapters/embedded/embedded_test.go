package embedded_test

import (
	"testing"
	"time"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
	"gongji/adapters/embedded"
)

var noon = time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC)

func TestContract(t *testing.T) {
	t.Parallel()
	adaptertest.RunBookContract(t, embedded.New('B'))
}

// TestPrefix holds that two books beside each other in one state do not meet, up to the last prefix.
func TestPrefix(t *testing.T) {
	t.Parallel()
	txn := adaptertest.NewTxn()
	prefixes := []byte{0, 1, 'A', 'B', 0xfe, 0xff}
	for i, prefix := range prefixes {
		b := embedded.New(prefix)
		for _, name := range []string{"p", "q"}[:1+i%2] {
			a := adapters.Account{Scheme: 310, Status: 1, Balance: int64(100 + i)}
			if err := b.Open(txn, noon, name, a); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.Hold(txn, noon, "h", "p", int64(i+1), 0); err != nil {
			t.Fatal(err)
		}
	}
	for i, prefix := range prefixes {
		b := embedded.New(prefix)
		if err := adaptertest.CheckBook(txn, b); err != nil {
			t.Error(err)
		}
		accounts := 0
		err := b.Accounts(txn, func(_ string, a adapters.Account) bool {
			accounts++
			return a.Balance == int64(100+i)
		})
		if err != nil || accounts != 1+i%2 {
			t.Errorf("prefix %#x sees %d accounts (%v)", prefix, accounts, err)
		}
		if h, err := b.Find(txn, "h"); err != nil || h.Held != int64(i+1) {
			t.Errorf("prefix %#x finds %+v (%v)", prefix, h, err)
		}
	}
}

// TestCost holds the promise that an act costs two reads and a few writes.
func TestCost(t *testing.T) {
	t.Parallel()
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
