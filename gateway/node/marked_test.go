package node_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/marked"
)

// told is two regions in which the story of the marked persons is told.
type told struct {
	*marked.Story

	f     *field
	hunt  *marked.Hunt
	books *marked.Hunt // in the one answer that has clear numbers, for those with the duty
	nodes []*place
}

// tell brings two regions of three nodes up, in which premiums are collected all year and archives of evidence are cut
// often. Every answer is hunted in.
func tell(t testing.TB) *told {
	t.Helper()
	f := newField(t, beijing, shanghai)
	cast := marked.NewCast(string(shanghai), string(beijing))
	sh := f.places(shanghai, 3, cast.People(string(shanghai))...)
	bj := f.places(beijing, 3, cast.People(string(beijing))...)
	m := &told{f: f, hunt: marked.NewHunt(cast.Child.Masked(), cast.Texts()...), nodes: append(sh, bj...)}
	m.books = marked.NewHunt("", cast.Texts()...)
	rules := allYear(t, f.dir)
	for _, p := range m.nodes {
		p.cfg.Evidence.ArchiveMessages, p.deps.ArchiveEvery = 4, 300*time.Millisecond
		if p.cfg.Region == string(beijing) {
			p.cfg.RulesFile = rules
		}
	}
	startAll(t, m.nodes...)
	m.Story = &marked.Story{
		Cast: cast, Visit: m.listening(t, sh), Home: m.listening(t, bj), AllYear: true, Raw: m.raw,
	}
	return m
}

// allYear writes Beijing's rules with a season without end.
func allYear(t testing.TB, dir string) string {
	t.Helper()
	rules, err := os.ReadFile("../internal/rulebook/regions/110000.yaml")
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(rules), `season_from: "09-01"`, `season_from: "01-01"`)
	path := filepath.Join(dir, "110000.yaml")
	if changed == string(rules) {
		t.Fatal("the season is written otherwise")
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// listening is a client whose answers are hunted in.
func (m *told) listening(t testing.TB, places []*place) *client.Client {
	t.Helper()
	var nodes []string
	for _, p := range places {
		nodes = append(nodes, "http://"+p.cfg.NodeID)
	}
	c, err := client.New(client.Options{
		Nodes: nodes, HTTP: &http.Client{Transport: &marked.Listener{Hunt: m.hunt, Next: asking(places)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// raw sends bytes to the first node.
func (m *told) raw(ctx context.Context, method, path, body string) (int, error) {
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	m.nodes[0].node.Handler().ServeHTTP(w, r)
	m.hunt.Look("answers", fmt.Sprintf("a refusal with status %d", w.Code), w.Body.Bytes())
	return w.Code, nil
}

// TestNoClearIdentity (R-28, design 6): the whole story is told with marked identities, and the keys of tokens and of
// sealed persons are rotated meanwhile. No clear number or name stands in log, state, snapshots, archives of evidence,
// audit files, on the bus, in the metrics, profiles and operators' answers, in the API's answers and problems, or in
// what was logged.
func TestNoClearIdentity(t *testing.T) {
	t.Parallel()
	m := tell(t)
	ctx := t.Context()
	for _, act := range []func(context.Context) error{m.Live, m.Refund, m.Premium, m.Read, m.Emergency} {
		if err := act(ctx); err != nil {
			t.Fatal(err)
		}
	}
	m.rotate(t)
	for _, act := range []func(context.Context) error{m.Leave, m.Misbehave} {
		if err := act(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, lane := range []federation.Lane{{From: shanghai, To: beijing}, {From: beijing, To: shanghai}} {
		for _, r := range m.f.bus.Records(lane) {
			m.hunt.Look("bus", lane.Topic(), r.Value)
		}
	}
	for _, p := range m.nodes {
		m.asked(t, p)
		until(t, "a snapshot is taken", func() bool { return p.node.Log().Status().Snapshot > 0 })
		until(t, "an archive of evidence is sealed", func() bool { return p.sealed() > 0 })
		p.stop()
	}
	m.hunt.Look("logged", "log output", m.f.log.bytes())
	if err := m.hunt.Files(filepath.Join(m.f.dir, "data")); err != nil {
		t.Fatal(err)
	}
	for _, found := range m.hunt.Findings() {
		t.Error(found)
	}
	if m.books.Clear("books") == 0 {
		t.Error("the marked numbers are not the ones that the regions know")
	}
	for _, place := range []string{"log", "state", "snapshots", "tables", "answers"} {
		if m.hunt.Found(place) == 0 {
			t.Errorf("of %d places not one in the %s has even the masked number", m.hunt.Looked(), place)
		}
	}
}

// asked hunts in what a node tells its operators.
func (m *told) asked(t testing.TB, p *place) {
	t.Helper()
	m.hunt.Look("metrics", p.cfg.NodeID, p.get("/metrics"))
	for _, path := range []string{
		"/admin/v1/status", "/admin/v1/audit", "/admin/v1/audit/log", "/admin/v1/digest", "/admin/v1/keys/rotation",
		"/admin/v1/index", "/debug/pprof/heap?debug=1", "/debug/pprof/heap", "/debug/pprof/allocs",
		"/debug/pprof/goroutine?debug=2",
		"/admin/v1/evidence?payment=" + m.Paid(), "/admin/v1/evidence?opening=true&payment=" + m.Paid(),
		"/admin/v1/trace?payment=" + m.Paid(),
	} {
		code, body := p.admin(http.MethodGet, path)
		if code == http.StatusNotFound && !strings.Contains(path, m.Paid()) {
			t.Errorf("%s is not there", path)
		}
		m.hunt.Look("operators", path, body)
	}
	_, body := p.admin(http.MethodGet, "/admin/v1/books")
	m.books.Look("books", p.cfg.NodeID, body)
}

// sealed is how many archives of evidence stand sealed in a node's folder.
func (p *place) sealed() int {
	found, err := filepath.Glob(filepath.Join(p.cfg.DataDir, "evidence", "*.seal*"))
	if err != nil {
		p.f.t.Fatal(err)
	}
	return len(found)
}

// rotate replaces the keys of tokens and of sealed persons of both regions; payments go on.
func (m *told) rotate(t testing.TB) {
	t.Helper()
	for _, use := range []string{"token", "data"} {
		for _, p := range []*place{m.nodes[0], m.nodes[3]} {
			body := `{"use":"` + use + `","operator":"li"}`
			if code := p.operator("/admin/v1/keys/rotate", body); code != http.StatusOK {
				t.Fatalf("rotation of the %s key: %d", use, code)
			}
			until(t, "the rotation has ended", func() bool {
				_, answer := p.admin(http.MethodGet, "/admin/v1/keys/rotation")
				return strings.Contains(string(answer), `"stage":"done"`)
			})
		}
		visit := m.Bill("after-" + use)
		visit.Confirm = client.ConfirmAuto
		if got, err := m.Visit.CreatePayment(t.Context(), visit); err != nil || got.Status == client.PaymentDeclined {
			t.Fatalf("%+v, %v", got, err)
		}
	}
}
