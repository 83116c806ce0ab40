package load

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gongji/testnet/topology"
)

// Alternation measures what something does to the others: windows without it and with it, in the order 0, 1, 1, 0, so
// that a federation that slows down or speeds up by itself does not count for either.
type Alternation struct {
	Windows int // of Options.Duration each; an even number
	// Begin begins it, before the warm-up of a window. End ends it, and returns when nothing of it is left.
	Begin, End func(ctx context.Context) error
}

// With reports whether it is there in a window, the first being 0.
func With(window int) bool { return window%4 == 1 || window%4 == 2 }

// Alternate is Run in windows, without a sweep: it returns one step for each window. With Options.Rate 0 it measures
// what is possible. The report's first figures are those of all windows together; the books are checked behind them.
func Alternate(ctx context.Context, o Options, a Alternation) (Report, []Step, error) {
	if o.Rate < 0 || o.Clients < 1 || len(o.Pairs) < 2 || a.Windows < 2 || a.Windows%2 != 0 {
		return Report{}, nil, ErrOptions
	}
	d, err := newDriver(o)
	if err != nil {
		return Report{}, nil, err
	}
	if err = d.prepare(ctx); err != nil {
		return Report{}, nil, err
	}
	report := Report{}
	var steps []Step
	for i := range a.Windows {
		r, err := d.window(ctx, a, i)
		if err != nil {
			return report, steps, err
		}
		steps = append(steps, r.step())
		report.Payments += r.payments
		report.Seconds = round(report.Seconds + r.seconds)
		report.PeakRSS = math.Max(report.PeakRSS, round(r.peak/mebibyte))
	}
	report.PaymentsPerSecond = round(ratio(float64(report.Payments), report.Seconds))
	return report, steps, d.conclude(ctx, &report)
}

// window measures one, and sees that what was begun ends also when the measuring fails.
func (d *driver) window(ctx context.Context, a Alternation, i int) (*result, error) {
	s := step{
		name: fmt.Sprintf("window %d without", i+1), rate: d.o.Rate, clients: d.o.Clients, warmUp: sweepWarmUp,
		window: d.o.Duration, pairs: d.o.Pairs,
	}
	if !With(i) {
		return d.measure(ctx, s)
	}
	s.name = fmt.Sprintf("window %d with", i+1)
	if err := a.Begin(ctx); err != nil {
		return nil, err
	}
	r, err := d.measure(ctx, s)
	return r, errors.Join(err, a.End(ctx))
}

// Grant makes the grant of one pair as a load does, waits until the beneficiary's home knows it, and returns its id.
func Grant(ctx context.Context, regions map[string]API, pair topology.Pair) (string, error) {
	d, err := newDriver(Options{Regions: regions, Pairs: []topology.Pair{pair}})
	if err != nil {
		return "", err
	}
	text, err := regions[pair.Payer.Region].Commitment(ctx)
	if err != nil {
		return "", fmt.Errorf("load: the commitment of %s: %w", pair.Payer.Region, err)
	}
	id, err := d.grant(ctx, pair, text)
	if err != nil {
		return "", fmt.Errorf("load: a grant: %w", err)
	}
	return id, d.known(ctx, pair, id)
}
