package cryptotest

import (
	"testing"

	"gongji/crypto"
)

// RunBenchmarks measures an engine: sign, verify, wrap, unwrap, seal and open of 1 KiB, digest and
// MAC of a person's token, each from all processors at once.
func RunBenchmarks(b *testing.B, suite crypto.Suite) {
	b.Helper()
	private, verifier, wrapper := generate(b, suite)
	message, secret, nonce := pattern(200), pattern(crypto.KeySize), make([]byte, crypto.NonceSize)
	sig, err := private.Sign(message)
	must(b, sig, err)
	wrapped, err := wrapper.Wrap(secret)
	must(b, wrapped, err)
	a := aead(b, suite, secret)
	plain := pattern(1024)
	sealed := a.Seal(nil, nonce, plain, nil)
	person, key := pattern(60), pattern(32)
	operations := []struct {
		name string
		run  func(buffer []byte) error
	}{
		{"sign", func([]byte) error { _, err := private.Sign(message); return err }},
		{"verify", func([]byte) error { return verifier.Verify(message, sig) }},
		{"wrap", func([]byte) error { _, err := wrapper.Wrap(secret); return err }},
		{"unwrap", func([]byte) error { _, err := private.Unwrap(wrapped); return err }},
		{"seal_1k", func(buffer []byte) error { a.Seal(buffer[:0], nonce, plain, nil); return nil }},
		{"open_1k", func(buffer []byte) error { _, err := a.Open(buffer[:0], nonce, sealed, nil); return err }},
		{"digest_1k", func([]byte) error { suite.Sum(plain); return nil }},
		{"token", func([]byte) error { suite.MAC(key, person); return nil }},
	}
	for _, operation := range operations {
		b.Run(operation.name, func(b *testing.B) { parallel(b, operation.run) })
	}
}

// RunRingBenchmarks measures what a node does with its ring for each payment.
func RunRingBenchmarks(b *testing.B, ring Ring) {
	b.Helper()
	data, token, sign := generateKey(b, ring, crypto.UseData), generateKey(b, ring, crypto.UseToken),
		generateKey(b, ring, crypto.UseSign)
	person := pattern(60)
	sealed, err := ring.Seal(data, person, nil)
	must(b, sealed, err)
	operations := []struct {
		name string
		run  func([]byte) error
	}{
		{"ring_sign", func([]byte) error { _, err := ring.Sign(sign, person); return err }},
		{"ring_seal", func([]byte) error { _, err := ring.Seal(data, person, nil); return err }},
		{"ring_open", func([]byte) error { _, err := ring.Open(data, sealed, nil); return err }},
		{"ring_token", func([]byte) error { _, err := ring.MAC(token, person); return err }},
	}
	for _, operation := range operations {
		b.Run(operation.name, func(b *testing.B) { parallel(b, operation.run) })
	}
}

func parallel(b *testing.B, run func(buffer []byte) error) {
	b.Helper()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		buffer := make([]byte, 0, 2048)
		for pb.Next() {
			err := run(buffer)
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}
