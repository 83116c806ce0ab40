//go:build integration

package kafkabus_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"gongji/federation"
	"gongji/federation/federationtest"
	"gongji/federation/federationtest/realkafka"
	"gongji/federation/kafkabus"
)

func startKafka(t *testing.T) *realkafka.Broker {
	t.Helper()
	k, err := realkafka.Start(t.Context(), filepath.Join(t.TempDir(), "kafka"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Kill(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// admin sends one request of the kind that kafka-go does not have.
func admin(t *testing.T, k *realkafka.Broker, req kmsg.Request) kmsg.Response {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(k.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	res, err := c.Request(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func trim(t *testing.T, k *realkafka.Broker, l federation.Lane, n int64) {
	t.Helper()
	req := kmsg.NewDeleteRecordsRequest()
	topic, part := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
	part.Offset = n
	topic.Topic, topic.Partitions = l.Topic(), append(topic.Partitions, part)
	req.Topics, req.TimeoutMillis = append(req.Topics, topic), 10_000
	res, ok := admin(t, k, &req).(*kmsg.DeleteRecordsResponse)
	if !ok || len(res.Topics) != 1 || res.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("%+v", res)
	}
}

// forget deletes every topic: to the readers a broker that has lost its data, and faster than losing it.
func forget(t *testing.T, k *realkafka.Broker) {
	t.Helper()
	all := kmsg.NewMetadataRequest()
	layout, ok := admin(t, k, &all).(*kmsg.MetadataResponse)
	if !ok {
		t.Fatal("no metadata")
	}
	req := kmsg.NewDeleteTopicsRequest()
	req.TimeoutMillis = 10_000
	for _, topic := range layout.Topics {
		req.TopicNames = append(req.TopicNames, *topic.Topic)
		named := kmsg.NewDeleteTopicsRequestTopic()
		named.Topic = topic.Topic
		req.Topics = append(req.Topics, named)
	}
	res, ok := admin(t, k, &req).(*kmsg.DeleteTopicsResponse)
	if !ok {
		t.Fatal("no answer")
	}
	for _, topic := range res.Topics {
		if topic.ErrorCode != 0 {
			t.Fatalf("%+v", topic)
		}
	}
}

func TestRealKafkaContract(t *testing.T) {
	k := startKafka(t)
	open := func(t *testing.T) federationtest.Subject {
		t.Helper()
		return federationtest.Subject{
			Bus:    newBus(t, kafkabus.Options{Brokers: []string{k.Addr()}, CreateTopics: true}),
			Forget: func(t *testing.T) { t.Helper(); forget(t, k) },
			Trim:   func(t *testing.T, l federation.Lane, n int64) { t.Helper(); trim(t, k, l, n) },
		}
	}
	federationtest.RunBusContract(t, open, federationtest.Lanes(4))
}

// TestRealKafkaBoard: the topic of directories on Apache Kafka, also after compaction has made gaps.
func TestRealKafkaBoard(t *testing.T) {
	k := startKafka(t)
	federationtest.RunBoardContract(t, func(t *testing.T) (federation.Board, func(t *testing.T)) {
		t.Helper()
		forget(t, k)
		return newBus(t, kafkabus.Options{Brokers: []string{k.Addr()}, CreateTopics: true}), func(t *testing.T) {
			t.Helper()
			forget(t, k)
		}
	})
}

// load sends on both ends, a few thousand a second, until stop; it returns how many it sent.
func load(p *pair, sent *atomic.Int64) func() {
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				n := sent.Load()
				p.one.Send(fmt.Append(nil, n))
				p.two.Send(fmt.Append(nil, n))
				sent.Add(1)
			}
		}
	})
	return func() {
		cancel()
		_ = g.Wait()
	}
}

// downFor is how long the broker stays away.
const downFor = 5 * time.Second

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// TestRealKafkaRestart: killed by SIGKILL under load, away for five seconds, and back with its data.
func TestRealKafkaRestart(t *testing.T) {
	k := startKafka(t)
	p := startPair(t, func() federation.Bus {
		return newBus(t, kafkabus.Options{Brokers: []string{k.Addr()}, CreateTopics: true})
	})
	var sent atomic.Int64
	stop := load(p, &sent)
	p.check(t, 1000)
	for range 2 {
		if err := k.Kill(); err != nil {
			t.Fatal(err)
		}
		pause(t.Context(), downFor)
		before := min(len(p.one.Applied()), len(p.two.Applied()))
		if err := k.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		flowsAgain(t, p, before)
	}
	settle(t, p, stop, &sent)
}

// flowsAgain reports how long after the broker listened again the next messages came both ways.
func flowsAgain(t *testing.T, p *pair, before int) {
	t.Helper()
	listens := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // asked are 3 s; a slow machine gets more
	defer cancel()
	for _, end := range []*federationtest.Peer{p.one, p.two} {
		if err := end.Await(ctx, before+1); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("messages flow again %v after the broker listens", time.Since(listens))
}

// settle ends the load and checks that everything sent came exactly once, in order.
func settle(t *testing.T, p *pair, stop func(), sent *atomic.Int64) {
	t.Helper()
	stop()
	p.check(t, int(sent.Load()))
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if n := int64(len(p.one.Applied())); n != sent.Load() {
		t.Fatalf("%d applied of %d", n, sent.Load())
	}
	t.Logf("%d messages each way, nothing lost; %+v %+v", sent.Load(), p.one.Stats(), p.two.Stats())
}

// TestRealKafkaLosesEverything: killed under load, its data folder wiped, started again.
func TestRealKafkaLosesEverything(t *testing.T) {
	k := startKafka(t)
	p := startPair(t, func() federation.Bus {
		return newBus(t, kafkabus.Options{Brokers: []string{k.Addr()}, CreateTopics: true})
	})
	var sent atomic.Int64
	stop := load(p, &sent)
	p.check(t, 1000)
	if err := k.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := k.Wipe(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := min(len(p.one.Applied()), len(p.two.Applied()))
	if err := k.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	flowsAgain(t, p, before)
	settle(t, p, stop, &sent)
	if p.one.Stats().Rewound == 0 || p.two.Stats().Rewound == 0 {
		t.Errorf("the loss went unseen: %+v %+v", p.one.Stats(), p.two.Stats())
	}
}
