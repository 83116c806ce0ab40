package simtest_test

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"gongji/federation"
	"gongji/federation/kafkabus"
)

// The broker's place on the network. The embedded broker names itself by this address.
const (
	brokerHost = "broker"
	brokerAddr = "127.0.0.1:9092"
)

// broker is the embedded broker: it can forget everything.
type broker struct {
	w *world

	mu      sync.Mutex
	cluster *kfake.Cluster
	end     *endpoint
}

func (b *broker) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cluster != nil {
		return nil
	}
	end := newEndpoint(brokerHost)
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.Ports(9092),
		kfake.ListenFn(func(_, address string) (net.Listener, error) { return b.w.net.listen(end, address) }),
	)
	if err != nil {
		return err
	}
	b.cluster, b.end = cluster, end
	return nil
}

// stop ends the broker with all it has.
func (b *broker) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cluster != nil {
		b.cluster.Close()
		b.w.net.kill(b.end)
		b.cluster = nil
	}
}

// busFaults are what the bus does to what it acknowledged: so many publishings of a thousand.
type busFaults struct {
	mu                        sync.Mutex
	lose, repeat, late, spoil int
	lateMax                   time.Duration
}

func (f *busFaults) set(lose, repeat, late, spoil int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lose, f.repeat, f.late, f.spoil, f.lateMax = lose, repeat, late, spoil, 30*time.Second
}

// draw gives the fault of one publishing.
func (f *busFaults) draw(rng *rand.Rand) (lose, repeat, late, spoil bool, by time.Duration) { //nolint:nonamedreturns // the names tell four flags apart
	f.mu.Lock()
	defer f.mu.Unlock()
	roll := func(perMille int) bool { return rng.IntN(1000) < perMille }
	lose, repeat, late, spoil = roll(f.lose), roll(f.repeat), roll(f.late), roll(f.spoil)
	if f.lateMax > 0 {
		by = time.Duration(rng.Int64N(int64(f.lateMax)))
	}
	return lose, repeat, late, spoil, by
}

// faultyBus is the real bus of one life of a node, with the faults of the broker behind it.
type faultyBus struct {
	w     *world
	inner *kafkabus.Bus

	mu  sync.Mutex
	rng *rand.Rand
}

var _ federation.Bus = (*faultyBus)(nil)

func (w *world) newBus(end *endpoint, logger *slog.Logger, seed uint64) (*faultyBus, error) {
	inner, err := kafkabus.New(kafkabus.Options{
		Brokers: []string{brokerAddr}, CreateTopics: true, ClientID: end.host, Logger: logger, FetchWait: time.Second,
		Dial: func(ctx context.Context, _, address string) (net.Conn, error) { return w.net.dial(ctx, end, address) },
	})
	if err != nil {
		return nil, err
	}
	return &faultyBus{w: w, inner: inner, rng: rand.New(rand.NewPCG(seed, 0x627573))}, nil
}

// Publish does what the real bus does, or something worse.
func (b *faultyBus) Publish(ctx context.Context, l federation.Lane, value []byte) error {
	b.mu.Lock()
	lose, repeat, late, spoil, by := b.w.busFaults.draw(b.rng)
	b.mu.Unlock()
	if spoil {
		bad := bytes.Clone(value)
		bad[len(bad)/2] ^= 0x10
		if err := b.inner.Publish(ctx, l, bad); err != nil {
			return err
		}
	}
	switch {
	case lose:
		return ctx.Err() // acknowledged, and gone
	case late:
		b.later(l, value, by)
		return ctx.Err()
	case repeat:
		b.later(l, value, by)
	}
	return b.inner.Publish(ctx, l, value)
}

// later publishes after a while, if the bus still lives then.
func (b *faultyBus) later(l federation.Lane, value []byte, by time.Duration) {
	value = bytes.Clone(value)
	b.w.work.Go(func() {
		time.Sleep(by)
		_ = b.inner.Publish(context.Background(), l, value)
	})
}

func (b *faultyBus) Fetch(ctx context.Context, l federation.Lane, offset int64) ([]federation.Record, int64, error) {
	return b.inner.Fetch(ctx, l, offset)
}

func (b *faultyBus) Ready(ctx context.Context, lanes []federation.Lane) error {
	return b.inner.Ready(ctx, lanes)
}

func (b *faultyBus) Close() error { return b.inner.Close() }
