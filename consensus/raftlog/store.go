package raftlog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"gongji/consensus"
)

// Keys in Pebble: one byte says whose they are.
const (
	prefixMeta = 0x00 // ours: the mark below
	prefixData = 0x01 // the state machine's keys follow
	prefixEnd  = 0x02
)

const bloomBits = 10 // per key; one look-up in a hundred that finds nothing reads a block

// stateFormat is Pebble's format on disk, named so that a newer Pebble does not
// change the files before all members can read them. Older formats write tables by a
// pool of tasks with channels in them, which a second bubble of testing/synctest may not use.
const stateFormat = pebble.FormatColumnarBlocks

// mark is what the state knows of itself. It is written in the same batch as the
// writes of the entry that it names.
type mark struct {
	index  uint64            // of the last entry applied
	stamp  int64             // of the last command applied, microseconds; 0 before the first
	digest [sha256.Size]byte // chained over the write sets of all entries
}

const (
	markVersion = 1
	markLen     = 1 + 8 + 8 + sha256.Size
)

func markKey() []byte { return []byte{prefixMeta, 'm'} }

func (m mark) encode() []byte {
	b := make([]byte, 0, markLen)
	b = append(b, markVersion)
	b = binary.BigEndian.AppendUint64(b, m.index)
	b = binary.BigEndian.AppendUint64(b, uint64(m.stamp))
	return append(b, m.digest[:]...)
}

func decodeMark(b []byte) (mark, error) {
	if len(b) != markLen || b[0] != markVersion {
		return mark{}, fmt.Errorf("%w: mark of %d bytes", ErrSnapshot, len(b))
	}
	m := mark{index: binary.BigEndian.Uint64(b[1:]), stamp: int64(binary.BigEndian.Uint64(b[9:]))}
	copy(m.digest[:], b[17:])
	return m, nil
}

func (m mark) time() time.Time {
	if m.stamp == 0 {
		return time.Time{}
	}
	return time.UnixMicro(m.stamp).UTC()
}

// store is the state of one node: a Pebble without a log of its own, and who reads it.
//
// Writers: the goroutine that applies entries, alone. Readers share one snapshot as
// long as nothing was applied since; a restore waits until they are gone and keeps
// new ones waiting. Both wait on channels and never on the mutex, which guards fields only.
type store struct {
	fs     vfs.FS
	dirs   dirs
	cache  *pebble.Cache
	mem    int
	logger *slog.Logger
	failed func(error) // tells the node of a fault in the background

	mu      sync.Mutex
	db      *pebble.DB // nil before open, while being replaced, after close
	mark    mark
	shared  *shared       // newest snapshot that somebody reads
	readers int           // calls inside a view
	swap    chan struct{} // not nil while the database is being replaced; closed afterwards
	idle    chan struct{} // not nil when somebody waits for the last reader; closed by it
	moved   chan struct{} // not nil when somebody waits for the mark to move; closed by it
	closed  bool
}

// shared is a snapshot of the database that several views may use at once.
type shared struct {
	snap *pebble.Snapshot
	mark mark
	refs int
}

type storeConfig struct {
	fs     vfs.FS
	dirs   dirs
	cache  *pebble.Cache
	mem    int
	logger *slog.Logger
	failed func(error)
}

func newStore(c storeConfig) *store {
	return &store{fs: c.fs, dirs: c.dirs, cache: c.cache, mem: c.mem, logger: c.logger, failed: c.failed}
}

// Most of what is written is written again soon, or deleted. Files are let gather before they are merged into the
// levels below: fewer merges rewrite fewer bytes, and the filters spare a read what gathers.
const (
	l0Compact = 8
	l0Stop    = 24
	// baseMax keeps one level below the gathered files for long: most keys grow with time, so a merge touches little of
	// what stands there, and a second level would only write it once more.
	baseMax = 512 << 20
)

func (s *store) options() *pebble.Options {
	o := &pebble.Options{
		FS: s.fs, Cache: s.cache, DisableWAL: true, FormatMajorVersion: stateFormat,
		MemTableSize: uint64(s.mem), Logger: pebbleLogger{s.logger},
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
		L0CompactionThreshold:      l0Compact, L0StopWritesThreshold: l0Stop, LBaseMaxBytes: baseMax,
		EventListener: &pebble.EventListener{BackgroundError: s.failed},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
	}
	return o
}

// open opens the live database and reads its mark.
func (s *store) open() error {
	db, m, err := s.openDB(s.dirs.live)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db, s.mark = db, m
	return nil
}

func (s *store) openDB(dir string) (*pebble.DB, mark, error) {
	db, err := pebble.Open(dir, s.options())
	if err != nil {
		return nil, mark{}, fmt.Errorf("open state: %w", err)
	}
	m, err := readMark(db)
	if err != nil {
		return nil, mark{}, errors.Join(err, db.Close())
	}
	return db, m, nil
}

func readMark(r pebble.Reader) (mark, error) {
	value, closer, err := r.Get(markKey())
	if errors.Is(err, pebble.ErrNotFound) {
		return mark{}, nil
	}
	if err != nil {
		return mark{}, fmt.Errorf("read the mark of the state: %w", err)
	}
	m, err := decodeMark(value)
	return m, errors.Join(err, closer.Close())
}

// close ends all reading and closes the database. It waits for views under way.
func (s *store) close() error {
	s.mu.Lock()
	s.closed = true
	db := s.db
	s.db = nil
	wait := s.lastReader()
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
	s.mu.Unlock()
	<-wait
	if db == nil {
		return nil
	}
	return db.Close()
}

// lastReader returns a channel that is closed when no view is under way. s.mu is held.
func (s *store) lastReader() <-chan struct{} {
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	if s.readers == 0 {
		close(s.idle)
		s.idle = nil
	}
	return idle
}

// now is the mark of what is applied and visible.
func (s *store) now() mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mark
}

// advance publishes a mark whose batch is committed.
func (s *store) advance(m mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mark = m
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// wait returns when index is applied and visible. Errors: the context's, ErrStopped.
func (s *store) wait(ctx context.Context, index uint64) error {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return consensus.ErrStopped
		}
		if s.mark.index >= index {
			s.mu.Unlock()
			return nil
		}
		if s.moved == nil {
			s.moved = make(chan struct{})
		}
		moved := s.moved
		s.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// acquire returns a snapshot of the state as it is now.
func (s *store) acquire(ctx context.Context) (*shared, error) {
	for {
		s.mu.Lock()
		switch {
		case s.closed:
			s.mu.Unlock()
			return nil, consensus.ErrStopped
		case s.swap != nil:
			swap := s.swap
			s.mu.Unlock()
			select {
			case <-swap:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		case s.db == nil:
			s.mu.Unlock()
			return nil, consensus.ErrNoLeader
		default:
			defer s.mu.Unlock() //nolint:revive // this way out of the loop returns
			return s.acquireLocked()
		}
	}
}

func (s *store) acquireLocked() (*shared, error) {
	if s.shared == nil || s.shared.mark.index < s.mark.index {
		snap := s.db.NewSnapshot()
		m, err := readMark(snap) // a batch may be committed whose mark is not published yet
		if err != nil {
			return nil, errors.Join(err, snap.Close())
		}
		s.shared = &shared{snap: snap, mark: m}
	}
	s.shared.refs++
	s.readers++
	return s.shared, nil
}

func (s *store) release(sh *shared) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if sh.refs--; sh.refs == 0 {
		err = sh.snap.Close()
		if s.shared == sh {
			s.shared = nil
		}
	}
	if s.readers--; s.readers == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
	if err != nil {
		return fmt.Errorf("close a snapshot of the state: %w", err)
	}
	return nil
}

// view calls fn with the state as it is now.
func (s *store) view(ctx context.Context, fn func(consensus.Reader) error) (failure error) {
	sh, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, s.release(sh)) }()
	r := &reader{src: sh.snap}
	if err := fn(r); err != nil {
		return err
	}
	return r.err
}

// flush makes everything applied so far durable.
func (s *store) flush() error {
	s.mu.Lock()
	db := s.db
	s.mu.Unlock()
	if db == nil {
		return errClosed
	}
	if err := db.Flush(); err != nil {
		return fmt.Errorf("flush the state: %w", err)
	}
	return nil
}

// checkpoint flushes and links the state as it is now into dir, durably. It is called
// by the goroutine that applies, so the mark stands still meanwhile.
func (s *store) checkpoint(dir string) (mark, error) {
	// With Pebble's own log switched off a checkpoint has only what was flushed.
	if err := s.flush(); err != nil {
		return mark{}, err
	}
	s.mu.Lock()
	db, m := s.db, s.mark
	s.mu.Unlock()
	if err := db.Checkpoint(dir); err != nil {
		return mark{}, fmt.Errorf("checkpoint the state: %w", err)
	}
	return m, nil
}

// pebbleLogger passes Pebble's words on. What Pebble calls fatal it cannot survive.
type pebbleLogger struct{ l *slog.Logger }

var _ pebble.Logger = pebbleLogger{}

func (p pebbleLogger) Infof(format string, args ...any) {
	if p.l.Enabled(context.Background(), slog.LevelDebug) {
		p.l.Debug("pebble", slog.String("event", fmt.Sprintf(format, args...)))
	}
}

func (p pebbleLogger) Errorf(format string, args ...any) {
	p.l.Error("pebble", slog.String("event", fmt.Sprintf(format, args...)))
}

// Fatalf must not return: Pebble calls it where its files and its memory no longer agree.
func (p pebbleLogger) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("raftlog: state store: "+format, args...))
}

// live is the open database. Only the goroutine that applies, and so replaces it, may ask.
func (s *store) live() *pebble.DB {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db
}
