package embedded_test

import (
	"errors"
	"testing"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
	"gongji/adapters/embedded"
)

// worn is a state with a record of every kind.
func worn(tb testing.TB) (*embedded.Book, *adaptertest.Txn) {
	tb.Helper()
	b, txn := embedded.New('B'), adaptertest.NewTxn()
	steps := []error{
		b.Open(txn, noon, "p", adapters.Account{Scheme: 310, Status: 1, Balance: 1000}),
		func() error { _, err := b.Hold(txn, noon, "open", "p", 100, 0); return err }(),
		func() error { _, err := b.Hold(txn, noon, "captured", "p", 200, 0); return err }(),
		b.Capture(txn, noon, "captured", 150),
		b.Refund(txn, noon, "refund", "captured", 50),
		b.Release(txn, noon, "dead"),
	}
	for _, err := range steps {
		if err != nil {
			tb.Fatal(err)
		}
	}
	return b, txn
}

// acts are all calls of a Book on a worn state.
func acts(b *embedded.Book, txn *adaptertest.Txn) map[string]func() error {
	return map[string]func() error{
		"open":    func() error { return b.Open(txn, noon, "p", adapters.Account{Scheme: 310, Status: 1}) },
		"new":     func() error { return b.Open(txn, noon, "q", adapters.Account{Scheme: 310, Status: 1}) },
		"hold":    func() error { _, err := b.Hold(txn, noon, "h", "p", 1, 0); return err },
		"repeat":  func() error { _, err := b.Hold(txn, noon, "open", "p", 100, 0); return err },
		"capture": func() error { return b.Capture(txn, noon, "open", 100) },
		"release": func() error { return b.Release(txn, noon, "open") },
		"refund":  func() error { return b.Refund(txn, noon, "r", "captured", 1) },
		"again":   func() error { return b.Refund(txn, noon, "refund", "captured", 50) },
		"account": func() error { _, _, err := b.Account(txn, "p"); return err },
		"find":    func() error { _, err := b.Find(txn, "open"); return err },
		"accounts": func() error {
			return b.Accounts(txn, func(string, adapters.Account) bool { return true })
		},
		"movements": func() error {
			return b.Movements(txn, "p", 0, func(adapters.Movement) bool { return true })
		},
	}
}

// keys returns all keys of a state.
func keys(txn *adaptertest.Txn) [][]byte {
	var all [][]byte
	txn.Scan(nil, nil, func(k, _ []byte) bool {
		all = append(all, append([]byte(nil), k...))
		return true
	})
	return all
}

// TestCorrupt holds that every record cut short is met by some call, and told as ErrCorrupt, never as a
// refusal that a caller would take for an answer.
func TestCorrupt(t *testing.T) {
	t.Parallel()
	_, txn := worn(t)
	all := keys(txn)
	for i, key := range all {
		met := false
		for name := range acts(nil, nil) {
			b, txn := worn(t)
			txn.Set(key, []byte{1})
			err := acts(b, txn)[name]()
			if err == nil {
				continue
			}
			met = met || errors.Is(err, embedded.ErrCorrupt)
			if !errors.Is(err, embedded.ErrCorrupt) {
				t.Errorf("%s with record %d of %d cut: %v", name, i+1, len(all), err)
			}
		}
		b, txn := worn(t)
		txn.Set(key, []byte{1})
		_, err := b.Find(txn, "captured")
		_, dead := b.Find(txn, "dead")
		if !met && err == nil && dead == nil {
			t.Errorf("nobody saw that record %q was cut", key)
		}
	}
}

// TestMissing holds that records which contradict each other stop the node.
func TestMissing(t *testing.T) {
	t.Parallel()
	account := []byte{'B', 'a', 1, 'p'}
	for _, name := range []string{"capture", "release", "refund", "accounts"} {
		b, txn := worn(t)
		txn.Delete(account)
		if err := acts(b, txn)[name](); !errors.Is(err, embedded.ErrCorrupt) {
			t.Errorf("%s without its account: %v", name, err)
		}
	}
	b, txn := worn(t)
	poor, rich := adaptertest.NewTxn(), embedded.New('B')
	if err := rich.Open(poor, noon, "p", adapters.Account{Scheme: 310, Status: 1, Balance: 1000}); err != nil {
		t.Fatal(err)
	}
	value, _ := poor.Get(account)
	txn.Set(account, value) // holds nothing, while a hold is open
	if err := b.Capture(txn, noon, "open", 1); !errors.Is(err, embedded.ErrCorrupt) {
		t.Errorf("capture of more than the account holds: %v", err)
	}
	b, txn = worn(t)
	txn.Delete(append([]byte{'B', 's'}, 0, 0, 0, 0, 0, 0, 0, 1))
	if err := acts(b, txn)["accounts"](); !errors.Is(err, embedded.ErrCorrupt) {
		t.Errorf("accounts with one less than counted: %v", err)
	}
}

// FuzzState puts any bytes in place of any record and makes every call: each ends in an answer or in
// ErrCorrupt, never in a panic.
func FuzzState(f *testing.F) {
	_, txn := worn(f)
	for i, key := range keys(txn) {
		value, _ := txn.Get(key)
		f.Add(i, append([]byte(nil), value...))
	}
	f.Fuzz(func(t *testing.T, which int, value []byte) {
		_, txn := worn(t)
		all := keys(txn)
		key := all[(which%len(all)+len(all))%len(all)]
		for name := range acts(nil, nil) {
			b, txn := worn(t)
			txn.Set(key, value)
			err := acts(b, txn)[name]()
			if err != nil && adapters.ReasonOf(err) == "" && !errors.Is(err, embedded.ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
