package adaptertest_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
)

// spoiled is a Book with one fault on top of a good one.
type spoiled struct {
	adapters.Book

	hold    func(good func() (int64, error), floor int64, ref string) (int64, error)
	capture func(t adapters.Txn, at time.Time, ref string, amount int64) error
	release func(t adapters.Txn, at time.Time, ref string) error
	refund  func(t adapters.Txn, at time.Time, ref, hold string, amount int64) error
}

func (s *spoiled) Hold(t adapters.Txn, at time.Time, ref, account string, amount, floor int64) (int64, error) {
	if s.hold == nil {
		return s.Book.Hold(t, at, ref, account, amount, floor)
	}
	good := func() (int64, error) { return s.Book.Hold(t, at, ref, account, amount, 0) }
	return s.hold(good, floor, ref)
}

func (s *spoiled) Capture(t adapters.Txn, at time.Time, ref string, amount int64) error {
	if s.capture == nil {
		return s.Book.Capture(t, at, ref, amount)
	}
	return s.capture(t, at, ref, amount)
}

func (s *spoiled) Release(t adapters.Txn, at time.Time, ref string) error {
	if s.release == nil {
		return s.Book.Release(t, at, ref)
	}
	return s.release(t, at, ref)
}

func (s *spoiled) Refund(t adapters.Txn, at time.Time, ref, hold string, amount int64) error {
	if s.refund == nil {
		return s.Book.Refund(t, at, ref, hold, amount)
	}
	return s.refund(t, at, ref, hold, amount)
}

// TestWalkFinds is the test of the test: books with one fault each do not get through the walks.
func TestWalkFinds(t *testing.T) {
	t.Parallel()
	cases := map[string]func(good adapters.Book) adapters.Book{
		"ignores the floor": func(good adapters.Book) adapters.Book {
			return &spoiled{Book: good, hold: func(hold func() (int64, error), _ int64, _ string) (int64, error) {
				return hold()
			}}
		},
		"release of the unseen leaves no trace": func(good adapters.Book) adapters.Book {
			return &spoiled{Book: good, release: func(t adapters.Txn, at time.Time, ref string) error {
				if h, err := good.Find(t, ref); err != nil || h.State == adapters.HoldNone {
					return err
				}
				return good.Release(t, at, ref)
			}}
		},
		"capture takes all": func(good adapters.Book) adapters.Book {
			return &spoiled{Book: good, capture: func(t adapters.Txn, at time.Time, ref string, amount int64) error {
				if h, _ := good.Find(t, ref); h.State == adapters.HoldOpen && amount > 0 {
					amount = h.Held
				}
				return good.Capture(t, at, ref, amount)
			}}
		},
		"refund forgets its reference": func(good adapters.Book) adapters.Book {
			n := 0
			return &spoiled{Book: good, refund: func(t adapters.Txn, at time.Time, ref, hold string, amount int64) error {
				n++
				return good.Refund(t, at, ref+string(rune('a'+n%26)), hold, amount)
			}}
		},
		"a year late": func(good adapters.Book) adapters.Book {
			return &spoiled{Book: good, capture: func(t adapters.Txn, at time.Time, ref string, amount int64) error {
				return good.Capture(t, at.Add(-8*time.Hour), ref, amount)
			}}
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(50) {
				if walk(seed, spoil(adaptertest.NewModel())) != nil {
					return
				}
			}
			t.Error("50 walks found nothing")
		})
	}
	for seed := range uint64(50) {
		if err := walk(seed, adaptertest.NewModel()); err != nil {
			t.Errorf("a good book: %v", err)
		}
	}
}

func walk(seed uint64, book adapters.Book) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	at := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	w := adaptertest.Walk{Book: book, Txn: adaptertest.NewTxn(), Steps: 200, Pick: rng.IntN}
	w.Tick = func(d time.Duration) time.Time { at = at.Add(d); return at }
	return w.Run()
}
