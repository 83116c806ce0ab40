// Package membus is the federation's Bus in memory, with every fault of a bus to switch on: records
// lost after they were acknowledged, repeated, delayed, out of order; a lane cut; a tail lost;
// everything forgotten; foreign records put in.
//
// Chance comes from the seed alone, for each lane on its own: the same publishes on a lane meet the
// same faults. Time comes from the time package, so in a testing/synctest bubble it is virtual.
package membus

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"gongji/federation"
)

// RecordsMax is how many records a lane keeps; the oldest go first, as with Kafka's retention.
const RecordsMax = 1 << 16

// fetchWait is how long a Fetch waits when there is nothing, and how long a call on a cut lane takes to fail.
const fetchWait = 200 * time.Millisecond

// batchMax bounds the bytes of one batch; at least one record comes.
const batchMax = 2 << 20

// Faults are what may befall each record, by chance: probabilities from 0 to 1, each drawn on its own.
type Faults struct {
	Drop    float64       // acknowledged, and never there
	Repeat  float64       // there twice
	Reorder float64       // held back until the next one of the lane has gone before it, or for ReorderMax
	Delay   time.Duration // there only after a time drawn between 0 and this; keeps no order
}

// ReorderMax is how long a record waits for one to overtake it.
const ReorderMax = time.Second

// Bus is a federation.Bus in memory. Make it with New.
type Bus struct {
	seed uint64

	mu     sync.Mutex
	closed chan struct{}
	faults Faults
	lanes  map[federation.Lane]*lane
	timers map[*time.Timer]struct{}
}

var _ federation.Bus = (*Bus)(nil)

// lane is guarded by the bus's mutex.
type lane struct {
	first   int64 // offset of records[0]
	records [][]byte
	board   []posted // of the zero lane, instead of records
	faults  *Faults
	cut     bool
	chance  *rand.Rand
	held    *heldRecord
	grown   chan struct{} // closed when something changes, then made anew
}

type heldRecord struct {
	value []byte
	timer *time.Timer
}

// New makes a Bus without faults.
func New(seed uint64) *Bus {
	return &Bus{
		seed: seed, closed: make(chan struct{}), lanes: map[federation.Lane]*lane{},
		timers: map[*time.Timer]struct{}{},
	}
}

func (b *Bus) lane(l federation.Lane) *lane {
	s, ok := b.lanes[l]
	if !ok {
		h := fnv.New64a()
		_, _ = h.Write([]byte(l.Topic()))
		s = &lane{chance: rand.New(rand.NewPCG(b.seed, h.Sum64())), grown: make(chan struct{})}
		b.lanes[l] = s
	}
	return s
}

func (s *lane) changed() {
	close(s.grown)
	s.grown = make(chan struct{})
}

func (s *lane) append(value []byte) {
	s.records = append(s.records, value)
	if over := len(s.records) - RecordsMax; over > 0 {
		s.trim(over)
	}
	s.changed()
}

func (s *lane) trim(n int) {
	s.records = append([][]byte(nil), s.records[n:]...)
	s.first += int64(n)
}

func (b *Bus) isClosed() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

// Publish puts value on the lane, if the faults let it. On a cut lane it fails with ErrBus after a while.
func (b *Bus) Publish(ctx context.Context, l federation.Lane, value []byte) error {
	if len(value) > federation.RecordMax {
		return federation.ErrRecordTooLarge
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	s := b.lane(l)
	if b.isClosed() {
		b.mu.Unlock()
		return federation.ErrClosed
	}
	if s.cut {
		b.mu.Unlock()
		return b.unreachable(ctx, l)
	}
	defer b.mu.Unlock()
	b.meet(s, append([]byte{}, value...))
	return nil
}

// meet lets the faults act on a record. The draws are always the same in number, so switching one
// fault on changes no other.
func (b *Bus) meet(s *lane, value []byte) {
	f := b.faults
	if s.faults != nil {
		f = *s.faults
	}
	drop, repeat, reorder, delay := s.chance.Float64(), s.chance.Float64(), s.chance.Float64(), s.chance.Float64()
	if drop < f.Drop {
		return
	}
	copies := 1
	if repeat < f.Repeat {
		copies = 2
	}
	for range copies {
		switch {
		case f.Delay > 0:
			b.after(time.Duration(delay*float64(f.Delay)), func() { s.append(value) })
			delay = 1 - delay
		case reorder < f.Reorder && s.held == nil:
			b.hold(s, value)
		default:
			s.append(value)
			b.letGo(s)
		}
	}
}

// hold keeps a record back until another has passed it.
func (b *Bus) hold(s *lane, value []byte) {
	h := &heldRecord{value: value}
	s.held = h
	h.timer = b.after(ReorderMax, func() {
		if s.held == h {
			s.held = nil
			s.append(value)
		}
	})
}

func (b *Bus) letGo(s *lane) {
	h := s.held
	if h == nil {
		return
	}
	s.held = nil
	if h.timer.Stop() {
		delete(b.timers, h.timer)
	}
	s.append(h.value)
}

// after runs act under the mutex, unless the bus is closed by then.
func (b *Bus) after(d time.Duration, act func()) *time.Timer {
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.timers, t)
		if !b.isClosed() {
			act()
		}
	})
	b.timers[t] = struct{}{}
	return t
}

func (b *Bus) unreachable(ctx context.Context, l federation.Lane) error {
	t := time.NewTimer(fetchWait)
	defer t.Stop()
	select {
	case <-t.C:
		return fmt.Errorf("%w: %s is cut", federation.ErrBus, l.Topic())
	case <-ctx.Done():
		return ctx.Err()
	case <-b.closed:
		return federation.ErrClosed
	}
}

// Fetch returns what stands at offset and after, waiting a fifth of a second when there is nothing.
func (b *Bus) Fetch(ctx context.Context, l federation.Lane, offset int64) ([]federation.Record, int64, error) {
	t := time.NewTimer(fetchWait)
	defer t.Stop()
	for waited := false; ; {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		b.mu.Lock()
		s := b.lane(l)
		if b.isClosed() {
			b.mu.Unlock()
			return nil, 0, federation.ErrClosed
		}
		if s.cut {
			b.mu.Unlock()
			return nil, 0, b.unreachable(ctx, l)
		}
		records, next, err := s.read(offset)
		grown := s.grown
		b.mu.Unlock()
		if err != nil || len(records) > 0 || waited {
			return records, next, err
		}
		select {
		case <-grown:
		case <-t.C:
			waited = true
		case <-ctx.Done():
		case <-b.closed:
		}
	}
}

func (s *lane) read(offset int64) ([]federation.Record, int64, error) {
	if s.board != nil {
		return s.readBoard(offset)
	}
	end := s.first + int64(len(s.records))
	if offset > end || offset < 0 {
		return nil, 0, fmt.Errorf("%w: the log ends at %d", federation.ErrRewound, end)
	}
	at := max(offset, s.first)
	var out []federation.Record
	for size := 0; at < end; at++ {
		value := s.records[at-s.first]
		if size += len(value); size > batchMax && len(out) > 0 {
			break
		}
		out = append(out, federation.Record{Offset: at, Value: append([]byte{}, value...)})
	}
	return out, at, nil
}

// Ready fails with ErrBus if a lane is cut.
func (b *Bus) Ready(ctx context.Context, lanes []federation.Lane) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isClosed() {
		return federation.ErrClosed
	}
	for _, l := range lanes {
		if b.lane(l).cut {
			return fmt.Errorf("%w: %s is cut", federation.ErrBus, l.Topic())
		}
	}
	return ctx.Err()
}

// Close ends every call under way and drops what is delayed.
func (b *Bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isClosed() {
		return nil
	}
	close(b.closed)
	for t := range b.timers {
		t.Stop()
	}
	clear(b.timers)
	return nil
}
