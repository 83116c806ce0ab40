package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
)

// TestMandates: the calls of premium collection, their forms, and what a repeat answers.
func TestMandates(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	const path = "/v1/grants/g1/mandates"
	good := `{"request_id":"m-1","max_amount":"400.00"}`
	r := e.call(t, e.leader, http.MethodPost, path, good)
	if r.status != http.StatusOK || !strings.Contains(string(r.body), `"mandate_id":"m1"`) {
		t.Errorf("create: %d %s", r.status, r.body)
	}
	if f, ok := e.desk.last.(client.MandateRequest); !ok || f.Purpose != "resident_premium" || f.MaxAmount != "400.00" {
		t.Errorf("the desk was asked %+v", e.desk.last)
	}
	r = e.call(t, e.follower, http.MethodPost, path, good)
	if r.status != http.StatusOK || r.header.Get("Idempotent-Replay") != "true" {
		t.Errorf("repeat: %d %v", r.status, r.header)
	}
	r = e.call(t, e.leader, http.MethodGet, path, "")
	if r.status != http.StatusOK || strings.Count(string(r.body), `"results":[`) != 2 {
		t.Errorf("list: %d %s", r.status, r.body)
	}
	for _, query := range []string{"?request_id=m-2", "?request_id=m-3&mandate_id=m1", "?request_id=m-3&mandate_id=m1"} {
		if r = e.call(t, e.leader, http.MethodDelete, path+query, ""); r.status != http.StatusOK {
			t.Errorf("end %s: %d %s", query, r.status, r.body)
		}
	}
	if r = e.call(t, e.leader, http.MethodDelete, path+"?request_id=m-3", ""); r.status != http.StatusConflict {
		t.Errorf("another end under the same id: %d", r.status)
	}
	want := []string{"CreateMandate", "Mandate", "Mandates", "EndMandates", "EndMandates", "Mandates"}
	if got := e.desk.taken(); !slices.Equal(got, want) {
		t.Errorf("the desk was asked %v, want %v", got, want)
	}
}

// TestMandateForms: what is refused before the desk is asked.
func TestMandateForms(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	const path = "/v1/grants/g1/mandates"
	for _, c := range []struct {
		method, target, body string
		code                 policy.Code
		field                string
	}{
		{http.MethodPost, path, `{}`, policy.CodeInvalidRequest, "/request_id"},
		{http.MethodPost, path, `{"request_id":"a","purpose":"drug"}`, policy.CodeInvalidRequest, "/purpose"},
		{http.MethodPost, path, `{"request_id":"a","max_amount":"0.00"}`, policy.CodeInvalidAmount, "/max_amount"},
		{http.MethodPost, path, `{"request_id":"a","max_amount":400}`, policy.CodeInvalidAmount, "/max_amount"},
		{http.MethodPost, path, `{"request_id":"a","amount":"1.00"}`, policy.CodeInvalidRequest, "/amount"},
		{http.MethodPost, "/v1/grants/g%20/mandates", `{"request_id":"a"}`, policy.CodeNotFound, ""},
		{http.MethodGet, path, `{"x":1}`, policy.CodeInvalidRequest, "/x"},
		{http.MethodDelete, path, "", policy.CodeInvalidRequest, "/request_id"},
		{http.MethodDelete, path + "?request_id=a&mandate_id=", "", policy.CodeInvalidRequest, "/mandate_id"},
		{http.MethodDelete, path + "?request_id=a&mandate_id=%20", "", policy.CodeInvalidRequest, "/mandate_id"},
		{http.MethodDelete, path + "?request_id=a&mandate_id=m1&mandate_id=m2", "", policy.CodeInvalidRequest, "/mandate_id"},
		{http.MethodDelete, path + "?request_id=a", `{"mandate_id":"m1"}`, policy.CodeInvalidRequest, "/mandate_id"},
	} {
		r := e.call(t, e.leader, c.method, c.target, c.body)
		if r.problem.Code != string(c.code) || r.problem.Field != c.field {
			t.Errorf("%s %s %s: %d %s", c.method, c.target, c.body, r.status, r.body)
		}
	}
	if calls := e.desk.taken(); len(calls) > 0 {
		t.Errorf("the desk was asked: %v", calls)
	}
}
