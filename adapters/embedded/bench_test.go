package embedded_test

import (
	"fmt"
	"testing"

	"gongji/adapters"
	"gongji/adapters/embedded"
)

// mapTxn is the cheapest Txn there can be, so that a benchmark shows the Book alone.
type mapTxn map[string][]byte

func (m mapTxn) Get(key []byte) ([]byte, bool) { v, ok := m[string(key)]; return v, ok }

func (mapTxn) Scan(_, _ []byte, _ func(key, value []byte) bool) {}

func (m mapTxn) Set(key, value []byte) {
	if old, ok := m[string(key)]; ok && len(old) == len(value) {
		copy(old, value)
		return
	}
	m[string(key)] = append([]byte(nil), value...)
}

func (m mapTxn) Delete(key []byte) { delete(m, string(key)) }

// BenchmarkHoldCapture is what one leg of a payment costs the Book: a hold and its capture in full.
func BenchmarkHoldCapture(b *testing.B) {
	benchmark(b, func(book *embedded.Book, txn adapters.Txn, ref string) error {
		if _, err := book.Hold(txn, noon, ref, "person-0001", 2, 0); err != nil {
			return err
		}
		return book.Capture(txn, noon, ref, 2)
	})
}

// BenchmarkRepeat is a hold that was placed before.
func BenchmarkRepeat(b *testing.B) {
	benchmark(b, func(book *embedded.Book, txn adapters.Txn, _ string) error {
		_, err := book.Hold(txn, noon, "same", "person-0001", 2, 0)
		return err
	})
}

func benchmark(b *testing.B, act func(book *embedded.Book, txn adapters.Txn, ref string) error) {
	b.Helper()
	book, txn := embedded.New('B'), mapTxn{}
	person := adapters.Account{Scheme: 310, Status: 1, Balance: adapters.AmountMax}
	if err := book.Open(txn, noon, "person-0001", person); err != nil {
		b.Fatal(err)
	}
	refs := make([]string, b.N)
	for i := range refs {
		refs[i] = fmt.Sprintf("H-%032d", i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, ref := range refs {
		if err := act(book, txn, ref); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNoAllocation holds that the Book itself allocates nothing on the way of a hold that exists.
func TestNoAllocation(t *testing.T) {
	book, txn := embedded.New('B'), mapTxn{}
	if err := book.Open(txn, noon, "p", adapters.Account{Scheme: 310, Status: 1, Balance: 100}); err != nil {
		t.Fatal(err)
	}
	repeat := func() {
		if _, err := book.Hold(txn, noon, "h", "p", 2, 0); err != nil {
			t.Fatal(err)
		}
		if _, _, err := book.Account(txn, "p"); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, repeat); n >= 1 {
		t.Errorf("%v allocations for a repeated hold and a look at its account", n)
	}
}
