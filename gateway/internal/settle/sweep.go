package settle

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/adapters"
	"gongji/consensus"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

// Waits and bounds of the daily sweep.
const (
	sweepLook   = 10 * time.Second // how often the leader looks whether a pass is due
	sweepAgain  = time.Second      // a page that a core could not be asked about is tried again after that, doubling
	sweepLonger = time.Minute      // at most
	sweepAsks   = 8                // calls to a core at the same time
	pageLeast   = time.Millisecond // of any page
)

// sweep asks every day about the insurance of all persons behind grants, and has the grants end whose person is insured
// no more. A pass that was begun goes on where the log says, also on the next day.
func (t *term) sweep(ctx context.Context) error {
	ticker := time.NewTicker(sweepLook)
	defer ticker.Stop()
	defer t.s.Metrics.sweptAt(ledger.SweepRecord{}, false)
	var told policy.Date // the day whose delay was audited
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		for more := true; more && ctx.Err() == nil; {
			at, err := t.sweepAt()
			if err != nil {
				return err
			}
			told = t.sweepLate(at, told)
			if more, err = t.sweepOn(ctx, at); err != nil {
				return err
			}
		}
	}
}

// sweepLate shows how the sweep stands and tells operators, once a day, that one was not finished in time.
func (t *term) sweepLate(at ledger.SweepRecord, told policy.Date) policy.Date {
	today := policy.Day(t.s.Now())
	late := at.Side != 0 && at.Day < today || at.Finished != 0 && at.Finished.AddDays(1) < today
	t.s.Metrics.sweptAt(at, late)
	if !late || told == today {
		return told
	}
	t.s.Audit("sweep_late", slog.String("finished", at.Finished.String()))
	return today
}

// sweepOn looks at the next page, if a pass is under way or due, and reports whether it did.
func (t *term) sweepOn(ctx context.Context, at ledger.SweepRecord) (bool, error) {
	now := t.s.Now()
	today := policy.Day(now)
	if at.Side == 0 && (at.Finished >= today || now.Before(today.Start().Add(t.s.Timing.SweepFrom))) {
		return false, nil
	}
	return true, t.sweepPage(ctx, at.Begins(today))
}

func (t *term) sweepAt() (ledger.SweepRecord, error) {
	var at ledger.SweepRecord
	err := t.s.Log.ReadStale(func(r consensus.Reader) error {
		var err error
		at, err = t.s.Ledger.View(r).Sweep()
		return err
	})
	return at, err
}

// sweepPage looks at one page and brings what it found to the log, no faster than the rate. A page whose persons could
// not be asked about is left as it is: nothing ends because a core is silent.
func (t *term) sweepPage(ctx context.Context, at ledger.SweepRecord) error {
	began := t.s.Now()
	var page ledger.SweepPage
	err := t.s.Log.ReadStale(func(r consensus.Reader) error {
		var err error
		page, err = t.s.Ledger.View(r).SweepPage(at, began)
		return err
	})
	if err != nil {
		return err
	}
	gone, err := t.gone(ctx, at.Side, page.Items)
	if err != nil || ctx.Err() != nil {
		return err
	}
	c := &ledger.SweepGrants{
		Day: at.Day, Side: at.Side, After: at.After, Next: page.Next, Last: page.Last, Seen: int64(len(page.Items)),
	}
	for _, i := range page.Items {
		switch {
		case i.Over && at.Side == ledger.SweepBeneficiaries:
			c.Over = append(c.Over, i.GrantID)
		case !i.Over && gone[i.Person]:
			c.Ends = append(c.Ends, i.GrantID)
		}
	}
	if t.propose(ctx, c) == nil { // it fails only when leadership ends; the next leader reads the page again
		t.s.Metrics.swept(len(page.Items), len(c.Ends))
	}
	rate := time.Duration(max(t.s.Timing.SweepRate, 1))
	pause(ctx, max(time.Duration(len(page.Items))*time.Second/rate-t.s.Now().Sub(began), pageLeast))
	return nil
}

// gone finds the persons of a page whose insurance has ended. With a Book the state knows; a core outside is asked
// until it has answered for everybody.
func (t *term) gone(
	ctx context.Context, side ledger.SweepSide, items []ledger.SweepItem,
) (map[string]bool, error) {
	over := policy.Standing.PayerGone
	if side == ledger.SweepBeneficiaries {
		over = policy.Standing.BeneficiaryGone
	}
	gone := map[string]bool{}
	if t.s.Core == nil {
		return gone, t.eachPerson(items, func(v ledger.View, no string) error {
			f, _, err := v.Account(no)
			gone[no] = over(f.Standing())
			return err
		})
	}
	sealed := map[string][]byte{}
	err := t.eachPerson(items, func(v ledger.View, no string) error {
		p, err := v.Person(no)
		if p != nil {
			sealed[no] = p.Sealed
		}
		return err
	})
	for wait := sweepAgain; err == nil && len(sealed) > 0 && ctx.Err() == nil; wait = min(2*wait, sweepLonger) {
		t.askGone(ctx, sealed, gone, over)
		if len(sealed) > 0 {
			t.s.Metrics.coreUndecided()
			pause(ctx, wait)
		}
	}
	return gone, err
}

// eachPerson visits each person behind the grants of a page that are not over, once.
func (t *term) eachPerson(items []ledger.SweepItem, visit func(v ledger.View, no string) error) error {
	return t.s.Log.ReadStale(func(r consensus.Reader) error {
		v := t.s.Ledger.View(r)
		seen := map[string]bool{}
		for _, i := range items {
			if i.Over || seen[i.Person] {
				continue
			}
			seen[i.Person] = true
			if err := visit(v, i.Person); err != nil {
				return err
			}
		}
		return nil
	})
}

// askGone asks a core about persons, and takes those away whom it has answered for.
func (t *term) askGone(
	ctx context.Context, sealed map[string][]byte, gone map[string]bool, over func(policy.Standing) bool,
) {
	var mu sync.Mutex
	var answered []string
	var g errgroup.Group
	g.SetLimit(sweepAsks)
	for no, s := range sealed {
		g.Go(func() error {
			if ended, err := t.askOne(ctx, s, over); err == nil { // else it is asked again
				mu.Lock()
				defer mu.Unlock()
				answered = append(answered, no)
				gone[no] = ended
			}
			return nil
		})
	}
	_ = g.Wait() // none of them fails
	for _, no := range answered {
		delete(sealed, no)
	}
}

// askOne asks a core about one person. Only its remembered word ends anything: an account that says so, or that it
// knows no such number.
func (t *term) askOne(ctx context.Context, sealed []byte, over func(policy.Standing) bool) (bool, error) {
	who, opening := t.s.Vault.Open(sealed)
	if opening != nil {
		t.s.Logger.LogAttrs(ctx, slog.LevelError, "a person of the sweep cannot be opened")
		return false, nil //nolint:nilerr // nobody can be asked about them; the others go on
	}
	f, reason, err := t.s.coreFacts(ctx, who)
	switch {
	case err != nil:
		return false, err
	case reason != "":
		return reason == adapters.ReasonUnknownPerson, nil
	}
	return over(f.Standing()), nil
}
