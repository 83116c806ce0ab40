package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// logStore is raft's log and stable store on raft-wal, with a watch on the disk.
//
// raft appends in its main loop but sends heartbeats beside it, so a leader whose disk
// hangs keeps its leadership for ever and nothing is committed any more. Here each write is
// done by a goroutine of our own, and raft gets an error when the write takes longer than
// the limit: a leader then steps down by itself, a follower says no. If the late write
// ends well, its entries are cut off again (nobody was told of them), log and raft agree,
// and the node goes on. If it fails, or takes three times the limit, the node stops: what an append that
// failed left on the disk, only a fresh start can tell.
type logStore struct {
	wal    *wal.WAL
	meta   *walMeta
	filer  *walFiler
	limit  time.Duration
	slow   func(bool)  // told when a write exceeds the limit, and when all is well again
	failed func(error) // told of what cannot be mended

	work    chan *logWrite
	stop    chan struct{}
	done    chan struct{}
	closing error // of closing the log; set before done is closed
	metrics *metrics

	mu      sync.Mutex
	late    bool  // a write is under way that raft does not wait for any more
	broken  error // a write failed
	running bool  // raft runs on it: see setStable
}

var (
	_ raft.LogStore          = (*logStore)(nil)
	_ raft.MonotonicLogStore = (*logStore)(nil)
	_ raft.StableStore       = (*logStore)(nil)
)

// logWrite is one change of the log.
type logWrite struct {
	do    func() error
	undo  func() error // nil: cannot be undone
	ended chan error   // buffered
	given bool         // raft has its answer
}

type logConfig struct {
	fs      vfs.FS
	dir     string
	segment int
	limit   time.Duration
	logger  *hclogAdapter
	metrics *metrics
	slow    func(bool)
	failed  func(error)
}

// openLog opens the log in dir, which exists. run has to run before anything is written.
func openLog(c logConfig) (*logStore, error) {
	fs := walFS{c.fs}
	meta := newWALMeta(c.fs, c.dir)
	if err := meta.read(); err != nil {
		return nil, err
	}
	if err := cureTail(c.dir, fs, meta, c.segment); err != nil {
		return nil, err
	}
	filer := newWALFiler(c.dir, fs)
	meta.onCommit = filer.committed
	w, err := wal.Open(c.dir, wal.WithMetaStore(meta), wal.WithSegmentFiler(filer),
		wal.WithSegmentSize(c.segment), wal.WithLogger(c.logger.named("wal")))
	if err != nil {
		return nil, fmt.Errorf("%w: open the log: %w", ErrDisk, err)
	}
	return &logStore{
		wal: w, meta: meta, filer: filer, limit: c.limit, slow: c.slow, failed: c.failed, metrics: c.metrics,
		work: make(chan *logWrite), stop: make(chan struct{}), done: make(chan struct{}),
	}, nil
}

// run does the writes until close, and then closes the log.
func (s *logStore) run() {
	defer close(s.done)
	for {
		select {
		case w := <-s.work:
			s.carryOut(w)
		case <-s.stop:
			timer := time.NewTimer(s.limit)
			defer timer.Stop() //nolint:revive // this way out of the loop returns
			select {
			case <-s.filer.settled():
			case <-timer.C: // the rotation failed: the next start cures it
			}
			s.closing = s.wal.Close()
			return
		}
	}
}

// close ends run and waits for it; raft must have stopped. If a write hangs it gives up
// after the limit, and run closes the log when the disk answers.
func (s *logStore) close() error {
	close(s.stop)
	timer := time.NewTimer(2 * s.limit)
	defer timer.Stop()
	select {
	case <-s.done:
		return s.closing
	case <-timer.C:
		return fmt.Errorf("%w: a write did not end", ErrDisk)
	}
}

func (s *logStore) carryOut(w *logWrite) {
	start := time.Now()
	stuck := time.AfterFunc(diskLimitMultiple*s.limit, func() {
		s.breakdown(fmt.Errorf("%w: %w", ErrDisk, errDiskSlow))
	})
	err := w.do()
	s.mu.Lock()
	late := w.given
	w.given = true
	s.mu.Unlock()
	if err == nil && late {
		err = s.takeBack(w)
	}
	stuck.Stop()
	s.metrics.logWrite.Observe(time.Since(start).Seconds())
	if err != nil {
		s.breakdown(fmt.Errorf("%w: %w", ErrDisk, err))
	}
	if !late {
		w.ended <- err
		return
	}
	s.mu.Lock()
	s.late = false
	s.mu.Unlock()
	if err == nil {
		s.slow(false)
	}
}

// takeBack undoes a write that raft was told had failed.
func (s *logStore) takeBack(w *logWrite) error {
	if w.undo == nil {
		return fmt.Errorf("%w, and it cannot be undone", errDiskSlow)
	}
	return w.undo()
}

// isSlow says whether a write is under way that raft does not wait for any more.
func (s *logStore) isSlow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.late
}

// breakdown notes the first error; nothing is written after it.
func (s *logStore) breakdown(err error) {
	s.mu.Lock()
	first := s.broken == nil
	if first {
		s.broken = err
	}
	s.mu.Unlock()
	if first {
		s.failed(err)
	}
}

func (s *logStore) write(w *logWrite) error {
	s.mu.Lock()
	broken, late := s.broken, s.late
	s.mu.Unlock()
	if broken != nil {
		return broken
	}
	if late {
		return errDiskSlow
	}
	w.ended = make(chan error, 1)
	timer := time.NewTimer(s.limit)
	defer timer.Stop()
	select {
	case s.work <- w:
	case <-s.done:
		return errClosed
	case <-timer.C:
		return errDiskSlow
	}
	select {
	case err := <-w.ended:
		return err
	case <-timer.C:
		return s.giveUp(w)
	}
}

// giveUp stops waiting for w, unless it has just ended.
func (s *logStore) giveUp(w *logWrite) error {
	s.mu.Lock()
	if w.given {
		s.mu.Unlock()
		return <-w.ended
	}
	w.given, s.late = true, true
	s.mu.Unlock()
	s.slow(true)
	return errDiskSlow
}

// StoreLog appends one entry.
func (s *logStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs appends entries, durably.
func (s *logStore) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	first, last := logs[0].Index, logs[len(logs)-1].Index
	return s.write(&logWrite{
		do:   func() error { return s.wal.StoreLogs(logs) },
		undo: func() error { return s.cut(first, last) },
	})
}

// DeleteRange cuts the beginning or the end of the log.
func (s *logStore) DeleteRange(lo, hi uint64) error {
	return s.write(&logWrite{do: func() error { return s.cut(lo, hi) }})
}

// cut waits for a rotation that is due: raft-wal does not.
func (s *logStore) cut(lo, hi uint64) error {
	<-s.filer.settled()
	return s.wal.DeleteRange(lo, hi)
}

// FirstIndex returns the index of the first entry, 0 if there is none.
func (s *logStore) FirstIndex() (uint64, error) { return s.wal.FirstIndex() }

// LastIndex returns the index of the last entry, 0 if there is none.
func (s *logStore) LastIndex() (uint64, error) { return s.wal.LastIndex() }

// GetLog reads an entry.
func (s *logStore) GetLog(index uint64, l *raft.Log) error { return s.wal.GetLog(index, l) }

// IsMonotonic tells raft that the log takes no gaps, so that it empties the log when it
// installs a snapshot.
func (s *logStore) IsMonotonic() bool { return true }

// Set keeps a value of raft's, durably.
func (s *logStore) Set(key, value []byte) error { return s.setStable(key, value) }

// Get returns a value of raft's.
func (s *logStore) Get(key []byte) ([]byte, error) { return s.meta.GetStable(key) }

// SetUint64 keeps a number of raft's, durably.
func (s *logStore) SetUint64(key []byte, value uint64) error {
	return s.setStable(key, binary.LittleEndian.AppendUint64(nil, value))
}

// GetUint64 returns a number of raft's, 0 if there is none.
func (s *logStore) GetUint64(key []byte) (uint64, error) {
	value, err := s.meta.GetStable(key)
	if err != nil || len(value) == 0 {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("%w: %q is no number", ErrDisk, key)
	}
	return binary.LittleEndian.Uint64(value), nil
}

// raftTerm is the key whose write raft takes for granted: it panics on an error.
const raftTerm = "CurrentTerm"

func (s *logStore) setStable(key, value []byte) error {
	stuck := time.AfterFunc(diskLimitMultiple*s.limit, func() {
		s.breakdown(fmt.Errorf("%w: %w", ErrDisk, errDiskSlow))
	})
	err := s.meta.SetStable(key, value)
	stuck.Stop()
	if err == nil {
		return nil
	}
	s.breakdown(err)
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if running && string(key) == raftTerm {
		// The panic would take other regions' nodes in this process with it. raft's goroutine
		// ends here instead, as at a shutdown, which follows: the node has failed.
		runtime.Goexit()
	}
	return err
}

// setRunning says whether raft's goroutines, and not Run, call from now on.
func (s *logStore) setRunning(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = on
}

// lastEntry returns index and term of the last entry, zeros if there is none.
func (s *logStore) lastEntry() (index, term uint64, err error) { //nolint:nonamedreturns // names tell the two numbers apart
	index, err = s.wal.LastIndex()
	if err != nil || index == 0 {
		return 0, 0, err
	}
	var l raft.Log
	if err := s.wal.GetLog(index, &l); err != nil {
		return 0, 0, errors.Join(ErrDisk, err)
	}
	return index, l.Term, nil
}
