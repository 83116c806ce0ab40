package adaptertest

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"gongji/adapters"
)

// RunBookContract holds a Book against its contract: each sentence of adapters.Book by acts in usual
// and in odd orders, then random walks beside the Model. Every subtest uses a Txn of its own.
func RunBookContract(t *testing.T, book adapters.Book) {
	t.Helper()
	cases := []struct {
		name string
		run  func(b *bookCase)
	}{
		{"open", bookOpen},
		{"publish opening", bookPublish},
		{"hold", bookHold},
		{"hold refusals", bookHoldRefusals},
		{"capture", bookCapture},
		{"release", bookRelease},
		{"release first", bookReleaseFirst},
		{"capture first", bookCaptureFirst},
		{"refund", bookRefund},
		{"refund refusals", bookRefundRefusals},
		{"bad arguments", bookInvalid},
		{"new year", bookNewYear},
		{"names", bookNames},
		{"order of accounts", bookOrder},
		{"movements", bookMovements},
		{"same acts same bytes", bookDeterministic},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := &bookCase{T: t, book: book, txn: NewTxn(), at: time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC)}
			c.run(b)
			if err := CheckBook(b.txn, book); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("walks", func(t *testing.T) {
		for seed := range uint64(50) {
			rng := rand.New(rand.NewPCG(seed, 0))
			at := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
			w := Walk{Book: book, Txn: NewTxn(), Steps: 200, Pick: rng.IntN}
			w.Tick = func(d time.Duration) time.Time { at = at.Add(d); return at }
			if err := w.Run(); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		}
	})
}

// bookCase is one subtest: a book, its state and a clock that goes on by a second with each act.
type bookCase struct {
	*testing.T

	book adapters.Book
	txn  *Txn
	at   time.Time
}

func (b *bookCase) tick() time.Time {
	b.at = b.at.Add(time.Second)
	return b.at
}

// want compares an answer: "" is done.
func (b *bookCase) want(what string, err error, reason adapters.Reason) {
	b.Helper()
	if err != nil && adapters.ReasonOf(err) == "" {
		b.Fatalf("%s: %v", what, err)
	}
	if got := adapters.ReasonOf(err); got != reason {
		b.Errorf("%s: refused %q, want %q", what, got, reason)
	}
}

func (b *bookCase) open(name string, balance int64) {
	b.Helper()
	a := adapters.Account{Scheme: adapters.SchemeEmployee, Status: adapters.StatusNormal, Balance: balance}
	b.want("open "+name, b.book.Open(b.txn, b.tick(), name, a), "")
}

// status sets the person data of the account "p".
func (b *bookCase) status(scheme, status int) {
	b.Helper()
	err := b.book.Open(b.txn, b.tick(), "p", adapters.Account{Scheme: scheme, Status: status})
	b.want("open again", err, "")
}

func (b *bookCase) hold(ref, name string, amount, floor, held int64, reason adapters.Reason) {
	b.Helper()
	got, err := b.book.Hold(b.txn, b.tick(), ref, name, amount, floor)
	b.want("hold "+ref, err, reason)
	if got != held {
		b.Errorf("hold %s: placed %d, want %d", ref, got, held)
	}
}

func (b *bookCase) capture(ref string, amount int64, reason adapters.Reason) {
	b.Helper()
	b.want("capture "+ref, b.book.Capture(b.txn, b.tick(), ref, amount), reason)
}

func (b *bookCase) release(ref string, reason adapters.Reason) {
	b.Helper()
	b.want("release "+ref, b.book.Release(b.txn, b.tick(), ref), reason)
}

func (b *bookCase) refund(ref, hold string, amount int64, reason adapters.Reason) {
	b.Helper()
	b.want("refund "+ref, b.book.Refund(b.txn, b.tick(), ref, hold, amount), reason)
}

func (b *bookCase) account(name string) adapters.Account {
	b.Helper()
	a, ok, err := b.book.Account(b.txn, name)
	if err != nil || !ok {
		b.Fatalf("account %s: %v, %v", name, ok, err)
	}
	return a
}

func (b *bookCase) funds(name string, balance, held int64) {
	b.Helper()
	if a := b.account(name); a.Balance != balance || a.Held != held {
		b.Errorf("%s: balance %d, held %d; want %d, %d", name, a.Balance, a.Held, balance, held)
	}
}

func (b *bookCase) record(ref string, want adapters.Hold) {
	b.Helper()
	got, err := b.book.Find(b.txn, ref)
	if err != nil {
		b.Fatal(err)
	}
	if got != want {
		b.Errorf("hold %s: %+v, want %+v", ref, got, want)
	}
}

func (b *bookCase) movements(name string, from uint64) []adapters.Movement {
	b.Helper()
	var all []adapters.Movement
	err := b.book.Movements(b.txn, name, from, func(m adapters.Movement) bool {
		all = append(all, m)
		return true
	})
	if err != nil {
		b.Fatal(err)
	}
	return all
}

func (b *bookCase) unchanged(what string, act func()) {
	b.Helper()
	before := b.txn.Clone()
	act()
	if !b.txn.Equal(before) {
		b.Errorf("%s changed the state", what)
	}
}

func bookOpen(b *bookCase) {
	if _, ok, err := b.book.Account(b.txn, "p"); ok || err != nil {
		b.Errorf("account before it was opened: %v, %v", ok, err)
	}
	b.open("p", 4084)
	want := adapters.Account{Scheme: 310, Status: 1, Balance: 4084, Year: 2026, Opening: 4084, Provisional: true}
	if got := b.account("p"); got != want {
		b.Errorf("account %+v, want %+v", got, want)
	}
	all := b.movements("p", 0)
	if len(all) != 1 || all[0].Kind != adapters.KindCredit || all[0].Ref != adapters.RefOpening ||
		all[0].Amount != 4084 {
		b.Errorf("the opening balance is not a credit: %+v", all)
	}
	b.unchanged("the same Open again", func() { b.open("p", 4084) })
	b.unchanged("an Open with another balance", func() { b.open("p", 1) })
	b.status(adapters.SchemeResident, adapters.StatusSuspended)
	if a := b.account("p"); a.Scheme != 390 || a.Status != 2 || a.Balance != 4084 {
		b.Errorf("person data not set, or more than them: %+v", a)
	}
	b.open("empty", 0)
	if n := len(b.movements("empty", 0)); n != 0 {
		b.Errorf("an empty account has %d movements", n)
	}
}

func bookPublish(b *bookCase) {
	a := adapters.Account{Scheme: 310, Status: 1, Balance: 500, Held: 77, Year: 2026, Opening: 800}
	b.want("open", b.book.Open(b.txn, b.tick(), "p", a), "")
	want := adapters.Account{Scheme: 310, Status: 1, Balance: 500, Year: 2026, Opening: 800}
	if got := b.account("p"); got != want {
		b.Errorf("published opening: %+v, want %+v", got, want)
	}
	b.open("q", 500)
	publish := adapters.Account{Scheme: 310, Status: 1, Year: 2025, Opening: 900}
	b.unchanged("the opening of last year", func() {
		b.want("open", b.book.Open(b.txn, b.tick(), "q", publish), "")
	})
	publish.Year = 2026
	b.want("open", b.book.Open(b.txn, b.tick(), "q", publish), "")
	if got := b.account("q"); got.Opening != 900 || got.Provisional {
		b.Errorf("opening not published: %+v", got)
	}
	b.open("r", 500)
	publish.Opening = 420
	b.want("open", b.book.Open(b.txn, b.tick(), "r", publish), "")
	if got := b.account("r"); got.Opening != 420 || got.Credited != 80 {
		b.Errorf("what came in since the opening: %+v", got)
	}
	publish.Opening = 901
	b.unchanged("a second publication", func() {
		b.want("open", b.book.Open(b.txn, b.tick(), "q", publish), "")
	})
}

func bookHold(b *bookCase) {
	b.open("p", 1000)
	b.hold("h1", "p", 300, 0, 300, "")
	b.funds("p", 1000, 300)
	b.record("h1", adapters.Hold{State: adapters.HoldOpen, Held: 300})
	b.hold("h2", "p", 600, 500, 200, "") // what is held already counts
	b.hold("h3", "p", 600, 500, 0, adapters.ReasonBalance)
	b.hold("h4", "p", 600, 0, 500, "")
	b.funds("p", 1000, 1000)
	b.unchanged("a repeat", func() {
		b.hold("h1", "p", 300, 0, 300, "")
		b.hold("h2", "p", 600, 500, 200, "")
		b.hold("h3", "p", 600, 500, 0, adapters.ReasonBalance)
	})
	b.unchanged("a conflict", func() {
		b.hold("h1", "p", 301, 0, 0, adapters.ReasonConflict)
		b.hold("h1", "p", 300, 1, 0, adapters.ReasonConflict)
		b.hold("h1", "q", 300, 0, 0, adapters.ReasonConflict)
		b.hold("h3", "p", 600, 0, 0, adapters.ReasonConflict)
	})
	b.record("none", adapters.Hold{})
}

func bookHoldRefusals(b *bookCase) {
	b.open("p", 1000)
	b.hold("stranger", "q", 1, 0, 0, adapters.ReasonUnknownPerson)
	b.hold("floor", "p", 1, 1000, 0, adapters.ReasonBalance)
	b.status(adapters.SchemeResident, adapters.StatusNormal)
	b.hold("scheme", "p", 1, 0, 0, adapters.ReasonScheme)
	b.status(adapters.SchemeEmployee, adapters.StatusSuspended)
	b.hold("suspended", "p", 1, 0, 0, adapters.ReasonStatus)
	b.status(adapters.SchemeEmployee, adapters.StatusTerminated)
	b.hold("terminated", "p", 1, 0, 0, adapters.ReasonStatus)

	// Whatever made the reasons goes away; the answers stay.
	b.open("q", 1000)
	b.open("p", 1000)
	for _, c := range []struct {
		ref, account string
		reason       adapters.Reason
	}{
		{"stranger", "q", adapters.ReasonUnknownPerson},
		{"scheme", "p", adapters.ReasonScheme},
		{"suspended", "p", adapters.ReasonStatus},
		{"terminated", "p", adapters.ReasonStatus},
	} {
		ref, reason := c.ref, c.reason
		b.unchanged(ref, func() { b.hold(ref, c.account, 1, 0, 0, reason) })
		b.record(ref, adapters.Hold{State: adapters.HoldRefused, Reason: reason})
		b.capture(ref, 1, adapters.ReasonNotHeld)
		b.unchanged("release of a refused hold", func() { b.release(ref, "") })
		b.unchanged(ref, func() { b.hold(ref, c.account, 1, 0, 0, reason) })
	}
	b.funds("p", 1000, 0)
}

func bookCapture(b *bookCase) {
	b.open("p", 1000)
	b.hold("h1", "p", 300, 0, 300, "")
	b.hold("h2", "p", 400, 0, 400, "")
	b.capture("h1", 301, adapters.ReasonAbove)
	b.capture("h1", 200, "")
	b.funds("p", 800, 400) // the rest is free in the same act
	b.record("h1", adapters.Hold{State: adapters.HoldCaptured, Held: 300, Captured: 200})
	b.unchanged("a repeat", func() {
		b.capture("h1", 200, "")
		b.capture("h1", 199, adapters.ReasonConflict)
		b.capture("h1", 301, adapters.ReasonAbove)
		b.hold("h1", "p", 300, 0, 300, "")
		err := b.book.Release(b.txn, b.tick(), "h1")
		refused, ok := errors.AsType[*adapters.RefusedError](err)
		if !ok || refused.Reason != adapters.ReasonCaptured || refused.Captured != 200 {
			b.Errorf("release of a captured hold: %v", err)
		}
	})
	b.hold("h3", "p", 400, 0, 400, "")
	b.capture("h3", 400, "")
	b.funds("p", 400, 400)
	b.status(adapters.SchemeEmployee, adapters.StatusSuspended)
	b.capture("h2", 400, "") // what is held may be captured whatever became of the person
	b.funds("p", 0, 0)
}

func bookRelease(b *bookCase) {
	b.open("p", 1000)
	b.hold("h", "p", 300, 0, 300, "")
	b.release("h", "")
	b.funds("p", 1000, 0)
	b.record("h", adapters.Hold{State: adapters.HoldReleased, Held: 300})
	b.unchanged("acts on a released hold", func() {
		b.release("h", "")
		b.capture("h", 300, adapters.ReasonReleased)
		b.capture("h", 301, adapters.ReasonAbove)
		b.hold("h", "p", 300, 0, 300, "") // the old answer, and nothing is held
		b.hold("h", "p", 299, 0, 0, adapters.ReasonConflict)
	})
}

func bookReleaseFirst(b *bookCase) {
	b.open("p", 1000)
	b.release("h", "")
	b.record("h", adapters.Hold{State: adapters.HoldReleased})
	b.unchanged("acts with a dead reference", func() {
		b.release("h", "")
		b.hold("h", "p", 300, 0, 0, adapters.ReasonReleased)
		b.hold("h", "p", 200, 0, 0, adapters.ReasonReleased)
		b.capture("h", 300, adapters.ReasonReleased)
	})
	b.refund("f", "h", 1, adapters.ReasonReleased)
	b.funds("p", 1000, 0)
}

func bookCaptureFirst(b *bookCase) {
	b.open("p", 1000)
	b.capture("h", 300, adapters.ReasonNotHeld)
	b.record("h", adapters.Hold{State: adapters.HoldRefused, Reason: adapters.ReasonNotHeld})
	b.unchanged("acts with a dead reference", func() {
		b.hold("h", "p", 300, 0, 0, adapters.ReasonNotHeld)
		b.capture("h", 300, adapters.ReasonNotHeld)
		b.release("h", "")
		b.capture("h", 300, adapters.ReasonNotHeld)
	})
	b.funds("p", 1000, 0)
}
