package settle

import (
	"context"
	"sync"

	"gongji/consensus"
	"gongji/federation"
)

// watchMax is how many requests may wait for a change at the same time; the API admits fewer.
const watchMax = 65536

// watch wakes whoever waits for a thing to change.
type watch struct {
	mu      sync.Mutex
	waiting map[string][]chan struct{}
	count   int
}

func (w *watch) changed(ids []string) {
	if len(ids) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		for _, c := range w.waiting[id] {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
}

func (w *watch) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, list := range w.waiting {
		for _, c := range list {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
}

func (w *watch) add(id string) (chan struct{}, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count >= watchMax {
		return nil, false
	}
	c := make(chan struct{}, 1)
	w.waiting[id] = append(w.waiting[id], c)
	w.count++
	return c, true
}

func (w *watch) remove(id string, c chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.waiting[id]
	for i := range list {
		if list[i] == c {
			list = append(list[:i:i], list[i+1:]...)
			w.count--
			break
		}
	}
	if len(list) == 0 {
		delete(w.waiting, id)
		return
	}
	w.waiting[id] = list
}

// Wait calls look now and whenever the thing changes on this node, until look says that it is enough, ctx ends, or
// look fails. It looks once more before it gives up, so that what was seen last is never older than the end of the
// wait.
func (s *Settler) Wait(ctx context.Context, id string, look func() (enough bool, err error)) error {
	c, ok := s.watch.add(id)
	if !ok {
		return consensus.ErrBusy
	}
	defer s.watch.remove(id, c)
	for {
		enough, err := look()
		if err != nil || enough || ctx.Err() != nil {
			return err
		}
		if _, err := s.leading(); err != nil {
			return consensus.ErrUnknown
		}
		select {
		case <-c:
		case <-ctx.Done():
		}
	}
}

func ackOf(r federation.Region) string { return "ack/" + string(r) }

// WaitAcked waits until everything that was in the outbox to a peer at the call is in the peer's log, or ctx ends.
func (s *Settler) WaitAcked(ctx context.Context, peer federation.Region) error {
	link := func() (federation.Out, error) {
		var out federation.Out
		err := s.Log.ReadStale(func(r consensus.Reader) error {
			l, failed := s.Ledger.View(r).Link(peer)
			out = l.Out
			return failed
		})
		return out, err
	}
	at, err := link()
	if err != nil || at.Waiting() == 0 {
		return err
	}
	return s.Wait(ctx, ackOf(peer), func() (bool, error) {
		now, err := link()
		return now.Acked >= at.Last, err
	})
}
