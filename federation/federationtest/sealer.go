package federationtest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"gongji/federation"
)

// errSealer is all that a failed check says, as the real ones.
var errSealer = errors.New("federationtest: refused")

// Sealer is a federation.Sealer for tests, on the standard library: SHA-256, Ed25519, X25519 with AES-GCM.
// It has the shape and the strength of the real one and none of its algorithms. Safe for concurrent use.
type Sealer struct {
	signID, sealID string
	sign           ed25519.PrivateKey
	seal           *ecdh.PrivateKey
}

var _ federation.Sealer = (*Sealer)(nil)

// NewSealer makes the keys of one region, named name-sign and name-seal; equal names have equal keys.
func NewSealer(name string) (*Sealer, error) {
	seed := sha256.Sum256([]byte("sign " + name))
	secret := sha256.Sum256([]byte("seal " + name))
	seal, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		return nil, fmt.Errorf("federationtest: key: %w", err)
	}
	return &Sealer{
		signID: name + "-sign", sealID: name + "-seal", sign: ed25519.NewKeyFromSeed(seed[:]), seal: seal,
	}, nil
}

// SignKey is the id and public half of the signing key.
func (s *Sealer) SignKey() (string, []byte) {
	return s.signID, s.sign.Public().(ed25519.PublicKey) //nolint:forcetypeassert // what the library documents
}

// SealKey is the id and public half of the encryption key.
func (s *Sealer) SealKey() (string, []byte) { return s.sealID, s.seal.PublicKey().Bytes() }

// Hash is SHA-256 over the concatenation of parts.
func (s *Sealer) Hash(parts ...[]byte) [federation.HashSize]byte { return Hash(parts...) }

// Hash is SHA-256 over the concatenation of parts.
func Hash(parts ...[]byte) [federation.HashSize]byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	var out [federation.HashSize]byte
	h.Sum(out[:0])
	return out
}

// Sign signs with the signing key.
func (s *Sealer) Sign(message []byte) (string, []byte, error) {
	return s.signID, ed25519.Sign(s.sign, message), nil
}

// Verify checks an Ed25519 signature.
func (s *Sealer) Verify(public, message, signature []byte) error {
	if len(public) != ed25519.PublicKeySize || !ed25519.Verify(public, message, signature) {
		return errSealer
	}
	return nil
}

// Seal encrypts content under a key agreed with a fresh one, which is the wrapped part.
func (s *Sealer) Seal(public, content, additional []byte) ([]byte, []byte, error) {
	to, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, nil, errSealer
	}
	fresh, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("federationtest: key: %w", err)
	}
	wrapped := fresh.PublicKey().Bytes()
	aead, err := agreed(fresh, to, wrapped)
	if err != nil {
		return nil, nil, err
	}
	return wrapped, aead.Seal(nil, make([]byte, aead.NonceSize()), content, additional), nil
}

// Open reverses Seal.
func (s *Sealer) Open(keyID string, wrapped, sealed, additional []byte) ([]byte, error) {
	from, err := ecdh.X25519().NewPublicKey(wrapped)
	if err != nil || keyID != s.sealID {
		return nil, errSealer
	}
	aead, err := agreed(s.seal, from, wrapped)
	if err != nil {
		return nil, err
	}
	content, err := aead.Open(nil, make([]byte, aead.NonceSize()), sealed, additional)
	if err != nil {
		return nil, errSealer
	}
	return content, nil
}

// agreed is the AEAD of one content key; the key is used once, so the nonce may be zero.
func agreed(own *ecdh.PrivateKey, other *ecdh.PublicKey, wrapped []byte) (cipher.AEAD, error) {
	shared, err := own.ECDH(other)
	if err != nil {
		return nil, errSealer
	}
	key := Hash([]byte("content"), shared, wrapped)
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		return nil, fmt.Errorf("federationtest: key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("federationtest: key: %w", err)
	}
	return aead, nil
}
