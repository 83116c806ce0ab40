package refund_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/refund"
)

func yuan(fen int64) money.Amount { return money.Amount(fen) }

// allowed is the home's table.
var allowed = map[refund.ReturnState][]refund.ReturnState{
	refund.ReturnRequested: {refund.ReturnDone, refund.ReturnFailed, refund.ReturnVoiding},
	refund.ReturnVoiding:   {refund.ReturnDone, refund.ReturnFailed},
}

// TestReturnAtRandom: in any order and with any repeats an end stays, a refusal that nobody remembers never
// fails without a void, and an open return has a call under way and a time to wake.
func TestReturnAtRandom(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, _ := aReturn(rapid.Int64Range(1, 50).Draw(t, "amount"), rapid.Int64Range(0, 50).Draw(t, "left"))
		now := start
		for range rapid.IntRange(0, 30).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "passes")) * time.Second)
			before := *r
			event := rapid.SampledFrom([]string{"refunded", "refused", "remembered", "voided", "due"}).Draw(t, "event")
			switch event {
			case "refunded":
				r.CoreRefunded(now)
			case "refused":
				r.CoreRefused(now, policy.CodeAccountClosed, false)
			case "remembered":
				r.CoreRefused(now, policy.CodeAccountClosed, true)
			case "voided":
				r.CoreVoided(now)
			default:
				r.Expire(now)
			}
			moved(t, &before, r, event)
		}
	})
}

func moved(t *rapid.T, before, r *refund.Return, event string) {
	if r.State != before.State {
		ok := false
		for _, s := range allowed[before.State] {
			ok = ok || s == r.State
		}
		if !ok {
			t.Fatalf("%s: %s became %s", event, before.State, r.State)
		}
	}
	if r.State == refund.ReturnFailed && before.State == refund.ReturnRequested && event != "remembered" {
		t.Fatalf("%s: failed without a void", event)
	}
	if before.State.Final() && *r != *before {
		t.Fatalf("%s changed %+v to %+v", event, before, r)
	}
	if r.State.Final() != r.WakeAt.IsZero() || r.State.Final() != (r.Calls() == 0) {
		t.Fatalf("%s: %+v", event, r)
	}
	if r.Open()+r.Back() > r.Amount || (r.Open() > 0) == r.State.Final() ||
		r.State == refund.ReturnFailed && r.Code == "" {
		t.Fatalf("%s: %+v", event, r)
	}
	if r.Ref() != before.Ref() {
		t.Fatal("another reference")
	}
}
