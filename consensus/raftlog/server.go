package raftlog

import (
	"bufio"
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"sync"
	"time"

	"gongji/consensus"
)

// conversation is one incoming stream of calls.
type conversation struct {
	node *Node
	ctx  context.Context //nolint:containedctx // ends with the stream
	out  *outbox
	work sync.WaitGroup
	busy chan struct{} // one for each call that has a goroutine
}

// callsMax bounds the calls of one stream that have a goroutine each; more wait unread.
const callsMax = 2048

// serve answers the calls on a stream until it ends.
func (n *Node) serve(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	c := &conversation{node: n, ctx: ctx, out: newOutbox(conn), busy: make(chan struct{}, callsMax)}
	c.work.Go(func() {
		c.out.run()
	})
	r := bufio.NewReaderSize(conn, outBuffer)
	for {
		f, err := readFrame(r)
		if err != nil {
			n.cfg.Logger.Debug("stream of calls ended", slog.Any("error", err))
			break
		}
		c.call(f)
	}
	cancel()
	c.out.close()
	c.work.Wait()
}

// begin runs a call in a goroutine of its own.
func (c *conversation) begin(run func()) {
	select {
	case c.busy <- struct{}{}:
	case <-c.ctx.Done():
		return
	}
	c.work.Go(func() {
		defer func() { <-c.busy }()
		run()
	})
}

func (c *conversation) answer(id uint64, payload []byte, err error) {
	c.out.push(&outFrame{data: encodeFrame(frame{id: id, kind: codeOf(err), payload: payload})})
}

// call begins one call; it does not wait for its end.
func (c *conversation) call(f frame) {
	switch f.kind {
	case callPropose:
		c.propose(f)
	case callAsk:
		c.ask(f)
	case callIndex:
		c.index(f)
	case callStatus:
		c.answer(f.id, c.node.peerStatus().encode(), nil)
	default:
		c.answer(f.id, nil, errFrame)
	}
}

// propose takes a command that another node carried here. It is never carried on: one
// hop, and then the caller asks again.
func (c *conversation) propose(f frame) {
	if len(f.payload) > consensus.CommandMax {
		c.answer(f.id, nil, consensus.ErrTooLarge)
		return
	}
	p, leads, err := c.node.serving()
	if err == nil && !leads {
		err = consensus.ErrNoLeader
	}
	if err == nil {
		err = p.batcher.submit(&proposal{
			command: f.payload, done: func(value []byte, err error) { c.answer(f.id, value, err) },
		})
	}
	if err != nil {
		c.answer(f.id, nil, err)
	}
}

func (c *conversation) ask(f frame) {
	const head = 4
	if len(f.payload) < head {
		c.answer(f.id, nil, errFrame)
		return
	}
	millis, request := binary.BigEndian.Uint32(f.payload), f.payload[head:]
	if len(request) > consensus.AskMax {
		c.answer(f.id, nil, consensus.ErrTooLarge)
		return
	}
	_, leads, err := c.node.serving()
	if err != nil || !leads {
		c.answer(f.id, nil, consensus.ErrNoLeader)
		return
	}
	c.begin(func() {
		ctx := c.ctx
		if millis > 0 {
			limited, cancel := context.WithTimeout(ctx, time.Duration(millis)*time.Millisecond)
			defer cancel()
			ctx = limited
		}
		value, err := c.node.handle(ctx, request)
		c.answer(f.id, value, err)
	})
}

func (c *conversation) index(f frame) {
	p, leads, err := c.node.serving()
	if err != nil || !leads {
		c.answer(f.id, nil, consensus.ErrNoLeader)
		return
	}
	c.begin(func() {
		index, err := p.leaderReads.get(c.ctx)
		c.answer(f.id, binary.BigEndian.AppendUint64(nil, index), err)
	})
}
