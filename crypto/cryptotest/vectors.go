package cryptotest

import (
	"bytes"
	"crypto/cipher"
	"embed"
	"encoding/json"
	"errors"
	"strconv"
	"testing"

	"gongji/crypto"
	"gongji/crypto/sm"
	"gongji/crypto/sm/vectors"
)

//go:embed testdata/*.json
var files embed.FS

// Raw is what vectors need of an engine and the contract does not give: the block cipher alone, a
// signature over a digest, and operations with a nonce that is handed in. Engines export it in
// tests only. SignWith and WrapWith are nil where the library makes its nonces itself.
type Raw struct {
	Block        func(key []byte) (cipher.Block, error)
	VerifyDigest sm.VerifyDigest
	SignWith     func(d, k, id, message []byte) ([]byte, error)
	WrapWith     func(public crypto.Public, k, secret []byte) ([]byte, error)
}

// RunVectors runs every published vector, those that are accepted and those that are refused.
func RunVectors(t *testing.T, suite crypto.Suite, raw Raw) {
	t.Helper()
	tests := []struct {
		name string
		run  func(*testing.T, crypto.Suite, Raw)
	}{
		{"sm2 standard", vectorsStandard},
		{"sm2 more", vectorsMore},
		{"sm2 negative", vectorsNegative},
		{"sm2 key exchange", vectorsKeyExchange},
		{"sm3", vectorsSM3},
		{"sm4 block", vectorsBlock},
		{"sm4 modes", vectorsModes},
		{"rfc 8998", vectorsRFC8998},
		{"wycheproof gcm", vectorsGCM},
		{"wycheproof ccm", vectorsCCM},
		{"wycheproof hmac", vectorsHMAC},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, suite, raw) })
	}
}

// must ends the test unless err is nil.
func must[T any](t testing.TB, value T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// same checks two byte strings.
func same(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %x, want %x", what, got, want)
	}
}

func point(x, y []byte) crypto.Public {
	return append(append(crypto.Public{4}, x...), y...)
}

func vectorsStandard(t *testing.T, suite crypto.Suite, raw Raw) {
	v, err := vectors.SM2Standard()
	must(t, v, err)
	key := point(v.Sign.X, v.Sign.Y)
	private, err := suite.Private(v.Sign.D)
	must(t, private, err)
	same(t, "public key", private.Public(), key)
	sig := sm.Signature{R: [32]byte(v.Sign.R), S: [32]byte(v.Sign.S)}
	verifier, wrapper := public(t, suite, key)
	if err := verifier.Verify(v.Sign.Msg, sig.DER()); err != nil {
		t.Errorf("Annex A: %v", err)
	}
	if !raw.VerifyDigest(key, v.Sign.E, sig.DER()) {
		t.Error("Annex A over e")
	}
	za := suite.Sum([]byte{0, 0x80}, v.Sign.ID, v.Curve.A, v.Curve.B, v.Curve.GX, v.Curve.GY, v.Sign.X, v.Sign.Y)
	same(t, "ZA", za[:], v.Sign.ZA)
	e := suite.Sum(za[:], v.Sign.Msg)
	same(t, "e", e[:], v.Sign.E)
	_, err = suite.Verifier(point(v.Curve.GX, v.Curve.GY))
	if err != nil {
		t.Errorf("the base point: %v", err)
	}

	private, err = suite.Private(v.Encrypt.D)
	must(t, private, err)
	secret, err := private.Unwrap(v.Encrypt.ASN1)
	same(t, "Annex C", must(t, secret, err), v.Encrypt.Plaintext)
	parts := sm.Ciphertext{C1: crypto.Public(v.Encrypt.C1), C3: v.Encrypt.C3, C2: v.Encrypt.C2}
	same(t, "DER of Annex C", parts.DER(), v.Encrypt.ASN1)
	wrapped, err := wrapper.Wrap(v.Encrypt.Plaintext)
	secret, err = private.Unwrap(must(t, wrapped, err))
	same(t, "wrapped here", must(t, secret, err), v.Encrypt.Plaintext)

	if raw.SignWith != nil {
		got, err := raw.SignWith(v.Sign.D, v.Sign.K, v.Sign.ID, v.Sign.Msg)
		same(t, "Annex A with its k", must(t, got, err), sig.DER())
	}
	if raw.WrapWith != nil {
		got, err := raw.WrapWith(key, v.Encrypt.K, v.Encrypt.Plaintext)
		same(t, "Annex C with its k", must(t, got, err), v.Encrypt.ASN1)
	}
}

func vectorsMore(t *testing.T, suite crypto.Suite, raw Raw) {
	v, err := vectors.SM2More()
	must(t, v, err)
	private, err := suite.Private(v.D)
	must(t, private, err)
	for i, m := range v.VerifyE {
		if !raw.VerifyDigest(private.Public(), m.E, m.Sig) {
			t.Errorf("signature %d over e", i)
		}
		m.E[0] ^= 1
		if raw.VerifyDigest(private.Public(), m.E, m.Sig) {
			t.Errorf("signature %d over another e", i)
		}
	}
	for i, c := range v.Decrypt {
		secret, err := private.Unwrap(c.ASN1)
		if err != nil {
			t.Errorf("ciphertext %d: %v", i, err)
		}
		same(t, "secret", secret, c.Plaintext)
	}
	for _, m := range v.MustAccept {
		if !raw.VerifyDigest(crypto.Public(m.SPKI[len(m.SPKI)-crypto.PublicSize:]), m.E, m.Sig) {
			t.Error(m.Note)
		}
	}
	for _, f := range v.SignFixedK {
		sig := sm.Signature{R: [32]byte(f.R), S: [32]byte(f.S)}
		signer, err := suite.Private(f.D)
		must(t, signer, err)
		// The contract has one user id; this vector has another, so its e is made here.
		e := digest(suite, signer.Public(), f.ID, f.Msg)
		if !raw.VerifyDigest(signer.Public(), e, sig.DER()) {
			t.Error("signature with a fixed k")
		}
		verifier, _ := public(t, suite, signer.Public())
		refused(t, verifier, f.Msg, sig.DER())
		if raw.SignWith != nil {
			got, err := raw.SignWith(f.D, f.K, f.ID, f.Msg)
			same(t, "signature with a fixed k", must(t, got, err), sig.DER())
		}
	}
}

// digest is e of GB/T 32918.2 for any user id.
func digest(suite crypto.Suite, key crypto.Public, id, message []byte) []byte {
	v, err := vectors.SM2Standard()
	if err != nil {
		return nil
	}
	bits := len(id) * 8
	za := suite.Sum([]byte{byte(bits >> 8), byte(bits)}, id, v.Curve.A, v.Curve.B, v.Curve.GX, v.Curve.GY, key[1:])
	e := suite.Sum(za[:], message)
	return e[:]
}

// vectorsNegative has ciphertexts in the raw form 04 ‖ x ‖ y ‖ C3 ‖ C2, which the contract does not
// take: each is offered as it is and, where it has the parts of one, as DER.
func vectorsNegative(t *testing.T, suite crypto.Suite, _ Raw) {
	list, err := vectors.SM2Negative()
	must(t, list, err)
	for _, v := range list {
		t.Run(v.Kind+" "+v.Name, func(t *testing.T) {
			if v.Kind == "verify" {
				verifier, _ := public(t, suite, crypto.Public(v.Pub))
				err := verifier.Verify(v.Msg, v.Sig)
				if (err == nil) != (v.Expect == "accept") || (err != nil && !errors.Is(err, crypto.ErrSignature)) {
					t.Errorf("%v, want %s", err, v.Expect)
				}
				return
			}
			private, err := suite.Private(v.D)
			must(t, private, err)
			closed(t, private, v.Ct)
			parts, err := sm.FromRaw(v.Ct)
			if err == nil {
				closed(t, private, parts.DER())
			}
		})
	}
}

func vectorsSM3(t *testing.T, suite crypto.Suite, _ Raw) {
	digests, macs, err := vectors.SM3()
	must(t, digests, err)
	for _, v := range digests {
		sum := suite.Sum(v.Msg)
		same(t, "SM3", sum[:], v.Digest)
		h := suite.Hash()
		_, _ = h.Write(v.Msg)
		same(t, "hash", h.Sum(nil), v.Digest)
	}
	for _, v := range macs {
		sum := suite.MAC(v.Key, v.Msg)
		same(t, "HMAC-SM3", sum[:], v.Tag)
	}
}

func vectorsRFC8998(t *testing.T, suite crypto.Suite, raw Raw) {
	list, err := vectors.RFC8998()
	must(t, list, err)
	for _, v := range list {
		sealed := append(bytes.Clone(v.Ciphertext), v.Tag...)
		if v.Alg == "SM4-CCM" {
			block, err := raw.Block(v.Key)
			must(t, block, err)
			same(t, "CCM", ccmSeal(block, len(v.Tag), v.Nonce, v.Plaintext, v.AAD), sealed)
			continue
		}
		a := aead(t, suite, v.Key)
		same(t, "GCM", a.Seal(nil, v.Nonce, v.Plaintext, v.AAD), sealed)
		opened, err := a.Open(nil, v.Nonce, sealed, v.AAD)
		same(t, "GCM", must(t, opened, err), v.Plaintext)
	}
}

// wycheproof is one file of that project.
type wycheproof struct {
	NumberOfTests int
	TestGroups    []struct {
		IVSize, KeySize, TagSize int
		Tests                    []struct {
			TCID                       int
			Comment, Result            string
			Key, IV, AAD, Msg, CT, Tag vectors.Hex
		}
	}
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	raw, err := files.ReadFile("testdata/" + name)
	must(t, raw, err)
	err = json.Unmarshal(raw, into)
	if err != nil {
		t.Fatal(err)
	}
}

func readWycheproof(t *testing.T, name string, count int) wycheproof {
	t.Helper()
	var set wycheproof
	read(t, name, &set)
	have := 0
	for _, group := range set.TestGroups {
		have += len(group.Tests)
	}
	if have != count || set.NumberOfTests != count {
		t.Fatalf("%s has %d vectors, want %d", name, have, count)
	}
	return set
}

// vectorsGCM: the contract's nonces have 12 bytes. Vectors with others are refused by it, and their
// valid ones check the engine's block under the standard library's GCM.
func vectorsGCM(t *testing.T, suite crypto.Suite, raw Raw) {
	for _, group := range readWycheproof(t, "wycheproof_sm4_gcm.json", 104).TestGroups {
		for _, v := range group.Tests {
			t.Run(strconv.Itoa(v.TCID), func(t *testing.T) {
				sealed := append(bytes.Clone(v.CT), v.Tag...)
				a := aead(t, suite, v.Key)
				opened, err := a.Open(nil, v.IV, sealed, v.AAD)
				if group.IVSize != 8*crypto.NonceSize {
					if !errors.Is(err, crypto.ErrOpen) {
						t.Errorf("a nonce of %d bits: %v", group.IVSize, err)
					}
					if v.Result == "valid" {
						block, err := raw.Block(v.Key)
						must(t, block, err)
						gcm, err := cipher.NewGCMWithNonceSize(block, len(v.IV))
						must(t, gcm, err)
						same(t, v.Comment, gcm.Seal(nil, v.IV, v.Msg, v.AAD), sealed)
					}
					return
				}
				if v.Result != "valid" {
					if !errors.Is(err, crypto.ErrOpen) || opened != nil {
						t.Errorf("%s: %x, %v", v.Comment, opened, err)
					}
					return
				}
				same(t, v.Comment, must(t, opened, err), v.Msg)
				same(t, v.Comment, a.Seal(nil, v.IV, v.Msg, v.AAD), sealed)
			})
		}
	}
}

// vectorsCCM: CCM is not part of the contract. Parcels and files are sealed with GCM alone; one
// mode is less to get wrong, and GCM is what both libraries and the hardware modules have. The
// vectors still check the engine's block, under a CCM written for this test.
func vectorsCCM(t *testing.T, _ crypto.Suite, raw Raw) {
	for _, group := range readWycheproof(t, "wycheproof_sm4_ccm.json", 184).TestGroups {
		for _, v := range group.Tests {
			t.Run(strconv.Itoa(v.TCID), func(t *testing.T) {
				block, err := raw.Block(v.Key)
				must(t, block, err)
				sealed := append(bytes.Clone(v.CT), v.Tag...)
				opened, ok := ccmOpen(block, len(v.Tag), v.IV, sealed, v.AAD)
				if ok != (v.Result == "valid") {
					t.Fatalf("%s: opened %t, want %s", v.Comment, ok, v.Result)
				}
				if ok {
					same(t, v.Comment, opened, v.Msg)
					same(t, v.Comment, ccmSeal(block, len(v.Tag), v.IV, v.Msg, v.AAD), sealed)
				}
			})
		}
	}
}

func vectorsHMAC(t *testing.T, suite crypto.Suite, _ Raw) {
	for _, group := range readWycheproof(t, "wycheproof_hmac_sm3.json", 174).TestGroups {
		for _, v := range group.Tests {
			t.Run(strconv.Itoa(v.TCID), func(t *testing.T) {
				sum := suite.MAC(v.Key, v.Msg)
				if bytes.Equal(sum[:group.TagSize/8], v.Tag) != (v.Result == "valid") {
					t.Errorf("%s: %x, want %s", v.Comment, sum, v.Result)
				}
			})
		}
	}
}
