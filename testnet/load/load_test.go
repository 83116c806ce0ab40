package load_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gongji/gateway/client"
	"gongji/testnet/check"
	"gongji/testnet/load"
	"gongji/testnet/topology"
)

// federation is one that captures everything after a while, and its books.
type federation struct {
	mu       sync.Mutex
	delay    time.Duration
	grants   map[string]client.Grant // by beneficiary
	payments map[string]*client.AuditPayment
	fails    func(n int) error // of the n-th payment
	forgets  int               // payments that the books lack
	reads    int
}

func (f *federation) Commitment(context.Context) (client.Commitment, error) {
	return client.Commitment{}, nil
}

func (f *federation) CreateGrant(_ context.Context, r client.GrantRequest) (client.Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := client.Grant{GrantID: "g-" + r.Beneficiary.IDNumber}
	f.grants[r.Beneficiary.IDNumber] = g
	return g, nil
}

func (f *federation) SearchGrants(_ context.Context, r client.GrantSearch) (client.GrantList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return client.GrantList{Grants: []client.Grant{f.grants[r.Beneficiary.IDNumber]}}, nil
}

func (f *federation) CreatePayment(ctx context.Context, r client.PaymentRequest) (client.Payment, error) {
	select {
	case <-time.After(f.delay):
	case <-ctx.Done():
		return client.Payment{}, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails != nil {
		if err := f.fails(len(f.payments)); err != nil {
			f.payments[r.RequestID] = &client.AuditPayment{State: "declined", VisitID: r.VisitID}
			return client.Payment{}, err
		}
	}
	f.payments[r.RequestID] = &client.AuditPayment{ID: r.RequestID, State: "held", VisitID: r.VisitID}
	return client.Payment{PaymentID: r.RequestID, Status: client.PaymentHeld, Held: r.Amount}, nil
}

func (f *federation) Confirm(
	_ context.Context, id string, _ client.Confirmation, _ time.Duration,
) (client.Payment, error) {
	return client.Payment{PaymentID: id, Status: client.PaymentCapturing}, nil
}

func (f *federation) Payment(_ context.Context, id string) (client.Payment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.payments[id].State = client.PaymentCaptured
	return client.Payment{PaymentID: id, Status: client.PaymentCaptured, Captured: "1.00"}, nil
}

// Audit puts all payments into the books of one region.
func (f *federation) Audit(_ context.Context, _ string, visit func(client.AuditLine) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	end := client.AuditEnd{Stamp: time.Now()}
	lines := []client.AuditLine{{Rules: &client.AuditRules{AnnualShare: "0.60"}}}
	skip := f.forgets
	for _, p := range f.payments {
		if skip > 0 {
			skip--
			continue
		}
		lines = append(lines, client.AuditLine{Payment: p})
		end.Payments++
	}
	for _, l := range append(lines, client.AuditLine{End: &end}) {
		if err := visit(l); err != nil {
			return err
		}
	}
	return nil
}

func (f *federation) Digests(context.Context, string) (map[uint64]string, error) {
	return map[uint64]string{1: "x"}, nil
}

// Read counts two seconds of CPU each time it is asked.
func (f *federation) Read(context.Context) (load.Figures, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	n := float64(f.reads)
	return load.Figures{CPU: 2 * n, RSS: 1 << 20, Commands: 30 * n, Entries: 10 * n, Parcels: n, Messages: 7 * n}, nil
}

func (f *federation) Profile(ctx context.Context, d time.Duration) (map[string]float64, error) {
	select {
	case <-time.After(d):
		return map[string]float64{"api": 1, "log": 2}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func options(t *testing.T, f *federation) load.Options {
	t.Helper()
	o := load.Options{
		Regions: map[string]load.API{"110000": f, "310000": f, "350100": f}, Pairs: topology.LoadPairs(9), Clients: 4,
		Duration: 10 * time.Second, Probe: f, Progress: &bytes.Buffer{},
		Books: check.Federation{
			Regions: []check.Region{{Code: "110000", Nodes: []string{"110000-1"}}},
			Source:  f, TempDir: t.TempDir(), Now: time.Now,
		},
	}
	f.grants, f.payments, f.delay = map[string]client.Grant{}, map[string]*client.AuditPayment{}, 80*time.Millisecond
	return o
}

func TestBusyClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &federation{}
		r, err := load.Run(t.Context(), options(t, f))
		if err != nil {
			t.Fatal(err)
		}
		// Four clients, each payment 80 ms and one look after 20 ms: 40 a second.
		if r.PaymentsPerSecond < 39 || r.PaymentsPerSecond > 41 || r.Seconds != 10 || r.Errors != 0 {
			t.Errorf("%v payments in %v s, %v/s, %d errors", r.Payments, r.Seconds, r.PaymentsPerSecond, r.Errors)
		}
		if r.Latency.P50 < 98 || r.Latency.P50 > 100 || r.Latency.Max != 100 {
			t.Errorf("latency %+v", r.Latency)
		}
		if r.CommandsPerEntry != 3 || r.MessagesPer != 7 || r.PeakRSS != 1 || r.CPUPerPayment <= 0 ||
			r.Where["log"] <= r.Where["api"] {
			t.Errorf("report %+v", r)
		}
		if r.CapturedInBooks != r.CountedByClients || r.CountedByClients <= int64(r.Payments) || r.Invariants["I-4"] != "ok" {
			t.Errorf("clients %d, books %d, %v", r.CountedByClients, r.CapturedInBooks, r.Invariants)
		}
		raw, err := json.Marshal(r)
		for _, field := range []string{
			"payments", "seconds", "payments_per_second", "errors", "latency_ms", "peak_rss_mb", "where", "invariants",
		} {
			if err != nil || !strings.Contains(string(raw), `"`+field+`":`) {
				t.Errorf("no field %s in %s", field, raw)
			}
		}
	})
}

func TestPacedIsNotFooledByWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &federation{}
		o := options(t, f)
		o.Rate, f.delay = 10, 980*time.Millisecond
		r, err := load.Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		// One client alone would make one payment a second; the clock makes ten.
		if r.Payments < 99 || r.Payments > 101 || r.Latency.P50 < 980 {
			t.Errorf("%d payments, latency %+v", r.Payments, r.Latency)
		}
	})
}

func TestSweepAndMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &federation{}
		o := options(t, f)
		o.Sweep, o.Duration = true, 130*time.Second
		r, err := load.Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range r.Sweep {
			names = append(names, s.Name)
		}
		want := []string{"paced", "1 clients", "16 clients", "128 clients", "512 clients", "hot account"}
		if !slices.Equal(names, want) || len(r.PerMinute) != 2 || r.PerMinute[0].Payments < 2300 {
			t.Errorf("steps %v, minutes %+v", names, r.PerMinute)
		}
	})
}

func TestFailuresAreTold(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(f *federation)
		want  string
	}{
		{"a payment fails", func(f *federation) {
			f.fails = func(n int) error {
				if n == 7 {
					return errors.New("no leader")
				}
				return nil
			}
		}, "1 payments ended in an error"},
		{"the books lack payments", func(f *federation) { f.forgets = 3 }, "the books have"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &federation{}
				o := options(t, f)
				tc.spoil(f)
				r, err := load.Run(t.Context(), o)
				if !errors.Is(err, load.ErrFailed) || !strings.Contains(err.Error(), tc.want) || r.Payments == 0 {
					t.Errorf("%v, %d payments", err, r.Payments)
				}
			})
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, spoil := range []func(o *load.Options){
		func(o *load.Options) { o.Duration = 0 },
		func(o *load.Options) { o.Rate = -1 },
		func(o *load.Options) { o.Clients = 0 },
		func(o *load.Options) { o.Pairs = nil },
		func(o *load.Options) { delete(o.Regions, "310000") },
	} {
		o := options(t, &federation{})
		spoil(&o)
		if _, err := load.Run(t.Context(), o); !errors.Is(err, load.ErrOptions) {
			t.Errorf("Run gave %v", err)
		}
	}
}
