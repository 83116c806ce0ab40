package api_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

func aRefund(id string) client.Refund {
	return client.Refund{
		RefundID: id, PaymentID: "p1", Status: client.RefundRequested, Amount: "80.00", Reason: "cancelled visit",
		Created: client.FormatTime(now()), Code: "core_unavailable",
		Legs: []client.RefundLeg{{
			HoldID: "h1", GrantID: "g1", Region: region, Amount: "80.00", Status: client.RefundRequested,
			Code: "core_unavailable",
		}},
	}
}

func (d *fakeDesk) CreateRefund(
	ctx context.Context, key api.RequestKey, paymentID string, f client.RefundRequest, amount money.Amount,
) (client.Refund, api.Written, error) {
	if err := d.note(ctx, "CreateRefund "+paymentID, f); err != nil {
		return client.Refund{}, api.Written{}, err
	}
	d.mu.Lock()
	d.amount = &amount
	d.mu.Unlock()
	d.use(key, api.KindRefund, "r1")
	return aRefund("r1"), d.written, nil
}

func (d *fakeDesk) Refund(ctx context.Context, id string) (client.Refund, error) {
	return aRefund(id), d.note(ctx, "Refund "+id, id)
}

func (d *fakeDesk) Refunds(ctx context.Context, paymentID string) ([]client.Refund, error) {
	if paymentID != "p1" {
		return nil, d.note(ctx, "Refunds "+paymentID, paymentID)
	}
	return []client.Refund{aRefund("r1"), aRefund("r2")}, d.note(ctx, "Refunds "+paymentID, paymentID)
}

func refundBody() document {
	return document{"request_id": "rf-1", "amount": "80.00", "reason": "取消就诊 cancelled"}
}

// TestRefunds: 201 with the refund; the repeat answers with it as it is now; progress by list and by id, and no
// refund under another payment's path.
func TestRefunds(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	const target = "/v1/payments/p1/refunds"
	r := e.call(t, e.follower, "POST", target, refundBody().String())
	want := client.RefundRequest{RequestID: "rf-1", Amount: "80.00", Reason: "取消就诊 cancelled"}
	if r.status != http.StatusCreated || e.desk.last != want || e.desk.amount.Fen() != 8000 {
		t.Errorf("%d %s: %#v", r.status, r.body, e.desk.last)
	}
	e.desk.taken()
	r = e.call(t, e.leader, "POST", target, refundBody().String())
	if r.status != http.StatusOK || r.header.Get("Idempotent-Replay") != "true" ||
		!slices.Equal(e.desk.taken(), []string{"Refund r1"}) {
		t.Errorf("repeat: %d %s", r.status, r.body)
	}
	r = e.call(t, e.leader, "POST", target, refundBody().set("/amount", "81.00").String())
	if r.problem.Code != string(policy.CodeConflict) {
		t.Errorf("other content: %d %s", r.status, r.body)
	}
	r = e.call(t, e.leader, "GET", target, "")
	if r.status != http.StatusOK || strings.Count(string(r.body), `"refund_id"`) != 2 {
		t.Errorf("list: %d %s", r.status, r.body)
	}
	if r = e.call(t, e.leader, "GET", "/v1/payments/p2/refunds", ""); !strings.Contains(string(r.body), `"refunds":[]`) {
		t.Errorf("empty list: %d %s", r.status, r.body)
	}
	if r = e.call(t, e.leader, "GET", target+"/r2", ""); r.status != http.StatusOK {
		t.Errorf("read: %d %s", r.status, r.body)
	}
	for _, missing := range []string{
		"/v1/payments/p2/refunds/r2", target + "/" + strings.Repeat("r", 65), "/v1/payments/a%20b/refunds/r2",
		"/v1/payments/a%20b/refunds",
	} {
		if r = e.call(t, e.leader, "GET", missing, ""); r.problem.Code != string(policy.CodeNotFound) {
			t.Errorf("%s: %d %s", missing, r.status, r.body)
		}
	}
}

// TestRefundForm: what a refund may not be; the desk is not asked.
func TestRefundForm(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	for name, c := range map[string]struct {
		body document
		code policy.Code
	}{
		"no request id": {refundBody().set("/request_id", remove{}), policy.CodeInvalidRequest},
		"no amount":     {refundBody().set("/amount", remove{}), policy.CodeInvalidRequest},
		"no reason":     {refundBody().set("/reason", remove{}), policy.CodeInvalidRequest},
		"empty reason":  {refundBody().set("/reason", ""), policy.CodeInvalidRequest},
		"unknown field": {refundBody().set("/surplus", 1), policy.CodeInvalidRequest},
		"nothing":       {refundBody().set("/amount", "0.00"), policy.CodeInvalidAmount},
		"a number":      {refundBody().set("/amount", 80), policy.CodeInvalidAmount},
		"three places":  {refundBody().set("/amount", "0.001"), policy.CodeInvalidAmount},
		"long reason":   {refundBody().set("/reason", strings.Repeat("退", 201)), policy.CodeInvalidRequest},
		"names a person": {
			refundBody().set("/reason", "wrong: "+beneficiaryNumber+"."), policy.CodeInvalidRequest,
		},
	} {
		r := e.call(t, e.leader, "POST", "/v1/payments/p1/refunds", c.body.String())
		if r.problem.Code != string(c.code) || strings.Contains(string(r.body), beneficiaryNumber) {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	if calls := e.desk.taken(); len(calls) > 0 {
		t.Errorf("asked %v", calls)
	}
	longest := refundBody().set("/reason", strings.Repeat("退", 200))
	if r := e.call(t, e.leader, "POST", "/v1/payments/p1/refunds", longest.String()); r.status != http.StatusCreated {
		t.Errorf("200 characters: %d %s", r.status, r.body)
	}
	e.desk.fail = &api.Error{Code: policy.CodeRefundExceedsCaptured, Field: "/amount"}
	again := refundBody().set("/request_id", "rf-2")
	if r := e.call(t, e.leader, "POST", "/v1/payments/p1/refunds", again.String()); r.status != 422 {
		t.Errorf("too much: %d %s", r.status, r.body)
	}
	if strings.Contains(e.logs.String(), "取消就诊") {
		t.Error("the reason stands in the log")
	}
}
