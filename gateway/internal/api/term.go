package api

import (
	"context"
	"sync"
	"time"

	"gongji/consensus"
)

// term remembers since when this node leads. The zero value has seen nothing.
type term struct {
	mu     sync.Mutex
	number uint64
	leads  bool
	since  time.Time
}

// see takes what the log knows.
func (t *term) see(l consensus.Leadership, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.Leader && (!t.leads || l.Term != t.number) {
		// As requests are dated, to the microsecond.
		t.number, t.since = l.Term, now.Truncate(time.Microsecond)
	}
	t.leads = l.Leader
}

func (t *term) began() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.since
}

// Watch notes when this node begins to lead, until ctx ends. Without it a term would begin for the face with its first
// request, and reads that were signed before would be refused for nothing.
func (f *Face) Watch(ctx context.Context) error {
	for {
		l, changed := f.log.Leadership()
		f.auth.term.see(l, f.clock())
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
