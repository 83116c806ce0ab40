package ledger

import (
	"errors"
	"strconv"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// local is a message of this region to itself: it goes through the log, never through the bus.
type local struct {
	body    *wirepb.Body
	persons *Person
}

// send writes a message into the outbox of a peer, or hands it to this region itself before the command ends.
func (x *tx) send(to federation.Region, body *wirepb.Body, persons *Bundle, who *Person) {
	if to == x.l.cfg.Self {
		if len(x.local) >= localMax {
			x.fail(errors.New("ledger: a command sends too many messages to its own region"))
			return
		}
		x.local = append(x.local, local{body, who})
		return
	}
	link := x.link(to)
	data := wire.Encode(body)
	var digest [federation.HashSize]byte
	if persons != nil {
		digest = persons.Digest
	}
	link.Out = link.Out.Next(x.l.cfg.Hash, federation.ContentDigest(x.l.cfg.Hash, data, digest))
	put(x, x.l.links, string(to), link)
	m := OutMessage{Chain: link.Out.Chain, Body: data, Persons: persons, At: x.now}
	x.about(body, Place{Sent: true, Peer: to, Epoch: link.Out.Epoch, Number: link.Out.Last}, 0)
	x.Set(stateKey(keyOut, numbered(to, link.Out.Epoch, link.Out.Last)), record.Encode(&m))
	x.l.effects.Peers = appendOnce(x.l.effects.Peers, to)
}

func (x *tx) link(peer federation.Region) *LinkRecord {
	link := get(x, x.l.links, string(peer))
	if link == nil {
		link = &LinkRecord{}
		link.Out.Epoch, link.In.Epoch = 1, 1
	}
	return link
}

// deliverLocal handles the messages that the command sent to its own region, and those that they send.
func (x *tx) deliverLocal(now time.Time) {
	for i := 0; i < len(x.local) && x.err == nil; i++ {
		m := x.local[i]
		x.handle(now, x.l.cfg.Self, m.body, &Inbound{Person: m.persons})
	}
	x.local = nil
}

// deliver applies the numbered messages of a peer's parcels, each exactly once, and takes its acks.
func (x *tx) deliver(now time.Time, c *Deliver) Outcome {
	link := x.link(c.Peer)
	if c.NextOffset != 0 {
		link.NextOffset = c.NextOffset
	}
	var newest *ackedBy
	for i := range c.Parcels {
		p := &c.Parcels[i]
		if x.lost(c.Peer, p) {
			continue // an ack under a stolen key would make this region forget what the peer does not have
		}
		receipt := x.acked(now, c.Peer, link, p)
		if p.Protocol > link.Protocol {
			link.Protocol = p.Protocol
		}
		first := x.parcel(now, c.Peer, link, p)
		newest = x.receipt(c.Peer, newest, newReceipt(receipt, p, first))
	}
	x.keepReceipt(c.Peer, newest)
	put(x, x.l.links, string(c.Peer), link)
	return Outcome{}
}

// parcel applies the messages of one parcel and keeps it as evidence under the first number that was applied, which it
// returns: 0 for none.
func (x *tx) parcel(now time.Time, peer federation.Region, link *LinkRecord, p *Parcel) uint64 {
	var first uint64
	x.newEpoch(link, p.Epoch)
	applied := p.Messages[:0:0]
	for i := range p.Messages {
		m := &p.Messages[i]
		if link.Out.Waiting() >= owedMax && m.Number > link.In.Applied {
			x.stranger(peer, StrangerUnacked, strconv.FormatUint(m.Number, 10))
			x.l.effects.AckDue = appendOnce(x.l.effects.AckDue, peer)
			break // it is sent again; what it acks was taken before
		}
		content := federation.ContentDigest(x.l.cfg.Hash, m.Body, m.PersonsDigest)
		in, verdict := link.In.Offer(x.l.cfg.Hash, p.Epoch, m.Number, content, m.Chain)
		link.In = in
		// Whatever came, the peer is told how far this region is: a repeat and a gap ask for it.
		x.l.effects.AckDue = appendOnce(x.l.effects.AckDue, peer)
		switch verdict {
		case federation.Apply:
			if first == 0 {
				first = m.Number
			}
			put(x, x.l.links, string(peer), link)
			x.consume(now, peer, m, first)
			applied = append(applied, m.kept())
		case federation.NewEpoch: // newEpoch has noted it
		case federation.Fork:
			x.stranger(peer, StrangerForked, strconv.FormatUint(m.Number, 10))
		case federation.Repeat, federation.Gap, federation.OldEpoch:
		}
	}
	if first == 0 {
		return 0
	}
	kept := *p
	kept.Messages, kept.AckChain, kept.SignKey = applied, nil, ""
	x.Set(stateKey(keyEvidence, numbered(peer, p.Epoch, first)), record.Encode(&Evidence{At: now, Parcel: kept}))
	return first
}

// kept is a message as the evidence keeps it: the persons sealed, and no token.
func (m *Inbound) kept() Inbound {
	k := *m
	for _, at := range []**Person{&k.Person, &k.Persons} {
		if *at != nil {
			p := (*at).untokened("")
			*at = &p
		}
	}
	return k
}

// consume gives a numbered message its meaning. One that cannot be understood is set aside and answered; the messages
// behind it go on.
func (x *tx) consume(now time.Time, peer federation.Region, m *Inbound, first uint64) {
	body, err := wire.Decode(m.Body)
	if err != nil || !wellFormed(body) {
		x.stranger(peer, StrangerIll, strconv.FormatUint(m.Number, 10))
		x.Set(stateKey(keySetAside, numbered(peer, x.link(peer).In.Epoch, m.Number)), m.Body)
		x.send(peer, &wirepb.Body{Kind: &wirepb.Body_Rejected{Rejected: &wirepb.Rejected{
			Number: m.Number, Reason: "not_understood",
		}}}, nil, nil)
		return
	}
	x.about(body, Place{Peer: peer, Epoch: x.link(peer).In.Epoch, Number: m.Number}, first)
	x.handle(now, peer, body, m)
}

// wellFormed reports whether a body may travel on the link (queries and their answers may not), and whether its texts
// have the length that such texts have: they become keys of the state, and stand in what is answered.
func wellFormed(b *wirepb.Body) bool {
	switch k := b.GetKind().(type) {
	case *wirepb.Body_HoldRequest:
		m := k.HoldRequest
		return short(idMax, m.GetHoldId(), m.GetPaymentId(), m.GetGrantId()) &&
			short(textMax, m.GetPurpose(), m.GetInstitution(), m.GetVisitId())
	case *wirepb.Body_HoldAnswer:
		m := k.HoldAnswer
		return short(idMax, m.GetHoldId(), m.GetLimitedBy(), m.GetCode()) && short(textMax, m.GetPayer(), m.GetPayerName())
	case *wirepb.Body_Capture:
		m := k.Capture
		return short(idMax, m.GetHoldId(), m.GetPaymentId()) && short(textMax, m.GetActId())
	case *wirepb.Body_Release:
		m := k.Release
		return short(idMax, m.GetHoldId(), m.GetPaymentId()) && short(textMax, m.GetActId())
	case *wirepb.Body_Outcome:
		m := k.Outcome
		return short(idMax, m.GetHoldId(), m.GetState()) && short(textMax, m.GetActId())
	case *wirepb.Body_Enquiry:
		return short(idMax, k.Enquiry.GetHoldId(), k.Enquiry.GetPaymentId())
	case *wirepb.Body_EnquiryAnswer:
		return short(idMax, k.EnquiryAnswer.GetHoldId())
	case *wirepb.Body_GrantNotice:
		m := k.GrantNotice
		return short(idMax, m.GetGrantId(), m.GetRelation(), m.GetStatus(), m.GetChannel(), m.GetFunding(), m.GetHotline(),
			m.GetEndCause()) &&
			short(textMax, m.GetPayer(), m.GetPayerName())
	case *wirepb.Body_GrantConsent:
		return short(idMax, k.GrantConsent.GetGrantId())
	case *wirepb.Body_MandateNotice:
		m := k.MandateNotice
		return short(idMax, m.GetMandateId(), m.GetGrantId(), m.GetPurpose(), m.GetStatus())
	case *wirepb.Body_MandateResult:
		m := k.MandateResult
		return short(idMax, m.GetMandateId(), m.GetStatus(), m.GetCode(), m.GetPaymentId())
	case *wirepb.Body_Refund:
		m := k.Refund
		return short(idMax, m.GetRefundId(), m.GetHoldId(), m.GetPaymentId())
	case *wirepb.Body_RefundAnswer:
		m := k.RefundAnswer
		return short(idMax, m.GetRefundId(), m.GetHoldId(), m.GetState(), m.GetCode())
	case *wirepb.Body_GrantRenounced:
		return short(idMax, k.GrantRenounced.GetGrantId())
	case *wirepb.Body_IndexWanted:
		return short(idMax, k.IndexWanted.GetAfter())
	case *wirepb.Body_IndexPage:
		return short(idMax, k.IndexPage.GetNext())
	case *wirepb.Body_InsuranceEnded:
		return short(idMax, k.InsuranceEnded.GetGrantId())
	case *wirepb.Body_Rejected:
		return short(textMax, k.Rejected.GetReason())
	}
	return false
}

func short(most int, texts ...string) bool {
	for _, s := range texts {
		if len(s) > most {
			return false
		}
	}
	return true
}

func (x *tx) handle(now time.Time, peer federation.Region, body *wirepb.Body, m *Inbound) {
	switch k := body.GetKind().(type) {
	case *wirepb.Body_HoldRequest:
		x.holdRequest(now, peer, k.HoldRequest, m)
	case *wirepb.Body_HoldAnswer:
		x.holdAnswer(now, peer, k.HoldAnswer)
	case *wirepb.Body_Capture:
		x.capture(now, peer, k.Capture)
	case *wirepb.Body_Release:
		x.release(now, peer, k.Release)
	case *wirepb.Body_Outcome:
		x.outcome(now, peer, k.Outcome)
	case *wirepb.Body_Enquiry:
		x.enquiry(now, peer, k.Enquiry)
	case *wirepb.Body_Refund:
		x.refund(now, peer, k.Refund)
	case *wirepb.Body_RefundAnswer:
		x.refundAnswer(peer, k.RefundAnswer)
	case *wirepb.Body_GrantNotice:
		x.grantNotice(peer, k.GrantNotice, m)
	case *wirepb.Body_GrantConsent:
		x.grantConsent(now, peer, k.GrantConsent)
	case *wirepb.Body_MandateNotice:
		x.mandateTold(now, peer, k.MandateNotice)
	case *wirepb.Body_MandateResult:
		x.mandateResult(now, peer, k.MandateResult)
	case *wirepb.Body_GrantRenounced, *wirepb.Body_InsuranceEnded, *wirepb.Body_IndexWanted, *wirepb.Body_IndexPage:
		x.handleLife(now, peer, body)
	case *wirepb.Body_EnquiryAnswer, *wirepb.Body_Rejected:
		// An answer that decides nothing. The hold stays in doubt and asks again; a decision that the peer could not
		// understand is sent again when the payment wakes. Both are in the evidence and in the counters.
	}
}

// resumeLink accepts a peer's new epoch: its numbers begin anew.
func (x *tx) resumeLink(now time.Time, c *ResumeLink) Outcome {
	link := x.link(c.Peer)
	if c.Epoch <= link.In.Epoch || c.Epoch != link.NewEpoch {
		return refuse(policy.CodeWrongState)
	}
	if c.OwnEpoch > link.Out.Epoch {
		x.reunite(now, c.Peer, link, c.OwnEpoch)
	}
	link.In = federation.In{Epoch: c.Epoch}
	link.NewEpoch = 0
	put(x, x.l.links, string(c.Peer), link)
	return Outcome{}
}
