package adaptertest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"gongji/adapters"
)

// PendingMax is how many calls may be on their way late; beyond it they are carried out at once.
const PendingMax = 10_000

// Faults are what can go wrong between a caller and the simulated core: for each fault how many calls
// of a thousand meet it. They are drawn anew for each call, one fault at most.
type Faults struct {
	Down bool // every call is ErrUnavailable

	Unavailable int // never leaves: ErrUnavailable
	UnknownDone int // carried out, the answer is lost: ErrUnknown
	UnknownLost int // never carried out: ErrUnknown
	UnknownLate int // ErrUnknown at once, carried out later, also after Status found nothing
	Twice       int // answered, and carried out once more later
	SlowBefore  int // carried out after a while, then answered
	SlowAfter   int // carried out at once, answered after a while

	LateMax time.Duration // the longest that UnknownLate and Twice are delayed; an hour if zero
	SlowMax time.Duration // the longest of SlowBefore and SlowAfter; two seconds if zero
}

// Some returns Faults of every kind, each met by so many calls of a thousand.
func Some(perMille int) Faults {
	return Faults{
		Unavailable: perMille, UnknownDone: perMille, UnknownLost: perMille, UnknownLate: perMille,
		Twice: perMille, SlowBefore: perMille, SlowAfter: perMille,
	}
}

// Met counts the faults that were met since start.
type Met struct {
	Calls, Unavailable, UnknownDone, UnknownLost, UnknownLate, Twice, Slow int
	// LateEffects counts calls whose effect came after their caller had been told ErrUnknown.
	LateEffects int
}

// SimOptions make a SimCore.
type SimOptions struct {
	Seed   uint64
	Clock  func() time.Time // the core's own clock
	Faults Faults
	// Claims are its Capabilities, and what its book keeps of rules 1 and 2.
	Claims adapters.Capabilities
	Flaws  Flaw // what it does wrong beside
	Page   int  // entries in a page of Entries; EntriesMax if zero
}

// SimCore is a core system outside, simulated: a correct book behind a line with faults that are
// switched on and off while it runs. The same seed and the same calls in the same order meet the same faults.
// It starts no goroutine: what is on its way late is carried out, in the order of its due times and
// dated by them, before the next call that looks. Slow answers wait on timers of package time,
// so that it runs in virtual time inside testing/synctest. Safe for concurrent use.
type SimCore struct {
	clock func() time.Time
	page  int

	mu      sync.Mutex
	rng     *rand.Rand
	faults  Faults
	ledger  *simLedger
	pending []*delivery // ascending by due, then by number
	number  uint64
	met     Met
	closed  bool
	last    time.Time

	premiumsDown bool
}

// delivery is a call on its way to the core.
type delivery struct {
	due    time.Time
	number uint64
	act    act
	told   bool // its caller has been told ErrUnknown
	done   bool
	held   int64
	err    error
}

var _ adapters.Core = (*SimCore)(nil)

// NewCore returns a SimCore that keeps all five rules and has native holds.
func NewCore(seed uint64, clock func() time.Time, faults Faults) *SimCore {
	claims := adapters.Capabilities{NativeHolds: true, RemembersRefusals: true, ReleaseIsFinal: true}
	return NewCoreWith(SimOptions{Seed: seed, Clock: clock, Faults: faults, Claims: claims})
}

// NewCoreWith returns a SimCore with the capabilities and flaws asked for.
func NewCoreWith(o SimOptions) *SimCore {
	page := o.Page
	if page < 1 || page > adapters.EntriesMax {
		page = adapters.EntriesMax
	}
	return &SimCore{
		clock: o.Clock, page: page, faults: o.Faults, ledger: newSimLedger(o.Claims, o.Flaws),
		rng: rand.New(rand.NewPCG(o.Seed, 0x67_6f_6e_67)),
	}
}

// SetFaults switches faults from the next call on; what is on its way stays on its way.
func (s *SimCore) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Met returns how often each fault was met.
func (s *SimCore) Met() Met {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.met
}

// AddPerson makes an account with a.Balance as opening credit, or sets scheme and status of one that is
// there. a.Year and a.Opening count as in Book.Open; a.Held never does.
func (s *SimCore) AddPerson(p adapters.Person, a adapters.Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	year := adapters.BusinessYear(now)
	published := a.Year == year && !a.Provisional
	if known, ok := s.ledger.persons[p.Number]; ok {
		known.account = known.account.InYear(year)
		known.account.Scheme, known.account.Status = a.Scheme, a.Status
		if published && known.account.Provisional {
			known.account = known.account.Publish(a.Opening)
		}
		return
	}
	account := adapters.Account{
		Scheme: a.Scheme, Status: a.Status, Year: year, Opening: a.Balance, Provisional: true,
	}
	if published {
		account = account.Publish(a.Opening)
	}
	s.ledger.persons[p.Number] = &simPerson{person: p, account: account}
	s.ledger.order = append(s.ledger.order, p.Number)
	if a.Balance > 0 {
		s.ledger.move(now, p.Number, adapters.KindCredit, adapters.RefOpening, a.Balance)
	}
}

// now settles what is due and returns the core's time, which never goes back even if the clock does;
// the caller holds mu.
func (s *SimCore) now() time.Time {
	now := s.clock()
	if now.Before(s.last) {
		now = s.last
	}
	s.last = now
	for len(s.pending) > 0 && !s.pending[0].due.After(now) {
		s.deliver(s.pending[0].due)
	}
	return now
}

// deliver carries out the first of what is on its way; the caller holds mu.
func (s *SimCore) deliver(at time.Time) {
	d := s.pending[0]
	s.pending = s.pending[1:]
	d.held, d.err = s.ledger.carry(at, d.act)
	d.done = true
	if d.told {
		s.met.LateEffects++
	}
}

// send puts a call on its way; the caller holds mu.
func (s *SimCore) send(d *delivery) {
	s.number++
	d.number = s.number
	i, _ := slices.BinarySearchFunc(s.pending, d, func(a, b *delivery) int {
		if c := a.due.Compare(b.due); c != 0 {
			return c
		}
		return cmp.Compare(a.number, b.number)
	})
	s.pending = slices.Insert(s.pending, i, d)
	if len(s.pending) > PendingMax {
		s.deliver(s.pending[0].due)
	}
}

// RunPending carries out, now and in order, all that is on its way, whenever it was due.
func (s *SimCore) RunPending() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain()
}

func (s *SimCore) drain() {
	now := s.now()
	for len(s.pending) > 0 {
		s.deliver(now)
	}
}

// Close carries out what is on its way and is ErrUnavailable to every later call.
func (s *SimCore) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain()
	s.closed = true
}

// fault is what one call meets.
type fault int

const (
	faultNone fault = iota
	faultUnavailable
	faultUnknownDone
	faultUnknownLost
	faultUnknownLate
	faultTwice
	faultSlowBefore
	faultSlowAfter
)

// draw says what the next call meets and, for the faults that have one, the delay. It takes two numbers
// from the generator for each call, whatever comes of it, so that a switch of faults does not
// shift the rest of the run. The caller holds mu.
func (s *SimCore) draw() (fault, time.Duration) {
	const whole = 1000
	f, roll, share := s.faults, s.rng.IntN(whole), s.rng.Float64()
	s.met.Calls++
	if f.Down || s.closed {
		s.met.Unavailable++
		return faultUnavailable, 0
	}
	late, slow := f.LateMax, f.SlowMax
	if late <= 0 {
		late = time.Hour
	}
	if slow <= 0 {
		slow = 2 * time.Second
	}
	kinds := [...]struct {
		share int
		fault fault
		max   time.Duration
		met   *int
	}{
		{f.Unavailable, faultUnavailable, 0, &s.met.Unavailable},
		{f.UnknownDone, faultUnknownDone, 0, &s.met.UnknownDone},
		{f.UnknownLost, faultUnknownLost, 0, &s.met.UnknownLost},
		{f.UnknownLate, faultUnknownLate, late, &s.met.UnknownLate},
		{f.Twice, faultTwice, late, &s.met.Twice},
		{f.SlowBefore, faultSlowBefore, slow, &s.met.Slow},
		{f.SlowAfter, faultSlowAfter, slow, &s.met.Slow},
	}
	for _, k := range kinds {
		if roll < k.share {
			*k.met++
			return k.fault, time.Duration(share * float64(k.max))
		}
		roll -= k.share
	}
	return faultNone, 0
}

// carry takes a changing call over the line.
func (s *SimCore) carry(ctx context.Context, a act) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%w: %w", adapters.ErrUnavailable, err)
	}
	s.mu.Lock()
	now := s.now()
	met, delay := s.draw()
	d := &delivery{act: a, due: now.Add(delay)}
	switch met {
	case faultUnavailable:
		s.mu.Unlock()
		return 0, adapters.ErrUnavailable
	case faultUnknownLost:
		s.mu.Unlock()
		return 0, adapters.ErrUnknown
	case faultUnknownLate:
		d.told = true
		s.send(d)
		s.mu.Unlock()
		return 0, adapters.ErrUnknown
	case faultSlowBefore:
		s.send(d)
		s.mu.Unlock()
		return s.await(ctx, d, delay)
	case faultTwice:
		s.send(&delivery{act: a, due: now.Add(delay)})
	case faultNone, faultUnknownDone, faultSlowAfter:
	}
	d.held, d.err = s.ledger.carry(now, a)
	d.done = true
	s.mu.Unlock()
	switch met {
	case faultUnknownDone:
		return 0, adapters.ErrUnknown
	case faultSlowAfter:
		return s.await(ctx, d, delay)
	case faultNone, faultUnavailable, faultUnknownLost, faultUnknownLate, faultTwice, faultSlowBefore:
	}
	return d.held, d.err
}

// await waits for a slow answer; the call stays on its way when the caller gives up.
func (s *SimCore) await(ctx context.Context, d *delivery, delay time.Duration) (int64, error) {
	waited := wait(ctx, delay)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now()
	if waited != nil {
		d.told = !d.done
		return 0, fmt.Errorf("%w: %w", adapters.ErrUnknown, waited)
	}
	for !d.done { // the timer ran ahead of the core's clock
		s.deliver(s.pending[0].due)
	}
	return d.held, d.err
}

// wait lets d pass, or returns the context's error.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask takes a question over the line: lost questions and lost answers are the same to the caller.
func (s *SimCore) ask(ctx context.Context, read func(now time.Time) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", adapters.ErrUnavailable, err)
	}
	s.mu.Lock()
	met, delay := s.draw()
	s.mu.Unlock()
	switch met {
	case faultUnavailable:
		return adapters.ErrUnavailable
	case faultUnknownDone, faultUnknownLost, faultUnknownLate:
		return adapters.ErrUnknown
	case faultSlowBefore, faultSlowAfter:
		if err := wait(ctx, delay); err != nil {
			return fmt.Errorf("%w: %w", adapters.ErrUnknown, err)
		}
	case faultNone, faultTwice:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return read(s.now())
}

// Capabilities is what it was made with.
func (s *SimCore) Capabilities() adapters.Capabilities { return s.ledger.claims }

// Person checks the identity and returns the account.
func (s *SimCore) Person(ctx context.Context, p adapters.Person) (adapters.Account, error) {
	var a adapters.Account
	err := s.ask(ctx, func(now time.Time) error {
		s.ledger.age(now)
		known, refused := s.ledger.person(p)
		if refused != nil {
			return refused
		}
		a = known.account.InYear(adapters.BusinessYear(now))
		if s.ledger.has(FlawUntruthfulOpenHolds) {
			a.Held = 0
		}
		return nil
	})
	return a, err
}

// Hold places up to amount above floor.
func (s *SimCore) Hold(
	ctx context.Context, c adapters.Call, p adapters.Person, amount, floor int64,
) (int64, error) {
	return s.carry(ctx, s.ledger.hold(c, p, amount, floor))
}

// Capture takes amount of a hold and frees the rest.
func (s *SimCore) Capture(ctx context.Context, c adapters.Call, hold string, amount int64) error {
	_, err := s.carry(ctx, s.ledger.capture(c, hold, amount))
	return err
}

// Release frees a hold and makes its reference dead.
func (s *SimCore) Release(ctx context.Context, c adapters.Call, hold string) error {
	_, err := s.carry(ctx, s.ledger.release(c, hold))
	return err
}

// Refund gives back from a captured hold.
func (s *SimCore) Refund(ctx context.Context, c adapters.Call, hold string, amount int64) error {
	_, err := s.carry(ctx, s.ledger.refund(c, hold, amount))
	return err
}

// Void makes the reference of a refund dead.
func (s *SimCore) Void(ctx context.Context, c adapters.Call, ref string) error {
	_, err := s.carry(ctx, s.ledger.void(c, ref))
	return err
}

// Status returns what is known of a hold now.
func (s *SimCore) Status(ctx context.Context, hold string) (adapters.Hold, error) {
	var h adapters.Hold
	err := s.ask(ctx, func(now time.Time) error {
		h = s.ledger.status(now, hold)
		return nil
	})
	return h, err
}

// Entries returns a page of a Beijing day's movements; the cursor is the number of the next one.
func (s *SimCore) Entries(
	ctx context.Context, day time.Time, cursor string,
) ([]adapters.Movement, string, error) {
	var page []adapters.Movement
	next := ""
	err := s.ask(ctx, func(time.Time) error {
		from := 0
		if cursor != "" {
			var err error
			if from, err = strconv.Atoi(cursor); err != nil || from < 0 {
				return no(adapters.ReasonInvalid)
			}
		}
		if from > 0 && s.ledger.has(FlawEntriesSkip) {
			from++
		}
		for i := from; i < len(s.ledger.entries); i++ {
			m := s.ledger.entries[i]
			if !sameDay(m.At, day) {
				continue
			}
			if len(page) == s.page {
				next = strconv.Itoa(i)
				return nil
			}
			page = append(page, m)
		}
		return nil
	})
	return page, next, err
}

// sameDay reports whether two moments lie on one Beijing day.
func sameDay(a, b time.Time) bool {
	const beijing, day = 8 * time.Hour, 24 * time.Hour
	return a.UTC().Add(beijing).Truncate(day).Equal(b.UTC().Add(beijing).Truncate(day))
}
