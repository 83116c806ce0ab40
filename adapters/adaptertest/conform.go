package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gongji/adapters"
)

// ConformBalance is what must be free on the test account of a conformance run, in fen. All that is
// taken from it is given back before the run ends.
const ConformBalance = 2000

// ConformOptions describe a conformance run.
type ConformOptions struct {
	// Person has an account in the employee scheme, in normal status, with at least ConformBalance
	// free, that nobody else uses during the run.
	Person adapters.Person
	// Unknown has a number that the core does not know.
	Unknown adapters.Person
	// Suspended and Resident, if given, are a person not in normal status and one in the resident
	// scheme; what depends on them is not checked without them, and the report says so.
	Suspended, Resident *adapters.Person
	// PremiumYear is the first of twelve years for which no premium of Resident counts, for a core that claims
	// Capabilities.Premiums: what the run registers there stays. 0: premiums are not checked, and the report says so.
	PremiumYear int
	// RefPrefix begins every reference of the run, 1 to 32 bytes; another one for each run, since the
	// core remembers.
	RefPrefix string
	// Clock is the caller's clock, within a second of the core's.
	Clock func() time.Time
	// DelayMax is the longest that any call can be delayed on the way to this core. The run waits for
	// so long, once, to see that neither references nor holds are forgotten.
	DelayMax time.Duration
	// Attempts bounds how often a call is repeated, with the same reference, that was ErrUnavailable or
	// ErrUnknown (20 if zero), with Pause in between (100 ms if zero).
	Attempts int
	Pause    time.Duration
}

// Verdict is the outcome of one check.
type Verdict string

// The verdicts.
const (
	Kept   Verdict = "ok"
	Broken Verdict = "BROKEN"
	Absent Verdict = "absent" // not kept, and not claimed in Capabilities
	NotRun Verdict = "not run"
)

// Check is one line of a report.
type Check struct {
	Rule    string // 1 to 5, or money, person, late, entries, input, premium
	Name    string
	Verdict Verdict
	Detail  string // what was seen, if it is not Kept; without identities
}

// Report is what a conformance run found.
type Report struct {
	Claims adapters.Capabilities
	Checks []Check
}

// OK reports whether a gateway can be connected: no check is broken, and of rules 1 (for refusals)
// and 2 at least one is claimed.
func (r Report) OK() bool {
	return r.Claims.Admitted() && len(r.broken()) == 0
}

func (r Report) broken() []Check {
	var all []Check
	for _, c := range r.Checks {
		if c.Verdict == Broken {
			all = append(all, c)
		}
	}
	return all
}

// String is the report for people: one line a check, and the result at the end.
func (r Report) String() string {
	var b strings.Builder
	yes := map[bool]string{true: "yes", false: "no"}
	fmt.Fprintln(&b, "Conformance run of a core system against adapters.Core")
	const claims = "claims: native holds %s, remembers refusals (rule 1) %s, release is final (rule 2) %s, premiums %s\n\n"
	fmt.Fprintf(&b, claims,
		yes[r.Claims.NativeHolds], yes[r.Claims.RemembersRefusals], yes[r.Claims.ReleaseIsFinal], yes[r.Claims.Premiums])
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%-7s  %-7s  %s\n", c.Rule, c.Verdict, c.Name)
		if c.Detail != "" {
			fmt.Fprintf(&b, "                  %s\n", c.Detail)
		}
	}
	switch broken := len(r.broken()); {
	case broken > 0:
		fmt.Fprintf(&b, "\nresult: does not conform, %d of %d checks are broken\n", broken, len(r.Checks))
	case !r.Claims.Admitted():
		fmt.Fprintf(&b, "\nresult: not admitted, a core needs rule 1 for refusals or rule 2\n")
	default:
		fmt.Fprintf(&b, "\nresult: conforms\n")
	}
	return b.String()
}

// RunCoreContract is Conform as a test: every broken check is an error of t.
func RunCoreContract(t *testing.T, core adapters.Core, o ConformOptions) Report {
	t.Helper()
	report, err := Conform(t.Context(), core, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range report.broken() {
		t.Errorf("rule %s broken: %s: %s", c.Rule, c.Name, c.Detail)
	}
	if !report.Claims.Admitted() {
		t.Error("the core claims neither rule 1 for refusals nor rule 2: not admitted")
	}
	return report
}

// Conform proves each rule of adapters.Core by calls in odd orders. It leaves the test account with the
// balance it had, and many dead references. The error is that of the options or the context; what
// the core does wrong stands in the report.
func Conform(ctx context.Context, core adapters.Core, o ConformOptions) (Report, error) {
	const prefixMax = 32
	if o.Clock == nil || o.RefPrefix == "" || len(o.RefPrefix) > prefixMax || o.DelayMax < 0 {
		return Report{}, errors.New("adaptertest: a run needs a clock, a prefix of 1 to 32 bytes and a delay")
	}
	if o.Attempts <= 0 {
		o.Attempts = 20
	}
	if o.Pause <= 0 {
		o.Pause = 100 * time.Millisecond
	}
	report := Report{Claims: core.Capabilities()}
	r := &run{ctx: ctx, core: core, o: o}
	start := r.account()
	if r.err != nil {
		return Report{}, fmt.Errorf("adaptertest: the test account: %w", r.err)
	}
	if start.Balance-start.Held < ConformBalance {
		return Report{}, fmt.Errorf("adaptertest: the test account has less than %d fen free", ConformBalance)
	}
	for number, c := range append(conformChecks(), premiumChecks()...) {
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
		report.Checks = append(report.Checks, r.check(number+1, c, report.Claims))
	}
	end := Check{Rule: "money", Name: "the account ends as it began", Verdict: Kept}
	r.err = nil
	if now := r.account(); r.err != nil || now.Balance != start.Balance || now.Held != start.Held {
		end.Verdict = Broken
		end.Detail = fmt.Sprintf("balance %d, held %d at the start; balance %d, held %d at the end",
			start.Balance, start.Held, now.Balance, now.Held)
	}
	report.Checks = append(report.Checks, end)
	return report, nil
}

// needs says which capability a check belongs to; a core that does not claim it may fail.
type needs int

const (
	needsNothing  needs = iota
	needsRefusals       // RemembersRefusals
	needsFinal          // ReleaseIsFinal
	needsEither
	needsPremiums // Premiums
)

func (n needs) claimed(c adapters.Capabilities) bool {
	switch n {
	case needsRefusals:
		return c.RemembersRefusals
	case needsFinal:
		return c.ReleaseIsFinal
	case needsEither:
		return c.Admitted()
	case needsPremiums:
		return c.Premiums
	case needsNothing:
	}
	return true
}

// conformCheck is one check; play leaves r.err set when the core did not do what it must.
type conformCheck struct {
	rule, name string
	needs      needs
	play       func(r *run)
}

// run is a conformance run. Its methods do nothing after the first failure of a check, so that a check
// reads as the list of its calls.
type run struct {
	ctx   context.Context // of the run
	core  adapters.Core
	o     ConformOptions
	start adapters.Account // at the start of the check
	part  string           // of the references of this check
	name  string           // of this check
	refs  []string         // holds tried in this check
	extra int              // numbers of references that the run makes by itself
	rule  string           // which rule failed, of a check for two
	err   error
}

// errNotRun: a check lacks a person of the options.
var errNotRun = errors.New("no such person was given")

// check plays one check, and gives back what it took.
func (r *run) check(number int, c conformCheck, claims adapters.Capabilities) Check {
	out := Check{Rule: c.rule, Name: c.name, Verdict: Kept}
	r.refs, r.extra, r.rule, r.err = nil, 0, "", nil
	r.part = fmt.Sprintf("%s%d-", r.o.RefPrefix, number)
	r.name, r.start = c.name, r.account()
	c.play(r)
	switch {
	case r.err == nil:
	case errors.Is(r.err, errNotRun):
		out.Verdict, out.Detail = NotRun, r.err.Error()
	case !c.needs.claimed(claims):
		out.Verdict, out.Detail = Absent, r.err.Error()
	default:
		out.Verdict, out.Detail = Broken, r.err.Error()
	}
	if r.rule != "" {
		out.Rule = r.rule
	}
	r.clean()
	return out
}

// clean releases and refunds what a check left, as far as the core lets it.
func (r *run) clean() {
	for _, ref := range r.refs {
		r.err = nil
		h := r.status(ref)
		switch {
		case h.State == adapters.HoldOpen:
			r.try(func(c adapters.Call) (int64, error) { return 0, r.core.Release(r.ctx, c, ref) }, r.ownRef())
		case h.State == adapters.HoldCaptured && h.Captured > h.Refunded:
			back := h.Captured - h.Refunded
			r.try(func(c adapters.Call) (int64, error) { return 0, r.core.Refund(r.ctx, c, ref, back) }, r.ownRef())
		}
	}
}

func (r *run) ownRef() string {
	r.extra++
	return fmt.Sprintf("%sx%d", r.part, r.extra)
}

// answer is what the core said to a call; reason is empty when it was done.
type answer struct {
	held     int64
	captured int64
	reason   adapters.Reason
}

func (a answer) String() string {
	switch {
	case a.reason == anyReason:
		return "a refusal"
	case a.reason == adapters.ReasonCaptured:
		return fmt.Sprintf("refused as captured, with %d", a.captured)
	case a.reason != "":
		return fmt.Sprintf("refused: %s", a.reason)
	}
	return fmt.Sprintf("done (%d placed)", a.held)
}

// anyReason stands for every refusal.
const anyReason adapters.Reason = "*"

func done(held int64) answer { return answer{held: held} }

func refusal(reason adapters.Reason) answer { return answer{reason: reason} }

// try repeats a call with one reference until it is answered.
func (r *run) try(call func(c adapters.Call) (int64, error), ref string) answer {
	return r.tryUntil(call, adapters.Call{Ref: ref, NotAfter: r.o.Clock().Add(time.Hour)})
}

func (r *run) tryUntil(call func(c adapters.Call) (int64, error), c adapters.Call) answer {
	if r.err != nil {
		return answer{}
	}
	var a answer
	err := r.repeat(func() error {
		held, err := call(c)
		a = answer{held: held}
		if refused, ok := errors.AsType[*adapters.RefusedError](err); ok {
			a = answer{reason: refused.Reason, captured: refused.Captured}
			return nil
		}
		return err
	})
	if err != nil {
		r.err = err
	}
	return a
}

// repeat calls until the outcome is known, as a gateway does.
func (r *run) repeat(call func() error) error {
	var err error
	for range r.o.Attempts {
		err = call()
		if !errors.Is(err, adapters.ErrUnavailable) && !errors.Is(err, adapters.ErrUnknown) {
			return err
		}
		if stopped := wait(r.ctx, r.o.Pause); stopped != nil {
			return stopped
		}
	}
	return fmt.Errorf("no answer in %d attempts: %w", r.o.Attempts, err)
}

// expect notes an answer that is none of those wanted.
func (r *run) expect(what string, got answer, wants []answer) {
	if r.err != nil {
		return
	}
	for _, want := range wants {
		if got == want || want.reason == anyReason && got.reason != "" {
			return
		}
	}
	words := make([]string, len(wants))
	for i, want := range wants {
		words[i] = want.String()
	}
	r.err = fmt.Errorf("%s: %s, want %s", what, got, strings.Join(words, ", or "))
}
