package adaptertest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"gongji/adapters"
)

// account is what Person says of the test account.
func (r *run) account() adapters.Account {
	var a adapters.Account
	if r.err != nil {
		return a
	}
	r.err = r.repeat(func() error {
		var err error
		a, err = r.core.Person(r.ctx, r.o.Person)
		return err
	})
	return a
}

// status is what Status says of a hold.
func (r *run) status(ref string) adapters.Hold {
	var h adapters.Hold
	if r.err != nil {
		return h
	}
	r.err = r.repeat(func() error {
		var err error
		h, err = r.core.Status(r.ctx, ref)
		return err
	})
	return h
}

// ref is the run's reference for a name within the check; a name too long or empty is meant so.
func (r *run) ref(name string) string {
	if name == "" || len(name) > adapters.RefMax {
		return name
	}
	return r.part + name
}

func (r *run) hold(name string, amount, floor int64, wants ...answer) {
	r.holdOf(r.o.Person, name, amount, floor, wants...)
}

func (r *run) holdOf(p adapters.Person, name string, amount, floor int64, wants ...answer) {
	got := r.try(r.holding(p, amount, floor), r.noted(name))
	r.expect(fmt.Sprintf("hold %s of %d above %d", name, amount, floor), got, wants)
}

func (r *run) holding(p adapters.Person, amount, floor int64) func(c adapters.Call) (int64, error) {
	return func(c adapters.Call) (int64, error) { return r.core.Hold(r.ctx, c, p, amount, floor) }
}

// noted remembers a hold for clean, and returns its reference.
func (r *run) noted(name string) string {
	ref := r.ref(name)
	r.refs = append(r.refs, ref)
	return ref
}

func (r *run) capturing(hold string, amount int64) func(c adapters.Call) (int64, error) {
	ref := r.ref(hold)
	return func(c adapters.Call) (int64, error) { return 0, r.core.Capture(r.ctx, c, ref, amount) }
}

func (r *run) releasing(hold string) func(c adapters.Call) (int64, error) {
	ref := r.ref(hold)
	return func(c adapters.Call) (int64, error) { return 0, r.core.Release(r.ctx, c, ref) }
}

func (r *run) refunding(hold string, amount int64) func(c adapters.Call) (int64, error) {
	ref := r.ref(hold)
	return func(c adapters.Call) (int64, error) { return 0, r.core.Refund(r.ctx, c, ref, amount) }
}

func (r *run) capture(name, hold string, amount int64, wants ...answer) {
	got := r.try(r.capturing(hold, amount), r.ref(name))
	r.expect(fmt.Sprintf("capture %s of %d from %s", name, amount, hold), got, wants)
}

func (r *run) release(name, hold string, wants ...answer) {
	got := r.try(r.releasing(hold), r.ref(name))
	r.expect(fmt.Sprintf("release %s of %s", name, hold), got, wants)
}

func (r *run) refund(name, hold string, amount int64, wants ...answer) {
	got := r.try(r.refunding(hold, amount), r.ref(name))
	r.expect(fmt.Sprintf("refund %s of %d to %s", name, amount, hold), got, wants)
}

func (r *run) void(name, refund string, wants ...answer) {
	ref := r.ref(refund)
	got := r.try(func(c adapters.Call) (int64, error) { return 0, r.core.Void(r.ctx, c, ref) }, r.ref(name))
	r.expect(fmt.Sprintf("void %s of %s", name, refund), got, wants)
}

// late makes a call whose NotAfter lies a minute back.
func (r *run) late(name string, call func(c adapters.Call) (int64, error), wants ...answer) {
	got := r.tryUntil(call, adapters.Call{Ref: r.ref(name), NotAfter: r.o.Clock().Add(-time.Minute)})
	r.expect("late call "+name, got, wants)
}

// funds holds the account against what it had at the start of the check.
func (r *run) funds(balance, held int64) {
	a := r.account()
	if r.err == nil && (a.Balance != r.start.Balance+balance || a.Held != r.start.Held+held) {
		r.err = fmt.Errorf("the account changed by %d, its held by %d; want %d and %d",
			a.Balance-r.start.Balance, a.Held-r.start.Held, balance, held)
	}
}

// state holds what Status says against one of the states.
func (r *run) state(name string, states ...adapters.HoldState) adapters.Hold {
	h := r.status(r.ref(name))
	if r.err != nil {
		return h
	}
	if slices.Contains(states, h.State) {
		return h
	}
	r.err = fmt.Errorf("status of %s is %s, want %v", name, h.State, states)
	return h
}

// floor is a floor above which exactly so much is free on the account as it was at the start.
func (r *run) floor(free int64) int64 { return max(0, r.start.Balance-r.start.Held-free) }

// together makes calls at the same time and returns their answers.
func (r *run) together(calls ...func(r *run) answer) []answer {
	if r.err != nil {
		return make([]answer, len(calls))
	}
	answers, errs := make([]answer, len(calls)), make([]error, len(calls))
	var group sync.WaitGroup
	for i, call := range calls {
		one := *r
		group.Go(func() {
			answers[i] = call(&one)
			errs[i] = one.err
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil && r.err == nil {
			r.err = err
		}
	}
	return answers
}

// pass waits for the longest delay of a call, and some more.
func (r *run) pass() {
	if r.err == nil {
		r.err = wait(r.ctx, r.o.DelayMax+time.Second)
	}
}
