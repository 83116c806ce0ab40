package ledger

import (
	"time"

	"gongji/federation"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/record"
)

// doubtPage is how many holds of one origin are looked at each time. A region has millions of them, most long over.
const doubtPage = 512

// doubtWait is between two pages, so that what the region has to do meanwhile comes between them.
const doubtWait = time.Millisecond

// DoubtRecord is how far the open holds of a member whose keys are revoked have gone in doubt.
type DoubtRecord struct {
	After string // the last hold looked at
	Found int
	Due   time.Time
}

// Walk is the record.Record of a DoubtRecord.
func (d *DoubtRecord) Walk(c *record.Coder) {
	record.Str(c, &d.After)
	record.Int(c, &d.Found)
	c.Time(&d.Due)
}

// speaks reports whether a member has a signing key that is not revoked.
func speaks(d *federation.Directory, r federation.Region) bool {
	m, ok := d.Member(r)
	if !ok {
		return false
	}
	for i := range m.Keys {
		if m.Keys[i].Use == federation.UseSign && !m.Keys[i].Revoked {
			return true
		}
	}
	return false
}

// silenced puts the open holds of those in doubt who could speak by the directory before and cannot by this one
// (design 6): no decision of theirs can come any more.
func (x *tx) silenced(now time.Time, before, after *federation.Directory) {
	if before == nil {
		return
	}
	for _, m := range before.Members() {
		if m.Code == x.l.cfg.Self || !speaks(before, m.Code) || speaks(after, m.Code) {
			continue
		}
		x.alarm(AlarmMemberRevoked, string(m.Code))
		d := &DoubtRecord{Due: now}
		if old, err := read[DoubtRecord](x.Txn, keyDoubt, string(m.Code)); err != nil {
			x.fail(err)
		} else if old != nil {
			x.wake(dueDoubt, string(m.Code), old.Due, time.Time{})
		}
		x.wake(dueDoubt, string(m.Code), time.Time{}, d.Due)
		x.Set(stateKey(keyDoubt, string(m.Code)), record.Encode(d))
	}
}

// expireDoubt looks at the next page, and reports whether the item still stood.
func (x *tx) expireDoubt(now time.Time, item dueItem) bool {
	d, err := read[DoubtRecord](x.Txn, keyDoubt, item.id)
	if err != nil {
		x.fail(err)
		return false
	}
	if d == nil || !d.Due.Equal(item.at) {
		return false
	}
	x.wake(dueDoubt, item.id, d.Due, time.Time{})
	d.Due = time.Time{}
	if x.l.dir == nil || !speaks(x.l.dir, federation.Region(item.id)) {
		if x.doubtSome(now, item.id, d) {
			d.Due = now.Add(doubtWait)
			x.wake(dueDoubt, item.id, time.Time{}, d.Due)
		}
	}
	x.Set(stateKey(keyDoubt, item.id), record.Encode(d))
	return true
}

// doubtSome looks at a page of an origin's holds, and reports whether there are more.
func (x *tx) doubtSome(now time.Time, origin string, d *DoubtRecord) bool {
	lo := stateKey(keyHold, "h-"+origin+"-")
	hi := prefixEnd(lo)
	if d.After != "" {
		lo = append(stateKey(keyHold, d.After), 0)
	}
	seen := 0
	var open []string
	x.Scan(lo, hi, func(key, _ []byte) bool {
		seen++
		d.After = string(key[1:])
		open = append(open, d.After)
		return seen < doubtPage
	})
	for _, id := range open {
		h := get(x, x.l.holds, id)
		if h == nil || h.State != hold.Placed || h.Origin != origin {
			continue
		}
		h.OriginGone(now)
		x.do(now, h, nil)
		d.Found++
	}
	return seen == doubtPage
}
