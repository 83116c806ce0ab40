package evidence

import (
	"slices"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/wire"
)

// ProofOf makes the proof of one message of a parcel that the state keeps. It is false where the parcel does not have
// the message's leaf, which only a damaged record has.
func ProofOf(h federation.Hash, e *ledger.Evidence, index int) (federation.Proof, bool) {
	m := &e.Parcel.Messages[index]
	leaves := make([][federation.HashSize]byte, len(e.Parcel.Leaves)/federation.HashSize)
	for i := range leaves {
		copy(leaves[i][:], e.Parcel.Leaves[i*federation.HashSize:])
	}
	leaf := federation.Leaf(h, &federation.Message{
		Class: federation.Numbered, Number: m.Number, Chain: m.Chain, Salt: m.Salt, Body: m.Body,
		PersonsDigest: m.PersonsDigest,
	})
	at := slices.Index(leaves, leaf)
	if at < 0 {
		return federation.Proof{}, false
	}
	return federation.Proof{
		Header: e.Parcel.Header, Signature: e.Parcel.Signature,
		Index: uint32(at), Count: uint32(len(leaves)), //nolint:gosec // at most federation.ParcelMessagesMax
		Path:  federation.Path(h, leaves, at),
		Class: federation.Numbered, Number: m.Number, Chain: m.Chain, Salt: m.Salt, Body: m.Body,
		PersonsSalt: m.PersonsSalt, PersonsDigest: m.PersonsDigest,
	}, true
}

// Signed finds the header of a receipt: its own, or that of the parcel which brought it.
func Signed(v Source, peer federation.Region, r *ledger.Receipt) ([]byte, []byte, error) {
	if r.First == 0 {
		return r.Header, r.Signature, nil
	}
	e, err := v.EvidenceAt(peer, r.Epoch, r.First)
	if err != nil || e == nil {
		return nil, nil, err
	}
	return e.Parcel.Header, e.Parcel.Signature, nil
}

// Collect puts what the state has about a subject into a bundle. The persons' salts are left out unless opening is
// wanted: with one somebody could guess an identity number and hold it against the digest.
func (b *Bundle) Collect(v Source, h federation.Hash, opening bool) error {
	asked, err := v.Asked(b.Subject)
	if err != nil {
		return err
	}
	for _, a := range asked[:min(len(asked), requestsMax)] {
		b.Requests = append(b.Requests, requestOf(a))
	}
	said, err := v.Said(b.Subject, "")
	if err != nil {
		return err
	}
	receipts := map[receiptPlace]*Receipt{}
	for i := range said {
		s := &said[i]
		if s.Sent != nil {
			err = b.sent(v, h, &s.Place, receipts)
		} else if p, ok := ProofOf(h, s.Evidence, s.Index); ok {
			b.Add(p, opening)
		}
		if err != nil {
			return err
		}
	}
	for _, r := range receipts {
		b.Receipts = append(b.Receipts, *r) // Sign puts them in order
	}
	return nil
}

// receiptPlace names a receipt: its link, and the number that it acks.
type receiptPlace struct {
	peer          federation.Region
	epoch, number uint64
}

// sent sees to it that the receipt of a message is in the bundle. One that is not acked yet is not: nobody else has
// signed for it.
func (b *Bundle) sent(v Source, h federation.Hash, p *ledger.Place, have map[receiptPlace]*Receipt) error {
	at, r, err := v.Receipt(p.Peer, p.Epoch, p.Number)
	if err != nil || r == nil {
		return err
	}
	place := receiptPlace{p.Peer, p.Epoch, at}
	if have[place] != nil {
		return nil // messages come in the order of their numbers: the first began it
	}
	header, signature, err := Signed(v, p.Peer, r)
	if err != nil || len(header) == 0 {
		return err
	}
	out := &Receipt{Header: header, Signature: signature, First: p.Number}
	var before [federation.HashSize]byte
	if p.Number > 1 {
		m, err := v.Sent(p.Peer, p.Epoch, p.Number-1)
		if err != nil || m == nil {
			return err
		}
		before = m.Chain
	}
	out.Before = before[:]
	for n := p.Number; n <= at; n++ {
		m, err := v.Sent(p.Peer, p.Epoch, n)
		if err != nil || m == nil {
			return err // what lies between stands in an archive that is missing: there is no proof without it
		}
		out.Contents = append(out.Contents, b.contentOf(h, m))
	}
	have[place] = out
	return nil
}

// contentOf shows a message about the subject, and of any other only the digest.
func (b *Bundle) contentOf(h federation.Hash, m *ledger.OutMessage) Content {
	var digest [federation.HashSize]byte
	if m.Persons != nil {
		digest = m.Persons.Digest
	}
	if body, err := wire.Decode(m.Body); err == nil && Subject(body) == b.Subject {
		c := Content{Body: m.Body}
		if m.Persons != nil {
			c.Persons = digest[:]
		}
		return c
	}
	d := federation.ContentDigest(h, m.Body, digest)
	return Content{Digest: d[:]}
}
