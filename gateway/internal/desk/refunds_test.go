package desk_test

import (
	"fmt"
	"testing"
	"time"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

// captures has two payers in two regions pay at Shanghai: 120.00 from Beijing, then 80.00 from Fuzhou.
func (w *world) captures() (client.Payment, []string) {
	w.t.Helper()
	grandson, payers := w.family()
	grants := []string{
		w.grant(payers[0], grandson, func(f *client.GrantRequest) { f.PerPaymentLimit = "120.00" }),
		w.grant(payers[2], grandson),
	}
	p := w.pay(w.sh, grandson, "200.00")
	p, _, err := w.sh.Desk.Confirm(w.t.Context(), w.key(), p.PaymentID, nil, 5*time.Second)
	if err != nil || p.Captured != "200.00" {
		w.t.Fatalf("%+v, %v", p, err)
	}
	return p, grants
}

func (w *world) giveBack(p client.Payment, sum string) (client.Refund, error) {
	w.t.Helper()
	r, written, err := w.sh.Desk.CreateRefund(w.t.Context(), w.key(), p.PaymentID,
		client.RefundRequest{Amount: sum, Reason: "变更"}, *amount(w.t, sum))
	if err == nil && (!written.Created || written.Replay) {
		w.t.Errorf("%+v", written)
	}
	return r, err
}

// progress is a refund in one line.
func progress(r client.Refund) string {
	out := fmt.Sprint(r.Status, " ", r.Amount)
	if r.Code != "" {
		out += " " + r.Code
	}
	for _, l := range r.Legs {
		out += fmt.Sprintf("; %s %s %s", l.Region, l.Status, l.Amount)
	}
	return out
}

// TestRefunds: partial and repeated, the last used payer first, never beyond; shown by list and id, and in the
// payment; the same request is the same refund.
func TestRefunds(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		p, _ := w.captures()
		key := regiontest.Key("refund-1")
		f := client.RefundRequest{Amount: "100.00", Reason: "变更"}
		r, written, err := w.sh.Desk.CreateRefund(t.Context(), key, p.PaymentID, f, *amount(t, f.Amount))
		if err != nil || !written.Created || progress(r) != "done 100.00; 350100 done 80.00; 110000 done 20.00" {
			t.Fatalf("%s, %+v, %v", progress(r), written, err)
		}
		if r.PaymentID != p.PaymentID || r.Reason != "变更" || r.Created == "" || r.Legs[0].HoldID != p.Legs[1].HoldID ||
			r.Legs[1].GrantID != p.Legs[0].GrantID {
			t.Errorf("%+v", r)
		}
		again, written, err := w.sh.Desk.CreateRefund(t.Context(), key, p.PaymentID, f, *amount(t, f.Amount))
		if err != nil || !written.Replay || written.Created || again.RefundID != r.RefundID {
			t.Errorf("a repeat: %+v %+v %v", again, written, err)
		}
		kind, id, seen, err := w.sh.Desk.Seen(t.Context(), key)
		if err != nil || kind != "refund" || id != r.RefundID || !seen {
			t.Errorf("seen as %s %s, %v", kind, id, err)
		}
		_, err = w.giveBack(p, "100.01")
		refused(t, err, policy.CodeRefundExceedsCaptured)
		if r, err = w.giveBack(p, "100.00"); err != nil || progress(r) != "done 100.00; 110000 done 100.00" {
			t.Errorf("%s, %v", progress(r), err)
		}
		p, err = w.sh.Desk.Payment(t.Context(), p.PaymentID)
		if err != nil || p.Refunded != "200.00" || p.Legs[0].Refunded != "120.00" || p.Legs[1].Refunded != "80.00" ||
			p.Status != "captured" || p.Captured != "200.00" || p.CashDue != "0.00" {
			t.Errorf("%+v, %v", p, err)
		}
		list, err := w.sh.Desk.Refunds(t.Context(), p.PaymentID)
		if err != nil || len(list) != 2 || list[1].RefundID != r.RefundID {
			t.Errorf("%+v, %v", list, err)
		}
		_, err = w.sh.Desk.Refund(t.Context(), "r-310000-none-1")
		refused(t, err, policy.CodeNotFound)
		_, err = w.sh.Desk.Refunds(t.Context(), "p-310000-none")
		refused(t, err, policy.CodeNotFound)
		_, err = w.bj.Desk.Refund(t.Context(), r.RefundID)
		refused(t, err, policy.CodeNotFound)
		_, err = w.giveBack(client.Payment{PaymentID: "p-310000-none"}, "1.00")
		refused(t, err, policy.CodeNotFound)
	})
}

// TestRefundAfterTheEnd: also when the grant was revoked and the payer is suspended; a closed account fails with
// its reason, and what failed can be asked for again.
func TestRefundAfterTheEnd(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		p, grants := w.captures()
		_, payers := w.family()
		if _, _, err := w.bj.Desk.RevokeGrant(t.Context(), w.key(), grants[0]); err != nil {
			t.Fatal(err)
		}
		w.standing(payers[0], policy.StatusSuspended)
		if r, err := w.giveBack(p, "100.00"); err != nil || r.Status != "done" {
			t.Errorf("%s, %v", progress(r), err)
		}
		w.standing(payers[0], policy.StatusTerminated)
		r, err := w.giveBack(p, "50.00")
		if err != nil || progress(r) != "failed 50.00 account_closed; 110000 failed 50.00" {
			t.Errorf("%s, %v", progress(r), err)
		}
		p, err = w.sh.Desk.Payment(t.Context(), p.PaymentID)
		if err != nil || p.Refunded != "100.00" {
			t.Errorf("%+v, %v", p, err)
		}
		w.standing(payers[0], policy.StatusNormal)
		if r, err = w.giveBack(p, "100.00"); err != nil || r.Status != "done" {
			t.Errorf("%s, %v", progress(r), err)
		}
	})
}

// standing sets a person's insured status at home.
func (w *world) standing(p regiontest.Person, status policy.InsuredStatus) {
	w.t.Helper()
	home := w.region(p.Region)
	who, err := home.Vault.Person(p.Identity(), home.Vault.NewNo())
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err = home.Put(w.t.Context(), &ledger.SetStanding{
		Person: who, Scheme: policy.SchemeEmployee, Status: status,
	}); err != nil {
		w.t.Fatal(err)
	}
}

// TestRefundWaitsForARegion: while a payer's home cannot be reached the refund is requested and says so, counts
// against what is left, and is done when the home is back.
func TestRefundWaitsForARegion(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		p, _ := w.captures()
		w.Bus.Cut(federation.Lane{From: shanghai, To: beijing})
		r, err := w.giveBack(p, "150.00")
		if err != nil || progress(r) != "requested 150.00; 350100 done 80.00; 110000 requested 70.00" {
			t.Fatalf("%s, %v", progress(r), err)
		}
		_, err = w.giveBack(p, "50.01")
		refused(t, err, policy.CodeRefundExceedsCaptured)
		passes(20 * time.Minute)
		if r = w.refund(r); r.Code != "region_unreachable" || r.Status != "requested" {
			t.Errorf("%s", progress(r))
		}
		w.Bus.Mend(federation.Lane{From: shanghai, To: beijing})
		passes(time.Minute)
		if r = w.refund(r); progress(r) != "done 150.00; 350100 done 80.00; 110000 done 70.00" {
			t.Errorf("%s", progress(r))
		}
	})
}

func (w *world) refund(r client.Refund) client.Refund {
	w.t.Helper()
	r, err := w.sh.Desk.Refund(w.t.Context(), r.RefundID)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// TestRefundWaitsForACore: a payer's core that does not answer: requested with that reason, and done when it is
// back; the account has its money, once.
func TestRefundWaitsForACore(t *testing.T) {
	t.Parallel()
	sim := adaptertest.NewCore(5, time.Now, adaptertest.Faults{})
	with(t, regiontest.Config{Cores: map[federation.Region]adapters.Core{beijing: sim}}, func(t *testing.T, w *world) {
		payer := regiontest.Employee("110000", "王建国", 1, 100_000)
		child := regiontest.Resident("310000", "王小明", 2)
		sim.AddPerson(adapters.Person{IDType: payer.IDType, Number: payer.IDNumber, Name: payer.Name}, adapters.Account{
			Scheme: adapters.SchemeEmployee, Status: adapters.StatusNormal, Balance: 100_000,
		})
		w.open(child)
		w.grant(payer, child)
		p := w.pay(w.sh, child, "100.00")
		p, _, err := w.sh.Desk.Confirm(t.Context(), w.key(), p.PaymentID, nil, 5*time.Second)
		if err != nil || p.Captured != "100.00" {
			t.Fatalf("%+v, %v", p, err)
		}
		sim.SetFaults(adaptertest.Faults{Down: true})
		r, err := w.giveBack(p, "60.00")
		if err != nil || progress(r) != "requested 60.00 core_unavailable; 110000 requested 60.00" {
			t.Errorf("%s, %v", progress(r), err)
		}
		passes(20 * time.Minute)
		if r = w.refund(r); r.Status != "requested" || r.Code != "core_unavailable" {
			t.Errorf("%s", progress(r))
		}
		sim.SetFaults(adaptertest.Faults{})
		passes(3 * time.Minute)
		if r = w.refund(r); progress(r) != "done 60.00; 110000 done 60.00" {
			t.Errorf("%s", progress(r))
		}
		if a := sim.Accounts()[0].Account; a.Balance != 96_000 {
			t.Errorf("the account has %d", a.Balance)
		}
	})
}

// TestRefundsRace: many at the same time on one payment: together never beyond what was captured.
func TestRefundsRace(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		p, _ := w.captures()
		done := make(chan bool)
		const many = 12
		for i := range many {
			key := regiontest.Key(fmt.Sprint("race-", i))
			go func() {
				r, _, err := w.sh.Desk.CreateRefund(t.Context(), key, p.PaymentID,
					client.RefundRequest{Amount: "30.00", Reason: "race"}, 3000)
				done <- err == nil && r.Status == "done"
			}()
		}
		count := 0
		for range many {
			if <-done {
				count++
			}
		}
		p, err := w.sh.Desk.Payment(t.Context(), p.PaymentID)
		if err != nil || count != 6 || p.Refunded != "180.00" {
			t.Errorf("%d of %d refunds, %s back, %v", count, many, p.Refunded, err)
		}
	})
}
