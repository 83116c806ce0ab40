package adaptertest

import (
	"fmt"
	"time"

	"gongji/adapters"
)

// Model is a second, slow and obvious account book: it keeps lists of movements and adds them up
// whenever it is asked. It has its own memory and pays no attention to the Txn or Reader
// handed in, which may be nil. Not safe for concurrent use.
type Model struct {
	order    []string
	accounts map[string]*modelAccount
	holds    map[string]*modelHold
	refunds  map[string]*modelRefund
}

type modelAccount struct {
	scheme, status int
	year           int
	opening        int64
	credited       int64
	provisional    bool
	movements      []adapters.Movement
}

type modelHold struct {
	adapters.Hold
	account      string
	asked, floor int64
	dead         adapters.Reason // of a reference that was released or captured before it was seen
}

type modelRefund struct {
	hold   string
	amount int64
	reason adapters.Reason
}

var _ adapters.Book = (*Model)(nil)

// NewModel returns an empty Model.
func NewModel() *Model {
	return &Model{
		accounts: map[string]*modelAccount{},
		holds:    map[string]*modelHold{},
		refunds:  map[string]*modelRefund{},
	}
}

func (a *modelAccount) now() adapters.Account {
	out := adapters.Account{
		Scheme: a.scheme, Status: a.status, Year: a.year, Opening: a.opening, Provisional: a.provisional,
		Credited: a.credited,
	}
	for _, m := range a.movements {
		switch m.Kind {
		case adapters.KindHold:
			out.Held += m.Amount
		case adapters.KindRelease:
			out.Held -= m.Amount
		case adapters.KindCapture:
			out.Held -= m.Amount
			out.Balance -= m.Amount
		case adapters.KindRefund, adapters.KindCredit:
			out.Balance += m.Amount
		}
	}
	return out
}

func (a *modelAccount) move(at time.Time, kind adapters.Kind, ref string, amount int64) {
	if year := adapters.BusinessYear(at); year > a.year {
		a.year, a.opening, a.provisional, a.credited = year, a.now().Balance, true, 0
	}
	seq := uint64(len(a.movements) + 1)
	at = at.UTC().Truncate(time.Microsecond)
	a.movements = append(a.movements, adapters.Movement{Seq: seq, At: at, Kind: kind, Ref: ref, Amount: amount})
	after, last := a.now(), &a.movements[seq-1]
	last.Balance, last.Held = after.Balance, after.Held
}

func refuse(reason adapters.Reason) error {
	if reason == "" {
		return nil
	}
	return &adapters.RefusedError{Reason: reason}
}

func badName(names ...string) bool {
	for _, name := range names {
		if len(name) < 1 || len(name) > adapters.RefMax {
			return true
		}
	}
	return false
}

func badAmount(amount int64) bool { return amount < 1 || amount > adapters.AmountMax }

func badMoney(amount int64) bool { return amount < 0 || amount > adapters.AmountMax }

// Open makes an account or sets its person data.
func (m *Model) Open(_ adapters.Txn, at time.Time, name string, a adapters.Account) error {
	year := adapters.BusinessYear(at)
	bad := badName(name) || badMoney(a.Balance) || badMoney(a.Opening) || a.Year < 0 || a.Year > year ||
		a.Scheme < 0 || a.Scheme > 65535 || a.Status < 0 || a.Status > 255
	if bad {
		return refuse(adapters.ReasonInvalid)
	}
	published := a.Year == year && !a.Provisional
	known, ok := m.accounts[name]
	if !ok {
		known = &modelAccount{year: year, opening: a.Balance, provisional: true}
		m.accounts[name] = known
		m.order = append(m.order, name)
		if a.Balance > 0 {
			known.move(at, adapters.KindCredit, adapters.RefOpening, a.Balance)
		}
	}
	if year > known.year {
		known.year, known.opening, known.provisional, known.credited = year, known.now().Balance, true, 0
	}
	known.scheme, known.status = a.Scheme, a.Status
	if published && known.provisional {
		if known.opening > a.Opening { // the rest came in since the year began
			known.credited = known.opening - a.Opening
		}
		known.opening, known.provisional = a.Opening, false
	}
	return nil
}

// Hold places up to amount.
func (m *Model) Hold(_ adapters.Txn, at time.Time, ref, name string, amount, floor int64) (int64, error) {
	if badName(ref, name) || badAmount(amount) || badMoney(floor) {
		return 0, refuse(adapters.ReasonInvalid)
	}
	if h, ok := m.holds[ref]; ok {
		switch {
		case h.dead != "":
			return 0, refuse(h.dead)
		case h.account != name || h.asked != amount || h.floor != floor:
			return 0, refuse(adapters.ReasonConflict)
		}
		return h.Held, refuse(h.Reason)
	}
	h := &modelHold{account: name, asked: amount, floor: floor}
	m.holds[ref] = h
	h.Held, h.Reason = m.free(name, amount, floor)
	if h.Reason != "" {
		h.State = adapters.HoldRefused
		return 0, refuse(h.Reason)
	}
	h.State = adapters.HoldOpen
	m.accounts[name].move(at, adapters.KindHold, ref, h.Held)
	return h.Held, nil
}

// free says what a hold would get.
func (m *Model) free(name string, amount, floor int64) (int64, adapters.Reason) {
	known, ok := m.accounts[name]
	if !ok {
		return 0, adapters.ReasonUnknownPerson
	}
	a := known.now()
	if a.Scheme != adapters.SchemeEmployee {
		return 0, adapters.ReasonScheme
	}
	if a.Status != adapters.StatusNormal {
		return 0, adapters.ReasonStatus
	}
	if a.Balance-a.Held-floor <= 0 {
		return 0, adapters.ReasonBalance
	}
	return min(amount, a.Balance-a.Held-floor), ""
}

// Capture takes amount of a hold.
func (m *Model) Capture(_ adapters.Txn, at time.Time, ref string, amount int64) error {
	if badName(ref) || badAmount(amount) {
		return refuse(adapters.ReasonInvalid)
	}
	h, ok := m.holds[ref]
	if !ok {
		h = &modelHold{dead: adapters.ReasonNotHeld}
		h.State, h.Reason = adapters.HoldRefused, adapters.ReasonNotHeld
		m.holds[ref] = h
	}
	switch {
	case h.State == adapters.HoldRefused:
		return refuse(adapters.ReasonNotHeld)
	case h.dead != "":
		return refuse(h.dead)
	case amount > h.Held:
		return refuse(adapters.ReasonAbove)
	case h.State == adapters.HoldReleased:
		return refuse(adapters.ReasonReleased)
	case h.State == adapters.HoldCaptured:
		if amount != h.Captured {
			return refuse(adapters.ReasonConflict)
		}
		return nil
	}
	account := m.accounts[h.account]
	account.move(at, adapters.KindCapture, ref, amount)
	if amount < h.Held {
		account.move(at, adapters.KindRelease, ref, h.Held-amount)
	}
	h.State, h.Captured = adapters.HoldCaptured, amount
	return nil
}

// Release frees a hold.
func (m *Model) Release(_ adapters.Txn, at time.Time, ref string) error {
	if badName(ref) {
		return refuse(adapters.ReasonInvalid)
	}
	h, ok := m.holds[ref]
	if !ok {
		h = &modelHold{dead: adapters.ReasonReleased}
		h.State = adapters.HoldReleased
		m.holds[ref] = h
	}
	if h.State == adapters.HoldCaptured {
		return &adapters.RefusedError{Reason: adapters.ReasonCaptured, Captured: h.Captured}
	}
	if h.State == adapters.HoldOpen {
		m.accounts[h.account].move(at, adapters.KindRelease, ref, h.Held)
		h.State = adapters.HoldReleased
	}
	return nil
}

// Refund gives back from a captured hold.
func (m *Model) Refund(_ adapters.Txn, at time.Time, ref, hold string, amount int64) error {
	if badName(ref, hold) || badAmount(amount) {
		return refuse(adapters.ReasonInvalid)
	}
	if f, ok := m.refunds[ref]; ok {
		if f.hold != hold || f.amount != amount {
			return refuse(adapters.ReasonConflict)
		}
		return refuse(f.reason)
	}
	f := &modelRefund{hold: hold, amount: amount}
	m.refunds[ref] = f
	h, ok := m.holds[hold]
	switch {
	case !ok || h.State == adapters.HoldRefused:
		f.reason = adapters.ReasonNotHeld
	case h.State == adapters.HoldReleased:
		f.reason = adapters.ReasonReleased
	case h.Refunded+amount > h.Captured:
		f.reason = adapters.ReasonAbove
	case m.accounts[h.account].status == adapters.StatusTerminated:
		f.reason = adapters.ReasonClosed
	default:
		m.accounts[h.account].move(at, adapters.KindRefund, ref, amount)
		h.Refunded += amount
	}
	return refuse(f.reason)
}

// Account reads an account.
func (m *Model) Account(_ adapters.Reader, name string) (adapters.Account, bool, error) {
	a, ok := m.accounts[name]
	if !ok {
		return adapters.Account{}, false, nil
	}
	return a.now(), true, nil
}

// Find reads a hold.
func (m *Model) Find(_ adapters.Reader, ref string) (adapters.Hold, error) {
	h, ok := m.holds[ref]
	if !ok {
		return adapters.Hold{}, nil
	}
	return h.Hold, nil
}

// Accounts visits all accounts.
func (m *Model) Accounts(_ adapters.Reader, visit func(account string, a adapters.Account) bool) error {
	for _, name := range m.order {
		if !visit(name, m.accounts[name].now()) {
			return nil
		}
	}
	return nil
}

// Movements visits the movements of an account.
func (m *Model) Movements(
	_ adapters.Reader, name string, from uint64, visit func(m adapters.Movement) bool,
) error {
	a, ok := m.accounts[name]
	if !ok {
		return nil
	}
	for _, movement := range a.movements {
		if movement.Seq >= from && !visit(movement) {
			return nil
		}
	}
	return nil
}

// CheckBook holds a whole book against its movements and returns the first contradiction: for every
// account the sequence numbers have no gap, every movement's balance and held follow from the one
// before, opening credit + credits − captured + refunded = balance (I-1), holds − captures −
// releases = held, and at no moment is more held than there is.
func CheckBook(r adapters.Reader, book adapters.BookReader) error {
	var failed error
	err := book.Accounts(r, func(name string, a adapters.Account) bool {
		failed = checkAccount(r, book, name, a)
		return failed == nil
	})
	if err != nil {
		return err
	}
	return failed
}

func checkAccount(r adapters.Reader, book adapters.BookReader, name string, a adapters.Account) error {
	var movements []adapters.Movement
	err := book.Movements(r, name, 0, func(m adapters.Movement) bool {
		movements = append(movements, m)
		return true
	})
	if err != nil {
		return err
	}
	return checkMovements(name, a, movements)
}

// checkMovements is CheckBook for one account.
func checkMovements(name string, a adapters.Account, movements []adapters.Movement) error {
	sum := modelAccount{}
	for i, m := range movements {
		if m.Seq != uint64(i+1) {
			return fmt.Errorf("account %q: movement %d has number %d", name, i+1, m.Seq)
		}
		if i > 0 && m.At.Before(movements[i-1].At) {
			return fmt.Errorf("account %q: movement %d is dated before the one before", name, m.Seq)
		}
		sum.movements = movements[i : i+1]
		step := sum.now()
		if i > 0 {
			step.Balance += movements[i-1].Balance
			step.Held += movements[i-1].Held
		}
		if m.Amount < 1 || step.Balance != m.Balance || step.Held != m.Held {
			return fmt.Errorf("account %q: movement %d leaves %d/%d, want %d/%d (I-1)",
				name, m.Seq, m.Balance, m.Held, step.Balance, step.Held)
		}
		if m.Held < 0 || m.Held > m.Balance {
			return fmt.Errorf("account %q: movement %d leaves %d held of %d (I-2)", name, m.Seq, m.Held, m.Balance)
		}
	}
	sum.movements = movements
	if total := sum.now(); total.Balance != a.Balance || total.Held != a.Held {
		return fmt.Errorf("account %q: balance/held %d/%d, its movements give %d/%d (I-1)",
			name, a.Balance, a.Held, total.Balance, total.Held)
	}
	return nil
}
