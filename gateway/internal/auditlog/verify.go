package auditlog

import (
	"errors"
	"fmt"
	"io"
)

// What can be wrong with a log, in words that stay.
const (
	WrongFormat     = "format"     // a line of a file is damaged
	WrongRegion     = "region"     // of another region
	WrongNumber     = "number"     // a line is missing, stands twice or was moved
	WrongDigest     = "digest"     // a line was changed, or does not follow the one before
	WrongCheckpoint = "checkpoint" // a checkpoint says something else than the chain
	WrongSignature  = "signature"  // a checkpoint is not signed by the region
	WrongTail       = "tail"       // lines at the end are missing: a checkpoint covers them
	WrongUnsigned   = "unsigned"   // no checkpoint at all: nobody has signed any line
)

// BrokenError names the first thing that is wrong.
type BrokenError struct {
	File   string
	Row    int    // of the file, from 1
	Number uint64 // of the audit line
	What   string // one of the constants above
}

// Error says it in both languages.
func (e *BrokenError) Error() string {
	words := map[string]string{
		WrongFormat:     "the file is damaged here / 文件此处损坏",
		WrongRegion:     "it belongs to another region / 属于其他统筹区",
		WrongNumber:     "a line is missing, repeated or moved / 记录缺失、重复或次序被改",
		WrongDigest:     "a line was changed or removed / 记录被篡改或删除",
		WrongCheckpoint: "a checkpoint does not agree with the lines / 检查点与记录不符",
		WrongSignature:  "a checkpoint's signature is not the region's / 检查点签名无效",
		WrongTail:       "lines at the end were cut off / 末尾记录被截断",
		WrongUnsigned:   "no checkpoint signs these lines / 没有检查点为这些记录签名",
	}
	return fmt.Sprintf("auditlog: %s, row %d, line number %d: %s: %s", e.File, e.Row, e.Number, e.What, words[e.What])
}

// Report is what a log proves.
type Report struct {
	Region      string
	First, Last uint64
	Digest      Digest // of the last line
	Events      uint64 // that the lines stand for
	Checkpoints int
	Newest      *Checkpoint // the last one
}

// Unsigned is how many lines at the end stand behind the newest checkpoint.
func (r *Report) Unsigned() uint64 {
	if r.Newest == nil {
		return r.Last + 1 - r.First
	}
	return r.Last - min(r.Last, r.Newest.Number)
}

// Verifier checks files, one after the other in the order of their numbers, as one log.
type Verifier struct {
	Hash Hash
	// Check returns nil when the checkpoint's signature is the region's.
	Check func(*Checkpoint) error
	// Line, if it is there, is shown each line that is good.
	Line func(*Entry)

	report Report
	begun  bool
	file   string
	row    int
}

// File checks the next file. Errors: BrokenError, those of r.
func (v *Verifier) File(name string, r io.Reader) error {
	v.file, v.row = name, 1
	f, err := NewReader(r)
	if err != nil {
		return v.damaged(err)
	}
	if err = v.header(f.Header); err != nil {
		return err
	}
	for {
		item, more, err := f.Next()
		v.row = f.Row
		switch {
		case err != nil:
			return v.damaged(err)
		case !more:
			return nil
		case item.Entry != nil:
			err = v.entry(item.Entry)
		default:
			err = v.checkpoint(item.Checkpoint)
		}
		if err != nil {
			return err
		}
	}
}

// End says what was proven once all files were checked. newest is a checkpoint that was kept elsewhere, or nil: a log
// that ends before it was cut. Errors: BrokenError.
func (v *Verifier) End(newest *Checkpoint) (Report, error) {
	if newest != nil {
		if err := v.outside(newest); err != nil {
			return v.report, err
		}
	}
	switch {
	case v.report.Newest == nil:
		return v.report, v.broken(WrongUnsigned)
	case v.report.Newest.Number > v.report.Last:
		return v.report, v.broken(WrongTail)
	}
	return v.report, nil
}

func (v *Verifier) damaged(err error) error {
	if _, ok := errors.AsType[*FormatError](err); ok {
		return v.broken(WrongFormat)
	}
	return err
}

func (v *Verifier) broken(what string) error {
	return &BrokenError{v.file, v.row, v.report.Last + 1, what}
}

func (v *Verifier) header(h Header) error {
	if !v.begun {
		v.begun = true
		v.report = Report{Region: h.Region, First: h.First, Last: h.First - 1, Digest: h.Before}
		if h.First == 1 && h.Before != (Digest{}) {
			return v.broken(WrongDigest)
		}
		return nil
	}
	switch {
	case h.Region != v.report.Region:
		return v.broken(WrongRegion)
	case h.First != v.report.Last+1:
		return v.broken(WrongNumber)
	case h.Before != v.report.Digest:
		return v.broken(WrongDigest)
	}
	return nil
}

func (v *Verifier) entry(e *Entry) error {
	switch {
	case e.Number != v.report.Last+1:
		return v.broken(WrongNumber)
	case Next(v.Hash, v.report.Digest, e.Number, &e.Line) != e.Digest:
		return v.broken(WrongDigest)
	}
	v.report.Last, v.report.Digest = e.Number, e.Digest
	v.report.Events += uint64(max(e.Line.Count, 0)) //nolint:gosec // not negative
	if v.Line != nil {
		v.Line(e)
	}
	return nil
}

// checkpoint checks one that stands in a file: behind its line, or at the end with lines missing before it.
func (v *Verifier) checkpoint(p *Checkpoint) error {
	if err := v.covers(p, p.Number <= v.report.Last); err != nil {
		return err
	}
	v.report.Checkpoints++
	v.report.Newest = p
	return nil
}

// covers checks whose a checkpoint is and that its line is there; where exact, that the chain stands at it.
func (v *Verifier) covers(p *Checkpoint, exact bool) error {
	switch {
	case p.Region != v.report.Region:
		return v.broken(WrongRegion)
	case v.Check(p) != nil:
		return v.broken(WrongSignature)
	case p.Number > v.report.Last:
		return v.broken(WrongTail)
	case exact && (p.Number < v.report.Last || p.Digest != v.report.Digest):
		return v.broken(WrongCheckpoint)
	}
	return nil
}

// outside checks a checkpoint that was kept elsewhere against the end of the log.
func (v *Verifier) outside(p *Checkpoint) error {
	if err := v.covers(p, p.Number == v.report.Last); err != nil {
		return err
	}
	if v.report.Newest == nil && p.Number == v.report.Last {
		v.report.Newest = p
	}
	return nil
}
