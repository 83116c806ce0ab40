package federation

import "encoding/binary"

// Hash is the digest that chains are made with (SM3); handed in, since this package stands alone.
type Hash func(parts ...[]byte) [HashSize]byte

// Out is the sending half of a link, kept in the sender's replicated state. Zero value: epoch 0,
// nothing sent.
type Out struct {
	Epoch uint64
	Last  uint64 // the newest number given
	Acked uint64 // everything up to here is in the receiver's log
	Chain [HashSize]byte
}

// Next numbers one more message and chains its content in.
func (o Out) Next(h Hash, content [HashSize]byte) Out {
	o.Last++
	o.Chain = chain(h, o.Chain, o.Last, content)
	return o
}

// Ack takes a cumulative ack. It returns false, and o as it was, when the ack says nothing new:
// another epoch, an old number, or one that was never sent (which only a faulty or forging peer
// sends). An Out knows only its newest chain: that a.Chain is the chain at a.Number is for the
// caller, which keeps the messages, to see. Where it is not, the two sides have different
// histories, and nothing may be forgotten.
func (o Out) Ack(a Ack) (Out, bool) {
	if a.Epoch != o.Epoch || a.Number <= o.Acked || a.Number > o.Last {
		return o, false
	}
	o.Acked = a.Number
	return o, true
}

// Waiting is how many messages the receiver has not acked yet.
func (o Out) Waiting() uint64 { return o.Last - o.Acked }

// Verdict is what a receiver does with an authentic numbered message.
type Verdict uint8

// The verdicts.
const (
	Apply    Verdict = iota + 1 // it is the next one: apply it, keep the new In
	Repeat                      // applied before: ack again
	Gap                         // something before it is missing: drop it, the sender goes back
	Fork                        // the same place with another content: stop this link, alarm
	OldEpoch                    // of an epoch that is over: drop
	NewEpoch                    // the sender has begun anew: two sides must reconcile first
)

// In is the receiving half of a link, kept in the receiver's replicated state.
type In struct {
	Epoch   uint64
	Applied uint64 // the newest number applied
	Chain   [HashSize]byte
	Forked  bool // the link is stopped
}

// Offer decides on message number of epoch, whose content digest is content and whose sender claims
// that the chain stands at claimed after it. The returned In is to be kept with the change that the
// message makes, in one entry.
func (in In) Offer(h Hash, epoch, number uint64, content, claimed [HashSize]byte) (In, Verdict) {
	switch {
	case epoch < in.Epoch:
		return in, OldEpoch
	case epoch > in.Epoch:
		return in, NewEpoch
	case in.Forked:
		return in, Fork
	case number == in.Applied && claimed != in.Chain:
		in.Forked = true
		return in, Fork
	case number <= in.Applied:
		return in, Repeat
	case number > in.Applied+1:
		return in, Gap
	}
	next := chain(h, in.Chain, number, content)
	if next != claimed {
		in.Forked = true
		return in, Fork
	}
	in.Applied, in.Chain = number, next
	return in, Apply
}

// ContentDigest is what the chain takes of a message: its body and the commitment to its persons.
func ContentDigest(h Hash, body []byte, persons [HashSize]byte) [HashSize]byte {
	b := h(body)
	return h(b[:], persons[:])
}

// Ack is what the receiver tells its peer: how far its log has come, and with what content.
func (in In) Ack() Ack { return Ack{Epoch: in.Epoch, Number: in.Applied, Chain: in.Chain} }

// Chain is the chain behind message number, whose content digest is content, on a chain that stood
// at before: what an arbiter computes to hold messages against a receipt.
func Chain(h Hash, before [HashSize]byte, number uint64, content [HashSize]byte) [HashSize]byte {
	return chain(h, before, number, content)
}

func chain(h Hash, before [HashSize]byte, number uint64, content [HashSize]byte) [HashSize]byte {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], number)
	return h([]byte{0x03}, before[:], n[:], content[:])
}
