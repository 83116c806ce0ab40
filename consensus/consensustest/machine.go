package consensustest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"gongji/consensus"
)

// Machine is a small state machine whose commands are words with blanks between them:
//
//	set KEY VALUE      returns the value before
//	get KEY            returns the value (through the log)
//	add KEY NUMBER     adds to the number at KEY and returns the sum
//	once ID KEY NUMBER the same, but a repeat of ID changes nothing and returns the first sum
//	del KEY            returns the value before
//	list LO HI         returns "key=value" of [LO, HI), LO and HI may be - for no bound
//	mix                writes, deletes and scans in one command; see Mix
//	fill KEY BYTES     sets KEY to so many bytes
//	wait               blocks until Gate is opened: not deterministic in time, only for tests
//	huge               writes a key that is too long, which stops the node
//	panic              panics
//
// Anything else cannot be decoded and stops the node. Each command also writes the key
// "~log/<sequence>" with the index and stamp that it came with, and refuses a stamp that
// does not grow.
type Machine struct {
	// Gate holds back "wait" until it is closed. Nil holds nothing back.
	Gate <-chan struct{}
	// OnApplied, if set, is called by Applied.
	OnApplied func(index uint64)
	// Salt is written with each command. Machines with different salts diverge.
	Salt string

	mu      sync.Mutex
	applied uint64
	resets  []int // keys seen by each Reset
}

var _ consensus.StateMachine = (*Machine)(nil)

// LogKey is where a Machine keeps its count of commands; LogPrefix begins the record of each.
const (
	LogKey    = "~count"
	LogPrefix = "~log/"
)

// Apply carries out one command.
func (m *Machine) Apply(txn consensus.Txn, c consensus.Command) ([]byte, error) {
	if err := m.record(txn, c); err != nil {
		return nil, err
	}
	words := strings.Split(string(c.Data), " ")
	switch {
	case words[0] == "wait" && m.Gate != nil:
		<-m.Gate
		return nil, nil
	case words[0] == "wait":
		return nil, nil
	case words[0] == "panic":
		panic("a command said so")
	case words[0] == "huge":
		txn.Set(make([]byte, consensus.KeyMax+1), nil)
		return nil, nil
	case words[0] == "mix":
		return mix(txn), nil
	case words[0] == "list" && len(words) == 3:
		return list(txn, bound(words[1]), bound(words[2])), nil
	default:
		return m.keyed(txn, words)
	}
}

func (m *Machine) keyed(txn consensus.Txn, words []string) ([]byte, error) {
	switch {
	case words[0] == "set" && len(words) == 3:
		before := value(txn, words[1])
		txn.Set([]byte(words[1]), []byte(words[2]))
		return before, nil
	case words[0] == "get" && len(words) == 2:
		return value(txn, words[1]), nil
	case words[0] == "del" && len(words) == 2:
		before := value(txn, words[1])
		txn.Delete([]byte(words[1]))
		return before, nil
	case words[0] == "add" && len(words) == 3:
		return add(txn, words[1], words[2])
	case words[0] == "once" && len(words) == 4:
		id := "~once/" + words[1]
		if before, ok := txn.Get([]byte(id)); ok {
			return bytes.Clone(before), nil
		}
		sum, err := add(txn, words[2], words[3])
		txn.Set([]byte(id), sum)
		return sum, err
	case words[0] == "fill" && len(words) == 3:
		n, err := strconv.Atoi(words[2])
		if err != nil {
			return nil, err
		}
		txn.Set([]byte(words[1]), bytes.Repeat([]byte{'x'}, n))
		return nil, nil
	}
	return nil, fmt.Errorf("consensustest: no such command: %.40q", strings.Join(words, " "))
}

// record notes index and stamp of the command.
func (m *Machine) record(txn consensus.Txn, c consensus.Command) error {
	count, last := uint64(0), int64(0)
	if before, ok := txn.Get([]byte(LogKey)); ok {
		count, last = binary.BigEndian.Uint64(before), int64(binary.BigEndian.Uint64(before[8:]))
	}
	stamp := c.Stamp.UnixMicro()
	if stamp <= last || c.Stamp.Location() != time.UTC || c.Stamp.Nanosecond()%1000 != 0 {
		return fmt.Errorf("consensustest: stamp %v after %v", c.Stamp, time.UnixMicro(last).UTC())
	}
	head := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, count+1), uint64(stamp))
	txn.Set([]byte(LogKey), head)
	entry := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, c.Index), uint64(stamp))
	txn.Set(fmt.Appendf(nil, "%s%012d", LogPrefix, count+1), append(entry, m.Salt...))
	return nil
}

// LogRecord is one record of a Machine's log.
type LogRecord struct {
	Index uint64
	Stamp time.Time
}

// Records returns a Machine's log.
func Records(r consensus.Reader) []LogRecord {
	var records []LogRecord
	r.Scan([]byte(LogPrefix), []byte(LogPrefix+"~"), func(_, value []byte) bool {
		records = append(records, LogRecord{
			Index: binary.BigEndian.Uint64(value),
			Stamp: time.UnixMicro(int64(binary.BigEndian.Uint64(value[8:]))).UTC(),
		})
		return true
	})
	return records
}

func value(txn consensus.Reader, key string) []byte {
	v, _ := txn.Get([]byte(key))
	return bytes.Clone(v)
}

func add(txn consensus.Txn, key, number string) ([]byte, error) {
	sum, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil, err
	}
	if v, ok := txn.Get([]byte(key)); ok {
		before, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			return nil, err
		}
		sum += before
	}
	text := strconv.AppendInt(nil, sum, 10)
	txn.Set([]byte(key), text)
	return text, nil
}

func bound(word string) []byte {
	if word == "-" {
		return nil
	}
	return []byte(word)
}

func list(r consensus.Reader, lo, hi []byte) []byte {
	var out []string
	r.Scan(lo, hi, func(key, value []byte) bool {
		if key[0] != '~' {
			out = append(out, string(key)+"="+string(value))
		}
		return true
	})
	return []byte(strings.Join(out, " "))
}

// Mix is what "mix" returns on a state with b=old, d=old and f=old: every scan sees
// the writes before it and none after.
const Mix = "b=old d=old f=old|a=1 b=2 f=old|b=2|a=1 b=2|true|false|a=3 e=5 f=old"

func mix(txn consensus.Txn) []byte {
	lo, hi := []byte("a"), []byte("h")
	var parts []string
	note := func(b []byte) { parts = append(parts, string(b)) }
	note(list(txn, lo, hi))
	buf := []byte("1")
	txn.Set([]byte("a"), buf)
	buf[0] = '9' // the caller may reuse its slices
	txn.Set([]byte("b"), []byte("2"))
	txn.Delete([]byte("d"))
	txn.Delete([]byte("nothing"))
	note(list(txn, lo, hi))
	note(list(txn, []byte("b"), []byte("c")))
	var first []string
	txn.Scan(lo, hi, func(key, value []byte) bool {
		first = append(first, string(key)+"="+string(value))
		return len(first) < 2
	})
	parts = append(parts, strings.Join(first, " "))
	_, ok := txn.Get([]byte("b"))
	parts = append(parts, strconv.FormatBool(ok))
	txn.Delete([]byte("b"))
	_, ok = txn.Get([]byte("b"))
	parts = append(parts, strconv.FormatBool(ok))
	txn.Set([]byte("a"), []byte("3"))
	txn.Set([]byte("e"), []byte("5"))
	note(list(txn, lo, hi))
	return []byte(strings.Join(parts, "|"))
}

// Applied notes the index.
func (m *Machine) Applied(index uint64) {
	m.mu.Lock()
	m.applied = index
	m.mu.Unlock()
	if m.OnApplied != nil {
		m.OnApplied(index)
	}
}

// Reset counts the keys that there are.
func (m *Machine) Reset(r consensus.Reader) error {
	if r == nil {
		return errors.New("consensustest: reset without a state")
	}
	n := 0
	r.Scan(nil, nil, func([]byte, []byte) bool {
		n++
		return true
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resets = append(m.resets, n)
	return nil
}

// Seen returns the last index told by Applied, and how many keys each Reset saw.
func (m *Machine) Seen() (uint64, []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applied, append([]int(nil), m.resets...)
}
