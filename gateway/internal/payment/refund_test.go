package payment_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
)

// capturedOf is a payment that has captured the amounts, leg by leg.
func capturedOf(amounts ...int64) *payment.Payment {
	p := &payment.Payment{ID: "p-310000-x", State: payment.Captured, Confirmed: 0}
	for i, a := range amounts {
		l := payment.Leg{
			HoldID: payment.HoldID(p.ID, i+1), State: payment.LegCaptured, Asked: money.Amount(a), Amount: money.Amount(a),
			Share: money.Amount(a), Captured: money.Amount(a),
		}
		if a == 0 {
			l.State = payment.LegReleased
		}
		p.Amount += l.Amount
		p.Legs = append(p.Legs, l)
	}
	p.Held, p.Confirmed = p.Amount, p.Amount
	return p
}

// TestRefundOrder: the last used payer first, each at most what it gave and has not back yet.
func TestRefundOrder(t *testing.T) {
	t.Parallel()
	p := capturedOf(12000, 0, 8000)
	for i, step := range []struct {
		amount int64
		shares string
		code   policy.Code
	}{
		{3000, "[{2 30.00}]", ""},
		{6000, "[{2 50.00} {0 10.00}]", ""},
		{11001, "[]", policy.CodeRefundExceedsCaptured},
		{11000, "[{0 110.00}]", ""},
		{1, "[]", policy.CodeRefundExceedsCaptured},
		{0, "[]", policy.CodeInvalidAmount},
		{-5, "[]", policy.CodeInvalidAmount},
	} {
		shares, code := p.Refund(money.Amount(step.amount))
		if fmt.Sprint(shares) != step.shares || code != step.code {
			t.Errorf("step %d: %v %s", i, shares, code)
		}
	}
	if p.RefundedSum() != 0 || p.Counts() != 20000 {
		t.Errorf("nothing is back yet: %s, the bill counts %s", p.RefundedSum(), p.Counts())
	}
	p.RefundEnded(p.Legs[2].HoldID, 3000, 3000)
	p.RefundEnded(p.Legs[2].HoldID, 5000, 0) // failed: it can be asked for again
	p.RefundEnded("h-310000-x-9", 5000, 5000)
	if p.RefundedSum() != 3000 || p.Counts() != 17000 || p.Legs[2].Refundable() != 5000 || p.CashDue() != 0 {
		t.Errorf("%s back, the bill counts %s, %s left", p.RefundedSum(), p.Counts(), p.Legs[2].Refundable())
	}
}

// TestRefundState: only a captured payment is refunded.
func TestRefundState(t *testing.T) {
	t.Parallel()
	for _, s := range payment.States() {
		p := capturedOf(100)
		p.State = s
		_, code := p.Refund(100)
		if (code == "") != (s == payment.Captured) || (code != "" && code != policy.CodeWrongState) {
			t.Errorf("%s: %q", s, code)
		}
	}
}

// refunded is a payment under random refunds, with what has to hold of it.
type refunded struct {
	*payment.Payment
	under       []payment.Share // not answered yet
	back, waits money.Amount
}

// TestRefundsAtRandom: whole, partial, repeated, failed and done in any order: never beyond what was
// captured, by leg and in sum, and what failed can be asked for again.
func TestRefundsAtRandom(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		captured := rapid.SliceOfN(rapid.Int64Range(0, 300), 1, payment.LegsMax).Draw(t, "captured")
		r := &refunded{Payment: capturedOf(captured...)}
		for range rapid.IntRange(0, 40).Draw(t, "events") {
			if len(r.under) > 0 && rapid.Bool().Draw(t, "answer") {
				r.answer(t)
			} else {
				r.ask(t)
			}
			if r.RefundedSum() != r.back || r.Counts() != r.CapturedSum()-r.back {
				t.Fatalf("%s are back, the payment says %s and counts %s", r.back, r.RefundedSum(), r.Counts())
			}
			for i := range r.Legs {
				if l := &r.Legs[i]; l.Refunded+l.Refunding > l.Captured || l.Refunded < 0 || l.Refunding < 0 {
					t.Fatalf("leg %d: %+v", i, l)
				}
			}
		}
	})
}

func (r *refunded) answer(t *rapid.T) {
	i := rapid.IntRange(0, len(r.under)-1).Draw(t, "which")
	s := r.under[i]
	r.under = append(r.under[:i], r.under[i+1:]...)
	r.waits -= s.Amount
	var back money.Amount
	if rapid.Bool().Draw(t, "done") {
		back = s.Amount
	}
	r.back += back
	r.RefundEnded(r.Legs[s.Leg].HoldID, s.Amount, back)
}

func (r *refunded) ask(t *rapid.T) {
	want := money.Amount(rapid.Int64Range(1, 400).Draw(t, "amount"))
	shares, code := r.Refund(want)
	if (code == "") != (want <= r.CapturedSum()-r.back-r.waits) {
		t.Fatalf("%s of %s, %s back, %s on their way: %q", want, r.CapturedSum(), r.back, r.waits, code)
	}
	var sum money.Amount
	for _, s := range shares {
		sum += s.Amount
	}
	if code == "" && sum != want {
		t.Fatalf("%s were asked, the shares are %s", want, sum)
	}
	r.under, r.waits = append(r.under, shares...), r.waits+sum
}
