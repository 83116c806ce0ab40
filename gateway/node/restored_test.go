//go:build integration

package node_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/command"
	"gongji/gateway/node"
)

// staff are the officers and operators of a region at their machines; url is its operators' listener.
type staff struct {
	t         testing.TB
	url       string
	officers  []*console
	operators []*console
	auditor   *console
}

// serves is the operators' listener of whatever node stands at a place.
func (p *place) serves() string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		p.node.Admin().ServeHTTP(w, q)
	}))
	p.f.t.Cleanup(s.Close)
	return s.URL
}

func (s *staff) at(args ...string) []string { return append(args, "--admin", s.url) }

func (s *staff) login(all ...*console) {
	s.t.Helper()
	for _, c := range all {
		until(s.t, c.name+" is logged in at "+s.url, func() bool {
			_, err := c.run(append(s.at("login"), c.factors()...)...)
			return err == nil
		})
	}
}

// both has one propose what the other approves.
func (s *staff) both(pair []*console, args ...string) {
	s.t.Helper()
	out := pair[0].must(command.ErrWaits, s.at(args...)...)
	m := waiting.FindStringSubmatch(out)
	pair[1].must(nil, s.at("acts", "approve", m[1], "--digest", m[2])...)
}

// begins brings the operators in.
func (s *staff) begins() {
	s.t.Helper()
	s.login(s.officers...)
	for _, c := range s.operators {
		s.both(s.officers, "operators", "add", filepath.Join(c.home, "card.json"), "--role", "operator")
	}
	s.both(s.officers, "operators", "add", filepath.Join(s.auditor.home, "card.json"), "--role", "auditor")
	s.login(s.operators...)
	s.login(s.auditor)
}

// file writes the configuration of a place, as a machine has it.
func (p *place) file() string {
	p.f.t.Helper()
	c := p.cfg
	c.Listen.API, c.Listen.Admin = "127.0.0.1:18000", "127.0.0.1:18001"
	c.Kafka.Brokers = []string{"127.0.0.1:9092"}
	c.Keys.Dir, c.Keys.KEKFile = "keys", "kek"
	c.TLS.CertFile, c.TLS.KeyFile, c.TLS.CAFile = "node.crt", "node.key", "ca.crt"
	raw, err := c.Encode()
	path := filepath.Join(p.f.dir, c.NodeID+".yaml")
	if err == nil {
		err = os.WriteFile(path, raw, 0o600)
	}
	if err != nil {
		p.f.t.Fatal(err)
	}
	return path
}

// machine runs a command of the machine, without a session.
func (p *place) machine(args ...string) (string, error) {
	var out strings.Builder
	program := command.Program{Stdout: &out, Stderr: &out, Backup: node.Backup, Restore: node.Restore}
	err := program.Run(p.f.t.Context(), append(args, "--config", p.file()))
	return out.String(), err
}

// kin are two regions, each of which has a payer for the other's bills.
type kin struct {
	f      *field
	bj     []*place
	sh     *place
	payers map[federation.Region]client.Person // at home there
	childs map[federation.Region]client.Person // whose bills that region's payer pays; at home in Shanghai
	asks   map[federation.Region]*client.Client
	visits int
}

// request is a bill of the person whom the payer of a region pays for, at the other region.
func (k *kin) request(home federation.Region) (federation.Region, client.PaymentRequest) {
	k.visits++
	at, visit := shanghai, fmt.Sprint("restored-", k.visits)
	if home == shanghai {
		at = beijing
	}
	who := k.childs[home]
	return at, client.PaymentRequest{
		RequestID: client.NewRequestID(), Beneficiary: who,
		Credential:  client.Credential{Type: client.CredentialECredential, HolderIDNumber: who.IDNumber},
		Institution: client.Institution{Code: "H" + string(at) + "00001", Kind: "hospital"}, Purpose: "outpatient",
		VisitID: visit, VisitDate: time.Now().In(time.FixedZone("", 8*60*60)).Format(time.DateOnly),
		Bill: client.Bill{ID: visit, Total: "10.00", FundPaid: "0.00", SelfBorne: "10.00"}, Amount: "10.00",
	}
}

// held asks for 10.00 of a region's payer, and returns the payment's id.
func (k *kin) held(home federation.Region) string {
	k.f.t.Helper()
	at, bill := k.request(home)
	p, err := k.asks[at].CreatePayment(k.f.t.Context(), bill)
	if err != nil || p.Status != client.PaymentHeld {
		k.f.t.Fatalf("%+v, %v", p, err)
	}
	return p.PaymentID
}

// heldSoon is held, as soon as the regions hear each other.
func (k *kin) heldSoon(home federation.Region) string {
	k.f.t.Helper()
	id := ""
	until(k.f.t, "a hold is placed in "+string(home), func() bool {
		at, bill := k.request(home)
		p, err := k.asks[at].CreatePayment(k.f.t.Context(), bill)
		id = p.PaymentID
		return err == nil && p.Status == client.PaymentHeld
	})
	return id
}

func (k *kin) confirm(at federation.Region, id, want string) {
	k.f.t.Helper()
	decision := client.Confirmation{RequestID: client.NewRequestID()}
	p, err := k.asks[at].Confirm(k.f.t.Context(), id, decision, 10*time.Second)
	if err != nil || p.Status != want {
		k.f.t.Fatalf("%s: %+v, %v; want %s", id, p, err, want)
	}
}

// state is how a region's books have the hold of a payment, as its auditor reads them.
func (s *staff) state(payment string) string {
	s.t.Helper()
	name := sha256.Sum256([]byte(s.url))
	token, err := os.ReadFile(filepath.Join(s.auditor.home, "config", "gongji", "session-"+hex.EncodeToString(name[:8])))
	if err != nil {
		s.t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/admin/v1/audit", http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	for lines := json.NewDecoder(a.Body); ; {
		var l client.AuditLine
		if err := lines.Decode(&l); err != nil {
			return "" // its end
		}
		if l.Hold != nil && l.Hold.ID == "h"+strings.TrimPrefix(payment, "p")+"-1" {
			return l.Hold.State
		}
	}
}

func newKin(t testing.TB) *kin {
	t.Helper()
	f := newField(t, beijing, shanghai)
	father, aunt := insured(beijing, 931, "司徒丙", "5000.00"), insured(shanghai, 932, "上官丁", "5000.00")
	child, niece := insured(shanghai, 933, "司徒戊", "0.00"), insured(shanghai, 934, "上官己", "0.00")
	child.Scheme, niece.Scheme = "390", "390"
	k := &kin{
		f: f, bj: f.places(beijing, 3, father), sh: f.places(shanghai, 1, aunt, child, niece)[0],
		payers: map[federation.Region]client.Person{beijing: person(beijing, father), shanghai: person(shanghai, aunt)},
		childs: map[federation.Region]client.Person{beijing: person(shanghai, child), shanghai: person(shanghai, niece)},
	}
	return k
}

func (k *kin) starts() {
	t := k.f.t
	t.Helper()
	startAll(t, append(slices.Clone(k.bj), k.sh)...)
	k.asks = map[federation.Region]*client.Client{beijing: ask(t, k.bj...), shanghai: ask(t, k.sh)}
	for home, payer := range k.payers {
		m := &household{child: k.childs[home]}
		m.grant(t, k.asks[home], payer)
	}
	k.heldSoon(beijing)
	k.heldSoon(shanghai)
}

// backup has the leader of Beijing take a snapshot, and copies it by the documented command while the node runs.
func (k *kin) backup(to string) {
	t := k.f.t
	t.Helper()
	until(t, "a snapshot of this moment is taken", func() bool {
		for _, p := range k.bj {
			if lead, _ := p.node.Log().Leadership(); lead.Leader && p.node.Log().Snapshot() == nil {
				out, err := p.machine("backup", "--out", to)
				if err != nil {
					t.Fatalf("%s: %v", out, err)
				}
				return true
			}
		}
		return false
	})
}

// loseAll: Beijing loses every disk, and the bus what it had for Beijing, as after a day.
func (k *kin) loseAll(from string) {
	t := k.f.t
	t.Helper()
	for _, p := range k.bj {
		p.stop()
	}
	lane := federation.Lane{From: shanghai, To: beijing}
	k.f.bus.Trim(lane, len(k.f.bus.Records(lane)))
	for _, p := range k.bj {
		if out, err := p.machine("restore", "--from", from); err == nil {
			t.Fatalf("restored over what a node has: %s", out)
		}
		if err := os.RemoveAll(p.cfg.DataDir); err != nil {
			t.Fatal(err)
		}
		if out, err := p.machine("restore", "--from", from); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
	}
}

// differences is what the operators' command says, line by line.
func (s *staff) differences(peer federation.Region) []string {
	out := s.operators[0].must(nil, s.at("links", "differences", string(peer))...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(lines)
	return lines
}

// TestRestoredFromDisks: a region of three nodes with real folders loses them all, and is restored
// from a backup of before by the commands that docs/operations.md names. It notices that it has lost history, agrees on
// nothing new until two persons on either side have begun anew, and both name every difference to the single hold. What
// waited for it arrives, what both know goes on, and what its origin has forgotten stays held.
func TestRestoredFromDisks(t *testing.T) { //nolint:paralleltest // the folder of sessions is the process's environment
	people := []*console{
		newConsole(t, "officer.one"), newConsole(t, "officer.two"), newConsole(t, "op.one"), newConsole(t, "op.two"),
		newConsole(t, "audrey"),
	}
	k := newKin(t)
	for _, p := range append(slices.Clone(k.bj), k.sh) {
		p.cfg.Operators.None, p.cfg.Operators.File = false, listed(k.f, people[:2]...)
	}
	k.starts()
	bj := &staff{t: t, url: k.bj[0].serves(), officers: people[:2], operators: people[2:4], auditor: people[4]}
	sh := &staff{t: t, url: k.sh.serves(), officers: people[:2], operators: people[2:4], auditor: people[4]}
	bj.begins()
	sh.begins()

	known, decided, waits := k.held(beijing), k.held(beijing), k.held(beijing)
	saved := filepath.Join(k.f.dir, "backup")
	k.backup(saved)
	k.confirm(shanghai, decided, client.PaymentCaptured)
	after, taken := k.held(beijing), k.held(beijing)
	k.confirm(shanghai, taken, client.PaymentCaptured)
	own := k.held(shanghai) // begun in Beijing, held in Shanghai
	k.loseAll(saved)
	k.confirm(shanghai, waits, client.PaymentCapturing) // nobody is there
	startAll(t, k.bj...)
	k.asks[beijing] = ask(t, k.bj...)

	bj.login(append(slices.Clone(bj.operators), bj.auditor)...)
	until(t, "Beijing notices that it has lost history", func() bool {
		out, err := bj.operators[0].run(bj.at("links", "list")...)
		return err == nil && strings.Contains(out, "310000  stopped: ")
	})
	bj.both(bj.operators, "links", "begin", "310000")
	until(t, "Shanghai has heard of it", func() bool {
		out, err := sh.operators[0].run(sh.at("links", "list")...)
		return err == nil && strings.Contains(out, "new_epoch")
	})
	sh.both(sh.operators, "links", "resume", "110000")
	for _, s := range []*staff{bj, sh} {
		until(t, "both sides have compared", func() bool {
			out, err := s.operators[0].run(s.at("links", "list")...)
			return err == nil && strings.Contains(out, "compared here true, there true")
		})
	}
	want := func(s *staff, peer federation.Region, lines ...string) {
		t.Helper()
		lines = append(lines, fmt.Sprintf("%d differences; compared: true", len(lines)))
		slices.Sort(lines)
		if got := s.differences(peer); !slices.Equal(got, lines) {
			t.Errorf("differences with %s:\n got %q\nwant %q", peer, got, lines)
		}
	}
	row := func(kind, payment, here, there string) string {
		return fmt.Sprintf("%s h%s-1: here %s, there %s", kind, strings.TrimPrefix(payment, "p"), here, there)
	}
	want(bj, shanghai, row("hold", decided, "placed 10.00", "captured 10.00"),
		row("hold", after, "unknown", "placed 10.00"), row("hold", taken, "unknown", "captured 10.00"),
		row("leg", own, "unknown", "placed 10.00"))
	want(sh, beijing, row("leg", decided, "captured 10.00", "placed 10.00"), row("leg", after, "placed 10.00", "unknown"),
		row("leg", taken, "captured 10.00", "unknown"), row("hold", own, "placed 10.00", "unknown"))

	until(t, "what waited has arrived", func() bool { return bj.state(waits) == "captured" })
	k.confirm(shanghai, known, client.PaymentCaptured)
	_, bill := k.request(beijing)
	if p, err := k.asks[shanghai].CreatePayment(t.Context(), bill); err == nil && p.Status == client.PaymentHeld {
		t.Errorf("a new hold before anybody has accepted the differences: %+v", p)
	}
	if got := sh.state(own); got != "placed" {
		t.Errorf("a hold whose origin has forgotten it is %q", got)
	}
	bj.both(bj.operators, "links", "accept", "310000")
	sh.both(sh.operators, "links", "accept", "110000")
	k.confirm(shanghai, k.heldSoon(beijing), client.PaymentCaptured)
	k.confirm(beijing, k.heldSoon(shanghai), client.PaymentCaptured)
	if got := sh.state(own); got != "placed" {
		t.Errorf("a hold whose origin has forgotten it is %q", got)
	}
}
