package overapi_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/internal/simtest/secondopinion"
)

var requestsFlag = flag.Int("requests", 1000, "so many random requests over the API, each with its quote before it")

// beside is the federation with its second opinion.
type beside struct {
	*world

	rng    *rand.Rand
	second *secondopinion.World
	people map[string]regiontest.Person
	grants []string
	seen   map[string]int
}

// TestRequests: random requests over
// the API, often wrong in several ways at once: the first failing check answers; else the payment is as the second
// opinion says, as its quote was, and so it stays through confirm, cancel and refund.
func TestRequests(t *testing.T) {
	t.Parallel()
	rules := map[string]*secondopinion.Region{
		"110000": {
			Share: 6_000, PurposeShare: map[string]int{"chronic": 9_000}, Relations: []string{"parent", "child"},
			Purposes: []string{"outpatient", "inpatient", "chronic"}, ZeroOnly: true,
			ScopePurposes: map[string][]string{"cross_province": {"outpatient", "chronic"}},
		},
		"310000": {
			Share: 7_000, VisitLimit: map[string]int{"outpatient": 500_00, "inpatient": 900_00},
			Purposes: []string{"outpatient", "inpatient", "chronic", "checkup"}, Relations: []string{"parent", "child", "spouse"},
			CarriedOver: true,
		},
		"350100": {
			Share: 10_000, Floor: 2_000_00, Purposes: []string{"outpatient", "inpatient", "checkup"},
			Relations: []string{"parent", "spouse"},
		},
	}
	config := regiontest.Config{Rules: func(code federation.Region, r *policy.Rules) { regulate(rules[string(code)], r) }}
	with(t, config, func(w *world) {
		b := &beside{
			world: w, rng: rand.New(rand.NewPCG(7, 11)), second: secondopinion.New("2000-01-01 08:00:00"),
			people: map[string]regiontest.Person{}, seen: map[string]int{},
		}
		b.second.Regions = rules
		b.settle()
		for range *requestsFlag {
			b.ask()
			b.decide()
		}
		for _, code := range []string{
			"kin_account", "purpose_forbidden", "amount_exceeds_self_borne", "credential_mismatch", "remote_use_required",
			"institution_not_designated", "beneficiary_not_insured", "own_account_first", "invalid_amount", "not_found",
			"grant_not_active", "payer_not_insured", "purpose_not_open", "balance_insufficient", "annual_quota",
			"retained_floor", "visit_limit", "payment_limit", "grant_annual_limit", "refund_exceeds_captured",
		} {
			if b.seen[code] == 0 {
				t.Errorf("%s was never answered: this test says nothing of it", code)
			}
		}
		t.Logf("%v", b.seen)
	})
}

// regulate writes a page of figures into a region's rules.
func regulate(f *secondopinion.Region, r *policy.Rules) {
	r.AnnualShare, r.RetainedFloor = money.Share(f.Share), money.Amount(f.Floor) //nolint:gosec // ≤ 10000
	r.CarriedOver, r.VisitLimits, r.PurposeShares = f.CarriedOver, nil, nil
	if f.ZeroOnly {
		r.OwnAccount = policy.OwnZeroOnly
	}
	for p, limit := range f.VisitLimit {
		v := policy.VisitLimit{Purpose: policy.Purpose(p), Limit: money.Amount(limit)}
		r.VisitLimits = append(r.VisitLimits, v)
	}
	for p, share := range f.PurposeShare {
		s := policy.PurposeShare{Purpose: policy.Purpose(p), Share: money.Share(share)} //nolint:gosec // ≤ 10000
		r.PurposeShares = append(r.PurposeShares, s)
	}
	for s, list := range f.ScopePurposes {
		r.ScopePurposes = append(r.ScopePurposes, policy.ScopePurposes{Scope: policy.Scope(s), Purposes: purposesOf(list)})
	}
	r.Purposes, r.Relations = purposesOf(f.Purposes), nil
	for _, x := range f.Relations {
		r.Relations = append(r.Relations, policy.Relation(x))
	}
	*r = r.Normalize()
}

func purposesOf(words []string) []policy.Purpose {
	var out []policy.Purpose
	for _, w := range words {
		out = append(out, policy.Purpose(w))
	}
	return out
}

// someone opens an account on both sides.
func (b *beside) someone(name, home string, balance int, change func(p *secondopinion.Person)) {
	b.t.Helper()
	f := regiontest.Employee(home, name, 100+len(b.people), money.Amount(balance))
	p := &secondopinion.Person{
		Region: home, Scheme: 310, Status: 1, Paid: balance, Opening: map[string]int{"2000": balance},
	}
	change(p)
	f.Facts.Scheme, f.Facts.Status, f.Facts.Opening = p.Scheme, p.Status, money.Amount(p.Opening["2000"])
	b.people[name], b.second.Persons[name] = f, p
	b.open(f)
}

// settle: patients with and without money of their own, payers that each fall short of something else.
func (b *beside) settle() {
	b.t.Helper()
	asIs := func(*secondopinion.Person) {}
	resident := func(p *secondopinion.Person) { p.Scheme = 390 }
	b.someone("poor", "350100", 0, resident)
	b.someone("saver", "350100", 300_00, asIs) // pays along
	b.someone("strict", "110000", 1, asIs)     // has to empty an own account first
	b.someone("lapsed", "310000", 0, resident)
	payers := []string{"small", "floored", "visited", "wide", "once", "gone"}
	b.someone("small", "110000", 250_00, func(p *secondopinion.Person) {
		p.Opening["2000"] = 9_000_00 // spent since by its owner
	})
	b.someone("floored", "350100", 2_600_00, asIs)
	b.someone("visited", "310000", 900_000_00, asIs)
	b.someone("wide", "110000", 4_000_00, asIs)
	b.someone("once", "310000", 900_000_00, asIs)
	b.someone("gone", "350100", 500_00, asIs)
	for _, who := range []string{"poor", "saver", "strict", "lapsed"} {
		for i, payer := range payers {
			b.granting(payer, who, []string{"parent", "parent", "child", "child", "spouse", "parent"}[i], payer == "once")
		}
	}
	b.insure("lapsed", 2)
	b.insure("gone", 2)
	b.suspend("floored", "poor")
}

func (b *beside) granting(payer, who, relation string, limited bool) {
	b.t.Helper()
	g := &secondopinion.Grant{
		Payer: payer, Beneficiary: who, Relation: relation, Status: "active", From: "2000-01-01",
		PerPayment: secondopinion.None, Annual: secondopinion.None,
	}
	g.ID = b.grant(b.people[payer], b.people[who], func(f *client.GrantRequest) {
		f.Relation = relation
		if limited {
			f.PerPaymentLimit, f.AnnualLimit = "77.70", "234.56"
			g.PerPayment, g.Annual = 77_70, 234_56
		}
		if payer == "visited" && who == "saver" {
			f.ValidFrom, g.From = "2000-01-02", "2000-01-02"
		}
	})
	b.second.Grants = append(b.second.Grants, g)
	b.grants = append(b.grants, g.ID)
}

// insure changes a person's insured status on both sides.
func (b *beside) insure(name string, status int) {
	b.t.Helper()
	who, home := b.people[name], b.Regions[federation.Region(b.people[name].Region)]
	sealed, err := home.Vault.Person(who.Identity(), home.Vault.NewNo())
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = home.Put(b.t.Context(), &ledger.SetStanding{
		Person: sealed, Scheme: policy.Scheme(b.second.Persons[name].Scheme), Status: policy.InsuredStatus(status),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.second.Persons[name].Status = status
}

// suspend suspends a payer's grant on both sides.
func (b *beside) suspend(payer, who string) {
	b.t.Helper()
	for _, g := range b.second.Grants {
		if g.Payer != payer || g.Beneficiary != who {
			continue
		}
		g.Status = "suspended"
		s := grant.StatusSuspended
		c := ledger.Patched(ledger.Request{Platform: "test", ID: b.id("s")}, g.ID, grant.Patch{Status: &s})
		if _, err := b.Regions[federation.Region(b.people[payer].Region)].Put(b.t.Context(), c); err != nil {
			b.t.Fatal(err)
		}
	}
	passes(time.Second)
}

func (b *beside) pick(words ...string) string { return words[b.rng.IntN(len(words))] }
func (b *beside) rarely() bool                { return b.rng.IntN(16) == 0 }

// draw is a random request; mostly nothing is wrong with it, rarely several things are.
func (b *beside) draw() secondopinion.Request {
	r := secondopinion.Request{
		ID: b.id("r"), VisitRegion: b.pick("110000", "310000", "350100"),
		Beneficiary: b.pick("poor", "poor", "saver", "strict"), Credential: "e_credential",
		Purpose: b.pick("outpatient", "outpatient", "inpatient", "chronic", "checkup"),
		Visit:   b.pick("visit1", "visit2", "visit3"), Bill: fmt.Sprint("bill", b.rng.IntN(200)), AllowPartial: b.rng.IntN(6) > 0,
		Amount: 1 + b.rng.IntN(700_00), Auto: b.rng.IntN(5) == 0,
	}
	r.Institution = "H" + r.VisitRegion + "00001"
	r.SelfBorne = r.Amount + b.rng.IntN(500_00)
	if r.Beneficiary == "saver" || b.rarely() {
		r.OwnPaid = min(300_00+b.rng.IntN(2)*1_00, r.SelfBorne)
		r.Amount = max(1, min(r.Amount, r.SelfBorne-r.OwnPaid))
	}
	r.FundPaid = b.rng.IntN(1_000_00)
	r.Total = r.FundPaid + r.SelfBorne
	if b.rng.IntN(3) == 0 {
		b.spoil(&r)
	}
	return r
}

// spoil makes one to three things wrong, or unusual.
func (b *beside) spoil(r *secondopinion.Request) {
	for range 1 + b.rng.IntN(3) {
		switch b.rng.IntN(12) {
		case 0:
			r.Credential = "kin_account"
		case 1:
			r.Purpose = b.pick("public_health", "fitness", "wellness")
		case 2:
			r.Amount = r.SelfBorne - r.OwnPaid + 1
		case 3:
			r.HolderIsOther = true
		case 4:
			r.Credential, r.RemoteUse = b.pick("social_card", "id_card"), b.rng.IntN(2) == 0
		case 5:
			r.Undesignated, r.Institution = true, "H99999900001"
		case 6:
			r.Beneficiary = "lapsed"
		case 7:
			r.Beneficiary, r.OwnPaid = "saver", b.rng.IntN(300_01)
		case 8:
			r.Total += 1 - 2*b.rng.IntN(2)
		case 9:
			r.Amount = b.rng.IntN(2) * r.Amount
		case 10, 11:
			r.Named = []string{b.grants[b.rng.IntN(len(b.grants))], b.grants[b.rng.IntN(len(b.grants))], "g-110000-nobody"}
			if r.Named[0] == r.Named[1] {
				r.Named = r.Named[1:]
			}
		}
	}
}

// document is the request as it is sent.
func (b *beside) document(r secondopinion.Request) object {
	who := b.people[r.Beneficiary]
	holder := who.IDNumber
	if r.HolderIsOther {
		holder = b.people["wide"].IDNumber
	}
	body := object{
		"request_id": r.ID, "beneficiary": personOf(who),
		"credential":  object{"type": r.Credential, "holder_id_number": holder, "remote_use": r.RemoteUse},
		"institution": object{"code": r.Institution, "kind": "hospital"},
		"purpose":     r.Purpose, "visit_id": r.Visit, "visit_date": "2000-01-01",
		"bill": object{
			"id": r.Bill, "total": secondopinion.Yuan(r.Total), "fund_paid": secondopinion.Yuan(r.FundPaid),
			"self_borne": secondopinion.Yuan(r.SelfBorne), "own_account_paid": secondopinion.Yuan(r.OwnPaid),
		},
		"amount": secondopinion.Yuan(r.Amount), "allow_partial": r.AllowPartial,
	}
	if r.Auto {
		body["confirm"] = "auto"
	}
	if r.Named != nil {
		body["grants"] = r.Named
	}
	return body
}

// ask sends a quote and the request, and compares both answers.
func (b *beside) ask() {
	b.t.Helper()
	r := b.draw()
	at := federation.Region(r.VisitRegion)
	_, quote, quoted := post[client.Payment](b.world, at, "/v1/quotes", b.document(r))
	_, p, code := post[client.Payment](b.world, at, "/v1/payments", b.document(r))
	before := b.second.String()
	asked := r
	asked.ID = p.PaymentID
	want, problem := b.second.Pay(asked)
	b.seen[code]++
	if code != problem || quoted != problem {
		b.t.Fatalf("\n%s%s\nanswered %q, quoted %q, the second opinion is %q", before, r, code, quoted, problem)
	}
	if problem != "" {
		return
	}
	if p.Status == "capturing" { // the answer of an automatic confirm may come before the legs'
		p = b.now(at, p.PaymentID)
	}
	b.same(before+r.String(), shownOf(p), want)
	status := quote.Status
	if status == "held" && r.Auto { // a quote is never confirmed
		if got := shownOf(quote).Held; got != want.Held {
			b.t.Fatalf("\n%s%s\nquoted %s", before, r, secondopinion.Yuan(got))
		}
	} else {
		b.same(before+r.String()+"\nas a quote", shownOf(quote), want)
	}
	for _, l := range p.Legs {
		b.seen[l.LimitedBy]++
	}
	for _, d := range p.Declines {
		b.seen[d.Code]++
	}
}

func (b *beside) now(at federation.Region, id string) client.Payment {
	b.t.Helper()
	passes(time.Second)
	p, err := b.Regions[at].Desk.Payment(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *beside) same(what string, got secondopinion.Shown, want *secondopinion.Payment) {
	b.t.Helper()
	if got, want := got.String(), b.second.Show(want).String(); got != want {
		b.t.Fatalf("\n%s\nanswered:           %s\nthe second opinion: %s", what, got, want)
	}
}

func fen(s string) int {
	a, err := money.Parse(s)
	if err != nil {
		return -1
	}
	return int(a)
}

// shownOf reads an answer for comparison.
func shownOf(p client.Payment) secondopinion.Shown {
	out := secondopinion.Shown{
		Status: p.Status, Held: fen(p.Held), Amount: fen(p.Amount), Captured: fen(p.Captured), Refunded: fen(p.Refunded),
		CashDue: fen(p.CashDue),
	}
	for _, l := range p.Legs {
		out.Legs = append(out.Legs, secondopinion.LegLine(
			l.GrantID, l.Status, fen(l.Amount), fen(l.Captured), fen(l.Refunded), l.LimitedBy))
	}
	for _, d := range p.Declines {
		out.Declines = append(out.Declines, secondopinion.Decline{Grant: d.GrantID, Code: d.Code})
	}
	return out
}

// decide confirms, cancels or refunds one of the last payments, sometimes with more than there is.
func (b *beside) decide() {
	b.t.Helper()
	n := len(b.second.Payments)
	if n == 0 {
		return
	}
	want := b.second.Payments[max(0, n-1-b.rng.IntN(3))]
	at, path := federation.Region(want.VisitRegion), "/v1/payments/"+want.ID
	var code, problem string
	switch b.rng.IntN(4) {
	case 0:
		amount := b.rng.IntN(want.Held + 2)
		body := object{"request_id": b.id("c"), "amount": secondopinion.Yuan(amount)}
		_, _, code = post[client.Payment](b.world, at, path+"/confirm", body)
		if problem = b.second.Confirm(want, amount); amount == 0 {
			problem = "invalid_amount" // a 400 comes before every 409
		}
	case 1:
		_, _, code = post[client.Payment](b.world, at, path+"/cancel", object{"request_id": b.id("x")})
		problem = b.second.GiveBack(want, "released")
	default:
		captured, _ := b.second.Captured(want)
		amount := 1 + b.rng.IntN(captured+2)
		body := object{"request_id": b.id("f"), "amount": secondopinion.Yuan(amount), "reason": "returned"}
		_, _, code = post[client.Refund](b.world, at, path+"/refunds", body)
		problem = b.second.Refund(want, amount)
	}
	b.seen[code]++
	if code != problem {
		b.t.Fatalf("\n%s\n%s: answered %q, the second opinion is %q", b.second, want.ID, code, problem)
	}
	passes(10 * time.Millisecond)
	p, err := b.Regions[at].Desk.Payment(b.t.Context(), want.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	b.same(b.second.String()+want.ID, shownOf(p), want)
}
