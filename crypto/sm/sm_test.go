package sm_test

import (
	"bytes"
	"crypto/hmac"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"

	"gongji/crypto"
	"gongji/crypto/cryptotest"
	"gongji/crypto/sm"
	"gongji/crypto/sm/emm"
	"gongji/crypto/sm/gmsm"
)

// differentialRounds keeps the test below two seconds: a round costs ten milliseconds, nearly all
// of it in gmsm.
const differentialRounds = 120

func TestDifferential(t *testing.T) {
	t.Parallel()
	cryptotest.RunDifferential(t, emm.New(), gmsm.New(), differentialRounds)
}

func TestPlatform(t *testing.T) {
	t.Parallel()
	err := emm.CheckPlatform()
	if err != nil && !errors.Is(err, emm.ErrPlatform) {
		t.Error(err)
	}
}

// faulty is an engine that is wrong in one way.
type faulty struct {
	crypto.Suite
	verifier func(crypto.Verifier) crypto.Verifier
	sum      func([32]byte) [32]byte
}

func (f faulty) Verifier(public crypto.Public) (crypto.Verifier, error) {
	v, err := f.Suite.Verifier(public)
	if f.verifier != nil && err == nil {
		v = f.verifier(v)
	}
	return v, err
}

func (f faulty) Sum(parts ...[]byte) [32]byte {
	if f.sum != nil {
		return f.sum(f.Suite.Sum(parts...))
	}
	return f.Suite.Sum(parts...)
}

type verdict func(message, sig []byte) error

func (v verdict) Verify(message, sig []byte) error { return v(message, sig) }

func yes(crypto.Public, []byte, []byte) bool { return true }

func TestSelfTestFindsFaults(t *testing.T) {
	t.Parallel()
	always := func(err error) func(crypto.Verifier) crypto.Verifier {
		return func(crypto.Verifier) crypto.Verifier {
			return verdict(func(_, _ []byte) error { return err })
		}
	}
	lenient := func(inner crypto.Verifier) crypto.Verifier { // takes bytes behind the signature, as a library did
		return verdict(func(message, sig []byte) error {
			if len(sig) > 2 && len(sig) > int(sig[1])+2 {
				sig = sig[:int(sig[1])+2]
			}
			return inner.Verify(message, sig)
		})
	}
	panics := func(crypto.Verifier) crypto.Verifier {
		return verdict(func(_, _ []byte) error { panic("on purpose") })
	}
	flip := func(sum [32]byte) [32]byte { sum[31] ^= 1; return sum }
	no := func(crypto.Public, []byte, []byte) bool { return false }
	tests := map[string]struct {
		suite  crypto.Suite
		verify sm.VerifyDigest
		where  string
	}{
		"accepts all":    {faulty{Suite: emm.New(), verifier: always(nil)}, yes, "must refuse"},
		"refuses all":    {faulty{Suite: emm.New(), verifier: always(crypto.ErrSignature)}, yes, "standard"},
		"lenient DER":    {faulty{Suite: emm.New(), verifier: lenient}, yes, "trailing byte"},
		"panics":         {faulty{Suite: emm.New(), verifier: panics}, yes, "panic"},
		"wrong digest":   {faulty{Suite: emm.New(), sum: flip}, yes, "SM3"},
		"refuses a good": {emm.New(), no, "e differs"},
		"the carry fault": {emm.New(), func(_ crypto.Public, e, _ []byte) bool {
			return !bytes.Equal(e, make([]byte, 32))
		}, "must accept"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := sm.SelfTest(test.suite, test.verify)
			if !errors.Is(err, sm.ErrSelfTest) || !strings.Contains(err.Error(), test.where) {
				t.Errorf("%v, want %q", err, test.where)
			}
		})
	}
}

func TestSignatureRoundTrip(t *testing.T) {
	t.Parallel()
	values := []*big.Int{
		big.NewInt(1), big.NewInt(127), big.NewInt(128), big.NewInt(255), big.NewInt(256),
		new(big.Int).Lsh(big.NewInt(1), 247), new(big.Int).Lsh(big.NewInt(1), 248),
		new(big.Int).Lsh(big.NewInt(1), 255),
	}
	for _, r := range values {
		for _, s := range values {
			var sig sm.Signature
			r.FillBytes(sig.R[:])
			s.FillBytes(sig.S[:])
			want, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(sig.DER(), want) {
				t.Errorf("%x, want %x", sig.DER(), want)
			}
			back, err := sm.ParseSignature(want)
			if err != nil || back != sig {
				t.Errorf("%x: %v", want, err)
			}
		}
	}
}

// TestStrict: small numbers show each rule alone, where an engine would refuse for other reasons
// too.
func TestStrict(t *testing.T) {
	t.Parallel()
	one := []byte{2, 1, 1}
	for name, number := range map[string][]byte{
		"empty":          {2, 0},
		"negative":       {2, 1, 0x80},
		"two zeros":      {2, 2, 0, 1},
		"padded":         {2, 2, 0, 0x7f},
		"zero":           {2, 1, 0},
		"padded zero":    {2, 2, 0, 0},
		"long length":    {2, 0x81, 1, 1},
		"longer length":  {2, 0x82, 0, 1, 1},
		"longest length": {2, 0x84, 0, 0, 0, 1, 1},
		"no length":      {2},
		"short":          {2, 2, 1},
		"octets":         {4, 1, 1},
		"33 bytes":       append([]byte{2, 33, 1}, make([]byte, 32)...),
	} {
		for _, body := range [][]byte{append(bytes.Clone(number), one...), append(bytes.Clone(one), number...)} {
			if sig, err := sm.ParseSignature(append([]byte{0x30, byte(len(body))}, body...)); err == nil {
				t.Errorf("%s: %x", name, sig)
			}
		}
	}
	if _, err := sm.ParseSignature([]byte{0x30, 7, 2, 2, 0, 0x80, 2, 1, 0x7f}); err != nil {
		t.Errorf("128 and 127: %v", err)
	}
}

func TestStrictCiphertext(t *testing.T) {
	t.Parallel()
	private, err := emm.New().Generate()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		digest, secret int
		good           bool
	}{{32, 1, true}, {32, 300, true}, {32, 0, false}, {31, 1, false}, {33, 1, false}, {0, 1, false}, {32, 500, false}} {
		c := sm.Ciphertext{C1: private.Public(), C3: make([]byte, test.digest), C2: make([]byte, test.secret)}
		back, err := sm.ParseCiphertext(c.DER())
		if (err == nil) != test.good {
			t.Errorf("%+v: %v", test, err)
		}
		if test.good && !bytes.Equal(back.DER(), c.DER()) {
			t.Errorf("%+v: %x", test, back.DER())
		}
	}
}

func TestRawRefused(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 64, 96, 97} {
		if _, err := sm.FromRaw(bytes.Repeat([]byte{4}, size)); err == nil {
			t.Errorf("%d bytes", size)
		}
	}
	if _, err := sm.FromRaw(bytes.Repeat([]byte{5}, 98)); err == nil {
		t.Error("prefix 05")
	}
	if _, err := sm.FromRaw(bytes.Repeat([]byte{4}, 98)); err != nil {
		t.Error(err)
	}
}

func TestScalar(t *testing.T) {
	t.Parallel()
	good := bytes.Repeat([]byte{7}, 32)
	d, err := sm.NewScalar(io.MultiReader(
		bytes.NewReader(make([]byte, 32)), bytes.NewReader(bytes.Repeat([]byte{0xff}, 32)), bytes.NewReader(good)))
	if err != nil || !bytes.Equal(d, good) {
		t.Errorf("%x, %v", d, err)
	}
	if _, err := sm.NewScalar(bytes.NewReader(make([]byte, 1<<16))); err == nil {
		t.Error("zeros for ever")
	}
	if _, err := sm.NewScalar(bytes.NewReader(good[:31])); err == nil {
		t.Error("randomness ran short")
	}
}

// TestHedge: with the same randomness, another message or another key still gives another nonce.
func TestHedge(t *testing.T) {
	t.Parallel()
	mac := emm.New().MAC
	draw := func(key, message, random string) string {
		t.Helper()
		h, err := sm.NewHedge(mac, []byte(key), []byte(message), strings.NewReader(strings.Repeat(random, 32)))
		if err != nil {
			t.Fatal(err)
		}
		out := make([]byte, 100)
		for _, part := range [][]byte{out[:7], out[7:40], out[40:]} {
			if _, err := io.ReadFull(h, part); err != nil {
				t.Fatal(err)
			}
		}
		if text := fmt.Sprintf("%v %+v %#v", h, h, h); text != "(secret) (secret) (secret)" {
			t.Error(text)
		}
		return string(out)
	}
	base := draw("key", "message", "r")
	if base != draw("key", "message", "r") {
		t.Error("not a function of its input")
	}
	others := []string{draw("kez", "message", "r"), draw("key", "messagf", "r"), draw("key", "message", "s")}
	for _, other := range others {
		if other == base || other[:32] == base[:32] {
			t.Error("the same nonce")
		}
	}
	if _, err := sm.NewHedge(mac, nil, nil, strings.NewReader("short")); err == nil {
		t.Error("randomness ran short")
	}
	h, err := sm.NewHedge(mac, nil, nil, bytes.NewReader(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, h)
	if err == nil || n != 32<<10 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestSurvives(t *testing.T) {
	t.Parallel()
	if sm.Survives(func() bool { panic("on purpose") }) {
		t.Error("a panic is success")
	}
	if !sm.Survives(func() bool { return true }) || sm.Survives(func() bool { return false }) {
		t.Error("the answer is lost")
	}
}

// TestDigestsAllocate: digests and MACs are on the path of each message.
func TestDigestsAllocate(t *testing.T) {
	suite := emm.New()
	key, message := make([]byte, 32), make([]byte, 200)
	parts := [][]byte{message, key}
	allocations := testing.AllocsPerRun(200, func() {
		suite.Sum(parts...)
		suite.MAC(key, parts...)
	})
	if allocations >= 1 { // the pool may lose a state to the collector once in a while
		t.Errorf("%.1f allocations", allocations)
	}
	h := hmac.New(suite.Hash, key)
	_, _ = h.Write(message)
	if sum := suite.MAC(key, message); !bytes.Equal(h.Sum(nil), sum[:]) {
		t.Error("MAC is wrong after use")
	}
}
