package hostile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
)

// answerWait bounds the wait for what a region says; what takes so long does not come.
const answerWait = 30 * time.Second

// FenAsked is what a lie asks for.
const FenAsked = 5000

// Insider is somebody who has all keys of a region and speaks in its name, on links of the first epoch. For one
// goroutine.
type Insider struct {
	*Member

	Bus *Lanes
	// Salt is what persons are sent under; zero: a new one each time.
	Salt [federation.SaltSize]byte
	// Said is how far the links out are: a caller who speaks after somebody else sets it.
	Said map[federation.Region]federation.Out

	acks map[federation.Region]federation.Ack
	next map[federation.Region]int64 // offset of the lane from there
}

// NewInsider makes one that has said nothing yet.
func NewInsider(m *Member, bus *Lanes) *Insider {
	return &Insider{
		Member: m, Bus: bus, Said: map[federation.Region]federation.Out{},
		acks: map[federation.Region]federation.Ack{}, next: map[federation.Region]int64{},
	}
}

// Heard is a message, and the proof that it was said.
type Heard struct {
	Message federation.Message
	Proof   []byte
}

// Lane is the insider's lane to a region.
func (x *Insider) Lane(to federation.Region) federation.Lane {
	return federation.Lane{From: x.Self, To: to}
}

// Replaced reports whether a parcel was refused since it is of before its sender's key was revoked.
func Replaced(err error) bool {
	r, ok := errors.AsType[*federation.RefusedError](err)
	return ok && (r.Why == federation.RefusedKeyRevoked || r.Why == federation.RefusedKeyUnknown)
}

// Hear returns the messages that have come from a region since the last time.
func (x *Insider) Hear(ctx context.Context, from federation.Region) ([]Heard, error) {
	lane := federation.Lane{From: from, To: x.Self}
	var out []Heard
	for {
		records, next, err := x.Bus.Fetch(ctx, lane, x.next[from])
		if err != nil {
			return out, err
		}
		x.next[from] = next
		for _, r := range records {
			o, err := federation.Unpack(x.Directory, x, lane, time.Now(), r.Value)
			if Replaced(err) {
				continue
			}
			if err != nil {
				return out, fmt.Errorf("hostile: record %d of %s: %w", r.Offset, lane.Topic(), err)
			}
			out = append(out, x.take(from, o)...)
		}
		if len(records) == 0 {
			return out, nil
		}
	}
}

// take remembers how far the peer's link is.
func (x *Insider) take(from federation.Region, o *federation.Opened) []Heard {
	var out []Heard
	for i := range o.Messages {
		m := o.Messages[i]
		if m.Class == federation.Numbered && m.Number > x.acks[from].Number {
			x.acks[from] = federation.Ack{Epoch: 1, Number: m.Number, Chain: m.Chain}
		}
		out = append(out, Heard{m, federation.EncodeProof(o.Proof(x.Hash, i))})
	}
	return out
}

// await hears a region until take wants what it said.
func (x *Insider) await(ctx context.Context, from federation.Region, what string, take func(Heard) bool) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	for {
		list, err := x.Hear(ctx, from)
		if slices.ContainsFunc(list, take) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("hostile: %s from %s: %w", what, from, err)
		}
	}
}

// Message makes a message that is not numbered; persons may be nil.
func (x *Insider) Message(class federation.Class, body, persons []byte) federation.Message {
	m := federation.Message{Class: class, Body: body, Persons: persons}
	_, _ = rand.Read(m.Salt[:]) // never fails
	if class != federation.Numbered {
		_, _ = rand.Read(m.ID[:])
	}
	if persons != nil {
		m.PersonsSalt = x.Salt
		if x.Salt == ([federation.SaltSize]byte{}) {
			_, _ = rand.Read(m.PersonsSalt[:])
		}
		m.PersonsDigest = federation.PersonsDigest(x.Hash, m.PersonsSalt, persons)
	}
	return m
}

// Numbered makes a message with the link's next number.
func (x *Insider) Numbered(to federation.Region, body, persons []byte) federation.Message {
	m := x.Message(federation.Numbered, body, persons)
	out := x.Said[to]
	if out.Epoch == 0 {
		out.Epoch = 1
	}
	out = out.Next(x.Hash, federation.ContentDigest(x.Hash, body, m.PersonsDigest))
	m.Number, m.Chain, x.Said[to] = out.Last, out.Chain, out
	return m
}

// Parcel makes the record of a parcel, as the region itself would.
func (x *Insider) Parcel(to federation.Region, messages ...federation.Message) ([]byte, error) {
	return x.Pack(to, federation.Content{Messages: messages})
}

// Pack makes the record of a parcel whose content may say anything; what is zero becomes what is usual.
func (x *Insider) Pack(to federation.Region, c federation.Content) ([]byte, error) {
	c.To = to
	if c.Epoch == 0 {
		c.Epoch, c.Ack = 1, x.acks[to]
	}
	if c.Time.IsZero() {
		c.Time = time.Now()
	}
	if c.Protocol == 0 {
		c.Protocol = federation.Version
	}
	_, _ = rand.Read(c.ParcelID[:]) // never fails
	return federation.Pack(x.Directory, x, x.Self, c)
}

// Send puts messages on the lane in one parcel.
func (x *Insider) Send(ctx context.Context, to federation.Region, messages ...federation.Message) error {
	record, err := x.Parcel(to, messages...)
	if err == nil {
		_, err = x.Bus.Put(ctx, x.Lane(to), record)
	}
	return err
}

// NewID is an id as the region makes them.
func (x *Insider) NewID(letter string) string {
	return letter + "-" + string(x.Self) + "-" + strings.ToLower(rand.Text()[:20])
}

// Hold is what a hold request says.
type Hold struct {
	ID, Payment, Grant string
	Amount             int64 // fen
	Ticket             []byte
	Persons            []byte
}

// NewHold asks for FenAsked under a grant, for a payment that nobody made.
func (x *Insider) NewHold(grant string, who []byte) Hold {
	return Hold{x.NewID("h"), x.NewID("p"), grant, FenAsked, nil, who}
}

// Body is the request.
func (h Hold) Body() []byte {
	return BodyOf(KindHoldRequest, Record(Fields{
		1: h.ID, 2: h.Payment, 3: h.Grant, 4: h.Amount, 5: time.Now().Add(10 * time.Minute).UnixMicro(),
		6: "outpatient", 7: "H35010000001", 8: "visit-" + h.ID, 9: h.Ticket,
	}))
}

// Answer waits for what a payer's home says to a hold: the fen held, and the code of a refusal.
func (x *Insider) Answer(ctx context.Context, from federation.Region, id string) (int64, string, error) {
	var amount int64
	var code string
	err := x.await(ctx, from, "an answer to hold "+id, func(h Heard) bool {
		texts, _, err := FieldsOf(h.Message.Body)
		raw, ok := texts[KindHoldAnswer]
		if err != nil || !ok {
			return false
		}
		said, numbers, err := FieldsOf(raw)
		if err != nil || string(said[1]) != id {
			return false
		}
		amount, code = numbers[2], string(said[4])
		return true
	})
	return amount, code, err
}

// LookUp asks the beneficiary's home like the region itself would, with a credential that nobody showed, and returns
// the ticket.
func (x *Insider) LookUp(
	ctx context.Context, home federation.Region, payment string, who []byte, expires time.Time,
) ([]byte, error) {
	query := x.Message(federation.Query, BodyOf(KindLookUp, Record(Fields{
		1: payment, 2: int64(FenAsked), 3: int64(FenAsked), 5: client.CredentialECredential, 9: expires.UnixMicro(),
	})), who)
	if err := x.Send(ctx, home, query); err != nil {
		return nil, err
	}
	var ticket []byte
	err := x.await(ctx, home, "a ticket", func(h Heard) bool {
		if h.Message.Class != federation.Answer || h.Message.ID != query.ID {
			return false
		}
		ticket = h.Proof
		return true
	})
	return ticket, err
}

// OwnTicket is a ticket for a visit that never was: signed by the visit region itself.
func (x *Insider) OwnTicket(h Hold, payerHome federation.Region) ([]byte, error) {
	offer := Record(Fields{1: h.Grant, 2: string(payerHome)})
	body := BodyOf(KindTicket, Record(Fields{
		1: h.Payment, 2: string(x.Self), 3: h.Amount, 4: offer, 5: time.Now().Add(time.Hour).UnixMicro(),
	}))
	c := federation.Content{
		To: x.Self, Time: time.Now(), Protocol: federation.Version,
		Messages: []federation.Message{x.Message(federation.Answer, body, h.Persons)},
	}
	_, _ = rand.Read(c.ParcelID[:]) // never fails
	p, err := federation.SignSingle(x.Directory, x, x.Self, c)
	if err != nil {
		return nil, err
	}
	return federation.EncodeProof(p), nil
}
