package federation_test

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"gongji/federation"
	"gongji/federation/federationtest"
)

func (w *world) opened(t testing.TB, n int) *federation.Opened {
	t.Helper()
	o, err := w.unpack(beijing, shanghai, w.pack(t, w.content(shanghai, n)))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestProofOfEachMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, n := range []int{1, 2, 3, 8, 13, federation.ParcelMessagesMax} {
		o := w.opened(t, n)
		for i := range o.Messages {
			p := o.Proof(federationtest.Hash, i)
			raw := federation.EncodeProof(p)
			again, err := federation.DecodeProof(raw)
			if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", p) {
				t.Fatalf("%d of %d: %v", i, n, err)
			}
			for _, p := range []federation.Proof{again, again.Blind()} {
				h, err := federation.VerifyProof(w.dir, w.Root, p)
				if err != nil || h != o.Header {
					t.Fatalf("%d of %d: %v", i, n, err)
				}
			}
			if again.Blind().PersonsSalt != [16]byte{} || !bytes.Equal(p.Body, o.Messages[i].Body) {
				t.Fatal("blind, or the body")
			}
		}
		if p := o.Proof(federationtest.Hash, n); federation.EncodeProof(p) != nil {
			t.Fatal("a proof beyond the parcel")
		}
	}
}

func TestProofRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.opened(t, 7)
	other := w.content(shanghai, 7)
	other.ParcelID = id(1)
	stranger, err := w.unpack(beijing, shanghai, w.pack(t, other))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(p *federation.Proof)
		why    federation.Refusal
	}{
		"body":             {func(p *federation.Proof) { p.Body = []byte("message x") }, federation.RefusedProof},
		"number":           {func(p *federation.Proof) { p.Number++ }, federation.RefusedProof},
		"chain":            {func(p *federation.Proof) { p.Chain[0] ^= 1 }, federation.RefusedProof},
		"salt":             {func(p *federation.Proof) { p.Salt[0] ^= 1 }, federation.RefusedProof},
		"persons":          {func(p *federation.Proof) { p.PersonsDigest[0] ^= 1 }, federation.RefusedProof},
		"index":            {func(p *federation.Proof) { p.Index-- }, federation.RefusedProof},
		"index past count": {func(p *federation.Proof) { p.Index = p.Count }, federation.RefusedMalformed},
		"count":            {func(p *federation.Proof) { p.Count++ }, federation.RefusedProof},
		"path":             {func(p *federation.Proof) { p.Path[0][0] ^= 1 }, federation.RefusedProof},
		"shorter path":     {func(p *federation.Proof) { p.Path = p.Path[1:] }, federation.RefusedProof},
		"long path":        {func(p *federation.Proof) { p.Path = make([]digest, 10) }, federation.RefusedMalformed},
		"class":            {func(p *federation.Proof) { p.Class = federation.Query }, federation.RefusedMalformed},
		"no class":         {func(p *federation.Proof) { p.Class = 9 }, federation.RefusedMalformed},
		"signature":        {func(p *federation.Proof) { p.Signature[0] ^= 1 }, federation.RefusedSignature},
		"no signature":     {func(p *federation.Proof) { p.Signature = nil }, federation.RefusedMalformed},
		"algorithm":        {func(p *federation.Proof) { p.Header[2] ^= 1 }, federation.RefusedAlgorithm},
		"header":           {func(p *federation.Proof) { p.Header[23] ^= 1 }, federation.RefusedSignature},
		"no header":        {func(p *federation.Proof) { p.Header = nil }, federation.RefusedMalformed},
		"version":          {func(p *federation.Proof) { p.Header[1] = 9 }, federation.RefusedVersion},
		"a stranger's signature": {
			func(p *federation.Proof) { p.Signature = stranger.Signature }, federation.RefusedSignature,
		},
		"salt of nobody": {
			func(p *federation.Proof) { p.PersonsDigest = digest{}; p.PersonsSalt[0] = 1 }, federation.RefusedMalformed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache := federation.NewRootCache(w.Root, 4)
			if _, err := cache.VerifyProof(w.dir, o.Proof(federationtest.Hash, 0)); err != nil {
				t.Fatal(err)
			}
			p := o.Proof(federationtest.Hash, 3)
			c.change(&p)
			_, err := federation.VerifyProof(w.dir, w.Root, p)
			wantRefused(t, err, c.why)
			_, err = cache.VerifyProof(w.dir, p)
			wantRefused(t, err, c.why)
		})
	}
}

func TestSignSingle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, to := range []federation.Region{shanghai, beijing} {
		c := w.content(to, 1)
		p, err := federation.SignSingle(w.dir, w.Sealers[beijing], beijing, c)
		if err != nil {
			t.Fatal(err)
		}
		h, err := federation.VerifyProof(w.dir, w.Sealers[shanghai], p)
		if err != nil || h.From != beijing || h.To != to || h.SealKey != "" || h.Count != 1 {
			t.Fatalf("%+v, %v", h, err)
		}
		// It is no parcel, even with the right content sealed to it.
		_, content := w.reopen(t, w.pack(t, w.content(shanghai, 1)))
		_, err = w.unpack(beijing, shanghai, w.forge(t, beijing, shanghai, p.Header, content))
		if !isRefused(err) {
			t.Fatalf("taken for a parcel: %v", err)
		}
	}
	for _, n := range []int{0, 2} {
		if _, err := federation.SignSingle(w.dir, w.Sealers[beijing], beijing, w.content(shanghai, n)); err == nil {
			t.Errorf("%d messages signed as one", n)
		}
	}
}

// counting counts the signature checks that reach the real Sealer.
type counting struct {
	federation.Sealer
	verified atomic.Int64
}

func (c *counting) Verify(public, message, signature []byte) error {
	c.verified.Add(1)
	return c.Sealer.Verify(public, message, signature)
}

func TestRootCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := &counting{Sealer: w.Root}
	cache := federation.NewRootCache(s, 2)
	o := w.opened(t, 64)
	for i := range o.Messages {
		if _, err := cache.VerifyProof(w.dir, o.Proof(federationtest.Hash, i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.verified.Load(); n != 1 {
		t.Errorf("%d signature checks for one parcel", n)
	}
	// A bad signature is never remembered as good, nor does it push anything out.
	bad := o.Proof(federationtest.Hash, 0)
	bad.Signature[0] ^= 1
	for range 3 {
		_, err := cache.VerifyProof(w.dir, bad)
		wantRefused(t, err, federation.RefusedSignature)
	}
	if n := s.verified.Load(); n != 4 || cache.Len() != 1 {
		t.Errorf("%d checks, %d remembered", n, cache.Len())
	}
	// The directory is asked although the signature is remembered.
	revoked := newWorld(t, func(d *federation.DirectoryData) { d.Members[0].Keys[0].Revoked = true })
	_, err := cache.VerifyProof(revoked.dir, o.Proof(federationtest.Hash, 0))
	wantRefused(t, err, federation.RefusedKeyRevoked)
	// The same key id with another key is another entry.
	changed := newWorld(t, func(d *federation.DirectoryData) { d.Members[0].Keys[0].Public = bytes.Repeat([]byte{4}, 32) })
	_, err = cache.VerifyProof(changed.dir, o.Proof(federationtest.Hash, 0))
	wantRefused(t, err, federation.RefusedSignature)
}

func TestRootCacheForgetsTheLeastRecentlyUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := &counting{Sealer: w.Root}
	cache := federation.NewRootCache(s, 2)
	proofs := make([]federation.Proof, 3)
	for i := range proofs {
		c := w.content(shanghai, 1)
		c.ParcelID = id(byte(i))
		var err error
		if proofs[i], err = federation.SignSingle(w.dir, w.Sealers[beijing], beijing, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct{ proof, checks int }{{0, 1}, {1, 2}, {0, 2}, {2, 3}, {0, 3}, {1, 4}} {
		if _, err := cache.VerifyProof(w.dir, proofs[step.proof]); err != nil {
			t.Fatal(err)
		}
		if n := s.verified.Load(); n != int64(step.checks) || cache.Len() > 2 {
			t.Fatalf("after proof %d: %d checks, %d remembered", step.proof, n, cache.Len())
		}
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				if _, err := cache.VerifyProof(w.dir, proofs[(i+j)%3]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if cache.Len() > 2 {
		t.Errorf("%d remembered", cache.Len())
	}
}
