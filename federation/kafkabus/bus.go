// Package kafkabus is the federation's Bus on Apache Kafka, with segmentio/kafka-go.
//
// It speaks Produce (acks=all) and Fetch through kafka.Client and keeps back-off, reconnecting and
// offsets in its own hands: kafka.Reader is silent for a quarter of a minute after a broker's
// restart, and goes on in the middle of a log that was lost and begun anew
// (docs/adr/0005-kafka-fetch-loop.md).
//
// A lane is a topic with one partition. Topics must have compression.type=uncompressed: a
// compressed batch is unpacked before anybody can look at its size.
package kafkabus

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"gongji/federation"
)

// The back-off after an error, of publishing and of fetching: from backoffMin doubling to backoffMax, each with up to
// a half more or less. The maximum is small, so that a broker that is back is noticed within a second; a
// region's few hundred lanes at that pace are no load for it.
const (
	backoffMin = 50 * time.Millisecond
	backoffMax = 500 * time.Millisecond
)

// Bus is a federation.Bus. Make it with New.
type Bus struct {
	o     Options
	log   *slog.Logger
	seed  maphash.Seed
	life  context.Context //nolint:containedctx // ends with Close; kafka-go's own goroutines hang on it
	end   context.CancelFunc
	conns connSet

	mu    sync.Mutex
	gen   *generation
	lanes map[federation.Lane]*lane
}

var _ federation.Bus = (*Bus)(nil)

// New makes a Bus. It connects to nobody until it is used. Error: ErrOptions.
func New(o Options) (*Bus, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	b := &Bus{
		o: o, log: o.Logger, seed: maphash.MakeSeed(), life: life, end: end,
		conns: connSet{open: map[*trackedConn]struct{}{}},
		lanes: map[federation.Lane]*lane{},
	}
	b.gen = b.newGeneration()
	return b, nil
}

// Close ends every call under way with ErrClosed, and every connection.
func (b *Bus) Close() error {
	b.end()
	b.mu.Lock()
	g := b.gen
	b.mu.Unlock()
	g.transport.CloseIdleConnections()
	b.conns.closeAll()
	return nil
}

// call ties ctx to the bus's life.
func (b *Bus) call(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if b.life.Err() != nil {
		return nil, nil, federation.ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(b.life, cancel)
	return ctx, func() { stop(); cancel() }, nil
}

// failed is the error that a call ends with: ErrClosed, the caller's context's, or ErrBus with the cause.
func (b *Bus) failed(ctx context.Context, err error) error {
	switch {
	case b.life.Err() != nil:
		return federation.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, federation.ErrBus):
		return err
	default:
		return fmt.Errorf("%w: %w", federation.ErrBus, err)
	}
}

// Publish appends value to the lane's topic and returns when every in-sync replica has it. It tries
// again, with back-off, for PublishTimeout at most; an attempt whose answer was lost may have
// worked, so a record may stand twice.
func (b *Bus) Publish(ctx context.Context, l federation.Lane, value []byte) error {
	return b.put(ctx, l, nil, value)
}

// put is Publish of a record that may have a key.
func (b *Bus) put(ctx context.Context, l federation.Lane, key, value []byte) error {
	if len(value) > federation.RecordMax {
		return federation.ErrRecordTooLarge
	}
	inner, cancel, err := b.call(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	policy := newBackoff()
	policy.MaxElapsedTime = b.o.PublishTimeout
	state := b.lane(l)
	err = backoff.Retry(func() error {
		attempt := b.publishOnce(inner, l.Topic(), key, value)
		state.publish.note(b.log, l, "publish", attempt)
		return attempt
	}, backoff.WithContext(policy, inner))
	if err != nil {
		return b.failed(ctx, err)
	}
	return nil
}

func newBackoff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(backoffMin), backoff.WithMaxInterval(backoffMax),
		backoff.WithMultiplier(2), backoff.WithRandomizationFactor(0.5), backoff.WithMaxElapsedTime(0),
	)
}

func (b *Bus) publishOnce(ctx context.Context, topic string, key, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, b.o.RequestTimeout)
	defer cancel()
	g := b.current()
	res, err := g.client.Produce(ctx, &kafka.ProduceRequest{
		Topic: topic, RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(kafka.Record{Key: kafka.NewBytes(key), Value: kafka.NewBytes(value)}),
	})
	if err == nil {
		err = res.Error
	}
	if err == nil {
		return nil
	}
	return b.heal(ctx, g, topic, err)
}

// heal does what helps against err before the next attempt, and returns err, marked permanent if
// no attempt will help.
func (b *Bus) heal(ctx context.Context, g *generation, topic string, err error) error {
	switch kindOf(err) {
	case faultRefused:
		return backoff.Permanent(err)
	case faultMissing:
		return b.missing(ctx, g, topic, err)
	case faultStale:
		b.retire(g)
	case faultOther:
	}
	return err
}

// missing: the topic is not known. Either the layout was never learnt (the broker is away), or there is no such
// topic; only the layout itself tells.
func (b *Bus) missing(ctx context.Context, g *generation, topic string, err error) error {
	if _, metaErr := g.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}}); metaErr != nil {
		b.retire(g)
		return err
	}
	if !b.o.CreateTopics {
		return err
	}
	if createErr := b.create(ctx, g, []string{topic}); createErr != nil {
		return errors.Join(err, createErr)
	}
	return err
}

// create makes topics; those that exist are left as they are.
func (b *Bus) create(ctx context.Context, g *generation, topics []string) error {
	req := &kafka.CreateTopicsRequest{}
	for _, t := range topics {
		req.Topics = append(req.Topics, topicConfig(t, b.o.Replication))
	}
	res, err := g.client.CreateTopics(ctx, req)
	if err != nil {
		b.retire(g)
		return fmt.Errorf("create topics: %w", err)
	}
	var all error
	for _, t := range topics {
		switch e := res.Errors[t]; {
		case e == nil:
		case errors.Is(e, kafka.TopicAlreadyExists):
			b.retire(g) // the layout that did not know it is old
		default:
			all = errors.Join(all, fmt.Errorf("create topic %s: %w", t, e))
		}
	}
	return all
}

// topicConfig is how a topic is to be made, here and by operators: one partition, larger than the largest record; a
// lane's keeps a day's records, that of the directories the newest of each key for ever.
func topicConfig(topic string, replication int) kafka.TopicConfig {
	keep := []kafka.ConfigEntry{
		{ConfigName: "cleanup.policy", ConfigValue: "delete"}, {ConfigName: "retention.ms", ConfigValue: "86400000"},
	}
	if topic == federation.DirectoryTopic {
		keep = []kafka.ConfigEntry{{ConfigName: "cleanup.policy", ConfigValue: "compact"}}
	}
	return kafka.TopicConfig{
		Topic: topic, NumPartitions: 1, ReplicationFactor: replication,
		ConfigEntries: append(keep, []kafka.ConfigEntry{
			{ConfigName: "compression.type", ConfigValue: "uncompressed"},
			{ConfigName: "max.message.bytes", ConfigValue: "1048576"},
		}...),
	}
}

// Ready asks a broker, and looks for the lanes' topics in a layout at most two seconds old. With CreateTopics
// it makes those that are missing.
func (b *Bus) Ready(ctx context.Context, lanes []federation.Lane) error {
	inner, cancel, err := b.call(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	inner, cancelTimeout := context.WithTimeout(inner, b.o.RequestTimeout)
	defer cancelTimeout()
	g := b.current()
	if err := b.ready(inner, g, lanes); err != nil {
		b.retire(g)
		return b.failed(ctx, err)
	}
	return nil
}

func (b *Bus) ready(ctx context.Context, g *generation, lanes []federation.Lane) error {
	// The layout comes from kafka-go's memory, so a broker is asked something first.
	versions, err := g.client.ApiVersions(ctx, &kafka.ApiVersionsRequest{})
	if err != nil {
		return fmt.Errorf("ask a broker: %w", err)
	}
	if versions.Error != nil {
		return fmt.Errorf("ask a broker: %w", versions.Error)
	}
	missing, err := b.missingTopics(ctx, g, lanes)
	if err != nil || len(missing) == 0 {
		return err
	}
	if !b.o.CreateTopics {
		return fmt.Errorf("%d topics are missing, the first %s", len(missing), missing[0])
	}
	return b.create(ctx, g, missing)
}

func (b *Bus) missingTopics(ctx context.Context, g *generation, lanes []federation.Lane) ([]string, error) {
	topics := make([]string, 0, len(lanes))
	for _, l := range lanes {
		topics = append(topics, l.Topic())
	}
	if len(topics) == 0 {
		return nil, nil
	}
	layout, err := g.client.Metadata(ctx, &kafka.MetadataRequest{Topics: topics})
	if err != nil {
		return nil, fmt.Errorf("layout: %w", err)
	}
	var missing []string
	for _, t := range layout.Topics {
		if t.Error != nil || len(t.Partitions) == 0 {
			missing = append(missing, t.Name)
		}
	}
	return missing, nil
}

// fault is what an error asks for.
type fault uint8

const (
	faultOther   fault = iota // try again
	faultStale                // try again on a new transport
	faultMissing              // the topic, or all knowledge of topics, is missing
	faultRefused              // no attempt will help
)

// kindOf sorts errors of kafka-go. An error without a Kafka code comes from the connection.
func kindOf(err error) fault {
	if missingTopic(err) {
		return faultMissing
	}
	if errors.Is(err, protocol.ErrNoLeader) {
		return faultStale
	}
	var code kafka.Error
	if !errors.As(err, &code) {
		return faultStale
	}
	switch code { //nolint:exhaustive // the others are tried again
	case kafka.MessageSizeTooLarge, kafka.InvalidMessageSize, kafka.InvalidTopic, kafka.TopicAuthorizationFailed,
		kafka.SASLAuthenticationFailed, kafka.UnsupportedSASLMechanism:
		return faultRefused
	case kafka.NotLeaderForPartition, kafka.LeaderNotAvailable, kafka.BrokerNotAvailable, kafka.NetworkException,
		kafka.KafkaStorageError, kafka.ReplicaNotAvailable, kafka.FencedLeaderEpoch, kafka.UnknownLeaderEpoch:
		return faultStale
	default:
		return faultOther
	}
}
