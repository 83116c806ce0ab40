package api_test

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/sm/emm"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/national"
)

const (
	appID     = "0123456789ABCDEF0123456789ABCDEF"
	appSecret = "SYNTHETIC-SECRET-0123456789abcdef"
)

// app speaks the national convention to a region.
type app struct {
	*env

	t      *testing.T
	key    key
	region crypto.Private
	secret string // deposited
	next   int
}

func newApp(t *testing.T, roles ...api.Role) *app {
	t.Helper()
	a := &app{t: t, key: newKey(t, appID), region: newKey(t, "region").private, secret: appSecret}
	blocks, ok := emm.New().(crypto.Blocks)
	if !ok {
		t.Fatal("no SM4")
	}
	a.env = newEnv(t, func(d *api.Deps) {
		p := a.key.platform(t, "app", roles...)
		p.National = &api.National{
			Dialect: national.Dialect{Scalars: national.ScalarsKept, Timestamp: national.TimestampLocal},
			Secret:  func() (string, bool) { return a.secret, a.secret != "" },
		}
		plain := newKey(t, "k-plain").platform(t, "plain", api.RoleAll)
		plain.KeyID = strings.Repeat("P", 32)
		d.Keys = keysOf(p, plain)
		d.National = &api.NationalKeys{Block: blocks.Block, Sign: a.region.Sign}
	})
	return a
}

// sealed is an envelope for an operation.
func (a *app) sealed(operation string, data map[string]any, change func(members national.Object)) string {
	a.t.Helper()
	a.next++
	raw, err := json.Marshal(data)
	if err != nil {
		a.t.Fatal(err)
	}
	inner, err := national.ParseObject(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	members := national.Object{
		"appId": appID, "version": "2.0.1", "operation": operation,
		"timestamp": now().In(time.FixedZone("", 8*60*60)).Format("20060102150405"),
	}
	if change != nil {
		change(members)
	}
	blocks, _ := emm.New().(crypto.Blocks)
	out, err := national.Seal(members, inner, appSecret, national.Dialect{
		Scalars: national.ScalarsKept, Timestamp: national.TimestampLocal,
	}, blocks.Block, a.key.private.Sign)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(out)
}

// opened verifies an answer, which must be the region's, and returns its code and data.
func (a *app) opened(r reply, request string) (string, national.Object) {
	a.t.Helper()
	envelope, err := national.Read(r.body)
	if err != nil {
		a.t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	blocks, _ := emm.New().(crypto.Blocks)
	o, err := envelope.Open(blocks.Block, appSecret, national.Dialect{
		Scalars: national.ScalarsKept, Timestamp: national.TimestampLocal,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	verifier, err := emm.New().Verifier(a.region.Public())
	if err != nil {
		a.t.Fatal(err)
	}
	if err = verifier.Verify(o.Message, o.Signature); err != nil {
		a.t.Fatalf("%s: %v", r.body, err)
	}
	var fields struct{ Code, RequestDigest, SignData string }
	var asked struct{ SignData string }
	if json.Unmarshal(r.body, &fields) != nil || json.Unmarshal([]byte(request), &asked) != nil {
		a.t.Fatal("no JSON")
	}
	raw, _, err := national.RawSignature(asked.SignData)
	if err != nil {
		a.t.Fatal(err)
	}
	if sum := emm.New().Sum(raw); fields.RequestDigest != hex.EncodeToString(sum[:]) {
		a.t.Errorf("the answer is to another request: %s", r.body)
	}
	return fields.Code, o.Data
}

// TestNationalCalls: the ordinary calls in the national form, at the leader and through a follower; the ids are in the
// data, where they are signed.
func TestNationalCalls(t *testing.T) {
	t.Parallel()
	a := newApp(t, api.RoleAll)
	pay := paymentBody()
	for _, c := range []struct {
		operation string
		data      map[string]any
		status    int
		asked     string
	}{
		{"createPayment", pay, 201, "CreatePayment"},
		{"quote", pay, 200, "Quote"},
		{"getPayment", map[string]any{"payment_id": "p1"}, 200, "Payment"},
		{"confirmPayment", map[string]any{"payment_id": "p1", "request_id": "c-1", "wait": 2}, 200, "Confirm"},
		{"cancelPayment", map[string]any{"payment_id": "p1", "request_id": "c-2"}, 200, "Cancel"},
		{"revokeGrant", map[string]any{"grant_id": "g1", "request_id": "c-3"}, 200, "RevokeGrant"},
		{"getRules", map[string]any{}, 200, ""},
	} {
		server := a.leader
		if a.next%2 == 1 {
			server = a.follower
		}
		request := a.sealed(c.operation, c.data, nil)
		r := a.call(t, server, "POST", "/national/v1/"+c.operation, request)
		if r.status != c.status {
			t.Errorf("%s: %d %s", c.operation, r.status, r.body)
			continue
		}
		if code, data := a.opened(r, request); code != "0" || len(data) == 0 {
			t.Errorf("%s: code %s, %v", c.operation, code, data)
		}
		if calls := strings.Join(a.desk.taken(), " "); calls != c.asked {
			t.Errorf("%s asked %q", c.operation, calls)
		}
		// The same bytes again do nothing, wherever they come to.
		r = a.call(t, a.leader, "POST", "/national/v1/"+c.operation, request)
		if r.problem.Code != "stale_request" || len(a.desk.taken()) > 0 {
			t.Errorf("%s again: %d %s", c.operation, r.status, r.body)
		}
	}
	if a.desk.caller != "app" {
		t.Errorf("the platform is %q", a.desk.caller)
	}
	// The request id is the platform's, whichever form brought it.
	request := a.sealed("createPayment", pay, func(m national.Object) { m["version"] = "2.0.2" })
	r := a.call(t, a.leader, "POST", "/national/v1/createPayment", request)
	if r.header.Get("Idempotent-Replay") != "true" {
		t.Errorf("repeated under a new signature: %d %s", r.status, r.body)
	}
	// A refusal comes back in an envelope too.
	request = a.sealed("getPayment", map[string]any{}, nil)
	if code, data := a.opened(a.call(t, a.leader, "POST", "/national/v1/getPayment", request), request); code !=
		"invalid_request" || data["outcome"] != "none" {
		t.Errorf("without its id: %s %v", code, data)
	}
}

// TestNationalRefused: who is not who he says, or asks for what was not signed, is refused before anything is done.
func TestNationalRefused(t *testing.T) {
	t.Parallel()
	a := newApp(t, api.RolePayments)
	cancel := map[string]any{"payment_id": "p1", "request_id": "c-2"}
	stamp := func(at time.Time) func(national.Object) {
		return func(m national.Object) { m["timestamp"] = national.TimestampLocal.Format(at) }
	}
	wrongKey := func(body string) string {
		other := newApp(t, api.RoleAll)
		return other.sealed("cancelPayment", cancel, nil) + body[:0]
	}
	good := a.sealed("cancelPayment", cancel, nil)
	for _, c := range []struct {
		name, operation, body, code string
	}{
		{"confirm what was signed as cancel", "confirmPayment", good, "unauthenticated"},
		{"an unknown operation", "dropAll", good, "not_found"},
		{"no envelope", "cancelPayment", "{}", "invalid_request"},
		{"an unknown app", "cancelPayment", strings.Replace(good, appID, "F"+appID[1:], 1), "unauthenticated"},
		{
			"an app of the other form", "cancelPayment", strings.Replace(good, appID, strings.Repeat("P", 32), 1),
			"unauthenticated",
		},
		{"another's signature", "cancelPayment", wrongKey(good), "unauthenticated"},
		{"another version", "cancelPayment", strings.Replace(good, "2.0.1", "2.0.9", 1), "unauthenticated"},
		{"cut data", "cancelPayment", cut(good), "unauthenticated"},
		{"too old", "cancelPayment", a.sealed("cancelPayment", cancel, stamp(now().Add(-301*time.Second))), "stale_request"},
		{
			"too far ahead", "cancelPayment", a.sealed("cancelPayment", cancel, stamp(now().Add(301*time.Second))),
			"stale_request",
		},
		{"a role that may not", "revokeGrant", a.sealed("revokeGrant", map[string]any{
			"grant_id": "g1", "request_id": "r",
		}, nil), "forbidden"},
	} {
		r := a.call(t, a.leader, "POST", "/national/v1/"+c.operation, c.body)
		if r.problem.Code != c.code || len(a.desk.taken()) > 0 {
			t.Errorf("%s: %d %s", c.name, r.status, r.body)
		}
	}
	a.secret = ""
	if r := a.call(t, a.leader, "POST", "/national/v1/cancelPayment", good); r.problem.Code != "unauthenticated" {
		t.Errorf("without a secret: %d %s", r.status, r.body)
	}
	a.secret = appSecret
	if r := a.call(t, a.leader, "POST", "/national/v1/cancelPayment", good); r.status != 200 {
		t.Errorf("the good one: %d %s", r.status, r.body)
	}
	plain := newEnv(t, nil)
	if r := plain.call(t, plain.leader, "POST", "/national/v1/quote", good); r.status != 404 {
		t.Errorf("where the convention is not spoken: %d", r.status)
	}
}

// cut takes two blocks out of the middle of encData: every block left is as it was encrypted.
func cut(envelope string) string {
	at := strings.Index(envelope, `"encData":"`) + len(`"encData":"`)
	return envelope[:at] + envelope[at+32:]
}
