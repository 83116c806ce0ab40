package raftlog

import (
	"encoding/binary"
	"fmt"
	"time"

	"gongji/consensus"
)

// A pack is what one raft log entry carries:
//
//	version  1 byte, 1
//	stamp    8 bytes, big endian: microseconds since 1970 of the first command
//	count    2 bytes, big endian: commands, at most PackMax
//	command  count times: length in 4 bytes, big endian, and the bytes
//
// Command i has stamp + i microseconds. A pack of no commands is a leader's
// barrier: it has no stamp and changes nothing but the applied index. (raft's own
// barrier does not pass through the state machine, so a snapshot taken behind it
// would have another index than the state in it.)
const (
	packVersion = 1
	packHeader  = 1 + 8 + 2
	packPerCmd  = 4
	// A pack is never longer: PackBytesMax of commands, or a single larger one.
	packLenMax = packHeader + consensus.PackMax*packPerCmd + consensus.CommandMax
)

type pack struct {
	stamp    int64 // microseconds
	commands [][]byte
}

// stampOf is the time of command i.
func (p pack) stampOf(i int) time.Time {
	return time.UnixMicro(p.stamp + int64(i)).UTC()
}

func encodePack(stamp int64, commands [][]byte) []byte {
	size := packHeader
	for _, c := range commands {
		size += packPerCmd + len(c)
	}
	b := make([]byte, 0, size)
	b = append(b, packVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(stamp))
	b = binary.BigEndian.AppendUint16(b, uint16(len(commands)))
	for _, c := range commands {
		b = binary.BigEndian.AppendUint32(b, uint32(len(c)))
		b = append(b, c...)
	}
	return b
}

// decodePack reads a pack; the commands are parts of data. Whatever does not fit
// exactly is an error: nothing that a later version wrote may be half understood.
func decodePack(data []byte) (pack, error) {
	if len(data) < packHeader || len(data) > packLenMax {
		return pack{}, fmt.Errorf("pack of %d bytes", len(data))
	}
	if data[0] != packVersion {
		return pack{}, fmt.Errorf("pack version %d", data[0])
	}
	p := pack{stamp: int64(binary.BigEndian.Uint64(data[1:9]))}
	count := int(binary.BigEndian.Uint16(data[9:11]))
	if count > consensus.PackMax {
		return pack{}, fmt.Errorf("pack of %d commands", count)
	}
	if p.stamp < 0 || p.stamp > stampMax {
		return pack{}, fmt.Errorf("pack with stamp %d", p.stamp)
	}
	p.commands = make([][]byte, 0, count)
	rest := data[packHeader:]
	for i := range count {
		if len(rest) < packPerCmd {
			return pack{}, fmt.Errorf("pack ends in the length of command %d", i)
		}
		n := int(binary.BigEndian.Uint32(rest))
		rest = rest[packPerCmd:]
		if n > len(rest) || n > consensus.CommandMax {
			return pack{}, fmt.Errorf("command %d of %d bytes, %d are left", i, n, len(rest))
		}
		p.commands = append(p.commands, rest[:n:n])
		rest = rest[n:]
	}
	if len(rest) != 0 {
		return pack{}, fmt.Errorf("%d bytes behind the last command", len(rest))
	}
	return p, nil
}

// stampMax is the end of the year 9999, in microseconds: what is behind it is no time.
const stampMax = 253_402_300_799_999_999
