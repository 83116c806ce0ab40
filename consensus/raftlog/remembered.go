package raftlog

import (
	"encoding/hex"

	"gongji/consensus"
)

// Digests returns what this node remembers of its state's digest, in hex, by index: the multiples
// of consensus.DigestInterval, and the index that is applied now. Empty before Run.
func (n *Node) Digests() map[uint64]string {
	out := make(map[uint64]string)
	p, err := n.current()
	if err != nil {
		return out
	}
	for _, d := range p.digests.all() {
		out[d.index] = hex.EncodeToString(d.digest[:])
	}
	m := p.store.now()
	out[m.index] = hex.EncodeToString(m.digest[:])
	return out
}

var _ consensus.Log = (*Node)(nil)
