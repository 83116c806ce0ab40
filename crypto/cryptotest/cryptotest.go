// Package cryptotest is the contract test of package crypto: what each crypto.Suite and each
// crypto.KeyRing has to do, the published vectors (accept and reject) as tests, the differential
// test of two engines, and their benchmarks.
package cryptotest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"gongji/crypto"
)

// RunSuiteContract runs the contract of crypto.Suite. It takes a second or two with a slow engine.
func RunSuiteContract(t *testing.T, suite crypto.Suite) {
	t.Helper()
	tests := []struct {
		name string
		run  func(*testing.T, crypto.Suite)
	}{
		{"self test", testSelf},
		{"sign and verify", testSign},
		{"refused signatures", testRefusedSignatures},
		{"refused public keys", testRefusedPublics},
		{"private keys", testPrivates},
		{"wrap and unwrap", testWrap},
		{"refused wraps", testRefusedWraps},
		{"points off the curve", testOffCurve},
		{"seal and open", testSeal},
		{"refused seals", testRefusedSeals},
		{"hash", testHash},
		{"mac", testMAC},
		{"own copies", testCopies},
		{"nothing printed", testPrinted},
		{"concurrent use", testConcurrent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, suite) })
	}
}

func testSelf(t *testing.T, suite crypto.Suite) {
	if suite.Name() == "" {
		t.Error("no name")
	}
	err := suite.SelfTest()
	if err != nil {
		t.Error(err)
	}
}

// pattern is n bytes that are not all the same.
func pattern(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i*7 + i>>8 + 1)
	}
	return out
}

// generate makes a key and the verifier and wrapper of its public half.
func generate(t testing.TB, suite crypto.Suite) (crypto.Private, crypto.Verifier, crypto.Wrapper) {
	t.Helper()
	private, err := suite.Generate()
	if err != nil {
		t.Fatal(err)
	}
	verifier, wrapper := public(t, suite, private.Public())
	return private, verifier, wrapper
}

func public(t testing.TB, suite crypto.Suite, key crypto.Public) (crypto.Verifier, crypto.Wrapper) {
	t.Helper()
	verifier, err := suite.Verifier(key)
	if err != nil {
		t.Fatal(err)
	}
	wrapper, err := suite.Wrapper(key)
	if err != nil {
		t.Fatal(err)
	}
	return verifier, wrapper
}

func testSign(t *testing.T, suite crypto.Suite) {
	private, verifier, _ := generate(t, suite)
	_, stranger, _ := generate(t, suite)
	for _, size := range []int{1, 31, 32, 33, 63, 64, 65, 1000, 70_000} {
		message := pattern(size)
		sig, err := private.Sign(message)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if len(sig) > crypto.SigMax {
			t.Errorf("signature of %d bytes", len(sig))
		}
		again, err := private.Sign(message)
		if err != nil || bytes.Equal(sig, again) {
			t.Errorf("%d bytes: the nonce is the same twice (%v)", size, err)
		}
		for _, s := range [][]byte{sig, again} {
			if err := verifier.Verify(message, s); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
		// A longer message with the same beginning: an engine that takes messages for digests cuts
		// them.
		refused(t, verifier, append(bytes.Clone(message), 0), sig)
		refused(t, verifier, message[:size-1], sig)
		refused(t, stranger, message, sig)
	}
	_, err := private.Sign(nil)
	if !errors.Is(err, crypto.ErrSignature) {
		t.Errorf("empty message: %v", err)
	}
}

// refused checks that the one opaque error comes.
func refused(t *testing.T, verifier crypto.Verifier, message, sig []byte) {
	t.Helper()
	err := verifier.Verify(message, sig)
	if err != crypto.ErrSignature { //nolint:errorlint // exactly this error: nothing wrapped may say why
		t.Errorf("verify %d bytes under %x: %v", len(message), sig, err)
	}
}

func testRefusedSignatures(t *testing.T, suite crypto.Suite) {
	private, verifier, _ := generate(t, suite)
	message := pattern(100)
	sig, err := private.Sign(message)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, verifier, nil, sig)
	refused(t, verifier, message, nil)
	for i := range sig {
		changed := bytes.Clone(sig)
		changed[i] ^= 1 << (i % 8)
		refused(t, verifier, message, changed)
		refused(t, verifier, message, sig[:i])
	}
	body := sig[2:]
	again := map[string][]byte{
		"trailing byte":        append(bytes.Clone(sig), 0),
		"trailing byte inside": append([]byte{0x30, byte(len(body) + 1)}, append(bytes.Clone(body), 0)...),
		"third number":         append([]byte{0x30, byte(len(body) + 3)}, append(bytes.Clone(body), 2, 1, 1)...),
		"long length":          append([]byte{0x30, 0x81, byte(len(body))}, body...),
		"longer length":        append([]byte{0x30, 0x82, 0, byte(len(body))}, body...),
		"indefinite length":    append(append([]byte{0x30, 0x80}, body...), 0, 0),
		"a set":                append([]byte{0x31, byte(len(body))}, body...),
		"raw":                  pattern(64),
		"very long":            append([]byte{0x30, 0x82, 0xff, 0xff}, make([]byte, 0xffff)...),
		"empty sequence":       {0x30, 0},
		"empty numbers":        {0x30, 4, 2, 0, 2, 0},
		"zeros":                {0x30, 6, 2, 1, 0, 2, 1, 0},
		"ones":                 {0x30, 6, 2, 1, 1, 2, 1, 1},
	}
	for name, other := range again {
		t.Run(name, func(t *testing.T) { refused(t, verifier, message, other) })
	}
	if err := verifier.Verify(message, sig); err != nil {
		t.Errorf("the genuine one: %v", err)
	}
}

// The curve, for points and keys at its edges.
const (
	hexP = "fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff"
	hexB = "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93"
	hexN = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"
)

func number(text string) *big.Int {
	n, ok := new(big.Int).SetString(text, 16)
	if !ok {
		return new(big.Int)
	}
	return n
}

// scalar is n + by, as 32 bytes.
func scalar(n *big.Int, by int64) []byte {
	return new(big.Int).Add(n, big.NewInt(by)).FillBytes(make([]byte, crypto.PrivateSize))
}

func testRefusedPublics(t *testing.T, suite crypto.Suite) {
	private, _, _ := generate(t, suite)
	good := private.Public()
	p := number(hexP)
	edit := func(change func(crypto.Public) crypto.Public) crypto.Public { return change(bytes.Clone(good)) }
	first := func(b byte) crypto.Public {
		return edit(func(k crypto.Public) crypto.Public { k[0] = b; return k })
	}
	bad := map[string]crypto.Public{
		"nil":             nil,
		"empty":           {},
		"infinity":        {0},
		"short":           good[:64],
		"long":            append(bytes.Clone(good), 0),
		"without prefix":  good[1:],
		"prefix 00":       first(0),
		"prefix 02":       first(2),
		"hybrid 06":       first(6),
		"hybrid 07":       first(7),
		"compressed 02":   append(crypto.Public{2}, good[1:33]...),
		"compressed 03":   append(crypto.Public{3}, good[1:33]...),
		"off the curve":   edit(func(k crypto.Public) crypto.Public { k[64] ^= 1; return k }),
		"zeros":           append(crypto.Public{4}, make([]byte, 64)...),
		"ones":            append(crypto.Public{4}, bytes.Repeat([]byte{0x11}, 64)...),
		"x = p":           append(append(crypto.Public{4}, scalar(p, 0)...), good[33:]...),
		"y = p":           append(append(crypto.Public{4}, good[1:33]...), scalar(p, 0)...),
		"all bits":        append(crypto.Public{4}, bytes.Repeat([]byte{0xff}, 64)...),
		"x and y swapped": append(append(crypto.Public{4}, good[33:]...), good[1:33]...),
	}
	small := onCurve()
	bad["x + p"] = point(new(big.Int).Add(small[0], p).Bytes(), scalar(small[1], 0))
	if _, err := suite.Verifier(point(scalar(small[0], 0), scalar(small[1], 0))); err != nil {
		t.Errorf("a small x: %v", err)
	}
	for name, key := range bad {
		t.Run(name, func(t *testing.T) {
			verifier, err := suite.Verifier(key)
			if !errors.Is(err, crypto.ErrKey) || verifier != nil {
				t.Errorf("verifier: %v", err)
			}
			wrapper, err := suite.Wrapper(key)
			if !errors.Is(err, crypto.ErrKey) || wrapper != nil {
				t.Errorf("wrapper: %v", err)
			}
		})
	}
}

// onCurve is a point with a small x, to which p can be added within 32 bytes.
func onCurve() [2]*big.Int {
	p := number(hexP)
	x := big.NewInt(1)
	for {
		square := new(big.Int).Mul(x, x)
		square.Sub(square, big.NewInt(3)).Mul(square, x).Add(square, number(hexB))
		y := new(big.Int).ModSqrt(square.Mod(square, p), p)
		if y != nil {
			return [2]*big.Int{x, y}
		}
		x.Add(x, big.NewInt(1))
	}
}

func testPrivates(t *testing.T, suite crypto.Suite) {
	n := number(hexN)
	bad := map[string][]byte{
		"nil":   nil,
		"short": pattern(31),
		"long":  pattern(33),
		"zero":  scalar(new(big.Int), 0),
		"n-1":   scalar(n, -1),
		"n":     scalar(n, 0),
		"n+1":   scalar(n, 1),
		"max":   bytes.Repeat([]byte{0xff}, 32),
	}
	for name, d := range bad {
		t.Run(name, func(t *testing.T) {
			private, err := suite.Private(d)
			if !errors.Is(err, crypto.ErrKey) || private != nil {
				t.Errorf("%v", err)
			}
		})
	}
	one := big.NewInt(1)
	good := map[string][]byte{
		"1": scalar(one, 0), "2": scalar(one, 1), "3": scalar(one, 2), "16": scalar(one, 15),
		"2^128": scalar(new(big.Int).Lsh(one, 128), 0), "n/2": scalar(new(big.Int).Rsh(n, 1), 0),
		"n-2": scalar(n, -2), "n-3": scalar(n, -3), "leading zeros": append(make([]byte, 5), pattern(27)...),
	}
	for name, d := range good {
		t.Run(name, func(t *testing.T) {
			private, err := suite.Private(d)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(private.Bytes(), d) {
				t.Errorf("bytes %x", private.Bytes())
			}
			works(t, suite, private)
		})
	}
	for range 20 {
		private, _, _ := generate(t, suite)
		same, err := suite.Private(private.Bytes())
		if err != nil || !bytes.Equal(same.Public(), private.Public()) {
			t.Fatalf("%x comes back otherwise: %v", private.Bytes(), err)
		}
	}
}

// works signs and unwraps once.
func works(t *testing.T, suite crypto.Suite, private crypto.Private) {
	t.Helper()
	verifier, wrapper := public(t, suite, private.Public())
	sig, err := private.Sign([]byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify([]byte("message"), sig); err != nil {
		t.Error(err)
	}
	wrapped, err := wrapper.Wrap([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := private.Unwrap(wrapped)
	if err != nil || string(secret) != "0123456789abcdef" {
		t.Errorf("%q, %v", secret, err)
	}
}

func testPrinted(t *testing.T, suite crypto.Suite) {
	d := pattern(crypto.PrivateSize)
	private, err := suite.Private(d)
	if err != nil {
		t.Fatal(err)
	}
	key := pattern(crypto.KeySize)
	aead, err := suite.AEAD(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		for _, value := range []any{private, aead} {
			text := fmt.Sprintf(verb, value)
			if text != "(secret)" {
				t.Errorf("%s prints %q", verb, text)
			}
			if strings.Contains(text, hex.EncodeToString(d)) {
				t.Errorf("%s prints the key", verb)
			}
		}
	}
}
