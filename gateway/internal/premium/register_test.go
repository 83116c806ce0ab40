package premium_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
	"gongji/federation"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

// registry is a town whose tax office is a core system, with one family.
type registry struct {
	*town

	core   *adaptertest.SimCore // of the insured's home
	bank   *adaptertest.SimCore // of the payers' home
	son    regiontest.Person
	mother regiontest.Person
	grant  string
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{
		core: newCore(7), bank: newCore(8),
		son:    regiontest.Employee(string(payers), "张建国", 1, 5000_00),
		mother: regiontest.Resident(string(home), "王秀英", 2),
	}
	r.town = newTown(t, regiontest.Config{
		Codes: []federation.Region{payers, home},
		Cores: map[federation.Region]adapters.Core{payers: r.bank, home: r.core},
	})
	r.until("2000-11-05", "10:00:00", time.Second)
	employed(r.bank, r.son, 3000_00)
	r.resident(r.mother, adapters.StatusNormal)
	r.grant = r.town.grant(r.son, r.mother)
	return r
}

func (r *registry) resident(p regiontest.Person, status int) {
	r.core.AddPerson(person(p), adapters.Account{Scheme: adapters.SchemeResident, Status: status})
}

// state is where the mother's premium stands at home.
func (r *registry) state() ledger.PremiumState {
	r.t.Helper()
	var state ledger.PremiumState
	err := r.Regions[home].View(func(v ledger.View) error {
		return v.Premiums(policy.PurposeResidentPremium, 2001, func(p *ledger.PremiumRecord) bool {
			state = p.State
			return true
		})
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return state
}

func (r *registry) has(want int64) {
	r.t.Helper()
	if got := balance(r.t.Context(), r.t, r.bank, r.son); got != want {
		r.t.Errorf("the payer has %d, want %d", got, want)
	}
}

func (r *registry) ref() string {
	return r.core.PremiumRef(person(r.mother), adapters.PremiumResident, 2001)
}

// TestRegister: what the tax office says decides: paid, paid before by somebody else, or not insured.
func TestRegister(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		m := r.mandate(r.grant)
		time.Sleep(10 * time.Second)
		r.want(r.grant, "2001 paid 400.00 ;")
		r.has(2600_00)
		list, err := r.at(payers).Desk.Mandates(t.Context(), r.grant)
		if err != nil || list.Mandates[0].MandateID != m.MandateID || r.ref() != list.Mandates[0].Results[0].PaymentID {
			t.Errorf("%+v, %v: registered under %q", list, err, r.ref())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		r.core.PayElsewhere(person(r.mother), adapters.PremiumResident, 2001)
		r.mandate(r.grant)
		time.Sleep(10 * time.Second)
		r.want(r.grant, "2001 skipped 0.00 ;")
		r.has(3000_00)
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t)
		r.resident(r.mother, adapters.StatusSuspended)
		r.mandate(r.grant)
		time.Sleep(10 * time.Second)
		r.want(r.grant, "2001 skipped 0.00 beneficiary_not_insured;")
		r.resident(r.mother, adapters.StatusNormal)
		r.until("2000-11-06", "00:00:00", 20*time.Second)
		r.want(r.grant, "2001 paid 400.00 ;")
	})
}

// TestCoreWithoutPremiums: a core that takes no premiums leaves them waiting, and the payers are told.
func TestCoreWithoutPremiums(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core := adaptertest.NewCore(7, time.Now, adaptertest.Faults{})
		w := newTown(t, regiontest.Config{
			Codes: []federation.Region{payers, home}, Cores: map[federation.Region]adapters.Core{home: core},
		})
		w.until("2000-11-05", "10:00:00", time.Second)
		son := regiontest.Employee(string(payers), "张建国", 1, 5000_00)
		mother := regiontest.Resident(string(home), "王秀英", 2)
		w.open(payers, son)
		core.AddPerson(person(mother), adapters.Account{Scheme: adapters.SchemeResident, Status: adapters.StatusNormal})
		id := w.grant(son, mother)
		w.mandate(id)
		time.Sleep(10 * time.Second)
		w.want(id, "2001 waiting 400.00 not_supported;")
	})
}

// TestCoreAway: a core that is away while the money is held. The money is never given back on an unknown
// outcome: near the deadline it is taken, and what the core says afterwards decides whether it stays so.
func TestCoreAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		elsewhere bool // somebody pays at the tax office meanwhile
		away      time.Duration
		result    string
		has       int64
	}{
		{"an hour", false, time.Hour, "2001 paid 400.00 ;", 2600_00},
		{"an hour, paid elsewhere", true, time.Hour, "2001 skipped 0.00 ;", 3000_00},
		{"a day", false, 24 * time.Hour, "2001 paid 400.00 ;", 2600_00},
		{"a day, paid elsewhere", true, 24 * time.Hour, "2001 skipped 0.00 ;", 3000_00},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRegistry(t)
				r.core.SetPremiumsDown(true)
				r.mandate(r.grant)
				time.Sleep(20 * time.Second)
				if s := r.state(); s != ledger.StatePaying {
					t.Fatalf("the premium is %s", s)
				}
				r.undecidable()
				r.rest(c.away)
				time.Sleep(30 * time.Second)
				r.want(r.grant, "")
				undecided := strings.Contains(strings.Join(r.at(home).Audits.List(), "\n"), ledger.AlarmPremiumUndecided)
				if undecided != (c.away > 12*time.Hour) {
					t.Errorf("after %s away, taken undecided: %v", c.away, undecided)
				}
				if c.elsewhere {
					r.core.PayElsewhere(person(r.mother), adapters.PremiumResident, 2001)
				}
				r.core.SetPremiumsDown(false)
				time.Sleep(6 * time.Minute)
				r.want(r.grant, c.result)
				r.has(c.has)
				if (r.ref() == "elsewhere") != c.elsewhere {
					t.Errorf("registered under %q", r.ref())
				}
			})
		})
	}
}

// undecidable: no platform decides on a premium's payment.
func (r *registry) undecidable() {
	r.t.Helper()
	var id string
	err := r.Regions[home].View(func(v ledger.View) error {
		return v.Payments(func(p *ledger.PaymentRecord) bool {
			id = p.ID
			return true
		})
	})
	if err != nil {
		r.t.Fatal(err)
	}
	_, _, confirmed := r.at(home).Desk.Confirm(r.t.Context(), regiontest.Key("confirm"), id, nil, 0)
	_, _, cancelled := r.at(home).Desk.Cancel(r.t.Context(), regiontest.Key("cancel"), id)
	for _, err := range []error{confirmed, cancelled} {
		if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != policy.CodeWrongState {
			r.t.Errorf("a platform decides on a premium: %v", err)
		}
	}
}

// TestUnreliableCore: answers that are lost, late, or come twice; leaders change in the middle. Each premium is
// registered once, and the money taken is exactly that of the registered ones.
func TestUnreliableCore(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { unreliable(t, seed) })
		})
	}
}

func unreliable(t *testing.T, seed uint64) {
	t.Helper()
	core, bank := newCore(seed), newCore(seed+100)
	w := newTown(t, regiontest.Config{
		Codes: []federation.Region{payers, home}, Nodes: 2,
		Cores: map[federation.Region]adapters.Core{payers: bank, home: core},
	})
	w.until("2000-08-31", "10:00:00", time.Second)
	son := regiontest.Employee(string(payers), "张建国", 1, 0)
	bank.AddPerson(person(son), adapters.Account{
		Scheme: adapters.SchemeEmployee, Status: adapters.StatusNormal, Balance: 50_000_00, Year: 2000, Opening: 50_000_00,
	})
	const family = 12
	var kin [family]regiontest.Person
	var grants [family]string
	for i := range kin {
		kin[i] = regiontest.Resident(string(home), "王亲", 10+i)
		core.AddPerson(person(kin[i]), adapters.Account{Scheme: adapters.SchemeResident, Status: adapters.StatusNormal})
		grants[i] = w.grant(son, kin[i])
		w.mandate(grants[i])
	}
	faults := adaptertest.Some(60)
	faults.LateMax = 10 * time.Minute
	core.SetFaults(faults)
	bank.SetFaults(faults)
	w.until("2000-09-01", "00:00:00", 5*time.Second)
	for n := range 6 {
		w.leader = n % 2
		w.lead(w.leader)
		time.Sleep(7 * time.Second)
	}
	for _, day := range []string{"2000-09-02", "2000-09-03", "2000-09-04"} {
		w.until(day, "00:00:00", 4*time.Minute)
	}
	core.SetFaults(adaptertest.Faults{})
	bank.SetFaults(adaptertest.Faults{})
	w.until("2000-09-05", "00:00:00", 6*time.Minute)
	core.RunPending()
	bank.RunPending()
	for i := range kin {
		w.want(grants[i], "2001 paid 400.00 ;")
		if core.PremiumRef(person(kin[i]), adapters.PremiumResident, 2001) == "" {
			t.Errorf("person %d: paid, and not registered", i)
		}
	}
	if got := balance(t.Context(), t, bank, son); got != 50_000_00-family*400_00 {
		t.Errorf("the payer has %d", got)
	}
}
