// Package crypto is the contract of the gateway's cryptography: SM2 signatures and
// key wrapping, the SM3 hash, SM4-GCM sealing, and a ring of keys that are named and
// never handed out.
//
// Engines implement Suite: crypto/sm/emm (the default) and crypto/sm/gmsm, both behind
// the guards of crypto/sm. Both pass the vectors and the contract test of crypto/cryptotest.
//
// Failures are opaque on purpose: a caller learns that a signature or a
// ciphertext was refused, never why.
package crypto

import (
	"crypto/cipher"
	"errors"
	"hash"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Sizes in bytes.
const (
	HashSize    = 32 // SM3
	KeySize     = 16 // SM4
	NonceSize   = 12 // SM4-GCM
	TagSize     = 16 // SM4-GCM
	PublicSize  = 65 // 04 ‖ x ‖ y
	PrivateSize = 32 // d, big endian
	SigMax      = 72 // DER of an SM2 signature
	WrapMax     = 512
)

// UserID is the SM2 user id of GB/T 35276 when none is agreed. It is fixed: the suite takes no
// other.
const UserID = "1234567812345678"

// Errors. None says why.
var (
	// ErrSignature: the signature does not verify, or is not strict DER.
	ErrSignature = errors.New("crypto: signature refused")
	// ErrOpen: a ciphertext was not authentic or not well formed.
	ErrOpen = errors.New("crypto: cannot open")
	// ErrKey: a key is not well formed (off the curve, out of range, wrong length).
	ErrKey = errors.New("crypto: bad key")
	// ErrNoKey: the ring has no key of that id and use.
	ErrNoKey = errors.New("crypto: no such key")
	// ErrDestroyed: the key was destroyed and does not come back.
	ErrDestroyed = errors.New("crypto: key was destroyed")
	// ErrFull: the ring has as many keys as it may have.
	ErrFull = errors.New("crypto: ring is full")
	// ErrUse: no such use.
	ErrUse = errors.New("crypto: unknown use of a key")
	// ErrOrder: a destruction without who ordered it and why.
	ErrOrder = errors.New("crypto: who ordered it and why must be said")
	// ErrAccess: who asks has not the right to it in the module that keeps the keys.
	ErrAccess = errors.New("crypto: no right to this")
	// ErrAway: the module that keeps the keys cannot be reached, or did not answer. Nothing is known
	// of what it did; every call but Generate and Destroy may simply be repeated.
	ErrAway = errors.New("crypto: the key module does not answer")
)

// Public is an SM2 public key in the form 04 ‖ x ‖ y (PublicSize bytes).
type Public []byte

// Verifier checks SM2 signatures of one public key. Safe for concurrent use; make it once for each
// peer.
type Verifier interface {
	// Verify returns nil or ErrSignature. sig is DER, strict: one encoding of each (r, s).
	Verify(message, sig []byte) error
}

// Wrapper encrypts short secrets to one public key. Safe for concurrent use.
type Wrapper interface {
	// Wrap encrypts secret (1 to 64 bytes, else ErrKey) with SM2, ASN.1 of GB/T 35276.
	Wrap(secret []byte) ([]byte, error)
}

// AEAD is SM4-GCM under one key, with a 12-byte nonce and a 16-byte tag. Safe for concurrent use.
type AEAD interface {
	// Seal appends the ciphertext and tag of plaintext to dst. A nonce must never come twice under
	// one key. It has NonceSize bytes: another length is a mistake in the program, and panics.
	Seal(dst, nonce, plaintext, additional []byte) []byte
	// Open appends the plaintext to dst, or returns ErrOpen and nothing.
	Open(dst, nonce, ciphertext, additional []byte) ([]byte, error)
}

// Private is an SM2 private key in memory: what a key ring or a test holds, never what the
// gateway's logic sees.
type Private interface {
	Public() Public
	// Sign returns the DER SM2 signature (SM3, UserID) of message, or ErrSignature for an empty
	// message, which no engine signs or accepts.
	Sign(message []byte) ([]byte, error)
	// Unwrap opens what Wrapper made for Public, or returns ErrOpen.
	Unwrap(wrapped []byte) ([]byte, error)
	// Bytes returns d (PrivateSize bytes), for writing it into a wrapped file.
	Bytes() []byte
}

// Digester computes digests and MACs. Safe for concurrent use, except what Hash returns.
type Digester interface {
	// Hash returns a new SM3.
	Hash() hash.Hash
	// Sum returns the SM3 of the concatenation of parts.
	Sum(parts ...[]byte) [HashSize]byte
	// MAC returns HMAC-SM3 under key of the concatenation of parts.
	MAC(key []byte, parts ...[]byte) [HashSize]byte
}

// Suite is one engine. Safe for concurrent use.
type Suite interface {
	Digester
	// Name is the engine's: emm or gmsm.
	Name() string
	// AEAD returns SM4-GCM under key (KeySize bytes), or ErrKey.
	AEAD(key []byte) (AEAD, error)
	// Verifier takes a public key, or returns ErrKey if it is not a point of the curve.
	Verifier(public Public) (Verifier, error)
	// Wrapper takes a public key, or returns ErrKey if it is not a point of the curve.
	Wrapper(public Public) (Wrapper, error)
	// Generate makes a new private key from the system's randomness.
	Generate() (Private, error)
	// Private reads a private key (1 <= d <= n-2), or returns ErrKey.
	Private(d []byte) (Private, error)
	// SelfTest runs the built-in vectors, those included that known faults of the libraries fail.
	SelfTest() error
}

// Blocks makes bare SM4, without a mode. It is no part of a Suite on purpose: nothing of the gateway's own is sealed
// with it. A convention of others that fixes a weak mode needs it on the wire.
type Blocks interface {
	// Block returns SM4 under key (KeySize bytes), or ErrKey.
	Block(key []byte) (cipher.Block, error)
}

// Use says what a key of the ring is for. A key has one use.
type Use string

// The uses.
const (
	UseSign     Use = "sign"     // SM2: parcels, directory, evidence
	UseDecrypt  Use = "decrypt"  // SM2: content keys of parcels
	UseToken    Use = "token"    // HMAC-SM3: tokens of persons
	UseData     Use = "data"     // SM4-GCM: sealed persons at rest, one for each month
	UseEvidence Use = "evidence" // HMAC-SM3: salts of leaves
)

// KeyRing keeps secret keys by id and works with them; it never hands one out. A hardware module
// stands behind the same calls, as crypto/hsm does with keys in another process. Safe for
// concurrent use. All calls return ErrNoKey for an unknown id or another use, and ErrAway where the
// keys are in a module that does not answer.
type KeyRing interface {
	// Current returns the id of the newest key of a use.
	Current(use Use) (id string, err error)
	// Public returns the public half of a sign or decrypt key.
	Public(id string) (Public, error)
	// Sign signs with a key of UseSign.
	Sign(id string, message []byte) ([]byte, error)
	// Unwrap opens a wrapped secret with a key of UseDecrypt, or returns ErrOpen.
	Unwrap(id string, wrapped []byte) ([]byte, error)
	// MAC returns HMAC-SM3 with a key of UseToken or UseEvidence over the concatenation of parts.
	MAC(id string, parts ...[]byte) ([HashSize]byte, error)
	// Seal and Open use a key of UseData; the nonce is made inside and stands in front of the
	// ciphertext.
	Seal(id string, plaintext, additional []byte) ([]byte, error)
	Open(id string, sealed, additional []byte) ([]byte, error)
}

// Order says who had a key destroyed and why, for the journal. Both are text of 1 to OrderMax bytes
// without control characters.
type Order struct{ Who, Reason string }

// OrderMax bounds each text of an Order, in bytes.
const OrderMax = 200

// Valid reports whether both texts are there and within their bounds.
func (o Order) Valid() bool { return plain(o.Who) && plain(o.Reason) }

func plain(text string) bool {
	if text == "" || len(text) > OrderMax || !utf8.ValidString(text) {
		return false
	}
	return !strings.ContainsFunc(text, unicode.IsControl)
}

// KeyKeeper is a ring that also makes and destroys keys: what a node needs for rotation. Every
// change is in the keeper's own journal. Safe for concurrent use.
type KeyKeeper interface {
	KeyRing
	// Generate makes a new key, which is then the current one of its use, and returns its id. Other
	// errors: ErrUse, ErrFull, ErrAccess.
	Generate(use Use) (string, error)
	// Monthly returns the data key of the month of t (China Standard Time), and makes it if there is
	// none. Errors as Generate.
	Monthly(t time.Time) (string, error)
	// IDs returns the ids of a use, newest first; none is no error.
	IDs(use Use) ([]string, error)
	// Destroy removes a key for good: what was sealed under it stays sealed, and no backup brings it
	// back here. Other errors: ErrOrder, ErrFull, ErrAccess.
	Destroy(id string, order Order) error
	// Reload takes notice of what another process did to the same keys.
	Reload() error
}
