package sm_test

import (
	"bytes"
	"math/big"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"gongji/crypto"
	"gongji/crypto/sm"
	"gongji/crypto/sm/emm"
	"gongji/crypto/sm/gmsm"
	"gongji/crypto/sm/vectors"
)

// FuzzSignature compares the parser with another one, and has what passes put to both engines.
func FuzzSignature(f *testing.F) {
	list, err := vectors.SM2Negative()
	if err != nil {
		f.Fatal(err)
	}
	var public crypto.Public
	for _, v := range list {
		f.Add([]byte(v.Sig))
		if len(v.Pub) > 0 {
			public = crypto.Public(v.Pub)
		}
	}
	one, err := emm.New().Verifier(public)
	if err != nil {
		f.Fatal(err)
	}
	two, err := gmsm.New().Verifier(public)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		sig, err := sm.ParseSignature(der)
		if (err == nil) != otherSignature(der) {
			t.Fatalf("%x: %v, the other parser does not agree", der, err)
		}
		message := []byte("message digest")
		if err != nil {
			if one.Verify(message, der) == nil || two.Verify(message, der) == nil {
				t.Fatalf("%x is accepted", der)
			}
			return
		}
		if !bytes.Equal(sig.DER(), der) {
			t.Fatalf("%x has another encoding %x", der, sig.DER())
		}
		if (one.Verify(message, der) == nil) != (two.Verify(message, der) == nil) {
			t.Fatalf("the engines disagree on %x", der)
		}
	})
}

// otherSignature parses with cryptobyte.
func otherSignature(der []byte) bool {
	input, inner := cryptobyte.String(der), cryptobyte.String(nil)
	r, s := new(big.Int), new(big.Int)
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !input.Empty() || !inner.ReadASN1Integer(r) ||
		!inner.ReadASN1Integer(s) || !inner.Empty() {
		return false
	}
	n := order()
	return r.Sign() > 0 && s.Sign() > 0 && r.Cmp(n) < 0 && s.Cmp(n) < 0
}

func order() *big.Int {
	n, _ := new(big.Int).SetString("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123", 16)
	return n
}

// FuzzPublic: both engines take the same keys, and none panics on one that they took.
func FuzzPublic(f *testing.F) {
	v, err := vectors.SM2Standard()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(append([]byte{4}, v.Sign.X...), v.Sign.Y...))
	f.Add(append(append([]byte{4}, v.Curve.GX...), v.Curve.GY...))
	f.Add(append([]byte{2}, v.Curve.GX...))
	f.Add([]byte{0})
	one, two := emm.New(), gmsm.New()
	f.Fuzz(func(t *testing.T, key []byte) {
		valid := sm.CheckPublic(key) == nil
		for _, suite := range []crypto.Suite{one, two} {
			verifier, err := suite.Verifier(key)
			if (err == nil) != valid {
				t.Fatalf("%s, %x: %v", suite.Name(), key, err)
			}
			if !valid {
				continue
			}
			if verifier.Verify([]byte("m"), []byte{0x30, 6, 2, 1, 1, 2, 1, 1}) == nil {
				t.Fatalf("%s accepts (1, 1)", suite.Name())
			}
			wrapper, err := suite.Wrapper(key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := wrapper.Wrap([]byte("secret")); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzUnwrap: both engines agree on every wrapped secret, and nothing comes out beside an error.
func FuzzUnwrap(f *testing.F) {
	v, err := vectors.SM2Standard()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(v.Encrypt.ASN1))
	more, err := vectors.SM2More()
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range more.Decrypt {
		f.Add([]byte(c.ASN1))
	}
	negative, err := vectors.SM2Negative()
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range negative {
		parts, err := sm.FromRaw(c.Ct)
		if err == nil {
			f.Add(parts.DER())
		}
	}
	one, err := emm.New().Private(v.Encrypt.D)
	if err != nil {
		f.Fatal(err)
	}
	two, err := gmsm.New().Private(v.Encrypt.D)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, wrapped []byte) {
		parts, err := sm.ParseCiphertext(wrapped)
		if err == nil && !bytes.Equal(parts.DER(), wrapped) {
			t.Fatalf("%x has another encoding", wrapped)
		}
		a, errA := one.Unwrap(wrapped)
		b, errB := two.Unwrap(wrapped)
		if (errA == nil) != (errB == nil) || !bytes.Equal(a, b) {
			t.Fatalf("%x: %x %v, %x %v", wrapped, a, errA, b, errB)
		}
		if (errA != nil && a != nil) || (err != nil && errA == nil) {
			t.Fatalf("%x: %x %v", wrapped, a, errA)
		}
	})
}
