package vault_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/vault"
)

var zhang = vault.Identity{IDType: "01", Number: "110101199003070011", Name: "张三丰", Region: "110000"}

// keys is a ring with the keys of some uses.
func keys(t testing.TB, uses ...crypto.Use) *keyfile.Ring {
	t.Helper()
	ring := keyfile.NewMemory(emm.New())
	t.Cleanup(func() {
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, use := range uses {
		if _, err := ring.Generate(use); err != nil {
			t.Fatal(err)
		}
	}
	return ring
}

// seeded is a source of bytes that repeats for nobody in one test.
func seeded() func([]byte) {
	source := rand.NewChaCha8([32]byte{1})
	return func(b []byte) { _, _ = source.Read(b) }
}

func newVault(t testing.TB, ring crypto.KeyRing) *vault.Vault {
	t.Helper()
	v, err := vault.New(ring, emm.New().Sum, seeded())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func open(t testing.TB) *vault.Vault {
	t.Helper()
	return newVault(t, keys(t, crypto.UseToken, crypto.UseData))
}

// TestNewNeedsKeys for tokens and data.
func TestNewNeedsKeys(t *testing.T) {
	t.Parallel()
	for _, uses := range [][]crypto.Use{nil, {crypto.UseToken}, {crypto.UseData}, {crypto.UseSign}} {
		if _, err := vault.New(keys(t, uses...), emm.New().Sum, seeded()); !errors.Is(err, crypto.ErrNoKey) {
			t.Errorf("%q: %v", uses, err)
		}
	}
}

// TestSeal: only this region's keys open it, and nothing of it reads clear.
func TestSeal(t *testing.T) {
	t.Parallel()
	v := open(t)
	sealed, err := v.Seal(zhang)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte(zhang.Number)) || bytes.Contains(sealed, []byte(zhang.Name)) {
		t.Error("it reads clear")
	}
	got, err := v.Open(sealed)
	if err != nil || got != zhang {
		t.Errorf("%v, %v", got, err)
	}
	if again, err := v.Seal(zhang); err != nil || bytes.Equal(again, sealed) {
		t.Error("two seals are equal, so equal persons show", err)
	}
	if _, err := open(t).Open(sealed); !errors.Is(err, vault.ErrSealed) {
		t.Error("another region opens it", err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := v.Open(bad); !errors.Is(err, vault.ErrSealed) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := v.Open(sealed[:i]); !errors.Is(err, vault.ErrSealed) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if _, err := v.Open(make([]byte, 5000)); !errors.Is(err, vault.ErrSealed) {
		t.Error(err)
	}
}

// TestNewDataKey: what an older key of the ring sealed still opens, and the new one seals from now on.
func TestNewDataKey(t *testing.T) {
	t.Parallel()
	ring := keys(t, crypto.UseToken, crypto.UseData)
	v := newVault(t, ring)
	old, err := v.Seal(zhang)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ring.Current(crypto.UseData)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Generate(crypto.UseData); err != nil {
		t.Fatal(err)
	}
	young, err := v.Seal(zhang)
	if err != nil {
		t.Fatal(err)
	}
	for _, sealed := range [][]byte{old, young} {
		if got, err := v.Open(sealed); err != nil || got != zhang {
			t.Errorf("%v, %v", got, err)
		}
	}
	if err := ring.Destroy(id, crypto.Order{Who: "test", Reason: "test"}); err != nil { // purging a month leaves digests
		t.Fatal(err)
	}
	if _, err := v.Open(old); !errors.Is(err, vault.ErrSealed) {
		t.Error("it opens without its key", err)
	}
	if got, err := v.Open(young); err != nil || got != zhang {
		t.Errorf("%v, %v", got, err)
	}
}

// TestTokens: one number has one token, whatever the name, and the name binds to the number; another ring has others.
func TestTokens(t *testing.T) {
	t.Parallel()
	v := open(t)
	token := func(v *vault.Vault, change func(i *vault.Identity)) ([32]byte, [32]byte) {
		i := zhang
		change(&i)
		tokens, err := v.Tokens(i)
		if err != nil || len(tokens) != 1 {
			t.Fatalf("%v, %v", tokens, err)
		}
		return tokens[0].Token, tokens[0].Name
	}
	a, n := token(v, func(*vault.Identity) {})
	if b, m := token(v, func(i *vault.Identity) { i.Region = "310000" }); a != b || n != m {
		t.Error("a person who moved is another one")
	}
	if b, m := token(v, func(i *vault.Identity) { i.Name = "李四" }); a != b || n == m {
		t.Error("another name: the number must stay, the name must not")
	}
	if b, m := token(v, func(i *vault.Identity) { i.Number = "110101199003070038" }); a == b || n == m {
		t.Error("another number has the same token")
	}
	if b, _ := token(v, func(i *vault.Identity) { i.IDType = "02" }); a == b {
		t.Error("another document has the same token")
	}
	// Where one field ends and the next begins counts.
	x, m := token(v, func(i *vault.Identity) { i.IDType, i.Number, i.Name = "1", "23", "4" })
	y, o := token(v, func(i *vault.Identity) { i.IDType, i.Number, i.Name = "12", "3", "4" })
	_, q := token(v, func(i *vault.Identity) { i.IDType, i.Number, i.Name = "1", "2", "34" })
	if x == y || m == o || m == q {
		t.Error("fields run into each other")
	}
	if b, m := token(open(t), func(*vault.Identity) {}); a == b || n == m {
		t.Error("two regions have the same tokens: they could be joined")
	}
}

// TestPerson is what a command carries: nothing clear.
func TestPerson(t *testing.T) {
	t.Parallel()
	v := open(t)
	p, err := v.Person(zhang, "n-1")
	if err != nil {
		t.Fatal(err)
	}
	if p.New != "n-1" || p.Region != "110000" || p.Masked != "110101********0011" || p.Called != "张**" {
		t.Errorf("%+v", p)
	}
	text := fmt.Sprintf("%v %+v", p, p)
	if strings.Contains(text, zhang.Number) || strings.Contains(text, zhang.Name) {
		t.Error("it reads clear")
	}
	if got, err := v.Open(p.Sealed); err != nil || got != zhang {
		t.Errorf("%v, %v", got, err)
	}
}

// TestBundle: the digest that a message is signed with is that of the persons as they travel, under a salt of its own.
func TestBundle(t *testing.T) {
	t.Parallel()
	v := open(t)
	a, err := v.Bundle(zhang)
	if err != nil {
		t.Fatal(err)
	}
	b, err := v.Bundle(zhang)
	if err != nil {
		t.Fatal(err)
	}
	if a.Salt == b.Salt || a.Digest == b.Digest {
		t.Error("two bundles show that they are of one person")
	}
	i, err := v.Open(a.Sealed)
	if err != nil || federation.PersonsDigest(v.Hash, a.Salt, vault.Clear(i)) != a.Digest {
		t.Error("the digest is of something else", err)
	}
}

// TestPrintsMasked, whatever asks.
func TestPrintsMasked(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T %v"} {
		if verb == "%T %v" {
			fmt.Fprintf(&b, "%T %v", zhang, &zhang)
			continue
		}
		fmt.Fprintf(&b, verb, zhang)
		fmt.Fprintf(&b, verb, struct{ Who vault.Identity }{zhang})
		fmt.Fprintf(&b, verb, []vault.Identity{zhang})
	}
	doc, err := json.Marshal(map[string]any{"who": zhang, "them": []*vault.Identity{&zhang}})
	if err != nil {
		t.Fatal(err)
	}
	b.Write(doc)
	slog.New(slog.NewJSONHandler(&b, nil)).LogAttrs(t.Context(), slog.LevelInfo, "x", slog.Any("who", zhang))
	slog.New(slog.NewTextHandler(&b, nil)).LogAttrs(t.Context(), slog.LevelInfo, "x", slog.Any("who", zhang))
	number, name := fmt.Sprintf("%x", zhang.Number), fmt.Sprintf("%x", zhang.Name)
	for _, secret := range []string{zhang.Number, zhang.Name, number, name} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("%q shows in %s", secret, b.String())
		}
	}
	if !strings.Contains(b.String(), "110101********0011 张**") {
		t.Error(b.String())
	}
}

// TestTimedIDs sort by the time of their making, and differ within a millisecond.
func TestTimedIDs(t *testing.T) {
	t.Parallel()
	v := open(t)
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	last := ""
	for range 1000 {
		id, same := v.TimedID("p-310000", at), v.TimedID("p-310000", at)
		if id == same || id[:18] != same[:18] {
			t.Fatalf("%s and %s of one moment", id, same)
		}
		if id <= last || len(id) != len("p-310000-")+22 {
			t.Fatalf("%s after %s", id, last)
		}
		last = max(id, same)
		at = at.Add(time.Millisecond)
	}
	for _, far := range []time.Time{time.Unix(0, 0), time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if id := v.TimedID("p", far); (id < "p-1") != (far.Year() < 2000) {
			t.Errorf("%s of %s", id, far)
		}
	}
}

// TestIDs are random, and of the form that paths and keys take.
func TestIDs(t *testing.T) {
	t.Parallel()
	v := open(t)
	seen := map[string]bool{}
	for range 50 {
		id := v.ID("p-310000")
		if len(id) != len("p-310000-")+20 || !strings.HasPrefix(id, "p-310000-") || seen[id] ||
			strings.Trim(id[9:], "0123456789abcdefghjkmnpqrstvwxyz") != "" {
			t.Fatal(id)
		}
		seen[id] = true
	}
	if no := v.NewNo(); !strings.HasPrefix(no, "n-") {
		t.Error(no)
	}
	if v.Hash([]byte("ab"), []byte("c")) != v.Hash([]byte("abc")) {
		t.Error("the hash is over the concatenation")
	}
}

// TestRead: a peer's persons are read if they are a person, and refused without a word of what stood in them.
func TestRead(t *testing.T) {
	t.Parallel()
	got, err := vault.Read(vault.Clear(zhang))
	if err != nil || got != zhang {
		t.Errorf("%v, %v", got, err)
	}
	lower := vault.Identity{IDType: "01", Number: "11010119900307002x", Name: "李四", Region: "110000"}
	if got, err := vault.Read(vault.Clear(lower)); err == nil && got.Number != strings.ToUpper(lower.Number) {
		t.Errorf("%v", got)
	}
	for name, bad := range map[string]vault.Identity{
		"check digit": {IDType: "01", Number: "110101199003070012", Name: "张三丰", Region: "110000"},
		"document":    {IDType: "02", Number: zhang.Number, Name: zhang.Name, Region: zhang.Region},
		"name":        {IDType: "01", Number: zhang.Number, Name: "", Region: zhang.Region},
		"not UTF-8":   {IDType: "01", Number: zhang.Number, Name: "\xff", Region: zhang.Region},
		"region":      {IDType: "01", Number: zhang.Number, Name: zhang.Name, Region: "11"},
	} {
		_, err := vault.Read(vault.Clear(bad))
		if err == nil || strings.Contains(err.Error(), bad.Number) ||
			bad.Name != "" && strings.Contains(err.Error(), bad.Name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := vault.Read([]byte{0xff}); err == nil {
		t.Error("nonsense is a person")
	}
}

// TestOf a checked person and back.
func TestOf(t *testing.T) {
	t.Parallel()
	p, err := person.Parse(person.Input{IDType: "01", IDNumber: zhang.Number, Name: zhang.Name, Region: zhang.Region})
	if err != nil || vault.Of(p) != zhang {
		t.Errorf("%v, %v", vault.Of(p), err)
	}
}

// TestSealAnything: whatever stands in an identity comes back.
func TestSealAnything(t *testing.T) {
	t.Parallel()
	v := open(t)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 60, -1)
		i := vault.Identity{
			IDType: text.Draw(t, "type"), Number: text.Draw(t, "number"), Name: text.Draw(t, "name"),
			Region: text.Draw(t, "region"),
		}
		sealed, err := v.Seal(i)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.Open(sealed); err != nil || got != i {
			t.Fatalf("%v, %v", got, err)
		}
	})
}

// FuzzRead reads persons that a peer sent.
func FuzzRead(f *testing.F) {
	f.Add(vault.Clear(zhang))
	f.Add(vault.Clear(vault.Identity{}))
	f.Add([]byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		i, err := vault.Read(data)
		if err != nil {
			return
		}
		again, err := vault.Read(vault.Clear(i))
		if err != nil || again != i {
			t.Fatalf("%v is not stable: %v", i, err)
		}
	})
}

// FuzzOpen opens sealed identities that somebody changed in the state.
func FuzzOpen(f *testing.F) {
	v := open(f)
	sealed, err := v.Seal(zhang)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if i, err := v.Open(data); err == nil && i != zhang {
			t.Fatal("something opens that nobody sealed")
		} else if err != nil && !errors.Is(err, vault.ErrSealed) {
			t.Fatal(err)
		}
	})
}
