package auditlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/sm/emm"
	"gongji/gateway/internal/auditlog"
)

var noon = time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC)

// made is a log of a region with its signing key.
type made struct {
	t       *testing.T
	suite   crypto.Suite
	key     crypto.Private
	entries []auditlog.Entry
}

func makeLog(t *testing.T, lines int) *made {
	t.Helper()
	suite := emm.New()
	key, err := suite.Generate()
	if err != nil {
		t.Fatal(err)
	}
	m := &made{t: t, suite: suite, key: key}
	for i := range lines {
		m.add(auditlog.Line{
			At: noon.Add(time.Duration(i) * time.Second), Noted: noon, Node: "n1", Event: "parcel_refused", Count: 2,
			Result: auditlog.ResultRefused, Object: fmt.Sprint("h-", i),
			Attrs: []auditlog.Attr{{Name: "peer", Value: "310000"}, {Name: "reason", Value: "签名<&>"}},
		})
	}
	return m
}

func (m *made) add(l auditlog.Line) {
	e := auditlog.Entry{Number: uint64(len(m.entries) + 1), Line: l}
	var before auditlog.Digest
	if len(m.entries) > 0 {
		before = m.entries[len(m.entries)-1].Digest
	}
	e.Digest = auditlog.Next(m.suite.Sum, before, e.Number, &e.Line)
	m.entries = append(m.entries, e)
}

func (m *made) checkpoint(number int, by crypto.Private) *auditlog.Checkpoint {
	m.t.Helper()
	p := &auditlog.Checkpoint{
		Region: "110000", Number: uint64(number), Digest: m.entries[number-1].Digest, At: noon, KeyID: "sign-1",
	}
	var err error
	if p.Signature, err = by.Sign(p.Message()); err != nil {
		m.t.Fatal(err)
	}
	return p
}

// file writes entries from first to last with checkpoints behind some.
func (m *made) file(first, last int, checkpoints ...*auditlog.Checkpoint) string {
	m.t.Helper()
	h := auditlog.Header{Region: "110000", First: uint64(first)}
	if first > 1 {
		h.Before = m.entries[first-2].Digest
	}
	var b bytes.Buffer
	w, err := auditlog.NewWriter(&b, h)
	if err != nil {
		m.t.Fatal(err)
	}
	for i := first; i <= last; i++ {
		err = errors.Join(err, w.Entry(&m.entries[i-1]))
		for _, p := range checkpoints {
			if p.Number == uint64(i) || i == last && p.Number > uint64(last) {
				err = errors.Join(err, w.Checkpoint(p))
			}
		}
	}
	if err = errors.Join(err, w.Flush()); err != nil {
		m.t.Fatal(err)
	}
	return b.String()
}

func (m *made) verify(newest *auditlog.Checkpoint, files ...string) (auditlog.Report, error) {
	verifier, err := m.suite.Verifier(m.key.Public())
	if err != nil {
		m.t.Fatal(err)
	}
	v := &auditlog.Verifier{
		Hash: m.suite.Sum,
		Check: func(p *auditlog.Checkpoint) error {
			if p.KeyID != "sign-1" {
				return crypto.ErrNoKey
			}
			return verifier.Verify(p.Message(), p.Signature)
		},
	}
	for i, f := range files {
		if err := v.File(fmt.Sprint("file ", i+1), strings.NewReader(f)); err != nil {
			return auditlog.Report{}, err
		}
	}
	return v.End(newest)
}

// TestWhole verifies a log of two files, and its unsigned end.
func TestWhole(t *testing.T) {
	t.Parallel()
	m := makeLog(t, 9)
	r, err := m.verify(nil, m.file(1, 4, m.checkpoint(4, m.key)), m.file(5, 9, m.checkpoint(7, m.key)))
	if err != nil {
		t.Fatal(err)
	}
	if r.First != 1 || r.Last != 9 || r.Checkpoints != 2 || r.Events != 18 || r.Unsigned() != 2 || r.Region != "110000" {
		t.Errorf("%+v", r)
	}
	if r, err = m.verify(m.checkpoint(9, m.key), m.file(5, 9)); err != nil || r.Newest == nil {
		t.Errorf("a checkpoint from elsewhere signs the end: %+v, %v", r, err)
	}
}

// TestBroken attacks a log: each change is found, at the first line that it breaks.
func TestBroken(t *testing.T) {
	t.Parallel()
	m := makeLog(t, 9)
	thief, err := m.suite.Generate()
	if err != nil {
		t.Fatal(err)
	}
	good := m.file(1, 9, m.checkpoint(5, m.key), m.checkpoint(9, m.key))
	rows := strings.SplitAfter(strings.TrimSuffix(good, "\n"), "\n")
	row := func(i int) string { return rows[i-1] }
	forged := m.checkpoint(9, m.key)
	forged.Digest[0] ^= 1
	later := m.checkpoint(9, m.key)
	other := makeLog(t, 9)
	other.key = m.key
	other.entries[2].Line.Event = "nothing_happened"
	again := &made{t: t, suite: m.suite, key: m.key}
	for _, e := range other.entries {
		again.add(e.Line)
	}
	for _, c := range []struct {
		name   string
		newest *auditlog.Checkpoint
		files  []string
		what   string
		number uint64
	}{
		{"a word changed", nil, []string{strings.Replace(good, `"object":"h-3"`, `"object":"h-8"`, 1)}, "digest", 4},
		{"a count changed", nil, []string{strings.Replace(good, `"count":2`, `"count":1`, 1)}, "digest", 1},
		{"a line removed", nil, []string{strings.Replace(good, row(4), "", 1)}, "number", 3},
		{"two lines exchanged", nil, []string{strings.Replace(good, row(4)+row(5), row(5)+row(4), 1)}, "number", 3},
		{"a line twice", nil, []string{strings.Replace(good, row(4), row(4)+row(4), 1)}, "number", 4},
		{"a space more", nil, []string{strings.Replace(good, `"count":2`, `"count": 2`, 1)}, "format", 1},
		{"an unknown field", nil, []string{strings.Replace(good, `"count":2`, `"count":2,"x":1`, 1)}, "format", 1},
		{"cut in a line", nil, []string{good[:len(good)-9]}, "format", 10},
		{"the tail cut", later, []string{m.file(1, 8, m.checkpoint(5, m.key))}, "tail", 9},
		{"the tail cut under its checkpoint", nil, []string{m.file(1, 8, later)}, "tail", 9},
		{"a file missing", nil, []string{m.file(1, 3), m.file(5, 9, later)}, "number", 4},
		{"files exchanged", nil, []string{m.file(5, 9, later), m.file(1, 4)}, "number", 10},
		{"no checkpoint", nil, []string{m.file(1, 9)}, "unsigned", 10},
		{"a checkpoint of another key", nil, []string{m.file(1, 9, m.checkpoint(9, thief))}, "signature", 10},
		{"a checkpoint changed", nil, []string{m.file(1, 9, forged)}, "signature", 10},
		{"the whole chain made anew", nil, []string{again.file(1, 9, m.checkpoint(9, m.key))}, "checkpoint", 10},
		{"made anew, under a kept checkpoint", later, []string{again.file(1, 9)}, "checkpoint", 10},
		{"of another region", nil, []string{good, strings.Replace(good, "110000", "310000", 1)}, "region", 10},
		{"not from the beginning", nil, []string{
			strings.Replace(good, strings.Repeat("00", 32), strings.Repeat("01", 32), 1),
		}, "digest", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := m.verify(c.newest, c.files...)
			broken, ok := errors.AsType[*auditlog.BrokenError](err)
			if !ok || broken.What != c.what || broken.Number != c.number {
				t.Errorf("%v, and not %s at %d", err, c.what, c.number)
			}
		})
	}
}

// TestEveryByte changes each byte of a file: none may pass.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	m := makeLog(t, 2)
	good := m.file(1, 2, m.checkpoint(2, m.key))
	for i := range good {
		bad := []byte(good)
		bad[i] ^= 1
		if _, err := m.verify(nil, string(bad)); err == nil {
			t.Fatalf("byte %d may be changed: %q", i, bad[max(i-10, 0):min(i+10, len(bad))])
		}
	}
}

// TestBounded: an outsider's words do not make lines long.
func TestBounded(t *testing.T) {
	t.Parallel()
	l := auditlog.Line{Event: strings.Repeat("e", 999), Object: strings.Repeat("字", 999), Node: "\xff\xfe"}
	for range 99 {
		l.Attrs = append(l.Attrs, auditlog.Attr{Name: strings.Repeat("n", 999), Value: strings.Repeat("v", 999)})
	}
	b := l.Bounded()
	if len(b.Event) != auditlog.WordMax || len(b.Object) > auditlog.TextMax || strings.ContainsRune(b.Object, '\uFFFD') ||
		len(b.Attrs) != auditlog.AttrsMax || len(b.Attrs[0].Value) != auditlog.TextMax || b.Node != "\uFFFD" {
		t.Errorf("%+v", b)
	}
	if len(l.Attrs[0].Name) != 999 {
		t.Error("the caller's line was changed")
	}
}

// FuzzReader reads files that anybody made.
func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"gongji_audit":1,"region":"110000","first":1,"before":"` + strings.Repeat("00", 32) + `"}` + "\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		r, err := auditlog.NewReader(bytes.NewReader(data))
		for more := err == nil; more && err == nil; {
			_, more, err = r.Next()
		}
	})
}
