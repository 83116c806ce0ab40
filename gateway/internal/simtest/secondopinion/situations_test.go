package secondopinion_test

import (
	"flag"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/secondopinion"
)

// asMany has rapid try that many cases where the command line does not say otherwise.
func asMany(t *testing.T, checks int) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if f.Value.String() != f.DefValue {
		return
	}
	if err := f.Value.Set(strconv.Itoa(checks)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Value.Set(f.DefValue); err != nil {
			t.Error(err)
		}
	})
}

// TestSituations: on 100,000 random situations the pure
// domain gives what the second opinion gives: who may, how much, from whom, what is named, and what a confirm takes.
//
//nolint:paralleltest // it sets a flag of rapid
func TestSituations(t *testing.T) {
	asMany(t, 100_000)
	rapid.Check(t, func(rt *rapid.T) {
		s := situations().Draw(rt, "situation")
		got := newProgram(s.world).pay(s)
		if want := second(s); got != want {
			rt.Fatal(against(s, got, want))
		}
	})
}

// second is the second opinion on a situation; the world is as before afterwards.
func second(s situation) string {
	w := *s.world
	w.Holds = slices.Clone(w.Holds)
	w.Grants = slices.Clone(w.Grants)
	for i, g := range w.Grants {
		own := *g
		w.Grants[i] = &own
	}
	p, code := w.Pay(s.request)
	if code != "" {
		return code
	}
	line := w.Show(p).String()
	if amount := p.Held * s.confirm / 100; p.Status == "held" && amount > 0 {
		if code := w.Confirm(p, amount); code != "" {
			return line + ", then " + code
		}
		line += "\n  confirmed: " + w.Show(p).String()
	}
	return line
}

// program is the pure domain set into a situation: everything that the ledger would read for it, and no more.
type program struct {
	world *secondopinion.World
	now   time.Time
	rules map[string]*policy.Rules
	holds []*placed
}

// placed is a hold with what it counts for.
type placed struct {
	hold.Hold

	year                int
	payer, grant, visit string
}

func date(day string) policy.Date {
	if day == "" {
		return 0
	}
	d, err := policy.ParseDate(day)
	if err != nil {
		panic(err)
	}
	return d
}

func purposesOf(words []string) []policy.Purpose {
	var out []policy.Purpose
	for _, w := range words {
		out = append(out, policy.Purpose(w))
	}
	return out
}

func newProgram(w *secondopinion.World) *program {
	now, err := time.ParseInLocation("2006-01-02 15:04:05", w.Now, policy.Beijing())
	if err != nil {
		panic(err)
	}
	a := &program{world: w, now: now, rules: map[string]*policy.Rules{}}
	for code, r := range w.Regions {
		own := &policy.Rules{
			Region: code, AnnualShare: money.Share(r.Share), RetainedFloor: money.Amount(r.Floor), //nolint:gosec // ≤ 10000
			Purposes: purposesOf(r.Purposes), CarriedOver: r.CarriedOver,
		}
		for s, p := range r.ScopePurposes {
			x := policy.ScopePurposes{Scope: policy.Scope(s), Purposes: purposesOf(p)}
			own.ScopePurposes = append(own.ScopePurposes, x)
		}
		for _, p := range r.Pairs {
			x := policy.Pair{Region: p.Region, From: date(p.From), Until: date(p.Until)}
			own.Pairs = append(own.Pairs, x)
		}
		for _, x := range r.Relations {
			own.Relations = append(own.Relations, policy.Relation(x))
		}
		for p, limit := range r.VisitLimit {
			v := policy.VisitLimit{Purpose: policy.Purpose(p), Limit: money.Amount(limit)}
			own.VisitLimits = append(own.VisitLimits, v)
		}
		for p, share := range r.PurposeShare {
			s := policy.PurposeShare{Purpose: policy.Purpose(p), Share: money.Share(share)} //nolint:gosec // ≤ 10000
			own.PurposeShares = append(own.PurposeShares, s)
		}
		a.rules[code] = own
	}
	for _, h := range w.Holds {
		year, err := strconv.Atoi(h.Year)
		if err != nil {
			panic(err)
		}
		p := &placed{
			Hold: hold.Hold{State: hold.Placed, Checked: true, Amount: money.Amount(h.Amount)},
			year: year, payer: h.Payer, grant: h.Grant, visit: h.VisitRegion + "/" + h.Visit,
		}
		switch h.State {
		case "captured":
			p.State, p.Captured = hold.Captured, money.Amount(h.Captured)
		case "released":
			p.State = hold.Released
		}
		a.holds = append(a.holds, p)
	}
	return a
}

// used sums what holds count that a limit looks at.
func (a *program) used(looksAt func(*placed) bool) money.Amount {
	var sum money.Amount
	for _, h := range a.holds {
		if looksAt(h) {
			sum += h.Counts()
		}
	}
	return sum
}

func limitOf(n int) money.Amount { return money.Amount(max(n, 0)) } // none is 0 there

// entries are the grants as the beneficiary's home knows them.
func (a *program) entries() []grant.Entry {
	var out []grant.Entry
	for i, g := range a.world.Grants {
		out = append(out, grant.Entry{
			ID: g.ID, Status: grant.Status(g.Status), ValidFrom: date(g.From), ValidUntil: date(g.Until),
			CreatedAt: a.now.AddDate(-3, 0, i),
		})
	}
	return out
}

// candidates sorts the grants as look-up and origin do.
func (a *program) candidates(p *payment.Payment, r secondopinion.Request) {
	own := a.entries()
	ordered := grant.Arrange(a.world.Order[patient], own)
	if r.Named != nil {
		byID := map[string]grant.Entry{}
		for _, e := range own {
			byID[e.ID] = e
		}
		ordered = nil
		for _, id := range r.Named {
			if e, ok := byID[id]; ok {
				ordered = append(ordered, e)
			} else {
				p.Declines = append(p.Declines, payment.Decline{GrantID: id, Code: policy.CodeNotFound})
			}
		}
	}
	for _, e := range ordered {
		switch e.Disposition(policy.Day(a.now)) {
		case grant.Ask:
			p.Candidates = append(p.Candidates, payment.Candidate{GrantID: e.ID})
		case grant.Decline:
			p.Declines = append(p.Declines, payment.Decline{GrantID: e.ID, Code: policy.CodeGrantNotActive})
		case grant.PassOver:
		}
	}
}

// pay plays the origin's table against the homes' rules.
func (a *program) pay(s situation) string {
	r := s.request
	p := &payment.Payment{
		ID: "p-350100-1", Amount: money.Amount(r.Amount), AllowPartial: r.AllowPartial, DecideBy: a.now.Add(time.Hour),
	}
	a.candidates(p, r)
	for effects := p.Start(a.now); len(effects) > 0 && effects[0].Do == payment.AskHold; {
		l := &p.Legs[effects[0].Leg]
		given, by, refused := a.ask(l, r)
		if refused != "" {
			effects = p.Refused(a.now, l.HoldID, refused)
			continue
		}
		effects = p.Placed(a.now, l.HoldID, given, by)
	}
	line := a.answer(p)
	if amount := p.Held * money.Amount(s.confirm) / 100; p.State == payment.Held && amount > 0 {
		if _, code := p.Confirm(a.now, amount); code != "" {
			return line + ", then " + string(code)
		}
		for i := range p.Legs {
			switch l := &p.Legs[i]; l.State {
			case payment.LegCapturing:
				p.LegCapturedBy(l.HoldID, l.Share)
			case payment.LegReleasing:
				p.LegReleasedBy(a.now, l.HoldID, false)
			case payment.LegRequested, payment.LegPlaced, payment.LegDeclined, payment.LegCaptured, payment.LegReleased,
				payment.LegCaptureFailed:
			}
		}
		line += "\n  confirmed: " + a.answer(p)
	}
	return line
}

// ask is one payer's home.
func (a *program) ask(l *payment.Leg, r secondopinion.Request) (money.Amount, policy.Code, policy.Code) {
	var g *secondopinion.Grant
	var e grant.Entry
	for i, x := range a.entries() {
		if x.ID == l.GrantID {
			g, e = a.world.Grants[i], x
		}
	}
	payer := a.world.Persons[g.Payer]
	rules := a.rules[payer.Region]
	visited, today := a.rules[r.VisitRegion], policy.Day(a.now)
	open := payer.Region == r.VisitRegion || !a.world.Closed[secondopinion.Pair(payer.Region, r.VisitRegion)] &&
		rules.PairOpen(r.VisitRegion, today) && visited.PairOpen(payer.Region, today)
	use := policy.Use{
		GrantUsable: e.Usable(today), Scheme: policy.Scheme(payer.Scheme),
		Status: policy.InsuredStatus(payer.Status), Relation: policy.Relation(g.Relation), PairOpen: open,
		Purpose: policy.Purpose(r.Purpose), Rules: rules, Scope: policy.ScopeOf(payer.Region, r.VisitRegion),
	}
	err := policy.CheckEligible(use)
	if want := a.world.MayUse(g, r.VisitRegion, r.Purpose); string(policy.CodeOf(err)) != want {
		return 0, "", "the home says " + policy.CodeOf(err) + " and not " + policy.Code(want)
	}
	if !open { // the origin does not ask there
		return 0, "", policy.CodeRegionPairClosed
	}
	if err != nil {
		return 0, "", policy.CodeOf(err)
	}
	year, visit := policy.Year(a.now), r.VisitRegion+"/"+r.Visit
	captured := a.used(func(h *placed) bool { return h.payer == g.Payer && h.State == hold.Captured })
	d := policy.Decide(policy.Ask{
		Amount: l.Asked, Balance: money.Amount(payer.Paid) - captured,
		OpenHolds: a.used(func(h *placed) bool { return h.payer == g.Payer && h.State != hold.Captured }),
		Opening:   money.Amount(payer.Opening[a.world.Now[:4]]),
		Credited:  money.Amount(payer.Credited[a.world.Now[:4]]),
		UsedYear:  a.used(func(h *placed) bool { return h.payer == g.Payer && h.year == year }),
		UsedVisit: a.used(func(h *placed) bool { return h.payer == g.Payer && h.visit == visit }),
		UsedGrant: a.used(func(h *placed) bool { return h.grant == g.ID && h.year == year }),

		PaymentLimit: limitOf(g.PerPayment), GrantAnnualLimit: limitOf(g.Annual),
		Terms: rules.Terms(policy.Purpose(r.Purpose)),
	})
	if d.Given <= 0 {
		return 0, "", d.LimitedBy
	}
	a.holds = append(a.holds, &placed{
		Hold: hold.Hold{State: hold.Placed, Checked: true, Amount: d.Given},
		year: year, payer: g.Payer, grant: g.ID, visit: visit,
	})
	return d.Given, d.LimitedBy, ""
}

// answer writes the program's payment as the second opinion writes its own.
func (a *program) answer(p *payment.Payment) string {
	out := secondopinion.Shown{
		Status: p.State.String(), Held: int(p.Held), Amount: int(p.Amount), Captured: int(p.CapturedSum()),
		CashDue: int(p.CashDue()),
	}
	if p.State == payment.Releasing { // with nothing to wait for in the end
		out.Status = payment.Declined.String()
	}
	for i := range p.Legs {
		if l := &p.Legs[i]; l.State != payment.LegDeclined {
			out.Legs = append(out.Legs, secondopinion.LegLine(
				l.GrantID, l.State.String(), int(l.Amount), int(l.Captured), 0, string(l.LimitedBy)))
		}
	}
	for _, d := range p.Declines {
		out.Declines = append(out.Declines, secondopinion.Decline{Grant: d.GrantID, Code: string(d.Code)})
	}
	return out.String()
}
