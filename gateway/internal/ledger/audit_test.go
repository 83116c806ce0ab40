package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

func auditBatch(id byte, lines int) *ledger.NoteAudit {
	c := &ledger.NoteAudit{Node: "n1", Batch: [16]byte{id}}
	for i := range lines {
		c.Lines = append(c.Lines, auditlog.Line{Event: "parcel_refused", Object: fmt.Sprint(id, "-", i)})
	}
	return c
}

func (f *fed) auditHead() ledger.AuditHead {
	f.t.Helper()
	head, err := f.view(beijing).AuditHead()
	if err != nil {
		f.t.Fatal(err)
	}
	return head
}

// TestAuditChain: lines are numbered without a gap, dated by the log and chained; a batch that comes again is not
// taken again, and one of another node with the same id is.
func TestAuditChain(t *testing.T) {
	t.Parallel()
	f := federationOf(t, beijing)
	for _, c := range []*ledger.NoteAudit{auditBatch(1, 3), auditBatch(1, 3), auditBatch(2, 2)} {
		f.done(beijing, c)
		f.now = f.now.Add(time.Second)
	}
	other := auditBatch(2, 1)
	other.Node = "n2"
	f.done(beijing, other)
	var before auditlog.Digest
	n := uint64(0)
	err := f.view(beijing).AuditLines(1, func(e *auditlog.Entry) bool {
		n++
		before = auditlog.Next(hash, before, n, &e.Line)
		if e.Number != n || e.Digest != before || e.Line.At.IsZero() || e.Line.Count != 1 {
			t.Errorf("line %d: %+v", n, e)
		}
		return true
	})
	if head := f.auditHead(); err != nil || n != 6 || head.Number != 6 || head.Digest != before {
		t.Errorf("%d lines, %v, %+v", n, err, head)
	}
}

// TestCheckpoints: what does not say what the chain says is not kept, and lines leave the state only under a
// checkpoint, with the digest that a file has.
func TestCheckpoints(t *testing.T) {
	t.Parallel()
	f := federationOf(t, beijing)
	f.done(beijing, auditBatch(1, 9))
	var at [10]auditlog.Digest
	if err := f.view(beijing).AuditLines(1, func(e *auditlog.Entry) bool {
		at[e.Number] = e.Digest
		return true
	}); err != nil {
		t.Fatal(err)
	}
	point := func(number uint64, digest auditlog.Digest, region string) *ledger.KeepCheckpoint {
		return &ledger.KeepCheckpoint{Checkpoint: auditlog.Checkpoint{Region: region, Number: number, Digest: digest}}
	}
	refused := func(what string, c ledger.Command) {
		t.Helper()
		t.Log(what)
		f.refused(beijing, c, policy.CodeWrongState)
	}
	refused("another digest", point(5, at[4], "110000"))
	refused("another region", point(5, at[5], "310000"))
	refused("a line to come", point(10, at[9], "110000"))
	refused("forgotten without a checkpoint", &ledger.ForgetAudit{Through: 3, Digest: at[3]})
	f.done(beijing, point(5, at[5], "110000"))
	refused("an older one", point(4, at[4], "110000"))
	f.done(beijing, point(8, at[8], "110000"))
	refused("forgotten with another digest", &ledger.ForgetAudit{Through: 5, Digest: at[6]})
	refused("the newest checkpoint forgotten", &ledger.ForgetAudit{Through: 8, Digest: at[8]})
	f.done(beijing, &ledger.ForgetAudit{Through: 5, Digest: at[5]})
	f.done(beijing, &ledger.ForgetAudit{Through: 5, Digest: at[5]})
	first, points := uint64(0), 0
	if err := f.view(beijing).AuditLines(0, func(e *auditlog.Entry) bool {
		first = e.Number
		return false
	}); err != nil {
		t.Fatal(err)
	}
	if err := f.view(beijing).AuditCheckpoints(0, func(p *auditlog.Checkpoint) bool {
		points++
		return p.Number == 8
	}); err != nil {
		t.Fatal(err)
	}
	if head := f.auditHead(); first != 6 || points != 1 || head.Forgotten != 5 || head.Before != at[5] {
		t.Errorf("first %d, %d checkpoints, %+v", first, points, head)
	}
}
