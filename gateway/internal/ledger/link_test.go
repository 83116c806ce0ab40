package ledger_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// deliver brings a parcel from Shanghai to Beijing and tells what is held there of the son's account afterwards.
func (f *fed) deliver(p ledger.Parcel) string {
	f.t.Helper()
	f.done(beijing, &ledger.Deliver{Peer: shanghai, Parcels: []ledger.Parcel{p}})
	_, held := f.account(f.son)
	return held.String()
}

// outbox is what Shanghai has for Beijing: three hold requests of 10.00 each.
func outbox(t *testing.T) (*fed, ledger.Parcel) {
	t.Helper()
	f := family(t)
	for range 3 {
		f.done(shanghai, f.bill(shanghai, f.mother, "10.00"))
	}
	p := f.parcel(shanghai, beijing)
	if len(p.Messages) != 3 {
		t.Fatalf("%d messages", len(p.Messages))
	}
	return f, p
}

func only(p ledger.Parcel, messages ...ledger.Inbound) ledger.Parcel {
	p.Messages = messages
	return p
}

// TestExactlyOnce: repeats change nothing and are acked again, what lies beyond a gap is dropped, what comes in order
// counts once.
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	f, p := outbox(t)
	m := p.Messages
	r := f.regions[beijing]
	steps := []struct {
		messages []ledger.Inbound
		held     string
	}{
		{m[1:], "0.00"},
		{m[2:], "0.00"},
		{m[:1], "10.00"},
		{m[:1], "10.00"},
		{m[2:], "10.00"},
		{[]ledger.Inbound{m[0], m[2]}, "10.00"},
		{[]ledger.Inbound{m[1], m[0], m[2], m[2]}, "30.00"},
		{m, "30.00"},
	}
	for i, s := range steps {
		if got := f.deliver(only(p, s.messages...)); got != s.held {
			t.Fatalf("step %d: %s held, want %s", i, got, s.held)
		}
		if !slices.Equal(r.last.AckDue, []federation.Region{shanghai}) {
			t.Fatalf("step %d: acks are due to %q", i, r.last.AckDue)
		}
	}
	link, err := f.view(beijing).Link(shanghai)
	if err != nil || link.In.Applied != 3 || link.In.Forked {
		t.Errorf("%+v, %v", link, err)
	}
}

// TestOneDeliverOfMany: several parcels in one command are as several commands.
func TestOneDeliverOfMany(t *testing.T) {
	t.Parallel()
	f, p := outbox(t)
	m := p.Messages
	f.done(beijing, &ledger.Deliver{Peer: shanghai, NextOffset: 77, Parcels: []ledger.Parcel{
		only(p, m[0]), only(p, m[2]), only(p, m[0], m[1]), only(p, m[1], m[2]),
	}})
	if _, held := f.account(f.son); held != 3000 {
		t.Errorf("%s held", held)
	}
	link, err := f.view(beijing).Link(shanghai)
	if err != nil || link.NextOffset != 77 || link.In.Applied != 3 || link.Protocol != 1 {
		t.Errorf("%+v, %v", link, err)
	}
	f.done(beijing, &ledger.Deliver{Peer: shanghai}) // without an offset the old one stays
	if link, err = f.view(beijing).Link(shanghai); err != nil || link.NextOffset != 77 {
		t.Errorf("%+v, %v", link, err)
	}
}

// TestFork: the same number with another digest stops the link, and no new hold is asked of such a peer.
func TestFork(t *testing.T) {
	t.Parallel()
	f, p := outbox(t)
	f.deliver(only(p, p.Messages[0]))
	other := p.Messages[1]
	other.Body = slices.Clone(other.Body)
	other.Body[len(other.Body)-1] ^= 1
	if got := f.deliver(only(p, other)); got != "10.00" {
		t.Errorf("%s held", got)
	}
	if got := f.deliver(p); got != "10.00" {
		t.Errorf("a stopped link went on: %s held", got)
	}
	link, err := f.view(beijing).Link(shanghai)
	if err != nil || !link.In.Forked || link.In.Applied != 1 {
		t.Errorf("%+v, %v", link, err)
	}
	// The way back goes on, so that decisions arrive; but Beijing asks Shanghai for nothing new.
	c := f.bill(beijing, f.mother, "900.00")
	q := f.payment(f.done(beijing, c).ID)
	f.want(q, "held 110.00/900.00; 110000 placed 110.00 annual_quota; -310000 region_unreachable")
}

// TestPersonsAreChained: another person under the same body is a fork too.
func TestPersonsAreChained(t *testing.T) {
	t.Parallel()
	f, p := outbox(t)
	m := p.Messages[0]
	m.PersonsDigest[0] ^= 1
	f.deliver(only(p, m))
	if link, err := f.view(beijing).Link(shanghai); err != nil || !link.In.Forked {
		t.Errorf("%+v, %v", link, err)
	}
}

// TestAcks forget what is in the receiver's log, and nothing else.
func TestAcks(t *testing.T) {
	t.Parallel()
	f, p := outbox(t)
	ack := func(epoch, number uint64) ledger.LinkRecord {
		parcel := ledger.Parcel{AckEpoch: epoch, AckNumber: number}
		if number > 0 && number <= 3 {
			parcel.AckChain = p.Messages[number-1].Chain[:]
		}
		f.done(shanghai, &ledger.Deliver{Peer: beijing, Parcels: []ledger.Parcel{parcel}})
		link, err := f.view(shanghai).Link(beijing)
		if err != nil {
			t.Fatal(err)
		}
		return link
	}
	for _, c := range []struct{ epoch, number, acked, waiting uint64 }{
		{1, 0, 0, 3}, {0, 3, 0, 3}, {1, 2, 2, 1}, {1, 1, 2, 1}, {1, 3, 3, 0},
	} {
		link := ack(c.epoch, c.number)
		n := 0
		err := f.view(shanghai).Outbox(beijing, 1, func(number uint64, _ ledger.OutMessage) bool {
			if n++; number <= link.Out.Acked {
				t.Errorf("message %d is still there", number)
			}
			return true
		})
		if err != nil || link.Out.Acked != c.acked || uint64(n) != c.waiting || link.Out.Waiting() != c.waiting {
			t.Errorf("ack %d of epoch %d: %+v with %d waiting, %v", c.number, c.epoch, link.Out, n, err)
		}
	}
	r := f.regions[shanghai]
	if len(r.last.Acked) != 1 || len(r.last.AckDue) != 0 {
		t.Errorf("%+v", r.last)
	}
}

// TestHistoryLost: a peer acks what this region never sent, in this epoch or a later one. This region was restored
// from a backup: nothing it sends would be taken for new, so its link stops, with an alarm, and no later ack counts.
func TestHistoryLost(t *testing.T) {
	t.Parallel()
	for _, a := range []ledger.Parcel{{AckEpoch: 1, AckNumber: 4}, {AckEpoch: 1, AckNumber: 1 << 63}, {AckEpoch: 2}} {
		f, p := outbox(t)
		f.done(shanghai, &ledger.Deliver{Peer: beijing, Parcels: []ledger.Parcel{a}})
		want := []ledger.Alarm{{What: ledger.AlarmHistoryLost, ID: string(beijing)}}
		if got := f.regions[shanghai].last.Alarms; !slices.Equal(got, want) {
			t.Errorf("ack %d of %d: alarms %v", a.AckNumber, a.AckEpoch, got)
		}
		link := f.acks(3, p.Messages[2].Chain)
		if !link.Differs() || link.Out.Acked != 0 {
			t.Errorf("ack %d of %d: %+v", a.AckNumber, a.AckEpoch, link)
		}
	}
}

// TestEpochs: a peer that begins anew is not followed before an operator says so, and gets no new holds meanwhile.
func TestEpochs(t *testing.T) {
	t.Parallel()
	f, p := outbox(t)
	f.deliver(p)
	anew := federation.Out{Epoch: 2}
	body := wire.Encode(request(f, "anew"))
	b := f.bundle(f.mother)
	anew = anew.Next(hash, federation.ContentDigest(hash, body, b.Digest))
	in := f.inbound(beijing, 1, &ledger.OutMessage{Body: body, Persons: &b, Chain: anew.Chain})
	next := ledger.Parcel{Epoch: 2, Messages: []ledger.Inbound{in}}
	if got := f.deliver(next); got != "30.00" {
		t.Errorf("%s held", got)
	}
	q := f.payment(f.done(beijing, f.bill(beijing, f.mother, "95.00")).ID)
	f.want(q, "held 90.00/95.00; 110000 placed 90.00 annual_quota; -310000 region_unreachable")
	f.refused(beijing, &ledger.ResumeLink{Peer: shanghai, Epoch: 3}, policy.CodeWrongState)
	f.refused(beijing, &ledger.ResumeLink{Peer: shanghai, Epoch: 1}, policy.CodeWrongState)
	f.refused(beijing, &ledger.ResumeLink{Peer: fuzhou, Epoch: 2}, policy.CodeWrongState)
	f.done(beijing, &ledger.ResumeLink{Peer: shanghai, Epoch: 2})
	f.cancels(q)
	if got := f.deliver(next); got != "80.00" {
		t.Errorf("%s held", got)
	}
	if got := f.deliver(p); got != "80.00" { // of an epoch that is over
		t.Errorf("%s held", got)
	}
	link, err := f.view(beijing).Link(shanghai)
	if err != nil || link.In.Epoch != 2 || link.In.Applied != 1 || link.NewEpoch != 0 {
		t.Errorf("%+v, %v", link, err)
	}
	f.refused(beijing, &ledger.ResumeLink{Peer: shanghai, Epoch: 2}, policy.CodeWrongState)
}

// TestSetAside: what cannot be understood takes its number, is kept and answered; what stands behind it goes on.
func TestSetAside(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.pays(shanghai, f.mother, "50.00")
	f.confirms(p, "50.00")
	newer := wire.Encode(&wirepb.Body{Kind: &wirepb.Body_Release{Release: &wirepb.Release{HoldId: "h-310000-1"}}})
	newer = append(slices.Clip(newer), 0x08, 0x63) // version 99
	for i, body := range [][]byte{{}, {0xff}, newer, bytes.Repeat([]byte{7}, federation.BodyMax+1)} {
		f.raw(shanghai, beijing, body, nil)
		w := f.waiting(beijing, shanghai)
		if got := w[len(w)-1].GetRejected(); got.GetReason() != "not_understood" || got.GetNumber() != uint64(i)+3 {
			t.Errorf("%d: %v", i, w)
		}
	}
	f.flow()
	f.want(p, "captured 50.00/50.00; 110000 captured 50.00 took 50.00")
	aside := 0
	f.regions[beijing].nodes[0].txn.Scan([]byte("z"), []byte("{"), func(_, _ []byte) bool { aside++; return true })
	if aside != 4 {
		t.Errorf("%d were set aside", aside)
	}
}

// TestRejectedDecision: a decision that the peer could not understand is sent again when the payment wakes.
func TestRejectedDecision(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.pays(shanghai, f.mother, "50.00")
	f.confirms(p, "50.00")
	f.silent[federation.Lane{From: shanghai, To: beijing}] = true
	w := f.waiting(shanghai, beijing)
	f.say(beijing, shanghai, &wirepb.Body{Kind: &wirepb.Body_Rejected{Rejected: &wirepb.Rejected{Number: 2}}}, nil)
	f.pass(10 * time.Second)
	if again := f.waiting(shanghai, beijing); len(w) != 1 || len(again) != 2 ||
		again[1].GetCapture().GetActId() != w[0].GetCapture().GetActId() {
		t.Errorf("%v, %v", w, again)
	}
	f.heal()
	f.flow()
	f.want(p, "captured 50.00/50.00; 110000 captured 50.00 took 50.00")
	f.wantAccount(f.son, "150.00", "0.00")
}

// TestEvidence keeps what a peer signed with the entry that applied it, and only what was applied.
func TestEvidence(t *testing.T) {
	t.Parallel()
	f, p := outbox(t)
	p.Leaves = bytes.Repeat([]byte{9}, 96)
	f.deliver(only(p, p.Messages[0]))
	f.deliver(p)
	f.deliver(p)
	var got []ledger.Evidence
	err := f.view(beijing).Evidence(shanghai, func(e ledger.Evidence) bool { got = append(got, e); return true })
	if err != nil || len(got) != 2 {
		t.Fatalf("%d pieces, %v", len(got), err)
	}
	second := got[1].Parcel
	if len(got[0].Parcel.Messages) != 1 || len(second.Messages) != 2 || second.Messages[0].Number != 2 ||
		string(second.Header) != "header" || len(second.Leaves) != 96 || got[1].At.IsZero() {
		t.Errorf("%+v", got)
	}
}

// TestOutboxIsBounded for new holds; decisions are never refused.
func TestOutboxIsBounded(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.pays(shanghai, f.mother, "50.00")
	link, err := f.view(shanghai).Link(beijing)
	if err != nil {
		t.Fatal(err)
	}
	link.Out.Last += 100_000 // a peer that has not acked for long
	f.setLink(shanghai, beijing, &link)
	q := f.payment(f.done(shanghai, f.bill(shanghai, f.mother, "10.00")).ID)
	f.want(q, "held 10.00/10.00; 310000 placed 10.00; -110000 region_unreachable")
	f.confirms(p, "50.00")
	after, err := f.view(shanghai).Link(beijing)
	if err != nil || after.Out.Last != link.Out.Last+1 {
		t.Errorf("%+v, %v", after.Out, err)
	}
}

// TestPeerThatNeverAcks: a million messages wait for a peer. What it says is not applied, and not lost; each ack makes
// room.
func TestPeerThatNeverAcks(t *testing.T) {
	t.Parallel()
	f, p := outbox(t)
	f.deliver(p)
	before, err := f.view(beijing).Link(shanghai)
	if err != nil || before.In.Applied != 3 || before.Out.Waiting() != 3 {
		t.Fatalf("%+v, %v", before, err)
	}
	full := before
	full.Out.Last = 1_000_000
	f.setLink(beijing, shanghai, &full)
	for range 2 {
		f.done(shanghai, f.bill(shanghai, f.mother, "10.00"))
	}
	more := f.parcel(shanghai, beijing)
	held := f.deliver(more)
	r := f.regions[beijing]
	after, err := f.view(beijing).Link(shanghai)
	if err != nil || after.In != before.In || after.Out != full.Out || held != "30.00" {
		t.Errorf("%s held; %+v, %v", held, after, err)
	}
	if want := []ledger.Stranger{{Peer: shanghai, Reason: ledger.StrangerUnacked, ID: "4"}}; !slices.Equal(
		r.last.Strangers, want) || !slices.Equal(r.last.AckDue, []federation.Region{shanghai}) {
		t.Errorf("%+v", r.last)
	}
	if held = f.deliver(p); held != "30.00" || len(r.last.Strangers) != 0 { // repeats are what they were
		t.Errorf("%s held; %+v", held, r.last)
	}
	first := f.outMessage(beijing, shanghai, 1)
	more.AckEpoch, more.AckNumber, more.AckChain = 1, 1, first.Chain[:]
	if held = f.deliver(more); held != "40.00" || len(r.last.Strangers) != 1 || r.last.Strangers[0].ID != "5" {
		t.Errorf("after one ack %s held; %+v", held, r.last)
	}
}

// TestOutboxFrom a number on, each message under its own number.
func TestOutboxFrom(t *testing.T) {
	t.Parallel()
	f, p := outbox(t)
	var numbers []uint64
	err := f.view(shanghai).Outbox(beijing, 2, func(n uint64, m ledger.OutMessage) bool {
		numbers = append(numbers, n)
		if m.Chain != p.Messages[n-1].Chain || m.Persons == nil {
			t.Errorf("message %d is another one", n)
		}
		return true
	})
	if err != nil || !slices.Equal(numbers, []uint64{2, 3}) {
		t.Error(numbers, err)
	}
	n := 0
	err = f.view(shanghai).Outbox(beijing, 1, func(uint64, ledger.OutMessage) bool { n++; return false })
	if err != nil || n != 1 {
		t.Error(n, err)
	}
}
