package federation

import (
	"encoding/binary"
	"slices"
	"time"
)

// The binary form of everything that is signed or sealed: big endian, fixed-width numbers, lengths
// before bytes, one encoding of each value, nothing after the end. What decodes therefore encodes
// to the same bytes.

// Bounds of the codec.
const (
	keyIDMax     = 64   // bytes of a key id
	signatureMax = 256  // bytes of a signature; an SM2 one has 72 at most
	wrappedMax   = 1024 // bytes of a wrapped content key; an SM2 one has about 160
	pathMax      = 9    // nodes of a path: 2^9 = ParcelMessagesMax
)

// decoder reads from the front of b. After the first fault every read returns zero and bad stays
// true.
type decoder struct {
	b   []byte
	bad bool
}

// take returns the next n bytes, sharing memory with the input.
func (d *decoder) take(n int) []byte {
	if d.bad || n < 0 || n > len(d.b) {
		d.bad = true
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) u8() uint8 {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) u16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) fixed(into []byte) { copy(into, d.take(len(into))) }

// bytes16 and bytes32 read a length of that many bits, at most limit, and as many bytes.
func (d *decoder) bytes16(limit int) []byte { return d.bounded(int(d.u16()), limit) }

func (d *decoder) bytes32(limit int) []byte { return d.bounded(int(d.u32()), limit) }

func (d *decoder) bounded(n, limit int) []byte {
	if n > limit {
		d.bad = true
		return nil
	}
	return d.take(n)
}

func (d *decoder) region() Region {
	r := Region(d.take(6))
	if !r.Valid() {
		d.bad = true
	}
	return r
}

func (d *decoder) keyID() string {
	id := string(d.bounded(int(d.u8()), keyIDMax))
	if id != "" && !validKeyID(id) {
		d.bad = true
	}
	return id
}

// done reports whether everything was well formed and nothing is left.
func (d *decoder) done() bool { return !d.bad && len(d.b) == 0 }

// validKeyID: 1 to 64 of A–Z a–z 0–9 . _ : -, so that an id can stand in a log line, a file name
// and a label.
func validKeyID(id string) bool {
	if id == "" || len(id) > keyIDMax {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.', c == '_', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}

func appendBytes16(b, v []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(v))), v...)
}

func appendBytes32(b, v []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
}

func appendKeyID(b []byte, id string) []byte { return append(append(b, uint8(len(id))), id...) }

// encodeHeader writes the bytes that are signed. The header must be valid.
func encodeHeader(h *Header) []byte {
	b := make([]byte, 0, 192+len(h.SignKey)+len(h.SealKey))
	b = binary.BigEndian.AppendUint16(b, h.Version)
	b = append(b, h.Suite)
	b = append(b, h.From...)
	b = append(b, h.To...)
	b = binary.BigEndian.AppendUint64(b, h.Epoch)
	b = append(b, h.ParcelID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Time.UnixMicro()))
	b = appendKeyID(b, h.SignKey)
	b = appendKeyID(b, h.SealKey)
	b = binary.BigEndian.AppendUint64(b, h.Ack.Epoch)
	b = binary.BigEndian.AppendUint64(b, h.Ack.Number)
	b = append(b, h.Ack.Chain[:]...)
	b = binary.BigEndian.AppendUint32(b, h.Count)
	b = append(b, h.Root[:]...)
	return binary.BigEndian.AppendUint16(b, h.Protocol)
}

// DecodeHeader parses the signed bytes of a header, as Opened.Raw and Proof.Header hold them. It
// checks form, never a signature. Errors: *RefusedError with
// RefusedVersion, RefusedAlgorithm or RefusedMalformed.
func DecodeHeader(raw []byte) (Header, error) {
	var h Header
	d := decoder{b: raw}
	h.Version = d.u16()
	if !d.bad && h.Version != Version {
		return Header{}, refuse(RefusedVersion, "")
	}
	h.Suite = d.u8()
	if !d.bad && h.Suite != Suite {
		return Header{}, refuse(RefusedAlgorithm, "")
	}
	h.From, h.To = d.region(), d.region()
	h.Epoch = d.u64()
	d.fixed(h.ParcelID[:])
	h.Time = time.UnixMicro(int64(d.u64())).UTC()
	h.SignKey, h.SealKey = d.keyID(), d.keyID()
	h.Ack = Ack{Epoch: d.u64(), Number: d.u64()}
	d.fixed(h.Ack.Chain[:])
	h.Count = d.u32()
	d.fixed(h.Root[:])
	h.Protocol = d.u16()
	if !d.done() || !validTime(h.Time) || h.SignKey == "" || h.Count > ParcelMessagesMax ||
		(h.Count == 0) != (h.Root == [HashSize]byte{}) {
		return Header{}, refuse(RefusedMalformed, "header")
	}
	return h, nil
}

// validTime: between 1970 and 9999, so that it has one form in micros and in RFC 3339.
func validTime(t time.Time) bool { return t.Unix() > 0 && t.Year() <= 9999 }

// encodeMessages writes the content of a parcel, which is then sealed. How many they are stands in
// the header.
func encodeMessages(messages []Message) []byte {
	size := 0
	for i := range messages {
		size += messageSize(&messages[i])
	}
	b := make([]byte, 0, size)
	for i := range messages {
		m := &messages[i]
		b = append(b, byte(m.Class))
		if m.Class == Numbered {
			b = binary.BigEndian.AppendUint64(b, m.Number)
			b = append(b, m.Chain[:]...)
		} else {
			b = append(b, m.ID[:]...)
		}
		b = append(b, m.Salt[:]...)
		b = appendBytes32(b, m.Body)
		b = appendBytes16(b, m.Persons)
		if len(m.Persons) > 0 {
			b = append(b, m.PersonsSalt[:]...)
		}
	}
	return b
}

// messageSize is how many bytes encodeMessages writes for m.
func messageSize(m *Message) int {
	n := 1 + SaltSize + 4 + len(m.Body) + 2 + len(m.Persons)
	if m.Class == Numbered {
		n += 8 + HashSize
	} else {
		n += IDSize
	}
	if len(m.Persons) > 0 {
		n += SaltSize
	}
	return n
}

// decodeMessages reads exactly count messages. Their bytes share memory with raw; persons digests
// are computed with h.
func decodeMessages(h Hash, raw []byte, count uint32) ([]Message, error) {
	d := decoder{b: raw}
	out := make([]Message, 0, min(count, ParcelMessagesMax))
	total := 0
	for range count {
		m := decodeMessage(&d)
		if d.bad {
			return nil, refuse(RefusedMalformed, "content")
		}
		if len(m.Persons) > 0 {
			m.PersonsDigest = PersonsDigest(h, m.PersonsSalt, m.Persons)
		}
		total += len(m.Body) + len(m.Persons)
		out = append(out, m)
	}
	if !d.done() || (total > ParcelBytesMax && count > 1) {
		return nil, refuse(RefusedMalformed, "content")
	}
	return out, nil
}

func decodeMessage(d *decoder) Message {
	m := Message{Class: Class(d.u8())}
	switch m.Class {
	case Numbered:
		m.Number = d.u64()
		d.fixed(m.Chain[:])
		d.bad = d.bad || m.Number == 0
	case Query, Answer:
		d.fixed(m.ID[:])
	default:
		d.bad = true
	}
	d.fixed(m.Salt[:])
	m.Body = d.bytes32(BodyMax)
	if m.Persons = d.bytes16(PersonsMax); len(m.Persons) > 0 {
		d.fixed(m.PersonsSalt[:])
	} else {
		m.Persons = nil
	}
	return m
}

// envelope is a parcel as a record: u32 ‖ header, u16 ‖ signature, u16 ‖ wrapped key, u32 ‖ sealed
// content.
type envelope struct {
	header, signature, wrapped, sealed []byte
}

func (e *envelope) encode() []byte {
	b := make([]byte, 0, 12+len(e.header)+len(e.signature)+len(e.wrapped)+len(e.sealed))
	b = appendBytes32(b, e.header)
	b = appendBytes16(b, e.signature)
	b = appendBytes16(b, e.wrapped)
	return appendBytes32(b, e.sealed)
}

// headerMax bounds a header's bytes: the fixed part has 133.
const headerMax = 133 + 2*(1+keyIDMax)

func decodeEnvelope(record []byte) (envelope, error) {
	d := decoder{b: record}
	// A later version may change all that follows the length and the version.
	if len(record) >= 6 && binary.BigEndian.Uint16(record[4:]) != Version {
		return envelope{}, refuse(RefusedVersion, "")
	}
	e := envelope{
		header:    d.bytes32(headerMax),
		signature: d.bytes16(signatureMax),
		wrapped:   d.bytes16(wrappedMax),
		sealed:    d.bytes32(RecordMax),
	}
	if len(record) > RecordMax || !d.done() || len(e.signature) == 0 {
		return envelope{}, refuse(RefusedMalformed, "record")
	}
	return e, nil
}

// EncodeProof writes a proof in its one binary form, for messages that carry it (a ticket) and for
// evidence. A proof that could not be decoded again (an oversized field) gives nil.
func EncodeProof(p Proof) []byte {
	if !validProof(&p) {
		return nil
	}
	b := make([]byte, 0, 256+len(p.Header)+len(p.Signature)+len(p.Path)*HashSize+len(p.Body))
	b = appendBytes16(b, p.Header)
	b = appendBytes16(b, p.Signature)
	b = binary.BigEndian.AppendUint32(b, p.Index)
	b = binary.BigEndian.AppendUint32(b, p.Count)
	b = append(b, uint8(len(p.Path)))
	for i := range p.Path {
		b = append(b, p.Path[i][:]...)
	}
	b = append(b, byte(p.Class))
	b = binary.BigEndian.AppendUint64(b, p.Number)
	b = append(b, p.Chain[:]...)
	b = append(b, p.ID[:]...)
	b = append(b, p.Salt[:]...)
	b = appendBytes32(b, p.Body)
	b = append(b, p.PersonsSalt[:]...)
	return append(b, p.PersonsDigest[:]...)
}

// DecodeProof reads what EncodeProof wrote: strict, bounded, nothing left over. It checks form,
// never the signature: see VerifyProof. The result shares memory with b. Error: *RefusedError with
// RefusedMalformed.
func DecodeProof(b []byte) (Proof, error) {
	var p Proof
	d := decoder{b: b}
	p.Header, p.Signature = d.bytes16(headerMax), d.bytes16(signatureMax)
	p.Index, p.Count = d.u32(), d.u32()
	nodes := int(d.u8())
	if nodes > pathMax {
		return Proof{}, refuse(RefusedMalformed, "proof")
	}
	p.Path = make([][HashSize]byte, nodes)
	for i := range p.Path {
		d.fixed(p.Path[i][:])
	}
	p.Class, p.Number = Class(d.u8()), d.u64()
	d.fixed(p.Chain[:])
	d.fixed(p.ID[:])
	d.fixed(p.Salt[:])
	p.Body = d.bytes32(BodyMax)
	d.fixed(p.PersonsSalt[:])
	d.fixed(p.PersonsDigest[:])
	if !d.done() || !validProof(&p) {
		return Proof{}, refuse(RefusedMalformed, "proof")
	}
	return p, nil
}

// validProof holds the bounds and the rules of a message's fields, as validMessage does for a
// parcel.
func validProof(p *Proof) bool {
	m := p.message()
	return len(p.Header) > 0 && len(p.Header) <= headerMax &&
		len(p.Signature) > 0 && len(p.Signature) <= signatureMax &&
		len(p.Path) <= pathMax && p.Count <= ParcelMessagesMax && p.Index < p.Count &&
		validShape(&m) && (p.PersonsDigest != [HashSize]byte{} || p.PersonsSalt == [SaltSize]byte{})
}

func (p Proof) message() Message {
	return Message{
		Class: p.Class, Number: p.Number, Chain: p.Chain, ID: p.ID, Salt: p.Salt, Body: p.Body,
		PersonsSalt: p.PersonsSalt, PersonsDigest: p.PersonsDigest,
	}
}

// validShape: the class is known, only its own fields are set, and the body is within its bound.
func validShape(m *Message) bool {
	if len(m.Body) > BodyMax {
		return false
	}
	switch m.Class {
	case Numbered:
		return m.Number > 0 && m.ID == [IDSize]byte{}
	case Query, Answer:
		return m.Number == 0 && m.Chain == [HashSize]byte{}
	default:
		return false
	}
}

func refuse(why Refusal, detail string) error { return &RefusedError{Why: why, Detail: detail} }

// cloneBytes is for what outlives the record it was cut from.
func cloneBytes(b []byte) []byte { return slices.Clone(b) }
