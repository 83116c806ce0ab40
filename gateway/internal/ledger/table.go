package ledger

import (
	"fmt"
	"time"

	"gongji/consensus"
	"gongji/gateway/internal/record"
)

// table keeps the records of one kind decoded, so that hot ones are read from memory and Pebble is mostly
// written. A record that was changed is written once, when its command ends. The memory is bounded: two
// generations of at most half the limit each, and what one command touches; what was not used for a generation is
// read from the state again.
type table[T any, P interface {
	*T
	record.Record
}] struct {
	prefix byte
	half   int
	young  map[string]*row[T]
	old    map[string]*row[T]
}

type row[T any] struct {
	key     string
	value   *T // nil: there is none
	dirty   bool
	written bool // the state has it
}

func newTable[T any, P interface {
	*T
	record.Record
}](prefix byte, limit int) *table[T, P] {
	return &table[T, P]{prefix: prefix, half: limit / 2, young: map[string]*row[T]{}}
}

// forget drops everything: the state was replaced.
func (t *table[T, P]) forget() { t.young, t.old = map[string]*row[T]{}, nil }

// age begins a generation when the present one is full.
func (t *table[T, P]) age() {
	if len(t.young) >= t.half {
		t.old, t.young = t.young, make(map[string]*row[T], t.half)
	}
}

// memory is a table of any kind.
type memory interface {
	age()
	forget()
}

func (t *table[T, P]) row(r consensus.Reader, key string) (*row[T], error) {
	if w, ok := t.young[key]; ok {
		return w, nil
	}
	if w, ok := t.old[key]; ok {
		t.young[key] = w
		return w, nil
	}
	w := &row[T]{key: key}
	v, err := read[T, P](r, t.prefix, key)
	if err != nil {
		return nil, err
	}
	w.value, w.written = v, v != nil
	t.young[key] = w
	return w, nil
}

// read decodes a record from the state; nil when there is none.
func read[T any, P interface {
	*T
	record.Record
}](r consensus.Reader, prefix byte, key string) (*T, error) {
	data, ok := r.Get(stateKey(prefix, key))
	if !ok {
		return nil, nil //nolint:nilnil // no record is an answer here, and every caller asks for it
	}
	v := new(T)
	if err := record.Decode(data, P(v)); err != nil {
		return nil, fmt.Errorf("ledger: record %c of the state: %w", prefix, err)
	}
	return v, nil
}

func stateKey(prefix byte, key string) []byte {
	b := make([]byte, 0, 1+len(key))
	return append(append(b, prefix), key...)
}

// tx is one command being applied: the state, the stamp, and what it has changed so far.
type tx struct {
	consensus.Txn
	l     *Ledger
	now   time.Time // the stamp
	dirty []flusher
	local []local // messages of this region to itself
	buf   []byte
	err   error // a damaged state; the node stops
}

type flusher interface{ flush(t *tx) }

type change[T any, P interface {
	*T
	record.Record
}] struct {
	t *table[T, P]
	r *row[T]
}

func (c change[T, P]) flush(x *tx) {
	c.r.dirty = false
	key := stateKey(c.t.prefix, c.r.key)
	if c.r.value == nil {
		if c.r.written {
			x.Delete(key)
		}
		c.r.written = false
		return
	}
	x.buf = record.Append(x.buf[:0], P(c.r.value))
	x.Set(key, x.buf)
	c.r.written = true
}

// get returns the record, which the caller may change if it calls touch; nil when there is none.
func get[T any, P interface {
	*T
	record.Record
}](x *tx, t *table[T, P], key string) *T {
	w, err := t.row(x.Txn, key)
	if err != nil {
		x.fail(err)
		return nil
	}
	return w.value
}

// put makes v the record, written when the command ends; nil removes it.
func put[T any, P interface {
	*T
	record.Record
}](x *tx, t *table[T, P], key string, v *T) {
	w, err := t.row(x.Txn, key)
	if err != nil {
		x.fail(err)
		return
	}
	w.value = v
	if !w.dirty {
		w.dirty = true
		x.dirty = append(x.dirty, change[T, P]{t, w})
	}
}

func (x *tx) fail(err error) {
	if x.err == nil {
		x.err = err
	}
}

// flush writes what the command changed, in the order in which it was first touched.
func (x *tx) flush() error {
	for _, c := range x.dirty {
		c.flush(x)
	}
	x.dirty = x.dirty[:0]
	return x.err
}
