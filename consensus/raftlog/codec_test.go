package raftlog_test

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gongji/consensus"
	"gongji/consensus/raftlog"
)

// roundTrip: what a decoder takes, the encoder writes the same way.
func roundTrip(t *testing.T, data []byte, decode func([]byte) ([]byte, error)) {
	t.Helper()
	again, err := decode(data)
	if err == nil && !bytes.Equal(again, data) {
		t.Errorf("%x was read and written again as %x", data, again)
	}
}

func FuzzPack(f *testing.F) {
	f.Add(raftlog.EncodePack(0, nil))
	f.Add(raftlog.EncodePack(1, [][]byte{{}, []byte("set k v")}))
	f.Add([]byte{2, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		roundTrip(t, data, func(b []byte) ([]byte, error) {
			again, n, err := raftlog.DecodePack(b)
			if n > consensus.PackMax {
				t.Errorf("%d commands in one pack", n)
			}
			return again, err
		})
	})
}

func FuzzFrame(f *testing.F) {
	f.Add(raftlog.EncodeFrame(1, 1, []byte("set k v")))
	f.Add(raftlog.EncodeFrame(1<<63, 4, nil))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		again, err := raftlog.ReadFrame(bytes.NewReader(data))
		if err == nil && !bytes.HasPrefix(data, again) {
			t.Errorf("%x was read and written again as %x", data, again)
		}
	})
}

func FuzzStatus(f *testing.F) {
	f.Add(raftlog.EncodeStatus(0))
	f.Add(raftlog.EncodeStatus(2))
	f.Add(raftlog.EncodeStatus(65))
	f.Fuzz(func(t *testing.T, data []byte) {
		again, err := raftlog.DecodeStatus(data)
		if err == nil && len(again) != len(data) { // unknown flags of later versions are let through
			t.Errorf("%x was read and written again as %x", data, again)
		}
	})
}

func FuzzMeta(f *testing.F) {
	data, err := raftlog.EncodeMeta()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = raftlog.DecodeMeta(data) })
}

func FuzzMark(f *testing.F) {
	f.Add(make([]byte, 49))
	f.Add(append([]byte{1}, make([]byte, 48)...))
	f.Fuzz(func(t *testing.T, data []byte) { roundTrip(t, data, raftlog.DecodeMark) })
}

func FuzzUntar(f *testing.F) {
	f.Add(tarOf(f, "MANIFEST-000001", "x"))
	f.Add(tarOf(f, "../escape", "x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		fs := vfs.NewMem()
		names, err := raftlog.Untar(fs, "in", bytes.NewReader(data))
		if err != nil {
			return
		}
		top, err := fs.List("")
		if err != nil || len(top) != 1 {
			t.Errorf("unpacked outside of its folder: %v, %v (%v)", top, names, err)
		}
	})
}

func tarOf(t testing.TB, name, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	h := &tar.Header{Name: name, Size: int64(len(content)), Mode: 0o600, Typeflag: tar.TypeReg, Format: tar.FormatGNU}
	if err := w.WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestUntarRefuses what is no plain file with a plain name, and what is cut short.
func TestUntarRefuses(t *testing.T) {
	whole := tarOf(t, "000004.sst", strings.Repeat("x", 2000))
	for name, data := range map[string][]byte{
		"parent":    tarOf(t, "../x", "x"),
		"absolute":  tarOf(t, "/x", "x"),
		"folder":    tarOf(t, "a/b", "x"),
		"dots":      tarOf(t, "..", ""),
		"backslash": tarOf(t, `a\b`, "x"),
		"cut short": whole[:1500],
		"header":    whole[:100],
	} {
		if _, err := raftlog.Untar(vfs.NewMem(), "in", bytes.NewReader(data)); err == nil {
			t.Errorf("%s was unpacked", name)
		}
	}
	if names, err := raftlog.Untar(vfs.NewMem(), "in", bytes.NewReader(whole)); err != nil || len(names) != 1 {
		t.Errorf("a good one: %v, %v", names, err)
	}
}

// TestTarLength: the announced length is the length, since raft counts.
func TestTarLength(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("db", 0o700); err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{0, 1, 511, 512, 513, 100_000} {
		f, err := fs.Create("db/file"+string(rune('a'+i)), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		data, announced, err := raftlog.TarOf(fs, "db")
		if err != nil || int64(len(data)) != announced {
			t.Fatalf("%d bytes, %d announced, %v", len(data), announced, err)
		}
	}
	data, _, err := raftlog.TarOf(fs, "db")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raftlog.Untar(fs, "copy", bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	again, _, err := raftlog.TarOf(fs, "copy")
	if err != nil || !bytes.Equal(again, data) {
		t.Errorf("unpacked and packed again it differs, %v", err)
	}
}

func TestPackRefuses(t *testing.T) {
	good := raftlog.EncodePack(5, [][]byte{[]byte("one"), []byte("two")})
	many := make([][]byte, consensus.PackMax+1)
	for name, data := range map[string][]byte{
		"empty":             {},
		"header only":       good[:5],
		"other version":     append([]byte{9}, good[1:]...),
		"cut":               good[:len(good)-1],
		"longer":            append(bytes.Clone(good), 0),
		"too many":          raftlog.EncodePack(5, many),
		"no time":           raftlog.EncodePack(-1, nil),
		"large command":     raftlog.EncodePack(5, [][]byte{make([]byte, consensus.CommandMax+1)}),
		"year ten thousand": raftlog.EncodePack(1<<62, nil),
	} {
		if _, _, err := raftlog.DecodePack(data); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, n, err := raftlog.DecodePack(good); n != 2 || err != nil {
		t.Errorf("a good one: %d, %v", n, err)
	}
}

func TestCompareClocks(t *testing.T) {
	const s = time.Second
	year := 365 * 24 * time.Hour
	for _, c := range []struct {
		name    string
		offsets []time.Duration
		voters  int
		verdict int // 0 unknown, 1 agrees, 2 off
		offset  time.Duration
	}{
		{"alone in a group of one", nil, 1, 1, 0},
		{"alone of three", nil, 3, 0, 0},
		{"all agree", []time.Duration{0, s / 4}, 3, 1, 0},
		{"one of the others is wrong", []time.Duration{0, year}, 3, 1, 0},
		{"this one is ahead", []time.Duration{-year, -year}, 3, 2, year},
		{"this one is behind", []time.Duration{3 * s, 3 * s}, 3, 2, -3 * s},
		{"just inside", []time.Duration{s / 2, s / 2}, 3, 1, -s / 2},
		{"one answered and agrees", []time.Duration{s / 10}, 3, 1, -s / 20},
		{"one answered and does not", []time.Duration{2 * s}, 3, 2, -s},
		{"all differ", []time.Duration{2 * s, -2 * s}, 3, 2, 0},
		{"five, two wrong", []time.Duration{0, 0, year, -year}, 5, 1, 0},
		{"five, three wrong", []time.Duration{0, year, year, year}, 5, 2, -year},
	} {
		verdict, offset := raftlog.CompareClocks(c.offsets, c.voters)
		if verdict != c.verdict || offset != c.offset {
			t.Errorf("%s: %d, %v; want %d, %v", c.name, verdict, offset, c.verdict, c.offset)
		}
	}
}

// TestEnough: every majority with the asking member has one of those heard in it.
func TestEnough(t *testing.T) {
	for members, want := range map[int]int{1: 0, 2: 1, 3: 2, 4: 2, 5: 3, 7: 4} {
		if got := raftlog.Enough(members); got != want {
			t.Errorf("of %d members: %d, want %d", members, got, want)
		}
	}
}
