package cryptotest

import (
	"bytes"
	"testing"

	"gongji/crypto"
)

func aead(t testing.TB, suite crypto.Suite, key []byte) crypto.AEAD {
	t.Helper()
	a, err := suite.AEAD(key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func testSeal(t *testing.T, suite crypto.Suite) {
	a := aead(t, suite, pattern(crypto.KeySize))
	// Nonces with ff bytes at the end: a counter that carries wrongly gives two messages one key
	// stream.
	for _, last := range []byte{0, 1, 0xfe, 0xff} {
		nonce := append(bytes.Repeat([]byte{0xff}, crypto.NonceSize-1), last)
		for size := range 200 {
			checkSeal(t, a, nonce, pattern(size), pattern(size%37))
		}
	}
	checkSeal(t, a, make([]byte, crypto.NonceSize), pattern(100_000), nil)
	prefix := []byte("in front")
	sealed := a.Seal(bytes.Clone(prefix), make([]byte, crypto.NonceSize), pattern(50), nil)
	if !bytes.HasPrefix(sealed, prefix) || len(sealed) != len(prefix)+50+crypto.TagSize {
		t.Errorf("dst is not kept: %x", sealed)
	}
	opened, err := a.Open(bytes.Clone(prefix), make([]byte, crypto.NonceSize), sealed[len(prefix):], nil)
	if err != nil || !bytes.Equal(opened, append(bytes.Clone(prefix), pattern(50)...)) {
		t.Errorf("%x, %v", opened, err)
	}
	for _, size := range []int{0, 15, 17, 24, 32} {
		if _, err := suite.AEAD(pattern(size)); err == nil {
			t.Errorf("a key of %d bytes", size)
		}
	}
}

func checkSeal(t *testing.T, a crypto.AEAD, nonce, plaintext, additional []byte) {
	t.Helper()
	sealed := a.Seal(nil, nonce, plaintext, additional)
	opened, err := a.Open(nil, nonce, sealed, additional)
	if err != nil || !bytes.Equal(opened, plaintext) || len(sealed) != len(plaintext)+crypto.TagSize {
		t.Fatalf("%d bytes: %v", len(plaintext), err)
	}
}

func testRefusedSeals(t *testing.T, suite crypto.Suite) {
	a := aead(t, suite, pattern(crypto.KeySize))
	other := aead(t, suite, pattern(crypto.KeySize + 1)[1:])
	nonce, additional := pattern(crypto.NonceSize), []byte("header")
	sealed := a.Seal(nil, nonce, pattern(40), additional)
	no := func(a crypto.AEAD, nonce, sealed, additional []byte) {
		t.Helper()
		opened, err := a.Open(nil, nonce, sealed, additional)
		if err != crypto.ErrOpen || opened != nil { //nolint:errorlint // exactly this error
			t.Errorf("%x, %v", opened, err)
		}
	}
	for i := range len(sealed) * 8 {
		changed := bytes.Clone(sealed)
		changed[i/8] ^= 1 << (i % 8)
		no(a, nonce, changed, additional)
	}
	for i := range sealed {
		no(a, nonce, sealed[:i], additional)
	}
	for i := range nonce {
		changed := bytes.Clone(nonce)
		changed[i] ^= 0x80
		no(a, changed, sealed, additional)
	}
	for _, size := range []int{0, 8, 11, 13, 16} {
		no(a, pattern(size), sealed, additional)
	}
	no(a, nonce, append(bytes.Clone(sealed), 0), additional)
	no(a, nonce, sealed, []byte("headers"))
	no(a, nonce, sealed, nil)
	no(other, nonce, sealed, additional)
}
