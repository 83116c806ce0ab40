package ledger

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"gongji/adapters/adaptertest"
	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

func testHash(parts ...[]byte) [32]byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

var testStart = time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)

// machine is a ledger of Shanghai without a Book, with its state.
type machine struct {
	t   *testing.T
	l   *Ledger
	txn *adaptertest.Txn
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	l, err := New(Config{Self: "310000", Hash: testHash})
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t, l, adaptertest.NewTxn()}
	m.reset()
	return m
}

func (m *machine) reset() {
	m.t.Helper()
	if err := m.l.Reset(m.txn); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) do(at time.Time, c Command) {
	m.t.Helper()
	if _, err := m.l.Apply(m.txn, consensus.Command{Stamp: at, Data: EncodeCommand(c)}); err != nil {
		m.t.Fatal(err)
	}
	m.l.Applied(1)
}

func newPayment(n int, within time.Duration, offers ...Offer) *CreatePayment {
	id := fmt.Sprintf("p-310000-%04d", n)
	return &CreatePayment{
		Request: Request{Platform: "p", ID: id}, PaymentID: id, Institution: "H", Bill: Bill{ID: id, SelfBorne: 100},
		VisitID: "v", VisitDate: policy.Day(testStart), Amount: 100, DecideWithin: within, Offers: offers,
	}
}

// placeRecord puts a payment with a placed leg into the state, due at a time.
func (m *machine) placeRecord(x *tx, n int, due time.Time) {
	p := &PaymentRecord{Payment: payment.Payment{
		ID: fmt.Sprintf("p-310000-%04d", n), State: payment.Held, Amount: 100, Held: 100, DecideBy: due,
		Legs: []payment.Leg{{
			HoldID: fmt.Sprintf("h-310000-%04d-1", n), Region: "110000", State: payment.LegPlaced, Asked: 100, Amount: 100,
		}},
	}}
	x.actOnPayment(p, nil)
}

// TestPassedOverDoNotCount: a node with a long memory has deadlines in it that no longer stand. It fires what a
// node that has just started fires, with the same command: else their states would come apart.
func TestPassedOverDoNotCount(t *testing.T) {
	t.Parallel()
	old, young := newMachine(t), newMachine(t)
	due := testStart.Add(time.Minute)
	for _, m := range []*machine{old, young} {
		x := &tx{Txn: m.txn, l: m.l}
		for n := range 2 * firesMax {
			m.placeRecord(x, n, due)
		}
		m.placeRecord(x, 9999, due)
		for n := range 2 * firesMax { // decided in time: their deadlines stand no longer
			p := get(x, m.l.payments, fmt.Sprintf("p-310000-%04d", n))
			effects, code := p.Confirm(testStart, 100)
			if code != "" {
				t.Fatal(code)
			}
			x.actOnPayment(p, effects)
			p.LegCapturedBy(p.Legs[0].HoldID, 100)
			x.actOnPayment(p, nil)
		}
		if err := x.flush(); err != nil {
			t.Fatal(err)
		}
	}
	young.reset()
	if len(old.l.due) <= 2*firesMax || len(young.l.due) != 1 {
		t.Fatalf("%d and %d deadlines", len(old.l.due), len(young.l.due))
	}
	for _, m := range []*machine{old, young} {
		m.do(due, &Tick{})
		p := get(&tx{Txn: m.txn, l: m.l}, m.l.payments, "p-310000-9999")
		if p.State != payment.Releasing {
			t.Errorf("%s: it did not fire", p.State)
		}
	}
	if !old.txn.Equal(young.txn) {
		t.Error("the replicas have come apart")
	}
}

// TestMovedOnAreForgotten: deadlines that no longer stand do not gather in memory, and the one that does still fires.
func TestMovedOnAreForgotten(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	due := testStart.Add(time.Minute)
	x := &tx{Txn: m.txn, l: m.l}
	m.placeRecord(x, 0, due)
	for n := range staleMax + 1 {
		x.wake(dueHold, fmt.Sprint("h", n), time.Time{}, due)
		x.wake(dueHold, fmt.Sprint("h", n), due, time.Time{})
	}
	if err := x.flush(); err != nil {
		t.Fatal(err)
	}
	m.do(testStart, &Tick{})
	if len(m.l.due) != 1 {
		t.Errorf("%d deadlines in memory", len(m.l.due))
	}
	m.do(due, &Tick{})
	if p := get(&tx{Txn: m.txn, l: m.l}, m.l.payments, "p-310000-0000"); p.State != payment.Releasing {
		t.Errorf("%s: it did not fire", p.State)
	}
}

// TestManyDeadlinesAtOnce fire a bounded number at a time, in one order, and none is lost.
func TestManyDeadlinesAtOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	due := testStart.Add(time.Minute)
	x := &tx{Txn: m.txn, l: m.l}
	for n := range firesMax + 10 {
		m.placeRecord(x, n, due)
	}
	if err := x.flush(); err != nil {
		t.Fatal(err)
	}
	left := func() int {
		n := 0
		if err := m.l.View(m.txn).Payments(func(p *PaymentRecord) bool {
			if p.State == payment.Held {
				n++
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	m.do(due, &Tick{})
	if n := left(); n != 10 {
		t.Fatalf("%d are left", n)
	}
	if next := m.l.NextDue(); !next.Equal(due) {
		t.Errorf("the next is due at %s", next)
	}
	m.do(due.Add(time.Second), &Tick{})
	if n := left(); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// TestSmallMemory: with room for next to nothing, everything is read from the state again, and comes out the same.
func TestSmallMemory(t *testing.T) {
	t.Parallel()
	large, small := newMachine(t), newMachine(t)
	small.l.payments.half, small.l.bills.half, small.l.requests.half = 1, 1, 1
	small.l.holds.half, small.l.links.half, small.l.uses.half = 1, 1, 1
	for _, m := range []*machine{large, small} {
		at := testStart
		for n := range 40 {
			at = at.Add(100 * time.Millisecond)
			m.do(at, newPayment(n, time.Minute, Offer{GrantID: "g-310000-1", Region: "310000"}))
		}
		at = at.Add(time.Hour)
		m.do(at, &Tick{}) // passes over all deadlines, and so touches every payment
		for n := range 3 {
			m.do(at.Add(time.Duration(n)*time.Millisecond), newPayment(100+n, time.Minute))
		}
		if n := len(m.l.payments.young) + len(m.l.payments.old); m == small && n > 4 {
			t.Errorf("%d payments are remembered", n)
		}
		x := &tx{Txn: m.txn, l: m.l}
		for _, n := range []int{0, 39, 0, 17} {
			if p := get(x, m.l.payments, fmt.Sprintf("p-310000-%04d", n)); p == nil || p.State != payment.Declined {
				t.Errorf("%+v", p)
			}
		}
	}
	if !large.txn.Equal(small.txn) {
		t.Error("the states differ")
	}
	if n := len(large.l.payments.young); n != 43 {
		t.Errorf("%d payments are remembered", n)
	}
}

// TestMemoryInsideACommand: however little room there is, what a command has touched stays until it ends.
func TestMemoryInsideACommand(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.l.holds.half = 1
	release := func(n int) []byte {
		return wire.Encode(&wirepb.Body{Kind: &wirepb.Body_Release{Release: &wirepb.Release{
			HoldId: fmt.Sprintf("h-110000-%d-1", n), PaymentId: fmt.Sprintf("p-110000-%d", n),
		}}})
	}
	out := federation.Out{Epoch: 1}
	p := Parcel{Epoch: 1}
	for i := range 12 { // four holds, each three times
		body := release(i % 4)
		out = out.Next(testHash, federation.ContentDigest(testHash, body, [32]byte{}))
		p.Messages = append(p.Messages, Inbound{Number: out.Last, Chain: out.Chain, Body: body})
	}
	m.do(testStart, &Deliver{Peer: "110000", Parcels: []Parcel{p}})
	n := 0
	if err := m.l.View(m.txn).Holds(func(h *HoldRecord) bool {
		if n++; h.State != hold.Released || !h.Ended.Equal(testStart) {
			t.Errorf("%+v", h)
		}
		return true
	}); err != nil || n != 4 {
		t.Error(n, err)
	}
}

// TestKeys: no part of a key reaches into another's range.
func TestKeys(t *testing.T) {
	t.Parallel()
	for _, parts := range [][]string{{}, {""}, {"a"}, {"a", ""}, {"", "a"}, {"a\x00\x01b", "c"}, {"ab", "c"}} {
		got := split([]byte(joined(parts...)))
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", parts) {
			t.Errorf("%q is split into %q", parts, got)
		}
	}
	if got := split([]byte("\x00\x05ab")); len(got) != 0 {
		t.Errorf("%q", got)
	}
	for prefix, want := range map[string]string{"a": "b", "a\xff": "b", "a\xfe": "a\xff", "\xff": "", "": ""} {
		if got := prefixEnd([]byte(prefix)); string(got) != want {
			t.Errorf("behind %q comes %q", prefix, got)
		}
	}
	if !ownID("p", "p-310000-1", "310000") || ownID("p", "p-3100001", "310000") || ownID("h", "p-310000-1", "310000") {
		t.Error("ids carry their region")
	}
}

// TestLimitsUnderflow: a use below zero is a damaged state, and stops the node.
func TestLimitsUnderflow(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	x := &tx{Txn: m.txn, l: m.l}
	x.addUse("key", 5)
	x.addUse("key", -6)
	if x.flush() == nil {
		t.Error("a limit's use is below zero")
	}
}
