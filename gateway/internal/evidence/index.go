package evidence

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"gongji/federation"
	"gongji/gateway/internal/wire"
)

// Beside each archive stands an index, by which one thing is found in it without reading the file: it is made from the
// archive alone, can be made again at any time, and proves nothing. A place that it names wrongly gives a line that
// does not verify.

const indexSuffix = ".index"

// IndexName is the file of an archive's index.
func IndexName(no uint64) string { return fmt.Sprintf("%08d%s", no, indexSuffix) }

const (
	indexMagic   = "gongji-archive-index-v1\n"
	indexHead    = len(indexMagic) + 3*8
	indexLine    = 1 + 6 + 8 + 8 + 8 // kind, peer, epoch, number, offset
	indexSubject = 16 + 4 + 8        // digest of the subject, place among the lines, number of the message
	subjectMax   = 4096              // places of one subject that are looked up in one archive
)

// errIndex: an index is not that of its archive. It is made again.
var errIndex = errors.New("evidence: index")

// lineKey is the place of a line: its order is that of the index.
func lineKey(kind string, peer federation.Region, epoch, number uint64) []byte {
	b := append(make([]byte, 0, indexLine), letter(kind))
	b = append(b, (string(peer) + "      ")[:6]...)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, epoch), number)
}

// letter stands for a kind of line; zero for those that are not looked up.
func letter(kind string) byte {
	switch kind {
	case lineReceived:
		return 'e'
	case lineSent:
		return 'o'
	case lineReceipt:
		return 'v'
	case lineAsked:
		return 'w'
	}
	return 0
}

func subjectKey(h federation.Hash, subject string) []byte {
	sum := h([]byte(subject))
	return sum[:16]
}

type indexing struct {
	h        federation.Hash
	lines    [][]byte
	subjects [][]byte
}

// MakeIndex reads an archive and returns its index. What it costs is bounded by the archive: one pass, and some 60
// bytes of memory for each line.
func MakeIndex(in io.Reader, size int64, h federation.Hash) ([]byte, error) {
	x := &indexing{h: h}
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 64<<10), lineMax)
	offset := uint64(0)
	for scan.Scan() {
		raw := scan.Bytes()
		var l archiveLine
		if len(raw) < 2*federation.HashSize+1 || json.Unmarshal(raw[2*federation.HashSize+1:], &l) != nil {
			return nil, fmt.Errorf("%w: a line is damaged", ErrArchive)
		}
		x.add(&l, offset)
		offset += uint64(len(raw)) + 1
	}
	if err := scan.Err(); err != nil {
		return nil, err
	}
	return x.bytes(size), nil
}

// add notes a line. Subjects name it by its offset until the lines are in order.
func (x *indexing) add(l *archiveLine, offset uint64) {
	if letter(l.Kind) == 0 {
		return
	}
	x.lines = append(x.lines, binary.BigEndian.AppendUint64(lineKey(l.Kind, l.Peer, l.Epoch, l.Number), offset))
	about := func(subject string, number uint64) {
		if subject != "" {
			b := append(subjectKey(x.h, subject), make([]byte, 4)...)
			binary.BigEndian.PutUint32(b[16:], uint32(len(x.lines)-1)) //nolint:gosec // an archive has far fewer lines
			x.subjects = append(x.subjects, binary.BigEndian.AppendUint64(b, number))
		}
	}
	switch l.Kind {
	case lineReceived:
		for i := range l.Messages {
			about(subjectOfBody(l.Messages[i].Body), l.Messages[i].Number)
		}
	case lineSent:
		about(subjectOfBody(l.Body), l.Number)
	case lineAsked:
		if l.Asked != nil {
			about(l.Asked.Subject, l.Number)
		}
	}
}

func subjectOfBody(data []byte) string {
	body, err := wire.Decode(data)
	if err != nil {
		return ""
	}
	return Subject(body)
}

func (x *indexing) bytes(size int64) []byte {
	order := make([]int, len(x.lines))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return bytes.Compare(x.lines[a], x.lines[b]) })
	place := make([]uint32, len(order))
	out := append(make([]byte, 0, indexHead+len(x.lines)*indexLine+len(x.subjects)*indexSubject), indexMagic...)
	out = binary.BigEndian.AppendUint64(out, uint64(size)) //nolint:gosec // a file's size
	out = binary.BigEndian.AppendUint64(out, uint64(len(x.lines)))
	out = binary.BigEndian.AppendUint64(out, uint64(len(x.subjects)))
	for at, i := range order {
		place[i] = uint32(at) //nolint:gosec // see add
		out = append(out, x.lines[i]...)
	}
	for _, s := range x.subjects {
		binary.BigEndian.PutUint32(s[16:], place[binary.BigEndian.Uint32(s[16:])])
	}
	slices.SortFunc(x.subjects, bytes.Compare)
	for _, s := range x.subjects {
		out = append(out, s...)
	}
	return out
}

// index reads an index where it stands, a few records at a time.
type index struct {
	in              io.ReaderAt
	lines, subjects int
	err             error
}

// openIndex reads the head of an index; size is that of its archive.
func openIndex(in io.ReaderAt, length, size int64) (*index, error) {
	head := make([]byte, indexHead)
	if _, err := in.ReadAt(head, 0); err != nil || string(head[:len(indexMagic)]) != indexMagic {
		return nil, fmt.Errorf("%w: its head", errIndex)
	}
	n := head[len(indexMagic):]
	of, lines, subjects := binary.BigEndian.Uint64(n), binary.BigEndian.Uint64(n[8:]), binary.BigEndian.Uint64(n[16:])
	most := uint64(length)                                      //nolint:gosec // a file's size
	if of != uint64(size) || lines > most || subjects > most || //nolint:gosec // a file's size
		uint64(indexHead)+lines*uint64(indexLine)+subjects*uint64(indexSubject) != most {
		return nil, fmt.Errorf("%w: of another file", errIndex)
	}
	return &index{in: in, lines: int(lines), subjects: int(subjects)}, nil //nolint:gosec // bounded by the length
}

func (x *index) read(offset, size int) []byte {
	b := make([]byte, size)
	if x.err == nil {
		if _, err := x.in.ReadAt(b, int64(offset)); err != nil {
			x.err = fmt.Errorf("%w: %w", errIndex, err)
		}
	}
	return b
}

func (x *index) line(i int) []byte { return x.read(indexHead+i*indexLine, indexLine) }

func (x *index) subject(i int) []byte {
	return x.read(indexHead+x.lines*indexLine+i*indexSubject, indexSubject)
}

// behind is the first line at a place or behind it: its key and offset; nil at the end.
func (x *index) behind(key []byte) ([]byte, int64) {
	at := sort.Search(x.lines, func(i int) bool { return bytes.Compare(x.line(i)[:len(key)], key) >= 0 })
	if x.err != nil || at == x.lines {
		return nil, 0
	}
	b := x.line(at)
	return b[:len(key)], int64(binary.BigEndian.Uint64(b[len(key):])) //nolint:gosec // read with an error if it is beyond
}

// mention is a message about a subject: the offset of its line, and its number.
type mention struct {
	offset int64
	number uint64
}

// mentions are the places of a subject, in the order of their lines.
func (x *index) mentions(h federation.Hash, subject string) []mention {
	key := subjectKey(h, subject)
	at := sort.Search(x.subjects, func(i int) bool { return bytes.Compare(x.subject(i)[:16], key) >= 0 })
	var out []mention
	for ; at < x.subjects && len(out) < subjectMax && x.err == nil; at++ {
		s := x.subject(at)
		if !bytes.Equal(s[:16], key) {
			break
		}
		i := int(binary.BigEndian.Uint32(s[16:]))
		if i >= x.lines {
			x.err = fmt.Errorf("%w: a line that is not there", errIndex)
			break
		}
		offset := binary.BigEndian.Uint64(x.line(i)[indexLine-8:])
		out = append(out, mention{int64(offset), binary.BigEndian.Uint64(s[20:])}) //nolint:gosec // as in behind
	}
	slices.SortFunc(out, func(a, b mention) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.number, b.number))
	})
	return out
}
