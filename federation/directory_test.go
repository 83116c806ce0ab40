package federation_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gongji/federation"
	"gongji/federation/federationtest"
)

func sealer(t testing.TB, name string) *federationtest.Sealer {
	t.Helper()
	s, err := federationtest.NewSealer(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rootKey(s *federationtest.Sealer) federation.RootKey {
	id, public := s.SignKey()
	return federation.RootKey{ID: id, Public: public}
}

func (w *world) sign(t testing.TB, data federation.DirectoryData) []byte {
	t.Helper()
	signed, err := federation.SignDirectory(data, w.Root.Sign)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (w *world) parse(signed []byte, previous *federation.Directory) (*federation.Directory, error) {
	return federation.ParseDirectory(w.Root, w.Roots(), signed, previous, w.now)
}

// next is the data of the version after the one in force.
func (w *world) next(d *federation.Directory) federation.DirectoryData {
	data := d.Data()
	digest := d.Digest()
	data.Version, data.Previous = data.Version+1, hex.EncodeToString(digest[:])
	return data
}

func TestDirectoryVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.dir
	signed := w.sign(t, w.next(first))
	second, err := w.parse(signed, first)
	if err != nil || second.Version() != 2 || !bytes.Equal(second.Signed(), signed) {
		t.Fatalf("%v", err)
	}
	if _, err := w.parse(signed, second); err != nil {
		t.Errorf("the same again: %v", err)
	}
	_, err = w.parse(first.Signed(), second)
	wantRefused(t, err, federation.RefusedDirOlder)

	other := w.next(first)
	other.Members[0].Name = "another"
	otherSigned := w.sign(t, other)
	_, err = w.parse(otherSigned, second)
	wantRefused(t, err, federation.RefusedDirForked)

	third := w.next(second)
	third.Previous = strings.Repeat("00", 32)
	_, err = w.parse(w.sign(t, third), second)
	wantRefused(t, err, federation.RefusedDirForked)
	third.Version = 9 // some were missed: nothing to hold it against
	if _, err := w.parse(w.sign(t, third), second); err != nil {
		t.Errorf("after missed versions: %v", err)
	}
	again, err := federation.LoadDirectory(federationtest.Hash, signed)
	if err != nil || again.Digest() != second.Digest() {
		t.Errorf("load: %v", err)
	}
}

func TestDirectoryExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	data := w.Data
	data.Expires = w.now
	signed := w.sign(t, data)
	_, err := w.parse(signed, nil)
	wantRefused(t, err, federation.RefusedDirExpired)
	d, err := federation.ReadDirectory(w.Root, w.Roots(), signed, nil)
	if err != nil || !d.Expired(w.now) || d.Expired(w.now.Add(-time.Second)) || !d.Expires().Equal(w.now) {
		t.Fatalf("read: %v", err)
	}
}

func TestDirectorySignatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b, c, x := sealer(t, "a"), sealer(t, "b"), sealer(t, "c"), sealer(t, "x")
	twoOfThree := federation.Roots{Keys: []federation.RootKey{rootKey(a), rootKey(b), rootKey(c)}, Threshold: 2}
	posing := func(message []byte) (string, []byte, error) { // x under the name of b
		_, signature, err := x.Sign(message)
		return "b-sign", signature, err
	}
	wrong := func([]byte) (string, []byte, error) { return a.Sign([]byte("another message")) }
	for name, s := range map[string]struct {
		by []federation.SignFunc
		ok bool
	}{
		"none":                 {nil, false},
		"one":                  {[]federation.SignFunc{a.Sign}, false},
		"two":                  {[]federation.SignFunc{a.Sign, c.Sign}, true},
		"three":                {[]federation.SignFunc{a.Sign, b.Sign, c.Sign}, true},
		"one twice":            {[]federation.SignFunc{a.Sign, a.Sign}, false},
		"one and a stranger":   {[]federation.SignFunc{a.Sign, x.Sign}, false},
		"one and a poser":      {[]federation.SignFunc{a.Sign, posing}, false},
		"two behind a poser":   {[]federation.SignFunc{posing, a.Sign, b.Sign}, true},
		"one of other content": {[]federation.SignFunc{wrong, b.Sign}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signed, err := federation.SignDirectory(w.Data, s.by...)
			if err != nil {
				t.Fatal(err)
			}
			_, err = federation.ParseDirectory(w.Root, twoOfThree, signed, nil, w.now)
			if s.ok && err != nil {
				t.Fatal(err)
			}
			if !s.ok {
				wantRefused(t, err, federation.RefusedDirUnsigned)
			}
		})
	}
}

func TestRoots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := rootKey(sealer(t, "a")), rootKey(sealer(t, "b"))
	for name, r := range map[string]federation.Roots{
		"none": {}, "threshold 0": {Keys: []federation.RootKey{a}},
		"threshold above": {Keys: []federation.RootKey{a}, Threshold: 2},
		"key twice":       {Keys: []federation.RootKey{a, {ID: "other", Public: a.Public}}, Threshold: 1},
		"id twice":        {Keys: []federation.RootKey{a, {ID: a.ID, Public: b.Public}}, Threshold: 1},
		"no key":          {Keys: []federation.RootKey{{ID: "a"}}, Threshold: 1},
		"bad id":          {Keys: []federation.RootKey{{ID: "a b", Public: a.Public}}, Threshold: 1},
	} {
		_, err := federation.ReadDirectory(w.Root, r, w.dir.Signed(), nil)
		if !errors.Is(err, federation.ErrRoots) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDirectoryContent: what does not fit together is refused, by the one who signs already.
func TestDirectoryContent(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(d *federation.DirectoryData){
		"version 0":           func(d *federation.DirectoryData) { d.Version = 0 },
		"first with previous": func(d *federation.DirectoryData) { d.Previous = strings.Repeat("00", 32) },
		"second without":      func(d *federation.DirectoryData) { d.Version = 2 },
		"issued after expiry": func(d *federation.DirectoryData) { d.Issued = d.Expires },
		"no members":          func(d *federation.DirectoryData) { d.Members, d.Pairs = nil, nil },
		"member twice":        func(d *federation.DirectoryData) { d.Members = append(d.Members, d.Members[0]) },
		"code":                func(d *federation.DirectoryData) { d.Members[3].Code = "65010" },
		"name":                func(d *federation.DirectoryData) { d.Members[0].Name = "" },
		"state":               func(d *federation.DirectoryData) { d.Members[0].State = "" },
		"alias is a code":     func(d *federation.DirectoryData) { d.Members[0].Aliases = []string{"310000"} },
		"alias twice":         func(d *federation.DirectoryData) { d.Members[0].Aliases = d.Members[1].Aliases },
		"alias empty":         func(d *federation.DirectoryData) { d.Members[0].Aliases = []string{""} },
		"key id twice":        func(d *federation.DirectoryData) { d.Members[0].Keys[1].ID = d.Members[0].Keys[0].ID },
		"key id form":         func(d *federation.DirectoryData) { d.Members[0].Keys[1].ID = "a/b" },
		"key of two members": func(d *federation.DirectoryData) {
			d.Members[0].Keys[0].Public = d.Members[1].Keys[0].Public
		},
		"key of two uses": func(d *federation.DirectoryData) {
			d.Members[0].Keys[0].Public = d.Members[0].Keys[1].Public
		},
		"key use": func(d *federation.DirectoryData) { d.Members[0].Keys[0].Use = "both" },
		"key never valid": func(d *federation.DirectoryData) {
			d.Members[0].Keys[0].NotAfter = d.Members[0].Keys[0].NotBefore
		},
		"certificate too long": func(d *federation.DirectoryData) {
			d.Members[0].Keys[0].Certificate = make([]byte, 4097)
		},
		"authority twice": func(d *federation.DirectoryData) { d.Authorities = [][]byte{{1}, {1}} },
		"authority empty": func(d *federation.DirectoryData) { d.Authorities = [][]byte{{}} },
		"list too long":   func(d *federation.DirectoryData) { d.RevocationLists = [][]byte{make([]byte, 65537)} },
		"lists too many": func(d *federation.DirectoryData) {
			for i := range 33 {
				d.RevocationLists = append(d.RevocationLists, []byte{byte(i)})
			}
		},
		"key empty":            func(d *federation.DirectoryData) { d.Members[0].Keys[0].Public = nil },
		"pair with oneself":    func(d *federation.DirectoryData) { d.Pairs[0].B = d.Pairs[0].A },
		"pair with a stranger": func(d *federation.DirectoryData) { d.Pairs[0].B = "999999" },
		"pair twice": func(d *federation.DirectoryData) {
			d.Pairs[1] = federation.Pair{A: shanghai, B: beijing, From: "2026-01-01"}
		},
		"pair from":      func(d *federation.DirectoryData) { d.Pairs[0].From = "2026-02-30" },
		"pair until":     func(d *federation.DirectoryData) { d.Pairs[0].Until = "soon" },
		"pair backwards": func(d *federation.DirectoryData) { d.Pairs[0].Until = "2025-12-31" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := federationtest.NewFederation()
			if err != nil {
				t.Fatal(err)
			}
			change(&f.Data)
			_, err = federation.SignDirectory(f.Data, f.Root.Sign)
			wantRefused(t, err, federation.RefusedMalformed)
		})
	}
}

func inflate(t *testing.T, packed []byte) string {
	t.Helper()
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func deflate(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err = w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestDirectoryHasOneForm: a signed body that says the same in other bytes is refused, so no two readers differ.
func TestDirectoryHasOneForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var envelope struct {
		Directory []byte `json:"directory"`
	}
	if err := json.Unmarshal(w.dir.Signed(), &envelope); err != nil {
		t.Fatal(err)
	}
	body := inflate(t, envelope.Directory)
	resign := func(text string) []byte {
		body := deflate(t, text)
		id, signature, err := w.Root.Sign([]byte("gongji-directory-v1\x00" + body))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Appendf(nil, `{"directory":"%s","signatures":[{"key_id":"%s","signature":"%s"}]}`,
			base64.StdEncoding.EncodeToString([]byte(body)), id, base64.StdEncoding.EncodeToString(signature))
	}
	if _, err := w.parse(resign(body), nil); err != nil {
		t.Fatalf("the control: %v", err)
	}
	if _, err := w.parse(append(resign(body), '\n'), nil); err != nil {
		t.Fatalf("a line's end behind the envelope: %v", err)
	}
	for name, bent := range map[string]string{
		"unknown field":  strings.Replace(body, `{"version":1,`, `{"version":1,"more":1,`, 1),
		"field twice":    strings.Replace(body, `{"version":1,`, `{"version":2,"version":1,`, 1),
		"case of a name": strings.Replace(body, `"version"`, `"Version"`, 1),
		"space":          strings.Replace(body, `{"version":1,`, `{"version": 1,`, 1),
		"escaped":        strings.Replace(body, `"pool 110000"`, `"\u0070ool 110000"`, 1),
		"another zone":   strings.Replace(body, `"2027-11-01T08:00:00Z"`, `"2027-11-01T16:00:00+08:00"`, 1),
		"fraction":       strings.Replace(body, `"2027-11-01T08:00:00Z"`, `"2027-11-01T08:00:00.5Z"`, 1),
		"members reversed": strings.NewReplacer(`"code":"110000"`, `"code":"990000"`, `"a":"110000"`, `"a":"990000"`).
			Replace(body),
		"null for nothing": strings.Replace(body, `"certificate":""`, `"certificate":null`, 1),
		"field missing":    strings.Replace(body, `"until":"2026-12-31"`, `"x":""`, 1),
		"trailing":         body + "{}",
		"broken UTF-8":     strings.Replace(body, `"pool 110000"`, "\"pool \xff\"", 1),
		"nothing":          "",
		"null":             "null",
		"deep":             strings.Repeat("[", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if bent == body {
				t.Fatal("nothing was changed")
			}
			_, err := w.parse(resign(bent), nil)
			wantRefused(t, err, federation.RefusedMalformed)
		})
	}
	for name, signed := range map[string][]byte{
		"nothing": nil, "another JSON": []byte(`[]`),
		"unknown field": bytes.Replace(w.dir.Signed(), []byte(`{"dir`), []byte(`{"x":1,"dir`), 1),
		"too large":     append(w.dir.Signed(), make([]byte, federation.DirectoryMax)...),
		"17 signatures": bytes.Replace(resign(body), []byte(`[{`),
			[]byte(`[`+strings.Repeat(`{"key_id":"a","signature":"AA=="},`, 16)+`{`), 1),
		"empty signature": bytes.Replace(resign(body), []byte(`[{`), []byte(`[{"key_id":"a","signature":""},{`), 1),
	} {
		_, err := w.parse(signed, nil)
		if !isRefused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDirectoryLookUps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	day := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, c := range []struct {
		a, b federation.Region
		at   string
		open bool
	}{
		{beijing, shanghai, "2026-11-01T00:00:00Z", true},
		{shanghai, beijing, "2026-11-01T00:00:00Z", true},
		{beijing, shanghai, "2099-01-01T00:00:00Z", true},
		{beijing, fuzhou, "2025-12-31T15:59:59Z", false}, // 23:59:59 in Beijing
		{beijing, fuzhou, "2025-12-31T16:00:00Z", true},
		{beijing, fuzhou, "2026-12-31T15:59:59Z", true},
		{beijing, fuzhou, "2026-12-31T16:00:00Z", false},
		{beijing, away, "2026-11-01T00:00:00Z", false},
		{away, away, "2026-11-01T00:00:00Z", true},
		{"999999", "999999", "2026-11-01T00:00:00Z", false},
	} {
		if got := w.dir.PairOpen(c.a, c.b, day(c.at)); got != c.open {
			t.Errorf("%s and %s at %s: %v", c.a, c.b, c.at, got)
		}
	}
	want := []federation.Lane{
		{From: shanghai, To: beijing},
		{From: beijing, To: shanghai},
		{From: shanghai, To: fuzhou},
		{From: fuzhou, To: shanghai},
	}
	if got := w.dir.Lanes(shanghai); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("lanes %v", got)
	}
	if got := w.dir.Lanes(away); len(got) != 0 {
		t.Errorf("lanes of nobody's peer: %v", got)
	}
	if got := w.dir.Lanes("999999"); got != nil {
		t.Errorf("lanes of a stranger: %v", got)
	}
	for name, r := range map[string]federation.Region{"110000": beijing, "alias 310000": shanghai, "nobody": ""} {
		if got, ok := w.dir.Resolve(name); got != r || ok != (r != "") {
			t.Errorf("%s is %q", name, got)
		}
	}
	if _, ok := w.dir.Key("999999", "x"); ok {
		t.Error("a stranger's key")
	}
	if _, ok := w.dir.Member("999999"); ok || len(w.dir.Members()) != 4 {
		t.Error("members")
	}
	if !w.dir.Issued().Before(w.dir.Expires()) {
		t.Error("dates")
	}
}

// TestNewestKey: the key to use is the one that became valid last, and neither revoked nor future.
func TestNewestKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *federation.DirectoryData) {
		for i, k := range []struct {
			days    int
			revoked bool
		}{{-10, false}, {-5, false}, {-1, true}, {1, false}} {
			d.Members[0].Keys = append(d.Members[0].Keys, federation.Key{
				ID: fmt.Sprintf("k%d", i), Use: federation.UseSeal, Public: []byte{byte(i + 1)}, Revoked: k.revoked,
				NotBefore: federationtest.Start().AddDate(0, 0, k.days), NotAfter: d.Expires,
			})
		}
	})
	for _, c := range []struct {
		days int
		want string
	}{{-11, "110000-seal"}, {-10, "k0"}, {-6, "k0"}, {-5, "k1"}, {0, "k1"}, {1, "k3"}} {
		k, ok := w.dir.SealKey(beijing, w.now.AddDate(0, 0, c.days))
		if !ok || k.ID != c.want {
			t.Errorf("day %d: %s", c.days, k.ID)
		}
	}
	if _, ok := w.dir.SealKey(beijing, w.now.AddDate(9, 0, 0)); ok {
		t.Error("a key long after")
	}
	if _, ok := w.dir.SignKey("999999", w.now); ok {
		t.Error("a stranger's key")
	}
}

// TestSignKeys: a key that has only just become valid is taken after one that is known to be valid everywhere; a
// revoked one and one that is over never.
func TestSignKeys(t *testing.T) {
	t.Parallel()
	f, err := federationtest.NewFederation()
	if err != nil {
		t.Fatal(err)
	}
	at := federationtest.Start()
	k := func(id string, from, until time.Duration, revoked bool) federation.Key {
		return federation.Key{
			ID: id, Use: federation.UseSign, Public: []byte(id), NotBefore: at.Add(from), NotAfter: at.Add(until),
			Revoked: revoked,
		}
	}
	const minute, hour = time.Minute, time.Hour
	f.Data.Members[0].Keys = []federation.Key{
		k("a", -9*hour, hour, false), k("b", -hour, hour, false), k("c", -minute, hour, false),
		k("d", -2*minute, hour, false),
		k("e", -hour, hour, true), k("f", minute, hour, false), k("g", -hour, 0, false),
	}
	signed, err := federation.SignDirectory(f.Data, f.Root.Sign)
	if err != nil {
		t.Fatal(err)
	}
	d, err := federation.ParseDirectory(f.Root, f.Roots(), signed, nil, at)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, k := range d.SignKeys(f.Data.Members[0].Code, at, federation.ClockSkewMax) {
		got += k.ID
	}
	if got != "badc" {
		t.Errorf("in the order %s", got)
	}
	if len(d.SignKeys("999999", at, 0)) != 0 {
		t.Error("a stranger has keys")
	}
}
