package cert_test

import (
	"bytes"
	"testing"

	"gongji/crypto"
	"gongji/crypto/cert"
)

// FuzzCertificate: no bytes make the parser panic or hang; what it takes has the form that the others rely on.
func FuzzCertificate(f *testing.F) {
	p := newFederation(f)
	for _, seed := range [][]byte{p.rootDER, p.middleDER, p.sign, p.seal} {
		f.Add(seed)
	}
	trust := p.trust(f, list(f, p.middle, 1))
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := cert.Parse(der)
		if err != nil {
			return
		}
		if len(c.Public) != crypto.PublicSize || len(c.Raw) > cert.CertificateMax || c.Serial == "" ||
			!bytes.Equal(c.Raw, der) {
			t.Errorf("%+v", c)
		}
		genuine := bytes.Equal(der, p.sign) || bytes.Equal(der, p.seal)
		if trust.Check(c, now) == nil && !genuine {
			t.Errorf("a forged certificate has a path: %x", der)
		}
	})
}

// FuzzRequest: as FuzzCertificate, for requests.
func FuzzRequest(f *testing.F) {
	p := newFederation(f)
	f.Add(p.request.Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		r, err := cert.ParseRequest(p.suite, der)
		if err == nil && (len(r.Public) != crypto.PublicSize || r.Seal != nil && len(r.Seal) != crypto.PublicSize) {
			t.Errorf("%+v", r)
		}
	})
}

// FuzzList: as FuzzCertificate, for revocation lists.
func FuzzList(f *testing.F) {
	p := newFederation(f)
	good := list(f, p.middle, 1, parse(f, p.sign).Serial)
	f.Add(good)
	f.Add(list(f, p.root, 2))
	issuer := parse(f, p.middleDER)
	f.Fuzz(func(t *testing.T, der []byte) {
		l, err := cert.ParseList(der)
		if err != nil {
			return
		}
		if len(l.Entries) > cert.EntriesMax || l.Number == nil || !l.ThisUpdate.Before(l.NextUpdate) {
			t.Errorf("%+v", l)
		}
		if l.Verify(p.suite, issuer) == nil && !bytes.Equal(der, good) {
			t.Errorf("a forged list verifies: %x", der)
		}
	})
}

// FuzzEnveloped: as FuzzCertificate, for enveloped keys; nothing but the genuine one is imported.
func FuzzEnveloped(f *testing.F) {
	p := newFederation(f)
	pair := must[crypto.Private](f)(p.suite.Generate())
	f.Add(envelope(f, p, p.request.Seal, pair))
	f.Fuzz(func(t *testing.T, der []byte) {
		e, err := cert.ParseEnveloped(der)
		if err != nil {
			return
		}
		if _, err = e.Import(p.suite, p.ring, p.sealID); err == nil && !bytes.Equal(e.Public, pair.Public()) {
			t.Errorf("a forged envelope is imported: %x", der)
		}
	})
}
