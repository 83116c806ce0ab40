//go:build integration && unix

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gongji/gateway/client"
	"gongji/internal/freeport"
	"gongji/testnet/topology"
)

const allOK = "I-1 ok\nI-2 ok\nI-3 ok\nI-4 ok\nI-5 ok\nI-6 ok\nI-7 ok\n"

// program builds the testnet once for all tests of this package.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gongji-testnet-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "testnet")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// call runs a command of the testnet to its end.
func call(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	var out, diagnosis bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdout, cmd.Stderr = &out, &diagnosis
	err = cmd.Run()
	if err != nil {
		t.Logf("%v: %v\n%s", args, err, &diagnosis)
	}
	return out.String(), err
}

// running is a testnet that stays up, with its nodes in the same process group.
type running struct {
	cmd  *exec.Cmd
	dir  string
	done chan error
}

// up starts a testnet and waits for its session.
func up(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"--quiet", "--data", dir}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	diagnosis := &bytes.Buffer{}
	cmd.Stderr = diagnosis
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &running{cmd: cmd, dir: dir, done: make(chan error, 1)}
	session := make(chan struct{})
	go func() {
		s := bufio.NewScanner(out)
		told := false
		for s.Scan() {
			if !told && strings.HasPrefix(s.Text(), "session: ") {
				told = true
				close(session)
			}
		}
		r.done <- cmd.Wait()
	}()
	t.Cleanup(func() { r.killAll() })
	select {
	case <-session:
	case err := <-r.done:
		r.done <- err
		t.Fatalf("the testnet ended: %v\n%s", err, diagnosis)
	}
	return r
}

// killAll kills the testnet and every node at once.
func (r *running) killAll() { _ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) }

func (r *running) interrupt(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-r.done; err != nil {
		t.Errorf("after SIGINT: %v", err)
	}
}

func (r *running) session(t *testing.T) topology.Session {
	t.Helper()
	s, err := topology.ReadSession(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newClient(t *testing.T, nodes ...string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Nodes: nodes})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// leader finds the node that leads a region.
func leader(t *testing.T, s topology.Session, code string) topology.SessionNode {
	t.Helper()
	region, _ := s.Region(code)
	a, err := newClient(t, region.Nodes[0].API).Do(t.Context(), client.Request{Method: http.MethodGet, Path: "/v1/rules"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range region.Nodes {
		if n.API == a.Leader || strings.TrimPrefix(n.API, "http://") == a.Leader {
			return n
		}
	}
	t.Fatalf("nobody leads %s: %q", code, a.Leader)
	return topology.SessionNode{}
}

func apis(s topology.Session, code, without string) []string {
	region, _ := s.Region(code)
	var out []string
	for _, n := range region.Nodes {
		if n.ID != without {
			out = append(out, n.API)
		}
	}
	return out
}

func person(p topology.Person) client.Person {
	return client.Person{IDType: "01", IDNumber: p.IDNumber, Name: p.Name, Region: p.Region}
}

// grant makes a grant for a pair of the load, and waits until the beneficiary's home knows it.
func grant(t *testing.T, s topology.Session, pair topology.Pair) {
	t.Helper()
	home := newClient(t, apis(s, pair.Payer.Region, "")...)
	text, err := home.Commitment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g, err := home.CreateGrant(t.Context(), client.GrantRequest{
		RequestID: client.NewRequestID(), Payer: person(pair.Payer), Beneficiary: person(pair.Beneficiary),
		Relation: "parent", Channel: "portal", ValidFrom: "2020-01-01",
		Consent: client.Consent{Version: text.Version, Digest: text.Digest, Signature: "c3ludGhldGlj"},
	})
	if err != nil {
		t.Fatal(err)
	}
	there, who := newClient(t, apis(s, pair.Beneficiary.Region, "")...), person(pair.Beneficiary)
	for {
		list, err := there.SearchGrants(t.Context(), client.GrantSearch{Beneficiary: &who})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Grants) > 0 && list.Grants[0].GrantID == g.GrantID {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

func payment(pair topology.Pair) client.PaymentRequest {
	id := client.NewRequestID()
	return client.PaymentRequest{
		RequestID: id, Beneficiary: person(pair.Beneficiary),
		Credential:  client.Credential{Type: client.CredentialECredential, HolderIDNumber: pair.Beneficiary.IDNumber},
		Institution: client.Institution{Code: "H" + pair.Visit + "00001", Kind: "hospital"}, Purpose: "outpatient",
		VisitID: id, VisitDate: time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly),
		Bill: client.Bill{ID: id, Total: "80.00", FundPaid: "0.00", SelfBorne: "80.00"}, Amount: "80.00",
	}
}

func TestOnce(t *testing.T) {
	dir := t.TempDir()
	report := filepath.Join(dir, "report.json")
	base := strconv.Itoa(freeport.Base(t))
	for range 2 { // the second run makes everything new in the same folder
		out, err := call(t, "--once", "--base-port", base, "--data", filepath.Join(dir, "net"), "--report", report)
		if err != nil || !strings.Contains(out, allOK) || !strings.Contains(out, "session: ") {
			t.Fatalf("%v\n%s", err, out)
		}
		var told struct {
			OK         bool              `json:"ok"`
			Invariants map[string]string `json:"invariants"`
		}
		raw, err := os.ReadFile(report)
		if err == nil {
			err = json.Unmarshal(raw, &told)
		}
		if err != nil || !told.OK || len(told.Invariants) != 7 {
			t.Errorf("the report: %v\n%s", err, raw)
		}
	}
}

// TestLeaderKilledBetweenHoldAndConfirm: the decision goes to another node and is carried out.
func TestLeaderKilledBetweenHoldAndConfirm(t *testing.T) {
	r := up(t, filepath.Join(t.TempDir(), "net"), "--processes", "--base-port", strconv.Itoa(freeport.Base(t)),
		"--load-accounts", "3")
	s := r.session(t)
	pairs, err := topology.ReadLoadPairs(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	pair := pairs[0]
	grant(t, s, pair)
	p, err := newClient(t, apis(s, pair.Visit, "")...).CreatePayment(t.Context(), payment(pair))
	if err != nil || p.Status != client.PaymentHeld {
		t.Fatalf("%+v, %v", p, err)
	}
	old := leader(t, s, pair.Visit)
	if err := syscall.Kill(old.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	others := newClient(t, apis(s, pair.Visit, old.ID)...)
	decision := client.Confirmation{RequestID: client.NewRequestID()}
	p, err = others.Confirm(t.Context(), p.PaymentID, decision, 10*time.Second)
	for err == nil && p.Status == client.PaymentCapturing {
		p, err = others.Payment(t.Context(), p.PaymentID)
	}
	if err != nil || p.Status != client.PaymentCaptured || p.Captured != "80.00" {
		t.Fatalf("%+v, %v", p, err)
	}
	if out, err := call(t, "check", "--data", r.dir); err != nil || out != allOK {
		t.Errorf("%v\n%s", err, out)
	}
	// The one that was killed comes back under a new pid.
	for {
		region, _ := r.session(t).Region(pair.Visit)
		back := false
		for _, n := range region.Nodes {
			back = back || n.ID == old.ID && n.PID != 0 && n.PID != old.PID
		}
		if back {
			break
		}
		<-time.After(50 * time.Millisecond)
	}
	r.interrupt(t)
}

// TestAllKilledUnderLoad: every process dies at one moment; what was promised before is there afterwards.
func TestAllKilledUnderLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	r := up(t, dir, "--processes", "--base-port", strconv.Itoa(freeport.Base(t)), "--load-accounts", "6")
	s := r.session(t)
	pairs, err := topology.ReadLoadPairs(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		grant(t, s, p)
	}
	captured := underLoad(t, s, pairs, r.killAll)
	if err := <-r.done; err == nil {
		t.Error("a testnet that was killed ended well")
	}

	r = up(t, dir, "--processes")
	out, err := call(t, "check", "--data", dir)
	if err != nil || out != allOK {
		t.Fatalf("%v\n%s", err, out)
	}
	for id, visit := range captured {
		p, err := newClient(t, apis(s, visit, "")...).Payment(t.Context(), id)
		if err != nil || p.Status != client.PaymentCaptured {
			t.Errorf("%s had been captured and is %s, %v", id, p.Status, err)
		}
	}
	r.interrupt(t)
}

// underLoad pays with several clients, calls kill in the middle, and returns what had been told as captured, with
// its region.
func underLoad(t *testing.T, s topology.Session, pairs []topology.Pair, kill func()) map[string]string {
	t.Helper()
	const clients, before = 16, 200
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	var mu sync.Mutex
	captured := map[string]string{}
	var group sync.WaitGroup
	var turn atomic.Int64
	for range clients {
		group.Go(func() {
			for ctx.Err() == nil {
				pair := pairs[int(turn.Add(1))%len(pairs)]
				id, err := pay(ctx, s, pair)
				if err != nil {
					return // the federation is gone
				}
				mu.Lock()
				captured[id] = pair.Visit
				enough := len(captured) == before
				mu.Unlock()
				if enough {
					kill()
				}
			}
		})
	}
	group.Wait()
	if len(captured) < before {
		t.Fatalf("only %d payments before the end: %v", len(captured), ctx.Err())
	}
	return captured
}

func pay(ctx context.Context, s topology.Session, pair topology.Pair) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := client.New(client.Options{Nodes: apis(s, pair.Visit, "")})
	if err != nil {
		return "", err
	}
	p, err := c.CreatePayment(ctx, payment(pair))
	if err != nil {
		return "", err
	}
	p, err = c.Confirm(ctx, p.PaymentID, client.Confirmation{RequestID: client.NewRequestID()}, 5*time.Second)
	if err == nil && p.Status != client.PaymentCaptured {
		err = errors.New(p.Status)
	}
	return p.PaymentID, err
}

// TestChaos: kills and freezes by a seed; the books agree afterwards, and bear out every payment that was told to
// be captured.
func TestChaos(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	r := up(t, dir, "--processes", "--base-port", strconv.Itoa(freeport.Base(t)), "--load-accounts", "60")
	report := filepath.Join(t.TempDir(), "chaos.json")
	if _, err := call(t, "chaos", "--data", dir, "--seed", "3", "--duration", "25s", "--report", report); err != nil {
		t.Error(err)
	}
	if raw, err := os.ReadFile(report); err != nil || !strings.Contains(string(raw), `"I-7": "ok"`) {
		t.Errorf("%v\n%s", err, raw)
	}
	r.interrupt(t)
}

// TestChaosHostile: a fourth member with good keys, in a process of its own, attacks a federation of real
// processes. Every attack is refused, counted and in the audit log; the books and the invariants stand. How much of
// their goodput the flood leaves the others is reported, not asserted.
func TestChaosHostile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	r := up(t, dir, "--processes", "--base-port", strconv.Itoa(freeport.Base(t)), "--load-accounts", "60")
	path := filepath.Join(t.TempDir(), "hostile.json")
	out, err := call(t, "chaos", "--hostile", "--data", dir, "--duration", "6s", "--clients", "16", "--report", path)
	if err != nil || !strings.Contains(out, allOK) {
		t.Errorf("%v\n%s", err, out)
	}
	var report struct {
		OK      bool     `json:"ok"`
		Changed []string `json:"changed"`
		Attacks []struct {
			Kind    string `json:"kind"`
			Name    string `json:"name"`
			Refused bool   `json:"refused"`
			Audited bool   `json:"audited"`
		} `json:"attacks"`
		Goodput struct {
			Without float64 `json:"without_per_second"`
			With    float64 `json:"with_per_second"`
			Ratio   float64 `json:"ratio"`
			Floods  []struct {
				Records map[string]int `json:"records"`
			} `json:"floods"`
		} `json:"goodput"`
		Invariants map[string]string `json:"invariants"`
	}
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &report)
	}
	if err != nil || !report.OK || len(report.Changed) != 0 || len(report.Invariants) != 7 {
		t.Fatalf("the report: %v\n%s", err, raw)
	}
	kinds := map[string]bool{}
	for _, a := range report.Attacks {
		kinds[a.Kind] = true
		if !a.Refused || !a.Audited {
			t.Errorf("%s: %s: %+v", a.Kind, a.Name, a)
		}
	}
	g := report.Goodput
	if len(kinds) != 7 || len(report.Attacks) < 40 || g.Without <= 0 || g.With <= 0 || len(g.Floods) != 1 ||
		len(g.Floods[0].Records) != 3 {
		t.Errorf("%d attacks of the kinds %v, %+v", len(report.Attacks), kinds, g)
	}
	t.Logf("goodput with the flood: %.3f of that without", g.Ratio)
	if _, err = call(t, "chaos", "--hostile", "--data", dir); err == nil {
		t.Error("the member that was expelled came again")
	}
	r.interrupt(t)
}

// TestLoad: the report has what is promised, and the books bear it out.
func TestLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	r := up(t, dir, "--base-port", strconv.Itoa(freeport.Base(t)), "--load-accounts", "60")
	path := filepath.Join(t.TempDir(), "load.json")
	if _, err := call(t, "load", "--data", dir, "--rate", "50", "--duration", "5s", "--report", path); err != nil {
		t.Error(err)
	}
	var report struct {
		Payments   int                `json:"payments"`
		Errors     int                `json:"errors"`
		RSS        float64            `json:"peak_rss_mb"`
		Where      map[string]float64 `json:"where"`
		Invariants map[string]string  `json:"invariants"`
	}
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &report)
	}
	if err != nil || report.Payments < 200 || report.Errors != 0 || report.RSS <= 0 || report.Where["log"] <= 0 ||
		report.Invariants["I-3"] != "ok" {
		t.Errorf("%v\n%s", err, raw)
	}
	out, err := call(t, "books", "--data", dir)
	if err != nil || !strings.HasPrefix(out, `{"accounts":[{"region":"110000","id_number":"`) {
		t.Errorf("%v %.200s", err, out)
	}
	r.interrupt(t)
}
