// Package freeport lends loopback TCP ports to tests that must name an address before anybody listens there, or that
// listen there again after a restart.
//
// A port that the system picked (":0") and that is closed again is anybody's: the system gives it to the next
// connection that goes out, and the test that wanted to listen there finds it in use. So the ports here lie below the
// ones that Linux, macOS and Windows hand out by themselves, and one process holds a whole block of them: it listens on
// the block's last port, which no second process can.
package freeport

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
)

// Span is how many ports in a row Base lends.
const Span = 399

const (
	lowest = 20_000
	blocks = 31 // of Span ports and a guard: up to 32,399; Linux hands out 32,768 and above
)

// ErrNone: every block is in use, by other processes or by programs of the machine.
var ErrNone = errors.New("freeport: no block of free ports")

// Base lends the first of Span ports in a row until the test ends.
func Base(t testing.TB) int {
	t.Helper()
	b, err := take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.guard.Close() })
	return b.first
}

// Addr lends an address of one port (127.0.0.1:port) until the test ends.
func Addr(t testing.TB) string {
	t.Helper()
	port, err := singles.lend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { singles.giveBack(port) })
	return address(port)
}

// Port lends one port until this process ends. Error: ErrNone.
func Port(ctx context.Context) (int, error) { return singles.lend(ctx) }

// singles are the ports that are lent one by one.
var singles pool //nolint:gochecknoglobals // the blocks are the process's, whoever asks in it

// pool has the ports of the blocks that it took; it keeps the blocks until the process ends.
type pool struct {
	mu   sync.Mutex
	held []block
	free []int // the one that was given back last is lent last
}

func (p *pool) lend(ctx context.Context) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		b, err := take(ctx)
		if err != nil {
			return 0, err
		}
		p.held = append(p.held, b)
		for i := range Span {
			p.free = append(p.free, b.first+i)
		}
	}
	port := p.free[0]
	p.free = p.free[1:]
	return port, nil
}

func (p *pool) giveBack(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, port)
}

// block is a row of ports, held by listening on the one behind them.
type block struct {
	first int
	guard net.Listener
}

// take finds a block that nobody holds and of which every port is free. Error: ErrNone.
func take(ctx context.Context) (block, error) {
	for i := range blocks {
		first := lowest + (os.Getpid()+i)%blocks*(Span+1)
		guard, err := listen(ctx, first+Span)
		if err != nil {
			continue
		}
		if allFree(ctx, first) {
			return block{first: first, guard: guard}, nil
		}
		_ = guard.Close()
	}
	return block{}, ErrNone
}

func allFree(ctx context.Context, first int) bool {
	for i := range Span {
		l, err := listen(ctx, first+i)
		if err != nil || l.Close() != nil {
			return false
		}
	}
	return true
}

func listen(ctx context.Context, port int) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", address(port))
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
