package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gongji/consensus"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/policy"
)

// Searches and an order for TestAnswers.
var (
	byPayer       = document{"payer": person(payerName, payerNumber, region)}.String()
	byBeneficiary = document{
		"beneficiary": person(payerName, payerNumber, "310000"), "request_id": []any{1},
	}.String()
	noOrder = orderBody().set("/request_id", "o-2").set("/grants", []any{}).String()
)

// TestAnswers: each operation hands its form to the desk, with defaults filled in, and answers what the desk said,
// on the leader and through another node.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, node := range []string{"leader", "follower"} {
		t.Run(node, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, nil)
			server := e.leader
			if node == "follower" {
				server = e.follower
			}
			for _, c := range []struct {
				method, target, body, call string
				status                     int
			}{
				{"GET", "/v1/commitment", "", "Commitment", 200},
				{"GET", "/v1/rules", "", "", 200},
				{"GET", "/v1/rules?x=1", "{}", "", 200},
				{"POST", "/v1/grants", grantBody().String(), "CreateGrant", 201},
				{"GET", "/v1/grants/g1", "", "Grant", 200},
				{"POST", "/v1/grants/search", byPayer, "SearchGrants", 200},
				{"POST", "/v1/grants/search", byBeneficiary, "SearchGrants", 200},
				{"PATCH", "/v1/grants/g1", patchBody().String(), "PatchGrant", 200},
				{"DELETE", "/v1/grants/g1?request_id=d-1", "", "RevokeGrant", 200},
				{"DELETE", "/v1/grants/g1?request_id=d-2", " {} ", "RevokeGrant", 200},
				{"POST", "/v1/grants/g1/accept", `{"request_id":"a-1"}`, "AcceptGrant", 200},
				{"POST", "/v1/grants/g1/renounce", `{"request_id":"a-2"}`, "RenounceGrant", 200},
				{"PUT", "/v1/beneficiaries/order", orderBody().String(), "SetOrder", 200},
				{"PUT", "/v1/beneficiaries/order", noOrder, "SetOrder", 200},
				{"POST", "/v1/payments", paymentBody().String(), "CreatePayment", 201},
				{"POST", "/v1/quotes", paymentBody().String(), "Quote", 200},
				{"POST", "/v1/quotes", paymentBody().set("/request_id", remove{}).String(), "Quote", 200},
				{"POST", "/v1/quotes", paymentBody().set("/request_id", 17).String(), "Quote", 200},
				{"GET", "/v1/payments/p1", "", "Payment", 200},
				{"POST", "/v1/payments/search", `{"request_id":"p-1"}`, "SearchPayments", 200},
				{"POST", "/v1/payments/search", `{"visit_id":"v-1","request_id":17}`, "SearchPayments", 200},
				{"POST", "/v1/payments/search", `{"bill_id":"b-1","limit":1e1,"cursor":"c"}`, "SearchPayments", 200},
				{"POST", "/v1/payments/p1/confirm", `{"request_id":"k-1"}`, "Confirm", 200},
				{"POST", "/v1/payments/p1/confirm?wait=30", `{"request_id":"k-2","amount":"1.00"}`, "Confirm", 200},
				{"POST", "/v1/payments/p1/complete", `{"request_id":"y-1"}`, "Complete", 200},
				{
					"POST", "/v1/payments/p1/complete",
					`{"request_id":"y-2","confirm":"auto","decide_within_seconds":60,"grants":["g1"]}`, "Complete", 200,
				},
				{"POST", "/v1/statements", statementBody().String(), "Statement", 200},
				{"POST", "/v1/statements", statementBody().set("/request_id", 17).String(), "Statement", 200},
				{"POST", "/v1/quotas", quotaBody().String(), "Quota", 200},
				{"POST", "/v1/payments/p1/cancel", `{"request_id":"x-1"}`, "Cancel", 200},
			} {
				r := e.call(t, server, c.method, c.target, c.body)
				if r.status != c.status || r.header.Get("Idempotent-Replay") != "" {
					t.Errorf("%s %s: %d %v %s", c.method, c.target, r.status, r.header, r.body)
				}
				want := []string{c.call}
				if calls := e.desk.taken(); c.call != "" && !slices.Equal(calls, want) {
					t.Errorf("%s %s: asked %v, want %v", c.method, c.target, calls, want)
				}
				if strings.Contains(string(r.body), "null") {
					t.Errorf("%s %s: null in %s", c.method, c.target, r.body)
				}
			}
		})
	}
}

// TestForms: what the desk gets is what was sent, with defaults, and x as X.
func TestForms(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	lower := ""
	for n := range 1000 {
		if c := number(fmt.Sprintf("11010119900307%03d", n)); c[17] == 'X' {
			lower = c[:17] + "x"
			break
		}
	}
	body := paymentBody().set("/allow_partial", remove{}).set("/confirm", nil).set("/decide_within_seconds", remove{}).
		set("/grants", nil).set("/credential/remote_use", nil).set("/bill/own_account_paid", nil).
		set("/beneficiary/id_number", lower).set("/credential/holder_id_number", strings.ToUpper(lower))
	if r := e.call(t, e.leader, "POST", "/v1/payments", body.String()); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	f, ok := e.desk.last.(client.PaymentRequest)
	if !ok || !*f.AllowPartial || f.Confirm != "manual" || f.DecideWithinSeconds != nil || f.Grants != nil ||
		*f.Credential.RemoteUse || f.Bill.OwnAccountPaid != "0.00" || f.Beneficiary.IDNumber != strings.ToUpper(lower) ||
		f.Credential.HolderIDNumber != f.Beneficiary.IDNumber {
		t.Errorf("defaults: %#v", e.desk.last)
	}
	full := paymentBody().set("/allow_partial", false).set("/confirm", "auto").set("/request_id", "p-2").
		set("/decide_within_seconds", 5)
	e.call(t, e.leader, "POST", "/v1/payments", full.String())
	f, ok = e.desk.last.(client.PaymentRequest)
	if !ok || *f.AllowPartial || f.Confirm != "auto" || *f.DecideWithinSeconds != 5 ||
		!slices.Equal(f.Grants, []string{"g1", "g2"}) ||
		!*f.Credential.RemoteUse || f.Bill.Total != "500.00" || f.Amount != "200.00" || f.VisitDate != "2026-11-20" {
		t.Errorf("full: %#v", e.desk.last)
	}
	patch := `{"request_id":"c-9","valid_until":null,"per_payment_limit":"5.00","annual_limit":null}`
	e.call(t, e.leader, "PATCH", "/v1/grants/g1", patch)
	want := client.GrantPatch{
		RequestID: "c-9", ValidUntil: client.Remove(), PerPaymentLimit: client.Set("5.00"), AnnualLimit: client.Remove(),
	}
	if e.desk.last != want {
		t.Errorf("patch: %#v", e.desk.last)
	}
	e.call(t, e.leader, "POST", "/v1/payments/p1/confirm?wait=7", `{"request_id":"k-9","amount":"1.23"}`)
	if e.desk.wait != 7*time.Second || e.desk.amount.Fen() != 123 {
		t.Errorf("confirm: %v %v", e.desk.wait, e.desk.amount)
	}
	e.call(t, e.leader, "POST", "/v1/payments/p1/confirm", `{"request_id":"k-10"}`)
	if e.desk.wait != 5*time.Second || e.desk.amount != nil {
		t.Errorf("confirm: %v %v", e.desk.wait, e.desk.amount)
	}
	e.call(t, e.leader, "POST", "/v1/payments/search", `{"request_id":"p-1"}`)
	want2 := client.PaymentSearch{RequestID: "p-1", Limit: 100}
	if s := e.desk.last; s != want2 || e.desk.caller != api.UnsignedPlatform {
		t.Errorf("search: %#v for %s", s, e.desk.caller)
	}
}

// TestReplay: the same content is answered with the thing as it is now, other content is a conflict, before every
// other 400 and before the desk is asked for anything that changes.
func TestReplay(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	first := e.call(t, e.leader, "POST", "/v1/payments", paymentBody().String())
	if first.status != 201 {
		t.Fatal(first.status)
	}
	e.desk.taken()
	shuffled := "\n{ \"grants\" : [\"g1\",\t\"g2\"], " + strings.TrimPrefix(strings.Replace(paymentBody().String(),
		`,"grants":["g1","g2"]`, "", 1), "{")
	for _, body := range []string{
		paymentBody().String(), shuffled, strings.Replace(paymentBody().String(), "outpatient", `o\u0075tpatient`, 1),
		strings.Replace(paymentBody().String(), ":900", ":9e2", 1), paymentBody().set("/beneficiary/x", nil).String(),
	} {
		for _, server := range []string{"leader", "follower"} {
			at := e.leader
			if server == "follower" {
				at = e.follower
			}
			r := e.call(t, at, "POST", "/v1/payments", body)
			if r.status != 200 || r.header.Get("Idempotent-Replay") != "true" || string(r.body) != string(first.body) {
				t.Errorf("repeat %s: %d %v %s", body, r.status, r.header, r.body)
			}
			if calls := e.desk.taken(); !slices.Equal(calls, []string{"Payment"}) {
				t.Errorf("repeat asked %v", calls)
			}
		}
	}
	other := []document{
		paymentBody().set("/amount", "199.00"),
		paymentBody().set("/amount", 1), // other content comes before invalid_amount
		paymentBody().set("/confirm", remove{}), paymentBody().set("/grants", []any{"g2", "g1"}),
		paymentBody().set("/beneficiary/region", "999999"),
	}
	for _, body := range other {
		r := e.call(t, e.leader, "POST", "/v1/payments", body.String())
		if r.status != 409 || r.problem.Code != string(policy.CodeConflict) || r.problem.Outcome != client.OutcomeNone {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	// The form comes before the conflict.
	for _, body := range []document{paymentBody().set("/amount", remove{}), paymentBody().set("/surplus", 1)} {
		r := e.call(t, e.leader, "POST", "/v1/payments", body.String())
		if r.problem.Code != string(policy.CodeInvalidRequest) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	// The same id elsewhere.
	for _, target := range []string{"/v1/payments/p1/cancel", "/v1/payments/p1/confirm", "/v1/grants/g1/accept"} {
		if r := e.call(t, e.leader, "POST", target, `{"request_id":"p-1"}`); r.status != 409 {
			t.Errorf("%s: %d %s", target, r.status, r.body)
		}
	}
	if calls := e.desk.taken(); len(calls) > 0 {
		t.Errorf("asked %v", calls)
	}
}

// TestReplayOfEach: every write can be repeated.
func TestReplayOfEach(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	for _, c := range []struct{ method, target, again, body string }{
		{"POST", "/v1/grants", "", grantBody().String()},
		{"PATCH", "/v1/grants/g1", "", patchBody().String()},
		{"DELETE", "/v1/grants/g1?request_id=d-1", "/v1/grants/g1?x=1&request_id=d-1", ""},
		{"POST", "/v1/grants/g-elsewhere/accept", "", `{"request_id":"a-1"}`}, // its home is the payer's
		{"POST", "/v1/grants/g-elsewhere/renounce", "", `{"request_id":"a-2"}`},
		{"PUT", "/v1/beneficiaries/order", "", orderBody().String()},
		{"POST", "/v1/payments", "", paymentBody().String()},
		{"POST", "/v1/payments/p1/confirm", "/v1/payments/p1/confirm?wait=0", `{"request_id":"k-1"}`},
		{"POST", "/v1/payments/p1/cancel", "", `{"request_id":"x-1"}`},
	} {
		first := e.call(t, e.leader, c.method, c.target, c.body)
		if c.again == "" {
			c.again = c.target
		}
		again := e.call(t, e.follower, c.method, c.again, c.body)
		if again.status != 200 || again.header.Get("Idempotent-Replay") != "true" ||
			string(first.body) != string(again.body) {
			t.Errorf("%s %s: %d %v\n%s\n%s", c.method, c.target, again.status, again.header, first.body, again.body)
		}
	}
	// null is content in a PATCH, and absent elsewhere.
	r := e.call(t, e.leader, "PATCH", "/v1/grants/g1", patchBody().set("/annual_limit", nil).String())
	if r.status != 409 {
		t.Errorf("patch with another null: %d", r.status)
	}
}

// TestPages: an answer stays within what one node can carry to another, however much was asked for.
func TestPages(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	e.desk.list = 5000
	r := e.call(t, e.follower, "POST", "/v1/payments/search", `{"visit_id":"v-1","limit":1000}`)
	var list client.PaymentList
	if err := json.Unmarshal(r.body, &list); err != nil || r.status != 200 {
		t.Fatal(r.status, err)
	}
	if len(list.Payments) != 1000 || list.NextCursor == "" || len(r.body) > 768<<10 {
		t.Errorf("%d payments, %d bytes", len(list.Payments), len(r.body))
	}
}

// TestLargePages: the page is halved until it fits.
func TestLargePages(t *testing.T) {
	t.Parallel()
	e := newEnv(t, func(d *api.Deps) { d.Desk = largeDesk{d.Desk.(*fakeDesk)} })
	r := e.call(t, e.follower, "POST", "/v1/payments/search", `{"visit_id":"v-1","limit":1000}`)
	var list client.PaymentList
	if err := json.Unmarshal(r.body, &list); err != nil || r.status != 200 {
		t.Fatal(r.status, err)
	}
	if len(list.Payments) != 125 || list.NextCursor != "125" || len(r.body) > 768<<10 {
		t.Errorf("%d payments, %d bytes, next %q", len(list.Payments), len(r.body), list.NextCursor)
	}
}

// largeDesk has payments of some 5 KB each.
type largeDesk struct{ *fakeDesk }

func (largeDesk) SearchPayments(
	_ context.Context, _ string, f client.PaymentSearch,
) ([]client.Payment, string, error) {
	p := aPayment("p")
	for range 4 {
		p.Legs = append(p.Legs, p.Legs...)
	}
	list := make([]client.Payment, f.Limit)
	for i := range list {
		list[i] = p
	}
	return list, fmt.Sprint(f.Limit), nil
}

// TestService: the paths that every node answers for itself.
func TestService(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	e.call(t, e.leader, "GET", "/v1/rules", "")
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/openapi.json"} {
		if r := e.call(t, e.follower, "GET", path, ""); r.status != 200 {
			t.Errorf("%s: %d", path, r.status)
		}
		if r := e.call(t, e.follower, "HEAD", path, ""); r.status != 200 || len(r.body) != 0 {
			t.Errorf("HEAD %s: %d", path, r.status)
		}
	}
	r := e.call(t, e.leader, "GET", "/metrics", "")
	const counted = `gongji_api_requests_total{code="ok",operation="getRules",status="200"} 1`
	if !strings.Contains(string(r.body), counted) {
		t.Errorf("metrics: %s", r.body)
	}
	e.desk.warned = []string{"the directory has expired"}
	if r = e.call(t, e.leader, "GET", "/readyz", ""); r.status != 200 || !strings.Contains(string(r.body), "has expired") {
		t.Errorf("a warning: %d %s", r.status, r.body)
	}
	e.desk.ready = []string{"no leader", "the bus does not answer"}
	r = e.call(t, e.leader, "GET", "/readyz", "")
	if r.status != 503 || !strings.Contains(string(r.body), "no leader") {
		t.Errorf("readyz: %d %s", r.status, r.body)
	}
	e.leaderLog.mu.Lock()
	e.leaderLog.id = ""
	e.leaderLog.mu.Unlock()
	resp, err := http.Get(e.leader.URL + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if _, ok := resp.Header["Gongji-Leader"]; ok || resp.StatusCode != http.StatusOK {
		t.Errorf("without a leader: %v", resp.Header)
	}
}

// TestDocument: each operation of the document is served, and each that is served stands in the document.
func TestDocument(t *testing.T) {
	t.Parallel()
	s := readSpec(t)
	served := map[string]string{}
	for _, op := range api.Operations() {
		served[strings.ToLower(op.Method)+" "+op.Path] = op.ID
	}
	for _, path := range []string{"healthz", "readyz", "metrics"} {
		served["get /"+path] = path
	}
	served["get /openapi.json"], served["post /national/v1/{operation}"] = "openapi", "national"
	written := map[string]string{}
	for path, item := range s.at("paths") {
		for method, op := range item.(map[string]any) {
			if method != "parameters" {
				written[method+" "+path], _ = op.(map[string]any)["operationId"].(string)
			}
		}
	}
	for op, id := range served {
		if written[op] != id {
			t.Errorf("%s is %q in the document, and %q here", op, written[op], id)
		}
	}
	for op := range written {
		if served[op] == "" {
			t.Errorf("%s is in the document only", op)
		}
	}
	codes, _ := s.at("components", "schemas", "Problem", "properties", "code")["enum"].([]any)
	for _, code := range policy.Codes() {
		if !slices.Contains(codes, any(string(code))) {
			t.Errorf("the code %s is not in the document", code)
		}
	}
	for name := range s.at("components", "schemas") {
		if _, err := s.compiler.Compile("openapi.json#/components/schemas/" + name); err != nil {
			t.Errorf("schema %s: %v", name, err)
		}
	}
}

// TestRequestSchemas: the document takes the requests that the face takes, and refuses what it refuses for its form.
func TestRequestSchemas(t *testing.T) {
	t.Parallel()
	s := readSpec(t)
	for _, c := range []struct {
		schema string
		body   func() document
		bad    []refusalCase
	}{
		{"GrantRequest", grantBody, grantCases()},
		{"PaymentRequest", paymentBody, paymentCases()},
		{"GrantPatch", patchBody, patchCases()},
		{"OrderRequest", orderBody, orderCases()},
	} {
		if err := s.validate("#/components/schemas/"+c.schema, []byte(c.body().String())); err != nil {
			t.Errorf("%s: %v", c.schema, err)
		}
		for _, b := range c.bad {
			// A schema cannot know the calendar, the check digit, the members, or what two fields say together.
			if b.code != policy.CodeInvalidAmount || strings.Contains(b.name, "bill/total=500.01") ||
				strings.Contains(b.name, "own_account_paid=200.01") {
				continue
			}
			if s.validate("#/components/schemas/"+c.schema, []byte(b.body)) == nil {
				t.Errorf("%s takes %s", c.schema, b.name)
			}
		}
	}
}

// TestForwarding: a node that does not lead says what became of a request that it could not carry.
func TestForwarding(t *testing.T) {
	e := newEnv(t, nil)
	for _, c := range []struct {
		name, code     string
		ask            func(context.Context, []byte) ([]byte, error)
		status         int
		write, reading string
	}{
		{"no leader", "no_leader", failing(consensus.ErrNoLeader), 503, "none", "none"},
		{"unknown", "timeout", failing(consensus.ErrUnknown), 504, "unknown", "none"},
		{"busy", "rate_limited", failing(consensus.ErrBusy), 429, "none", "none"},
		{"gone", "timeout", failing(context.DeadlineExceeded), 504, "unknown", "none"},
		{"nonsense", "internal", nonsense, 500, "unknown", "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e.followerLog.mu.Lock()
			e.followerLog.ask = c.ask
			e.followerLog.mu.Unlock()
			w := e.call(t, e.follower, "POST", "/v1/payments", paymentBody().String())
			r := e.call(t, e.follower, "GET", "/v1/payments/p1", "")
			if w.status != c.status || w.problem.Code != c.code || w.problem.Outcome != c.write || !w.problem.Retryable {
				t.Errorf("write: %d %s", w.status, w.body)
			}
			if r.status != c.status || r.problem.Code != c.code || r.problem.Outcome != c.reading {
				t.Errorf("read: %d %s", r.status, r.body)
			}
		})
	}
	if calls := e.desk.taken(); len(calls) > 0 {
		t.Errorf("asked %v", calls)
	}
}

func nonsense(context.Context, []byte) ([]byte, error) { return []byte{1, 2, 3}, nil }

func failing(err error) func(context.Context, []byte) ([]byte, error) {
	return func(context.Context, []byte) ([]byte, error) { return nil, err }
}

// TestLostLeadership: a request is carried once. The node that gets it and leads no more says so.
func TestLostLeadership(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	e.leaderLog.mu.Lock()
	e.leaderLog.leader = false
	e.leaderLog.ask = func(context.Context, []byte) ([]byte, error) {
		t.Error("carried on")
		return nil, consensus.ErrNoLeader
	}
	e.leaderLog.mu.Unlock()
	r := e.call(t, e.follower, "POST", "/v1/payments", paymentBody().String())
	if r.status != 503 || r.problem.Code != "no_leader" || r.problem.Outcome != "none" ||
		r.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", r.status, r.body)
	}
}
