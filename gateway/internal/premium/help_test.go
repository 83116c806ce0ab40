package premium_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

// town is a federation whose days pass as a test says.
type town struct {
	t *testing.T
	*regiontest.Federation

	leader int // which node leads each region
	fresh  int
}

func newTown(t *testing.T, c regiontest.Config) *town {
	t.Helper()
	f, err := regiontest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	f.Start(t)
	return &town{t: t, Federation: f}
}

// claims are those of a core that takes premiums.
func claims() adapters.Capabilities {
	return adapters.Capabilities{NativeHolds: true, RemembersRefusals: true, ReleaseIsFinal: true, Premiums: true}
}

func newCore(seed uint64) *adaptertest.SimCore {
	return adaptertest.NewCoreWith(adaptertest.SimOptions{Seed: seed, Clock: time.Now, Claims: claims()})
}

// beijing is a moment in Beijing of the year in which virtual time begins.
func beijing(t *testing.T, date, clock string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05 -07:00", date+" "+clock+" +08:00")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// until lets time pass quickly: nobody leads, so nothing happens, and then work goes on for a while.
func (w *town) until(date, clock string, work time.Duration) {
	w.t.Helper()
	w.rest(time.Until(beijing(w.t, date, clock)))
	time.Sleep(work)
	synctest.Wait()
}

func (w *town) rest(d time.Duration) {
	w.t.Helper()
	if d < 0 {
		w.t.Fatalf("time does not go back by %s", -d)
	}
	w.lead(-1)
	time.Sleep(d)
	w.lead(w.leader)
}

func (w *town) lead(node int) {
	for _, r := range w.Regions {
		if len(r.Nodes) > 0 {
			r.Group.SetLeader(node)
		}
	}
	synctest.Wait()
}

// at is the leading node of a region.
func (w *town) at(region federation.Region) *regiontest.Node {
	return w.Regions[region].Nodes[w.leader]
}

// person makes a person of the clear identity that cores know.
func person(p regiontest.Person) adapters.Person {
	return adapters.Person{IDType: p.IDType, Number: p.IDNumber, Name: p.Name}
}

func (w *town) open(region federation.Region, people ...regiontest.Person) {
	w.t.Helper()
	if err := w.Regions[region].Open(w.t.Context(), people...); err != nil {
		w.t.Fatal(err)
	}
}

// grant makes a grant at the payer's home.
func (w *town) grant(payer, beneficiary regiontest.Person) string {
	w.t.Helper()
	r := w.Regions[federation.Region(payer.Region)]
	id, err := r.Grant(w.t.Context(), payer, beneficiary)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// mandate has the resident premium collected under a grant.
func (w *town) mandate(grantID string) client.Mandate {
	w.t.Helper()
	m, err := w.tryMandate(grantID, client.MandateRequest{Purpose: "resident_premium"})
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *town) tryMandate(grantID string, f client.MandateRequest) (client.Mandate, error) {
	w.fresh++
	m, _, err := w.at(payers).Desk.CreateMandate(
		w.t.Context(), regiontest.Key(fmt.Sprintf("m-%d", w.fresh)), grantID, f)
	return m, err
}

// results is what a grant's first mandate shows, one word or two for each year.
func (w *town) results(grantID string) string {
	w.t.Helper()
	list, err := w.at(payers).Desk.Mandates(w.t.Context(), grantID)
	if err != nil || len(list.Mandates) == 0 {
		w.t.Fatalf("%v, %v", list, err)
	}
	out := ""
	for _, r := range list.Mandates[0].Results {
		out += fmt.Sprintf("%d %s %s %s;", r.Year, r.Status, r.Amount, r.Code)
	}
	return out
}

func (w *town) want(grantID, want string) {
	w.t.Helper()
	if got := w.results(grantID); got != want {
		w.t.Errorf("%s shows %q, want %q", grantID, got, want)
	}
}

// season is how far the collection of the resident premium has come.
func (w *town) season(region federation.Region) ledger.SeasonRecord {
	w.t.Helper()
	var s *ledger.SeasonRecord
	err := w.Regions[region].View(func(v ledger.View) error {
		var err error
		s, err = v.Season(policy.PurposeResidentPremium)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if s == nil {
		return ledger.SeasonRecord{}
	}
	return *s
}

func balance(ctx context.Context, t *testing.T, core *adaptertest.SimCore, p regiontest.Person) int64 {
	t.Helper()
	a, err := core.Person(ctx, person(p))
	if err != nil {
		t.Fatal(err)
	}
	if a.Held != 0 {
		t.Errorf("%d is still held", a.Held)
	}
	return a.Balance
}

func employed(core *adaptertest.SimCore, p regiontest.Person, has int64) {
	core.AddPerson(person(p), adapters.Account{
		Scheme: adapters.SchemeEmployee, Status: adapters.StatusNormal, Balance: has, Year: policy.Year(time.Now()),
		Opening: 5000_00,
	})
}
