package node_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/cockroachdb/pebble/v2"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/config"
)

// needles are all the forms in which a clear text could stand in a file.
func needles(text string) [][]byte {
	raw := []byte(text)
	out := [][]byte{raw, []byte(hex.EncodeToString(raw)), []byte(strings.ToUpper(hex.EncodeToString(raw)))}
	for shift := range 3 { // base64 of a longer text has the same characters where whole groups of three begin
		padded := append(make([]byte, shift), raw...)
		whole := padded[:len(padded)/3*3]
		if shift > 0 {
			whole = whole[3:]
		}
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			out = append(out, []byte(e.EncodeToString(whole)))
		}
	}
	var little, big []byte
	for _, u := range utf16.Encode([]rune(text)) {
		little = append(little, byte(u), byte(u>>8))
		big = append(big, byte(u>>8), byte(u))
	}
	return append(out, little, big)
}

// hunt looks for clear texts, and for one that has to be there, so that nobody hunts in the wrong place.
type hunt struct {
	t       *testing.T
	marks   map[string][][]byte
	control []byte
	found   map[string]int // places where the control text stands
	looked  int
}

func newHunt(t *testing.T, control string, texts ...string) *hunt {
	t.Helper()
	h := &hunt{t: t, marks: map[string][][]byte{}, control: []byte(control), found: map[string]int{}}
	for _, c := range texts {
		h.marks[c] = needles(c)
	}
	return h
}

func (h *hunt) look(place, what string, data []byte) {
	h.looked++
	if bytes.Contains(data, h.control) {
		h.found[place]++
	}
	for _, forms := range h.marks {
		for i, n := range forms {
			if bytes.Contains(data, n) {
				h.t.Errorf("a clear identity (form %d) in %s: %s", i, place, what)
			}
		}
	}
}

// files looks into every file below a folder as it stands, and into every key and value of the Pebble stores.
func (h *hunt) files(dir string) {
	h.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "CURRENT")); err == nil || hasMarker(path) {
				h.store(path)
			}
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		place := "files"
		if strings.Contains(rel, string(filepath.Separator)+"wal"+string(filepath.Separator)) {
			place = "log"
		}
		h.look(place, rel, data)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func hasMarker(dir string) bool {
	found, err := filepath.Glob(filepath.Join(dir, "marker.manifest.*"))
	return err == nil && len(found) > 0
}

func (h *hunt) store(dir string) {
	h.t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{ReadOnly: true, Logger: quiet{}})
	if err != nil {
		h.t.Fatalf("%s: %v", dir, err)
	}
	it, err := db.NewIter(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	place := "state"
	if strings.Contains(dir, "checkpoints") {
		place = "snapshots"
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			h.t.Fatal(err)
		}
		h.look(place, fmt.Sprintf("key of kind %q", it.Key()[:1]), append(bytes.Clone(it.Key()), value...))
	}
	if err := it.Close(); err != nil {
		h.t.Error(err)
	}
	if err := db.Close(); err != nil {
		h.t.Error(err)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

// family is a few persons with names and numbers that stand nowhere else.
type marked struct {
	payer, remote, child client.Person
	bj, sh               *client.Client
	nodes                []*place
}

func person(code federation.Region, p config.Person) client.Person {
	return client.Person{IDType: client.IDTypeResident, IDNumber: p.IDNumber, Name: p.Name, Region: string(code)}
}

// TestNoClearIdentity: after grants, payments and refusals of all kinds no clear number or name stands in log, state,
// snapshots, outbox, on the bus, in the metrics or in what was logged (R-28, design 6).
func TestNoClearIdentity(t *testing.T) {
	t.Parallel()
	f := newField(t, beijing, shanghai)
	payer := insured(shanghai, 901, "欧阳标记甲", "5000.00")
	child := insured(beijing, 902, "司徒标记乙", "0.00")
	child.Scheme = "390"
	remote := insured(beijing, 903, "上官标记丙", "5000.00")
	m := &marked{payer: person(shanghai, payer), child: person(beijing, child), remote: person(beijing, remote)}
	sh, bj := f.places(shanghai, 3, payer), f.places(beijing, 3, child, remote)
	m.nodes = append(m.nodes, sh...)
	m.nodes = append(m.nodes, bj...)
	startAll(t, m.nodes...)
	m.sh, m.bj = ask(t, sh...), ask(t, bj...)
	m.live(t)
	m.misbehave(t)

	control := child.IDNumber[:6] + "********" + child.IDNumber[14:]
	h := newHunt(t, control,
		payer.IDNumber, payer.Name, child.IDNumber, child.Name, remote.IDNumber, remote.Name, "无此标记人")
	for _, lane := range []federation.Lane{{From: shanghai, To: beijing}, {From: beijing, To: shanghai}} {
		for _, r := range f.bus.Records(lane) {
			h.look("bus", lane.Topic(), r.Value)
		}
	}
	for _, p := range m.nodes {
		h.look("metrics", p.cfg.NodeID, p.get("/metrics"))
		for _, path := range []string{"/admin/v1/status", "/admin/v1/audit", "/admin/v1/digest"} {
			_, body := p.admin(http.MethodGet, path)
			h.look("operators", path, body)
		}
		until(t, "a snapshot is taken", func() bool { return p.node.Log().Status().Snapshot > 0 })
		p.stop()
	}
	h.look("logged", "log output", f.log.bytes())
	h.files(filepath.Join(f.dir, "data"))
	for _, place := range []string{"log", "state", "snapshots"} {
		if h.found[place] == 0 {
			t.Errorf("not even the masked number was found in the %s: %v of %d places", place, h.found, h.looked)
		}
	}
}

func (p *place) get(path string) []byte {
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	w := httptest.NewRecorder()
	p.node.Handler().ServeHTTP(w, r)
	return w.Body.Bytes()
}

// grant makes a grant at the payer's home.
func (m *marked) grant(t *testing.T, at *client.Client, payer client.Person) string {
	t.Helper()
	text, err := at.Commitment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g, err := at.CreateGrant(t.Context(), client.GrantRequest{
		RequestID: client.NewRequestID(), Payer: payer, Beneficiary: m.child, Relation: "child", Channel: "portal",
		Consent:   client.Consent{Version: text.Version, Digest: text.Digest, Signature: "c2lnbmF0dXJl"},
		Proofs:    []client.Proof{},
		ValidFrom: time.Now().In(time.FixedZone("", 8*60*60)).Format(time.DateOnly),
	})
	if err != nil {
		t.Fatal(err)
	}
	return g.GrantID
}

func (m *marked) bill(visit string) client.PaymentRequest {
	return client.PaymentRequest{
		RequestID: client.NewRequestID(), Beneficiary: m.child,
		Credential:  client.Credential{Type: client.CredentialECredential, HolderIDNumber: m.child.IDNumber},
		Institution: client.Institution{Code: "H31000000001", Kind: "hospital"}, Purpose: "outpatient",
		VisitID: visit, VisitDate: time.Now().In(time.FixedZone("", 8*60*60)).Format(time.DateOnly),
		Bill:   client.Bill{ID: visit, Total: "6000.00", FundPaid: "0.00", SelfBorne: "6000.00"},
		Amount: "300.00",
	}
}

// live makes grants, an order, quotes and payments, captured and released, until every log has been cut.
func (m *marked) live(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	m.grant(t, m.sh, m.payer)
	second := m.grant(t, m.bj, m.remote)
	_, err := m.bj.SetOrder(ctx, client.OrderRequest{
		RequestID: client.NewRequestID(), Beneficiary: m.child, Grants: []string{second},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		f := m.bill(fmt.Sprint("visit-", i))
		if _, err := m.sh.Quote(ctx, f); err != nil {
			t.Fatal(err)
		}
		p, err := m.sh.CreatePayment(ctx, f)
		if err != nil || p.Status != client.PaymentHeld {
			t.Fatalf("%+v, %v", p, err)
		}
		if i%2 == 0 {
			p, err = m.sh.Confirm(ctx, p.PaymentID, client.Confirmation{RequestID: client.NewRequestID()}, 0)
		} else {
			p, err = m.sh.Cancel(ctx, p.PaymentID, client.NewRequestID())
		}
		if err != nil {
			t.Fatalf("%+v, %v", p, err)
		}
	}
}

// misbehave sends what is refused, with persons in it.
func (m *marked) misbehave(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	wrong := m.bill("wrong")
	wrong.Beneficiary.Name = "无此标记人"
	if _, err := m.sh.CreatePayment(ctx, wrong); err == nil || strings.Contains(err.Error(), wrong.Beneficiary.Name) {
		t.Errorf("another name: %v", err)
	}
	elsewhere := m.payer
	elsewhere.Region = string(beijing)
	if _, err := m.bj.SearchGrants(ctx, client.GrantSearch{Payer: &elsewhere}); err != nil {
		t.Error(err)
	}
	for _, body := range []string{
		`{"` + m.payer.Name + `":1}`, `{"request_id":"` + m.payer.IDNumber + `","payer":"` + m.payer.Name + `"}`,
		`{"payer":{"id_type":"01","id_number":"` + m.payer.IDNumber, `"` + m.payer.Name + `"`,
		`{"request_id":"` + m.payer.Name + `"}`,
	} {
		for _, path := range []string{
			"/v1/grants", "/v1/payments", "/v1/grants/search", "/v1/" + m.payer.IDNumber, "/v1/grants/" + m.payer.IDNumber,
			"/v1/payments/p-310000-" + m.payer.IDNumber + "/confirm",
		} {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			r.RemoteAddr = "127.0.0.1:1"
			w := httptest.NewRecorder()
			m.nodes[0].node.Handler().ServeHTTP(w, r)
			if w.Code < 400 {
				t.Errorf("%s of %s: %d", path, body, w.Code)
			}
			if strings.Contains(w.Body.String(), m.payer.Name) {
				t.Errorf("a problem with a person: %s", w.Body.String())
			}
		}
	}
}
