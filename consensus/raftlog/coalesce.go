package raftlog

import (
	"context"
	"sync"

	"gongji/consensus"
)

// coalescer asks one question for all who wait for its answer. Who comes while a
// question is under way waits for the next one: an answer counts only for those who
// were there before it was asked.
type coalescer struct {
	ask  func(ctx context.Context) (uint64, error)
	wake chan struct{} // buffered 1

	mu   sync.Mutex
	next *question
	over bool
}

type question struct {
	done  chan struct{}
	index uint64
	err   error
}

func newCoalescer(ask func(ctx context.Context) (uint64, error)) *coalescer {
	return &coalescer{ask: ask, wake: make(chan struct{}, 1)}
}

// run answers until ctx ends.
func (c *coalescer) run(ctx context.Context) {
	for {
		select {
		case <-c.wake:
			if q := c.take(); q != nil {
				q.index, q.err = c.ask(ctx)
				close(q.done)
			}
		case <-ctx.Done():
			c.mu.Lock()
			c.over = true
			c.mu.Unlock()
			if q := c.take(); q != nil {
				q.err = consensus.ErrStopped
				close(q.done)
			}
			return
		}
	}
}

func (c *coalescer) take() *question {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.next
	c.next = nil
	return q
}

// get returns an answer to a question asked after the call began.
func (c *coalescer) get(ctx context.Context) (uint64, error) {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return 0, consensus.ErrStopped
	}
	if c.next == nil {
		c.next = &question{done: make(chan struct{})}
	}
	q := c.next
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	select {
	case <-q.done:
		return q.index, q.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
