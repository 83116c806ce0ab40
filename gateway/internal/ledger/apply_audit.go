package ledger

import (
	"encoding/binary"
	"slices"
	"time"

	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// Names under keyAudit.
const (
	auditHead       = "h"
	auditLine       = "l" // and the number
	auditCheckpoint = "c" // and the number
)

// batchesMax bounds the nodes whose newest batch is remembered: more than a region has, with all that were replaced.
const batchesMax = 64

// forgetMax is how many lines one ForgetAudit takes out.
const forgetMax = 4096

// AuditBatch is the newest batch of a node that stands in the log.
type AuditBatch struct {
	Node  string
	Batch [16]byte
}

// Walk is the record.Record of an AuditBatch.
func (b *AuditBatch) Walk(c *record.Coder) {
	record.Str(c, &b.Node)
	c.Fixed(b.Batch[:])
}

// AuditHead is where the chain of the audit log stands.
type AuditHead struct {
	Number       uint64 // of the newest line; 0: none
	Digest       [auditlog.HashSize]byte
	Forgotten    uint64                  // lines up to that one stand in the archive's files only
	Before       [auditlog.HashSize]byte // the digest of line Forgotten
	Checkpointed uint64                  // number of the newest checkpoint
	Batches      []AuditBatch
}

// Walk is the record.Record of an AuditHead.
func (h *AuditHead) Walk(c *record.Coder) {
	c.U64(&h.Number)
	c.Fixed(h.Digest[:])
	c.U64(&h.Forgotten)
	c.Fixed(h.Before[:])
	c.U64(&h.Checkpointed)
	record.List(c, &h.Batches)
}

func auditKey(name string, number uint64) []byte {
	return binary.BigEndian.AppendUint64(stateKey(keyAudit, name), number)
}

func (x *tx) auditHead() *AuditHead {
	h := get(x, x.l.audit, auditHead)
	if h == nil {
		h = &AuditHead{}
	}
	return h
}

// note chains lines into the audit log. Every command may call it: what it changes and what is told of it are one
// entry.
func (x *tx) note(now time.Time, lines ...auditlog.Line) {
	if len(lines) == 0 {
		return
	}
	h := x.auditHead()
	for _, l := range lines {
		l = l.Bounded()
		l.At, l.Count = now, max(l.Count, 1)
		h.Number++
		h.Digest = auditlog.Next(x.l.cfg.Hash, h.Digest, h.Number, &l)
		x.Set(auditKey(auditLine, h.Number), record.Encode(&auditlog.Entry{Number: h.Number, Digest: h.Digest, Line: l}))
	}
	put(x, x.l.audit, auditHead, h)
}

// noteAudit takes a batch of a node once.
func (x *tx) noteAudit(now time.Time, c *NoteAudit) Outcome {
	h := x.auditHead()
	at := slices.IndexFunc(h.Batches, func(b AuditBatch) bool { return b.Node == c.Node })
	if at >= 0 && h.Batches[at].Batch == c.Batch {
		return Outcome{Replay: true}
	}
	if at >= 0 {
		h.Batches = slices.Delete(h.Batches, at, at+1)
	}
	if len(h.Batches) >= batchesMax {
		h.Batches = slices.Delete(h.Batches, 0, 1) // the node that has been silent longest
	}
	h.Batches = append(h.Batches, AuditBatch{c.Node, c.Batch})
	put(x, x.l.audit, auditHead, h)
	x.note(now, c.Lines...)
	return Outcome{}
}

// keepCheckpoint keeps a checkpoint that is newer than all before and says what the chain says.
func (x *tx) keepCheckpoint(c *KeepCheckpoint) Outcome {
	h, p := x.auditHead(), &c.Checkpoint
	e := x.auditEntry(p.Number)
	if e == nil || p.Number <= h.Checkpointed || e.Digest != p.Digest || p.Region != string(x.l.cfg.Self) {
		return refuse(policy.CodeWrongState)
	}
	h.Checkpointed = p.Number
	put(x, x.l.audit, auditHead, h)
	x.Set(auditKey(auditCheckpoint, p.Number), record.Encode(p))
	return Outcome{}
}

// auditEntry reads a line; nil when it does not stand in the state.
func (x *tx) auditEntry(number uint64) *auditlog.Entry {
	data, ok := x.Get(auditKey(auditLine, number))
	if !ok {
		return nil
	}
	e := new(auditlog.Entry)
	if err := record.Decode(data, e); err != nil {
		x.fail(err)
		return nil
	}
	return e
}

// forgetAudit takes lines and checkpoints out of the state that a file has: no line that no checkpoint covers.
func (x *tx) forgetAudit(c *ForgetAudit) Outcome {
	h := x.auditHead()
	if c.Through <= h.Forgotten {
		return Outcome{Replay: true}
	}
	e := x.auditEntry(c.Through)
	if e == nil || e.Digest != c.Digest || c.Through >= h.Checkpointed || c.Through-h.Forgotten > forgetMax {
		return refuse(policy.CodeWrongState)
	}
	for n := h.Forgotten + 1; n <= c.Through; n++ {
		x.Delete(auditKey(auditLine, n))
		if key := auditKey(auditCheckpoint, n); has(x, key) {
			x.Delete(key)
		}
	}
	h.Forgotten, h.Before = c.Through, c.Digest
	put(x, x.l.audit, auditHead, h)
	return Outcome{}
}

func has(x *tx, key []byte) bool {
	_, ok := x.Get(key)
	return ok
}
