package ledger

import (
	"gongji/federation"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// Inbound is one numbered message of a peer.
type Inbound struct {
	Number        uint64
	Chain         [federation.HashSize]byte
	Salt          [federation.SaltSize]byte // of the leaf
	Body          []byte
	PersonsSalt   [federation.SaltSize]byte
	PersonsDigest [federation.HashSize]byte
	Person        *Person     // resolved by the leader from the message's persons
	Persons       *Person     // the first person of two, where there are two
	Ticket        policy.Code // why the ticket of a hold request was refused; empty: good
}

// Walk is the record.Record of an Inbound.
func (m *Inbound) Walk(c *record.Coder) {
	c.U64(&m.Number)
	c.Fixed(m.Chain[:])
	c.Fixed(m.Salt[:])
	c.Bytes(&m.Body)
	c.Fixed(m.PersonsSalt[:])
	c.Fixed(m.PersonsDigest[:])
	record.Opt(c, &m.Person)
	record.Opt(c, &m.Persons)
	record.Str(c, &m.Ticket)
}

// Parcel is what was signed by a peer and passed every check that needs no state, and its messages.
type Parcel struct {
	Epoch     uint64
	AckEpoch  uint64
	AckNumber uint64
	Protocol  uint16
	Header    []byte // the signed bytes, as evidence
	Signature []byte
	Leaves    []byte // federation.HashSize each, of all messages
	Messages  []Inbound
	AckChain  []byte // the peer's chain at AckNumber; empty where the parcel is kept as evidence: its header has it
	SignKey   string // the peer's key that signed it, judged again when it is applied; empty in evidence, as AckChain
}

// Walk is the record.Record of a Parcel.
func (p *Parcel) Walk(c *record.Coder) {
	c.U64(&p.Epoch)
	c.U64(&p.AckEpoch)
	c.U64(&p.AckNumber)
	record.Int(c, &p.Protocol)
	c.Bytes(&p.Header)
	c.Bytes(&p.Signature)
	c.Bytes(&p.Leaves)
	record.List(c, &p.Messages)
	c.Bytes(&p.AckChain)
	record.Str(c, &p.SignKey)
}

// ack is what the parcel says of this region's messages.
func (p *Parcel) ack() federation.Ack {
	a := federation.Ack{Epoch: p.AckEpoch, Number: p.AckNumber}
	copy(a.Chain[:], p.AckChain)
	return a
}

// Deliver brings parcels of one peer, in the order of the lane, and the offset to read next.
type Deliver struct {
	Peer       federation.Region
	NextOffset int64
	Parcels    []Parcel
}

// Kind and Walk make a Deliver a Command.
func (*Deliver) Kind() Kind { return KindDeliver }

// Walk walks over the fields.
func (d *Deliver) Walk(c *record.Coder) {
	record.Str(c, &d.Peer)
	c.I64(&d.NextOffset)
	record.List(c, &d.Parcels)
}

// ResumeLink goes along with a peer that has begun anew, on the word of two operators.
type ResumeLink struct {
	Peer  federation.Region
	Epoch uint64
	// OwnEpoch is the new one of this region's own numbers, which the peer has lost; 0: they go on.
	OwnEpoch uint64
}

// Kind and Walk make a ResumeLink a Command.
func (*ResumeLink) Kind() Kind { return KindResumeLink }

// Walk walks over the fields.
func (r *ResumeLink) Walk(c *record.Coder) {
	record.Str(c, &r.Peer)
	c.U64(&r.Epoch)
	c.U64(&r.OwnEpoch)
}
