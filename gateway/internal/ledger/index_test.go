package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/wire/wirepb"
)

// forgets takes the whole index out of a region's state, as a backup from before would.
func (f *fed) forgets(at federation.Region) {
	f.t.Helper()
	for _, n := range f.regions[at].nodes {
		for _, prefix := range []byte("xAj") {
			var keys [][]byte
			n.txn.Scan([]byte{prefix}, []byte{prefix + 1}, func(key, _ []byte) bool {
				keys = append(keys, append([]byte(nil), key...))
				return true
			})
			for _, key := range keys {
				n.txn.Delete(key)
			}
		}
		if err := n.l.Reset(n.txn); err != nil {
			f.t.Fatal(err)
		}
	}
}

// rebuilds asks everybody, and goes through the own pages.
func (f *fed) rebuilds(at federation.Region) {
	f.t.Helper()
	for _, r := range f.order {
		after := ""
		for more := true; more; more = after != "" {
			after = f.done(at, &ledger.RebuildIndex{Peer: r, After: after}).ID
		}
	}
	f.flow()
	list, err := f.view(at).Rebuilds()
	if err != nil || len(list) != len(f.order)-1 {
		f.t.Fatalf("%+v, %v", list, err)
	}
	for _, r := range list {
		if r.Ended.IsZero() {
			f.t.Fatalf("%s has not told all: %+v", r.Peer, r)
		}
	}
}

// TestRebuildIndex: an index that was lost is whole again after all regions were asked, page by page, with every
// grant once, as it is now; asking again changes nothing.
func TestRebuildIndex(t *testing.T) {
	t.Parallel()
	f, id := related(t)
	const kin = ledger.PageMax + 20 // of the same payer: two pages
	people := []someone{f.mother}
	last := ""
	for n := range kin {
		people = append(people, f.live(fmt.Sprintf("K%d", n), fuzhou, resident()))
		terms := f.terms(beijing)
		last = f.done(beijing, f.granting(f.son, people[n+1], terms)).ID
	}
	brother := f.live("Brother", fuzhou, employee(500000, 500000))
	own := f.grants(brother, f.mother)
	f.done(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: last})
	f.flow()
	f.forgets(fuzhou)
	if rec, err := f.view(fuzhou).Indexed(id); rec != nil || err != nil {
		t.Fatal(rec, err)
	}
	f.rebuilds(fuzhou)
	f.wantGrant(id, grant.StatusActive, "")
	f.wantGrant(own, grant.StatusActive, "")
	f.wantGrant(last, grant.StatusRevoked, grant.CausePayer)
	for _, who := range people {
		list, err := f.view(fuzhou).Index(f.number(fuzhou, who))
		if want := map[bool]int{true: 2, false: 1}[who == f.mother]; err != nil || len(list) != want {
			t.Fatalf("%s has %d grants, %v", who.name, len(list), err)
		}
	}
	before := f.regions[fuzhou].nodes[0].txn.Clone()
	f.rebuilds(fuzhou)
	for _, prefix := range []byte("xAj") {
		got, want := "", ""
		f.regions[fuzhou].nodes[0].txn.Scan([]byte{prefix}, []byte{prefix + 1}, func(k, v []byte) bool {
			got += fmt.Sprintf("%x %x,", k, v)
			return true
		})
		before.Scan([]byte{prefix}, []byte{prefix + 1}, func(k, v []byte) bool {
			want += fmt.Sprintf("%x %x,", k, v)
			return true
		})
		if got != want {
			t.Errorf("asking again has changed %c", prefix)
		}
	}
}

// TestRebuildRefused: one at a time of each region; pages that nobody asked for, or that lead back, change nothing.
func TestRebuildRefused(t *testing.T) {
	t.Parallel()
	f, _ := related(t)
	f.cut(beijing, fuzhou)
	f.done(fuzhou, &ledger.RebuildIndex{Peer: beijing})
	f.refused(fuzhou, &ledger.RebuildIndex{Peer: beijing}, policy.CodeWrongState)
	f.refused(fuzhou, &ledger.RebuildIndex{Peer: "999999"}, policy.CodeInvalidRegion)
	f.pass(time.Hour)
	f.done(fuzhou, &ledger.RebuildIndex{Peer: beijing}) // that one has been lost
	for _, next := range []string{"g-310000-0001", "x", ""} {
		f.say(shanghai, fuzhou, &wirepb.Body{Kind: &wirepb.Body_IndexPage{
			IndexPage: &wirepb.IndexPage{Next: next, Count: 5},
		}}, nil)
	}
	f.say(beijing, fuzhou, &wirepb.Body{Kind: &wirepb.Body_IndexPage{
		IndexPage: &wirepb.IndexPage{Next: "g-310000-0001", Count: 5}, // another region's
	}}, nil)
	list, err := f.view(fuzhou).Rebuilds()
	if err != nil || len(list) != 1 || list[0].Count != 0 || list[0].After != "" {
		t.Errorf("%+v, %v", list, err)
	}
	f.heal()
	f.flow()
	if list, err = f.view(fuzhou).Rebuilds(); err != nil || list[0].Ended.IsZero() || list[0].Count == 0 {
		t.Errorf("%+v, %v", list, err)
	}
	// Shanghai is told of nobody whose home is Fuzhou.
	f.done(shanghai, &ledger.RebuildIndex{Peer: beijing})
	f.flow()
	if list, err = f.view(shanghai).Rebuilds(); err != nil || list[0].Ended.IsZero() || list[0].Count != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
