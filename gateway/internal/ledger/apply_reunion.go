package ledger

import (
	"errors"
	"strings"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
	"gongji/gateway/internal/refund"
)

// dispatchReunion applies the commands of newReunionCommand.
func (x *tx) dispatchReunion(now time.Time, cmd Command) (Outcome, bool) {
	switch c := cmd.(type) {
	case *BeginEpoch:
		return x.beginEpoch(now, c), true
	case *NoteDifferences:
		return x.noteDifferences(now, c), true
	case *AcceptDifferences:
		return x.acceptDifferences(now, c), true
	}
	return Outcome{}, false
}

// beginEpoch begins the link to a peer anew, on this region's side.
func (x *tx) beginEpoch(now time.Time, c *BeginEpoch) Outcome {
	link := x.link(c.Peer)
	if c.Peer == x.l.cfg.Self || c.Epoch <= link.Out.Epoch {
		return refuse(policy.CodeWrongState)
	}
	x.reunite(now, c.Peer, link, c.Epoch)
	link.Reunion.Restored = true
	if link.NewEpoch > link.In.Epoch { // both sides begin: the peer has said so already
		link.In, link.NewEpoch = federation.In{Epoch: link.NewEpoch}, 0
	}
	put(x, x.l.links, string(c.Peer), link)
	return Outcome{ID: string(c.Peer)}
}

// reunite restarts the numbers out. What waits for the peer gets new ones: nothing is dropped. What was applied there
// in the old epoch comes once more; every act has an id, so that it changes nothing.
func (x *tx) reunite(now time.Time, peer federation.Region, link *LinkRecord, epoch uint64) {
	old := link.Out
	link.Reunion = &Reunion{
		Since: now, OldOutLast: old.Last, OldOutAcked: old.Acked, OldInApplied: link.In.Applied,
	}
	link.Out = federation.Out{Epoch: epoch}
	for n := old.Acked + 1; n <= old.Last; n++ {
		m, err := read[OutMessage](x.Txn, keyOut, numbered(peer, old.Epoch, n))
		if err == nil && m == nil {
			err = errors.New("ledger: a message that waits is not in the outbox")
		}
		if err != nil {
			x.fail(err)
			return
		}
		var digest [federation.HashSize]byte
		if m.Persons != nil {
			digest = m.Persons.Digest
		}
		link.Out = link.Out.Next(x.l.cfg.Hash, federation.ContentDigest(x.l.cfg.Hash, m.Body, digest))
		m.Chain = link.Out.Chain
		x.Set(stateKey(keyOut, numbered(peer, epoch, link.Out.Last)), record.Encode(m))
	}
	lo := stateKey(keyDifference, joined(string(peer)))
	var gone [][]byte
	x.Scan(lo, prefixEnd(lo), func(key, _ []byte) bool {
		gone = append(gone, append([]byte(nil), key...))
		return true
	})
	for _, key := range gone {
		x.Delete(key)
	}
	x.alarm(AlarmLinkAnew, string(peer))
	x.l.effects.Peers = appendOnce(x.l.effects.Peers, peer)
}

// newEpoch notes that a peer has begun anew. A region that was restored itself goes along at once: it has asked for it.
func (x *tx) newEpoch(link *LinkRecord, epoch uint64) {
	if epoch <= link.In.Epoch {
		return
	}
	if link.Reuniting() && link.Reunion.Restored {
		link.In, link.NewEpoch = federation.In{Epoch: epoch}, 0
		return
	}
	link.NewEpoch = max(link.NewEpoch, epoch)
}

// noteDifferences keeps what a page of the comparison has shown.
func (x *tx) noteDifferences(now time.Time, c *NoteDifferences) Outcome {
	link := x.link(c.Peer)
	r := link.Reunion
	if !link.Reuniting() || c.Epoch != link.Out.Epoch || r.Compared && (len(c.Differences) > 0 || !c.Compared) {
		return refuse(policy.CodeWrongState) // of another time
	}
	r.Listed, r.After = r.Listed || c.Listed, c.After
	for i := range c.Differences {
		d := &c.Differences[i]
		key := stateKey(keyDifference, joined(string(c.Peer), d.Kind, d.ID))
		if _, twice := x.Get(key); twice {
			continue
		}
		if r.Found++; r.Found <= DifferencesMax {
			x.Set(key, record.Encode(d))
		}
	}
	if c.Compared && !r.Compared {
		r.Compared = true
		if r.Found > 0 {
			x.alarm(AlarmDifferences, string(c.Peer))
		}
	}
	r.PeerCompared = r.PeerCompared || c.PeerCompared
	x.endReunion(now, r)
	put(x, x.l.links, string(c.Peer), link)
	return Outcome{}
}

// endReunion takes new holds again: both sides have compared, and people have looked at what differs.
func (x *tx) endReunion(now time.Time, r *Reunion) {
	if r.Compared && r.PeerCompared && (r.Found == 0 || r.Accepted) && r.Ended.IsZero() {
		r.Ended = now
	}
}

func (x *tx) acceptDifferences(now time.Time, c *AcceptDifferences) Outcome {
	link := x.link(c.Peer)
	if !link.Reuniting() || !link.Reunion.Compared || c.Epoch != link.Out.Epoch {
		return refuse(policy.CodeWrongState)
	}
	link.Reunion.Accepted = true
	x.endReunion(now, link.Reunion)
	put(x, x.l.links, string(c.Peer), link)
	return Outcome{ID: string(c.Peer)}
}

// Bounds of a page of Things.
const (
	thingsPage = 100  // things in one answer
	thingsScan = 4096 // records looked at for one
)

// compareBack is how far back what is over is compared: a backup is younger.
const compareBack = 30 * 24 * time.Hour

// Things is a page of what this region has with a peer, from behind a cursor: what is open, and what was over lately.
// An empty cursor is the end.
func (v View) Things(peer federation.Region, after string, now time.Time) ([]Thing, string, error) {
	s := &thingScan{v: v, peer: string(peer), since: now.Add(-compareBack)}
	prefixes := []struct {
		lo   []byte
		take func(value []byte) error
	}{
		{stateKey(keyHold, "h-"+string(peer)+"-"), s.hold},
		{[]byte{keyPayment}, s.payment},
		{[]byte{keyReturn}, s.back},
		{[]byte{keyRefund}, s.refund},
	}
	for _, p := range prefixes {
		lo := p.lo
		if after != "" {
			if after >= string(prefixEnd(p.lo)) || after < string(p.lo) {
				continue
			}
			lo = append([]byte(after), 0)
		}
		after = ""
		if err := s.scan(lo, prefixEnd(p.lo), p.take); err != nil {
			return nil, "", err
		}
		if s.full() {
			return s.out, s.last, nil
		}
		s.last = string(p.lo)
	}
	return s.out, "", nil
}

type thingScan struct {
	v     View
	peer  string
	since time.Time
	out   []Thing
	seen  int
	last  string
}

func (s *thingScan) full() bool { return len(s.out) >= thingsPage || s.seen >= thingsScan }

func (s *thingScan) scan(lo, hi []byte, take func(value []byte) error) error {
	var failed error
	s.v.r.Scan(lo, hi, func(key, value []byte) bool {
		s.seen++
		s.last = string(key)
		failed = take(value)
		return failed == nil && !s.full()
	})
	return failed
}

func (s *thingScan) hold(value []byte) error {
	var h HoldRecord
	if err := record.Decode(value, &h); err != nil {
		return err
	}
	if h.Origin == s.peer && (!h.State.Final() || h.Ended.After(s.since)) {
		s.out = append(s.out, holdThing(&h))
	}
	return nil
}

func (s *thingScan) payment(value []byte) error {
	var p PaymentRecord
	if err := record.Decode(value, &p); err != nil {
		return err
	}
	for i := range p.Legs {
		l := &p.Legs[i]
		if l.Region == s.peer && (!l.State.Final() || p.Created.After(s.since)) {
			s.out = append(s.out, legThing(l))
		}
	}
	return nil
}

func (s *thingScan) back(value []byte) error {
	var r ReturnRecord
	if err := record.Decode(value, &r); err != nil {
		return err
	}
	if r.Origin == s.peer && r.Asked.After(s.since) {
		s.out = append(s.out, returnThing(&r))
	}
	return nil
}

func (s *thingScan) refund(value []byte) error {
	var r RefundRecord
	if err := record.Decode(value, &r); err != nil {
		return err
	}
	for i := range r.Legs {
		if r.Legs[i].Region == s.peer && r.Created.After(s.since) {
			s.out = append(s.out, refundThing(&r, &r.Legs[i]))
		}
	}
	return nil
}

// Thing is what this region has of one thing with a peer; nil where it has none, or it is not the peer's to know.
func (v View) Thing(peer federation.Region, kind, id string) (*Thing, error) {
	var t Thing
	switch kind {
	case ThingHold:
		h, err := v.Hold(id)
		if err != nil || h == nil || h.Origin != string(peer) {
			return nil, err
		}
		t = holdThing(h)
	case ThingLeg:
		paymentID, ok := payment.OfHold(id)
		if !ok {
			return nil, nil //nolint:nilnil // nothing has such an id
		}
		p, err := v.Payment(paymentID)
		if err != nil || p == nil {
			return nil, err
		}
		l := p.Leg(id)
		if l == nil || l.Region != string(peer) {
			return nil, nil //nolint:nilnil // no leg of the peer's
		}
		t = legThing(l)
	case ThingRefundLeg, ThingReturn:
		return v.refundThing(peer, kind, id)
	default:
		return nil, nil //nolint:nilnil // no such kind
	}
	return &t, nil
}

func (v View) refundThing(peer federation.Region, kind, id string) (*Thing, error) {
	refundID, holdID, ok := cutRefund(id)
	if !ok {
		return nil, nil //nolint:nilnil // nothing has such an id
	}
	var t Thing
	if kind == ThingReturn {
		r, err := read[ReturnRecord](v.r, keyReturn, returnKey(holdID, refundID))
		if err != nil || r == nil || r.Origin != string(peer) {
			return nil, err
		}
		t = returnThing(r)
		return &t, nil
	}
	r, err := read[RefundRecord](v.r, keyRefund, refundID)
	if err != nil || r == nil {
		return nil, err
	}
	var l *refund.Leg
	if l = r.Leg(holdID); l == nil || l.Region != string(peer) {
		return nil, nil //nolint:nilnil // no leg of the peer's
	}
	t = refundThing(r, l)
	return &t, nil
}

// Counterpart is what this region has of a thing that a peer has told of.
func (v View) Counterpart(peer federation.Region, there Thing) (*Thing, error) {
	return v.Thing(peer, other(there.Kind), there.ID)
}

// Differences visits what is named of a peer.
func (v View) Differences(peer federation.Region, visit func(Difference) bool) error {
	var failed error
	lo := stateKey(keyDifference, joined(string(peer)))
	v.r.Scan(lo, prefixEnd(lo), func(_, value []byte) bool {
		var d Difference
		if failed = record.Decode(value, &d); failed != nil {
			return false
		}
		return visit(d)
	})
	return failed
}

// cutRefund takes the id of a refund's part apart.
func cutRefund(id string) (string, string, bool) { return strings.Cut(id, "/") }
