package premium_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/adapters"
	"gongji/federation"
	"gongji/gateway/internal/desk"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/premium"
	"gongji/gateway/internal/rulebook"
	"gongji/gateway/internal/simtest/regiontest"
)

// TestManyPersons: more persons than may be under way at once. A tax office that is away keeps the pass where it
// stands; the next leader goes on from there, and each premium is paid once.
func TestManyPersons(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, bank := newCore(1), newCore(2)
		w := newTown(t, regiontest.Config{
			Codes: []federation.Region{payers, home}, Nodes: 2,
			Cores: map[federation.Region]adapters.Core{payers: bank, home: core},
		})
		w.until("2000-08-31", "10:00:00", time.Second)
		const crowd = ledger.PremiumsOpenMax + 20
		var grants [crowd]string
		for i := range grants {
			payer := regiontest.Employee(string(payers), "张建国", i, 0)
			employed(bank, payer, 1000_00)
			kin := regiontest.Resident(string(home), "王秀英", i)
			core.AddPerson(person(kin), adapters.Account{Scheme: adapters.SchemeResident, Status: adapters.StatusNormal})
			grants[i] = w.grant(payer, kin)
			w.mandate(grants[i])
		}
		core.SetPremiumsDown(true)
		w.until("2000-09-01", "00:00:00", time.Minute)
		if s := w.season(home); s.Open != ledger.PremiumsOpenMax || s.Done {
			t.Errorf("with the tax office away the season is %+v", s)
		}
		w.leader = 1
		core.SetPremiumsDown(false)
		w.until("2000-09-01", "06:00:00", 6*time.Minute)
		if s := w.season(home); s.Open != 0 || s.Paid != crowd || !s.Done {
			t.Errorf("the season is %+v", s)
		}
		for i := range grants {
			w.want(grants[i], "2001 paid 400.00 ;")
		}
		w.counts(home, map[string]float64{"open": 0, "waiting": 0, "paid": crowd, "skipped": 0, "failed": 0}, 122)
	})
}

// counts holds the metrics of the leader against what they must be.
func (w *town) counts(region federation.Region, states map[string]float64, days int) {
	w.t.Helper()
	families, err := w.at(region).Registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	left := -1.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["purpose"] != string(policy.PurposeResidentPremium) {
				continue
			}
			switch f.GetName() {
			case "gongji_premiums":
				if got := m.GetGauge().GetValue(); got != states[labels["state"]] {
					w.t.Errorf("%s: %v, want %v", labels["state"], got, states[labels["state"]])
				}
			case "gongji_premium_season_left_seconds":
				left = m.GetGauge().GetValue()
			}
		}
	}
	if left != float64(days*24*60*60) {
		w.t.Errorf("the season has %v seconds left, want %d days", left, days)
	}
}

// TestReopenedSeason: rules that end a season close it, and rules that open it again take up what had failed.
func TestReopenedSeason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, regiontest.Config{Codes: []federation.Region{payers, home}})
		w.until("2000-11-05", "10:00:00", time.Second)
		son := regiontest.Employee(string(payers), "张建国", 1, 300_00)
		mother := regiontest.Resident(string(home), "王秀英", 2)
		w.open(payers, son)
		w.open(home, mother)
		id := w.grant(son, mother)
		w.mandate(id)
		time.Sleep(5 * time.Second)
		w.want(id, "2001 waiting 400.00 annual_quota;")
		w.reseason(1105, 400_00)
		w.until("2000-11-06", "00:00:00", 10*time.Second)
		w.want(id, "2001 failed 400.00 annual_quota;")
		w.reseason(1231, 100_00)
		w.until("2000-11-07", "00:00:00", 10*time.Second)
		w.want(id, "2001 paid 100.00 ;")
	})
}

// reseason puts rules into force from tomorrow whose season ends on a day of the year.
func (w *town) reseason(last int, fen money.Amount) {
	w.t.Helper()
	rules, err := rulebook.BuiltIn(string(home))
	if err != nil {
		w.t.Fatal(err)
	}
	rules.EffectiveFrom = policy.Day(time.Now()).AddDays(1)
	rules.Premiums[0].SeasonTo = last
	rules.Premiums[0].Amount = fen
	data, err := policy.EncodeRules(rules)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Regions[home].Put(w.t.Context(), &ledger.SetRules{Rules: data}); err != nil {
		w.t.Fatal(err)
	}
}

// TestStates: each state has its word, and what is under way is told apart from what is over.
func TestStates(t *testing.T) {
	t.Parallel()
	open := ""
	for _, s := range ledger.PremiumStates() {
		if s.Open() {
			open += s.String() + " "
		}
	}
	if open != "asking holding paying taking returning " || ledger.PremiumState(99).String() != "state(99)" {
		t.Errorf("open are %q", open)
	}
}

// claimant is a core that claims premiums without an adapter for them.
type claimant struct{ adapters.Core }

func (claimant) Capabilities() adapters.Capabilities { return claims() }

// TestDeps: what is missing is said at the start.
func TestDeps(t *testing.T) {
	t.Parallel()
	f, err := regiontest.New(regiontest.Config{Codes: []federation.Region{home}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := premium.New(premium.Deps{}); err == nil {
		t.Error("a collector of nothing was made")
	}
	n := f.Regions[home]
	metrics, err := premium.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	d := premium.Deps{
		Log: n.Log, Ledger: n.Ledger, Desk: &desk.Desk{}, Vault: n.Vault, Now: time.Now,
		Logger: slog.New(slog.DiscardHandler), Metrics: metrics,
	}
	if _, err := premium.New(d); err != nil {
		t.Error(err)
	}
	d.Core = claimant{}
	if _, err := premium.New(d); err == nil {
		t.Error("a core that claims what its adapter does not do was taken")
	}
}
