package ledger

import (
	"slices"
	"time"

	"gongji/consensus"
	"gongji/gateway/internal/record"
)

// destroyedMax bounds the keys whose destruction is remembered: some hundred years of monthly keys. They are never
// forgotten, so that a key which comes back with an old backup of a node's folder is destroyed again. Past it nothing
// more is ordered.
const destroyedMax = 4096

// KeyEnd says what became of a key at one node.
type KeyEnd string

// The ends. A node that has not the key, or not any more, is as far as one that has destroyed it.
const (
	KeyEndDestroyed KeyEnd = "destroyed"
	KeyEndAbsent    KeyEnd = "absent"   // the node had none: it shares its keys, or was stopped before it could say so
	KeyEndNoRight   KeyEnd = "no_right" // the node has no officer's PIN for its key module; it tries again
	KeyEndFailed    KeyEnd = "failed"   // the key could not be destroyed; the node tries again
)

// valid reports whether it is one of them.
func (e KeyEnd) valid() bool {
	return slices.Contains([]KeyEnd{KeyEndDestroyed, KeyEndAbsent, KeyEndNoRight, KeyEndFailed}, e)
}

// Gone reports whether the node has the key no more.
func (e KeyEnd) Gone() bool { return e == KeyEndDestroyed || e == KeyEndAbsent }

// NodeEnd is the newest word of one node.
type NodeEnd struct {
	Node string
	End  KeyEnd
	At   time.Time
}

// Walk is the record.Record of a NodeEnd.
func (n *NodeEnd) Walk(c *record.Coder) {
	record.Str(c, &n.Node)
	record.Str(c, &n.End)
	c.Time(&n.At)
}

// DestroyedKey is a key that two officers have had destroyed. It is never used again, whatever a node still has of it.
type DestroyedKey struct {
	ID       string
	Use      string
	Operator string
	Second   string
	Reason   string
	Ordered  time.Time
	Nodes    []NodeEnd // in the order in which they first said something
}

// Walk is the record.Record of a DestroyedKey.
func (d *DestroyedKey) Walk(c *record.Coder) {
	record.Str(c, &d.ID)
	record.Str(c, &d.Use)
	record.Str(c, &d.Operator)
	record.Str(c, &d.Second)
	record.Str(c, &d.Reason)
	c.Time(&d.Ordered)
	record.List(c, &d.Nodes)
}

// At is the newest word of a node; empty before the first.
func (d *DestroyedKey) At(node string) KeyEnd {
	for _, n := range d.Nodes {
		if n.Node == node {
			return n.End
		}
	}
	return ""
}

func readDestroyed(r consensus.Reader) (map[string]*DestroyedKey, error) {
	keys := map[string]*DestroyedKey{}
	var failed error
	lo := []byte{keyDestroyed}
	r.Scan(lo, prefixEnd(lo), func(key, value []byte) bool {
		d := new(DestroyedKey)
		failed = record.Decode(value, d)
		keys[string(key[1:])] = d
		return failed == nil
	})
	return keys, failed
}

// Destroyed are the keys whose destruction was ordered, by id.
func (v View) Destroyed() (map[string]*DestroyedKey, error) { return readDestroyed(v.r) }
