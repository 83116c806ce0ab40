// Package load drives two-phase payments through a running federation, and reports what it did and where the time went.
//
// Each payment is asked for at one region, for a beneficiary of another, from a payer of the third; it is held,
// then confirmed, and counts when it is captured. Payments are measured in a steady window after a warm-up. At the
// end what the clients counted is held against the books themselves: a figure that the books do not bear out is no
// figure.
//
// Two ways to drive: --rate max keeps a number of clients busy (each waits for its answer), a rate sends payments
// by the clock whether or not earlier ones were answered, and counts the time from when a payment was due, so that
// a federation that stands still cannot look fast.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"gongji/gateway/client"
	"gongji/testnet/check"
	"gongji/testnet/topology"
)

// Standard figures.
const (
	ClientsStandard = 512
	warmUp          = 3 * time.Second
	sweepWindow     = 5 * time.Second // of each step of a sweep, at most
	sweepPart       = 4               // and at most this part of the main window
	sweepWarmUp     = time.Second
	sweepRate       = 100 // payments a second, paced
	settleWait      = 30 * time.Second
	pacedInFlight   = 4096 // payments under way at most when paced; above it the rate is missed, and told
	amount          = "1.00"
)

// Errors of a load.
var (
	// ErrFailed: payments failed, or the books disagree.
	ErrFailed = errors.New("load: failed")
	// ErrOptions: the options make no load.
	ErrOptions = errors.New("load: bad options")
)

// API is what the load asks of one region. client.Client is one.
type API interface {
	Commitment(ctx context.Context) (client.Commitment, error)
	CreateGrant(ctx context.Context, r client.GrantRequest) (client.Grant, error)
	SearchGrants(ctx context.Context, r client.GrantSearch) (client.GrantList, error)
	CreatePayment(ctx context.Context, r client.PaymentRequest) (client.Payment, error)
	Payment(ctx context.Context, id string) (client.Payment, error)
	Confirm(ctx context.Context, id string, r client.Confirmation, wait time.Duration) (client.Payment, error)
}

var _ API = (*client.Client)(nil)

// Options says what is driven.
type Options struct {
	Regions  map[string]API  // by code
	Pairs    []topology.Pair // who pays for whom
	Rate     int             // payments a second; 0 is as many as go
	Clients  int             // that keep busy, with Rate 0
	Duration time.Duration   // of the measured window
	Sweep    bool            // then also 1, 16, 128 and 512 clients, a paced 100/s, and one hot account
	Tolerant bool            // payments may fail: only the books must agree, and bear out what was captured
	Begun    func()          // is called when the grants are made; may be nil
	Probe    Probe           // of the nodes' own figures; nil for none
	Books    check.Federation
	Progress io.Writer
}

// Probe reads the nodes' own figures.
type Probe interface {
	// Read returns what the nodes counted so far.
	Read(ctx context.Context) (Figures, error)
	// Profile returns the CPU seconds of each stage, over all nodes, for a while from now.
	Profile(ctx context.Context, d time.Duration) (map[string]float64, error)
}

// Figures are what the nodes have counted since their start, over the whole federation.
type Figures struct {
	CPU      float64 // seconds
	RSS      float64 // bytes, now
	Commands float64 // applied by the leaders
	Entries  float64 // of the log, applied by the leaders
	Parcels  float64 // sent
	Messages float64 // sent
}

// Run prepares the grants, drives, and reports. The report is filled in as far as it came, also beside an error.
// Errors: ErrFailed, ErrOptions, the context's.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Duration < time.Second || o.Rate < 0 || o.Clients < 1 || len(o.Pairs) < 2 {
		return Report{}, ErrOptions
	}
	d, err := newDriver(o)
	if err != nil {
		return Report{}, err
	}
	err = d.prepare(ctx)
	if err != nil {
		return Report{}, err
	}
	if o.Begun != nil {
		o.Begun()
	}
	report := Report{}
	main := step{
		name: "main", rate: o.Rate, clients: o.Clients, warmUp: warmUp, window: o.Duration, pairs: o.Pairs,
	}
	result, err := d.measure(ctx, main)
	if err != nil {
		return report, err
	}
	report.fill(result)
	if o.Sweep {
		if report.Sweep, err = d.sweep(ctx); err != nil {
			return report, err
		}
	}
	return report, d.conclude(ctx, &report)
}

// sweep shows how the figures depend on the load, a step each.
func (d *driver) sweep(ctx context.Context) ([]Step, error) {
	steps := []step{{name: "paced", rate: sweepRate}}
	for _, clients := range []int{1, 16, 128, 512} {
		steps = append(steps, step{name: fmt.Sprintf("%d clients", clients), clients: clients})
	}
	steps = append(steps, step{name: "hot account", clients: d.o.Clients, pairs: d.o.Pairs[:2]})
	var out []Step
	for _, s := range steps {
		s.warmUp, s.window = sweepWarmUp, min(sweepWindow, d.o.Duration/sweepPart)
		if s.pairs == nil {
			s.pairs = d.o.Pairs
		}
		result, err := d.measure(ctx, s)
		if err != nil {
			return out, err
		}
		out = append(out, result.step())
	}
	return out, nil
}

// conclude holds the clients' count against the books and checks the invariants.
func (d *driver) conclude(ctx context.Context, report *Report) error {
	if err := d.say("Checking the books of every region."); err != nil {
		return err
	}
	checked, err := check.Wait(ctx, d.o.Books)
	if err != nil {
		return err
	}
	report.Invariants = checked.Map()
	report.CountedByClients = d.captured.Load()
	if report.CapturedInBooks, err = d.inBooks(ctx); err != nil {
		return err
	}
	report.Errors = int(d.failures.Load())
	report.ErrorSamples = d.samples()
	switch o := d.o; {
	case o.Tolerant && report.CapturedInBooks < report.CountedByClients:
		return fmt.Errorf("%w: %d payments were told to be captured, the books have %d", ErrFailed,
			report.CountedByClients, report.CapturedInBooks)
	case o.Tolerant && checked.OK():
		return nil
	case report.Errors > 0 && !o.Tolerant:
		return fmt.Errorf("%w: %d payments ended in an error", ErrFailed, report.Errors)
	case report.CapturedInBooks != report.CountedByClients && !o.Tolerant:
		return fmt.Errorf("%w: the clients counted %d captured payments, the books have %d", ErrFailed,
			report.CountedByClients, report.CapturedInBooks)
	case !checked.OK():
		return fmt.Errorf("%w: the books do not agree", ErrFailed)
	}
	return nil
}

// inBooks counts this run's captured payments in the books of all regions.
func (d *driver) inBooks(ctx context.Context) (int64, error) {
	var n int64
	for _, r := range d.o.Books.Regions {
		err := d.o.Books.Source.Audit(ctx, r.Code, func(l client.AuditLine) error {
			if l.Payment != nil && l.Payment.State == client.PaymentCaptured && d.ours(l.Payment.VisitID) {
				n++
			}
			return nil
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (d *driver) say(format string, args ...any) error {
	_, err := fmt.Fprintf(d.o.Progress, format+"\n", args...)
	return err
}
