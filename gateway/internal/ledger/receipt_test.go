package ledger_test

import (
	"bytes"
	"testing"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
)

// acks brings Shanghai an ack of Beijing's, in a parcel without messages.
func (f *fed) acks(number uint64, chain [federation.HashSize]byte) ledger.LinkRecord {
	f.t.Helper()
	f.done(shanghai, &ledger.Deliver{Peer: beijing, Parcels: []ledger.Parcel{{
		AckEpoch: 1, AckNumber: number, AckChain: chain[:], Header: []byte{byte(number)}, Signature: []byte("signed"),
	}}})
	link, err := f.view(shanghai).Link(beijing)
	if err != nil {
		f.t.Fatal(err)
	}
	return link
}

// TestReceipts: an acked message stays, beside the header that its receiver signed.
func TestReceipts(t *testing.T) {
	t.Parallel()
	f, p := outbox(t)
	f.acks(1, p.Messages[0].Chain)
	f.acks(3, p.Messages[2].Chain)
	for number, by := range map[uint64]uint64{1: 1, 2: 3, 3: 3} {
		at, r, err := f.view(shanghai).Receipt(beijing, 1, number)
		if err != nil || r == nil || at != by || !bytes.Equal(r.Header, []byte{byte(by)}) || len(r.Signature) == 0 {
			t.Errorf("receipt of %d: at %d %+v, %v", number, at, r, err)
		}
		m, err := f.view(shanghai).Sent(beijing, 1, number)
		sent := p.Messages[number-1]
		if err != nil || m == nil || m.Chain != sent.Chain || !bytes.Equal(m.Body, sent.Body) {
			t.Errorf("message %d is not kept: %+v, %v", number, m, err)
		}
	}
	if _, r, err := f.view(shanghai).Receipt(beijing, 1, 4); r != nil || err != nil {
		t.Errorf("a receipt for what was not sent: %+v, %v", r, err)
	}
}

// TestReceiptInEvidence: a parcel that brings messages and an ack is kept once, and the receipt names it. Of the acks
// of one command the newest is kept.
func TestReceiptInEvidence(t *testing.T) {
	t.Parallel()
	f, p := outbox(t)
	f.deliver(p)
	back := f.parcel(beijing, shanghai)
	if back.AckNumber != 3 || len(back.Messages) == 0 {
		t.Fatalf("%+v", back)
	}
	first := ledger.Parcel{AckEpoch: 1, AckNumber: 2, AckChain: p.Messages[1].Chain[:], Header: []byte("2")}
	f.done(shanghai, &ledger.Deliver{Peer: beijing, Parcels: []ledger.Parcel{first, back}})
	at, r, err := f.view(shanghai).Receipt(beijing, 1, 1)
	if err != nil || at != 3 || r.From != 1 || len(r.Header) > 0 || r.Epoch != 1 || r.First != back.Messages[0].Number {
		t.Errorf("at %d %+v, %v", at, r, err)
	}
}

// TestReceiptForked: an ack of another content than was sent forgets nothing, stops the link's acks and new holds, and
// is kept as proof.
func TestReceiptForked(t *testing.T) {
	t.Parallel()
	f, p := outbox(t)
	wrong := p.Messages[1].Chain
	wrong[31] ^= 1
	link := f.acks(2, wrong)
	if link.Out.Acked != 0 || !link.Differs() {
		t.Fatalf("%+v", link)
	}
	alarms := f.regions[shanghai].last.Alarms
	if len(alarms) != 1 || alarms[0] != (ledger.Alarm{What: ledger.AlarmReceiptForked, ID: string(beijing)}) {
		t.Errorf("%+v", alarms)
	}
	if link = f.acks(3, p.Messages[2].Chain); link.Out.Acked != 0 {
		t.Error("a peer with another history is believed again")
	}
	if _, r, err := f.view(shanghai).Receipt(beijing, 1, 1); r != nil || err != nil {
		t.Errorf("proof of a difference as a receipt: %+v, %v", r, err)
	}
	if len(f.waiting(shanghai, beijing)) != 3 {
		t.Error("messages were forgotten")
	}
	q := f.payment(f.done(shanghai, f.bill(shanghai, f.mother, "5.00")).ID)
	for _, l := range q.Legs {
		if l.Region == string(beijing) {
			t.Errorf("a new hold is asked: %+v", l)
		}
	}
}
