package scenario_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/segmentio/kafka-go"

	"gongji/federation"
)

// plain is a Kafka client without any right or key: it copies bytes.
type plain struct {
	client    *kafka.Client
	transport *kafka.Transport
}

func newPlain(t *testing.T, brokers ...string) *plain {
	t.Helper()
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &plain{&kafka.Client{Addr: kafka.TCP(brokers...), Transport: transport}, transport}
}

// put appends records to a lane, all in one request.
func (p *plain) put(t *testing.T, lane federation.Lane, values ...[]byte) {
	t.Helper()
	if err := p.write(t.Context(), lane, values...); err != nil {
		t.Fatalf("a plain client could not write on %s: %v", lane.Topic(), err)
	}
}

// write is put, for other goroutines than the test's.
func (p *plain) write(ctx context.Context, lane federation.Lane, values ...[]byte) error {
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
	return err
}

// fetch returns what stands at offset and after, and where to go on; nothing when nothing comes for a moment.
func (p *plain) fetch(ctx context.Context, lane federation.Lane, offset int64) ([]federation.Record, int64, error) {
	answer, err := p.client.Fetch(ctx, &kafka.FetchRequest{
		Topic: lane.Topic(), Partition: 0, Offset: offset, MinBytes: 1, MaxBytes: 16 << 20, MaxWait: fetchWait,
	})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return nil, offset, err
	}
	var out []federation.Record
	for {
		r, err := answer.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return out, offset, nil
		}
		if err != nil {
			return nil, offset, err
		}
		value, err := kafka.ReadAll(r.Value)
		if err != nil {
			return nil, offset, err
		}
		if r.Offset >= offset {
			out = append(out, federation.Record{Offset: r.Offset, Value: value})
			offset = r.Offset + 1
		}
	}
}

// all returns everything that stands on a lane now.
func (p *plain) all(ctx context.Context, t *testing.T, lane federation.Lane) []federation.Record {
	t.Helper()
	var out []federation.Record
	for offset := int64(0); ; {
		some, next, err := p.fetch(ctx, lane, offset)
		if err != nil {
			t.Fatal(err)
		}
		if len(some) == 0 {
			return out
		}
		out, offset = append(out, some...), next
	}
}

// parts are the places of a parcel in its record: u32 ‖ header, u16 ‖ signature, u16 ‖ wrapped key, u32 ‖ sealed
// content.
type parts struct {
	header, signature, wrapped, sealed int // where each begins
	end                                int
}

func cut(record []byte) parts {
	var p parts
	p.header = 4
	p.signature = p.header + int(binary.BigEndian.Uint32(record)) + 2
	p.wrapped = p.signature + int(binary.BigEndian.Uint16(record[p.signature-2:])) + 2
	p.sealed = p.wrapped + int(binary.BigEndian.Uint16(record[p.wrapped-2:])) + 4
	p.end = len(record)
	return p
}

// Places in a header: u16 version, 6 bytes from, 6 bytes to, u64 epoch, 16 bytes parcel id, u64 time, u8 ‖ signing
// key's id.
const (
	headerVersion = 0
	headerFrom    = 3
	headerTo      = 9
	headerParcel  = 23
	headerKey     = 48
)
