package cert_test

import (
	"bytes"
	"crypto/rand"
	"math/big"
	"slices"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/cert"
	"gongji/crypto/sm/emm"
	"gongji/crypto/sm/gmsm"
)

// TestDouble: a region gets both certificates from one request; each is of its own key, has one use, and
// chains to the root. Both engines say so.
func TestDouble(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	for _, suite := range []crypto.Suite{emm.New(), gmsm.New()} {
		trust := must[*cert.Trust](t)(cert.NewTrust(suite, [][]byte{f.rootDER, f.middleDER}, nil, now))
		for use, der := range map[cert.Use][]byte{cert.UseSign: f.sign, cert.UseSeal: f.seal} {
			c := parse(t, der)
			if err := c.Check(use, region); err != nil {
				t.Error(err)
			}
			if err := trust.Check(c, now); err != nil {
				t.Errorf("%s: %v", suite.Name(), err)
			}
			id := map[cert.Use]string{cert.UseSign: f.signID, cert.UseSeal: f.sealID}[use]
			if public := must[crypto.Public](t)(f.ring.Public(id)); !bytes.Equal(public, c.Public) {
				t.Errorf("the %s certificate is of another key", use)
			}
		}
	}
}

// TestPlace: neither certificate serves in the other's place, nor an authority's in a region's, nor another region's.
func TestPlace(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	sign, seal, middle := parse(t, f.sign), parse(t, f.seal), parse(t, f.middleDER)
	refused(t, sign.Check(cert.UseSeal, region), cert.ReasonUsage)
	refused(t, seal.Check(cert.UseSign, region), cert.ReasonUsage)
	refused(t, middle.Check(cert.UseSign, middle.Region), cert.ReasonUsage)
	refused(t, sign.Check(cert.UseSign, "350200"), cert.ReasonSubject)
	refused(t, f.trust(t).Check(middle, now), cert.ReasonUsage)
	_, err := cert.NewTrust(f.suite, [][]byte{f.rootDER, f.sign}, nil, now)
	refused(t, err, cert.ReasonConstraints)
}

// TestPath: a path must be whole, signed, valid at that moment, and as short as its authorities want it.
func TestPath(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	c := parse(t, f.sign)
	trust := f.trust(t)
	refused(t, trust.Check(c, c.NotBefore.Add(-time.Second)), cert.ReasonValidity)
	refused(t, trust.Check(c, c.NotAfter.Add(time.Second)), cert.ReasonValidity)
	if err := trust.Check(c, c.NotAfter); err != nil {
		t.Errorf("the last second belongs to it: %v", err)
	}
	only := must[*cert.Trust](t)(cert.NewTrust(f.suite, [][]byte{f.rootDER}, nil, now))
	refused(t, only.Check(c, now), cert.ReasonIssuer)
	// An authority that no root vouches for is no root itself.
	only = must[*cert.Trust](t)(cert.NewTrust(f.suite, [][]byte{f.middleDER}, nil, now))
	refused(t, only.Check(c, now), cert.ReasonIssuer)

	// A stranger with the same names, and a key id to match.
	g := newFederation(t)
	refused(t, trust.Check(parse(t, g.sign), now), cert.ReasonIssuer)
	forged := flip(f.sign, len(f.sign)-1)
	if c, err := cert.Parse(forged); err == nil {
		refused(t, trust.Check(c, now), cert.ReasonSignature)
	}

	// The authority below the root may have none below itself, even if it says that it may.
	_, key := f.newKey(t, crypto.UseSign)
	_, err := f.middle.Authority(f.requestOf(t, key, "Too Deep", nil), year(0, 1), 0)
	refused(t, err, cert.ReasonPath)
	deepDER := rogueAuthority(t, f, key)
	deep := must[*cert.Issuer](t)(cert.NewIssuer(deepDER, key))
	leaf := parse(t, must[[]byte](t)(deep.Sign(f.request, year(0, 1))))
	long := must[*cert.Trust](t)(cert.NewTrust(f.suite, [][]byte{f.rootDER, f.middleDER, deepDER}, nil, now))
	refused(t, long.Check(leaf, now), cert.ReasonPath)

	// Validity is judged along the whole path.
	_, old := f.newKey(t, crypto.UseSign)
	oldDER := must[[]byte](t)(f.root.Authority(f.requestOf(t, old, "Old", nil), year(-1, 1), 0))
	leafDER := must[[]byte](t)(must[*cert.Issuer](t)(cert.NewIssuer(oldDER, old)).Sign(f.request, year(0, 1)))
	aged := must[*cert.Trust](t)(cert.NewTrust(f.suite, [][]byte{f.rootDER, oldDER}, nil, now))
	refused(t, aged.Check(parse(t, leafDER), now.AddDate(0, 18, 0)), cert.ReasonValidity)
}

// rogueAuthority is an authority's certificate that the middle one signs although it may not.
func rogueAuthority(t *testing.T, f *federation, key cert.Signer) []byte {
	t.Helper()
	// The middle authority's key with a certificate of its own making, which allows more.
	own := must[[]byte](t)(cert.NewRoot(f.middle.Key(), middleName, year(-1, 10), 1))
	rogue := must[*cert.Issuer](t)(cert.NewIssuer(own, f.middle.Key()))
	return must[[]byte](t)(rogue.Authority(f.requestOf(t, key, "Too Deep", nil), year(0, 1), 0))
}

// TestIssueBounds: an authority issues nothing that would be refused.
func TestIssueBounds(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	_, err := f.middle.Sign(f.request, year(0, 11))
	refused(t, err, cert.ReasonValidity)
	_, err = f.middle.Sign(f.request, cert.Terms{NotBefore: now, NotAfter: now})
	refused(t, err, cert.ReasonValidity)
	_, err = f.middle.Seal(f.request, f.request.Public, year(0, 1))
	refused(t, err, cert.ReasonKey)
	_, key := f.newKey(t, crypto.UseSign)
	_, err = f.middle.Seal(f.requestOf(t, key, region, nil), nil, year(0, 1))
	refused(t, err, cert.ReasonMissing)
	_, err = f.middle.Sign(f.requestOf(t, f.middle.Key(), "Pilot Regions", nil), year(0, 1))
	refused(t, err, cert.ReasonSubject)
	_, err = cert.NewIssuer(f.sign, key)
	refused(t, err, cert.ReasonConstraints)
	_, err = cert.NewIssuer(f.middleDER, key)
	refused(t, err, cert.ReasonKey)
	_, err = cert.NewRequest(key, cert.Name{Common: region}, key.Public())
	refused(t, err, cert.ReasonKey)
	_, err = cert.NewRequest(key, cert.Name{}, nil)
	refused(t, err, cert.ReasonSubject)
	// An encryption key signs nothing, not even its own request.
	_, seal := f.newKey(t, crypto.UseDecrypt)
	if _, err = cert.NewRequest(seal, cert.Name{Common: region}, nil); err == nil {
		t.Error("a decryption key has signed a request")
	}
}

// TestRevoked: what the issuer's list names is refused, an authority too; nobody else's list counts.
func TestRevoked(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	sign, seal, middle := parse(t, f.sign), parse(t, f.seal), parse(t, f.middleDER)
	trust := f.trust(t, list(t, f.root, 1), list(t, f.middle, 7, sign.Serial))
	refused(t, trust.Check(sign, now), cert.ReasonRevoked)
	if !trust.Revoked(sign) || trust.Revoked(seal) {
		t.Error("revoked is what the list names, and that alone")
	}
	if err := trust.Check(seal, now); err != nil {
		t.Error(err)
	}
	trust = f.trust(t, list(t, f.root, 2, middle.Serial))
	refused(t, trust.Check(seal, now), cert.ReasonRevoked)
	// The root's list does not speak of what another issued.
	if err := f.trust(t, list(t, f.root, 3, sign.Serial)).Check(sign, now); err != nil {
		t.Error(err)
	}
}

// TestLists: a list must be an authority's here, whole, one for each, and not from the future.
func TestLists(t *testing.T) {
	t.Parallel()
	f, g := newFederation(t), newFederation(t)
	both := [][]byte{f.rootDER, f.middleDER}
	_, err := cert.NewTrust(f.suite, both, [][]byte{list(t, g.middle, 1)}, now)
	refused(t, err, cert.ReasonList)
	_, err = cert.NewTrust(f.suite, both, [][]byte{list(t, f.middle, 1), list(t, f.middle, 2)}, now)
	refused(t, err, cert.ReasonTwice)
	_, err = cert.NewTrust(f.suite, both, [][]byte{list(t, f.middle, 1)}, now.Add(-time.Hour))
	refused(t, err, cert.ReasonList)
	good := list(t, f.middle, 1, parse(t, f.sign).Serial)
	_, err = cert.NewTrust(f.suite, both, [][]byte{flip(good, len(good)-1)}, now)
	if err == nil {
		t.Error("a changed list is taken")
	}
	_, err = cert.NewTrust(f.suite, [][]byte{f.rootDER, f.rootDER}, nil, now)
	refused(t, err, cert.ReasonTwice)
	_, err = cert.NewTrust(f.suite, slices.Repeat([][]byte{f.rootDER}, cert.AuthoritiesMax+1), nil, now)
	refused(t, err, cert.ReasonTooMany)

	l := must[*cert.List](t)(cert.ParseList(good))
	if l.Number.Int64() != 1 || len(l.Entries) != 1 || l.Entries[0].Code != 1 || l.Overdue(now) ||
		!l.Overdue(now.AddDate(0, 1, 0)) {
		t.Errorf("%+v", l)
	}
	if err = l.Verify(f.suite, parse(t, f.middleDER)); err != nil {
		t.Error(err)
	}
	refused(t, l.Verify(f.suite, parse(t, f.rootDER)), cert.ReasonList)
	_, err = f.middle.List(nil, big.NewInt(1), now, now)
	refused(t, err, cert.ReasonMalformed)
	_, err = f.middle.List([]cert.Entry{{Serial: "12", Since: now}, {Serial: "12", Since: now}}, big.NewInt(1), now,
		now.Add(time.Hour))
	refused(t, err, cert.ReasonMalformed)
}

// TestRequest: the request proves that its maker has the key; a changed one does not.
func TestRequest(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	if f.request.Region != region || !bytes.Equal(f.request.Seal, must[crypto.Public](t)(f.ring.Public(f.sealID))) {
		t.Errorf("%+v", f.request)
	}
	for i := range f.request.Raw {
		r, err := cert.ParseRequest(f.suite, flip(f.request.Raw, i))
		if err == nil && bytes.Equal(r.Public, f.request.Public) {
			t.Errorf("a request whose byte %d was changed is taken", i)
		}
	}
}

// TestEveryByte: a certificate of which any byte was changed is refused, by its form or by its issuer's signature.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	trust := f.trust(t)
	for i := range f.seal {
		c, err := cert.Parse(flip(f.seal, i))
		if err == nil && trust.Check(c, now) == nil {
			t.Errorf("byte %d may be changed", i)
		}
	}
	for n := range f.seal {
		if _, err := cert.Parse(f.seal[:n]); err == nil {
			t.Errorf("%d bytes are enough", n)
		}
	}
	_, err := cert.Parse(append(slices.Clone(f.seal), 0))
	refused(t, err, cert.ReasonMalformed)
}

// TestEnveloped: a pair that a key management centre made comes into the ring; a changed envelope, another's, one of
// another pair and one for a signing key do not.
func TestEnveloped(t *testing.T) {
	t.Parallel()
	f := newFederation(t)
	pair := must[crypto.Private](t)(f.suite.Generate())
	der := envelope(t, f, f.request.Seal, pair)
	e := must[*cert.Enveloped](t)(cert.ParseEnveloped(der))
	id := must[string](t)(e.Import(f.suite, f.ring, f.sealID))
	if public := must[crypto.Public](t)(f.ring.Public(id)); !bytes.Equal(public, pair.Public()) {
		t.Error("another key was imported")
	}
	c := parse(t, must[[]byte](t)(f.middle.Seal(f.request, pair.Public(), year(0, 1))))
	if !bytes.Equal(c.Public, pair.Public()) {
		t.Error("the certificate is of another key")
	}
	_, err := e.Import(f.suite, f.ring, f.signID)
	refused(t, err, cert.ReasonEnvelope)
	_, err = e.Import(f.suite, f.ring, id)
	refused(t, err, cert.ReasonEnvelope)
	_, err = e.Import(f.suite, f.ring, "none")
	if err == nil {
		t.Error("a key that is not there opens it")
	}
	for i := range der {
		changed, err := cert.ParseEnveloped(flip(der, i))
		if err != nil {
			continue
		}
		if _, err = changed.Import(f.suite, f.ring, f.sealID); err == nil {
			t.Errorf("byte %d may be changed", i)
		}
	}
}

func envelope(t testing.TB, f *federation, to crypto.Public, pair crypto.Private) []byte {
	t.Helper()
	key := make([]byte, crypto.KeySize)
	_, _ = rand.Read(key)
	return must[[]byte](t)(cert.Envelope(f.suite, to, pair, key))
}

func flip(b []byte, i int) []byte {
	out := slices.Clone(b)
	out[i] ^= 1
	return out
}
