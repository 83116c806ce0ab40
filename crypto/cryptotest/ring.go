package cryptotest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"gongji/crypto"
)

// Ring is a key ring that can make keys.
type Ring interface {
	crypto.KeyRing
	// Generate makes a key, which is then the current one of its use.
	Generate(use crypto.Use) (string, error)
}

// uses are all of them.
func uses() []crypto.Use {
	return []crypto.Use{crypto.UseSign, crypto.UseDecrypt, crypto.UseToken, crypto.UseData, crypto.UseEvidence}
}

// RunRingContract runs the contract of crypto.KeyRing over empty rings that fresh makes. suite
// verifies and wraps from outside.
func RunRingContract(t *testing.T, suite crypto.Suite, fresh func(t *testing.T) Ring) {
	t.Helper()
	tests := []struct {
		name string
		run  func(*testing.T, crypto.Suite, Ring)
	}{
		{"empty", ringEmpty},
		{"current", ringCurrent},
		{"one use each", ringUses},
		{"sign", ringSign},
		{"unwrap", ringUnwrap},
		{"mac", ringMAC},
		{"seal", ringSeal},
		{"concurrent use", ringConcurrent},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, suite, fresh(t)) })
	}
}

func ringEmpty(t *testing.T, _ crypto.Suite, ring Ring) {
	for _, use := range append(uses(), "", "other") {
		if id, err := ring.Current(use); !errors.Is(err, crypto.ErrNoKey) || id != "" {
			t.Errorf("%s: %q, %v", use, id, err)
		}
	}
	for _, id := range []string{"", "nobody", "../../etc/passwd"} {
		nothing(t, ring, id, nil)
	}
	if id, err := ring.Generate("other"); err == nil {
		t.Errorf("made %q of an unknown use", id)
	}
}

// operations are what a ring does with an id; each returns whether it has the key.
func operations(ring Ring, id string) map[crypto.Use]func() error {
	return map[crypto.Use]func() error{
		crypto.UseSign:     func() error { _, err := ring.Sign(id, []byte("m")); return err },
		crypto.UseDecrypt:  func() error { _, err := ring.Unwrap(id, []byte("m")); return err },
		crypto.UseToken:    func() error { _, err := ring.MAC(id, []byte("m")); return err },
		crypto.UseEvidence: func() error { _, err := ring.MAC(id, []byte("m")); return err },
		crypto.UseData:     func() error { _, err := ring.Seal(id, []byte("m"), nil); return err },
		"open":             func() error { _, err := ring.Open(id, make([]byte, 100), nil); return err },
		"public":           func() error { _, err := ring.Public(id); return err },
	}
}

// nothing checks that every operation but the allowed ones misses the key.
func nothing(t *testing.T, ring Ring, id string, allowed []crypto.Use) {
	t.Helper()
	for use, run := range operations(ring, id) {
		err := run()
		if errors.Is(err, crypto.ErrNoKey) == slices.Contains(allowed, use) {
			t.Errorf("%s with %q: %v", use, id, err)
		}
	}
}

func generateKey(t testing.TB, ring Ring, use crypto.Use) string {
	t.Helper()
	id, err := ring.Generate(use)
	return must(t, id, err)
}

func ringUses(t *testing.T, _ crypto.Suite, ring Ring) {
	for use, allowed := range map[crypto.Use][]crypto.Use{
		crypto.UseSign:     {crypto.UseSign, "public"},
		crypto.UseDecrypt:  {crypto.UseDecrypt, "public"},
		crypto.UseToken:    {crypto.UseToken, crypto.UseEvidence},
		crypto.UseEvidence: {crypto.UseToken, crypto.UseEvidence},
		crypto.UseData:     {crypto.UseData, "open"},
	} {
		nothing(t, ring, generateKey(t, ring, use), allowed)
	}
}

func ringCurrent(t *testing.T, suite crypto.Suite, ring Ring) {
	made := map[string]bool{}
	for range 3 {
		for _, use := range uses() {
			id := generateKey(t, ring, use)
			if made[id] || id == "" {
				t.Errorf("%q again", id)
			}
			made[id] = true
			current, err := ring.Current(use)
			if current != id {
				t.Errorf("%s: current %q, want %q (%v)", use, current, id, err)
			}
		}
	}
	old, err := ring.Current(crypto.UseSign)
	must(t, old, err)
	generateKey(t, ring, crypto.UseSign)
	sig, err := ring.Sign(old, []byte("m"))
	must(t, sig, err)
	key, err := ring.Public(old)
	verifier, _ := public(t, suite, must(t, key, err))
	if err := verifier.Verify([]byte("m"), sig); err != nil {
		t.Errorf("the older key: %v", err)
	}
}

func ringSign(t *testing.T, suite crypto.Suite, ring Ring) {
	one, two := generateKey(t, ring, crypto.UseSign), generateKey(t, ring, crypto.UseSign)
	key, err := ring.Public(one)
	verifier, _ := public(t, suite, must(t, key, err))
	sig, err := ring.Sign(one, []byte("message"))
	if err := verifier.Verify([]byte("message"), must(t, sig, err)); err != nil {
		t.Error(err)
	}
	sig, err = ring.Sign(two, []byte("message"))
	refused(t, verifier, []byte("message"), must(t, sig, err))
}

func ringUnwrap(t *testing.T, suite crypto.Suite, ring Ring) {
	one, two := generateKey(t, ring, crypto.UseDecrypt), generateKey(t, ring, crypto.UseDecrypt)
	key, err := ring.Public(one)
	_, wrapper := public(t, suite, must(t, key, err))
	wrapped, err := wrapper.Wrap(pattern(16))
	must(t, wrapped, err)
	secret, err := ring.Unwrap(one, wrapped)
	same(t, "secret", must(t, secret, err), pattern(16))
	secret, err = ring.Unwrap(two, wrapped)
	if !errors.Is(err, crypto.ErrOpen) || secret != nil {
		t.Errorf("with another key: %x, %v", secret, err)
	}
}

func ringMAC(t *testing.T, _ crypto.Suite, ring Ring) {
	seen := map[[crypto.HashSize]byte]string{}
	for _, use := range []crypto.Use{crypto.UseToken, crypto.UseToken, crypto.UseEvidence} {
		id := generateKey(t, ring, use)
		whole, err := ring.MAC(id, []byte("one two"))
		must(t, whole, err)
		parts, err := ring.MAC(id, []byte("one"), nil, []byte(" two"))
		if parts != whole || err != nil {
			t.Errorf("parts are not their concatenation: %v", err)
		}
		if other, ok := seen[whole]; ok {
			t.Errorf("%s and %s are one key", id, other)
		}
		seen[whole] = id
	}
}

func ringSeal(t *testing.T, _ crypto.Suite, ring Ring) {
	one, two := generateKey(t, ring, crypto.UseData), generateKey(t, ring, crypto.UseData)
	for _, size := range []int{0, 1, 100, 5000} {
		sealed, err := ring.Seal(one, pattern(size), []byte("row"))
		must(t, sealed, err)
		opened, err := ring.Open(one, sealed, []byte("row"))
		same(t, "opened", must(t, opened, err), pattern(size))
	}
	sealed, err := ring.Seal(one, pattern(20), []byte("row"))
	must(t, sealed, err)
	again, err := ring.Seal(one, pattern(20), []byte("row"))
	if bytes.Equal(sealed, again) {
		t.Errorf("the nonce is the same twice (%v)", err)
	}
	no := func(id string, sealed, additional []byte) {
		t.Helper()
		opened, err := ring.Open(id, sealed, additional)
		if !errors.Is(err, crypto.ErrOpen) || opened != nil {
			t.Errorf("%x, %v", opened, err)
		}
	}
	no(two, sealed, []byte("row"))
	no(one, sealed, []byte("other row"))
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		no(one, changed, []byte("row"))
		no(one, sealed[:i], []byte("row"))
	}
}

func ringConcurrent(t *testing.T, suite crypto.Suite, ring Ring) {
	ids := map[crypto.Use]string{}
	for _, use := range uses() {
		ids[use] = generateKey(t, ring, use)
	}
	key, err := ring.Public(ids[crypto.UseDecrypt])
	_, wrapper := public(t, suite, must(t, key, err))
	var group sync.WaitGroup
	fail := make(chan error, 8)
	for worker := range 8 {
		group.Go(func() {
			err := ringWork(ring, ids, wrapper, worker)
			if err != nil {
				fail <- err
			}
		})
	}
	for range 5 { // while keys come in
		generateKey(t, ring, crypto.UseToken)
	}
	group.Wait()
	close(fail)
	for err := range fail {
		t.Error(err)
	}
}

func ringWork(ring Ring, ids map[crypto.Use]string, wrapper crypto.Wrapper, worker int) error {
	for round := range 50 {
		message := fmt.Appendf(nil, "%d/%d", worker, round)
		sealed, err := ring.Seal(ids[crypto.UseData], message, message)
		if err != nil {
			return err
		}
		opened, err := ring.Open(ids[crypto.UseData], sealed, message)
		if err != nil || !bytes.Equal(opened, message) {
			return fmt.Errorf("opened %q: %w", opened, err)
		}
		one, err := ring.MAC(ids[crypto.UseToken], message)
		if err != nil {
			return err
		}
		two, err := ring.MAC(ids[crypto.UseToken], message)
		if err != nil || one != two {
			return fmt.Errorf("%w: MACs differ", err)
		}
		if round%10 != 0 {
			continue
		}
		_, err = ring.Sign(ids[crypto.UseSign], message)
		if err != nil {
			return err
		}
		wrapped, err := wrapper.Wrap(message)
		if err != nil {
			return err
		}
		opened, err = ring.Unwrap(ids[crypto.UseDecrypt], wrapped)
		if err != nil || !bytes.Equal(opened, message) {
			return fmt.Errorf("unwrapped %q: %w", opened, err)
		}
	}
	return nil
}
