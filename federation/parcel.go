package federation

import (
	"errors"
	"fmt"
	"time"
)

// signContext stands before the header in what is signed, so that a parcel's signature means
// nothing elsewhere.
const signContext = "gongji-parcel-v1\x00"

// Errors of packing. They are the caller's faults and reach no peer.
var (
	// ErrContent: a Content that no receiver would take: too many or too large messages, a class
	// with another class's fields, persons that do not match their digest, or a parcel id, time or
	// region missing.
	ErrContent = errors.New("federation: content cannot be packed")
	// ErrNoKey: the directory has no usable key for the receiver, or does not know the key that the
	// Sealer signs with.
	ErrNoKey = errors.New("federation: no usable key in the directory")
)

// Pack makes the record of a parcel from self to c.To: signed with the Sealer's current key, sealed
// to the newest valid encryption key of the receiver. The validity of keys is judged at c.Time. A
// Content without messages (a heartbeat, or an ack alone) is signed and not sealed, since it
// carries nothing secret. Errors: ErrContent, ErrNoKey, ErrRecordTooLarge, the Sealer's.
func Pack(dir *Directory, s Sealer, self Region, c Content) ([]byte, error) {
	if self == c.To {
		return nil, fmt.Errorf("%w: a parcel to oneself", ErrContent)
	}
	h, _, err := prepare(s, self, &c)
	if err != nil {
		return nil, err
	}
	var to Key
	if h.Count > 0 {
		var ok bool
		if to, ok = dir.SealKey(c.To, c.Time); !ok {
			return nil, fmt.Errorf("%w: seal to %s", ErrNoKey, c.To)
		}
		h.SealKey = to.ID
	}
	e, err := signHeader(dir, s, &h)
	if err != nil {
		return nil, err
	}
	if h.Count > 0 {
		e.wrapped, e.sealed, err = s.Seal(to.Public, encodeMessages(c.Messages), e.additional())
		if err != nil {
			return nil, fmt.Errorf("federation: seal: %w", err)
		}
	}
	record := e.encode()
	if len(record) > RecordMax || len(e.wrapped) > wrappedMax {
		return nil, ErrRecordTooLarge
	}
	return record, nil
}

// SignSingle signs one message alone, as a header over a tree of one leaf, sealed for nobody: a
// region needs it when it must show its own message to others (a ticket for a payer at home). c has
// exactly one message; c.To may be self. Unpack refuses such a header as a parcel. Errors: as Pack.
func SignSingle(dir *Directory, s Sealer, self Region, c Content) (Proof, error) {
	if len(c.Messages) != 1 {
		return Proof{}, fmt.Errorf("%w: exactly one message", ErrContent)
	}
	h, leaves, err := prepare(s, self, &c)
	if err != nil {
		return Proof{}, err
	}
	e, err := signHeader(dir, s, &h)
	if err != nil {
		return Proof{}, err
	}
	o := Opened{Header: h, Raw: e.header, Signature: e.signature, Messages: c.Messages, Leaves: leaves}
	return o.Proof(s.Hash, 0), nil
}

// Fits returns how many of the first messages may travel in one parcel: at most ParcelMessagesMax,
// and ParcelBytesMax of bodies and persons. At least 1 if there is any.
func Fits(messages []Message) int {
	total := 0
	for i := range messages {
		total += len(messages[i].Body) + len(messages[i].Persons)
		if i == ParcelMessagesMax || (i > 0 && total > ParcelBytesMax) {
			return i
		}
	}
	return len(messages)
}

// prepare checks c and makes the header without keys, and the leaves.
func prepare(s Sealer, self Region, c *Content) (Header, [][HashSize]byte, error) {
	if !self.Valid() || !c.To.Valid() || !validTime(c.Time) || c.ParcelID == [IDSize]byte{} {
		return Header{}, nil, fmt.Errorf("%w: regions, time or parcel id", ErrContent)
	}
	if Fits(c.Messages) != len(c.Messages) {
		return Header{}, nil, fmt.Errorf("%w: %d messages are too many or too large", ErrContent, len(c.Messages))
	}
	leaves := make([][HashSize]byte, len(c.Messages))
	for i := range c.Messages {
		m := &c.Messages[i]
		if !validShape(m) || len(m.Persons) > PersonsMax ||
			m.PersonsDigest != PersonsDigest(s.Hash, m.PersonsSalt, m.Persons) ||
			(len(m.Persons) == 0 && m.PersonsSalt != [SaltSize]byte{}) {
			return Header{}, nil, fmt.Errorf("%w: message at %d", ErrContent, i)
		}
		leaves[i] = Leaf(s.Hash, m)
	}
	return Header{
		Version: Version, Suite: Suite, From: self, To: c.To, Epoch: c.Epoch, ParcelID: c.ParcelID,
		Time: c.Time.UTC().Truncate(time.Microsecond), Ack: c.Ack, Count: uint32(len(leaves)),
		Root: Root(s.Hash, leaves), Protocol: c.Protocol,
	}, leaves, nil
}

// signHeader signs h. The header names its key, and the Sealer names it only after it has signed:
// so the directory's newest key of the sender is assumed first, and the header signed again if the
// Sealer used another.
func signHeader(dir *Directory, s Sealer, h *Header) (envelope, error) {
	if k, ok := dir.SignKey(h.From, h.Time); ok {
		h.SignKey = k.ID
	}
	for range 3 { // a key may change between two signatures, hardly twice
		raw := encodeHeader(h)
		id, signature, err := s.Sign(signed(raw))
		if err != nil {
			return envelope{}, fmt.Errorf("federation: sign: %w", err)
		}
		if id == h.SignKey {
			return envelope{header: raw, signature: signature}, checkOwnKey(dir, h)
		}
		if !validKeyID(id) {
			break
		}
		h.SignKey = id
	}
	return envelope{}, fmt.Errorf("%w: own signing key", ErrNoKey)
}

// checkOwnKey keeps a region from speaking with a key that every peer would refuse.
func checkOwnKey(dir *Directory, h *Header) error {
	if _, err := signerOf(dir, h); err != nil {
		return fmt.Errorf("%w: own signing key: %w", ErrNoKey, err)
	}
	return nil
}

func signed(header []byte) []byte { return append([]byte(signContext), header...) }

// additional is what sealing authenticates: the sealed content belongs to this header and signature
// alone.
func (e *envelope) additional() []byte {
	return append(append(make([]byte, 0, len(e.header)+len(e.signature)), e.header...), e.signature...)
}
