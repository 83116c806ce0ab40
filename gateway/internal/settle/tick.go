package settle

import (
	"context"
	"time"

	"gongji/gateway/internal/ledger"
)

// Times of the tick.
const (
	tickEvery  = 100 * time.Millisecond // how often the deadlines are looked at
	sweepEvery = 10 * time.Second       // how often the log is ticked without a deadline: old request ids are swept
)

// tick wakes the log when something is due. Any command does the same; the tick is for a quiet region.
func (t *term) tick(ctx context.Context) error {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	data := ledger.EncodeCommand(&ledger.Tick{})
	var last time.Time
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		now := t.s.Now()
		due := t.s.Ledger.NextDue()
		if (due.IsZero() || due.After(now)) && now.Sub(last) < sweepEvery {
			continue
		}
		last = now
		if _, err := t.s.Log.Propose(ctx, data); err != nil {
			pause(ctx, proposeAgain)
		}
	}
}
