package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gongji/consensus"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/policy"
)

// refusalCase is a request that the face refuses without asking the desk for anything that changes.
type refusalCase struct {
	name   string
	body   string
	code   policy.Code
	status int
	field  string
}

// bad makes cases from a body and one change.
func bad(body func() document, pointer string, value any, code policy.Code, field string) refusalCase {
	return refusalCase{
		name: fmt.Sprintf("%s=%v", pointer, value), body: body().set(pointer, value).String(), code: code, field: field,
	}
}

// forms are the refusals that every body shares.
func forms(body func() document) []refusalCase {
	whole := body().String()
	quoted := func(s string) string { return strings.Replace(whole, `{`, `{"surplus":"`+s+`",`, 1) }
	cases := []refusalCase{
		{name: "empty", body: ""},
		{name: "no JSON", body: "{"},
		{name: "half", body: whole[:len(whole)/2]},
		{name: "an array", body: "[" + whole + "]"},
		{name: "null", body: "null"},
		{name: "a number", body: "1"},
		{name: "bytes behind", body: whole + " x"},
		{name: "two documents", body: whole + whole},
		{name: "comma", body: strings.Replace(whole, "}", ",}", 1)},
		{name: "broken UTF-8", body: quoted("\xff\xfe")},
		{name: "overlong UTF-8", body: quoted("\xc0\xaf")},
		{name: "UTF-8 surrogate", body: quoted("\xed\xa0\x80")},
		{name: "lone surrogate", body: quoted(`\ud800`)},
		{name: "lone low surrogate", body: quoted(`\udc00`)},
		{name: "two high surrogates", body: quoted(`\ud800\ud800`)},
		{name: "bad escape", body: quoted(`\x`)},
		{name: "control character", body: quoted("\n")},
		{name: "byte order mark", body: "\xef\xbb\xbf" + whole},
		{name: "unknown field", body: body().set("/surplus", 1).String(), field: "/surplus"},
		{name: "key twice", body: strings.Replace(whole, `{`, `{"request_id":"x",`, 1), field: "/request_id"},
		{name: "key twice, escaped", body: strings.Replace(whole, `{`, `{"request\u005fid":"x",`, 1), field: "/request_id"},
		{name: "unknown field of another case", body: body().set("/Request_id", "x").String()},
		{name: "100,000 levels", body: strings.Repeat("[", 32_000) + strings.Repeat("]", 32_000)},
		{name: "33 levels", body: body().set("/surplus", deep(32)).String()},
	}
	for i := range cases {
		cases[i].code = policy.CodeInvalidRequest
	}
	for _, id := range []any{remove{}, nil, 1, "", strings.Repeat("x", 65), "a b", "a/b", "ü", "a\x00"} {
		cases = append(cases, bad(body, "/request_id", id, policy.CodeInvalidRequest, "/request_id"))
	}
	return cases
}

func deep(n int) any {
	if n == 0 {
		return 1
	}
	return []any{deep(n - 1)}
}

// persons are the refusals of one person of a body.
func persons(body func() document, at string) []refusalCase {
	return []refusalCase{
		bad(body, at, remove{}, policy.CodeInvalidRequest, at),
		bad(body, at, nil, policy.CodeInvalidRequest, at),
		bad(body, at, "x", policy.CodeInvalidRequest, at),
		bad(body, at+"/id_type", remove{}, policy.CodeInvalidRequest, at+"/id_type"),
		bad(body, at+"/id_type", "02", policy.CodeInvalidRequest, at+"/id_type"),
		bad(body, at+"/id_type", 1, policy.CodeInvalidRequest, at+"/id_type"),
		bad(body, at+"/id_number", remove{}, policy.CodeInvalidRequest, at+"/id_number"),
		bad(body, at+"/id_number", 110101199003070011, policy.CodeInvalidRequest, at+"/id_number"),
		bad(body, at+"/id_number", "", policy.CodeInvalidIDNumber, at+"/id_number"),
		bad(body, at+"/id_number", "110101199003070012", policy.CodeInvalidIDNumber, at+"/id_number"),
		bad(body, at+"/id_number", "11010119900307", policy.CodeInvalidIDNumber, at+"/id_number"),
		bad(body, at+"/id_number", number("11010119900230001"), policy.CodeInvalidIDNumber, at+"/id_number"),
		bad(body, at+"/name", remove{}, policy.CodeInvalidRequest, at+"/name"),
		bad(body, at+"/name", "", policy.CodeInvalidRequest, at+"/name"),
		bad(body, at+"/name", "a\u0000b", policy.CodeInvalidRequest, at+"/name"),
		bad(body, at+"/name", strings.Repeat("张", 51), policy.CodeInvalidRequest, at+"/name"),
		bad(body, at+"/region", remove{}, policy.CodeInvalidRequest, at+"/region"),
		bad(body, at+"/region", 110000, policy.CodeInvalidRequest, at+"/region"),
		bad(body, at+"/region", "11000", policy.CodeInvalidRegion, at+"/region"),
		bad(body, at+"/region", "11000x", policy.CodeInvalidRegion, at+"/region"),
		bad(body, at+"/region", "990000", policy.CodeInvalidRegion, at+"/region"),
		bad(body, at+"/phone", "1", policy.CodeInvalidRequest, at+"/phone"),
	}
}

// amounts are the refusals of one field of money.
func amounts(body func() document, at string, zero bool) []refusalCase {
	values := []any{
		1, 1.5, true,
		[]any{},
		"", "1", "1.0", "1.000", "01.00", "-1.00", "+1.00", "1,00", " 1.00", "1.00 ", "1e2", "1e2.00",
		".50", "NaN", "1000000000000.00", "１.00", "0x1.00",
	}
	if !zero {
		values = append(values, "0.00")
	}
	var cases []refusalCase
	for _, v := range values {
		cases = append(cases, bad(body, at, v, policy.CodeInvalidAmount, at))
	}
	return cases
}

func grantCases() []refusalCase {
	counter := func() document {
		return grantBody().set("/channel", "counter").set("/clerk_id", "c-1").set("/scan_digest", strings.Repeat("ab", 32))
	}
	virtual := func() document { return grantBody().set("/funding", "virtual_limit").set("/limit", "1.00") }
	cases := forms(grantBody)
	cases = append(cases, persons(grantBody, "/payer")...)
	cases = append(cases, persons(grantBody, "/beneficiary")...)
	cases = append(cases, amounts(grantBody, "/per_payment_limit", false)...)
	cases = append(cases, amounts(grantBody, "/annual_limit", false)...)
	cases = append(cases,
		bad(grantBody, "/relation", remove{}, policy.CodeInvalidRequest, "/relation"),
		bad(grantBody, "/relation", 1, policy.CodeInvalidRequest, "/relation"),
		bad(grantBody, "/relation", "cousin", policy.CodeInvalidRelation, "/relation"),
		bad(grantBody, "/relation", "Parent", policy.CodeInvalidRelation, "/relation"),
		bad(grantBody, "/beneficiary", person(payerName, payerNumber, region), policy.CodeInvalidRelation,
			"/beneficiary/id_number"),
		bad(grantBody, "/channel", "email", policy.CodeInvalidRequest, "/channel"),
		bad(grantBody, "/channel", remove{}, policy.CodeInvalidRequest, "/channel"),
		bad(grantBody, "/channel", "counter", policy.CodeInvalidRequest, "/clerk_id"),
		bad(grantBody, "/clerk_id", "c-1", policy.CodeInvalidRequest, "/clerk_id"),
		bad(counter, "/scan_digest", remove{}, policy.CodeInvalidRequest, "/scan_digest"),
		bad(counter, "/scan_digest", "ab", policy.CodeInvalidRequest, "/scan_digest"),
		bad(counter, "/clerk_id", "", policy.CodeInvalidRequest, "/clerk_id"),
		bad(grantBody, "/consent", remove{}, policy.CodeInvalidRequest, "/consent"),
		bad(grantBody, "/consent/version", remove{}, policy.CodeInvalidRequest, "/consent/version"),
		bad(grantBody, "/consent/digest", 1, policy.CodeInvalidRequest, "/consent/digest"),
		bad(grantBody, "/consent/signature", remove{}, policy.CodeInvalidRequest, "/consent/signature"),
		bad(grantBody, "/consent/signature", "", policy.CodeInvalidRequest, "/consent/signature"),
		bad(grantBody, "/consent/signature", "!", policy.CodeInvalidRequest, "/consent/signature"),
		bad(grantBody, "/consent/signature", "abc", policy.CodeInvalidRequest, "/consent/signature"),
		bad(grantBody, "/consent/place", "x", policy.CodeInvalidRequest, "/consent/place"),
		bad(grantBody, "/proofs", remove{}, policy.CodeInvalidRequest, "/proofs"),
		bad(grantBody, "/proofs", "x", policy.CodeInvalidRequest, "/proofs"),
		bad(grantBody, "/proofs", []any{"x"}, policy.CodeInvalidRequest, "/proofs/0"),
		bad(grantBody, "/proofs", []any{nil}, policy.CodeInvalidRequest, "/proofs/0"),
		bad(grantBody, "/proofs/0/digest", "0f", policy.CodeInvalidRequest, "/proofs/0/digest"),
		bad(grantBody, "/proofs/0/digest", strings.Repeat("0g", 32), policy.CodeInvalidRequest, "/proofs/0/digest"),
		bad(grantBody, "/proofs/0/kind", remove{}, policy.CodeInvalidRequest, "/proofs/0/kind"),
		bad(grantBody, "/proofs/0/page", 1, policy.CodeInvalidRequest, "/proofs/0/page"),
		bad(grantBody, "/valid_from", remove{}, policy.CodeInvalidRequest, "/valid_from"),
		bad(grantBody, "/valid_from", "2026-11-31", policy.CodeInvalidRequest, "/valid_from"),
		bad(grantBody, "/valid_from", "2026-1-1", policy.CodeInvalidRequest, "/valid_from"),
		bad(grantBody, "/valid_from", "2026-11-01T00:00:00+08:00", policy.CodeInvalidRequest, "/valid_from"),
		bad(grantBody, "/valid_until", "2026-10-31", policy.CodeInvalidRequest, "/valid_until"),
		bad(grantBody, "/valid_until", "2026-11-19", policy.CodeInvalidRequest, "/valid_until"),
		bad(grantBody, "/valid_until", "soon", policy.CodeInvalidRequest, "/valid_until"),
		bad(grantBody, "/valid_until", 1, policy.CodeInvalidRequest, "/valid_until"),
		bad(grantBody, "/funding", "cash", policy.CodeInvalidRequest, "/funding"),
		bad(grantBody, "/limit", "1.00", policy.CodeInvalidRequest, "/limit"),
		bad(virtual, "/limit", remove{}, policy.CodeInvalidRequest, "/limit"),
		bad(virtual, "/limit", "0.00", policy.CodeInvalidAmount, "/limit"),
		bad(virtual, "/limit", 1, policy.CodeInvalidAmount, "/limit"),
		bad(grantBody, "/payer/region", "310000", policy.CodeNotHomeRegion, "/payer/region"),
	)
	return cases
}

func paymentCases() []refusalCase {
	cases := forms(paymentBody)
	for _, text := range []string{"\xff", `\ud800`, `\udc00x`, "\xed\xa0\x80", "\n"} {
		cases = append(cases, refusalCase{
			name: fmt.Sprintf("visit_id %q", text), code: policy.CodeInvalidRequest,
			body: strings.Replace(paymentBody().String(), "v-1", text, 1),
		})
	}
	return append(cases, valueCases()...)
}

// valueCases are those that a payment and a quote share.
func valueCases() []refusalCase {
	cases := persons(paymentBody, "/beneficiary")
	cases = append(cases, amounts(paymentBody, "/amount", false)...)
	for _, field := range []string{"/bill/total", "/bill/fund_paid", "/bill/self_borne", "/bill/own_account_paid"} {
		cases = append(cases, amounts(paymentBody, field, true)...)
	}
	for _, field := range []string{
		"/beneficiary", "/credential", "/institution", "/purpose", "/visit_id", "/visit_date", "/bill", "/amount",
		"/credential/type", "/credential/holder_id_number", "/institution/code", "/institution/kind", "/bill/id",
		"/bill/total",
		"/bill/fund_paid", "/bill/self_borne",
	} {
		cases = append(cases, bad(paymentBody, field, remove{}, policy.CodeInvalidRequest, field))
	}
	const invalid = policy.CodeInvalidRequest
	cases = append(cases,
		bad(paymentBody, "/credential/type", "passport", invalid, "/credential/type"),
		bad(paymentBody, "/credential/remote_use", "true", invalid, "/credential/remote_use"),
		bad(paymentBody, "/credential/holder_id_number", "1", policy.CodeInvalidIDNumber, "/credential/holder_id_number"),
		bad(paymentBody, "/credential/photo", "x", invalid, "/credential/photo"),
		bad(paymentBody, "/institution/kind", "school", invalid, "/institution/kind"),
		bad(paymentBody, "/institution/code", "", invalid, "/institution/code"),
		bad(paymentBody, "/institution/code", strings.Repeat("x", 129), invalid, "/institution/code"),
		bad(paymentBody, "/purpose", "holiday", invalid, "/purpose"),
		bad(paymentBody, "/purpose", "Outpatient", invalid, "/purpose"),
		bad(paymentBody, "/visit_id", "", invalid, "/visit_id"),
		bad(paymentBody, "/visit_id", 1, invalid, "/visit_id"),
		bad(paymentBody, "/visit_id", "a\tb", invalid, "/visit_id"),
		bad(paymentBody, "/visit_date", "2026-11-21", invalid, "/visit_date"),
		bad(paymentBody, "/visit_date", "2025-10-15", invalid, "/visit_date"),
		bad(paymentBody, "/visit_date", "2026-02-29", invalid, "/visit_date"),
		bad(paymentBody, "/bill/total", "500.01", policy.CodeInvalidAmount, "/bill/total"),
		bad(paymentBody, "/bill/own_account_paid", "200.01", policy.CodeInvalidAmount, "/bill/own_account_paid"),
		bad(paymentBody, "/bill/paid", "x", invalid, "/bill/paid"),
		bad(paymentBody, "/allow_partial", "yes", invalid, "/allow_partial"),
		bad(paymentBody, "/allow_partial", 1, invalid, "/allow_partial"),
		bad(paymentBody, "/confirm", "later", invalid, "/confirm"),
		bad(paymentBody, "/confirm", "", invalid, "/confirm"),
		bad(paymentBody, "/decide_within_seconds", 4, invalid, "/decide_within_seconds"),
		bad(paymentBody, "/decide_within_seconds", 0, invalid, "/decide_within_seconds"),
		bad(paymentBody, "/decide_within_seconds", -5, invalid, "/decide_within_seconds"),
		bad(paymentBody, "/decide_within_seconds", 901, invalid, "/decide_within_seconds"),
		bad(paymentBody, "/decide_within_seconds", 5.5, invalid, "/decide_within_seconds"),
		bad(paymentBody, "/decide_within_seconds", 1e300, invalid, "/decide_within_seconds"),
		bad(paymentBody, "/decide_within_seconds", "900", invalid, "/decide_within_seconds"),
		bad(paymentBody, "/grants", []any{}, invalid, "/grants"),
		bad(paymentBody, "/grants", []any{"g1", "g1"}, invalid, "/grants/1"),
		bad(paymentBody, "/grants", []any{1}, invalid, "/grants/0"),
		bad(paymentBody, "/grants", []any{nil}, invalid, "/grants/0"),
		bad(paymentBody, "/grants", []any{"a b"}, invalid, "/grants/0"),
		bad(paymentBody, "/grants", "g1", invalid, "/grants"),
		// The 422s that need nothing but the request.
		bad(paymentBody, "/credential/type", "kin_account", policy.CodeKinAccount, "/credential/type"),
		bad(paymentBody, "/purpose", "public_health", policy.CodePurposeForbidden, "/purpose"),
		bad(paymentBody, "/purpose", "fitness", policy.CodePurposeForbidden, "/purpose"),
		bad(paymentBody, "/purpose", "wellness", policy.CodePurposeForbidden, "/purpose"),
		bad(paymentBody, "/amount", "200.01", policy.CodeAmountExceedsSelfBorne, "/amount"),
		bad(paymentBody, "/bill/own_account_paid", "0.01", policy.CodeAmountExceedsSelfBorne, "/amount"),
	)
	return cases
}

func patchBody() document {
	return document{"request_id": "c-1", "valid_from": "2026-11-01", "valid_until": nil, "status": "suspended"}
}

func patchCases() []refusalCase {
	only := func(key string, value any) refusalCase {
		return refusalCase{
			name: fmt.Sprintf("only %s=%v", key, value), body: document{"request_id": "c-1", key: value}.String(),
			code: policy.CodeInvalidRequest,
		}
	}
	cases := forms(patchBody)
	cases = append(cases, amounts(patchBody, "/per_payment_limit", false)...)
	cases = append(cases, amounts(patchBody, "/annual_limit", false)...)
	return append(cases,
		refusalCase{name: "nothing", body: `{"request_id":"c-1"}`, code: policy.CodeInvalidRequest},
		only("valid_from", nil), only("status", nil), only("funding", "balance"), only("relation", "parent"),
		bad(patchBody, "/status", "revoked", policy.CodeInvalidRequest, "/status"),
		bad(patchBody, "/status", 1, policy.CodeInvalidRequest, "/status"),
		bad(patchBody, "/valid_from", "x", policy.CodeInvalidRequest, "/valid_from"),
		bad(patchBody, "/valid_until", "2026-10-31", policy.CodeInvalidRequest, "/valid_until"),
		bad(patchBody, "/valid_until", "2026-11-19", policy.CodeInvalidRequest, "/valid_until"),
		bad(patchBody, "/valid_until", "", policy.CodeInvalidRequest, "/valid_until"),
	)
}

func orderBody() document {
	return document{
		"request_id": "o-1", "beneficiary": person(beneficiaryName, beneficiaryNumber, region), "grants": []any{"g1", "g2"},
	}
}

func orderCases() []refusalCase {
	const invalid = policy.CodeInvalidRequest
	return append(append(forms(orderBody), persons(orderBody, "/beneficiary")...),
		bad(orderBody, "/grants", remove{}, invalid, "/grants"),
		bad(orderBody, "/grants", nil, invalid, "/grants"),
		bad(orderBody, "/grants", []any{"g1", "g2", "g1"}, invalid, "/grants/2"),
		bad(orderBody, "/grants", []any{1}, invalid, "/grants/0"),
		bad(orderBody, "/beneficiary/region", "350100", policy.CodeNotHomeRegion, "/beneficiary/region"),
	)
}

func confirmCases() []refusalCase {
	body := func() document { return document{"request_id": "k-1", "amount": "1.00"} }
	return append(forms(body), amounts(body, "/amount", false)...)
}

func actCases() []refusalCase {
	body := func() document { return document{"request_id": "a-1"} }
	return append(forms(body), bad(body, "/amount", "1.00", policy.CodeInvalidRequest, "/amount"))
}

func completeCases() []refusalCase {
	body := func() document {
		return document{"request_id": "k-1", "confirm": "auto", "decide_within_seconds": 900, "grants": []any{"g1", "g2"}}
	}
	const invalid = policy.CodeInvalidRequest
	return append(forms(body),
		bad(body, "/amount", "1.00", invalid, "/amount"),
		bad(body, "/confirm", "later", invalid, "/confirm"),
		bad(body, "/confirm", true, invalid, "/confirm"),
		bad(body, "/decide_within_seconds", 4, invalid, "/decide_within_seconds"),
		bad(body, "/decide_within_seconds", 901, invalid, "/decide_within_seconds"),
		bad(body, "/decide_within_seconds", "900", invalid, "/decide_within_seconds"),
		bad(body, "/grants", []any{}, invalid, "/grants"),
		bad(body, "/grants", []any{"g1", "g1"}, invalid, "/grants/1"),
	)
}

func grantSearchCases() []refusalCase {
	body := func() document { return document{"payer": person(payerName, payerNumber, region), "limit": 10} }
	const invalid = policy.CodeInvalidRequest
	return append(persons(body, "/payer")[2:], // without a payer it is nobody
		refusalCase{name: "nobody", body: `{}`, code: invalid},
		bad(body, "/beneficiary", person(payerName, payerNumber, region), invalid, ""),
		bad(body, "/limit", 0, invalid, "/limit"),
		bad(body, "/limit", 1001, invalid, "/limit"),
		bad(body, "/limit", "10", invalid, "/limit"),
		bad(body, "/cursor", 1, invalid, "/cursor"),
		bad(body, "/cursor", "", invalid, "/cursor"),
		bad(body, "/surplus", 1, invalid, "/surplus"),
		bad(body, "/payer/region", "310000", policy.CodeNotHomeRegion, "/payer/region"),
	)
}

func paymentSearchCases() []refusalCase {
	body := func() document { return document{"visit_id": "v-1"} }
	const invalid = policy.CodeInvalidRequest
	return []refusalCase{
		{name: "nothing", body: `{}`, code: invalid, field: "/request_id"},
		bad(body, "/bill_id", "b-1", invalid, ""),
		bad(body, "/visit_id", 1, invalid, "/visit_id"),
		bad(body, "/visit_id", "", invalid, "/visit_id"),
		bad(body, "/limit", 1001, invalid, "/limit"),
		bad(body, "/surplus", 1, invalid, "/surplus"),
		{name: "bad request_id", body: `{"request_id":"a b"}`, code: invalid, field: "/request_id"},
	}
}

// TestRefusals: every refusal that the face decides has its own code, status and field, and nothing was asked of
// the desk, on the leader and through another node.
func TestRefusals(t *testing.T) {
	t.Parallel()
	tables := []struct {
		name, method, target string
		cases                []refusalCase
	}{
		{"grant", http.MethodPost, "/v1/grants", grantCases()},
		{"patch", http.MethodPatch, "/v1/grants/g1", patchCases()},
		{"accept", http.MethodPost, "/v1/grants/g1/accept", actCases()},
		{"renounce", http.MethodPost, "/v1/grants/g1/renounce", actCases()},
		{"order", http.MethodPut, "/v1/beneficiaries/order", orderCases()},
		{"search grants", http.MethodPost, "/v1/grants/search", grantSearchCases()},
		{"payment", http.MethodPost, "/v1/payments", paymentCases()},
		{"quote", http.MethodPost, "/v1/quotes", valueCases()},
		{"search payments", http.MethodPost, "/v1/payments/search", paymentSearchCases()},
		{"confirm", http.MethodPost, "/v1/payments/p1/confirm", confirmCases()},
		{"statement", http.MethodPost, "/v1/statements", statementCases()},
		{"quota", http.MethodPost, "/v1/quotas", quotaCases()},
		{"complete", http.MethodPost, "/v1/payments/p1/complete", completeCases()},
		{"cancel", http.MethodPost, "/v1/payments/p1/cancel", actCases()},
	}
	for _, table := range tables {
		t.Run(table.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, nil)
			for _, c := range table.cases {
				t.Run(c.name, func(t *testing.T) {
					e.refused(t, table.method, table.target, c)
				})
			}
		})
	}
}

// refused sends a case to both nodes.
func (e *env) refused(t *testing.T, method, target string, c refusalCase) {
	t.Helper()
	status := c.status
	if status == 0 {
		status = c.code.Status()
	}
	r := e.call(t, e.leader, method, target, c.body)
	p := r.problem
	if p.Code != string(c.code) || r.status != status {
		t.Fatalf("got %d %s at %q, want %d %s: %s", r.status, p.Code, p.Field, status, c.code, r.body)
	}
	if c.field != "" && p.Field != c.field {
		t.Errorf("field %q, want %q", p.Field, c.field)
	}
	if p.Outcome != client.OutcomeNone || p.Retryable || p.TitleZH == "" || p.Detail == "" || p.DetailZH == "" {
		t.Errorf("incomplete problem: %s", r.body)
	}
	if want := method == http.MethodPost && target == "/v1/grants" && status < 500; (p.Hotline == hotline) != want {
		t.Errorf("hotline %q", p.Hotline)
	}
	if c.code == policy.CodeNotHomeRegion && p.Region == "" {
		t.Error("421 without the right region")
	}
	if calls := e.desk.taken(); len(calls) > 0 {
		t.Errorf("the desk was asked: %v", calls)
	}
	if through := e.call(t, e.follower, method, target, c.body); string(through.body) != string(r.body) {
		t.Errorf("another node answers otherwise:\n%s\n%s", r.body, through.body)
	}
}

// TestPaths: what is unknown is a problem too.
func TestPaths(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	for _, c := range []struct{ method, target string }{
		{http.MethodGet, "/"},
		{http.MethodGet, "/v1"},
		{http.MethodGet, "/v2/rules"},
		{http.MethodGet, "/v1/grants"},
		{http.MethodGet, "/v1/rules/"},
		{http.MethodGet, "/v1//rules"},
		{http.MethodGet, "/v1/x/../rules"},
		{http.MethodPut, "/v1/payments"},
		{http.MethodDelete, "/v1/rules"},
		{http.MethodPost, "/healthz"},
		{http.MethodOptions, "/v1/rules"},
		{"BREW", "/v1/rules"},
		{http.MethodGet, "/v1/grants/a%2Fb/x"},
		{http.MethodGet, "/v1/grants/a%20b"},
		{http.MethodGet, "/v1/payments/" + strings.Repeat("a", 65)},
		{http.MethodGet, "/v1/payments/%00"},
		{http.MethodPost, "/v1/payments/p1"},
	} {
		for _, server := range []*struct {
			name string
			f    func() reply
		}{
			{"leader", func() reply { return e.call(t, e.leader, c.method, c.target, "") }},
			{"follower", func() reply { return e.call(t, e.follower, c.method, c.target, "") }},
		} {
			if r := server.f(); r.status != http.StatusNotFound || r.problem.Code != string(policy.CodeNotFound) {
				t.Errorf("%s %s at the %s: %d %s", c.method, c.target, server.name, r.status, r.body)
			}
		}
	}
	if calls := e.desk.taken(); len(calls) > 0 {
		t.Errorf("the desk was asked: %v", calls)
	}
}

// TestQuery: wait and request_id of the query.
func TestQuery(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	for _, wait := range []string{"-1", "31", "5s", "1.5", "", "100", "1&wait=2", "%20", "０"} {
		r := e.call(t, e.leader, http.MethodPost, "/v1/payments/p1/confirm?wait="+wait, `{"request_id":"w"}`)
		if r.status != 400 || r.problem.Field != "/wait" {
			t.Errorf("wait %q: %d %s", wait, r.status, r.body)
		}
	}
	for _, query := range []string{
		"", "?request_id=", "?request_id=a%20b", "?request_id=a&request_id=a", "?request_id=" + strings.Repeat("a", 65),
	} {
		r := e.call(t, e.leader, http.MethodDelete, "/v1/grants/g1"+query, "")
		if r.status != 400 || r.problem.Field != "/request_id" {
			t.Errorf("delete %q: %d %s", query, r.status, r.body)
		}
	}
	if r := e.call(t, e.leader, http.MethodDelete, "/v1/grants/g1?request_id=a", `{"request_id":"a"}`); r.status != 400 {
		t.Errorf("a DELETE with a body: %d", r.status)
	}
	if calls := e.desk.taken(); len(calls) > 0 {
		t.Errorf("the desk was asked: %v", calls)
	}
}

// TestTraceAndEvidence are read byte for byte as the desk gives them, and take no body.
func TestTraceAndEvidence(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	r := e.call(t, e.follower, http.MethodGet, "/v1/payments/p1/trace", "")
	if r.status != http.StatusOK || !strings.Contains(string(r.body), `"what":"p1"`) ||
		!strings.Contains(string(r.body), `"verified":true`) {
		t.Errorf("trace: %d %s", r.status, r.body)
	}
	r = e.call(t, e.follower, http.MethodGet, "/v1/payments/p1/evidence", "")
	if r.status != http.StatusOK || strings.TrimSuffix(string(r.body), "\n") != bundleOf("p1") {
		t.Errorf("evidence: %d %s", r.status, r.body)
	}
	for _, target := range []string{"/v1/payments/p1/trace", "/v1/payments/p1/evidence"} {
		if r := e.call(t, e.follower, http.MethodGet, target, `{"a":1}`); r.status != http.StatusBadRequest {
			t.Errorf("%s with a body: %d", target, r.status)
		}
	}
}

// TestDeskErrors: what the desk and the log answer becomes a problem that says what to do next.
func TestDeskErrors(t *testing.T) {
	e := newEnv(t, nil)
	for _, c := range []struct {
		name           string
		fail           error
		code           string
		status         int
		write, reading string // outcomes
	}{
		{"refusal", &api.Error{Code: policy.CodeWrongState}, "wrong_state", 409, "none", "none"},
		{
			"policy", fmt.Errorf("x: %w", policy.Refuse(policy.CodeDuplicateGrant, "/payer")),
			"duplicate_grant", 409, "none", "none",
		},
		{"no leader", consensus.ErrNoLeader, "no_leader", 503, "none", "none"},
		{"stopped", consensus.ErrStopped, "no_leader", 503, "none", "none"},
		{"busy", consensus.ErrBusy, "rate_limited", 429, "none", "none"},
		{"too large", consensus.ErrTooLarge, "invalid_request", 413, "none", "none"},
		{"unknown", fmt.Errorf("x: %w", consensus.ErrUnknown), "timeout", 504, "unknown", "none"},
		{"deadline", context.DeadlineExceeded, "timeout", 504, "unknown", "none"},
		{"done", &api.Error{Code: policy.CodeTimeout, Outcome: client.OutcomeDone}, "timeout", 504, "done", "done"},
		{"fault", errors.New("disk full"), "internal", 500, "unknown", "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e.desk.fail = c.fail
			for _, call := range []struct{ method, target, body, outcome string }{
				{http.MethodPost, "/v1/payments", paymentBody().String(), c.write},
				{http.MethodGet, "/v1/payments/p1", "", c.reading},
				{http.MethodPost, "/v1/quotes", paymentBody().String(), c.reading},
			} {
				for _, server := range []string{"leader", "follower"} {
					at := e.leader
					if server == "follower" {
						at = e.follower
					}
					r := e.call(t, at, call.method, call.target, call.body)
					if r.status != c.status || r.problem.Code != c.code || r.problem.Outcome != call.outcome {
						t.Errorf("%s %s at the %s: %d %s", call.method, call.target, server, r.status, r.body)
					}
				}
			}
		})
	}
}
