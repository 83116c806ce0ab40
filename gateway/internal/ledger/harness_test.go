package ledger_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gongji/adapters/adaptertest"
	"gongji/adapters/embedded"
	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
	"gongji/gateway/internal/rulebook"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

const (
	beijing  federation.Region = "110000" // share 0.60
	shanghai federation.Region = "310000" // share 0.70, 500.00 for an outpatient visit
	fuzhou   federation.Region = "350100" // share 0.70, floor of 2000.00
)

// begins is 10:00 in Beijing.
var begins = time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)

func hash(parts ...[]byte) [32]byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

func yuan(t testing.TB, s string) money.Amount {
	t.Helper()
	a, err := money.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// replica is one node's state machine with its state.
type replica struct {
	l   *ledger.Ledger
	txn *adaptertest.Txn
}

// region is one region: two replicas that apply the same. The second one starts again at random, and now and then
// stays away for a while and comes back by a snapshot of the first.
type region struct {
	nodes [2]replica
	index uint64
	last  ledger.Effects // of the first replica, after its last command
	down  int            // commands until the second replica is back, by a snapshot
}

// fed is a federation moved by hand: nothing happens but what the test does.
type fed struct {
	t       testing.TB
	now     time.Time
	regions map[federation.Region]*region
	order   []federation.Region
	random  *rand.Rand
	fresh   int
	silent  map[federation.Lane]bool // lanes that carry nothing

	son, daughter, mother someone // of family
}

// federationOf makes regions with a Book, the rules of the pilot, and one directory in which every pair is open. A
// region whose code stands behind a "core:" keeps its money outside.
func federationOf(t testing.TB, regions ...federation.Region) *fed {
	t.Helper()
	f := &fed{
		t: t, now: begins, regions: map[federation.Region]*region{}, silent: map[federation.Lane]bool{},
		random: rand.New(rand.NewPCG(1, 2)),
	}
	for _, r := range regions {
		code, outside := strings.CutPrefix(string(r), "core:")
		f.add(federation.Region(code), outside)
	}
	f.directory(nil)
	t.Cleanup(func() {
		for _, code := range f.order {
			f.same(code)
		}
	})
	return f
}

func (f *fed) add(code federation.Region, outside bool) {
	f.t.Helper()
	r := &region{}
	for i := range r.nodes {
		cfg := ledger.Config{Self: code, Hash: hash}
		if !outside {
			cfg.Book = embedded.New(ledger.KeyBook)
		}
		if i == 0 {
			cfg.Notify = func(e ledger.Effects) { r.last = e }
		}
		l, err := ledger.New(cfg)
		if err != nil {
			f.t.Fatal(err)
		}
		r.nodes[i] = replica{l, adaptertest.NewTxn()}
		if err := l.Reset(r.nodes[i].txn); err != nil {
			f.t.Fatal(err)
		}
	}
	f.regions[code] = r
	f.order = append(f.order, code)
	rules, err := rulebook.BuiltIn(string(code))
	if err != nil {
		f.t.Fatal(err)
	}
	f.rules(rules)
}

// rules puts rules into force in their region.
func (f *fed) rules(rules policy.Rules) {
	f.t.Helper()
	data, err := policy.EncodeRules(rules)
	if err != nil {
		f.t.Fatal(err)
	}
	f.done(federation.Region(rules.Region), &ledger.SetRules{Rules: data})
}

// directory gives every region a directory of all of them, changed by change.
func (f *fed) directory(change func(d *federation.DirectoryData)) {
	f.t.Helper()
	f.fresh++
	d := federation.DirectoryData{
		Version: uint64(f.fresh), Issued: begins.AddDate(-1, 0, 0), Expires: begins.AddDate(3, 0, 0),
	}
	if d.Version > 1 {
		d.Previous = strings.Repeat("ab", 32)
		if last := f.regions[f.order[0]].nodes[0].l.InForce().Directory; last != nil {
			digest := last.Digest()
			d.Previous = hex.EncodeToString(digest[:])
		}
	}
	for i, a := range f.order {
		d.Members = append(d.Members, federation.Member{
			Code: a, Name: "region " + string(a), State: federation.MemberOpen, Protocol: 1,
		})
		for _, b := range f.order[:i] {
			d.Pairs = append(d.Pairs, federation.Pair{A: a, B: b, From: "2026-01-01"})
		}
	}
	if change != nil {
		change(&d)
	}
	signed, err := federation.SignDirectory(d, rootSigns)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, code := range f.order {
		f.done(code, &ledger.SetDirectory{Signed: signed})
	}
}

func rootSigns([]byte) (string, []byte, error) { return "root", []byte("signed"), nil }

// apply puts a command into a region's log, one microsecond after the last one.
func (f *fed) apply(at federation.Region, c ledger.Command) ledger.Outcome {
	f.t.Helper()
	r := f.regions[at]
	f.now = f.now.Add(time.Microsecond)
	r.index++
	data := ledger.EncodeCommand(c)
	var results [2][]byte
	f.restart(r)
	for i, n := range r.nodes {
		if i == 1 && r.down > 0 {
			results[1] = results[0]
			continue
		}
		var err error
		results[i], err = n.l.Apply(n.txn, consensus.Command{Index: r.index, Stamp: f.now, Data: data})
		if err != nil {
			f.t.Fatalf("%s stops at %T: %v", at, c, err)
		}
		n.l.Applied(r.index)
	}
	if string(results[0]) != string(results[1]) {
		f.t.Fatalf("%s: two replicas answer %T with %q and %q", at, c, results[0], results[1])
	}
	if r.index%16 == 0 {
		f.same(at)
	}
	out, err := ledger.DecodeOutcome(results[0])
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// restart has the second replica start again, or stay away, or come back.
func (f *fed) restart(r *region) {
	f.t.Helper()
	n := &r.nodes[1]
	switch {
	case r.down > 1:
		r.down--
		return
	case r.down == 1:
		r.down = 0
		n.txn = r.nodes[0].txn.Clone()
	case f.random.IntN(12) == 0:
		r.down = 1 + f.random.IntN(12)
		return
	case f.random.IntN(3) > 0:
		return
	}
	if err := n.l.Reset(n.txn); err != nil {
		f.t.Fatal(err)
	}
}

// same: a node that forgot its memory has the same state, byte by byte, and wakes at the same time.
func (f *fed) same(at federation.Region) {
	f.t.Helper()
	if f.regions[at].down > 0 {
		return
	}
	a, b := f.regions[at].nodes[0], f.regions[at].nodes[1]
	if !a.txn.Equal(b.txn) {
		f.t.Fatalf("%s: the replicas have come apart", at)
	}
	if err := b.l.Reset(b.txn); err != nil {
		f.t.Fatal(err)
	}
	// The one with a long memory may wake too early, for what is no longer due; never too late.
	if x, y := a.l.NextDue(), b.l.NextDue(); !y.IsZero() && (x.IsZero() || x.After(y)) {
		f.t.Fatalf("%s: one replica wakes at %s, the other at %s", at, x, y)
	}
}

// done applies a command that must not be refused.
func (f *fed) done(at federation.Region, c ledger.Command) ledger.Outcome {
	f.t.Helper()
	out := f.apply(at, c)
	if out.Code != "" {
		f.t.Fatalf("%s refuses %T: %s %s", at, c, out.Code, out.Detail)
	}
	return out
}

// refused applies a command that must be refused with a code, and change nothing but what was due.
func (f *fed) refused(at federation.Region, c ledger.Command, code policy.Code) ledger.Outcome {
	f.t.Helper()
	f.apply(at, &ledger.Tick{})
	before := f.regions[at].nodes[0].txn.Clone()
	out := f.apply(at, c)
	if out.Code != code || out.ID != "" {
		f.t.Fatalf("%s answers %T with %q (%s), want %q", at, c, out.Code, out.Detail, code)
	}
	if !before.Equal(f.regions[at].nodes[0].txn) {
		f.t.Fatalf("%s: the refusal of %T changed the state", at, c)
	}
	return out
}

func (f *fed) view(at federation.Region) ledger.View {
	n := f.regions[at].nodes[0]
	return n.l.View(n.txn)
}

// pass lets time pass, and wakes every region.
func (f *fed) pass(d time.Duration) {
	f.t.Helper()
	f.now = f.now.Add(d)
	for _, r := range f.order {
		f.done(r, &ledger.Tick{})
	}
}

// inbound is a message as the receiver's leader prepares it.
func (f *fed) inbound(to federation.Region, number uint64, m *ledger.OutMessage) ledger.Inbound {
	f.t.Helper()
	in := ledger.Inbound{Number: number, Chain: m.Chain, Body: m.Body}
	if m.Persons != nil {
		in.PersonsDigest, in.PersonsSalt = m.Persons.Digest, m.Persons.Salt
		p := f.person(to, parsePerson(f.t, m.Persons.Sealed))
		in.Person = &p
	}
	body, err := wire.Decode(m.Body)
	if err != nil {
		return in
	}
	if h := body.GetHoldRequest(); h != nil && string(h.GetTicket()) != ticketOf(h.GetPaymentId()) {
		in.Ticket = policy.CodeNotFound
	}
	return in
}

func ticketOf(paymentID string) string { return "ticket of " + paymentID }

// parcel is everything that a region's outbox has for a peer, with its ack.
func (f *fed) parcel(from, to federation.Region) ledger.Parcel {
	f.t.Helper()
	v := f.view(from)
	link, err := v.Link(to)
	if err != nil {
		f.t.Fatal(err)
	}
	p := ledger.Parcel{
		Epoch: link.Out.Epoch, AckEpoch: link.In.Epoch, AckNumber: link.In.Applied, Protocol: 1,
		Header: []byte("header"), Signature: []byte("signature"), AckChain: link.In.Chain[:],
	}
	err = v.Outbox(to, link.Out.Acked+1, func(number uint64, m ledger.OutMessage) bool {
		p.Messages = append(p.Messages, f.inbound(to, number, &m))
		return true
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// carry brings what one region has for another there, and reports whether there was anything.
func (f *fed) carry(from, to federation.Region) bool {
	f.t.Helper()
	if f.silent[federation.Lane{From: from, To: to}] {
		return false
	}
	p := f.parcel(from, to)
	there, err := f.view(to).Link(from)
	if err != nil {
		f.t.Fatal(err)
	}
	news := p.AckNumber > there.Out.Acked
	for i := range p.Messages {
		news = news || p.Messages[i].Number > there.In.Applied
	}
	if !news {
		return false
	}
	f.done(to, &ledger.Deliver{Peer: from, Parcels: []ledger.Parcel{p}})
	return true
}

// flow carries messages until nothing is left that can be carried.
func (f *fed) flow() {
	f.t.Helper()
	for range 200 {
		moved := false
		for _, a := range f.order {
			for _, b := range f.order {
				moved = a != b && f.carry(a, b) || moved
			}
		}
		if !moved {
			return
		}
	}
	f.t.Fatal("the messages do not come to an end")
}

// cut lets nothing pass between two regions until heal.
func (f *fed) cut(a, b federation.Region) {
	f.silent[federation.Lane{From: a, To: b}], f.silent[federation.Lane{From: b, To: a}] = true, true
}

func (f *fed) heal() { clear(f.silent) }

// say has a region tell a peer something that its ledger never would: a hostile or broken one. It is written into the
// region's outbox under the ledger, and carried at once with what waits before it, cut or not.
func (f *fed) say(from, to federation.Region, body *wirepb.Body, who *someone) {
	f.t.Helper()
	f.raw(from, to, wire.Encode(body), who)
}

func (f *fed) raw(from, to federation.Region, body []byte, who *someone) {
	f.t.Helper()
	f.put(from, to, body, who)
	lane := federation.Lane{From: from, To: to}
	silent := f.silent[lane]
	f.silent[lane] = false
	f.carry(from, to)
	f.silent[lane] = silent
}

// tells is say without carrying: the next flow does.
func (f *fed) tells(from, to federation.Region, body *wirepb.Body, who *someone) {
	f.t.Helper()
	f.put(from, to, wire.Encode(body), who)
}

// setLink changes a link under the ledger.
func (f *fed) setLink(at, peer federation.Region, link *ledger.LinkRecord) {
	f.t.Helper()
	for _, n := range f.regions[at].nodes {
		n.txn.Set([]byte("l"+string(peer)), record.Encode(link))
		if err := n.l.Reset(n.txn); err != nil {
			f.t.Fatal(err)
		}
	}
}

// outMessage is the message of an outbox under a number.
func (f *fed) outMessage(at, peer federation.Region, number uint64) ledger.OutMessage {
	f.t.Helper()
	var found ledger.OutMessage
	err := f.view(at).Outbox(peer, number, func(n uint64, m ledger.OutMessage) bool {
		found = m
		return n != number
	})
	if err != nil || found.Body == nil {
		f.t.Fatalf("no message %d: %v", number, err)
	}
	return found
}

// put writes a message into an outbox under the ledger.
func (f *fed) put(from, to federation.Region, body []byte, who *someone) {
	f.t.Helper()
	link, err := f.view(from).Link(to)
	if err != nil {
		f.t.Fatal(err)
	}
	m := ledger.OutMessage{Body: body}
	var digest [32]byte
	if who != nil {
		b := f.bundle(*who)
		m.Persons, digest = &b, b.Digest
	}
	link.Out = link.Out.Next(hash, federation.ContentDigest(hash, body, digest))
	m.Chain = link.Out.Chain
	for _, n := range f.regions[from].nodes {
		n.txn.Set([]byte("l"+string(to)), record.Encode(&link))
		key := binary.BigEndian.AppendUint64([]byte("o"+string(to)), link.Out.Epoch)
		n.txn.Set(binary.BigEndian.AppendUint64(key, link.Out.Last), record.Encode(&m))
		if err := n.l.Reset(n.txn); err != nil {
			f.t.Fatal(err)
		}
	}
}

// waiting are the messages that a region has for a peer.
func (f *fed) waiting(from, to federation.Region) []*wirepb.Body {
	f.t.Helper()
	var out []*wirepb.Body
	for _, m := range f.parcel(from, to).Messages {
		body, err := wire.Decode(m.Body)
		if err != nil {
			f.t.Fatal(err)
		}
		out = append(out, body)
	}
	return out
}
