package ledger

import "gongji/gateway/internal/record"

// DestroyKey has a key of the region destroyed on every node, at the word of two security officers. It is an order:
// each node carries it out when it meets it, and says so by a KeyDestroyed.
type DestroyKey struct {
	ID       string
	Use      string // as crypto.Use names it
	Operator string
	Second   string
	Reason   string
}

// Kind and Walk make a DestroyKey a Command.
func (*DestroyKey) Kind() Kind { return KindDestroyKey }

// Walk walks over the fields.
func (d *DestroyKey) Walk(c *record.Coder) {
	record.Str(c, &d.ID)
	record.Str(c, &d.Use)
	record.Str(c, &d.Operator)
	record.Str(c, &d.Second)
	record.Str(c, &d.Reason)
}

// KeyDestroyed is a node's word on what became of an ordered destruction there.
type KeyDestroyed struct {
	ID   string
	Node string
	End  KeyEnd
}

// Kind and Walk make a KeyDestroyed a Command.
func (*KeyDestroyed) Kind() Kind { return KindKeyDestroyed }

// Walk walks over the fields.
func (d *KeyDestroyed) Walk(c *record.Coder) {
	record.Str(c, &d.ID)
	record.Str(c, &d.Node)
	record.Str(c, &d.End)
}
