package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
)

// offers are what the beneficiary's home offers for a payment.
func (f *fed) offers(s someone) []ledger.Offer {
	f.t.Helper()
	v := f.view(s.home)
	no, err := f.found(v, f.person(s.home, s))
	if err != nil {
		f.t.Fatal(err)
	}
	index, err := v.Index(no)
	if err != nil {
		f.t.Fatal(err)
	}
	listed, err := v.Order(no)
	if err != nil {
		f.t.Fatal(err)
	}
	entries := make([]grant.Entry, 0, len(index))
	homes := map[string]string{}
	for i := range index {
		entries = append(entries, index[i].Entry)
		homes[index[i].Entry.ID] = index[i].PayerRegion
	}
	var out []ledger.Offer
	for _, e := range grant.Arrange(listed, entries) {
		switch e.Disposition(policy.Day(f.now)) {
		case grant.Ask:
			out = append(out, ledger.Offer{GrantID: e.ID, Region: homes[e.ID]})
		case grant.Decline:
			out = append(out, ledger.Offer{GrantID: e.ID, Region: homes[e.ID], Code: policy.CodeGrantNotActive})
		case grant.PassOver:
		}
	}
	return out
}

// bill is a command that asks amount for somebody at a visit region, of a bill of its own that is just as large.
func (f *fed) bill(at federation.Region, who someone, amount string) *ledger.CreatePayment {
	f.t.Helper()
	a := yuan(f.t, amount)
	c := &ledger.CreatePayment{
		Request: f.request(), PaymentID: f.id("p", at), Beneficiary: f.person(at, who), Persons: f.bundle(who),
		Credential: "e_credential", Institution: "H" + string(at) + "00001", InstKind: "hospital",
		Purpose: policy.PurposeOutpatient, VisitDate: policy.Day(f.now), Amount: a, AllowPartial: true,
		Bill: ledger.Bill{Total: a, SelfBorne: a}, DecideWithin: 15 * time.Minute, Offers: f.offers(who),
	}
	c.Bill.ID, c.VisitID = "bill of "+c.PaymentID, "visit of "+c.PaymentID
	c.Ticket = []byte(ticketOf(c.PaymentID))
	return c
}

// pays makes a payment and lets the messages flow.
func (f *fed) pays(at federation.Region, who someone, amount string) *ledger.PaymentRecord {
	f.t.Helper()
	id := f.done(at, f.bill(at, who, amount)).ID
	f.flow()
	return f.payment(id)
}

// payment reads a payment, whose id names its region.
func (f *fed) payment(id string) *ledger.PaymentRecord {
	f.t.Helper()
	p, err := f.view(federation.Region(strings.Split(id, "-")[1])).Payment(id)
	if err != nil || p == nil {
		f.t.Fatal("no payment ", id, err)
	}
	return p
}

// hold reads the hold of a leg at its home.
func (f *fed) hold(l *payment.Leg) *ledger.HoldRecord {
	f.t.Helper()
	h, err := f.view(federation.Region(l.Region)).Hold(l.HoldID)
	if err != nil || h == nil {
		f.t.Fatal("no hold ", l.HoldID, err)
	}
	return h
}

func (f *fed) confirms(p *ledger.PaymentRecord, amount string) {
	f.t.Helper()
	f.done(regionOf(p), &ledger.Confirm{Request: f.request(), PaymentID: p.ID, Amount: yuan(f.t, amount)})
}

func (f *fed) cancels(p *ledger.PaymentRecord) {
	f.t.Helper()
	f.done(regionOf(p), &ledger.Cancel{Request: f.request(), PaymentID: p.ID})
}

func regionOf(p *ledger.PaymentRecord) federation.Region {
	return federation.Region(strings.Split(p.ID, "-")[1])
}

// account is what the book says: balance and open holds.
func (f *fed) account(s someone) (money.Amount, money.Amount) {
	f.t.Helper()
	v := f.view(s.home)
	no, err := f.found(v, f.person(s.home, s))
	if err != nil {
		f.t.Fatal(err)
	}
	a, ok, err := v.Account(no)
	if err != nil || !ok {
		f.t.Fatal("no account of ", s, err)
	}
	return a.Balance, a.Held
}

func (f *fed) wantAccount(s someone, balance, held string) {
	f.t.Helper()
	if b, h := f.account(s); b != yuan(f.t, balance) || h != yuan(f.t, held) {
		f.t.Fatalf("%s has %s with %s held, want %s with %s", s.name, b, h, balance, held)
	}
}

// shape is a payment in one line.
func shape(p *ledger.PaymentRecord) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s/%s", p.State, p.Held, p.Amount)
	for i := range p.Legs {
		l := &p.Legs[i]
		fmt.Fprintf(&b, "; %s %s %s", l.Region, l.State, l.Amount)
		if l.State == payment.LegCaptured {
			fmt.Fprintf(&b, " took %s", l.Captured)
		}
		if l.LimitedBy != "" {
			fmt.Fprintf(&b, " %s", l.LimitedBy)
		}
	}
	for _, d := range p.Declines {
		fmt.Fprintf(&b, "; -%s %s", d.Region, d.Code)
	}
	return b.String()
}

func (f *fed) want(p *ledger.PaymentRecord, line string) {
	f.t.Helper()
	if got := shape(f.payment(p.ID)); got != line {
		f.t.Fatalf("\n got %s\nwant %s", got, line)
	}
}

// family is a beneficiary in Fuzhou with payers in Beijing and Shanghai.
func family(t testing.TB) *fed {
	t.Helper()
	f := federationOf(t, beijing, shanghai, fuzhou)
	f.son = f.live("Son", beijing, employee(20000, 20000))
	f.daughter = f.live("Daughter", shanghai, employee(100000, 100000))
	f.mother = f.live("Mother", fuzhou, resident())
	f.grants(f.son, f.mother)
	f.grants(f.daughter, f.mother)
	return f
}

// kin are the son (200.00), the daughter (1000.00) and the mother of the family.
func (f *fed) kin() (someone, someone, someone) { return f.son, f.daughter, f.mother }

// TestTwoPayersInTwoRegions is the story: one bill, two accounts in two provinces, a third where the patient is at
// home.
func TestTwoPayersInTwoRegions(t *testing.T) {
	t.Parallel()
	f := family(t)
	son, daughter, mother := f.kin()
	p := f.pays(shanghai, mother, "200.00")
	f.want(p, "held 200.00/200.00; 110000 placed 120.00 annual_quota; 310000 placed 80.00")
	f.wantAccount(son, "200.00", "120.00")
	f.wantAccount(daughter, "1000.00", "80.00")
	if l := f.payment(p.ID).Legs[0]; l.Payer != "1***" || l.PayerName != "S*" {
		t.Errorf("the payer shows as %q %q", l.Payer, l.PayerName)
	}
	f.confirms(p, "200.00")
	f.flow()
	f.want(p, "captured 200.00/200.00; 110000 captured 120.00 took 120.00 annual_quota; 310000 captured 80.00 took 80.00")
	f.wantAccount(son, "80.00", "0.00")
	f.wantAccount(daughter, "920.00", "0.00")
	if f.payment(p.ID).Open() || len(f.waiting(shanghai, beijing)) != 0 {
		t.Error("something is left open")
	}
}

// TestConfirmPart: the later legs give way first; one that gives nothing is released, one that gives part frees the
// rest.
func TestConfirmPart(t *testing.T) {
	t.Parallel()
	for amount, want := range map[string]string{
		"150.00": "captured 200.00/200.00; 110000 captured 120.00 took 120.00 annual_quota; " +
			"310000 captured 80.00 took 30.00",
		"120.00": "captured 200.00/200.00; 110000 captured 120.00 took 120.00 annual_quota; 310000 released 80.00",
		"0.01":   "captured 200.00/200.00; 110000 captured 120.00 took 0.01 annual_quota; 310000 released 80.00",
	} {
		f := family(t)
		son, daughter, mother := f.kin()
		p := f.pays(fuzhou, mother, "200.00")
		f.confirms(p, amount)
		f.flow()
		f.want(p, want)
		_, heldA := f.account(son)
		_, heldB := f.account(daughter)
		if heldA != 0 || heldB != 0 {
			t.Errorf("%s: %s and %s stay held", amount, heldA, heldB)
		}
		p = f.payment(p.ID)
		if used, err := f.view(fuzhou).BillUsed(p.Institution, p.Bill.ID); err != nil || used != yuan(t, amount) {
			t.Errorf("the bill has used %s, want %s", used, amount)
		}
	}
}

// TestCancelAndExpiry give everything back, and leave nothing used.
func TestCancelAndExpiry(t *testing.T) {
	t.Parallel()
	f := family(t)
	son, daughter, mother := f.kin()
	p := f.pays(beijing, mother, "200.00")
	f.cancels(p)
	f.want(p, "releasing 200.00/200.00; 110000 released 120.00 annual_quota; 310000 releasing 80.00")
	f.flow()
	f.want(p, "released 200.00/200.00; 110000 released 120.00 annual_quota; 310000 released 80.00")
	f.refused(beijing, &ledger.Cancel{Request: f.request(), PaymentID: p.ID}, policy.CodeWrongState)

	q := f.pays(beijing, mother, "200.00") // the quota is free again
	f.want(q, "held 200.00/200.00; 110000 placed 120.00 annual_quota; 310000 placed 80.00")
	f.pass(15 * time.Minute)
	f.flow()
	f.want(q, "expired 200.00/200.00; 110000 released 120.00 annual_quota; 310000 released 80.00")
	all := &ledger.Confirm{Request: f.request(), PaymentID: q.ID, All: true}
	f.refused(beijing, all, policy.CodeExpired)
	f.refused(beijing, &ledger.Cancel{Request: f.request(), PaymentID: q.ID}, policy.CodeExpired)
	f.wantAccount(son, "200.00", "0.00")
	f.wantAccount(daughter, "1000.00", "0.00")
	err := f.view(beijing).Bills(func(_, bill string, used money.Amount) bool {
		if used != 0 {
			t.Errorf("%s still uses %s", bill, used)
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDeadlineComesFirst: a confirm whose stamp lies on decide_by is too late, although nobody had woken the payment.
func TestDeadlineComesFirst(t *testing.T) {
	t.Parallel()
	f := family(t)
	_, _, mother := f.kin()
	p := f.pays(shanghai, mother, "50.00")
	f.now = f.payment(p.ID).DecideBy.Add(-time.Microsecond)
	out := f.apply(shanghai, &ledger.Confirm{Request: f.request(), PaymentID: p.ID, All: true})
	if out.Code != policy.CodeExpired {
		t.Fatalf("%+v", out)
	}
	f.flow()
	f.want(p, "expired 50.00/50.00; 110000 released 50.00")

	q := f.pays(shanghai, mother, "50.00")
	f.now = f.payment(q.ID).DecideBy.Add(-2 * time.Microsecond)
	f.done(shanghai, &ledger.Confirm{Request: f.request(), PaymentID: q.ID, All: true})
	f.pass(time.Hour) // the citizen may leave: nothing turns the decision back
	f.flow()
	f.want(q, "captured 50.00/50.00; 110000 captured 50.00 took 50.00")
}

// TestNotEnough: without allow_partial nothing is held; with it what is there, and the rest is cash.
func TestNotEnough(t *testing.T) {
	t.Parallel()
	f := family(t)
	son, daughter, mother := f.kin()
	p := f.pays(fuzhou, mother, "900.00")
	f.want(p, "held 620.00/900.00; 110000 placed 120.00 annual_quota; 310000 placed 500.00 visit_limit")
	if got := f.payment(p.ID).CashDue(); got != yuan(t, "280.00") {
		t.Errorf("cash due %s", got)
	}
	f.cancels(p)
	f.flow()

	c := f.bill(fuzhou, mother, "900.00")
	c.AllowPartial = false
	id := f.done(fuzhou, c).ID
	f.flow()
	q := f.payment(id)
	f.want(q, "declined 0.00/900.00; 110000 released 120.00 annual_quota; 310000 released 500.00 visit_limit; "+
		"-110000 annual_quota; -310000 visit_limit")
	if q.CashDue() != q.Amount || q.Counts() != 0 {
		t.Errorf("cash due %s, counts %s", q.CashDue(), q.Counts())
	}
	f.wantAccount(son, "200.00", "0.00")
	f.wantAccount(daughter, "1000.00", "0.00")
}

// TestNotDeclinedWhileALegIsOpen: a payment that gave up a leg is declined only when that leg is known to hold nothing.
func TestNotDeclinedWhileALegIsOpen(t *testing.T) {
	t.Parallel()
	f := family(t)
	son, _, mother := f.kin()
	f.cut(fuzhou, shanghai)
	f.silent[federation.Lane{From: beijing, To: fuzhou}] = true
	c := f.bill(fuzhou, mother, "100.00")
	p := f.payment(f.done(fuzhou, c).ID)
	f.flow()
	f.wantAccount(son, "200.00", "100.00")
	f.pass(payment.LegWait)
	f.pass(payment.LegWait)
	f.want(p, "releasing 0.00/100.00; 110000 releasing 0.00; 310000 releasing 0.00; "+
		"-110000 region_unreachable; -310000 region_unreachable")
	f.pass(24 * time.Hour)
	f.flow()
	f.want(p, "releasing 0.00/100.00; 110000 releasing 0.00; 310000 releasing 0.00; "+
		"-110000 region_unreachable; -310000 region_unreachable")
	f.heal()
	f.flow()
	f.want(p, "declined 0.00/100.00; 110000 released 0.00; 310000 released 0.00; "+
		"-110000 region_unreachable; -310000 region_unreachable")
	f.wantAccount(son, "200.00", "0.00")
}

// TestNextPayerWhenARegionIsSilent: after 3 s the next one is asked, and the late hold is given back.
func TestNextPayerWhenARegionIsSilent(t *testing.T) {
	t.Parallel()
	f := family(t)
	son, daughter, mother := f.kin()
	f.cut(beijing, fuzhou)
	p := f.payment(f.done(fuzhou, f.bill(fuzhou, mother, "100.00")).ID)
	f.flow()
	f.want(p, "requested 0.00/100.00; 110000 requested 0.00")
	f.pass(payment.LegWait)
	f.flow()
	f.want(p, "held 100.00/100.00; 110000 releasing 0.00; 310000 placed 100.00; -110000 region_unreachable")
	f.confirms(p, "100.00")
	f.flow()
	f.want(p, "captured 100.00/100.00; 110000 releasing 0.00; 310000 captured 100.00 took 100.00; "+
		"-110000 region_unreachable")
	f.heal()
	f.flow()
	f.wantAccount(son, "200.00", "0.00")
	f.wantAccount(daughter, "900.00", "0.00")
	if f.payment(p.ID).Open() {
		t.Error("the given up leg stays open")
	}
}

// TestAutoConfirm takes what is held, with the last answer.
func TestAutoConfirm(t *testing.T) {
	t.Parallel()
	f := family(t)
	_, _, mother := f.kin()
	c := f.bill(beijing, mother, "130.00")
	c.AutoConfirm = true
	p := f.payment(f.done(beijing, c).ID)
	f.flow()
	f.want(p, "captured 130.00/130.00; 110000 captured 120.00 took 120.00 annual_quota; 310000 captured 10.00 took 10.00")
}

// TestRequestIDs: the same request again is the thing as it is now; another one under its id is a conflict.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	f := family(t)
	_, _, mother := f.kin()
	c := f.bill(shanghai, mother, "100.00")
	id := f.done(shanghai, c).ID
	f.flow()
	again := *c
	again.PaymentID = f.id("p", shanghai) // a leader that does not know makes another id
	if out := f.done(shanghai, &again); !out.Replay || out.ID != id {
		t.Fatalf("%+v", out)
	}
	other := again
	other.Request.Digest = hash([]byte("other"))
	f.refused(shanghai, &other, policy.CodeConflict)
	f.refused(shanghai, &ledger.Cancel{Request: other.Request, PaymentID: id}, policy.CodeConflict)
	confirm := &ledger.Confirm{Request: f.request(), PaymentID: id, All: true}
	f.done(shanghai, confirm)
	f.flow()
	if out := f.done(shanghai, confirm); !out.Replay || out.ID != id {
		t.Errorf("%+v", out)
	}
	f.refused(shanghai, &ledger.Confirm{Request: f.request(), PaymentID: id, All: true}, policy.CodeWrongState)
	f.refused(shanghai, &ledger.Cancel{Request: f.request(), PaymentID: id}, policy.CodeWrongState)
	f.refused(shanghai, &ledger.Cancel{Request: f.request(), PaymentID: "p-310000-none"}, policy.CodeNotFound)
	rec, err := f.view(shanghai).Request(c.Request.Platform, c.Request.ID)
	if err != nil || rec == nil || rec.ID != id || rec.Thing != ledger.ThingPayment {
		t.Errorf("%+v, %v", rec, err)
	}
	twin := f.bill(shanghai, mother, "1.00")
	twin.PaymentID = id
	f.refused(shanghai, twin, policy.CodeConflict)
	f.want(f.payment(id), "captured 100.00/100.00; 110000 captured 100.00 took 100.00")
}

// TestOneBillAtOnce: two payments for one bill never take more than the self-borne part, whoever comes first.
func TestOneBillAtOnce(t *testing.T) {
	t.Parallel()
	f := family(t)
	_, _, mother := f.kin()
	one := f.bill(shanghai, mother, "300.00")
	one.Bill.OwnPaid = yuan(t, "100.00")
	one.Amount = yuan(t, "150.00")
	two := *one
	two.Request, two.PaymentID = f.request(), f.id("p", shanghai)
	two.Ticket = []byte(ticketOf(two.PaymentID))
	two.Amount = yuan(t, "100.00")
	f.done(shanghai, one)
	if out := f.refused(shanghai, &two, policy.CodeAmountExceedsSelfBorne); out.Field != "/amount" {
		t.Errorf("%+v", out)
	}
	f.flow()
	f.refused(shanghai, &two, policy.CodeAmountExceedsSelfBorne)
	f.confirms(f.payment(one.PaymentID), "100.00")
	f.done(shanghai, &two) // what was held and not taken is free
	f.flow()
	f.want(f.payment(two.PaymentID), "held 100.00/100.00; 110000 placed 20.00 annual_quota; 310000 placed 80.00")
	used, err := f.view(shanghai).BillUsed(one.Institution, one.Bill.ID)
	if err != nil || used != yuan(t, "200.00") {
		t.Errorf("%s used of 200.00", used)
	}
	f.cancels(f.payment(two.PaymentID)) // and what one gives back, the other one keeps
	f.flow()
	if used, err = f.view(shanghai).BillUsed(one.Institution, one.Bill.ID); err != nil || used != yuan(t, "100.00") {
		t.Errorf("%s used of 100.00", used)
	}
	three := two
	three.Request, three.PaymentID = f.request(), f.id("p", shanghai)
	f.done(shanghai, &three)
	three.Request, three.PaymentID, three.Amount = f.request(), f.id("p", shanghai), 1
	f.refused(shanghai, &three, policy.CodeAmountExceedsSelfBorne)
	three.Institution = "H31000000002" // another institution's bill of the same number is another bill
	f.done(shanghai, &three)
}

// TestOldBills: bill records outlive request ids, so a bill that is older than these is refused (design 5).
func TestOldBills(t *testing.T) {
	t.Parallel()
	f := family(t)
	_, _, mother := f.kin()
	const bad = policy.CodeInvalidRequest
	for days, code := range map[int]policy.Code{0: "", -400: "", 1: bad, -401: bad} {
		c := f.bill(shanghai, mother, "1.00")
		c.VisitDate = c.VisitDate.AddDays(days)
		if code == "" {
			f.done(shanghai, c)
		} else if out := f.refused(shanghai, c, code); out.Field != "/visit_date" {
			t.Errorf("%+v", out)
		}
	}
}

// TestSearch finds payments by visit and by bill, oldest first, whatever their ids are.
func TestSearch(t *testing.T) {
	t.Parallel()
	f := family(t)
	_, _, mother := f.kin()
	var ids []string
	for i := range 5 {
		c := f.bill(shanghai, mother, "1.00")
		c.PaymentID, c.VisitID = fmt.Sprintf("p-310000-%d", 9-i), "visit"
		ids = append(ids, f.done(shanghai, c).ID)
	}
	c := f.bill(shanghai, mother, "1.00")
	c.VisitID = "visit 2"
	last := f.done(shanghai, c).ID
	names := func(list []*ledger.PaymentRecord, err error) []string {
		if err != nil {
			t.Error(err)
		}
		out := make([]string, 0, len(list))
		for _, p := range list {
			out = append(out, p.ID)
		}
		return out
	}
	v := f.view(shanghai)
	if got := names(v.PaymentsOf("visit", "", "", 3)); !slices.Equal(got, ids[:3]) {
		t.Error(got)
	}
	if got := names(v.PaymentsOf("visit", "", ids[2], 3)); !slices.Equal(got, ids[3:]) {
		t.Error(got)
	}
	if got := names(v.PaymentsOf("", c.Bill.ID, "", 3)); !slices.Equal(got, []string{last}) {
		t.Error(got)
	}
	if got := names(v.PaymentsOf("vis", "", "", 3)); len(got) != 0 {
		t.Error(got)
	}
}
