package marked_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/cockroachdb/pebble/v2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"

	"gongji/gateway/marked"
)

const (
	number  = "110101197001019019"
	name    = "欧阳标记甲"
	control = "110101********9019"
)

// planted are number and name in every form that the issue asks for and some more, made without the package.
func planted(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, text := range []string{number, name} {
		wide := map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian}
		raws := map[string][]byte{"utf-8": []byte(text)}
		for order, o := range wide {
			var b []byte
			for _, u := range utf16.Encode([]rune(text)) {
				b = o.AppendUint16(b, u)
			}
			raws[order] = b
		}
		for form, raw := range raws {
			out[text+form] = raw
			out[text+form+"hex"] = fmt.Appendf(nil, "%x", raw)
			out[text+form+"HEX"] = fmt.Appendf(nil, "%X", raw)
			for _, in := range []string{"", "a", "ab", "abc"} {
				whole := slices.Concat([]byte(in), raw, []byte("behind"))
				out[text+form+in+"std"] = []byte(base64.StdEncoding.EncodeToString(whole))
				out[text+form+in+"url"] = []byte(base64.RawURLEncoding.EncodeToString(whole))
			}
		}
		sum := sha256.Sum256([]byte(text))
		out[text+"digest"], out[text+"hex digest"] = sum[:], []byte(hex.EncodeToString(sum[:]))
		out[text+"base64 digest"] = []byte(base64.StdEncoding.EncodeToString(sum[:]))
	}
	packed, err := hex.DecodeString("0" + number[:17])
	if err != nil {
		t.Fatal(err)
	}
	out["packed"] = packed
	swapped := bytes.Clone(packed)
	for i, b := range swapped {
		swapped[i] = b>>4 | b<<4
	}
	out["swapped"] = swapped
	out["without its check digit"] = []byte(number[:17])
	out["url"] = []byte(url.QueryEscape(name))
	out["small url"] = []byte(strings.ToLower(url.QueryEscape(name)))
	out["json"] = []byte(strings.Trim(fmt.Sprintf("%+q", name), `"`))
	return out
}

// containers are the ways in which data is packed: each returns what a file has then.
func containers() map[string]func(t *testing.T, data []byte) []byte {
	out := map[string]func(t *testing.T, data []byte) []byte{}
	stream := func(open func(io.Writer) (io.WriteCloser, error)) func(*testing.T, []byte) []byte {
		return func(t *testing.T, data []byte) []byte {
			t.Helper()
			var b bytes.Buffer
			w, err := open(&b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = w.Write(data); err != nil {
				t.Fatal(err)
			}
			if err = w.Close(); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}
	}
	out["plain"] = func(_ *testing.T, data []byte) []byte { return data }
	out["gzip"] = stream(func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	out["zstd"] = stream(func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
	out["snappy"] = stream(func(w io.Writer) (io.WriteCloser, error) {
		return s2.NewWriter(w, s2.WriterSnappyCompat()), nil
	})
	out["s2"] = stream(func(w io.Writer) (io.WriteCloser, error) { return s2.NewWriter(w), nil })
	for _, codec := range compress.Codecs[1:] {
		packed := stream(func(w io.Writer) (io.WriteCloser, error) { return codec.NewWriter(w), nil })
		out["Kafka's "+codec.Name()] = packed
		out["a batch of "+codec.Name()] = func(t *testing.T, data []byte) []byte {
			t.Helper()
			return batch(codec.Code(), packed(t, data))
		}
	}
	out["a batch of raw snappy"] = func(_ *testing.T, data []byte) []byte {
		return batch(int8(compress.Snappy), snappy.Encode(nil, data))
	}
	zipped := out["gzip"]
	out["gzip in zstd"] = func(t *testing.T, data []byte) []byte { return out["zstd"](t, zipped(t, data)) }
	return out
}

// batch frames records as a broker's log does.
func batch(codec int8, records []byte) []byte {
	b := make([]byte, 61, 61+len(records))
	binary.BigEndian.PutUint32(b[8:], uint32(49+len(records)))
	b[16], b[22] = 2, byte(codec)
	b = append(b, records...)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// TestHunt: the hunt finds a planted identity in every form and in every container; else it would prove nothing.
func TestHunt(t *testing.T) {
	t.Parallel()
	for form, text := range planted(t) {
		for container, pack := range containers() {
			content := slices.Concat([]byte(strings.Repeat("before ", 100)), text, []byte(strings.Repeat(" behind", 100)))
			data := slices.Concat([]byte{0, 2, 1, 0, 1}, pack(t, content), []byte("rest"))
			h := marked.NewHunt(control, number, name)
			h.Look("x", "y", data)
			if h.Clear("x") == 0 || len(h.Findings()) == 0 {
				t.Errorf("%s in %s is not found", form, container)
			}
		}
	}
}

// TestHuntFindsNothing: what may stand there is no finding, and is seen.
func TestHuntFindsNothing(t *testing.T) {
	t.Parallel()
	h := marked.NewHunt(control, number, name)
	h.Look("x", "y", []byte("欧阳** "+control+" 110101197001019027 "+name[:len(name)-3]))
	if h.Clear("x") != 0 || len(h.Findings()) != 0 || h.Found("x") != 1 || h.Looked() != 1 {
		t.Errorf("%q, %d of %d", h.Findings(), h.Found("x"), h.Looked())
	}
}

// TestHuntInStream: a text that lies across two pieces is found.
func TestHuntInStream(t *testing.T) {
	t.Parallel()
	const piece = 8 << 20
	for _, at := range []int{0, piece - 40, piece - 1, piece, 2*piece - 9, 2*piece + 100} {
		data := make([]byte, 2*piece+200)
		copy(data[at:], name)
		copy(data[at+40:], control)
		h := marked.NewHunt(control, number, name)
		if err := h.Stream("core", "c", bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		if h.Clear("core") == 0 || h.Found("core") == 0 {
			t.Errorf("at %d: %d clear, %d control", at, h.Clear("core"), h.Found("core"))
		}
	}
}

// TestHuntOnDisk: names of files, the log, stores, and tables with what was deleted from the store.
func TestHuntOnDisk(t *testing.T) {
	t.Parallel()
	plant := map[string]func(t *testing.T, dir string){
		"log":         func(t *testing.T, dir string) { t.Helper(); write(t, filepath.Join(dir, "wal", "0.wal"), name) },
		"audit files": func(t *testing.T, dir string) { t.Helper(); write(t, filepath.Join(dir, "audit", "a"), number) },
		"evidence":    func(t *testing.T, dir string) { t.Helper(); write(t, filepath.Join(dir, "evidence", "a"), name) },
		"names of files": func(t *testing.T, dir string) {
			t.Helper()
			write(t, filepath.Join(dir, number), "x")
		},
		"state": func(t *testing.T, dir string) {
			t.Helper()
			store(t, filepath.Join(dir, "state"), func(db *pebble.DB) error {
				return db.Set([]byte("k"), []byte(number), pebble.Sync)
			})
		},
		"snapshots": func(t *testing.T, dir string) {
			t.Helper()
			store(t, filepath.Join(dir, "checkpoints", "1"), func(db *pebble.DB) error {
				return db.Set([]byte("k"), []byte(number), pebble.Sync)
			})
		},
		"tables": func(t *testing.T, dir string) {
			t.Helper()
			store(t, filepath.Join(dir, "state"), func(db *pebble.DB) error {
				for _, act := range []func() error{
					func() error { return db.Set([]byte("k"), []byte(strings.Repeat(number, 100)), pebble.Sync) },
					db.Flush,
					func() error { return db.Delete([]byte("k"), pebble.Sync) },
				} {
					if err := act(); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	for place, act := range plant {
		dir := t.TempDir()
		act(t, dir)
		h := marked.NewHunt(control, number, name)
		if err := h.Files(dir); err != nil {
			t.Fatal(err)
		}
		if h.Clear(place) == 0 {
			t.Errorf("nothing is found in the %s: %q", place, h.Findings())
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("some "+text+" more"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func store(t *testing.T, dir string, fill func(*pebble.DB) error) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{
		DisableAutomaticCompactions: true, LoggerAndTracer: nil, Logger: quiet{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err = fill(db); err != nil {
		t.Error(err)
	}
	if err = db.Close(); err != nil {
		t.Error(err)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

// TestCast: persons are valid, and print nowhere by chance the same.
func TestCast(t *testing.T) {
	t.Parallel()
	c := marked.NewCast("310000", "110000")
	if texts := c.Texts(); len(texts) != 8 || len(c.People("310000")) != 1 || len(c.People("110000")) != 2 {
		t.Errorf("%q", texts)
	}
	data, err := json.Marshal(c.Child.API())
	if err != nil || !bytes.Contains(data, []byte(c.Child.IDNumber)) || c.Child.Masked() == c.Child.IDNumber {
		t.Errorf("%s, %v", data, err)
	}
}
