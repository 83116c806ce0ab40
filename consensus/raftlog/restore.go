package raftlog

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// restore replaces the state by the tar of a snapshot at index (0: whatever it
// holds). It unpacks and checks beside the live state, waits until nobody reads, and swaps.
// After a crash anywhere in it, the node opens the old state or the new one: see
// dirs.finishSwap. It is called by the goroutine that applies, or before it runs.
func (s *store) restore(ctx context.Context, r io.Reader, index uint64) error {
	if err := removeTree(s.fs, s.dirs.incoming); err != nil {
		return err
	}
	if err := untar(s.fs, s.dirs.incoming, r); err != nil {
		return err
	}
	db, m, err := s.openDB(s.dirs.incoming)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if err := db.Close(); err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if index != 0 && m.index != index {
		return fmt.Errorf("%w: state at %d in a snapshot at %d", ErrSnapshot, m.index, index)
	}
	if err := moveDir(s.fs, s.dirs.incoming, s.dirs.ready); err != nil {
		return err
	}
	return s.replace(ctx)
}

// replace closes the live database when its last reader has gone, and opens the ready
// one in its place. New readers wait.
func (s *store) replace(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	db, swap := s.db, make(chan struct{})
	s.db, s.swap = nil, swap
	idle := s.lastReader()
	s.mu.Unlock()
	var errs []error
	select {
	case <-idle:
	case <-ctx.Done():
		// The node stops: what is ready takes its place at the next start.
		errs = append(errs, ctx.Err())
	}
	if len(errs) == 0 && db != nil {
		errs = append(errs, db.Close())
		db = nil
	}
	if errors.Join(errs...) == nil {
		errs = append(errs, s.dirs.finishSwap(s.fs))
	}
	var m mark
	if errors.Join(errs...) == nil {
		opened, at, err := s.openDB(s.dirs.live)
		db, m, errs = opened, at, append(errs, err)
	}
	err := errors.Join(errs...)
	s.mu.Lock()
	s.db, s.swap = db, nil
	if err == nil {
		s.mark = m
		if s.moved != nil {
			close(s.moved)
			s.moved = nil
		}
	}
	s.mu.Unlock()
	close(swap)
	return err
}
