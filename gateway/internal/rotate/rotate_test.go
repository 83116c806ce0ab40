package rotate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/rotate"
	"gongji/gateway/internal/simtest/regiontest"
)

// load has every family pay 1.00 again and again, at either region in turn, until stop is called; it returns how often
// each family has paid, and every payment that was refused.
func (w *world) load(ctx context.Context) func() ([]int, []error) {
	stop := make(chan struct{})
	var group sync.WaitGroup
	var mu sync.Mutex
	paid := make([]int, len(w.people)/2)
	var refused []error
	for family := range paid {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(2500+370*family) * time.Millisecond):
				}
				at := w.region(i % 2)
				err := w.pay(ctx, at, w.people[2*family+1], fmt.Sprintf("visit-%d-%d", family, i))
				mu.Lock()
				if err != nil {
					refused = append(refused, err)
				} else {
					paid[family]++
				}
				mu.Unlock()
			}
		})
	}
	return func() ([]int, []error) {
		close(stop)
		group.Wait()
		return paid, refused
	}
}

// TestRotationUnderLoad: token key, data key and evidence key of both regions are rotated while payments flow
// and leadership changes in the middle of every stage. No payment is refused, nobody is lost or doubled, the quotas go
// on, and no old token and nothing under an old key is left.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	const families = 8
	with(t, families, regiontest.Config{RotationRate: 6}, func(t *testing.T, w *world) {
		stop := w.load(t.Context())
		for _, use := range []ledger.KeyUse{ledger.KeyToken, ledger.KeyData, ledger.KeyEvidence, ledger.KeyToken} {
			for _, code := range []int{0, 1} {
				w.rotated(w.region(code), use)
			}
		}
		paid, refused := stop()
		if len(refused) > 0 {
			t.Fatalf("%d payments refused, first: %v", len(refused), refused[0])
		}
		for i, n := range paid {
			if got := used(t, w.Regions[beijing], w.people[2*i]); n < 8 || got.Fen() != int64(n)*100 {
				t.Errorf("family %d has paid %d times, and %s counts in its year", i, n, got)
			}
		}
		for _, r := range w.Regions {
			for _, n := range r.Nodes {
				// Both regions know everybody: Beijing by the grants, Shanghai by the index of those insured there.
				want := families * 2
				if r.Code == shanghai {
					want = families
				}
				if persons, tokens := known(t, n); persons != want || tokens != want {
					t.Errorf("%s knows %d persons by %d tokens, want %d", r.Code, persons, tokens, want)
				}
			}
		}
	})
}

// rotated takes one key of a region through a rotation, with leader changes, and looks for what is left of the old one.
func (w *world) rotated(r *regiontest.Region, use ledger.KeyUse) {
	w.t.Helper()
	under := start(w.t, r, use)
	if under.Stage != ledger.RotationPreparing || under.Old == under.New {
		w.t.Fatalf("%+v", under)
	}
	change(w.t, r)
	passes(3 * time.Second)
	if at := now(w.t, r); at.Stage != ledger.RotationPreparing || len(at.Confirmed) != 1 {
		w.t.Fatalf("a key that only one node has: %+v", at)
	}
	copyKeys(w.t, r)
	until(w.t, "the new key is in force", func() bool { return now(w.t, r).Stage != ledger.RotationPreparing })
	changes := 0
	until(w.t, "the walk has ended", func() bool {
		at := now(w.t, r)
		if at.Stage == ledger.RotationMoving && changes < 3 && at.Seen > int64(changes*4) {
			changes++
			change(w.t, r)
		}
		return at.Stage == ledger.RotationDone
	})
	if use != ledger.KeyEvidence && changes < 2 {
		w.t.Errorf("the %s rotation has seen %d changes of the leader", use, changes)
	}
	change(w.t, r)
	passes(time.Second)
	switch use {
	case ledger.KeyToken:
		old := tokenBytes(w.t, r.Nodes[0].Vault, under.Old, w.people...)
		fresh := tokenBytes(w.t, r.Nodes[0].Vault, under.New, w.people...)
		if left := holds(w.t, r, old...); len(left) > 0 {
			w.t.Errorf("old tokens are left in records %q", left)
		}
		if kinds := holds(w.t, r, fresh...); !slices.Contains(kinds, "T") {
			w.t.Errorf("the hunt looks in the wrong place: new tokens stand in %q", kinds)
		}
	case ledger.KeyData:
		left := slices.DeleteFunc(holds(w.t, r, []byte(under.Old)), func(kind string) bool {
			return kind == "e" || kind == "U" // evidence is left to be purged; the rotation's record names both keys
		})
		if len(left) > 0 {
			w.t.Errorf("records %q are still sealed under the old key", left)
		}
		if kinds := holds(w.t, r, []byte(under.New)); !slices.Contains(kinds, "n") || !slices.Contains(kinds, "g") &&
			r.Code == beijing {
			w.t.Errorf("the hunt looks in the wrong place: %q", kinds)
		}
		w.destroyed(r, under.Old)
	case ledger.KeyEvidence:
	}
}

// destroyed has an old data key destroyed on every node, as nothing needs it any more, by one entry of the log and
// whoever leads: payments go on.
func (w *world) destroyed(r *regiontest.Region, id string) {
	w.t.Helper()
	for _, n := range r.Nodes {
		if p := progress(w.t, n); !slices.Contains(p.Destroyable, id) {
			w.t.Errorf("%s may not be destroyed: %+v", id, p)
		}
	}
	order := &ledger.DestroyKey{ID: id, Use: string(crypto.UseData), Reason: "rotated"}
	if o := raw(w.t, r, order); o.Code != "" {
		w.t.Fatalf("%+v", o)
	}
	change(w.t, r)
	until(w.t, "every node has destroyed it and said so", func() bool {
		return !slices.ContainsFunc(r.Nodes, func(n *regiontest.Node) bool {
			ids, err := n.Ring.IDs(crypto.UseData)
			ordered := r.Nodes[0].Ledger.InForce().Destroyed[id] // nil until this node has applied the order
			return err != nil || slices.Contains(ids, id) || ordered == nil ||
				ordered.At(n.Log.Status().ID) != ledger.KeyEndDestroyed
		})
	})
}

// TestOldLeadersCommand: a command that was made before a rotation and applies after it does nothing, whether its
// tokens are old or its seal is; made anew, it is the same person's.
func TestOldLeadersCommand(t *testing.T) {
	t.Parallel()
	with(t, 1, regiontest.Config{}, func(t *testing.T, w *world) {
		r, who := w.Regions[beijing], w.people[1]
		old, err := r.Vault.Person(who.Identity(), "n-late")
		if err != nil {
			t.Fatal(err)
		}
		stranger := regiontest.Employee(string(beijing), "司徒丙", 77, 100)
		unknown, err := r.Vault.Person(stranger.Identity(), "n-stranger")
		if err != nil {
			t.Fatal(err)
		}
		under := w.moved(r, ledger.KeyToken)
		passes(time.Second)
		for _, p := range []ledger.Person{old, unknown} {
			c := &ledger.OpenAccounts{Accounts: []ledger.NewAccount{{Person: p, Facts: stranger.Facts}}}
			if o := raw(t, r, c); o.Code != ledger.CodeStaleKeys {
				t.Errorf("an old command answers %+v", o)
			}
			if o, err := r.Nodes[0].Vault.Propose(t.Context(), r.Log, c); err != nil || o.Code != "" {
				t.Errorf("made anew: %+v, %v", o, err)
			}
		}
		if left := holds(t, r, tokenBytes(t, r.Vault, under.Old, append(w.people, stranger)...)...); len(left) > 0 {
			t.Errorf("old tokens came back into %q", left)
		}
		if persons, tokens := known(t, r.Nodes[0]); persons != 3 || tokens != 3 {
			t.Errorf("%d persons, %d tokens", persons, tokens)
		}
		late, err := r.Vault.Person(who.Identity(), "n-later")
		if err != nil {
			t.Fatal(err)
		}
		w.moved(r, ledger.KeyData)
		c := &ledger.SetOrder{Beneficiary: late, Request: ledger.Request{Platform: "p", ID: "r-1"}}
		if o := raw(t, r, c); o.Code != ledger.CodeStaleKeys {
			t.Errorf("an old seal answers %+v", o)
		}
	})
}

// raw puts a command into the log as it is.
func raw(t *testing.T, r *regiontest.Region, c ledger.Command) ledger.Outcome {
	t.Helper()
	data, err := r.Log.Propose(t.Context(), ledger.EncodeCommand(c))
	if err != nil {
		t.Fatal(err)
	}
	o, err := ledger.DecodeOutcome(data)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// moved takes a key through a rotation without trouble.
func (w *world) moved(r *regiontest.Region, use ledger.KeyUse) ledger.RotationRecord {
	w.t.Helper()
	under := start(w.t, r, use)
	copyKeys(w.t, r)
	until(w.t, "the rotation has ended", func() bool { return now(w.t, r).Stage == ledger.RotationDone })
	return under
}

// TestOrders: one rotation at a time, one that only some nodes can follow waits and can be given up, and stands still
// audibly; a key that is needed may not be destroyed.
func TestOrders(t *testing.T) {
	t.Parallel()
	with(t, 1, regiontest.Config{}, func(t *testing.T, w *world) {
		r := w.Regions[beijing]
		n := r.Nodes[0]
		first := progress(t, n)
		if first.Rotation != nil || first.InForce["token"] == "" || len(first.Destroyable) > 0 {
			t.Errorf("%+v", first)
		}
		if err := n.Rotator.Start(t.Context(), "sign", "li"); !errors.Is(err, rotate.ErrUse) {
			t.Errorf("another use: %v", err)
		}
		if err := n.Rotator.Cancel(t.Context(), "li"); !errors.Is(err, rotate.ErrNone) {
			t.Errorf("nothing to cancel: %v", err)
		}
		under := start(t, r, ledger.KeyData)
		if err := n.Rotator.Start(t.Context(), ledger.KeyToken, "li"); !errors.Is(err, rotate.ErrUnderWay) {
			t.Errorf("a second one: %v", err)
		}
		passes(6 * time.Minute)
		p := progress(t, n)
		if p.Rotation.Stage != "preparing" || len(p.Rotation.Missing) != 2 {
			t.Errorf("%+v", p.Rotation)
		}
		if told := audited(r, "rotation_stalled"); len(told) != 1 || !strings.Contains(told[0], "not confirmed by") {
			t.Errorf("told %q", told)
		}
		for _, id := range []string{under.Old, under.New} {
			if err := n.Rotator.MayDestroy(t.Context(), crypto.UseData, id); !errors.Is(err, rotate.ErrNeeded) {
				t.Errorf("%s: %v", id, err)
			}
		}
		if err := n.Rotator.Cancel(t.Context(), "li"); err != nil {
			t.Fatal(err)
		}
		if p = progress(t, n); p.Rotation.Stage != "cancelled" || p.InForce["data"] != under.Old {
			t.Errorf("%+v", p)
		}
		again := start(t, r, ledger.KeyData) // the same key: it was made and nobody used it
		if again.New != under.New || again.Number != under.Number+1 {
			t.Errorf("%+v", again)
		}
		if err := n.Rotator.MayDestroy(t.Context(), crypto.UseData, "data-197001"); !errors.Is(err, rotate.ErrNeeded) {
			t.Errorf("a key of long ago, before anything was sealed anew: %v", err)
		}
	})
}

// TestAnotherKeyOfTheSameName: a node whose key of the new id is another one does not confirm it.
func TestAnotherKeyOfTheSameName(t *testing.T) {
	t.Parallel()
	with(t, 1, regiontest.Config{}, func(t *testing.T, w *world) {
		v := w.Regions[beijing].Vault
		for _, use := range []crypto.Use{crypto.UseToken, crypto.UseData, crypto.UseEvidence} {
			id, err := v.InForce(use)
			if err != nil {
				t.Fatal(err)
			}
			probe, err := v.Probe(use, id)
			if err != nil || v.Proves(use, id, probe) != nil {
				t.Errorf("%s: its own probe: %v", use, err)
			}
			probe[len(probe)-1] ^= 1
			if err := v.Proves(use, id, probe); err == nil {
				t.Errorf("%s: a changed probe is good", use)
			}
			if err := v.Proves(use, "token-none", probe); !errors.Is(err, crypto.ErrNoKey) {
				t.Errorf("%s: no key: %v", use, err)
			}
		}
	})
}

// TestLackingNode: a node that loses a key in force is not ready, says so, and does not stay leader.
func TestLackingNode(t *testing.T) {
	t.Parallel()
	with(t, 1, regiontest.Config{}, func(t *testing.T, w *world) {
		r := w.Regions[beijing]
		i, n := leader(t, r)
		id, err := n.Vault.InForce(crypto.UseToken)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Ring.Destroy(id, crypto.Order{Who: "li", Reason: "by mistake"}); err != nil {
			t.Fatal(err)
		}
		passes(20 * time.Second)
		if j, _ := leader(t, r); j == i {
			t.Error("it still leads")
		}
		if lacking := n.Rotator.Lacking(); !slices.Equal(lacking, []string{id}) || len(audited(r, "key_missing")) != 1 {
			t.Errorf("it lacks %q, told %q", lacking, audited(r, "key_missing"))
		}
	})
}

// audited are the audited events of a region that begin with a word.
func audited(r *regiontest.Region, event string) []string {
	var out []string
	for _, n := range r.Nodes {
		for _, a := range n.Audits.List() {
			if strings.HasPrefix(a, event) {
				out = append(out, a)
			}
		}
	}
	return out
}
