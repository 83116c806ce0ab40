package hsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errFrame: a frame that is empty or longer than it may be.
var errFrame = errors.New("hsm: malformed frame")

const lengthSize = 4

// readFrame reads one frame of at most limit bytes. begun is called when its first bytes are there.
func readFrame(r io.Reader, limit int, begun func() error) ([]byte, error) {
	var head [lengthSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || uint64(n) > uint64(limit) {
		return nil, errFrame
	}
	if err := begun(); err != nil {
		return nil, err
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return body, err
}

// writeFrame writes one frame at once.
func writeFrame(w io.Writer, body []byte) error {
	if len(body) == 0 || len(body) > FrameMax {
		return errFrame
	}
	out := make([]byte, lengthSize, lengthSize+len(body))
	binary.BigEndian.PutUint32(out, uint32(len(body)))
	out = append(out, body...)
	_, err := w.Write(out)
	clear(out) // an answer may hold what was opened
	if err != nil {
		return fmt.Errorf("hsm: %w", err)
	}
	return nil
}

// encoder puts values behind each other, those of a variable length behind their length.
type encoder struct{ b []byte }

func (e *encoder) bytes(b []byte) {
	e.b = binary.BigEndian.AppendUint32(e.b, uint32(len(b)))
	e.b = append(e.b, b...)
}

func (e *encoder) text(s string) { e.bytes([]byte(s)) }

func (e *encoder) number(n int64) { e.b = binary.BigEndian.AppendUint64(e.b, uint64(n)) }

// decoder takes values from the front. After it ran short everything is empty.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.bad, d.rest = true, nil
		return nil
	}
	taken := d.rest[:n:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) byte() byte {
	b := d.take(1)
	if b == nil {
		return 0
	}
	return b[0]
}

// bytes is a part of the frame, not a copy.
func (d *decoder) bytes() []byte {
	head := d.take(lengthSize)
	if head == nil {
		return nil
	}
	n := binary.BigEndian.Uint32(head)
	if uint64(n) > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return nil
	}
	return d.take(int(n))
}

// textMax bounds ids, uses and the texts of an order, in bytes.
const textMax = 256

func (d *decoder) text() string {
	b := d.bytes()
	if len(b) > textMax {
		d.bad = true
		return ""
	}
	return string(b)
}

func (d *decoder) number() int64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// whole reports that everything was there and nothing is left.
func (d *decoder) whole() bool { return !d.bad && len(d.rest) == 0 }
