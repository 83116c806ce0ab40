package api

import (
	"sync"
	"time"
)

// nonceWindow is what the time of a request may be off by, in either direction (api.md section 1).
const nonceWindow = 300 * time.Second

// nonceLife is how long a nonce can be of use to somebody who repeats a request: until the time that it carries is
// too old.
const nonceLife = 2 * nonceWindow

// nonceSlack is what a nonce may be kept longer, since whole minutes are forgotten at a time.
const nonceSlack = 2 * time.Minute

// noncesMax bounds what is remembered of one key: some 40 MB.
const noncesMax = 1 << 20

// noncesOf is the bound for one key. A key that keeps its rate can never reach it.
func noncesOf(rate int) int {
	if rate <= 0 {
		return noncesMax
	}
	return min((rate+1)*int((nonceLife+nonceSlack)/time.Second), noncesMax)
}

// nonceID is a hashed nonce: half an SM3, so that long nonces cost no more than short ones.
type nonceID = [16]byte

// nonces remembers the nonces of one key for as long as they matter. It lives in the leader's memory: the nonce of a
// write is judged again in the log, where the next leader finds it, and a read that was signed before the present term
// is refused.
type nonces struct {
	mu    sync.Mutex
	most  int
	seen  map[nonceID]struct{}
	slots map[int64][]nonceID // by the minute in which they may be forgotten
}

// resized is the same memory under another bound.
func (n *nonces) resized(most int) *nonces {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.most = most
	return n
}

func newNonces(most int) *nonces {
	return &nonces{most: most, seen: map[nonceID]struct{}{}, slots: map[int64][]nonceID{}}
}

// nonceResult is what became of a nonce.
type nonceResult int

const (
	nonceNew nonceResult = iota
	nonceSeen
	nonceFull
)

// add remembers a nonce that a request of the time at carried, until that time is too old.
func (n *nonces) add(id nonceID, at, now time.Time) nonceResult {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forget(now)
	if _, ok := n.seen[id]; ok {
		return nonceSeen
	}
	if len(n.seen) >= n.most {
		return nonceFull
	}
	n.seen[id] = struct{}{}
	slot := minute(at.Add(nonceWindow)) + 1
	n.slots[slot] = append(n.slots[slot], id)
	return nonceNew
}

// forget drops the slots that are over. There are at most nonceLife's minutes of them.
func (n *nonces) forget(now time.Time) {
	present := minute(now)
	for slot, ids := range n.slots {
		if slot > present {
			continue
		}
		for _, id := range ids {
			delete(n.seen, id)
		}
		delete(n.slots, slot)
	}
}

func minute(t time.Time) int64 { return t.Unix() / 60 }
