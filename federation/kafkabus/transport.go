package kafkabus

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// metadataTTL bounds how old the known layout of the brokers may be. It is also how long kafka-go waits for one
// answer about it, so it is not made smaller. After an error the layout is learnt anew at once, see generation.
const metadataTTL = 2 * time.Second

// retireEvery bounds how often a generation is given up, so that many failing lanes make one new transport, not many.
const retireEvery = 200 * time.Millisecond

// generation is one kafka.Transport with its client. A transport keeps a layout that may be stale
// and pooled connections that may be dead, and finds out on its own only slowly; so after an error
// it is given up as a whole. Requests of other lanes under way on it end as they would have: each
// has a connection of its own, since kafka-go gives a connection to one request at a time. So a
// fetch that waits at the broker is in nobody's way.
type generation struct {
	client    *kafka.Client
	transport *kafka.Transport
	born      time.Time
}

func (b *Bus) newGeneration() *generation {
	t := &kafka.Transport{
		Dial:        b.dial,
		DialTimeout: b.o.DialTimeout * time.Duration(len(b.o.Brokers)),
		IdleTimeout: 30 * time.Second,
		MetadataTTL: metadataTTL,
		ClientID:    b.o.ClientID,
		TLS:         b.o.TLS,
		SASL:        b.o.SASL,
		Context:     b.life,
	}
	return &generation{
		client:    &kafka.Client{Addr: kafka.TCP(b.o.Brokers...), Transport: t},
		transport: t,
		born:      time.Now(),
	}
}

// current returns the generation in use.
func (b *Bus) current() *generation {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gen
}

// retire gives g up, unless somebody else has, or it is too young.
func (b *Bus) retire(g *generation) {
	b.mu.Lock()
	if b.gen != g || b.life.Err() != nil || time.Since(g.born) < retireEvery {
		b.mu.Unlock()
		return
	}
	b.gen = b.newGeneration()
	b.mu.Unlock()
	g.transport.CloseIdleConnections()
}

// dial gives each address its own share of time and keeps account of the connection, so that Close can end it.
func (b *Bus) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, b.o.DialTimeout)
	defer cancel()
	c, err := b.o.Dial(ctx, network, address)
	if err != nil {
		return nil, err //nolint:wrapcheck // kafka-go looks at it
	}
	return b.conns.add(c)
}

// connSet is the open connections.
type connSet struct {
	mu     sync.Mutex
	closed bool
	open   map[*trackedConn]struct{}
}

// trackedConn leaves its set when it is closed.
type trackedConn struct {
	net.Conn
	set *connSet
}

func (s *connSet) add(c net.Conn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	t := &trackedConn{Conn: c, set: s}
	s.open[t] = struct{}{}
	return t, nil
}

// Close closes the connection and forgets it.
func (c *trackedConn) Close() error {
	c.set.mu.Lock()
	delete(c.set.open, c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}

// closeAll closes every connection and refuses new ones.
func (s *connSet) closeAll() {
	s.mu.Lock()
	s.closed = true
	all := make([]*trackedConn, 0, len(s.open))
	for c := range s.open {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}
