package sm

import (
	"hash"
	"sync"

	"gongji/crypto"
)

// block is the block size of SM3 in bytes.
const block = 64

// HMAC's two pads (RFC 2104).
const (
	innerPad = 0x36
	outerPad = 0x5c
)

// Digests is the SM3 part of an engine: one-shot digests and MACs over pooled states. Safe for
// concurrent use.
type Digests struct {
	fresh func() hash.Hash
	pool  sync.Pool
}

// digestState is what one digest needs. The output lives here because a buffer on the stack would
// escape through the interface hash.Hash and cost an allocation for each digest.
type digestState struct {
	hash hash.Hash
	pad  [block]byte
	out  [crypto.HashSize]byte
}

// NewDigests makes Digests of a constructor of SM3.
func NewDigests(fresh func() hash.Hash) *Digests {
	d := &Digests{fresh: fresh}
	d.pool.New = func() any { return &digestState{hash: fresh()} }
	return d
}

// Hash returns a new SM3.
func (d *Digests) Hash() hash.Hash { return d.fresh() }

func (d *Digests) take() *digestState {
	s, ok := d.pool.Get().(*digestState)
	if !ok {
		return &digestState{hash: d.fresh()}
	}
	return s
}

// Sum returns the SM3 of the concatenation of parts.
func (d *Digests) Sum(parts ...[]byte) [crypto.HashSize]byte {
	s := d.take()
	s.hash.Reset()
	for _, part := range parts {
		_, _ = s.hash.Write(part)
	}
	s.hash.Sum(s.out[:0])
	sum := s.out
	d.pool.Put(s)
	return sum
}

// MAC returns HMAC-SM3 (GB/T 15852.2) under key of the concatenation of parts.
func (d *Digests) MAC(key []byte, parts ...[]byte) [crypto.HashSize]byte {
	s := d.take()
	clear(s.pad[:])
	if len(key) > block {
		s.hash.Reset()
		_, _ = s.hash.Write(key)
		s.hash.Sum(s.pad[:0])
	} else {
		copy(s.pad[:], key)
	}
	s.mask(innerPad)
	s.hash.Reset()
	_, _ = s.hash.Write(s.pad[:])
	for _, part := range parts {
		_, _ = s.hash.Write(part)
	}
	s.hash.Sum(s.out[:0])
	s.mask(innerPad ^ outerPad)
	s.hash.Reset()
	_, _ = s.hash.Write(s.pad[:])
	_, _ = s.hash.Write(s.out[:])
	s.hash.Sum(s.out[:0])
	sum := s.out
	clear(s.pad[:])
	s.hash.Reset()
	d.pool.Put(s)
	return sum
}

func (s *digestState) mask(with byte) {
	for i := range s.pad {
		s.pad[i] ^= with
	}
}
