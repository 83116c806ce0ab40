package ledger_test

import (
	"slices"
	"testing"
	"time"

	"gongji/adapters"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/refund"
)

// returning is a refund of 60.00 of what the core outside has captured.
func returning(t *testing.T) (*fed, *ledger.PaymentRecord, string) {
	t.Helper()
	f := withCore(t)
	p, l := f.asks("100.00")
	f.answers(l, hold.CallPerson, facts(20000, 0))
	f.answers(l, hold.CallHold, held(10000))
	f.confirms(p, "100.00")
	f.flow()
	f.answers(l, hold.CallCapture, nil)
	return f, p, f.refunds(p, "60.00")
}

// back brings the core's answer to a return.
func (f *fed) back(id string, call refund.Action, refused adapters.Reason, final bool) {
	f.t.Helper()
	l := f.refund(id).Legs[0]
	f.done(beijing, &ledger.ReturnResult{
		HoldID: l.HoldID, RefundID: id, Call: call, Refused: string(refused), Final: final,
	})
	f.flow()
}

// wantReturn compares the home's record and the call that is under way.
func (f *fed) wantReturn(id string, want refund.ReturnState, call refund.Action) {
	f.t.Helper()
	l := f.refund(id).Legs[0]
	list, err := f.view(beijing).ReturnsOf(l.HoldID)
	if err != nil {
		f.t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(r *ledger.ReturnRecord) bool { return r.RefundID == id })
	if i < 0 {
		f.t.Fatal("no return of ", id)
	}
	calls := f.view(beijing).Calls()
	named := slices.ContainsFunc(calls, func(key string) bool {
		r, err := f.view(beijing).Return(key)
		return err == nil && r != nil && r.RefundID == id
	})
	if r := list[i]; r.State != want || r.Calls() != call || named != (call != 0) {
		f.t.Fatalf("%s with call %d (noted: %v), want %s with %d", r.State, r.Calls(), named, want, call)
	}
}

// TestReturnPath: intent → effect → result; a late or repeated answer changes nothing.
func TestReturnPath(t *testing.T) {
	t.Parallel()
	f, p, id := returning(t)
	f.wantRefund(id, "requested 60.00; 110000 requested 60.00")
	f.wantReturn(id, refund.ReturnRequested, refund.CallRefund)
	l := &f.payment(p.ID).Legs[0]
	if h := f.hold(l); h.Counts() != 10000 || h.Refunding != 6000 {
		t.Errorf("%s count, %s on their way", h.Counts(), h.Refunding)
	}
	f.back(id, refund.CallVoid, "", false) // nobody asked that
	f.back(id, refund.CallRefund, "", true)
	f.wantReturn(id, refund.ReturnDone, 0)
	f.wantRefund(id, "done 60.00; 110000 done 60.00")
	f.wantBack(p, "60.00", "40.00")
	f.back(id, refund.CallRefund, adapters.ReasonClosed, true)
	f.wantReturn(id, refund.ReturnDone, 0)
	if h := f.hold(l); h.Counts() != 4000 || h.Refunding != 0 || h.Counted != 4000 {
		t.Errorf("%s count, %s on their way", h.Counts(), h.Refunding)
	}
	f.done(beijing, &ledger.ReturnResult{HoldID: "h-310000-none-1", RefundID: id, Call: refund.CallRefund})
}

// TestReturnWaits: while the core does not answer the refund is requested, says why, is repeated, is told to
// operators once on either side, and is done when the core is back, days later.
func TestReturnWaits(t *testing.T) {
	t.Parallel()
	f, p, id := returning(t)
	alarms := map[string]int{}
	for range 300 {
		f.pass(10 * time.Minute)
		for _, r := range f.regions {
			for _, a := range r.last.Alarms {
				alarms[a.What+" "+a.ID]++
			}
		}
		f.flow()
	}
	f.wantRefund(id, "requested 60.00; 110000 requested 60.00 core_unavailable")
	f.wantReturn(id, refund.ReturnRequested, refund.CallRefund)
	if n := alarms[ledger.AlarmRefundWaits+" "+id]; n != 2 || len(alarms) != 1 {
		t.Errorf("alarms: %v", alarms)
	}
	f.refused(shanghai, f.refunding(p, "40.01"), policy.CodeRefundExceedsCaptured)
	f.back(id, refund.CallRefund, "", false)
	f.wantRefund(id, "done 60.00; 110000 done 60.00")
}

// TestReturnIsRefused: every reason of a core shows as one of the page's; a core that does not remember its
// refusals is asked for a void first.
func TestReturnIsRefused(t *testing.T) {
	t.Parallel()
	for reason, want := range map[adapters.Reason]string{
		adapters.ReasonUnknownPerson: "identity_mismatch", adapters.ReasonIdentity: "identity_mismatch",
		adapters.ReasonStatus: "payer_not_insured", adapters.ReasonScheme: "payer_not_insured",
		adapters.ReasonClosed: "account_closed", adapters.ReasonAbove: "refund_exceeds_captured",
		adapters.ReasonNotHeld: "refund_exceeds_captured", adapters.ReasonReleased: "core_unavailable",
		adapters.ReasonLate: "core_unavailable", adapters.ReasonConflict: "core_unavailable",
		adapters.ReasonInvalid: "core_unavailable", adapters.ReasonCaptured: "core_unavailable",
		adapters.ReasonBalance: "core_unavailable", "new": "core_unavailable",
	} {
		for _, final := range []bool{true, false} {
			f, p, id := returning(t)
			f.back(id, refund.CallRefund, reason, final)
			if !final {
				f.wantReturn(id, refund.ReturnVoiding, refund.CallVoid)
				f.wantRefund(id, "requested 60.00; 110000 requested 60.00")
				f.back(id, refund.CallVoid, adapters.ReasonLate, false) // not confirmed
				f.wantReturn(id, refund.ReturnVoiding, refund.CallVoid)
				f.back(id, refund.CallVoid, "", false)
			}
			f.wantReturn(id, refund.ReturnFailed, 0)
			f.wantRefund(id, "failed 60.00; 110000 failed 60.00 "+want)
			if h := f.hold(&f.payment(p.ID).Legs[0]); h.Counts() != 10000 || h.Refundable() != 10000 {
				t.Errorf("%s count", h.Counts())
			}
			f.wantBack(p, "0.00", "100.00")
			f.back(f.refunds(p, "100.00"), refund.CallRefund, "", final)
			f.wantBack(p, "100.00", "0.00")
		}
	}
}

// TestVoidCameTooLate: a void that is refused as carried out is a refund that is done.
func TestVoidCameTooLate(t *testing.T) {
	t.Parallel()
	f, p, id := returning(t)
	f.back(id, refund.CallRefund, adapters.ReasonStatus, false)
	f.back(id, refund.CallVoid, adapters.ReasonCaptured, false)
	f.wantRefund(id, "done 60.00; 110000 done 60.00")
	f.wantBack(p, "60.00", "40.00")
}

// TestReturnsAreTakenUp: the call stands in the state, wakes by itself, and is named to the next leader.
func TestReturnsAreTakenUp(t *testing.T) {
	t.Parallel()
	f, p, id := returning(t)
	other := f.refunds(p, "40.00")
	if n := len(f.view(beijing).Calls()); n != 2 {
		t.Fatalf("%d calls", n)
	}
	f.pass(refund.CallWait)
	if n := len(f.regions[beijing].last.Calls); n != 2 {
		t.Errorf("%d calls after the wait", n)
	}
	f.back(other, refund.CallRefund, "", true)
	f.wantReturn(id, refund.ReturnRequested, refund.CallRefund)
	seen := 0
	err := f.view(beijing).Open(ledger.Opened{Returns: func(r *ledger.ReturnRecord) bool {
		seen++
		return r.RefundID == id
	}})
	if err != nil || seen != 1 {
		t.Errorf("%d open returns, %v", seen, err)
	}
	visited := 0
	err = f.view(beijing).Returns(func(*ledger.ReturnRecord) bool {
		visited++
		return true
	})
	if err != nil || visited != 2 {
		t.Errorf("%d returns, %v", visited, err)
	}
}
