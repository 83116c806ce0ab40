package desk_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

// statement asks for all of today's movements of somebody, at home.
func (w *world) statement(
	who regiontest.Person, role string, change ...func(*client.StatementRequest),
) (client.Statement, error) {
	day := policy.Day(time.Now()).String()
	f := client.StatementRequest{Person: who.Person, Role: role, From: day, To: day, Limit: 100}
	for _, c := range change {
		c(&f)
	}
	return w.region(who.Region).Desk.Statement(w.t.Context(), f)
}

// moves writes a statement in short: kind, amount and the leg's present status.
func moves(s client.Statement) string {
	var out []string
	for _, e := range s.Entries {
		out = append(out, fmt.Sprintf("%s %s (%s)", e.Kind, e.Amount, e.Status))
	}
	return strings.Join(out, ", ")
}

// TestStatements: a payer sees the movements of the own account and for whom, a beneficiary those of all payers
// of all regions and who gave; a part taken is a capture and a release, a cancelled one a release, a refund a refund.
func TestStatements(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		w.grant(payers[0], grandson, func(f *client.GrantRequest) { f.PerPaymentLimit = "120.00" })
		w.grant(payers[2], grandson)
		p := w.pay(w.sh, grandson, "200.00")
		if _, _, err := w.sh.Desk.Confirm(t.Context(), w.key(), p.PaymentID, amount(t, "150.00"), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		cancelled := w.pay(w.bj, grandson, "10.00")
		if _, _, err := w.bj.Desk.Cancel(t.Context(), w.key(), cancelled.PaymentID); err != nil {
			t.Fatal(err)
		}
		refund := client.RefundRequest{Amount: "40.00", Reason: "too much"}
		_, _, err := w.sh.Desk.CreateRefund(t.Context(), w.key(), p.PaymentID, refund, *amount(t, refund.Amount))
		if err != nil {
			t.Fatal(err)
		}
		w.pay(w.fz, grandson, "5.00")
		passes(time.Second)

		son, err := w.statement(payers[0], client.RolePayer)
		want := "hold 120.00 (captured), capture 120.00 (captured), hold 10.00 (released), release 10.00 (released), " +
			"refund 10.00 (captured), hold 5.00 (placed)"
		if err != nil || moves(son) != want || son.NextCursor != "" {
			t.Errorf("%s, %v\nwant %s", moves(son), err, want)
		}
		if e := son.Entries[1]; e.Counterparty != grandson.Masked() || e.PaymentID != p.PaymentID ||
			e.Purpose != "outpatient" || e.Institution != "H31000000001" ||
			e.HoldID != p.Legs[0].HoldID || !strings.HasSuffix(e.Time, "+08:00") {
			t.Errorf("%+v", e)
		}
		all, err := w.statement(grandson, client.RoleBeneficiary)
		want = "hold 120.00 (captured), hold 80.00 (captured), capture 120.00 (captured), capture 30.00 (captured), " +
			"release 50.00 (captured), hold 10.00 (released), release 10.00 (released), refund 30.00 (captured), " +
			"refund 10.00 (captured), hold 5.00 (placed)"
		if got := strings.Split(moves(all), ", "); err != nil || !sameWords(got, strings.Split(want, ", ")) {
			t.Errorf("%s, %v\nwant %s", moves(all), err, want)
		}
		if !slices.IsSortedFunc(all.Entries, func(a, b client.StatementEntry) int {
			return strings.Compare(a.Time, b.Time)
		}) {
			t.Errorf("out of order: %+v", all.Entries)
		}
		if e := all.Entries[0]; e.Counterparty != payers[0].Masked() {
			t.Errorf("%+v", e)
		}
		w.paged(grandson, all)
		yesterday := func(f *client.StatementRequest) {
			f.To = policy.Day(time.Now()).AddDays(-1).String()
			f.From = f.To
		}
		if none, err := w.statement(payers[0], client.RolePayer, yesterday); err != nil || len(none.Entries) != 0 {
			t.Errorf("yesterday: %s, %v", moves(none), err)
		}
	})
}

// sameWords compares without order: movements of one moment may stand in either.
func sameWords(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// paged reads a statement again in pages of every size: the same entries, none twice, none left out.
func (w *world) paged(who regiontest.Person, whole client.Statement) {
	w.t.Helper()
	for limit := 1; limit <= len(whole.Entries)+1; limit++ {
		var got []client.StatementEntry
		cursor := ""
		for range len(whole.Entries) + 1 {
			page, err := w.statement(who, client.RoleBeneficiary, func(f *client.StatementRequest) {
				f.Limit, f.Cursor = limit, cursor
			})
			if err != nil || len(page.Entries) > limit {
				w.t.Fatalf("limit %d: %d entries, %v", limit, len(page.Entries), err)
			}
			got = append(got, page.Entries...)
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
		if !slices.Equal(got, whole.Entries) {
			w.t.Errorf("limit %d: %s", limit, moves(client.Statement{Entries: got}))
		}
	}
}

// TestNothingCame: what was held for a payment that came to nothing stands in no statement.
func TestNothingCame(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		w.grant(payers[0], grandson, func(f *client.GrantRequest) { f.PerPaymentLimit = "60.00" })
		no := false
		p := w.pay(w.sh, grandson, "100.00", emergency, func(f *client.PaymentRequest) { f.AllowPartial = &no })
		if p.Status != "declined" || len(p.Legs) != 0 {
			t.Fatalf("%+v", p)
		}
		for who, role := range map[*regiontest.Person]string{
			&payers[0]: client.RolePayer, &grandson: client.RoleBeneficiary,
		} {
			if s, err := w.statement(*who, role); err != nil || len(s.Entries) != 0 {
				t.Errorf("%s: %s, %v", role, moves(s), err)
			}
		}
		w.grant(payers[2], grandson)
		if p, err := w.complete(w.sh, p, func(f *client.Completion) { f.Confirm = client.ConfirmAuto }); err != nil ||
			p.Status != "captured" || len(p.Legs) != 2 {
			t.Fatalf("%+v, %v", p, err)
		}
		s, err := w.statement(payers[0], client.RolePayer)
		if want := "hold 60.00 (captured), capture 60.00 (captured)"; err != nil || moves(s) != want {
			t.Errorf("after the completion: %s, %v", moves(s), err)
		}
	})
}

// TestStatementRefused: only at home, only under the right name, only with every region's answer unless
// the caller takes less; and nobody is told of what is not theirs.
func TestStatementRefused(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		w.grant(payers[0], grandson)
		w.grant(payers[2], grandson)
		w.pay(w.sh, grandson, "10.00")
		_, err := w.sh.Desk.Statement(t.Context(), client.StatementRequest{Person: grandson.Person, Role: "payer", Limit: 1})
		refused(t, err, policy.CodeNotHomeRegion)
		for _, role := range []string{client.RolePayer, client.RoleBeneficiary} {
			wrong := grandson
			wrong.Name = "周大宝"
			_, err = w.statement(wrong, role)
			refused(t, err, policy.CodeIdentityMismatch)
			_, err = w.statement(regiontest.Resident(string(fuzhou), "无名", 99), role)
			refused(t, err, policy.CodeIdentityMismatch)
		}
		for _, change := range []func(*client.StatementRequest){
			func(f *client.StatementRequest) { f.Cursor = "x" },
			func(f *client.StatementRequest) { f.To = "1999-01-01" },
			func(f *client.StatementRequest) { f.From = "1998-01-01" },
			func(f *client.StatementRequest) { f.From = "" },
			func(f *client.StatementRequest) { f.To = "x" },
		} {
			_, err = w.statement(grandson, client.RoleBeneficiary, change)
			refused(t, err, policy.CodeInvalidRequest)
		}
		if s, err := w.statement(grandson, client.RolePayer); err != nil || len(s.Entries) != 0 {
			t.Errorf("a resident as payer: %s, %v", moves(s), err)
		}
		w.Bus.Cut(federation.Lane{From: beijing, To: fuzhou})
		passes(10 * time.Second)
		_, err = w.statement(grandson, client.RoleBeneficiary)
		refused(t, err, policy.CodeRegionUnreachable)
		s, err := w.statement(grandson, client.RoleBeneficiary, func(f *client.StatementRequest) { f.AllowMissing = true })
		if err != nil || !slices.Equal(s.Missing, []string{"110000"}) || len(s.Entries) != 0 {
			t.Errorf("%+v, %v", s, err)
		}
	})
}
