package client

import (
	"context"
	"math/rand/v2"
	"time"
)

// pause waits before the repeat after try n: twice as long each time, anywhere between nothing and that, so that many
// clients do not come back together.
func pause(ctx context.Context, n int) error {
	most := backoffMax
	if n < 7 { // 20 ms << 7 is above the most
		most = min(backoffFirst<<n, backoffMax)
	}
	timer := time.NewTimer(rand.N(most) + time.Millisecond) //nolint:gosec // spreads load, hides nothing
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
