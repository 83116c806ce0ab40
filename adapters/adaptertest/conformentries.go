package adaptertest

import (
	"fmt"
	"time"

	"gongji/adapters"
)

func checkEntries(r *run) {
	day := r.o.Clock()
	r.hold("h", 100, 0, done(100))
	r.capture("c", "h", 100, done(0))
	r.refund("f", "h", 100, done(0))
	r.hold("h2", 10, 0, done(10))
	r.release("r", "h2", done(0))
	type line struct {
		kind adapters.Kind
		ref  string
	}
	found := map[line][]int64{}
	visit := func(m adapters.Movement) {
		at := line{m.Kind, m.Ref}
		found[at] = append(found[at], m.Amount)
	}
	r.entries(day, visit)
	if today := r.o.Clock(); !sameDay(day, today) { // the check began before midnight
		r.entries(today, visit)
	}
	want := map[line]int64{
		{adapters.KindHold, r.ref("h")}: 100, {adapters.KindCapture, r.ref("h")}: 100,
		{adapters.KindRefund, r.ref("f")}: 100,
		{adapters.KindHold, r.ref("h2")}:  10, {adapters.KindRelease, r.ref("h2")}: 10,
	}
	for at, amount := range want {
		if got := found[at]; r.err == nil && (len(got) != 1 || got[0] != amount) {
			r.err = fmt.Errorf("the %s of %d stands in the entries as %v", at.kind, amount, got)
		}
	}
}

// entries reads all pages of a day.
func (r *run) entries(day time.Time, visit func(m adapters.Movement)) {
	const pagesMax = 10_000
	cursor, last := "", time.Time{}
	for range pagesMax {
		if r.err != nil {
			return
		}
		var page []adapters.Movement
		var next string
		err := r.repeat(func() error {
			var err error
			page, next, err = r.core.Entries(r.ctx, day, cursor)
			return err
		})
		if err != nil {
			r.err = fmt.Errorf("entries: %w", err)
			return
		}
		if len(page) > adapters.EntriesMax {
			r.err = fmt.Errorf("a page of %d entries", len(page))
			return
		}
		for _, m := range page {
			if m.At.Before(last) || !sameDay(m.At, day) {
				r.err = fmt.Errorf("an entry of %s out of order, or of another day", m.At.Format(time.RFC3339))
				return
			}
			last = m.At
			visit(m)
		}
		if next == "" {
			return
		}
		cursor = next
	}
	r.err = fmt.Errorf("no end after %d pages of entries", pagesMax)
}
