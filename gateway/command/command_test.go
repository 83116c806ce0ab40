package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gongji/gateway/command"
	"gongji/gateway/internal/rulebook"
)

// run runs a command line and gives what it printed.
func run(t *testing.T, args ...string) (string, string, error) {
	t.Helper()
	var out, errs strings.Builder
	p := command.Program{Stdout: &out, Stderr: &errs, Serve: func(_ context.Context, path string) error {
		_, err := io.WriteString(&out, "serving "+path)
		return err
	}}
	err := p.Run(t.Context(), args)
	return out.String(), errs.String(), err
}

// file writes a file of its own.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// document is a built-in document with one replacement.
func document(t *testing.T, region, old, replaced string) string {
	t.Helper()
	doc, err := rulebook.Document(region)
	if err != nil || !strings.Contains(string(doc), old) {
		t.Fatalf("%q: %v", old, err)
	}
	return strings.Replace(string(doc), old, replaced, 1)
}

func TestServe(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--config", "a.yaml"}, {"--config=a.yaml"}, {"serve", "--config", "a.yaml"}} {
		if out, _, err := run(t, args...); err != nil || out != "serving a.yaml" {
			t.Errorf("%q: %q, %v", args, out, err)
		}
	}
	if out, _, err := run(t); err != nil || out != "serving gateway.yaml" {
		t.Errorf("%q, %v", out, err)
	}
	if out, _, err := run(t, "--help"); err != nil || !strings.Contains(out, "rules check") {
		t.Errorf("%q, %v", out, err)
	}
	for _, args := range [][]string{{"--confg", "a"}, {"rules"}, {"rules", "check"}, {"rules", "apply", "x"}, {"dance"}} {
		if _, _, err := run(t, args...); !errors.Is(err, command.ErrUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// TestCheck: every fault of every file is named with file and line, and the command fails.
func TestCheck(t *testing.T) {
	t.Parallel()
	good := file(t, "good.yaml", document(t, "350100", "350100", "350100"))
	bad := file(t, "bad.yaml", strings.Replace(
		document(t, "350100", `"0.70"`, "0.70"), "consent: payer", "consent: me", 1))
	out, errs, err := run(t, "rules", "check", good)
	if err != nil || errs != "" || !strings.Contains(out, "good.yaml: ok: region 350100, in force from 1999-01-01") {
		t.Errorf("%q %q %v", out, errs, err)
	}
	out, errs, err = run(t, "rules", "check", bad, good, filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, command.ErrRefused) || !strings.Contains(out, "good.yaml: ok") {
		t.Errorf("%q %v", out, err)
	}
	for _, want := range []string{
		bad + ":7: annual_share: ", bad + ":14: consent: ", "请加引号", "put it in quotes", "none: ",
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q is not in\n%s", want, errs)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	a := file(t, "a.yaml", document(t, "310000", "310000", "310000"))
	b := file(t, "b.yaml", document(t, "310000", `"0.70"`, `"0.60"`))
	bad := file(t, "bad.yaml", "[]")
	if out, _, err := run(t, "rules", "diff", a, a); err != nil || out != "" {
		t.Errorf("%q, %v", out, err)
	}
	out, _, err := run(t, "rules", "diff", a, b)
	if err != nil || out != "~ annual_share (年度可共济比例): 0.70 -> 0.60\n" {
		t.Errorf("%q, %v", out, err)
	}
	_, errs, err := run(t, "rules", "diff", a, bad)
	if !errors.Is(err, command.ErrRefused) || !strings.Contains(errs, bad) {
		t.Errorf("%q, %v", errs, err)
	}
}

func TestShowAndSchema(t *testing.T) {
	t.Parallel()
	out, _, err := run(t, "rules", "show", rulebook.National)
	if err != nil || !strings.Contains(out, `region: "100000"`) {
		t.Errorf("%q, %v", out, err)
	}
	if _, _, err := run(t, "rules", "show", "440100"); err == nil || !strings.Contains(err.Error(), "350100") {
		t.Errorf("%v", err)
	}
	if out, _, err := run(t, "rules", "schema"); err != nil || !json.Valid([]byte(out)) {
		t.Errorf("%v", err)
	}
}

// TestExplain: a file of decisions is read to a citizen in both languages, or in one.
func TestExplain(t *testing.T) {
	t.Parallel()
	zero := "0.00"
	facts := rulebook.Facts{
		RulesFrom: "2026-01-01", Scheme: 310, InsuredStatus: 1, Balance: "100.00", OpenHolds: zero, YearOpening: "100.00",
		Credited: zero, UsedYear: zero, UsedVisit: zero, UsedGrant: zero, PaymentLimit: zero, GrantAnnualLimit: zero,
		AnnualShare: "0.60", RetainedFloor: zero, VisitLimit: zero, Given: "60.00", LimitedBy: "annual_quota",
		Limits: []rulebook.Limit{{Code: "annual_quota", InForce: true, Allows: "60.00"}},
	}
	data, err := json.Marshal(rulebook.Decisions{PaymentID: "p-1", Region: "110000", Decisions: []rulebook.Decision{{
		HoldID: "h-1", PaymentID: "p-1", Region: "110000", Purpose: "drug", Status: "placed", Asked: "90.00", Held: "60.00",
		Captured: zero, LimitedBy: "annual_quota", Facts: &facts,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	path := file(t, "decisions.json", string(data))
	const zh, en = "年度可共济额度=60%×年初余额100.00=60.00", "year's quota 60% × year-opening 100.00 = 60.00"
	for lang, want := range map[string][2]bool{"both": {true, true}, "zh": {true, false}, "en": {false, true}} {
		out, _, err := run(t, "rules", "explain", "--payment", path, "--lang", lang)
		if err != nil || strings.Contains(out, zh) != want[0] || strings.Contains(out, en) != want[1] {
			t.Errorf("%s: %v\n%s", lang, err, out)
		}
	}
	for _, other := range []string{"", "{}", "[]", `{"decisions":[{}]}`} {
		if _, _, err := run(t, "rules", "explain", "--payment", file(t, "x", other)); err == nil {
			t.Errorf("%q is explained", other)
		}
	}
	if _, _, err := run(t, "rules", "explain", "--payment", filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there is explained")
	}
}

// TestRemote: the commands that speak to a running region send what they should, and show what it refuses.
func TestRemote(t *testing.T) {
	t.Parallel()
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.Path)
		switch {
		case strings.Contains(string(body), "0.65"):
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"problems":[{"line":0,"field":"effective_from","reason":"past","reason_zh":"溯及"}]}`)
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(w, `{"region":"350100","versions":[{"effective_from":"2026-01-01","state":"in_force"}]}`)
		case r.Method == http.MethodPost && r.Header.Get("Content-Type") != "application/yaml":
			w.WriteHeader(http.StatusUnsupportedMediaType)
		case strings.HasSuffix(r.URL.Path, "2030-01-01"):
			http.Error(w, "\x1b no leader", http.StatusServiceUnavailable)
		default:
			_, _ = io.WriteString(w, `{}`)
		}
	}))
	defer s.Close()
	good := file(t, "good.yaml", document(t, "350100", "350100", "350100"))
	if out, _, err := run(t, "rules", "apply", "--admin", s.URL, good); err != nil || !strings.Contains(out, "350100") {
		t.Errorf("%q, %v", out, err)
	}
	if out, _, err := run(t, "rules", "list", "--admin", s.URL+"/"); err != nil || !strings.Contains(out, `"in_force"`) {
		t.Errorf("%q, %v", out, err)
	}
	if _, _, err := run(t, "rules", "withdraw", "--admin", s.URL, "2029-01-01"); err != nil {
		t.Error(err)
	}
	late := file(t, "late.yaml", document(t, "350100", `"0.70"`, `"0.65"`))
	if _, errs, err := run(t, "rules", "apply", "--admin", s.URL, late); !errors.Is(err, command.ErrRefused) ||
		!strings.Contains(errs, "溯及") {
		t.Errorf("%q, %v", errs, err)
	}
	if _, _, err := run(t, "rules", "withdraw", "--admin", s.URL, "2030-01-01"); !errors.Is(err, command.ErrRefused) ||
		strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%v", err)
	}
	before := len(asked)
	bad := file(t, "bad.yaml", "{}")
	if _, _, err := run(t, "rules", "apply", "--admin", s.URL, bad); !errors.Is(err, command.ErrRefused) {
		t.Errorf("%v", err)
	}
	if _, _, err := run(t, "rules", "withdraw", "--admin", s.URL, "x"); !errors.Is(err, command.ErrUsage) {
		t.Errorf("%v", err)
	}
	if len(asked) != before {
		t.Errorf("what is wrong here is sent: %v", asked[before:])
	}
	if _, _, err := run(t, "rules", "list", "--admin", "http://127.0.0.1:1"); err == nil {
		t.Error("nobody answers")
	}
}
