package bulletin

import (
	"sync"

	"gongji/federation"
)

// knownMax is how many refused contents are remembered; beyond it the oldest is forgotten, and audited again should it
// come again.
const knownMax = 1024

// known remembers what was refused for good, so that a repeat costs a digest and no audit line.
type known struct {
	mu    sync.Mutex
	whys  map[[federation.HashSize]byte]federation.Refusal
	order [][federation.HashSize]byte
}

// lasting: what refuses a content whatever the moment. The others may be good by a better clock, or against another
// directory.
func lasting(why federation.Refusal) bool {
	return why == federation.RefusedMalformed || why == federation.RefusedDirUnsigned
}

// why tells what a content was refused for, if that lasts.
func (k *known) why(sum [federation.HashSize]byte) (federation.Refusal, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	why, ok := k.whys[sum]
	return why, ok && lasting(why)
}

// add remembers a refusal and reports whether it is new.
func (k *known) add(sum [federation.HashSize]byte, why federation.Refusal) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	before, ok := k.whys[sum]
	if ok {
		k.whys[sum] = why
		return before != why
	}
	if k.whys == nil {
		k.whys = map[[federation.HashSize]byte]federation.Refusal{}
	}
	if len(k.order) == knownMax {
		delete(k.whys, k.order[0])
		k.order = append(k.order[:0:0], k.order[1:]...)
	}
	k.whys[sum] = why
	k.order = append(k.order, sum)
	return true
}
