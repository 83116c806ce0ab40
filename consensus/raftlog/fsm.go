package raftlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"gongji/consensus"
)

// fsm is what raft calls: it applies entries to the store through the state machine.
// All calls come from raft's own goroutine, and before that from Run, never at once.
//
// raft knows no state machine that fails. So after the first error the fsm applies
// nothing more, refuses snapshots (whose index would be ahead of the state), answers
// every entry with the error, and the node stops.
type fsm struct {
	ctx     context.Context //nolint:containedctx // Run's: raft's calls carry none, and a restore has to end with the node
	store   *store
	sm      consensus.StateMachine
	digests *digests
	metrics *metrics
	logger  *slog.Logger
	failed  func(error)
	cut     func() string // names a folder for the next checkpoint

	seen uint64 // last index that raft handed over since it runs: behind the state's while it replays
	err  error  // first failure; nothing is applied after it

	mu       sync.Mutex
	commands uint64 // applied since start
	entries  uint64
	installs uint64 // snapshots restored from another node since start
	lastSnap uint64 // index of the newest of those
}

var (
	_ raft.BatchingFSM  = (*fsm)(nil)
	_ raft.FSMSnapshot  = (*cutSnapshot)(nil)
	_ raft.SnapshotSink = (*sink)(nil)
)

// applied is what an entry's future answers: one result for each command, or why
// the entry was not applied.
type applied struct {
	results [][]byte
	err     error
}

// Apply applies one entry; raft uses ApplyBatch.
func (f *fsm) Apply(l *raft.Log) any {
	return f.ApplyBatch([]*raft.Log{l})[0]
}

// ApplyBatch applies committed entries in order, and then tells the state machine once.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	before := f.store.now().index
	for i, l := range logs {
		answers[i] = f.one(l)
	}
	if now := f.store.now().index; now > before {
		f.sm.Applied(now)
	}
	return answers
}

func (f *fsm) one(l *raft.Log) applied {
	f.seen = max(f.seen, l.Index)
	if f.err != nil {
		return applied{err: f.err}
	}
	m := f.store.now()
	if l.Index <= m.index {
		return applied{} // replayed after a restart: the state has it already
	}
	start := time.Now()
	var p pack
	if l.Type == raft.LogCommand {
		decoded, err := decodePack(l.Data)
		if err != nil {
			return f.fail(l.Index, err)
		}
		p = decoded
	}
	results, next, err := f.entry(m, l.Index, p)
	if err != nil {
		return f.fail(l.Index, err)
	}
	f.digests.passed(m, next)
	f.mu.Lock()
	f.commands += uint64(len(p.commands))
	f.entries++
	f.mu.Unlock()
	f.store.advance(next)
	f.metrics.appliedEntry(len(p.commands), time.Since(start))
	return applied{results: results}
}

func (f *fsm) fail(index uint64, cause error) applied {
	f.err = fmt.Errorf("%w: entry %d: %w", ErrUndecodable, index, cause)
	f.failed(f.err)
	return applied{err: f.err}
}

// entry applies the commands of one entry in one batch.
func (f *fsm) entry(m mark, index uint64, p pack) ([][]byte, mark, error) {
	// An entry that a deposed leader brought in late may carry stamps that were passed
	// meanwhile. Every node moves it up by the same rule.
	first := max(p.stamp, m.stamp+1)
	last := m.stamp
	if len(p.commands) > 0 {
		last = first + int64(len(p.commands)) - 1
	}
	t := newTxn(f.store.live(), m.digest, index, last)
	results := make([][]byte, 0, len(p.commands))
	p.stamp = first
	for i, data := range p.commands {
		result, err := f.command(t, consensus.Command{Index: index, Stamp: p.stampOf(i), Data: data})
		if err = errors.Join(err, t.err); err != nil {
			return nil, mark{}, errors.Join(fmt.Errorf("command %d: %w", i, err), t.drop())
		}
		results = append(results, result)
	}
	next, err := t.commit(index, last)
	return results, next, err
}

// command turns a panic of the state machine into an error: it would come again at
// every start and on every member, and a process may hold nodes of other regions.
func (f *fsm) command(t *txn, c consensus.Command) (result []byte, err error) { //nolint:nonamedreturns // the deferred function sets them
	defer func() {
		if p := recover(); p != nil {
			f.logger.Error("state machine panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("state machine panicked: %v", p)
		}
	}()
	return f.sm.Apply(t, c)
}

// Snapshot takes a checkpoint of the state as it is now.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.err != nil {
		return nil, f.err
	}
	// raft gives the snapshot the index that it handed over last. While it replays
	// what the state has already, that is another state than this one.
	if now := f.store.now().index; f.seen != now {
		return nil, fmt.Errorf("no snapshot while entries are replayed: at %d, state at %d", f.seen, now)
	}
	start := time.Now()
	dir := f.cut()
	m, err := f.store.checkpoint(dir)
	if err != nil {
		return nil, errors.Join(err, removeTree(f.store.fs, dir))
	}
	f.metrics.snapshotTaken(time.Since(start))
	return &cutSnapshot{fsm: f, dir: dir, index: m.index}, nil
}

// Restore replaces the state by a snapshot that the leader sent.
func (f *fsm) Restore(r io.ReadCloser) error {
	if f.err != nil {
		return errors.Join(f.err, r.Close())
	}
	var index uint64
	if w, ok := r.(raft.ReadCloserWrapper); ok {
		if s, ok := w.WrappedReadCloser().(*snapReader); ok {
			index = s.meta.Index
		}
	}
	err := errors.Join(f.store.restore(f.ctx, r, index), r.Close())
	if err == nil {
		err = f.reset()
	}
	if err != nil {
		f.err = err
		if f.ctx.Err() == nil {
			f.failed(err)
		}
		return err
	}
	m := f.store.now()
	f.seen = m.index
	f.digests.forget(m.index)
	f.mu.Lock()
	repeated := f.lastSnap == m.index
	f.installs++
	f.lastSnap = m.index
	f.mu.Unlock()
	f.metrics.snapshotInstalled(repeated)
	if repeated {
		f.logger.Error("the same snapshot came again: this node makes no progress; restart it, else wipe and rejoin",
			slog.Uint64("index", m.index))
	}
	return nil
}

// reset hands the state as it is to the state machine.
func (f *fsm) reset() error {
	err := f.store.view(f.ctx, f.sm.Reset)
	if err != nil {
		return fmt.Errorf("state machine does not take the state: %w", err)
	}
	return nil
}

func (f *fsm) counts() (commands, entries, installs uint64) { //nolint:nonamedreturns // names tell the three numbers apart
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.commands, f.entries, f.installs
}

// cutSnapshot is a checkpoint that waits to become a snapshot.
type cutSnapshot struct {
	fsm   *fsm
	dir   string
	index uint64
}

// Persist moves the checkpoint into the snapshot. raft closes the sink.
func (c *cutSnapshot) Persist(to raft.SnapshotSink) error {
	k, ok := to.(*sink)
	if !ok {
		return fmt.Errorf("%w: foreign sink", ErrSnapshot)
	}
	return k.adopt(c.dir, c.index)
}

// Release removes the checkpoint if it did not become a snapshot.
func (c *cutSnapshot) Release() {
	there, err := exists(c.fsm.store.fs, c.dir)
	if err == nil && there {
		err = removeTree(c.fsm.store.fs, c.dir)
	}
	if err != nil {
		c.fsm.logger.Error("checkpoint was not removed", slog.Any("error", err))
	}
}
