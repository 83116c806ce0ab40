package settle_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/simtest/regiontest"
)

const fuzhou = regiontest.Fuzhou

// recorder remembers the changing calls that reach a core, and lets a test answer in the core's place.
type recorder struct {
	adapters.Core

	mu     sync.Mutex
	calls  []string // kind, reference
	answer func(kind, ref string) error
}

func (r *recorder) met(kind, ref string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, kind+" "+ref)
	if r.answer == nil {
		return nil
	}
	return r.answer(kind, ref)
}

func (r *recorder) answers(by func(kind, ref string) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = by
}

func (r *recorder) Hold(ctx context.Context, c adapters.Call, p adapters.Person, amount, floor int64) (int64, error) {
	if err := r.met("hold", c.Ref); err != nil {
		return 0, err
	}
	return r.Core.Hold(ctx, c, p, amount, floor)
}

func (r *recorder) Capture(ctx context.Context, c adapters.Call, hold string, amount int64) error {
	if err := r.met("capture", c.Ref); err != nil {
		return err
	}
	return r.Core.Capture(ctx, c, hold, amount)
}

func (r *recorder) Release(ctx context.Context, c adapters.Call, hold string) error {
	if err := r.met("release", c.Ref); err != nil {
		return err
	}
	return r.Core.Release(ctx, c, hold)
}

// list is what was called, each kind with its reference, without the id of the hold.
func (r *recorder) list(hold string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]string, 0, len(r.calls))
	for _, c := range r.calls {
		if kind, ref, _ := strings.Cut(c, " "); strings.HasPrefix(ref, hold) {
			out = append(out, kind+strings.TrimPrefix(ref, hold))
		}
	}
	return out
}

// cored is one region with a simulated core, a payer with 5,000.00 and a beneficiary.
type cored struct {
	fz   *regiontest.Region
	sim  *adaptertest.SimCore
	rec  *recorder
	kin  regiontest.Person
	next int
}

var (
	both    = adapters.Capabilities{NativeHolds: true, RemembersRefusals: true, ReleaseIsFinal: true}
	oneOnly = adapters.Capabilities{NativeHolds: true, RemembersRefusals: true}
	twoOnly = adapters.Capabilities{NativeHolds: true, ReleaseIsFinal: true}
)

func withCore(t *testing.T, claims adapters.Capabilities, nodes int, act func(t *testing.T, c *cored)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := adaptertest.NewCoreWith(adaptertest.SimOptions{Seed: 7, Clock: time.Now, Claims: claims})
		rec := &recorder{Core: sim}
		f, err := regiontest.New(regiontest.Config{
			Codes: []federation.Region{fuzhou}, Nodes: nodes, Cores: map[federation.Region]adapters.Core{fuzhou: rec},
		})
		if err != nil {
			t.Fatal(err)
		}
		f.Start(t)
		synctest.Wait()
		f.Regions[fuzhou].Group.SetLeader(0) // the node that the test speaks to
		synctest.Wait()
		c := &cored{fz: f.Regions[fuzhou], sim: sim, rec: rec}
		payer := regiontest.Employee(string(fuzhou), "陈国强", 1, 500_000)
		c.kin = regiontest.Resident(string(fuzhou), "陈小妹", 2)
		for _, p := range []regiontest.Person{payer, c.kin} {
			sim.AddPerson(adapters.Person{IDType: p.IDType, Number: p.IDNumber, Name: p.Name}, adapters.Account{
				Scheme: p.Facts.Scheme, Status: p.Facts.Status, Balance: p.Facts.Balance.Fen(),
			})
		}
		if _, err := c.fz.Grant(t.Context(), payer, c.kin); err != nil {
			t.Fatal(err)
		}
		act(t, c)
		if err := sim.Check(); err != nil {
			t.Error(err)
		}
	})
}

func (c *cored) pay(t *testing.T) client.Payment {
	t.Helper()
	c.next++
	p, err := c.fz.Pay(t.Context(), c.kin, fmt.Sprint("v", c.next), "100.00")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *cored) decide(t *testing.T, p client.Payment, amount string) client.Payment {
	t.Helper()
	c.next++
	var err error
	if amount == "" {
		p, _, err = c.fz.Desk.Cancel(t.Context(), regiontest.Key(fmt.Sprint("d", c.next)), p.PaymentID)
	} else {
		a, failed := money.Parse(amount)
		if failed != nil {
			t.Fatal(failed)
		}
		p, _, err = c.fz.Desk.Confirm(t.Context(), regiontest.Key(fmt.Sprint("d", c.next)), p.PaymentID, &a, 5*time.Second)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *cored) now(t *testing.T, p client.Payment) client.Payment {
	t.Helper()
	p, err := c.fz.Desk.Payment(t.Context(), p.PaymentID)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// hold is the only hold's id, whatever became of it.
func (c *cored) hold(t *testing.T) string {
	t.Helper()
	var ids []string
	err := c.fz.View(func(v ledger.View) error {
		return v.Holds(func(h *ledger.HoldRecord) bool {
			ids = append(ids, h.ID)
			return true
		})
	})
	if err != nil || len(ids) == 0 {
		t.Fatalf("holds %v, %v", ids, err)
	}
	return ids[len(ids)-1]
}

func (c *cored) state(t *testing.T, id string) string {
	t.Helper()
	var state string
	err := c.fz.View(func(v ledger.View) error {
		h, err := v.Hold(id)
		if h != nil {
			state = h.State.String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func want(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
