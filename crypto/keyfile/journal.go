package keyfile

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"gongji/crypto"
)

// The journal of a ring is one file in its folder, a line of JSON for each step: what is about to be
// done, and then what came of it. Each line has the digest of the one before it, so a line that is
// changed, left out or put in between breaks the chain; lines cut off at the end are found because
// the keys in the folder no longer agree with it.
const (
	journalName = "journal"
	// journalMax bounds the file, in bytes: a ring that is full and destroyed has some five million.
	journalMax   = 64 << 20
	lineMax      = 4 << 10
	journalLabel = "gongji key journal v1"
)

// ErrJournal: the journal's chain is broken, or it does not agree with the keys.
var ErrJournal = errors.New("keyfile: the journal is not whole")

// Act is what was done to a ring.
type Act string

// The acts; never reused.
const (
	ActGenerate Act = "generate"
	ActImport   Act = "import"
	ActRestore  Act = "restore"
	ActDestroy  Act = "destroy"
	ActExport   Act = "export"
	ActBackup   Act = "backup"
	ActRewrap   Act = "rewrap"
)

// Phase is how far an act has come.
type Phase string

// The phases; never reused.
const (
	PhaseBegun  Phase = "begun"  // written before anything is done
	PhaseDone   Phase = "done"   // it is on disk
	PhaseFailed Phase = "failed" // nothing, or not all, was done
	// PhaseLost stands behind an act whose outcome nobody wrote: the process ended in between. The
	// folder says what came of it.
	PhaseLost Phase = "lost"
)

// Entry is one line of a journal.
type Entry struct {
	Seq    uint64    `json:"seq"` // from 1, without gaps
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	Act    Act       `json:"act"`
	Phase  Phase     `json:"phase"`
	Key    string    `json:"key,omitempty"` // the key's id; none for acts on the whole ring
	Reason string    `json:"reason"`
	Prev   string    `json:"prev"` // digest of the line before, hexadecimal; empty in the first
	Hash   string    `json:"hash,omitempty"`
}

// digest is the SM3 of an entry without its own digest.
func (e Entry) digest(suite crypto.Digester) (string, error) {
	e.Hash = ""
	line, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("keyfile: journal: %w", err)
	}
	sum := suite.Sum([]byte(journalLabel), line)
	return hex.EncodeToString(sum[:]), nil
}

func (e Entry) follows(suite crypto.Digester, last Entry) bool {
	want, err := e.digest(suite)
	return err == nil && e.Seq == last.Seq+1 && e.Prev == last.Hash &&
		subtle.ConstantTimeCompare([]byte(e.Hash), []byte(want)) == 1
}

// writes reports whether the line is the one form in which the entry is written.
func (e Entry) writes(line []byte) bool {
	want, err := json.Marshal(e)
	return err == nil && bytes.Equal(line, append(want, '\n'))
}

// journal appends to the file. The caller holds the folder's lock.
type journal struct {
	suite crypto.Digester
	dir   *directory
	now   func() time.Time
	order crypto.Order
}

// begin writes what is about to be done, after it has closed what an ended process left open.
func (j *journal) begin(act Act, id string) (Entry, error) {
	last, err := j.last()
	if err != nil {
		return Entry{}, err
	}
	if last.Phase == PhaseBegun {
		last, err = j.add(last, Entry{Act: last.Act, Phase: PhaseLost, Key: last.Key})
		if err != nil {
			return Entry{}, err
		}
	}
	return j.add(last, Entry{Act: act, Phase: PhaseBegun, Key: id})
}

// end writes what came of it.
func (j *journal) end(begun Entry, failed error) error {
	phase := PhaseDone
	if failed != nil {
		phase = PhaseFailed
	}
	_, err := j.add(begun, Entry{Act: begun.Act, Phase: phase, Key: begun.Key})
	return err
}

func (j *journal) add(last, e Entry) (Entry, error) {
	e.Seq, e.Prev, e.At = last.Seq+1, last.Hash, j.now().UTC().Truncate(time.Second)
	e.Who, e.Reason = j.order.Who, j.order.Reason
	hash, err := e.digest(j.suite)
	if err != nil {
		return Entry{}, err
	}
	e.Hash = hash
	line, err := json.Marshal(e)
	if err != nil {
		return Entry{}, fmt.Errorf("keyfile: journal: %w", err)
	}
	return e, j.dir.appendLine(line)
}

// last is the newest whole line; the zero entry in an empty journal.
func (j *journal) last() (Entry, error) {
	line, err := j.dir.lastLine()
	if err != nil || line == nil {
		return Entry{}, err
	}
	var e Entry
	if decodeEntry(line, &e) != nil {
		return Entry{}, fmt.Errorf("%w: its last line", ErrJournal)
	}
	return e, nil
}

func decodeEntry(line []byte, e *Entry) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	return d.Decode(e)
}

// readJournal reads a journal and checks its chain. What comes behind the last line end was never
// acknowledged to anybody, and is left out.
func readJournal(suite crypto.Digester, raw []byte) ([]Entry, error) {
	var all []Entry
	var last Entry
	lines := bufio.NewReader(bytes.NewReader(raw))
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("keyfile: journal: %w", err)
		}
		var e Entry
		if len(line) > lineMax || decodeEntry(line, &e) != nil || !e.follows(suite, last) || !e.writes(line) {
			return all, fmt.Errorf("%w: line %d", ErrJournal, len(all)+1)
		}
		all = append(all, e)
		last = e
	}
}

// appendLine adds a line durably. What an ended process left behind the last line end goes first.
func (d *directory) appendLine(line []byte) error {
	file, err := d.root.OpenFile(journalName, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("keyfile: journal: %w", err)
	}
	err = appendTo(file, line)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return d.sync()
}

func appendTo(file *os.File, line []byte) error {
	end, _, err := tail(file)
	if err != nil {
		return err
	}
	if end+int64(len(line))+1 > journalMax || len(line) >= lineMax {
		return fmt.Errorf("%w: its journal has %d bytes", ErrFull, end)
	}
	err = file.Truncate(end)
	if err == nil {
		_, err = file.WriteAt(append(bytes.Clone(line), '\n'), end)
	}
	if err = errors.Join(err, file.Sync()); err != nil {
		return fmt.Errorf("keyfile: journal: %w", err)
	}
	return nil
}

// lastLine is nil in an empty journal.
func (d *directory) lastLine() ([]byte, error) {
	file, err := d.root.Open(journalName)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keyfile: journal: %w", err)
	}
	_, line, err := tail(file)
	return line, errors.Join(err, file.Close())
}

// tail finds where the last whole line ends, and that line without its end.
func tail(file *os.File) (int64, []byte, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, nil, fmt.Errorf("keyfile: journal: %w", err)
	}
	if !onlyOwner(info.Mode()) {
		return 0, nil, fmt.Errorf("%w: %s", ErrPermissions, journalName)
	}
	from := max(0, info.Size()-2*lineMax)
	buffer := make([]byte, info.Size()-from)
	if _, err = file.ReadAt(buffer, from); err != nil && !errors.Is(err, io.EOF) {
		return 0, nil, fmt.Errorf("keyfile: journal: %w", err)
	}
	end := bytes.LastIndexByte(buffer, '\n') + 1
	if end == 0 {
		if from > 0 {
			return 0, nil, fmt.Errorf("%w: no line end", ErrJournal)
		}
		return 0, nil, nil
	}
	begin := bytes.LastIndexByte(buffer[:end-1], '\n') + 1
	return from + int64(end), buffer[begin : end-1], nil
}

// printable makes one clean line of a text that goes into the journal from this program itself.
func printable(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > crypto.OrderMax {
		text = strings.ToValidUTF8(text[:crypto.OrderMax], "")
	}
	return text
}
