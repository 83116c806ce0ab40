package ledger

import (
	"time"

	"gongji/federation"
	"gongji/gateway/internal/record"
)

// The kinds of the archives' commands.
const (
	KindCutArchive   Kind = 66
	KindSealArchive  Kind = 67
	KindDropArchive  Kind = 68
	KindHoldArchives Kind = 69
)

// CutArchive closes an archive: everything that was applied or acked since the last cut, and nothing else, is in it. So
// every node writes the same file.
type CutArchive struct{ No uint64 }

// Kind and Walk make a CutArchive a Command.
func (*CutArchive) Kind() Kind { return KindCutArchive }

// Walk walks over the fields.
func (c *CutArchive) Walk(r *record.Coder) { r.U64(&c.No) }

// SealArchive is the leader's checkpoint of an archive that it has written: the digest of the file, signed.
type SealArchive struct {
	No        uint64
	Entries   uint64
	Digest    [federation.HashSize]byte
	Time      time.Time // of the signature
	KeyID     string
	Signature []byte
}

// Kind and Walk make a SealArchive a Command.
func (*SealArchive) Kind() Kind { return KindSealArchive }

// Walk walks over the fields.
func (s *SealArchive) Walk(c *record.Coder) {
	c.U64(&s.No)
	c.U64(&s.Entries)
	c.Fixed(s.Digest[:])
	c.Time(&s.Time)
	record.Str(c, &s.KeyID)
	c.Bytes(&s.Signature)
}

// DropArchive takes the next part of a sealed archive's evidence out of the state, if at least Need nodes have told
// that its file stands on their disks: a majority of the region's nodes, as the leader counts them.
type DropArchive struct {
	No   uint64
	Need int
}

// Kind and Walk make a DropArchive a Command.
func (*DropArchive) Kind() Kind { return KindDropArchive }

// Walk walks over the fields.
func (d *DropArchive) Walk(c *record.Coder) {
	c.U64(&d.No)
	record.Int(c, &d.Need)
}

// HoldArchives is a node's word that its disk has every archive up to a number that the state may still drop. A node
// whose disk was replaced says a smaller one.
type HoldArchives struct {
	Node    string
	Through uint64
}

// Kind and Walk make a HoldArchives a Command.
func (*HoldArchives) Kind() Kind { return KindHoldArchives }

// Walk walks over the fields.
func (h *HoldArchives) Walk(c *record.Coder) {
	record.Str(c, &h.Node)
	c.U64(&h.Through)
}

// heldRecord is what a node last said of its disk.
type heldRecord struct{ Through uint64 }

// Walk is the record.Record of a heldRecord.
func (h *heldRecord) Walk(c *record.Coder) { c.U64(&h.Through) }

// Span is a part of one direction of one link: from a place, exclusive, to another, inclusive. Places are ordered by
// epoch and number.
type Span struct {
	Peer                federation.Region
	Sent                bool
	FromEpoch, FromLast uint64
	ToEpoch, ToLast     uint64
	Asked               bool // of the requests of platforms; Peer is the region itself
}

// Walk is the record.Record of a Span.
func (s *Span) Walk(c *record.Coder) {
	record.Str(c, &s.Peer)
	c.Bool(&s.Sent)
	c.U64(&s.FromEpoch)
	c.U64(&s.FromLast)
	c.U64(&s.ToEpoch)
	c.U64(&s.ToLast)
	c.Bool(&s.Asked)
}

// empty reports whether nothing lies in the span.
func (s *Span) empty() bool { return s.FromEpoch == s.ToEpoch && s.FromLast >= s.ToLast }

// ArchiveRecord is one archive of evidence.
type ArchiveRecord struct {
	No    uint64
	Since time.Time // of the cut before
	Cut   time.Time
	Spans []Span // in the order of the file; empty when nothing of it is in the state any more
	// The seal; zero until the leader has written the file.
	Entries   uint64
	Digest    [federation.HashSize]byte
	Time      time.Time
	KeyID     string
	Signature []byte
	Gone      bool // the state has nothing of it any more
	Dropping  bool // a part has left the state
}

// Walk is the record.Record of an ArchiveRecord.
func (a *ArchiveRecord) Walk(c *record.Coder) {
	c.U64(&a.No)
	c.Time(&a.Since)
	c.Time(&a.Cut)
	record.List(c, &a.Spans)
	c.U64(&a.Entries)
	c.Fixed(a.Digest[:])
	c.Time(&a.Time)
	record.Str(c, &a.KeyID)
	c.Bytes(&a.Signature)
	c.Bool(&a.Gone)
	c.Bool(&a.Dropping)
}

// Sealed reports whether the archive's digest is signed.
func (a *ArchiveRecord) Sealed() bool { return a.KeyID != "" }

// cutRecord is how far the archives have come: the newest number, its cut, and the place on each link.
type cutRecord struct {
	No    uint64
	Cut   time.Time
	Spans []Span // To is where the next one begins
}

// Walk is the record.Record of a cutRecord.
func (p *cutRecord) Walk(c *record.Coder) {
	c.U64(&p.No)
	c.Time(&p.Cut)
	record.List(c, &p.Spans)
}

func newArchiveCommand(k Kind) Command {
	switch k { //nolint:exhaustive // newCommand knows the others
	case KindLed:
		return new(Led)
	case KindCutArchive:
		return new(CutArchive)
	case KindSealArchive:
		return new(SealArchive)
	case KindDropArchive:
		return new(DropArchive)
	case KindHoldArchives:
		return new(HoldArchives)
	}
	return nil
}
