// Package evidence is about what was signed, by whom, and the proof of it.
//
// A ticket is the answer of a beneficiary's home to a look-up: it saw the credential, and it offers these grants
// for this payment. Every hold request carries the ticket as a federation.Proof, and the payer's home checks it
// here, so a visit region cannot invent a visit for somebody else's relative (design 5, R-28).
package evidence

import (
	"errors"
	"fmt"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// rootsMax is how many verified signatures are remembered: a parcel of tickets costs one verification, however many
// holds it is shown for.
const rootsMax = 4096

// ErrTicket: the ticket does not allow this hold. The text says why; it names no person.
var ErrTicket = errors.New("evidence: ticket refused")

// Tickets checks tickets. Safe for concurrent use.
type Tickets struct {
	roots *federation.RootCache
	hash  federation.Hash
	self  federation.Region
}

// NewTickets makes a Tickets of a region.
func NewTickets(self federation.Region, s federation.Sealer) *Tickets {
	return &Tickets{roots: federation.NewRootCache(s, rootsMax), hash: s.Hash, self: self}
}

// Shown is a person whom a hold request names, with the salt of the request's own commitment to them.
type Shown struct {
	Who  vault.Identity
	Salt [federation.SaltSize]byte
}

// Check returns nil if the hold request that origin sent is allowed by its ticket: signed by the home of the person
// that the request is for, for this payment, this visit region, this grant, this person, at least this amount, and
// not expired. A ticket is shown without the salt of its persons, so that it can be evidence for third parties: then
// the salt is that of the request.
func (t *Tickets) Check(
	dir *federation.Directory, origin federation.Region, h *wirepb.HoldRequest, shown Shown, now time.Time,
) error {
	who := shown.Who
	if len(h.GetTicket()) == 0 {
		return fmt.Errorf("%w: there is none", ErrTicket)
	}
	if dir == nil {
		return fmt.Errorf("%w: no directory", ErrTicket)
	}
	proof, err := federation.DecodeProof(h.GetTicket())
	if err != nil {
		return fmt.Errorf("%w: not a proof", ErrTicket)
	}
	header, err := t.roots.VerifyProof(dir, proof)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTicket, err)
	}
	body, err := wire.Decode(proof.Body)
	if err != nil || body.GetTicket() == nil || proof.Class != federation.Answer {
		return fmt.Errorf("%w: the proof is of something else", ErrTicket)
	}
	ticket := body.GetTicket()
	salt := proof.PersonsSalt
	if salt == ([federation.SaltSize]byte{}) {
		salt = shown.Salt
	}
	switch {
	case string(header.From) != who.Region:
		return fmt.Errorf("%w: not signed by the home of the person", ErrTicket)
	case federation.PersonsDigest(t.hash, salt, vault.Clear(who)) != proof.PersonsDigest:
		return fmt.Errorf("%w: of another person", ErrTicket)
	case header.To != origin || ticket.GetVisitRegion() != string(origin):
		return fmt.Errorf("%w: for another visit region", ErrTicket)
	case ticket.GetCode() != "":
		return fmt.Errorf("%w: the look-up was refused", ErrTicket)
	case ticket.GetPaymentId() == "" || ticket.GetPaymentId() != h.GetPaymentId():
		return fmt.Errorf("%w: for another payment", ErrTicket)
	case ticket.GetAmount() < h.GetAmount():
		return fmt.Errorf("%w: for a smaller amount", ErrTicket)
	case now.UnixMicro() > ticket.GetExpires():
		return fmt.Errorf("%w: expired", ErrTicket)
	}
	for _, o := range ticket.GetOffers() {
		if o.GetGrantId() == h.GetGrantId() && o.GetRegion() == string(t.self) {
			return nil
		}
	}
	return fmt.Errorf("%w: for other grants", ErrTicket)
}

// Blind takes the salt of its persons out of a ticket, and returns it with the commitment, for the hold requests that
// show the ticket. What is no proof stays as it is: whoever is shown it refuses it.
func Blind(ticket []byte) ([]byte, [federation.SaltSize]byte, [federation.HashSize]byte) {
	p, err := federation.DecodeProof(ticket)
	if err != nil {
		return ticket, [federation.SaltSize]byte{}, [federation.HashSize]byte{}
	}
	return federation.EncodeProof(p.Blind()), p.PersonsSalt, p.PersonsDigest
}
