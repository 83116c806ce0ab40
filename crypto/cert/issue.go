package cert

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"slices"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/smx509"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// Terms are the validity of what is issued: whole seconds, both ends included.
type Terms struct{ NotBefore, NotAfter time.Time }

// Issuer is an authority that signs: its certificate, and its key wherever that stands.
type Issuer struct {
	certificate *Certificate
	key         *signing
}

// NewIssuer puts a certificate and its key together. Errors: *RefusedError.
func NewIssuer(der []byte, signer Signer) (*Issuer, error) {
	c, err := Parse(der)
	if err != nil {
		return nil, err
	}
	if c.Use != UseAuthority {
		return nil, refuse(ReasonConstraints, "%s is not an authority's certificate", c.Subject)
	}
	if !bytes.Equal(c.Public, signer.Public()) {
		return nil, refuse(ReasonKey, "the certificate of %s is of another key", c.Subject)
	}
	key, err := newSigning(signer)
	if err != nil {
		return nil, err
	}
	return &Issuer{certificate: c, key: key}, nil
}

// Certificate is the authority's.
func (i *Issuer) Certificate() *Certificate { return i.certificate }

// NewRoot makes a certificate that the key signs for itself, in DER. pathLen is how many authorities may stand below
// it.
// Errors: *RefusedError, the signer's.
func NewRoot(signer Signer, name Name, terms Terms, pathLen int) ([]byte, error) {
	subject, err := name.pkix()
	if err != nil {
		return nil, err
	}
	template, err := authorityTemplate(signer.Public(), terms, pathLen)
	if err != nil {
		return nil, err
	}
	template.Subject = subject
	key, err := newSigning(signer)
	if err != nil {
		return nil, err
	}
	return issue(template, template, key.public, key)
}

// Authority issues the certificate of an authority below this one. Errors: *RefusedError, the signer's.
func (i *Issuer) Authority(r *Request, terms Terms, pathLen int) ([]byte, error) {
	if i.certificate.PathLen >= 0 && pathLen >= i.certificate.PathLen {
		return nil, refuse(ReasonPath, "%s may have %d authorities below it", i.certificate.Subject, i.certificate.PathLen)
	}
	template, err := authorityTemplate(r.Public, terms, pathLen)
	if err != nil {
		return nil, err
	}
	return i.issue(template, r, r.Public)
}

func authorityTemplate(public crypto.Public, terms Terms, pathLen int) (*smx509.Certificate, error) {
	if pathLen < 0 || pathLen > PathMax-2 {
		return nil, refuse(ReasonPath, "0 to %d authorities may stand below one", PathMax-2)
	}
	t, err := newTemplate(public, terms)
	if err != nil {
		return nil, err
	}
	t.IsCA, t.MaxPathLen, t.MaxPathLenZero, t.KeyUsage = true, pathLen, pathLen == 0, usageCA
	return t, nil
}

// Sign issues a region's signing certificate. Errors: *RefusedError, the signer's.
func (i *Issuer) Sign(r *Request, terms Terms) ([]byte, error) {
	t, err := newTemplate(r.Public, terms)
	if err != nil {
		return nil, err
	}
	t.KeyUsage = usageSign
	return i.issue(t, r, r.Public)
}

// Seal issues a region's encryption certificate, for the key that the request carries beside its own, or for public if
// that is not nil: a pair that a key management centre has made. Errors: *RefusedError, the signer's.
func (i *Issuer) Seal(r *Request, public crypto.Public, terms Terms) ([]byte, error) {
	if public == nil {
		public = r.Seal
	}
	if public == nil {
		return nil, refuse(ReasonMissing, "the request of %s carries no encryption key", r.Subject)
	}
	if bytes.Equal(public, r.Public) {
		return nil, refuse(ReasonKey, "one key for signing and for encryption; a key has one use")
	}
	t, err := newTemplate(public, terms)
	if err != nil {
		return nil, err
	}
	t.KeyUsage = usageSeal
	return i.issue(t, r, public)
}

func newTemplate(public crypto.Public, terms Terms) (*smx509.Certificate, error) {
	from, until := terms.NotBefore.UTC().Truncate(time.Second), terms.NotAfter.UTC().Truncate(time.Second)
	if !from.Before(until) {
		return nil, refuse(ReasonValidity, "it ends before it begins")
	}
	if sm.CheckPublic(public) != nil {
		return nil, refuse(ReasonKey, "not a point of the curve")
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	id := sm3.Sum(public)
	return &smx509.Certificate{
		SerialNumber: serial, NotBefore: from, NotAfter: until, BasicConstraintsValid: true,
		SubjectKeyId: id[:20], SignatureAlgorithm: smx509.SM2WithSM3,
	}, nil
}

// newSerial draws 127 bits: what nobody can foresee keeps a collision of digests from being prepared.
func newSerial() (*big.Int, error) {
	var raw [16]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return nil, err
	}
	raw[0] = raw[0]&0x7f | 0x40 // positive, and always of the same length
	return new(big.Int).SetBytes(raw[:]), nil
}

func (i *Issuer) issue(t *smx509.Certificate, r *Request, public crypto.Public) ([]byte, error) {
	a := i.certificate
	if t.NotBefore.Before(a.NotBefore) || t.NotAfter.After(a.NotAfter) {
		return nil, refuse(ReasonValidity, "%s is valid from %s to %s; what it issues must lie within", a.Subject,
			a.NotBefore.Format(time.RFC3339), a.NotAfter.Format(time.RFC3339))
	}
	if bytes.Equal(r.name, a.parsed.RawSubject) {
		return nil, refuse(ReasonSubject, "the name of the authority itself")
	}
	if r.Region == "" {
		return nil, refuse(ReasonSubject, "the request has no common name")
	}
	key, err := sm2.NewPublicKey(public)
	if err != nil {
		return nil, refuse(ReasonKey, "not a point of the curve")
	}
	t.RawSubject = r.name
	return issue(t, a.parsed, key, i.key)
}

// issue encodes and signs, and reads what it made: nothing leaves that this package would refuse.
func issue(t, parent *smx509.Certificate, public any, key *signing) ([]byte, error) {
	der, err := smx509.CreateCertificate(rand.Reader, t, parent, public, key)
	if err != nil {
		return nil, err
	}
	_, err = Parse(der)
	return der, err
}

// List signs a revocation list in DER. Entries are put in the order of their serial numbers. Errors: *RefusedError, the
// signer's.
func (i *Issuer) List(entries []Entry, number *big.Int, thisUpdate, nextUpdate time.Time) ([]byte, error) {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b Entry) int { return bytes.Compare([]byte(a.Serial), []byte(b.Serial)) })
	t := &smx509.RevocationList{
		Number: number, ThisUpdate: thisUpdate.UTC().Truncate(time.Second),
		NextUpdate: nextUpdate.UTC().Truncate(time.Second), SignatureAlgorithm: smx509.SM2WithSM3,
	}
	for _, e := range entries {
		raw, err := hex.DecodeString(e.Serial)
		if err != nil {
			return nil, refuse(ReasonMalformed, "serial number %q is not hexadecimal", e.Serial)
		}
		t.RevokedCertificateEntries = append(t.RevokedCertificateEntries, smx509.RevocationListEntry{
			SerialNumber: new(big.Int).SetBytes(raw), RevocationTime: e.Since.UTC().Truncate(time.Second), ReasonCode: e.Code,
		})
	}
	der, err := smx509.CreateRevocationList(rand.Reader, t, i.certificate.parsed, i.key)
	if err != nil {
		return nil, err
	}
	_, err = ParseList(der)
	return der, err
}
