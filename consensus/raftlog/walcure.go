package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// raft-wal v0.4.0, the only published version, has three faults around sealing a
// segment, each of which makes a node unable to start or to write after a crash that
// comes at the wrong moment. They are cured from outside:
//
//  1. A segment is sealed by the append that fills it; that it is sealed is noted in the metadata
//     a moment later. After a crash in between, the segment is opened as the tail and
//     refuses every append for ever. cureTail notes the sealing before the log is opened.
//  2. The index block of a sealing append that was torn by a crash counts as a seal. cureTail
//     wipes it.
//  3. Cutting off a conflicting tail marks the segment as sealed without writing its index
//     block (raft-wal issue 31); the next start cannot read it. walFiler opens such
//     a segment by reading it through, as one opens a tail.
//
// And one race: a cut of the log between the sealing append and the background rotation
// makes the rotation seal the wrong segment. walFiler knows when a rotation is due, and
// logStore waits for it.

// Layout of a segment, as far as the cures need it: frames of 8 bytes header (type,
// three zeros, length in little endian) and padding to 8.
const (
	walFrameHeader = 8
	walFrameIndex  = 2
	walIndexEntry  = 4
	cureRounds     = 16 // torn index blocks in one segment; more than one is already odd
)

// walFiler is raft-wal's segment filer with cure 3 and an eye on sealing.
type walFiler struct {
	types.SegmentFiler

	mu     sync.Mutex
	sealed chan struct{} // not nil while a rotation is due; closed when it has begun
}

func newWALFiler(dir string, fs walFS) *walFiler {
	return &walFiler{SegmentFiler: segment.NewFiler(dir, fs)}
}

// Open opens a sealed segment for reading.
func (f *walFiler) Open(info types.SegmentInfo) (types.SegmentReader, error) {
	if info.IndexStart == 0 {
		return f.SegmentFiler.RecoverTail(info)
	}
	return f.SegmentFiler.Open(info)
}

// Create makes a new tail.
func (f *walFiler) Create(info types.SegmentInfo) (types.SegmentWriter, error) {
	w, err := f.SegmentFiler.Create(info)
	if err != nil {
		return nil, err
	}
	return &walTail{SegmentWriter: w, filer: f}, nil
}

// RecoverTail opens an unsealed segment for writing.
func (f *walFiler) RecoverTail(info types.SegmentInfo) (types.SegmentWriter, error) {
	w, err := f.SegmentFiler.RecoverTail(info)
	if err != nil {
		return nil, err
	}
	return &walTail{SegmentWriter: w, filer: f}, nil
}

// walTail notices that it was sealed: raft-wal asks after each append.
type walTail struct {
	types.SegmentWriter
	filer *walFiler
}

// Sealed says whether the segment is full, and where its index begins.
func (t *walTail) Sealed() (bool, uint64, error) {
	sealed, start, err := t.SegmentWriter.Sealed()
	if sealed && err == nil {
		t.filer.mu.Lock()
		if t.filer.sealed == nil {
			t.filer.sealed = make(chan struct{})
		}
		t.filer.mu.Unlock()
	}
	return sealed, start, err
}

// committed is told of each new list of segments. The rotation holds raft-wal's write
// lock from before this until it is done, so who waited for it comes after it.
func (f *walFiler) committed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sealed != nil {
		close(f.sealed)
		f.sealed = nil
	}
}

// settled returns a channel that is closed when no rotation is due.
func (f *walFiler) settled() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sealed != nil {
		return f.sealed
	}
	none := make(chan struct{})
	close(none)
	return none
}

// cureTail brings the metadata and the last segment together before the log is opened.
func cureTail(dir string, fs walFS, meta *walMeta, segmentSize int) error {
	filer := segment.NewFiler(dir, fs)
	for range cureRounds {
		state := meta.body.Segments
		if len(state.Segments) == 0 {
			return nil
		}
		tail := state.Segments[len(state.Segments)-1]
		if !tail.SealTime.IsZero() {
			return nil
		}
		w, err := filer.RecoverTail(tail)
		if errors.Is(err, os.ErrNotExist) {
			return nil // raft-wal makes it
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDisk, err)
		}
		sealed, start, err := w.Sealed()
		last := w.LastIndex()
		if err = errors.Join(err, w.Close()); err != nil || !sealed {
			return err
		}
		whole, err := indexIsWhole(dir, fs, tail, start, last)
		if err != nil {
			return err
		}
		if whole {
			return noteSealed(meta, state, start, last, segmentSize)
		}
		if err := wipeIndex(dir, fs, tail, start); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: more than %d torn index blocks in one segment", ErrDisk, cureRounds)
}

// indexIsWhole says whether the index block at start has exactly the entries that
// are committed in the segment: a torn one counts the entries of its own lost append too.
func indexIsWhole(dir string, fs walFS, info types.SegmentInfo, start, last uint64) (bool, error) {
	if last < info.BaseIndex {
		return false, nil
	}
	r, err := fs.OpenReader(dir, segment.FileName(info))
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrDisk, err)
	}
	var head [walFrameHeader]byte
	_, err = r.ReadAt(head[:], int64(start)-walFrameHeader)
	if err = errors.Join(err, r.Close()); err != nil {
		return false, fmt.Errorf("%w: read the index of a segment: %w", ErrDisk, err)
	}
	entries := last - info.BaseIndex + 1
	return head[0] == walFrameIndex && uint64(binary.LittleEndian.Uint32(head[4:])) == entries*walIndexEntry, nil
}

// noteSealed writes what the rotation would have written: the tail is sealed, and a
// new one follows.
func noteSealed(meta *walMeta, state types.PersistentState, start, last uint64, segmentSize int) error {
	segments := append([]types.SegmentInfo(nil), state.Segments...)
	tail := &segments[len(segments)-1]
	now := time.Now()
	tail.SealTime, tail.MaxIndex, tail.IndexStart = now, last, start
	next := types.SegmentInfo{
		ID: state.NextSegmentID, BaseIndex: last + 1, MinIndex: last + 1, Codec: tail.Codec,
		CreateTime: now, SizeLimit: uint32(segmentSize),
	}
	return meta.CommitState(types.PersistentState{
		NextSegmentID: state.NextSegmentID + 1, Segments: append(segments, next),
	})
}

// wipeIndex ends the segment before a torn index block.
func wipeIndex(dir string, fs walFS, info types.SegmentInfo, start uint64) error {
	w, err := fs.OpenWriter(dir, segment.FileName(info))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	_, err = w.WriteAt(make([]byte, walFrameHeader), int64(start)-walFrameHeader)
	if err == nil {
		err = w.Sync()
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return nil
}
