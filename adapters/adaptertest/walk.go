package adaptertest

import (
	"errors"
	"fmt"
	"time"

	"gongji/adapters"
)

// Walk plays random acts on a Book and on a Model side by side and compares every answer and
// every record. Names, references and amounts come from small pools, so that repeats, conflicts and
// acts in odd orders are common.
type Walk struct {
	Book  adapters.Book
	Txn   adapters.Txn                    // handed to Book
	Steps int                             // acts to play
	Pick  func(n int) int                 // a number from 0 to n-1; the only source of chance
	Tick  func(d time.Duration) time.Time // lets d pass and returns the stamp of the next act
	// SeenOnly: captures only of references with a record, for a book that is
	// a Core underneath (which need not remember a Capture of what it never saw by the hold).
	SeenOnly bool

	model *Model
}

// Sizes of the pools: small, so that a walk of 100 steps meets each reference several times.
const (
	walkAccounts = 4
	walkHolds    = 12
	walkRefunds  = 8
)

// Run plays the walk and returns the first difference or broken invariant, as a story of one step.
func (w *Walk) Run() error {
	w.model = NewModel()
	for step := range w.Steps {
		if err := w.step(); err != nil {
			return fmt.Errorf("step %d: %w", step+1, err)
		}
	}
	return w.compare()
}

// pass are the times between acts: mostly short, sometimes into the next year.
func (w *Walk) pass() time.Time {
	const month = 30 * 24 * time.Hour
	passes := [...]time.Duration{0, time.Microsecond, time.Second, time.Minute, time.Hour, month}
	return w.Tick(time.Microsecond + passes[w.Pick(len(passes))])
}

func (w *Walk) amount() int64 {
	amounts := [...]int64{1, 50, 99, 100, 250, 1000, adapters.AmountMax, 0, -1, adapters.AmountMax + 1}
	return amounts[w.Pick(len(amounts))]
}

func (w *Walk) name(pool string, n int) string { return fmt.Sprintf("%s%d", pool, w.Pick(n)) }

func (w *Walk) step() error {
	at := w.pass()
	switch w.Pick(8) {
	case 0:
		return w.open(at)
	case 1, 2, 3:
		return w.hold(at)
	case 4, 5:
		return w.capture(at)
	case 6:
		return w.release(at)
	}
	return w.refund(at)
}

func (w *Walk) open(at time.Time) error {
	name := w.name("account", walkAccounts)
	schemes := [...]int{adapters.SchemeEmployee, adapters.SchemeEmployee, adapters.SchemeResident}
	statuses := [...]int{
		adapters.StatusNormal, adapters.StatusNormal, adapters.StatusSuspended, adapters.StatusTerminated,
	}
	balances := [...]int64{0, 100, 777, 5000, adapters.AmountMax}
	a := adapters.Account{
		Scheme: schemes[w.Pick(len(schemes))], Status: statuses[w.Pick(len(statuses))],
		Balance: balances[w.Pick(len(balances))], Opening: balances[w.Pick(len(balances))],
		Year: adapters.BusinessYear(at) - w.Pick(2), Provisional: w.Pick(2) == 0,
	}
	got, want := w.Book.Open(w.Txn, at, name, a), w.model.Open(nil, at, name, a)
	return w.same(fmt.Sprintf("open %s %+v", name, a), got, want)
}

func (w *Walk) hold(at time.Time) error {
	ref, name := w.name("hold", walkHolds), w.name("account", walkAccounts+1)
	floors := [...]int64{0, 0, 0, 100, 700, -1, adapters.AmountMax}
	amount, floor := w.amount(), floors[w.Pick(len(floors))]
	before, _ := w.model.Find(nil, ref)
	held, got := w.Book.Hold(w.Txn, at, ref, name, amount, floor)
	expected, want := w.model.Hold(nil, at, ref, name, amount, floor)
	what := fmt.Sprintf("hold %s of %s: %d above %d", ref, name, amount, floor)
	if held != expected {
		return fmt.Errorf("%s: held %d, want %d (%w)", what, held, expected, errors.Join(got, want))
	}
	if err := w.same(what, got, want); err != nil || got != nil || before.State != adapters.HoldNone {
		return err
	}
	a, _, err := w.Book.Account(w.Txn, name)
	if err != nil {
		return err
	}
	if a.Held > max(0, a.Balance-floor) {
		return fmt.Errorf("%s: %d held of %d (I-2)", what, a.Held, a.Balance)
	}
	return nil
}

func (w *Walk) capture(at time.Time) error {
	ref, amount := w.name("hold", walkHolds), w.amount()
	if h, _ := w.model.Find(nil, ref); w.SeenOnly && h.State == adapters.HoldNone {
		return nil
	}
	got, want := w.Book.Capture(w.Txn, at, ref, amount), w.model.Capture(nil, at, ref, amount)
	return w.same(fmt.Sprintf("capture %s: %d", ref, amount), got, want)
}

func (w *Walk) release(at time.Time) error {
	ref := w.name("hold", walkHolds)
	got, want := w.Book.Release(w.Txn, at, ref), w.model.Release(nil, at, ref)
	return w.same("release "+ref, got, want)
}

func (w *Walk) refund(at time.Time) error {
	ref, hold, amount := w.name("refund", walkRefunds), w.name("hold", walkHolds), w.amount()
	got, want := w.Book.Refund(w.Txn, at, ref, hold, amount), w.model.Refund(nil, at, ref, hold, amount)
	return w.same(fmt.Sprintf("refund %s of %s: %d", ref, hold, amount), got, want)
}

// words says what an answer was.
func words(err error) string {
	if err == nil {
		return "done"
	}
	return err.Error()
}

// same compares two answers and, after every act, all accounts.
func (w *Walk) same(what string, got, want error) error {
	g, gok := errors.AsType[*adapters.RefusedError](got)
	m, mok := errors.AsType[*adapters.RefusedError](want)
	switch {
	case got != nil && !gok:
		return fmt.Errorf("%s: %w", what, got)
	case gok != mok:
		return fmt.Errorf("%s: answer %s, want %s", what, words(got), words(want))
	case gok && *g != *m:
		return fmt.Errorf("%s: refused %+v, want %+v", what, *g, *m)
	}
	for _, name := range w.model.order {
		have, ok, err := w.Book.Account(w.Txn, name)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if need := w.model.accounts[name].now(); !ok || have != need {
			return fmt.Errorf("%s: leaves %s %+v, want %+v", what, name, have, need)
		}
	}
	return nil
}

// compare looks at everything once more.
func (w *Walk) compare() error {
	var order []string
	err := w.Book.Accounts(w.Txn, func(name string, _ adapters.Account) bool {
		order = append(order, name)
		return true
	})
	if err != nil {
		return err
	}
	if fmt.Sprint(order) != fmt.Sprint(w.model.order) {
		return fmt.Errorf("accounts in order %v, want %v", order, w.model.order)
	}
	for _, name := range order {
		if err := w.compareMovements(name); err != nil {
			return err
		}
	}
	for i := range walkHolds {
		ref := fmt.Sprintf("hold%d", i)
		got, err := w.Book.Find(w.Txn, ref)
		if err != nil {
			return err
		}
		if want, _ := w.model.Find(nil, ref); got != want {
			return fmt.Errorf("%s: %+v, want %+v", ref, got, want)
		}
		if got.Captured > got.Held || got.Refunded > got.Captured {
			return fmt.Errorf("%s: %+v (I-4)", ref, got)
		}
	}
	return CheckBook(w.Txn, w.Book)
}

func (w *Walk) compareMovements(name string) error {
	var failed error
	n := 0
	err := w.Book.Movements(w.Txn, name, 0, func(m adapters.Movement) bool {
		want := w.model.accounts[name].movements
		if n >= len(want) || m != want[n] {
			failed = fmt.Errorf("%s: movement %+v is not as it should be", name, m)
			return false
		}
		n++
		return true
	})
	if err != nil {
		return err
	}
	if failed == nil && n != len(w.model.accounts[name].movements) {
		return fmt.Errorf("%s: %d movements, want %d", name, n, len(w.model.accounts[name].movements))
	}
	return failed
}
