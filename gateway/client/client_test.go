package client_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gongji/crypto/sm/emm"
	"gongji/gateway/client"
)

// node answers from a script, and remembers what it was asked.
type node struct {
	*httptest.Server

	mu      sync.Mutex
	script  []http.HandlerFunc // the last one goes on for ever
	bodies  []string
	targets []string
	heads   []http.Header
}

func newNode(t *testing.T, script ...http.HandlerFunc) *node {
	t.Helper()
	n := &node{script: script}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		n.mu.Lock()
		step := n.script[0]
		if len(n.script) > 1 {
			n.script = n.script[1:]
		}
		n.bodies = append(n.bodies, string(body))
		n.targets = append(n.targets, r.Method+" "+r.URL.RequestURI())
		n.heads = append(n.heads, r.Header)
		n.mu.Unlock()
		step(w, r)
	}))
	t.Cleanup(n.Close)
	return n
}

func (n *node) asked() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.bodies)
}

func problem(code string, status int, retryable bool, outcome string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		p := client.Problem{Code: code, Status: status, Retryable: retryable, Outcome: outcome, Detail: "no"}
		if err := json.NewEncoder(w).Encode(p); err != nil {
			return
		}
	}
}

func answer(body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		if _, err := io.WriteString(w, body); err != nil {
			return
		}
	}
}

// lost does the work and loses the answer.
func lost(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	if err := conn.Close(); err != nil {
		return
	}
}

func newClient(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRepeats: the same request is sent until somebody knows, and never once more.
func TestRepeats(t *testing.T) {
	t.Parallel()
	held := answer(`{"payment_id":"p1","status":"held"}`)
	for name, c := range map[string]struct {
		script []http.HandlerFunc
		code   string
	}{
		"at once":          {script: []http.HandlerFunc{held}},
		"lost":             {script: []http.HandlerFunc{lost, lost, held}},
		"unknown":          {script: []http.HandlerFunc{problem("timeout", 504, true, "unknown"), held}},
		"unknown, no more": {script: []http.HandlerFunc{problem("internal", 500, false, "unknown"), held}},
		"no leader": {script: []http.HandlerFunc{
			problem("no_leader", 503, true, "none"), problem("rate_limited", 429, true, "none"), held,
		}},
		"no gateway": {script: []http.HandlerFunc{
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, held,
		}},
		"conflict": {script: []http.HandlerFunc{problem("conflict", 409, false, "none")}, code: "conflict"},
		"unknown first": {
			script: []http.HandlerFunc{problem("timeout", 504, true, "unknown"), problem("wrong_state", 409, false, "none")},
			code:   "wrong_state",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, c.script...)
			p, err := newClient(t, client.Options{Nodes: []string{n.URL}}).CreatePayment(t.Context(), client.PaymentRequest{
				RequestID: client.NewRequestID(), Amount: "1.00",
			})
			var problem *client.ProblemError
			switch {
			case c.code == "" && (err != nil || p.PaymentID != "p1"):
				t.Errorf("%v %v", p, err)
			case c.code != "" && (!errors.As(err, &problem) || problem.Problem.Code != c.code):
				t.Errorf("%v", err)
			}
			bodies := n.asked()
			if len(bodies) != len(c.script) || len(slices.Compact(bodies)) != 1 {
				t.Errorf("asked %q", bodies)
			}
		})
	}
}

// TestPatience: a client that hears nothing gives up with the last failure, and says that nothing is known.
func TestPatience(t *testing.T) {
	t.Parallel()
	n := newNode(t, problem("no_leader", 503, true, "none"))
	c := newClient(t, client.Options{Nodes: []string{n.URL}, Patience: time.Second})
	_, err := c.Rules(context.Background())
	var last *client.ProblemError
	if !errors.Is(err, client.ErrUnanswered) || !errors.As(err, &last) || last.Problem.Code != "no_leader" {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Rules(ctx); !errors.Is(err, client.ErrUnanswered) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	hangs := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	slow := newNode(t, hangs, answer(`{"hotline":"010-12393"}`))
	c = newClient(t, client.Options{Nodes: []string{slow.URL}, Attempt: 20 * time.Millisecond})
	if r, err := c.Rules(t.Context()); err != nil || r.Hotline != "010-12393" {
		t.Errorf("%v %v", r, err)
	}
}

// TestLeader: an answer names the leader, and the next request goes there; when it fails, the others are asked.
func TestLeader(t *testing.T) {
	t.Parallel()
	leader := newNode(t, answer(`{}`), lost)
	follower := newNode(t, answer(`{}`, "Gongji-Leader", strings.TrimPrefix(leader.URL, "http://")), answer(`{}`))
	c := newClient(t, client.Options{Nodes: []string{follower.URL + "/"}})
	for range 3 {
		if _, err := c.Rules(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(follower.asked()) != 2 || len(leader.asked()) < 2 { // net/http itself asks the leader again
		t.Errorf("follower %d, leader %d", len(follower.asked()), len(leader.asked()))
	}
	// Where nothing is to be trusted nothing is followed.
	odd := newNode(t,
		answer(`{}`, "Gongji-Leader", "https://127.0.0.1:1"), answer(`{}`, "Gongji-Leader", "::"), answer(`{}`))
	c = newClient(t, client.Options{Nodes: []string{odd.URL}})
	for range 3 {
		if _, err := c.Rules(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// A node that is gone is passed over.
	gone := newNode(t, answer(`{}`))
	gone.Close()
	c = newClient(t, client.Options{Nodes: []string{gone.URL, odd.URL}})
	for range 3 {
		if _, err := c.Rules(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSigned: each try carries the headers of api.md section 1, with a nonce of its own, over what is really sent.
func TestSigned(t *testing.T) {
	t.Parallel()
	suite := emm.New()
	private, err := suite.Generate()
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := suite.Verifier(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t, lost, answer(`{}`))
	at := time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC)
	sign := func(message []byte) (string, []byte, error) {
		sig, err := private.Sign(message)
		return "k1", sig, err
	}
	o := client.Options{
		Nodes: []string{n.URL}, Sign: sign, Clock: func() time.Time { return at },
		Hash: func(data []byte) [32]byte { return suite.Sum(data) },
	}
	c := newClient(t, o)
	if _, err := c.Confirm(t.Context(), "p 1", client.Confirmation{RequestID: "k"}, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	nonces := map[string]bool{}
	for i, h := range n.heads {
		sum := suite.Sum([]byte(n.bodies[i]))
		nonces[h.Get("Gongji-Nonce")] = true
		message := fmt.Sprintf("POST\n/v1/payments/p%%201/confirm?wait=3\n2026-11-20T12:00:00+08:00\n%s\n%x\n",
			h.Get("Gongji-Nonce"), sum)
		sig, err := base64.StdEncoding.DecodeString(h.Get("Gongji-Signature"))
		if err != nil || verifier.Verify([]byte(message), sig) != nil || h.Get("Gongji-Key") != "k1" {
			t.Errorf("try %d: %v", i, h)
		}
	}
	if len(nonces) != 2 || n.targets[1] != "POST /v1/payments/p%201/confirm?wait=3" {
		t.Errorf("%v %v", nonces, n.targets)
	}
	o.Sign = func([]byte) (string, []byte, error) { return "", nil, errors.New("the token is gone") }
	asked := len(n.asked())
	_, err = newClient(t, o).Rules(t.Context())
	if err == nil || errors.Is(err, client.ErrUnanswered) || len(n.asked()) != asked {
		t.Errorf("%v", err)
	}
}

// TestOptions: what cannot work is refused at once.
func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []client.Options{
		{},
		{Nodes: []string{""}},
		{Nodes: []string{"127.0.0.1:18000"}},
		{Nodes: []string{"ftp://x"}},
		{Nodes: []string{"http://x"}, Sign: func([]byte) (string, []byte, error) { return "", nil, nil }},
	} {
		if _, err := client.New(o); !errors.Is(err, client.ErrOptions) {
			t.Errorf("%v: %v", o.Nodes, err)
		}
	}
}

// TestTypes: absent, removed and set are three things; persons print masked; times are Beijing's.
func TestTypes(t *testing.T) {
	t.Parallel()
	for want, patch := range map[string]client.GrantPatch{
		`{"request_id":"a"}`: {RequestID: "a"},
		`{"request_id":"a","valid_until":null,"annual_limit":"5.00"}`: {
			RequestID: "a", ValidUntil: client.Remove(), AnnualLimit: client.Set("5.00"),
		},
	} {
		data, err := json.Marshal(patch)
		if err != nil || string(data) != want {
			t.Errorf("%s, %v", data, err)
		}
		var back client.GrantPatch
		if err := json.Unmarshal(data, &back); err != nil || back != patch {
			t.Errorf("%#v, %v", back, err)
		}
	}
	p := client.Person{IDType: "01", IDNumber: "110101199003070011", Name: "张建国", Region: "110000"}
	request := client.PaymentRequest{
		Beneficiary: p, Credential: client.Credential{Type: "id_card", HolderIDNumber: p.IDNumber},
	}
	for _, s := range []string{
		fmt.Sprint(p), fmt.Sprintf("%#v", p), fmt.Sprintf("%+v", &p),
		fmt.Sprintf("%+v", request), fmt.Sprintf("%#v", request),
		fmt.Sprintf("%v", client.GrantSearch{Payer: &p}), fmt.Sprintf("%d", p),
	} {
		if strings.Contains(s, "19900307") || strings.Contains(s, "建国") {
			t.Errorf("%s", s)
		}
	}
	if m := p.Masked(); m != (client.MaskedPerson{IDNumber: "110101********0011", Name: "张**", Region: "110000"}) {
		t.Errorf("%v", m)
	}
	if s := client.FormatTime(time.Date(2026, 12, 31, 16, 0, 0, 1500, time.UTC)); s != "2027-01-01T00:00:00.000001+08:00" {
		t.Error(s)
	}
	if s := client.FormatTime(time.Unix(0, 0)); s != "1970-01-01T08:00:00+08:00" || client.FormatTime(time.Time{}) != "" {
		t.Error(s)
	}
}
