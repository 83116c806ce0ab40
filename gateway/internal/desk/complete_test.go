package desk_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/internal/wire"
)

func emergency(f *client.PaymentRequest) { f.Purpose = "emergency" }

func (w *world) complete(
	r *regiontest.Region, p client.Payment, change ...func(*client.Completion),
) (client.Payment, error) {
	f := client.Completion{}
	for _, c := range change {
		c(&f)
	}
	p, _, err := r.Desk.Complete(w.t.Context(), w.key(), p.PaymentID, f)
	return p, err
}

// TestEmergencyCompletedAfterwards: treated first, bound later. The first answer tells what is due in cash and
// until when the payment can be completed; the grant made afterwards pays, in two phases.
func TestEmergencyCompletedAfterwards(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		p := w.pay(w.sh, grandson, "100.00", emergency)
		until := client.FormatTime(policy.Day(time.Now()).AddDays(15).Start())
		if p.Status != "declined" || p.CashDue != "100.00" || p.Held != "0.00" || p.CompletableUntil != until ||
			!strings.HasSuffix(until, "T00:00:00+08:00") {
			t.Fatalf("%+v, want completable until %s", p, until)
		}
		if other := w.pay(w.sh, grandson, "1.00"); other.Status != "declined" || other.CompletableUntil != "" {
			t.Fatalf("an outpatient visit: %+v", other)
		}
		again, err := w.complete(w.sh, p)
		if err != nil || again.Status != "declined" || again.CompletableUntil != until {
			t.Fatalf("without a grant: %+v, %v", again, err)
		}
		passes(time.Minute)
		w.grant(payers[0], grandson, func(f *client.GrantRequest) { f.PerPaymentLimit = "60.00" })
		w.grant(payers[2], grandson)
		key := w.key()
		done, written, err := w.sh.Desk.Complete(t.Context(), key, p.PaymentID, client.Completion{})
		if err != nil || written.Replay || written.Created || done.Status != "held" || done.Held != "100.00" ||
			len(done.Legs) != 2 || done.CompletableUntil != "" || done.CashDue != "0.00" {
			t.Fatalf("%+v, %+v, %v", done, written, err)
		}
		if want := client.FormatTime(time.Now().Add(900 * time.Second)); done.DecideBy[:16] != want[:16] {
			t.Errorf("decides by %s, want %s", done.DecideBy, want)
		}
		again, written, err = w.sh.Desk.Complete(t.Context(), key, p.PaymentID, client.Completion{})
		if err != nil || !written.Replay || again.Status != "held" {
			t.Errorf("a repeat: %+v, %+v, %v", again, written, err)
		}
		done, _, err = w.sh.Desk.Confirm(t.Context(), w.key(), p.PaymentID, nil, 5*time.Second)
		if err != nil || done.Status != "captured" || done.Captured != "100.00" || done.Legs[0].Captured != "60.00" {
			t.Fatalf("%+v, %v", done, err)
		}
		_, err = w.complete(w.sh, p)
		refused(t, err, policy.CodeWrongState)
		w.ticketsAreBlind(done)
	})
}

// ticketsAreBlind looks at every hold request of a payment that left its region: the ticket in its signed body, which
// arbiters are shown, has not the salt by which identities could be tried against it, and the request commits to the
// person as the ticket does.
func (w *world) ticketsAreBlind(p client.Payment) {
	w.t.Helper()
	asked := 0
	for _, l := range p.Legs {
		parcels, err := w.Unpack(federation.Lane{From: shanghai, To: federation.Region(l.Region)}, 0)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, o := range parcels {
			for _, m := range o.Messages {
				body, err := wire.Decode(m.Body)
				if err != nil || body.GetHoldRequest().GetHoldId() != l.HoldID {
					continue
				}
				asked++
				ticket, err := federation.DecodeProof(body.GetHoldRequest().GetTicket())
				if err != nil || ticket.PersonsSalt != ([federation.SaltSize]byte{}) || ticket.PersonsDigest != m.PersonsDigest {
					w.t.Errorf("%s: salt %x of the ticket, %v", l.HoldID, ticket.PersonsSalt, err)
				}
			}
		}
	}
	if asked < len(p.Legs) {
		w.t.Errorf("%d requests for %d holds were found", asked, len(p.Legs))
	}
}

// TestCompletionChoices: an automatic confirm, named grants, a time to decide, and what a completion refuses.
func TestCompletionChoices(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		first := w.pay(w.sh, grandson, "100.00", emergency)
		auto := w.pay(w.sh, grandson, "10.00", emergency, func(f *client.PaymentRequest) { f.Confirm = client.ConfirmAuto })
		w.grant(payers[0], grandson)
		named := w.grant(payers[2], grandson)
		short := 60
		p, err := w.complete(w.sh, first, func(f *client.Completion) {
			f.Grants, f.DecideWithinSeconds, f.Confirm = []string{named}, &short, client.ConfirmManual
		})
		if err != nil || p.Status != "held" || len(p.Legs) != 1 || p.Legs[0].GrantID != named {
			t.Fatalf("%+v, %v", p, err)
		}
		passes(time.Minute + time.Second)
		if p, err = w.sh.Desk.Payment(t.Context(), p.PaymentID); err != nil || p.Status != "expired" {
			t.Errorf("%+v, %v", p, err)
		}
		_, err = w.complete(w.sh, first)
		refused(t, err, policy.CodeWrongState)
		if p, err = w.complete(w.sh, auto); err != nil || p.Status != "captured" {
			t.Errorf("%+v, %v", p, err)
		}
		for _, seconds := range []int{4, 901} {
			next := w.pay(w.sh, grandson, "10.00", emergency, func(f *client.PaymentRequest) { f.Grants = []string{"g-none"} })
			_, err = w.complete(w.sh, next, func(f *client.Completion) { f.DecideWithinSeconds = &seconds })
			refused(t, err, policy.CodeInvalidRequest)
		}
		_, err = w.complete(w.sh, client.Payment{PaymentID: "p-310000-none"})
		refused(t, err, policy.CodeNotFound)
		_, err = w.complete(w.bj, first)
		refused(t, err, policy.CodeNotFound)
	})
}

// TestCompletionTooLate: from the beginning of the day behind the window on, and where the rules have none.
func TestCompletionTooLate(t *testing.T) {
	t.Parallel()
	timing := settle.DefaultTiming()
	timing.Heartbeat, timing.Unreachable = time.Hour, 3*time.Hour // a day of heartbeats is long
	config := regiontest.Config{Timing: timing, Rules: func(r federation.Region, rules *policy.Rules) {
		switch r {
		case shanghai:
			rules.EmergencyDays = 1
		case beijing:
			rules.EmergencyDays = 0
		}
	}}
	with(t, config, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		never := w.pay(w.bj, grandson, "10.00", emergency)
		p := w.pay(w.sh, grandson, "10.00", emergency, func(f *client.PaymentRequest) {
			f.VisitDate = policy.Day(time.Now()).AddDays(-1).String()
		})
		w.grant(payers[2], grandson)
		if never.CompletableUntil != "" {
			t.Errorf("%+v", never)
		}
		_, err := w.complete(w.bj, never)
		refused(t, err, policy.CodeWrongState)
		until, err := time.Parse(time.RFC3339, p.CompletableUntil)
		if err != nil {
			t.Fatal(err)
		}
		passes(time.Until(until) - time.Second)
		held, err := w.complete(w.sh, p, func(f *client.Completion) { f.Grants = []string{"g-none"} })
		if err != nil || held.Status != "declined" || !slices.ContainsFunc(held.Declines, func(x client.Decline) bool {
			return x.Code == "not_found"
		}) {
			t.Errorf("a second before: %+v, %v", held, err)
		}
		passes(time.Until(until))
		_, err = w.complete(w.sh, p)
		refused(t, err, policy.CodeExpired)
		if p, err = w.sh.Desk.Payment(t.Context(), p.PaymentID); err != nil || p.CompletableUntil != "" {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// TestCompletionAsksAgain: the beneficiary's home is asked as for a new payment, and a home that
// cannot be reached refuses without effect.
func TestCompletionAsksAgain(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		saver := regiontest.Employee(string(fuzhou), "周有余", 44, 0)
		_, payers := w.family()
		w.open(saver)
		p := w.pay(w.sh, saver, "10.00", emergency)
		w.grant(payers[0], saver)
		lane := federation.Lane{From: fuzhou, To: shanghai}
		w.Bus.Cut(lane)
		_, err := w.complete(w.sh, p)
		refused(t, err, policy.CodeRegionUnreachable)
		w.Bus.Mend(lane)
		passes(10 * time.Second)
		if held, err := w.complete(w.sh, p); err != nil || held.Status != "held" {
			t.Errorf("%+v, %v", held, err)
		}
	})
}
