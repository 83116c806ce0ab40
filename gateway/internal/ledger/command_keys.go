package ledger

import "gongji/gateway/internal/record"

// The kinds of the rotation of keys at rest, and of the end of any key.
const (
	KindNameKeys      Kind = 50
	KindStartRotation Kind = 51
	KindConfirmKey    Kind = 52
	KindStageRotation Kind = 53
	KindRotatePage    Kind = 54
	KindDestroyKey    Kind = 55
	KindKeyDestroyed  Kind = 56
)

// newKeysCommand makes an empty command of one of these kinds.
func newKeysCommand(k Kind) Command {
	for _, c := range []Command{
		new(NameKeys), new(StartRotation), new(ConfirmKey), new(StageRotation), new(DestroyKey), new(KeyDestroyed),
	} {
		if c.Kind() == k {
			return c
		}
	}
	return new(RotatePage)
}

// NameKeys says which keys are in force where the state does not say it yet. A use that has a key keeps it.
type NameKeys struct{ Token, Data, Evidence string }

// Kind and Walk make a NameKeys a Command.
func (*NameKeys) Kind() Kind { return KindNameKeys }

// Walk walks over the fields.
func (n *NameKeys) Walk(c *record.Coder) {
	record.Str(c, &n.Token)
	record.Str(c, &n.Data)
	record.Str(c, &n.Evidence)
}

// StartRotation begins a rotation: from now on every node is asked whether it has the new key.
type StartRotation struct {
	Use      KeyUse
	New      string
	Probe    []byte
	Operator string
}

// Kind and Walk make a StartRotation a Command.
func (*StartRotation) Kind() Kind { return KindStartRotation }

// Walk walks over the fields.
func (s *StartRotation) Walk(c *record.Coder) {
	record.Str(c, &s.Use)
	record.Str(c, &s.New)
	c.Bytes(&s.Probe)
	record.Str(c, &s.Operator)
}

// ConfirmKey is a node's word that it has the new key of a rotation and has worked with it.
type ConfirmKey struct {
	Rotation uint64
	Node     string
}

// Kind and Walk make a ConfirmKey a Command.
func (*ConfirmKey) Kind() Kind { return KindConfirmKey }

// Walk walks over the fields.
func (f *ConfirmKey) Walk(c *record.Coder) {
	c.U64(&f.Rotation)
	record.Str(c, &f.Node)
}

// StageRotation moves a rotation that is being prepared on: the new key comes into force if all Nodes have confirmed
// it, or the rotation is given up.
type StageRotation struct {
	Rotation uint64
	Nodes    []string // the members of the group
	Cancel   bool
}

// Kind and Walk make a StageRotation a Command.
func (*StageRotation) Kind() Kind { return KindStageRotation }

// Walk walks over the fields.
func (s *StageRotation) Walk(c *record.Coder) {
	c.U64(&s.Rotation)
	record.Strs(c, &s.Nodes)
	c.Bool(&s.Cancel)
}

// MovedToken is one person's place in the index under the new key.
type MovedToken struct {
	Old, New, Name [32]byte
}

// Walk is the record.Record of a MovedToken.
func (m *MovedToken) Walk(c *record.Coder) {
	c.Fixed(m.Old[:])
	c.Fixed(m.New[:])
	c.Fixed(m.Name[:])
}

// Resealed is one sealed person under the new key. It counts only where the old bytes still stand.
type Resealed struct {
	Key   []byte   // of the record, without its letter
	Place int      // which of the record's sealed persons
	Old   [32]byte // digest of what stands there
	New   []byte
}

// Walk is the record.Record of a Resealed.
func (r *Resealed) Walk(c *record.Coder) {
	c.Bytes(&r.Key)
	record.Int(c, &r.Place)
	c.Fixed(r.Old[:])
	c.Bytes(&r.New)
}

// RotatePage is one page of a rotation's walk. One that does not begin where the walk stands changes nothing, so two
// leaders cannot do it twice.
type RotatePage struct {
	Rotation uint64
	Step     WalkStep
	After    []byte // where the walk stood when the page was read
	Next     []byte // where it goes on
	Last     bool   // nothing is left in this step
	Seen     int64
	Tokens   []MovedToken
	Sealed   []Resealed
}

// Kind and Walk make a RotatePage a Command.
func (*RotatePage) Kind() Kind { return KindRotatePage }

// Walk walks over the fields.
func (p *RotatePage) Walk(c *record.Coder) {
	c.U64(&p.Rotation)
	record.Int(c, &p.Step)
	c.Bytes(&p.After)
	c.Bytes(&p.Next)
	c.Bool(&p.Last)
	c.I64(&p.Seen)
	record.List(c, &p.Tokens)
	record.List(c, &p.Sealed)
}
