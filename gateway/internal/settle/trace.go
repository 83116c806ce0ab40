package settle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/refund"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// traceMax is how many events an answer between regions has: a payment has a few dozen, and more do not fit in a body.
const traceMax = 200

// What an event says of the evidence for its message.
const (
	TraceUnsigned = 0 // nothing signed stands in that region
	TraceGood     = 1 // it verifies, there and then
	TraceBad      = 2 // it does not
)

// tracing gathers what this region recorded of one payment.
type tracing struct {
	s       *Settler
	v       ledger.View
	dir     *federation.Directory
	leaders ledger.Leaders
	said    evidence.Source
	id      string
	only    federation.Region // the region that asks; empty: everything
	events  []*wirepb.TraceEvent
}

// Trace is what this region recorded of a payment, oldest first: transitions, and messages with the proof of who signed
// them. For a region that asks it is what concerns the two of them, and nothing where the payment does not.
//
// said is where the messages are read: what Recorded gives, which also names archives that were not there.
func (s *Settler) Trace(
	v ledger.View, said evidence.Source, id string, only federation.Region,
) ([]*wirepb.TraceEvent, error) {
	x := &tracing{
		s: s, v: v, dir: s.Ledger.InForce().Directory, leaders: v.Leaders(), said: said, id: id, only: only,
	}
	part, err := x.things()
	if err != nil || !part {
		return nil, err
	}
	if err := x.messages(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(x.events, func(a, b *wirepb.TraceEvent) int { return cmp.Compare(a.GetTime(), b.GetTime()) })
	return x.events, nil
}

// Recorded opens what this node has of a payment, grant or mandate, in the state and in its archives. The caller closes
// it.
func (s *Settler) Recorded(v ledger.View, id string) (*evidence.Reader, error) {
	since, err := began(v, id)
	if err != nil {
		return nil, err
	}
	return s.Archives.Open(v, since)
}

// began is when the first message about a thing can have been sent; zero where that is not known.
func began(v ledger.View, id string) (time.Time, error) {
	p, err := v.Payment(id)
	if err != nil || p != nil {
		if p == nil {
			return time.Time{}, err
		}
		return p.Created, nil
	}
	holds, err := v.HoldsOf(id)
	var first time.Time
	for _, h := range holds {
		if len(h.Moments) > 0 && (first.IsZero() || h.Moments[0].At.Before(first)) {
			first = h.Moments[0].At
		}
	}
	return first, err
}

// things are the transitions of payment, refunds, holds and returns. It reports whether there is anything that concerns
// the region that asks.
func (x *tracing) things() (bool, error) {
	p, err := x.v.Payment(x.id)
	if err != nil {
		return false, err
	}
	part := false
	if p != nil && (x.only == "" || hasLeg(p, x.only)) {
		part = true
		x.moments("payment", p.Moments, func(n uint8) string { return payment.State(n).String() })
		refunds, failed := x.v.RefundsOf(p)
		if failed != nil {
			return part, failed
		}
		for _, r := range refunds {
			x.moments("refund "+r.ID, r.Moments, func(n uint8) string { return refund.State(n).String() })
		}
	}
	holds, err := x.v.HoldsOf(x.id)
	if err != nil {
		return part, err
	}
	for _, h := range holds {
		if x.only != "" && h.Origin != string(x.only) {
			continue
		}
		part = true
		x.moments("hold "+h.ID, h.Moments, func(n uint8) string { return hold.State(n).String() })
		returns, err := x.v.ReturnsOf(h.ID)
		if err != nil {
			return part, err
		}
		for _, r := range returns {
			x.moments("refund "+r.RefundID+" of "+r.HoldID, r.Moments, func(n uint8) string {
				return refund.ReturnState(n).String()
			})
		}
	}
	return part, nil
}

func hasLeg(p *ledger.PaymentRecord, region federation.Region) bool {
	for i := range p.Legs {
		if p.Legs[i].Region == string(region) {
			return true
		}
	}
	return false
}

func (x *tracing) add(at time.Time, e *wirepb.TraceEvent) {
	e.Time, e.Node = at.UnixMicro(), x.leaders.At(at)
	x.events = append(x.events, e)
}

func (x *tracing) moments(what string, list []ledger.Moment, word func(uint8) string) {
	before := ""
	for _, m := range list {
		now := word(m.State)
		x.add(m.At, &wirepb.TraceEvent{What: what, FromState: before, ToState: now})
		before = now
	}
}

// messages are what this region was told and what it sent, each with what proves it.
func (x *tracing) messages() error {
	said, err := x.said.Said(x.id, x.only)
	if err != nil {
		return err
	}
	for i := range said {
		s := &said[i]
		if s.Sent != nil {
			err = x.sent(s)
		} else {
			x.received(s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func messageID(from, to federation.Region, p *ledger.Place) string {
	return fmt.Sprintf("%s/%s/%d/%d", from, to, p.Epoch, p.Number)
}

func kindOf(body []byte) string {
	b, err := wire.Decode(body)
	if err != nil {
		return "message"
	}
	return evidence.Kind(b)
}

func (x *tracing) received(s *ledger.Said) {
	e := &wirepb.TraceEvent{
		What:      "received " + kindOf(s.Evidence.Parcel.Messages[s.Index].Body) + " from " + string(s.Peer),
		MessageId: messageID(s.Peer, x.s.Self, &s.Place), SignedBy: string(s.Peer), Verified: TraceBad,
	}
	p, ok := evidence.ProofOf(x.s.Sealer.Hash, s.Evidence, s.Index)
	if ok && x.dir != nil {
		if _, err := federation.VerifyProof(x.dir, x.s.Sealer, p); err == nil {
			e.Verified = TraceGood
		}
	}
	x.add(s.Evidence.At, e)
}

// sent is a message of this region: once when it was written, and once when its receiver had signed for it.
func (x *tracing) sent(s *ledger.Said) error {
	id, kind := messageID(x.s.Self, s.Peer, &s.Place), kindOf(s.Sent.Body)
	x.add(s.Sent.At, &wirepb.TraceEvent{What: "sent " + kind + " to " + string(s.Peer), MessageId: id})
	at, r, err := x.said.Receipt(s.Peer, s.Epoch, s.Number)
	if err != nil || r == nil {
		return err
	}
	header, signature, err := evidence.Signed(x.said, s.Peer, r)
	if err != nil || len(header) == 0 {
		return err
	}
	e := &wirepb.TraceEvent{
		What: "receipt for " + kind + " from " + string(s.Peer), MessageId: id, SignedBy: string(s.Peer),
		Verified: TraceBad,
	}
	acked, err := x.said.Sent(s.Peer, s.Epoch, at)
	if err != nil {
		return err
	}
	if x.dir != nil && acked != nil {
		h, err := federation.VerifyHeader(x.dir, x.s.Sealer, header, signature)
		if err == nil && h.Ack == (federation.Ack{Epoch: s.Epoch, Number: at, Chain: acked.Chain}) {
			e.Verified = TraceGood
		}
	}
	x.add(r.At, e)
	return nil
}

// traced answers another region's question.
func (t *term) traced(ctx context.Context, from federation.Region, q *wirepb.TraceAsk) (*wirepb.TraceAnswer, error) {
	out := &wirepb.TraceAnswer{}
	err := t.s.Log.Read(ctx, func(r consensus.Reader) error {
		v := t.s.Ledger.View(r)
		said, failed := t.s.Recorded(v, q.GetPaymentId())
		if failed != nil {
			return failed
		}
		out.Events, failed = t.s.Trace(v, said, q.GetPaymentId(), from)
		out.More = len(said.Missing()) > 0
		return errors.Join(failed, said.Close())
	})
	if len(out.GetEvents()) > traceMax {
		out.Events, out.More = out.Events[:traceMax], true
	}
	return out, err
}
