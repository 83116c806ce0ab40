package simtest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"gongji/adapters/adaptertest"
)

// kind is a kind of fault; -only runs the simulation with some of them.
type kind string

const (
	kindCrash    kind = "crash"    // a node loses its power
	kindLeader   kind = "leader"   // a leader does
	kindAnswer   kind = "answer"   // a leader, or its whole region, loses power in the moment in which it has answered
	kindEffect   kind = "effect"   // a leader, or its whole region, does when the core system has done what it asked
	kindOutage   kind = "outage"   // all nodes of a region do, at once and right after a snapshot
	kindStop     kind = "stop"     // a node is stopped and started again
	kindWipe     kind = "wipe"     // a node comes back with an empty disk
	kindIsolate  kind = "isolate"  // a node hears nobody
	kindOneWay   kind = "oneway"   // a node is not heard by another
	kindFlap     kind = "flap"     // the ways of a node come and go
	kindSlow     kind = "slow"     // a node is far away
	kindBroker   kind = "broker"   // a region does not reach the broker
	kindLane     kind = "lane"     // the broker loses, repeats, delays and spoils
	kindForget   kind = "forget"   // the broker forgets everything
	kindClock    kind = "clock"    // a clock jumps
	kindYear     kind = "year"     // a leader's clock jumps by a year
	kindCore     kind = "core"     // the core system answers late, twice, or not at all
	kindCoreDown kind = "coredown" // it is away
)

// weights say how often each kind is drawn.
func weights() map[kind]int {
	return map[kind]int{
		kindCrash: 5, kindLeader: 5, kindAnswer: 6, kindEffect: 4, kindOutage: 3, kindStop: 2, kindWipe: 1, kindIsolate: 4,
		kindOneWay: 3, kindFlap: 3, kindSlow: 2, kindBroker: 4, kindLane: 5, kindForget: 2, kindClock: 4, kindYear: 2,
		kindCore: 5, kindCoreDown: 1,
	}
}

// fault is one planned fault: what is broken at a moment, and mended after a while.
type fault struct {
	kind   kind
	at     time.Duration
	length time.Duration
	region *region
	node   int
	rng    *rand.Rand
}

func (f *fault) String() string {
	return fmt.Sprintf("%-8s %s-%d for %v", f.kind, f.region.code, f.node+1, f.length.Round(100*time.Millisecond))
}

// planFaults draws the faults of a run; only, if it names any, keeps these kinds.
func (w *world) planFaults(count int, during time.Duration, only []kind) []*fault {
	var bag []kind
	for _, k := range []kind{
		kindCrash, kindLeader, kindAnswer, kindEffect, kindOutage, kindStop, kindWipe, kindIsolate, kindOneWay, kindFlap,
		kindSlow, kindBroker, kindLane, kindForget, kindClock, kindYear, kindCore, kindCoreDown,
	} {
		if len(only) > 0 && !slices.Contains(only, k) {
			continue
		}
		for range weights()[k] {
			bag = append(bag, k)
		}
	}
	if len(bag) == 0 {
		return nil
	}
	// Each run has some of the rare ones.
	sure := []kind{
		kindOutage, kindForget, kindYear, kindCore, kindCore, kindLane, kindLeader, kindAnswer, kindAnswer,
		kindEffect, kindEffect,
	}
	wiped := map[string]bool{}
	var plan []*fault
	for i := range count {
		k := bag[w.rng.IntN(len(bag))]
		if i < len(sure) && slices.Contains(bag, sure[i]) {
			k = sure[i]
		}
		f := &fault{
			kind: k, at: time.Duration(w.rng.Int64N(int64(during))),
			length: 2*time.Second + time.Duration(w.rng.Int64N(int64(40*time.Second))),
			region: w.regions[w.rng.IntN(len(w.regions))], node: w.rng.IntN(len(w.regions[0].machines)),
			rng: rand.New(rand.NewPCG(w.seed, uint64(i)<<8)),
		}
		if k == kindWipe {
			// One disk of a region may be lost. A second one would be a majority, and then the region's history is
			// gone.
			if wiped[f.region.code] {
				continue
			}
			wiped[f.region.code] = true
		}
		if k == kindEffect {
			f.region = w.region(coreRegion)
		}
		if f.at+f.length > during {
			f.length = during - f.at
		}
		plan = append(plan, f)
	}
	slices.SortFunc(plan, func(a, b *fault) int { return int(a.at - b.at) })
	return plan
}

func (f *fault) machine() *machine { return f.region.machines[f.node] }

// leader is the machine that leads the region now, or the planned one.
func (f *fault) leader() *machine {
	for _, m := range f.region.machines {
		if l := m.running(); l != nil {
			if lead, _ := l.node.Log().Leadership(); lead.Leader {
				return m
			}
		}
	}
	return f.machine()
}

// run breaks, waits, and mends.
func (w *world) run(f *fault) {
	time.Sleep(f.at)
	w.story.tell("FAULT", "", "%s", f)
	switch f.kind {
	case kindCrash:
		w.crash(f, f.machine())
	case kindLeader:
		w.crash(f, f.leader())
	case kindAnswer:
		wants := "/"
		if f.rng.IntN(3) > 0 {
			wants = "/confirm"
		}
		w.snipe(f, wants)
	case kindEffect:
		wants := coreDid
		if f.rng.IntN(3) > 0 {
			wants += "hold"
		}
		w.snipe(f, wants)
	case kindOutage:
		w.outage(f)
	case kindStop:
		f.machine().stop()
		time.Sleep(min(f.length, 5*time.Second))
		w.bringUp(f.machine())
	case kindWipe:
		f.machine().crash(0, f.rng)
		f.machine().wipe()
		time.Sleep(f.length)
		w.bringUp(f.machine())
	case kindIsolate:
		w.ways(f.machine(), w.net.cutWay, w.net.cutWay)
		time.Sleep(f.length)
		w.ways(f.machine(), w.net.mendWay, w.net.mendWay)
	case kindOneWay, kindFlap, kindSlow, kindBroker:
		w.runNetwork(f)
	case kindLane, kindForget:
		w.runBroker(f)
	case kindClock, kindYear:
		w.runClock(f)
	case kindCore, kindCoreDown:
		w.runCore(f)
	}
	w.story.tell("FAULT", "", "%-8s over", f.kind)
}

// crash takes a machine's power; what was not synced is gone, or in some runs a part of it.
func (w *world) crash(f *fault, m *machine) {
	kept := 0
	if f.rng.IntN(3) == 0 {
		kept = f.rng.IntN(100)
	}
	w.story.tell("FAULT", "", "%s loses its power", m.id)
	m.crash(kept, f.rng)
	time.Sleep(f.length)
	w.bringUp(m)
}

// bringUp starts a machine that is down.
func (w *world) bringUp(m *machine) {
	if m.running() != nil {
		return
	}
	w.story.tell("FAULT", "", "%s starts", m.id)
	if err := m.start(); err != nil {
		w.story.fault("%s does not start: %v", m.id, err)
	}
}

// coreDid begins the name of what the core system has just done for a region.
const coreDid = "core: "

// trap waits for an answer to a platform or an act of the core system, and springs in the same moment.
type trap struct {
	wants  string        // stands in the path that was answered, or in what the core system did
	all    bool          // the whole region loses its power, not only its leader
	sprung chan struct{} // closed when it has
	rng    *rand.Rand
}

// snipe sets a trap for a region.
func (w *world) snipe(f *fault, wants string) {
	t := &trap{wants: wants, all: f.rng.IntN(2) == 0, sprung: make(chan struct{}), rng: f.rng}
	f.region.trap.Store(t)
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	select {
	case <-t.sprung:
		time.Sleep(f.length / 2)
	case <-timer.C:
		f.region.trap.CompareAndSwap(t, nil)
		select {
		case <-t.sprung:
		default:
			return
		}
	}
	for _, m := range f.region.machines {
		w.bringUp(m)
	}
}

// happened springs a region's trap if what happened is what it waits for.
func (w *world) happened(r *region, what string) {
	t := r.trap.Load()
	if t == nil || !strings.Contains(what, t.wants) || !r.trap.CompareAndSwap(t, nil) {
		return
	}
	lead := (&fault{region: r}).leader()
	for _, m := range r.machines {
		if t.all || m == lead {
			w.story.tell("FAULT", "", "%s loses its power behind %s", m.id, what)
			m.crash(0, t.rng)
		}
	}
	close(t.sprung)
}

// outage lets every node take a snapshot, and takes the power of all of them in the same moment.
func (w *world) outage(f *fault) {
	for _, m := range f.region.machines {
		if l := m.running(); l != nil {
			if err := l.node.Log().Snapshot(); err != nil {
				w.story.tell("FAULT", "", "%s takes no snapshot: %v", m.id, err)
			}
		}
	}
	for _, m := range f.region.machines {
		m.crash(0, f.rng)
	}
	time.Sleep(f.length / 2)
	for _, m := range f.region.machines {
		time.Sleep(time.Duration(f.rng.IntN(2000)) * time.Millisecond)
		w.bringUp(m)
	}
}

// ways does something to all ways from and to a machine.
func (w *world) ways(m *machine, from, to func(a, b string)) {
	for _, other := range w.machines() {
		if other != m {
			from(m.id, other.id)
			to(other.id, m.id)
		}
	}
	from(m.id, brokerHost)
	to(brokerHost, m.id)
}

func (w *world) runNetwork(f *fault) {
	m := f.machine()
	switch f.kind { // run has sorted the others out
	case kindOneWay:
		other := f.region.machines[(f.node+1)%len(f.region.machines)]
		w.net.cutWay(m.id, other.id)
		time.Sleep(f.length)
		w.net.mendWay(m.id, other.id)
	case kindFlap:
		for end := time.Now().Add(f.length); time.Now().Before(end); {
			w.ways(m, w.net.cutWay, w.net.cutWay)
			time.Sleep(time.Duration(100+f.rng.IntN(2500)) * time.Millisecond)
			w.ways(m, w.net.mendWay, w.net.mendWay)
			if f.rng.IntN(2) == 0 {
				for _, other := range f.region.machines {
					w.net.reset(m.id, other.id)
				}
			}
			time.Sleep(time.Duration(100+f.rng.IntN(2500)) * time.Millisecond)
		}
	case kindSlow:
		w.net.slowDown(m.id, time.Duration(20+f.rng.IntN(400))*time.Millisecond)
		time.Sleep(f.length)
		w.net.slowDown(m.id, 0)
	case kindBroker:
		cut := f.region.machines
		if f.rng.IntN(4) == 0 {
			cut = w.machines()
		}
		for _, m := range cut {
			w.net.cutWay(m.id, brokerHost)
			w.net.cutWay(brokerHost, m.id)
		}
		if f.rng.IntN(3) == 0 {
			time.Sleep(f.length) // longer than any hold waits for its decision
		}
		time.Sleep(f.length)
		for _, m := range cut {
			w.net.mendWay(m.id, brokerHost)
			w.net.mendWay(brokerHost, m.id)
		}
	}
}

func (w *world) runBroker(f *fault) {
	if f.kind == kindLane {
		w.busFaults.set(f.rng.IntN(500), f.rng.IntN(300), f.rng.IntN(200), f.rng.IntN(50))
		time.Sleep(f.length)
		w.busFaults.set(0, 0, 0, 0)
		return
	}
	w.broker.stop()
	time.Sleep(time.Duration(f.rng.IntN(8000)) * time.Millisecond)
	if err := w.broker.start(); err != nil {
		w.story.fault("the broker does not start: %v", err)
	}
}

// runClock lets a clock jump, and an operator put it right again.
func (w *world) runClock(f *fault) {
	m, by := f.machine(), time.Duration(f.rng.IntN(2000)-1000)*time.Millisecond
	switch f.rng.IntN(3) {
	case 0:
		by = time.Duration(f.rng.IntN(100)-50) * time.Second
	case 1:
		m = f.leader()
	}
	if f.kind == kindYear {
		m, by = f.leader(), 365*24*time.Hour
	}
	w.story.tell("FAULT", "", "the clock of %s jumps by %v", m.id, by)
	m.offset.Add(int64(by))
	time.Sleep(f.length)
	m.offset.Add(-int64(by))
	if l := m.running(); l != nil {
		time.Sleep(2 * time.Second) // the node has seen the second jump too
		l.node.Log().AcknowledgeClock()
	}
}

func (w *world) runCore(f *fault) {
	for _, r := range w.regions {
		if r.core == nil {
			continue
		}
		faults := adaptertest.Some(20 + f.rng.IntN(110))
		faults.LateMax, faults.SlowMax = time.Minute, 6*time.Second
		faults.Down = f.kind == kindCoreDown
		r.core.SetFaults(faults)
		time.Sleep(f.length)
		r.core.SetFaults(goodDay())
	}
}

// goodDay is the core system without faults: half a second is nothing for it, and meanwhile other holds come.
func goodDay() adaptertest.Faults {
	return adaptertest.Faults{SlowBefore: 500, SlowAfter: 500, SlowMax: 600 * time.Millisecond}
}

// mend ends all faults that may still be there: from here on everything has to come to rest by itself.
func (w *world) mend() {
	w.net.mendAll()
	w.busFaults.set(0, 0, 0, 0)
	for _, r := range w.regions {
		if r.core != nil {
			r.core.SetFaults(goodDay())
		}
	}
	for _, m := range w.machines() {
		w.bringUp(m)
	}
	time.Sleep(2 * time.Second)
	for _, m := range w.machines() {
		if l := m.running(); l != nil {
			l.node.Log().AcknowledgeClock()
		}
	}
	w.story.tell("FAULT", "", "all faults are over")
}
