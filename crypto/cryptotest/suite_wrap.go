package cryptotest

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"gongji/crypto"
	"gongji/crypto/sm"
)

func testWrap(t *testing.T, suite crypto.Suite) {
	private, _, wrapper := generate(t, suite)
	for size := 1; size <= sm.SecretMax; size++ {
		wrapped, err := wrapper.Wrap(pattern(size))
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if len(wrapped) > crypto.WrapMax {
			t.Errorf("%d bytes wrapped in %d", size, len(wrapped))
		}
		_, err = sm.ParseCiphertext(wrapped)
		if err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		secret, err := private.Unwrap(wrapped)
		if err != nil || !bytes.Equal(secret, pattern(size)) {
			t.Errorf("%d bytes: %x, %v", size, secret, err)
		}
	}
	for _, size := range []int{0, sm.SecretMax + 1, 4096} {
		wrapped, err := wrapper.Wrap(pattern(size))
		if err == nil || wrapped != nil {
			t.Errorf("%d bytes wrapped", size)
		}
	}
	one, err := wrapper.Wrap(pattern(16))
	if err != nil {
		t.Fatal(err)
	}
	two, err := wrapper.Wrap(pattern(16))
	if err != nil || bytes.Equal(one, two) {
		t.Errorf("the nonce is the same twice (%v)", err)
	}
}

// closed checks that the one opaque error comes, and nothing beside it.
func closed(t *testing.T, private crypto.Private, wrapped []byte) {
	t.Helper()
	secret, err := private.Unwrap(wrapped)
	if err != crypto.ErrOpen || secret != nil { //nolint:errorlint // exactly this error: nothing wrapped may say why
		t.Errorf("unwrap %x: %x, %v", wrapped, secret, err)
	}
}

func testRefusedWraps(t *testing.T, suite crypto.Suite) {
	private, _, wrapper := generate(t, suite)
	stranger, _, _ := generate(t, suite)
	wrapped, err := wrapper.Wrap(pattern(16))
	if err != nil {
		t.Fatal(err)
	}
	closed(t, private, nil)
	closed(t, stranger, wrapped)
	closed(t, private, append(bytes.Clone(wrapped), 0))
	closed(t, private, append([]byte{0x30, 0x81, wrapped[1]}, wrapped[2:]...))
	for i := range wrapped {
		changed := bytes.Clone(wrapped)
		changed[i] ^= 1 << (i % 8)
		closed(t, private, changed)
		closed(t, private, wrapped[:i])
	}
	parts, err := sm.ParseCiphertext(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	noSecret, longer, shortDigest := parts, parts, parts
	noSecret.C2 = nil
	longer.C2 = make([]byte, crypto.WrapMax)
	shortDigest.C3 = parts.C3[:31]
	for _, c := range []sm.Ciphertext{noSecret, longer, shortDigest} {
		closed(t, private, c.DER())
	}
	raw := parts.Raw()
	closed(t, private, raw)
	for _, size := range []int{1, 2, 64, 65, 96, 97, 98} {
		closed(t, private, raw[:size])
	}
	if secret, err := private.Unwrap(wrapped); err != nil || !bytes.Equal(secret, pattern(16)) {
		t.Errorf("the genuine one: %x, %v", secret, err)
	}
}

// testOffCurve sends points that lie on other curves than SM2's, where the answers of a decryption
// that does not look give the private key away: y^2 = x^3 - 3x - 2 is singular, and its p+1 points
// have subgroups of order 2^64, 257, 65537.
func testOffCurve(t *testing.T, suite crypto.Suite) {
	private, _, wrapper := generate(t, suite)
	wrapped, err := wrapper.Wrap(pattern(16))
	if err != nil {
		t.Fatal(err)
	}
	parts, err := sm.ParseCiphertext(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	p := number(hexP)
	send := func(name string, x, y *big.Int) {
		t.Run(name, func(t *testing.T) {
			bad := parts
			bad.C1 = append(append(crypto.Public{4}, scalar(x, 0)...), scalar(y, 0)...)
			closed(t, private, bad.DER())
			if _, err := suite.Verifier(bad.C1); !errors.Is(err, crypto.ErrKey) {
				t.Errorf("as a key: %v", err)
			}
		})
	}
	for i := int64(2); i < 12; i++ {
		for _, node := range []int64{1, -1} { // the double point of x^3 - 3x + 2 and x^3 - 3x - 2
			slope := big.NewInt(i)
			x := new(big.Int).Sub(new(big.Int).Mul(slope, slope), big.NewInt(2*node))
			y := new(big.Int).Mul(slope, new(big.Int).Sub(x, big.NewInt(node)))
			send(fmt.Sprintf("singular cubic %d %d", node, i), x.Mod(x, p), y.Mod(y, p))
		}
	}
	send("its double point", big.NewInt(1), new(big.Int))
	send("zero", new(big.Int), new(big.Int))
	send("order two on another curve", big.NewInt(5), new(big.Int))
	send("x = p", p, new(big.Int))
	send("order 2^64",
		number("b8d548405ef57adcf13d348f88ef9bad5790281db367af8743adcf50bbb1f377"),
		number("e54ded2ee35c788df01466c91b813a20e35c09c8d0d30bbac750d9ab50485aca"))
	send("order 65537",
		number("a27fd1f44185215fe214ff5d94d30b1a931e5a44c36837b1b97ee2b4f000a222"),
		number("68b05a76b22a07bb6384675ebdaed89524a6b159073ce77a62412465454dcbc0"))
	send("order 257",
		number("05bf5d044f9c087078f370a118f1c8bb4313dd8029915550fb39d3012b28a9f6"),
		number("1b9088d23e77f895ee37d140c7810737b4949d70516e9c37c3781e487fa5d19a"))
}
