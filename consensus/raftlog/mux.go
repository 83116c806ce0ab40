package raftlog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// The first byte of a stream, inside TLS, says what it is for.
const (
	streamRaft = 0x01
	streamRPC  = 0x02
)

const (
	handshakeLimit = 5 * time.Second // for TLS and the first byte, each way
	streamsMax     = 1024            // open at once; more are closed unread
	acceptPause    = 50 * time.Millisecond
)

// mux is a node's one listener and all its streams: raft's and our own calls' share
// address and certificates. It owns every connection of the node, in and out,
// so that one call ends all of them; raft alone would leave its heartbeats running while its
// main loop waits for a hung disk.
type mux struct {
	ctx       context.Context //nolint:containedctx // Run's: raft's Dial carries none
	listener  net.Listener
	advertise string
	dial      func(ctx context.Context, network, addr string) (net.Conn, error)
	server    *tls.Config
	client    *tls.Config
	logger    *slog.Logger
	serve     func(net.Conn) // our own calls; runs until the stream ends
	raftConns chan net.Conn

	mu     sync.Mutex
	conns  map[*muxConn]struct{}
	closed bool
	end    chan struct{}
	work   sync.WaitGroup // accept loop and handshakes
	open   sync.WaitGroup // connections
}

var _ raft.StreamLayer = (*mux)(nil)

func newMux(ctx context.Context, c Config, serve func(net.Conn)) (*mux, error) {
	listener, err := c.Listen("tcp", c.Bind)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", c.Bind, err)
	}
	return &mux{
		ctx: ctx, listener: listener, advertise: c.Advertise, dial: c.Dial, server: c.TLSServer, client: c.TLSClient,
		logger: c.Logger, serve: serve, raftConns: make(chan net.Conn), conns: make(map[*muxConn]struct{}),
		end: make(chan struct{}),
	}, nil
}

// muxConn is a connection that the mux can close.
type muxConn struct {
	net.Conn
	mux  *mux
	once sync.Once
}

// Close closes the connection and lets the mux forget it.
func (c *muxConn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		err = c.Conn.Close()
		c.mux.mu.Lock()
		delete(c.mux.conns, c)
		c.mux.mu.Unlock()
		c.mux.open.Done()
	})
	return err
}

// own takes a connection into the mux, or closes it if the mux is closed or full.
func (m *mux) own(conn net.Conn) (*muxConn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || len(m.conns) >= streamsMax {
		return nil, errors.Join(errClosed, conn.Close())
	}
	c := &muxConn{Conn: conn, mux: m}
	m.conns[c] = struct{}{}
	m.open.Add(1)
	return c, nil
}

// run accepts until close.
func (m *mux) run() {
	m.work.Add(1)
	defer m.work.Done()
	for {
		conn, err := m.listener.Accept()
		if err != nil {
			select {
			case <-m.end:
				return
			case <-time.After(acceptPause): // out of descriptors, say
				m.logger.Warn("accepting failed", slog.Any("error", err))
				continue
			}
		}
		c, err := m.own(conn)
		if err != nil {
			continue
		}
		m.work.Go(func() {
			m.accepted(c)
		})
	}
}

// accepted does the handshake of an incoming stream and hands it on.
func (m *mux) accepted(c *muxConn) {
	conn, kind, err := m.greet(c)
	if err != nil {
		m.logger.Debug("incoming stream refused", slog.Any("error", err))
		c.Close()
		return
	}
	switch kind {
	case streamRaft:
		select {
		case m.raftConns <- conn:
		case <-m.end:
			conn.Close()
		}
	case streamRPC:
		m.serve(conn)
	default:
		conn.Close()
	}
}

func (m *mux) greet(c *muxConn) (net.Conn, byte, error) {
	if err := c.SetDeadline(time.Now().Add(handshakeLimit)); err != nil {
		return nil, 0, err
	}
	conn := net.Conn(c)
	if m.server != nil {
		t := tls.Server(c, m.server)
		if err := t.HandshakeContext(m.ctx); err != nil {
			return nil, 0, err
		}
		conn = t
	}
	var kind [1]byte
	if _, err := io.ReadFull(conn, kind[:]); err != nil {
		return nil, 0, err
	}
	return conn, kind[0], c.SetDeadline(time.Time{})
}

// connect opens a stream of a kind.
func (m *mux) connect(ctx context.Context, addr string, kind byte) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	stop := context.AfterFunc(m.ctx, cancel)
	defer stop()
	raw, err := m.dial(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	c, err := m.own(raw)
	if err != nil {
		return nil, err
	}
	conn, err := m.introduce(ctx, c, addr, kind)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a stream to %s: %w", addr, err), c.Close())
	}
	return conn, nil
}

func (m *mux) introduce(ctx context.Context, c *muxConn, addr string, kind byte) (net.Conn, error) {
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return nil, err
	}
	conn := net.Conn(c)
	if m.client != nil {
		cfg := m.client
		if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			cfg = cfg.Clone()
			cfg.ServerName = host
		}
		t := tls.Client(c, cfg)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = t
	}
	if _, err := conn.Write([]byte{kind}); err != nil {
		return nil, err
	}
	return conn, c.SetDeadline(time.Time{})
}

// Accept returns the next of raft's streams.
func (m *mux) Accept() (net.Conn, error) {
	select {
	case conn := <-m.raftConns:
		return conn, nil
	case <-m.end:
		return nil, net.ErrClosed
	}
}

// Dial opens a stream for raft.
func (m *mux) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(m.ctx, timeout)
	defer cancel()
	return m.connect(ctx, string(addr), streamRaft)
}

// Addr is the address that the others know.
func (m *mux) Addr() net.Addr { return muxAddr(m.advertise) }

type muxAddr string

// Network is tcp.
func (muxAddr) Network() string { return "tcp" }

// String is host:port.
func (a muxAddr) String() string { return string(a) }

// Close ends the listener and every stream. It does not wait.
func (m *mux) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	close(m.end)
	conns := make([]*muxConn, 0, len(m.conns))
	for c := range m.conns {
		conns = append(conns, c)
	}
	m.mu.Unlock()
	err := m.listener.Close()
	for _, c := range conns {
		c.Close()
	}
	return err
}

// wait returns when everything that the mux started has ended.
func (m *mux) wait() {
	m.work.Wait()
	m.open.Wait()
}
