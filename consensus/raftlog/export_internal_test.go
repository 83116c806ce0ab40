package raftlog

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"gongji/consensus"
)

// LogForTest is the log store as tests see it.
type LogForTest interface {
	raft.LogStore
	raft.StableStore
}

// OpenLogForTest opens the log store alone, on real files.
func OpenLogForTest(dir string, segment int) (LogForTest, func(), error) {
	return OpenLogOn(vfs.Default, dir, segment)
}

// OpenLogOn opens the log store alone.
func OpenLogOn(fs vfs.FS, dir string, segment int) (LogForTest, func(), error) {
	m, err := newMetrics(nil)
	if err != nil {
		return nil, nil, err
	}
	if err := makeDir(fs, dir); err != nil {
		return nil, nil, err
	}
	s, err := openLog(logConfig{
		fs: fs, dir: dir, segment: segment, limit: time.Minute,
		logger: &hclogAdapter{slog.New(slog.DiscardHandler)}, metrics: m,
		slow: func(bool) {}, failed: func(error) {},
	})
	if err != nil {
		return nil, nil, err
	}
	go s.run()
	return s, func() { _ = s.close() }, nil
}

// DecodePack reads a pack and writes it again.
func DecodePack(data []byte) ([]byte, int, error) {
	p, err := decodePack(data)
	if err != nil {
		return nil, 0, err
	}
	return encodePack(p.stamp, p.commands), len(p.commands), nil
}

// EncodePack is the writer of packs.
func EncodePack(stamp int64, commands [][]byte) []byte { return encodePack(stamp, commands) }

// ReadFrame reads a frame and writes it again.
func ReadFrame(r io.Reader) ([]byte, error) {
	f, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	return encodeFrame(f), nil
}

// EncodeFrame is the writer of frames.
func EncodeFrame(id uint64, kind byte, payload []byte) []byte {
	return encodeFrame(frame{id: id, kind: kind, payload: payload})
}

// DecodeStatus reads a status and writes it again.
func DecodeStatus(data []byte) ([]byte, error) {
	s, err := decodeStatus(data)
	if err != nil {
		return nil, err
	}
	return s.encode(), nil
}

// EncodeStatus is a status with so many digests.
func EncodeStatus(digests int) []byte {
	s := peerStatus{clock: 1, term: 2, lastTerm: 3, lastIndex: 4, applied: 5, leads: true, votes: true}
	for i := range digests {
		s.digests = append(s.digests, digestAt{index: uint64(i)})
	}
	return s.encode()
}

// Untar unpacks into dir and returns the names.
func Untar(fs vfs.FS, dir string, r io.Reader) ([]string, error) {
	if err := untar(fs, dir, r); err != nil {
		return nil, err
	}
	return listDir(fs, dir)
}

// TarOf is the tar of a folder and its announced length.
func TarOf(fs vfs.FS, dir string) ([]byte, int64, error) {
	t, size, err := newTarStream(fs, dir)
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(t)
	return data, size, err
}

// DecodeMeta reads the log's metadata and writes it again.
func DecodeMeta(data []byte) ([]byte, error) {
	body, err := decodeMeta(data)
	if err != nil {
		return nil, err
	}
	return encodeMeta(body)
}

// EncodeMeta is metadata with one value in it.
func EncodeMeta() ([]byte, error) {
	return encodeMeta(metaBody{Version: walMetaVersion, Stable: map[string]stableValue{"k": []byte("v")}})
}

// DecodeMark reads the mark of a state and writes it again.
func DecodeMark(data []byte) ([]byte, error) {
	m, err := decodeMark(data)
	return m.encode(), err
}

// CompareClocks judges a clock by offsets of others, of a group with so many voters: 1 agrees, 2 off,
// 0 unknown.
func CompareClocks(offsets []time.Duration, voters int) (int, time.Duration) {
	var others []peerStatus
	for _, o := range offsets {
		others = append(others, peerStatus{offset: o})
	}
	verdict, offset := compareClocks(others, voters)
	return int(verdict), offset
}

// Enough is how many of the others a member must hear that lost its disk.
func Enough(members int) int { return enough(members) }

// SnapshotInReplay asks a state machine for a snapshot whose raft has handed over less than
// the state has.
func SnapshotInReplay(fs vfs.FS, sm consensus.StateMachine) error {
	m, err := newMetrics(nil)
	if err != nil {
		return err
	}
	d := newDirs(fs, "node")
	if err := d.prepare(fs); err != nil {
		return err
	}
	logger := slog.New(slog.DiscardHandler)
	cache := pebble.NewCache(1 << 20)
	defer cache.Unref()
	s := newStore(storeConfig{fs: fs, dirs: d, cache: cache, mem: 256 << 10, logger: logger, failed: func(error) {}})
	if err := s.open(); err != nil {
		return err
	}
	defer func() { _ = s.close() }()
	f := &fsm{
		ctx: context.Background(), store: s, sm: sm, digests: &digests{}, metrics: m, logger: logger,
		failed: func(error) {}, cut: func() string { return fs.PathJoin(d.checkpoints, "cut-1") },
	}
	for i := range uint64(3) {
		f.Apply(&raft.Log{Index: i + 1, Type: raft.LogCommand, Data: encodePack(1, [][]byte{[]byte("add n 1")})})
	}
	again := &fsm{
		ctx: f.ctx, store: s, sm: sm, digests: &digests{}, metrics: m, logger: logger, failed: f.failed, cut: f.cut,
	}
	again.Apply(&raft.Log{Index: 2, Type: raft.LogCommand, Data: encodePack(1, [][]byte{[]byte("add n 1")})})
	_, err = again.Snapshot()
	return err
}
