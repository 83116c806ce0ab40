package kafkabus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"gongji/federation"
	"gongji/federation/federationtest"
	"gongji/federation/kafkabus"
)

// leftMax is how long a goroutine may outlive its bus: kafka-go keeps a connection that was made while its transport
// was given up until the idle timeout (see newGeneration).
const leftMax = 35 * time.Second

func TestMain(m *testing.M) {
	code := m.Run()
	for began := time.Now(); code == 0; { // Find looks for about a second by itself
		err := goleak.Find()
		if err == nil {
			break
		}
		if time.Since(began) > leftMax {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var (
	lane = federation.Lane{From: federationtest.Beijing, To: federationtest.Shanghai}
	back = federation.Lane{From: federationtest.Shanghai, To: federationtest.Beijing}
)

// broker is an embedded broker that can be stopped and started again.
type broker struct {
	port    int
	dir     string
	listen  func(network, address string) (net.Listener, error)
	cluster *kfake.Cluster
}

func (b *broker) start(t *testing.T) {
	t.Helper()
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.Ports(b.port)}
	if b.dir != "" {
		opts = append(opts, kfake.DataDir(b.dir), kfake.SyncWrites())
	}
	if b.listen != nil {
		opts = append(opts, kfake.ListenFn(b.listen))
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	b.cluster = c
	_, port, err := net.SplitHostPort(c.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	if b.port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
}

func (b *broker) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)) }

func newBroker(t *testing.T, dir string) *broker {
	t.Helper()
	b := &broker{dir: dir}
	b.start(t)
	t.Cleanup(func() { b.cluster.Close() })
	return b
}

func newBus(t *testing.T, o kafkabus.Options) *kafkabus.Bus {
	t.Helper()
	bus, err := kafkabus.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bus.Close() })
	return bus
}

func TestContract(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T) federationtest.Subject {
		t.Helper()
		b := newBroker(t, "")
		return federationtest.Subject{
			Bus: newBus(t, kafkabus.Options{Brokers: []string{b.addr()}, CreateTopics: true}),
			Forget: func(t *testing.T) {
				t.Helper()
				b.cluster.Close()
				b.start(t)
			},
			Trim: func(t *testing.T, l federation.Lane, n int64) {
				t.Helper()
				if err := b.cluster.DeleteRecords(l.Topic(), 0, n); err != nil {
					t.Fatal(err)
				}
			},
		}
	}
	federationtest.RunBusContract(t, open, federationtest.Lanes(4))
}

// TestBoard: the topic of directories, on an embedded broker.
func TestBoard(t *testing.T) {
	t.Parallel()
	federationtest.RunBoardContract(t, func(t *testing.T) (federation.Board, func(t *testing.T)) {
		t.Helper()
		b := newBroker(t, "")
		return newBus(t, kafkabus.Options{Brokers: []string{b.addr()}, CreateTopics: true}), func(t *testing.T) {
			t.Helper()
			b.cluster.Close()
			b.start(t)
		}
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]kafkabus.Options{
		"no brokers": {}, "no port": {Brokers: []string{"localhost"}},
		"wait":        {Brokers: []string{"localhost:1"}, FetchWait: 2 * time.Second},
		"replication": {Brokers: []string{"localhost:1"}, Replication: -1},
	} {
		if _, err := kafkabus.New(o); !errors.Is(err, kafkabus.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMissingTopic: without CreateTopics a missing topic is ErrBus, also for Ready; made from outside, it works.
func TestMissingTopic(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "")
	bus := newBus(t, kafkabus.Options{Brokers: []string{b.addr()}, PublishTimeout: 300 * time.Millisecond})
	ctx := t.Context()
	if err := bus.Ready(ctx, nil); err != nil {
		t.Fatalf("ready without lanes: %v", err)
	}
	if err := bus.Ready(ctx, []federation.Lane{lane}); !errors.Is(err, federation.ErrBus) {
		t.Fatalf("ready: %v", err)
	}
	if err := bus.Publish(ctx, lane, []byte("x")); !errors.Is(err, federation.ErrBus) {
		t.Fatalf("publish: %v", err)
	}
	if _, _, err := bus.Fetch(ctx, lane, 0); !errors.Is(err, federation.ErrBus) {
		t.Fatalf("fetch: %v", err)
	}
	if err := b.cluster.CreateTopic(lane.Topic(), 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := federationtest.Ready(t, bus, lane); err != nil {
		t.Fatal(err)
	}
	if err := federationtest.Publish(ctx, bus, lane, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := federationtest.Collect(ctx, bus, lane, 0, 1); err != nil {
		t.Fatal(err)
	}
}

// TestLogBegunAnewPastTheOffset: the log was lost and has grown past the reader's offset before the reader looks
// again. Kafka says nothing; the bus compares the record before the offset, and notices.
func TestLogBegunAnewPastTheOffset(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "")
	reader := newBus(t, kafkabus.Options{Brokers: []string{b.addr()}, CreateTopics: true})
	writer := newBus(t, kafkabus.Options{Brokers: []string{b.addr()}, CreateTopics: true})
	fill := func(word string, n int) {
		t.Helper()
		for i := range n {
			if err := federationtest.Publish(t.Context(), writer, lane, fmt.Appendf(nil, "%s %d", word, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill("old", 5)
	if _, err := federationtest.Collect(t.Context(), reader, lane, 0, 5); err != nil {
		t.Fatal(err)
	}
	b.cluster.Close()
	b.start(t)
	fill("new", 9)
	if _, err := federationtest.Collect(t.Context(), reader, lane, 5, 4); !errors.Is(err, federation.ErrRewound) {
		t.Fatalf("got %v, want ErrRewound", err)
	}
	all, err := federationtest.Collect(t.Context(), reader, lane, 0, 9)
	if err != nil || string(all[0].Value) != "new 0" {
		t.Fatalf("got %q, %v", all[0].Value, err)
	}
}

// TestRefusedIsNotRepeated: what no attempt can help fails at once, and is tried once.
func TestRefusedIsNotRepeated(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "")
	bus := newBus(t, kafkabus.Options{Brokers: []string{b.addr()}, CreateTopics: true})
	if err := federationtest.Ready(t, bus, lane); err != nil {
		t.Fatal(err)
	}
	faults := b.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1,
	})
	if err := bus.Publish(t.Context(), lane, []byte("x")); !errors.Is(err, federation.ErrBus) {
		t.Fatalf("got %v", err)
	}
	if faults.Hits() != 1 {
		t.Fatalf("%d attempts", faults.Hits())
	}
	faults.Remove()
	if err := bus.Publish(t.Context(), lane, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

// TestErrorsOfTheBroker: each is passed over within one Publish or a few Fetches.
func TestErrorsOfTheBroker(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "")
	bus := newBus(t, kafkabus.Options{Brokers: []string{b.addr()}, CreateTopics: true})
	offset := int64(0)
	for _, e := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.RequestTimedOut, kerr.NotEnoughReplicas,
		kerr.NotEnoughReplicasAfterAppend, kerr.UnknownServerError, kerr.KafkaStorageError, kerr.UnknownTopicOrPartition,
	} {
		for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Fetch} {
			b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: e, Count: 2})
		}
		if err := federationtest.Publish(t.Context(), bus, lane, []byte(e.Message)); err != nil {
			t.Fatalf("%s: %v", e.Message, err)
		}
		for found := false; !found; offset++ { // NotEnoughReplicasAfterAppend appends: a repeat is no fault
			all, err := federationtest.Collect(t.Context(), bus, lane, offset, 1)
			if err != nil {
				t.Fatalf("%s: %v", e.Message, err)
			}
			found = string(all[0].Value) == e.Message
			offset = all[0].Offset
		}
	}
}

type pair struct {
	one, two *federationtest.Peer
	stop     func() error
}

func startPair(t *testing.T, bus func() federation.Bus) *pair {
	t.Helper()
	f, err := federationtest.NewFederation()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := f.Directory()
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{
		one: federationtest.NewPeer(f, dir, bus(), lane.From, lane.To),
		two: federationtest.NewPeer(f, dir, bus(), lane.To, lane.From),
	}
	ctx, cancel := context.WithCancel(t.Context())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.one.Run(ctx) })
	g.Go(func() error { return p.two.Run(ctx) })
	p.stop = func() error {
		cancel()
		return g.Wait()
	}
	return p
}

func (p *pair) check(t *testing.T, n int) {
	t.Helper()
	for _, end := range []*federationtest.Peer{p.one, p.two} {
		if err := end.Await(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		for i, body := range end.Applied()[:n] {
			if string(body) != fmt.Sprint(i) {
				t.Fatalf("place %d has %q", i, body)
			}
		}
	}
}

// TestRestartAndLoss: the broker goes away under load and comes back, once with its data and once without.
func TestRestartAndLoss(t *testing.T) {
	t.Parallel()
	b := newBroker(t, t.TempDir())
	p := startPair(t, func() federation.Bus {
		return newBus(t, kafkabus.Options{Brokers: []string{b.addr()}, CreateTopics: true})
	})
	sent := 0
	send := func(n int) {
		for range n {
			p.one.Send(fmt.Append(nil, sent))
			p.two.Send(fmt.Append(nil, sent))
			sent++
		}
	}
	send(200)
	p.check(t, 50)
	b.cluster.Close()
	send(100)
	b.start(t)
	back := time.Now()
	p.check(t, 300)
	t.Logf("with its data: everything across %v after the broker was back", time.Since(back))
	b.cluster.Close()
	b.dir = t.TempDir()
	send(100)
	b.start(t)
	back = time.Now()
	send(100)
	p.check(t, 500)
	t.Logf("without its data: everything across %v after the broker was back", time.Since(back))
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v %+v", p.one.Stats(), p.two.Stats())
}

// TestVirtualTime: an hour in a bubble, with a broker that goes away, hangs, and loses its data.
func TestVirtualTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := &kfake.VirtualNetwork{}
		var hang atomic.Bool
		dial := func(ctx context.Context, n, address string) (net.Conn, error) {
			if hang.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return network.DialContext(ctx, n, address)
		}
		b := &broker{port: 9092, listen: network.Listen}
		b.start(t)
		buses := []*kafkabus.Bus{}
		p := startPair(t, func() federation.Bus {
			bus, err := kafkabus.New(kafkabus.Options{
				Brokers: []string{"localhost:9092"}, Dial: dial, CreateTopics: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			buses = append(buses, bus)
			return bus
		})
		sent := 0
		for round := range 12 {
			for range 20 {
				p.one.Send(fmt.Append(nil, sent))
				p.two.Send(fmt.Append(nil, sent))
				sent++
			}
			switch round {
			case 3:
				hang.Store(true)
				b.cluster.Close()
				time.Sleep(30 * time.Second)
				hang.Store(false)
				b.start(t)
				since := time.Now()
				p.check(t, sent)
				t.Logf("after a hang: all across in %v", time.Since(since))
			case 7:
				b.cluster.Close()
				time.Sleep(10 * time.Minute)
				b.start(t)
				since := time.Now()
				p.check(t, sent)
				t.Logf("after a stop: all across in %v", time.Since(since))
			}
			time.Sleep(time.Minute)
		}
		p.check(t, sent)
		if err := p.stop(); err != nil {
			t.Error(err)
		}
		for _, bus := range buses {
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		}
		b.cluster.Close()
		time.Sleep(time.Minute)
	})
}

// TestFetchWaitsAreInNobodysWay: a hundred fetches that wait at the broker, and publishes meanwhile.
func TestFetchWaitsAreInNobodysWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := &kfake.VirtualNetwork{}
		b := &broker{port: 9092, listen: network.Listen}
		b.start(t)
		bus, err := kafkabus.New(kafkabus.Options{
			Brokers: []string{"localhost:9092"}, Dial: network.DialContext, CreateTopics: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		lanes := []federation.Lane{back}
		for i := range 100 {
			lanes = append(lanes, federation.Lane{From: lane.From, To: federation.Region(fmt.Sprint(400000 + i))})
		}
		if err := bus.Ready(t.Context(), lanes); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var g errgroup.Group
		for _, l := range lanes[1:] {
			g.Go(func() error {
				for {
					if _, _, err := bus.Fetch(ctx, l, 0); err != nil {
						return ignoreCanceled(err)
					}
				}
			})
		}
		time.Sleep(5 * time.Second)
		start := time.Now() // virtual: waiting behind a fetch would show as up to half a second
		for range 100 {
			if err := bus.Publish(ctx, back, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("100 publishes took %v of virtual time", took)
		}
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
		b.cluster.Close()
		time.Sleep(time.Minute)
	})
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
