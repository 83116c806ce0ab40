package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gongji/gateway/internal/record"
)

var update = flag.Bool("update", false, "write testdata anew")

func text(t rapid.TB, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// blanks names the fields of a JSON document that have nothing in them.
func blanks(path string, v any) []string {
	var out []string
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			out = append(out, blanks(path+"."+k, e)...)
		}
	case []any:
		if len(x) == 0 {
			return []string{path}
		}
		out = blanks(path+"[0]", x[0])
	case nil:
		return []string{path}
	case bool:
		if !x {
			return []string{path}
		}
	case float64:
		if x == 0 {
			return []string{path}
		}
	case string:
		if x == "" || x == "0.00" || x == "0001-01-01T00:00:00Z" {
			return []string{path}
		}
	}
	return out
}

// TestEverythingIsWritten: each field of each record and command comes back, so no walk forgets one.
func TestEverythingIsWritten(t *testing.T) {
	t.Parallel()
	for _, s := range sampleRecords() {
		var doc any
		if err := json.Unmarshal([]byte(text(t, s.full)), &doc); err != nil {
			t.Fatal(err)
		}
		if b := blanks(s.name, doc); len(b) > 0 {
			t.Errorf("the sample has nothing in %q", b)
		}
		got := s.empty()
		if err := record.Decode(record.Encode(s.full), got); err != nil {
			t.Fatal(s.name, err)
		}
		if text(t, got) != text(t, s.full) {
			t.Errorf("%s\n got %s\nwant %s", s.name, text(t, got), text(t, s.full))
		}
		for _, fresh := range []record.Record{s.empty()} {
			if err := record.Decode(nil, fresh); err != nil || text(t, fresh) != text(t, s.empty()) {
				t.Errorf("%s: nothing reads as %s, %v", s.name, text(t, fresh), err)
			}
		}
	}
}

// TestEncodings holds the bytes still: they stand in logs, and another encoding would be another state.
func TestEncodings(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, s := range sampleRecords() {
		fmt.Fprintf(&b, "%s %s\n", s.name, hex.EncodeToString(record.Encode(s.full)))
	}
	const path = "testdata/encodings.txt"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, old := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(old)) {
		if i >= len(got) || i >= len(old) || got[i] != old[i] {
			t.Fatalf("%s:%d is another encoding; a new field goes to the end, and -update writes the file", path, i+1)
		}
	}
}

// TestGrown: a record with fields that this program does not know yet is read, and one cut between fields too; no cut
// or change of any kind does more than fail.
func TestGrown(t *testing.T) {
	t.Parallel()
	samples := sampleRecords()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(samples).Draw(t, "record")
		data := record.Encode(s.full)
		more := s.empty()
		grown := append(bytes.Clone(data), rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "new fields")...)
		if err := record.Decode(grown, more); err != nil || text(t, more) != text(t, s.full) {
			t.Fatalf("%s: %v, %s", s.name, err, text(t, more))
		}
		data = data[:rapid.IntRange(0, len(data)).Draw(t, "cut")]
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			if len(data) > 0 {
				data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			}
		}
		got := s.empty()
		if err := record.Decode(data, got); err != nil {
			if !errors.Is(err, record.ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		again := s.empty()
		out := record.Encode(got)
		if err := record.Decode(out, again); err != nil || !bytes.Equal(record.Encode(again), out) {
			t.Fatalf("%s is not stable: %v", s.name, err)
		}
	})
}

// TestKinds: each kind reads as itself, and every kind has a sample; their numbers are those of testdata.
func TestKinds(t *testing.T) {
	t.Parallel()
	sampled := map[Kind]bool{}
	for _, c := range sampleCommands() {
		if sampled[c.Kind()] {
			t.Errorf("%T has a number that another one has", c)
		}
		sampled[c.Kind()] = true
		data := EncodeCommand(c)
		got, err := DecodeCommand(data)
		if err != nil || fmt.Sprintf("%T", got) != fmt.Sprintf("%T", c) || text(t, got) != text(t, c) {
			t.Errorf("%T reads as %T, %v", c, got, err)
		}
	}
	for k := range 256 {
		if c := newCommand(Kind(k)); (c != nil) != sampled[Kind(k)] { //nolint:gosec // a byte
			t.Errorf("kind %d is %T, sampled: %v", k, c, sampled[Kind(k)])
		}
	}
}

// FuzzDecodeCommand reads log entries that anybody made.
func FuzzDecodeCommand(f *testing.F) {
	for _, c := range sampleCommands() {
		data := EncodeCommand(c)
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := DecodeCommand(data)
		if err != nil {
			if !errors.Is(err, ErrCommand) && !errors.Is(err, record.ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		again := EncodeCommand(c)
		d, err := DecodeCommand(again)
		if err != nil || !bytes.Equal(EncodeCommand(d), again) {
			t.Fatalf("%T is not stable: %v", c, err)
		}
	})
}

// FuzzDecodeState reads records of the state that anybody made.
func FuzzDecodeState(f *testing.F) {
	samples := sampleRecords()
	for i, s := range samples {
		f.Add(uint8(i), record.Encode(s.full))
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		s := samples[int(kind)%len(samples)]
		v := s.empty()
		if err := record.Decode(data, v); err != nil {
			return
		}
		again := record.Encode(v)
		w := s.empty()
		if err := record.Decode(again, w); err != nil || !bytes.Equal(record.Encode(w), again) {
			t.Fatalf("%s is not stable: %v", s.name, err)
		}
	})
}
