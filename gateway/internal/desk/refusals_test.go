package desk_test

import (
	"testing"

	"gongji/adapters"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

// flaw is one thing wrong with a request, and the code that it is refused with. The tables stand in the order of
// api.md section 1: of two flaws the earlier one answers.
type flaw[T any] struct {
	code  policy.Code
	spoil func(*T)
}

// pairs visits the good request, each flaw alone, and every two flaws together.
func pairs[T any](flaws []flaw[T], visit func(want policy.Code, spoil ...func(*T))) {
	visit("none")
	for i := range flaws {
		visit(flaws[i].code, flaws[i].spoil)
		for j := i + 1; j < len(flaws); j++ {
			visit(flaws[i].code, flaws[i].spoil, flaws[j].spoil)
		}
	}
}

// grantOf says who makes a grant to whom, as a payer and a beneficiary that may each be wrong in several ways.
type grantOf struct {
	elsewhere, payerName, payerResident, payerSuspended bool
	name, suspended                                     bool
	change                                              []func(*client.GrantRequest)
}

func grantFlaws() []flaw[grantOf] {
	with := func(change func(*client.GrantRequest)) func(*grantOf) {
		return func(g *grantOf) { g.change = append(g.change, change) }
	}
	return []flaw[grantOf]{
		{policy.CodeInvalidRequest, with(func(f *client.GrantRequest) { f.Channel = "fax" })},
		{policy.CodeNotHomeRegion, func(g *grantOf) { g.elsewhere = true }},
		{policy.CodeIdentityMismatch, func(g *grantOf) { g.payerName = true }},
		{policy.CodePayerScheme, func(g *grantOf) { g.payerResident = true }},
		{policy.CodePayerNotInsured, func(g *grantOf) { g.payerSuspended = true }},
		{policy.CodeIdentityMismatch, func(g *grantOf) { g.name = true }},
		{policy.CodeBeneficiaryNotInsured, func(g *grantOf) { g.suspended = true }},
		{policy.CodeRelationNotAllowed, with(func(f *client.GrantRequest) { f.Relation = "sibling" })},
		{policy.CodeConsentOutdated, with(func(f *client.GrantRequest) { f.Consent.Version = "1999-01" })},
	}
}

// grantPeople are the persons that grantOf names: by region, scheme and status.
type grantPeople struct{ payers, beneficiaries map[[2]bool]regiontest.Person }

func (p *grantPeople) of(g grantOf) (regiontest.Person, regiontest.Person) {
	payer := p.payers[[2]bool{g.payerResident, g.payerSuspended}]
	beneficiary := p.beneficiaries[[2]bool{g.suspended}]
	if g.elsewhere {
		payer.Region = string(beijing)
	}
	if g.payerName {
		payer.Name = "赵无此人"
	}
	if g.name {
		beneficiary.Name = "钱无此人"
	}
	return payer, beneficiary
}

func (w *world) grantPeople() *grantPeople {
	p := &grantPeople{map[[2]bool]regiontest.Person{}, map[[2]bool]regiontest.Person{}}
	for i, resident := range []bool{false, true} {
		for j, suspended := range []bool{false, true} {
			one := regiontest.Employee(string(shanghai), "赵建国", 10+2*i+j, 100_000)
			if resident {
				one = regiontest.Resident(string(shanghai), "赵建国", 10+2*i+j)
			}
			if suspended {
				one.Facts.Status = adapters.StatusSuspended
			}
			w.open(one)
			p.payers[[2]bool{resident, suspended}] = one
		}
	}
	for j, suspended := range []bool{false, true} {
		one := regiontest.Resident(string(fuzhou), "钱小红", 20+j)
		if suspended {
			one.Facts.Status = adapters.StatusSuspended
		}
		w.open(one)
		p.beneficiaries[[2]bool{suspended}] = one
	}
	return p
}

// withoutSiblings leaves a relation out of Shanghai's rules.
func withoutSiblings(code federation.Region, r *policy.Rules) {
	if code == shanghai {
		var kept []policy.Relation
		for _, x := range r.Relations {
			if x != "sibling" {
				kept = append(kept, x)
			}
		}
		r.Relations = kept
	}
}

// TestGrantRefusals: the first failing check of api.md section 1 answers, and nothing is made.
func TestGrantRefusals(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{Rules: withoutSiblings}, func(t *testing.T, w *world) {
		people := w.grantPeople()
		pairs(grantFlaws(), func(want policy.Code, spoil ...func(*grantOf)) {
			var g grantOf
			for _, s := range spoil {
				s(&g)
			}
			payer, beneficiary := people.of(g)
			id, err := w.sh.Grant(t.Context(), payer, beneficiary, g.change...)
			refused(t, err, want)
			if g.elsewhere && want == policy.CodeNotHomeRegion && regionOf(err) != string(beijing) {
				t.Errorf("421 names %q", regionOf(err))
			}
			if want == "none" { // it is in the way of the next good one
				w.revoke(id)
			} else if id != "" {
				t.Errorf("a refused grant has the id %s", id)
			}
		})
		payer, beneficiary := people.of(grantOf{})
		w.grant(payer, beneficiary)
		_, err := w.sh.Grant(t.Context(), payer, beneficiary)
		refused(t, err, policy.CodeDuplicateGrant)
		_, err = w.sh.Grant(t.Context(), payer, beneficiary, func(f *client.GrantRequest) { f.Consent.Digest = "0" })
		refused(t, err, policy.CodeConsentOutdated)
		list, _, err := w.sh.Desk.SearchGrants(t.Context(), client.GrantSearch{Payer: &payer.Person, Limit: 10})
		if err != nil || len(list) != 2 {
			t.Errorf("%d grants, %v; want the revoked one and the one in force", len(list), err)
		}
	})
}

func (w *world) revoke(id string) {
	w.t.Helper()
	if _, _, err := w.sh.Desk.RevokeGrant(w.t.Context(), w.key(), id); err != nil {
		w.t.Error(err)
	}
}

// TestGrantClosedPair: nobody is asked across a closed pair; what this region knows by itself comes first.
func TestGrantClosedPair(t *testing.T) {
	t.Parallel()
	c := regiontest.Config{Rules: withoutSiblings, Directory: func(d *federation.DirectoryData) {
		for i := range d.Pairs {
			if d.Pairs[i].A == shanghai && d.Pairs[i].B == fuzhou {
				d.Pairs[i].Until = "1999-12-31"
			}
		}
	}}
	with(t, c, func(t *testing.T, w *world) {
		people := w.grantPeople()
		payer, beneficiary := people.of(grantOf{name: true})
		_, err := w.sh.Grant(t.Context(), payer, beneficiary)
		refused(t, err, policy.CodeRegionPairClosed)
		_, err = w.sh.Grant(t.Context(), payer, beneficiary, func(f *client.GrantRequest) { f.Relation = "sibling" })
		refused(t, err, policy.CodeRelationNotAllowed)
		payer.Name = "赵无此人"
		_, err = w.sh.Grant(t.Context(), payer, beneficiary)
		refused(t, err, policy.CodeIdentityMismatch)
		_, err = w.sh.Pay(t.Context(), beneficiary, "v", "1.00")
		refused(t, err, policy.CodeRegionPairClosed)
	})
}

// payOf is a payment at Shanghai for a beneficiary of Fuzhou.
type payOf struct {
	name, suspended, own bool
	change               []func(*client.PaymentRequest)
}

func payFlaws() []flaw[payOf] {
	with := func(change func(*client.PaymentRequest)) func(*payOf) {
		return func(p *payOf) { p.change = append(p.change, change) }
	}
	return []flaw[payOf]{
		{policy.CodeInvalidRequest, with(func(f *client.PaymentRequest) { *f.DecideWithinSeconds = 901 })},
		{policy.CodeKinAccount, with(func(f *client.PaymentRequest) { f.Credential.Type = client.CredentialKinAccount })},
		{policy.CodePurposeForbidden, with(func(f *client.PaymentRequest) { f.Purpose = "fitness" })},
		{policy.CodeAmountExceedsSelfBorne, with(func(f *client.PaymentRequest) { f.Bill.SelfBorne = "9.99" })},
		{policy.CodeCredentialMismatch, with(func(f *client.PaymentRequest) {
			f.Credential.HolderIDNumber = regiontest.Number(string(fuzhou), 999)
		})},
		{policy.CodeRemoteUseRequired, with(func(f *client.PaymentRequest) {
			if *f.Credential.RemoteUse = false; f.Credential.Type == client.CredentialECredential {
				f.Credential.Type = client.CredentialSocialCard
			}
		})},
		{policy.CodeInstitutionNotDesignated, with(func(f *client.PaymentRequest) { f.Institution.Code = "H999" })},
		{policy.CodeIdentityMismatch, func(p *payOf) { p.name = true }},
		{policy.CodeBeneficiaryNotInsured, func(p *payOf) { p.suspended = true }},
		{policy.CodeOwnAccountFirst, func(p *payOf) { p.own = true }},
	}
}

// TestPaymentRefusals: the same for payments and quotes; no payment exists afterwards.
func TestPaymentRefusals(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		people := map[[2]bool]regiontest.Person{}
		n := 30
		for _, suspended := range []bool{false, true} {
			for _, own := range []bool{false, true} {
				p := regiontest.Resident(string(fuzhou), "孙小军", n)
				if own {
					p = regiontest.Employee(string(fuzhou), "孙小军", n, 500)
				}
				if suspended {
					p.Facts.Status = adapters.StatusTerminated
				}
				n++
				w.open(p)
				people[[2]bool{suspended, own}] = p
			}
		}
		made := 0
		pairs(payFlaws(), func(want policy.Code, spoil ...func(*payOf)) {
			var p payOf
			for _, s := range spoil {
				s(&p)
			}
			who := people[[2]bool{p.suspended, p.own}]
			if p.name {
				who.Name = "孙无此人"
			}
			f := w.sh.PaymentRequest(who, "one-visit", "10.00")
			f.Bill.ID += string(want)
			for _, change := range p.change {
				change(&f)
			}
			_, err := w.sh.Desk.Quote(t.Context(), f)
			refused(t, err, want)
			_, _, err = w.sh.Desk.CreatePayment(t.Context(), w.key(), f)
			refused(t, err, want)
			if want == "none" {
				made++
			}
		})
		list, _, err := w.sh.Desk.SearchPayments(t.Context(), "test", client.PaymentSearch{VisitID: "one-visit", Limit: 100})
		if err != nil || len(list) != made {
			t.Errorf("%d payments, %v; want %d", len(list), err, made)
		}
	})
}
