package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

// contents are what an archive of Shanghai's has: kind, peer, epoch and number of each record.
func (f *fed) contents(no uint64) []string {
	f.t.Helper()
	v := f.view(shanghai)
	a, err := v.Archive(no)
	if err != nil || a == nil {
		f.t.Fatal(a, err)
	}
	var out []string
	err = v.Archived(a, func(r ledger.Archived) error {
		kind := "receipt"
		switch {
		case r.Received != nil:
			kind = "received"
		case r.Sent != nil:
			kind = "sent"
		}
		out = append(out, fmt.Sprintf("%s %s %d %d", kind, r.Peer, r.Epoch, r.Number))
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// TestArchives: each cut has what came since the one before, once; it is dropped only after it was sealed, and the
// index goes with it.
func TestArchives(t *testing.T) {
	t.Parallel()
	f := family(t)
	f.refused(shanghai, &ledger.DropArchive{No: 1}, policy.CodeWrongState)
	p := f.pays(shanghai, f.mother, "50.00")
	f.flow()
	if n, _, err := f.view(shanghai).Unarchived(); err != nil || n == 0 {
		t.Fatalf("%d messages wait for an archive, %v", n, err)
	}
	f.refused(shanghai, &ledger.CutArchive{No: 2}, policy.CodeWrongState)
	f.done(shanghai, &ledger.CutArchive{No: 1})
	first := f.contents(1)
	if n, at, err := f.view(shanghai).Unarchived(); err != nil || n != 0 || at.IsZero() || len(first) < 3 {
		t.Fatalf("%d wait after the cut at %s, %v: %v", n, at, err, first)
	}
	f.refused(shanghai, &ledger.CutArchive{No: 2}, policy.CodeWrongState) // the first is not sealed
	f.refused(shanghai, &ledger.DropArchive{No: 1}, policy.CodeWrongState)
	seal := &ledger.SealArchive{No: 1, Entries: uint64(len(first)), Time: f.now, KeyID: "k", Signature: []byte("s")}
	seal.Digest[0] = 7
	f.done(shanghai, seal)
	f.refused(shanghai, seal, policy.CodeWrongState)
	f.refused(shanghai, &ledger.CutArchive{No: 2}, policy.CodeWrongState) // nothing is new
	f.confirms(p, "50.00")
	f.flow()
	f.done(shanghai, &ledger.CutArchive{No: 2})
	second := f.contents(2)
	seen := map[string]bool{}
	for _, x := range append(append([]string{}, first...), second...) {
		if seen[x] {
			t.Errorf("%s is in two archives", x)
		}
		seen[x] = true
	}
	said, err := f.view(shanghai).Said(p.ID, "")
	if err != nil || len(said) < 4 {
		t.Fatalf("%d messages about the payment, %v", len(said), err)
	}
	f.done(shanghai, &ledger.DropArchive{No: 1})
	left, err := f.view(shanghai).Said(p.ID, "")
	if err != nil || len(left) == 0 || len(left) >= len(said) {
		t.Errorf("%d of %d messages are left, %v", len(left), len(said), err)
	}
	if a, err := f.view(shanghai).Archive(1); err != nil || !a.Gone || len(a.Spans) != 0 || a.Digest != seal.Digest {
		t.Errorf("%+v, %v", a, err)
	}
	f.refused(shanghai, &ledger.DropArchive{No: 1}, policy.CodeWrongState)
	if got := f.contents(2); fmt.Sprint(got) != fmt.Sprint(second) {
		t.Errorf("dropping one archive changed another: %v", got)
	}
	f.want(p, "captured 50.00/50.00; 110000 captured 50.00 took 50.00")
}

// TestMoments: a payment, its holds and its refunds keep when they were in which state, and who led is known.
func TestMoments(t *testing.T) {
	t.Parallel()
	f := family(t)
	f.done(shanghai, &ledger.Led{Node: "310000-2"})
	p := f.pays(shanghai, f.mother, "50.00")
	f.flow()
	f.now = f.now.Add(time.Second)
	f.confirms(p, "50.00")
	f.flow()
	rec := f.payment(p.ID)
	var states []uint8
	for i, m := range rec.Moments {
		states = append(states, m.State)
		if i > 0 && m.At.Before(rec.Moments[i-1].At) {
			t.Errorf("%+v", rec.Moments)
		}
	}
	if len(states) < 4 || states[len(states)-1] != uint8(rec.State) {
		t.Errorf("the payment was in %v", states)
	}
	h := f.hold(&rec.Legs[0])
	if n := len(h.Moments); n < 2 || h.Moments[n-1].State != uint8(h.State) {
		t.Errorf("the hold was in %+v", h.Moments)
	}
	if led := f.view(shanghai).Leaders(); led.At(rec.Moments[0].At) != "310000-2" || led.At(time.Unix(1, 0)) != "" {
		t.Errorf("%+v", led)
	}
	f.refused(shanghai, &ledger.Led{}, policy.CodeInvalidRequest)
}
