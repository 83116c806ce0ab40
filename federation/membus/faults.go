package membus

import "gongji/federation"

// SetFaults sets the faults of every lane that has none of its own. Zero: none.
func (b *Bus) SetFaults(f Faults) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = f
}

// SetLaneFaults gives one lane faults of its own.
func (b *Bus) SetLaneFaults(l federation.Lane, f Faults) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lane(l).faults = &f
}

// Cut makes a lane unreachable for both of its ends, until Mend.
func (b *Bus) Cut(l federation.Lane) { b.setCut(l, true) }

// Mend ends a Cut.
func (b *Bus) Mend(l federation.Lane) { b.setCut(l, false) }

func (b *Bus) setCut(l federation.Lane, cut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.lane(l)
	s.cut = cut
	s.changed()
}

// LoseTail takes the last n records away, acknowledged as they were. New ones get their offsets.
func (b *Bus) LoseTail(l federation.Lane, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.lane(l)
	s.records = s.records[:max(0, len(s.records)-n)]
	s.changed()
}

// Trim takes the first n records away, as retention does: the lane's start moves on.
func (b *Bus) Trim(l federation.Lane, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.lane(l)
	s.trim(min(n, len(s.records)))
	s.changed()
}

// Forget empties every lane; offsets begin again at 0. Records that are delayed still come.
func (b *Bus) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.lanes {
		s.records, s.board, s.first = nil, nil, 0
		s.changed()
	}
}

// Inject puts a record on the lane as it is, past all faults: what a hostile bus may do.
func (b *Bus) Inject(l federation.Lane, value []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lane(l).append(append([]byte{}, value...))
}

// Records are copies of what stands on the lane.
func (b *Bus) Records(l federation.Lane) []federation.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.lane(l)
	out := make([]federation.Record, 0, len(s.records))
	for i, v := range s.records {
		out = append(out, federation.Record{Offset: s.first + int64(i), Value: append([]byte{}, v...)})
	}
	return out
}
