package federation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

func testHash(parts ...[]byte) [HashSize]byte { return sha256.Sum256(bytes.Join(parts, nil)) }

func testHeader() Header {
	return Header{
		Version: Version, Suite: Suite, From: "110000", To: "310000", Epoch: 1,
		ParcelID: [IDSize]byte{1}, Time: time.UnixMicro(1_000_000),
		SignKey: "a-sign", SealKey: "b-seal", Ack: Ack{Epoch: 2, Number: 3}, Count: 1, Root: [HashSize]byte{4}, Protocol: 5,
	}
}

// FuzzCodec: each of the three decoders of a parcel takes exactly one form of what it decodes:
// encoding gives the same bytes.
func FuzzCodec(f *testing.F) {
	h := testHeader()
	header := encodeHeader(&h)
	content := encodeMessages([]Message{
		{Class: Numbered, Number: 7, Body: []byte("body"), Persons: []byte("p"), PersonsSalt: [SaltSize]byte{1}},
		{Class: Query, ID: [IDSize]byte{2}},
		{Class: Answer, ID: [IDSize]byte{2}, Body: []byte("answer")},
	})
	e := envelope{header: header, signature: []byte{1}, wrapped: []byte{2}, sealed: content}
	f.Add(header, uint32(0))
	f.Add(content, uint32(3))
	f.Add(e.encode(), uint32(0))
	f.Fuzz(func(t *testing.T, raw []byte, count uint32) {
		if h, err := DecodeHeader(raw); err == nil && !bytes.Equal(encodeHeader(&h), raw) {
			t.Errorf("two headers: %x", raw)
		}
		if m, err := decodeMessages(testHash, raw, count); err == nil && !bytes.Equal(encodeMessages(m), raw) {
			t.Errorf("two contents: %x", raw)
		}
		if e, err := decodeEnvelope(raw); err == nil && !bytes.Equal(e.encode(), raw) {
			t.Errorf("two records: %x", raw)
		}
	})
}

// TestHeaderMax: the longest header is as long as headerMax says.
func TestHeaderMax(t *testing.T) {
	t.Parallel()
	h := testHeader()
	h.SignKey = string(bytes.Repeat([]byte{'a'}, keyIDMax))
	h.SealKey = h.SignKey
	raw := encodeHeader(&h)
	if len(raw) != headerMax {
		t.Fatalf("%d bytes, headerMax is %d", len(raw), headerMax)
	}
	if _, err := DecodeHeader(raw); err != nil {
		t.Fatal(err)
	}
}

// TestCountFarAboveTheContent: a count that the bytes cannot hold costs no memory and is refused.
func TestCountFarAboveTheContent(t *testing.T) {
	t.Parallel()
	var refused *RefusedError
	if _, err := decodeMessages(testHash, []byte{1}, 1<<32-1); !errors.As(err, &refused) {
		t.Fatal(err)
	}
	long := binary.BigEndian.AppendUint32(nil, 1<<32-1)
	if _, err := decodeEnvelope(append(long, 0, 1)); !errors.As(err, &refused) {
		t.Fatal(err)
	}
}
