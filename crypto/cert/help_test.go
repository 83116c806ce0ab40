package cert_test

import (
	"errors"
	"math/big"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/cert"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

// now is the moment of the tests.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func year(from, until int) cert.Terms {
	return cert.Terms{NotBefore: now.AddDate(from, 0, 0), NotAfter: now.AddDate(until, 0, 0)}
}

// federation is a root, an authority below it, and a region with both certificates.
type federation struct {
	suite              crypto.Suite
	ring               *keyfile.Ring
	rootDER, middleDER []byte
	root, middle       *cert.Issuer
	request            *cert.Request
	signID, sealID     string
	sign, seal         []byte
}

const region = "350100"

var middleName = cert.Name{Organization: "示例医保局", Common: "Pilot Regions"}

func must[T any](t testing.TB) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (f *federation) newKey(t testing.TB, use crypto.Use) (string, cert.Signer) {
	t.Helper()
	id := must[string](t)(f.ring.Generate(use))
	return id, must[cert.Signer](t)(cert.RingSigner(f.ring, id))
}

func (f *federation) requestOf(t testing.TB, s cert.Signer, common string, seal crypto.Public) *cert.Request {
	t.Helper()
	der := must[[]byte](t)(cert.NewRequest(s, cert.Name{Organization: "示例医保局", Common: common}, seal))
	return must[*cert.Request](t)(cert.ParseRequest(f.suite, der))
}

func newFederation(t testing.TB) *federation {
	t.Helper()
	suite := emm.New()
	f := &federation{suite: suite, ring: keyfile.NewMemory(suite)}
	_, rootKey := f.newKey(t, crypto.UseSign)
	f.rootDER = must[[]byte](t)(cert.NewRoot(rootKey, cert.Name{Common: "Pilot Root"}, year(-1, 20), 1))
	f.root = must[*cert.Issuer](t)(cert.NewIssuer(f.rootDER, rootKey))
	_, middleKey := f.newKey(t, crypto.UseSign)
	f.middleDER = must[[]byte](t)(f.root.Authority(f.requestOf(t, middleKey, "Pilot Regions", nil), year(-1, 10), 0))
	f.middle = must[*cert.Issuer](t)(cert.NewIssuer(f.middleDER, middleKey))
	var key cert.Signer
	f.signID, key = f.newKey(t, crypto.UseSign)
	f.sealID, _ = f.newKey(t, crypto.UseDecrypt)
	f.request = f.requestOf(t, key, region, must[crypto.Public](t)(f.ring.Public(f.sealID)))
	f.sign = must[[]byte](t)(f.middle.Sign(f.request, year(0, 2)))
	f.seal = must[[]byte](t)(f.middle.Seal(f.request, nil, year(0, 2)))
	return f
}

func (f *federation) trust(t testing.TB, lists ...[]byte) *cert.Trust {
	t.Helper()
	return must[*cert.Trust](t)(cert.NewTrust(f.suite, [][]byte{f.rootDER, f.middleDER}, lists, now))
}

func list(t testing.TB, i *cert.Issuer, number int64, serials ...string) []byte {
	t.Helper()
	var entries []cert.Entry
	for _, s := range serials {
		entries = append(entries, cert.Entry{Serial: s, Since: now, Code: 1})
	}
	return must[[]byte](t)(i.List(entries, big.NewInt(number), now, now.AddDate(0, 1, 0)))
}

func parse(t testing.TB, der []byte) *cert.Certificate {
	t.Helper()
	return must[*cert.Certificate](t)(cert.Parse(der))
}

// refused fails unless err is a refusal for that reason.
func refused(t testing.TB, err error, reason cert.Reason) {
	t.Helper()
	refusal, ok := errors.AsType[*cert.RefusedError](err)
	if !ok || refusal.Reason != reason {
		t.Errorf("%v, want a refusal for %s", err, reason)
	}
}
