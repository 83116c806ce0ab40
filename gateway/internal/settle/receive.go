package settle

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
)

// inboundBatch is one parcel on its way to the log, with the offset behind it.
type inboundBatch struct {
	parcel ledger.Parcel
	next   int64
	size   int
}

// Bounds of what one Deliver brings together.
const (
	deliverBytes   = 256 << 10 // of parcels; the last may go beyond it
	deliverParcels = 256
	offsetEvery    = 4096 // records read without a Deliver before the offset alone is kept
	busAgain       = 200 * time.Millisecond
)

// receive reads a peer's lane from the offset in the state, checks each parcel, and hands on what is authentic.
func (t *term) receive(ctx context.Context, p *peer) error {
	lane := federation.Lane{From: p.region, To: t.s.Self}
	var link ledger.LinkRecord
	err := t.s.Log.ReadStale(func(r consensus.Reader) error {
		var err error
		link, err = t.s.Ledger.View(r).Link(p.region)
		return err
	})
	if err != nil {
		return err
	}
	p.follow(&link)
	offset := link.NextOffset
	var seen federation.Seen
	failing := false
	for ctx.Err() == nil {
		records, next, err := t.s.Bus.Fetch(ctx, lane, offset)
		switch {
		case errors.Is(err, federation.ErrRewound):
			t.s.Logger.LogAttrs(ctx, slog.LevelError, "the bus has lost what it had; the lane is read from its start",
				slog.String("peer", string(p.region)), slog.Int64("offset", offset))
			t.s.Metrics.rewound(p.region)
			offset = 0
			continue
		case ctx.Err() != nil:
			continue
		case err != nil:
			if !failing {
				t.s.Logger.LogAttrs(ctx, slog.LevelWarn, "the bus cannot be read; it is tried on",
					slog.String("peer", string(p.region)), slog.String("error", err.Error()))
			}
			failing = true
			pause(ctx, busAgain)
			continue
		}
		failing = false
		for i := range records {
			t.afford(ctx, p)
			t.record(ctx, p, &seen, records[i])
		}
		offset = next
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// deliver brings parcels into the log, one Deliver at a time: while one is under way, the next gathers. Parcels
// that bring nothing new are not written, only answered.
func (t *term) deliver(ctx context.Context, p *peer) error {
	var ack time.Time // since when an ack waits to be written
	var kept, seen int64
	stopped := ""
	defer func() { t.s.Metrics.stopped(p.region, stopped, 0) }() // the next leader raises it anew
	for {
		batch := t.next(ctx, p, ack)
		if ctx.Err() != nil {
			return nil
		}
		link, now, err := t.state(p, stopped)
		if err != nil {
			return err
		}
		stopped = now
		c := t.needed(p, &link, batch)
		if n := len(batch); n > 0 {
			seen = batch[n-1].next
		}
		due := !ack.IsZero() && t.s.Now().Sub(ack) >= t.s.Timing.AckLinger
		if !hasMessages(c) && !tellsAnew(&link, c) && !due && seen-kept < offsetEvery {
			if len(c.Parcels) > 0 && ack.IsZero() {
				ack = t.s.Now()
			}
			p.keepAck(c)
			continue
		}
		p.withAck(c)
		c.NextOffset = seen
		if t.put(ctx, c) != nil {
			return nil // leadership is going; the next leader reads the lane again
		}
		if _, stopped, err = t.state(p, stopped); err != nil {
			return err
		}
		ack, kept = time.Time{}, seen
	}
}

// state reads a link anew, has the peer follow it, and tells operators when it stops or goes on. It returns why it
// stands still now.
func (t *term) state(p *peer, stopped string) (ledger.LinkRecord, string, error) {
	link, err := t.link(p)
	if err != nil {
		return link, stopped, err
	}
	p.follow(&link)
	return link, t.alarm(p, &link, stopped), nil
}

// next waits for parcels, or until an ack that has waited since then is to be written.
func (t *term) next(ctx context.Context, p *peer, ack time.Time) []inboundBatch {
	var linger <-chan time.Time
	if !ack.IsZero() {
		linger = time.After(max(t.s.Timing.AckLinger-t.s.Now().Sub(ack), 0))
	}
	select {
	case b := <-p.inbound:
		return collect(p, b)
	case <-linger:
	case <-ctx.Done():
	}
	return nil
}

func collect(p *peer, first inboundBatch) []inboundBatch {
	batch := []inboundBatch{first}
	size := first.size
	for len(batch) < deliverParcels && size < deliverBytes {
		select {
		case b := <-p.inbound:
			batch = append(batch, b)
			size += b.size
			continue
		default:
		}
		break
	}
	return batch
}

func hasMessages(c *ledger.Deliver) bool {
	for i := range c.Parcels {
		if len(c.Parcels[i].Messages) > 0 {
			return true
		}
	}
	return false
}

// anew reports whether a parcel says that one side has begun anew: the peer, or this region without knowing it.
func anew(link *ledger.LinkRecord, q *ledger.Parcel) bool {
	return q.Epoch > link.In.Epoch && q.Epoch > link.NewEpoch || q.AckEpoch > link.Out.Epoch && !link.Differs()
}

// tellsAnew reports whether a Deliver must be written for that.
func tellsAnew(link *ledger.LinkRecord, c *ledger.Deliver) bool {
	for i := range c.Parcels {
		if anew(link, &c.Parcels[i]) {
			return true
		}
	}
	return false
}

func (t *term) link(p *peer) (ledger.LinkRecord, error) {
	var link ledger.LinkRecord
	err := t.s.Log.ReadStale(func(r consensus.Reader) error {
		var err error
		link, err = t.s.Ledger.View(r).Link(p.region)
		return err
	})
	return link, err
}

// Why nothing of a link is applied.
const (
	stoppedForked   = "forked"         // the same number came with another content
	stoppedNewEpoch = "new_epoch"      // the peer has begun anew
	stoppedReceipt  = "receipt_forked" // the peer has acked another content than was sent
	stoppedReunion  = "reuniting"      // one side was restored; no new holds before both have reconciled
)

// stopped is why a link stands still.
func stopped(link *ledger.LinkRecord) string {
	switch {
	case link.In.Forked:
		return stoppedForked
	case link.NewEpoch != 0:
		return stoppedNewEpoch
	case link.Differs():
		return stoppedReceipt
	case link.Reuniting():
		return stoppedReunion
	}
	return ""
}

// alarm tells operators when a link stops, once in a leadership, and when it goes on. It returns why the link stands
// still now.
func (t *term) alarm(p *peer, link *ledger.LinkRecord, before string) string {
	now := stopped(link)
	if now == before {
		return now
	}
	t.s.Metrics.stopped(p.region, before, 0)
	t.s.Metrics.stopped(p.region, now, 1)
	if now != "" {
		t.s.Audit("link_stopped", slog.String("peer", string(p.region)), slog.String("reason", now))
	}
	return now
}

// needed keeps of a batch what the log does not have yet. Repeats are answered with an ack.
func (t *term) needed(p *peer, link *ledger.LinkRecord, batch []inboundBatch) *ledger.Deliver {
	c := &ledger.Deliver{Peer: p.region}
	applied := link.In.Applied
	for _, b := range batch {
		q := b.parcel
		news := q.AckEpoch == link.Out.Epoch && q.AckNumber > link.Out.Acked && !link.Differs() ||
			anew(link, &q)
		if t.fresh(p, link, applied, &q) {
			applied = max(applied, q.Messages[len(q.Messages)-1].Number)
		} else {
			q.Messages, q.Leaves = nil, nil // an ack's header and signature are its receipt
		}
		if !news && len(q.Messages) == 0 {
			continue
		}
		if n := len(c.Parcels) - 1; news && n >= 0 && c.Parcels[n].Messages == nil && c.Parcels[n].AckNumber <= q.AckNumber {
			c.Parcels = c.Parcels[:n] // the later ack says it too
		}
		c.Parcels = append(c.Parcels, q)
	}
	return c
}

// fresh reports whether a parcel's messages can change the state, which has come to applied by the parcels in front of
// it. The log judges each message itself (federation.In.Offer); what it would pass over is kept out of it here.
func (t *term) fresh(p *peer, link *ledger.LinkRecord, applied uint64, q *ledger.Parcel) bool {
	n := len(q.Messages)
	if n == 0 || q.Epoch < link.In.Epoch {
		return false
	}
	first, last := &q.Messages[0], &q.Messages[n-1]
	switch {
	case q.Epoch > link.In.Epoch:
		return q.Epoch > link.NewEpoch // the log notes a new epoch once
	case link.In.Forked:
		return false
	case last.Number == link.In.Applied && last.Chain != link.In.Chain:
		return true // a fork, which the log is to see
	case last.Number <= applied:
		t.s.Metrics.repeated(p.region, n)
		p.waste.spend(t.s.Now(), costRepeat+time.Duration(n)*costMessage)
	case first.Number <= applied+1:
		return true
	}
	p.owe() // a repeat or a gap: the peer is told how far this region is
	return false
}

// keepAck remembers the newest ack of parcels that are not written; withAck puts it back into one that is.
func (p *peer) keepAck(c *ledger.Deliver) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range c.Parcels {
		q := &c.Parcels[i]
		if q.AckNumber > p.ack.AckNumber || q.AckEpoch > p.ack.AckEpoch {
			p.ack = *q
		}
	}
}

func (p *peer) withAck(c *ledger.Deliver) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ack.AckNumber != 0 {
		c.Parcels = append([]ledger.Parcel{p.ack}, c.Parcels...)
	}
	p.ack = ledger.Parcel{}
}

// put proposes a Deliver, in halves if it is too large for one command: in the log a parcel of many short messages is
// longer than it was on the bus. One parcel alone always fits.
func (t *term) put(ctx context.Context, c *ledger.Deliver) error {
	err := t.propose(ctx, c)
	if !errors.Is(err, consensus.ErrTooLarge) || len(c.Parcels) < 2 {
		return err
	}
	half := len(c.Parcels) / 2
	if err := t.put(ctx, &ledger.Deliver{Peer: c.Peer, Parcels: c.Parcels[:half]}); err != nil {
		return err
	}
	return t.put(ctx, &ledger.Deliver{Peer: c.Peer, Parcels: c.Parcels[half:], NextOffset: c.NextOffset})
}

// proposeAgain is the wait before a Deliver whose fate is not known is proposed again: its numbers make a repeat
// harmless.
const proposeAgain = 20 * time.Millisecond

// propose puts a command into the log, again and again until it is there or leadership ends.
func (t *term) propose(ctx context.Context, c ledger.Command) error {
	for {
		done := t.s.Metrics.stage("log")
		_, err := t.s.Vault.Propose(ctx, t.s.Log, c)
		done()
		if err == nil || ctx.Err() != nil || errors.Is(err, consensus.ErrTooLarge) || errors.Is(err, consensus.ErrStopped) {
			return err
		}
		if lead, _ := t.s.Log.Leadership(); !lead.Leader {
			return err
		}
		pause(ctx, proposeAgain)
	}
}
