package hostile

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"gongji/federation"
)

// Waits of a play.
const (
	foundWait  = 20 * time.Second       // for the audit line of an attack; it takes a second or two
	foundPause = 100 * time.Millisecond // between two looks
)

// Attacker is who attacks: a Fourth in this process, or one in a process of its own.
type Attacker interface {
	// Attacks lists what it will do.
	Attacks(ctx context.Context, facts Facts) ([]Attack, error)
	// Send carries out the attack with that place in the list, and returns the offset of its record.
	Send(ctx context.Context, place int) (int64, error)
	// Flood floods every lane of the member at the plan's rate until Calm.
	Flood(ctx context.Context, plan FloodPlan) error
	// Calm ends a flood and tells what it was; the zero Flooded when there was none.
	Calm(ctx context.Context) (Flooded, error)
}

var _ Attacker = (*Fourth)(nil)

// Result is what came of an attack.
type Result struct {
	Attack

	Sent    bool   `json:"sent"`
	Refused bool   `json:"refused"` // the region's counter says so
	Audited bool   `json:"audited"` // the region's audit log says so, in line Line
	Line    uint64 `json:"line,omitempty"`
}

// OK reports whether the attack was refused for its reason, and is in the audit log.
func (r *Result) OK() bool { return r.Sent && r.Refused && r.Audited }

// Play carries out the attacks of one stage and waits for what the regions say of them. The audit log has one line a
// second for what is alike, so attacks go in rounds that have no two alike. A refusal that does not come is in the
// results, not an error.
func Play(ctx context.Context, who Attacker, w *Watch, list []Attack, stage Stage) ([]Result, error) {
	var out []Result
	left := make([]int, 0, len(list))
	for i := range list {
		if list[i].Stage == stage {
			left = append(left, i)
		}
	}
	for len(left) > 0 {
		var now, later []int
		for _, i := range left {
			if alikeAny(list, now, i) {
				later = append(later, i)
			} else {
				now = append(now, i)
			}
		}
		results, err := round(ctx, who, w, list, now)
		if out = append(out, results...); err != nil {
			return out, err
		}
		left = later
	}
	return out, nil
}

func alikeAny(list []Attack, places []int, i int) bool {
	for _, j := range places {
		if list[i].alike(&list[j]) {
			return true
		}
	}
	return false
}

// round sends attacks that are not alike.
func round(ctx context.Context, who Attacker, w *Watch, list []Attack, places []int) ([]Result, error) {
	before := map[federation.Region]map[string]float64{}
	for _, i := range places {
		at := list[i].At
		if before[at] != nil {
			continue
		}
		counters, err := w.Counters(ctx, at)
		if err != nil {
			return nil, err
		}
		before[at] = counters
		if _, err = w.News(ctx, at); err != nil { // and forget what was before
			return nil, err
		}
	}
	out := make([]Result, 0, len(places))
	for _, i := range places {
		r := Result{Attack: list[i]}
		at, err := who.Send(ctx, i)
		if err != nil {
			return out, fmt.Errorf("%s: %w", r.Name, err)
		}
		if r.Sent = true; r.Attr == attrOffset {
			r.Value = offset(at)
		}
		out = append(out, r)
	}
	waiting, cancel := context.WithTimeout(ctx, foundWait)
	defer cancel()
	for !found(out) {
		if err := w.judge(waiting, out, before); err != nil && waiting.Err() == nil {
			return out, err
		}
		if !pause(waiting) {
			break // what is missing is missing
		}
	}
	return out, ctx.Err()
}

func found(list []Result) bool {
	for i := range list {
		if !list[i].OK() {
			return false
		}
	}
	return true
}

// judge looks for what is missing yet.
func (w *Watch) judge(ctx context.Context, list []Result, before map[federation.Region]map[string]float64) error {
	wanted := map[federation.Region]map[string]float64{}
	for i := range list {
		r := &list[i]
		if wanted[r.At] == nil {
			wanted[r.At] = map[string]float64{}
		}
		wanted[r.At][r.series()]++
	}
	for at, series := range wanted {
		lines, err := w.News(ctx, at)
		if err != nil {
			return err
		}
		counters, err := w.Counters(ctx, at)
		if err != nil {
			return err
		}
		for i := range list {
			if r := &list[i]; r.At == at {
				name := r.series()
				r.hear(lines, counters[name] >= before[at][name]+series[name])
			}
		}
	}
	return nil
}

// hear takes what a region says: its audit log, and whether its counter has moved.
func (r *Result) hear(lines []Line, counted bool) {
	r.Refused = r.Refused || counted
	for i := range lines {
		if lines[i].tells(&r.Attack) {
			r.Audited, r.Line = true, lines[i].Number
		}
	}
}

// Print writes the attacks as a table: what was sent where, whether it was refused, why, and which line of the audit
// log has it.
func Print(out io.Writer, list []Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintln(w, "attack\tat\tsent\trefused\treason\taudit line")
	for i := range list {
		r := &list[i]
		line := "MISSING"
		if r.Audited {
			line = offset(int64(r.Line)) //nolint:gosec // lines are counted from 1
		}
		if err == nil {
			_, err = fmt.Fprintf(w, "%s: %s\t%s\t%s\t%s\t%s %s\t%s\n", r.Kind, r.Name, r.At, word(r.Sent), word(r.Refused),
				r.Event, r.Reason, line)
		}
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

func word(yes bool) string {
	if yes {
		return "yes"
	}
	return "NO"
}

// pause waits for a moment, and reports whether ctx still stands.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(foundPause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
