package ledger

import (
	"encoding/binary"

	"gongji/federation"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/refund"
	"gongji/gateway/internal/wire/wirepb"
)

// An index finds the messages about one payment, grant or mandate: what is told of a hold or a refund is told of its
// payment. It is written with the message, by a blind write of a short key, and leaves the state with it.

// placesMax is how many messages about one thing are looked up for each peer and direction: a payment has a few dozen
// at most, and a peer that sends more about it fills its own part only.
const placesMax = 512

// Place is where a numbered message stands.
type Place struct {
	Sent   bool // by this region
	Asked  bool // a platform's request; the peer is the region itself
	Peer   federation.Region
	Epoch  uint64
	Number uint64
}

func (p Place) key(subject string) []byte {
	b := stateKey(keySubject, joined(subject))
	way := byte('i')
	switch {
	case p.Asked:
		way = wayAsked
	case p.Sent:
		way = 'o'
	}
	return append(append(b, way), numbered(p.Peer, p.Epoch, p.Number)...)
}

// about notes that a message is about something; first is the number under which its Evidence stands.
func (x *tx) about(body *wirepb.Body, p Place, first uint64) {
	if subject := Subject(body); subject != "" && len(subject) <= idMax {
		x.Set(p.key(subject), binary.BigEndian.AppendUint64(nil, first))
	}
}

// Subject is the id of what a message is about: a payment's, a grant's or a mandate's; empty for messages about nothing
// of these.
func Subject(body *wirepb.Body) string {
	switch k := body.GetKind().(type) {
	case *wirepb.Body_HoldRequest:
		return ofHold(k.HoldRequest.GetHoldId())
	case *wirepb.Body_HoldAnswer:
		return ofHold(k.HoldAnswer.GetHoldId())
	case *wirepb.Body_Capture:
		return ofHold(k.Capture.GetHoldId())
	case *wirepb.Body_Release:
		return ofHold(k.Release.GetHoldId())
	case *wirepb.Body_Outcome:
		return ofHold(k.Outcome.GetHoldId())
	case *wirepb.Body_Enquiry:
		return ofHold(k.Enquiry.GetHoldId())
	case *wirepb.Body_EnquiryAnswer:
		return ofHold(k.EnquiryAnswer.GetHoldId())
	case *wirepb.Body_Refund:
		return ofRefund(k.Refund.GetRefundId())
	case *wirepb.Body_RefundAnswer:
		return ofRefund(k.RefundAnswer.GetRefundId())
	case *wirepb.Body_Ticket:
		return k.Ticket.GetPaymentId()
	}
	return aboutGrant(body)
}

// aboutGrant is the grant or mandate that a message is about.
func aboutGrant(body *wirepb.Body) string {
	switch k := body.GetKind().(type) {
	case *wirepb.Body_GrantNotice:
		return k.GrantNotice.GetGrantId()
	case *wirepb.Body_GrantConsent:
		return k.GrantConsent.GetGrantId()
	case *wirepb.Body_GrantRenounced:
		return k.GrantRenounced.GetGrantId()
	case *wirepb.Body_InsuranceEnded:
		return k.InsuranceEnded.GetGrantId()
	case *wirepb.Body_MandateNotice:
		return k.MandateNotice.GetGrantId()
	case *wirepb.Body_MandateResult:
		return k.MandateResult.GetMandateId()
	}
	return ""
}

func ofHold(id string) string {
	p, _ := payment.OfHold(id)
	return p
}

func ofRefund(id string) string {
	p, _, _ := refund.OfID(id)
	return p
}

// Said is one message about a thing, with what proves it: of a received one the Evidence and which of its messages it
// is; of a sent one the message itself.
type Said struct {
	Place

	Evidence *Evidence
	Index    int
	Sent     *OutMessage
}

// Said reads the messages about a payment, grant or mandate that stand in the state, in the order of direction, peer
// and number. peer limits it to one region; empty for all.
func (v View) Said(subject string, peer federation.Region) ([]Said, error) {
	var places []Place
	var firsts []uint64
	per := map[string]int{}
	lo := stateKey(keySubject, joined(subject))
	v.r.Scan(lo, prefixEnd(lo), func(key, value []byte) bool {
		rest := key[len(lo):]
		if len(rest) != 1+6+16 || len(value) != 8 || rest[0] == wayAsked {
			return true
		}
		p := Place{
			Sent: rest[0] == 'o', Peer: federation.Region(rest[1:7]),
			Epoch: binary.BigEndian.Uint64(rest[7:15]), Number: binary.BigEndian.Uint64(rest[15:]),
		}
		if peer != "" && p.Peer != peer {
			return true
		}
		if per[string(rest[:7])]++; per[string(rest[:7])] <= placesMax {
			places, firsts = append(places, p), append(firsts, binary.BigEndian.Uint64(value))
		}
		return true
	})
	out := make([]Said, 0, len(places))
	for i, p := range places {
		s, err := v.said(p, firsts[i])
		if err != nil {
			return nil, err
		}
		if s != nil {
			out = append(out, *s)
		}
	}
	return out, nil
}

// said reads one message; nil when it has left the state.
func (v View) said(p Place, first uint64) (*Said, error) {
	s := &Said{Place: p}
	if p.Sent {
		m, err := v.Sent(p.Peer, p.Epoch, p.Number)
		if err != nil || m == nil {
			return nil, err
		}
		s.Sent = m
		return s, nil
	}
	e, err := v.EvidenceAt(p.Peer, p.Epoch, first)
	if err != nil || e == nil {
		return nil, err
	}
	s.Evidence = e
	for i := range e.Parcel.Messages {
		if e.Parcel.Messages[i].Number == p.Number {
			s.Index = i
			return s, nil
		}
	}
	return nil, nil //nolint:nilnil // see View
}

// EvidenceAt finds a parcel by the first number that was applied from it.
func (v View) EvidenceAt(peer federation.Region, epoch, first uint64) (*Evidence, error) {
	return read[Evidence](v.r, keyEvidence, numbered(peer, epoch, first))
}

// Known reports whether this region has anything to do with a payment, grant or mandate: as the origin, a payer's home
// or a beneficiary's.
func (v View) Known(subject string) (bool, error) {
	p, err := v.Payment(subject)
	if err != nil || p != nil {
		return p != nil, err
	}
	holds, err := v.HoldsOf(subject)
	if err != nil || len(holds) > 0 {
		return len(holds) > 0, err
	}
	said, err := v.Said(subject, "")
	return len(said) > 0, err
}
