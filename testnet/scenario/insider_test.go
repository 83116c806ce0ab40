//go:build integration && unix

package scenario_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/testnet/topology"
)

// insider is somebody who has all keys of a region, and speaks in its name while its nodes stand still.
type insider struct {
	*member

	bus  *plain
	out  map[federation.Region]federation.Out
	acks map[federation.Region]federation.Ack
	read map[federation.Region]int64 // next offset of the lane from there
	salt [federation.SaltSize]byte   // of persons; zero: a new one each time
}

// takeOver stops a region's nodes and learns from the lanes how far its links are.
func takeOver(t *testing.T, f *fed, code string) *insider {
	t.Helper()
	f.signal(t, code, syscall.SIGSTOP)
	x := &insider{
		member: newMember(t, f.dir, code), bus: newPlain(t, f.session.Kafka...),
		out: map[federation.Region]federation.Out{}, acks: map[federation.Region]federation.Ack{},
		read: map[federation.Region]int64{},
	}
	for _, r := range f.session.Regions {
		if r.Code == code {
			continue
		}
		peer := newMember(t, f.dir, r.Code)
		lane := federation.Lane{From: x.self, To: peer.self}
		out := federation.Out{Epoch: 1}
		for _, record := range x.bus.all(t.Context(), t, lane) {
			o, err := federation.Unpack(peer.dir, peer, lane, time.Now(), record.Value)
			if replaced(err) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range o.Messages {
				if m := &o.Messages[i]; m.Number > out.Last {
					out.Last, out.Chain = m.Number, m.Chain
				}
			}
		}
		x.out[peer.self] = out
		x.hear(t.Context(), t, peer.self) // and forget what was said before
	}
	return x
}

// replaced reports whether a parcel is of before its sender's key was revoked.
func replaced(err error) bool {
	r, ok := errors.AsType[*federation.RefusedError](err)
	return ok && (r.Why == federation.RefusedKeyRevoked || r.Why == federation.RefusedKeyUnknown)
}

// hear returns the messages that have come from a region since the last time.
func (x *insider) hear(ctx context.Context, t *testing.T, from federation.Region) []heard {
	t.Helper()
	lane := federation.Lane{From: from, To: x.self}
	records, next, err := x.bus.fetch(ctx, lane, x.read[from])
	if err != nil {
		t.Fatal(err)
	}
	x.read[from] = next
	var out []heard
	for _, r := range records {
		o, err := federation.Unpack(x.dir, x, lane, time.Now(), r.Value)
		if replaced(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range o.Messages {
			m := o.Messages[i]
			if m.Class == federation.Numbered {
				if m.Number > x.acks[from].Number {
					x.acks[from] = federation.Ack{Epoch: 1, Number: m.Number, Chain: m.Chain}
				}
			}
			out = append(out, heard{m, federation.EncodeProof(o.Proof(x.Hash, i))})
		}
	}
	if len(records) > 0 {
		return append(out, x.hear(ctx, t, from)...)
	}
	return out
}

// heard is a message, and the proof that it was said.
type heard struct {
	message federation.Message
	proof   []byte
}

// said is a message to be sent; persons may be nil.
func (x *insider) said(class federation.Class, body, persons []byte) federation.Message {
	m := federation.Message{Class: class, Body: body, Persons: persons}
	_, _ = rand.Read(m.Salt[:]) // never fails
	if class != federation.Numbered {
		_, _ = rand.Read(m.ID[:])
	}
	if persons != nil {
		m.PersonsSalt = x.salt
		if x.salt == ([federation.SaltSize]byte{}) {
			_, _ = rand.Read(m.PersonsSalt[:])
		}
		m.PersonsDigest = federation.PersonsDigest(x.Hash, m.PersonsSalt, persons)
	}
	return m
}

// numbered gives a message the link's next number.
func (x *insider) numbered(to federation.Region, body, persons []byte) federation.Message {
	m := x.said(federation.Numbered, body, persons)
	out := x.out[to].Next(x.Hash, federation.ContentDigest(x.Hash, body, m.PersonsDigest))
	m.Number, m.Chain = out.Last, out.Chain
	x.out[to] = out
	return m
}

// parcel makes the record of a parcel, as the region itself would.
func (x *insider) parcel(t *testing.T, to federation.Region, messages ...federation.Message) []byte {
	t.Helper()
	c := federation.Content{
		To: to, Epoch: 1, Ack: x.acks[to], Time: time.Now(), Protocol: federation.Version, Messages: messages,
	}
	_, _ = rand.Read(c.ParcelID[:]) // never fails
	record, err := federation.Pack(x.dir, x, x.self, c)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func (x *insider) send(t *testing.T, to federation.Region, messages ...federation.Message) {
	t.Helper()
	x.bus.put(t, federation.Lane{From: x.self, To: to}, x.parcel(t, to, messages...))
}

// Kinds of bodies and numbers of fields, as docs/protocol.md has them on the wire.
const (
	kindHoldRequest = 10
	kindHoldAnswer  = 11
	kindRelease     = 13
	kindLookUp      = 40
	kindTicket      = 41
)

// bodyOf wraps a message of a kind.
func bodyOf(kind protowire.Number, content []byte) []byte {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1) // version
	return protowire.AppendBytes(protowire.AppendTag(b, kind, protowire.BytesType), content)
}

// record builds one message field by field: strings, byte slices and whole numbers.
func record(fields map[protowire.Number]any) []byte {
	var b []byte
	for n := protowire.Number(1); n < 32; n++ {
		switch v := fields[n].(type) {
		case string:
			b = protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
		case []byte:
			b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
		case int64:
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
		}
	}
	return b
}

// fieldsOf reads a message: strings and bytes by number, whole numbers too. Of a repeated field it keeps the last one.
func fieldsOf(t *testing.T, b []byte) (map[protowire.Number][]byte, map[protowire.Number]int64) {
	t.Helper()
	texts, numbers := map[protowire.Number][]byte{}, map[protowire.Number]int64{}
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			t.Fatal("not a protobuf")
		}
		b = b[size:]
		switch kind {
		case protowire.VarintType:
			v, size := protowire.ConsumeVarint(b)
			numbers[n], b = int64(v), b[max(size, 0):]
		case protowire.BytesType:
			v, size := protowire.ConsumeBytes(b)
			texts[n], b = v, b[max(size, 0):]
		default:
			t.Fatalf("a field of wire type %d", kind)
		}
	}
	return texts, numbers
}

// clearPerson is a person as a parcel carries one: four strings behind their lengths.
func clearPerson(p topology.Person) []byte {
	var b []byte
	for _, s := range []string{client.IDTypeResident, p.IDNumber, p.Name, p.Region} {
		b = append(protowire.AppendVarint(b, uint64(len(s))), s...)
	}
	return b
}

// newID is an id as region self makes them.
func (x *insider) newID(letter string) string {
	return letter + "-" + string(x.self) + "-" + strings.ToLower(rand.Text()[:20])
}

// hold is what a hold request says.
type hold struct {
	id, payment, grant string
	amount             int64
	ticket             []byte
	persons            []byte
}

func (h hold) body() []byte {
	return bodyOf(kindHoldRequest, record(map[protowire.Number]any{
		1: h.id, 2: h.payment, 3: h.grant, 4: h.amount, 5: time.Now().Add(10 * time.Minute).UnixMicro(),
		6: "outpatient", 7: "H35010000001", 8: "visit-" + h.id, 9: h.ticket,
	}))
}

// answer waits for what a payer's home says to a hold.
func (x *insider) answer(t *testing.T, from federation.Region, id string) (int64, string) {
	t.Helper()
	var amount int64
	var code string
	until(t, string(from)+" answers hold "+id, func(ctx context.Context) bool {
		for _, h := range x.hear(ctx, t, from) {
			texts, _ := fieldsOf(t, h.message.Body)
			if raw, ok := texts[kindHoldAnswer]; ok {
				said, numbers := fieldsOf(t, raw)
				if string(said[1]) == id {
					amount, code = numbers[2], string(said[4])
					return true
				}
			}
		}
		return false
	})
	return amount, code
}

// lookUp asks the beneficiary's home like the region itself would, and returns the ticket.
func (x *insider) lookUp(t *testing.T, home federation.Region, payment string, who []byte, expires time.Time) []byte {
	t.Helper()
	query := x.said(federation.Query, bodyOf(kindLookUp, record(map[protowire.Number]any{
		1: payment, 2: int64(fenAsked), 3: int64(fenAsked), 5: client.CredentialECredential, 9: expires.UnixMicro(),
	})), who)
	x.send(t, home, query)
	var ticket []byte
	until(t, "a ticket comes", func(ctx context.Context) bool {
		for _, h := range x.hear(ctx, t, home) {
			if h.message.Class == federation.Answer && h.message.ID == query.ID {
				ticket = h.proof
				return true
			}
		}
		return false
	})
	return ticket
}

// ownTicket is a ticket for a visit that never was: signed by the visit region itself.
func (x *insider) ownTicket(t *testing.T, h hold, payerHome federation.Region) []byte {
	t.Helper()
	offer := record(map[protowire.Number]any{1: h.grant, 2: string(payerHome)})
	body := bodyOf(kindTicket, record(map[protowire.Number]any{
		1: h.payment, 2: string(x.self), 3: h.amount, 4: offer, 5: time.Now().Add(time.Hour).UnixMicro(),
	}))
	c := federation.Content{
		To: x.self, Time: time.Now(), Protocol: federation.Version,
		Messages: []federation.Message{x.said(federation.Answer, body, h.persons)},
	}
	_, _ = rand.Read(c.ParcelID[:]) // never fails
	p, err := federation.SignSingle(x.dir, x, x.self, c)
	if err != nil {
		t.Fatal(err)
	}
	return federation.EncodeProof(p)
}

// fenAsked is what the insider is after.
const fenAsked = 5000

// genuineTicket finds the ticket that a payment of the region itself was made with, and returns it with that payment's
// id. From then on persons are sent under the salt that this ticket was shown with.
func (x *insider) genuineTicket(t *testing.T, f *fed, lane federation.Lane) ([]byte, string) {
	t.Helper()
	to := newMember(t, f.dir, string(lane.To))
	for _, r := range newPlain(t, f.session.Kafka...).all(t.Context(), t, lane) {
		o, err := federation.Unpack(to.dir, to, lane, time.Now(), r.Value)
		if err != nil {
			t.Fatal(err)
		}
		for i := range o.Messages {
			texts, _ := fieldsOf(t, o.Messages[i].Body)
			if raw, ok := texts[kindHoldRequest]; ok {
				said, _ := fieldsOf(t, raw)
				x.salt = o.Messages[i].PersonsSalt
				return said[9], string(said[2])
			}
		}
	}
	t.Fatalf("no hold request on %s", lane.Topic())
	return nil, ""
}

// attempt is a hold request that must be refused, and the reason that the audit is to name.
type attempt struct {
	name string
	hold hold
	why  string
}

// attempts are what a visit region could try that has real keys, and a ticket of an earlier payment.
func (x *insider) attempts(t *testing.T, f *fed, pair topology.Pair, grant, otherGrant string) []attempt {
	t.Helper()
	payerHome := federation.Region(pair.Payer.Region)
	ticket, payment := x.genuineTicket(t, f, federation.Lane{From: x.self, To: payerHome})
	home := federation.Region(pair.Beneficiary.Region)
	who := clearPerson(pair.Beneficiary)
	good := func() hold {
		return hold{x.newID("h"), x.newID("p"), grant, fenAsked, nil, who}
	}
	late, other, larger, own, changed, elsewhere, stranger := good(), good(), good(), good(), good(), good(), good()
	none, noise := good(), good()
	noise.ticket = []byte("a ticket")
	other.ticket = ticket
	larger.payment, larger.ticket, larger.amount = payment, ticket, 8001
	elsewhere.payment, elsewhere.ticket, elsewhere.grant = payment, ticket, otherGrant
	stranger.payment, stranger.ticket = payment, ticket
	stranger.persons = clearPerson(somebodyElse(pair.Beneficiary))
	changed.payment, changed.ticket = payment, flip(ticket, len(ticket)-1)
	own.ticket = x.ownTicket(t, own, payerHome)
	late.ticket = x.lookUp(t, home, late.payment, who, time.Now().Add(-time.Second))
	return []attempt{
		{"no ticket", none, "there is none"},
		{"noise instead of a ticket", noise, "not a proof"},
		{"another payment's ticket", other, "for another payment"},
		{"more than the ticket says", larger, "for a smaller amount"},
		{"another grant than the ticket's", elsewhere, "for other grants"},
		{"another person than the ticket's", stranger, "of another person"},
		{"a changed ticket", changed, "federation: refused: proof"},
		{"a ticket of one's own", own, "not signed by the home of the person"},
		{"an expired ticket", late, "expired"},
	}
}

// somebodyElse of the same region.
func somebodyElse(p topology.Person) topology.Person {
	for _, q := range topology.People() {
		if q.Region == p.Region && q.IDNumber != p.IDNumber {
			return q
		}
	}
	return p
}

// TestMemberWithBadIntentions: a member of the federation with its real keys asks for money that no visit stands
// for. Each attempt is refused, counted and audited, and moves nothing; an honest request of the same member is held.
func TestMemberWithBadIntentions(t *testing.T) {
	r := up(t, filepath.Join(t.TempDir(), "net"), "--processes", "--base-port", strconv.Itoa(freeBase(t)),
		"--load-accounts", "3")
	pair := r.pairs[0]
	grant, otherGrant := r.grant(t, pair), r.grant(t, r.pairs[1])
	r.mustCapture(t, pair, "80.00")
	until(t, "the outboxes are empty", r.drained)
	x := takeOver(t, r.fed, pair.Visit)
	payerHome := federation.Region(pair.Payer.Region)
	refusedName := fmt.Sprintf(`gongji_tickets_refused_total{peer="%s"}`, x.self)
	before := r.read(t.Context(), t, pair.Payer.Region)

	list := x.attempts(t, r.fed, pair, grant, otherGrant)
	for _, a := range list {
		x.send(t, payerHome, x.numbered(payerHome, a.hold.body(), a.hold.persons))
		amount, code := x.answer(t, payerHome, a.hold.id)
		if amount != 0 || code != "not_found" {
			t.Errorf("%s: %d fen held, code %q, want nothing and not_found", a.name, amount, code)
		}
		lines := r.logLines(t, pair.Payer.Region, `"msg":"audit"`, `"ticket_refused"`, a.hold.id, a.why)
		if len(lines) != 1 {
			t.Errorf("%s: %d audit lines of hold %s with %q", a.name, len(lines), a.hold.id, a.why)
		}
	}
	if n := r.counted(t.Context(), pair.Payer.Region, refusedName); n != float64(len(list)) {
		t.Errorf("%v tickets counted as refused, want %d", n, len(list))
	}
	after := r.read(t.Context(), t, pair.Payer.Region)
	if !maps.Equal(before.accounts, after.accounts) {
		t.Errorf("accounts have changed:\nbefore %+v\nafter  %+v", before.accounts, after.accounts)
	}
	for _, a := range list {
		h, ok := after.holds[a.hold.id]
		if !ok || h.State != "declined" || h.Amount != 0 || h.CoreHeld != 0 || h.Code != "not_found" {
			t.Errorf("%s: the hold is %+v (%v)", a.name, h, ok)
		}
	}
	x.honest(t, r.fed, pair, grant)
	x.reordered(t, r.fed, payerHome)
	x.forked(t, r.fed, payerHome)
}

// honest asks with a ticket that was given for it: the harness can be believed in what it says of the others.
func (x *insider) honest(t *testing.T, f *fed, pair topology.Pair, grant string) {
	t.Helper()
	payerHome, home := federation.Region(pair.Payer.Region), federation.Region(pair.Beneficiary.Region)
	h := hold{x.newID("h"), x.newID("p"), grant, fenAsked, nil, clearPerson(pair.Beneficiary)}
	h.ticket = x.lookUp(t, home, h.payment, h.persons, time.Now().Add(time.Hour))
	x.send(t, payerHome, x.numbered(payerHome, h.body(), h.persons))
	if amount, code := x.answer(t, payerHome, h.id); amount != fenAsked || code != "" {
		t.Errorf("an honest request: %d fen held, code %q; want %d", amount, code, fenAsked)
	}
	got := f.read(t.Context(), t, pair.Payer.Region).holds[h.id]
	if got.State != "placed" || got.CoreState != "open" || got.CoreHeld != fenAsked {
		t.Errorf("an honest request: %+v", got)
	}
	x.send(t, payerHome, x.numbered(payerHome, bodyOf(kindRelease, record(map[protowire.Number]any{
		1: h.id, 2: h.payment, 3: h.id + "-r",
	})), nil))
	until(t, "the hold is released", func(ctx context.Context) bool {
		got = f.read(ctx, t, pair.Payer.Region).holds[h.id]
		return got.State == "released" && got.CoreState == "released"
	})
	if held := f.read(t.Context(), t, pair.Payer.Region).accounts[got.Account].Held; held != 0 {
		t.Errorf("after the release %d fen are held", held)
	}
}

// reordered sends two messages that nobody has seen yet in the wrong order: the one beyond the gap is dropped, the
// other is applied, and the first is applied when it comes again.
func (x *insider) reordered(t *testing.T, f *fed, to federation.Region) {
	t.Helper()
	release := func() []byte { // of a hold never seen: it is recorded as released
		return bodyOf(kindRelease, record(map[protowire.Number]any{1: x.newID("h"), 2: x.newID("p"), 3: "act"}))
	}
	applied := func(ctx context.Context) uint64 {
		links, err := f.links(ctx, string(to))
		if err != nil {
			return 0
		}
		return links[string(x.self)].Applied
	}
	one := x.numbered(to, release(), nil)
	two := x.numbered(to, release(), nil)
	x.bus.put(t, federation.Lane{From: x.self, To: to}, x.parcel(t, to, two), x.parcel(t, to, one))
	until(t, "the earlier of two is applied", func(ctx context.Context) bool { return applied(ctx) >= one.Number })
	if n := applied(t.Context()); n != one.Number {
		t.Errorf("applied up to %d, want %d: what lies beyond a gap is dropped", n, one.Number)
	}
	x.send(t, to, two)
	until(t, "the later of two is applied", func(ctx context.Context) bool { return applied(ctx) == two.Number })
}

// forked sends the last number once more with another content: the link stops, and an operator sees it.
func (x *insider) forked(t *testing.T, f *fed, to federation.Region) {
	t.Helper()
	last := x.out[to].Last
	before := x.out[to]
	before.Last--
	x.out[to] = before // whatever chain: it is another one
	x.send(t, to, x.numbered(to, bodyOf(kindRelease, record(map[protowire.Number]any{
		1: x.newID("h"), 2: x.newID("p"), 3: "another act",
	})), nil))
	until(t, "the link is stopped", func(ctx context.Context) bool {
		links, err := f.links(ctx, string(to))
		return err == nil && links[string(x.self)].Forked && links[string(x.self)].Applied == last
	})
	x.send(t, to) // a heartbeat
	alarm := fmt.Sprintf(`gongji_link_stopped{peer="%s",reason="forked"}`, x.self)
	until(t, "the alarm is raised", func(ctx context.Context) bool { return f.counted(ctx, string(to), alarm) == 1 })
	if lines := f.logLines(t, string(to), `"msg":"audit"`, `"link_stopped"`, `"reason":"forked"`); len(lines) != 1 {
		t.Errorf("the fork is audited %d times", len(lines))
	}
}
