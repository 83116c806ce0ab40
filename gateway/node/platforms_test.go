package node_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/sm/emm"
	"gongji/gateway/client"
	"gongji/gateway/command"
	"gongji/gateway/config"
	"gongji/gateway/internal/auditlog"
)

// caller is a platform with a key of its own.
type caller struct {
	t   testing.TB
	id  string
	key crypto.Private
	n   int
}

func newCaller(t testing.TB, id string) *caller {
	t.Helper()
	key, err := emm.New().Generate()
	if err != nil {
		t.Fatal(err)
	}
	return &caller{t: t, id: id, key: key}
}

func (c *caller) public() string { return base64.StdEncoding.EncodeToString(c.key.Public()) }

// headers are those of a signed request.
func (c *caller) headers(method, target, body string) http.Header {
	c.t.Helper()
	c.n++
	stamp, nonce := client.FormatTime(time.Now()), fmt.Sprintf("nonce-%s-%08d", c.id, c.n)
	sum := emm.New().Sum([]byte(body))
	sig, err := c.key.Sign([]byte(method + "\n" + target + "\n" + stamp + "\n" + nonce + "\n" +
		hex.EncodeToString(sum[:]) + "\n"))
	if err != nil {
		c.t.Fatal(err)
	}
	h := http.Header{}
	for name, value := range map[string]string{
		"Gongji-Key": c.id, "Gongji-Time": stamp, "Gongji-Nonce": nonce,
		"Gongji-Signature": base64.StdEncoding.EncodeToString(sig),
	} {
		h.Set(name, value)
	}
	return h
}

// ask signs a request and returns status and code.
func (c *caller) ask(p *place, method, target, body string) (int, string) {
	c.t.Helper()
	r := httptest.NewRequestWithContext(c.t.Context(), method, target, strings.NewReader(body))
	r.Header = c.headers(method, target, body)
	rec := httptest.NewRecorder()
	p.node.Handler().ServeHTTP(rec, r)
	var problem struct{ Code string }
	if rec.Code >= http.StatusBadRequest {
		if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil {
			c.t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
	return rec.Code, problem.Code
}

// TestPlatformsByOperators: keys of the configuration work at once; operators register, list and revoke others without
// a restart, by the command line; a revoked key is refused by every node from then on and never comes back, whatever
// the configuration says.
func TestPlatformsByOperators(t *testing.T) {
	f := newField(t, beijing)
	places := f.places(beijing, 3)
	first, second := newCaller(t, "k-first"), newCaller(t, "k-second")
	for _, p := range places {
		p.cfg.Unsigned = false
		p.cfg.Platforms = []config.Platform{{KeyID: first.id, Platform: "hospital", Public: first.public(), Role: "platform"}}
		p.start()
	}
	for _, p := range places {
		<-p.node.Ready()
	}
	wants := func(c *caller, want int) {
		t.Helper()
		for _, p := range places {
			until(t, fmt.Sprintf("%s is answered %d", c.id, want), func() bool {
				status, _ := c.ask(p, "GET", "/v1/rules", "")
				return status == want
			})
		}
	}
	wants(first, http.StatusOK)
	wants(second, http.StatusUnauthorized)
	admin := httptest.NewServer(places[0].node.Admin())
	defer admin.Close()
	run := func(args ...string) (string, error) {
		var out, wrong bytes.Buffer
		p := command.Program{Stdout: &out, Stderr: &wrong}
		err := p.Run(t.Context(), append(append([]string{"platforms"}, args...), "--admin", admin.URL))
		return out.String() + wrong.String(), err
	}
	register := []string{"register", second.id, "--platform", "pharmacy", "--public", second.public(), "--role", "read"}
	for _, want := range []string{"registered", "was registered before"} {
		if out, err := run(register...); err != nil || !strings.Contains(out, want) {
			t.Fatalf("%s: %q, %v", want, out, err)
		}
	}
	wants(second, http.StatusOK)
	body := `{"request_id":"r-1"}`
	if status, code := second.ask(places[0], "POST", "/v1/payments/p-1/cancel", body); code != "forbidden" {
		t.Errorf("a reader writes: %d %s", status, code)
	}
	register[len(register)-1] = "read,payments"
	if out, err := run(register...); err != nil {
		t.Fatal(out, err)
	}
	until(t, "the new role holds", func() bool {
		_, code := second.ask(places[0], "POST", "/v1/payments/p-1/cancel", body)
		return code == "not_found"
	})
	if out, err := run("revoke", first.id, "--reason", "lost"); err != nil || !strings.Contains(out, "revoked") {
		t.Fatalf("%q, %v", out, err)
	}
	wants(first, http.StatusUnauthorized)
	wants(second, http.StatusOK)
	if out, err := run("list"); err != nil || !strings.Contains(out, "lost") || strings.Count(out, "\n") != 2 {
		t.Errorf("list: %q, %v", out, err)
	}
	for _, wrong := range [][]string{
		{"revoke", "k-none", "--reason", "x"},
		{"register", "k-3", "--platform", "p", "--public", "AAAA", "--role", "read"},
		{"register", "k-3", "--platform", "p", "--public", second.public(), "--role", "admin"},
		{"register", "k-3", "--platform", "unsigned", "--public", second.public(), "--role", "read"},
		{"register", second.id, "--platform", "other", "--public", second.public(), "--role", "read"},
		{"register", first.id, "--platform", "hospital", "--public", first.public(), "--role", "all"},
		{
			"register", "short", "--platform", "p", "--public", second.public(), "--role", "all", "--scalars", "keep",
			"--timestamp", "unix",
		},
		{"register", "k-3", "--platform", "p", "--public", second.public(), "--role", "read", "--from", "tomorrow"},
	} {
		if out, err := run(wrong...); err == nil {
			t.Errorf("%q is taken: %s", wrong, out)
		}
	}
	// The file still names the key: a node that starts again does not bring it back.
	places[2].stop()
	places[2].start()
	<-places[2].node.Ready()
	wants(first, http.StatusUnauthorized)
	for _, event := range []string{"platform_registered", "platform_revoked", "key_not_in_force"} {
		if !strings.Contains(string(f.log.bytes()), event) {
			t.Errorf("%s is not audited", event)
		}
	}
}

// TestPlatformByTwoOfficers: what may move money comes in when two officers agree, and so does every change of
// what it may do; one officer alone revokes it, at once. Who did it stands in the audit log.
func TestPlatformByTwoOfficers(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	p := f.places(shanghai, 1, insured(shanghai, 1, "郑一", "100.00"))[0]
	p.cfg.Unsigned = false
	f.secured(p)
	people := f.staff(p)
	one, two, hospital := people["officer.one"], people["officer.two"], newCaller(t, "k-hospital")
	asks := func(want int) {
		t.Helper()
		if status, code := hospital.ask(p, "GET", "/v1/rules", ""); status != want {
			t.Errorf("the platform is answered %d %s, want %d", status, code, want)
		}
	}
	const path = "/admin/v1/platforms"
	body := func(role, platform string) string {
		return `{"key_id":"` + hospital.id + `","platform":"` + platform + `","public":"` + hospital.public() +
			`","roles":["` + role + `"]}`
	}
	for _, name := range []string{"li", "audrey", "olga"} {
		p.want(people[name], http.MethodPost, path, body("read", "hospital"), http.StatusForbidden)
	}
	id, digest := p.propose(one, path, body("read", "hospital"))
	p.want(one, http.MethodPost, "/admin/v1/acts/"+id+"/approve", `{"digest":"`+digest+`"}`, http.StatusForbidden)
	p.want(people["li"], http.MethodPost, "/admin/v1/acts/"+id+"/approve", `{"digest":"`+digest+`"}`, http.StatusForbidden)
	asks(http.StatusUnauthorized)
	if a := p.approve(two, id, digest); a.Status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	asks(http.StatusOK)
	write := func() string {
		_, code := hospital.ask(p, "POST", "/v1/payments/p-1/cancel", `{"request_id":"r-1"}`)
		return code
	}
	id, digest = p.propose(two, path, body("payments", "hospital"))
	if code := write(); code != "forbidden" {
		t.Errorf("one officer gave it a role: %s", code)
	}
	p.approve(one, id, digest)
	if code := write(); code != "not_found" {
		t.Errorf("the new role does not hold: %s", code)
	}
	id, digest = p.propose(one, path, body("payments", "another"))
	if a := p.approve(two, id, digest); a.Status != http.StatusConflict || !strings.Contains(a.Result, "detail_zh") {
		t.Errorf("a key of another platform: %+v", a)
	}
	p.want(one, http.MethodPost, path+"/"+hospital.id+"/revoke", `{"reason":"lost"}`, http.StatusOK)
	asks(http.StatusUnauthorized)
	var got []string
	for _, l := range p.lines(people["audrey"], func(l *auditlog.Line) bool { return l.Object == hospital.id }) {
		who := l.Operator
		for _, a := range l.Attrs {
			if a.Name == "second" {
				who += "+" + a.Value
			}
		}
		got = append(got, l.Event+" "+who+" "+l.Result)
	}
	if want := []string{
		"platform_registered officer.one+officer.two done", "platform_registered officer.two+officer.one done",
		"platform_registered officer.one+officer.two refused", "platform_revoked officer.one done",
	}; !slices.Equal(got, want) {
		t.Errorf("the audit log has %q", got)
	}
}
