// Package record is the compact codec of what stands in the log and in the state: one walk
// over a record's fields both writes and reads it.
//
// Fields stand in the order of the walk, without tags. New fields are added at the end of a record; a reader
// that knows fewer ignores the rest, a reader that knows more finds zero values. Nested records carry their
// length, so the same holds inside them. The encoding of a value is one and the same on every node.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Bounds against hostile or damaged bytes.
const (
	BytesMax = 1 << 20 // of one string or slice
	ListMax  = 4096    // items of one list
)

// ErrDamaged: the bytes are not an encoding of the record. Whoever reads log or state stops on it.
var ErrDamaged = errors.New("record: damaged")

// Coder walks over fields, writing or reading. The zero value writes.
type Coder struct {
	buf     []byte
	reading bool
	err     error
}

// Record is anything with a walk over its fields.
type Record interface {
	Walk(c *Coder)
}

// Append appends the encoding of r to dst.
func Append(dst []byte, r Record) []byte {
	c := Coder{buf: dst}
	r.Walk(&c)
	return c.buf
}

// Encode returns the encoding of r.
func Encode(r Record) []byte { return Append(nil, r) }

// Decode reads r from all of data. Byte fields of r alias nothing of data.
func Decode(data []byte, r Record) error {
	c := Coder{buf: data, reading: true}
	r.Walk(&c)
	if c.err != nil {
		return c.err
	}
	return nil
}

// Reading tells whether the walk reads.
func (c *Coder) Reading() bool { return c.reading }

// Err returns what is wrong with the bytes that were read so far.
func (c *Coder) Err() error { return c.err }

// Fail makes the reading fail, for a value that the record does not allow.
func (c *Coder) Fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	c.buf = nil
}

// end reports that a reader has come to the end of an older, shorter record.
func (c *Coder) end() bool { return c.reading && len(c.buf) == 0 }

// U64 is an unsigned integer.
func (c *Coder) U64(v *uint64) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, *v)
		return
	}
	if c.end() {
		*v = 0
		return
	}
	x, n := binary.Uvarint(c.buf)
	if n <= 0 {
		c.Fail("integer")
		return
	}
	*v, c.buf = x, c.buf[n:]
}

// I64 is a signed integer.
func (c *Coder) I64(v *int64) {
	u := uint64(*v)<<1 ^ uint64(*v>>63)
	c.U64(&u)
	if c.reading {
		*v = int64(u>>1) ^ -int64(u&1)
	}
}

// Int is an integer of any named kind.
func Int[T ~int | ~int64 | ~int32 | ~uint8 | ~uint16 | ~uint32 | ~int8](c *Coder, v *T) {
	x := int64(*v)
	c.I64(&x)
	if !c.reading {
		return
	}
	*v = T(x)
	if int64(*v) != x {
		c.Fail("integer out of range")
	}
}

// Bool is a truth value.
func (c *Coder) Bool(v *bool) {
	var u uint64
	if *v {
		u = 1
	}
	c.U64(&u)
	if !c.reading {
		return
	}
	if u > 1 {
		c.Fail("truth value")
	}
	*v = u == 1
}

// Time is an instant in microseconds; the zero time stays zero.
func (c *Coder) Time(v *time.Time) {
	var u int64
	if !v.IsZero() {
		u = v.UnixMicro()
	}
	c.I64(&u)
	if !c.reading {
		return
	}
	*v = time.Time{}
	if u != 0 {
		*v = time.UnixMicro(u).UTC()
	}
}

func (c *Coder) take() []byte {
	var n uint64
	c.U64(&n)
	if c.err != nil {
		return nil
	}
	if n > BytesMax || n > uint64(len(c.buf)) {
		c.Fail("length")
		return nil
	}
	b := c.buf[:n]
	c.buf = c.buf[n:]
	return b
}

// Str is a string of any named kind.
func Str[T ~string](c *Coder, v *T) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, uint64(len(*v)))
		c.buf = append(c.buf, *v...)
		return
	}
	*v = T(c.take())
}

// Bytes is a slice of bytes; empty reads as nil.
func (c *Coder) Bytes(v *[]byte) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, uint64(len(*v)))
		c.buf = append(c.buf, *v...)
		return
	}
	*v = nil
	if b := c.take(); len(b) > 0 {
		*v = append([]byte(nil), b...)
	}
}

// Fixed is a slice of known length, as an array's: Fixed(c, a[:]). A reader at the end finds zeros.
func (c *Coder) Fixed(v []byte) {
	if !c.reading {
		c.buf = append(c.buf, v...)
		return
	}
	if c.end() {
		clear(v)
		return
	}
	if len(c.buf) < len(v) {
		c.Fail("length")
		return
	}
	copy(v, c.buf)
	c.buf = c.buf[len(v):]
}

// Sub is a nested record behind its length.
func (c *Coder) Sub(r Record) {
	if !c.reading {
		at := len(c.buf)
		c.buf = append(c.buf, 0, 0, 0)
		r.Walk(c)
		n := len(c.buf) - at - 3
		if n >= 1<<24 {
			panic("record: internal error: nested record too large")
		}
		c.buf[at], c.buf[at+1], c.buf[at+2] = byte(n>>16), byte(n>>8), byte(n)
		return
	}
	if c.end() {
		return
	}
	if len(c.buf) < 3 {
		c.Fail("length")
		return
	}
	n := int(c.buf[0])<<16 | int(c.buf[1])<<8 | int(c.buf[2])
	if n > len(c.buf)-3 {
		c.Fail("length")
		return
	}
	in := Coder{buf: c.buf[3 : 3+n], reading: true}
	r.Walk(&in)
	c.buf = c.buf[3+n:]
	if in.err != nil {
		c.Fail(in.err.Error())
	}
}

// List is a list of nested records, at most ListMax.
func List[T any, P interface {
	*T
	Record
}](c *Coder, v *[]T) {
	n := uint64(len(*v))
	c.U64(&n)
	if !c.reading {
		for i := range *v {
			c.Sub(P(&(*v)[i]))
		}
		return
	}
	*v = nil
	if c.err != nil || n == 0 {
		return
	}
	if n > ListMax || n*3 > uint64(len(c.buf)) {
		c.Fail("list")
		return
	}
	*v = make([]T, n)
	for i := range *v {
		c.Sub(P(&(*v)[i]))
	}
}

// Walked makes a record of a value whose walk is a function: for types that keep their encoding elsewhere.
type Walked[T any] struct {
	Value *T
	By    func(c *Coder, v *T)
}

// Walk walks over the value.
func (w Walked[T]) Walk(c *Coder) { w.By(c, w.Value) }

// ListOf is List for such values.
func ListOf[T any](c *Coder, v *[]T, by func(c *Coder, v *T)) {
	n := uint64(len(*v))
	c.U64(&n)
	if c.reading {
		*v = nil
		if c.err != nil || n == 0 {
			return
		}
		if n > ListMax || n*3 > uint64(len(c.buf)) {
			c.Fail("list")
			return
		}
		*v = make([]T, n)
	}
	for i := range *v {
		c.Sub(Walked[T]{&(*v)[i], by})
	}
}

// Strs is a list of strings of any named kind, at most ListMax.
func Strs[T ~string](c *Coder, v *[]T) {
	n := uint64(len(*v))
	c.U64(&n)
	if !c.reading {
		for i := range *v {
			Str(c, &(*v)[i])
		}
		return
	}
	*v = nil
	if c.err != nil || n == 0 {
		return
	}
	if n > ListMax || n > uint64(len(c.buf)) {
		c.Fail("list")
		return
	}
	*v = make([]T, n)
	for i := range *v {
		Str(c, &(*v)[i])
	}
}

// Opt is an optional nested record.
func Opt[T any, P interface {
	*T
	Record
}](c *Coder, v **T) {
	has := *v != nil
	c.Bool(&has)
	if !c.reading {
		if has {
			c.Sub(P(*v))
		}
		return
	}
	*v = nil
	if has && c.err == nil {
		*v = new(T)
		c.Sub(P(*v))
	}
}
