package sm

import (
	"encoding/binary"
	"io"

	"gongji/crypto"
)

// hedgeBlocks bounds what one Hedge gives, in blocks of crypto.HashSize bytes: a nonce takes 40
// bytes, and no operation draws more than a few.
const hedgeBlocks = 1 << 10

// hedgeLabel separates the seed of nonces from every other use of the key.
const hedgeLabel = "gongji sm2 nonce v1"

const errExhausted fault = "randomness exhausted"

// Hedge is a reader of nonces for one operation: HMAC-SM3 in counter mode under a seed made of the
// private key, the message and fresh randomness. When the randomness repeats, as after a virtual
// machine went back to a snapshot, two messages still have two nonces; one nonce for two messages
// would give the key away.
type Hedge struct {
	Redacted
	mac   func(key []byte, parts ...[]byte) [crypto.HashSize]byte
	seed  [crypto.HashSize]byte
	next  uint32
	block [crypto.HashSize]byte
	left  int // unread bytes at the end of block
}

var _ io.Reader = (*Hedge)(nil)

// NewHedge draws from random and binds key and message. mac is HMAC-SM3.
func NewHedge(
	mac func(key []byte, parts ...[]byte) [crypto.HashSize]byte, key, message []byte, random io.Reader,
) (*Hedge, error) {
	var fresh [crypto.HashSize]byte
	_, err := io.ReadFull(random, fresh[:])
	if err != nil {
		return nil, err
	}
	return &Hedge{mac: mac, seed: mac(key, []byte(hedgeLabel), fresh[:], message)}, nil
}

// Read fills p, or fails when the bound of one operation is reached.
func (h *Hedge) Read(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if h.left == 0 {
			if h.next == hedgeBlocks {
				return done, errExhausted
			}
			var counter [4]byte
			binary.BigEndian.PutUint32(counter[:], h.next)
			h.next++
			h.block = h.mac(h.seed[:], counter[:])
			h.left = len(h.block)
		}
		n := copy(p[done:], h.block[len(h.block)-h.left:])
		h.left -= n
		done += n
	}
	return done, nil
}
