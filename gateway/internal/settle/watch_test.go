package settle_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/simtest/regiontest"
)

// TestWaitAcked: until the peer's log has everything that was in the outbox at the call, or the context ends.
func TestWaitAcked(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		if err := p.sh.Settler.WaitAcked(t.Context(), beijing); err != nil {
			t.Errorf("an empty outbox: %v", err)
		}
		p.asks()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := p.sh.Settler.WaitAcked(ctx, beijing); err != nil || time.Since(began) != time.Second {
			t.Errorf("without an ack: %v after %s", err, time.Since(began))
		}
		go func() {
			<-time.After(500 * time.Millisecond)
			p.tells(federation.Content{Ack: p.ack(1)})
		}()
		began = time.Now()
		err := p.sh.Settler.WaitAcked(t.Context(), beijing)
		if d := time.Since(began); err != nil || d < 500*time.Millisecond || d > time.Second {
			t.Errorf("with an ack: %v after %s", err, d)
		}
	})
}

// TestWait: whoever waits looks at once, at each change and once more at the end; errors end it.
func TestWait(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		looks := 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.sh.Settler.Wait(ctx, "p-x", func() (bool, error) { looks++; return false, nil })
		if err != nil || looks != 2 {
			t.Errorf("%v after %d looks", err, looks)
		}
		fault := errors.New("fault")
		err = p.sh.Settler.Wait(t.Context(), "p-x", func() (bool, error) { return false, fault })
		if !errors.Is(err, fault) {
			t.Errorf("got %v", err)
		}
		go func() {
			<-time.After(time.Second)
			p.sh.Settler.Notify(ledger.Effects{Payments: []string{"p-y", "p-x"}})
		}()
		looks = 0
		began := time.Now()
		err = p.sh.Settler.Wait(t.Context(), "p-x", func() (bool, error) { looks++; return looks == 2, nil })
		if err != nil || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// TestWaitEndsWithLeadership: who waits at a leader that leads no more is told that the outcome is unknown.
func TestWaitEndsWithLeadership(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		go func() {
			<-time.After(time.Second)
			p.sh.Group.SetLeader(-1)
		}()
		err := p.sh.Settler.Wait(t.Context(), "p-x", func() (bool, error) { return false, nil })
		if !errors.Is(err, consensus.ErrUnknown) {
			t.Errorf("got %v", err)
		}
	})
}

// TestWaitIsBounded: so many may wait, and their places are given back.
func TestWaitIsBounded(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		const most = 65536
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		never := func() (bool, error) { return false, nil }
		var wg sync.WaitGroup
		for i := range most {
			wg.Go(func() {
				if err := p.sh.Settler.Wait(ctx, fmt.Sprint("p-", i/4), never); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := p.sh.Settler.Wait(ctx, "p-z", never); !errors.Is(err, consensus.ErrBusy) {
			t.Errorf("one more: %v", err)
		}
		wg.Wait()
		if err := p.sh.Settler.Wait(ctx, "p-z", never); err != nil {
			t.Errorf("after they went: %v", err)
		}
	})
}
