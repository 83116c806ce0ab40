package desk_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gongji/gateway/client"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

const keepFor = 2 * time.Minute

// said is what a good bundle says, every sentence once.
func said(t *testing.T, w *world, data []byte) (*evidence.Report, []string) {
	t.Helper()
	r, err := verifier(t, w).Verify(data)
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	for _, l := range r.Lines {
		lines[l.EN] = true
	}
	return r, slices.Sorted(maps.Keys(lines))
}

// events are what a trace tells, without the order.
func events(trace client.Trace) []string {
	var out []string
	for _, e := range trace.Events {
		good := "unsigned"
		if e.Verified != nil {
			good = map[bool]string{true: "good", false: "bad"}[*e.Verified]
		}
		out = append(out, strings.Join([]string{e.Time, e.Region, e.What, e.FromState, e.ToState, e.SignedBy, good}, " "))
	}
	slices.Sort(out)
	return out
}

// inState is how many messages and requests about a payment the state still has.
func (w *world) inState(t *testing.T, id string) int {
	t.Helper()
	n := 0
	err := w.sh.View(func(v ledger.View) error {
		messages, err := v.Said(id, "")
		if err != nil {
			return err
		}
		requests, err := v.Asked(id)
		n = len(messages) + len(requests)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestEvidenceFromArchives: a payment whose evidence has left the state is proven and traced from the node's archives,
// word for word as before, with an index or without; an archive that is lost is named, in the bundle and in the trace,
// and what is left still proves.
func TestEvidenceFromArchives(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	with(t, regiontest.Config{Archives: folder, ArchiveKeep: keepFor}, func(t *testing.T, w *world) {
		p, data := proven(t, w)
		before, words := said(t, w, data)
		traced, err := w.sh.Desk.Trace(t.Context(), "test", p.PaymentID)
		if err != nil {
			t.Fatal(err)
		}
		all := w.inState(t, p.PaymentID)
		passes(keepFor + time.Minute)
		if left := w.inState(t, p.PaymentID); left > 4 || left >= all { // the last message of each link stays
			t.Fatalf("%d of %d messages are still in the state", left, all)
		}
		same := func(what string) {
			t.Helper()
			after, again := said(t, w, w.bundle(t, p.PaymentID))
			if !slices.Equal(words, again) || after.Requests != before.Requests || after.Proofs != before.Proofs ||
				len(after.Doubts) > 0 {
				t.Errorf("%s: %d proofs and %d requests, before %d and %d:\n%s\nbefore:\n%s", what, after.Proofs,
					after.Requests, before.Proofs, before.Requests, strings.Join(again, "\n"), strings.Join(words, "\n"))
			}
			trace, err := w.sh.Desk.Trace(t.Context(), "test", p.PaymentID)
			if err != nil || len(trace.Missing) > 0 || !slices.Equal(events(trace), events(traced)) {
				t.Errorf("%s: the trace is another one: %v %v\n%s\nbefore:\n%s", what, trace.Missing, err,
					strings.Join(events(trace), "\n"), strings.Join(events(traced), "\n"))
			}
		}
		same("from the archives")
		dir := w.ArchiveDir(w.sh, w.sh.Node)
		spoil(t, dir, "*.index", func(name string) error { return os.WriteFile(name, []byte("no index"), 0o600) })
		same("with spoilt indexes")
		spoil(t, dir, "*.index", os.Remove)
		same("without indexes")
		if _, err = w.sh.Desk.Evidence(t.Context(), "test", "p-310000-none"); codeOf(err) != policy.CodeNotFound {
			t.Error(err)
		}
		spoil(t, dir, "*.archive", os.Remove)
		after, _ := said(t, w, w.bundle(t, p.PaymentID))
		if len(after.Doubts) != 1 || !strings.Contains(after.Doubts[0].EN, "00000001.archive") ||
			after.Proofs >= before.Proofs {
			t.Errorf("a bundle without the archives says %+v", after.Doubts)
		}
		trace, err := w.sh.Desk.Trace(t.Context(), "test", p.PaymentID)
		if err != nil || !slices.Contains(trace.Missing, string(shanghai)) {
			t.Errorf("%v %v", trace.Missing, err)
		}
	})
}

func spoil(t *testing.T, dir, pattern string, act func(string) error) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		if err := act(name); err != nil {
			t.Fatal(err)
		}
	}
}
