package ledger_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
	"gongji/gateway/internal/simtest/secondopinion"
)

// histories is how many whole histories are tried; -rapid.checks says otherwise.
const histories = 60

// inRapid lets the harness fail a case of rapid, which is then made smaller.
type inRapid struct {
	testing.TB

	rt *rapid.T
}

func (t inRapid) Helper()                       {}
func (t inRapid) Cleanup(f func())              { t.rt.Cleanup(f) }
func (t inRapid) Error(args ...any)             { t.rt.Error(args...) }
func (t inRapid) Errorf(form string, a ...any)  { t.rt.Errorf(form, a...) }
func (t inRapid) Fatal(args ...any)             { t.rt.Fatal(args...) }
func (t inRapid) Fatalf(form string, a ...any)  { t.rt.Fatalf(form, a...) }
func (t inRapid) Logf(form string, args ...any) { t.rt.Logf(form, args...) }

// drawn is a draw that the failure itself prints better.
type drawn[T any] struct{ of T }

// GoString keeps rapid's report short.
func (drawn[T]) GoString() string { return "see below" }

func quiet[T any](of T) drawn[T] { return drawn[T]{of} }

// history is the real ledger, with its second opinion beside it.
type history struct {
	*fed

	second *secondopinion.World
	story  []string
	payers []someone
	people []someone
	bys    map[string]time.Time // decide_by
	last   *ledger.CreatePayment
}

// TestHistories: whatever happens in three regions one thing after the
// other, payments, accounts and bills stand as the second opinion says, after every single step.
//
//nolint:paralleltest // it sets a flag of rapid
func TestHistories(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(fmt.Sprint(histories)); err != nil {
			t.Fatal(err)
		}
		defer f.Value.Set(f.DefValue) //nolint:errcheck // it was just read from there
	}
	rapid.Check(t, func(rt *rapid.T) {
		b := rapid.Map(backgrounds(), quiet[background]).Draw(rt, "background")
		list := rapid.Map(rapid.SliceOfN(events(), 25, 80), quiet[[]event]).Draw(rt, "events")
		h := newHistory(inRapid{t, rt}, b.of)
		for _, e := range list.of {
			h.step(e)
		}
	})
}

func newHistory(t testing.TB, b background) *history {
	h := &history{fed: federationOf(t, beijing, shanghai, fuzhou), bys: map[string]time.Time{}}
	h.now = b.start
	h.second = secondopinion.New("")
	h.tell()
	for i, code := range h.order {
		h.regulate(code, b.rules[i])
	}
	for i, home := range []federation.Region{beijing, shanghai, fuzhou, beijing} {
		facts := employee(money.Amount(b.balances[i]), money.Amount(b.openings[i]))
		facts.Year = policy.Year(h.now)
		s := h.live(fmt.Sprintf("Payer %d", i+1), home, facts)
		h.payers = append(h.payers, s)
		h.second.Persons[s.name] = &secondopinion.Person{
			Region: string(home), Scheme: 310, Status: 1, Paid: b.balances[i],
			Opening: map[string]int{h.second.Now[:4]: b.openings[i]},
		}
	}
	for i := range 2 {
		s := h.live(fmt.Sprintf("Beneficiary %d", i+1), fuzhou, resident())
		h.people = append(h.people, s)
		h.second.Persons[s.name] = &secondopinion.Person{
			Region: string(fuzhou), Scheme: 390, Status: 1, Opening: map[string]int{},
		}
	}
	for i, limits := range b.limits { // three payers each; the first one gives to both
		payer, who := h.payers[(i+i/3)%len(h.payers)], h.people[i/3]
		if h.makes(payer, who, limits, b.virtual[i]) != "" {
			h.makes(payer, who, limits, 0) // the account has too little for a virtual limit
		}
		h.flow()
	}
	return h
}

// makes has a grant made on both sides, or refused on both, and returns the code.
func (h *history) makes(payer, who someone, limits [2]int, virtual int) string {
	h.t.Helper()
	want := h.second.MayGrant(payer.name, who.name, "parent")
	if want == "" && virtual > 0 {
		want = h.second.MayReserve(payer.name, virtual)
	}
	h.note("%s grants %s, virtual limit %s", payer.name, who.name, secondopinion.Yuan(virtual))
	terms := h.terms(payer.home)
	terms.PerPaymentLimit, terms.AnnualLimit = money.Amount(max(limits[0], 0)), money.Amount(max(limits[1], 0))
	if virtual > 0 {
		terms.Funding, terms.Limit = grant.FundingVirtualLimit, money.Amount(virtual)
	}
	out := h.apply(payer.home, h.granting(payer, who, terms))
	if string(out.Code) != want {
		h.wrong("the ledger answers %q, the second opinion %q", out.Code, want)
	}
	if want == "" {
		g := &secondopinion.Grant{
			ID: out.ID, Payer: payer.name, Beneficiary: who.name, Relation: "parent", Status: "active",
			From: h.second.Now[:10], PerPayment: limits[0], Annual: limits[1], Virtual: virtual, Left: virtual,
		}
		if virtual > 0 {
			g.LeftYear = h.second.Now[:4]
			h.second.Touch(payer.name)
		}
		h.second.Grants = append(h.second.Grants, g)
	}
	return want
}

// tell sets the second opinion's clock.
func (h *history) tell() {
	h.second.Now = h.now.In(policy.Beijing()).Format("2006-01-02 15:04:05")
}

// regulate puts the same rules into the region and into the second opinion.
func (h *history) regulate(code federation.Region, r secondopinion.Region) {
	h.t.Helper()
	rules, err := rulebook.BuiltIn(string(code))
	if err != nil {
		h.t.Fatal(err)
	}
	rules.EffectiveFrom = policy.Day(h.now)
	rules.AnnualShare, rules.RetainedFloor = money.Share(r.Share), money.Amount(r.Floor) //nolint:gosec // ≤ 10000
	rules.VisitLimits = nil
	for p, limit := range r.VisitLimit {
		v := policy.VisitLimit{Purpose: policy.Purpose(p), Limit: money.Amount(limit)}
		rules.VisitLimits = append(rules.VisitLimits, v)
	}
	r.Purposes, r.Relations = []string{"outpatient", "inpatient"}, []string{"parent"}
	rules.Purposes = []policy.Purpose{policy.PurposeOutpatient, policy.PurposeInpatient}
	h.rules(rules)
	h.second.Regions[string(code)] = &r
}

func (h *history) wrong(format string, args ...any) {
	h.t.Fatalf("\n%s%s\n%s", h.second, strings.Join(h.story, "\n"), fmt.Sprintf(format, args...))
}

func (h *history) note(format string, args ...any) {
	h.story = append(h.story, h.now.In(policy.Beijing()).Format("2006-01-02 15:04:05  ")+fmt.Sprintf(format, args...))
}

// step does one thing on both sides and compares all that there is.
func (h *history) step(e event) {
	if e.Kind == "nothing" {
		return
	}
	h.now = h.now.Add(time.Second).Truncate(time.Second) // each step well on one side of midnight
	h.expire()
	h.tell()
	switch e.Kind {
	case "pay":
		h.pay(e)
	case "confirm", "cancel", "refund":
		h.decide(e)
	case "repeat":
		if h.last != nil {
			h.note("the last request is repeated")
			if out := h.apply(federation.Region(strings.Split(h.last.PaymentID, "-")[1]), h.last); !out.Replay {
				h.wrong("a repeat was answered %+v", out)
			}
		}
	case "pass":
		h.note("%s pass", e.Wait)
		h.now = h.now.Add(e.Wait)
		h.expire()
	case "limits", "grant":
		h.change(e)
	case "insurance":
		h.insure(e)
	case "order":
		h.reorder(e)
	case "make":
		h.make(e)
	}
	h.flow()
	h.compare()
}

// expire has everything end whose time has come.
func (h *history) expire() {
	h.tell()
	for _, p := range h.second.Payments {
		if p.Status == "held" && !h.now.Before(h.bys[p.ID]) {
			h.note("%s expires", p.ID)
			h.second.GiveBack(p, "expired")
		}
	}
	h.pass(0)
	h.flow()
	h.pass(0)
	h.flow()
}

func (h *history) pay(e event) {
	at, who := h.order[e.Region%3], h.people[e.Who%2]
	c := h.bill(at, who, "1.00")
	c.Purpose = []policy.Purpose{policy.PurposeOutpatient, policy.PurposeInpatient}[e.Who/2%2]
	c.VisitID, c.Bill.ID = fmt.Sprint("visit", e.Visit), fmt.Sprint("bill", e.Bill)
	c.Amount = money.Amount(e.Amount)
	c.Bill.SelfBorne = money.Amount(1_000_00 * (1 + e.Bill%5)) // of the bill, however often it is asked for
	c.Bill.Total, c.Bill.OwnPaid = c.Bill.SelfBorne, money.Amount(e.Bill%2)
	c.AllowPartial, c.AutoConfirm = e.Partial, e.Auto
	c.DecideWithin = 15 * time.Minute
	r := secondopinion.Request{
		ID: c.PaymentID, VisitRegion: string(at), Beneficiary: who.name, Credential: "e_credential",
		Purpose: string(c.Purpose), Visit: c.VisitID, Institution: c.Institution, Bill: c.Bill.ID,
		Total: int(c.Bill.Total), SelfBorne: int(c.Bill.SelfBorne), OwnPaid: int(c.Bill.OwnPaid),
		Amount: e.Amount, AllowPartial: e.Partial, Auto: e.Auto,
	}
	h.note("%s", r)
	out := h.apply(at, c)
	if _, problem := h.second.Pay(r); problem != string(out.Code) {
		h.wrong("the ledger answers %q, the second opinion %q", out.Code, problem)
	}
	if out.Code == "" {
		h.last, h.bys[r.ID] = c, h.payment(r.ID).DecideBy
	}
}

// decide confirms, cancels or refunds one of the last payments, whatever its state.
func (h *history) decide(e event) {
	n := len(h.second.Payments)
	if n == 0 {
		return
	}
	p := h.second.Payments[max(0, n-1-e.Who%4)]
	var out ledger.Outcome
	var want string
	at := federation.Region(p.VisitRegion)
	switch e.Kind {
	case "cancel":
		h.note("%s is cancelled", p.ID)
		out = h.apply(at, &ledger.Cancel{Request: h.request(), PaymentID: p.ID})
		want = h.second.GiveBack(p, "released")
	case "refund":
		captured, _ := h.second.Captured(p)
		amount := max(1, captured*(e.Part+1)/100) // also a little more
		h.note("%s of %s is to come back", secondopinion.Yuan(amount), p.ID)
		c := &ledger.CreateRefund{Request: h.request(), PaymentID: p.ID, Amount: money.Amount(amount), Reason: "returned"}
		out = h.apply(at, c)
		want = h.second.Refund(p, amount)
	default:
		amount := p.Held * e.Part / 100 // also 0, and below it
		h.note("%s of %s is confirmed", secondopinion.Yuan(amount), p.ID)
		out = h.apply(at, &ledger.Confirm{Request: h.request(), PaymentID: p.ID, Amount: money.Amount(amount)})
		want = h.second.Confirm(p, amount)
	}
	if p.Status == "expired" && want == "wrong_state" && e.Kind != "refund" {
		want = "expired" // from decide_by on
	}
	if string(out.Code) != want {
		h.wrong("the ledger answers %q, the second opinion %q", out.Code, want)
	}
}

// change is the payer's: limits, or suspend, resume and revoke.
func (h *history) change(e event) {
	g := h.second.Grants[e.Who%len(h.second.Grants)]
	home := federation.Region(h.second.Persons[g.Payer].Region)
	if e.Kind == "limits" {
		h.note("%s gives at most %s at once, %s a year", g.ID, secondopinion.Yuan(e.PerPayment), secondopinion.Yuan(e.Year))
		once, year := money.Amount(e.PerPayment), money.Amount(e.Year)
		patch := grant.Patch{PerPaymentLimit: &once, AnnualLimit: &year}
		out := h.apply(home, ledger.Patched(h.request(), g.ID, patch))
		if (out.Code != "") != h.second.Over(g) {
			h.wrong("the change is answered %+v", out)
		}
		if out.Code == "" {
			g.PerPayment, g.Annual = e.PerPayment, e.Year
		}
		return
	}
	var c ledger.Command = &ledger.RevokeGrant{Request: h.request(), GrantID: g.ID}
	next := "revoked"
	if e.Status > 0 || e.Part < 80 {
		next = []string{"suspended", "active"}[(e.Status+1)/2%2]
		s := grant.Status(next)
		c = ledger.Patched(h.request(), g.ID, grant.Patch{Status: &s})
	}
	h.note("%s is to be %s", g.ID, next)
	out := h.apply(home, c)
	if (out.Code != "") != h.second.Over(g) {
		h.wrong("the change is answered %+v", out)
	}
	switch {
	case h.second.Over(g):
	case next == "revoked":
		h.second.End(g, next)
	default:
		g.Status = next
	}
}

// insure changes a payer's insured status.
func (h *history) insure(e event) {
	s := h.payers[e.Who%len(h.payers)]
	status := []int{1, 1, 2, 4}[e.Status%4]
	h.note("%s has insured status %d", s.name, status)
	h.second.Persons[s.name].Status = status
	h.done(s.home, &ledger.SetStanding{
		Person: h.person(s.home, s), Scheme: policy.SchemeEmployee, Status: policy.InsuredStatus(status),
	})
}

// make makes a grant anew, or a second one, which is refused.
func (h *history) make(e event) {
	virtual := 0
	if e.Bill%2 == 1 {
		virtual = e.Amount
	}
	none := [2]int{secondopinion.None, secondopinion.None}
	h.makes(h.payers[e.Who%len(h.payers)], h.people[e.Who/4%2], none, virtual)
}

// reorder sets a beneficiary's order of use.
func (h *history) reorder(e event) {
	who := h.people[e.Who%2]
	var ids []string
	for _, g := range h.second.Grants {
		if g.Beneficiary == who.name && !h.second.Over(g) {
			ids = append(ids, g.ID)
		}
	}
	slices.Reverse(ids)
	ids = ids[:min(len(ids), e.Status)]
	h.note("the order of %s is %s", who.name, ids)
	h.done(fuzhou, &ledger.SetOrder{Request: h.request(), Beneficiary: h.person(fuzhou, who), Grants: ids})
	h.second.Order[who.name] = ids
}

// compare holds payments, accounts and bills against the second opinion.
func (h *history) compare() {
	for _, p := range h.second.Payments {
		got, want := shownOf(h.payment(p.ID)), h.second.Show(p).String()
		if got != want {
			h.wrong("%s\nthe ledger:         %s\nthe second opinion: %s", p.ID, got, want)
		}
		used, err := h.view(federation.Region(p.VisitRegion)).BillUsed(p.Institution, p.Bill)
		if err != nil {
			h.t.Fatal(err)
		}
		if want := h.second.UsedBill(p.Institution, p.Bill); int(used) != want {
			h.wrong("%s of %s: the ledger counts %s, the second opinion %s", p.Bill, p.Institution, used,
				secondopinion.Yuan(want))
		}
	}
	for _, s := range h.payers {
		balance, held := h.account(s)
		if want := h.second.Balance(s.name); int(balance) != want {
			h.wrong("%s has %s, the second opinion says %s", s.name, balance, secondopinion.Yuan(want))
		}
		if want := h.second.Held(s.name); int(held) != want {
			h.wrong("%s: %s are held, the second opinion says %s", s.name, held, secondopinion.Yuan(want))
		}
	}
}

// shownOf writes a payment as the second opinion writes its own.
func shownOf(p *ledger.PaymentRecord) string {
	out := secondopinion.Shown{
		Status: p.State.String(), Held: int(p.Held), Amount: int(p.Amount), Captured: int(p.CapturedSum()),
		Refunded: int(p.RefundedSum()), CashDue: int(p.CashDue()),
	}
	for i := range p.Legs {
		l := &p.Legs[i]
		if l.State == payment.LegDeclined {
			continue
		}
		out.Legs = append(out.Legs, secondopinion.LegLine(
			l.GrantID, l.State.String(), int(l.Amount), int(l.Captured), int(l.Refunded), string(l.LimitedBy)))
	}
	for _, d := range p.Declines {
		out.Declines = append(out.Declines, secondopinion.Decline{Grant: d.GrantID, Code: string(d.Code)})
	}
	return out.String()
}
