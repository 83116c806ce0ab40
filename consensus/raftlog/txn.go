package raftlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sort"

	"github.com/cockroachdb/pebble/v2"

	"gongji/consensus"
)

// arena keeps copies of values alive for one call without an allocation for each.
type arena []byte

// keep returns a copy of b that stays valid: growing leaves the old array to those who hold it.
func (a *arena) keep(b []byte) []byte {
	const chunk = 4 << 10
	if cap(*a)-len(*a) < len(b) {
		*a = make([]byte, 0, max(chunk, 2*len(b)))
	}
	start := len(*a)
	*a = append(*a, b...)
	return (*a)[start:len(*a):len(*a)]
}

func dataKey(key []byte) []byte {
	b := make([]byte, 0, 1+len(key))
	return append(append(b, prefixData), key...)
}

func getFrom(src pebble.Reader, key []byte, a *arena) ([]byte, bool, error) {
	value, closer, err := src.Get(dataKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read the state: %w", err)
	}
	kept := a.keep(value)
	return kept, true, closer.Close()
}

func iterate(src pebble.Reader, lo, hi []byte) (*pebble.Iterator, error) {
	o := &pebble.IterOptions{LowerBound: dataKey(lo), UpperBound: []byte{prefixEnd}}
	if hi != nil {
		o.UpperBound = dataKey(hi)
	}
	it, err := src.NewIter(o)
	if err != nil {
		return nil, fmt.Errorf("scan the state: %w", err)
	}
	return it, nil
}

// empty says whether no key is in [lo, hi).
func empty(lo, hi []byte) bool { return hi != nil && bytes.Compare(lo, hi) >= 0 }

// reader is the consensus.Reader of a view. An error of the disk is kept and ends
// the view: the contract's reads have none.
type reader struct {
	src pebble.Reader
	buf arena
	err error
}

var _ consensus.Reader = (*reader)(nil)

func (r *reader) Get(key []byte) ([]byte, bool) {
	value, ok, err := getFrom(r.src, key, &r.buf)
	r.err = errors.Join(r.err, err)
	return value, ok
}

func (r *reader) Scan(lo, hi []byte, visit func(key, value []byte) bool) {
	if empty(lo, hi) {
		return
	}
	it, err := iterate(r.src, lo, hi)
	if err != nil {
		r.err = errors.Join(r.err, err)
		return
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		r.err = errors.Join(r.err, err)
		if err != nil || !visit(it.Key()[1:], value) {
			break
		}
	}
	r.err = errors.Join(r.err, it.Close())
}

// write is the newest write of an entry to one key.
type write struct {
	value   []byte
	deleted bool
}

// txn is the consensus.Txn of one entry: a batch that is only written, an overlay of
// the entry's own writes for reading, and the running digest of the write set. (An indexed batch
// would do both, but costs a skip list for each write.)
type txn struct {
	db      *pebble.DB
	batch   *pebble.Batch
	overlay map[string]write
	ordered []string // keys of overlay in order; nil until the first Scan of the entry
	sum     hash.Hash
	buf     arena
	err     error
}

var _ consensus.Txn = (*txn)(nil)

// newTxn begins the entry at index, whose last stamp is stamp, on the state with
// the digest prev.
func newTxn(db *pebble.DB, prev [sha256.Size]byte, index uint64, stamp int64) *txn {
	t := &txn{db: db, batch: db.NewBatch(), overlay: make(map[string]write), sum: sha256.New()}
	var head [16]byte
	binary.BigEndian.PutUint64(head[:8], index)
	binary.BigEndian.PutUint64(head[8:], uint64(stamp))
	t.sum.Write(prev[:])
	t.sum.Write(head[:])
	return t
}

func (t *txn) Get(key []byte) ([]byte, bool) {
	if w, ok := t.overlay[string(key)]; ok {
		return w.value, !w.deleted
	}
	value, ok, err := getFrom(t.db, key, &t.buf)
	t.fail(err)
	return value, ok
}

func (t *txn) fail(err error) {
	if err != nil && t.err == nil {
		t.err = err
	}
}

func (t *txn) Set(key, value []byte) {
	if !t.record(opSet, key, value) {
		return
	}
	op := t.batch.SetDeferred(1+len(key), len(value))
	op.Key[0] = prefixData
	copy(op.Key[1:], key)
	copy(op.Value, value)
	t.fail(op.Finish())
	t.put(key, write{value: t.buf.keep(value)})
}

func (t *txn) Delete(key []byte) {
	if !t.record(opDelete, key, nil) {
		return
	}
	op := t.batch.DeleteDeferred(1 + len(key))
	op.Key[0] = prefixData
	copy(op.Key[1:], key)
	t.fail(op.Finish())
	t.put(key, write{deleted: true})
}

const (
	opSet    = 1
	opDelete = 2
)

// record adds a write to the digest: kind, lengths, bytes, so that no two write sets look alike.
func (t *txn) record(kind byte, key, value []byte) bool {
	if len(key) == 0 || len(key) > consensus.KeyMax {
		t.fail(fmt.Errorf("key of %d bytes", len(key)))
		return false
	}
	var head [9]byte
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(key)))
	binary.BigEndian.PutUint32(head[5:], uint32(len(value)))
	t.sum.Write(head[:])
	t.sum.Write(key)
	t.sum.Write(value)
	return true
}

func (t *txn) put(key []byte, w write) {
	name := string(key)
	if t.ordered != nil {
		if _, known := t.overlay[name]; !known {
			i, _ := slices.BinarySearch(t.ordered, name)
			t.ordered = slices.Insert(t.ordered, i, name)
		}
	}
	t.overlay[name] = w
}

// own returns the keys in [lo, hi) that the entry wrote, in order.
func (t *txn) own(lo, hi []byte) []string {
	if t.ordered == nil {
		t.ordered = make([]string, 0, len(t.overlay)+1)
		for name := range t.overlay {
			t.ordered = append(t.ordered, name)
		}
		slices.Sort(t.ordered)
	}
	from := sort.SearchStrings(t.ordered, string(lo))
	to := len(t.ordered)
	if hi != nil {
		to = sort.SearchStrings(t.ordered, string(hi))
	}
	return t.ordered[from:to]
}

func (t *txn) Scan(lo, hi []byte, visit func(key, value []byte) bool) {
	if empty(lo, hi) {
		return
	}
	it, err := iterate(t.db, lo, hi)
	if err != nil {
		t.fail(err)
		return
	}
	t.merge(it, t.own(lo, hi), visit)
	t.fail(it.Close())
}

// merge visits what the database and the entry have, the entry's word counting.
func (t *txn) merge(it *pebble.Iterator, own []string, visit func(key, value []byte) bool) {
	stored := it.First()
	for stored || len(own) > 0 {
		order := -1
		switch {
		case !stored:
			order = 1
		case len(own) > 0:
			order = bytes.Compare(it.Key()[1:], []byte(own[0]))
		}
		if order < 0 {
			value, err := it.ValueAndErr()
			t.fail(err)
			if err != nil || !visit(it.Key()[1:], value) {
				return
			}
			stored = it.Next()
			continue
		}
		name := own[0]
		own = own[1:]
		if order == 0 {
			stored = it.Next()
		}
		if w := t.overlay[name]; !w.deleted && !visit([]byte(name), w.value) {
			return
		}
	}
}

// commit writes the entry with its mark and returns the mark.
func (t *txn) commit(index uint64, stamp int64) (mark, error) {
	m := mark{index: index, stamp: stamp}
	t.sum.Sum(m.digest[:0])
	t.fail(t.batch.Set(markKey(), m.encode(), nil))
	if t.err != nil {
		return mark{}, errors.Join(t.err, t.batch.Close())
	}
	if err := t.batch.Commit(pebble.NoSync); err != nil {
		return mark{}, fmt.Errorf("commit entry %d: %w", index, err)
	}
	return m, t.batch.Close()
}

// drop forgets the entry.
func (t *txn) drop() error { return t.batch.Close() }
