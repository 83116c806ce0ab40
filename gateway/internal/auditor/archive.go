package auditor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"gongji/consensus"
	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/ledger"
)

// BlockLines is how many lines a file of the archive has at least: it ends with the first checkpoint behind them, so
// that each file is signed to its last line, and every node writes the same files. Where no checkpoint stands within
// blockTimes as many, since nothing could be signed for long, the file ends there without one: the next files follow it
// by their digests, and the first checkpoint behind signs them all.
const BlockLines = 4096

// forgetStep is how many lines one command takes out of the state.
const forgetStep = 4096

// blockTimes bounds the lines of one file, and what is read for it at once.
const blockTimes = 16

// Archive is a node's folder of audit files. Every node keeps its own and never removes a file.
type Archive struct {
	Dir  string
	Keep time.Duration // lines stay in the state at least that long
	Min  int           // lines of a file, at least; 0: BlockLines
}

func (a *Archive) min() uint64 {
	if a.Min > 0 {
		return uint64(a.Min)
	}
	return BlockLines
}

// block is a whole block of the log: its entries, and the checkpoints over them.
type block struct {
	head        auditlog.Header
	entries     []auditlog.Entry
	checkpoints map[uint64]auditlog.Checkpoint
}

func (b *block) last() *auditlog.Entry { return &b.entries[len(b.entries)-1] }

// archive writes the blocks that are complete and not yet on this disk; the leader then takes blocks that are old
// enough out of the state.
func (a *Auditor) archive(ctx context.Context, leads bool) error {
	root, err := a.open()
	if err != nil {
		return err
	}
	err = a.archiveIn(ctx, root, leads)
	return errors.Join(err, root.Close())
}

func (a *Auditor) open() (*os.Root, error) {
	if err := os.MkdirAll(a.deps.Archive.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("auditor: %w", err)
	}
	root, err := os.OpenRoot(a.deps.Archive.Dir)
	if err != nil {
		return nil, fmt.Errorf("auditor: %w", err)
	}
	return root, nil
}

func (a *Auditor) archiveIn(ctx context.Context, root *os.Root, leads bool) error {
	head, err := a.head(ctx)
	if err != nil {
		return err
	}
	first, before := head.Forgotten+1, head.Before
	for ctx.Err() == nil {
		b, err := a.block(ctx, first, before, head.Checkpointed)
		if err != nil || b == nil {
			return err
		}
		if err = writeBlock(root, b); err != nil {
			return err
		}
		last := b.last()
		old := a.deps.Now().Sub(last.Line.At) > a.deps.Archive.Keep
		if leads && old && last.Number < head.Checkpointed {
			if err = a.forget(ctx, b); err != nil {
				return err
			}
		}
		first, before = last.Number+1, last.Digest
	}
	return ctx.Err()
}

func (a *Auditor) head(ctx context.Context) (ledger.AuditHead, error) {
	var head ledger.AuditHead
	err := a.deps.Log.Read(ctx, func(r consensus.Reader) error {
		var failed error
		head, failed = a.deps.Ledger.View(r).AuditHead()
		return failed
	})
	return head, err
}

// block reads the block that begins with a number; nil when it is not complete yet. Where it ends depends on nothing
// but the checkpoints, of which none is ever made behind a newer one: so every node ends it at the same line.
func (a *Auditor) block(ctx context.Context, first uint64, before auditlog.Digest, signed uint64) (*block, error) {
	full := first + a.deps.Archive.min() - 1
	if signed < full {
		return nil, nil //nolint:nilnil // nothing to do is an answer
	}
	b := &block{
		head:        auditlog.Header{Region: a.deps.Region, First: first, Before: before},
		checkpoints: map[uint64]auditlog.Checkpoint{},
	}
	var end uint64
	err := a.deps.Log.Read(ctx, func(r consensus.Reader) error {
		v := a.deps.Ledger.View(r)
		failed := v.AuditCheckpoints(first, func(p *auditlog.Checkpoint) bool {
			b.checkpoints[p.Number] = *p
			end = p.Number
			return p.Number < full
		})
		if most := first + blockTimes*a.deps.Archive.min() - 1; end > most {
			delete(b.checkpoints, end)
			end = most
		}
		if failed != nil || end < full {
			return failed
		}
		return v.AuditLines(first, func(e *auditlog.Entry) bool {
			b.entries = append(b.entries, *e)
			return e.Number < end
		})
	})
	if err != nil || len(b.entries) == 0 {
		return nil, err
	}
	if b.entries[0].Number != first || b.last().Number != end {
		return nil, nil //nolint:nilnil // somebody has just taken it out of the state
	}
	return b, nil
}

// fileName sorts as the numbers do.
func fileName(first uint64) string { return fmt.Sprintf("audit-%016d.jsonl", first) }

// writeBlock writes the file of a block unless it is there: whole or not at all.
func writeBlock(root *os.Root, b *block) error {
	name := fileName(b.head.First)
	if _, err := root.Stat(name); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temporary := name + ".new"
	f, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("auditor: %w", err)
	}
	if err = errors.Join(fill(f, b), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("auditor: %w", err)
	}
	if err = root.Rename(temporary, name); err != nil {
		return fmt.Errorf("auditor: %w", err)
	}
	dir, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("auditor: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func fill(f *os.File, b *block) error {
	w, err := auditlog.NewWriter(f, b.head)
	if err != nil {
		return err
	}
	for i := range b.entries {
		if err = w.Entry(&b.entries[i]); err != nil {
			return err
		}
		if p, ok := b.checkpoints[b.entries[i].Number]; ok {
			if err = w.Checkpoint(&p); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// forget takes a block out of the state, in steps.
func (a *Auditor) forget(ctx context.Context, b *block) error {
	for i := range b.entries {
		if (i+1)%forgetStep != 0 && i != len(b.entries)-1 {
			continue
		}
		e := &b.entries[i]
		if err := a.propose(ctx, &ledger.ForgetAudit{Through: e.Number, Digest: e.Digest}); err != nil {
			return err
		}
	}
	return nil
}
