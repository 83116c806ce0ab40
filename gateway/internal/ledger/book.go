package ledger

// bookHot is how many records of the Book are remembered as they stand in the state.
const bookHot = 32768

// bookCache remembers raw records of the Book, those that are not there included: an account in use is read from
// memory, and a new hold is known to be new. Two generations bound it, as with a table.
type bookCache struct {
	young, old map[string][]byte
}

func (b *bookCache) forget() { b.young, b.old = make(map[string][]byte), nil }

func (b *bookCache) age() {
	if len(b.young) >= bookHot/2 {
		b.old, b.young = b.young, make(map[string][]byte, bookHot/2)
	}
}

// keep remembers a value, nil for a key without one.
func (b *bookCache) keep(key, value []byte) { b.young[string(key)] = value }

// find returns what is remembered of a key (nil: it is not there), and whether anything is.
func (b *bookCache) find(key []byte) ([]byte, bool) {
	if v, ok := b.young[string(key)]; ok {
		return v, true
	}
	v, ok := b.old[string(key)]
	if ok {
		b.keep(key, v)
	}
	return v, ok
}

// cached reports whether a key belongs to the Book. Movements are only written, so they are not kept.
func cached(key []byte) bool { return len(key) > 1 && key[0] == KeyBook }

// Get reads through the cache of the Book.
func (x *tx) Get(key []byte) ([]byte, bool) {
	if !cached(key) {
		return x.Txn.Get(key)
	}
	if v, known := x.l.book.find(key); known {
		return v, v != nil
	}
	v, ok := x.Txn.Get(key)
	if !ok {
		x.l.book.keep(key, nil)
		return nil, false
	}
	own := append(make([]byte, 0, len(v)), v...)
	x.l.book.keep(key, own)
	return own, true
}

// Set writes, and keeps what the cache knows true.
func (x *tx) Set(key, value []byte) {
	if cached(key) {
		if _, known := x.l.book.find(key); known {
			x.l.book.keep(key, append(make([]byte, 0, len(value)), value...))
		}
	}
	x.Txn.Set(key, value)
}

// Delete removes, and keeps what the cache knows true.
func (x *tx) Delete(key []byte) {
	if cached(key) {
		if _, known := x.l.book.find(key); known {
			x.l.book.keep(key, nil)
		}
	}
	x.Txn.Delete(key)
}
