package ledger

import (
	"time"

	"gongji/federation"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
	"gongji/gateway/internal/wire/wirepb"
)

// The index of a beneficiary's home is rebuilt by asking: after a restore, or when a notice is thought to be missing.
// Each payer's home tells of its grants to persons of the asking region, page by page in the order of their ids; each
// notice counts by its revision, so what is known already changes nothing.

// KindRebuildIndex is the number of a RebuildIndex.
const KindRebuildIndex Kind = 27

// rebuildAgain is how long a rebuild that has not ended keeps another one of the same peer from beginning: pages of two
// would answer each other.
const rebuildAgain = time.Hour

// metaIndex and a region name the record of a rebuild under keyMeta.
const metaIndex = "index/"

// RebuildIndex asks one region for all its grants to persons of this one. Of this region itself it brings one page,
// behind After, and its Outcome names where the next begins.
type RebuildIndex struct {
	Peer  federation.Region
	After string
}

// Kind and Walk make a RebuildIndex a Command.
func (*RebuildIndex) Kind() Kind { return KindRebuildIndex }

// Walk walks over the fields.
func (r *RebuildIndex) Walk(c *record.Coder) {
	record.Str(c, &r.Peer)
	record.Str(c, &r.After)
}

// RebuildRecord is how far the rebuild of the index from one region has come.
type RebuildRecord struct {
	Peer  federation.Region
	Began time.Time
	After string // id of the last grant that was told
	Count uint64 // grants told
	Ended time.Time
}

// Walk is the record.Record of a RebuildRecord.
func (r *RebuildRecord) Walk(c *record.Coder) {
	record.Str(c, &r.Peer)
	c.Time(&r.Began)
	record.Str(c, &r.After)
	c.U64(&r.Count)
	c.Time(&r.Ended)
}

func rebuildKey(peer federation.Region) []byte { return stateKey(keyMeta, metaIndex+string(peer)) }

func (x *tx) rebuildIndex(now time.Time, c *RebuildIndex) Outcome {
	if c.Peer == x.l.cfg.Self {
		next, _ := x.tellPage(c.Peer, c.After)
		return Outcome{ID: next}
	}
	if x.l.dir == nil {
		return refuse(policy.CodeInvalidRegion)
	}
	if _, ok := x.l.dir.Member(c.Peer); !ok {
		return refuse(policy.CodeInvalidRegion)
	}
	r := x.rebuild(c.Peer)
	if r != nil && r.Ended.IsZero() && now.Sub(r.Began) < rebuildAgain {
		return refuse(policy.CodeWrongState)
	}
	x.want(&RebuildRecord{Peer: c.Peer, Began: now})
	return Outcome{}
}

func (x *tx) rebuild(peer federation.Region) *RebuildRecord {
	data, ok := x.Get(rebuildKey(peer))
	if !ok {
		return nil
	}
	r := new(RebuildRecord)
	if err := record.Decode(data, r); err != nil {
		x.fail(err)
		return nil
	}
	return r
}

// want asks for the page behind the last grant that was told.
func (x *tx) want(r *RebuildRecord) {
	x.Set(rebuildKey(r.Peer), record.Encode(r))
	x.send(r.Peer, &wirepb.Body{Kind: &wirepb.Body_IndexWanted{
		IndexWanted: &wirepb.IndexWanted{After: r.After},
	}}, nil, nil)
}

// indexWanted tells a beneficiaries' home a page of the grants to its persons, and of nobody else's.
func (x *tx) indexWanted(peer federation.Region, m *wirepb.IndexWanted) {
	next, n := x.tellPage(peer, m.GetAfter())
	x.send(peer, &wirepb.Body{Kind: &wirepb.Body_IndexPage{
		IndexPage: &wirepb.IndexPage{Next: next, Count: n},
	}}, nil, nil)
}

// tellPage sends the notices of a page, and returns where the next begins ("" at the end) and how many they were.
func (x *tx) tellPage(home federation.Region, after string) (string, uint32) {
	prefix := stateKey(keyHome, joined(string(home)))
	lo := prefix
	if after != "" {
		lo = append(append(append([]byte(nil), prefix...), joined(after)...), 0)
	}
	var ids []string
	next := ""
	x.Scan(lo, prefixEnd(prefix), func(key, _ []byte) bool {
		if len(ids) == PageMax {
			next = ids[PageMax-1]
			return false
		}
		ids = append(ids, split(key[len(prefix):])...)
		return true
	})
	n := uint32(0)
	for _, id := range ids {
		if g := get(x, x.l.grants, id); g != nil {
			x.notice(g, nil)
			n++
		}
	}
	return next, n
}

// indexPage takes the end of a page and asks for the next one. Pages that nobody asked for, or that lead back, are
// passed over.
func (x *tx) indexPage(now time.Time, peer federation.Region, m *wirepb.IndexPage) {
	r := x.rebuild(peer)
	if r == nil || !r.Ended.IsZero() {
		return
	}
	next := m.GetNext()
	if next != "" && (next <= r.After || !ownID("g", next, peer)) {
		return
	}
	r.Count += uint64(m.GetCount())
	if next == "" {
		r.Ended = now
		x.Set(rebuildKey(peer), record.Encode(r))
		return
	}
	r.After = next
	x.want(r)
}

// Rebuilds are the rebuilds of the index, by region, those that have ended included.
func (v View) Rebuilds() ([]RebuildRecord, error) {
	var out []RebuildRecord
	var failed error
	lo := stateKey(keyMeta, metaIndex)
	v.r.Scan(lo, prefixEnd(lo), func(_, value []byte) bool {
		var r RebuildRecord
		failed = record.Decode(value, &r)
		out = append(out, r)
		return failed == nil
	})
	return out, failed
}
