package ledger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/wire/wirepb"
)

// statement is a payer's statement in short, in pages of a size.
func (f *fed) statement(s someone, limit int) string {
	f.t.Helper()
	v := f.view(s.home)
	no, err := f.found(v, f.person(s.home, s))
	if err != nil {
		f.t.Fatal(err)
	}
	day := policy.Day(f.now)
	q := ledger.StatementAsk{Account: no, From: day.AddDays(-30), To: day, Limit: limit}
	var out []string
	for range 100 {
		lines, next, err := v.Statement(q)
		if err != nil || len(lines) > limit {
			f.t.Fatal(len(lines), err)
		}
		for _, l := range lines {
			if !ledger.ValidMovementKey(l.Key) {
				f.t.Fatal(l.Key)
			}
			out = append(out, fmt.Sprintf("%s %s", l.Kind, l.Amount))
		}
		if q.After = next; next == "" {
			break
		}
	}
	return strings.Join(out, ", ")
}

func (f *fed) wantStatement(s someone, want string) {
	f.t.Helper()
	for _, limit := range []int{1, 2, 3, 100} {
		if got := f.statement(s, limit); got != want {
			f.t.Fatalf("%s in pages of %d: %s, want %s", s.name, limit, got, want)
		}
	}
}

// TestStatementIndex: each movement once, in the order of time, also on a replica that began anew; what came to
// nothing is taken out again.
func TestStatementIndex(t *testing.T) {
	t.Parallel()
	f := family(t)
	f.wantStatement(f.son, "")
	p := f.pays(shanghai, f.mother, "250.00") // the son's 120.00 are all that his share allows
	f.wantStatement(f.son, "hold 120.00")
	f.wantStatement(f.daughter, "hold 130.00")
	f.confirms(p, "200.00")
	f.flow()
	f.wantStatement(f.son, "hold 120.00, capture 120.00")
	f.wantStatement(f.daughter, "hold 130.00, capture 80.00, release 50.00")
	f.refunds(p, "100.00")
	f.flow()
	f.wantStatement(f.son, "hold 120.00, capture 120.00, refund 20.00")
	f.wantStatement(f.daughter, "hold 130.00, capture 80.00, release 50.00, refund 80.00")

	c := f.bill(shanghai, f.mother, "9999.00")
	c.AllowPartial = false
	id := f.done(shanghai, c).ID
	f.flow()
	if p := f.payment(id); p.State != payment.Declined || p.Legs[0].Amount == 0 {
		t.Fatalf("%+v", p)
	}
	f.wantStatement(f.son, "hold 120.00, capture 120.00, refund 20.00")
	f.cancels(f.pays(beijing, f.mother, "1.00"))
	f.flow()
	f.pass(24 * time.Hour)
	f.wantStatement(f.son, "hold 120.00, capture 120.00, refund 20.00, hold 1.00, release 1.00")
}

// TestHiddenUnlessTaken: a release that says that nothing came of the payment hides the hold at once, in every
// order of what comes, and the repeat changes nothing.
func TestHiddenUnlessTaken(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.pays(shanghai, f.mother, "10.00")
	l := &p.Legs[0]
	f.wantStatement(f.son, "hold 10.00")
	release := &wirepb.Body{Kind: &wirepb.Body_Release{Release: &wirepb.Release{
		HoldId: l.HoldID, PaymentId: p.ID, ActId: l.HoldID + "/0", Declined: true,
	}}}
	f.say(shanghai, beijing, release, nil)
	f.wantStatement(f.son, "")
	f.say(shanghai, beijing, release, nil)
	f.wantStatement(f.son, "")
	if used := f.statement(f.daughter, 1); used != "" {
		t.Error(used)
	}
	if h := f.hold(l); !h.Void || h.Counts() != money.Amount(0) {
		t.Errorf("%+v", h)
	}
}

// TestMovementKeys: a cursor is read with care: it comes from outside.
func TestMovementKeys(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", ".", strings.Repeat("0", 16), "000000000000000g.h.1.0", "0000000000000001h.1.0", "0000000000000001.h.0.0",
		"0000000000000001.h.5.0", "0000000000000001.h.1.-1", "0000000000000001.h.1.x", "0000000000000001..1.0",
		"0000000000000001.h.1", "0000000000000001.1.0", "ffffffffffffffff.h.1.0",
	} {
		if ledger.ValidMovementKey(bad) {
			t.Errorf("%q is a key", bad)
		}
	}
	for _, good := range []string{"0000000000000001.h.1.0", "00000000000fffff.h-310000-a.b-1.4.12"} {
		if !ledger.ValidMovementKey(good) {
			t.Errorf("%q is no key", good)
		}
	}
}
