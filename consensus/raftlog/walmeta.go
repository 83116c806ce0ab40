package raftlog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft-wal/types"
)

// walMeta is raft-wal's types.MetaStore in one small file that is replaced as a
// whole: the list of segments, and raft's term and vote. raft-wal's own is a bbolt
// file, which lives on the operating system's files only, so it cannot be crashed in a
// simulation, and which raft-wal never closes, so a second open in the same process hangs.
type walMeta struct {
	fs   vfs.FS
	path string
	// turn is held during a write. It is a channel and not a mutex, so that waiting behind
	// a hung disk is visible as waiting.
	turn     chan struct{}
	body     metaBody
	onCommit func() // told of every new list of segments
}

var _ types.MetaStore = (*walMeta)(nil)

type metaBody struct {
	Version  int                    `json:"version"`
	Segments types.PersistentState  `json:"segments"`
	Stable   map[string]stableValue `json:"stable"`
}

type stableValue []byte

const (
	walMetaName    = "meta"
	walMetaVersion = 1
	walMetaMax     = 16 << 20
)

func newWALMeta(fs vfs.FS, dir string) *walMeta {
	m := &walMeta{fs: fs, path: fs.PathJoin(dir, walMetaName), turn: make(chan struct{}, 1), onCommit: func() {}}
	m.turn <- struct{}{}
	return m
}

// read loads the file; none is an empty log.
func (m *walMeta) read() error {
	m.body = metaBody{Version: walMetaVersion, Stable: make(map[string]stableValue)}
	there, err := exists(m.fs, m.path)
	if err != nil || !there {
		return err
	}
	data, err := readSmall(m.fs, m.path, walMetaMax)
	if err != nil {
		return err
	}
	body, err := decodeMeta(data)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDisk, m.path, err)
	}
	m.body = body
	return nil
}

func decodeMeta(data []byte) (metaBody, error) {
	if len(data) < crc32.Size {
		return metaBody{}, errors.New("metadata is cut short")
	}
	if binary.BigEndian.Uint32(data) != crc32.Checksum(data[crc32.Size:], crc32.MakeTable(crc32.Castagnoli)) {
		return metaBody{}, errors.New("metadata has a wrong checksum")
	}
	var body metaBody
	if err := json.Unmarshal(data[crc32.Size:], &body); err != nil {
		return metaBody{}, fmt.Errorf("metadata: %w", err)
	}
	if body.Version != walMetaVersion {
		return metaBody{}, fmt.Errorf("metadata version %d", body.Version)
	}
	if body.Stable == nil {
		body.Stable = make(map[string]stableValue)
	}
	return body, nil
}

func encodeMeta(body metaBody) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	sum := crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli))
	return append(binary.BigEndian.AppendUint32(nil, sum), text...), nil
}

// write replaces the file and then the memory.
func (m *walMeta) write(change func(*metaBody)) error {
	<-m.turn
	defer func() { m.turn <- struct{}{} }()
	body := m.body
	body.Stable = maps.Clone(m.body.Stable)
	change(&body)
	data, err := encodeMeta(body)
	if err != nil {
		return err
	}
	if err := replaceFile(m.fs, m.path, data); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	m.body = body
	return nil
}

// Load returns the list of segments; read has been called before.
func (m *walMeta) Load(string) (types.PersistentState, error) {
	return m.body.Segments, nil
}

// CommitState replaces the list of segments, durably.
func (m *walMeta) CommitState(s types.PersistentState) error {
	err := m.write(func(b *metaBody) { b.Segments = s })
	if err == nil {
		m.onCommit()
	}
	return err
}

// GetStable returns a value that raft keeps, nil if there is none.
func (m *walMeta) GetStable(key []byte) ([]byte, error) {
	<-m.turn
	defer func() { m.turn <- struct{}{} }()
	value, ok := m.body.Stable[string(key)]
	if !ok {
		return nil, nil
	}
	return append([]byte{}, value...), nil
}

// SetStable keeps a value for raft, durably. Nil removes it.
func (m *walMeta) SetStable(key, value []byte) error {
	return m.write(func(b *metaBody) {
		if value == nil {
			delete(b.Stable, string(key))
			return
		}
		b.Stable[string(key)] = append(stableValue{}, value...)
	})
}

// Close has nothing to do: no file stays open between writes.
func (m *walMeta) Close() error { return nil }
