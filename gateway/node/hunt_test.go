package node_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// needles are all the forms in which a clear text could stand in a file.
func needles(text string) [][]byte {
	raw := []byte(text)
	var little, big []byte
	for _, u := range utf16.Encode([]rune(text)) {
		little = append(little, byte(u), byte(u>>8))
		big = append(big, byte(u>>8), byte(u))
	}
	out := [][]byte{raw, little, big}
	for _, form := range [][]byte{raw, little} {
		out = append(out, []byte(hex.EncodeToString(form)), []byte(strings.ToUpper(hex.EncodeToString(form))))
	}
	for shift := range 3 { // base64 of a longer text has the same characters where whole groups of three begin
		padded := append(make([]byte, shift), raw...)
		whole := padded[:len(padded)/3*3]
		if shift > 0 {
			whole = whole[3:]
		}
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			out = append(out, []byte(e.EncodeToString(whole)))
		}
	}
	return out
}

// hunt looks for clear texts, and for one that has to be there, so that nobody hunts in the wrong place.
type hunt struct {
	t       *testing.T
	marks   map[string][][]byte
	control []byte
	found   map[string]int // places where the control text stands
	clear   map[string]int // places where a clear text stands
	looked  int
	counts  bool // what is found is counted and no failure
}

// newHunt looks for texts; of an identity number also for its first 17 digits.
func newHunt(t *testing.T, control string, texts ...string) *hunt {
	t.Helper()
	h := &hunt{
		t: t, marks: map[string][][]byte{}, control: []byte(control), found: map[string]int{}, clear: map[string]int{},
	}
	for _, c := range texts {
		h.marks[c] = needles(c)
		if len(c) == 18 {
			h.marks[c[:17]] = needles(c[:17])
		}
	}
	return h
}

// look looks into data as it is, and into every compressed stream that begins in it.
func (h *hunt) look(place, what string, data []byte) {
	h.t.Helper()
	h.plain(place, what, data)
	for _, inner := range unpacked(data) {
		h.plain(place, what+" (decompressed)", inner)
	}
}

func (h *hunt) plain(place, what string, data []byte) {
	h.t.Helper()
	h.looked++
	if bytes.Contains(data, h.control) {
		h.found[place]++
	}
	for _, forms := range h.marks {
		for i, n := range forms {
			if bytes.Contains(data, n) {
				h.clear[place]++
				if h.counts {
					continue
				}
				h.t.Errorf("a clear identity (form %d) in %s: %s", i, place, what)
			}
		}
	}
}

// streams are the compressions that are looked into, each by how its streams begin.
func streams() map[string]func(io.Reader) (io.Reader, error) {
	return map[string]func(io.Reader) (io.Reader, error){
		"\x1f\x8b\x08": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"\x28\xb5\x2f\xfd": func(r io.Reader) (io.Reader, error) {
			return zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		},
		"\xff\x06\x00\x00sNaPpY": func(r io.Reader) (io.Reader, error) { return s2.NewReader(r), nil },
	}
}

// unpackedMax bounds what one stream is unpacked to, in bytes.
const unpackedMax = 64 << 20

// unpacked are the contents of the compressed streams in data, as far as they can be read.
func unpacked(data []byte) [][]byte {
	var out [][]byte
	for magic, open := range streams() {
		for at := 0; ; {
			i := bytes.Index(data[at:], []byte(magic))
			if i < 0 {
				break
			}
			at += i
			if r, err := open(bytes.NewReader(data[at:])); err == nil {
				inner, _ := io.ReadAll(io.LimitReader(r, unpackedMax)) // what comes before the damage is looked at too
				if len(inner) > 0 {
					out = append(out, inner)
				}
				if c, ok := r.(*zstd.Decoder); ok {
					c.Close()
				}
			}
			at += len(magic)
		}
	}
	return out
}

// files looks into every file below a folder as it stands, into every key and value of the Pebble stores, and into
// every record of their tables, those that were deleted or written over included.
func (h *hunt) files(dir string) {
	h.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "CURRENT")); err == nil || hasMarker(path) {
				h.store(path)
			}
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if filepath.Ext(path) == ".sst" {
			h.table(path)
		}
		h.look(placeOf(rel), rel, data)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func placeOf(path string) string {
	for part := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		switch part {
		case "wal":
			return "log"
		case "audit":
			return "audit files"
		}
	}
	return "files"
}

func hasMarker(dir string) bool {
	found, err := filepath.Glob(filepath.Join(dir, "marker.manifest.*"))
	return err == nil && len(found) > 0
}

// table looks into every version of every key of one table.
func (h *hunt) table(path string) {
	h.t.Helper()
	f, err := vfs.Default.Open(path)
	if err != nil {
		h.t.Fatal(err)
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := sstable.NewReader(context.Background(), readable, sstable.ReaderOptions{})
	if err != nil {
		h.t.Fatalf("%s: %v", path, err)
	}
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		h.t.Fatal(err)
	}
	for kv := it.First(); kv != nil; kv = it.Next() {
		value, _, err := kv.Value(nil)
		if err != nil {
			h.t.Fatal(err)
		}
		h.look("tables", filepath.Base(path), append(bytes.Clone(kv.K.UserKey), value...))
	}
	if err := it.Close(); err != nil {
		h.t.Error(err)
	}
	if err := r.Close(); err != nil {
		h.t.Error(err)
	}
}

func (h *hunt) store(dir string) {
	h.t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{ReadOnly: true, Logger: quiet{}})
	if err != nil {
		h.t.Fatalf("%s: %v", dir, err)
	}
	it, err := db.NewIter(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	place := "state"
	if strings.Contains(dir, "checkpoints") {
		place = "snapshots"
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			h.t.Fatal(err)
		}
		h.look(place, fmt.Sprintf("key of kind %q", it.Key()[:1]), append(bytes.Clone(it.Key()), value...))
	}
	if err := it.Close(); err != nil {
		h.t.Error(err)
	}
	if err := db.Close(); err != nil {
		h.t.Error(err)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

// TestHunt: the hunt finds a text in every form and through every compression; else it would prove nothing.
func TestHunt(t *testing.T) {
	t.Parallel()
	const text = "欧阳标记110101197001019019"
	var zipped, zstded, snapped bytes.Buffer
	g := gzip.NewWriter(&zipped)
	z, err := zstd.NewWriter(&zstded)
	if err != nil {
		t.Fatal(err)
	}
	s := s2.NewWriter(&snapped, s2.WriterSnappyCompat())
	for _, w := range []io.WriteCloser{g, z, s} {
		if _, err := io.WriteString(w, strings.Repeat("before", 100)+text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	forms := [][]byte{zipped.Bytes(), zstded.Bytes(), snapped.Bytes()}
	for _, prefix := range []string{"", "a", "ab"} {
		forms = append(forms, []byte(base64.StdEncoding.EncodeToString([]byte(prefix+text+"behind"))),
			[]byte(base64.URLEncoding.EncodeToString([]byte(prefix+text))))
	}
	forms = append(forms, needles(text)...)
	for i, form := range forms {
		whole := append([]byte("before"), form...)
		found := false
		for _, data := range append(unpacked(whole), whole) {
			for _, n := range needles(text) {
				found = found || bytes.Contains(data, n)
			}
		}
		if !found {
			t.Errorf("form %d is not found: %q", i, form)
		}
	}
}
