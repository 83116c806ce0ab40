package federation_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"gongji/federation"
)

// TestNationalDirectoryFits: 340 members (the country has 337 pooling regions) with four keys and certificates
// of 700 bytes each, every pair open, in one record. What certificates have in common (names,
// extensions) compresses; 190 bytes of each (key, serial number, key id, signature) do not.
func TestNationalDirectoryFits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	chance := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(chance.Uint32())
		}
		return b
	}
	common := random(510)
	data := w.Data
	data.Members, data.Pairs = nil, nil
	const members = 340
	for i := range members {
		m := federation.Member{
			Code: federation.Region(fmt.Sprintf("%06d", 110000+1331*i)), Name: fmt.Sprintf("统筹区 %d", i),
			State: federation.MemberOpen, Protocol: 1,
		}
		for k := range 4 {
			public := append([]byte{4}, random(64)...)
			certificate := append(append(append([]byte{}, common[:200]...), public...), common[200:]...)
			certificate = append(certificate, random(120)...)
			use := federation.UseSign
			if k%2 == 1 {
				use = federation.UseSeal
			}
			m.Keys = append(m.Keys, federation.Key{
				ID: fmt.Sprintf("%s-20260101-%08x", use, binary.BigEndian.Uint32(random(4))), Use: use, Public: public,
				NotBefore: data.Issued, NotAfter: data.Expires, Certificate: certificate,
			})
		}
		for _, o := range data.Members {
			data.Pairs = append(data.Pairs, federation.Pair{A: o.Code, B: m.Code, From: "2026-01-01"})
		}
		data.Members = append(data.Members, m)
	}
	signed := w.sign(t, data)
	d, err := w.parse(signed, nil)
	if err != nil || len(d.Members()) != members || len(d.Data().Pairs) != members*(members-1)/2 {
		t.Fatalf("%v", err)
	}
	t.Logf("%d bytes of at most %d", len(signed), federation.DirectoryMax)
}

// TestCountersign: three persons on three machines sign one after the other, and each sees how many are there.
func TestCountersign(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b, c, x := sealer(t, "a"), sealer(t, "b"), sealer(t, "c"), sealer(t, "x")
	roots := federation.Roots{Keys: []federation.RootKey{rootKey(a), rootKey(b), rootKey(c)}, Threshold: 2}
	signed := w.sign(t, w.Data)
	for i, step := range []struct {
		by   federation.SignFunc
		good string
		read bool
	}{
		{x.Sign, "[]", false}, {c.Sign, "[c-sign]", false}, {c.Sign, "[c-sign]", false}, {a.Sign, "[a-sign c-sign]", true},
	} {
		var err error
		if signed, err = federation.CountersignDirectory(w.Root.Hash, signed, step.by); err != nil {
			t.Fatal(err)
		}
		good, err := federation.DirectorySigners(w.Root, roots, signed)
		if err != nil || fmt.Sprint(good) != step.good {
			t.Errorf("step %d: %v, %v", i, good, err)
		}
		if _, err = federation.ReadDirectory(w.Root, roots, signed, nil); (err == nil) != step.read {
			t.Errorf("step %d: %v", i, err)
		}
	}
	if _, err := federation.CountersignDirectory(w.Root.Hash, []byte("{}"), a.Sign); !isRefused(err) {
		t.Errorf("%v", err)
	}
	if _, err := federation.DirectorySigners(w.Root, federation.Roots{}, signed); err == nil {
		t.Error("no roots")
	}
}
