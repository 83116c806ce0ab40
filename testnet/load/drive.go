package load

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/gateway/client"
	"gongji/testnet/topology"
)

// samplesMax are the errors that a report quotes.
const samplesMax = 5

// driver drives one run.
type driver struct {
	o        Options
	run      string // in every id of this run
	today    string
	next     atomic.Int64 // numbers the payments
	captured atomic.Int64
	failures atomic.Int64

	mu     sync.Mutex
	quoted []string
}

func newDriver(o Options) (*driver, error) {
	for _, p := range o.Pairs {
		for _, code := range []string{p.Payer.Region, p.Beneficiary.Region, p.Visit} {
			if o.Regions[code] == nil {
				return nil, fmt.Errorf("%w: region %s", ErrOptions, code)
			}
		}
	}
	const beijing = 8 * 60 * 60
	return &driver{
		o: o, run: strings.ToLower(rand.Text()[:10]),
		today: time.Now().In(time.FixedZone("CST", beijing)).Format(time.DateOnly),
	}, nil
}

func (d *driver) visitID(n int64) string { return fmt.Sprintf("load-%s-%d", d.run, n) }

func (d *driver) ours(visitID string) bool { return strings.HasPrefix(visitID, "load-"+d.run+"-") }

// fail notes a payment that went wrong.
func (d *driver) fail(err error) {
	d.failures.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.quoted) < samplesMax {
		d.quoted = append(d.quoted, err.Error())
	}
}

func (d *driver) samples() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.quoted...)
}

// errOther: an answer that the load does not expect.
var errOther = errors.New("load: unexpected answer")

// pay carries one payment from the request to its end.
func (d *driver) pay(ctx context.Context, pair topology.Pair) error {
	n := d.next.Add(1)
	id := d.visitID(n)
	b := pair.Beneficiary
	region := d.o.Regions[pair.Visit]
	p, err := region.CreatePayment(ctx, client.PaymentRequest{
		RequestID: id,
		Beneficiary: client.Person{
			IDType: client.IDTypeResident, IDNumber: b.IDNumber, Name: b.Name, Region: b.Region,
		},
		Credential:  client.Credential{Type: client.CredentialECredential, HolderIDNumber: b.IDNumber},
		Institution: client.Institution{Code: "H" + pair.Visit + "00001", Kind: "hospital"},
		Purpose:     "outpatient", VisitID: id, VisitDate: d.today,
		Bill:   client.Bill{ID: id, Total: amount, FundPaid: "0.00", SelfBorne: amount},
		Amount: amount,
	})
	if err != nil {
		return err
	}
	if p.Status != client.PaymentHeld || p.Held != amount {
		return fmt.Errorf("%w: %s with %s held, %v", errOther, p.Status, p.Held, p.Declines)
	}
	p, err = region.Confirm(ctx, p.PaymentID, client.Confirmation{RequestID: "c" + id}, confirmWait)
	for err == nil && p.Status == client.PaymentCapturing {
		if !pause(ctx, askPause) {
			return ctx.Err()
		}
		p, err = region.Payment(ctx, p.PaymentID)
	}
	if err != nil {
		return err
	}
	if p.Status != client.PaymentCaptured || p.Captured != amount {
		return fmt.Errorf("%w: %s with %s captured", errOther, p.Status, p.Captured)
	}
	d.captured.Add(1)
	return nil
}

const (
	confirmWait = 10 * time.Second
	askPause    = 20 * time.Millisecond
)

// step is one measurement.
type step struct {
	name    string
	rate    int // 0: clients keep busy
	clients int
	warmUp  time.Duration
	window  time.Duration
	pairs   []topology.Pair
}

// window is the steady part of a step.
type window struct {
	mu     sync.Mutex
	open   bool
	times  histogram
	errors int
}

func (w *window) done(took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.open:
	case err != nil:
		w.errors++
	default:
		w.times.add(took)
	}
}

func (w *window) set(open bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = open
}

// measure drives one step: warm-up, window, and until the last payment has ended.
func (d *driver) measure(ctx context.Context, s step) (*result, error) {
	how := fmt.Sprintf("%d clients", s.clients)
	if s.rate > 0 {
		how = fmt.Sprintf("%d payments/s by the clock", s.rate)
	}
	if err := d.say("Load %s: %s for %s.", s.name, how, s.window); err != nil {
		return nil, err
	}
	w := &window{}
	driving, stop := context.WithCancel(ctx)
	defer stop()
	group, _ := errgroup.WithContext(ctx)
	group.Go(func() error {
		if s.rate > 0 {
			return d.paced(ctx, driving.Done(), s, w)
		}
		return d.busy(ctx, driving.Done(), s, w)
	})
	r, err := d.observe(ctx, s, w)
	stop()
	err = errors.Join(err, group.Wait(), ctx.Err())
	if err != nil {
		return nil, err
	}
	return r, d.say("  %s", r.step())
}

// busy keeps the clients busy until stop.
func (d *driver) busy(ctx context.Context, stop <-chan struct{}, s step, w *window) error {
	var turn atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range s.clients {
		group.Go(func() error {
			for {
				select {
				case <-stop:
					return nil
				default:
				}
				d.one(ctx, s.pairs[int(turn.Add(1))%len(s.pairs)], time.Now(), w)
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
		})
	}
	return group.Wait()
}

// paced begins a payment whenever one is due, until stop.
func (d *driver) paced(ctx context.Context, stop <-chan struct{}, s step, w *window) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pacedInFlight)
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := start.Add(time.Duration(float64(n) / float64(s.rate) * float64(time.Second)))
		timer.Reset(time.Until(due))
		select {
		case <-stop:
			return group.Wait()
		case <-ctx.Done():
			return errors.Join(ctx.Err(), group.Wait())
		case <-timer.C:
		}
		pair := s.pairs[n%len(s.pairs)]
		group.Go(func() error {
			d.one(ctx, pair, due, w)
			return nil
		})
	}
}

// one makes one payment that was due at a moment. A payment is not broken off when the driving stops.
func (d *driver) one(ctx context.Context, pair topology.Pair, due time.Time, w *window) {
	err := d.pay(ctx, pair)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		d.fail(err)
	}
	w.done(time.Since(due), err)
}

// pause waits, and reports whether ctx still stands.
func pause(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
