package kafkabus

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"gongji/federation"
)

// suspectAfter: a lane that was not fetched for so long may have been lost and begun anew unseen.
const suspectAfter = 5 * time.Second

// lanesMax bounds what is remembered of lanes: both directions to every member, several regions in one process.
const lanesMax = 64 * federation.MembersMax

// stuckMax is how many fetches may give nothing where there is something, before it counts as a fault.
const stuckMax = 3

// errStuck: the broker says that there is more, and gives nothing that can be read.
var errStuck = errors.New("kafkabus: records that cannot be read")

// lane is what the bus remembers of a lane: nothing that must survive, only what lets it notice a loss.
type lane struct {
	publish health
	fetch   health

	mu      sync.Mutex
	backoff *backoff.ExponentialBackOff
	// anchor is the last record that was seen. After any error the next fetch begins at it again
	// and compares: a log that was lost and has grown past our offset since would otherwise go on
	// in its middle, without a sign.
	anchor  anchor
	suspect bool
	last    time.Time
	nothing int
}

type anchor struct {
	set    bool
	offset int64
	sum    uint64
}

func (b *Bus) lane(l federation.Lane) *lane {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.lanes[l]; ok {
		return s
	}
	s := &lane{backoff: newBackoff()}
	if len(b.lanes) < lanesMax {
		b.lanes[l] = s
	}
	return s
}

// health logs when something begins to fail and when it works again.
type health struct {
	mu      sync.Mutex
	failing bool
}

func (h *health) note(log *slog.Logger, l federation.Lane, act string, err error) {
	h.mu.Lock()
	changed := h.failing != (err != nil)
	h.failing = err != nil
	h.mu.Unlock()
	switch {
	case !changed:
	case err != nil:
		log.Warn("bus fails", slog.String("act", act), slog.String("topic", l.Topic()), slog.Any("error", err))
	default:
		log.Info("bus works again", slog.String("act", act), slog.String("topic", l.Topic()))
	}
}

// Fetch returns what stands at offset and after. After an error it waits the lane's back-off (at most 750 ms) before
// it returns, so a caller may loop on it at once.
func (b *Bus) Fetch(
	ctx context.Context, l federation.Lane, offset int64,
) ([]federation.Record, int64, error) {
	if offset < 0 {
		return nil, 0, fmt.Errorf("%w: offset %d", federation.ErrRewound, offset)
	}
	inner, cancel, err := b.call(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer cancel()
	state := b.lane(l)
	records, next, err := b.fetchOnce(inner, l, state, offset)
	if errors.Is(err, federation.ErrRewound) {
		b.log.WarnContext(ctx, "lane rewound", slog.String("topic", l.Topic()), slog.Int64("offset", offset))
		state.forget()
		return nil, 0, err
	}
	if err == nil {
		state.fetch.note(b.log, l, "fetch", nil)
		state.ok()
		return records, next, nil
	}
	if inner.Err() == nil {
		state.fetch.note(b.log, l, "fetch", err)
		wait(inner, state.failed())
	}
	return nil, 0, b.failed(ctx, err)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *lane) ok() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backoff.Reset()
	s.last = time.Now()
}

func (s *lane) failed() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suspect = true
	return s.backoff.NextBackOff()
}

func (s *lane) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.anchor, s.suspect = anchor{}, false
}

// begin says where a fetch for offset really begins, and what it must find there first.
func (s *lane) begin(offset int64) (int64, anchor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.anchor.set || s.anchor.offset != offset-1 {
		return offset, anchor{}
	}
	if s.suspect || time.Since(s.last) > suspectAfter {
		return offset - 1, s.anchor
	}
	return offset, anchor{}
}

// stuck counts fetches in a row that gave nothing where there is something. One may be a record that came meanwhile.
func (s *lane) stuck(nothing bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !nothing {
		s.nothing = 0
		return false
	}
	s.nothing++
	return s.nothing >= stuckMax
}

func (s *lane) seen(at anchor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suspect = false
	if at.set {
		s.anchor = at
	}
}

func (b *Bus) fetchOnce(
	ctx context.Context, l federation.Lane, state *lane, offset int64,
) ([]federation.Record, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, b.o.FetchWait+b.o.RequestTimeout)
	defer cancel()
	g := b.current()
	from, want := state.begin(offset)
	res, err := g.client.Fetch(ctx, &kafka.FetchRequest{
		Topic: l.Topic(), Offset: from, MinBytes: 1, MaxBytes: int64(b.o.FetchBytes), MaxWait: b.o.FetchWait,
	})
	if err == nil {
		err = res.Error
	}
	if errors.Is(err, kafka.OffsetOutOfRange) {
		state.seen(anchor{}) // the anchor's place is gone, or the log is: nothing is left to compare
		return b.outOfRange(ctx, g, l.Topic(), from, offset)
	}
	if err != nil {
		return nil, 0, b.heal(ctx, g, l.Topic(), err)
	}
	all, err := readAll(res.Records, from)
	if err != nil {
		b.retire(g)
		return nil, 0, err
	}
	if state.stuck(len(all) == 0 && res.HighWatermark > from) {
		if l == (federation.Lane{}) {
			return nil, max(offset, res.HighWatermark), nil // compaction has taken everything from here to the end away
		}
		return nil, 0, errStuck
	}
	return b.compare(state, all, offset, want)
}

// compare checks the anchor, drops what lies before offset, and keeps the new anchor.
func (b *Bus) compare(
	state *lane, all []federation.Record, offset int64, want anchor,
) ([]federation.Record, int64, error) {
	var at anchor
	if n := len(all); n > 0 {
		at = anchor{set: true, offset: all[n-1].Offset, sum: maphash.Bytes(b.seed, all[n-1].Value)}
	}
	if want.set && len(all) > 0 && all[0].Offset == want.offset &&
		maphash.Bytes(b.seed, all[0].Value) != want.sum {
		return nil, 0, fmt.Errorf("%w: another record at %d", federation.ErrRewound, want.offset)
	}
	for len(all) > 0 && all[0].Offset < offset {
		all = all[1:]
	}
	state.seen(at)
	if len(all) == 0 {
		return nil, offset, nil
	}
	return all, all[len(all)-1].Offset + 1, nil
}

// outOfRange finds out whether the start of the log has moved on past from, or the log ends before it. If from
// is now within the log again, it was not a moment ago: the log was lost, and grows.
func (b *Bus) outOfRange(
	ctx context.Context, g *generation, topic string, from, offset int64,
) ([]federation.Record, int64, error) {
	first, err := firstOffset(ctx, g, topic)
	switch {
	case err != nil:
		return nil, 0, b.heal(ctx, g, topic, err)
	case first > from:
		return nil, max(first, offset), nil
	default:
		return nil, 0, fmt.Errorf("%w: the log ends before %d", federation.ErrRewound, offset)
	}
}

func firstOffset(ctx context.Context, g *generation, topic string) (int64, error) {
	res, err := g.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topic: {kafka.FirstOffsetOf(0)}},
	})
	if err != nil {
		return 0, fmt.Errorf("list offsets: %w", err)
	}
	for _, p := range res.Topics[topic] {
		if p.Partition == 0 {
			return p.FirstOffset, p.Error
		}
	}
	return 0, kafka.UnknownTopicOrPartition
}

// readAll copies the records from offset on out of a batch. A record larger than RecordMax cannot
// be a parcel and comes as an empty one, which nobody takes for a parcel either; so do a record
// without a value and a transaction's mark.
func readAll(r kafka.RecordReader, offset int64) ([]federation.Record, error) {
	var out []federation.Record
	for {
		rec, err := r.ReadRecord()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("kafkabus: read record: %w", err)
		}
		value, err := readValue(rec)
		if err != nil {
			return nil, err
		}
		if rec.Offset >= offset {
			out = append(out, federation.Record{Offset: rec.Offset, Value: value})
		}
	}
}

func readValue(rec *kafka.Record) ([]byte, error) {
	if rec.Key != nil {
		_ = rec.Key.Close()
	}
	if rec.Value == nil {
		return nil, nil
	}
	defer func() { _ = rec.Value.Close() }()
	if rec.Value.Len() > federation.RecordMax {
		return nil, nil
	}
	value, err := protocol.ReadAll(rec.Value)
	if err != nil {
		return nil, fmt.Errorf("kafkabus: read record: %w", err)
	}
	return value, nil
}

// missingTopic: kafka-go does not know the topic, or the broker does not.
func missingTopic(err error) bool {
	return errors.Is(err, kafka.UnknownTopicOrPartition) || errors.Is(err, protocol.ErrNoTopic) ||
		errors.Is(err, protocol.ErrNoPartition)
}
