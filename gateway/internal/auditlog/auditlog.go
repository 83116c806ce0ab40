// Package auditlog is the audit log of a region as data: lines, the chain of digests that binds them, the signed
// checkpoints over the chain, and files that anybody with the federation's directory can verify without the gateway
// (R-28; GB/T 22239-2019, audit of security).
//
// A line is numbered, dated and chained by the region's state machine: digest = SM3(0x04 ‖ digest before ‖ number ‖
// line). Whoever changes, removes or moves a line breaks the chain behind it; whoever makes the whole chain anew
// lacks the region's signing key for the checkpoints. No line names a person in the clear: masked numbers are the most
// that stands here.
package auditlog

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gongji/gateway/internal/record"
)

// HashSize is the size of an SM3 digest in bytes.
const HashSize = 32

// Digest is an SM3 digest.
type Digest = [HashSize]byte

// Hash is SM3 of the concatenation of parts.
type Hash = func(parts ...[]byte) Digest

// Bounds of a line. What is longer is cut, at the end of a character; what is more is left out.
const (
	WordMax  = 64  // bytes of node, event, operator, result and the name of an attribute
	TextMax  = 256 // bytes of the object and the value of an attribute
	AttrsMax = 16
)

// chainTag stands in front of what a link of the chain is the digest of; 0x00 to 0x03 are the federation's.
const chainTag = 4

// Results of what a line tells.
const (
	ResultDone     = "done"
	ResultRefused  = "refused"
	ResultFailed   = "failed"
	ResultIntended = "intended" // written before an act outside of the log; the outcome has a line of its own
)

// Attr is one named word of a line.
type Attr struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Line is one event: who did what to what, when, and what came of it.
type Line struct {
	At       time.Time // the stamp of the entry that brought it into the log
	Noted    time.Time // when its node saw it, by that node's clock
	Node     string
	Event    string // a stable name: parcel_refused, rules_set
	Operator string // whoever did it; empty where no operator had a hand in it
	Object   string // what it was done to
	Result   string
	Count    int // how many equal events within a second this line stands for
	Attrs    []Attr
}

// Walk is the record.Record of a Line.
func (l *Line) Walk(c *record.Coder) {
	c.Time(&l.At)
	c.Time(&l.Noted)
	record.Str(c, &l.Node)
	record.Str(c, &l.Event)
	record.Str(c, &l.Operator)
	record.Str(c, &l.Object)
	record.Str(c, &l.Result)
	record.Int(c, &l.Count)
	record.ListOf(c, &l.Attrs, func(c *record.Coder, a *Attr) {
		record.Str(c, &a.Name)
		record.Str(c, &a.Value)
	})
}

// Bounded is the line within the bounds: what an outsider sends may stand in it.
func (l *Line) Bounded() Line {
	out := *l
	for _, s := range []*string{&out.Node, &out.Event, &out.Operator, &out.Result} {
		*s = cut(*s, WordMax)
	}
	out.Object = cut(out.Object, TextMax)
	out.Attrs = slices.Clone(l.Attrs[:min(len(l.Attrs), AttrsMax)])
	for i := range out.Attrs {
		a := &out.Attrs[i]
		a.Name, a.Value = cut(a.Name, WordMax), cut(a.Value, TextMax)
	}
	return out
}

// cut keeps at most limit bytes of valid UTF-8, without half a character at the end.
func cut(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s
	}
	end := limit
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// Entry is a line with its place in the chain.
type Entry struct {
	Number uint64 // from 1, without a gap
	Digest Digest
	Line   Line
}

// Walk is the record.Record of an Entry.
func (e *Entry) Walk(c *record.Coder) {
	c.U64(&e.Number)
	c.Fixed(e.Digest[:])
	c.Sub(&e.Line)
}

// Next is the digest of the line with that number, behind the digest of the line before; the first line stands behind
// zeros.
func Next(hash Hash, before Digest, number uint64, l *Line) Digest {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], number)
	return hash([]byte{chainTag}, before[:], n[:], record.Encode(l))
}

// Checkpoint is the region's signed word that its chain stood at Digest with Number lines.
type Checkpoint struct {
	Region    string
	Number    uint64
	Digest    Digest
	At        time.Time // of the signature, in microseconds
	KeyID     string
	Signature []byte
}

// Walk is the record.Record of a Checkpoint.
func (p *Checkpoint) Walk(c *record.Coder) {
	record.Str(c, &p.Region)
	c.U64(&p.Number)
	c.Fixed(p.Digest[:])
	c.Time(&p.At)
	record.Str(c, &p.KeyID)
	c.Bytes(&p.Signature)
}

// checkpointTag begins what is signed, so that no signature over anything else is one over a checkpoint.
const checkpointTag = "gongji audit checkpoint 1\n"

// Message is what is signed: the tag, then region, number, digest and time.
func (p *Checkpoint) Message() []byte {
	b := append([]byte(checkpointTag), p.Region...)
	b = append(b, '\n')
	b = binary.BigEndian.AppendUint64(b, p.Number)
	b = append(b, p.Digest[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(p.At.UnixMicro())) //nolint:gosec // times are after 1970
}
