package cert

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// List is a revocation list (CRL, version 2) whose form was checked. Who signed it was not: see Trust. Read only.
type List struct {
	Raw        []byte
	Issuer     string
	Number     *big.Int // rises with every list of an authority
	ThisUpdate time.Time
	NextUpdate time.Time // from here on the next list is overdue
	Entries    []Entry   // in the order of the list

	parsed    *smx509.RevocationList
	signature []byte
	serials   map[string]bool
}

// Entry is one revoked certificate.
type Entry struct {
	Serial string // lower-case hexadecimal
	Since  time.Time
	Code   int // the reason code of RFC 5280 5.3.1
}

// Extensions of a list and of its entries that this package understands; the last number of 2.5.29.
const (
	extListNumber   = 20
	extReasonCode   = 21
	extInvalidity   = 24
	extAuthorityKey = 35
)

// ParseList reads one revocation list in DER, or refuses it: one of version 2, complete (no delta, no partition, all
// entries of the issuer itself), with a number and a next update. Errors: *RefusedError.
func ParseList(der []byte) (*List, error) {
	if err := strict(der, ListMax); err != nil {
		return nil, err
	}
	p, err := split(der)
	if err != nil {
		return nil, err
	}
	var parsed *smx509.RevocationList
	if !sm.Survives(func() bool { parsed, err = smx509.ParseRevocationList(der); return err == nil }) {
		return nil, refuse(ReasonMalformed, "not a revocation list: %v", err)
	}
	l := &List{
		Raw: bytes.Clone(der), Issuer: parsed.Issuer.String(), Number: parsed.Number, ThisUpdate: parsed.ThisUpdate,
		NextUpdate: parsed.NextUpdate, parsed: parsed, signature: p.signature, serials: map[string]bool{},
	}
	switch {
	case l.Number == nil || l.Number.Sign() < 0 || len(l.Number.Bytes()) > serialMax:
		return nil, refuse(ReasonMalformed, "the list has no number")
	case !l.ThisUpdate.Before(l.NextUpdate):
		return nil, refuse(ReasonMalformed, "the list does not say when the next one comes")
	case len(parsed.RevokedCertificateEntries) > EntriesMax:
		return nil, refuse(ReasonTooMany, "%d entries; the bound is %d", len(parsed.RevokedCertificateEntries), EntriesMax)
	}
	for _, e := range parsed.Extensions {
		if !understood(e.Id, extListNumber, extAuthorityKey) {
			return nil, refuse(ReasonExtension, "%s: the list is not complete, or not this issuer's alone", e.Id)
		}
	}
	return l, l.readEntries()
}

func understood(oid []int, last ...int) bool {
	return len(oid) == 4 && oid[0] == 2 && oid[1] == 5 && oid[2] == 29 && slices.Contains(last, oid[3])
}

func (l *List) readEntries() error {
	for _, e := range l.parsed.RevokedCertificateEntries {
		for _, x := range e.Extensions {
			if x.Critical && !understood(x.Id, extReasonCode, extInvalidity) {
				return refuse(ReasonExtension, "an entry's %s is not understood here", x.Id)
			}
		}
		serial := hex.EncodeToString(e.SerialNumber.Bytes())
		if e.SerialNumber.Sign() <= 0 || len(e.SerialNumber.Bytes()) > serialMax || l.serials[serial] {
			return refuse(ReasonMalformed, "serial number of an entry")
		}
		l.serials[serial] = true
		l.Entries = append(l.Entries, Entry{Serial: serial, Since: e.RevocationTime, Code: e.ReasonCode})
	}
	return nil
}

// Names reports whether the list names a serial number (lower-case hexadecimal).
func (l *List) Names(serial string) bool { return l.serials[serial] }

// Overdue reports whether the next list should be there by now.
func (l *List) Overdue(now time.Time) bool { return !now.Before(l.NextUpdate) }

func (l *List) issuedBy(a *Certificate) bool {
	return bytes.Equal(l.parsed.RawIssuer, a.parsed.RawSubject) &&
		sameKeyID(l.parsed.AuthorityKeyId, a.parsed.SubjectKeyId)
}

// Verify returns nil if the authority a signed the list. Errors: *RefusedError.
func (l *List) Verify(suite crypto.Suite, a *Certificate) error {
	if a.Use != UseAuthority || !a.SignsList || !l.issuedBy(a) {
		return refuse(ReasonList, "the list of %s is not one of %s", l.Issuer, a.Subject)
	}
	return l.verify(suite, a)
}

func (l *List) verify(suite crypto.Suite, a *Certificate) error {
	v, err := suite.Verifier(a.Public)
	if err != nil || v.Verify(l.parsed.RawTBSRevocationList, l.signature) != nil {
		return refuse(ReasonSignature, "the list of %s does not verify", l.Issuer)
	}
	return nil
}

func errorsAs(err error) (*RefusedError, bool) { return errors.AsType[*RefusedError](err) }
