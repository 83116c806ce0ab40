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

// page is what a leader would say of the page at which the sweep of a region stands: gone are the numbers of persons
// whose insurance has ended.
func (f *fed) page(at federation.Region, gone ...string) *ledger.SweepGrants {
	f.t.Helper()
	s, err := f.view(at).Sweep()
	if err != nil {
		f.t.Fatal(err)
	}
	s = s.Begins(policy.Day(f.now))
	p, err := f.view(at).SweepPage(s, f.now)
	if err != nil {
		f.t.Fatal(err)
	}
	c := &ledger.SweepGrants{
		Day: s.Day, Side: s.Side, After: s.After, Next: p.Next, Last: p.Last, Seen: int64(len(p.Items)),
	}
	for _, i := range p.Items {
		if i.Over && s.Side == ledger.SweepBeneficiaries {
			c.Over = append(c.Over, i.GrantID)
		}
		for _, no := range gone {
			if !i.Over && i.Person == no {
				c.Ends = append(c.Ends, i.GrantID)
			}
		}
	}
	return c
}

// sweeps goes to the end of the pass, and returns how many pages it had.
func (f *fed) sweeps(at federation.Region, gone ...string) int {
	f.t.Helper()
	for n := 1; ; n++ {
		f.done(at, f.page(at, gone...))
		s, err := f.view(at).Sweep()
		if err != nil {
			f.t.Fatal(err)
		}
		if s.Side == 0 {
			return n
		}
	}
}

// TestSweep: a day is swept once, whoever says a page twice; what ended is told; with a Book nobody's word ends
// the grants of somebody who is insured.
func TestSweep(t *testing.T) {
	t.Parallel()
	f, id := related(t)
	payer := f.number(beijing, f.son)
	first := f.page(beijing, payer)
	f.done(beijing, first)
	f.wantGrant(id, grant.StatusActive, "") // the Book says otherwise
	f.refused(beijing, first, policy.CodeWrongState)
	last := f.page(beijing)
	f.done(beijing, last)
	s, err := f.view(beijing).Sweep()
	if err != nil || s.Side != 0 || s.Finished != policy.Day(f.now) || s.Seen != 1 || !s.FinishedAt.Equal(f.now) {
		t.Fatalf("%+v, %v", s, err)
	}
	f.refused(beijing, f.page(beijing), policy.CodeWrongState) // this day is done
	f.refused(beijing, last, policy.CodeWrongState)

	f.standing(f.son, policy.SchemeEmployee, policy.StatusTerminated)
	f.pass(24 * time.Hour)
	f.refused(beijing, first, policy.CodeWrongState)
	f.sweeps(beijing, payer)
	f.flow()
	f.wantGrant(id, grant.StatusEnded, grant.CausePayerInsurance)
	if s, err = f.view(beijing).Sweep(); err != nil || s.Ended != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestSweepOfBeneficiaries: their home tells the payers' homes, and puts away what is over by its validity.
func TestSweepOfBeneficiaries(t *testing.T) {
	t.Parallel()
	f, id := related(t)
	aunt := f.live("Aunt", fuzhou, resident())
	short := f.grantsWith(f.son, aunt, func(terms *grant.Terms) { terms.ValidUntil = terms.ValidFrom })
	f.pass(24 * time.Hour)
	f.standing(f.mother, policy.SchemeResident, policy.StatusTerminated)
	f.sweeps(fuzhou, f.number(fuzhou, f.mother), f.number(fuzhou, aunt))
	f.flow()
	f.wantGrant(id, grant.StatusEnded, grant.CauseBeneficiaryInsurance)
	if rec := f.indexed(short); !rec.Over || rec.Entry.EffectiveStatus(policy.Day(f.now)) != grant.StatusEnded {
		t.Errorf("%+v", rec)
	}
	if n := f.sweepsLeft(fuzhou); n != 0 {
		t.Errorf("%d grants of the index are looked at again", n)
	}
}

// sweepsLeft is how many grants of the index a sweep would look at.
func (f *fed) sweepsLeft(at federation.Region) int {
	f.t.Helper()
	p, err := f.view(at).SweepPage(ledger.SweepRecord{Side: ledger.SweepBeneficiaries}, f.now)
	if err != nil {
		f.t.Fatal(err)
	}
	return len(p.Items)
}

// TestSweepPages: however many there are, each grant is looked at once; an unfinished pass goes on the next day
// where it stood.
func TestSweepPages(t *testing.T) {
	t.Parallel()
	f, _ := related(t)
	const others = 2*ledger.PageMax + 10
	for n := range others {
		f.tells(beijing, fuzhou, &wirepb.Body{Kind: &wirepb.Body_GrantNotice{GrantNotice: &wirepb.GrantNotice{
			GrantId: fmt.Sprintf("g-110000-00%04d", n), Revision: 1, Relation: "parent", Status: "active",
			ValidFrom: "2026-01-01", Created: begins.UnixMicro(), Funding: "balance",
		}}}, &f.mother)
	}
	f.flow()
	f.done(fuzhou, f.page(fuzhou)) // no payers
	f.done(fuzhou, f.page(fuzhou))
	f.pass(24 * time.Hour)
	if n := f.sweeps(fuzhou); n != 2 {
		t.Errorf("%d pages were left", n)
	}
	s, err := f.view(fuzhou).Sweep()
	if err != nil || s.Seen != others+1 || s.Finished != policy.Day(f.now.AddDate(0, 0, -1)) {
		t.Errorf("%+v, %v", s, err)
	}
	f.sweeps(fuzhou) // and the day itself
}
