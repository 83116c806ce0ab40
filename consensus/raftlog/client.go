package raftlog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"gongji/consensus"
)

// client makes calls to other members: one stream for each, many calls on it at once.
type client struct {
	connect func(ctx context.Context, addr string, kind byte) (net.Conn, error)

	mu    sync.Mutex
	peers map[string]*peerConn
	ended bool
	work  sync.WaitGroup
}

// peerConn is the stream to one address, or the attempt to open it.
type peerConn struct {
	ready chan struct{} // closed when out or err is set
	err   error
	out   *outbox

	mu    sync.Mutex
	calls map[uint64]chan frame // nil when the stream has ended
	next  uint64
	dead  chan struct{} // closed when the stream has ended
}

func newClient(connect func(ctx context.Context, addr string, kind byte) (net.Conn, error)) *client {
	return &client{connect: connect, peers: make(map[string]*peerConn)}
}

// errUnsent marks a failure before anything left this node.
var errUnsent = errors.New("raftlog: nothing was sent")

// call makes one call. An error that is errUnsent says that the other surely got
// nothing; with any other the fate is unknown.
func (c *client) call(ctx context.Context, addr string, kind byte, payload []byte) (frame, error) {
	p, err := c.peer(ctx, addr)
	if err != nil {
		return frame{}, fmt.Errorf("%w: %w", errUnsent, err)
	}
	id, answer, ok := p.begin()
	if !ok {
		return frame{}, fmt.Errorf("%w: stream to %s ended", errUnsent, addr)
	}
	defer p.forget(id)
	f := &outFrame{data: encodeFrame(frame{id: id, kind: kind, payload: payload})}
	if !p.out.push(f) {
		return frame{}, fmt.Errorf("%w: stream to %s ended", errUnsent, addr)
	}
	select {
	case got := <-answer:
		return got, nil
	case <-p.dead:
		err = fmt.Errorf("stream to %s ended", addr)
	case <-ctx.Done():
		err = ctx.Err()
	}
	select {
	case got := <-answer: // came together with the end
		return got, nil
	default:
	}
	if p.out.takeBack(f) {
		return frame{}, fmt.Errorf("%w: %w", errUnsent, err)
	}
	return frame{}, err
}

// hangUp ends the stream to addr: it did not answer in time, so the next call gets a
// fresh one.
func (c *client) hangUp(addr string) {
	c.mu.Lock()
	p := c.peers[addr]
	c.mu.Unlock()
	if p == nil {
		return
	}
	select {
	case <-p.ready:
		if p.out != nil {
			p.out.close()
		}
	default:
	}
}

func (p *peerConn) begin() (uint64, chan frame, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls == nil {
		return 0, nil, false
	}
	p.next++
	answer := make(chan frame, 1)
	p.calls[p.next] = answer
	return p.next, answer, true
}

func (p *peerConn) forget(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calls, id)
}

// peer returns the stream to addr, opening it if there is none. Callers of the same
// address wait for one attempt.
func (c *client) peer(ctx context.Context, addr string) (*peerConn, error) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return nil, errClosed
	}
	p := c.peers[addr]
	if p == nil {
		p = &peerConn{ready: make(chan struct{}), dead: make(chan struct{}), calls: make(map[uint64]chan frame)}
		c.peers[addr] = p
		c.work.Go(func() {
			c.run(p, addr)
		})
	}
	c.mu.Unlock()
	select {
	case <-p.ready:
		return p, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run opens a stream and reads answers until it ends. The attempt has its own limit, not
// the first caller's: others wait for it too.
func (c *client) run(p *peerConn, addr string) {
	conn, err := c.connect(context.Background(), addr, streamRPC)
	if err != nil {
		p.err = err
		c.drop(addr, p)
		close(p.ready)
		return
	}
	p.out = newOutbox(conn)
	close(p.ready)
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		p.out.run()
	}()
	r := bufio.NewReaderSize(conn, outBuffer)
	for {
		f, err := readFrame(r)
		if err != nil {
			break
		}
		p.mu.Lock()
		answer := p.calls[f.id]
		delete(p.calls, f.id)
		p.mu.Unlock()
		if answer != nil {
			answer <- f
		}
	}
	c.drop(addr, p)
	p.out.close()
	p.mu.Lock()
	p.calls = nil
	p.mu.Unlock()
	close(p.dead)
	<-writer
}

func (c *client) drop(addr string, p *peerConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peers[addr] == p {
		delete(c.peers, addr)
	}
}

// close ends all streams and waits. The mux has closed the connections, or will not open more.
func (c *client) close() {
	c.mu.Lock()
	c.ended = true
	peers := make([]string, 0, len(c.peers))
	for addr := range c.peers {
		peers = append(peers, addr)
	}
	c.mu.Unlock()
	for _, addr := range peers {
		c.hangUp(addr)
	}
	c.work.Wait()
}

// outcome turns an answer into the contract's errors.
func outcome(f frame) ([]byte, error) {
	switch f.kind {
	case codeOK:
		return f.payload, nil
	case codeNoLeader, codeStopped: // a leader that has stopped is none
		return nil, consensus.ErrNoLeader
	case codeBusy:
		return nil, consensus.ErrBusy
	case codeTooLarge:
		return nil, consensus.ErrTooLarge
	default:
		return nil, consensus.ErrUnknown
	}
}

func codeOf(err error) byte {
	switch {
	case err == nil:
		return codeOK
	case errors.Is(err, consensus.ErrNoLeader):
		return codeNoLeader
	case errors.Is(err, consensus.ErrBusy):
		return codeBusy
	case errors.Is(err, consensus.ErrTooLarge):
		return codeTooLarge
	case errors.Is(err, consensus.ErrStopped):
		return codeStopped
	default:
		return codeUnknown
	}
}

// sent classifies the error of a call that could change something.
func sent(err error) error {
	if errors.Is(err, errUnsent) {
		return fmt.Errorf("%w: %w", consensus.ErrNoLeader, err)
	}
	return fmt.Errorf("%w: %w", consensus.ErrUnknown, err)
}
