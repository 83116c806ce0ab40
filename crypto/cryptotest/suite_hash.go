package cryptotest

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"gongji/crypto"
)

func testHash(t *testing.T, suite crypto.Suite) {
	h := suite.Hash()
	if h.Size() != crypto.HashSize || h.BlockSize() != 64 {
		t.Errorf("size %d, block %d", h.Size(), h.BlockSize())
	}
	for _, size := range []int{0, 1, 55, 56, 63, 64, 65, 127, 128, 129, 5000, 20_000} {
		data := pattern(size)
		want := suite.Sum(data)
		for _, step := range []int{1, 7, 63, 64, 65, 4096, 1 << 20} {
			h.Reset()
			for rest := data; len(rest) > 0; rest = rest[min(step, len(rest)):] {
				n, err := h.Write(rest[:min(step, len(rest))])
				if err != nil || n != min(step, len(rest)) {
					t.Fatalf("wrote %d: %v", n, err)
				}
			}
			prefix := []byte("prefix")
			for range 2 { // Sum appends, and leaves the state as it is
				got := h.Sum(prefix)
				if !bytes.Equal(got, append([]byte("prefix"), want[:]...)) {
					t.Fatalf("%d bytes in steps of %d: %x", size, step, got)
				}
			}
		}
		if size > 2 && suite.Sum(data[:1], nil, data[1:2], data[2:]) != want {
			t.Errorf("%d bytes: parts are not their concatenation", size)
		}
	}
}

func testMAC(t *testing.T, suite crypto.Suite) {
	message := pattern(150)
	for _, size := range []int{0, 1, 16, 32, 63, 64, 65, 128, 200} {
		key := pattern(size)
		h := hmac.New(suite.Hash, key)
		_, _ = h.Write(message)
		got := suite.MAC(key, message)
		if !bytes.Equal(h.Sum(nil), got[:]) {
			t.Errorf("key of %d bytes: %x", size, got)
		}
		if suite.MAC(key, message[:3], nil, message[3:]) != got {
			t.Errorf("key of %d bytes: parts are not their concatenation", size)
		}
	}
	// A Sum that does not append makes this wrong or panic beyond one block.
	derived, err := pbkdf2.Key(suite.Hash, "password", []byte("salt"), 3, 80)
	if err != nil || len(derived) != 80 || bytes.Equal(derived[:32], derived[32:64]) {
		t.Errorf("PBKDF2: %x, %v", derived, err)
	}
}

func testCopies(t *testing.T, suite crypto.Suite) {
	private, _, _ := generate(t, suite)
	sig, err := private.Sign([]byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	key := private.Public()
	verifier, wrapper := public(t, suite, key)
	clear(key)
	clear(private.Bytes())
	clear(private.Public())
	if err := verifier.Verify([]byte("message"), sig); err != nil {
		t.Errorf("the verifier shares its key: %v", err)
	}
	wrapped, err := wrapper.Wrap([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := private.Unwrap(wrapped); err != nil {
		t.Errorf("the private key shares its bytes: %v", err)
	}
	d := private.Bytes()
	same, err := suite.Private(d)
	if err != nil {
		t.Fatal(err)
	}
	clear(d)
	works(t, suite, same)

	secret := pattern(crypto.KeySize)
	a := aead(t, suite, secret)
	nonce := make([]byte, crypto.NonceSize)
	before := a.Seal(nil, nonce, []byte("message"), nil)
	clear(secret)
	runtime.GC()
	runtime.GC() // empties pools, so that pooled states are made anew
	if !bytes.Equal(a.Seal(nil, nonce, []byte("message"), nil), before) {
		t.Error("the AEAD shares its key")
	}
}

// testConcurrent uses one of each from many goroutines. Under the race detector it finds shared
// scratch; without it, wrong results.
func testConcurrent(t *testing.T, suite crypto.Suite) {
	private, verifier, wrapper := generate(t, suite)
	a := aead(t, suite, pattern(crypto.KeySize))
	const workers, rounds = 8, 10
	fail := make(chan error, workers)
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for round := range rounds {
				err := concurrently(suite, private, verifier, wrapper, a, fmt.Appendf(nil, "%d/%d", worker, round))
				if err != nil {
					fail <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(fail)
	for err := range fail {
		t.Error(err)
	}
}

func concurrently(
	suite crypto.Suite, private crypto.Private, verifier crypto.Verifier, wrapper crypto.Wrapper, a crypto.AEAD,
	message []byte,
) error {
	for i := range 200 {
		nonce := append(make([]byte, crypto.NonceSize-1), byte(i))
		sealed := a.Seal(nil, nonce, message, message)
		opened, err := a.Open(nil, nonce, sealed, message)
		if err != nil || !bytes.Equal(opened, message) {
			return fmt.Errorf("sealed by another goroutine: %w", err)
		}
		h := suite.Hash()
		_, _ = h.Write(message)
		sum := suite.Sum(message)
		if !bytes.Equal(h.Sum(nil), sum[:]) {
			return fmt.Errorf("digest of another goroutine: %x", sum)
		}
		first, second := suite.MAC(message, message), suite.MAC(message, message)
		if first != second {
			return fmt.Errorf("MAC of another goroutine")
		}
	}
	sig, err := private.Sign(message)
	if err != nil {
		return err
	}
	err = verifier.Verify(message, sig)
	if err != nil {
		return err
	}
	secret := message[:min(len(message), 16)]
	wrapped, err := wrapper.Wrap(secret)
	if err != nil {
		return err
	}
	opened, err := private.Unwrap(wrapped)
	if err != nil || !bytes.Equal(opened, secret) {
		return fmt.Errorf("unwrapped by another goroutine: %w", err)
	}
	return nil
}
