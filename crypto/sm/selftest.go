package sm

import (
	"bytes"
	"errors"
	"fmt"

	"gongji/crypto"
	"gongji/crypto/sm/vectors"
)

// ErrSelfTest: the engine does not compute what the standards say. Nothing may be signed or
// accepted with it.
var ErrSelfTest = errors.New("crypto: self test failed")

// VerifyDigest checks a signature over a digest that already holds the user id. Only vectors use
// it; everything else verifies messages.
type VerifyDigest func(public crypto.Public, digest, sig []byte) bool

// SelfTest runs the built-in vectors against an engine. It takes some tens of milliseconds and
// returns ErrSelfTest with the name of what failed.
func SelfTest(suite crypto.Suite, verify VerifyDigest) error {
	tests := []struct {
		name string
		run  func() error
	}{
		{"digest", func() error { return testDigests(suite) }},
		{"seal", func() error { return testSeal(suite) }},
		{"standard", func() error { return testStandard(suite, verify) }},
		{"must accept", func() error { return testMustAccept(verify) }},
		{"must refuse", func() error { return testMustRefuse(suite) }},
		{"round trip", func() error { return testRoundTrip(suite) }},
	}
	for _, test := range tests {
		var err error
		whole := Survives(func() bool {
			err = test.run()
			return true
		})
		if !whole {
			err = fault("panic")
		}
		if err != nil {
			return fmt.Errorf("%w: %s: %s: %w", ErrSelfTest, suite.Name(), test.name, err)
		}
	}
	return nil
}

// differs is the finding that a computed value is not the vector's.
func differs(what string) error { return fault(what + " differs") }

func testDigests(suite crypto.Suite) error {
	digests, macs, err := vectors.SM3()
	if err != nil {
		return err
	}
	for _, v := range digests {
		sum := suite.Sum(v.Msg)
		if !bytes.Equal(sum[:], v.Digest) {
			return differs("SM3")
		}
	}
	for _, v := range macs {
		sum := suite.MAC(v.Key, v.Msg)
		if !bytes.Equal(sum[:], v.Tag) {
			return differs("HMAC-SM3")
		}
	}
	return nil
}

func testSeal(suite crypto.Suite) error {
	list, err := vectors.RFC8998()
	if err != nil {
		return err
	}
	for _, v := range list {
		if v.Alg != "SM4-GCM" {
			continue
		}
		aead, err := suite.AEAD(v.Key)
		if err != nil {
			return err
		}
		sealed := append(bytes.Clone(v.Ciphertext), v.Tag...)
		if !bytes.Equal(aead.Seal(nil, v.Nonce, v.Plaintext, v.AAD), sealed) {
			return differs("SM4-GCM")
		}
		opened, err := aead.Open(nil, v.Nonce, sealed, v.AAD)
		if err != nil || !bytes.Equal(opened, v.Plaintext) {
			return differs("opened SM4-GCM")
		}
		sealed[len(sealed)-1] ^= 1
		_, err = aead.Open(nil, v.Nonce, sealed, v.AAD)
		if err == nil {
			return fault("changed tag accepted")
		}
	}
	return nil
}

func testStandard(suite crypto.Suite, verify VerifyDigest) error {
	v, err := vectors.SM2Standard()
	if err != nil {
		return err
	}
	private, err := suite.Private(v.Sign.D)
	if err != nil {
		return err
	}
	public := Uncompressed((*[scalarSize]byte)(v.Sign.X), (*[scalarSize]byte)(v.Sign.Y))
	if !bytes.Equal(private.Public(), public) {
		return differs("public key")
	}
	sig := Signature{R: [scalarSize]byte(v.Sign.R), S: [scalarSize]byte(v.Sign.S)}
	verifier, err := suite.Verifier(public)
	if err != nil {
		return err
	}
	err = verifier.Verify(v.Sign.Msg, sig.DER())
	if err != nil {
		return err
	}
	if !verify(public, v.Sign.E, sig.DER()) {
		return differs("e")
	}
	secret, err := private.Unwrap(v.Encrypt.ASN1)
	if err != nil {
		return err
	}
	if !bytes.Equal(secret, v.Encrypt.Plaintext) {
		return differs("secret")
	}
	return nil
}

// testMustAccept has the valid signature that a carry fault in the field arithmetic refuses.
func testMustAccept(verify VerifyDigest) error {
	v, err := vectors.SM2More()
	if err != nil {
		return err
	}
	for _, m := range v.MustAccept {
		at := len(m.SPKI) - crypto.PublicSize
		if at < 0 || !verify(crypto.Public(m.SPKI[at:]), m.E, m.Sig) {
			return fault("valid signature refused")
		}
	}
	return nil
}

func testMustRefuse(suite crypto.Suite) error {
	list, err := vectors.SM2Negative()
	if err != nil {
		return err
	}
	for _, v := range list {
		var accepted bool
		switch v.Kind {
		case "verify":
			verifier, err := suite.Verifier(crypto.Public(v.Pub))
			if err != nil {
				return err
			}
			accepted = verifier.Verify(v.Msg, v.Sig) == nil
		default:
			private, err := suite.Private(v.D)
			if err != nil {
				return err
			}
			accepted = unwraps(private, v.Ct)
		}
		if accepted != (v.Expect == "accept") {
			return fault("wrong verdict on " + v.Name)
		}
	}
	return nil
}

// unwraps tries a raw ciphertext as it is and, if it has the parts of one, as DER.
func unwraps(private crypto.Private, raw []byte) bool {
	_, err := private.Unwrap(raw)
	if err == nil {
		return true
	}
	parts, err := FromRaw(raw)
	if err != nil {
		return false
	}
	_, err = private.Unwrap(parts.DER())
	return err == nil
}

func testRoundTrip(suite crypto.Suite) error {
	private, err := suite.Generate()
	if err != nil {
		return err
	}
	verifier, err := suite.Verifier(private.Public())
	if err != nil {
		return err
	}
	message := []byte("self test")
	sig, err := private.Sign(message)
	if err != nil {
		return err
	}
	err = verifier.Verify(message, sig)
	if err != nil {
		return err
	}
	if verifier.Verify([]byte("self test."), sig) == nil {
		return fault("other message accepted")
	}
	wrapper, err := suite.Wrapper(private.Public())
	if err != nil {
		return err
	}
	wrapped, err := wrapper.Wrap(message)
	if err != nil {
		return err
	}
	secret, err := private.Unwrap(wrapped)
	if err != nil || !bytes.Equal(secret, message) {
		return differs("secret")
	}
	return nil
}
