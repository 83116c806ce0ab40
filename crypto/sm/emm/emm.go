// Package emm is the default engine: github.com/emmansun/gmsm behind the guards of crypto/sm.
//
// Secret keys are handled in constant time where the processor has the instructions
// (CheckPlatform). The version is pinned to v0.44.1 exactly: every version before it refuses some
// valid signatures through a carry fault in its field arithmetic, a class of fault that can also
// give private keys away. SelfTest has the signature that shows it.
//
// The library reads a call without SM2 options as "the message is already a digest" and cuts it at
// 32 bytes without a word; this package always passes them.
package emm

import (
	"bytes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/rand"
	"io"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// Name is the engine's name in the configuration.
const Name = "emm"

type suite struct{ *sm.Digests }

var _ crypto.Suite = (*suite)(nil)

// New returns the engine. It keeps no state but pools; make it once.
func New() crypto.Suite { return &suite{Digests: sm.NewDigests(sm3.New)} }

// Name is emm.
func (*suite) Name() string { return Name }

// AEAD returns SM4-GCM under key.
func (*suite) AEAD(key []byte) (crypto.AEAD, error) {
	if len(key) != crypto.KeySize {
		return nil, crypto.ErrKey
	}
	block, err := sm4.NewCipher(key)
	if err != nil {
		return nil, crypto.ErrKey
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, crypto.ErrKey
	}
	return &aead{gcm: gcm}, nil
}

// aead needs no pool: the library's block has no scratch and may be shared.
type aead struct {
	sm.Redacted
	gcm cipher.AEAD
}

func (a *aead) Seal(dst, nonce, plaintext, additional []byte) []byte {
	return a.gcm.Seal(dst, nonce, plaintext, additional)
}

func (a *aead) Open(dst, nonce, ciphertext, additional []byte) ([]byte, error) {
	if len(nonce) != crypto.NonceSize || len(ciphertext) < crypto.TagSize {
		return nil, crypto.ErrOpen
	}
	opened, err := a.gcm.Open(dst, nonce, ciphertext, additional)
	if err != nil {
		return nil, crypto.ErrOpen
	}
	return opened, nil
}

var _ crypto.Blocks = (*suite)(nil)

// Block returns bare SM4.
func (*suite) Block(key []byte) (cipher.Block, error) {
	if len(key) != crypto.KeySize {
		return nil, crypto.ErrKey
	}
	block, err := sm4.NewCipher(key)
	if err != nil {
		return nil, crypto.ErrKey
	}
	return block, nil
}

// peer is one public key. The library hangs what it computed for a key on the pointer: one for each
// peer.
type peer struct{ key *ecdsa.PublicKey }

func newPeer(public crypto.Public) (*peer, error) {
	if sm.CheckPublic(public) != nil {
		return nil, crypto.ErrKey
	}
	key, err := sm2.NewPublicKey(public)
	if err != nil {
		return nil, crypto.ErrKey
	}
	return &peer{key: key}, nil
}

// Verifier takes a public key.
func (*suite) Verifier(public crypto.Public) (crypto.Verifier, error) {
	p, err := newPeer(public)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Wrapper takes a public key.
func (*suite) Wrapper(public crypto.Public) (crypto.Wrapper, error) {
	p, err := newPeer(public)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (p *peer) Verify(message, sig []byte) error {
	if len(message) == 0 {
		return crypto.ErrSignature
	}
	_, err := sm.ParseSignature(sig)
	if err != nil {
		return crypto.ErrSignature
	}
	valid := sm.Survives(func() bool { return sm2.VerifyASN1WithSM2(p.key, []byte(crypto.UserID), message, sig) })
	if !valid {
		return crypto.ErrSignature
	}
	return nil
}

func (p *peer) Wrap(secret []byte) ([]byte, error) {
	if len(secret) == 0 || len(secret) > sm.SecretMax {
		return nil, crypto.ErrKey
	}
	return p.wrap(secret, rand.Reader)
}

// wrapTries bounds the nonces that one wrap draws. A nonce is refused when the mask that it makes
// is all zeros: one in 256 for a secret of one byte, never for a key.
const wrapTries = 16

// wrap hands the library one nonce for each call. When the library draws a second one itself, after
// a mask of zeros, it goes on with the point that it has overwritten, and what it returns opens for
// nobody.
func (p *peer) wrap(secret []byte, random io.Reader) ([]byte, error) {
	for range wrapTries {
		nonce, err := sm.NewScalar(random)
		if err != nil {
			return nil, crypto.ErrKey
		}
		var wrapped []byte
		done := sm.Survives(func() bool {
			out, err := sm2.EncryptASN1(bytes.NewReader(nonce), p.key, secret)
			wrapped = out
			return err == nil
		})
		if done {
			return wrapped, nil
		}
	}
	return nil, crypto.ErrKey
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
	key    *sm2.PrivateKey
	signer *sm2.SM2SignerOption
	public crypto.Public
	d      [crypto.PrivateSize]byte
}

// Private reads d. The public half is always computed from it: with a foreign one the library would
// sign all the same.
func (*suite) Private(d []byte) (crypto.Private, error) {
	if sm.CheckPrivate(d) != nil {
		return nil, crypto.ErrKey
	}
	key, err := sm2.NewPrivateKey(d)
	if err != nil {
		return nil, crypto.ErrKey
	}
	half, err := sm2.PublicKeyToECDH(&key.PublicKey)
	if err != nil {
		return nil, crypto.ErrKey
	}
	public := crypto.Public(half.Bytes())
	if sm.CheckPublic(public) != nil {
		return nil, crypto.ErrKey
	}
	signer := sm2.NewSM2SignerOption(true, []byte(crypto.UserID))
	return &private{key: key, signer: signer, public: public, d: [crypto.PrivateSize]byte(d)}, nil
}

func (p *private) Public() crypto.Public { return append(crypto.Public(nil), p.public...) }

// Wipe overwrites the private key. Nothing may be done with it any more.
func (p *private) Wipe() {
	clear(p.d[:])
	clear(p.key.D.Bits())
}

func (p *private) Bytes() []byte { return append([]byte(nil), p.d[:]...) }

// Sign hedges its nonce inside the library: HMAC-SM3(d ‖ digest ‖ randomness).
func (p *private) Sign(message []byte) ([]byte, error) {
	if len(message) == 0 {
		return nil, crypto.ErrSignature
	}
	var sig []byte
	done := sm.Survives(func() bool {
		out, err := p.key.Sign(rand.Reader, message, p.signer)
		sig = out
		return err == nil
	})
	if !done {
		return nil, crypto.ErrSignature
	}
	return sig, nil
}

func (p *private) Unwrap(wrapped []byte) ([]byte, error) {
	_, err := sm.ParseCiphertext(wrapped)
	if err != nil {
		return nil, crypto.ErrOpen
	}
	var secret []byte
	done := sm.Survives(func() bool {
		out, err := p.key.Decrypt(nil, wrapped, sm2.ASN1DecrypterOpts)
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
func (s *suite) SelfTest() error { return sm.SelfTest(s, verifyDigest) }

// verifyDigest is for vectors over a digest only: elsewhere a message would be cut at 32 bytes.
func verifyDigest(public crypto.Public, digest, sig []byte) bool {
	p, err := newPeer(public)
	if err != nil || len(digest) != crypto.HashSize {
		return false
	}
	_, err = sm.ParseSignature(sig)
	return err == nil && sm2.VerifyASN1(p.key, digest, sig)
}
