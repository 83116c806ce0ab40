package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/testnet/load"
	"gongji/testnet/topology"
)

// ErrProcesses: the federation's nodes have no processes of their own.
var ErrProcesses = errors.New("chaos: start the testnet with --processes")

// Rate is how many payments a second are asked for meanwhile.
const Rate = 40

// Options says what is done to whom.
type Options struct {
	Seed     uint64
	Duration time.Duration
	Load     load.Options                     // its rate, length and tolerance are set here
	Session  func() (topology.Session, error) // as it is now: pids change
	Progress io.Writer
}

// Report is what a run gives.
type Report struct {
	Seed   uint64      `json:"seed"`
	Faults []Fault     `json:"faults"`
	Struck int         `json:"struck"` // processes that a fault really hit
	Load   load.Report `json:"load"`
}

// Run drives payments and strikes by the plan. Payments may fail meanwhile; afterwards everything must have come to
// an end and the books must agree. Errors: ErrProcesses, load.ErrFailed, the context's.
func Run(ctx context.Context, o Options) (Report, error) {
	session, err := o.Session()
	if err != nil {
		return Report{}, err
	}
	for _, r := range session.Regions {
		for _, n := range r.Nodes {
			if n.PID == 0 {
				return Report{}, ErrProcesses
			}
		}
	}
	report := Report{Seed: o.Seed, Faults: Plan(o.Seed, o.Duration, len(session.Regions), topology.NodesPerRegion)}
	o.Load.Rate, o.Load.Duration, o.Load.Tolerant, o.Load.Probe = Rate, o.Duration, true, nil
	var group errgroup.Group
	begun := make(chan struct{})
	o.Load.Begun = func() { close(begun) }
	striking, stop := context.WithCancel(ctx)
	defer stop()
	group.Go(func() error {
		select {
		case <-begun:
		case <-striking.Done():
			return nil
		}
		var cut error
		report.Struck, cut = strikeAll(striking, o, report.Faults)
		return cut
	})
	loaded, failed := load.Run(ctx, o.Load)
	stop()
	err = errors.Join(failed, group.Wait())
	report.Load = loaded
	return report, err
}

// strikeAll carries the plan out.
func strikeAll(ctx context.Context, o Options, plan []Fault) (int, error) {
	start := time.Now()
	total := 0
	var thawing errgroup.Group // freezes end by themselves, also when the plan is cut short
	for _, f := range plan {
		if !pause(ctx, time.Until(start.Add(f.At))) {
			break
		}
		n, err := strike(ctx, o, f, &thawing)
		total += n
		if err != nil {
			return total, errors.Join(err, thawing.Wait())
		}
	}
	return total, thawing.Wait()
}

func strike(ctx context.Context, o Options, f Fault, thawing *errgroup.Group) (int, error) {
	session, err := o.Session()
	if err != nil {
		return 0, err
	}
	nodes := session.Regions[f.Region].Nodes
	n := 0
	for _, i := range f.struck(len(nodes)) {
		pid := nodes[i].PID
		if pid == 0 {
			continue // it is down already
		}
		n++
		if _, err := fmt.Fprintf(o.Progress, "  %5.1f s %s %s\n", f.At.Seconds(), f.Kind, nodes[i].ID); err != nil {
			return n, err
		}
		if f.Length == 0 {
			kill(pid)
			continue
		}
		freeze(pid)
		thawing.Go(func() error {
			pause(ctx, f.Length)
			thaw(pid)
			return nil
		})
	}
	return n, nil
}

// pause waits, and reports whether ctx still stands.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
