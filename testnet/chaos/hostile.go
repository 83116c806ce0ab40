package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gongji/federation"
	"gongji/testnet/check"
	"gongji/testnet/hostile"
	"gongji/testnet/load"
	"gongji/testnet/topology"
)

// Goal is the part of the others' goodput that a flood is to leave them.
const Goal = 0.9

// Sizes of a hostile run.
const (
	windowLong = 5 * time.Second // short ones, since others work on the machine too
	windowMin  = time.Second
	drainFirst = time.Minute            // for a flood of one window to be read, at the price that a region pays for it,
	drainEach  = 150 * time.Millisecond // and so long for each of its records,
	drainMax   = 15 * time.Minute       // but not longer
	quietWait  = 30 * time.Second
	quietPause = 200 * time.Millisecond
)

// Errors of a hostile run.
var (
	// ErrAttack: an attack was not refused, or is not in the audit log.
	ErrAttack = errors.New("chaos: an attack was not refused for its reason, or is not in the audit log")
	// ErrMoved: an attack has changed the others' books.
	ErrMoved = errors.New("chaos: an attack has changed the books")
	// ErrDuration: there is no time for windows.
	ErrDuration = errors.New("chaos: the duration of a hostile run is 2 s to 1 h")
)

// HostileOptions says who attacks whom.
type HostileOptions struct {
	Data     string        // the federation's folder
	Duration time.Duration // of all windows of the load together, half of them under the flood
	Flood    int           // records a second on each lane of the member
	Kinds    []string      // of the flood; see hostile.FloodKinds
	Load     load.Options  // its length and tolerance are set here
	Session  topology.Session
	// Start starts the fourth member when it is in the directory; end ends it and tells its CPU time.
	Start    func() (who hostile.Attacker, end func() (time.Duration, error), err error)
	Progress io.Writer
}

// HostileReport is what a hostile run gives.
type HostileReport struct {
	OK         bool              `json:"ok"`
	Member     string            `json:"member"`
	Attacks    []hostile.Result  `json:"attacks"`
	Changed    []string          `json:"changed"` // of the others' books, by the attacks; should be empty
	Goodput    Goodput           `json:"goodput"`
	Invariants map[string]string `json:"invariants"` // when everything is over
	Load       load.Report       `json:"load"`
}

// Goodput is what the others could do without the flood and with it.
type Goodput struct {
	Without float64           `json:"without_per_second"` // payments captured, in the windows without the flood
	With    float64           `json:"with_per_second"`
	Ratio   float64           `json:"ratio"`
	Goal    float64           `json:"goal"`
	Windows []Window          `json:"windows"`
	Floods  []hostile.Flooded `json:"floods"`
	Drain   float64           `json:"drain_seconds"`            // until all floods were read, behind their windows
	Delayed float64           `json:"lane_delayed_seconds"`     // that the flooded lanes were not read on, of all regions
	CPU     float64           `json:"member_cpu_seconds"`       // of the member's process, flood and all
	Errors  int               `json:"errors"`                   // payments that failed
	Dropped float64           `json:"audit_events_beyond_room"` // different refusals that were only counted
}

// figures is a probe that takes no profiles: they would cost what is measured.
type figures struct{ load.Probe }

// Profile has nothing to tell.
func (figures) Profile(context.Context, time.Duration) (map[string]float64, error) {
	return map[string]float64{}, nil
}

// Window is one measurement of the others' goodput. Latencies are from the request to the capture.
type Window struct {
	Flood     bool    `json:"flood"`
	Payments  int     `json:"payments"`
	PerSecond float64 `json:"payments_per_second"`
	CPU       float64 `json:"cpu_ms_per_payment"` // of all nodes together
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Errors    int     `json:"errors"`
}

// hostileRun is one run.
type hostileRun struct {
	o      HostileOptions
	who    hostile.Attacker
	watch  *hostile.Watch
	others *hostile.Others
	facts  hostile.Facts
	list   []hostile.Attack
	report HostileReport

	expelled bool
}

// Hostile lets a fourth member into the federation that has good keys and bad intentions. It plays all attacks while
// nobody else does anything and holds the books of before against those of after; floods while the others work as fast
// as they can, in windows between others without the flood; breaks the member's links, expels it, and checks the
// invariants. The report is filled in as far as it came. Errors: ErrAttack, ErrMoved, ErrDuration, load.ErrFailed,
// topology.ErrOther where the member has been before, the context's.
func Hostile(ctx context.Context, o HostileOptions) (HostileReport, error) {
	if o.Duration < 2*windowMin || o.Duration > time.Hour {
		return HostileReport{}, ErrDuration
	}
	r := &hostileRun{
		o: o, watch: hostile.NewWatch(o.Session),
		others: &hostile.Others{Regions: o.Load.Regions, Pairs: o.Load.Pairs, Source: o.Load.Books.Source},
		report: HostileReport{Member: topology.Fourth},
	}
	if err := r.say("The federation's office lets %s in.", topology.Fourth); err != nil {
		return r.report, err
	}
	if err := hostile.Admit(ctx, o.Data, o.Session); err != nil {
		return r.report, err
	}
	who, end, err := o.Start()
	if err != nil {
		return r.report, err
	}
	r.who = who
	failed := r.run(ctx)
	if !r.expelled { // whatever has failed, and also when the user has had enough
		failed = errors.Join(failed, hostile.Expel(context.WithoutCancel(ctx), o.Data, o.Session))
	}
	took, err := end()
	r.report.Goodput.CPU = took.Seconds()
	failed = errors.Join(failed, err)
	r.report.OK = failed == nil
	return r.report, failed
}

// run is everything between the member's start and its end. What fails in the others' books or in the audit log does
// not end the run: the report is to tell all of it.
func (r *hostileRun) run(ctx context.Context) error {
	failed := r.attack(ctx)
	if failed != nil && !errors.Is(failed, ErrMoved) {
		return failed
	}
	err := r.goodput(ctx)
	failed = errors.Join(failed, err)
	if err != nil && !errors.Is(err, load.ErrFailed) {
		return failed
	}
	if err = r.say("The member breaks its links, and is expelled."); err != nil {
		return err
	}
	if err = r.play(ctx, hostile.AtTheEnd); err != nil {
		return errors.Join(failed, err)
	}
	r.expelled = true
	if err = hostile.Expel(ctx, r.o.Data, r.o.Session); err != nil {
		return errors.Join(failed, err)
	}
	if err = r.play(ctx, hostile.Expelled); err != nil {
		return errors.Join(failed, err)
	}
	if err = r.others.Confirm(ctx, r.facts.Pair, r.facts.Open.Payment); err != nil {
		failed = errors.Join(failed, err)
	}
	return errors.Join(failed, r.conclude(ctx))
}

// attack plays the list while nobody else does anything. Errors: ErrMoved, those of a play.
func (r *hostileRun) attack(ctx context.Context) error {
	var err error
	if r.facts, err = r.others.Facts(ctx); err != nil {
		return err
	}
	before, err := r.rest(ctx)
	if err != nil {
		return err
	}
	if r.list, err = r.who.Attacks(ctx, r.facts); err != nil {
		return err
	}
	if err = r.say("It attacks in %d ways.", len(r.list)); err != nil {
		return err
	}
	if err = r.play(ctx, hostile.AtWork); err != nil {
		return err
	}
	after, err := r.others.Books(ctx)
	if err != nil {
		return err
	}
	if r.report.Changed = after.Changed(before); len(r.report.Changed) > 0 {
		return fmt.Errorf("%w: %s", ErrMoved, r.report.Changed[0])
	}
	return nil
}

// rest reads the books again and again until they stay as they are.
func (r *hostileRun) rest(ctx context.Context) (hostile.Books, error) {
	ctx, cancel := context.WithTimeout(ctx, quietWait)
	defer cancel()
	before, err := r.others.Books(ctx)
	for err == nil {
		if !pause(ctx, quietPause) {
			return nil, fmt.Errorf("chaos: somebody else works with this federation: %w", ctx.Err())
		}
		var now hostile.Books
		if now, err = r.others.Books(ctx); err == nil && len(now.Changed(before)) == 0 {
			return now, nil
		}
		before = now
	}
	return nil, err
}

func (r *hostileRun) play(ctx context.Context, stage hostile.Stage) error {
	results, err := hostile.Play(ctx, r.who, r.watch, r.list, stage)
	r.report.Attacks = append(r.report.Attacks, results...)
	return err
}

// conclude looks at the whole.
func (r *hostileRun) conclude(ctx context.Context) error {
	checked, err := check.Wait(ctx, r.o.Load.Books)
	if err != nil {
		return err
	}
	r.report.Invariants = checked.Map()
	if !checked.OK() {
		err = fmt.Errorf("%w: the books do not agree", load.ErrFailed)
	}
	for i := range r.report.Attacks {
		if a := &r.report.Attacks[i]; !a.OK() {
			return errors.Join(err, fmt.Errorf("%w: %s: %s", ErrAttack, a.Kind, a.Name))
		}
	}
	if len(r.report.Attacks) != len(r.list) {
		err = errors.Join(err, fmt.Errorf("%w: %d of %d were played", ErrAttack, len(r.report.Attacks), len(r.list)))
	}
	return err
}

// goodput measures what the others can do, in windows without the flood and with it.
func (r *hostileRun) goodput(ctx context.Context) error {
	pairs := max(1, int(r.o.Duration/(2*windowLong)))
	o := r.o.Load
	o.Duration, o.Tolerant, o.Probe, o.Rate = r.o.Duration/time.Duration(2*pairs), true, figures{o.Probe}, 0
	plan := hostile.FloodPlan{Rate: r.o.Flood, Length: o.Duration + 2*time.Second, Kinds: r.o.Kinds}
	for _, s := range r.o.Session.Regions {
		plan.Regions = append(plan.Regions, s.Code)
	}
	g := &r.report.Goodput
	var read map[federation.Region]float64
	loaded, steps, err := load.Alternate(ctx, o, load.Alternation{
		Windows: 2 * pairs,
		Begin: func(ctx context.Context) error {
			var failed error
			if read, failed = r.read(ctx); failed != nil {
				return failed
			}
			return r.who.Flood(ctx, plan)
		},
		End: func(ctx context.Context) error { return r.calm(ctx, read) },
	})
	r.report.Load, g.Goal, g.Errors = loaded, Goal, loaded.Errors
	g.add(steps)
	if err == nil {
		err = r.delays(ctx)
	}
	return err
}

// add takes in what was measured. Windows are of one length, so the means of their rates can be compared.
func (g *Goodput) add(steps []load.Step) {
	var sum, count [2]float64
	for i, s := range steps {
		w := Window{
			Flood: load.With(i), Payments: s.Payments, PerSecond: s.PaymentsPerSecond, CPU: s.CPUPerPayment,
			P50: s.Latency.P50, P99: s.Latency.P99, Errors: s.Errors,
		}
		g.Windows = append(g.Windows, w)
		with := 0
		if w.Flood {
			with = 1
		}
		sum[with] += w.PerSecond
		count[with]++
	}
	if sum[0] > 0 && count[1] > 0 {
		g.Without, g.With = sum[0]/count[0], sum[1]/count[1]
		g.Ratio = g.With / g.Without
	}
}

// calm ends the flood and waits until it is read: what is left of it would be in the next window.
func (r *hostileRun) calm(ctx context.Context, read map[federation.Region]float64) error {
	flooded, err := r.who.Calm(ctx)
	r.report.Goodput.Floods = append(r.report.Goodput.Floods, flooded)
	if err != nil {
		return err
	}
	began := time.Now()
	wait := drainFirst
	for _, n := range flooded.Records {
		wait = max(wait, drainFirst+time.Duration(n)*drainEach)
	}
	ctx, cancel := context.WithTimeout(ctx, min(wait, drainMax))
	defer cancel()
	err = r.watch.Drained(ctx, topology.Fourth, read, flooded)
	r.report.Goodput.Drain += time.Since(began).Seconds()
	return err
}

func (r *hostileRun) read(ctx context.Context) (map[federation.Region]float64, error) {
	out := map[federation.Region]float64{}
	for _, s := range r.o.Session.Regions {
		var err error
		if out[federation.Region(s.Code)], err = r.watch.Read(ctx, federation.Region(s.Code), topology.Fourth); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// delays are how long the regions let the flood wait.
func (r *hostileRun) delays(ctx context.Context) error {
	for _, s := range r.o.Session.Regions {
		counters, err := r.watch.Counters(ctx, federation.Region(s.Code))
		if err != nil {
			return err
		}
		r.report.Goodput.Delayed += counters[fmt.Sprintf(`gongji_lane_delayed_seconds_total{peer="%s"}`, topology.Fourth)]
		r.report.Goodput.Dropped += counters[`gongji_audit_events_total{event="audit_overflow"}`]
	}
	return nil
}

func (r *hostileRun) say(format string, args ...any) error {
	_, err := fmt.Fprintf(r.o.Progress, format+"\n", args...)
	return err
}

// Print writes the attacks as a table, the goodput and the invariants.
func (r *HostileReport) Print(w io.Writer) error {
	if err := hostile.Print(w, r.Attacks); err != nil {
		return err
	}
	g := &r.Goodput
	var records int64
	var seconds float64
	for _, f := range g.Floods {
		for _, n := range f.Records {
			records += n
		}
		seconds += f.Seconds
	}
	_, err := fmt.Fprintf(w, "books changed by the attacks: %d\n"+
		"goodput: %.1f payments/s without the flood, %.1f with it: %.3f (goal %.1f); %d payments failed\n"+
		"flood: %d records in %.0f s; the lanes waited %.0f s; all of it was read %.0f s after the windows\n",
		len(r.Changed), g.Without, g.With, g.Ratio, g.Goal, g.Errors, records, seconds, g.Delayed, g.Drain)
	for i := check.Balances; i <= check.Limits && err == nil; i++ {
		_, err = fmt.Fprintln(w, i, r.Invariants[i.String()])
	}
	return err
}
