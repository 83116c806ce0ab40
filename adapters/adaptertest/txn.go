package adaptertest

import (
	"bytes"
	"slices"

	"gongji/adapters"
)

// Txn is an adapters.Txn in memory, as strict as the contract allows: it copies what is handed in,
// and overwrites what it handed out at the next write, so that a Book which keeps a slice too long
// is found. Not safe for concurrent use.
type Txn struct {
	entries []entry // ascending by key
	lent    [][]byte
	sets    int
	gets    int
}

type entry struct{ key, value []byte }

var _ adapters.Txn = (*Txn)(nil)

// NewTxn returns an empty Txn.
func NewTxn() *Txn { return new(Txn) }

func (t *Txn) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(t.entries, key, func(e entry, k []byte) int { return bytes.Compare(e.key, k) })
}

func (t *Txn) lend(b []byte) []byte {
	b = bytes.Clone(b)
	t.lent = append(t.lent, b)
	return b
}

// spoil overwrites what was handed out before.
func (t *Txn) spoil() {
	for _, b := range t.lent {
		for i := range b {
			b[i] = 0xdb
		}
	}
	t.lent = t.lent[:0]
}

// Get returns a copy that is good until the next write.
func (t *Txn) Get(key []byte) ([]byte, bool) {
	t.gets++
	i, ok := t.find(key)
	if !ok {
		return nil, false
	}
	return t.lend(t.entries[i].value), true
}

// Scan hands out copies that are overwritten when visit returns.
func (t *Txn) Scan(lo, hi []byte, visit func(key, value []byte) bool) {
	i, _ := t.find(lo)
	for ; i < len(t.entries); i++ {
		e := t.entries[i]
		if hi != nil && bytes.Compare(e.key, hi) >= 0 {
			return
		}
		more := visit(t.lend(e.key), t.lend(e.value))
		t.spoil()
		if !more {
			return
		}
	}
}

// Set keeps copies of both.
func (t *Txn) Set(key, value []byte) {
	t.sets++
	key, value = bytes.Clone(key), bytes.Clone(value)
	t.spoil()
	i, ok := t.find(key)
	if ok {
		t.entries[i].value = value
		return
	}
	t.entries = slices.Insert(t.entries, i, entry{key, value})
}

// Delete removes a key, if it is there.
func (t *Txn) Delete(key []byte) {
	t.sets++
	i, ok := t.find(key)
	if ok {
		t.entries = slices.Delete(t.entries, i, i+1)
	}
	t.spoil()
}

// Clone returns a Txn of its own with the same content.
func (t *Txn) Clone() *Txn {
	c := NewTxn()
	for _, e := range t.entries {
		c.entries = append(c.entries, entry{bytes.Clone(e.key), bytes.Clone(e.value)})
	}
	return c
}

// Equal reports whether both hold the same keys and values.
func (t *Txn) Equal(other *Txn) bool {
	return slices.EqualFunc(t.entries, other.entries, func(a, b entry) bool {
		return bytes.Equal(a.key, b.key) && bytes.Equal(a.value, b.value)
	})
}

// Cost returns how often Get was called, and how often Set or Delete.
func (t *Txn) Cost() (int, int) { return t.gets, t.sets }
