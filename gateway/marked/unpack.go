package marked

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

// unpackedMax bounds what one stream is unpacked to, in bytes.
const unpackedMax = 64 << 20

// depthMax bounds streams within streams.
const depthMax = 3

// stream is one compression and how its streams begin.
type stream struct {
	magic string
	open  func(io.Reader) (io.ReadCloser, error)
}

func streams() []stream {
	codec := func(c compress.Codec) func(io.Reader) (io.ReadCloser, error) {
		return func(r io.Reader) (io.ReadCloser, error) { return c.NewReader(r), nil }
	}
	return []stream{
		{"\x1f\x8b\x08", func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
		{"\x28\xb5\x2f\xfd", func(r io.Reader) (io.ReadCloser, error) {
			d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
			if err != nil {
				return nil, err
			}
			return d.IOReadCloser(), nil
		}},
		{"\xff\x06\x00\x00sNaPpY", framed},
		{"\xff\x06\x00\x00S2sTwO", framed},
		{"\x82SNAPPY\x00", codec(&compress.SnappyCodec)}, // as Kafka's clients in Java frame it
		{"\x04\x22\x4d\x18", codec(&compress.Lz4Codec)},
	}
}

func framed(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(s2.NewReader(r)), nil }

// Unpacked are the contents of everything compressed in data, as far as they can be read: streams of gzip, zstd,
// snappy and LZ4 wherever they begin, and the batches of Kafka, whose snappy has no mark of its own. Streams within
// streams are followed a few times.
func Unpacked(data []byte) [][]byte { return unpacked(data, depthMax) }

func unpacked(data []byte, depth int) [][]byte {
	if depth == 0 {
		return nil
	}
	out := batches(data)
	for _, s := range streams() {
		for at := 0; ; at += len(s.magic) {
			i := bytes.Index(data[at:], []byte(s.magic))
			if i < 0 {
				break
			}
			at += i
			if inner := all(s.open, data[at:]); len(inner) > 0 {
				out = append(out, inner)
			}
		}
	}
	for _, inner := range out {
		out = append(out, unpacked(inner, depth-1)...)
	}
	return out
}

// all reads a stream to its end or its damage: what comes before the damage is looked at too.
func all(open func(io.Reader) (io.ReadCloser, error), data []byte) []byte {
	r, err := open(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	inner, _ := io.ReadAll(io.LimitReader(r, unpackedMax))
	_ = r.Close()
	return inner
}

// Places in a batch of Kafka's records (its protocol guide, "Record Batch"): i64 base offset, i32 length of what
// follows, i32 leader epoch, i8 magic, u32 CRC-32C of what follows, i16 attributes with the codec in the lowest three
// bits, …, records from batchRecords on.
const (
	batchLength     = 8
	batchMagic      = 16
	batchCRC        = 17
	batchAttributes = 21
	batchRecords    = 61
	batchVersion    = 2
	codecBits       = 7
)

// batches are the records of the compressed batches in data, wherever they begin: their checksum tells them.
func batches(data []byte) [][]byte {
	var out [][]byte
	table := crc32.MakeTable(crc32.Castagnoli)
	for at := 0; at+batchRecords <= len(data); at++ {
		b := data[at:]
		length := int(binary.BigEndian.Uint32(b[batchLength:])) + batchLength + 4
		if b[batchMagic] != batchVersion || length < batchRecords || length > len(b) {
			continue
		}
		codec := compress.Compression(b[batchAttributes+1] & codecBits).Codec()
		if codec == nil || crc32.Checksum(b[batchAttributes:length], table) != binary.BigEndian.Uint32(b[batchCRC:]) {
			continue
		}
		open := func(r io.Reader) (io.ReadCloser, error) { return codec.NewReader(r), nil }
		if inner := all(open, b[batchRecords:length]); len(inner) > 0 {
			out = append(out, inner)
		}
		at += length - 1
	}
	return out
}
