package simtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"gongji/gateway/client"
)

// The platform gives some of what was captured back, once or several times, sometimes more than is there.

const refundsMost = 3 // of one payment

// giveBack asks for refunds of a captured payment, and remembers what was answered.
func (v *visit) giveBack() {
	if v.confirmed == 0 && v.wish != auto || v.rng.IntN(5) > 1 {
		return
	}
	time.Sleep(time.Duration(v.rng.IntN(90)) * time.Second)
	if !v.look() || v.last.Status != client.PaymentCaptured {
		return
	}
	captured := fen(v.last.Captured)
	for n := range 1 + v.rng.IntN(refundsMost) {
		amount := captured // whole; behind another one too much
		if v.rng.IntN(3) > 0 {
			amount = 1 + v.rng.Int64N(captured)
		}
		v.refundOnce(n, amount)
		time.Sleep(time.Duration(v.rng.IntN(10)) * time.Second)
	}
}

// refundOnce asks for one refund until an answer decides.
func (v *visit) refundOnce(n int, amount int64) {
	form := client.RefundRequest{
		RequestID: fmt.Sprintf("%s.r%d", v.form.RequestID, n), Amount: yuan(amount), Reason: "simulated",
	}
	got, err := v.w.insist(v.rng, v.region, v.id, http.MethodPost, "/v1/payments/"+v.id+"/refunds", form)
	switch {
	case err != nil:
		return // nobody knows: the list tells in the end
	case got.problem.Code == "refund_exceeds_captured":
		return
	case got.problem.Code != "":
		v.w.story.fault("refund %s of payment %s was refused as %s", form.RequestID, v.id, got.problem.Code)
		return
	}
	var r client.Refund
	if err := json.Unmarshal([]byte(got.body), &r); err != nil || fen(r.Amount) != amount || r.PaymentID != v.id {
		v.w.story.fault("refund %s of payment %s over %d fen was answered with %s, %v", form.RequestID, v.id, amount, got.body,
			err)
		return
	}
	v.w.story.tell("platform", v.id, "%s is refund %s: %s of %s %s", form.RequestID, r.RefundID, r.Amount, r.Status, r.Code)
	v.refunds = append(v.refunds, r)
}

// verifyRefunds holds what was answered against the end: nothing here can fail for good, nothing is there twice, and the
// payment says their sum.
func (v *visit) verifyRefunds(p client.Payment) {
	got, err := v.w.insist(v.rng, v.region, p.PaymentID, http.MethodGet, "/v1/payments/"+p.PaymentID+"/refunds", nil)
	var list client.RefundList
	if err != nil || got.problem.Code != "" || json.Unmarshal([]byte(got.body), &list) != nil {
		v.w.story.fault("the refunds of payment %s cannot be read: %v %s", p.PaymentID, err, got.body)
		return
	}
	var sum int64
	amounts := map[string]string{}
	for _, r := range list.Refunds {
		sum += fen(r.Amount)
		amounts[r.RefundID] = r.Amount
		if r.Status != client.RefundDone {
			v.w.story.fault("refund %s is %s %s at the end", r.RefundID, r.Status, r.Code)
		}
	}
	for _, r := range v.refunds {
		if amounts[r.RefundID] != r.Amount {
			v.w.story.fault("refund %s of %s was answered, and the list has %q", r.RefundID, r.Amount, amounts[r.RefundID])
		}
	}
	if sum != fen(p.Refunded) || sum > fen(p.Captured) || len(list.Refunds) > refundsMost {
		v.w.story.fault("payment %s: captured %s, refunded %s, its %d refunds are %d fen", p.PaymentID, p.Captured, p.Refunded,
			len(list.Refunds), sum)
	}
}
