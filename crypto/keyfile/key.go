package keyfile

import (
	"crypto/hmac"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// key is one key of a ring, ready to work with.
type key struct {
	sm.Redacted
	id       string
	use      crypto.Use
	sequence uint32
	created  time.Time
	private  crypto.Private
	macs     *macs
	boxes    *boxes

	working sync.RWMutex // read by who works with the key, written by who wipes it
	wiped   bool
	secret  []byte // for Export, Backup and comparisons only
}

// wiper is an engine's private key that can forget.
type wiper interface{ Wipe() }

// wipe overwrites the secret once nobody works with it any more, as far as this is ours to do: the
// engines have made copies (round keys, states of hashes), which the collector takes.
func (k *key) wipe() {
	k.working.Lock()
	defer k.working.Unlock()
	k.wiped = true
	clear(k.secret)
	if w, ok := k.private.(wiper); ok {
		w.Wipe()
	}
	if k.boxes != nil {
		k.boxes.forget()
	}
	k.private, k.macs, k.boxes = nil, nil, nil
}

// begin keeps the key from being wiped until end, or returns false if it is.
func (k *key) begin() bool {
	k.working.RLock()
	if k.wiped {
		k.working.RUnlock()
		return false
	}
	return true
}

func (k *key) end() { k.working.RUnlock() }

func newKey(suite crypto.Suite, h header, secret []byte, random io.Reader) (*key, error) {
	if len(secret) != secretSize(h.use) || len(secret) == 0 {
		return nil, crypto.ErrKey
	}
	k := &key{id: h.id, use: h.use, sequence: h.sequence, created: h.created, secret: secret}
	var err error
	switch h.use {
	case crypto.UseSign, crypto.UseDecrypt:
		k.private, err = suite.Private(secret)
	case crypto.UseToken, crypto.UseEvidence:
		k.macs = newMACs(suite, secret)
	case crypto.UseData:
		k.boxes, err = newBoxes(suite, secret, random)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// macs keeps states of HMAC-SM3 that have the key in already. Safe for concurrent use.
type macs struct{ pool sync.Pool }

type macState struct {
	hash hash.Hash
	out  [crypto.HashSize]byte // here, since a buffer on the stack would escape
}

func newMACs(suite crypto.Suite, secret []byte) *macs {
	m := &macs{}
	m.pool.New = func() any { return &macState{hash: hmac.New(suite.Hash, secret)} }
	return m
}

func (m *macs) sum(parts [][]byte) ([crypto.HashSize]byte, error) {
	s, ok := m.pool.Get().(*macState)
	if !ok {
		return [crypto.HashSize]byte{}, crypto.ErrKey
	}
	s.hash.Reset()
	for _, part := range parts {
		_, _ = s.hash.Write(part)
	}
	s.hash.Sum(s.out[:0])
	sum := s.out
	m.pool.Put(s)
	return sum, nil
}

// Sealed values: version ‖ box salt ‖ nonce ‖ ciphertext ‖ tag.
const (
	boxVersion = 1
	boxSalt    = 12
	boxHeader  = 1 + boxSalt + crypto.NonceSize
	// Overhead is how much longer a sealed value is than its plaintext, in bytes.
	Overhead = boxHeader + crypto.TagSize
	// boxSealsMax is how many values one box seals: nonces are random, and at 2^31 of them under
	// one key the chance that two are equal is still below 2^-34. A month at full load would pass
	// 2^32.
	boxSealsMax = 1 << 31
	// boxesMax bounds the boxes of others that are kept ready, for each data key. Another one costs
	// two microseconds.
	boxesMax = 256
	boxLabel = "gongji data box v1"
)

// boxes seals and opens under a data key. Each process seals in boxes of its own, whose keys are
// derived from the data key: nodes that share a data key never share a box, so the bound on nonces
// is a box's, not the month's.
type boxes struct {
	suite   crypto.Suite
	secret  []byte
	random  io.Reader
	current atomic.Pointer[box]

	mu    sync.RWMutex
	known map[[boxSalt]byte]crypto.AEAD
}

type box struct {
	salt  [boxSalt]byte
	aead  crypto.AEAD
	count atomic.Uint64
}

func newBoxes(suite crypto.Suite, secret []byte, random io.Reader) (*boxes, error) {
	b := &boxes{suite: suite, secret: secret, random: random, known: make(map[[boxSalt]byte]crypto.AEAD)}
	first, err := b.fresh()
	if err != nil {
		return nil, err
	}
	b.current.Store(first)
	return b, nil
}

func (b *boxes) fresh() (*box, error) {
	next := &box{}
	_, err := io.ReadFull(b.random, next.salt[:])
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	next.aead, err = b.derive(next.salt)
	return next, err
}

func (b *boxes) derive(salt [boxSalt]byte) (crypto.AEAD, error) {
	derived := b.suite.MAC(b.secret, []byte(boxLabel), salt[:])
	return b.suite.AEAD(derived[:crypto.KeySize])
}

// sealing returns a box with room for one more.
func (b *boxes) sealing() (*box, error) {
	for {
		at := b.current.Load()
		if at.count.Add(1) <= boxSealsMax {
			return at, nil
		}
		next, err := b.fresh()
		if err != nil {
			return nil, err
		}
		b.current.CompareAndSwap(at, next) // else another goroutine was first
	}
}

func (b *boxes) seal(plaintext, additional []byte) ([]byte, error) {
	at, err := b.sealing()
	if err != nil {
		return nil, err
	}
	out := make([]byte, boxHeader, len(plaintext)+Overhead)
	out[0] = boxVersion
	copy(out[1:], at.salt[:])
	nonce := out[1+boxSalt : boxHeader]
	_, err = io.ReadFull(b.random, nonce)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	return at.aead.Seal(out, nonce, plaintext, additional), nil
}

func (b *boxes) open(sealed, additional []byte) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != boxVersion {
		return nil, crypto.ErrOpen
	}
	salt := [boxSalt]byte(sealed[1 : 1+boxSalt])
	aead, known := b.find(salt)
	if !known {
		derived, err := b.derive(salt)
		if err != nil {
			return nil, crypto.ErrOpen
		}
		aead = derived
	}
	opened, err := aead.Open(nil, sealed[1+boxSalt:boxHeader], sealed[boxHeader:], additional)
	if err != nil {
		return nil, crypto.ErrOpen
	}
	if !known {
		b.keep(salt, aead) // only after a genuine value: forged ones must not push others out
	}
	return opened, nil
}

func (b *boxes) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.known)
}

func (b *boxes) find(salt [boxSalt]byte) (crypto.AEAD, bool) {
	at := b.current.Load()
	if at.salt == salt {
		return at.aead, true
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	aead, ok := b.known[salt]
	return aead, ok
}

func (b *boxes) keep(salt [boxSalt]byte, aead crypto.AEAD) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) >= boxesMax {
		for old := range b.known {
			delete(b.known, old)
			break
		}
	}
	b.known[salt] = aead
}
