package settle_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/federation/membus"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// TestRefusedParcels: what is not authentic has no effect, is counted and audited with its reason, and the next genuine
// parcel goes through.
func TestRefusedParcels(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		before := p.commands()
		good := p.parcel(federation.Content{Messages: []federation.Message{p.numbered()}})
		tampered := slices.Clone(good)
		tampered[len(tampered)-1] ^= 1
		reflected, err := p.Pack(shanghai, federation.Content{To: beijing, Epoch: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range [][]byte{tampered, reflected, []byte("noise"), {}} {
			p.Bus.Inject(inLane(), record)
		}
		passes(500 * time.Millisecond)
		if p.commands() != before || p.linkRecord().In.Applied != 0 {
			t.Error("a refused parcel reached the log")
		}
		if got := p.count("gongji_parcels_refused_total"); got != 4 {
			t.Errorf("%v refusals counted", got)
		}
		audits := p.sh.Audits.List()
		for _, reason := range []federation.Refusal{federation.RefusedSeal, federation.RefusedMalformed} {
			if !slices.ContainsFunc(audits, func(s string) bool { return strings.Contains(s, "reason="+string(reason)) }) {
				t.Errorf("no audit of %s in %q", reason, audits)
			}
		}
		if len(audits) != 4 {
			t.Errorf("%d audits", len(audits))
		}
		p.Bus.Inject(inLane(), good)
		passes(500 * time.Millisecond)
		if p.linkRecord().In.Applied != 1 {
			t.Error("the genuine parcel was not applied")
		}
	})
}

// TestRepeatIsAckedNotLogged: a repeat costs an ack and no entry.
func TestRepeatIsAckedNotLogged(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		both := []federation.Message{p.numbered(), p.numbered()}
		p.tells(federation.Content{Messages: both})
		passes(500 * time.Millisecond)
		p.sent()
		before := p.commands()
		for range 5 {
			p.tells(federation.Content{Messages: both})
		}
		p.tells(federation.Content{Messages: both[:1]})
		passes(200 * time.Millisecond)
		if got := p.commands() - before; got != 0 {
			t.Errorf("%d commands for repeats", got)
		}
		if got := p.count("gongji_messages_repeated_total"); got != 11 {
			t.Errorf("%v repeats counted", got)
		}
		got := p.sent()
		if len(got) == 0 || got[len(got)-1].Header.Ack.Number != 2 {
			t.Error("a repeat was not acked again")
		}
	})
}

// TestGapIsDroppedAndAcked: what lies beyond a gap is dropped, and a repeat of all of it behind that is applied.
func TestGapIsDroppedAndAcked(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		m := []federation.Message{p.numbered(), p.numbered(), p.numbered()}
		before := p.commands()
		p.tells(federation.Content{Messages: m[1:]})
		passes(200 * time.Millisecond)
		if p.commands() != before || p.linkRecord().In.Applied != 0 {
			t.Error("messages beyond a gap reached the log")
		}
		if got := p.sent(); len(got) == 0 || got[0].Header.Ack.Number != 0 {
			t.Error("the sender is not told how far this region is")
		}
		p.tells(federation.Content{Messages: m[2:]}) // in one batch with the next
		p.tells(federation.Content{Messages: m})
		passes(200 * time.Millisecond)
		if got := p.linkRecord().In.Applied; got != 3 {
			t.Errorf("applied %d", got)
		}
	})
}

// TestForkStopsTheLink: the last number with another content. The link is stopped, and shown so.
func TestForkStopsTheLink(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		p.tells(federation.Content{Messages: []federation.Message{p.numbered()}})
		passes(200 * time.Millisecond)
		p.link = federation.Out{Epoch: 1}
		other := p.numbered()
		other.Chain[0] ^= 1
		p.tells(federation.Content{Messages: []federation.Message{other}})
		passes(200 * time.Millisecond)
		peers, err := p.sh.Settler.Peers()
		if err != nil || len(peers) != 1 || !peers[0].Forked {
			t.Fatalf("peers: %+v, %v", peers, err)
		}
		p.link = federation.Out{Epoch: 1}
		before := p.commands()
		p.tells(federation.Content{Messages: []federation.Message{p.numbered(), p.numbered()}})
		passes(500 * time.Millisecond)
		if p.linkRecord().In.Applied != 1 || p.commands() != before {
			t.Error("a forked link goes on")
		}
		if n := p.count("gongji_link_stopped"); n != 1 {
			t.Errorf("the alarm stands at %v", n)
		}
		p.audited("link_stopped", "forked")
	})
}

// TestNewEpoch: a peer that has begun anew is noted once; nothing of it is applied before operators resume the link.
func TestNewEpoch(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		p.link = federation.Out{Epoch: 2}
		m := p.numbered()
		for range 4 {
			p.tells(federation.Content{Messages: []federation.Message{m}})
			passes(300 * time.Millisecond)
		}
		l := p.linkRecord()
		if l.NewEpoch != 2 || l.In.Applied != 0 {
			t.Fatalf("%+v", l)
		}
		p.audited("link_stopped", "new_epoch")
		p.tells(federation.Content{Epoch: 1, Messages: []federation.Message{m}})
		passes(300 * time.Millisecond)
		if l = p.linkRecord(); l.In.Forked {
			t.Error("a new epoch's message in the old epoch")
		}
	})
}

// TestCoalescing: parcels that come while one Deliver is under way become one Deliver.
func TestCoalescing(t *testing.T) {
	var g *gate
	c := regiontest.Config{Log: func(_ federation.Region, l consensus.Log) consensus.Log { g = &gate{Log: l}; return g }}
	play(t, c, func(t *testing.T, p *played) {
		g.close()
		p.tells(federation.Content{Messages: []federation.Message{p.numbered()}})
		synctest.Wait()
		for range 40 {
			p.tells(federation.Content{Messages: []federation.Message{p.numbered()}})
		}
		synctest.Wait()
		before := g.delivers()
		g.open()
		passes(50 * time.Millisecond)
		if got := p.linkRecord(); got.In.Applied != 41 || got.NextOffset != 41 {
			t.Errorf("applied %d, offset %d", got.In.Applied, got.NextOffset)
		}
		if got := g.delivers() - before; got > 3 {
			t.Errorf("%d Delivers for 41 parcels", got)
		}
	})
}

// TestManyShortMessages: in the log they are longer than on the bus; a batch that is too large for one command goes
// in halves, and nothing stops.
func TestManyShortMessages(t *testing.T) {
	var g *gate
	c := regiontest.Config{Log: func(_ federation.Region, l consensus.Log) consensus.Log { g = &gate{Log: l}; return g }}
	play(t, c, func(t *testing.T, p *played) {
		g.close()
		p.tells(federation.Content{Messages: []federation.Message{p.numbered()}})
		synctest.Wait()
		persons := wire.Encode(&wirepb.Body{}) // any bytes
		persons = append(persons, make([]byte, 600)...)
		total := 1
		for range 9 {
			var batch []federation.Message
			for range federation.ParcelMessagesMax {
				m := p.numberedWith(persons)
				batch = append(batch, m)
			}
			total += len(batch)
			p.tells(federation.Content{Messages: batch})
		}
		synctest.Wait()
		g.open()
		passes(500 * time.Millisecond)
		if got := p.linkRecord().In.Applied; got != uint64(total) {
			t.Errorf("applied %d of %d", got, total)
		}
	})
}

// numberedWith is numbered with persons that nobody can read.
func (p *played) numberedWith(persons []byte) federation.Message {
	before := p.link
	m := p.numbered()
	m.Persons = persons
	m.PersonsSalt[0] = 1
	m.PersonsDigest = federation.PersonsDigest(p.Root.Hash, m.PersonsSalt, persons)
	p.link = before.Next(p.Root.Hash, federation.ContentDigest(p.Root.Hash, m.Body, m.PersonsDigest))
	m.Chain = p.link.Chain
	return m
}

// lookingBus remembers from where a lane is read.
type lookingBus struct {
	*membus.Bus

	mu      sync.Mutex
	offsets []int64
}

func (b *lookingBus) Fetch(ctx context.Context, l federation.Lane, offset int64) ([]federation.Record, int64, error) {
	if l == inLane() {
		b.mu.Lock()
		b.offsets = append(b.offsets, offset)
		b.mu.Unlock()
	}
	return b.Bus.Fetch(ctx, l, offset)
}

func (b *lookingBus) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offsets = nil
}

func (b *lookingBus) first() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.offsets) == 0 {
		return -1
	}
	return b.offsets[0]
}

// TestOffsetIsKept: the next leader reads on where the log says, not from the start.
func TestOffsetIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := &lookingBus{Bus: membus.New(1)}
		f, err := regiontest.New(regiontest.Config{
			Codes: []federation.Region{shanghai}, Absent: []federation.Region{beijing}, Bus: bus, Nodes: 2,
		})
		if err != nil {
			t.Fatal(err)
		}
		f.Bus = bus.Bus
		f.Start(t)
		p := &played{Federation: f, t: t, sh: f.Regions[shanghai]}
		p.link.Epoch = 1
		p.settle()
		for range 7 {
			p.tells(federation.Content{Messages: []federation.Message{p.numbered()}})
		}
		passes(500 * time.Millisecond)
		lead, _ := p.sh.Log.Leadership()
		bus.forget()
		next := 1
		if !lead.Leader {
			next = 0
		}
		p.sh.Group.SetLeader(next)
		passes(100 * time.Millisecond)
		if got := bus.first(); got != 7 {
			t.Errorf("the new leader reads from %d", got)
		}
	})
}

// TestOffsetAlone: many records that bring the log nothing still move the offset now and then.
func TestOffsetAlone(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		beat := p.parcel(federation.Content{})
		for range 5000 {
			p.Bus.Inject(inLane(), beat)
		}
		passes(2 * time.Second)
		if got := p.linkRecord().NextOffset; got < 4096 {
			t.Errorf("offset %d", got)
		}
	})
}

// TestRewound: the broker has lost everything. The lane is read from its start, and the link goes on where it was.
func TestRewound(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		for range 5 {
			p.tells(federation.Content{Messages: []federation.Message{p.numbered()}})
		}
		passes(500 * time.Millisecond)
		p.Bus.Forget()
		passes(2 * time.Second)
		if got := p.count("gongji_lanes_rewound_total"); got != 1 {
			t.Errorf("counted %v", got)
		}
		p.tells(federation.Content{Messages: []federation.Message{p.numbered()}})
		passes(500 * time.Millisecond)
		if l := p.linkRecord(); l.In.Applied != 6 || l.NextOffset != 1 {
			t.Errorf("applied %d, offset %d", l.In.Applied, l.NextOffset)
		}
	})
}

// TestOldQueries: only queries have a time window; a numbered message of any age is applied.
func TestOldQueries(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		old := federation.Content{Time: time.Now().Add(-time.Minute), Messages: []federation.Message{p.query(), p.numbered()}}
		p.tells(old)
		passes(500 * time.Millisecond)
		if p.linkRecord().In.Applied != 1 {
			t.Errorf("an old numbered message was not applied: %q", p.sh.Audits.List())
		}
		if answers(p.sent()) != 0 {
			t.Error("an old query was answered")
		}
		p.tells(federation.Content{Messages: []federation.Message{p.query()}})
		passes(500 * time.Millisecond)
		if answers(p.sent()) != 1 {
			t.Error("a query was not answered")
		}
	})
}

// TestUnreachable: a peer not heard of for a while is unreachable, and is reachable again with the first parcel.
func TestUnreachable(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		within := settle.DefaultTiming().Unreachable
		passes(within - joining - time.Millisecond)
		if !p.sh.Settler.Reachable(beijing) {
			t.Error("unreachable before this leader has listened long enough")
		}
		passes(2 * time.Millisecond)
		if p.sh.Settler.Reachable(beijing) {
			t.Error("reachable without a word")
		}
		p.tells(federation.Content{})
		passes(10 * time.Millisecond)
		if !p.sh.Settler.Reachable(beijing) {
			t.Error("unreachable after a heartbeat")
		}
		if !p.sh.Settler.Reachable(shanghai) || p.sh.Settler.Reachable("999999") {
			t.Error("this region itself is reachable, and a stranger is not")
		}
	})
}
