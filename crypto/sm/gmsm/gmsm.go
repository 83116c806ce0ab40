// Package gmsm is the second engine: github.com/tjfoc/gmsm v1.4.1 behind the guards of crypto/sm.
//
// The library must not see untrusted input: it decrypts points off the curve (which gives the
// private key away), returns the plaintext of ciphertexts that it found forged, loops for ever on
// an empty secret, panics on short ones, and accepts signatures with bytes behind them. Every call
// here passes the guards first and drops every output beside an error. It is not constant time: it
// holds no long-lived private key outside tests and configurations that choose it. Of the library
// only SM2, SM3 and the raw SM4 block are used; crypto/DESIGN.md lists what is forbidden.
package gmsm

import (
	"crypto/rand"
	"io"
	"math/big"

	"github.com/tjfoc/gmsm/sm2"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// Name is the engine's name in the configuration.
const Name = "gmsm"

// scalarSize is the size of a coordinate in bytes. Numbers are always padded to it: the library
// drops leading zeros.
const scalarSize = 32

type suite struct{ *sm.Digests }

var (
	_ crypto.Suite  = (*suite)(nil)
	_ crypto.Blocks = (*suite)(nil)
)

// New returns the engine. It keeps no state but pools; make it once.
func New() crypto.Suite { return newSuite() }

func newSuite() *suite { return &suite{Digests: sm.NewDigests(newDigest)} }

// Name is gmsm.
func (*suite) Name() string { return Name }

// AEAD returns SM4-GCM under key.
func (*suite) AEAD(key []byte) (crypto.AEAD, error) {
	a, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return a, nil
}

// peer is one public key.
type peer struct {
	suite *suite
	bytes crypto.Public
	key   *sm2.PublicKey
}

func (s *suite) peer(public crypto.Public) (*peer, error) {
	if sm.CheckPublic(public) != nil {
		return nil, crypto.ErrKey
	}
	return &peer{
		suite: s,
		bytes: append(crypto.Public(nil), public...),
		key: &sm2.PublicKey{
			Curve: sm2.P256Sm2(),
			X:     new(big.Int).SetBytes(public[1 : 1+scalarSize]),
			Y:     new(big.Int).SetBytes(public[1+scalarSize:]),
		},
	}, nil
}

// Verifier takes a public key.
func (s *suite) Verifier(public crypto.Public) (crypto.Verifier, error) {
	p, err := s.peer(public)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Wrapper takes a public key.
func (s *suite) Wrapper(public crypto.Public) (crypto.Wrapper, error) {
	p, err := s.peer(public)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (p *peer) Verify(message, sig []byte) error {
	if len(message) == 0 {
		return crypto.ErrSignature
	}
	parts, err := sm.ParseSignature(sig)
	if err != nil {
		return crypto.ErrSignature
	}
	r, s := new(big.Int).SetBytes(parts.R[:]), new(big.Int).SetBytes(parts.S[:])
	valid := sm.Survives(func() bool { return sm2.Sm2Verify(p.key, message, []byte(crypto.UserID), r, s) })
	if !valid {
		return crypto.ErrSignature
	}
	return nil
}

func (p *peer) Wrap(secret []byte) ([]byte, error) {
	if len(secret) == 0 || len(secret) > sm.SecretMax {
		return nil, crypto.ErrKey
	}
	nonces, err := sm.NewHedge(p.suite.MAC, p.bytes, secret, rand.Reader)
	if err != nil {
		return nil, crypto.ErrKey
	}
	return p.wrap(secret, nonces)
}

func (p *peer) wrap(secret []byte, nonces io.Reader) ([]byte, error) {
	var raw []byte
	done := sm.Survives(func() bool {
		out, err := sm2.Encrypt(p.key, secret, nonces, sm2.C1C3C2)
		raw = out
		return err == nil
	})
	if !done {
		return nil, crypto.ErrKey
	}
	parts, err := sm.FromRaw(raw)
	if err != nil || sm.CheckPublic(parts.C1) != nil {
		return nil, crypto.ErrKey
	}
	return parts.DER(), nil
}

// Generate makes a new private key.
func (s *suite) Generate() (crypto.Private, error) {
	d, err := sm.NewScalar(rand.Reader)
	if err != nil {
		return nil, crypto.ErrKey
	}
	return s.Private(d)
}

type private struct {
	sm.Redacted
	suite  *suite
	key    *sm2.PrivateKey
	public crypto.Public
	d      [crypto.PrivateSize]byte
}

// Private reads d. The library would take 0 and n-1, which it then panics on or signs with.
func (s *suite) Private(d []byte) (crypto.Private, error) {
	key, err := s.private(d)
	if err != nil {
		return nil, err
	}
	return key, nil
}

func (s *suite) private(d []byte) (*private, error) {
	if sm.CheckPrivate(d) != nil {
		return nil, crypto.ErrKey
	}
	p := &private{suite: s, d: [crypto.PrivateSize]byte(d)}
	done := sm.Survives(func() bool {
		curve := sm2.P256Sm2()
		x, y := curve.ScalarBaseMult(p.d[:]) //nolint:staticcheck // crypto/ecdh has no SM2, and the library nothing newer
		var bx, by [scalarSize]byte
		x.FillBytes(bx[:])
		y.FillBytes(by[:])
		p.public = sm.Uncompressed(&bx, &by)
		p.key = &sm2.PrivateKey{
			PublicKey: sm2.PublicKey{Curve: curve, X: x, Y: y},
			D:         new(big.Int).SetBytes(p.d[:]),
		}
		return true
	})
	if !done || sm.CheckPublic(p.public) != nil {
		return nil, crypto.ErrKey
	}
	return p, nil
}

func (p *private) Public() crypto.Public { return append(crypto.Public(nil), p.public...) }

func (p *private) Bytes() []byte { return append([]byte(nil), p.d[:]...) }

func (p *private) Sign(message []byte) ([]byte, error) {
	if len(message) == 0 {
		return nil, crypto.ErrSignature
	}
	nonces, err := sm.NewHedge(p.suite.MAC, p.d[:], message, rand.Reader)
	if err != nil {
		return nil, crypto.ErrSignature
	}
	return p.sign([]byte(crypto.UserID), message, nonces)
}

func (p *private) sign(id, message []byte, nonces io.Reader) ([]byte, error) {
	var sig sm.Signature
	done := sm.Survives(func() bool {
		r, s, err := sm2.Sm2Sign(p.key, message, id, nonces)
		if err != nil {
			return false
		}
		r.FillBytes(sig.R[:])
		s.FillBytes(sig.S[:])
		return true
	})
	if !done {
		return nil, crypto.ErrSignature
	}
	return sig.DER(), nil
}

func (p *private) Unwrap(wrapped []byte) ([]byte, error) {
	parts, err := sm.ParseCiphertext(wrapped)
	if err != nil {
		return nil, crypto.ErrOpen
	}
	var secret []byte
	done := sm.Survives(func() bool {
		// The library returns the plaintext of a forged ciphertext beside the error: it stays in
		// here.
		out, err := sm2.Decrypt(p.key, parts.Raw(), sm2.C1C3C2)
		if err != nil {
			return false
		}
		secret = out
		return true
	})
	if !done {
		return nil, crypto.ErrOpen
	}
	return secret, nil
}

// SelfTest runs the built-in vectors.
func (s *suite) SelfTest() error { return sm.SelfTest(s, s.verifyDigest) }

// verifyDigest is for vectors over a digest only.
func (s *suite) verifyDigest(public crypto.Public, digest, sig []byte) bool {
	p, err := s.peer(public)
	if err != nil || len(digest) != crypto.HashSize {
		return false
	}
	parts, err := sm.ParseSignature(sig)
	if err != nil {
		return false
	}
	r, v := new(big.Int).SetBytes(parts.R[:]), new(big.Int).SetBytes(parts.S[:])
	return sm.Survives(func() bool { return sm2.Verify(p.key, digest, r, v) })
}
