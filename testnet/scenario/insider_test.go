//go:build integration && unix

package scenario_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"gongji/federation"
	"gongji/internal/freeport"
	"gongji/testnet/hostile"
	"gongji/testnet/topology"
)

// takeOver stops a region's nodes and learns from the lanes how far its links are: from then on the insider speaks in
// its name.
func takeOver(t *testing.T, f *fed, code string) *insider {
	t.Helper()
	f.signal(t, code, syscall.SIGSTOP)
	bus := f.lanes(t)
	x := &insider{hostile.NewInsider(f.member(t, code), bus.Lanes)}
	for _, r := range f.session.Regions {
		if r.Code == code {
			continue
		}
		peer := f.member(t, r.Code)
		lane := x.Lane(peer.Self)
		out := federation.Out{Epoch: 1}
		for _, record := range bus.all(t, lane) {
			o, err := federation.Unpack(peer.Directory, peer, lane, time.Now(), record.Value)
			if hostile.Replaced(err) {
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
		x.Said[peer.Self] = out
		if _, err := x.Hear(t.Context(), peer.Self); err != nil { // and forget what was said before
			t.Fatal(err)
		}
	}
	return x
}

// insider is somebody who has all keys of a region, and speaks in its name while its nodes stand still.
type insider struct{ *hostile.Insider }

func (x *insider) send(t *testing.T, to federation.Region, messages ...federation.Message) {
	t.Helper()
	if err := x.Send(t.Context(), to, messages...); err != nil {
		t.Fatal(err)
	}
}

func (x *insider) put(t *testing.T, to federation.Region, messages ...federation.Message) {
	t.Helper()
	for _, m := range messages {
		x.send(t, to, m)
	}
}

func (x *insider) answer(t *testing.T, from federation.Region, id string) (int64, string) {
	t.Helper()
	amount, code, err := x.Answer(t.Context(), from, id)
	if err != nil {
		t.Fatal(err)
	}
	return amount, code
}

// genuineTicket finds the ticket that a payment of the region itself was made with, and returns it with that payment's
// id. From then on persons are sent under the salt that this ticket was shown with.
func (x *insider) genuineTicket(t *testing.T, f *fed, to federation.Region) ([]byte, string) {
	t.Helper()
	receiver, lane := f.member(t, string(to)), x.Lane(to)
	for _, r := range f.lanes(t).all(t, lane) {
		o, err := federation.Unpack(receiver.Directory, receiver, lane, time.Now(), r.Value)
		if err != nil {
			t.Fatal(err)
		}
		for i := range o.Messages {
			texts, _, err := hostile.FieldsOf(o.Messages[i].Body)
			if err != nil {
				t.Fatal(err)
			}
			if raw, ok := texts[hostile.KindHoldRequest]; ok {
				said, _, err := hostile.FieldsOf(raw)
				if err != nil {
					t.Fatal(err)
				}
				x.Salt = o.Messages[i].PersonsSalt
				return said[9], string(said[2])
			}
		}
	}
	t.Fatalf("no hold request on %s", lane.Topic())
	return nil, ""
}

// TestMemberWithBadIntentions: a member of the federation with its real keys asks for money that no visit stands
// for. Each attempt is refused, counted and audited, and moves nothing; an honest request of the same member is held.
func TestMemberWithBadIntentions(t *testing.T) {
	r := up(t, filepath.Join(t.TempDir(), "net"), "--processes", "--base-port", strconv.Itoa(freeport.Base(t)),
		"--load-accounts", "3")
	pair := r.pairs[0]
	grant, otherGrant := r.grant(t, pair), r.grant(t, r.pairs[1])
	r.mustCapture(t, pair, "80.00")
	until(t, "the outboxes are empty", r.drained)
	x := takeOver(t, r.fed, pair.Visit)
	payerHome := federation.Region(pair.Payer.Region)
	refusedName := fmt.Sprintf(`gongji_tickets_refused_total{peer="%s"}`, x.Self)
	before := r.read(t.Context(), t, pair.Payer.Region)

	ticket, payment := x.genuineTicket(t, r.fed, payerHome)
	list, err := x.Attempts(t.Context(), hostile.Target{
		Beneficiary: pair.Beneficiary, PayerHome: payerHome, Grant: grant, OtherGrant: otherGrant,
	}, ticket, payment)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		x.send(t, payerHome, x.Numbered(payerHome, a.Hold.Body(), a.Hold.Persons))
		amount, code := x.answer(t, payerHome, a.Hold.ID)
		if amount != 0 || code != "not_found" {
			t.Errorf("%s: %d fen held, code %q, want nothing and not_found", a.Name, amount, code)
		}
		lines := r.logLines(t, pair.Payer.Region, `"msg":"audit"`, `"ticket_refused"`, a.Hold.ID, a.Why)
		if len(lines) != 1 {
			t.Errorf("%s: %d audit lines of hold %s with %q", a.Name, len(lines), a.Hold.ID, a.Why)
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
		h, ok := after.holds[a.Hold.ID]
		if !ok || h.State != "declined" || h.Amount != 0 || h.CoreHeld != 0 || h.Code != "not_found" {
			t.Errorf("%s: the hold is %+v (%v)", a.Name, h, ok)
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
	h := x.NewHold(grant, hostile.ClearPerson(pair.Beneficiary))
	var err error
	if h.Ticket, err = x.LookUp(t.Context(), home, h.Payment, h.Persons, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	x.send(t, payerHome, x.Numbered(payerHome, h.Body(), h.Persons))
	if amount, code := x.answer(t, payerHome, h.ID); amount != hostile.FenAsked || code != "" {
		t.Errorf("an honest request: %d fen held, code %q; want %d", amount, code, hostile.FenAsked)
	}
	got := f.read(t.Context(), t, pair.Payer.Region).holds[h.ID]
	if got.State != "placed" || got.CoreState != "open" || got.CoreHeld != hostile.FenAsked {
		t.Errorf("an honest request: %+v", got)
	}
	x.send(t, payerHome, x.Numbered(payerHome, hostile.BodyOf(hostile.KindRelease, hostile.Record(hostile.Fields{
		1: h.ID, 2: h.Payment, 3: h.ID + "-r",
	})), nil))
	until(t, "the hold is released", func(ctx context.Context) bool {
		got = f.read(ctx, t, pair.Payer.Region).holds[h.ID]
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
		return hostile.BodyOf(hostile.KindRelease, hostile.Record(hostile.Fields{1: x.NewID("h"), 2: x.NewID("p"), 3: "act"}))
	}
	applied := func(ctx context.Context) uint64 {
		links, err := f.links(ctx, string(to))
		if err != nil {
			return 0
		}
		return links[string(x.Self)].Applied
	}
	one := x.Numbered(to, release(), nil)
	two := x.Numbered(to, release(), nil)
	x.put(t, to, two, one)
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
	last := x.Said[to].Last
	before := x.Said[to]
	before.Last--
	x.Said[to] = before // whatever chain: it is another one
	x.send(t, to, x.Numbered(to, hostile.BodyOf(hostile.KindRelease, hostile.Record(hostile.Fields{
		1: x.NewID("h"), 2: x.NewID("p"), 3: "another act",
	})), nil))
	until(t, "the link is stopped", func(ctx context.Context) bool {
		links, err := f.links(ctx, string(to))
		return err == nil && links[string(x.Self)].Forked && links[string(x.Self)].Applied == last
	})
	x.send(t, to) // a heartbeat
	alarm := fmt.Sprintf(`gongji_link_stopped{peer="%s",reason="forked"}`, x.Self)
	until(t, "the alarm is raised", func(ctx context.Context) bool { return f.counted(ctx, string(to), alarm) == 1 })
	if lines := f.logLines(t, string(to), `"msg":"audit"`, `"link_stopped"`, `"reason":"forked"`); len(lines) != 1 {
		t.Errorf("the fork is audited %d times", len(lines))
	}
}
