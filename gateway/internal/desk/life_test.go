package desk_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gongji/adapters"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/simtest/regiontest"
)

// sweeping is a federation whose day's sweep begins half a minute after its start, at 8 in Beijing.
func sweeping() regiontest.Config {
	timing := settle.DefaultTiming()
	timing.SweepFrom = 8*time.Hour + 30*time.Second
	return regiontest.Config{Timing: timing}
}

// insurance sets what a region's Book says of a person.
func (w *world) insurance(p regiontest.Person, status policy.InsuredStatus) {
	w.t.Helper()
	r := w.region(p.Region)
	who, err := r.Vault.Person(p.Identity(), r.Vault.NewNo())
	if err != nil {
		w.t.Fatal(err)
	}
	c := &ledger.SetStanding{Person: who, Scheme: policy.Scheme(p.Facts.Scheme), Status: status}
	if _, err := r.Put(w.t.Context(), c); err != nil {
		w.t.Fatal(err)
	}
}

// wantGrant asks the payer's home, and the beneficiary's by a search.
func (w *world) wantGrant(at *regiontest.Region, id, status, cause string, beneficiary regiontest.Person) {
	w.t.Helper()
	g, err := at.Desk.Grant(w.t.Context(), id)
	if err != nil || g.Status != status || g.EndCause != cause {
		w.t.Errorf("%s is %s %q, want %s %q (%v)", id, g.Status, g.EndCause, status, cause, err)
	}
	list, _, err := w.region(beneficiary.Region).Desk.SearchGrants(w.t.Context(), client.GrantSearch{
		Beneficiary: &beneficiary.Person, Limit: 100,
	})
	for _, g := range list {
		if g.GrantID == id && g.Status == status && g.EndCause == cause {
			return
		}
	}
	w.t.Errorf("%s is not %s %q at the beneficiary's home: %+v, %v", id, status, cause, list, err)
}

// TestSweep: once a day each region ends what has to end, of its payers and of its index; a suspended person's
// grants stay.
func TestSweep(t *testing.T) {
	t.Parallel()
	with(t, sweeping(), func(t *testing.T, w *world) {
		grandson, payers := w.family()
		sister := regiontest.Resident(string(fuzhou), "周小妹", 44)
		w.open(sister)
		terminated, suspended := w.grant(payers[1], grandson), w.grant(payers[2], grandson)
		lost := w.grant(payers[0], sister)
		w.insurance(payers[1], policy.StatusTerminated)
		w.insurance(payers[2], policy.StatusSuspended)
		w.insurance(sister, policy.StatusTerminated)
		w.wantGrant(w.sh, terminated, "active", "", grandson)
		passes(45 * time.Second)
		w.wantGrant(w.sh, terminated, "ended", "payer_insurance_ended", grandson)
		w.wantGrant(w.fz, suspended, "active", "", grandson)
		w.wantGrant(w.bj, lost, "ended", "beneficiary_insurance_ended", sister)
		for _, r := range w.Regions {
			var at ledger.SweepRecord
			err := r.View(func(v ledger.View) error {
				var err error
				at, err = v.Sweep()
				return err
			})
			if err != nil || at.Finished != policy.Day(time.Now()) {
				t.Errorf("%s: %+v, %v", r.Code, at, err)
			}
		}
	})
}

// TestLookUpEnds: a beneficiary whose insurance has ended is refused, and the look-up that found it has
// the grants end; a wrong name ends nothing.
func TestLookUpEnds(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		ids := []string{w.grant(payers[0], grandson), w.grant(payers[1], grandson)}
		wrong := grandson
		wrong.Name = "周无此人"
		_, err := w.sh.Pay(t.Context(), wrong, "v-1", "1.00")
		refused(t, err, policy.CodeIdentityMismatch)
		w.insurance(grandson, policy.StatusSuspended)
		_, err = w.sh.Pay(t.Context(), grandson, "v-2", "1.00")
		refused(t, err, policy.CodeBeneficiaryNotInsured)
		passes(2 * time.Second)
		w.wantGrant(w.bj, ids[0], "active", "", grandson)
		w.insurance(grandson, policy.StatusTerminated)
		_, err = w.sh.Pay(t.Context(), grandson, "v-3", "1.00")
		refused(t, err, policy.CodeBeneficiaryNotInsured)
		passes(2 * time.Second)
		w.wantGrant(w.bj, ids[0], "ended", "beneficiary_insurance_ended", grandson)
		w.wantGrant(w.sh, ids[1], "ended", "beneficiary_insurance_ended", grandson)
	})
}

// TestRenounce: the beneficiary declines a grant that waits for consent, and ends one that is active.
func TestRenounce(t *testing.T) {
	t.Parallel()
	c := regiontest.Config{Rules: func(at federation.Region, r *policy.Rules) {
		if at == shanghai {
			r.Consent = policy.ConsentBoth
		}
	}}
	with(t, c, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		pending, active := w.grant(payers[1], grandson), w.grant(payers[0], grandson)
		_, _, err := w.bj.Desk.RenounceGrant(t.Context(), w.key(), active)
		refused(t, err, policy.CodeNotFound)
		_, _, err = w.fz.Desk.RenounceGrant(t.Context(), w.key(), "none")
		refused(t, err, policy.CodeNotFound)
		key := w.key()
		for n, id := range []string{pending, active} {
			g, written, err := w.fz.Desk.RenounceGrant(t.Context(), key, id)
			if n == 1 { // the same key for another grant is the same request to the ledger: what it made
				g, written, err = w.fz.Desk.RenounceGrant(t.Context(), w.key(), id)
			}
			if err != nil || g.Status != "revoked" || written.Replay {
				t.Fatalf("%+v %+v %v", g, written, err)
			}
		}
		passes(2 * time.Second)
		w.wantGrant(w.sh, pending, "revoked", "beneficiary_renounced", grandson)
		w.wantGrant(w.bj, active, "revoked", "beneficiary_renounced", grandson)
		_, _, err = w.fz.Desk.AcceptGrant(t.Context(), w.key(), pending)
		refused(t, err, policy.CodeWrongState)
	})
}

// TestVirtualLimit: shown with what is left; a payment of another region draws from it; a region whose core
// system is outside does not offer it.
func TestVirtualLimit(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		limited := func(amount string) func(f *client.GrantRequest) {
			return func(f *client.GrantRequest) { f.Funding, f.Limit = client.FundingVirtualLimit, amount }
		}
		_, err := w.sh.Grant(t.Context(), payers[1], grandson, limited("700.01"))
		refused(t, err, policy.CodeAnnualQuota)
		id, err := w.sh.Grant(t.Context(), payers[1], grandson, limited("50.00"))
		if err != nil {
			t.Fatal(err)
		}
		if p := w.pay(w.fz, grandson, "30.00"); p.Held != "30.00" {
			t.Fatalf("%+v", p)
		}
		g, err := w.sh.Desk.Grant(t.Context(), id)
		if err != nil || g.Limit != "50.00" || g.LimitLeft != "20.00" || g.Funding != "virtual_limit" {
			t.Errorf("%+v, %v", g, err)
		}
		known, _, err := w.fz.Desk.SearchGrants(t.Context(), client.GrantSearch{Beneficiary: &grandson.Person, Limit: 100})
		i := slices.IndexFunc(known, func(k client.Grant) bool { return k.GrantID == id })
		if err != nil || i < 0 || known[i].Limit != "50.00" || known[i].LimitLeft != "" { // what is left only its home knows
			t.Errorf("%+v, %v", known, err)
		}
		p := w.pay(w.bj, grandson, "30.00")
		if p.Held != "20.00" || p.Legs[0].LimitedBy != "balance_insufficient" {
			t.Errorf("%+v", p)
		}
	})
	core := regiontest.Config{Cores: map[federation.Region]adapters.Core{shanghai: noCore{}}}
	with(t, core, func(t *testing.T, w *world) {
		f, err := w.sh.GrantRequest(t.Context(), regiontest.Employee(string(shanghai), "周建民", 42, 1),
			regiontest.Resident(string(fuzhou), "周小宝", 40))
		if err != nil {
			t.Fatal(err)
		}
		f.Funding, f.Limit = client.FundingVirtualLimit, "1.00"
		_, _, err = w.sh.Desk.CreateGrant(t.Context(), w.key(), f)
		refused(t, err, policy.CodeNotSupported)
		if !strings.Contains(err.Error(), "not_supported") {
			t.Error(err)
		}
	})
}

// noCore is a core system that is never asked.
type noCore struct{ adapters.Core }

func (noCore) Capabilities() adapters.Capabilities {
	return adapters.Capabilities{NativeHolds: true, RemembersRefusals: true, ReleaseIsFinal: true}
}
