package federation_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gongji/federation"
	"gongji/federation/federationtest"
)

type digest = [federation.HashSize]byte

func leavesOf(n int) []digest {
	leaves := make([]digest, n)
	for i := range leaves {
		leaves[i] = federationtest.Hash(binary.BigEndian.AppendUint32([]byte("leaf"), uint32(i)))
	}
	return leaves
}

// slowRoot is the second implementation: the tree from the top down, the largest power of two to the left
// (RFC 6962 section 2.1), which is the same tree as promoting the odd node.
func slowRoot(leaves []digest) digest {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1 << (bits.Len(uint(len(leaves)-1)) - 1)
	l, r := slowRoot(leaves[:k]), slowRoot(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

func TestRootAndPathsOfEverySize(t *testing.T) {
	t.Parallel()
	h := federation.Hash(federationtest.Hash)
	if federation.Root(h, nil) != (digest{}) {
		t.Error("the root over nothing is not zero")
	}
	for n := 1; n <= 65; n++ {
		leaves := leavesOf(n)
		root := federation.Root(h, leaves)
		if root != slowRoot(leaves) {
			t.Fatalf("%d leaves: another root than the second implementation", n)
		}
		for i := range leaves {
			path := federation.Path(h, leaves, i)
			if !federation.VerifyPath(h, leaves[i], uint32(i), uint32(n), path, root) {
				t.Fatalf("leaf %d of %d: path refused", i, n)
			}
		}
		if federation.Path(h, leaves, n) != nil || federation.Path(h, leaves, -1) != nil {
			t.Fatal("a path for a leaf that is not there")
		}
	}
}

// TestPathProvesOnePlaceOnly: every other index, leaf and node is refused, and so is a path with one more or less.
func TestPathProvesOnePlaceOnly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := federation.Hash(federationtest.Hash)
		n := rapid.IntRange(1, federation.ParcelMessagesMax).Draw(t, "n")
		leaves := leavesOf(n)
		i := rapid.IntRange(0, n-1).Draw(t, "i")
		root, path := federation.Root(h, leaves), federation.Path(h, leaves, i)
		ok := func(leaf digest, index, count int, path []digest, root digest) bool {
			return federation.VerifyPath(h, leaf, uint32(index), uint32(count), path, root)
		}
		if !ok(leaves[i], i, n, path, root) {
			t.Fatal("the true path is refused")
		}
		if j := rapid.IntRange(0, 2*n).Draw(t, "j"); j != i && ok(leaves[i], j, n, path, root) {
			t.Fatalf("leaf %d passes at %d", i, j)
		}
		if other := (i + 1) % n; other != i && ok(leaves[other], i, n, path, root) {
			t.Fatal("another leaf passes")
		}
		if ok(leaves[i], i, n, append(slices.Clip(path), digest{}), root) {
			t.Fatal("a longer path passes")
		}
		if len(path) == 0 {
			return
		}
		if ok(leaves[i], i, n, path[:len(path)-1], root) || ok(leaves[i], i, n, path[1:], root) {
			t.Fatal("a shorter path passes")
		}
		bent := append([]digest(nil), path...)
		bent[rapid.IntRange(0, len(bent)-1).Draw(t, "node")][rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1
		if ok(leaves[i], i, n, bent, root) {
			t.Fatal("a bent path passes")
		}
	})
}

// TestLeafBindsEveryField: no two messages that differ in a field have the same leaf, nor does a
// byte move between fields.
func TestLeafBindsEveryField(t *testing.T) {
	t.Parallel()
	h := federation.Hash(federationtest.Hash)
	base := federation.Message{Class: federation.Numbered, Number: 1, Body: []byte("body")}
	seen := map[digest]string{federation.Leaf(h, &base): "base"}
	for name, change := range map[string]func(*federation.Message){
		"class":   func(m *federation.Message) { m.Class = federation.Query },
		"number":  func(m *federation.Message) { m.Number = 2 },
		"chain":   func(m *federation.Message) { m.Chain[0] = 1 },
		"id":      func(m *federation.Message) { m.ID[0] = 1 },
		"salt":    func(m *federation.Message) { m.Salt[0] = 1 },
		"body":    func(m *federation.Message) { m.Body = []byte("bodz") },
		"longer":  func(m *federation.Message) { m.Body = []byte("body\x00") },
		"shifted": func(m *federation.Message) { m.ID[15], m.Body = 'b', []byte("ody") },
		"persons": func(m *federation.Message) { m.PersonsDigest[0] = 1 },
	} {
		m := base
		change(&m)
		leaf := federation.Leaf(h, &m)
		if other, twice := seen[leaf]; twice {
			t.Errorf("%s has the leaf of %s", name, other)
		}
		seen[leaf] = name
	}
	if federation.PersonsDigest(h, [16]byte{1}, nil) != (digest{}) {
		t.Error("no persons, but a digest")
	}
	if federation.PersonsDigest(h, [16]byte{1}, []byte("p")) == federation.PersonsDigest(h, [16]byte{2}, []byte("p")) {
		t.Error("the salt of persons does nothing")
	}
}
