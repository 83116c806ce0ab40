package desk_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

// clan is a random family: payers of random regions with random accounts, limits and histories.
type clan struct {
	w      *world
	rng    *rand.Rand
	child  regiontest.Person
	grants []string
}

func (w *world) clan(seed uint64) *clan {
	c := &clan{w: w, rng: rand.New(rand.NewPCG(seed, 1))}
	codes := []string{string(beijing), string(shanghai), string(fuzhou)}
	base := int(seed) * 10
	c.child = regiontest.Resident(codes[c.rng.IntN(3)], "吴小天", base)
	if c.rng.IntN(3) == 0 {
		c.child = regiontest.Employee(c.child.Region, "吴小天", base, money.Amount(c.rng.IntN(3000)))
	}
	w.open(c.child)
	for i := range 1 + c.rng.IntN(5) {
		code := codes[c.rng.IntN(3)]
		balance := money.Amount(c.rng.IntN(80_000))
		if code == string(fuzhou) && c.rng.IntN(3) > 0 {
			balance += 200_000
		}
		if c.rng.IntN(4) == 0 {
			balance += 150_000
		}
		p := regiontest.Employee(code, "吴长辈", base+i+1, balance)
		p.Facts.Opening += money.Amount(c.rng.IntN(2) * c.rng.IntN(200_000)) // some was spent this year
		w.open(p)
		id, err := w.region(code).Grant(w.t.Context(), p, c.child, c.limits)
		if err != nil {
			w.t.Fatal(err)
		}
		if c.rng.IntN(6) == 0 {
			_, _, err = w.region(code).Desk.PatchGrant(w.t.Context(), w.key(), id, client.GrantPatch{Status: "suspended"})
		}
		if err != nil {
			w.t.Fatal(err)
		}
		c.grants = append(c.grants, id)
	}
	passes(2 * time.Second)
	return c
}

func (c *clan) limits(f *client.GrantRequest) {
	if c.rng.IntN(3) == 0 {
		f.PerPaymentLimit = money.Amount(1 + c.rng.IntN(20_000)).String()
	}
	if c.rng.IntN(3) == 0 {
		f.AnnualLimit = money.Amount(1 + c.rng.IntN(30_000)).String()
	}
	if c.rng.IntN(8) == 0 {
		f.ValidFrom = policy.Day(time.Now()).AddDays(3).String()
	}
}

// request is a random payment of the child's at a region.
func (c *clan) request(r *regiontest.Region, visit string) client.PaymentRequest {
	asked := money.Amount(1 + c.rng.IntN(100_000))
	f := r.PaymentRequest(c.child, visit, asked.String())
	f.Bill.SelfBorne, f.Bill.Total = (asked + 3000).String(), (asked + 3000).String()
	f.Bill.OwnAccountPaid = "30.00"
	*f.AllowPartial = c.rng.IntN(3) > 0
	purposes := []string{"outpatient", "inpatient", "checkup", "emergency"}
	f.Purpose = purposes[c.rng.IntN(len(purposes))]
	if c.rng.IntN(4) == 0 {
		f.Grants = []string{"g-310000-unknown"}
		for _, i := range c.rng.Perm(len(c.grants)) {
			f.Grants = append(f.Grants, c.grants[i])
		}
	}
	return f
}

// figures are what a quote and a payment have in common.
func figures(p client.Payment) string {
	s := fmt.Sprintf("%s %s held %s cash %s", p.Status, p.Amount, p.Held, p.CashDue)
	for _, l := range p.Legs {
		s += fmt.Sprintf(" | %s %s %s %s %s by %q", l.GrantID, l.Region, l.Payer, l.Status, l.Amount, l.LimitedBy)
	}
	for _, d := range p.Declines {
		s += fmt.Sprintf(" | %s %s %s", d.GrantID, d.Region, d.Code)
	}
	return s
}

// TestQuoteEqualsPayment: whatever the family, the limits and what was used before, a quote says what a payment then
// does, and does nothing itself.
func TestQuoteEqualsPayment(t *testing.T) {
	t.Parallel()
	met := map[string]int{}
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		for seed := range uint64(60) {
			c := w.clan(seed)
			for i := range 5 {
				c.once(t, fmt.Sprintf("%d-%d", seed, i), met)
			}
		}
	})
	for _, code := range []string{
		"held", "declined", "grant_not_active", "not_found", "balance_insufficient", "annual_quota", "retained_floor",
		"visit_limit", "payment_limit", "grant_annual_limit", "purpose_not_open",
	} {
		if met[code] == 0 {
			t.Errorf("no case met %s: %v", code, met)
		}
	}
}

func (c *clan) once(t *testing.T, visit string, met map[string]int) {
	t.Helper()
	regions := []*regiontest.Region{c.w.bj, c.w.sh, c.w.fz}
	r := regions[c.rng.IntN(3)]
	f := c.request(r, visit)
	before := used(t, regions)
	quoted, err := r.Desk.Quote(t.Context(), f)
	if err != nil {
		t.Fatalf("%s: %v", visit, err)
	}
	if quoted.PaymentID != "" || quoted.DecideBy != "" || len(quoted.Legs) > 0 && quoted.Legs[0].HoldID != "" {
		t.Errorf("%s: a quote with ids: %+v", visit, quoted)
	}
	if after := used(t, regions); after != before {
		t.Errorf("%s: the quote did something: %s, then %s", visit, before, after)
	}
	p, _, err := r.Desk.CreatePayment(t.Context(), c.w.key(), f)
	if err != nil {
		t.Fatalf("%s: %v", visit, err)
	}
	if q, p := figures(quoted), figures(p); q != p {
		t.Errorf("%s: quoted\n%s\npaid\n%s", visit, q, p)
	}
	met[p.Status]++
	for _, l := range p.Legs {
		met[l.LimitedBy]++
	}
	for _, d := range p.Declines {
		met[d.Code]++
	}
	if p.Status == "held" && c.rng.IntN(3) > 0 {
		_, _, err = r.Desk.Confirm(t.Context(), c.w.key(), p.PaymentID, nil, 5*time.Second)
	}
	if err != nil {
		t.Error(err)
	}
	passes(time.Second)
}

// used is what the states of all regions have of payments and holds.
func used(t *testing.T, regions []*regiontest.Region) string {
	t.Helper()
	out := ""
	for _, r := range regions {
		payments, holds := 0, 0
		err := r.View(func(v ledger.View) error {
			if err := v.Payments(func(*ledger.PaymentRecord) bool { payments++; return true }); err != nil {
				return err
			}
			return v.Holds(func(*ledger.HoldRecord) bool { holds++; return true })
		})
		if err != nil {
			t.Fatal(err)
		}
		out += fmt.Sprintf(" %s:%d/%d", r.Code, payments, holds)
	}
	return out
}

// TestQuoteUnreachable: a payer's home that does not answer is declined in a quote too, and the next is asked.
func TestQuoteUnreachable(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		w.grant(payers[0], grandson)
		w.grant(payers[2], grandson)
		w.Bus.Cut(federation.Lane{From: beijing, To: shanghai})
		passes(6 * time.Second)
		quoted, err := w.sh.Desk.Quote(t.Context(), w.sh.PaymentRequest(grandson, "v", "50.00"))
		if err != nil || decline(quoted) != "held region_unreachable" {
			t.Errorf("%s, %v", decline(quoted), err)
		}
		if p := w.pay(w.sh, grandson, "50.00"); figures(p) != figures(quoted) {
			t.Errorf("quoted %s\npaid %s", figures(quoted), figures(p))
		}
	})
}
