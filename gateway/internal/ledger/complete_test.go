package ledger_test

import (
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
)

// emergency asks 100.00 in Shanghai for an emergency whose visit was some days ago.
func (f *fed) emergency(who someone, days int) *ledger.CreatePayment {
	f.t.Helper()
	c := f.bill(shanghai, who, "100.00")
	c.Purpose, c.VisitDate = policy.PurposeEmergency, policy.Day(f.now).AddDays(-days)
	return c
}

// completing is the command that completes a payment with the grants of now.
func (f *fed) completing(p *ledger.PaymentRecord, who someone) *ledger.Complete {
	f.t.Helper()
	beneficiary := f.person(federation.Region(p.ID[2:8]), who)
	return &ledger.Complete{
		Beneficiary: &beneficiary,
		Request:     f.request(), PaymentID: p.ID, DecideWithin: 15 * time.Minute, Offers: f.offers(who),
		Ticket: []byte(ticketOf(p.ID)),
	}
}

// TestEmergencyIsCompleted: a declined emergency is completed by a grant made afterwards, in two phases, and
// what the hold requests need is kept until then and no longer.
func TestEmergencyIsCompleted(t *testing.T) {
	t.Parallel()
	f := family(t)
	patient := f.live("patient", fuzhou, resident())
	p := f.payment(f.done(shanghai, f.emergency(patient, 3)).ID)
	until := policy.Day(f.now).AddDays(-3 + 14 + 1).Start()
	if p.State != payment.Declined || !p.CompletableUntil().Equal(until) || len(p.Persons.Sealed) == 0 || p.Ticket != nil {
		t.Fatalf("%+v", p)
	}
	f.pass(24 * time.Hour)
	f.grants(f.son, patient)
	c := f.completing(p, patient)
	f.done(shanghai, c)
	f.flow()
	p = f.payment(p.ID)
	if p.State != payment.Held || p.Held != 10000 || len(p.Legs) != 1 || !p.CompletableUntil().IsZero() ||
		len(p.Persons.Sealed) != 0 || !p.DecideBy.After(f.now) {
		t.Fatalf("%+v", p)
	}
	if out := f.done(shanghai, c); !out.Replay || out.ID != p.ID {
		t.Fatalf("a repeat: %+v", out)
	}
	f.refused(shanghai, f.completing(p, patient), policy.CodeWrongState)
	f.confirms(p, "100.00")
	f.flow()
	f.wantAccount(f.son, "100.00", "0.00")
	if used, err := f.view(shanghai).BillUsed(p.Institution, p.Bill.ID); err != nil || used != 10000 {
		t.Fatal(used, err)
	}
}

// TestCompletedAfterAnotherAttempt: what was held on the way to the decline was released for good, its hold ids
// are not used again, and each leg has its one hold.
func TestCompletedAfterAnotherAttempt(t *testing.T) {
	t.Parallel()
	f := family(t)
	patient := f.live("patient", fuzhou, resident())
	poor := f.live("poor", beijing, employee(yuan(t, "50.00"), yuan(t, "1000.00")))
	f.grants(poor, patient)
	bill := f.emergency(patient, 0)
	bill.AllowPartial = false
	id := f.done(shanghai, bill).ID
	f.flow()
	p := f.payment(id)
	if p.State != payment.Declined || len(p.Legs) != 1 || p.Legs[0].State != payment.LegReleased {
		t.Fatalf("%+v", p)
	}
	f.grants(f.son, patient)
	f.done(shanghai, f.completing(p, patient))
	f.flow()
	p = f.payment(id)
	if p.State != payment.Held || len(p.Legs) != 3 || !p.Legs[0].Earlier || p.Legs[1].Earlier || len(p.Declines) != 0 ||
		p.Legs[1].HoldID != payment.HoldID(id, 2) || p.Legs[1].Amount != 5000 || p.Legs[2].Amount != 5000 {
		t.Fatalf("%+v", p)
	}
	f.confirms(p, "100.00")
	f.flow()
	p = f.payment(id)
	for i := range p.Legs {
		l := &p.Legs[i]
		h := f.hold(l)
		if h.State.String() != l.State.String() || h.Amount != l.Amount || h.Captured != l.Captured {
			t.Errorf("leg %d: %+v, its hold %+v", i, l, h)
		}
	}
	if p.State != payment.Captured || p.CapturedSum() != 10000 {
		t.Fatalf("%+v", p)
	}
}

// TestCompletionRefused: only a declined emergency inside its window, once for each bill.
func TestCompletionRefused(t *testing.T) {
	t.Parallel()
	f := family(t)
	patient := f.live("patient", fuzhou, resident())
	declined := func(c *ledger.CreatePayment) *ledger.PaymentRecord { return f.payment(f.done(shanghai, c).ID) }
	outpatient := declined(f.bill(shanghai, patient, "100.00"))
	late := declined(f.emergency(patient, 15))
	last := declined(f.emergency(patient, 14))
	next := declined(f.emergency(patient, 13))
	if !late.CompletableUntil().IsZero() || len(late.Persons.Sealed) != 0 || last.CompletableUntil().IsZero() {
		t.Fatalf("%+v %+v", late, last)
	}
	f.refused(shanghai, &ledger.Complete{Request: f.request(), PaymentID: "p-310000-none"}, policy.CodeNotFound)
	f.refused(shanghai, f.completing(outpatient, patient), policy.CodeWrongState)
	f.refused(shanghai, f.completing(late, patient), policy.CodeExpired)
	large := f.completing(last, patient)
	large.Ticket = make([]byte, 1<<20)
	f.refused(shanghai, large, policy.CodeRegionUnreachable)

	f.grants(f.son, patient)
	other := f.emergency(patient, 0)
	other.Bill = last.Bill
	f.done(shanghai, other)
	f.flow()
	f.refused(shanghai, f.completing(last, patient), policy.CodeAmountExceedsSelfBorne)
	c := f.completing(next, patient)
	c.Request.ID = other.Request.ID
	f.refused(shanghai, c, policy.CodeConflict)

	f.pass(last.CompleteBy.Sub(f.now))
	if p := f.payment(last.ID); !p.Lapsed || len(p.Persons.Sealed) != 0 || p.Due != (time.Time{}) {
		t.Fatalf("the window has closed: %+v", p)
	}
	f.refused(shanghai, f.completing(last, patient), policy.CodeExpired)
	f.done(shanghai, f.completing(next, patient))
	f.flow()
	if p := f.payment(next.ID); p.State != payment.Held {
		t.Fatalf("%+v", p)
	}
}

// TestCompletedWhileGivingBack: a payer that was given up does not keep an emergency from being completed; its
// late hold is released all the same.
func TestCompletedWhileGivingBack(t *testing.T) {
	t.Parallel()
	f := family(t)
	patient := f.live("patient", fuzhou, resident())
	f.grants(f.son, patient)
	f.cut(shanghai, beijing)
	id := f.done(shanghai, f.emergency(patient, 0)).ID
	f.pass(payment.LegWait)
	p := f.payment(id)
	if p.State != payment.Releasing || !p.Legs[0].GivenUp {
		t.Fatalf("%+v", p)
	}
	f.grants(f.daughter, patient)
	c := f.completing(p, patient)
	c.Offers = c.Offers[1:]
	c.AutoConfirm = true
	f.done(shanghai, c)
	f.flow()
	p = f.payment(id)
	if p.State != payment.Captured || p.Legs[0].State != payment.LegReleasing || p.CapturedSum() != 10000 {
		t.Fatalf("%+v", p)
	}
	f.heal()
	f.pass(time.Minute)
	f.flow()
	p = f.payment(id)
	if p.Open() || p.Legs[0].State != payment.LegReleased || f.hold(&p.Legs[0]).Captured != 0 {
		t.Fatalf("%+v", p)
	}
}
