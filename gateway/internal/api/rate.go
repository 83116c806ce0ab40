package api

import (
	"sync"
	"time"
)

// bucket is a token bucket: rate tokens a second, one second's worth of burst. Tokens are counted in nanoseconds of
// credit, so that nothing is rounded away.
type bucket struct {
	mu     sync.Mutex
	rate   int // a second; 0 takes everything
	credit time.Duration
	last   time.Time
}

func newBucket(rate int) *bucket { return &bucket{rate: rate, credit: time.Second} }

// take tells whether one more request fits.
func (b *bucket) take(now time.Time) bool {
	if b.rate <= 0 {
		return true
	}
	cost := time.Second / time.Duration(b.rate)
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now.Sub(b.last); passed > 0 {
		if !b.last.IsZero() {
			b.credit = min(b.credit+min(passed, time.Second), time.Second)
		}
		b.last = now
	}
	if b.credit < cost {
		return false
	}
	b.credit -= cost
	return true
}
