package ledger

import (
	"time"

	"gongji/consensus"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// Bounds of what is read of one beneficiary's grants.
const (
	grantsMax  = 4 * grant.OrderMax // in the order of use: the first ones, however many there are
	historyMax = 10_000             // of all, those that are over last
)

// Index lists the grants of a beneficiary whose home this region is: those that are not over, then the others.
func (v View) Index(no string) ([]IndexRecord, error) {
	var out []IndexRecord
	for _, prefix := range []byte{keyIndex, keyOver} {
		err := eachIndexed(v.r, prefix, no, func(rec *IndexRecord) bool {
			out = append(out, *rec)
			return len(out) < historyMax
		})
		if err != nil || len(out) >= historyMax {
			return out, err
		}
	}
	return out, nil
}

// InOrder lists what a payment on a Beijing day may look at, in the order of use: without those that are passed over
// silently. However many grants a beneficiary has had, the first ones are all there.
func (v View) InOrder(no string, day policy.Date) ([]IndexRecord, error) {
	listed, err := v.Order(no)
	if err != nil {
		return nil, err
	}
	var out []IndexRecord
	err = eachIndexed(v.r, keyIndex, no, func(rec *IndexRecord) bool {
		if rec.Entry.Disposition(day) != grant.PassOver {
			out = append(out, *rec)
		}
		if len(out) >= 2*grantsMax {
			out = arranged(listed, out)
		}
		return true
	})
	return arranged(listed, out), err
}

// arranged are the first grantsMax in the order of use.
func arranged(listed []string, recs []IndexRecord) []IndexRecord {
	at := make(map[string]int, len(recs))
	entries := make([]grant.Entry, 0, len(recs))
	for i := range recs {
		at[recs[i].Entry.ID] = i
		entries = append(entries, recs[i].Entry)
	}
	ordered := grant.Arrange(listed, entries)
	ordered = ordered[:min(len(ordered), grantsMax)]
	out := make([]IndexRecord, 0, len(ordered))
	for _, e := range ordered {
		out = append(out, recs[at[e.ID]])
	}
	return out
}

// EndsNow tells whether a beneficiary has grants whose payers' homes are to be told that the insurance has ended.
func (v View) EndsNow(no string, now time.Time) (bool, error) {
	found := false
	err := eachIndexed(v.r, keyIndex, no, func(rec *IndexRecord) bool {
		found = rec.EndsNow(now, policy.Day(now))
		return !found
	})
	return found, err
}

func eachIndexed(r consensus.Reader, prefix byte, no string, visit func(*IndexRecord) bool) error {
	var failed error
	lo := stateKey(prefix, joined(no))
	r.Scan(lo, prefixEnd(lo), func(_, value []byte) bool {
		rec := new(IndexRecord)
		if failed = record.Decode(value, rec); failed != nil {
			return false
		}
		return visit(rec)
	})
	return failed
}

// UsedYear is what counts in the year's quota of an account of this region: holds, captures, and what is left of
// virtual limits.
func (v View) UsedYear(no string, year int) (money.Amount, error) {
	u, err := read[useRecord](v.r, keyUse, useYear(no, year))
	if err != nil || u == nil {
		return 0, err
	}
	return u.Used, nil
}
