package settle_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gongji/adapters"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/simtest/regiontest"
)

// register is a core system that only knows persons, as a test has them.
type register struct {
	adapters.Core

	mu    sync.Mutex
	says  map[string]func() (adapters.Account, error) // by number
	asked int
}

func (r *register) Capabilities() adapters.Capabilities { return both }

func (r *register) Person(_ context.Context, p adapters.Person) (adapters.Account, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if says := r.says[p.Number]; says != nil {
		return says()
	}
	return adapters.Account{}, &adapters.RefusedError{Reason: adapters.ReasonUnknownPerson}
}

func (r *register) set(p regiontest.Person, status int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.says[p.IDNumber] = func() (adapters.Account, error) {
		return adapters.Account{Scheme: p.Facts.Scheme, Status: status, Balance: 1000}, err
	}
}

// TestSweepAsksTheCore: a core's remembered word ends grants, that it knows nobody included; its silence and a
// name that is not the number's end none, and the pass waits for it, longer than a day if need be, with an alarm.
func TestSweepAsksTheCore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		timing := settle.DefaultTiming()
		timing.SweepFrom = 8*time.Hour + 20*time.Second
		core := &register{says: map[string]func() (adapters.Account, error){}}
		f, err := regiontest.New(regiontest.Config{
			Codes: []federation.Region{fuzhou}, Cores: map[federation.Region]adapters.Core{fuzhou: core}, Timing: timing,
		})
		if err != nil {
			t.Fatal(err)
		}
		f.Start(t)
		passes(joining)
		fz := f.Regions[fuzhou]
		kin := regiontest.Resident(string(fuzhou), "陈小妹", 20)
		core.set(kin, adapters.StatusNormal, nil)
		payers := make([]regiontest.Person, 5)
		ids := make([]string, len(payers))
		for i := range payers {
			payers[i] = regiontest.Employee(string(fuzhou), "陈国强", 1+i, 1000)
			core.set(payers[i], adapters.StatusNormal, nil)
			if ids[i], err = fz.Grant(t.Context(), payers[i], kin); err != nil {
				t.Fatal(err)
			}
		}
		core.set(payers[0], adapters.StatusTerminated, nil)
		core.set(payers[1], adapters.StatusSuspended, nil)
		core.set(payers[2], 0, &adapters.RefusedError{Reason: adapters.ReasonUnknownPerson})
		core.set(payers[3], 0, &adapters.RefusedError{Reason: adapters.ReasonIdentity})
		core.set(payers[4], 0, adapters.ErrUnknown)
		want := func(words ...string) {
			t.Helper()
			got := make([]string, len(ids))
			for i, id := range ids {
				var g client.Grant
				if g, err = fz.Desk.Grant(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				got[i] = g.Status
			}
			if strings.Join(got, " ") != strings.Join(words, " ") {
				t.Fatalf("got %s, want %s", got, words)
			}
		}
		passes(time.Minute)
		want("active", "active", "active", "active", "active") // one of the page has not been answered for
		passes(16 * time.Hour)                                 // the day is over
		core.set(payers[4], adapters.StatusNormal, nil)
		passes(2 * time.Minute)
		want("ended", "active", "ended", "active", "active")
		if list := strings.Join(fz.Audits.List(), "\n"); !strings.Contains(list, "sweep_late") {
			t.Errorf("no alarm: %s", list)
		}
		if today := policy.Day(time.Now()); today.String() != "2000-01-02" {
			t.Errorf("it is %s", today)
		}
	})
}
