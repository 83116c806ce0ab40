package api_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/sm/emm"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/policy"
)

// key is a platform's key in a test.
type key struct {
	id      string
	private crypto.Private
}

func newKey(t testing.TB, id string) key {
	t.Helper()
	private, err := emm.New().Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key{id, private}
}

func (k key) platform(t testing.TB, name string, roles ...api.Role) api.Platform {
	t.Helper()
	v, err := emm.New().Verifier(k.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return api.Platform{KeyID: k.id, Platform: name, Region: region, Roles: roles, Verifier: v}
}

// headers are those of a signed request; the parts are what is signed.
func (k key) headers(t testing.TB, line, body string, at time.Time, nonce string) []string {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	sum := emm.New().Sum([]byte(body))
	stamp := at.Format(time.RFC3339)
	sig, err := k.private.Sign([]byte(
		method + "\n" + target + "\n" + stamp + "\n" + nonce + "\n" + hex.EncodeToString(sum[:]) + "\n",
	))
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		"Gongji-Key", k.id, "Gongji-Time", stamp, "Gongji-Nonce", nonce,
		"Gongji-Signature", base64.StdEncoding.EncodeToString(sig),
	}
}

func nonce(n int) string { return fmt.Sprintf("nonce-%016d", n) }

type authEnv struct {
	*env

	writer, reader, revoked, foreign, stranger, slow key
	nonces                                           int
	ahead                                            atomic.Int64 // of now, of both nodes' clocks
}

func (a *authEnv) clock() time.Time { return now().Add(time.Duration(a.ahead.Load())) }

func newAuthEnv(t *testing.T) *authEnv {
	t.Helper()
	a := &authEnv{
		writer: newKey(t, "k-writer"), reader: newKey(t, "k-reader"), revoked: newKey(t, "k-revoked"),
		foreign: newKey(t, "k-foreign"), stranger: newKey(t, "k-stranger"), slow: newKey(t, "k-slow"),
	}
	a.ahead.Store(int64(-time.Hour)) // both nodes have begun an hour ago
	defer a.ahead.Store(0)
	a.env = newEnv(t, func(d *api.Deps) {
		revoked := a.revoked.platform(t, "hospital", api.RoleAll)
		revoked.Revoked = true
		foreign := a.foreign.platform(t, "shanghai", api.RoleAll)
		foreign.Region = "310000"
		slow := a.slow.platform(t, "slow", api.RoleRead)
		slow.RatePerSecond = 2
		d.UnsignedAllowed = false
		d.Keys = keysOf(
			a.writer.platform(t, "hospital", api.RoleAll), a.reader.platform(t, "portal", api.RoleRead),
			revoked, foreign, slow,
		)
		d.Clock = a.clock
	})
	return a
}

// fresh makes headers that are good.
func (a *authEnv) fresh(t *testing.T, k key, line, body string) []string {
	t.Helper()
	a.nonces++
	return k.headers(t, line, body, now(), nonce(a.nonces))
}

// request is one try of a test: method and target in one word, as they stand in a request line.
type request struct {
	line, body string
	headers    []string
}

// want sends a request and expects a code, none for success.
func (a *authEnv) want(t *testing.T, server *httptest.Server, q request, code policy.Code) {
	t.Helper()
	method, target, _ := strings.Cut(q.line, " ")
	r := a.call(t, server, method, target, q.body, q.headers...)
	if code == "" {
		if r.status >= 300 {
			t.Errorf("%s %s: %d %s", method, target, r.status, r.body)
		}
		return
	}
	if r.problem.Code != string(code) || r.status != code.Status() || r.problem.Outcome != client.OutcomeNone {
		t.Errorf("%s %s: %d %s, want %s", method, target, r.status, r.body, code)
	}
	if calls := a.desk.taken(); len(calls) > 0 {
		t.Errorf("asked %v", calls)
	}
}

// TestSignatures: who is speaking.
func TestSignatures(t *testing.T) {
	a := newAuthEnv(t)
	body := paymentBody().String()
	const target = "/v1/payments"
	soon, past := now().Add(time.Second).Format(time.RFC3339), now().Add(-301*time.Second).Format(time.RFC3339)
	for name, server := range map[string]*httptest.Server{"leader": a.leader, "follower": a.follower} {
		t.Run(name, func(t *testing.T) {
			good := func() []string { return a.fresh(t, a.writer, "POST "+target, body) }
			change := func(i int, value string) []string {
				h := good()
				h[i] = value
				return h
			}
			a.want(t, server, request{"POST " + target, body, nil}, policy.CodeUnauthenticated)
			a.want(t, server, request{"POST " + target, body, change(1, "")}, policy.CodeUnauthenticated)
			a.want(t, server, request{"POST " + target, body, change(1, "k-nobody")}, policy.CodeUnauthenticated)
			a.want(t, server, request{"POST " + target, body, change(1, "k-reader")}, policy.CodeUnauthenticated)
			a.want(t, server, request{"POST " + target, body, change(3, "")}, policy.CodeUnauthenticated)
			a.want(t, server, request{"POST " + target, body, change(3, "yesterday")}, policy.CodeUnauthenticated)
			a.want(t, server, request{"POST " + target, body, change(3, soon)}, policy.CodeUnauthenticated)
			a.want(t, server, request{"POST " + target, body, change(3, past)}, policy.CodeStaleRequest)
			for _, n := range []string{"", "short", strings.Repeat("n", 65), "0123456789abcde!", "another-nonce-0000"} {
				a.want(t, server, request{"POST " + target, body, change(5, n)}, policy.CodeUnauthenticated)
			}
			for _, sig := range []string{"", "!", "AAAA", strings.Repeat("A", 2000)} {
				a.want(t, server, request{"POST " + target, body, change(7, sig)}, policy.CodeUnauthenticated)
			}
			a.want(t, server, request{"POST " + target, body + " ", good()}, policy.CodeUnauthenticated)
			a.want(t, server, request{"POST " + target + "?x=1", body, good()}, policy.CodeUnauthenticated)
			a.want(t, server, request{"POST /v1/quotes", body, good()}, policy.CodeUnauthenticated)
			stranger := a.fresh(t, a.stranger, "POST "+target, body)
			a.want(t, server, request{"POST " + target, body, stranger}, policy.CodeUnauthenticated)
			stranger[1] = a.writer.id
			a.want(t, server, request{"POST " + target, body, stranger}, policy.CodeUnauthenticated)
			for _, c := range []struct {
				key  key
				code policy.Code
			}{
				{a.revoked, policy.CodeUnauthenticated},
				{a.foreign, policy.CodeRegionMismatch},
				{a.reader, policy.CodeForbidden},
			} {
				a.want(t, server, request{"POST " + target, body, a.fresh(t, c.key, "POST "+target, body)}, c.code)
			}
			a.want(t, server, request{"POST " + target, body, good()}, "")
			a.desk.taken()
		})
	}
	if a.desk.caller != "hospital" {
		t.Errorf("the platform is %q", a.desk.caller)
	}
	// What changes nothing a reader may do, with the query signed too.
	a.want(t, a.leader, request{"POST /v1/quotes", body, a.fresh(t, a.reader, "POST /v1/quotes", body)}, "")
	a.want(t, a.leader, request{"GET /v1/rules?b=2&a=%31", "", a.fresh(t, a.reader, "GET /v1/rules?b=2&a=%31", "")}, "")
}

// TestRequestTime: 300 s in both directions.
func TestRequestTime(t *testing.T) {
	t.Parallel()
	a := newAuthEnv(t)
	const target = "/v1/rules"
	for i, c := range []struct {
		off  time.Duration
		code policy.Code
	}{
		{300 * time.Second, ""},
		{-300 * time.Second, ""},
		{301 * time.Second, policy.CodeStaleRequest},
		{-301 * time.Second, policy.CodeStaleRequest},
		{24 * time.Hour, policy.CodeStaleRequest},
	} {
		h := a.reader.headers(t, "GET "+target, "", now().Add(c.off), nonce(1000+i))
		a.want(t, a.leader, request{"GET " + target, "", h}, c.code)
	}
	beijing := time.FixedZone("", 8*60*60)
	h := a.reader.headers(t, "GET "+target, "", now().In(beijing), nonce(2000))
	a.want(t, a.leader, request{"GET " + target, "", h}, "")
}

// TestNonces: a request works once, wherever it is repeated; the nonce of a refused signature is not used up.
func TestNonces(t *testing.T) {
	t.Parallel()
	a := newAuthEnv(t)
	const target = "/v1/rules"
	h := a.fresh(t, a.reader, "GET "+target, "")
	forged := append([]string(nil), h...)
	forged[7] = "AAAA"
	a.want(t, a.leader, request{"GET " + target, "", forged}, policy.CodeUnauthenticated)
	a.want(t, a.leader, request{"GET " + target, "", h}, "")
	a.want(t, a.leader, request{"GET " + target, "", h}, policy.CodeStaleRequest)
	a.want(t, a.follower, request{"GET " + target, "", h}, policy.CodeStaleRequest)
	// With another time it is the same nonce.
	later := a.reader.headers(t, "GET "+target, "", now().Add(time.Minute), h[5])
	a.want(t, a.leader, request{"GET " + target, "", later}, policy.CodeStaleRequest)
	// Another platform has nonces of its own.
	a.want(t, a.leader, request{"GET " + target, "", a.writer.headers(t, "GET "+target, "", now(), h[5])}, "")
}

// TestRates: a platform has its rate, and the others theirs.
func TestRates(t *testing.T) {
	t.Parallel()
	a := newAuthEnv(t)
	const target = "/v1/rules"
	for range 2 {
		a.want(t, a.leader, request{"GET " + target, "", a.fresh(t, a.slow, "GET "+target, "")}, "")
	}
	limited := a.fresh(t, a.slow, "GET "+target, "")
	r := a.call(t, a.leader, "GET", target, "", limited...)
	if r.status != 429 || r.problem.Code != string(policy.CodeRateLimited) || r.header.Get("Retry-After") == "" ||
		!r.problem.Retryable || r.problem.Outcome != client.OutcomeNone {
		t.Errorf("%d %s", r.status, r.body)
	}
	a.want(t, a.leader, request{"GET " + target, "", a.fresh(t, a.reader, "GET "+target, "")}, "")
}

// TestBothWays: where unsigned requests are taken, a signed one is still held to its signature.
func TestBothWays(t *testing.T) {
	t.Parallel()
	k := newKey(t, "k")
	e := newEnv(t, func(d *api.Deps) { d.Keys = keysOf(k.platform(t, "hospital", api.RoleAll)) })
	if r := e.call(t, e.leader, "GET", "/v1/rules", ""); r.status != 200 {
		t.Errorf("unsigned: %d", r.status)
	}
	if r := e.call(t, e.leader, "GET", "/v1/rules", "", "Gongji-Key", "k"); r.status != 401 {
		t.Errorf("half signed: %d", r.status)
	}
	signed := k.headers(t, "GET /v1/rules", "", now(), nonce(1))
	if r := e.call(t, e.leader, "GET", "/v1/rules", "", signed...); r.status != 200 {
		t.Errorf("signed: %d", r.status)
	}
	// Request ids belong to their platform: the same id of both is no conflict.
	body := paymentBody().String()
	one := e.call(t, e.leader, "POST", "/v1/payments", body)
	signed = k.headers(t, "POST /v1/payments", body, now(), nonce(2))
	other := e.call(t, e.leader, "POST", "/v1/payments", body, signed...)
	if one.status != 201 || other.status != 201 {
		t.Errorf("%d and %d", one.status, other.status)
	}
}

// TestPlatforms: a key that is not complete is refused, whoever brings it.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	k := newKey(t, "k")
	good := k.platform(t, "hospital", api.RoleAll)
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*api.Platform){
		"no key":      func(p *api.Platform) { p.KeyID = "" },
		"long key":    func(p *api.Platform) { p.KeyID = strings.Repeat("k", 65) },
		"no verifier": func(p *api.Platform) { p.Verifier = nil },
		"no platform": func(p *api.Platform) { p.Platform = "" },
		"unsigned":    func(p *api.Platform) { p.Platform = api.UnsignedPlatform },
		"no role":     func(p *api.Platform) { p.Roles = nil },
		"admin":       func(p *api.Platform) { p.Roles = []api.Role{api.RoleRead, "admin"} },
		"region":      func(p *api.Platform) { p.Region = "" },
		"rate":        func(p *api.Platform) { p.RatePerSecond = -1 },
		"digest":      func(p *api.Platform) { p.CertDigest = strings.Repeat("A", 64) },
	} {
		p := good
		change(&p)
		if p.Check() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := api.New(api.Deps{}); err == nil {
		t.Error("no dependencies are taken")
	}
}
