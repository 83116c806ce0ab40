// Package broker is the testnet's bus: a Kafka broker inside this process that keeps its topics in the data folder,
// or the topics of a real one.
package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
)

// How topics are kept (design 4: 24 hours; links do without, should they need longer).
const (
	retention      = 24 * time.Hour
	retentionBytes = 512 << 20 // of one topic on the testnet's disk
	replicasMax    = 3
	createTimeout  = 15 * time.Second
)

// Config says which broker runs.
type Config struct {
	Dir    string   // of its topics; kept over restarts
	Addr   string   // 127.0.0.1:port
	Topics []string // made at the start, one partition each
}

// Embedded is a broker in this process. It speaks Kafka's protocol to everybody who can reach its port.
type Embedded struct {
	config Config
	ready  chan struct{}
}

// New makes a broker that Run starts.
func New(c Config) *Embedded { return &Embedded{config: c, ready: make(chan struct{})} }

// Ready is closed when the broker can be asked.
func (e *Embedded) Ready() <-chan struct{} { return e.ready }

// Run serves until ctx ends. It is called once.
func (e *Embedded) Run(ctx context.Context) error {
	_, text, err := net.SplitHostPort(e.config.Addr)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(e.config.Dir), kfake.SeedTopics(1, e.config.Topics...),
		kfake.BrokerConfigs(map[string]string{
			"log.retention.ms":    strconv.FormatInt(retention.Milliseconds(), 10),
			"log.retention.bytes": strconv.Itoa(retentionBytes),
		}),
	)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	close(e.ready)
	<-ctx.Done()
	cluster.Close()
	return nil
}

// CreateTopics makes the topics on a real broker, one partition each, on as many brokers as there are (up to three);
// those that exist stay as they are.
func CreateTopics(ctx context.Context, addr string, topics []string) error {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(addr), Transport: transport}
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return fmt.Errorf("broker: %s: %w", addr, err)
	}
	request := &kafka.CreateTopicsRequest{}
	for _, topic := range topics {
		request.Topics = append(request.Topics, kafka.TopicConfig{
			Topic: topic, NumPartitions: 1, ReplicationFactor: max(1, min(len(meta.Brokers), replicasMax)),
			ConfigEntries: []kafka.ConfigEntry{
				{ConfigName: "retention.ms", ConfigValue: strconv.FormatInt(retention.Milliseconds(), 10)},
			},
		})
	}
	answer, err := client.CreateTopics(ctx, request)
	if err != nil {
		return fmt.Errorf("broker: %s: %w", addr, err)
	}
	for topic, err := range answer.Errors {
		if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
			return fmt.Errorf("broker: topic %s: %w", topic, err)
		}
	}
	return nil
}
