package trust_test

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/cert"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/trust"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// maker makes directories whose certificates are right.
type maker struct {
	t    *testing.T
	ring *keyfile.Ring
	root *cert.Issuer
	data federation.DirectoryData
}

func must[T any](t *testing.T) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newMaker(t *testing.T) *maker {
	t.Helper()
	m := &maker{t: t, ring: keyfile.NewMemory(emm.New())}
	id := must[string](t)(m.ring.Generate(crypto.UseSign))
	key := must[cert.Signer](t)(cert.RingSigner(m.ring, id))
	der := must[[]byte](t)(cert.NewRoot(key, cert.Name{Common: "Root"}, terms(-2, 10), 0))
	m.root = must[*cert.Issuer](t)(cert.NewIssuer(der, key))
	m.data.Authorities = [][]byte{der}
	for _, code := range []federation.Region{"110000", "350100"} {
		m.data.Members = append(m.data.Members, federation.Member{Code: code, Keys: m.keys(code, terms(-1, 1))})
	}
	return m
}

func terms(from, until int) cert.Terms {
	return cert.Terms{NotBefore: now.AddDate(from, 0, 0), NotAfter: now.AddDate(until, 0, 0)}
}

func (m *maker) keys(code federation.Region, valid cert.Terms) []federation.Key {
	m.t.Helper()
	signID := must[string](m.t)(m.ring.Generate(crypto.UseSign))
	sealID := must[string](m.t)(m.ring.Generate(crypto.UseDecrypt))
	seal := must[crypto.Public](m.t)(m.ring.Public(sealID))
	signer := must[cert.Signer](m.t)(cert.RingSigner(m.ring, signID))
	der := must[[]byte](m.t)(cert.NewRequest(signer, cert.Name{Common: string(code)}, seal))
	request := must[*cert.Request](m.t)(cert.ParseRequest(emm.New(), der))
	key := func(id string, use federation.KeyUse, public, certificate []byte) federation.Key {
		return federation.Key{
			ID: id, Use: use, Public: public, NotBefore: valid.NotBefore, NotAfter: valid.NotAfter, Certificate: certificate,
		}
	}
	return []federation.Key{
		key(signID, federation.UseSign, request.Public, must[[]byte](m.t)(m.root.Sign(request, valid))),
		key(sealID, federation.UseSeal, seal, must[[]byte](m.t)(m.root.Seal(request, nil, valid))),
	}
}

func (m *maker) list(entries ...string) []byte {
	var all []cert.Entry
	for _, s := range entries {
		all = append(all, cert.Entry{Serial: s, Since: now})
	}
	return must[[]byte](m.t)(m.root.List(all, big.NewInt(1), now.AddDate(0, 0, -1), now.AddDate(0, 0, 6)))
}

func serial(t *testing.T, der []byte) string {
	t.Helper()
	return must[*cert.Certificate](t)(cert.Parse(der)).Serial
}

// TestCheckDirectory: a directory is taken only if each key's certificate is of that key, use and region, covers
// its validity, leads to the directory's authorities and is on no list.
func TestCheckDirectory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(m *maker, keys []federation.Key)
		want  cert.Reason
	}{
		"good": {func(*maker, []federation.Key) {}, ""},
		"two keys beside each other": {func(m *maker, _ []federation.Key) {
			m.data.Members[0].Keys = append(m.data.Members[0].Keys, m.keys("110000", terms(0, 2))...)
		}, ""},
		"none":        {func(_ *maker, k []federation.Key) { k[0].Certificate = nil }, cert.ReasonMissing},
		"not a":       {func(_ *maker, k []federation.Key) { k[0].Certificate = []byte{1} }, cert.ReasonMalformed},
		"other place": {func(_ *maker, k []federation.Key) { k[0].Use = federation.UseSeal }, cert.ReasonUsage},
		"swapped":     {func(_ *maker, k []federation.Key) { k[0].Certificate = k[1].Certificate }, cert.ReasonKey},
		"longer": {func(_ *maker, k []federation.Key) {
			k[1].NotAfter = k[1].NotAfter.Add(time.Hour)
		}, cert.ReasonValidity},
		"earlier": {func(_ *maker, k []federation.Key) {
			k[1].NotBefore = k[1].NotBefore.Add(-1)
		}, cert.ReasonValidity},
		"other region": {func(m *maker, _ []federation.Key) { m.data.Members[0].Code = "310000" }, cert.ReasonSubject},
		"other root": {func(m *maker, _ []federation.Key) {
			m.data.Authorities = newMaker(t).data.Authorities
		}, cert.ReasonIssuer},
		"no authority": {func(m *maker, _ []federation.Key) { m.data.Authorities = nil }, cert.ReasonIssuer},
		"other's lists": {func(m *maker, _ []federation.Key) {
			m.data.RevocationLists = [][]byte{newMaker(t).list()}
		}, cert.ReasonList},
		"on the list": {func(m *maker, k []federation.Key) {
			m.data.RevocationLists = [][]byte{m.list(serial(t, k[0].Certificate))}
		}, cert.ReasonRevoked},
		"on the list and revoked": {func(m *maker, k []federation.Key) {
			m.data.RevocationLists = [][]byte{m.list(serial(t, k[0].Certificate))}
			k[0].Revoked = true
		}, ""},
		"revoked, certificate gone": {func(_ *maker, k []federation.Key) {
			k[0].Revoked, k[0].Certificate = true, nil
		}, ""},
		"revoked, another's": {func(_ *maker, k []federation.Key) {
			k[0].Revoked, k[0].Public = true, k[1].Public
		}, cert.ReasonKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMaker(t)
			c.spoil(m, m.data.Members[0].Keys)
			problems := trust.CheckDirectory(emm.New(), m.data, nil, now)
			err := trust.Refused(problems)
			if c.want == "" && err != nil || c.want != "" && (err == nil || problems[0].Reason != c.want) {
				t.Errorf("%v, want %q", problems, c.want)
			}
		})
	}
}

// TestWithout: a federation may have no certificates, but not none any more.
func TestWithout(t *testing.T) {
	t.Parallel()
	m := newMaker(t)
	before := m.data
	plain := federation.DirectoryData{Members: []federation.Member{{Code: "110000", Keys: []federation.Key{{ID: "k"}}}}}
	if problems := trust.CheckDirectory(emm.New(), plain, nil, now); len(problems) != 0 {
		t.Error(problems)
	}
	problems := trust.CheckDirectory(emm.New(), plain, &before, now)
	if len(problems) != 1 || problems[0].Reason != trust.ReasonDropped {
		t.Error(problems)
	}
	if err := trust.Refused(problems); err == nil || !strings.Contains(err.Error(), "上一版") {
		t.Error(err)
	}
	problems = trust.Require(plain)
	if len(problems) != 1 || problems[0].Reason != trust.ReasonRequired {
		t.Error(problems)
	}
	if err := trust.Refused(problems); err == nil || !strings.Contains(err.Error(), "本区要求") {
		t.Error(err)
	}
	if problems = trust.Require(before); len(problems) != 0 {
		t.Error(problems)
	}
}

// TestOverdue: a list that is overdue is a warning, not a refusal: the directory itself says which keys are revoked.
func TestOverdue(t *testing.T) {
	t.Parallel()
	m := newMaker(t)
	m.data.RevocationLists = [][]byte{m.list()}
	later := now.AddDate(0, 0, 7)
	problems := trust.CheckDirectory(emm.New(), m.data, nil, later)
	if len(problems) != 1 || problems[0].Reason != cert.ReasonListExpired || trust.Refused(problems) != nil {
		t.Error(problems)
	}
	// A key that is still to come and one that is over are judged at their own time.
	m.data.Members[0].Keys = append(m.data.Members[0].Keys, m.keys("110000", terms(3, 4))...)
	m.data.Members[0].Keys = append(m.data.Members[0].Keys, m.keys("110000", terms(-2, -1))...)
	if err := trust.Refused(trust.CheckDirectory(emm.New(), m.data, nil, now)); err != nil {
		t.Error(err)
	}
}

// TestExpiries: the newest key of every member and use, every authority, every list.
func TestExpiries(t *testing.T) {
	t.Parallel()
	m := newMaker(t)
	m.data.RevocationLists = [][]byte{m.list()}
	m.data.Members[0].Keys = append(m.data.Members[0].Keys, m.keys("110000", terms(0, 3))...)
	days := map[trust.Kind][]float64{}
	for _, e := range trust.Expiries(m.data) {
		days[e.Kind] = append(days[e.Kind], e.DaysLeft(now))
	}
	if len(days[trust.KindKey]) != 4 || days[trust.KindKey][0] < 3*365 || days[trust.KindKey][3] > 366 ||
		len(days[trust.KindAuthority]) != 1 || len(days[trust.KindList]) != 1 || days[trust.KindList][0] != 6 {
		t.Error(days)
	}
}
