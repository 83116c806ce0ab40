package node

import (
	"bytes"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/secondopinion"
	"gongji/crypto/sm/emm"
	"gongji/crypto/sm/gmsm"
	"gongji/federation"
)

// sealing is a region's sealer with keys, in one engine and the other.
func sealing(t *testing.T, chosen, other crypto.Suite) (*sealer, *keyfile.Ring) {
	t.Helper()
	ring := keyfile.NewMemory(chosen)
	for _, use := range []crypto.Use{crypto.UseSign, crypto.UseDecrypt} {
		if _, err := ring.Generate(use); err != nil {
			t.Fatal(err)
		}
	}
	opinion, err := secondopinion.New(secondopinion.Config{
		Chosen: chosen, Other: other, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return newSealer(chosen, ring, opinion, func(b []byte) { _, _ = rand.Read(b) }), ring
}

func current(t *testing.T, ring *keyfile.Ring, use crypto.Use) (string, crypto.Public) {
	t.Helper()
	id, err := ring.Current(use)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ring.Public(id)
	if err != nil {
		t.Fatal(err)
	}
	return id, public
}

// TestSealer: what one engine seals and signs the other opens and verifies, and nothing that was touched.
func TestSealer(t *testing.T) {
	t.Parallel()
	a, ringA := sealing(t, emm.New(), gmsm.New())
	b, ringB := sealing(t, gmsm.New(), emm.New())
	idB, publicB := current(t, ringB, crypto.UseDecrypt)
	idA, _ := current(t, ringA, crypto.UseDecrypt)
	content, additional := []byte("content"), []byte("header")
	wrapped, sealed, err := a.Seal(publicB, content, additional)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Open(idB, wrapped, sealed, additional)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%q, %v", got, err)
	}
	again, sealedAgain, err := a.Seal(publicB, content, additional)
	if err != nil || bytes.Equal(again, wrapped) || bytes.Equal(sealedAgain, sealed) {
		t.Error("a content key was used twice")
	}
	touched := func(x []byte) []byte {
		y := bytes.Clone(x)
		y[len(y)-1] ^= 1
		return y
	}
	for name, open := range map[string]func() ([]byte, error){
		"another key":        func() ([]byte, error) { return b.Open(idA, wrapped, sealed, additional) },
		"another region":     func() ([]byte, error) { return a.Open(idA, wrapped, sealed, additional) },
		"touched content":    func() ([]byte, error) { return b.Open(idB, wrapped, touched(sealed), additional) },
		"touched key":        func() ([]byte, error) { return b.Open(idB, touched(wrapped), sealed, additional) },
		"touched header":     func() ([]byte, error) { return b.Open(idB, wrapped, sealed, touched(additional)) },
		"another's key":      func() ([]byte, error) { return b.Open(idB, again, sealed, additional) },
		"nothing":            func() ([]byte, error) { return b.Open(idB, nil, nil, additional) },
		"cut off":            func() ([]byte, error) { return b.Open(idB, wrapped, sealed[:3], additional) },
		"a key that signs":   func() ([]byte, error) { return b.Open(signID(t, ringB), wrapped, sealed, additional) },
		"a key of no region": func() ([]byte, error) { return b.Open("none", wrapped, sealed, additional) },
	} {
		if got, err := open(); err == nil || got != nil {
			t.Errorf("%s opens", name)
		}
	}
	if _, _, err = a.Seal(publicB[1:], content, additional); err == nil {
		t.Error("sealed for what is no key")
	}
}

func signID(t *testing.T, ring *keyfile.Ring) string {
	t.Helper()
	id, _ := current(t, ring, crypto.UseSign)
	return id
}

// TestSealerSigns: with the newest key, and a signature is good for its message and key alone.
func TestSealerSigns(t *testing.T) {
	t.Parallel()
	a, ringA := sealing(t, emm.New(), gmsm.New())
	b, ringB := sealing(t, gmsm.New(), emm.New())
	message := []byte("message")
	id, signature, err := a.Sign(message)
	if err != nil || id != signID(t, ringA) {
		t.Fatalf("%s, %v", id, err)
	}
	_, public := current(t, ringA, crypto.UseSign)
	_, other := current(t, ringB, crypto.UseSign)
	if err := b.Verify(public, message, signature); err != nil {
		t.Error(err)
	}
	if b.Verify(other, message, signature) == nil {
		t.Error("good under another key")
	}
	if b.Verify(public, []byte("massage"), signature) == nil {
		t.Error("good for another message")
	}
	newer, err := ringA.Generate(crypto.UseSign)
	if err != nil {
		t.Fatal(err)
	}
	if id, _, err = a.Sign(message); err != nil || id != newer {
		t.Errorf("signed with %s, %v; the newest is %s", id, err, newer)
	}
	empty := newSealer(emm.New(), keyfile.NewMemory(emm.New()), nil, nil)
	if _, _, err := empty.Sign(message); err == nil {
		t.Error("signed without a key")
	}
}

// TestSealerRemembersBoundedly: the wrappers of public keys are kept, and never more than so many.
func TestSealerRemembersBoundedly(t *testing.T) {
	t.Parallel()
	suite := emm.New()
	s, ring := sealing(t, suite, gmsm.New())
	_, public := current(t, ring, crypto.UseDecrypt)
	for i := range wrappersMax {
		s.wrappers[string(rune(i))] = nil
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if _, _, err := s.Seal(public, []byte("x"), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(s.wrappers) != 1 {
		t.Errorf("%d wrappers", len(s.wrappers))
	}
}

// TestSealerRotation: the sealer signs with the key that the directory names, not with the ring's newest, and finds a
// key that another process has put into the folder; a name that nobody has does not make it read the folder each time.
func TestSealerRotation(t *testing.T) {
	t.Parallel()
	suite := emm.New()
	dir := filepath.Join(t.TempDir(), "keys")
	open := func() *keyfile.Ring {
		kek, err := keyfile.RawKEK(bytes.Repeat([]byte{7}, 32))
		if err != nil {
			t.Fatal(err)
		}
		ring, err := keyfile.Open(dir, kek, suite)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ring.Close() })
		return ring
	}
	ours, other := open(), open()
	s := newSealer(suite, ours, nil, func(b []byte) { _, _ = rand.Read(b) })
	clock := time.Now()
	s.now = func() time.Time { return clock }
	old, err := ours.Generate(crypto.UseSign)
	if err != nil {
		t.Fatal(err)
	}
	s.own = func() []federation.Key { return []federation.Key{{ID: old}} }
	fresh, err := other.Generate(crypto.UseSign)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(want string) {
		t.Helper()
		if id, _, err := s.Sign([]byte("m")); err != nil || id != want {
			t.Errorf("signed with %s (%v), want %s", id, err, want)
		}
	}
	sign(old)
	s.own = func() []federation.Key { return []federation.Key{{ID: "nobodys"}, {ID: fresh}} }
	sign(fresh)
	second, err := other.Generate(crypto.UseSign)
	if err != nil {
		t.Fatal(err)
	}
	s.own = func() []federation.Key { return []federation.Key{{ID: second}, {ID: old}} }
	sign(old) // the folder was only just read
	clock = clock.Add(reloadAfter)
	sign(second)

	seal, err := other.Generate(crypto.UseDecrypt)
	if err != nil {
		t.Fatal(err)
	}
	public, err := other.Public(seal)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, sealed, err := s.Seal(public, []byte("content"), nil)
	if err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(reloadAfter)
	if content, err := s.Open(seal, wrapped, sealed, nil); err != nil || string(content) != "content" {
		t.Errorf("%q, %v", content, err)
	}
}
