package membus

import (
	"context"
	"errors"
	"fmt"

	"gongji/federation"
)

// boardMax is how many records the board keeps; the oldest go first.
const boardMax = 1 << 12

var _ federation.Board = (*Bus)(nil)

var errKey = errors.New("membus: a key is needed")

// posted is a record of the board. Offsets have gaps after Compact.
type posted struct {
	offset int64
	key    string
	value  []byte // nil: the key was taken away
}

// Post puts a record under a key on the board, if it is not cut. The faults of lanes do not touch it.
func (b *Bus) Post(ctx context.Context, key string, value []byte) error {
	switch {
	case key == "":
		return errKey
	case len(value) > federation.RecordMax:
		return federation.ErrRecordTooLarge
	case ctx.Err() != nil:
		return ctx.Err()
	}
	b.mu.Lock()
	s := b.lane(federation.Lane{})
	if b.isClosed() {
		b.mu.Unlock()
		return federation.ErrClosed
	}
	if s.cut {
		b.mu.Unlock()
		return b.unreachable(ctx, federation.Lane{})
	}
	defer b.mu.Unlock()
	p := posted{offset: s.first, key: key}
	if value != nil {
		p.value = append([]byte{}, value...)
	}
	if n := len(s.board); n > 0 {
		p.offset = s.board[n-1].offset + 1
	}
	s.board = append(s.board, p)
	if over := len(s.board) - boardMax; over > 0 {
		s.board = append([]posted(nil), s.board[over:]...)
	}
	s.changed()
	return nil
}

// Posted reads the board as Fetch reads a lane.
func (b *Bus) Posted(ctx context.Context, offset int64) ([]federation.Record, int64, error) {
	return b.Fetch(ctx, federation.Lane{}, offset)
}

// Compact takes every record of the board away that a later one of its key has replaced.
func (b *Bus) Compact() {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.lane(federation.Lane{})
	newest := map[string]int64{}
	for _, p := range s.board {
		newest[p.key] = p.offset
	}
	kept := make([]posted, 0, len(newest))
	for _, p := range s.board {
		if newest[p.key] == p.offset {
			kept = append(kept, p)
		}
	}
	s.board = kept
	s.changed()
}

func (s *lane) readBoard(offset int64) ([]federation.Record, int64, error) {
	end := s.first
	if n := len(s.board); n > 0 {
		end = s.board[n-1].offset + 1
	}
	if offset > end || offset < 0 {
		return nil, 0, fmt.Errorf("%w: the log ends at %d", federation.ErrRewound, end)
	}
	var out []federation.Record
	next, size := offset, 0
	for _, p := range s.board {
		if p.offset < offset {
			continue
		}
		if size += len(p.value); size > batchMax && len(out) > 0 {
			break
		}
		rec := federation.Record{Offset: p.offset}
		if p.value != nil {
			rec.Value = append([]byte{}, p.value...)
		}
		out, next = append(out, rec), p.offset+1
	}
	return out, next, nil
}
