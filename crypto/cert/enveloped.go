package cert

import (
	"bytes"
	"slices"

	"github.com/emmansun/gmsm/sm4"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// envelopedMax bounds an enveloped key, in bytes.
const envelopedMax = 1 << 10

// Enveloped is an SM2 key pair that somebody else has made, for the holder of another key (SM2EnvelopedKey of GB/T
// 35276 7.4, GM/T 0009): the private key under SM4, the SM4 key under SM2. A key management centre delivers encryption
// keys so. Only the form was checked.
type Enveloped struct {
	Public  crypto.Public
	wrapped []byte // the SM4 key, SM2 ciphertext in the ASN.1 form
	sealed  []byte // the private key, SM4-ECB: two blocks, or four with 32 bytes of zeros in front (GM/T 0018)
}

// ParseEnveloped reads an SM2EnvelopedKey in DER. Errors: *RefusedError.
func ParseEnveloped(der []byte) (*Enveloped, error) {
	if err := strict(der, envelopedMax); err != nil {
		return nil, err
	}
	var outer, algorithm, oid, wrapped, public, sealed cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1(&outer, asn1.SEQUENCE) || !outer.ReadASN1(&algorithm, asn1.SEQUENCE) ||
		!outer.ReadASN1Element(&wrapped, asn1.SEQUENCE) || !outer.ReadASN1(&public, asn1.BIT_STRING) ||
		!outer.ReadASN1(&sealed, asn1.BIT_STRING) || !outer.Empty() ||
		!algorithm.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) {
		return nil, refuse(ReasonMalformed, "not an SM2EnvelopedKey of GB/T 35276")
	}
	var null cryptobyte.String
	if !slices.Equal(oid, oidSM4) && !slices.Equal(oid, oidSM4ECB) ||
		!algorithm.Empty() && (!algorithm.ReadASN1(&null, asn1.NULL) || !null.Empty() || !algorithm.Empty()) {
		return nil, refuse(ReasonAlgorithm, "the private key is not under SM4-ECB (1.2.156.10197.1.104.1)")
	}
	if _, err := sm.ParseCiphertext(wrapped); err != nil {
		return nil, refuse(ReasonMalformed, "the SM4 key is not an SM2 ciphertext")
	}
	point, err := pointOf(public)
	if err != nil {
		return nil, err
	}
	var unused uint8
	if !sealed.ReadUint8(&unused) || unused != 0 ||
		len(sealed) != crypto.PrivateSize && len(sealed) != 2*crypto.PrivateSize {
		return nil, refuse(ReasonMalformed, "the private key has not the length of one")
	}
	return &Enveloped{Public: point, wrapped: slices.Clone(wrapped), sealed: slices.Clone(sealed)}, nil
}

// Importer is a ring that takes keys made elsewhere; keyfile.Ring is one.
type Importer interface {
	crypto.KeyRing
	// Import adds a secret as a new key, and returns its id.
	Import(use crypto.Use, secret []byte) (string, error)
}

// Import opens the envelope with the ring's decryption key of that id, and puts the pair into the ring as a key of
// crypto.UseDecrypt. It returns the new key's id. Errors: crypto.ErrNoKey, *RefusedError, the ring's.
func (e *Enveloped) Import(suite crypto.Suite, ring Importer, id string) (string, error) {
	if _, err := ring.Public(id); err != nil {
		return "", err
	}
	key, err := ring.Unwrap(id, e.wrapped)
	if err != nil {
		return "", refuse(ReasonEnvelope, "key %s does not open it", id)
	}
	secret, err := e.open(key)
	clear(key)
	if err != nil {
		return "", err
	}
	defer clear(secret)
	private, err := suite.Private(secret)
	if err != nil || !bytes.Equal(private.Public(), e.Public) {
		return "", refuse(ReasonEnvelope, "the private key in it is not that of its public key")
	}
	return ring.Import(crypto.UseDecrypt, secret)
}

// open takes the private key out. SM4-ECB is what the standard says: the blocks are random and never come twice, and
// the public half beside them tells whether they were changed.
func (e *Enveloped) open(key []byte) ([]byte, error) {
	block, err := sm4.NewCipher(key)
	if err != nil {
		return nil, refuse(ReasonEnvelope, "the SM4 key in it has not the length of one")
	}
	secret := make([]byte, len(e.sealed))
	for i := 0; i < len(secret); i += block.BlockSize() {
		block.Decrypt(secret[i:], e.sealed[i:])
	}
	front := secret[:len(secret)-crypto.PrivateSize]
	if !bytes.Equal(front, make([]byte, len(front))) {
		return nil, refuse(ReasonEnvelope, "the private key in it is too long")
	}
	return secret[len(front):], nil
}

// Envelope makes an SM2EnvelopedKey of a private key for the holder of another, as a key management centre does.
// Errors: *RefusedError, the suite's.
func Envelope(suite crypto.Suite, to crypto.Public, private crypto.Private, key []byte) ([]byte, error) {
	block, err := sm4.NewCipher(key)
	if err != nil {
		return nil, refuse(ReasonEnvelope, "an SM4 key has %d bytes", crypto.KeySize)
	}
	wrapper, err := suite.Wrapper(to)
	if err != nil {
		return nil, err
	}
	wrapped, err := wrapper.Wrap(key)
	if err != nil {
		return nil, err
	}
	sealed := private.Bytes()
	for i := 0; i < len(sealed); i += block.BlockSize() {
		block.Encrypt(sealed[i:], sealed[i:])
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(oidSM4ECB) })
		})
		b.AddBytes(wrapped)
		b.AddASN1BitString(private.Public())
		b.AddASN1BitString(sealed)
	})
	return b.Bytes()
}
