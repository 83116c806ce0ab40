package embedded

import (
	"encoding/binary"
	"sync"
	"time"

	"gongji/adapters"
)

// Book is an adapters.Book. It holds nothing but its prefix and spare buffers.
//
// An act on a hold costs two reads and at most four writes: of its account, its hold and one or two
// movements. A refusal costs one write, a repeat none.
type Book struct {
	prefix byte
	spare  sync.Pool // of *scratch: keys and values go through an interface, and would be allocated
}

var _ adapters.Book = (*Book)(nil)

// scratch holds the bytes of one act.
type scratch struct {
	key   [keyMax]byte
	value [recordMax]byte
	name  [adapters.RefMax]byte // the account of this act, kept beyond the next write
	named int                   // bytes of name
}

// keep sets the account of this act.
func keep[T ~string | ~[]byte](s *scratch, name T) []byte {
	s.named = copy(s.name[:], name)
	return s.name[:s.named]
}

// New returns a Book whose keys all begin with prefix. Nothing else may write such keys.
func New(prefix byte) *Book {
	return &Book{prefix: prefix, spare: sync.Pool{New: func() any { return new(scratch) }}}
}

func (b *Book) take() *scratch {
	if s, ok := b.spare.Get().(*scratch); ok {
		return s
	}
	return new(scratch)
}

func refused(reason adapters.Reason) error { return &adapters.RefusedError{Reason: reason} }

func named(name string) bool { return len(name) >= 1 && len(name) <= adapters.RefMax }

func amounts(amount int64) bool { return amount >= 1 && amount <= adapters.AmountMax }

// key builds a key of a kind with a name.
func key[T ~string | ~[]byte](b *Book, s *scratch, kind byte, name T) []byte {
	return appendName(append(s.key[:0], b.prefix, kind), name)
}

func getAccount[T ~string | ~[]byte](b *Book, s *scratch, r adapters.Reader, name T) (account, bool, error) {
	v, ok := r.Get(key(b, s, keyAccount, name))
	if !ok {
		return account{}, false, nil
	}
	a, err := decodeAccount(v)
	return a, err == nil, err
}

// putAccount writes the account whose name is in the scratch.
func (b *Book) putAccount(s *scratch, t adapters.Txn, a *account) {
	t.Set(key(b, s, keyAccount, s.name[:s.named]), appendAccount(s.value[:0], a))
}

// getHold returns HoldNone for a reference never seen. The account's name is copied.
func (b *Book) getHold(s *scratch, r adapters.Reader, ref string) (hold, error) {
	v, ok := r.Get(key(b, s, keyHold, ref))
	if !ok {
		return hold{}, nil
	}
	h, err := decodeHold(v)
	if err != nil {
		return hold{}, err
	}
	h.account = keep(s, h.account)
	return h, nil
}

func (b *Book) putHold(s *scratch, t adapters.Txn, ref string, h *hold) {
	t.Set(key(b, s, keyHold, ref), appendHold(s.value[:0], h))
}

// move appends the next movement of an account, which already holds what the movement leaves. The
// account's name is the one in the scratch.
func (b *Book) move(s *scratch, t adapters.Txn, a *account, m movement, ref string) {
	a.movements++
	m.balance, m.held = a.Balance, a.Held
	k := binary.BigEndian.AppendUint64(key(b, s, keyMovement, s.name[:s.named]), a.movements)
	t.Set(k, appendMovement(s.value[:0], &m, ref))
}

// touch begins an act at a time: in a new business year the opening is set before the act counts.
func (a *account) touch(at time.Time) { a.Account = a.InYear(adapters.BusinessYear(at)) }

// Open makes an account or sets its person data; see adapters.Book.
func (b *Book) Open(t adapters.Txn, at time.Time, name string, a adapters.Account) error {
	year := adapters.BusinessYear(at)
	if !named(name) || !personData(a) || a.Year < 0 || a.Year > year || !money(a.Opening) || !money(a.Balance) {
		return refused(adapters.ReasonInvalid)
	}
	s := b.take()
	defer b.spare.Put(s)
	keep(s, name)
	now, ok, err := getAccount(b, s, t, name)
	if err != nil {
		return err
	}
	if !ok {
		return b.open(s, t, at, name, a)
	}
	before := now
	now.touch(at)
	now.Scheme, now.Status = a.Scheme, a.Status
	if now.Provisional && !a.Provisional && a.Year == now.Year {
		now.Account = now.Publish(a.Opening)
	}
	if now != before {
		b.putAccount(s, t, &now)
	}
	return nil
}

// personData reports whether scheme and status fit into their fields.
func personData(a adapters.Account) bool {
	const schemeMax, statusMax = 1<<16 - 1, 1<<8 - 1
	return a.Scheme >= 0 && a.Scheme <= schemeMax && a.Status >= 0 && a.Status <= statusMax
}

// open makes a new account, numbered after those before it.
func (b *Book) open(s *scratch, t adapters.Txn, at time.Time, name string, a adapters.Account) error {
	count, err := b.count(s, t)
	if err != nil {
		return err
	}
	fresh := account{Account: a}
	year := adapters.BusinessYear(at)
	fresh.Held, fresh.Credited = 0, 0
	fresh.Year, fresh.Opening, fresh.Provisional = year, a.Balance, true
	if a.Year == year && !a.Provisional {
		fresh.Account = fresh.Publish(a.Opening)
	}
	if a.Balance > 0 {
		m := movement{kind: kindCredit, at: at.UnixMicro(), amount: a.Balance}
		b.move(s, t, &fresh, m, adapters.RefOpening)
	}
	b.putAccount(s, t, &fresh)
	t.Set(b.orderKey(s, count+1), append(s.value[:0], name...))
	t.Set(append(s.key[:0], b.prefix, keyCount), binary.BigEndian.AppendUint64(s.value[:0], count+1))
	return nil
}

func (b *Book) orderKey(s *scratch, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(s.key[:0], b.prefix, keyOrder), number)
}

func (b *Book) count(s *scratch, r adapters.Reader) (uint64, error) {
	v, ok := r.Get(append(s.key[:0], b.prefix, keyCount))
	if !ok {
		return 0, nil
	}
	if len(v) != 8 {
		return 0, corrupt("count", "form")
	}
	return binary.BigEndian.Uint64(v), nil
}

// Hold places up to amount above floor; see adapters.Book.
func (b *Book) Hold(
	t adapters.Txn, at time.Time, ref, name string, amount, floor int64,
) (int64, error) {
	if !named(ref) || !named(name) || !amounts(amount) || !money(floor) {
		return 0, refused(adapters.ReasonInvalid)
	}
	s := b.take()
	defer b.spare.Put(s)
	h, err := b.getHold(s, t, ref)
	if err != nil {
		return 0, err
	}
	if h.state != adapters.HoldNone {
		return h.answer(name, amount, floor)
	}
	a, ok, err := getAccount(b, s, t, name)
	if err != nil {
		return 0, err
	}
	h = hold{asked: amount, floor: floor, account: keep(s, name)}
	if h.reason = refusal(&a, ok, floor); h.reason != reasonNone {
		h.state = adapters.HoldRefused
		b.putHold(s, t, ref, &h)
		return 0, refused(reasons[h.reason])
	}
	a.touch(at)
	h.state, h.held = adapters.HoldOpen, min(amount, a.Balance-a.Held-floor)
	a.Held += h.held
	b.move(s, t, &a, movement{kind: kindHold, at: at.UnixMicro(), amount: h.held}, ref)
	b.putAccount(s, t, &a)
	b.putHold(s, t, ref, &h)
	return h.held, nil
}

// answer is what a Hold gets whose reference is known.
func (h *hold) answer(name string, amount, floor int64) (int64, error) {
	switch {
	case h.dead() && h.state == adapters.HoldReleased:
		return 0, refused(adapters.ReasonReleased)
	case h.dead():
		return 0, refused(reasons[h.reason])
	case string(h.account) != name || h.asked != amount || h.floor != floor:
		return 0, refused(adapters.ReasonConflict)
	case h.state == adapters.HoldRefused:
		return 0, refused(reasons[h.reason])
	}
	return h.held, nil
}

// refusal says why nothing can be held, as a stored reason.
func refusal(a *account, exists bool, floor int64) uint8 {
	switch {
	case !exists:
		return reasonUnknownPerson
	case a.Scheme != adapters.SchemeEmployee:
		return reasonScheme
	case a.Status != adapters.StatusNormal:
		return reasonStatus
	case a.Balance-a.Held-floor < 1: // three amounts of 14 digits cannot overflow
		return reasonBalance
	}
	return reasonNone
}

// Capture takes amount of a hold and frees the rest; see adapters.Book.
func (b *Book) Capture(t adapters.Txn, at time.Time, ref string, amount int64) error {
	if !named(ref) || !amounts(amount) {
		return refused(adapters.ReasonInvalid)
	}
	s := b.take()
	defer b.spare.Put(s)
	h, err := b.getHold(s, t, ref)
	if err != nil {
		return err
	}
	switch {
	case h.state == adapters.HoldNone:
		h = hold{state: adapters.HoldRefused, reason: reasonNotHeld}
		b.putHold(s, t, ref, &h)
		return refused(adapters.ReasonNotHeld)
	case h.state == adapters.HoldRefused:
		return refused(adapters.ReasonNotHeld)
	case h.held > 0 && amount > h.held: // before the state, so that the answer never changes
		return refused(adapters.ReasonAbove)
	case h.state == adapters.HoldReleased:
		return refused(adapters.ReasonReleased)
	case h.state == adapters.HoldCaptured && amount != h.captured:
		return refused(adapters.ReasonConflict)
	case h.state == adapters.HoldCaptured:
		return nil
	}
	a, err := b.holder(s, t, &h)
	if err != nil {
		return err
	}
	a.touch(at)
	a.Balance -= amount
	a.Held -= amount
	b.move(s, t, &a, movement{kind: kindCapture, at: at.UnixMicro(), amount: amount}, ref)
	if rest := h.held - amount; rest > 0 {
		a.Held -= rest
		b.move(s, t, &a, movement{kind: kindRelease, at: at.UnixMicro(), amount: rest}, ref)
	}
	b.putAccount(s, t, &a)
	h.state, h.captured = adapters.HoldCaptured, amount
	b.putHold(s, t, ref, &h)
	return nil
}

// holder returns the account of an open hold.
func (b *Book) holder(s *scratch, r adapters.Reader, h *hold) (account, error) {
	a, ok, err := getAccount(b, s, r, h.account)
	if err != nil {
		return account{}, err
	}
	if !ok || a.Held < h.held {
		return account{}, corrupt("account", "less held than its holds")
	}
	return a, nil
}

// Release frees a hold or makes its reference dead; see adapters.Book.
func (b *Book) Release(t adapters.Txn, at time.Time, ref string) error {
	if !named(ref) {
		return refused(adapters.ReasonInvalid)
	}
	s := b.take()
	defer b.spare.Put(s)
	h, err := b.getHold(s, t, ref)
	if err != nil {
		return err
	}
	switch h.state {
	case adapters.HoldNone:
		h = hold{state: adapters.HoldReleased}
		b.putHold(s, t, ref, &h)
		return nil
	case adapters.HoldCaptured:
		return &adapters.RefusedError{Reason: adapters.ReasonCaptured, Captured: h.captured}
	case adapters.HoldReleased, adapters.HoldRefused:
		return nil
	case adapters.HoldOpen:
	}
	a, err := b.holder(s, t, &h)
	if err != nil {
		return err
	}
	a.touch(at)
	a.Held -= h.held
	b.move(s, t, &a, movement{kind: kindRelease, at: at.UnixMicro(), amount: h.held}, ref)
	b.putAccount(s, t, &a)
	h.state = adapters.HoldReleased
	b.putHold(s, t, ref, &h)
	return nil
}
