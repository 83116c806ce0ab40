package cert

import (
	"bytes"
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"

	"github.com/emmansun/gmsm/smx509"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// Request is a certificate request (PKCS#10) whose form and signature were checked: who made it has the private key of
// Public. Nothing else about it is proven. Read only.
type Request struct {
	Raw     []byte
	Subject string // RFC 2253
	Region  string // the common name
	Public  crypto.Public
	// Seal is the region's encryption key, or nil: it travels as subjectAltPublicKeyInfo (2.5.29.72, X.509), and the
	// signing key vouches for it. An authority with a key management centre ignores it and has it make a pair; then it
	// is what the pair's private key is enveloped for.
	Seal crypto.Public

	name []byte // the subject's DER
}

// ParseRequest reads one request in DER, or refuses it. Errors: *RefusedError.
func ParseRequest(suite crypto.Suite, der []byte) (*Request, error) {
	if err := strict(der, RequestMax); err != nil {
		return nil, err
	}
	p, err := split(der)
	if err != nil {
		return nil, err
	}
	var parsed *smx509.CertificateRequest
	if !sm.Survives(func() bool { parsed, err = smx509.ParseCertificateRequest(der); return err == nil }) {
		return nil, refuse(ReasonMalformed, "not a certificate request: %v", err)
	}
	r := &Request{
		Raw: bytes.Clone(der), Subject: parsed.Subject.String(), Region: parsed.Subject.CommonName, name: parsed.RawSubject,
	}
	if parsed.Version != 0 {
		return nil, refuse(ReasonMalformed, "version %d", parsed.Version)
	}
	if r.Public, err = publicOf(parsed.RawSubjectPublicKeyInfo); err != nil {
		return nil, err
	}
	v, err := suite.Verifier(r.Public)
	if err != nil || v.Verify(parsed.RawTBSCertificateRequest, p.signature) != nil {
		return nil, refuse(ReasonSignature, "the request of %s is not signed by its own key", r.Subject)
	}
	for _, e := range parsed.Extensions {
		if !e.Id.Equal(oidAltPublicKey()) {
			continue
		}
		if r.Seal != nil {
			return nil, refuse(ReasonTwice, "the encryption key")
		}
		if r.Seal, err = publicOf(e.Value); err != nil {
			return nil, err
		}
		if bytes.Equal(r.Seal, r.Public) {
			return nil, refuse(ReasonKey, "one key for signing and for encryption; a key has one use")
		}
	}
	return r, nil
}

// oidAltPublicKey is subjectAltPublicKeyInfo.
func oidAltPublicKey() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 72} }

// Name is the subject of a region or of an authority.
type Name struct {
	Country      string // two letters; "" is CN
	Organization string // may be empty
	Common       string // the region's code, or the authority's name
}

func (n Name) pkix() (pkix.Name, error) {
	if n.Common == "" || len(n.Common) > nameMax || len(n.Organization) > nameMax ||
		len(n.Country) != 2 && n.Country != "" {
		return pkix.Name{}, refuse(ReasonSubject, "a name has a common name of 1 to %d bytes and a country of two letters",
			nameMax)
	}
	out := pkix.Name{Country: []string{"CN"}, CommonName: n.Common}
	if n.Country != "" {
		out.Country[0] = n.Country
	}
	if n.Organization != "" {
		out.Organization = []string{n.Organization}
	}
	return out, nil
}

// NewRequest makes a request for the signer's key. seal is the region's encryption key, nil for none. Errors:
// *RefusedError, the signer's.
func NewRequest(signer Signer, name Name, seal crypto.Public) ([]byte, error) {
	subject, err := name.pkix()
	if err != nil {
		return nil, err
	}
	template := &smx509.CertificateRequest{Subject: subject, SignatureAlgorithm: smx509.SM2WithSM3}
	if seal != nil {
		if sm.CheckPublic(seal) != nil || bytes.Equal(seal, signer.Public()) {
			return nil, refuse(ReasonKey, "the encryption key is no key, or the signing key")
		}
		value, failed := encodePublic(seal)
		if failed != nil {
			return nil, failed
		}
		template.ExtraExtensions = []pkix.Extension{{Id: oidAltPublicKey(), Value: value}}
	}
	key, err := newSigning(signer)
	if err != nil {
		return nil, err
	}
	return smx509.CreateCertificateRequest(rand.Reader, template, key)
}
