package node_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/config"
	"gongji/gateway/internal/auditlog"
	"gongji/internal/freeport"
)

// overTheNetwork asks the operators' listener of a running node.
func (p *place) overTheNetwork(q *http.Request) (int, []byte) {
	p.f.t.Helper()
	q.URL.Scheme, q.URL.Host, q.RequestURI = "https", p.cfg.Listen.Admin, ""
	answer, err := p.web.Do(q)
	if err != nil {
		return 0, []byte(err.Error()) // it does not listen yet, or not to this client
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		p.f.t.Fatal(err)
	}
	return answer.StatusCode, body
}

// secured has nodes serve their operators over TLS, to holders of a certificate alone.
func (f *field) secured(places ...*place) {
	f.t.Helper()
	ca := newAuthority(f.t, f.dir)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	certificate, err := tls.LoadX509KeyPair(ca.issue(f.t, "console"))
	if err != nil {
		f.t.Fatal(err)
	}
	good := &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: pool, MinVersion: tls.VersionTLS13}
	for _, p := range places {
		p.deps.Silent = false
		p.cfg.Listen.API, p.cfg.Listen.Admin = freeport.Addr(f.t), freeport.Addr(f.t)
		p.cfg.AdminTLS.CertFile, p.cfg.AdminTLS.KeyFile = ca.issue(f.t, p.cfg.NodeID)
		p.cfg.AdminTLS.ClientCAFile = filepath.Join(f.dir, "ca.crt")
		p.web = &http.Client{Transport: &http.Transport{TLSClientConfig: good, DisableKeepAlives: true}}
	}
}

// ownKeys gives a node a folder of its own with a copy of all keys of its region.
func (p *place) ownKeys() {
	p.f.t.Helper()
	p.deps.Ring = nil
	p.cfg.Keys = config.Keys{
		Dir: filepath.Join(p.f.dir, p.cfg.NodeID+"-keys"), KEKFile: filepath.Join(p.f.dir, p.cfg.NodeID+"-kek"),
	}
	own, err := keyfile.CreateKEK(p.cfg.Keys.KEKFile)
	if err != nil {
		p.f.t.Fatal(err)
	}
	ring, err := keyfile.Open(p.cfg.Keys.Dir, own, emm.New())
	if err != nil {
		p.f.t.Fatal(err)
	}
	shared := p.f.keys.Regions[federation.Region(p.cfg.Region)].Ring
	way, err := keyfile.RawKEK(make([]byte, keyfile.KEKSize))
	if err != nil {
		p.f.t.Fatal(err)
	}
	for _, k := range shared.Infos() {
		file, err := shared.Export(k.ID, way)
		if err == nil {
			_, err = ring.Restore(file, way)
		}
		if err != nil {
			p.f.t.Fatal(err)
		}
	}
	if err := ring.Close(); err != nil {
		p.f.t.Fatal(err)
	}
}

// hasKey tells whether a key's file is in a node's own folder.
func (p *place) hasKey(id string) bool {
	_, err := os.Stat(filepath.Join(p.cfg.Keys.Dir, id+".key"))
	return err == nil
}

// journal are the destructions in a stopped node's own folder: who and why.
func (p *place) journal(id string) []string {
	p.f.t.Helper()
	kek, err := keyfile.ReadKEK(p.cfg.Keys.KEKFile)
	if err != nil {
		p.f.t.Fatal(err)
	}
	report, err := keyfile.Verify(p.cfg.Keys.Dir, kek, emm.New())
	if err != nil || len(report.Problems) > 0 {
		p.f.t.Fatalf("%v, %q", err, report.Problems)
	}
	var out []string
	for _, e := range report.Journal {
		if e.Act == keyfile.ActDestroy && e.Phase == keyfile.PhaseDone && e.Key == id {
			out = append(out, e.Who+": "+e.Reason)
		}
	}
	return out
}

// bringBack puts an old copy of a stopped node's own folder in its place.
func (p *place) bringBack(backup string) {
	p.f.t.Helper()
	dir := p.cfg.Keys.Dir
	err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(backup)), os.Chmod(dir, 0o700)) //nolint:gosec // a folder
	files, failed := filepath.Glob(filepath.Join(dir, "*"))
	for _, file := range files {
		failed = errors.Join(failed, os.Chmod(file, 0o600))
	}
	if err = errors.Join(err, failed); err != nil {
		p.f.t.Fatal(err)
	}
}

// lines are those of the audit log that are about an object, as an auditor exports it.
func (p *place) lines(auditor *member, about func(*auditlog.Line) bool) []auditlog.Line {
	p.f.t.Helper()
	file := p.want(auditor, http.MethodGet, "/admin/v1/audit/log", "", http.StatusOK)
	var out []auditlog.Line
	v := &auditlog.Verifier{
		Hash: emm.New().Sum, Check: func(*auditlog.Checkpoint) error { return nil },
		Line: func(e *auditlog.Entry) {
			if about(&e.Line) {
				out = append(out, e.Line)
			}
		},
	}
	if err := v.File("export", bytes.NewReader(file)); err != nil {
		p.f.t.Fatal(err)
	}
	return out
}

// ended reads how far the destruction of a key is: who has said what, and who still has it.
func (p *place) ended(who *member, id string) (map[string]string, []string) {
	p.f.t.Helper()
	var all struct {
		Destroyed []struct {
			ID      string
			Nodes   []struct{ Node, End string }
			Waiting []string `json:"waiting_for"`
		}
	}
	_, answer := p.call(who, http.MethodGet, "/admin/v1/keyring/destroyed", "")
	_ = json.Unmarshal(answer, &all) // nothing is listed then
	ends, waits := map[string]string{}, []string(nil)
	for _, d := range all.Destroyed {
		for _, n := range d.Nodes {
			if d.ID == id {
				ends[n.Node] = n.End
			}
		}
		if d.ID == id {
			waits = d.Waiting
		}
	}
	return ends, waits
}

// TestKeyDestroyedEverywhere: one security officer asks for the destruction of a key over the operators' TLS
// listener, another one agrees, and every node destroys its own copy: one that was down when it comes back, and one
// whose folder was restored from an old backup once more. A key that is in force stays.
func TestKeyDestroyedEverywhere(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	ring := f.keys.Regions[shanghai].Ring
	old, err := ring.Current(crypto.UseEvidence)
	if err == nil {
		_, err = ring.Generate(crypto.UseEvidence)
	}
	if err != nil {
		t.Fatal(err)
	}
	inForce, err := ring.Current(crypto.UseData)
	if err != nil {
		t.Fatal(err)
	}
	places := f.places(shanghai, 3, insured(shanghai, 1, "郑一", "100.00"))
	for _, p := range places {
		p.ownKeys()
	}
	f.secured(places...)
	people := f.staff(places...)
	one, two, away := people["officer.one"], people["officer.two"], places[2]
	backup := filepath.Join(f.dir, "backup")
	if err := os.CopyFS(backup, os.DirFS(away.cfg.Keys.Dir)); err != nil {
		t.Fatal(err)
	}
	away.stop()

	body := func(id string) string { return `{"id":"` + id + `","reason":"its persons are purged"}` }
	path := func(id string) string { return "/admin/v1/keyring/" + id + "/destroy" }
	for _, name := range []string{"li", "audrey", "olga"} {
		places[0].want(people[name], http.MethodPost, path(old), body(old), http.StatusForbidden)
	}
	needed := string(places[0].want(one, http.MethodPost, path(inForce), body(inForce), http.StatusConflict))
	if !strings.Contains(needed, `"code":"key_needed"`) || !strings.Contains(needed, `"in_force: `) {
		t.Errorf("a key in force: %s", needed)
	}
	id, digest := places[0].propose(one, path(old), body(old))
	places[0].want(one, http.MethodPost, "/admin/v1/acts/"+id+"/approve", `{"digest":"`+digest+`"}`, http.StatusForbidden)
	places[0].want(people["li"], http.MethodPost, "/admin/v1/acts/"+id+"/approve", `{"digest":"`+digest+`"}`, 403)
	if !places[0].hasKey(old) || !places[1].hasKey(old) {
		t.Error("one person alone has destroyed a key")
	}
	if a := places[1].approve(two, id, digest); a.Status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	until(t, "the nodes that are up have destroyed it", func() bool {
		ends, waits := places[0].ended(one, old)
		return ends[places[0].cfg.NodeID] == "destroyed" && ends[places[1].cfg.NodeID] == "destroyed" &&
			slices.Equal(waits, []string{away.cfg.NodeID})
	})
	if places[0].hasKey(old) || places[1].hasKey(old) || !away.hasKey(old) {
		t.Error("the wrong nodes have it")
	}
	done := func() bool {
		ends, waits := places[0].ended(one, old)
		return ends[away.cfg.NodeID] == "destroyed" && len(waits) == 0 && !away.hasKey(old)
	}
	startAll(t, away)
	until(t, "the node that was down has destroyed it", done)
	away.stop()
	away.bringBack(backup)
	if !away.hasKey(old) || len(away.journal(old)) != 0 {
		t.Fatal("the backup is none")
	}
	startAll(t, away)
	until(t, "what the backup brought back is destroyed", done)
	f.destroyedInOrder(places, people["audrey"], old)
}

func (f *field) destroyedInOrder(places []*place, auditor *member, id string) {
	f.t.Helper()
	var got []string
	until(f.t, "the log has that it came back", func() bool {
		got = nil
		for _, l := range places[0].lines(auditor, func(l *auditlog.Line) bool {
			return l.Object == id || strings.Contains(l.Object, "/"+id+"/") || l.Event == "key_came_back"
		}) {
			got = append(got, l.Event+" "+l.Operator+" "+l.Result)
		}
		return slices.Contains(got, "key_came_back  ")
	})
	var rest []string
	for _, l := range got {
		if !strings.HasPrefix(l, "operator_") { // the calls themselves, before and behind
			rest = append(rest, l)
		}
	}
	want := []string{
		"act_proposed officer.one intended", "act_approved officer.two done", "key_destroy_ordered officer.one done",
		"key_destroyed officer.one done", "key_destroyed officer.one done", "act_ended officer.two done",
		"key_destroyed officer.one done", "key_came_back  ",
	}
	slices.Sort(rest[3:6]) // the nodes do it while the second one's answer is written
	slices.Sort(want[3:6])
	if !slices.Equal(rest, want) {
		f.t.Errorf("the audit log has\n%s", strings.Join(got, "\n"))
	}
	for _, p := range places {
		p.stop()
		if j := p.journal(id); !slices.Equal(j, []string{"officer.one and officer.two: its persons are purged"}) {
			f.t.Errorf("%s: the journal of its keys has %q", p.cfg.NodeID, j)
		}
	}
}
