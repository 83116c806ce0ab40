package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
	"gongji/gateway/internal/wire/wirepb"
)

// grant is a grant as its payer's home keeps it.
func (f *fed) grant(id string) *ledger.GrantRecord {
	f.t.Helper()
	for _, r := range f.order {
		g, err := f.view(r).Grant(id)
		if err != nil {
			f.t.Fatal(err)
		}
		if g != nil {
			return g
		}
	}
	f.t.Fatalf("no grant %s", id)
	return nil
}

// wantGrant: status and cause at the payer's home, and the status in the index.
func (f *fed) wantGrant(id string, status grant.Status, cause grant.Cause) {
	f.t.Helper()
	g, rec := f.grant(id), f.indexed(id)
	if g.Status != status || g.Cause != cause || rec.Entry.Status != status || rec.Revision != g.Version {
		f.t.Fatalf("%s %q, want %s %q; the index has %s of revision %d", g.Status, g.Cause, status, cause,
			rec.Entry.Status, rec.Revision)
	}
}

// standing sets what the Book says of somebody.
func (f *fed) standing(s someone, scheme policy.Scheme, status policy.InsuredStatus) {
	f.t.Helper()
	f.done(s.home, &ledger.SetStanding{Person: f.person(s.home, s), Scheme: scheme, Status: status})
}

func related(t *testing.T) (*fed, string) {
	t.Helper()
	f := federationOf(t, beijing, shanghai, fuzhou)
	f.son = f.live("Son", beijing, employee(100000, 100000))
	f.mother = f.live("Mother", fuzhou, resident())
	return f, f.grants(f.son, f.mother)
}

// TestStandingIsSet: a person's scheme and status change after the import, and decide at once.
func TestStandingIsSet(t *testing.T) {
	t.Parallel()
	f, id := related(t)
	f.standing(f.son, policy.SchemeEmployee, policy.StatusSuspended)
	f.want(f.pays(shanghai, f.mother, "10.00"), "declined 0.00/10.00; 110000 declined 0.00; -110000 payer_not_insured")
	f.wantGrant(id, grant.StatusActive, "") // a suspended one comes back
	f.standing(f.son, policy.SchemeEmployee, policy.StatusNormal)
	f.want(f.pays(shanghai, f.mother, "10.00"), "held 10.00/10.00; 110000 placed 10.00")

	stranger := f.son
	stranger.name = "Sam"
	f.refused(beijing, &ledger.SetStanding{Person: f.person(beijing, stranger), Scheme: 310, Status: 1},
		policy.CodeIdentityMismatch)
	f.refused(beijing, &ledger.SetStanding{Person: f.person(beijing, f.mother), Scheme: 310, Status: 1},
		policy.CodeIdentityMismatch) // known here by the grant, and no account
	f.refused(beijing, &ledger.SetStanding{Person: f.person(beijing, f.son), Scheme: 1 << 20, Status: 1},
		policy.CodeInvalidRequest)
	core := federationOf(t, "core:"+beijing)
	core.refused(beijing, &ledger.SetStanding{Person: core.person(beijing, f.son), Scheme: 310, Status: 1},
		policy.CodeNotSupported)
}

// TestImportAgain: an import that names a person who has an account sets scheme and status, and publishes
// an opening that was late; the balance stays.
func TestImportAgain(t *testing.T) {
	t.Parallel()
	f := federationOf(t, beijing)
	late := employee(50000, 0)
	late.Year = 0 // not published: the balance stands in
	son := f.live("Son", beijing, late)
	again := func(facts ledger.Facts) ledger.Facts {
		f.done(beijing, &ledger.OpenAccounts{Accounts: []ledger.NewAccount{{Person: f.person(beijing, son), Facts: facts}}})
		got, ok, err := f.view(beijing).Account(f.number(beijing, son))
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		return got
	}
	if got := again(employee(1, 60000)); got.Opening != 60000 || got.Provisional || got.Balance != 50000 {
		t.Errorf("the late opening: %+v", got)
	}
	changed := employee(2, 70000)
	changed.Scheme, changed.Status = 390, 2
	if got := again(changed); got.Opening != 60000 || got.Balance != 50000 || got.Scheme != 390 || got.Status != 2 {
		t.Errorf("published once: %+v", got)
	}
}

// TestPayerGone: the check at use ends the grant in the same entry, and its beneficiary's home hears of it.
func TestPayerGone(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]struct {
		scheme policy.Scheme
		status policy.InsuredStatus
		code   string
	}{
		"terminated": {policy.SchemeEmployee, policy.StatusTerminated, "payer_not_insured"},
		"a resident": {policy.SchemeResident, policy.StatusNormal, "payer_scheme"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, id := related(t)
			held := f.pays(shanghai, f.mother, "10.00")
			f.standing(f.son, set.scheme, set.status)
			f.want(f.pays(shanghai, f.mother, "20.00"), "declined 0.00/20.00; 110000 declined 0.00; -110000 "+set.code)
			f.wantGrant(id, grant.StatusEnded, grant.CausePayerInsurance)
			f.confirms(held, "10.00") // what was placed before finishes
			f.flow()
			f.want(held, "captured 10.00/10.00; 110000 captured 10.00 took 10.00")
			f.standing(f.son, policy.SchemeEmployee, policy.StatusNormal)
			f.grants(f.son, f.mother) // an ended one is no duplicate
		})
	}
}

// TestRenounce: the beneficiary ends a grant at the own home, in every state that is not final; from that entry
// on it is offered to nobody there.
func TestRenounce(t *testing.T) {
	t.Parallel()
	f, id := related(t)
	f.cut(beijing, fuzhou)
	request := f.request()
	f.done(fuzhou, &ledger.RenounceGrant{Request: request, GrantID: id})
	if rec := f.indexed(id); rec.Entry.Status != grant.StatusRevoked || rec.Cause != grant.CauseBeneficiary {
		t.Fatalf("before the payer's home knows: %s %s", rec.Entry.Status, rec.Cause)
	}
	// A notice that was on its way does not bring it back.
	f.done(beijing, ledger.Patched(f.request(), id, grant.Patch{Status: new(grant.StatusSuspended)}))
	f.silent[federation.Lane{From: beijing, To: fuzhou}] = false
	f.flow()
	if rec := f.indexed(id); rec.Entry.Status != grant.StatusRevoked || rec.Revision != 2 {
		t.Fatalf("%s of revision %d", rec.Entry.Status, rec.Revision)
	}
	f.heal()
	f.flow()
	f.wantGrant(id, grant.StatusRevoked, grant.CauseBeneficiary)
	if out := f.done(fuzhou, &ledger.RenounceGrant{Request: request, GrantID: id}); !out.Replay || out.ID != id {
		t.Errorf("a repeat: %+v", out)
	}
	f.refused(fuzhou, &ledger.RenounceGrant{Request: f.request(), GrantID: id}, policy.CodeWrongState)
	f.refused(fuzhou, &ledger.RenounceGrant{Request: f.request(), GrantID: "g-110000-none"}, policy.CodeNotFound)
	f.refused(beijing, &ledger.RenounceGrant{Request: f.request(), GrantID: id}, policy.CodeNotFound)
	f.refused(fuzhou, &ledger.AcceptGrant{Request: f.request(), GrantID: id}, policy.CodeWrongState)

	// Only the beneficiary's home can say it, and of a known grant.
	id = f.grants(f.son, f.mother)
	for _, body := range []*wirepb.Body{
		{Kind: &wirepb.Body_GrantRenounced{GrantRenounced: &wirepb.GrantRenounced{GrantId: id}}},
		{Kind: &wirepb.Body_InsuranceEnded{InsuranceEnded: &wirepb.InsuranceEnded{GrantId: id}}},
	} {
		f.say(shanghai, beijing, body, nil)
		f.flow()
		f.wantGrant(id, grant.StatusActive, "")
	}
	// Renounced at both ends at once: the payer's word came first.
	f.cut(beijing, fuzhou)
	f.done(fuzhou, &ledger.RenounceGrant{Request: f.request(), GrantID: id})
	f.done(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: id})
	f.heal()
	f.flow()
	f.wantGrant(id, grant.StatusRevoked, grant.CausePayer)
}

// bothConsents has Beijing ask for both.
func (f *fed) bothConsents() {
	f.t.Helper()
	rules, err := rulebook.BuiltIn(string(beijing))
	if err != nil {
		f.t.Fatal(err)
	}
	rules.Consent, rules.EffectiveFrom = policy.ConsentBoth, policy.Day(f.now)
	f.rules(rules)
}

// TestConsentMeanwhile: a grant that waits for the beneficiary may be revoked, declined, or run out while
// the consent is on its way; a repeat changes nothing.
func TestConsentMeanwhile(t *testing.T) {
	t.Parallel()
	waiting := func(t *testing.T, change func(*grant.Terms)) (*fed, string) {
		t.Helper()
		f := federationOf(t, beijing, shanghai, fuzhou)
		f.bothConsents()
		f.son = f.live("Son", beijing, employee(100000, 100000))
		f.mother = f.live("Mother", fuzhou, resident())
		id := f.grantsWith(f.son, f.mother, change)
		f.wantGrant(id, grant.StatusPending, "")
		return f, id
	}
	forever := func(*grant.Terms) {}
	t.Run("accepted once", func(t *testing.T) {
		t.Parallel()
		f, id := waiting(t, forever)
		f.cut(beijing, fuzhou)
		request := f.request()
		f.done(fuzhou, &ledger.AcceptGrant{Request: request, GrantID: id})
		f.refused(fuzhou, &ledger.AcceptGrant{Request: f.request(), GrantID: id}, policy.CodeWrongState)
		if out := f.done(fuzhou, &ledger.AcceptGrant{Request: request, GrantID: id}); !out.Replay {
			t.Error("no replay")
		}
		f.heal()
		f.flow()
		f.wantGrant(id, grant.StatusActive, "")
		f.say(fuzhou, beijing, &wirepb.Body{Kind: &wirepb.Body_GrantConsent{
			GrantConsent: &wirepb.GrantConsent{GrantId: id},
		}}, nil)
		f.flow()
		if g := f.grant(id); g.Version != 2 {
			t.Errorf("version %d", g.Version)
		}
		f.done(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: id})
		f.say(fuzhou, beijing, &wirepb.Body{Kind: &wirepb.Body_GrantConsent{
			GrantConsent: &wirepb.GrantConsent{GrantId: id},
		}}, nil)
		f.flow()
		f.wantGrant(id, grant.StatusRevoked, grant.CausePayer)
	})
	t.Run("revoked meanwhile", func(t *testing.T) {
		t.Parallel()
		f, id := waiting(t, forever)
		f.cut(beijing, fuzhou)
		f.done(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: id})
		f.done(fuzhou, &ledger.AcceptGrant{Request: f.request(), GrantID: id})
		f.heal()
		f.flow()
		f.wantGrant(id, grant.StatusRevoked, grant.CausePayer)
	})
	t.Run("declined", func(t *testing.T) {
		t.Parallel()
		f, id := waiting(t, forever)
		f.done(fuzhou, &ledger.RenounceGrant{Request: f.request(), GrantID: id})
		f.flow()
		f.wantGrant(id, grant.StatusRevoked, grant.CauseBeneficiary)
	})
	t.Run("validity over", func(t *testing.T) {
		t.Parallel()
		f, id := waiting(t, func(terms *grant.Terms) { terms.ValidUntil = terms.ValidFrom })
		f.cut(beijing, fuzhou)
		f.done(fuzhou, &ledger.AcceptGrant{Request: f.request(), GrantID: id})
		f.pass(24 * time.Hour)
		f.heal()
		f.flow()
		if g := f.grant(id); g.Status != grant.StatusPending || g.EffectiveStatus(policy.Day(f.now)) != grant.StatusEnded {
			t.Errorf("%s", g.Status)
		}
		f.refused(fuzhou, &ledger.AcceptGrant{Request: f.request(), GrantID: id}, policy.CodeWrongState)
		f.refused(fuzhou, &ledger.RenounceGrant{Request: f.request(), GrantID: id}, policy.CodeWrongState)
	})
	t.Run("not by another region", func(t *testing.T) {
		t.Parallel()
		f, id := waiting(t, forever)
		f.say(shanghai, beijing, &wirepb.Body{Kind: &wirepb.Body_GrantConsent{
			GrantConsent: &wirepb.GrantConsent{GrantId: id},
		}}, nil)
		f.flow()
		f.wantGrant(id, grant.StatusPending, "")
	})
}

// TestBeneficiaryGone: the home that finds the insurance ended tells every payer's home of the index, once a
// day; with a Book the log looks itself before.
func TestBeneficiaryGone(t *testing.T) {
	t.Parallel()
	f, first := related(t)
	daughter := f.live("Daughter", shanghai, employee(100000, 100000))
	second := f.grants(daughter, f.mother)
	end := &ledger.EndInsurance{Person: f.number(fuzhou, f.mother)}
	f.refused(fuzhou, end, policy.CodeWrongState)
	f.standing(f.mother, policy.SchemeResident, policy.StatusSuspended)
	f.refused(fuzhou, end, policy.CodeWrongState)
	f.standing(f.mother, policy.SchemeResident, policy.StatusTerminated)
	f.cut(shanghai, fuzhou)
	f.done(fuzhou, end)
	f.done(fuzhou, end)
	if n := len(f.waiting(fuzhou, shanghai)); n != 1 {
		t.Errorf("told %d times", n)
	}
	f.flow()
	f.wantGrant(first, grant.StatusEnded, grant.CauseBeneficiaryInsurance)
	f.pass(24 * time.Hour)
	f.done(fuzhou, end)
	if n := len(f.waiting(fuzhou, shanghai)); n != 2 {
		t.Errorf("told %d times", n)
	}
	f.heal()
	f.flow()
	f.wantGrant(second, grant.StatusEnded, grant.CauseBeneficiaryInsurance)
}

// TestManyDeadGrants: however many grants of a beneficiary are over, those that can be used are all found, in
// their order.
func TestManyDeadGrants(t *testing.T) {
	t.Parallel()
	f, id := related(t)
	terms := func(n int) *wirepb.GrantNotice {
		return &wirepb.GrantNotice{
			GrantId: fmt.Sprintf("g-110000-00%04d", n), Revision: 1, Relation: "parent", Status: "revoked",
			ValidFrom: "2026-01-01", Created: begins.UnixMicro(), Payer: "1***", PayerName: "张*", Channel: "portal",
			Funding: "balance",
		}
	}
	for n := range 1100 { // their ids stand before the living one's
		body := &wirepb.Body{Kind: &wirepb.Body_GrantNotice{GrantNotice: terms(n)}}
		if n%2 == 0 { // half of them are over by their validity, which nobody tells
			body.GetGrantNotice().Status, body.GetGrantNotice().ValidUntil = "active", "2026-02-01"
		}
		f.tells(beijing, fuzhou, body, &f.mother)
	}
	f.flow()
	no := f.number(fuzhou, f.mother)
	all, err := f.view(fuzhou).Index(no)
	if err != nil || len(all) != 1101 {
		t.Fatalf("%d grants, %v", len(all), err)
	}
	live, err := f.view(fuzhou).InOrder(no, policy.Day(f.now))
	if err != nil || len(live) != 1 || live[0].Entry.ID != id {
		t.Fatalf("%d that can be used, %v", len(live), err)
	}
	f.done(fuzhou, &ledger.SetOrder{
		Request: f.request(), Beneficiary: f.person(fuzhou, f.mother), Grants: []string{id},
	})
	f.refused(fuzhou, &ledger.SetOrder{
		Request: f.request(), Beneficiary: f.person(fuzhou, f.mother), Grants: []string{"g-110000-000001"},
	}, policy.CodeGrantNotActive)
}

// TestConsentByScope: a region may ask for both consents only where the beneficiary's home lies in another
// province.
func TestConsentByScope(t *testing.T) {
	t.Parallel()
	f := federationOf(t, beijing, fuzhou)
	rules, err := rulebook.BuiltIn(string(beijing))
	if err != nil {
		t.Fatal(err)
	}
	rules.Consent, rules.EffectiveFrom = policy.ConsentCross, policy.Day(f.now)
	f.rules(rules)
	son := f.live("Son", beijing, employee(100000, 100000))
	near, far := f.live("Near", beijing, resident()), f.live("Far", fuzhou, resident())
	if g := f.grant(f.grants(son, near)); g.Status != grant.StatusActive {
		t.Errorf("at home: %s", g.Status)
	}
	if g := f.grant(f.grants(son, far)); g.Status != grant.StatusPending {
		t.Errorf("in another province: %s", g.Status)
	}
}
