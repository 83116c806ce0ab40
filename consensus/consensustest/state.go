package consensustest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sort"
	"sync"

	"gongji/consensus"
)

// memState is an ordered map with the digest of its history.
type memState struct {
	mu     sync.RWMutex
	keys   []string // ascending
	values map[string][]byte
	index  uint64
	stamp  int64 // microseconds
	digest [sha256.Size]byte
}

func newMemState() *memState { return &memState{values: make(map[string][]byte)} }

// memView reads the state; its mutex is held.
type memView struct{ s *memState }

var _ consensus.Reader = memView{}

// Get returns the value of key.
func (v memView) Get(key []byte) ([]byte, bool) {
	value, ok := v.s.values[string(key)]
	return value, ok
}

// Scan visits the keys in [lo, hi).
func (v memView) Scan(lo, hi []byte, visit func(key, value []byte) bool) {
	for _, name := range span(v.s.keys, lo, hi) {
		if !visit([]byte(name), v.s.values[name]) {
			return
		}
	}
}

// span returns the part of keys in [lo, hi); a nil hi is no bound.
func span(keys []string, lo, hi []byte) []string {
	if hi != nil && bytes.Compare(lo, hi) >= 0 {
		return nil
	}
	from, to := sort.SearchStrings(keys, string(lo)), len(keys)
	if hi != nil {
		to = sort.SearchStrings(keys, string(hi))
	}
	return keys[from:to]
}

func (s *memState) view(fn func(consensus.Reader) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return fn(memView{s})
}

// memWrite is one write of an entry.
type memWrite struct {
	value   []byte
	deleted bool
}

// memTxn is one entry: its own writes over the state. Nobody else writes meanwhile.
type memTxn struct {
	s      *memState
	writes map[string]memWrite
	sum    []byte // of the writes in their order
	bad    bool   // a key out of bounds
}

var _ consensus.Txn = (*memTxn)(nil)

func (t *memTxn) Get(key []byte) ([]byte, bool) {
	if w, ok := t.writes[string(key)]; ok {
		return w.value, !w.deleted
	}
	return memView{t.s}.Get(key)
}

func (t *memTxn) Scan(lo, hi []byte, visit func(key, value []byte) bool) {
	names := slices.Clone(span(t.s.keys, lo, hi))
	var own []string
	for name := range t.writes {
		own = append(own, name)
	}
	slices.Sort(own)
	names = append(names, span(own, lo, hi)...)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if value, ok := t.Get([]byte(name)); ok && !visit([]byte(name), value) {
			return
		}
	}
}

func (t *memTxn) Set(key, value []byte) {
	t.note(1, key, value)
	t.writes[string(key)] = memWrite{value: bytes.Clone(value)}
}

func (t *memTxn) Delete(key []byte) {
	t.note(2, key, nil)
	t.writes[string(key)] = memWrite{deleted: true}
}

func (t *memTxn) note(kind byte, key, value []byte) {
	t.bad = t.bad || len(key) == 0 || len(key) > consensus.KeyMax
	h := sha256.New()
	h.Write(t.sum)
	h.Write([]byte{kind, byte(len(key) >> 8), byte(len(key))})
	h.Write(key)
	h.Write(value)
	t.sum = h.Sum(nil)
}

// commit makes the entry's writes visible.
func (t *memTxn) commit(index uint64, stamp int64) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	for name, w := range t.writes {
		i, known := slices.BinarySearch(t.s.keys, name)
		switch {
		case w.deleted && known:
			t.s.keys = slices.Delete(t.s.keys, i, i+1)
			delete(t.s.values, name)
		case !w.deleted:
			if !known {
				t.s.keys = slices.Insert(t.s.keys, i, name)
			}
			t.s.values[name] = w.value
		}
	}
	var head [16]byte
	binary.BigEndian.PutUint64(head[:8], index)
	binary.BigEndian.PutUint64(head[8:], uint64(stamp))
	h := sha256.New()
	h.Write(t.s.digest[:])
	h.Write(head[:])
	h.Write(t.sum)
	h.Sum(t.s.digest[:0])
	t.s.index, t.s.stamp = index, stamp
}
