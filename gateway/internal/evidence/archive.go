package evidence

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
)

// An archive is a file of lines: 64 hex digits, a blank, JSON. The digits are the digest over those of the line before
// and this line's JSON, so the digits of the last line stand for the whole file; the first line names those of the file
// before. The first line whose digits are wrong is the one that was changed. Every node of a region writes the same
// bytes.

// ArchiveFormat names the form of an archive.
const ArchiveFormat = "gongji-archive-v1"

const sealContext = "gongji-archive-v1\x00"

// lineMax bounds one line: a parcel of 512 KiB in base64, its leaves and names.
const lineMax = 2 << 20

// ErrArchive: an archive is not good. The text names the file and the line.
var ErrArchive = errors.New("evidence: archive")

// Kinds of lines.
const (
	lineHead     = "head"
	lineReceived = "received"
	lineSent     = "sent"
	lineReceipt  = "receipt"
	lineAsked    = "asked" // a platform's request; its peer is the region itself
	lineEnd      = "end"
)

// archiveLine is the JSON of any line; what does not belong to its kind is left out.
type archiveLine struct {
	Kind     string `json:"kind"`
	Format   string `json:"format,omitempty"` // head
	Region   string `json:"region,omitempty"`
	No       uint64 `json:"no,omitempty"`
	Previous string `json:"previous,omitempty"`

	Peer   federation.Region `json:"peer,omitempty"` // the others
	Epoch  uint64            `json:"epoch,omitempty"`
	Number uint64            `json:"number,omitempty"`
	At     *time.Time        `json:"at,omitempty"`

	Header    []byte           `json:"header,omitempty"`
	Signature []byte           `json:"signature,omitempty"`
	Leaves    []byte           `json:"leaves,omitempty"`
	Messages  []archiveMessage `json:"messages,omitempty"`

	Chain   []byte `json:"chain,omitempty"` // sent
	Body    []byte `json:"body,omitempty"`
	Persons []byte `json:"persons,omitempty"`

	From   uint64 `json:"from,omitempty"` // receipt; ByEpoch and ByNumber name the received parcel that brought it
	Forked bool   `json:"forked,omitempty"`

	ByEpoch  uint64 `json:"by_epoch,omitempty"`
	ByNumber uint64 `json:"by_number,omitempty"`

	Entries uint64 `json:"entries,omitempty"` // end

	Asked *Request `json:"asked,omitempty"`
}

// archiveMessage is one message that a peer signed. The persons' salt is left out, as in every proof for others.
type archiveMessage struct {
	Number  uint64 `json:"number"`
	Chain   []byte `json:"chain"`
	Salt    []byte `json:"salt"`
	Body    []byte `json:"body"`
	Persons []byte `json:"persons,omitempty"`
}

// ArchiveWriter writes one archive.
type ArchiveWriter struct {
	out     io.Writer
	hash    federation.Hash
	last    [federation.HashSize]byte
	entries uint64
}

// NewArchiveWriter begins archive no of a region behind the one with the digest previous, zero for the first.
func NewArchiveWriter(
	out io.Writer, h federation.Hash, region federation.Region, no uint64, previous [federation.HashSize]byte,
) (*ArchiveWriter, error) {
	w := &ArchiveWriter{out: out, hash: h}
	return w, w.line(&archiveLine{
		Kind: lineHead, Format: ArchiveFormat, Region: string(region), No: no, Previous: hex.EncodeToString(previous[:]),
	})
}

func (w *ArchiveWriter) line(l *archiveLine) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	w.last = w.hash(w.last[:], data)
	_, err = fmt.Fprintf(w.out, "%x %s\n", w.last, data)
	return err
}

// Add writes one record.
func (w *ArchiveWriter) Add(a *ledger.Archived) error {
	l := &archiveLine{Peer: a.Peer, Epoch: a.Epoch, Number: a.Number}
	switch {
	case a.Received != nil:
		p := &a.Received.Parcel
		l.Kind, l.At, l.Header, l.Signature, l.Leaves = lineReceived, &a.Received.At, p.Header, p.Signature, p.Leaves
		for i := range p.Messages {
			m := &p.Messages[i]
			l.Messages = append(l.Messages, archiveMessage{
				m.Number, m.Chain[:], m.Salt[:], m.Body, nonZero(&m.PersonsDigest),
			})
		}
	case a.Sent != nil:
		l.Kind, l.At, l.Chain, l.Body = lineSent, &a.Sent.At, a.Sent.Chain[:], a.Sent.Body
		if a.Sent.Persons != nil {
			l.Persons = nonZero(&a.Sent.Persons.Digest)
		}
	case a.Receipt != nil:
		r := a.Receipt
		l.Kind, l.At, l.From, l.Forked = lineReceipt, &r.At, r.From, r.Forked
		l.Header, l.Signature, l.ByEpoch, l.ByNumber = r.Header, r.Signature, r.Epoch, r.First
	case a.Asked != nil:
		r := requestOf(a.Asked)
		l.Kind, l.Asked = lineAsked, &r
	}
	w.entries++
	return w.line(l)
}

func nonZero(d *[federation.HashSize]byte) []byte {
	if *d == [federation.HashSize]byte{} {
		return nil
	}
	return d[:]
}

// End closes the file. It returns how many records it has, and its digest.
func (w *ArchiveWriter) End() (uint64, [federation.HashSize]byte, error) {
	err := w.line(&archiveLine{Kind: lineEnd, Entries: w.entries})
	return w.entries, w.last, err
}

// Seal is the signed checkpoint of one archive, as it stands in a file beside it: JSON in one form.
type Seal struct {
	Region    string    `json:"region"`
	No        uint64    `json:"no"`
	Entries   uint64    `json:"entries"`
	Digest    string    `json:"digest"`
	Time      time.Time `json:"time"`
	KeyID     string    `json:"key_id"`
	Signature []byte    `json:"signature"`
}

// SealMessage is what the leader signs.
func SealMessage(region federation.Region, no, entries uint64, digest [federation.HashSize]byte, at time.Time) []byte {
	b := append([]byte(sealContext), region...)
	b = binary.BigEndian.AppendUint64(b, no)
	b = binary.BigEndian.AppendUint64(b, entries)
	b = append(b, digest[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(at.UnixMicro())) //nolint:gosec // after 1970
}

// EncodeSeal writes the seal of an archive's record.
func EncodeSeal(region federation.Region, a *ledger.ArchiveRecord) ([]byte, error) {
	data, err := json.Marshal(&Seal{
		string(region), a.No, a.Entries, hex.EncodeToString(a.Digest[:]), a.Time, a.KeyID, a.Signature,
	})
	return append(data, '\n'), err
}

// DecodeSeal reads a seal in its one form.
func DecodeSeal(data []byte) (*Seal, error) {
	var s Seal
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%w: a seal is not JSON", ErrArchive)
	}
	again, err := json.Marshal(&s)
	if err != nil || !bytes.Equal(append(again, '\n'), data) {
		return nil, fmt.Errorf("%w: a seal is not in its form", ErrArchive)
	}
	return &s, nil
}

// readLines visits the lines of one file, whose digits are checked, and returns the digest and the number of records.
func readLines(
	in io.Reader, h federation.Hash, visit func(*archiveLine) error,
) ([federation.HashSize]byte, uint64, error) {
	var last [federation.HashSize]byte
	var n, entries uint64
	ended := false
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 64<<10), lineMax)
	for scan.Scan() {
		n++
		raw := scan.Bytes()
		if ended {
			return last, entries, fmt.Errorf("%w: line %d stands behind the end", ErrArchive, n)
		}
		l, digest, err := readLine(h, last, raw)
		if err != nil {
			return last, entries, fmt.Errorf("%w: line %d %w", ErrArchive, n, err)
		}
		last = digest
		switch {
		case (n == 1) != (l.Kind == lineHead):
			return last, entries, fmt.Errorf("%w: line %d is not in its place", ErrArchive, n)
		case l.Kind == lineEnd:
			if ended = true; l.Entries != entries {
				return last, entries, fmt.Errorf("%w: it ends with %d records and has %d", ErrArchive, l.Entries, entries)
			}
			continue
		case l.Kind != lineHead:
			entries++
		}
		if err := visit(l); err != nil {
			return last, entries, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := scan.Err(); err != nil {
		return last, entries, fmt.Errorf("%w: line %d: %w", ErrArchive, n+1, err)
	}
	if !ended {
		return last, entries, fmt.Errorf("%w: it ends after line %d without its last line", ErrArchive, n)
	}
	return last, entries, nil
}

// ArchiveDigest is the digest of a file by its bytes alone: whether it is the sealed one is for the caller to see.
// Error: ErrArchive where a line's digits are not those of its content.
func ArchiveDigest(in io.Reader, h federation.Hash) ([federation.HashSize]byte, error) {
	var last [federation.HashSize]byte
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 64<<10), lineMax)
	for scan.Scan() {
		raw := scan.Bytes()
		if len(raw) <= lineDigits {
			return last, fmt.Errorf("%w: %w", ErrArchive, errLine)
		}
		last = h(last[:], raw[lineDigits+1:])
		if hex.EncodeToString(last[:]) != string(raw[:lineDigits]) {
			return last, fmt.Errorf("%w: %w", ErrArchive, errLine)
		}
	}
	return last, scan.Err()
}

var errLine = errors.New("is not as it was written")

func readLine(
	h federation.Hash, last [federation.HashSize]byte, raw []byte,
) (*archiveLine, [federation.HashSize]byte, error) {
	l, err := parseLine(raw)
	if err != nil {
		return nil, last, err
	}
	digest := h(last[:], raw[lineDigits+1:])
	if hex.EncodeToString(digest[:]) != string(raw[:lineDigits]) {
		return nil, last, errLine
	}
	return l, digest, nil
}

// lineDigits stand before each line's JSON.
const lineDigits = 2 * federation.HashSize

// parseLine reads a line in its one form; its digits are not checked.
func parseLine(raw []byte) (*archiveLine, error) {
	if len(raw) <= lineDigits || raw[lineDigits] != ' ' {
		return nil, errLine
	}
	data := raw[lineDigits+1:]
	var l archiveLine
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, errLine
	}
	if again, err := json.Marshal(&l); err != nil || !bytes.Equal(again, data) {
		return nil, errLine
	}
	return &l, nil
}
