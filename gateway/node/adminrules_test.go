package node_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
)

// bring sends a document to the operators' listener.
func (p *place) bring(doc, kind string) (int, string) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/admin/v1/rules", strings.NewReader(doc))
	r.Header.Set("Content-Type", kind)
	p.node.Admin().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// shanghaiFrom is Shanghai's document from a day, with a share of its own.
func shanghaiFrom(t testing.TB, day policy.Date, share string) string {
	t.Helper()
	doc, err := rulebook.Document(string(shanghai))
	if err != nil {
		t.Fatal(err)
	}
	s := strings.Replace(string(doc), "1999-01-01", day.String(), 1)
	return strings.Replace(s, `"0.70"`, `"`+share+`"`, 1)
}

// TestExplainedByWhatWasKnown: a decision is shown with the facts of its time; new rules change nothing of it.
func TestExplainedByWhatWasKnown(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	payer, child := insured(shanghai, 911, "郑一", "5000.00"), insured(shanghai, 912, "郑小", "0.00")
	child.Scheme = "390"
	m := &household{payer: person(shanghai, payer), child: person(shanghai, child)}
	p := f.places(shanghai, 1, payer, child)[0]
	startAll(t, p)
	at := ask(t, p)
	m.grant(t, at, m.payer)
	bill := m.bill("visit-1")
	bill.Amount = "600.00"
	paid, err := at.CreatePayment(t.Context(), bill)
	if err != nil || paid.Held != "500.00" {
		t.Fatalf("%+v, %v", paid, err)
	}
	paid, err = at.Confirm(t.Context(), paid.PaymentID, client.Confirmation{RequestID: "c-1"}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	decisions := func(query string) (rulebook.Decisions, []byte) {
		t.Helper()
		status, body := p.admin(http.MethodGet, "/admin/v1/decisions?"+query)
		var d rulebook.Decisions
		if err := json.Unmarshal(body, &d); status != 200 || err != nil || len(d.Decisions) != 1 {
			t.Fatalf("%d %s", status, body)
		}
		return d, body
	}
	d, before := decisions("payment=" + paid.PaymentID)
	explained, err := d.Decisions[0].Explain()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(explained.ZH, "\n")
	for _, want := range []string{
		"账户支付500.00元（门诊，申请600.00元）", "年度可共济额度=70%×年初余额5000.00=3500.00，已用0.00，余3500.00",
		"单次就诊限额500.00，本次就诊已用0.00，余500.00  ← 起决定作用", "依据1999-01-01起施行的规则", "最终扣款500.00元",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(string(before), payer.IDNumber) || strings.Contains(string(before), payer.Name) {
		t.Errorf("a clear identity stands in %s", before)
	}

	today := policy.Day(time.Now())
	if status, body := p.bring(shanghaiFrom(t, today, "0.01"), "application/yaml"); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if rules, err := at.Rules(t.Context()); err != nil || rules.AnnualShare != "0.01" {
		t.Fatalf("%+v, %v", rules, err)
	}
	if _, after := decisions("hold=" + d.Decisions[0].HoldID); !bytes.Equal(before, after) {
		t.Errorf("the decision was\n%s\nand is\n%s", before, after)
	}
	for _, none := range []string{"", "payment=p-310000-none", "hold=h-310000-none-1", "payment=%20"} {
		if status, _ := p.admin(http.MethodGet, "/admin/v1/decisions?"+none); status != 404 {
			t.Errorf("%q: %d", none, status)
		}
	}
}

// TestRulesByOperators: versions are brought, listed, shown and withdrawn; what is wrong is named; all is
// audited.
func TestRulesByOperators(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	p := f.places(shanghai, 1)[0]
	startAll(t, p)
	until(t, "the first rules are there", func() bool {
		status, _ := p.admin(http.MethodGet, "/admin/v1/rules/current")
		return status == 200
	})
	today := policy.Day(time.Now())
	soon := today.AddDays(40)
	for name, c := range map[string]struct {
		doc, kind, say string
		want           int
	}{
		"form":     {shanghaiFrom(t, soon, "0.50"), "text/plain", "application/yaml", 415},
		"nonsense": {"{", "application/yaml", "not", 422},
		"share":    {shanghaiFrom(t, soon, "1.50"), "application/yaml", "annual_share", 422},
		"past":     {shanghaiFrom(t, today.AddDays(-1), "0.50"), "application/yaml", "不得溯及既往", 422},
		"other": {
			strings.ReplaceAll(shanghaiFrom(t, soon, "0.50"), `"310000"`, `"110000"`), "application/yaml", "invalid", 422,
		},
		"good":  {shanghaiFrom(t, soon, "0.50"), "application/yaml; charset=utf-8", `"unchanged":false`, 200},
		"large": {strings.Repeat("#", rulebook.DocumentMax+1), "application/yaml", "large", 400},
	} {
		if status, body := p.bring(c.doc, c.kind); status != c.want || name != "other" && !strings.Contains(body, c.say) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, body := p.bring(shanghaiFrom(t, soon, "0.50"), "application/yaml"); status != 200 ||
		!strings.Contains(body, `"unchanged":true`) {
		t.Errorf("again: %d %s", status, body)
	}
	states := func() string {
		t.Helper()
		var all struct {
			Versions []struct {
				State string `json:"state"`
			} `json:"versions"`
		}
		status, body := p.admin(http.MethodGet, "/admin/v1/rules")
		if err := json.Unmarshal(body, &all); status != 200 || err != nil {
			t.Fatalf("%d %s", status, body)
		}
		var out []string
		for _, v := range all.Versions {
			out = append(out, v.State)
		}
		return strings.Join(out, " ")
	}
	if got := states(); got != "in_force to_come" {
		t.Error(got)
	}
	status, doc := p.admin(http.MethodGet, "/admin/v1/rules/"+soon.String())
	if r, err := rulebook.Read(doc); status != 200 || err != nil || r.AnnualShare != 5000 {
		t.Errorf("%d %v", status, err)
	}
	for path, want := range map[string]int{
		"/admin/v1/rules/" + today.AddDays(3).String(): 404, "/admin/v1/rules/tomorrow": 400,
		"/admin/v1/rules/1900-01-01": 404,
	} {
		if status, _ := p.admin(http.MethodGet, path); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
	for path, want := range map[string]int{
		"/admin/v1/rules/1999-01-01": 422, "/admin/v1/rules/2999-01-01": 422, "/admin/v1/rules/x": 400,
	} {
		if status, _ := p.admin(http.MethodDelete, path); status != want {
			t.Errorf("withdrawing %s: %d", path, status)
		}
	}
	for _, share := range []string{"0.61", "0.62"} { // a version of today, replaced on its own day
		if status, body := p.bring(shanghaiFrom(t, today, share), "application/yaml"); status != 200 {
			t.Errorf("%d %s", status, body)
		}
	}
	if status, body := p.admin(http.MethodDelete, "/admin/v1/rules/"+soon.String()); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if got := states(); got != "past in_force replaced" {
		t.Error(got)
	}
	if log := string(f.log.bytes()); !strings.Contains(log, "rules_set") || !strings.Contains(log, "rules_withdrawn") {
		t.Error("nothing was audited")
	}
}
