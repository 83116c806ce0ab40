package ledger

import (
	"bytes"
	"fmt"
	"time"

	"gongji/consensus"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// The daily sweep asks about the insurance of everybody behind a grant that is not over. The leader asks, page
// by page; each page ends with a SweepGrants, which ends what has to end and keeps where the pass stands. So a new
// leader goes on, a page counts once whoever says it twice, and a day is swept once.

// KindSweepGrants is the number of a SweepGrants.
const KindSweepGrants Kind = 26

// PageMax is how many grants one page of a sweep or of an index has, and so one command ends at most.
const PageMax = 256

// SweepSide is whose insurance a page asks about. The numbers stand in logs.
type SweepSide uint8

// The sides, in the order in which they are swept. Zero: no pass is under way.
const (
	SweepPayers        SweepSide = 1 // of the grants that this region keeps
	SweepBeneficiaries SweepSide = 2 // of the index
)

// SweepGrants is what became of one page.
type SweepGrants struct {
	Day   policy.Date
	Side  SweepSide
	After []byte // where the pass stood when the page was read
	Next  []byte // where it goes on
	Last  bool   // nothing is left on this side
	Seen  int64
	Ends  []string // grants whose person's insurance has ended
	Over  []string // grants of the index whose validity is over
}

// Kind and Walk make a SweepGrants a Command.
func (*SweepGrants) Kind() Kind { return KindSweepGrants }

// Walk walks over the fields.
func (s *SweepGrants) Walk(c *record.Coder) {
	record.Int(c, &s.Day)
	record.Int(c, &s.Side)
	c.Bytes(&s.After)
	c.Bytes(&s.Next)
	c.Bool(&s.Last)
	c.I64(&s.Seen)
	record.Strs(c, &s.Ends)
	record.Strs(c, &s.Over)
}

// SweepRecord is where the sweep stands.
type SweepRecord struct {
	Day        policy.Date // of the pass that is under way, or was the last
	Side       SweepSide   // zero: no pass is under way
	After      []byte
	Seen       int64 // grants looked at in this pass, from either side
	Ended      int64 // of them, by this pass
	Finished   policy.Date
	FinishedAt time.Time
}

// Walk is the record.Record of a SweepRecord.
func (s *SweepRecord) Walk(c *record.Coder) {
	record.Int(c, &s.Day)
	record.Int(c, &s.Side)
	c.Bytes(&s.After)
	c.I64(&s.Seen)
	c.I64(&s.Ended)
	record.Int(c, &s.Finished)
	c.Time(&s.FinishedAt)
}

// Begins is the pass of a day, before its first page; the one that is under way stays.
func (s *SweepRecord) Begins(day policy.Date) SweepRecord {
	begun := *s
	if s.Side == 0 {
		begun.Day, begun.Side, begun.After, begun.Seen, begun.Ended = day, SweepPayers, nil, 0, 0
	}
	return begun
}

func readSweep(r consensus.Reader) (SweepRecord, error) {
	var s SweepRecord
	data, ok := r.Get([]byte{keySweep})
	if !ok {
		return s, nil
	}
	err := record.Decode(data, &s)
	return s, err
}

// sweepGrants takes one page. One that does not begin where the pass stands changes nothing.
func (x *tx) sweepGrants(now time.Time, c *SweepGrants) Outcome {
	s, err := readSweep(x)
	if err != nil {
		x.fail(err)
		return Outcome{}
	}
	if s.Side == 0 && c.Day <= s.Finished {
		return refuse(policy.CodeWrongState)
	}
	s = s.Begins(c.Day)
	goesOn := c.Last || bytes.Compare(c.Next, c.After) > 0
	if c.Day != s.Day || c.Side != s.Side || !bytes.Equal(c.After, s.After) || !goesOn {
		return refuse(policy.CodeWrongState)
	}
	for _, id := range c.Ends[:min(len(c.Ends), PageMax)] {
		if x.endSwept(now, c.Side, id) {
			s.Ended++
		}
	}
	for _, id := range c.Over[:min(len(c.Over), PageMax)] {
		if rec := x.indexed(id); rec != nil && rec.Entry.EffectiveStatus(policy.Day(now)).Final() {
			rec.Over = true
			x.keepIndexed(rec)
		}
	}
	s.Seen += c.Seen
	s.After = c.Next
	if c.Last {
		s.After = nil
		s.Side++
	}
	if s.Side > SweepBeneficiaries {
		s.Side, s.Finished, s.FinishedAt = 0, s.Day, now
	}
	x.Set([]byte{keySweep}, record.Encode(&s))
	return Outcome{}
}

// endSwept ends one grant, and reports whether there was something to end. With a Book the log looks itself once more.
func (x *tx) endSwept(now time.Time, side SweepSide, id string) bool {
	day := policy.Day(now)
	if side == SweepPayers {
		g := get(x, x.l.grants, id)
		if g == nil || g.EffectiveStatus(day).Final() ||
			x.bookSays(string(g.Payer), policy.Standing.PayerGone) == saysNo {
			return false
		}
		x.endForPayer(now, id)
		return true
	}
	rec := x.indexed(id)
	if rec == nil || !rec.EndsNow(now, day) || x.bookSays(rec.Beneficiary, policy.Standing.BeneficiaryGone) == saysNo {
		return false
	}
	x.tellEnded(now, id)
	return true
}

// Sweep reads where the sweep stands.
func (v View) Sweep() (SweepRecord, error) { return readSweep(v.r) }

// SweepItem is one grant of a page.
type SweepItem struct {
	GrantID string
	Person  string // number of the payer, or of the beneficiary
	Over    bool   // it takes no new hold any more, so nobody has to be asked
}

// SweepPage is one page of a sweep.
type SweepPage struct {
	Items []SweepItem
	Next  []byte // where the next one begins
	Last  bool
}

// SweepPage reads the grants that follow where a pass stands.
func (v View) SweepPage(s SweepRecord, now time.Time) (SweepPage, error) {
	prefix := []byte{keyByPayer}
	if s.Side == SweepBeneficiaries {
		prefix = []byte{keyIndex}
	}
	lo := prefix
	if len(s.After) > 0 {
		lo = append(append(bytes.Clone(prefix), s.After...), 0)
	}
	page := SweepPage{Last: true}
	var keys []string
	v.r.Scan(lo, prefixEnd(prefix), func(key, _ []byte) bool {
		if len(keys) == PageMax {
			page.Last = false
			return false
		}
		keys = append(keys, string(key[1:]))
		page.Next = append(page.Next[:0], key[1:]...)
		return true
	})
	day := policy.Day(now)
	for _, key := range keys {
		parts := split([]byte(key))
		if len(parts) != 2 {
			return page, fmt.Errorf("ledger: a key of %d parts in the sweep", len(parts))
		}
		e, err := v.entry(s.Side, key, parts[1])
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, SweepItem{
			GrantID: parts[1], Person: parts[0], Over: e == nil || e.EffectiveStatus(day).Final(),
		})
	}
	return page, nil
}

func (v View) entry(side SweepSide, key, id string) (*grant.Entry, error) {
	if side == SweepBeneficiaries {
		rec, err := read[IndexRecord](v.r, keyIndex, key)
		if rec == nil {
			return nil, err
		}
		return &rec.Entry, err
	}
	g, err := v.Grant(id)
	if g == nil {
		return nil, err
	}
	e := g.Entry()
	return &e, err
}
