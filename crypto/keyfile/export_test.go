package keyfile

import (
	"crypto/rand"

	"gongji/crypto"
)

// SpendBox has the current box of a data key near its bound, which a test cannot reach otherwise.
func (r *Ring) SpendBox(id string) {
	r.table.Load().keys[id].boxes.current.Load().count.Store(boxSealsMax - 1)
}

// Boxes is how many boxes of others a data key keeps ready.
func (r *Ring) Boxes(id string) int { return len(r.table.Load().keys[id].boxes.known) }

// SpendSequence has the ring's sequence numbers used up.
func (r *Ring) SpendSequence() {
	next := *r.table.Load()
	next.sequence = 1<<32 - 1
	r.table.Store(&next)
}

// WithLimit has a ring that is full earlier.
func WithLimit(limit int) Option { return func(r *Ring) { r.limit = limit } }

// Secret is where a ring has a key's secret in memory.
func Secret(r *Ring, id string) []byte { return r.table.Load().keys[id].secret }

// Renamed is a key file with another id in its head.
func Renamed(suite crypto.Suite, kek *KEK, raw []byte, id string) ([]byte, error) {
	h, secret, err := unwrap(suite, kek, raw)
	if err != nil {
		return nil, err
	}
	h.id = id
	return wrap(suite, kek, h, secret, rand.Reader)
}

// Rehashed is an entry with its own digest made anew, as who changes a line would do.
func Rehashed(suite crypto.Digester, e Entry) (Entry, error) {
	var err error
	e.Hash, err = e.digest(suite)
	return e, err
}

// DerivePBKDF2 is the master key of a passphrase.
func DerivePBKDF2(suite crypto.Digester, passphrase []byte, salt [16]byte, iterations uint32) ([KEKSize]byte, error) {
	return derivation{kdf: kdfPBKDF2, cost: Cost{Time: iterations}, salt: salt}.derive(suite, passphrase)
}

// Names of what tests change on disk.
const (
	Suffix    = suffix
	Tombstone = tombstone
	Temporary = temporary
	FileMax   = fileMax
	BoxesMax  = boxesMax
	Pending   = pendingName
)
