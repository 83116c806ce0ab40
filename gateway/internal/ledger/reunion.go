package ledger

import (
	"time"

	"gongji/federation"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/record"
	"gongji/gateway/internal/refund"
)

// Reunion is how far two regions have come that begin their link anew, since one of them was restored from a backup.
// Until it is over neither asks the other for a new hold; captures and releases of holds that are known go on.
type Reunion struct {
	Since        time.Time
	Restored     bool // this side began; the other one's new epoch is taken without being asked again
	OldOutLast   uint64
	OldOutAcked  uint64
	OldInApplied uint64
	Listed       bool   // the peer's list was compared
	After        string // where the comparison goes on
	Compared     bool   // this side's own list was too: every difference is named
	PeerCompared bool
	Found        int // differences
	Accepted     bool
	Ended        time.Time // new holds are taken again
}

// Walk is the record.Record of a Reunion.
func (r *Reunion) Walk(c *record.Coder) {
	c.Time(&r.Since)
	c.Bool(&r.Restored)
	c.U64(&r.OldOutLast)
	c.U64(&r.OldOutAcked)
	c.U64(&r.OldInApplied)
	c.Bool(&r.Listed)
	record.Str(c, &r.After)
	c.Bool(&r.Compared)
	c.Bool(&r.PeerCompared)
	record.Int(c, &r.Found)
	c.Bool(&r.Accepted)
	c.Time(&r.Ended)
}

// Reuniting reports whether no new hold may be asked of the peer, or taken from it, before both sides have reconciled.
func (l *LinkRecord) Reuniting() bool { return l.Reunion != nil && l.Reunion.Ended.IsZero() }

// DifferencesMax is how many differences with one peer are kept; beyond it they are only counted.
const DifferencesMax = 20_000

// Kinds of a Thing.
const (
	ThingLeg       = "leg"    // of a payment here, at the peer
	ThingHold      = "hold"   // here, of a payment of the peer's
	ThingRefundLeg = "refund" // asked of the peer
	ThingReturn    = "return" // asked by the peer
)

// Thing is what one side has of something that both know: its state, in words that both sides use, and what is held or
// was taken or given back.
type Thing struct {
	Kind   string
	ID     string
	State  string
	Amount money.Amount
}

// other is the kind that the peer has of the same thing.
func other(kind string) string {
	switch kind {
	case ThingLeg:
		return ThingHold
	case ThingHold:
		return ThingLeg
	case ThingRefundLeg:
		return ThingReturn
	case ThingReturn:
		return ThingRefundLeg
	}
	return ""
}

// Difference is one thing that the two sides do not know alike. An empty state is a side that does not know it.
type Difference struct {
	Kind        string // as this side has it, or would have it
	ID          string
	Here, There string
	AmountHere  money.Amount
	AmountThere money.Amount
}

// Walk is the record.Record of a Difference.
func (d *Difference) Walk(c *record.Coder) {
	record.Str(c, &d.Kind)
	record.Str(c, &d.ID)
	record.Str(c, &d.Here)
	record.Str(c, &d.There)
	record.Int(c, &d.AmountHere)
	record.Int(c, &d.AmountThere)
}

// Compare holds what the peer has of a thing against what this side has; nil: they agree. Either may be missing.
func Compare(here, there *Thing) *Difference {
	var d Difference
	if here != nil {
		d.Kind, d.ID, d.Here, d.AmountHere = here.Kind, here.ID, here.State, here.Amount
	}
	if there != nil {
		d.Kind, d.ID, d.There, d.AmountThere = other(there.Kind), there.ID, there.State, there.Amount
	}
	if d.Here == d.There && d.AmountHere == d.AmountThere {
		return nil
	}
	return &d
}

// Words for the states of both sides of a hold.
const (
	wordRequested = "requested"
	wordPlaced    = "placed"
	wordCapturing = "capturing"
	wordReleasing = "releasing"
	wordReleased  = "released"
	wordCaptured  = "captured"
)

// legThing is a leg in common words. One that could not be captured counts as released: nothing is held or taken.
func legThing(l *payment.Leg) Thing {
	t := Thing{Kind: ThingLeg, ID: l.HoldID}
	switch l.State {
	case payment.LegRequested:
		t.State = wordRequested
	case payment.LegPlaced:
		t.State, t.Amount = wordPlaced, l.Amount
	case payment.LegCapturing:
		t.State, t.Amount = wordCapturing, l.Share
	case payment.LegReleasing:
		t.State = wordReleasing
	case payment.LegCaptured:
		t.State, t.Amount = wordCaptured, l.Captured
	case payment.LegDeclined, payment.LegReleased, payment.LegCaptureFailed:
		t.State = wordReleased
	}
	return t
}

// holdThing is a hold in common words.
func holdThing(h *HoldRecord) Thing {
	t := Thing{Kind: ThingHold, ID: h.ID}
	switch h.State {
	case hold.Requested:
		t.State = wordRequested
	case hold.Placed, hold.InDoubt:
		t.State, t.Amount = wordPlaced, h.Amount
	case hold.Capturing, hold.Undoing:
		t.State, t.Amount = wordCapturing, h.Take
	case hold.Releasing, hold.Abandoning:
		t.State = wordReleasing
	case hold.Captured:
		t.State, t.Amount = wordCaptured, h.Captured
	case hold.Declined, hold.Released, hold.CaptureFailed:
		t.State = wordReleased
	}
	return t
}

func refundID(refundID, holdID string) string { return refundID + "/" + holdID }

func refundThing(r *RefundRecord, l *refund.Leg) Thing {
	return Thing{Kind: ThingRefundLeg, ID: refundID(r.ID, l.HoldID), State: l.State.String(), Amount: l.Amount}
}

func returnThing(r *ReturnRecord) Thing {
	return Thing{
		Kind: ThingReturn, ID: refundID(r.RefundID, r.HoldID), State: r.State.Told().String(), Amount: r.Amount,
	}
}

// BeginEpoch begins this region's link to a peer anew: the word of two operators after a restore from a backup.
type BeginEpoch struct {
	Peer  federation.Region
	Epoch uint64 // higher than any that was ever used
}

// Kind and Walk make a BeginEpoch a Command.
func (*BeginEpoch) Kind() Kind { return KindBeginEpoch }

// Walk walks over the fields.
func (b *BeginEpoch) Walk(c *record.Coder) {
	record.Str(c, &b.Peer)
	c.U64(&b.Epoch)
}

// NoteDifferences brings the leader's comparison with a peer a page further.
type NoteDifferences struct {
	Peer         federation.Region
	Epoch        uint64 // of the link out, for which it was made
	Listed       bool
	After        string
	Compared     bool
	PeerCompared bool
	Differences  []Difference
}

// Kind and Walk make a NoteDifferences a Command.
func (*NoteDifferences) Kind() Kind { return KindNoteDifferences }

// Walk walks over the fields.
func (n *NoteDifferences) Walk(c *record.Coder) {
	record.Str(c, &n.Peer)
	c.U64(&n.Epoch)
	c.Bool(&n.Listed)
	record.Str(c, &n.After)
	c.Bool(&n.Compared)
	c.Bool(&n.PeerCompared)
	record.List(c, &n.Differences)
}

// AcceptDifferences is the word of two operators that the differences with a peer are known and dealt with.
type AcceptDifferences struct {
	Peer  federation.Region
	Epoch uint64
}

// Kind and Walk make an AcceptDifferences a Command.
func (*AcceptDifferences) Kind() Kind { return KindAcceptDifferences }

// Walk walks over the fields.
func (a *AcceptDifferences) Walk(c *record.Coder) {
	record.Str(c, &a.Peer)
	c.U64(&a.Epoch)
}

// newReunionCommand makes an empty command of a link that begins anew; nil for any other kind.
func newReunionCommand(k Kind) Command {
	switch k { //nolint:exhaustive // the others are made elsewhere
	case KindBeginEpoch:
		return new(BeginEpoch)
	case KindNoteDifferences:
		return new(NoteDifferences)
	case KindAcceptDifferences:
		return new(AcceptDifferences)
	}
	return nil
}
