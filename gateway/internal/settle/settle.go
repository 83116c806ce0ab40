// Package settle carries out, on the leader, what the log has written down: it sends the messages in the outboxes,
// takes in what peers send, asks and answers queries, calls a core system outside, and wakes the log when something
// is due.
//
// Everything here may be done twice and by two leaders at once: messages are numbered, calls carry references, and
// outcomes enter only through the log. A node that loses leadership stops all of it; the next leader begins from the
// state. Nothing here decides about money.
//
// One file holds each kind of effect: send.go, receive.go, query.go with lookup.go, core.go, tick.go; watch.go wakes
// the requests that wait, alarm.go tells operators.
package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/adapters"
	"gongji/consensus"
	"gongji/crypto"
	"gongji/federation"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/vault"
)

// Timing are the waits of the leader's work. None of them decides about money: those are in packages payment and hold.
type Timing struct {
	Resend      time.Duration // without progress of the acks, everything unacked is sent again
	Heartbeat   time.Duration // to a peer to which nothing else was sent
	Unreachable time.Duration // a peer not heard of for so long is unreachable
	Query       time.Duration // a query without an answer is given up
	QueryAgain  time.Duration // a query without an answer is asked again
	AckDelay    time.Duration // an ack waits so long for a parcel that carries it
	AckLinger   time.Duration // a received ack that no message brought is written to the log after so long
	CoreCall    time.Duration // one call to a core system outside
	SweepFrom   time.Duration // the daily sweep of grants begins so long after midnight in Beijing
	SweepRate   int           // grants that the sweep looks at in a second
}

// DefaultTiming fits regions a country apart.
func DefaultTiming() Timing {
	return Timing{
		Resend: time.Second, Heartbeat: time.Second, Unreachable: 5 * time.Second,
		Query: 3 * time.Second, QueryAgain: time.Second,
		AckDelay: 50 * time.Millisecond, AckLinger: 200 * time.Millisecond,
		CoreCall: 5 * time.Second, SweepRate: 700,
	}
}

// Deps are what a Settler works with. Core is nil where the region keeps a Book.
type Deps struct {
	Self    federation.Region
	Log     consensus.Log
	Ledger  *ledger.Ledger
	Bus     federation.Bus
	Sealer  federation.Sealer
	Ring    crypto.KeyRing
	Vault   *vault.Vault
	Tickets *evidence.Tickets
	Core    adapters.Core
	Now     func() time.Time // the wall clock of this node
	Random  func([]byte)     // fills a slice with random bytes; it cannot fail
	Logger  *slog.Logger
	Metrics *Metrics
	Audit   func(event string, attrs ...slog.Attr) // refusals of what peers send; must not block
	Timing  Timing
	// Archives is this node's folder of archives, where evidence is that has left the state; zero: none.
	Archives evidence.Folder
}

// Settler is the leader's work. Safe for concurrent use.
type Settler struct {
	Deps
	watch watch

	mu   sync.Mutex
	term *term // nil on a node that does not lead
}

// term is the work of one leadership.
type term struct {
	s       *Settler
	work    *errgroup.Group // owns every goroutine of the term
	began   time.Time
	peers   map[federation.Region]*peer
	calls   chan string
	mu      sync.Mutex
	calling map[string]bool
	asked   map[[federation.IDSize]byte]asked
	serving chan struct{} // one token for each query being answered
}

// peer is one other region, as this leader knows it.
type peer struct {
	region  federation.Region
	wake    chan struct{}     // something is to be sent
	queries chan outgoing     // queries and answers that wait for a parcel
	inbound chan inboundBatch // parcels that wait for the log
	ackDue  chan struct{}     // the peer is to be told how far this region is
	serving chan struct{}     // one token for each of its queries being answered

	waste     budget
	questions questions

	mu       sync.Mutex
	heard    time.Time
	acked    uint64
	sent     uint64
	parcel   time.Time // when the last one was published
	outEpoch uint64
	inEpoch  uint64        // of the peer\'s link
	ack      ledger.Parcel // the newest whose ack is not yet written to the log; without messages
}

// Bounds of the leader's queues.
const (
	queriesMax = 4096 // queries and answers waiting for one peer; more are dropped, and asked again
	inboundMax = 64   // parcels waiting for the log; then the lane is not read on
	callsMax   = 4096 // holds waiting for a call to the core; more wait until they wake
	callers    = 16   // calls to the core at the same time
	servingMax = 256  // queries being answered at the same time; more are dropped, and asked again
	// servingEach bounds those of one peer, so that it cannot take the answers of the others.
	servingEach = 64
	askedMax    = 8192 // queries without an answer
)

// ErrUnreachable: the region has not been heard of for a while, or did not answer a query.
var ErrUnreachable = errors.New("settle: region unreachable")

// ErrNotLeading: this node does not lead, so it asks nobody.
var ErrNotLeading = errors.New("settle: not leading")

// New checks Deps and makes a Settler. It starts nothing.
func New(d Deps) (*Settler, error) {
	if d.Log == nil || d.Ledger == nil || d.Bus == nil || d.Sealer == nil || d.Ring == nil || d.Vault == nil ||
		d.Tickets == nil || d.Now == nil || d.Random == nil || d.Logger == nil || d.Metrics == nil || d.Audit == nil {
		return nil, errors.New("settle: something is missing in Deps")
	}
	if d.Core != nil {
		if c := d.Core.Capabilities(); !c.ReleaseIsFinal && !c.RemembersRefusals {
			return nil, errors.New("settle: the core system keeps neither rule 1 nor rule 2 of the contract; it is not admitted")
		}
	}
	return &Settler{Deps: d, watch: watch{waiting: map[string][]chan struct{}{}}}, nil
}

// Run does the leader's work whenever this node leads, until ctx ends.
func (s *Settler) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		lead, changed := s.Log.Leadership()
		if lead.Leader {
			if err := s.lead(ctx, changed); err != nil {
				return err
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil
}

// lead works until leadership changes. Its errors are faults of the state; everything else is logged and tried again.
func (s *Settler) lead(ctx context.Context, changed <-chan struct{}) error {
	leading, cancel := context.WithCancel(ctx)
	defer cancel()
	g, work := errgroup.WithContext(leading)
	t := &term{
		s: s, work: g, began: s.Now(), peers: map[federation.Region]*peer{}, calls: make(chan string, callsMax),
		calling: map[string]bool{}, asked: map[[federation.IDSize]byte]asked{},
		serving: make(chan struct{}, servingMax),
	}
	s.setTerm(t)
	defer s.setTerm(nil)
	g.Go(func() error {
		select {
		case <-changed:
			cancel()
		case <-work.Done():
		}
		return nil
	})
	g.Go(func() error {
		// Who leads stands in the log, for traces. A leader that cannot write it has nothing else to write either.
		_ = t.propose(work, &ledger.Led{Node: s.Log.Status().ID})
		return nil
	})
	g.Go(func() error { return t.members(work) })
	g.Go(func() error { return t.tick(work) })
	g.Go(func() error { return t.look(work) })
	g.Go(func() error { return t.sweep(work) })
	g.Go(func() error { return t.reunions(work) })
	if s.Core != nil {
		for range callers {
			g.Go(func() error { return t.callCore(work) })
		}
		g.Go(func() error { return t.takeUpCalls(work) })
	}
	err := g.Wait()
	if leading.Err() != nil {
		return nil // the leadership or the node has ended, and the work with it
	}
	return err
}

func (s *Settler) setTerm(t *term) {
	s.mu.Lock()
	s.term = t
	s.mu.Unlock()
	if t == nil {
		s.watch.all() // whoever waits here looks again, and is told to go to the new leader
	}
}

func (s *Settler) leading() (*term, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.term == nil {
		return nil, ErrNotLeading
	}
	return s.term, nil
}

// membersEvery is how often the directory is looked at for new peers.
const membersEvery = time.Second

// members starts the work for every region that the directory gives this one a lane with.
func (t *term) members(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		timer.Reset(membersEvery)
		dir := t.s.Ledger.InForce().Directory
		if dir == nil {
			continue
		}
		for _, lane := range dir.Lanes(t.s.Self) {
			if lane.From == t.s.Self {
				t.join(ctx, lane.To)
			}
		}
	}
}

func (t *term) join(ctx context.Context, region federation.Region) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.peers[region] != nil || len(t.peers) >= federation.MembersMax {
		return
	}
	p := &peer{
		region: region, wake: make(chan struct{}, 1), queries: make(chan outgoing, queriesMax),
		inbound: make(chan inboundBatch, inboundMax), ackDue: make(chan struct{}, 1),
		serving: make(chan struct{}, servingEach),
	}
	t.peers[region] = p
	t.work.Go(func() error { return t.send(ctx, p) })
	t.work.Go(func() error { return t.receive(ctx, p) })
	t.work.Go(func() error { return t.deliver(ctx, p) })
}

func (t *term) peer(region federation.Region) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peers[region]
}

// Notify is told by the ledger, on every node, what was applied. It does not block.
func (s *Settler) Notify(e ledger.Effects) {
	s.watch.changed(e.Payments)
	s.watch.changed(e.Grants)
	for _, r := range e.Acked {
		s.watch.changed([]string{ackOf(r)})
	}
	s.mu.Lock()
	t := s.term
	s.mu.Unlock()
	if t == nil {
		return
	}
	for _, r := range e.Peers {
		if p := t.peer(r); p != nil {
			p.nudge()
		}
	}
	for _, r := range e.AckDue {
		if p := t.peer(r); p != nil {
			p.owe()
		}
	}
	for _, id := range e.Calls {
		t.call(id)
	}
	s.alarms(e.Alarms)
	for _, l := range e.Lost {
		s.Metrics.refused(l.Peer, l.Why)
		s.Audit("parcel_lost", slog.String("peer", string(l.Peer)), slog.String("reason", string(l.Why)))
	}
	for _, x := range e.Strangers {
		t.stranger(x)
	}
	for _, w := range e.Wasted {
		t.wasted(w)
	}
}

// nudge wakes the sender.
func (p *peer) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// owe makes the sender tell the peer how far this region is.
func (p *peer) owe() {
	select {
	case p.ackDue <- struct{}{}:
	default:
	}
}

// Reachable reports whether a region has been heard of lately. In the first moments of a leadership everyone counts as
// reachable: this leader has not listened yet.
func (s *Settler) Reachable(region federation.Region) bool {
	if region == s.Self {
		return true
	}
	t, err := s.leading()
	if err != nil {
		return false
	}
	p := t.peer(region)
	if p == nil {
		return s.Now().Sub(t.began) < s.Timing.Unreachable
	}
	p.mu.Lock()
	heard := p.heard
	p.mu.Unlock()
	if heard.Before(t.began) {
		heard = t.began
	}
	return s.Now().Sub(heard) < s.Timing.Unreachable
}

// PeerStatus is what an operator sees of one peer.
type PeerStatus struct {
	Region    string    `json:"region"`
	Reachable bool      `json:"reachable"`
	Heard     time.Time `json:"heard"`
	Sent      uint64    `json:"sent"`    // newest number published
	Acked     uint64    `json:"acked"`   // in the peer's log
	Waiting   uint64    `json:"waiting"` // in the outbox
	Applied   uint64    `json:"applied"` // of the peer's numbers, in this log
	Forked    bool      `json:"forked"`
	NewEpoch  uint64    `json:"new_epoch"`
	// OutEpoch and InEpoch are the present epochs of both directions.
	OutEpoch uint64 `json:"out_epoch"`
	InEpoch  uint64 `json:"in_epoch"`
	// Stopped is why nothing new is agreed with the peer; empty: nothing.
	Stopped string   `json:"stopped"`
	Reunion *Reunion `json:"reunion,omitempty"`
}

// Peers describes the links, as this node's state has them.
func (s *Settler) Peers() ([]PeerStatus, error) {
	dir := s.Ledger.InForce().Directory
	if dir == nil {
		return nil, nil
	}
	var out []PeerStatus
	err := s.Log.ReadStale(func(r consensus.Reader) error {
		v := s.Ledger.View(r)
		for _, lane := range dir.Lanes(s.Self) {
			if lane.From != s.Self {
				continue
			}
			link, err := v.Link(lane.To)
			if err != nil {
				return fmt.Errorf("settle: link with %s: %w", lane.To, err)
			}
			st := PeerStatus{
				Region: string(lane.To), Reachable: s.Reachable(lane.To), Acked: link.Out.Acked,
				Waiting: link.Out.Waiting(), Applied: link.In.Applied, Forked: link.In.Forked, NewEpoch: link.NewEpoch,
				OutEpoch: link.Out.Epoch, InEpoch: link.In.Epoch, Stopped: stopped(&link), Reunion: reunionOf(&link),
			}
			if t, err := s.leading(); err == nil {
				if p := t.peer(lane.To); p != nil {
					p.mu.Lock()
					st.Heard, st.Sent = p.heard, p.sent
					p.mu.Unlock()
				}
			}
			out = append(out, st)
		}
		return nil
	})
	return out, err
}
