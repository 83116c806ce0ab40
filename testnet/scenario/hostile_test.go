package scenario_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gongji/federation"
	"gongji/internal/freeport"
	"gongji/testnet/check"
	"gongji/testnet/hostile"
	"gongji/testnet/runner"
	"gongji/testnet/topology"
)

// here starts a federation inside this process, on the embedded broker.
func here(t *testing.T, accounts int) *fed {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "net")
	running := runner.New(runner.Options{
		Dir: dir, Continue: true, Progress: io.Discard,
		Plan: topology.Plan{BasePort: freeport.Base(t), LoadAccounts: accounts},
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- running.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the federation ended with %v", err)
		}
	})
	select {
	case <-running.Ready():
	case err := <-done:
		done <- err
		t.Fatalf("the federation did not start: %v", err)
	}
	return openFed(t, dir)
}

// state is all that a lane could change in a region's books.
type state struct {
	accounts, holds, payments string
}

func (f *fed) states(t *testing.T) map[string]state {
	t.Helper()
	out := map[string]state{}
	for _, r := range f.session.Regions {
		b := f.read(t.Context(), t, r.Code)
		out[r.Code] = state{text(t, b.accounts), text(t, b.holds), text(t, b.payments)}
	}
	return out
}

func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v) // maps by key
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// forgery is a record that must be refused, and why.
type forgery struct {
	name   string
	record []byte
	why    federation.Refusal
}

// forgeries are made of a genuine parcel of the lane that was taken before, one of the way back, and one of the sender
// to somebody else. What still has the genuine one's id counts as it, come again: that is seen before anything dearer.
func forgeries(genuine, reflected, stray []byte) []forgery {
	p, flip, with := hostile.Cut(genuine), hostile.Flip, hostile.With
	garbage := make([]byte, 700)
	_, _ = rand.Read(garbage)           // never fails
	garbage[4], garbage[5] = 0, 1       // or most of it would be of an unknown version
	oversize := make([]byte, 1_000_000) // what a broker takes, and no parcel may have
	copy(oversize, genuine)
	other := flip(genuine, p.Header+hostile.HeaderParcel)
	return []forgery{
		{"a bit of the sealed content", flip(genuine, p.End-1), federation.RefusedReplayed},
		{"a bit of the wrapped key", flip(genuine, p.Sealed-5), federation.RefusedReplayed},
		{"a bit of the signature", flip(genuine, p.Wrapped-3), federation.RefusedReplayed},
		{"a bit of the parcel's id", other, federation.RefusedSignature},
		{"a bit of the Merkle root", flip(genuine, p.Signature-6), federation.RefusedReplayed},
		{"another signing key", flip(genuine, p.Header+hostile.HeaderKey), federation.RefusedReplayed},
		{"another id and signing key", flip(other, p.Header+hostile.HeaderKey), federation.RefusedKeyUnknown},
		{"another receiver", with(genuine, p.Header+hostile.HeaderTo, "999999"), federation.RefusedReplayed},
		{"a sender that nobody knows", with(genuine, p.Header+hostile.HeaderFrom, "999999"), federation.RefusedSenderUnknown},
		{"a later version", flip(genuine, p.Header+hostile.HeaderVersion+1), federation.RefusedVersion},
		{"cut short", genuine[:p.End-1], federation.RefusedMalformed},
		{"with something behind", append(bytes.Clone(genuine), 0), federation.RefusedMalformed},
		{"garbage", garbage, federation.RefusedMalformed},
		{"nothing", nil, federation.RefusedMalformed},
		{"oversize", oversize, federation.RefusedMalformed},
		{"reflected", reflected, federation.RefusedReflected},
		{"of another lane", stray, federation.RefusedRecipient},
	}
}

// withMessages returns the first record of a lane whose parcel has messages.
func withMessages(t *testing.T, to *hostile.Member, lane federation.Lane, records []federation.Record) []byte {
	t.Helper()
	for _, r := range records {
		o, err := federation.Unpack(to.Directory, to, lane, time.Now(), r.Value)
		if err != nil {
			t.Fatalf("record %d of %s: %v", r.Offset, lane.Topic(), err)
		}
		if len(o.Messages) > 0 {
			return r.Value
		}
	}
	t.Fatalf("%s has %d records and no message", lane.Topic(), len(records))
	return nil
}

// TestPlainClientOnTheLane: somebody who can write on a lane, and has no key, repeats, reorders, changes, reflects and
// invents parcels. Nothing comes of it but counters and audit lines, and the next genuine parcel goes through.
func TestPlainClientOnTheLane(t *testing.T) {
	f := here(t, 3)
	pair := f.pairs[0]
	f.grant(t, pair)
	f.mustCapture(t, pair, "80.00")
	from, to := federation.Region(pair.Visit), federation.Region(pair.Payer.Region)
	lane := federation.Lane{From: from, To: to}
	client := f.lanes(t)
	records := client.all(t, lane)
	genuine := withMessages(t, f.member(t, string(to)), lane, records)
	back := client.all(t, federation.Lane{From: to, To: from})
	stray := client.all(t, federation.Lane{From: from, To: federation.Region(pair.Beneficiary.Region)})
	list := forgeries(genuine, back[0].Value, stray[0].Value)

	names := map[federation.Refusal]string{}
	want := map[federation.Refusal]float64{}
	before := map[federation.Refusal]float64{}
	for _, x := range list {
		names[x.why] = fmt.Sprintf(`gongji_parcels_refused_total{peer="%s",reason="%s"}`, from, x.why)
		want[x.why]++
		before[x.why] = f.counted(t.Context(), string(to), names[x.why])
	}
	want[federation.RefusedReplayed] += float64(2 * len(records))
	rest := f.states(t)

	// Everything that was ever said, again, and once more in the opposite order; then what is forged.
	var values [][]byte
	for _, r := range records {
		values = append(values, r.Value)
	}
	client.put(t, lane, values...)
	slices.Reverse(values)
	client.put(t, lane, values...)
	for _, x := range list {
		client.put(t, lane, x.record)
	}

	seen := map[federation.Refusal]float64{}
	until(t, "every forgery and every repeat is counted", func(ctx context.Context) bool {
		for why, name := range names {
			seen[why] = f.counted(ctx, string(to), name) - before[why]
		}
		return maps.Equal(seen, want)
	})
	until(t, "the audit log has them all", func(ctx context.Context) bool {
		for why, n := range want {
			if f.audited(ctx, string(to), "parcel_refused", string(from), string(why)) != n+before[why] {
				return false
			}
		}
		return true
	})
	for code, now := range f.states(t) {
		if now != rest[code] {
			t.Errorf("the books of %s have changed:\nbefore %+v\nafter  %+v", code, rest[code], now)
		}
	}

	f.mustCapture(t, pair, "40.00")
	l, err := f.links(t.Context(), string(to))
	if err != nil || l[string(from)].Forked {
		t.Errorf("the link: %+v, %v", l, err)
	}
	f.mustAgree(t)
}

// mustAgree checks the seven invariants.
func (f *fed) mustAgree(t *testing.T) {
	t.Helper()
	source := f.source()
	defer source.Close()
	report, err := check.Wait(t.Context(), check.Federation{
		Regions: f.checked(), Source: source, TempDir: t.TempDir(), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("the books do not agree: %v", report.Map())
	}
}
