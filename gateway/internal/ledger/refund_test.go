package ledger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/refund"
	"gongji/gateway/internal/wire/wirepb"
)

// refunding is the command of a refund.
func (f *fed) refunding(p *ledger.PaymentRecord, amount string) *ledger.CreateRefund {
	f.t.Helper()
	return &ledger.CreateRefund{
		Request: f.request(), PaymentID: p.ID, Amount: yuan(f.t, amount), Reason: "cancelled",
	}
}

// refunds gives back, lets the messages flow, and returns the refund's id.
func (f *fed) refunds(p *ledger.PaymentRecord, amount string) string {
	f.t.Helper()
	id := f.done(regionOf(p), f.refunding(p, amount)).ID
	f.flow()
	return id
}

func (f *fed) refund(id string) *ledger.RefundRecord {
	f.t.Helper()
	r, err := f.view(federation.Region(strings.Split(id, "-")[1])).Refund(id)
	if err != nil || r == nil {
		f.t.Fatal("no refund ", id, err)
	}
	return r
}

// wantRefund compares a refund in one line.
func (f *fed) wantRefund(id, line string) {
	f.t.Helper()
	r := f.refund(id)
	got := fmt.Sprintf("%s %s", r.State(), r.Amount)
	for _, l := range r.Legs {
		got += fmt.Sprintf("; %s %s %s", l.Region, l.State, l.Amount)
		if l.Code != "" {
			got += " " + string(l.Code)
		}
	}
	if got != line {
		f.t.Fatalf("\n got %s\nwant %s", got, line)
	}
}

// wantBack compares what is back of a payment and what its bill counts.
func (f *fed) wantBack(p *ledger.PaymentRecord, refunded, billed string) {
	f.t.Helper()
	p = f.payment(p.ID)
	used, err := f.view(regionOf(p)).BillUsed(p.Institution, p.Bill.ID)
	if err != nil || p.RefundedSum() != yuan(f.t, refunded) || used != yuan(f.t, billed) {
		f.t.Fatalf("%s are back, want %s; the bill counts %s, want %s; %v", p.RefundedSum(), refunded, used, billed, err)
	}
}

// captures pays with both payers of the family: the son 120.00, the daughter 80.00.
func (f *fed) captures() *ledger.PaymentRecord {
	f.t.Helper()
	p := f.pays(shanghai, f.mother, "200.00")
	f.confirms(p, "200.00")
	f.flow()
	f.wantAccount(f.son, "80.00", "0.00")
	f.wantAccount(f.daughter, "920.00", "0.00")
	return p
}

// TestRefundLastUsedFirst: partial and repeated, over two payers in two regions, the last used one first, never
// beyond what was captured; the cash due stays, the bill's count falls.
func TestRefundLastUsedFirst(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.captures()
	id := f.refunds(p, "30.00")
	f.wantRefund(id, "done 30.00; 310000 done 30.00")
	f.wantAccount(f.daughter, "950.00", "0.00")
	id = f.refunds(p, "60.00")
	f.wantRefund(id, "done 60.00; 310000 done 50.00; 110000 done 10.00")
	f.wantAccount(f.daughter, "1000.00", "0.00")
	f.wantAccount(f.son, "90.00", "0.00")
	f.wantBack(p, "90.00", "110.00")
	out := f.refused(shanghai, f.refunding(p, "110.01"), policy.CodeRefundExceedsCaptured)
	if out.Field != "/amount" {
		t.Errorf("%+v", out)
	}
	f.refunds(p, "110.00")
	f.wantAccount(f.son, "200.00", "0.00")
	f.wantBack(p, "200.00", "0.00")
	f.refused(shanghai, f.refunding(p, "0.01"), policy.CodeRefundExceedsCaptured)
	if p = f.payment(p.ID); p.CashDue() != 0 || p.State != payment.Captured || p.Refunds != 3 {
		t.Errorf("%s due, %s, %d refunds", p.CashDue(), p.State, p.Refunds)
	}
	list, err := f.view(shanghai).RefundsOf(p)
	if err != nil || len(list) != 3 || list[0].Amount != 3000 || list[2].Amount != 11000 {
		t.Errorf("%d refunds, %v", len(list), err)
	}
}

// TestRefundIsIdempotent: the same request is the same refund, another content a conflict; a message that comes
// again gives nothing twice.
func TestRefundIsIdempotent(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.captures()
	c := f.refunding(p, "100.00")
	id := f.done(shanghai, c).ID
	if out := f.done(shanghai, c); !out.Replay || out.ID != id {
		t.Errorf("%+v", out)
	}
	other := *c
	other.Request.Digest = hash([]byte("other"))
	f.refused(shanghai, &other, policy.CodeConflict)
	f.flow()
	for range 3 {
		for _, l := range f.refund(id).Legs {
			f.tells(shanghai, federation.Region(l.Region), refundMessage(id, l.HoldID, p.ID, l.Amount), nil)
		}
		f.flow()
	}
	f.wantAccount(f.daughter, "1000.00", "0.00")
	f.wantAccount(f.son, "100.00", "0.00")
	f.wantBack(p, "100.00", "100.00")
	again := f.refunding(p, "100.00")
	again.Request = c.Request
	if out := f.done(shanghai, again); !out.Replay {
		t.Errorf("%+v", out)
	}
}

func refundMessage(id, holdID, paymentID string, amount money.Amount) *wirepb.Body {
	return &wirepb.Body{Kind: &wirepb.Body_Refund{Refund: &wirepb.Refund{
		RefundId: id, HoldId: holdID, PaymentId: paymentID, Amount: amount.Fen(),
	}}}
}

// TestRefundNeedsACapture: in any other state it is the wrong one; an unknown payment is not found.
func TestRefundNeedsACapture(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.pays(shanghai, f.mother, "200.00")
	f.refused(shanghai, f.refunding(p, "1.00"), policy.CodeWrongState)
	f.confirms(p, "200.00")
	f.refused(shanghai, f.refunding(p, "1.00"), policy.CodeWrongState) // capturing
	f.flow()
	zero := f.refunding(p, "1.00")
	zero.Amount = 0
	f.refused(shanghai, zero, policy.CodeInvalidAmount)
	unknown := f.refunding(p, "1.00")
	unknown.PaymentID = "p-310000-none"
	f.refused(shanghai, unknown, policy.CodeNotFound)
	other := f.pays(shanghai, f.mother, "10.00")
	f.cancels(other)
	f.flow()
	f.refused(shanghai, f.refunding(other, "1.00"), policy.CodeWrongState)
}

// TestRequestedCounts: what is under way counts against what is left, and no longer when it has failed; the home
// that cannot be reached is named.
func TestRequestedCounts(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.captures()
	f.cut(shanghai, beijing)
	id := f.refunds(p, "150.00")
	f.wantRefund(id, "requested 150.00; 310000 done 80.00; 110000 requested 70.00")
	f.refused(shanghai, f.refunding(p, "50.01"), policy.CodeRefundExceedsCaptured)
	f.pass(refund.ResendFirst)
	f.wantRefund(id, "requested 150.00; 310000 done 80.00; 110000 requested 70.00 region_unreachable")
	f.wantBack(p, "80.00", "120.00") // what is requested is not back
	if n := len(f.waiting(shanghai, beijing)); n != 2 {
		t.Errorf("%d messages wait", n)
	}
	f.heal()
	f.flow()
	f.wantRefund(id, "done 150.00; 310000 done 80.00; 110000 done 70.00")
	f.wantAccount(f.son, "150.00", "0.00")
	err := f.view(shanghai).Open(ledger.Opened{Refunds: func(r *ledger.RefundRecord) bool {
		t.Errorf("%s is open", r.ID)
		return true
	}})
	if err != nil {
		t.Error(err)
	}
}

// TestRefundAfterTheGrant: also when the grant was revoked, the payer is suspended, the pair was closed and the
// directory has expired.
func TestRefundAfterTheGrant(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.captures()
	for _, o := range f.offers(f.mother) {
		f.done(federation.Region(o.Region), &ledger.RevokeGrant{Request: f.request(), GrantID: o.GrantID})
	}
	f.standing(f.son, policy.SchemeEmployee, policy.StatusSuspended)
	f.directory(func(d *federation.DirectoryData) { d.Pairs = nil })
	f.now = begins.AddDate(3, 1, 0)
	id := f.refunds(p, "200.00")
	f.wantRefund(id, "done 200.00; 310000 done 80.00; 110000 done 120.00")
	f.wantAccount(f.son, "200.00", "0.00")
}

// TestClosedAccount: the leg of a closed account fails with that reason, what came back stays, and what failed
// can be asked for again.
func TestClosedAccount(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.captures()
	f.standing(f.son, policy.SchemeEmployee, policy.StatusTerminated)
	id := f.refunds(p, "200.00")
	f.wantRefund(id, "failed 200.00; 310000 done 80.00; 110000 failed 120.00 account_closed")
	if r := f.refund(id); r.Code() != policy.CodeAccountClosed || r.Back() != 8000 {
		t.Errorf("%s, %s back", r.Code(), r.Back())
	}
	f.wantBack(p, "80.00", "120.00")
	f.refused(shanghai, f.refunding(p, "120.01"), policy.CodeRefundExceedsCaptured)
	f.standing(f.son, policy.SchemeEmployee, policy.StatusNormal)
	id = f.refunds(p, "120.00")
	f.wantRefund(id, "done 120.00; 110000 done 120.00")
	f.wantAccount(f.son, "200.00", "0.00")
}

// TestRefundGivesLimitsBack: to the year of the hold, its visit and its grant, also in the year after.
func TestRefundGivesLimitsBack(t *testing.T) {
	t.Parallel()
	f := family(t)
	f.now = time.Date(2026, 12, 31, 15, 59, 50, 0, time.UTC) // 23:59:50 in Beijing
	p := f.captures()                                        // the son's quota of the year is used up
	f.want(f.pays(shanghai, f.mother, "100.00"),
		"held 100.00/100.00; 110000 declined 0.00; 310000 placed 100.00; -110000 annual_quota")
	f.refunds(p, "130.00") // 80.00 of the daughter, 50.00 of the son
	q := f.pays(shanghai, f.mother, "60.00")
	f.want(q, "held 60.00/60.00; 110000 placed 50.00 annual_quota; 310000 placed 10.00")
	f.cancels(q)
	f.flow()
	f.now = time.Date(2026, 12, 31, 16, 0, 10, 0, time.UTC) // 2027
	f.refunds(p, "70.00")
	h := f.hold(&f.payment(p.ID).Legs[0])
	if h.Year != 2026 || h.Refunded != 12000 || h.Counts() != 0 || h.Counted != 0 {
		t.Errorf("year %d, %s back, %s count", h.Year, h.Refunded, h.Counts())
	}
	// The new year's quota is ⌊0.60 × 200.00⌋ of what the account had before the refund and has now: nothing of 2026
	// counts in it.
	f.want(f.pays(shanghai, f.mother, "300.00"),
		"held 300.00/300.00; 110000 placed 78.00 annual_quota; 310000 placed 222.00")
}

// TestOwnRegionRefunds: payer's home and visit region the same: done in one entry, with no message.
func TestOwnRegionRefunds(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.pays(beijing, f.mother, "100.00")
	f.confirms(p, "100.00")
	f.flow()
	id := f.done(beijing, f.refunding(p, "40.00")).ID
	f.wantRefund(id, "done 40.00; 110000 done 40.00")
	f.wantAccount(f.son, "140.00", "0.00")
}

// TestRefundsAreBounded: so many for one payment, failed ones included.
func TestRefundsAreBounded(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.captures()
	for range refund.Max {
		f.done(shanghai, f.refunding(p, "0.01"))
	}
	f.flow()
	f.refused(shanghai, f.refunding(p, "0.01"), policy.CodeWrongState)
	f.wantBack(p, "2.56", "197.44")
}

// TestHostileRefunds: whatever an origin or a home says, no more than was captured goes back, and nobody
// speaks of another's hold or refund.
func TestHostileRefunds(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.captures()
	l := f.payment(p.ID).Legs[0] // the son's, at Beijing
	bad := func(id, holdID, paymentID string, amount money.Amount) {
		t.Helper()
		f.say(shanghai, beijing, refundMessage(id, holdID, paymentID, amount), nil)
	}
	bad(refund.ID(p.ID, 101), l.HoldID, p.ID, l.Captured+1)
	bad(refund.ID(p.ID, 102), l.HoldID, p.ID, 0)
	bad(refund.ID(p.ID, 103), l.HoldID, p.ID, -5)
	bad(refund.ID(p.ID, 104), l.HoldID, "p-310000-other", 5)
	bad(refund.ID("p-310000-other", 4), l.HoldID, "p-310000-other", 5)
	bad("r-310000-1", l.HoldID, p.ID, 5)
	bad("x", l.HoldID, p.ID, 5)
	bad(refund.ID(p.ID, 5), "h-310000-none-1", p.ID, 5)
	f.say(fuzhou, beijing, refundMessage(refund.ID(p.ID, 106), l.HoldID, p.ID, 5), nil)
	f.wantAccount(f.son, "80.00", "0.00")
	if h := f.hold(&l); h.Refunded != 0 || h.Refunding != 0 {
		t.Fatalf("%+v", h.Hold)
	}
	// Two that are each within, and together beyond.
	bad(refund.ID(p.ID, 107), l.HoldID, p.ID, 7000)
	bad(refund.ID(p.ID, 108), l.HoldID, p.ID, 5001)
	f.wantAccount(f.son, "150.00", "0.00")
	bad(refund.ID(p.ID, 107), l.HoldID, p.ID, 5000) // the same act with another amount: what stands
	f.wantAccount(f.son, "150.00", "0.00")

	id := f.done(shanghai, f.refunding(p, "10.00")).ID // the daughter's, in Shanghai itself: done at once
	f.wantRefund(id, "done 10.00; 310000 done 10.00")
	f.cut(shanghai, beijing)
	id = f.done(shanghai, f.refunding(p, "100.00")).ID
	answer := func(from federation.Region, refundID, holdID, state string) {
		t.Helper()
		f.say(from, shanghai, &wirepb.Body{Kind: &wirepb.Body_RefundAnswer{RefundAnswer: &wirepb.RefundAnswer{
			RefundId: refundID, HoldId: holdID, State: state,
		}}}, nil)
	}
	answer(fuzhou, id, l.HoldID, "done") // not its leg
	answer(beijing, id, f.refund(id).Legs[0].HoldID, "failed")
	answer(beijing, id, l.HoldID, "perhaps")
	answer(beijing, refund.ID(p.ID, 200), l.HoldID, "done")
	f.wantRefund(id, "requested 100.00; 310000 done 70.00; 110000 requested 30.00")
}

// TestRefundOfAHoldThatIsNotCaptured is answered as failed, and remembered.
func TestRefundOfAHoldThatIsNotCaptured(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.pays(shanghai, f.mother, "100.00")
	l := f.payment(p.ID).Legs[0]
	f.say(shanghai, beijing, refundMessage(refund.ID(p.ID, 1), l.HoldID, p.ID, 100), nil)
	f.flow()
	f.confirms(p, "100.00")
	f.flow()
	f.wantHold(&l, hold.Captured)
	f.say(shanghai, beijing, refundMessage(refund.ID(p.ID, 1), l.HoldID, p.ID, 100), nil)
	f.flow()
	f.wantAccount(f.son, "100.00", "0.00")
	list, err := f.view(beijing).ReturnsOf(l.HoldID)
	if err != nil || len(list) != 1 || list[0].State != refund.ReturnFailed {
		t.Errorf("%v, %v", list, err)
	}
}
