package premium_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"gongji/adapters"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

const (
	home   = regiontest.Shanghai // of the insured
	payers = regiontest.Beijing
)

// TestSeason: from 31 August to 1 January, under a change of leaders. One premium is paid at once, one when
// money has come, one of two payers once, one is given up by its payer, and one fails when the season is over.
func TestSeason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core := newCore(1)
		w := newTown(t, regiontest.Config{
			Codes: []federation.Region{payers, home}, Nodes: 2,
			Cores: map[federation.Region]adapters.Core{payers: core},
		})
		w.until("2000-08-30", "09:00:00", time.Second)
		rich, poor := regiontest.Employee(string(payers), "张富", 1, 0), regiontest.Employee(string(payers), "张贫", 2, 0)
		gone, third := regiontest.Employee(string(payers), "张停", 3, 0), regiontest.Employee(string(payers), "张三", 4, 0)
		for _, p := range []regiontest.Person{rich, gone, third} {
			employed(core, p, 3000_00)
		}
		employed(core, poor, 100_00)
		var kin [5]regiontest.Person
		for i := range kin {
			kin[i] = regiontest.Resident(string(home), "王亲", 10+i)
		}
		w.open(home, kin[:]...)
		paid, late := w.grant(rich, kin[0]), w.grant(poor, kin[1])
		first, second := w.grant(third, kin[2]), w.grant(rich, kin[2])
		dropped, failed := w.grant(poor, kin[3]), w.grant(gone, kin[4])
		all := []string{paid, late, first, second, dropped, failed}
		for _, id := range all {
			w.mandate(id)
		}
		core.AddPerson(person(gone), adapters.Account{Scheme: 310, Status: adapters.StatusSuspended})
		w.until("2000-08-31", "23:59:50", 9*time.Second)
		for _, id := range all {
			w.want(id, "")
		}
		time.Sleep(20 * time.Second)
		w.want(paid, "2001 paid 400.00 ;")
		w.want(late, "2001 waiting 400.00 balance_insufficient;")
		w.want(first, "2001 paid 400.00 ;")
		w.want(second, "2001 skipped 0.00 ;")
		w.want(dropped, "2001 waiting 400.00 balance_insufficient;")
		w.want(failed, "2001 waiting 400.00 payer_not_insured;")

		w.leader = 1
		for _, day := range []string{"2000-09-02", "2000-09-20", "2000-10-10"} {
			w.until(day, "08:00:00", 30*time.Second)
		}
		w.want(late, "2001 waiting 400.00 balance_insufficient;")
		core.Credit(person(poor), "salary", 500_00)
		w.end(dropped)
		w.until("2000-10-11", "08:00:00", 30*time.Second)
		w.want(late, "2001 paid 400.00 ;")
		w.want(dropped, "2001 skipped 0.00 grant_not_active;")
		w.until("2000-12-31", "23:59:00", 59*time.Second)
		w.want(failed, "2001 waiting 400.00 payer_not_insured;")
		time.Sleep(20 * time.Second)
		w.want(failed, "2001 failed 400.00 payer_not_insured;")
		if s := w.season(home); !s.Closed || s.Open != 0 || s.Paid != 3 || s.Skipped != 1 || s.Failed != 1 || s.Waiting != 0 {
			t.Errorf("the season ends as %+v", s)
		}
		for p, want := range map[*regiontest.Person]int64{&rich: 2600_00, &third: 2600_00, &poor: 200_00, &gone: 3000_00} {
			if got := balance(t.Context(), t, core, *p); got != want {
				t.Errorf("%s has %d, want %d", p.Name, got, want)
			}
		}
	})
}

// end is the payer who ends all mandates of a grant.
func (w *town) end(grantID string) {
	w.t.Helper()
	w.fresh++
	list, _, err := w.at(payers).Desk.EndMandates(w.t.Context(), regiontest.Key("end-"+grantID), grantID, "")
	if err != nil || len(list.Mandates) != 1 || list.Mandates[0].Status != client.MandateEnded {
		w.t.Fatalf("%+v, %v", list, err)
	}
}

// TestNextYear: the premium of each year is paid once.
func TestNextYear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, regiontest.Config{Codes: []federation.Region{payers, home}})
		son := regiontest.Employee(string(payers), "张建国", 1, 5000_00)
		mother := regiontest.Resident(string(home), "王秀英", 2)
		w.until("2000-11-05", "10:00:00", time.Second)
		w.open(payers, son)
		w.open(home, mother)
		id := w.grant(son, mother)
		w.mandate(id)
		time.Sleep(5 * time.Second) // in the season a mandate does not wait for the next day
		w.want(id, "2001 paid 400.00 ;")
		w.until("2001-01-01", "00:00:00", 20*time.Second)
		w.until("2001-09-01", "00:00:00", 20*time.Second)
		w.want(id, "2001 paid 400.00 ;2002 paid 400.00 ;")
		w.until("2001-09-02", "00:00:00", 20*time.Second)
		w.want(id, "2001 paid 400.00 ;2002 paid 400.00 ;")
	})
}

// TestMandateRules: who may make a mandate, once for each purpose, and what bounds it.
func TestMandateRules(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, regiontest.Config{
			Codes: []federation.Region{payers, home},
			Rules: func(region federation.Region, r *policy.Rules) {
				if region == payers {
					*r = without(*r, policy.PurposeLTCPremium)
				}
			},
		})
		son := regiontest.Employee(string(payers), "张建国", 1, 5000_00)
		mother := regiontest.Resident(string(home), "王秀英", 2)
		w.until("2000-11-05", "10:00:00", time.Second)
		w.open(payers, son)
		w.open(home, mother)
		id := w.grant(son, mother)
		w.refused(id, client.MandateRequest{Purpose: "ltc_premium"}, policy.CodePurposeNotOpen)
		w.refused("g-110000-unknown", client.MandateRequest{Purpose: "resident_premium"}, policy.CodeNotFound)
		m, err := w.tryMandate(id, client.MandateRequest{Purpose: "resident_premium", MaxAmount: "399.99"})
		if err != nil || m.Status != client.MandateActive || m.MaxAmount != "399.99" || m.GrantID != id {
			t.Fatalf("%+v, %v", m, err)
		}
		w.refused(id, client.MandateRequest{Purpose: "resident_premium"}, policy.CodeConflict)
		time.Sleep(5 * time.Second)
		w.want(id, "2001 waiting 400.00 payment_limit;")
		w.patched(id, client.GrantPatch{PerPaymentLimit: client.Set("100.00")})
		w.want(id, "2001 waiting 400.00 payment_limit;")
		w.end(id)
		time.Sleep(time.Second)
		w.want(id, "2001 skipped 0.00 grant_not_active;")
		if _, _, err := w.at(payers).Desk.RevokeGrant(t.Context(), regiontest.Key("revoke"), id); err != nil {
			t.Fatal(err)
		}
		w.refused(id, client.MandateRequest{Purpose: "resident_premium"}, policy.CodeGrantNotActive)
	})
}

// TestChangedGrant: a payer who lifts the limit that a premium waits for does not wait for the next day.
func TestChangedGrant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, regiontest.Config{Codes: []federation.Region{payers, home}})
		son := regiontest.Employee(string(payers), "张建国", 1, 5000_00)
		mother := regiontest.Resident(string(home), "王秀英", 2)
		w.until("2000-11-05", "10:00:00", time.Second)
		w.open(payers, son)
		w.open(home, mother)
		id := w.grant(son, mother)
		w.patched(id, client.GrantPatch{PerPaymentLimit: client.Set("100.00")})
		w.mandate(id)
		time.Sleep(5 * time.Second)
		w.want(id, "2001 waiting 400.00 payment_limit;")
		w.patched(id, client.GrantPatch{PerPaymentLimit: client.Remove()})
		w.want(id, "2001 paid 400.00 ;")
		w.patched(id, client.GrantPatch{Status: client.GrantSuspended})
		w.want(id, "2001 paid 400.00 ;")
	})
}

// patched changes a grant, and lets a while pass.
func (w *town) patched(grantID string, f client.GrantPatch) {
	w.t.Helper()
	w.fresh++
	key := regiontest.Key(fmt.Sprintf("patch-%d", w.fresh))
	if _, _, err := w.at(payers).Desk.PatchGrant(w.t.Context(), key, grantID, f); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
}

func without(r policy.Rules, p policy.Purpose) policy.Rules {
	var left []policy.Purpose
	for _, x := range r.Purposes {
		if x != p {
			left = append(left, x)
		}
	}
	r.Purposes = left
	return r
}

func (w *town) refused(grantID string, f client.MandateRequest, code policy.Code) {
	w.t.Helper()
	_, err := w.tryMandate(grantID, f)
	if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != code {
		w.t.Errorf("%+v answers %v, want %s", f, err, code)
	}
}
