package ledger

import (
	"time"

	"gongji/federation"
	"gongji/gateway/internal/record"
)

// What a region has sent stays in its state beside the receipt for it: a header that the receiver signed, with an ack
// whose chain covers the message. Together they prove what was sent and that the receiver's log has it.

// acked takes the ack of a parcel: its messages wait no more, and the receipt is to be kept. An ack of another content
// than was sent means that the two sides have different histories: nothing is counted as received, here or later in
// this epoch, and an operator hears of it.
func (x *tx) acked(now time.Time, peer federation.Region, link *LinkRecord, p *Parcel) *Receipt {
	a := p.ack()
	if x.historyLost(peer, link, a) {
		return nil
	}
	next, ok := link.Out.Ack(a)
	if !ok || link.Differs() {
		return nil
	}
	receipt := &Receipt{At: now, From: link.Out.Acked + 1}
	m, err := read[OutMessage](x.Txn, keyOut, numbered(peer, a.Epoch, a.Number))
	if err != nil {
		x.fail(err)
		return nil
	}
	if m == nil || m.Chain != a.Chain {
		link.AckForked = link.Out.Epoch
		receipt.Forked = true
		x.alarm(AlarmReceiptForked, string(peer))
		return receipt
	}
	link.Out = next
	x.l.effects.Acked = appendOnce(x.l.effects.Acked, peer)
	return receipt
}

// ackedBy is a receipt with its place.
type ackedBy struct {
	Receipt

	epoch, number uint64
}

// newReceipt completes a receipt with what the peer signed, once: a parcel that is evidence already, under its first
// number, is only named.
func newReceipt(r *Receipt, p *Parcel, first uint64) *ackedBy {
	if r == nil {
		return nil
	}
	if first == 0 {
		r.Header, r.Signature = p.Header, p.Signature
	} else {
		r.Epoch, r.First = p.Epoch, first
	}
	return &ackedBy{*r, p.AckEpoch, p.AckNumber}
}

// receipt returns which of two receipts of one command is to be kept: the newer one covers what the older one did.
// Proof of a difference stands for itself.
func (x *tx) receipt(peer federation.Region, before, r *ackedBy) *ackedBy {
	switch {
	case r == nil:
		return before
	case r.Forked:
		x.keepReceipt(peer, before)
	case before != nil && !before.Forked:
		r.From = before.From
	}
	return r
}

func (x *tx) keepReceipt(peer federation.Region, r *ackedBy) {
	if r != nil {
		x.Set(stateKey(keyReceipt, numbered(peer, r.epoch, r.number)), record.Encode(&r.Receipt))
	}
}

// historyLost sees that a peer acks what this region never sent, in this epoch or in a later one: this region was
// restored from a backup and does not know. Nothing it sends would be taken for new. Its link stops until operators
// begin a new epoch.
func (x *tx) historyLost(peer federation.Region, link *LinkRecord, a federation.Ack) bool {
	if a.Epoch < link.Out.Epoch || (a.Epoch == link.Out.Epoch && a.Number <= link.Out.Last) {
		return false
	}
	if !link.Differs() {
		link.AckForked = link.Out.Epoch
		x.alarm(AlarmHistoryLost, string(peer))
	}
	return true
}
