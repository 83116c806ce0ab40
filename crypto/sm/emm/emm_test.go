package emm_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"gongji/crypto/cryptotest"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

func TestContract(t *testing.T) { cryptotest.RunSuiteContract(t, emm.New()) }

func TestVectors(t *testing.T) {
	cryptotest.RunVectors(t, emm.New(), cryptotest.Raw{
		Block: emm.Block, VerifyDigest: emm.VerifyDigest, WrapWith: emm.WrapWith,
	})
}

func TestRing(t *testing.T) {
	cryptotest.RunRingContract(t, emm.New(), func(*testing.T) cryptotest.Ring { return keyfile.NewMemory(emm.New()) })
}

// nonce is a small one.
func nonce(n uint64) []byte {
	out := make([]byte, 32)
	binary.BigEndian.PutUint64(out[24:], n)
	return out
}

// TestSecondNonce: a mask of zeros asks for another nonce. The library then goes on with an
// overwritten point, and returns what nobody can open.
func TestSecondNonce(t *testing.T) {
	private, err := emm.New().Private(bytes.Repeat([]byte{5}, 32))
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte{0x9f}
	found := 0
	for n := uint64(1); n < 3000; n++ {
		_, err := emm.WrapWith(private.Public(), nonce(n), secret)
		if err == nil {
			continue
		}
		found++
		want, err := emm.WrapWith(private.Public(), nonce(n+1), secret)
		if err != nil {
			continue // two in a row
		}
		got, err := emm.WrapWith(private.Public(), append(nonce(n), nonce(n+1)...), secret)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("after nonce %d: %x, want %x (%v)", n, got, want, err)
		}
		opened, err := private.Unwrap(got)
		if err != nil || !bytes.Equal(opened, secret) {
			t.Errorf("after nonce %d: %x, %v", n, opened, err)
		}
	}
	if found == 0 {
		t.Error("no nonce makes a mask of zeros: the test tests nothing")
	}
}
