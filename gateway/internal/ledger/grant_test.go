package ledger_test

import (
	"slices"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
	"gongji/gateway/internal/wire/wirepb"
)

// number is the person number of somebody at a region; empty when the region does not know them.
func (f *fed) number(at federation.Region, s someone) string {
	f.t.Helper()
	no, err := f.found(f.view(at), f.person(at, s))
	if err != nil {
		f.t.Fatal(err)
	}
	return no
}

// indexed is a grant as the beneficiary's home, Fuzhou, knows it.
func (f *fed) indexed(id string) *ledger.IndexRecord {
	f.t.Helper()
	rec, err := f.view(fuzhou).Indexed(id)
	if err != nil || rec == nil {
		f.t.Fatal("not indexed: ", id, err)
	}
	return rec
}

// TestGrant: made at the payer's home, known at the beneficiary's, in every list that names it.
func TestGrant(t *testing.T) {
	t.Parallel()
	f := federationOf(t, beijing, shanghai, fuzhou)
	son := f.live("Son", beijing, employee(100, 100))
	mother := f.live("Mother", fuzhou, resident())
	id := f.grantsWith(son, mother, func(terms *grant.Terms) {
		terms.PerPaymentLimit, terms.AnnualLimit = 30000, 100000
		terms.ValidUntil = terms.ValidFrom.AddDays(30)
	})
	v := f.view(beijing)
	g, err := v.Grant(id)
	if err != nil || g == nil || g.Status != grant.StatusActive || g.Version != 1 || g.BeneficiaryRegion != "350100" {
		t.Fatalf("%+v, %v", g, err)
	}
	byPayer, err := v.GrantsOfPayer(f.number(beijing, son), 10)
	if err != nil || len(byPayer) != 1 || byPayer[0].ID != id {
		t.Errorf("of the payer: %v, %v", byPayer, err)
	}
	to, err := v.GrantsTo(f.number(beijing, mother), 10)
	if err != nil || len(to) != 1 || to[0].ID != id {
		t.Errorf("to the beneficiary, at the payer's home: %v, %v", to, err)
	}
	rec := f.indexed(id)
	if rec.Beneficiary != f.number(fuzhou, mother) || rec.PayerRegion != "110000" || rec.Payer != "1***" ||
		rec.PerPayment != 30000 || rec.Annual != 100000 || rec.Relation != "parent" ||
		rec.Entry.ValidUntil != g.Terms.ValidUntil || !rec.Entry.CreatedAt.Equal(g.CreatedAt) {
		t.Errorf("%+v", rec)
	}
	if list, err := f.view(fuzhou).Index(rec.Beneficiary); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if rec, err := f.view(shanghai).Indexed(id); err != nil || rec != nil {
		t.Errorf("a third region knows of it: %+v, %v", rec, err)
	}
	count := 0
	if err := v.Grants(func(*ledger.GrantRecord) bool { count++; return true }); err != nil || count != 1 {
		t.Error(count, err)
	}
}

// TestGrantAtHome: payer and beneficiary in one region; the notice never leaves it.
func TestGrantAtHome(t *testing.T) {
	t.Parallel()
	f := federationOf(t, fuzhou)
	son := f.live("Son", fuzhou, employee(500000, 500000))
	mother := f.live("Mother", fuzhou, resident())
	id := f.grants(son, mother)
	if rec := f.indexed(id); rec.Beneficiary != f.number(fuzhou, mother) || rec.Revision != 1 {
		t.Errorf("%+v", rec)
	}
	f.done(fuzhou, &ledger.RevokeGrant{Request: f.request(), GrantID: id})
	if rec := f.indexed(id); rec.Entry.Status != grant.StatusRevoked || rec.Revision != 2 {
		t.Errorf("%+v", rec)
	}
	id = f.grants(son, mother) // a revoked one is in nobody's way
	p := f.pays(fuzhou, mother, "100.00")
	f.want(p, "held 100.00/100.00; 350100 placed 100.00")
	f.confirms(p, "100.00")
	f.want(p, "captured 100.00/100.00; 350100 captured 100.00 took 100.00")
	f.refused(fuzhou, f.granting(son, mother, f.terms(fuzhou)), policy.CodeDuplicateGrant)
	suspend := ledger.Patched(f.request(), id, grant.Patch{Status: new(grant.StatusSuspended)})
	if out := f.done(fuzhou, suspend); out.ID != id {
		t.Errorf("%+v", out)
	}
	f.refused(fuzhou, f.granting(son, mother, f.terms(fuzhou)), policy.CodeDuplicateGrant)
}

// TestGrantRefusals: the first failing check answers (api.md section 1), nothing changes, and nobody is taken in.
func TestGrantRefusals(t *testing.T) {
	t.Parallel()
	f := federationOf(t, beijing, fuzhou)
	son := f.live("Son", beijing, employee(100, 100))
	mother := f.live("Mother", fuzhou, resident())
	retired := f.live("Retired", beijing, ledger.Facts{Known: true, Scheme: 310, Status: 2})
	farmer := f.live("Farmer", beijing, resident())
	stranger := someone{"110101199099990011", "Stranger", beijing}
	renamed := someone{son.number, "Nos", beijing}
	for name, c := range map[string]struct {
		payer, beneficiary someone
		change             func(c *ledger.MakeGrant)
		want               policy.Code
	}{
		"unknown payer":      {stranger, mother, nil, policy.CodeIdentityMismatch},
		"payer's name":       {renamed, mother, nil, policy.CodeIdentityMismatch},
		"unknown to himself": {stranger, stranger, nil, policy.CodeInvalidRelation},
		"payer is resident":  {farmer, mother, nil, policy.CodePayerScheme},
		"payer is suspended": {retired, mother, nil, policy.CodePayerNotInsured},
		"to himself":         {son, son, nil, policy.CodeInvalidRelation},
		"unknown beneficiary": {
			son, mother, func(c *ledger.MakeGrant) { c.Standing.Known = false }, policy.CodeIdentityMismatch,
		},
		"beneficiary's status": {
			son, mother, func(c *ledger.MakeGrant) { c.Standing.Status = policy.StatusTerminated },
			policy.CodeBeneficiaryNotInsured,
		},
		"beneficiary at home, unknown": {son, stranger, nil, policy.CodeIdentityMismatch},
		"consent": {
			son, mother, func(c *ledger.MakeGrant) { c.Terms.Consent.Digest = "00" },
			policy.CodeConsentOutdated,
		},
		"relation": {son, mother, func(c *ledger.MakeGrant) { c.Terms.Relation = "cousin" }, policy.CodeInvalidRelation},
		"a region that is no member": {
			son, mother, func(c *ledger.MakeGrant) { c.Beneficiary.Region = "440100" }, policy.CodeRegionPairClosed,
		},
	} {
		c2 := f.granting(c.payer, c.beneficiary, f.terms(beijing))
		if c.change != nil {
			c.change(c2)
		}
		before := f.number(beijing, stranger)
		f.refused(beijing, c2, c.want)
		if f.number(beijing, stranger) != before || before != "" {
			t.Errorf("%s: who was refused was taken in", name)
		}
	}
	f.directory(func(d *federation.DirectoryData) { d.Pairs = nil })
	f.refused(beijing, f.granting(son, mother, f.terms(beijing)), policy.CodeRegionPairClosed)
	f.refused(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: "g-110000-none"}, policy.CodeNotFound)
	f.refused(beijing, &ledger.AcceptGrant{Request: f.request(), GrantID: "g-110000-none"}, policy.CodeNotFound)
}

// TestGrantChanges travel to the beneficiary's home; an older notice changes nothing.
func TestGrantChanges(t *testing.T) {
	t.Parallel()
	f := family(t)
	son, _, mother := f.kin()
	id := f.indexOf(mother)[0].Entry.ID
	patch := ledger.Patched(f.request(), id, grant.Patch{
		Status: new(grant.StatusSuspended), PerPaymentLimit: new(money.Amount(500)),
		AnnualLimit: new(money.Amount(700)), ValidFrom: new(policy.Day(f.now)), ValidUntil: new(policy.Day(f.now).AddDays(1)),
	})
	f.done(beijing, patch)
	f.flow()
	if rec := f.indexed(id); rec.Entry.Status != grant.StatusSuspended || rec.PerPayment != 500 ||
		rec.Annual != 700 || rec.Revision != 2 || rec.Entry.ValidUntil != policy.Day(f.now).AddDays(1) {
		t.Errorf("%+v", rec)
	}
	f.want(f.pays(shanghai, mother, "10.00"), "held 10.00/10.00; 310000 placed 10.00; -110000 grant_not_active")
	// The present values again change nothing and tell nobody, but they use the request id up.
	same := ledger.Patched(f.request(), id, grant.Patch{Status: new(grant.StatusSuspended)})
	f.done(beijing, same)
	if n := len(f.waiting(beijing, fuzhou)); n != 0 {
		t.Errorf("%d messages for nothing", n)
	}
	if out := f.done(beijing, same); !out.Replay || out.ID != id {
		t.Errorf("%+v", out)
	}
	same.Request.Digest = hash([]byte("other"))
	f.refused(beijing, same, policy.CodeConflict)
	f.done(beijing, ledger.Patched(f.request(), id, grant.Patch{
		Status: new(grant.StatusActive), ValidUntil: new(policy.Date(0)), PerPaymentLimit: new(money.Amount(0)),
	}))
	f.flow()
	if rec := f.indexed(id); rec.PerPayment != 0 || rec.Entry.ValidUntil != 0 || rec.Annual != 700 {
		t.Errorf("%+v", rec)
	}
	f.refused(beijing, ledger.Patched(f.request(), id, grant.Patch{}), policy.CodeInvalidRequest)
	f.done(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: id})
	f.refused(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: id}, policy.CodeWrongState)
	f.flow()
	f.want(f.pays(shanghai, mother, "10.00"), "held 10.00/10.00; 310000 placed 10.00")
	if again := f.grants(son, mother); again == id {
		t.Error("the same id")
	}
}

func (f *fed) indexOf(s someone) []ledger.IndexRecord {
	f.t.Helper()
	list, err := f.view(s.home).Index(f.number(s.home, s))
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

// TestRevokedWhileHeld: a revoked grant takes no new hold, and a hold already placed still finishes.
func TestRevokedWhileHeld(t *testing.T) {
	t.Parallel()
	f := family(t)
	son, _, mother := f.kin()
	p := f.pays(shanghai, mother, "100.00")
	stale := f.bill(shanghai, mother, "10.00") // looked up before
	f.done(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: f.payment(p.ID).Legs[0].GrantID})
	f.flow()
	f.confirms(p, "100.00")
	f.flow()
	f.want(p, "captured 100.00/100.00; 110000 captured 100.00 took 100.00")
	f.wantAccount(son, "100.00", "0.00")
	q := f.payment(f.done(shanghai, stale).ID)
	f.flow()
	f.want(q, "held 10.00/10.00; 110000 declined 0.00; 310000 placed 10.00; -110000 grant_not_active")
}

// TestOrder of use.
func TestOrder(t *testing.T) {
	t.Parallel()
	f := family(t)
	_, _, mother := f.kin()
	ids := []string{f.indexOf(mother)[0].Entry.ID, f.indexOf(mother)[1].Entry.ID}
	order := func(list ...string) *ledger.SetOrder {
		return &ledger.SetOrder{Request: f.request(), Beneficiary: f.person(fuzhou, mother), Grants: list}
	}
	c := order(ids[1], ids[0])
	f.done(fuzhou, c)
	if got, err := f.view(fuzhou).Order(f.number(fuzhou, mother)); err != nil || !slices.Equal(got, c.Grants) {
		t.Error(got, err)
	}
	if out := f.done(fuzhou, c); !out.Replay {
		t.Errorf("%+v", out)
	}
	f.want(f.pays(beijing, mother, "10.00"), "held 10.00/10.00; 310000 placed 10.00")
	f.done(fuzhou, order())
	f.want(f.pays(beijing, mother, "10.00"), "held 10.00/10.00; 110000 placed 10.00")

	f.refused(fuzhou, order("g-110000-none"), policy.CodeNotFound)
	f.refused(fuzhou, order(ids[0], ids[0]), policy.CodeInvalidRequest)
	wrong := order(ids[0])
	wrong.Beneficiary = f.person(fuzhou, someone{mother.number, "Other", fuzhou})
	if out := f.refused(fuzhou, wrong, policy.CodeIdentityMismatch); out.Field != "/beneficiary" {
		t.Errorf("%+v", out)
	}
	f.done(beijing, &ledger.RevokeGrant{Request: f.request(), GrantID: ids[0]})
	f.flow()
	f.refused(fuzhou, order(ids[0]), policy.CodeGrantNotActive)
}

// TestBothConsents: where the rules ask for both, the grant waits for the beneficiary, who accepts at home.
func TestBothConsents(t *testing.T) {
	t.Parallel()
	f := federationOf(t, beijing, fuzhou, shanghai)
	rules, err := rulebook.BuiltIn("110000")
	if err != nil {
		t.Fatal(err)
	}
	rules.Consent = policy.ConsentBoth
	rules.EffectiveFrom = policy.Day(f.now)
	f.rules(rules)
	son := f.live("Son", beijing, employee(10000, 10000))
	mother := f.live("Mother", fuzhou, resident())
	id := f.grants(son, mother)
	if rec := f.indexed(id); rec.Entry.Status != grant.StatusPending {
		t.Fatalf("%+v", rec)
	}
	f.want(f.pays(fuzhou, mother, "10.00"), "declined 0.00/10.00")
	f.say(shanghai, beijing, &wirepb.Body{Kind: &wirepb.Body_GrantConsent{
		GrantConsent: &wirepb.GrantConsent{GrantId: id},
	}}, nil) // nobody else consents for her
	if g, err := f.view(beijing).Grant(id); err != nil || g.Status != grant.StatusPending {
		t.Fatalf("%+v, %v", g, err)
	}
	accept := &ledger.AcceptGrant{Request: f.request(), GrantID: id}
	f.done(fuzhou, accept)
	if out := f.done(fuzhou, accept); !out.Replay {
		t.Errorf("%+v", out)
	}
	f.refused(fuzhou, &ledger.AcceptGrant{Request: f.request(), GrantID: id}, policy.CodeWrongState)
	f.flow()
	if rec := f.indexed(id); rec.Entry.Status != grant.StatusActive || rec.Revision != 2 {
		t.Fatalf("%+v", rec)
	}
	f.want(f.pays(fuzhou, mother, "10.00"), "held 10.00/10.00; 110000 placed 10.00")
}

// TestValidity: a grant is used from its first to its last Beijing day.
func TestValidity(t *testing.T) {
	t.Parallel()
	f := federationOf(t, beijing, fuzhou)
	son := f.live("Son", beijing, employee(100000, 100000))
	mother := f.live("Mother", fuzhou, resident())
	f.grantsWith(son, mother, func(terms *grant.Terms) {
		terms.ValidFrom = policy.Day(f.now).AddDays(1)
		terms.ValidUntil = terms.ValidFrom
	})
	f.want(f.pays(fuzhou, mother, "1.00"), "declined 0.00/1.00; -110000 grant_not_active")
	midnight := time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC) // in Beijing
	f.now = midnight.Add(-10 * time.Second)
	late := f.bill(fuzhou, mother, "1.00")
	late.Offers = []ledger.Offer{{GrantID: f.indexOf(mother)[0].Entry.ID, Region: "110000"}}
	q := f.payment(f.done(fuzhou, late).ID)
	f.flow() // the payer's home decides by its own day
	f.want(q, "declined 0.00/1.00; 110000 declined 0.00; -110000 grant_not_active")
	f.now = midnight
	f.want(f.pays(fuzhou, mother, "1.00"), "held 1.00/1.00; 110000 placed 1.00")
	f.now = midnight.Add(24*time.Hour - time.Second)
	f.want(f.pays(fuzhou, mother, "1.00"), "held 1.00/1.00; 110000 placed 1.00")
	f.now = midnight.Add(24 * time.Hour)
	f.want(f.pays(fuzhou, mother, "1.00"), "declined 0.00/1.00")
	f.grants(son, mother) // ended by itself: no duplicate
}
