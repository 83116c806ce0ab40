package consensustest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"gongji/consensus"
)

// Group is a few Logs in memory that share one order of entries. Commands that wait at
// the same time travel in one entry, by the contract's limits. An entry is committed when it
// is put into the order; each node applies it in its own Run.
type Group struct {
	machine func(node int) consensus.StateMachine
	handler consensus.Handler

	mu      sync.Mutex
	clock   func() time.Time
	entries []memEntry // entry i has index i+1
	states  []*memState
	nodes   []*Mem
	leader  int // -1: none
	term    uint64
	pinned  bool // the test has named the leader
	last    int64
	changed chan struct{}
}

type memEntry struct {
	stamp    int64
	commands [][]byte
}

// NewGroup returns a group of n nodes, none of which runs. machine makes the state machine
// of a node each time it is started; handler may be nil.
func NewGroup(n int, machine func(node int) consensus.StateMachine, handler consensus.Handler) *Group {
	g := &Group{machine: machine, handler: handler, clock: time.Now, leader: -1, changed: make(chan struct{})}
	for range n {
		g.states = append(g.states, newMemState())
		g.nodes = append(g.nodes, nil)
	}
	return g
}

// SetClock replaces the clock that stamps are taken from; time.Now at first.
func (g *Group) SetClock(clock func() time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.clock = clock
}

// Backup is a copy of a group's log, as somebody keeps one on another disk.
type Backup struct {
	entries []memEntry
	last    int64
}

// Backup copies what is committed now.
func (g *Group) Backup() Backup {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Backup{entries: append([]memEntry(nil), g.entries...), last: g.last}
}

// Restore begins a group, none of whose nodes has run, with a backup of another one: all that came after it is lost.
func (g *Group) Restore(b Backup) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.entries, g.last = append([]memEntry(nil), b.entries...), b.last
}

// SetLeader makes node the leader from now on, if it runs; -1 leaves the group without one.
func (g *Group) SetLeader(node int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pinned = true
	g.electLocked(node)
}

func (g *Group) electLocked(node int) {
	if node >= 0 && (g.nodes[node] == nil || !g.nodes[node].running) {
		node = -1
	}
	if node == g.leader {
		return
	}
	if g.leader >= 0 {
		g.nodes[g.leader].refuseLocked(consensus.ErrNoLeader)
	}
	g.leader = node
	g.term++
	g.tellLocked()
}

func (g *Group) tellLocked() {
	close(g.changed)
	g.changed = make(chan struct{})
	for _, m := range g.nodes {
		if m != nil {
			m.poke()
		}
	}
}

// Node returns a node on the state that its predecessors of the same number left. The
// predecessor's Run must have ended.
func (g *Group) Node(node int) *Mem {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := &Mem{group: g, node: node, state: g.states[node], wake: make(chan struct{}, 1)}
	m.applied = m.state.index
	g.nodes[node] = m
	return m
}

// Mem is one node of a Group.
type Mem struct {
	group *Group
	node  int
	state *memState
	wake  chan struct{}

	// Guarded by the group's mutex.
	running  bool
	stopped  bool
	applied  uint64 // index
	queue    []*memProposal
	waiting  int // queued or in an entry that is not applied here yet
	commands uint64
	entries  uint64
	moved    chan struct{} // closed when something was applied, or the node stopped; nil if nobody waits
}

type memProposal struct {
	command []byte
	answer  chan memResult // buffered 1
	cut     bool
	gone    bool
}

type memResult struct {
	value []byte
	err   error
}

var _ consensus.Log = (*Mem)(nil)

func (m *Mem) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run applies entries until ctx ends or one cannot be applied.
func (m *Mem) Run(ctx context.Context) error {
	g := m.group
	sm := g.machine(m.node)
	if err := m.state.view(sm.Reset); err != nil {
		return fmt.Errorf("consensustest: reset: %w", err)
	}
	g.mu.Lock()
	m.running = true
	if g.leader < 0 && !g.pinned {
		g.electLocked(m.node)
	}
	g.mu.Unlock()
	m.poke()
	err := m.serve(ctx, sm)
	g.mu.Lock()
	m.running, m.stopped = false, true
	m.refuseLocked(consensus.ErrStopped)
	if g.leader == m.node {
		next := -1
		for i, other := range g.nodes {
			if other != nil && other.running && !g.pinned {
				next = i
			}
		}
		g.electLocked(next)
	}
	m.moveLocked()
	g.mu.Unlock()
	return err
}

func (m *Mem) moveLocked() {
	if m.moved != nil {
		close(m.moved)
		m.moved = nil
	}
}

// refuseLocked answers what is in no entry yet.
func (m *Mem) refuseLocked(err error) {
	for _, p := range m.queue {
		if !p.gone {
			m.waiting--
			p.gone = true
			p.answer <- memResult{err: err}
		}
	}
	m.queue = nil
}

func (m *Mem) serve(ctx context.Context, sm consensus.StateMachine) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		}
		for more := true; more && ctx.Err() == nil; {
			cut := m.cut()
			applied, err := m.apply(sm, cut)
			if err != nil {
				return err
			}
			more = applied
		}
	}
}

// memCut is an entry of this node's that is not answered yet.
type memCut struct {
	index uint64
	taken []*memProposal
}

// cut puts what waits at the leader into the next entry.
func (m *Mem) cut() memCut {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leader != m.node {
		return memCut{}
	}
	var taken []*memProposal
	var e memEntry
	size := 0
	for len(m.queue) > 0 {
		p := m.queue[0]
		if !p.gone {
			if len(taken) == consensus.PackMax || len(taken) > 0 && size+len(p.command) > consensus.PackBytesMax {
				break
			}
			p.cut = true
			taken = append(taken, p)
			e.commands = append(e.commands, p.command)
			size += len(p.command)
		}
		m.queue = m.queue[1:]
	}
	if len(taken) == 0 {
		return memCut{}
	}
	e.stamp = max(g.last+1, g.clock().UnixMicro())
	g.last = e.stamp + int64(len(taken)) - 1
	g.entries = append(g.entries, e)
	for _, other := range g.nodes {
		if other != nil {
			other.poke()
		}
	}
	return memCut{index: uint64(len(g.entries)), taken: taken}
}

// apply applies all entries that this node has not yet, and answers cut, which is one
// of them.
func (m *Mem) apply(sm consensus.StateMachine, cut memCut) (bool, error) {
	g := m.group
	g.mu.Lock()
	from := m.state.index
	entries := g.entries[from:]
	g.mu.Unlock()
	var results [][]byte
	for i, e := range entries {
		answers, err := m.applyOne(sm, from+uint64(i)+1, e)
		if err != nil {
			m.answer(cut.taken, nil, fmt.Errorf("%w: %w", consensus.ErrUnknown, err))
			return false, err
		}
		if from+uint64(i)+1 == cut.index {
			results = answers
		}
	}
	if len(entries) == 0 {
		return false, nil
	}
	g.mu.Lock()
	m.entries += uint64(len(entries))
	for _, e := range entries {
		m.commands += uint64(len(e.commands))
	}
	m.applied = from + uint64(len(entries))
	m.moveLocked()
	g.mu.Unlock()
	sm.Applied(from + uint64(len(entries)))
	m.answer(cut.taken, results, nil)
	return true, nil
}

func (m *Mem) answer(cut []*memProposal, results [][]byte, err error) {
	m.group.mu.Lock()
	m.waiting -= len(cut)
	m.group.mu.Unlock()
	for i, p := range cut {
		if err != nil {
			p.answer <- memResult{err: err}
			continue
		}
		p.answer <- memResult{value: results[i]}
	}
}

func (m *Mem) applyOne(sm consensus.StateMachine, index uint64, e memEntry) ([][]byte, error) {
	t := &memTxn{s: m.state, writes: make(map[string]memWrite)}
	results := make([][]byte, 0, len(e.commands))
	for i, data := range e.commands {
		stamp := time.UnixMicro(e.stamp + int64(i)).UTC()
		value, err := sm.Apply(t, consensus.Command{Index: index, Stamp: stamp, Data: data})
		if err == nil && t.bad {
			err = errors.New("key out of bounds")
		}
		if err != nil {
			return nil, fmt.Errorf("consensustest: entry %d, command %d: %w", index, i, err)
		}
		results = append(results, value)
	}
	t.commit(index, e.stamp+int64(len(e.commands))-1)
	return results, nil
}

// lead returns the leader, or why there is none. The group's mutex is held.
func (m *Mem) leadLocked() (*Mem, error) {
	if m.stopped {
		return nil, consensus.ErrStopped
	}
	if !m.running || m.group.leader < 0 {
		return nil, consensus.ErrNoLeader
	}
	return m.group.nodes[m.group.leader], nil
}

// Propose puts a command into the order.
func (m *Mem) Propose(ctx context.Context, command []byte) ([]byte, error) {
	if len(command) > consensus.CommandMax {
		return nil, consensus.ErrTooLarge
	}
	g := m.group
	g.mu.Lock()
	leader, err := m.leadLocked()
	if err == nil && leader.waiting >= consensus.WaitingMax {
		err = consensus.ErrBusy
	}
	if err != nil {
		g.mu.Unlock()
		return nil, err
	}
	p := &memProposal{command: append([]byte(nil), command...), answer: make(chan memResult, 1)}
	leader.queue = append(leader.queue, p)
	leader.waiting++
	g.mu.Unlock()
	leader.poke()
	select {
	case r := <-p.answer:
		return r.value, r.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !p.cut && !p.gone {
		p.gone = true
		leader.waiting--
		return nil, fmt.Errorf("%w: %w", consensus.ErrNoLeader, ctx.Err())
	}
	return nil, fmt.Errorf("%w: %w", consensus.ErrUnknown, ctx.Err())
}

// Read waits until this node has applied all that is committed, and calls view.
func (m *Mem) Read(ctx context.Context, view func(consensus.Reader) error) error {
	g := m.group
	g.mu.Lock()
	_, err := m.leadLocked()
	index := uint64(len(g.entries))
	for err == nil && m.applied < index {
		if m.moved == nil {
			m.moved = make(chan struct{})
		}
		moved := m.moved
		g.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
		g.mu.Lock()
		if m.stopped {
			err = consensus.ErrStopped
		}
	}
	g.mu.Unlock()
	if err != nil {
		return err
	}
	return m.state.view(view)
}

// ReadStale calls view with what this node has applied.
func (m *Mem) ReadStale(view func(consensus.Reader) error) error {
	m.group.mu.Lock()
	running, stopped := m.running, m.stopped
	m.group.mu.Unlock()
	if stopped {
		return consensus.ErrStopped
	}
	if !running {
		return consensus.ErrNoLeader
	}
	return m.state.view(view)
}

// Ask calls the handler.
func (m *Mem) Ask(ctx context.Context, request []byte) ([]byte, error) {
	if len(request) > consensus.AskMax {
		return nil, consensus.ErrTooLarge
	}
	m.group.mu.Lock()
	_, err := m.leadLocked()
	m.group.mu.Unlock()
	if err != nil || m.group.handler == nil {
		return nil, err
	}
	return m.group.handler(ctx, request), nil
}

// Leadership returns who leads, and a channel that is closed when that changes.
func (m *Mem) Leadership() (consensus.Leadership, <-chan struct{}) {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	l := consensus.Leadership{Term: g.term}
	if m.running && g.leader >= 0 {
		l.Leader, l.LeaderID = g.leader == m.node, memID(g.leader)
	}
	return l, g.changed
}

func memID(node int) string { return "mem-" + strconv.Itoa(node) }

// Status describes the node.
func (m *Mem) Status() consensus.Status {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	m.state.mu.RLock()
	defer m.state.mu.RUnlock()
	s := consensus.Status{
		ID: memID(m.node), State: "follower", Term: g.term, LastIndex: uint64(len(g.entries)),
		CommitIndex: uint64(len(g.entries)), AppliedIndex: m.state.index, Digest: hex.EncodeToString(m.state.digest[:]),
		Commands: m.commands, Entries: m.entries, Lag: make(map[string]uint64),
	}
	if m.state.stamp > 0 {
		s.LastStamp = time.UnixMicro(m.state.stamp).UTC()
	}
	switch {
	case !m.running:
		s.State = "stopped"
	case g.leader == m.node:
		s.State = "leader"
	}
	for i, other := range g.nodes {
		s.Peers = append(s.Peers, memID(i))
		if g.leader == m.node && other != nil && i != m.node {
			s.Lag[memID(i)] = uint64(len(g.entries)) - other.applied
		}
	}
	return s
}
