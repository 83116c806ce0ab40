package consensustest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"gongji/consensus"
)

// Open makes a fresh group for one part of the contract test: machine makes the state
// machine of a node each time that node is started, handler answers Ask.
type Open func(t *testing.T, machine func(node int) consensus.StateMachine, handler consensus.Handler) Cluster

// Part is one part of the contract test.
type Part struct {
	Name string
	Run  func(t *testing.T, open Open)
}

// Parts are the contract test. Each may run in a bubble of testing/synctest, which does
// not allow RunLogContract as a whole.
func Parts() []Part {
	return []Part{
		{"results and order", testResults},
		{"packs and stamps", testPacks},
		{"reads", testReads},
		{"scans", testScans},
		{"limits", testLimits},
		{"busy", testBusy},
		{"ask", testAsk},
		{"before and after Run", testEdges},
		{"restart keeps everything", testRestart},
		{"an entry that cannot be decoded", testUndecodable},
		{"a broken invariant", testInvariant},
		{"applied comes after commit", testApplied},
		{"context ends", testContext},
	}
}

// RunLogContract holds a Log to the contract in package consensus. Groups of one node are
// allowed; with three, forwarding is tested too.
func RunLogContract(t *testing.T, open Open) {
	t.Helper()
	for _, part := range Parts() {
		t.Run(part.Name, func(t *testing.T) { part.Run(t, open) })
	}
}

// machines makes a Machine for each node and remembers the newest.
type machines struct {
	mu   sync.Mutex
	made map[int]*Machine
	with func(node int) *Machine
}

func newMachines(with func(node int) *Machine) *machines {
	return &machines{made: make(map[int]*Machine), with: with}
}

func (m *machines) make(node int) consensus.StateMachine {
	machine := m.with(node)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made[node] = machine
	return machine
}

func (m *machines) of(node int) *Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.made[node]
}

func plain(int) *Machine { return &Machine{} }

func startPlain(t *testing.T, open Open) *Running {
	t.Helper()
	r := Start(t, open(t, newMachines(plain).make, nil))
	r.Leader()
	return r
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func testResults(t *testing.T, open Open) {
	r := startPlain(t, open)
	for i := range r.nodes {
		key := "k" + strconv.Itoa(i)
		equal(t, "first set", r.Do(i, "set "+key+" one"), "")
		equal(t, "second set", r.Do(i, "set "+key+" two"), "one")
		equal(t, "sum", r.Do(i, "add sum 5"), strconv.Itoa(5*(i+1)))
		equal(t, "delete", r.Do(i, "del "+key), "two")
		equal(t, "deleted", r.Do(i, "get "+key), "")
	}
	r.Same()
}

// testPacks proposes many at once from every node: each result once, stamps growing,
// packs within their limit.
func testPacks(t *testing.T, open Open) {
	r := startPlain(t, open)
	const each = 200
	var wg sync.WaitGroup
	var mu sync.Mutex
	sums := make(map[string]bool)
	for i := range r.nodes {
		for range each {
			wg.Go(func() {
				sum, err := r.Try(i, "add n 1")
				mu.Lock()
				defer mu.Unlock()
				if err != nil || sums[sum] {
					t.Errorf("sum %q twice, or %v", sum, err)
				}
				sums[sum] = true
			})
		}
	}
	wg.Wait()
	equal(t, "different sums", len(sums), each*len(r.nodes))
	var records []LogRecord
	r.Read(0, func(v consensus.Reader) { records = Records(v) })
	equal(t, "commands", len(records), each*len(r.nodes))
	inEntry := 0
	for i, rec := range records {
		if i == 0 || rec.Index != records[i-1].Index {
			inEntry = 0
		}
		inEntry++
		if inEntry > consensus.PackMax {
			t.Fatalf("more than %d commands in entry %d", consensus.PackMax, rec.Index)
		}
		if i > 0 && (rec.Index < records[i-1].Index || !rec.Stamp.After(records[i-1].Stamp)) {
			t.Fatalf("command %d came with %v behind %v", i, rec, records[i-1])
		}
	}
	s := r.Log(0).Status()
	if s.Commands < uint64(len(records)) || s.Entries == 0 {
		t.Errorf("status counts %d commands in %d entries", s.Commands, s.Entries)
	}
	equal(t, "last stamp", s.LastStamp, records[len(records)-1].Stamp)
	r.Same()
}

// testReads writes on one node and reads on every other at once.
func testReads(t *testing.T, open Open) {
	r := startPlain(t, open)
	for i := range 20 {
		want := strconv.Itoa(i)
		r.Do(i%len(r.nodes), "set k "+want)
		for j := range r.nodes {
			equal(t, "read on node "+strconv.Itoa(j), r.Get(j, "k"), want)
		}
	}
	failure := errors.New("the view's own")
	err := r.Log(0).Read(t.Context(), func(consensus.Reader) error { return failure })
	if !errors.Is(err, failure) {
		t.Errorf("error of a view: %v", err)
	}
	err = r.Log(0).ReadStale(func(v consensus.Reader) error {
		if _, ok := v.Get([]byte("no such key")); ok {
			t.Error("found a key that nobody wrote")
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("error of a stale view: %v", err)
	}
}

func testScans(t *testing.T, open Open) {
	r := startPlain(t, open)
	for _, key := range []string{"b", "d", "f", "x"} {
		r.Do(0, "set "+key+" old")
	}
	equal(t, "mix", r.Do(0, "mix"), Mix)
	const after = "a=3 e=5 f=old"
	r.Read(0, func(v consensus.Reader) {
		equal(t, "outside", string(list(v, []byte("a"), []byte("h"))), after)
		equal(t, "no bounds", string(list(v, nil, nil)), after+" x=old")
		equal(t, "lower bound", string(list(v, []byte("e"), nil)), "e=5 f=old x=old")
		equal(t, "upper bound is out", string(list(v, nil, []byte("f"))), "a=3 e=5")
		equal(t, "empty range", string(list(v, []byte("f"), []byte("f"))), "")
		equal(t, "turned range", string(list(v, []byte("f"), []byte("a"))), "")
	})
	equal(t, "list in a command", r.Do(0, "list - -"), after+" x=old")
	equal(t, "empty list in a command", r.Do(0, "list z a"), "")
}

func testLimits(t *testing.T, open Open) {
	r := startPlain(t, open)
	large := "set k " + strings.Repeat("x", consensus.CommandMax-len("set k "))
	for i := range r.nodes {
		r.Do(i, large)
		_, err := r.Log(i).Propose(t.Context(), []byte(large+"x"))
		if !errors.Is(err, consensus.ErrTooLarge) {
			t.Errorf("command above the limit: %v", err)
		}
		_, err = r.Log(i).Ask(t.Context(), make([]byte, consensus.AskMax+1))
		if !errors.Is(err, consensus.ErrTooLarge) {
			t.Errorf("request above the limit: %v", err)
		}
	}
	equal(t, "large value", len(r.Get(0, "k")), consensus.CommandMax-len("set k "))
	key := strings.Repeat("k", consensus.KeyMax)
	r.Do(0, "set "+key+" v")
	equal(t, "longest key", r.Get(0, key), "v")
}

// testBusy holds the state machines back, fills the queue, and lets go.
func testBusy(t *testing.T, open Open) {
	gate := make(chan struct{})
	var once sync.Once
	release := func() { once.Do(func() { close(gate) }) }
	t.Cleanup(release)
	r := Start(t, open(t, newMachines(func(int) *Machine { return &Machine{Gate: gate} }).make, nil))
	leader := r.Leader()
	var wg sync.WaitGroup
	busy := make(chan struct{}, 2*consensus.WaitingMax)
	propose := func(command string) {
		wg.Go(func() {
			_, err := r.Log(leader).Propose(context.Background(), []byte(command))
			switch {
			case errors.Is(err, consensus.ErrBusy):
				busy <- struct{}{}
			case err != nil:
				t.Errorf("%s: %v", command, err)
			}
		})
	}
	propose("wait")
	r.held(leader)
	for range consensus.WaitingMax + 99 {
		propose("add n 1")
	}
	for range 100 {
		<-busy
	}
	_, err := r.Log(leader).Propose(t.Context(), []byte("add n 1"))
	if !errors.Is(err, consensus.ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	release()
	wg.Wait()
	r.Until("the queue drained", func() bool {
		records := 0
		r.Read(leader, func(v consensus.Reader) { records = len(Records(v)) })
		return records == consensus.WaitingMax
	})
	r.Do(leader, "add n 1")
}

// held waits until an entry is held back in a node's state machine.
func (r *Running) held(node int) {
	r.t.Helper()
	r.Until("an entry waits in the state machine", func() bool {
		s := r.Log(node).Status()
		return s.CommitIndex > s.AppliedIndex
	})
}

func testAsk(t *testing.T, open Open) {
	r := Start(t, open(t, newMachines(plain).make, func(_ context.Context, request []byte) []byte {
		return append([]byte("answer to "), request...)
	}))
	r.Leader()
	for i := range r.nodes {
		var answer []byte
		r.Until("an answer", func() bool {
			got, err := r.Log(i).Ask(t.Context(), []byte("it"))
			answer = got
			if err != nil && !errors.Is(err, consensus.ErrNoLeader) {
				t.Fatalf("ask on node %d: %v", i, err)
			}
			return err == nil
		})
		equal(t, "answer", string(answer), "answer to it")
		large := bytes.Repeat([]byte("q"), consensus.AskMax-len("answer to "))
		got, err := r.Log(i).Ask(t.Context(), large)
		if err != nil || len(got) != consensus.AskMax {
			t.Errorf("largest request: %d bytes, %v", len(got), err)
		}
	}
}

// testEdges asks before Run and after it, and watches the leadership.
func testEdges(t *testing.T, open Open) {
	c := open(t, newMachines(plain).make, nil)
	log, err := c.New(0)
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, want error) {
		t.Helper()
		_, propose := log.Propose(t.Context(), []byte("get k"))
		_, ask := log.Ask(t.Context(), nil)
		read := log.Read(t.Context(), func(consensus.Reader) error { return nil })
		stale := log.ReadStale(func(consensus.Reader) error { return nil })
		for name, err := range map[string]error{"propose": propose, "ask": ask, "read": read, "stale": stale} {
			if !errors.Is(err, want) {
				t.Errorf("%s %s Run: %v, want %v", name, when, err, want)
			}
		}
		if l, _ := log.Leadership(); l.Leader || l.LeaderID != "" {
			t.Errorf("leadership %s Run: %v", when, l)
		}
		equal(t, "state "+when+" Run", log.Status().State, "stopped")
	}
	check("before", consensus.ErrNoLeader)
	r := Start(t, c)
	leader := r.Leader()
	log = r.Log(leader)
	now, changed := log.Leadership()
	if now.LeaderID != log.Status().ID || now.Term == 0 || log.Status().State != "leader" {
		t.Errorf("leadership %v of %s, which is %s", now, log.Status().ID, log.Status().State)
	}
	equal(t, "peers", len(log.Status().Peers), c.Size)
	if err := r.Stop(leader); err != nil {
		t.Errorf("Run ended with %v", err)
	}
	<-changed
	check("after", consensus.ErrStopped)
}

func testRestart(t *testing.T, open Open) {
	made := newMachines(plain)
	r := Start(t, open(t, made.make, nil))
	r.Leader()
	if _, resets := made.of(0).Seen(); len(resets) != 1 || resets[0] != 0 {
		t.Errorf("resets at the first start saw %v keys", resets)
	}
	for i := range 50 {
		r.Do(i%len(r.nodes), fmt.Sprintf("set k%d %d", i, i))
	}
	r.Do(0, "del k7")
	r.Same()
	var last LogRecord
	r.Read(0, func(v consensus.Reader) {
		records := Records(v)
		last = records[len(records)-1]
	})
	r.StopAll()
	for i := range r.nodes {
		r.Run(i)
	}
	r.Leader()
	for i := range r.nodes {
		equal(t, "kept", r.Get(i, "k49"), "49")
		equal(t, "deleted", r.Get(i, "k7"), "")
		if _, resets := made.of(i).Seen(); len(resets) == 0 {
			t.Errorf("node %d was started without a reset", i)
		}
	}
	r.Do(0, "set after restart")
	r.Read(0, func(v consensus.Reader) {
		records := Records(v)
		equal(t, "commands", len(records), 52)
		if now := records[len(records)-1]; now.Index <= last.Index || !now.Stamp.After(last.Stamp) {
			t.Errorf("after the restart %v, before it %v", now, last)
		}
	})
	r.Same()
}

func testUndecodable(t *testing.T, open Open) { testPoison(t, open, "nonsense") }

func testInvariant(t *testing.T, open Open) { testPoison(t, open, "huge") }

// testPoison proposes what no node can apply: whoever hears that it is committed stops
// before it.
func testPoison(t *testing.T, open Open, poison string) {
	r := startPlain(t, open)
	r.Do(0, "set k before")
	r.Same()
	leader := r.Leader()
	_, err := r.Log(leader).Propose(t.Context(), []byte(poison))
	if !errors.Is(err, consensus.ErrUnknown) {
		t.Errorf("proposer was answered %v", err)
	}
	err = r.Ended(leader)
	if err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the leader's Run ended with %v", err)
	}
	_, err = r.Log(leader).Propose(t.Context(), []byte("get k"))
	if !errors.Is(err, consensus.ErrStopped) {
		t.Errorf("a node that stopped answers %v", err)
	}
	r.Until("a majority stopped by itself", func() bool {
		stopped := 0
		for i := range r.nodes {
			if r.Stopped(i) && r.Ended(i) != nil {
				stopped++
			}
		}
		return stopped > len(r.nodes)/2
	})
	// The last one may never hear that the entry was committed; it serves nobody.
	for i := range r.nodes {
		if _, err := r.Log(i).Propose(t.Context(), []byte("get k")); err == nil {
			t.Errorf("node %d still serves", i)
		}
	}
}

// testApplied checks in each Applied that a reader sees at least that index.
func testApplied(t *testing.T, open Open) {
	var r *Running
	ready := make(chan struct{})
	c := open(t, newMachines(func(node int) *Machine {
		return &Machine{OnApplied: func(index uint64) {
			<-ready
			err := r.Log(node).ReadStale(func(v consensus.Reader) error {
				records := Records(v)
				if n := len(records); n > 0 && records[n-1].Index > index {
					return fmt.Errorf("told %d when %d was visible", index, records[n-1].Index)
				}
				return nil
			})
			if err != nil && !errors.Is(err, consensus.ErrNoLeader) && !errors.Is(err, consensus.ErrStopped) {
				t.Error(err)
			}
			if at := r.Log(node).Status().AppliedIndex; at < index && at != 0 {
				t.Errorf("told %d when %d was applied", index, at)
			}
		}}
	}).make, nil)
	r = Start(t, c)
	close(ready)
	r.Leader()
	for range 20 {
		r.Do(0, "add n 1")
	}
	r.Same()
}

// testContext ends the caller's context while its command is under way: the answer is
// unknown, and the repeat with the same id finds out.
func testContext(t *testing.T, open Open) {
	gate := make(chan struct{})
	var once sync.Once
	release := func() { once.Do(func() { close(gate) }) }
	t.Cleanup(release)
	r := Start(t, open(t, newMachines(func(int) *Machine { return &Machine{Gate: gate} }).make, nil))
	leader := r.Leader()
	done := make(chan error, 1)
	go func() {
		_, err := r.Log(leader).Propose(context.Background(), []byte("wait"))
		done <- err
	}()
	r.held(leader)
	for i := range r.nodes {
		ctx, cancel := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() {
			_, err := r.Log(i).Propose(ctx, []byte("once me n 1"))
			answer <- err
		}()
		cancel()
		err := <-answer
		if !errors.Is(err, consensus.ErrUnknown) && !errors.Is(err, consensus.ErrNoLeader) {
			t.Errorf("a caller that left was answered %v", err)
		}
	}
	release()
	if err := <-done; err != nil {
		t.Errorf("the command that waited: %v", err)
	}
	equal(t, "the repeat", r.Do(0, "once me n 1"), "1")
	equal(t, "and again", r.Do(0, "once me n 1"), "1")
}
