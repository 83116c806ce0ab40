package keyfile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

func verify(t *testing.T, dir string) keyfile.Report {
	t.Helper()
	report, err := keyfile.Verify(dir, raw(t), emm.New())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// told is what a ring had happen to it: acts of every kind.
func told(t *testing.T) (string, string, string) {
	t.Helper()
	dir := folder(t)
	ring := open(t, dir, raw(t), keyfile.WithOrder(crypto.Order{Who: "officer one", Reason: "first keys"}))
	var data string
	for _, use := range []crypto.Use{
		crypto.UseSign, crypto.UseDecrypt, crypto.UseToken, crypto.UseEvidence, crypto.UseData,
	} {
		data = generate(t, ring, use)
	}
	gone := generate(t, ring, crypto.UseData)
	if err := ring.Destroy(gone, order()); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Export(data, raw(t)); err != nil {
		t.Fatal(err)
	}
	return dir, data, gone
}

// TestJournal: each act is written down before and after, by whom and why.
func TestJournal(t *testing.T) {
	t.Parallel()
	dir, data, gone := told(t)
	report := verify(t, dir)
	if len(report.Problems) > 0 || len(report.Keys) != 5 || !slices.Equal(report.Destroyed, []string{gone}) {
		t.Errorf("%+v", report)
	}
	if len(report.Journal) != 16 || report.Head() != report.Journal[15].Hash {
		t.Fatalf("%d entries", len(report.Journal))
	}
	for i, e := range report.Journal {
		want := []keyfile.Phase{keyfile.PhaseBegun, keyfile.PhaseDone}[i%2]
		if e.Phase != want || e.At.IsZero() || e.Seq != uint64(i+1) {
			t.Errorf("%d: %+v", i, e)
		}
	}
	first, destroyed, last := report.Journal[0], report.Journal[12], report.Journal[15]
	if first.Who != "officer one" || first.Reason != "first keys" || first.Act != keyfile.ActGenerate {
		t.Errorf("%+v", first)
	}
	if destroyed.Who != order().Who || destroyed.Reason != order().Reason || destroyed.Key != gone ||
		destroyed.Act != keyfile.ActDestroy {
		t.Errorf("%+v", destroyed)
	}
	if last.Act != keyfile.ActExport || last.Key != data {
		t.Errorf("%+v", last)
	}
	if info, err := os.Stat(filepath.Join(dir, "journal")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestJournalAttacked: whatever is changed in the journal or in the folder behind its back is found.
func TestJournalAttacked(t *testing.T) {
	t.Parallel()
	dir, data, gone := told(t)
	path := filepath.Join(dir, "journal")
	genuine, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(content []byte) keyfile.Report {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return verify(t, dir)
	}
	for at := 0; at < len(genuine); at += 23 {
		changed := bytes.Clone(genuine)
		changed[at] ^= 1
		if report := put(changed); len(report.Problems) == 0 {
			t.Errorf("byte %d of %d changed: unseen", at, len(genuine))
		}
	}
	lines := bytes.SplitAfter(genuine, []byte("\n"))
	for i := range lines[:len(lines)-1] {
		if i >= len(lines)-4 { // the export at the end changed no key
			break
		}
		if report := put(bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil)); len(report.Problems) == 0 {
			t.Errorf("without line %d: unseen", i+1)
		}
		if report := put(bytes.Join(lines[:i], nil)); len(report.Problems) == 0 {
			t.Errorf("cut behind line %d: unseen", i)
		}
	}
	for i := range lines[:len(lines)-2] { // whoever changes a line makes its own digest anew, too
		var e keyfile.Entry
		if err := json.Unmarshal(lines[i], &e); err != nil {
			t.Fatal(err)
		}
		e.Who = "somebody else"
		if e, err = keyfile.Rehashed(emm.New(), e); err != nil {
			t.Fatal(err)
		}
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		forged := slices.Clone(lines)
		forged[i] = append(line, '\n')
		if report := put(bytes.Join(forged, nil)); len(report.Problems) == 0 {
			t.Errorf("line %d forged: unseen", i+1)
		}
	}
	if report := put(append(bytes.Clone(genuine), []byte(`{"seq":17,`)...)); len(report.Problems) > 0 {
		t.Errorf("half a line at the end: %v", report.Problems)
	}
	if report := put(genuine); len(report.Problems) > 0 {
		t.Fatalf("genuine: %v", report.Problems)
	}
	mark := filepath.Join(dir, gone+keyfile.Tombstone)
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	if got := verify(t, dir).Problems; len(got) != 1 || !strings.Contains(got[0], gone+" has lost the mark") {
		t.Errorf("%v", got)
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, data+keyfile.Suffix)); err != nil {
		t.Fatal(err)
	}
	if got := verify(t, dir).Problems; len(got) != 1 || !strings.Contains(got[0], data+" is gone") {
		t.Errorf("%v", got)
	}
	if _, err := keyfile.Verify(filepath.Join(dir, "none"), raw(t), emm.New()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// TestJournalAfterACrash: an act whose outcome nobody wrote is closed by the next one, half a line goes.
func TestJournalAfterACrash(t *testing.T) {
	t.Parallel()
	dir, _, _ := told(t)
	path := filepath.Join(dir, "journal")
	genuine, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(genuine, []byte("\n"))
	if err := os.WriteFile(path, append(bytes.Join(lines[:15], nil), `{"seq":16`...), 0o600); err != nil {
		t.Fatal(err)
	}
	generate(t, open(t, dir, raw(t)), crypto.UseToken)
	report := verify(t, dir)
	if len(report.Problems) > 0 || len(report.Journal) != 18 || report.Journal[15].Phase != keyfile.PhaseLost ||
		report.Journal[15].Act != keyfile.ActExport {
		t.Errorf("%+v", report)
	}
	// What cannot be written down is not done.
	if err := os.WriteFile(path, []byte("no journal\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ring := open(t, dir, raw(t))
	before := idsOf(ring, crypto.UseToken)
	if id, err := ring.Generate(crypto.UseToken); !errors.Is(err, keyfile.ErrJournal) {
		t.Errorf("made %q: %v", id, err)
	}
	if err := ring.Destroy(before[0], order()); !errors.Is(err, keyfile.ErrJournal) {
		t.Errorf("destroyed: %v", err)
	}
	if after := idsOf(open(t, dir, raw(t)), crypto.UseToken); !slices.Equal(after, before) {
		t.Errorf("%v, before %v", after, before)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Generate(crypto.UseToken); !errors.Is(err, keyfile.ErrPermissions) {
		t.Errorf("readable by others: %v", err)
	}
}

// TestOrder: nobody destroys a key without saying who and why.
func TestOrder(t *testing.T) {
	t.Parallel()
	ring := open(t, folder(t), raw(t))
	id := generate(t, ring, crypto.UseData)
	for _, bad := range []crypto.Order{
		{},
		{Who: "x"},
		{Reason: "x"},
		{Who: "a\nb", Reason: "x"},
		{Who: "x", Reason: strings.Repeat("x", crypto.OrderMax+1)},
		{Who: "x", Reason: "\xff"},
	} {
		if err := ring.Destroy(id, bad); !errors.Is(err, crypto.ErrOrder) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if current, err := ring.Current(crypto.UseData); current != id {
		t.Errorf("%q, %v", current, err)
	}
}
