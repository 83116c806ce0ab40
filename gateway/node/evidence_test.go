package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gongji/crypto/sm/emm"
	"gongji/gateway/client"
	"gongji/gateway/config"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/simtest/regiontest"
)

// signs is the caller as a client's signer.
func (c *caller) signs(message []byte) (string, []byte, error) {
	sig, err := c.key.Sign(message)
	return c.id, sig, err
}

// answered is what a signed request is answered.
func (c *caller) answered(p *place, method, target, body string) (int, []byte) {
	c.t.Helper()
	r := httptest.NewRequestWithContext(c.t.Context(), method, target, strings.NewReader(body))
	r.Header = c.headers(method, target, body)
	w := httptest.NewRecorder()
	p.node.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

// provenOverHTTP is a region with two hospitals and a till that may only make statements, and a payment of the first.
func provenOverHTTP(t *testing.T) (*place, []*caller, string) {
	t.Helper()
	f := newField(t, shanghai)
	payer, child := insured(shanghai, 1, "郑一", "5000.00"), insured(shanghai, 2, "郑二", "0.00")
	child.Scheme = "390"
	p := f.places(shanghai, 1, payer, child)[0]
	p.cfg.Unsigned = false
	var all []*caller
	for _, name := range []string{"first", "second", "till"} {
		c := newCaller(t, "k-"+name)
		roles := map[bool][]string{true: {"statements"}, false: {"all"}}[name == "till"]
		p.cfg.Platforms = append(p.cfg.Platforms, config.Platform{
			KeyID: c.id, Platform: name, Public: c.public(), Roles: roles,
		})
		all = append(all, c)
	}
	startAll(t, p)
	until(t, "the region has its rules and keys", func() bool {
		status, _ := all[0].answered(p, http.MethodGet, "/v1/commitment", "")
		return status == http.StatusOK
	})
	m := household{payer: person(shanghai, payer), child: person(shanghai, child)}
	signed, err := client.New(client.Options{
		Nodes: []string{"http://" + p.cfg.NodeID}, HTTP: &http.Client{Transport: asking{p}},
		Sign: all[0].signs, Hash: func(b []byte) [32]byte { return emm.New().Sum(b) },
	})
	if err != nil {
		t.Fatal(err)
	}
	m.grant(t, signed, m.payer)
	paid, err := signed.CreatePayment(t.Context(), m.bill("visit"))
	if err != nil || paid.Status != client.PaymentHeld {
		t.Fatalf("%+v, %v", paid, err)
	}
	return p, all, paid.PaymentID
}

// TestEvidenceOverHTTP: a platform reads evidence and trace of its own payments; to another platform they do not exist,
// and a role without the duty is refused, each with its problem. The bundle has the request as the platform signed it,
// without anybody's identity.
func TestEvidenceOverHTTP(t *testing.T) {
	t.Parallel()
	p, all, id := provenOverHTTP(t)
	for _, what := range []string{"evidence", "trace"} {
		target := "/v1/payments/" + id + "/" + what
		for _, x := range []struct {
			c      *caller
			target string
			status int
			code   string
		}{
			{all[0], target, http.StatusOK, ""},
			{all[1], target, http.StatusNotFound, "not_found"},
			{all[2], target, http.StatusForbidden, "forbidden"},
			{all[0], "/v1/payments/p-310000-none/" + what, http.StatusNotFound, "not_found"},
			{newCaller(t, "k-unknown"), target, http.StatusUnauthorized, "unauthenticated"},
		} {
			if status, code := x.c.ask(p, http.MethodGet, x.target, ""); status != x.status || code != x.code {
				t.Errorf("%s by %s: %d %s, want %d %s", x.target, x.c.id, status, code, x.status, x.code)
			}
		}
	}
	_, data := all[0].answered(p, http.MethodGet, "/v1/payments/"+id+"/evidence", "")
	dirs, err := evidence.NewDirectories(p.f.keys.Directory)
	if err != nil {
		t.Fatal(err)
	}
	v := &evidence.Verifier{
		Sealer: p.f.keys.Regions[shanghai].Sealer, Directories: dirs,
		Platforms: map[string][]byte{all[0].id: all[0].key.Public()},
	}
	report, err := v.Verify(data)
	if err != nil || report.Requests != 1 || !strings.Contains(fmt.Sprint(report.Lines), "platform first asked 310000") {
		t.Errorf("%+v, %v", report, err)
	}
	if bytes.Contains(data, []byte("郑")) || bytes.Contains(data, []byte(regiontest.Number(string(shanghai), 2))) {
		t.Error("a person stands in the bundle")
	}
}

// TestEvidenceOfOperators: operators read evidence and trace of whatever the region knows; an unknown thing, a missing
// name and a wrong number are problems in both languages.
func TestEvidenceOfOperators(t *testing.T) {
	t.Parallel()
	p, _, id := provenOverHTTP(t)
	for _, x := range []struct {
		path, code string
		status     int
	}{
		{"/admin/v1/evidence?payment=" + id, "", http.StatusOK},
		{"/admin/v1/evidence?payment=" + id + "&opening=true", "", http.StatusOK},
		{"/admin/v1/trace?payment=" + id, "", http.StatusOK},
		{"/admin/v1/archives", "", http.StatusOK},
		{"/admin/v1/evidence?payment=p-310000-none", "not_found", http.StatusNotFound},
		{"/admin/v1/trace?payment=p-310000-none", "not_found", http.StatusNotFound},
		{"/admin/v1/evidence", "invalid_request", http.StatusBadRequest},
		{"/admin/v1/archives?from=x", "invalid_request", http.StatusBadRequest},
	} {
		status, body := p.admin(http.MethodGet, x.path)
		var problem struct {
			Code    string `json:"code"`
			TitleZH string `json:"title_zh"`
		}
		if err := json.Unmarshal(body, &problem); err != nil {
			t.Fatalf("%s: %s", x.path, body)
		}
		if status != x.status || problem.Code != x.code || (x.code != "") != (problem.TitleZH != "") {
			t.Errorf("%s: %d %s", x.path, status, body)
		}
	}
	until(t, "the reading is in the audit log", func() bool {
		return strings.Contains(string(p.f.log.bytes()), "evidence_read")
	})
}

// TestRequestNotKept: a signed write in whose address a person could stand is done, is no evidence, and is told; the
// nonce too.
func TestRequestNotKept(t *testing.T) {
	t.Parallel()
	p, all, id := provenOverHTTP(t)
	status, body := all[0].answered(p, http.MethodPost, "/v1/payments/"+id+"/cancel?x=%E9%83%91", `{"request_id":"c-1"}`)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	_, data := all[0].answered(p, http.MethodGet, "/v1/payments/"+id+"/evidence", "")
	if strings.Count(string(data), `"target":`) != 1 || bytes.Contains(data, []byte("%E9")) {
		t.Errorf("%s", data)
	}
	until(t, "it is told", func() bool { return strings.Contains(string(p.f.log.bytes()), "request_not_kept") })
}
