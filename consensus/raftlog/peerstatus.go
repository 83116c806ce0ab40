package raftlog

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// peerStatus is what members tell each other once a second.
type peerStatus struct {
	clock     int64  // microseconds since 1970, the member's wall clock
	term      uint64 // raft's
	lastTerm  uint64 // of the last entry in its log or snapshot
	lastIndex uint64
	applied   uint64
	leads     bool // it leads and serves
	votes     bool // it votes: it is not one that lost its disk and has to catch up
	digests   []digestAt

	// Of the exchange, not on the wire.
	id     string
	offset time.Duration // of its clock against ours, by the middle of the call
	trip   time.Duration // how long the call took
}

const (
	statusVersion = 1
	statusHead    = 1 + 5*8 + 1 + 2
	statusDigest  = 8 + sha256.Size

	flagLeads = 1 << 0
	flagVotes = 1 << 1
)

func (s peerStatus) encode() []byte {
	b := make([]byte, 0, statusHead+len(s.digests)*statusDigest)
	b = append(b, statusVersion)
	for _, v := range []uint64{uint64(s.clock), s.term, s.lastTerm, s.lastIndex, s.applied} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	var flags byte
	if s.leads {
		flags |= flagLeads
	}
	if s.votes {
		flags |= flagVotes
	}
	b = append(b, flags)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.digests)))
	for _, d := range s.digests {
		b = binary.BigEndian.AppendUint64(b, d.index)
		b = append(b, d.digest[:]...)
	}
	return b
}

func decodeStatus(b []byte) (peerStatus, error) {
	if len(b) < statusHead || b[0] != statusVersion {
		return peerStatus{}, fmt.Errorf("%w: status of %d bytes", errFrame, len(b))
	}
	word := func(i int) uint64 { return binary.BigEndian.Uint64(b[1+8*i:]) }
	s := peerStatus{
		clock: int64(word(0)), term: word(1), lastTerm: word(2), lastIndex: word(3), applied: word(4),
		leads: b[41]&flagLeads != 0, votes: b[41]&flagVotes != 0,
	}
	n := int(binary.BigEndian.Uint16(b[42:]))
	if n > digestsKept || len(b) != statusHead+n*statusDigest {
		return peerStatus{}, fmt.Errorf("%w: status of %d bytes with %d digests", errFrame, len(b), n)
	}
	for at := statusHead; at < len(b); at += statusDigest {
		d := digestAt{index: binary.BigEndian.Uint64(b[at:])}
		copy(d.digest[:], b[at+8:])
		s.digests = append(s.digests, d)
	}
	return s, nil
}
