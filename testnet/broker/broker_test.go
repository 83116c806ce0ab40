package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"gongji/internal/freeport"
	"gongji/testnet/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a broker until stop is called.
func start(t *testing.T, dir, addr string) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	b := broker.New(broker.Config{Dir: dir, Addr: addr, Topics: []string{"gongji.110000.310000"}})
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	select {
	case <-b.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestKeepsTopicsOverRestarts is what a federation that goes on relies on.
func TestKeepsTopicsOverRestarts(t *testing.T) {
	dir, addr := t.TempDir(), freeport.Addr(t)
	stop := start(t, dir, addr)
	topics := []string{"gongji.110000.310000", "gongji.310000.110000"}
	if err := broker.CreateTopics(t.Context(), addr, topics); err != nil {
		t.Fatal(err)
	}
	transport := &kafka.Transport{}
	client := &kafka.Client{Addr: kafka.TCP(addr), Transport: transport, Timeout: 10 * time.Second}
	produced, err := client.Produce(t.Context(), &kafka.ProduceRequest{
		Topic: "gongji.310000.110000", RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte("x"))}),
	})
	if err != nil || produced.Error != nil {
		t.Fatal(err, produced)
	}
	transport.CloseIdleConnections()
	stop()

	stop = start(t, dir, addr)
	defer stop()
	defer transport.CloseIdleConnections()
	offsets, err := client.ListOffsets(t.Context(), &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{"gongji.310000.110000": {kafka.LastOffsetOf(0)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if last := offsets.Topics["gongji.310000.110000"][0].LastOffset; last != 1 {
		t.Errorf("the topic ends at %d after the restart, want 1", last)
	}
}

func TestCreateTopicsTellsAnUnreachableBroker(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := broker.CreateTopics(ctx, freeport.Addr(t), []string{"x"}); err == nil {
		t.Error("a broker that is not there made topics")
	}
}
