package auditlog

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// A file is one JSON document a line: a header, then entries in the order of their numbers, each checkpoint behind the
// entry that it covers. The same entries and checkpoints give the same bytes.

const fileVersion = 1

// rowMax is how long one line of a file may be: a Line at all its bounds, with every byte escaped, is shorter.
const rowMax = 64 << 10

// Header begins a file.
type Header struct {
	Region string
	First  uint64 // number of the first entry
	Before Digest // digest of the entry before it; zeros before the first of all
}

type headerRow struct {
	Version int    `json:"gongji_audit"`
	Region  string `json:"region"`
	First   uint64 `json:"first"`
	Before  string `json:"before"`
}

type row struct {
	Entry      *entryRow      `json:"entry,omitempty"`
	Checkpoint *checkpointRow `json:"checkpoint,omitempty"`
}

type entryRow struct {
	Number   uint64    `json:"number"`
	At       time.Time `json:"at"`
	Noted    time.Time `json:"noted"`
	Node     string    `json:"node"`
	Event    string    `json:"event"`
	Operator string    `json:"operator,omitempty"`
	Object   string    `json:"object,omitempty"`
	Result   string    `json:"result,omitempty"`
	Count    int       `json:"count"`
	Attrs    []Attr    `json:"attrs,omitempty"`
	Digest   string    `json:"digest"`
}

type checkpointRow struct {
	Region    string    `json:"region"`
	Number    uint64    `json:"number"`
	Digest    string    `json:"digest"`
	At        time.Time `json:"at"`
	KeyID     string    `json:"key_id"`
	Signature []byte    `json:"signature"`
}

// Writer writes a file.
type Writer struct{ out *bufio.Writer }

// NewWriter writes the header. The caller calls Flush at the end.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	out := &Writer{bufio.NewWriter(w)}
	return out, out.put(headerRow{fileVersion, h.Region, h.First, hex.EncodeToString(h.Before[:])})
}

// Entry writes an entry.
func (w *Writer) Entry(e *Entry) error { return w.put(row{Entry: rowOf(e)}) }

// Checkpoint writes a checkpoint.
func (w *Writer) Checkpoint(p *Checkpoint) error {
	return w.put(row{Checkpoint: &checkpointRow{
		p.Region, p.Number, hex.EncodeToString(p.Digest[:]), p.At, p.KeyID, p.Signature,
	}})
}

// Flush hands on what is buffered.
func (w *Writer) Flush() error { return w.out.Flush() }

func (w *Writer) put(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("auditlog: %w", err)
	}
	_, err = w.out.Write(append(data, '\n'))
	return err
}

func rowOf(e *Entry) *entryRow {
	l := &e.Line
	return &entryRow{
		e.Number, l.At, l.Noted, l.Node, l.Event, l.Operator, l.Object, l.Result, l.Count, l.Attrs,
		hex.EncodeToString(e.Digest[:]),
	}
}

func (r *entryRow) entry() (Entry, bool) {
	e := Entry{Number: r.Number, Line: Line{
		At: r.At, Noted: r.Noted, Node: r.Node, Event: r.Event, Operator: r.Operator, Object: r.Object, Result: r.Result,
		Count: r.Count, Attrs: r.Attrs,
	}}
	return e, digestOf(r.Digest, &e.Digest)
}

func (r *checkpointRow) checkpoint() (Checkpoint, bool) {
	p := Checkpoint{Region: r.Region, Number: r.Number, At: r.At, KeyID: r.KeyID, Signature: r.Signature}
	return p, digestOf(r.Digest, &p.Digest)
}

func digestOf(text string, into *Digest) bool {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != HashSize {
		return false
	}
	*into = Digest(raw)
	return true
}

// Item is one line of a file behind the header: an entry or a checkpoint.
type Item struct {
	Entry      *Entry
	Checkpoint *Checkpoint
}

// Reader reads a file, strictly: each line must be the bytes that Writer makes of its values.
type Reader struct {
	Header Header
	Row    int // of the file, from 1, that was read last
	scan   *bufio.Scanner
}

// NewReader reads the header. Errors: FormatError, those of r.
func NewReader(r io.Reader) (*Reader, error) {
	out := &Reader{scan: bufio.NewScanner(r)}
	out.scan.Buffer(nil, rowMax)
	var h headerRow
	more, err := out.next(&h)
	if err != nil {
		return nil, err
	}
	out.Header = Header{Region: h.Region, First: h.First}
	if !more || h.Version != fileVersion || h.First == 0 || !digestOf(h.Before, &out.Header.Before) {
		return nil, &FormatError{1}
	}
	return out, nil
}

// Next reads the next line; false at the end of the file. Errors: FormatError, those of the file.
func (r *Reader) Next() (Item, bool, error) {
	var one row
	more, err := r.next(&one)
	if err != nil || !more {
		return Item{}, false, err
	}
	if one.Entry != nil && one.Checkpoint == nil {
		if e, ok := one.Entry.entry(); ok {
			return Item{Entry: &e}, true, nil
		}
	}
	if one.Checkpoint != nil && one.Entry == nil {
		if p, ok := one.Checkpoint.checkpoint(); ok {
			return Item{Checkpoint: &p}, true, nil
		}
	}
	return Item{}, false, &FormatError{r.Row}
}

func (r *Reader) next(into any) (bool, error) {
	r.Row++
	if !r.scan.Scan() {
		if err := r.scan.Err(); err != nil {
			return false, fmt.Errorf("auditlog: row %d: %w", r.Row, err)
		}
		return false, nil
	}
	raw := r.scan.Bytes()
	if json.Unmarshal(raw, into) != nil {
		return false, &FormatError{r.Row}
	}
	same, err := json.Marshal(into)
	if err != nil || !bytes.Equal(same, raw) {
		return false, &FormatError{r.Row}
	}
	return true, nil
}

// FormatError is a line of a file that no Writer makes.
type FormatError struct{ Row int }

// Error names the line.
func (e *FormatError) Error() string {
	return fmt.Sprintf("auditlog: line %d of the file is damaged, cut or not of this form", e.Row)
}

// EncodeCheckpoint writes a checkpoint that is kept alone, outside of any file of lines.
func EncodeCheckpoint(p *Checkpoint) []byte {
	data, err := json.Marshal(row{Checkpoint: &checkpointRow{
		p.Region, p.Number, hex.EncodeToString(p.Digest[:]), p.At, p.KeyID, p.Signature,
	}})
	if err != nil { // strings, numbers and a time of this century: cannot be
		return nil
	}
	return append(data, '\n')
}

// DecodeCheckpoint reads what EncodeCheckpoint wrote. Errors: FormatError.
func DecodeCheckpoint(data []byte) (*Checkpoint, error) {
	var one row
	if json.Unmarshal(data, &one) != nil || one.Checkpoint == nil || one.Entry != nil {
		return nil, &FormatError{1}
	}
	p, ok := one.Checkpoint.checkpoint()
	if !ok {
		return nil, &FormatError{1}
	}
	return &p, nil
}
