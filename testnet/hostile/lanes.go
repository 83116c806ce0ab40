package hostile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"

	"gongji/federation"
)

// fetchWait is how long a read waits for something new on a lane.
const fetchWait = 200 * time.Millisecond

// fetchBytes bounds one read; at least one record comes.
const fetchBytes = 16 << 20

// Lanes is a Kafka client without any right or key: it copies bytes. Safe for concurrent use.
type Lanes struct {
	client    *kafka.Client
	transport *kafka.Transport
}

// NewLanes makes a client of those brokers. It opens no connection yet.
func NewLanes(brokers ...string) *Lanes {
	transport := &kafka.Transport{}
	return &Lanes{&kafka.Client{Addr: kafka.TCP(brokers...), Transport: transport}, transport}
}

// Close lets go of the connections.
func (p *Lanes) Close() { p.transport.CloseIdleConnections() }

// Put appends records to a lane, all in one request, and returns the offset of the first.
func (p *Lanes) Put(ctx context.Context, lane federation.Lane, values ...[]byte) (int64, error) {
	records := make([]kafka.Record, len(values))
	for i, v := range values {
		records[i].Value = kafka.NewBytes(v)
	}
	answer, err := p.client.Produce(ctx, &kafka.ProduceRequest{
		Topic: lane.Topic(), Partition: 0, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
	})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return 0, fmt.Errorf("hostile: writing on %s: %w", lane.Topic(), err)
	}
	return answer.BaseOffset, nil
}

// Fetch returns what stands at offset and after, and where to go on; nothing when nothing comes for a moment.
func (p *Lanes) Fetch(ctx context.Context, lane federation.Lane, offset int64) ([]federation.Record, int64, error) {
	answer, err := p.client.Fetch(ctx, &kafka.FetchRequest{
		Topic: lane.Topic(), Partition: 0, Offset: offset, MinBytes: 1, MaxBytes: fetchBytes, MaxWait: fetchWait,
	})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return nil, offset, fmt.Errorf("hostile: reading %s: %w", lane.Topic(), err)
	}
	var out []federation.Record
	for {
		r, err := answer.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return out, offset, nil
		}
		if err != nil {
			return nil, offset, fmt.Errorf("hostile: reading %s: %w", lane.Topic(), err)
		}
		value, err := kafka.ReadAll(r.Value)
		if err != nil {
			return nil, offset, fmt.Errorf("hostile: reading %s: %w", lane.Topic(), err)
		}
		if r.Offset >= offset {
			out = append(out, federation.Record{Offset: r.Offset, Value: value})
			offset = r.Offset + 1
		}
	}
}

// All returns everything that stands on a lane now.
func (p *Lanes) All(ctx context.Context, lane federation.Lane) ([]federation.Record, error) {
	var out []federation.Record
	for offset := int64(0); ; {
		some, next, err := p.Fetch(ctx, lane, offset)
		if err != nil || len(some) == 0 {
			return out, err
		}
		out, offset = append(out, some...), next
	}
}

// Parts are the places of a parcel in its record: u32 ‖ header, u16 ‖ signature, u16 ‖ wrapped key, u32 ‖ sealed
// content.
type Parts struct {
	Header, Signature, Wrapped, Sealed int // where each begins
	End                                int
}

// Cut finds the parts of a genuine record.
func Cut(record []byte) Parts {
	var p Parts
	p.Header = 4
	p.Signature = p.Header + int(binary.BigEndian.Uint32(record)) + 2
	p.Wrapped = p.Signature + int(binary.BigEndian.Uint16(record[p.Signature-2:])) + 2
	p.Sealed = p.Wrapped + int(binary.BigEndian.Uint16(record[p.Wrapped-2:])) + 4
	p.End = len(record)
	return p
}

// Places in a header: u16 version, 6 bytes from, 6 bytes to, u64 epoch, 16 bytes parcel id, u64 time, u8 ‖ signing
// key's id.
const (
	HeaderVersion = 0
	HeaderFrom    = 3
	HeaderTo      = 9
	HeaderParcel  = 23
	HeaderKey     = 48
)

// Flip returns a record with one bit changed.
func Flip(record []byte, at int) []byte {
	out := bytes.Clone(record)
	out[at] ^= 1
	return out
}

// With returns a record with some bytes replaced.
func With(record []byte, at int, by string) []byte {
	out := bytes.Clone(record)
	copy(out[at:], by)
	return out
}
