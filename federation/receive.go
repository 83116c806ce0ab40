package federation

import (
	"errors"
	"time"
)

// Receiver is what a region holds a parcel against that came by one lane.
type Receiver struct {
	Directory *Directory
	Sealer    Sealer
	Lane      Lane // its To is this region
	Now       time.Time
	// Epoch is that of the sender's link, as far as this region goes along; what is older is refused,
	// what is newer is for the link to judge. 0: whatever it is.
	Epoch uint64
	// Seen are the parcels taken before by this lane; nil: none are remembered.
	Seen *Seen
}

// Unpack is a Receiver's Unpack without an epoch, and without memory.
func Unpack(dir *Directory, s Sealer, lane Lane, now time.Time, record []byte) (*Opened, error) {
	r := Receiver{Directory: dir, Sealer: s, Lane: lane, Now: now}
	return r.Unpack(record)
}

// Unpack opens a record. The checks, in order: form, version, algorithms, sender in the
// directory, reflection, lane, downgrade, clock, replay, key (known, not revoked, valid at the parcel's time and
// now), signature, recipient, epoch, seal, form of the content, root. What is cheap and needs no
// key stands before the signature, so that a flood costs little. A revoked key is refused whatever
// time the parcel claims; an expired directory still opens parcels, since captures and releases go
// on. What its messages may ask is for the caller to judge. The result shares memory with record.
// Error: *RefusedError.
func (r *Receiver) Unpack(record []byte) (*Opened, error) {
	e, err := decodeEnvelope(record)
	if err != nil {
		return nil, err
	}
	h, err := DecodeHeader(e.header)
	if err != nil {
		return nil, err
	}
	if err = r.cheap(&h); err != nil {
		return nil, err
	}
	key, err := signerOf(r.Directory, &h)
	if err != nil {
		return nil, err
	}
	if err = validAt(key, r.Now); err != nil {
		return nil, err
	}
	if err = signedBy(r.Sealer.Verify(key.Public, signed(e.header), e.signature), &h); err != nil {
		return nil, err
	}
	if err = r.mine(&h); err != nil {
		return nil, err
	}
	messages, err := open(r.Sealer, &h, &e)
	if err != nil {
		return nil, err
	}
	leaves := make([][HashSize]byte, len(messages))
	for i := range messages {
		leaves[i] = Leaf(r.Sealer.Hash, &messages[i])
	}
	if Root(r.Sealer.Hash, leaves) != h.Root {
		return nil, refuse(RefusedRoot, string(h.From))
	}
	return &Opened{Header: h, Raw: e.header, Signature: e.signature, Messages: messages, Leaves: leaves}, nil
}

// cheap are the checks that cost nothing: what the directory says of the sender, whose lane it is,
// the time, and whether it was here before.
func (r *Receiver) cheap(h *Header) error {
	member, ok := r.Directory.Member(h.From)
	if !ok {
		return refuse(RefusedSenderUnknown, string(h.From))
	}
	if h.From == r.Lane.To {
		return refuse(RefusedReflected, string(h.From))
	}
	if h.From != r.Lane.From {
		return refuse(RefusedLane, string(h.From)+" to "+string(h.To))
	}
	if h.Protocol < member.Protocol {
		return refuse(RefusedDowngrade, string(h.From))
	}
	if h.Time.After(r.Now.Add(ClockSkewMax)) {
		return refuse(RefusedClockSkew, string(h.From))
	}
	if r.Seen.has(h.ParcelID) {
		return refuse(RefusedReplayed, string(h.From))
	}
	return nil
}

// mine: the sender meant this region, and speaks on the present link. By now it is known who speaks.
func (r *Receiver) mine(h *Header) error {
	if h.To != r.Lane.To {
		return refuse(RefusedRecipient, string(h.To))
	}
	if h.Count > 0 {
		if k, ok := r.Directory.Key(h.To, h.SealKey); !ok || k.Use != UseSeal {
			return refuse(RefusedRecipient, h.SealKey)
		}
	}
	if h.Epoch < r.Epoch {
		return refuse(RefusedEpoch, string(h.From))
	}
	return nil
}

// signedBy gives a Sealer's verdict on a signature its refusal.
func signedBy(verdict error, h *Header) error {
	switch {
	case verdict == nil:
		return nil
	case errors.Is(verdict, ErrDisagreement):
		return refuse(RefusedDisagreement, string(h.From))
	}
	return refuse(RefusedSignature, string(h.From))
}

// signerOf returns the header's signing key: known, not revoked, and valid at the header's time.
func signerOf(dir *Directory, h *Header) (Key, error) {
	key, ok := dir.Key(h.From, h.SignKey)
	switch {
	case !ok || key.Use != UseSign:
		return Key{}, refuse(RefusedKeyUnknown, h.SignKey)
	case key.Revoked:
		return Key{}, refuse(RefusedKeyRevoked, h.SignKey)
	}
	return key, validAt(key, h.Time)
}

func validAt(key Key, at time.Time) error {
	if at.Before(key.NotBefore) {
		return refuse(RefusedKeyNotYet, key.ID)
	}
	if !at.Before(key.NotAfter) {
		return refuse(RefusedKeyExpired, key.ID)
	}
	return nil
}

// open unseals the content. A heartbeat has none, and names no key.
func open(s Sealer, h *Header, e *envelope) ([]Message, error) {
	if h.Count == 0 {
		if len(e.wrapped) > 0 || len(e.sealed) > 0 || h.SealKey != "" {
			return nil, refuse(RefusedMalformed, "heartbeat with content")
		}
		return nil, nil
	}
	content, err := s.Open(h.SealKey, e.wrapped, e.sealed, e.additional())
	if err != nil {
		return nil, refuse(RefusedSeal, string(h.From))
	}
	return decodeMessages(s.Hash, content, h.Count)
}

// Age is how a parcel that was taken stands to those before it.
type Age uint8

// The ages.
const (
	// Newer than all before it, and dated within LiveWindow: its sender lives.
	Newer Age = iota + 1
	// Late: not newer, or dated elsewhere. Its messages count as any others.
	Late
	// Old: older than everything that is remembered, so that it may have been here before. The link
	// drops what it knows; queries are not answered again.
	Old
)

// SeenMax bounds the parcels that are remembered of one lane: 48 bytes each.
const SeenMax = 4096

// Seen remembers which parcels a lane has brought, so that a replay is told from a parcel, and what is
// old from a sign of life. It belongs to the one who reads the lane, and is forgotten with them: a
// new leader takes what lies within LiveWindow for new once more. Not for concurrent use.
type Seen struct {
	newest time.Time
	floor  time.Time // everything newer is remembered
	ids    map[[IDSize]byte]struct{}
	order  []seenParcel // a ring once it is full
	oldest int
}

type seenParcel struct {
	id [IDSize]byte
	at time.Time
}

func (s *Seen) has(id [IDSize]byte) bool {
	if s == nil {
		return false
	}
	_, ok := s.ids[id]
	return ok
}

// Note remembers a parcel that was taken, and tells its age at now.
func (s *Seen) Note(h *Header, now time.Time) Age {
	if s.ids == nil {
		s.ids = make(map[[IDSize]byte]struct{}, SeenMax)
	}
	old := !h.Time.After(s.floor)
	if !s.has(h.ParcelID) {
		s.keep(seenParcel{h.ParcelID, h.Time}, now)
	}
	off := now.Sub(h.Time)
	switch {
	case old:
		return Old
	case !h.Time.After(s.newest), off > LiveWindow, off < -LiveWindow:
		return Late
	}
	s.newest = h.Time
	return Newer
}

func (s *Seen) keep(p seenParcel, now time.Time) {
	s.ids[p.id] = struct{}{}
	if len(s.order) < SeenMax {
		s.order = append(s.order, p)
		return
	}
	gone := s.order[s.oldest]
	delete(s.ids, gone.id)
	if gone.at.After(s.floor) && !gone.at.After(now) { // one from the future makes nothing old
		s.floor = gone.at
	}
	s.order[s.oldest] = p
	s.oldest = (s.oldest + 1) % SeenMax
}
