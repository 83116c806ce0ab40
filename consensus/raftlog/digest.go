package raftlog

import (
	"crypto/sha256"
	"slices"
	"sync"

	"gongji/consensus"
)

// digestsKept bounds the digests that a node remembers: the last 64 multiples of
// DigestInterval, so members up to 16,384 entries apart can still be compared.
const digestsKept = 64

// digestAt is the digest of the state after all entries up to Index.
type digestAt struct {
	index  uint64
	digest [sha256.Size]byte
}

// digests remembers digests at multiples of DigestInterval, in memory: after a restart
// it begins anew, as all members do sooner or later.
type digests struct {
	mu   sync.Mutex
	ring []digestAt // ascending
}

// passed notes that the state went from one mark to the next. If a multiple lies
// between them (entries that change nothing have numbers too), the state had the
// first mark's digest there.
func (d *digests) passed(from, to mark) {
	at := (to.index - 1) / consensus.DigestInterval * consensus.DigestInterval
	if at < from.index || at == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.ring); n > 0 && d.ring[n-1].index >= at {
		return
	}
	if len(d.ring) == digestsKept {
		d.ring = append(d.ring[:0], d.ring[1:]...)
	}
	d.ring = append(d.ring, digestAt{index: at, digest: from.digest})
}

// forget drops what is ahead of a restored state.
func (d *digests) forget(index uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n := len(d.ring); n > 0 && d.ring[n-1].index > index; n-- {
		d.ring = d.ring[:n-1]
	}
}

func (d *digests) all() []digestAt {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]digestAt(nil), d.ring...)
}

// outvoted returns the newest index at which at least quorum others agree on one
// digest that is not this node's, and whether there is one.
func (d *digests) outvoted(others [][]digestAt, quorum int) (uint64, bool) {
	mine := d.all()
	for _, m := range slices.Backward(mine) {
		votes := make(map[[sha256.Size]byte]int, len(others))
		for _, other := range others {
			for _, o := range other {
				if o.index == m.index {
					votes[o.digest]++
				}
			}
		}
		for digest, n := range votes {
			if digest != m.digest && n >= quorum {
				return m.index, true
			}
		}
	}
	return 0, false
}
