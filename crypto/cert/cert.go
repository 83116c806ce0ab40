// Package cert reads, checks and issues the certificates of the federation: X.509 version 3 with SM2 and SM3 (GM/T
// 0015, GB/T 20518). A region has two of them (double certificates): one whose key signs (digitalSignature and
// nonRepudiation) and one whose key others encrypt to (keyEncipherment). Each is refused in the other's place.
//
// Certificates are parsed by gmsm's smx509, behind a gate of this package: a bound on the size, strict DER (definite
// lengths in their shortest form, bounded nesting), exactly the algorithms that the federation uses. Nothing is
// verified by that library: a signature is checked by the engine of package crypto over the bytes as they came, and
// the path, the usages, the validity and the revocation lists are checked here. There is no PKCS#7 and no PKCS#12.
//
// A request (PKCS#10) is signed by a key of a ring by its id: the private key never leaves the ring. The encryption key
// of a region signs nothing; its public half travels in the request of the signing key.
package cert

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/emmansun/gmsm/smx509"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// Bounds, in bytes and counts.
const (
	CertificateMax = 4 << 10   // a certificate
	RequestMax     = 8 << 10   // a request
	ListMax        = 256 << 10 // a revocation list
	EntriesMax     = 4096      // entries of a list
	AuthoritiesMax = 32        // certificates of authorities that are trusted together
	ListsMax       = 32        // revocation lists that are used together
	PathMax        = 4         // certificates from a region's to the root's, both included
	serialMax      = 20        // RFC 5280 4.1.2.2
	nameMax        = 64        // of a part of a name
)

// Use is what the key of a certificate is for.
type Use string

// The uses. A certificate has exactly one.
const (
	UseSign      Use = "sign"      // signatures of a region
	UseSeal      Use = "seal"      // content keys of parcels to a region
	UseAuthority Use = "authority" // certificates and revocation lists
)

// Reason says why something was refused; it is stable, for audit and metrics.
type Reason string

// The reasons.
const (
	ReasonMalformed   Reason = "malformed"        // not strict DER, too large, or not of its form
	ReasonAlgorithm   Reason = "algorithm"        // not SM2 with SM3
	ReasonKey         Reason = "key"              // not a point of SM2's curve, or another key than was expected
	ReasonSubject     Reason = "subject"          // another region, or none
	ReasonUsage       Reason = "usage"            // the usages do not fit
	ReasonConstraints Reason = "constraints"      // a region's certificate that could issue, an authority's that could not
	ReasonExtension   Reason = "extension"        // a critical extension that this package does not enforce
	ReasonValidity    Reason = "validity"         // not valid at that time
	ReasonSignature   Reason = "signature"        // does not verify
	ReasonIssuer      Reason = "issuer_unknown"   // no path to a root
	ReasonPath        Reason = "path_length"      // the path is longer than it may be
	ReasonRevoked     Reason = "revoked"          // the issuer's list names it
	ReasonTwice       Reason = "twice"            // the same thing stands twice
	ReasonEnvelope    Reason = "enveloped_key"    // an enveloped key does not open, or holds another key
	ReasonMissing     Reason = "missing"          // there is none where one must be
	ReasonTooMany     Reason = "too_many"         // more than the bound
	ReasonList        Reason = "revocation_list"  // a list that is of no authority here, or not of the time
	ReasonListExpired Reason = "list_out_of_date" // the next list is overdue
)

// RefusedError is a refusal. Detail is for people and quotes nothing secret.
type RefusedError struct {
	Reason Reason
	Detail string
}

// Error is the reason and the detail.
func (e *RefusedError) Error() string { return "cert: " + string(e.Reason) + ": " + e.Detail }

func refuse(reason Reason, format string, args ...any) error {
	return &RefusedError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// Certificate is a certificate whose form was checked. Who issued it was not: see Trust. Read only.
type Certificate struct {
	Raw       []byte // DER
	Serial    string // lower-case hexadecimal
	Subject   string // RFC 2253
	Issuer    string // RFC 2253
	Region    string // the common name of the subject; a region's certificate has the region's code there
	Use       Use
	Public    crypto.Public
	NotBefore time.Time
	NotAfter  time.Time // the last second of its validity
	PathLen   int       // of an authority: how many authorities may stand below it; -1 for no bound
	SignsList bool      // of an authority: it may sign revocation lists

	parsed    *smx509.Certificate
	signed    []byte // what the signature is over
	signature []byte
}

// ValidAt reports whether t lies within the validity.
func (c *Certificate) ValidAt(t time.Time) bool {
	return !t.Before(c.NotBefore) && !t.After(c.NotAfter)
}

// Parse reads one certificate in DER, or refuses it. Errors: *RefusedError.
func Parse(der []byte) (*Certificate, error) {
	if err := strict(der, CertificateMax); err != nil {
		return nil, err
	}
	parts, err := split(der)
	if err != nil {
		return nil, err
	}
	var parsed *smx509.Certificate
	if !sm.Survives(func() bool { parsed, err = smx509.ParseCertificate(der); return err == nil }) {
		return nil, refuse(ReasonMalformed, "not a certificate: %v", err)
	}
	c := &Certificate{
		Raw: bytes.Clone(der), Serial: hex.EncodeToString(parsed.SerialNumber.Bytes()),
		Subject: parsed.Subject.String(), Issuer: parsed.Issuer.String(), Region: parsed.Subject.CommonName,
		NotBefore: parsed.NotBefore, NotAfter: parsed.NotAfter, PathLen: -1,
		parsed: parsed, signed: parsed.RawTBSCertificate, signature: parts.signature,
	}
	serial := parsed.SerialNumber
	switch {
	case parsed.Version != 3:
		return nil, refuse(ReasonMalformed, "version %d", parsed.Version)
	case serial.Sign() <= 0 || len(serial.Bytes()) > serialMax:
		return nil, refuse(ReasonMalformed, "serial number")
	case c.NotAfter.Before(c.NotBefore):
		return nil, refuse(ReasonValidity, "it ends before it begins")
	}
	if c.Public, err = publicOf(parsed.RawSubjectPublicKeyInfo); err != nil {
		return nil, err
	}
	if err = checkExtensions(parsed); err != nil {
		return nil, err
	}
	if err = c.classify(); err != nil {
		return nil, err
	}
	return c, nil
}

// Extensions that this package enforces; the last number of 2.5.29.
const (
	extKeyUsage        = 15
	extConstraints     = 19
	extNameConstraints = 30
)

// checkExtensions refuses what would have to be enforced and is not.
func checkExtensions(c *smx509.Certificate) error {
	for _, e := range c.Extensions {
		standard := len(e.Id) == 4 && e.Id[0] == 2 && e.Id[1] == 5 && e.Id[2] == 29
		enforced := standard && (e.Id[3] == extKeyUsage || e.Id[3] == extConstraints)
		if (e.Critical && !enforced) || (standard && e.Id[3] == extNameConstraints) {
			return refuse(ReasonExtension, "%s is not enforced here", e.Id)
		}
	}
	return nil
}

// The key usages of GM/T 0015. A signing certificate needs both of its bits; an encryption one needs keyEncipherment,
// since content keys are what is encrypted, and may have the other two.
const (
	usageSign = smx509.KeyUsageDigitalSignature | smx509.KeyUsageContentCommitment
	usageSeal = smx509.KeyUsageKeyEncipherment | smx509.KeyUsageDataEncipherment | smx509.KeyUsageKeyAgreement
	usageCA   = smx509.KeyUsageCertSign | smx509.KeyUsageCRLSign
)

// classify finds the one use that the certificate allows.
func (c *Certificate) classify() error {
	usage := c.parsed.KeyUsage
	if c.parsed.IsCA {
		if usage&smx509.KeyUsageCertSign == 0 || usage&usageSeal != 0 {
			return refuse(ReasonUsage, "an authority's certificate signs certificates and encrypts nothing")
		}
		c.Use, c.SignsList = UseAuthority, usage&smx509.KeyUsageCRLSign != 0
		if c.parsed.MaxPathLen > 0 || c.parsed.MaxPathLenZero {
			c.PathLen = c.parsed.MaxPathLen
		}
		return nil
	}
	if usage&usageCA != 0 {
		return refuse(ReasonConstraints, "it may sign certificates or lists, and is no authority's")
	}
	switch {
	case usage == usageSign:
		c.Use = UseSign
	case usage&smx509.KeyUsageKeyEncipherment != 0 && usage&^usageSeal == 0:
		c.Use = UseSeal
	default:
		return refuse(ReasonUsage,
			"it must be for digitalSignature and nonRepudiation, or for keyEncipherment: double certificates (GM/T 0015)")
	}
	return nil
}

// Check returns nil if the certificate is for that use and that region. Errors: *RefusedError.
func (c *Certificate) Check(use Use, region string) error {
	if c.Use != use {
		return refuse(ReasonUsage, "a certificate for %s stands where one for %s must", c.Use, use)
	}
	if c.Region != region {
		return refuse(ReasonSubject, "its common name is %q, not the region's code %s", c.Region, region)
	}
	return nil
}

// issuedBy reports whether names and key ids say that a issued c. A signature is still to be checked.
func (c *Certificate) issuedBy(a *Certificate) bool {
	return a.Use == UseAuthority && bytes.Equal(c.parsed.RawIssuer, a.parsed.RawSubject) &&
		sameKeyID(c.parsed.AuthorityKeyId, a.parsed.SubjectKeyId)
}

func sameKeyID(wanted, has []byte) bool {
	return len(wanted) == 0 || len(has) == 0 || bytes.Equal(wanted, has)
}

// verify checks the signature with the key of the issuer.
func (c *Certificate) verify(suite crypto.Suite, issuer *Certificate) error {
	v, err := suite.Verifier(issuer.Public)
	if err != nil || v.Verify(c.signed, c.signature) != nil {
		return refuse(ReasonSignature, "%s is not signed by %s", c.Subject, issuer.Subject)
	}
	return nil
}

// parts are what stands around what is signed.
type parts struct{ signature []byte }

// split reads the outermost form that certificates, requests and lists share: what is signed, the algorithm, the
// signature.
func split(der []byte) (parts, error) {
	var outer, body, algorithm, bits cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1(&outer, asn1.SEQUENCE) || !outer.ReadASN1(&body, asn1.SEQUENCE) ||
		!outer.ReadASN1(&algorithm, asn1.SEQUENCE) || !outer.ReadASN1(&bits, asn1.BIT_STRING) || !outer.Empty() {
		return parts{}, refuse(ReasonMalformed, "not a signed structure")
	}
	var unused uint8
	if !bits.ReadUint8(&unused) || unused != 0 {
		return parts{}, refuse(ReasonMalformed, "signature")
	}
	if !isSM2WithSM3(algorithm) {
		return parts{}, refuse(ReasonAlgorithm, "the signature is not SM2 with SM3 (1.2.156.10197.1.501)")
	}
	return parts{signature: bits}, nil
}
