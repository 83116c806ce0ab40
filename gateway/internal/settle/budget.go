package settle

import (
	"context"
	"sync"
	"time"

	"gongji/federation"
)

// What a peer may cost this region for nothing: refused parcels, repeats, refused messages, and messages that the log
// has written for nothing (ledger.Waste). A lane is read by one goroutine, so a flood never takes more than one share
// of the processors; past the budget its reading waits, and what stands behind the flood waits with it. It is the
// flooder's own lane: nobody else writes there. Messages that do something are never counted.
const (
	wasteBurst = 500 * time.Millisecond // of one processor: the resends after an outage, see resendWindow
	wastePart  = 50                     // and one part in so many of one processor, for ever
	waitMax    = time.Second            // the longest wait before one record
)

// What things cost, about, on the machine that the figures of crypto.md are from. Whatever the machine, their relation
// holds.
const (
	costRecord    = 20 * time.Microsecond // to fetch and to look at
	costKilobyte  = time.Microsecond      // of what is fetched
	costSignature = 120 * time.Microsecond
	costUnwrap    = 100 * time.Microsecond
	costRepeat    = costRecord + costSignature + costUnwrap
	costMessage   = 20 * time.Microsecond
	costQuery     = 200 * time.Microsecond // to look things up, and to answer with nothing
	costEntry     = 200 * time.Microsecond // a message in the log of three nodes
)

// costOf is what a refused parcel has cost, by how far it came.
func costOf(why federation.Refusal, size int) time.Duration {
	cost := costRecord + time.Duration(size)*costKilobyte/1024
	switch why { //nolint:exhaustive // the others stand before the signature
	case federation.RefusedSignature, federation.RefusedDisagreement, federation.RefusedRecipient, federation.RefusedEpoch:
		return cost + costSignature
	case federation.RefusedSeal, federation.RefusedRoot:
		return cost + costSignature + costUnwrap
	}
	return cost
}

// budget fills with time and is spent. The zero value is full. Safe for concurrent use.
type budget struct {
	mu    sync.Mutex
	spent time.Duration
	at    time.Time
}

func (b *budget) refill(now time.Time) {
	if b.at.IsZero() || now.Before(b.at) {
		b.at = now
	}
	b.spent = max(b.spent-now.Sub(b.at)/wastePart, 0)
	b.at = now
}

func (b *budget) spend(now time.Time, cost time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	b.spent += cost
}

// wait is how long until the budget is not overdrawn.
func (b *budget) wait(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	return min(max(b.spent-wasteBurst, 0)*wastePart, waitMax)
}

// afford waits until a peer may cost something again.
func (t *term) afford(ctx context.Context, p *peer) {
	for ctx.Err() == nil {
		d := p.waste.wait(t.s.Now())
		if d == 0 {
			return
		}
		t.s.Metrics.delayed(p.region, d)
		pause(ctx, d)
	}
}

// Bounds of the queries of one peer.
const (
	queryRate  = 2000 // a second
	queryBurst = 4000
)

// questions bounds how many queries of a peer are answered. The zero value is full. Safe for concurrent use.
type questions struct {
	mu    sync.Mutex
	asked float64
	at    time.Time
}

func (q *questions) take(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.at.IsZero() || now.Before(q.at) {
		q.at = now
	}
	q.asked = max(q.asked-now.Sub(q.at).Seconds()*queryRate, 0)
	q.at = now
	if q.asked+1 > queryBurst {
		return false
	}
	q.asked++
	return true
}
