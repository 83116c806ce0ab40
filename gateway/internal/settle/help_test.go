package settle_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	beijing  = regiontest.Beijing
	shanghai = regiontest.Shanghai
)

// played is a federation of Shanghai, which runs, and Beijing, which the test plays.
type played struct {
	*regiontest.Federation

	t    *testing.T
	sh   *regiontest.Region
	read int // records of Shanghai's lane that the test has looked at
	link federation.Out
	next int // names of things
}

// play runs in virtual time.
func play(t *testing.T, c regiontest.Config, act func(t *testing.T, p *played)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c.Codes, c.Absent = []federation.Region{shanghai}, []federation.Region{beijing}
		f, err := regiontest.New(c)
		if err != nil {
			t.Fatal(err)
		}
		f.Start(t)
		p := &played{Federation: f, t: t, sh: f.Regions[shanghai]}
		p.link.Epoch = 1
		p.settle()
		act(t, p)
	})
}

// joining is how long a leader may take until it has seen the directory and works with every peer.
const joining = 1100 * time.Millisecond

func (p *played) settle() {
	passes(joining)
	p.sent()
}

func outLane() federation.Lane { return federation.Lane{From: shanghai, To: beijing} }
func inLane() federation.Lane  { return federation.Lane{From: beijing, To: shanghai} }

// passes lets time pass and everything be done that is due by then.
func passes(d time.Duration) {
	synctest.Wait()
	<-time.After(d)
	synctest.Wait()
}

// beneficiary is Shanghai's own.
func beneficiary() regiontest.Person { return regiontest.Resident(string(shanghai), "王小明", 1) }

// asks makes Shanghai ask Beijing for a hold: one numbered message.
func (p *played) asks() {
	p.t.Helper()
	p.next++
	who := beneficiary().Identity()
	person, err := p.sh.Vault.Person(who, p.sh.Vault.NewNo())
	if err != nil {
		p.t.Fatal(err)
	}
	bundle, err := p.sh.Vault.Bundle(who)
	if err != nil {
		p.t.Fatal(err)
	}
	n := fmt.Sprint(p.next)
	c := &ledger.CreatePayment{
		Request: ledger.Request{Platform: "test", ID: n}, PaymentID: p.sh.Vault.ID("p-" + string(shanghai)),
		Beneficiary: person, Persons: bundle, Institution: "H1", Purpose: "outpatient", VisitID: n,
		VisitDate: policy.Day(time.Now()), Bill: ledger.Bill{ID: n, SelfBorne: 100}, Amount: 100, AllowPartial: true,
		DecideWithin: time.Minute, Offers: []ledger.Offer{{GrantID: "g-110000-x", Region: string(beijing)}},
	}
	if _, err := p.sh.Put(p.t.Context(), c); err != nil {
		p.t.Fatal(err)
	}
}

// sent returns the parcels that Shanghai has published since the last call.
func (p *played) sent() []*federation.Opened {
	p.t.Helper()
	synctest.Wait()
	out, err := p.Unpack(outLane(), p.read)
	if err != nil {
		p.t.Fatal(err)
	}
	p.read += len(out)
	return out
}

// numbers are those of the messages in parcels.
func numbers(parcels []*federation.Opened) []uint64 {
	out := []uint64{}
	for _, o := range parcels {
		for i := range o.Messages {
			if o.Messages[i].Class == federation.Numbered {
				out = append(out, o.Messages[i].Number)
			}
		}
	}
	return out
}

// numbered makes Beijing's next message. It tells Shanghai nothing that it has to answer.
func (p *played) numbered() federation.Message {
	return p.numberedOf(
		wire.Encode(&wirepb.Body{Kind: &wirepb.Body_EnquiryAnswer{EnquiryAnswer: &wirepb.EnquiryAnswer{HoldId: "h"}}}))
}

// numberedOf makes Beijing's next message, of any body.
func (p *played) numberedOf(body []byte) federation.Message {
	hash := p.Root.Hash
	p.link = p.link.Next(hash, federation.ContentDigest(hash, body, [federation.HashSize]byte{}))
	m := federation.Message{Class: federation.Numbered, Number: p.link.Last, Chain: p.link.Chain, Body: body}
	m.Salt[0] = 1
	return m
}

// parcel packs what Beijing sends.
func (p *played) parcel(c federation.Content) []byte {
	p.t.Helper()
	c.To = shanghai
	if c.Epoch == 0 {
		c.Epoch = p.link.Epoch
	}
	data, err := p.Pack(beijing, c)
	if err != nil {
		p.t.Fatal(err)
	}
	return data
}

// ack is Beijing's word that it has Shanghai's message of that number, and all before it.
func (p *played) ack(number uint64) federation.Ack {
	p.t.Helper()
	a := federation.Ack{Epoch: 1, Number: number}
	err := p.sh.View(func(v ledger.View) error {
		return v.Outbox(beijing, number, func(_ uint64, m ledger.OutMessage) bool {
			a.Chain = m.Chain
			return false
		})
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

// tells puts a parcel of Beijing's on the bus.
func (p *played) tells(c federation.Content) { p.Bus.Inject(inLane(), p.parcel(c)) }

func (p *played) linkRecord() ledger.LinkRecord {
	p.t.Helper()
	var l ledger.LinkRecord
	err := p.sh.View(func(v ledger.View) error {
		var failed error
		l, failed = v.Link(beijing)
		return failed
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return l
}

// commands is how many commands Shanghai's log has.
func (p *played) commands() uint64 { return p.sh.Log.Status().Commands }

// count sums a counter over its labels.
func count(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func (p *played) count(name string) float64 { return count(p.t, p.sh.Registry, name) }

// audited expects an event with a reason, once.
func (p *played) audited(event, reason string) {
	p.t.Helper()
	n := 0
	for _, line := range p.sh.Audits.List() {
		if strings.HasPrefix(line, event+" ") && strings.HasSuffix(line, "reason="+reason) {
			n++
		}
	}
	if n != 1 {
		p.t.Errorf("%s with reason %s is audited %d times in %q", event, reason, n, p.sh.Audits.List())
	}
}

// gate is a Log whose Propose waits while it is shut.
type gate struct {
	consensus.Log

	mu   sync.Mutex
	shut chan struct{} // nil: open
	puts int           // Deliver commands let through
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = nil
}

// Propose waits while the gate is shut, whatever else comes.
func (g *gate) Propose(ctx context.Context, command []byte) ([]byte, error) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		select {
		case <-shut:
		case <-ctx.Done():
			return nil, errors.Join(consensus.ErrUnknown, ctx.Err())
		}
	}
	if c, err := ledger.DecodeCommand(command); err == nil && c.Kind() == ledger.KindDeliver {
		g.mu.Lock()
		g.puts++
		g.mu.Unlock()
	}
	return g.Log.Propose(ctx, command)
}

func (g *gate) delivers() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.puts
}
