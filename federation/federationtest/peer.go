package federationtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/federation"
)

// resendEvery is how long a Peer waits for an ack before it goes back.
const resendEvery = 200 * time.Millisecond

// Peer is one end of a link in both directions, in its smallest form: what a gateway's ledger and its sender do,
// without a log. It shows that a Bus and the link together deliver exactly once and in order.
type Peer struct {
	self, other federation.Region
	bus         federation.Bus
	dir         *federation.Directory
	sealer      *Sealer
	wake        chan struct{}

	mu      sync.Mutex
	out     federation.Out
	outbox  []federation.Message // from out.Acked+1 on
	in      federation.In
	applied [][]byte
	ackOwed bool
	changed chan struct{}
	stats   PeerStats
	parcels uint64
}

// PeerStats counts what a Peer met.
type PeerStats struct {
	Rewound, Refused, Repeats, Gaps int
}

// NewPeer makes the end at self of the link with other.
func NewPeer(f *Federation, dir *federation.Directory, bus federation.Bus, self, other federation.Region) *Peer {
	return &Peer{
		self: self, other: other, bus: bus, dir: dir, sealer: f.Sealers[self],
		wake: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// Send numbers a message and puts it into the outbox.
func (p *Peer) Send(body []byte) {
	p.mu.Lock()
	p.out = p.out.Next(Hash, federation.ContentDigest(Hash, body, [federation.HashSize]byte{}))
	m := federation.Message{Class: federation.Numbered, Number: p.out.Last, Chain: p.out.Chain, Body: body}
	binary.BigEndian.PutUint64(m.Salt[:], m.Number)
	p.outbox = append(p.outbox, m)
	p.mu.Unlock()
	p.poke()
}

func (p *Peer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Applied returns what was applied so far, in order.
func (p *Peer) Applied() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([][]byte(nil), p.applied...)
}

// Stats returns the counts so far.
func (p *Peer) Stats() PeerStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Await waits until at least n messages are applied.
func (p *Peer) Await(ctx context.Context, n int) error {
	for {
		p.mu.Lock()
		have, changed := len(p.applied), p.changed
		p.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d applied, %+v: %w", have, n, p.Stats(), ctx.Err())
		}
	}
}

// Run sends and receives until ctx ends; then it returns nil. A link that forks is an error.
func (p *Peer) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.sending(ctx) })
	g.Go(func() error { return p.receiving(ctx) })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("peer %s: %w", p.self, err)
	}
	return nil
}

func (p *Peer) sending(ctx context.Context) error {
	t := time.NewTicker(resendEvery)
	defer t.Stop()
	sent := uint64(0)
	for {
		back := false
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			back = true
		case <-p.wake:
		}
		for {
			content, upTo, ok := p.content(sent, back)
			if !ok {
				break
			}
			record, err := federation.Pack(p.dir, p.sealer, p.self, content)
			if err != nil {
				return fmt.Errorf("pack: %w", err)
			}
			lane := federation.Lane{From: p.self, To: p.other}
			if p.bus.Publish(ctx, lane, record) != nil {
				break // the next tick goes back
			}
			sent, back = upTo, false
		}
	}
}

// content is the next parcel's: what follows sent, or all that is not acked if the sender goes back.
func (p *Peer) content(sent uint64, back bool) (federation.Content, uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if back || sent < p.out.Acked {
		sent = p.out.Acked
	}
	waiting := p.outbox[sent-p.out.Acked:]
	if len(waiting) == 0 && !p.ackOwed {
		return federation.Content{}, 0, false
	}
	waiting = waiting[:federation.Fits(waiting)]
	p.ackOwed = false
	p.parcels++
	c := federation.Content{
		To: p.other, Epoch: p.out.Epoch, Ack: p.in.Ack(),
		Time: Start(), Protocol: 1, Messages: waiting,
	}
	binary.BigEndian.PutUint64(c.ParcelID[:], p.parcels)
	return c, sent + uint64(len(waiting)), true
}

func (p *Peer) receiving(ctx context.Context) error {
	lane := federation.Lane{From: p.other, To: p.self}
	offset := int64(0)
	for ctx.Err() == nil {
		records, next, err := p.bus.Fetch(ctx, lane, offset)
		switch {
		case errors.Is(err, federation.ErrRewound):
			p.count(func(s *PeerStats) { s.Rewound++ })
			offset = 0
			continue
		case errors.Is(err, federation.ErrBus):
			continue
		case err != nil:
			return err
		}
		offset = next
		for _, r := range records {
			if err := p.receive(lane, r.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Peer) count(add func(*PeerStats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	add(&p.stats)
}

func (p *Peer) receive(lane federation.Lane, record []byte) error {
	o, err := federation.Unpack(p.dir, p.sealer, lane, Start(), record)
	if err != nil {
		p.count(func(s *PeerStats) { s.Refused++ })
		return nil // what is not authentic counts as lost
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if next, ok := p.out.Ack(o.Header.Ack); ok {
		p.outbox = p.outbox[next.Acked-p.out.Acked:]
		p.out = next
	}
	for i := range o.Messages {
		if err := p.offer(o.Header.Epoch, &o.Messages[i]); err != nil {
			return err
		}
	}
	if len(o.Messages) > 0 {
		p.ackOwed = true
		p.poke()
	}
	return nil
}

func (p *Peer) offer(epoch uint64, m *federation.Message) error {
	next, verdict := p.in.Offer(Hash, epoch, m.Number, federation.ContentDigest(Hash, m.Body, m.PersonsDigest), m.Chain)
	p.in = next
	switch verdict {
	case federation.Apply:
		p.applied = append(p.applied, m.Body)
		close(p.changed)
		p.changed = make(chan struct{})
	case federation.Repeat:
		p.stats.Repeats++
	case federation.Gap:
		p.stats.Gaps++
	case federation.Fork, federation.OldEpoch, federation.NewEpoch:
		return fmt.Errorf("verdict %d on number %d", verdict, m.Number)
	}
	return nil
}
