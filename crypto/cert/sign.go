package cert

import (
	stdcrypto "crypto"
	"crypto/ecdsa"
	"errors"
	"io"

	"github.com/emmansun/gmsm/sm2"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// Signer signs messages with one SM2 key, which it keeps. A crypto.Private is one, and so is a key of a ring.
type Signer interface {
	Public() crypto.Public
	// Sign returns the DER SM2 signature (SM3, crypto.UserID) of message.
	Sign(message []byte) ([]byte, error)
}

type ringSigner struct {
	ring   crypto.KeyRing
	id     string
	public crypto.Public
}

// RingSigner is a key of a ring, by its id. Errors: crypto.ErrNoKey.
func RingSigner(ring crypto.KeyRing, id string) (Signer, error) {
	public, err := ring.Public(id)
	if err != nil {
		return nil, err
	}
	return &ringSigner{ring: ring, id: id, public: public}, nil
}

// Public is the key's public half.
func (s *ringSigner) Public() crypto.Public { return s.public }

// Sign asks the ring. A key of another use than crypto.UseSign is crypto.ErrNoKey.
func (s *ringSigner) Sign(message []byte) ([]byte, error) { return s.ring.Sign(s.id, message) }

// signing is a Signer as the library that encodes certificates wants one. It is always handed the message, never a
// digest: SM2 binds the signer's identity (ZA) and the engine does that itself.
type signing struct {
	signer Signer
	public *ecdsa.PublicKey
}

var _ stdcrypto.MessageSigner = (*signing)(nil)

var errDigest = errors.New("cert: a digest cannot be signed with SM2; the message is needed")

func newSigning(s Signer) (*signing, error) {
	if sm.CheckPublic(s.Public()) != nil {
		return nil, refuse(ReasonKey, "the signer's key is no point of the curve")
	}
	public, err := sm2.NewPublicKey(s.Public())
	if err != nil {
		return nil, refuse(ReasonKey, "the signer's key is no point of the curve")
	}
	return &signing{signer: s, public: public}, nil
}

// Public is an *ecdsa.PublicKey.
func (s *signing) Public() stdcrypto.PublicKey { return s.public }

// Sign refuses: what it would get is a digest.
func (*signing) Sign(io.Reader, []byte, stdcrypto.SignerOpts) ([]byte, error) { return nil, errDigest }

// SignMessage signs a message.
func (s *signing) SignMessage(_ io.Reader, message []byte, _ stdcrypto.SignerOpts) ([]byte, error) {
	return s.signer.Sign(message)
}
