package desk_test

import (
	"slices"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

func amount(t *testing.T, s string) *money.Amount {
	t.Helper()
	a, err := money.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return &a
}

// TestPaymentIsShown: two payers of two regions pay one bill; persons are masked; a repeat shows it as it is now.
func TestPaymentIsShown(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		first := w.grant(payers[0], grandson, func(f *client.GrantRequest) { f.PerPaymentLimit = "120.00" })
		second := w.grant(payers[2], grandson)
		key := regiontest.Key("pay-1")
		f := w.sh.PaymentRequest(grandson, "v-1", "200.00")
		p, written, err := w.sh.Desk.CreatePayment(t.Context(), key, f)
		if err != nil || !written.Created {
			t.Fatalf("%+v, %v", written, err)
		}
		if p.Status != "held" || p.Amount != "200.00" || p.Held != "200.00" || p.CashDue != "0.00" || len(p.Legs) != 2 {
			t.Fatalf("%+v", p)
		}
		want := []client.Leg{
			{
				HoldID: p.Legs[0].HoldID, GrantID: first, Payer: payers[0].Masked(), Region: "110000", Status: "placed",
				Amount: "120.00", Captured: "0.00", Refunded: "0.00", LimitedBy: "payment_limit",
			},
			{
				HoldID: p.Legs[1].HoldID, GrantID: second, Payer: payers[2].Masked(), Region: "350100", Status: "placed",
				Amount: "80.00", Captured: "0.00", Refunded: "0.00",
			},
		}
		if !slices.Equal(p.Legs, want) {
			t.Errorf("%+v\nwant\n%+v", p.Legs, want)
		}
		p, _, err = w.sh.Desk.Confirm(t.Context(), w.key(), p.PaymentID, amount(t, "150.00"), 5*time.Second)
		if err != nil || p.Status != "captured" || p.Captured != "150.00" || p.CashDue != "50.00" || p.Held != "200.00" ||
			p.Legs[0].Captured != "120.00" || p.Legs[1].Captured != "30.00" || p.Legs[1].Amount != "80.00" {
			t.Errorf("%+v, %v", p, err)
		}
		again, written, err := w.sh.Desk.CreatePayment(t.Context(), key, f)
		if err != nil || !written.Replay || again.Status != "captured" {
			t.Errorf("a repeat: %+v %+v %v", again, written, err)
		}
		key.Digest[31]++
		_, _, err = w.sh.Desk.CreatePayment(t.Context(), key, f)
		refused(t, err, policy.CodeConflict)
		_, err = w.bj.Desk.Payment(t.Context(), p.PaymentID)
		refused(t, err, policy.CodeNotFound)
	})
}

// TestDecisions: what a payment may be decided to in which state.
func TestDecisions(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		w.grant(payers[2], grandson)
		confirm := func(p client.Payment, a *money.Amount) (client.Payment, error) {
			p, _, err := w.sh.Desk.Confirm(t.Context(), w.key(), p.PaymentID, a, 5*time.Second)
			return p, err
		}
		cancel := func(p client.Payment) (client.Payment, error) {
			p, _, err := w.sh.Desk.Cancel(t.Context(), w.key(), p.PaymentID)
			return p, err
		}
		held := w.pay(w.sh, grandson, "10.00")
		_, err := confirm(held, amount(t, "10.01"))
		refused(t, err, policy.CodeInvalidAmount)
		done, err := confirm(held, nil)
		if err != nil || done.Status != "captured" || done.Captured != "10.00" {
			t.Errorf("%+v, %v", done, err)
		}
		_, err = confirm(held, nil)
		refused(t, err, policy.CodeWrongState)
		_, err = cancel(held)
		refused(t, err, policy.CodeWrongState)

		held = w.pay(w.sh, grandson, "10.00")
		if done, err = cancel(held); err != nil || done.Status != "released" || done.CashDue != "10.00" {
			t.Errorf("%+v, %v", done, err)
		}
		_, err = confirm(held, nil)
		refused(t, err, policy.CodeWrongState)

		held = w.pay(w.sh, grandson, "10.00", func(f *client.PaymentRequest) { *f.DecideWithinSeconds = 5 })
		passes(5*time.Second + time.Millisecond)
		_, err = confirm(held, nil)
		refused(t, err, policy.CodeExpired)
		passes(time.Second)
		if done, err = w.sh.Desk.Payment(t.Context(), held.PaymentID); err != nil || done.Status != "expired" {
			t.Errorf("%+v, %v", done, err)
		}
		_, err = cancel(client.Payment{PaymentID: "p-310000-none"})
		refused(t, err, policy.CodeNotFound)

		auto := w.pay(w.sh, grandson, "10.00", func(f *client.PaymentRequest) { f.Confirm = client.ConfirmAuto })
		if auto.Status != "captured" || auto.Captured != "10.00" {
			t.Errorf("%+v", auto)
		}
	})
}

// TestOneBill: what all payments of a bill hold or took is never above what is left of it, whatever their ids.
func TestOneBill(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		w.grant(payers[2], grandson)
		half := func(f *client.PaymentRequest) { f.Amount = "60.00" }
		results := make(chan error, 4)
		for range cap(results) {
			go func() {
				_, err := w.sh.Pay(t.Context(), grandson, "one-bill", "100.00", half)
				results <- err
			}()
		}
		made := 0
		for range cap(results) {
			if err := <-results; err == nil {
				made++
			} else {
				refused(t, err, policy.CodeAmountExceedsSelfBorne)
			}
		}
		if made != 1 {
			t.Errorf("%d payments of 60.00 for a bill of 100.00", made)
		}
	})
}

// TestSameRequestTwice: the same request several times at once makes one payment, and each is answered with it.
func TestSameRequestTwice(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		w.grant(payers[2], grandson)
		f := w.sh.PaymentRequest(grandson, "one-bill", "100.00")
		key := w.key()
		results := make(chan string, 6)
		for i := range cap(results) {
			go func() {
				<-time.After(time.Duration(i) * 10 * time.Microsecond)
				p, _, err := w.sh.Desk.CreatePayment(t.Context(), key, f)
				if err != nil || p.Status != "held" && p.Status != "requested" {
					t.Errorf("%s, %v", p.Status, err)
				}
				results <- p.PaymentID
			}()
		}
		first := <-results
		for range cap(results) - 1 {
			if id := <-results; id != first {
				t.Errorf("payments %s and %s", first, id)
			}
		}
	})
}

// TestGivenUp: a payer's home that does not answer is declined, its late hold is given back, and the next one pays.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		w.grant(payers[0], grandson)
		w.grant(payers[2], grandson)
		w.Bus.Cut(federation.Lane{From: beijing, To: shanghai})
		began := time.Now()
		p := w.pay(w.sh, grandson, "50.00")
		if d := time.Since(began); p.Status != "held" || d < 3*time.Second || d > 4*time.Second {
			t.Fatalf("%s after %s", decline(p), d)
		}
		if len(p.Legs) != 1 || p.Legs[0].Region != "350100" || decline(p) != "held region_unreachable" {
			t.Errorf("%+v", p)
		}
		// A confirm does not wait for the leg that was given up.
		p, _, err := w.sh.Desk.Confirm(t.Context(), w.key(), p.PaymentID, nil, 5*time.Second)
		if err != nil || p.Status != "captured" {
			t.Errorf("%+v, %v", p, err)
		}
		w.Bus.Mend(federation.Lane{From: beijing, To: shanghai})
		passes(30 * time.Second)
		if q := w.pay(w.bj, grandson, "50.00"); q.Legs[0].Region != "110000" {
			t.Errorf("after that: %+v", q)
		}
	})
}

// TestSearchPayments: by request, visit and bill, in pages.
func TestSearchPayments(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		w.grant(payers[2], grandson)
		var made []string
		for range 5 {
			p, err := w.sh.Pay(t.Context(), grandson, "v", "50.00", func(f *client.PaymentRequest) { f.Amount = "5.00" })
			if err != nil {
				t.Fatal(err)
			}
			made = append(made, p.PaymentID)
		}
		slices.Sort(made)
		for name, f := range map[string]client.PaymentSearch{"visit": {VisitID: "v"}, "bill": {BillID: "v"}} {
			var got []string
			for f.Limit = 2; ; {
				list, next, err := w.sh.Desk.SearchPayments(t.Context(), "test", f)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range list {
					got = append(got, p.PaymentID)
				}
				if f.Cursor = next; next == "" {
					break
				}
			}
			slices.Sort(got)
			sameIDs(t, name, got, made)
		}
		key := w.key()
		p, _, err := w.sh.Desk.CreatePayment(t.Context(), key, w.sh.PaymentRequest(grandson, "other", "1.00"))
		if err != nil {
			t.Fatal(err)
		}
		byRequest := client.PaymentSearch{RequestID: key.ID, Limit: 5}
		list, _, err := w.sh.Desk.SearchPayments(t.Context(), "test", byRequest)
		if err != nil || len(list) != 1 || list[0].PaymentID != p.PaymentID {
			t.Errorf("by request: %+v, %v", list, err)
		}
		list, _, err = w.sh.Desk.SearchPayments(t.Context(), "another platform", byRequest)
		if err != nil || len(list) != 0 {
			t.Errorf("another platform finds %d", len(list))
		}
	})
}
