package raftlog

import (
	"encoding/binary"
	"fmt"
	"io"

	"gongji/consensus"
)

// A frame of our own calls:
//
//	length   4 bytes, big endian, of what follows
//	id       8 bytes, big endian: the caller's number for the call
//	kind     1 byte: of the call, or the outcome in an answer
//	payload
const (
	frameHead   = 8 + 1
	framePrefix = 4
	frameExtra  = 64 << 10 // room for what a call adds to a command or a request
	frameMax    = frameHead + max(consensus.CommandMax, consensus.AskMax) + frameExtra
)

// Kinds of calls. Numbers are on the wire: never used again for something else.
const (
	callPropose = 1 // command → result
	callAsk     = 2 // milliseconds left (4 bytes, 0: no limit), request → answer
	callIndex   = 3 // nothing → index (8 bytes)
	callStatus  = 4 // nothing → status
)

// Outcomes of calls.
const (
	codeOK       = 0
	codeNoLeader = 1
	codeUnknown  = 2
	codeBusy     = 3
	codeTooLarge = 4
	codeStopped  = 5
)

type frame struct {
	id      uint64
	kind    byte
	payload []byte
}

func encodeFrame(f frame) []byte {
	b := make([]byte, 0, framePrefix+frameHead+len(f.payload))
	b = binary.BigEndian.AppendUint32(b, uint32(frameHead+len(f.payload)))
	b = binary.BigEndian.AppendUint64(b, f.id)
	b = append(b, f.kind)
	return append(b, f.payload...)
}

// readFrame reads one frame; the payload is the caller's.
func readFrame(r io.Reader) (frame, error) {
	var head [framePrefix + frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < frameHead || n > frameMax {
		return frame{}, fmt.Errorf("%w: %d bytes", errFrame, n)
	}
	f := frame{id: binary.BigEndian.Uint64(head[framePrefix:]), kind: head[framePrefix+8]}
	f.payload = make([]byte, n-frameHead)
	if _, err := io.ReadFull(r, f.payload); err != nil {
		return frame{}, fmt.Errorf("%w: %w", errFrame, err)
	}
	return f, nil
}
