package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"gongji/adapters"
	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// world is a federation under random events. Shanghai's money is kept by a core outside.
type world struct {
	*fed
	rng      *rand.Rand
	payers   []someone
	people   []someone // beneficiaries
	payments []string
	core     map[string]*coreAccount // of Shanghai, by hold
	budget   map[string]*money.Amount
}

// coreAccount is what the core outside knows of one hold.
type coreAccount struct {
	held, captured money.Amount
	dead           bool
	returns        map[string]money.Amount // what was given back, by refund; 0: refused, and remembered
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{
		fed: federationOf(t, beijing, "core:"+shanghai, fuzhou), rng: rand.New(rand.NewPCG(seed, 7)),
		core: map[string]*coreAccount{}, budget: map[string]*money.Amount{},
	}
	for i := range 4 {
		w.people = append(w.people, w.live(fmt.Sprintf("Beneficiary %d", i), fuzhou, resident()))
	}
	for i, home := range []federation.Region{beijing, shanghai, fuzhou, beijing, shanghai} {
		facts := employee(money.Amount(30000+w.rng.IntN(300000)), 400000)
		s := someone{fmt.Sprintf("11010119900000%03dX", i), "Payer", home}
		if home == shanghai {
			w.budget[s.number] = &facts.Balance
		} else {
			s = w.live("Payer", home, facts)
		}
		w.payers = append(w.payers, s)
		for _, b := range w.people {
			c := w.granting(s, b, w.terms(home))
			if w.rng.IntN(2) == 0 {
				c.Terms.PerPaymentLimit = money.Amount(1000 + w.rng.IntN(9000))
			}
			if home == shanghai {
				c.PayerFacts = &facts
			}
			w.done(home, c)
		}
	}
	w.flow()
	return w
}

// step is one random thing. Outcomes may be refusals: what counts is what holds afterwards.
func (w *world) step() {
	switch n := w.rng.IntN(40); {
	case n < 6:
		w.create()
	case n < 11 && len(w.payments) > 0: // mostly a young one
		recent := max(0, len(w.payments)-6)
		w.decide(w.payments[recent+w.rng.IntN(len(w.payments)-recent)])
	case n < 13:
		w.now = w.now.Add(time.Duration(w.rng.IntN(int(2 * time.Second))).Truncate(time.Microsecond))
	case n == 13 && w.rng.IntN(4) == 0:
		w.pass(time.Duration(w.rng.IntN(300)) * time.Second)
	case n == 14:
		a, b := w.order[w.rng.IntN(3)], w.order[w.rng.IntN(3)]
		if a != b {
			w.cut(a, b)
		}
	case n < 18:
		w.heal()
	case n < 24:
		w.answer()
	case n == 24 && w.rng.IntN(4) == 0:
		w.changeGrant()
	case n < 28 && len(w.payments) > 0:
		w.giveBack()
	default:
		w.carryOne()
		w.carryOne()
	}
}

func (w *world) create() {
	at := w.order[w.rng.IntN(3)]
	c := w.bill(at, w.people[w.rng.IntN(len(w.people))], "1.00")
	c.Bill.SelfBorne = money.Amount(100 + w.rng.IntN(60000))
	c.Amount = c.Bill.SelfBorne - money.Amount(w.rng.IntN(100))
	c.AllowPartial, c.AutoConfirm = w.rng.IntN(4) > 0, w.rng.IntN(3) == 0
	c.DecideWithin = time.Duration(5+w.rng.IntN(600)) * time.Second
	c.VisitID = fmt.Sprintf("visit %d", w.rng.IntN(5))
	c.Bill.ID = fmt.Sprintf("bill %d", w.rng.IntN(40))
	if out := w.apply(at, c); out.Code == "" {
		w.payments = append(w.payments, out.ID)
	} else if out.Code != policy.CodeAmountExceedsSelfBorne {
		w.t.Fatalf("%+v", out)
	}
}

func (w *world) decide(id string) {
	p := w.payment(id)
	var c ledger.Command = &ledger.Cancel{Request: w.request(), PaymentID: id}
	switch w.rng.IntN(6) {
	case 0, 1, 2:
		c = &ledger.Confirm{Request: w.request(), PaymentID: id, All: true}
	case 3, 4:
		c = &ledger.Confirm{Request: w.request(), PaymentID: id, Amount: 1 + money.Amount(w.rng.Int64N(int64(p.Amount)))}
	}
	w.apply(regionOf(p), c)
}

func (w *world) changeGrant() {
	s := w.payers[w.rng.IntN(len(w.payers))]
	list, err := w.view(s.home).GrantsOfPayer(w.number(s.home, s), 100)
	if err != nil {
		w.t.Fatal(err)
	}
	status := []grant.Status{grant.StatusActive, grant.StatusSuspended}[w.rng.IntN(2)]
	w.apply(s.home, ledger.Patched(w.request(), list[w.rng.IntN(len(list))].ID, grant.Patch{Status: &status}))
}

// carryOne carries one lane, sometimes only a part of it, or what was carried before.
func (w *world) carryOne() {
	a, b := w.order[w.rng.IntN(3)], w.order[w.rng.IntN(3)]
	if a == b || w.silent[federation.Lane{From: a, To: b}] {
		return
	}
	p := w.parcel(a, b)
	if n := len(p.Messages); n > 0 && w.rng.IntN(3) == 0 {
		from := w.rng.IntN(n)
		p.Messages = p.Messages[from : from+w.rng.IntN(n-from+1)]
	}
	d := &ledger.Deliver{Peer: a, Parcels: []ledger.Parcel{p}}
	w.done(b, d)
	if w.rng.IntN(4) == 0 {
		w.done(b, d)
	}
}

// answer has the core carry out one call that is under way, and sometimes loses or repeats what it says.
func (w *world) answer() {
	calls := w.view(shanghai).Calls()
	if len(calls) == 0 {
		return
	}
	id := calls[w.rng.IntN(len(calls))]
	var c ledger.Command
	if r, err := w.view(shanghai).Return(id); err != nil {
		w.t.Fatal(err)
	} else if r != nil {
		c = w.carryBack(r)
	} else {
		h, err := w.view(shanghai).Hold(id)
		if err != nil {
			w.t.Fatal(err)
		}
		c = w.carryOut(h)
	}
	if w.rng.IntN(5) == 0 {
		return // lost: it is called again
	}
	w.done(shanghai, c)
	if w.rng.IntN(5) == 0 {
		w.done(shanghai, c)
	}
}

func (w *world) carryOut(h *ledger.HoldRecord) *ledger.CoreResult {
	c := &ledger.CoreResult{HoldID: h.ID, Call: h.Calls()}
	k := w.core[h.ID]
	if k == nil {
		k = &coreAccount{returns: map[string]money.Amount{}}
		w.core[h.ID] = k
	}
	p, err := w.view(shanghai).Person(h.Account)
	if err != nil {
		w.t.Fatal(err)
	}
	balance := w.budget[parsePerson(w.t, p.Sealed).number]
	switch c.Call {
	case hold.CallPerson:
		c.Facts = employee(*balance, 400000)
	case hold.CallHold:
		if k.held == 0 && !k.dead {
			if k.held = h.Amount; w.rng.IntN(5) == 0 {
				k.held, k.dead = 0, true
			}
		}
		if c.Amount = k.held; k.dead {
			c.Amount, c.Refused = 0, string(adapters.ReasonBalance)
		}
	case hold.CallCapture:
		switch {
		case k.captured > 0:
		case k.dead || w.rng.IntN(6) == 0:
			c.Refused = string(adapters.ReasonStatus)
		default:
			k.captured = h.Take
			*balance -= h.Take
		}
	case hold.CallRelease:
		if k.captured > 0 {
			c.Refused, c.Amount = string(adapters.ReasonCaptured), k.captured
		}
		k.dead = k.captured == 0
	case hold.TellAnswer, hold.TellOutcome, hold.TellForced, hold.AskOrigin, hold.Free:
	}
	return c
}

// settle ends the faults and lets everything come to an end (I-5).
func (w *world) settle() {
	w.t.Helper()
	w.heal()
	for range 60 {
		w.flow()
		for range 40 {
			w.answer()
		}
		w.pass(2 * time.Minute)
		open := len(w.view(shanghai).Calls())
		for _, id := range w.payments {
			p := w.payment(id)
			if p.Open() {
				open++
			}
			for i := range p.Legs {
				if p.Legs[i].Refunding != 0 {
					open++
				}
			}
		}
		if open == 0 {
			w.flow()
			return
		}
	}
	w.t.Fatal("it does not come to an end")
}

// TestRandomWorlds: whatever happens on the way, everything ends, the books agree, and no replica is another's.
func TestRandomWorlds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for range 700 {
				w.step()
			}
			w.settle()
			w.legsAgree()
			w.booksAgree()
			w.billsAgree()
			w.refundsAgree()
			if len(w.payments) < 30 {
				t.Errorf("only %d payments", len(w.payments))
			}
		})
	}
}

// legsAgree: each leg has exactly one hold at its home, with the same amount and outcome (I-3), and captured ≤
// confirmed ≤ held ≤ amount (I-4).
func (w *world) legsAgree() {
	w.t.Helper()
	legs := map[string]bool{}
	for _, id := range w.payments {
		p := w.payment(id)
		if p.CapturedSum() > p.Confirmed || p.Confirmed > p.Held || p.Held > p.Amount || !p.State.Final() {
			w.t.Errorf("%s", shape(p))
		}
		for i := range p.Legs {
			l := &p.Legs[i]
			legs[l.HoldID] = true
			h := w.hold(l)
			if h.Captured != l.Captured || !h.State.Final() || l.Amount > 0 && h.Amount != l.Amount {
				w.t.Errorf("the origin has %+v, the home %+v", l, h)
			}
		}
	}
	for _, r := range w.order {
		err := w.view(r).Holds(func(h *ledger.HoldRecord) bool {
			if !legs[h.ID] {
				w.t.Errorf("%s has a hold of nobody: %+v", r, h)
			}
			return true
		})
		if err != nil {
			w.t.Error(err)
		}
	}
}

// booksAgree: the balance is the opening less what was captured and is not back, nothing is held, and the year's quota
// was kept (I-1, I-2, I-7).
func (w *world) booksAgree() {
	w.t.Helper()
	taken := map[string]money.Amount{}
	for _, r := range w.order {
		err := w.view(r).Holds(func(h *ledger.HoldRecord) bool {
			taken[h.Account] += h.Captured - h.Refunded
			return true
		})
		if err != nil {
			w.t.Error(err)
		}
	}
	share := map[federation.Region]int64{beijing: 60, shanghai: 70, fuzhou: 70}
	for _, s := range w.payers {
		no := w.number(s.home, s)
		if taken[no].Fen()*100 > 400000*share[s.home] {
			w.t.Errorf("%s of the quota of %s were taken", taken[no], s.home)
		}
	}
	for _, r := range []federation.Region{beijing, fuzhou} {
		err := w.view(r).Accounts(func(no string, a adapters.Account, opening money.Amount) error {
			if opening.Fen()-taken[no].Fen() != a.Balance || a.Held != 0 {
				w.t.Errorf("%s opened with %s, %s was taken, and it has %+v", no, opening, taken[no], a)
			}
			var left int64
			err := w.view(r).Movements(no, func(m adapters.Movement) bool { left = m.Balance; return true })
			if err == nil && left != a.Balance {
				w.t.Errorf("%s: the movements end at %d, the account has %d", no, left, a.Balance)
			}
			return err
		})
		if err != nil {
			w.t.Error(err)
		}
	}
	for id, k := range w.core {
		if k.held > 0 && k.captured == 0 && !k.dead {
			w.t.Errorf("the core holds %s of %s for ever", k.held, id)
		}
	}
}

// billsAgree: what a bill counts is what its payments took, and within the self-borne part.
func (w *world) billsAgree() {
	w.t.Helper()
	for _, r := range w.order {
		used := map[[2]string]money.Amount{}
		err := w.view(r).Payments(func(p *ledger.PaymentRecord) bool {
			key := [2]string{p.Institution, p.Bill.ID}
			if used[key] += p.CapturedSum() - p.RefundedSum(); p.Counted != p.CapturedSum()-p.RefundedSum() {
				w.t.Errorf("%s counts %s", shape(p), p.Counted)
			}
			return true
		})
		if err != nil {
			w.t.Error(err)
		}
		err = w.view(r).Bills(func(institution, bill string, sum money.Amount) bool {
			if used[[2]string{institution, bill}] != sum {
				w.t.Errorf("%s of %s uses %s, its payments %s", bill, institution, sum, used[[2]string{institution, bill}])
			}
			return true
		})
		if err != nil {
			w.t.Error(err)
		}
	}
}
