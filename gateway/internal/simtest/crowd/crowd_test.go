package crowd_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"gongji/federation"
	"gongji/federation/membus"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/internal/simtest/secondopinion"
)

var seedsFlag = flag.Int("seeds", 4, "so many crowds; every second one while the year turns")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	platforms = 9  // at a time, three in each region
	acts      = 25 // of each
	inDoubt   = 90 * time.Second
)

// crowd is a federation with a few accounts that everybody wants at once.
type crowd struct {
	*regiontest.Federation
	*watcher

	t      *testing.T
	people []regiontest.Person
	codes  []federation.Region
	grants map[string]federation.Region

	mu       sync.Mutex
	payments map[string]federation.Region
	named    map[string]int // codes that were named, in legs and declines
}

// figures are the rules of the three regions: one bites by its floor, one by its visit limit, all by their share.
func figures() map[string]*secondopinion.Region {
	return map[string]*secondopinion.Region{
		"110000": {Share: 6_000},
		"310000": {Share: 7_000, VisitLimit: map[string]int{"outpatient": 500_00}},
		"350100": {Share: 10_000, Floor: 2_000_00},
	}
}

// TestCrowd: nine platforms in three regions pay from the same accounts at the same time,
// confirm, take a part, cancel and refund; several for one bill, one visit over several bills, one payer under several
// grants. After every command in every region no limit is passed, and no more is held than is there. The second half of
// the seeds does it while the year turns.
func TestCrowd(t *testing.T) {
	t.Parallel()
	named, full := map[string]int{}, map[string]bool{}
	for seed := range uint64(max(2, *seedsFlag)) {
		synctest.Test(t, func(t *testing.T) {
			c := gather(t, seed)
			c.rush(seed)
			c.rest()
			for code, n := range c.named {
				named[code] += n
			}
			for code := range c.full {
				full[code] = true
			}
		})
	}
	for _, code := range []string{
		"balance_insufficient", "annual_quota", "retained_floor", "visit_limit", "payment_limit", "grant_annual_limit",
	} {
		if named[code] == 0 || !full[code] {
			t.Errorf("%s never bit (named %d times, met: %v): this test says nothing of it", code, named[code], full[code])
		}
	}
	t.Logf("named: %v", named)
}

// gather makes the federation; odd seeds begin ten seconds before the year ends.
func gather(t *testing.T, seed uint64) *crowd {
	t.Helper()
	if seed%2 == 1 {
		<-time.After(time.Until(time.Date(2000, 12, 31, 15, 59, 57, 0, time.UTC)))
	}
	c := &crowd{
		t: t, watcher: newWatcher(figures()), grants: map[string]federation.Region{},
		payments: map[string]federation.Region{}, named: map[string]int{},
		codes: []federation.Region{regiontest.Beijing, regiontest.Shanghai, regiontest.Fuzhou},
	}
	fed, err := regiontest.New(regiontest.Config{Watch: c.see, Rules: func(code federation.Region, r *policy.Rules) {
		f := c.rules[string(code)]
		r.AnnualShare, r.RetainedFloor = money.Share(f.Share), money.Amount(f.Floor) //nolint:gosec // ≤ 10000
		r.VisitLimits = nil
		for p, limit := range f.VisitLimit {
			v := policy.VisitLimit{Purpose: policy.Purpose(p), Limit: money.Amount(limit)}
			r.VisitLimits = append(r.VisitLimits, v)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.Federation = fed
	fed.Start(t)
	synctest.Wait()
	<-time.After(1200 * time.Millisecond) // every leader has joined its peers
	c.families()
	fed.Bus.SetFaults(membus.Faults{Delay: 20 * time.Millisecond, Drop: 0.01, Repeat: 0.05})
	return c
}

// families: three beneficiaries, and seven payers who all give to all of them.
func (c *crowd) families() {
	c.t.Helper()
	ctx := c.t.Context()
	for i := range 3 {
		b := regiontest.Resident("350100", fmt.Sprint("Beneficiary ", i), 10+i)
		c.open(b)
		c.people = append(c.people, b)
	}
	for i, x := range []struct {
		home             string
		balance, opening money.Amount
		once, year       string
	}{
		{"110000", 900_00, 10_000_00, "", ""},          // its balance
		{"350100", 2_700_00, 10_000_00, "", ""},        // its floor
		{"310000", 20_000_00, 20_000_00, "", ""},       // its visit limit
		{"110000", 50_000_00, 2_333_33, "", "350.00"},  // its quota, and a grant's year
		{"310000", 90_000_00, 9_000_00, "149.99", ""},  // a payment's limit
		{"350100", 50_000_00, 50_000_00, "80.00", "1"}, // both of a grant
		{"110000", 2_000_00, 2_000_00, "virtual", ""},  // what was held when the grants were made
	} {
		p := regiontest.Employee(x.home, fmt.Sprint("Payer ", i), 20+i, x.balance)
		p.Facts.Opening = x.opening
		c.open(p)
		for _, b := range c.people {
			home := c.Regions[federation.Region(x.home)]
			id, err := home.Grant(ctx, p, b, func(g *client.GrantRequest) {
				if g.PerPaymentLimit = x.once; x.once == "virtual" {
					g.PerPaymentLimit, g.Funding, g.Limit = "", "virtual_limit", "333.33"
				}
				if g.AnnualLimit = x.year; x.year == "1" {
					g.AnnualLimit = "1111.11"
				}
			})
			if err != nil {
				c.t.Fatal(err)
			}
			c.grants[id] = home.Code
		}
	}
	synctest.Wait()
	<-time.After(time.Second) // the beneficiaries' home has heard of all grants
}

func (c *crowd) open(p regiontest.Person) {
	c.t.Helper()
	if err := c.Regions[federation.Region(p.Region)].Open(c.t.Context(), p); err != nil {
		c.t.Fatal(err)
	}
}

// rush has all platforms act at the same time.
func (c *crowd) rush(seed uint64) {
	var all sync.WaitGroup
	for i := range platforms {
		p := &platform{crowd: c, at: c.Regions[c.codes[i%3]], rng: rand.New(rand.NewPCG(seed, uint64(i))), name: i}
		all.Go(func() {
			for range acts {
				p.act(c.t.Context())
				<-time.After(time.Duration(p.rng.IntN(80)) * time.Millisecond)
			}
		})
	}
	all.Wait()
}

// rest waits until everything has come to an end, and looks whether it has.
func (c *crowd) rest() {
	c.t.Helper()
	c.Bus.SetFaults(membus.Faults{})
	<-time.After(inDoubt)
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, at := range c.payments {
		p, err := c.Regions[at].Desk.Payment(c.t.Context(), id)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, l := range p.Legs {
			c.named[l.LimitedBy]++
		}
		for _, d := range p.Declines {
			c.named[d.Code]++
		}
		c.agrees(at, id)
	}
	c.watcher.mu.Lock()
	defer c.watcher.mu.Unlock()
	if c.wrong != "" {
		c.t.Fatalf("after %d commands: %s", c.looks, c.wrong)
	}
	if c.looks < 500 || len(c.payments) < platforms {
		c.t.Errorf("only %d payments in %d commands", len(c.payments), c.looks)
	}
}

// agrees: the payment has ended, and each leg has one hold at home with the same amounts (I-3, I-5).
func (c *crowd) agrees(at federation.Region, id string) {
	c.t.Helper()
	var p *ledger.PaymentRecord
	err := c.Regions[at].View(func(v ledger.View) error {
		var err error
		p, err = v.Payment(id)
		return err
	})
	if err != nil || p == nil || p.Open() {
		c.t.Fatalf("%s has not ended: %+v, %v", id, p, err)
	}
	for i := range p.Legs {
		l := &p.Legs[i]
		err := c.Regions[federation.Region(l.Region)].View(func(v ledger.View) error {
			h, err := v.Hold(l.HoldID)
			if err == nil && (h == nil || !h.State.Final() || h.Captured != l.Captured || h.Refunded != l.Refunded) {
				err = fmt.Errorf("the origin has %+v, the home %+v", l, h) //nolint:err113 // a test's
			}
			return err
		})
		if err != nil {
			c.t.Error(err)
		}
	}
}

// codeOf is the code of a desk's refusal.
func codeOf(err error) policy.Code {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e.Code
	}
	return policy.CodeOf(err)
}

// platform is one that acts. What it may be refused is in each act; everything else fails the test.
type platform struct {
	*crowd

	at   *regiontest.Region
	rng  *rand.Rand
	name int
	next int
	mine []string
}

func (p *platform) key() string {
	p.next++
	return fmt.Sprintf("k-%d-%d", p.name, p.next)
}

func (p *platform) act(ctx context.Context) {
	n := p.rng.IntN(10)
	if len(p.mine) == 0 {
		n = 0
	}
	switch {
	case n < 4:
		p.pay(ctx)
	case n < 7:
		p.confirm(ctx)
	case n < 8:
		p.cancel(ctx)
	default:
		p.refund(ctx)
	}
}

// pay asks for a bill that others ask for too; every third time twice at once, under two ids or under the same one.
func (p *platform) pay(ctx context.Context) {
	who := p.people[p.rng.IntN(len(p.people))]
	bill := p.rng.IntN(6)
	f := p.at.PaymentRequest(who, fmt.Sprint("visit-", p.rng.IntN(3)), fmt.Sprintf("%d.00", 400*(1+bill)))
	f.Bill.ID = fmt.Sprint("bill-", bill)
	f.Amount = fmt.Sprintf("%d.%02d", 1+p.rng.IntN(900), p.rng.IntN(100))
	partial, within := p.rng.IntN(5) > 0, 5+p.rng.IntN(40)
	f.AllowPartial, f.DecideWithinSeconds = &partial, &within
	if p.rng.IntN(4) == 0 {
		f.Confirm = client.ConfirmAuto
	}
	first := p.key()
	keys := []string{first}
	switch p.rng.IntN(6) {
	case 0:
		keys = append(keys, p.key())
	case 1:
		keys = append(keys, first)
	}
	ids := make([]string, len(keys))
	var both sync.WaitGroup
	for i, k := range keys {
		both.Go(func() {
			got, _, err := p.at.Desk.CreatePayment(ctx, regiontest.Key(k), f)
			p.allowed(err, policy.CodeAmountExceedsSelfBorne, policy.CodeRegionUnreachable, policy.CodeTimeout)
			ids[i] = got.PaymentID
		})
	}
	both.Wait()
	if len(keys) == 2 && keys[0] == keys[1] && ids[0] != ids[1] {
		p.t.Errorf("one request made %v", ids)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if id != "" {
			p.payments[id] = p.at.Code
			p.mine = append(p.mine, id)
		}
	}
}

// allowed fails the test for an error that is none of these refusals.
func (p *platform) allowed(err error, codes ...policy.Code) {
	if err == nil {
		return
	}
	for _, c := range codes {
		if codeOf(err) == c {
			return
		}
	}
	p.t.Errorf("platform %d: %v", p.name, err)
}

// one is a payment of the platform's own, mostly a young one.
func (p *platform) one() string {
	young := max(0, len(p.mine)-3)
	return p.mine[young+p.rng.IntN(len(p.mine)-young)]
}

func (p *platform) confirm(ctx context.Context) {
	id := p.one()
	var amount *money.Amount
	if p.rng.IntN(2) == 0 {
		a := money.Amount(1 + p.rng.IntN(300_00))
		amount = &a
	}
	_, _, err := p.at.Desk.Confirm(ctx, regiontest.Key(p.key()), id, amount, 5*time.Second)
	p.allowed(err, policy.CodeInvalidAmount, policy.CodeWrongState, policy.CodeExpired)
}

func (p *platform) cancel(ctx context.Context) {
	_, _, err := p.at.Desk.Cancel(ctx, regiontest.Key(p.key()), p.one())
	p.allowed(err, policy.CodeWrongState, policy.CodeExpired)
}

func (p *platform) refund(ctx context.Context) {
	f, amount := client.RefundRequest{Reason: "returned"}, money.Amount(1+p.rng.IntN(200_00))
	_, _, err := p.at.Desk.CreateRefund(ctx, regiontest.Key(p.key()), p.one(), f, amount)
	p.allowed(err, policy.CodeWrongState, policy.CodeRefundExceedsCaptured)
}
