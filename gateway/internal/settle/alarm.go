package settle

import (
	"context"
	"log/slog"
	"time"

	"gongji/consensus"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/refund"
)

// Bounds of the look at what is open.
const (
	openEvery = 15 * time.Second
	openMax   = 100_000 // things looked at in one round; a region with more has other worries
)

// openKey is one kind of thing in one state.
type openKey struct{ thing, state string }

// openCount is how many there are, and how long the oldest is past its decide_by; of refunds and
// returns, how long it has waited.
type openCount struct {
	number  int
	overdue time.Duration
}

// look counts what is open, for the operators' alarms: every state that is not final has its own, as long as it does
// not move on.
func (t *term) look(ctx context.Context) error {
	ticker := time.NewTicker(openEvery)
	defer ticker.Stop()
	defer func() { // the next leader counts anew
		t.s.Metrics.open(nil)
		t.s.Metrics.peers(nil)
		t.s.Metrics.expiry(time.Time{})
	}()
	for {
		open, err := t.open()
		if err != nil {
			return err
		}
		peers, err := t.s.Peers()
		if err != nil {
			return err
		}
		t.s.Metrics.open(open)
		t.s.Metrics.peers(peers)
		if dir := t.s.Ledger.InForce().Directory; dir != nil {
			t.s.Metrics.expiry(dir.Expires())
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (t *term) open() (map[openKey]openCount, error) {
	open := map[openKey]openCount{}
	for _, s := range payment.States() {
		if !s.Final() {
			open[openKey{"payment", s.String()}] = openCount{}
		}
	}
	for _, s := range hold.States() {
		if !s.Final() {
			open[openKey{"hold", s.String()}] = openCount{}
		}
	}
	open[openKey{"refund", refund.Requested.String()}] = openCount{}
	for _, s := range refund.ReturnStates() {
		if !s.Final() {
			open[openKey{"return", s.String()}] = openCount{}
		}
	}
	now, seen := t.s.Now(), 0
	add := func(thing, state string, by time.Time) bool {
		k := openKey{thing, state}
		c := open[k]
		c.number++
		c.overdue = max(c.overdue, now.Sub(by))
		open[k] = c
		seen++
		return seen < openMax
	}
	err := t.s.Log.ReadStale(func(r consensus.Reader) error {
		return t.s.Ledger.View(r).Open(ledger.Opened{
			Payments: func(p *ledger.PaymentRecord) bool { return add("payment", p.State.String(), p.DecideBy) },
			Holds:    func(h *ledger.HoldRecord) bool { return add("hold", h.State.String(), h.DecideBy) },
			Refunds:  func(r *ledger.RefundRecord) bool { return add("refund", r.State().String(), r.Created) },
			Returns:  func(r *ledger.ReturnRecord) bool { return add("return", r.State.String(), r.Asked) },
		})
	})
	return open, err
}

// alarms tells operators of what has ended otherwise than was decided.
func (s *Settler) alarms(list []ledger.Alarm) {
	for _, a := range list {
		s.Metrics.alarm(a.What)
		s.Audit("alarm", slog.String("what", a.What), slog.String("id", a.ID))
	}
}
