package ledger

import (
	"encoding/binary"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/record"
)

// What a platform signed is evidence too: a request that made or changed a payment, grant or mandate stays in the
// state, as its platform signed it, until its archive has it. So a platform that denies it is shown it.

// SignedRequest is a request as its platform signed it (api.md section 1). The body is kept by its digest: it names
// persons, and the platform has it.
type SignedRequest struct {
	Method    string
	Target    string // path?query
	Time      string // as the header has it
	Nonce     string
	Body      [32]byte // SM3
	Signature []byte   // DER
}

// Walk is the record.Record of a SignedRequest.
func (s *SignedRequest) Walk(c *record.Coder) {
	record.Str(c, &s.Method)
	record.Str(c, &s.Target)
	record.Str(c, &s.Time)
	record.Str(c, &s.Nonce)
	c.Fixed(s.Body[:])
	c.Bytes(&s.Signature)
}

// Bounds of a request that is kept, in bytes. What is beyond is no request that the face lets through.
const (
	askedMethodMax = 8
	askedTargetMax = 512
	askedTimeMax   = 40
	askedNonceMax  = 64
	askedSigMax    = 72 // DER of an SM2 signature
)

func (s *SignedRequest) fits() bool {
	return len(s.Method) <= askedMethodMax && len(s.Target) <= askedTargetMax && len(s.Time) <= askedTimeMax &&
		len(s.Nonce) <= askedNonceMax && len(s.Signature) <= askedSigMax
}

// AskedRecord is a signed request that was done, with the key that it was signed with as the region had registered it.
// Key, platform and public key of a registration never change, so the record says the same on every node for ever.
type AskedRecord struct {
	At         time.Time // stamp of the entry that did it
	Subject    string
	Platform   string
	Key        string
	Public     []byte
	Registered time.Time
	Request    SignedRequest
}

// Walk is the record.Record of an AskedRecord.
func (a *AskedRecord) Walk(c *record.Coder) {
	c.Time(&a.At)
	record.Str(c, &a.Subject)
	record.Str(c, &a.Platform)
	record.Str(c, &a.Key)
	c.Bytes(&a.Public)
	c.Time(&a.Registered)
	c.Sub(&a.Request)
}

// askedHead counts the requests that were kept.
type askedHead struct{ Last uint64 }

// Walk is the record.Record of an askedHead.
func (h *askedHead) Walk(c *record.Coder) { c.U64(&h.Last) }

const askedHeadKey = "h"

// wayAsked marks the place of a request in the index of subjects, beside 'i' and 'o' of messages.
const wayAsked = 'r'

// askedPlace is the place of a kept request. It has the form of a message's, from this region to itself in epoch 1, so
// that spans and the index hold it.
func (x *tx) askedPlace(no uint64) Place {
	return Place{Asked: true, Peer: x.l.cfg.Self, Epoch: 1, Number: no}
}

// subjectOf is the payment, grant or mandate that a request's thing belongs to; empty for the order of a beneficiary.
func subjectOf(thing, id string) string {
	switch thing {
	case ThingPayment, ThingGrant, ThingMandate, ThingMandates:
		return id
	case ThingRefund:
		return ofRefund(id)
	}
	return ""
}

// keepAsked keeps what the platform signed of a request that was done.
func (x *tx) keepAsked(now time.Time, r *Request, thing, id string) {
	s := r.Signed
	if s == nil || s.Request == nil || !s.Request.fits() {
		return
	}
	subject, key := subjectOf(thing, id), x.l.keys[s.Key]
	if subject == "" || len(subject) > idMax || key == nil {
		return
	}
	head := loaded[askedHead](x, keyAsked, askedHeadKey)
	if x.err != nil {
		return
	}
	if head == nil {
		head = new(askedHead)
	}
	head.Last++
	place := x.askedPlace(head.Last)
	x.Set(stateKey(keyAsked, askedHeadKey), record.Encode(head))
	x.Set(stateKey(keyAsked, numbered(place.Peer, place.Epoch, place.Number)), record.Encode(&AskedRecord{
		At: now, Subject: subject, Platform: key.Platform, Key: key.ID, Public: key.Public, Registered: key.Registered,
		Request: *s.Request,
	}))
	x.Set(place.key(subject), binary.BigEndian.AppendUint64(nil, place.Number))
}

// lastAsked is the number of the newest request that was kept.
func lastAsked(r consensus.Reader) (uint64, error) {
	head, err := read[askedHead](r, keyAsked, askedHeadKey)
	if err != nil || head == nil {
		return 0, err
	}
	return head.Last, nil
}

// Asked reads the requests about a payment, grant or mandate that stand in the state, oldest first.
func (v View) Asked(subject string) ([]*AskedRecord, error) {
	var places []string
	lo := append(stateKey(keySubject, joined(subject)), wayAsked)
	v.r.Scan(lo, prefixEnd(lo), func(key, _ []byte) bool {
		places = append(places, string(key[len(lo):]))
		return len(places) < placesMax
	})
	var out []*AskedRecord
	for _, p := range places {
		a, err := read[AskedRecord](v.r, keyAsked, p)
		if err != nil {
			return nil, err
		}
		if a != nil {
			out = append(out, a)
		}
	}
	return out, nil
}

// askedSpan is how far the requests have come: as if they were a link of the region to itself.
func askedSpan(self federation.Region, last uint64) Span {
	return Span{Peer: self, Asked: true, ToEpoch: 1, ToLast: last}
}
