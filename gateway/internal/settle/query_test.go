package settle_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
	"gongji/federation"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

func checkPerson() *wirepb.Body {
	return &wirepb.Body{Kind: &wirepb.Body_CheckPerson{CheckPerson: &wirepb.CheckPerson{}}}
}

// query is one of Beijing's about Shanghai's beneficiary.
func (p *played) query() federation.Message {
	p.next++
	m := federation.Message{
		Class: federation.Query, Body: wire.Encode(checkPerson()), Persons: vault.Clear(beneficiary().Identity()),
	}
	m.ID[0], m.ID[1], m.ID[2] = 1, byte(p.next), byte(p.next>>8)
	m.Salt[0], m.PersonsSalt[0] = 1, 1
	m.PersonsDigest = federation.PersonsDigest(p.Root.Hash, m.PersonsSalt, m.Persons)
	return m
}

func classes(parcels []*federation.Opened, c federation.Class) int {
	n := 0
	for _, o := range parcels {
		for i := range o.Messages {
			if o.Messages[i].Class == c {
				n++
			}
		}
	}
	return n
}

func answers(parcels []*federation.Opened) int { return classes(parcels, federation.Answer) }

// TestQueryTimeout: without an answer a query is asked again each QueryAgain and given up after Query.
func TestQueryTimeout(t *testing.T) {
	timing := settle.DefaultTiming()
	timing.Query = 2500 * time.Millisecond
	play(t, regiontest.Config{Timing: timing}, func(t *testing.T, p *played) {
		began := time.Now()
		_, err := p.sh.Settler.Ask(t.Context(), beijing, checkPerson(), beneficiary().Identity())
		if !errors.Is(err, settle.ErrUnreachable) {
			t.Fatalf("got %v", err)
		}
		if d := time.Since(began); d != timing.Query {
			t.Errorf("given up after %s", d)
		}
		if got := classes(p.sent(), federation.Query); got != 3 {
			t.Errorf("asked %d times", got)
		}
		passes(5 * time.Second)
		began = time.Now()
		_, err = p.sh.Settler.Ask(t.Context(), beijing, checkPerson(), beneficiary().Identity())
		if !errors.Is(err, settle.ErrUnreachable) || !time.Now().Equal(began) {
			t.Errorf("an unreachable region was waited for: %v after %s", err, time.Since(began))
		}
	})
}

// TestQueryEndsWithItsCaller: who does not wait any longer is told so at once.
func TestQueryEndsWithItsCaller(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := p.sh.Settler.Ask(ctx, beijing, checkPerson(), beneficiary().Identity())
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 300*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// two runs two real regions.
func two(t *testing.T, c regiontest.Config, act func(t *testing.T, f *regiontest.Federation)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c.Codes = []federation.Region{beijing, shanghai}
		f, err := regiontest.New(c)
		if err != nil {
			t.Fatal(err)
		}
		f.Start(t)
		passes(joining)
		act(t, f)
	})
}

// TestQueryAskedAgain: an answer that the bus lost comes with the next asking.
func TestQueryAskedAgain(t *testing.T) {
	two(t, regiontest.Config{}, func(t *testing.T, f *regiontest.Federation) {
		bj, sh := f.Regions[beijing], f.Regions[shanghai]
		who := regiontest.Employee(string(beijing), "李秀英", 7, 100)
		if err := bj.Open(t.Context(), who); err != nil {
			t.Fatal(err)
		}
		passes(2 * time.Second)
		f.Bus.Cut(inLane())
		go func() {
			<-time.After(1500 * time.Millisecond)
			f.Bus.Mend(inLane())
		}()
		got, err := sh.Settler.Ask(t.Context(), beijing, checkPerson(), who.Identity())
		if err != nil {
			t.Fatal(err)
		}
		if a := got.Body.GetCheckPersonAnswer(); !a.GetKnown() || a.GetScheme() != adapters.SchemeEmployee {
			t.Errorf("answered %v", a)
		}
		stranger := regiontest.Employee(string(beijing), "李秀芳", 8, 100)
		got, err = sh.Settler.Ask(t.Context(), beijing, checkPerson(), stranger.Identity())
		if err != nil || got.Body.GetCheckPersonAnswer().GetKnown() {
			t.Errorf("a stranger: %v, %v", got.Body, err)
		}
		passes(2 * time.Second)
	})
}

// TestNotLeading: a node that does not lead asks nobody and lets nobody wait.
func TestNotLeading(t *testing.T) {
	play(t, regiontest.Config{Nodes: 2}, func(t *testing.T, p *played) {
		p.sh.Group.SetLeader(0)
		synctest.Wait()
		n := p.sh.Nodes[1]
		_, err := n.Settler.Ask(t.Context(), beijing, checkPerson(), beneficiary().Identity())
		if !errors.Is(err, settle.ErrNotLeading) {
			t.Errorf("Ask: %v", err)
		}
		if n.Settler.Reachable(beijing) {
			t.Error("a node that listens to nobody finds a peer reachable")
		}
		err = n.Settler.Wait(t.Context(), "p-x", func() (bool, error) { return false, nil })
		if err == nil {
			t.Error("Wait on a follower waits")
		}
	})
}

// slowCore does not answer while it is shut.
type slowCore struct {
	adapters.Core

	mu   sync.Mutex
	shut chan struct{}
	most int
	now  int
}

func (c *slowCore) Person(ctx context.Context, p adapters.Person) (adapters.Account, error) {
	c.mu.Lock()
	c.now++
	c.most = max(c.most, c.now)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.now--
		c.mu.Unlock()
	}()
	select {
	case <-c.shut:
	case <-ctx.Done():
		return adapters.Account{}, adapters.ErrUnknown
	}
	return c.Core.Person(ctx, p)
}

// TestQueriesAreBounded: what cannot be answered in time is dropped and counted, and asked again by who needs it.
func TestQueriesAreBounded(t *testing.T) {
	core := &slowCore{shut: make(chan struct{})}
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core.shut = make(chan struct{})
		core.Core = adaptertest.NewCore(1, time.Now, adaptertest.Faults{})
		f, err := regiontest.New(regiontest.Config{
			Codes: []federation.Region{shanghai}, Absent: []federation.Region{beijing},
			Cores: map[federation.Region]adapters.Core{shanghai: core},
		})
		if err != nil {
			t.Fatal(err)
		}
		f.Start(t)
		p := &played{Federation: f, t: t, sh: f.Regions[shanghai]}
		p.link.Epoch = 1
		p.settle()
		for range 4 {
			var batch []federation.Message
			for range 100 {
				batch = append(batch, p.query())
			}
			p.tells(federation.Content{Messages: batch})
		}
		synctest.Wait()
		if core.most != 64 {
			t.Errorf("%d queries answered at the same time", core.most)
		}
		if got := p.count("gongji_queries_dropped_total"); got != 336 {
			t.Errorf("%v dropped", got)
		}
		close(core.shut)
		passes(time.Second)
		if got := answers(p.sent()); got != 64 {
			t.Errorf("%d answers", got)
		}
	})
}

// TestAskersAreBounded: queries without an answer are at most so many.
func TestAskersAreBounded(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		const askers = 8192
		var wg sync.WaitGroup
		for range askers {
			wg.Go(func() {
				_, err := p.sh.Settler.Ask(t.Context(), beijing, checkPerson(), beneficiary().Identity())
				if !errors.Is(err, settle.ErrUnreachable) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		_, err := p.sh.Settler.Ask(t.Context(), beijing, checkPerson(), beneficiary().Identity())
		if !errors.Is(err, settle.ErrUnreachable) || !time.Now().Equal(began) {
			t.Errorf("one more: %v after %s", err, time.Since(began))
		}
		wg.Wait()
	})
}
