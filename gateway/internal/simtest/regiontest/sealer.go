package regiontest

import (
	"errors"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/federation"
)

var errSealer = errors.New("regiontest: refused")

// Sealer is the federation.Sealer of a region: one engine, its key ring, no second opinion.
type Sealer struct {
	suite  crypto.Suite
	ring   *keyfile.Ring
	random func([]byte)
}

var _ federation.Sealer = (*Sealer)(nil)

// Hash is SM3.
func (s *Sealer) Hash(parts ...[]byte) [federation.HashSize]byte { return s.suite.Sum(parts...) }

// Sign signs with the newest signing key.
func (s *Sealer) Sign(message []byte) (string, []byte, error) {
	id, err := s.ring.Current(crypto.UseSign)
	if err != nil {
		return "", nil, errSealer
	}
	signature, err := s.ring.Sign(id, message)
	return id, signature, err
}

// Verify checks an SM2 signature.
func (s *Sealer) Verify(public, message, signature []byte) error {
	v, err := s.suite.Verifier(public)
	if err != nil {
		return errSealer
	}
	return v.Verify(message, signature)
}

// Seal encrypts under a content key of its own.
func (s *Sealer) Seal(public, content, additional []byte) ([]byte, []byte, error) {
	w, err := s.suite.Wrapper(public)
	if err != nil {
		return nil, nil, errSealer
	}
	key := make([]byte, crypto.KeySize)
	s.random(key)
	aead, err := s.suite.AEAD(key)
	if err != nil {
		return nil, nil, errSealer
	}
	wrapped, err := w.Wrap(key)
	if err != nil {
		return nil, nil, errSealer
	}
	return wrapped, aead.Seal(nil, make([]byte, crypto.NonceSize), content, additional), nil
}

// Open reverses Seal.
func (s *Sealer) Open(keyID string, wrapped, sealed, additional []byte) ([]byte, error) {
	key, err := s.ring.Unwrap(keyID, wrapped)
	if err != nil || len(key) != crypto.KeySize {
		return nil, errSealer
	}
	aead, err := s.suite.AEAD(key)
	if err != nil {
		return nil, errSealer
	}
	return aead.Open(nil, make([]byte, crypto.NonceSize), sealed, additional)
}
