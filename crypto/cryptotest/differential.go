package cryptotest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"io"
	"math/big"
	"testing"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// RunDifferential has two independent engines check each other on random input, rounds times: each
// verifies what the other signed, unwraps what the other wrapped, opens what the other sealed, and
// refuses what the other refuses. A failure prints the input.
func RunDifferential(t *testing.T, one, two crypto.Suite, rounds int) {
	t.Helper()
	for round := range rounds {
		seed := random(t, 32+round%97)
		d := random(t, crypto.PrivateSize)
		if round%3 == 0 { // short and long runs of zeros and ones, where carries go wrong
			copy(d, sparse(t))
		}
		if sm.CheckPrivate(d) != nil {
			d = scalar(big.NewInt(int64(round)+1), 0)
		}
		crossed(t, one, two, d, seed)
		crossed(t, two, one, d, seed)
		if t.Failed() {
			t.Fatalf("round %d: d %x, message %x", round, d, seed)
		}
	}
}

func random(t testing.TB, n int) []byte {
	t.Helper()
	out := make([]byte, n)
	_, err := io.ReadFull(rand.Reader, out)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sparse is 32 bytes of which each four are random, all zeros or all ones.
func sparse(t testing.TB) []byte {
	t.Helper()
	out := random(t, crypto.PrivateSize)
	choice := random(t, crypto.PrivateSize/4)
	for i, c := range choice {
		switch c % 3 {
		case 0:
			clear(out[4*i : 4*i+4])
		case 1:
			copy(out[4*i:], []byte{0xff, 0xff, 0xff, 0xff})
		}
	}
	return out
}

func crossed(t *testing.T, from, to crypto.Suite, d, message []byte) {
	t.Helper()
	sender, err := from.Private(d)
	if err != nil {
		t.Fatalf("%s: %v", from.Name(), err)
	}
	receiver, err := to.Private(d)
	if err != nil {
		t.Fatalf("%s: %v", to.Name(), err)
	}
	same(t, "public key", sender.Public(), receiver.Public())

	sig, err := sender.Sign(message)
	if err != nil {
		t.Fatalf("%s signs: %v", from.Name(), err)
	}
	verifier, _ := public(t, to, sender.Public())
	if err := verifier.Verify(message, sig); err != nil {
		t.Errorf("%s refuses %s's signature %x", to.Name(), from.Name(), sig)
	}
	own, wrapper := public(t, from, receiver.Public())
	forged, err := sm.ParseSignature(sig)
	if err != nil {
		t.Fatal(err)
	}
	forged.S[31] ^= 1
	if (verifier.Verify(message, forged.DER()) == nil) || (own.Verify(message, forged.DER()) == nil) {
		t.Errorf("a forged signature is accepted: %x", forged.DER())
	}

	secret := message[:min(1+len(message)%sm.SecretMax, len(message))]
	wrapped, err := wrapper.Wrap(secret)
	if err != nil {
		t.Fatalf("%s wraps: %v", from.Name(), err)
	}
	opened, err := receiver.Unwrap(wrapped)
	if err != nil || !bytes.Equal(opened, secret) {
		t.Errorf("%s does not unwrap %s's %x", to.Name(), from.Name(), wrapped)
	}

	if from.Sum(message, d) != to.Sum(message, d) || from.MAC(d, message) != to.MAC(d, message) {
		t.Errorf("digests differ of %s", hex.EncodeToString(message))
	}
	key, nonce := d[:crypto.KeySize], d[crypto.KeySize:crypto.KeySize+crypto.NonceSize]
	sealed := aead(t, from, key).Seal(nil, nonce, message, d)
	opened, err = aead(t, to, key).Open(nil, nonce, sealed, d)
	if err != nil || !bytes.Equal(opened, message) {
		t.Errorf("%s does not open %s's %x", to.Name(), from.Name(), sealed)
	}
}
