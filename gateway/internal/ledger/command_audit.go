package ledger

import (
	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/record"
)

// The kinds of the audit log.
const (
	KindNoteAudit      Kind = 75
	KindKeepCheckpoint Kind = 76
	KindForgetAudit    Kind = 77
)

// NoteAudit brings lines of one node into the audit log, in their order. The batch's id makes a repeat harmless: a node
// sends a batch again until it knows that it stands in the log.
type NoteAudit struct {
	Node  string
	Batch [16]byte
	Lines []auditlog.Line
}

// Kind and Walk make a NoteAudit a Command.
func (*NoteAudit) Kind() Kind { return KindNoteAudit }

// Walk walks over the fields.
func (n *NoteAudit) Walk(c *record.Coder) {
	record.Str(c, &n.Node)
	c.Fixed(n.Batch[:])
	record.List(c, &n.Lines)
}

// KeepCheckpoint brings a checkpoint that the leader has signed.
type KeepCheckpoint struct{ Checkpoint auditlog.Checkpoint }

// Kind and Walk make a KeepCheckpoint a Command.
func (*KeepCheckpoint) Kind() Kind { return KindKeepCheckpoint }

// Walk walks over the fields.
func (k *KeepCheckpoint) Walk(c *record.Coder) { c.Sub(&k.Checkpoint) }

// ForgetAudit takes lines out of the state that stand in the archive's files: all up to Through.
type ForgetAudit struct {
	Through uint64
	Digest  [auditlog.HashSize]byte // of that line, as the file has it
}

// Kind and Walk make a ForgetAudit a Command.
func (*ForgetAudit) Kind() Kind { return KindForgetAudit }

// Walk walks over the fields.
func (f *ForgetAudit) Walk(c *record.Coder) {
	c.U64(&f.Through)
	c.Fixed(f.Digest[:])
}
