package scenario_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"gongji/testnet/hostile"
	"gongji/testnet/load"
	"gongji/testnet/topology"
)

// TestFourthMember: a fourth member with good keys is let in, lies, replays, forges senders, asks for
// other people's grants, invents visits with a correct grant id, wants holds that are not its own, breaks its links,
// and is expelled. Each attack is refused, counted, and in the audit log of the region that was attacked; no money
// moves, the others' business goes on, and the seven invariants hold. `testnet chaos --hostile` does the same to real
// processes.
func TestFourthMember(t *testing.T) {
	f := here(t, 3)
	if err := hostile.Admit(t.Context(), f.dir, f.session); err != nil {
		t.Fatal(err)
	}
	source := f.source()
	defer source.Close()
	others := &hostile.Others{Regions: map[string]load.API{}, Pairs: f.pairs, Source: source}
	for code, c := range f.regions {
		others.Regions[code] = c
	}
	facts, err := others.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the outboxes are empty", f.othersDrained)
	fourth, err := hostile.NewFourth(f.dir, f.session.Kafka...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fourth.Close() }()
	before, err := others.Books(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, err := fourth.Attacks(t.Context(), facts)
	if err != nil {
		t.Fatal(err)
	}
	watch, seen := hostile.NewWatch(f.session), []hostile.Result(nil)
	play := func(stage hostile.Stage) {
		t.Helper()
		results, err := hostile.Play(t.Context(), fourth, watch, list, stage)
		if seen = append(seen, results...); err != nil {
			t.Fatal(err)
		}
	}
	play(hostile.AtWork)
	play(hostile.AtTheEnd)
	after, err := others.Books(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range after.Changed(before) {
		t.Errorf("the books have changed: %s", change)
	}
	if err = hostile.Expel(t.Context(), f.dir, f.session); err != nil {
		t.Fatal(err)
	}
	play(hostile.Expelled)
	var table strings.Builder
	if err = hostile.Print(&table, seen); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table.String())
	kinds := map[hostile.Kind]bool{}
	for i := range seen {
		kinds[seen[i].Kind] = true
		if !seen[i].OK() {
			t.Errorf("%s: %s: sent %v, refused %v, audited %v", seen[i].Kind, seen[i].Name, seen[i].Sent, seen[i].Refused,
				seen[i].Audited)
		}
	}
	if len(kinds) != 7 || len(seen) != len(list) {
		t.Errorf("%d of %d attacks, of the kinds %v", len(seen), len(list), kinds)
	}
	if err = others.Confirm(t.Context(), facts.Pair, facts.Open.Payment); err != nil {
		t.Errorf("the others' payment: %v", err)
	}
	f.mustAgree(t)
	if err = hostile.Admit(t.Context(), f.dir, f.session); !errors.Is(err, topology.ErrOther) {
		t.Errorf("a member that was expelled is let in again: %v", err)
	}
}

// othersDrained reports whether every message between the regions is in the receiver's log.
func (f *fed) othersDrained(ctx context.Context) bool {
	for _, r := range f.session.Regions {
		links, err := f.links(ctx, r.Code)
		if err != nil {
			return false
		}
		for _, l := range links {
			if l.Region != topology.Fourth && l.Waiting != 0 {
				return false
			}
		}
	}
	return true
}
