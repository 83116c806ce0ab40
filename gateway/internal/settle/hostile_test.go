package settle_test

import (
	"strings"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// refusedWith expects an audited message of that reason, and its counter.
func (p *played) refusedWith(t *testing.T, reason string, times int) {
	t.Helper()
	n := 0
	for _, line := range p.sh.Audits.List() {
		if strings.HasPrefix(line, "message_refused peer="+string(beijing)) && strings.Contains(line, "reason="+reason) {
			n++
		}
	}
	if n != times {
		t.Errorf("%s is audited %d times, want %d, in %q", reason, n, times, p.sh.Audits.List())
	}
	if got := p.labelled("gongji_messages_refused_total", reason); got != float64(times) {
		t.Errorf("%s is counted %v times, want %d", reason, got, times)
	}
}

// labelled sums a counter over the series with that reason.
func (p *played) labelled(name, reason string) float64 {
	p.t.Helper()
	families, err := p.sh.Registry.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == "reason" && l.GetValue() == reason {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

// TestReplayShowsNobodyAlive: a parcel that is heard again, or is of yesterday, renews no liveness; the replay
// is refused, counted and audited.
func TestReplayShowsNobodyAlive(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		parcel := p.parcel(federation.Content{Messages: []federation.Message{p.numbered()}})
		p.Bus.Inject(inLane(), parcel)
		passes(100 * time.Millisecond)
		if !p.sh.Settler.Reachable(beijing) {
			t.Fatal("a parcel shows nobody alive")
		}
		for range 6 {
			passes(time.Second)
			p.Bus.Inject(inLane(), parcel)
		}
		passes(100 * time.Millisecond)
		if p.sh.Settler.Reachable(beijing) {
			t.Error("a replayed parcel shows its sender alive")
		}
		if got := p.labelled("gongji_parcels_refused_total", string(federation.RefusedReplayed)); got != 6 {
			t.Errorf("%v replays counted", got)
		}
		if got := p.linkRecord().In.Applied; got != 1 {
			t.Errorf("applied %d", got)
		}
		p.tells(federation.Content{Time: time.Now().Add(-time.Hour), Messages: []federation.Message{p.numbered()}})
		passes(100 * time.Millisecond)
		if p.sh.Settler.Reachable(beijing) {
			t.Error("a parcel of an hour ago shows its sender alive")
		}
		if got := p.linkRecord().In.Applied; got != 2 {
			t.Errorf("a parcel that waited out an outage is not applied: %d", got)
		}
		p.tells(federation.Content{})
		passes(100 * time.Millisecond)
		if !p.sh.Settler.Reachable(beijing) {
			t.Error("the next heartbeat shows nobody alive")
		}
	})
}

// question is a query of Beijing's.
func (p *played) question(body *wirepb.Body, who vault.Identity) federation.Message {
	p.next++
	m := federation.Message{Class: federation.Query, Body: wire.Encode(body), Persons: vault.Clear(who)}
	m.ID[0], m.ID[1], m.Salt[0], m.PersonsSalt[0] = 1, byte(p.next), 1, 1
	m.PersonsDigest = federation.PersonsDigest(p.Root.Hash, m.PersonsSalt, m.Persons)
	return m
}

func lookUp() *wirepb.Body {
	return &wirepb.Body{Kind: &wirepb.Body_LookUp{LookUp: &wirepb.LookUp{
		PaymentId: "p-110000-1", Amount: 100, SelfBorne: 100, Credential: "e_credential",
	}}}
}

// answers are the answers in what Shanghai has sent since the last call.
func (p *played) answers() int {
	n := 0
	for _, o := range p.sent() {
		for i := range o.Messages {
			if o.Messages[i].Class == federation.Answer {
				n++
			}
		}
	}
	return n
}

// TestQueriesThatAreNotAnswered: a query of another time, one in the wrong class, and one of a region that this one is
// not open with, are refused with their reasons; a good one is answered.
func TestQueriesThatAreNotAnswered(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		who := beneficiary().Identity()
		if err := p.sh.Open(t.Context(), beneficiary()); err != nil {
			t.Fatal(err)
		}
		capture := &wirepb.Body{Kind: &wirepb.Body_Capture{Capture: &wirepb.Capture{HoldId: "h-110000-1-1", Amount: 5}}}
		ask := func(body *wirepb.Body, at time.Time) int {
			p.tells(federation.Content{Time: at, Messages: []federation.Message{p.question(body, who)}})
			passes(200 * time.Millisecond)
			return p.answers()
		}
		if n := ask(lookUp(), time.Now()); n != 1 {
			t.Fatalf("%d answers to a good query", n)
		}
		if ask(lookUp(), time.Now().Add(-time.Minute)) != 0 || ask(lookUp(), time.Now().Add(time.Minute)) != 0 {
			t.Error("a query of another time is answered")
		}
		p.refusedWith(t, "query_stale", 2)
		if ask(capture, time.Now()) != 0 {
			t.Error("a capture as a query is answered")
		}
		p.refusedWith(t, "class", 1)
		stranger := who
		stranger.Region = string(beijing)
		p.tells(federation.Content{Messages: []federation.Message{p.question(lookUp(), stranger)}})
		passes(200 * time.Millisecond)
		p.refusedWith(t, "look_up", 1)
		p.answers()
		for i := range p.Data.Members {
			if p.Data.Members[i].Code == beijing {
				p.Data.Members[i].State = federation.MemberPaused
			}
		}
		if err := p.Redirect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if ask(lookUp(), time.Now()) != 0 {
			t.Error("a query of a paused member is answered")
		}
		p.refusedWith(t, "pair_closed", 1)
	})
}

// TestNosyQueries: a look-up or quote that names a grant which is not this person's, a question for the
// statement of somebody who is at home elsewhere, and one for the trace of a payment that the peer has no part in, are
// answered with nothing and audited.
func TestNosyQueries(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		who := beneficiary().Identity()
		if err := p.sh.Open(t.Context(), beneficiary()); err != nil {
			t.Fatal(err)
		}
		named := lookUp()
		named.GetLookUp().Named, named.GetLookUp().Grants = true, []string{"g-350100-1"}
		for _, body := range []*wirepb.Body{
			named,
			{Kind: &wirepb.Body_Quote{Quote: &wirepb.Quote{GrantId: "g-310000-1", Amount: 5, Purpose: "outpatient"}}},
			{Kind: &wirepb.Body_StatementAsk{StatementAsk: &wirepb.StatementAsk{From: "2000-01-01", To: "2000-01-02"}}},
			{Kind: &wirepb.Body_TraceAsk{TraceAsk: &wirepb.TraceAsk{PaymentId: "p-310000-of-others"}}},
			{Kind: &wirepb.Body_TraceAsk{TraceAsk: &wirepb.TraceAsk{PaymentId: "p-110000-its-own"}}},
		} {
			p.tells(federation.Content{Messages: []federation.Message{p.question(body, who)}})
			passes(200 * time.Millisecond)
			if n := p.answers(); n != 1 {
				t.Errorf("%d answers to %v", n, body)
			}
		}
		p.refusedWith(t, "grant_not_own", 2)
		p.refusedWith(t, "statement_not_own", 1)
		p.refusedWith(t, "trace_not_own", 1)
		own := who
		own.Region = string(beijing) // whom Beijing may ask about
		ask := &wirepb.StatementAsk{From: "2000-01-01", To: "2000-01-02"}
		p.tells(federation.Content{Messages: []federation.Message{
			p.question(&wirepb.Body{Kind: &wirepb.Body_StatementAsk{StatementAsk: ask}}, own),
		}})
		passes(200 * time.Millisecond)
		p.refusedWith(t, "statement_not_own", 1)
	})
}

// TestAnswersThatNobodyAsked: an answer without a query is counted, a numbered body as an answer refused.
func TestAnswersThatNobodyAsked(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		answer := func(body *wirepb.Body) federation.Message {
			m := federation.Message{Class: federation.Answer, Body: wire.Encode(body)}
			m.ID[0], m.Salt[0] = 9, 1
			return m
		}
		p.tells(federation.Content{Messages: []federation.Message{
			answer(&wirepb.Body{Kind: &wirepb.Body_Ticket{Ticket: &wirepb.Ticket{PaymentId: "p"}}}),
			answer(&wirepb.Body{Kind: &wirepb.Body_Capture{Capture: &wirepb.Capture{HoldId: "h"}}}),
		}})
		passes(200 * time.Millisecond)
		if got := p.labelled("gongji_messages_refused_total", "answer_unasked"); got != 1 {
			t.Errorf("%v answers that nobody asked for", got)
		}
		p.refusedWith(t, "class", 1)
	})
}

// TestStrangers: what a member with good keys says of things that are not its own changes nothing, and each is counted
// and audited with its reason.
func TestStrangers(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		foreign, own := "h-350100-x-1", "h-110000-x-1"
		latest := time.Now().Add(time.Minute).UnixMicro()
		for _, body := range []*wirepb.Body{
			{Kind: &wirepb.Body_Capture{Capture: &wirepb.Capture{HoldId: foreign, PaymentId: "p-350100-x", Amount: 5}}},
			{Kind: &wirepb.Body_Release{Release: &wirepb.Release{HoldId: foreign, PaymentId: "p-350100-x"}}},
			{Kind: &wirepb.Body_HoldRequest{HoldRequest: &wirepb.HoldRequest{
				HoldId: foreign, PaymentId: "p-350100-x", GrantId: "g-310000-1", Amount: 5, DecideBy: latest,
			}}},
			{Kind: &wirepb.Body_HoldRequest{HoldRequest: &wirepb.HoldRequest{
				HoldId: own, PaymentId: "p-110000-x", GrantId: "g-310000-1", Amount: -5, DecideBy: latest,
			}}},
			{Kind: &wirepb.Body_HoldAnswer{HoldAnswer: &wirepb.HoldAnswer{HoldId: "h-310000-x-1", Amount: 5}}},
			{Kind: &wirepb.Body_GrantNotice{GrantNotice: &wirepb.GrantNotice{GrantId: "g-350100-1", Revision: 9}}},
			{Kind: &wirepb.Body_GrantConsent{GrantConsent: &wirepb.GrantConsent{GrantId: "g-310000-1"}}},
			{Kind: &wirepb.Body_Refund{Refund: &wirepb.Refund{
				RefundId: "r-350100-x-1", HoldId: foreign, PaymentId: "p-350100-x", Amount: 5,
			}}},
			{Kind: &wirepb.Body_MandateNotice{MandateNotice: &wirepb.MandateNotice{MandateId: "m-350100-1"}}},
			{Kind: &wirepb.Body_LookUp{LookUp: &wirepb.LookUp{PaymentId: "p"}}},
		} {
			p.tells(federation.Content{Messages: []federation.Message{p.numberedOf(wire.Encode(body))}})
		}
		passes(500 * time.Millisecond)
		for reason, times := range map[string]int{
			"hold_not_own": 3, "impossible": 1, "payment_not_own": 1, "grant_not_own": 2, "refund_not_own": 1,
			"mandate_not_own": 1, "not_understood": 1,
		} {
			p.refusedWith(t, reason, times)
		}
		if got := p.linkRecord().In.Applied; got != 10 {
			t.Errorf("%d numbers used up", got) // design 4: an authentic numbered message always is
		}
	})
}

// TestFloodWaits: a lane that costs too much for nothing is read slowly; what is good behind the flood arrives, and a
// peer without a flood does not wait.
func TestFloodWaits(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		good := p.parcel(federation.Content{Messages: []federation.Message{p.numbered()}})
		p.Bus.Inject(inLane(), good)
		passes(100 * time.Millisecond)
		if p.count("gongji_lane_delays_total") != 0 {
			t.Fatal("a good parcel made the lane wait")
		}
		bent := p.parcel(federation.Content{Messages: []federation.Message{p.numbered()}})
		bent[len(bent)-1] ^= 1 // costs a signature check and an unwrap
		const flood = 6_000
		for range flood {
			p.Bus.Inject(inLane(), bent)
		}
		p.link.Last, p.link.Chain = 1, p.linkRecord().In.Chain
		p.tells(federation.Content{Messages: []federation.Message{p.numbered()}})
		passes(time.Second)
		if got := p.count("gongji_lane_delays_total"); got == 0 {
			t.Error("the flood never made its lane wait")
		}
		if got := p.labelled("gongji_parcels_refused_total", string(federation.RefusedSeal)); got >= flood {
			t.Errorf("all %v of the flood were opened within a second", got)
		}
		passes(2 * time.Minute)
		if got := p.linkRecord().In.Applied; got != 2 {
			t.Errorf("what is good behind the flood does not arrive: %d", got)
		}
	})
}
