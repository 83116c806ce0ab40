package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gongji/gateway/internal/record"
)

type word string

type number int32

type inner struct {
	A uint64
	B string
}

func (i *inner) Walk(c *record.Coder) {
	c.U64(&i.A)
	record.Str(c, &i.B)
}

type plain struct{ X, Y int64 }

func walkPlain(c *record.Coder, p *plain) {
	c.I64(&p.X)
	c.I64(&p.Y)
}

// everything has a field of each kind.
type everything struct {
	U      uint64
	I      int64
	N      number
	Byte   uint8
	OK     bool
	At     time.Time
	Word   word
	Bytes  []byte
	Fixed  [4]byte
	In     inner
	List   []inner
	Plains []plain
	Words  []word
	Opt    *inner
	Last   string
}

func (e *everything) Walk(c *record.Coder) {
	c.U64(&e.U)
	c.I64(&e.I)
	record.Int(c, &e.N)
	record.Int(c, &e.Byte)
	c.Bool(&e.OK)
	c.Time(&e.At)
	record.Str(c, &e.Word)
	c.Bytes(&e.Bytes)
	c.Fixed(e.Fixed[:])
	c.Sub(&e.In)
	record.List(c, &e.List)
	record.ListOf(c, &e.Plains, walkPlain)
	record.Strs(c, &e.Words)
	record.Opt(c, &e.Opt)
	record.Str(c, &e.Last)
}

// older is everything as a program knew it before Bytes and what follows were added.
type older struct {
	U    uint64
	I    int64
	N    number
	Byte uint8
	OK   bool
	At   time.Time
	Word word
}

func (o *older) Walk(c *record.Coder) {
	c.U64(&o.U)
	c.I64(&o.I)
	record.Int(c, &o.N)
	record.Int(c, &o.Byte)
	c.Bool(&o.OK)
	c.Time(&o.At)
	record.Str(c, &o.Word)
}

func inners() *rapid.Generator[inner] {
	return rapid.Custom(func(t *rapid.T) inner {
		return inner{rapid.Uint64().Draw(t, "a"), rapid.String().Draw(t, "b")}
	})
}

func anything() *rapid.Generator[everything] {
	return rapid.Custom(func(t *rapid.T) everything {
		e := everything{
			U: rapid.Uint64().Draw(t, "u"), I: rapid.Int64().Draw(t, "i"),
			N: number(rapid.Int32().Draw(t, "n")), Byte: rapid.Byte().Draw(t, "byte"), OK: rapid.Bool().Draw(t, "ok"),
			Word: word(rapid.String().Draw(t, "word")), In: inners().Draw(t, "in"), Last: rapid.String().Draw(t, "last"),
		}
		if us := rapid.Int64Range(-1<<50, 1<<50).Draw(t, "µs"); us != 0 {
			e.At = time.UnixMicro(us).UTC()
		}
		e.Bytes = nilIfEmpty(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		copy(e.Fixed[:], rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "fixed"))
		e.List = nilIfEmpty(rapid.SliceOfN(inners(), 0, 5).Draw(t, "list"))
		for range rapid.IntRange(0, 4).Draw(t, "plains") {
			e.Plains = append(e.Plains, plain{rapid.Int64().Draw(t, "x"), rapid.Int64().Draw(t, "y")})
		}
		for range rapid.IntRange(0, 4).Draw(t, "words") {
			e.Words = append(e.Words, word(rapid.String().Draw(t, "w")))
		}
		if rapid.Bool().Draw(t, "has") {
			in := inners().Draw(t, "opt")
			e.Opt = &in
		}
		return e
	})
}

func nilIfEmpty[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

func text(t rapid.TB, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRoundTrip: what was written is read, by a program of the same age, of an older and of a newer one.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := anything().Draw(t, "record")
		data := record.Encode(&e)
		var got everything
		if err := record.Decode(data, &got); err != nil {
			t.Fatal(err)
		}
		if text(t, got) != text(t, e) {
			t.Fatalf("\n got %s\nwant %s", text(t, got), text(t, e))
		}
		if !bytes.Equal(record.Encode(&got), data) {
			t.Fatal("written again, it has other bytes")
		}
		if with := record.Append([]byte("head"), &e); !bytes.Equal(with, append([]byte("head"), data...)) {
			t.Fatal("Append is not Encode behind what stands there")
		}
		want := older{e.U, e.I, e.N, e.Byte, e.OK, e.At, e.Word}
		var old older
		if err := record.Decode(data, &old); err != nil || text(t, old) != text(t, want) {
			t.Fatalf("an older program reads %s, %v", text(t, old), err)
		}
		var young everything
		short := record.Encode(&want)
		blank := everything{U: e.U, I: e.I, N: e.N, Byte: e.Byte, OK: e.OK, At: e.At, Word: e.Word}
		if err := record.Decode(short, &young); err != nil || text(t, young) != text(t, blank) {
			t.Fatalf("a newer program reads %s, %v", text(t, young), err)
		}
	})
}

// TestDamaged: bytes that were cut or changed are read as something or refused, never with a panic, and what was
// read is written and read the same.
func TestDamaged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := anything().Draw(t, "record")
		data := record.Encode(&e)
		data = data[:rapid.IntRange(0, len(data)).Draw(t, "cut")]
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			if len(data) > 0 {
				data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			}
		}
		stable(t, data)
	})
}

func stable(t rapid.TB, data []byte) {
	kept := bytes.Clone(data)
	var got everything
	if err := record.Decode(data, &got); err != nil {
		if !errors.Is(err, record.ErrDamaged) {
			t.Fatalf("%v is not ErrDamaged", err)
		}
		return
	}
	clear(data) // nothing of the record may alias it
	again := record.Encode(&got)
	var more everything
	if err := record.Decode(again, &more); err != nil || !bytes.Equal(record.Encode(&more), again) {
		t.Fatalf("%x was read, and is not stable: %v", kept, err)
	}
}

// TestRefused are the bytes that no reader may take.
func TestRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("\xff", 11)
	for name, c := range map[string]struct {
		data string
		walk func(c *record.Coder)
	}{
		"integer without end":  {"\xff", func(c *record.Coder) { c.U64(new(uint64)) }},
		"integer of 77 bits":   {long, func(c *record.Coder) { c.I64(new(int64)) }},
		"integer out of range": {"\x80\x04", func(c *record.Coder) { record.Int(c, new(uint8)) }},
		"negative of unsigned": {"\x01", func(c *record.Coder) { record.Int(c, new(uint8)) }},
		"truth of 2":           {"\x02", func(c *record.Coder) { c.Bool(new(bool)) }},
		"string cut":           {"\x05ab", func(c *record.Coder) { record.Str(c, new(string)) }},
		"bytes too long": {
			"\x81\x80\x40" + strings.Repeat("x", 1<<20+1), func(c *record.Coder) { c.Bytes(new([]byte)) },
		},
		"fixed cut":            {"\x01\x02", func(c *record.Coder) { c.Fixed(make([]byte, 3)) }},
		"nested without size":  {"\x00\x00", func(c *record.Coder) { c.Sub(&inner{}) }},
		"nested cut":           {"\x00\x00\x05abc", func(c *record.Coder) { c.Sub(&inner{}) }},
		"nested damaged":       {"\x00\x00\x01\xff", func(c *record.Coder) { c.Sub(&inner{}) }},
		"list longer than all": {"\x7f\x00\x00\x00", func(c *record.Coder) { record.List(c, new([]inner)) }},
		"list of 4097": {
			"\x81\x20" + strings.Repeat("\x00", 3*4097), func(c *record.Coder) { record.List(c, new([]inner)) },
		},
		"plains longer than all": {"\x7f\x00\x00\x00", func(c *record.Coder) { record.ListOf(c, new([]plain), walkPlain) }},
		"words longer than all":  {"\x7f\x00\x00\x00", func(c *record.Coder) { record.Strs(c, new([]word)) }},
		"words of 4097": {
			"\x81\x20" + strings.Repeat("\x00", 4097), func(c *record.Coder) { record.Strs(c, new([]word)) },
		},
		"option of 7": {"\x07", func(c *record.Coder) { record.Opt(c, new(*inner)) }},
	} {
		if err := record.Decode([]byte(c.data), walk(c.walk)); !errors.Is(err, record.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := record.Decode(nil, walk(func(c *record.Coder) {
		if !c.Reading() || c.Err() != nil {
			t.Error("a reader that has read nothing")
		}
		c.Fail("first")
		c.Fail("second")
	})); err == nil || !strings.Contains(err.Error(), "first") {
		t.Errorf("the first failure counts: %v", err)
	}
}

type walk func(c *record.Coder)

func (w walk) Walk(c *record.Coder) { w(c) }

// TestLists of the largest size that a reader takes.
func TestLists(t *testing.T) {
	t.Parallel()
	e := everything{List: make([]inner, record.ListMax), Words: make([]word, record.ListMax)}
	var got everything
	if err := record.Decode(record.Encode(&e), &got); err != nil || len(got.List) != record.ListMax ||
		len(got.Words) != record.ListMax {
		t.Error(err, len(got.List), len(got.Words))
	}
}

// FuzzRecord reads bytes that anybody made.
func FuzzRecord(f *testing.F) {
	full := everything{
		U: 1 << 63, I: -1, N: 7, Byte: 255, OK: true, At: time.UnixMicro(1_764_000_000_000_000).UTC(), Word: "word",
		Bytes: []byte{0, 1}, Fixed: [4]byte{1, 2, 3, 4}, In: inner{1, "a"}, List: []inner{{2, "b"}, {}},
		Plains: []plain{{-3, 4}}, Words: []word{"", "c"}, Opt: &inner{5, "d"}, Last: "last",
	}
	data := record.Encode(&full)
	f.Add(data)
	f.Add(data[:len(data)-3])
	f.Add(append(bytes.Clone(data), 0xff, 0x00))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) { stable(t, data) })
}
