package node_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/config"
)

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
	m.afterwards(t)
	m.rotate(t)
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
		for _, path := range []string{
			"/admin/v1/status", "/admin/v1/audit", "/admin/v1/digest", "/admin/v1/keys/rotation", "/admin/v1/index",
			"/debug/pprof/heap?debug=1", "/debug/pprof/goroutine?debug=2",
		} {
			_, body := p.admin(http.MethodGet, path)
			h.look("operators", path, body)
		}
		until(t, "a snapshot is taken", func() bool { return p.node.Log().Status().Snapshot > 0 })
		p.stop()
	}
	h.look("logged", "log output", f.log.bytes())
	h.files(filepath.Join(f.dir, "data"))
	for _, place := range []string{"log", "state", "snapshots", "tables"} {
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

// afterwards refunds, completes an emergency, revokes, and reads everything that can be read.
func (m *marked) afterwards(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	day := time.Now().In(time.FixedZone("", 8*60*60)).Format(time.DateOnly)
	f := m.bill("to-refund")
	f.Confirm = client.ConfirmAuto
	p, err := m.sh.CreatePayment(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it is captured", func() bool {
		p, err = m.sh.Payment(ctx, p.PaymentID)
		return err == nil && p.Status == client.PaymentCaptured
	})
	refund := client.RefundRequest{RequestID: client.NewRequestID(), Amount: "10.00", Reason: "退费"}
	if _, err = m.sh.CreateRefund(ctx, p.PaymentID, refund); err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{client.RolePayer, client.RoleBeneficiary} {
		who := m.remote
		if role == client.RoleBeneficiary {
			who = m.child
		}
		got, err := m.bj.Statement(ctx, client.StatementRequest{Person: who, Role: role, From: day, To: day})
		if err != nil || len(got.Entries) == 0 {
			t.Fatalf("%s: %+v, %v", role, got, err)
		}
	}
	list, err := m.sh.SearchGrants(ctx, client.GrantSearch{Payer: &m.payer})
	if err != nil || len(list.Grants) == 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	if _, err = m.sh.RevokeGrant(ctx, list.Grants[0].GrantID, client.NewRequestID()); err != nil {
		t.Fatal(err)
	}
	e := m.bill("emergency")
	e.Purpose, e.Grants = "emergency", []string{list.Grants[0].GrantID}
	declined, err := m.sh.CreatePayment(ctx, e)
	if err != nil || declined.Status != client.PaymentDeclined {
		t.Fatalf("%+v, %v", declined, err)
	}
	m.grant(t, m.sh, m.payer)
	done, err := m.sh.Complete(ctx, declined.PaymentID, client.Completion{
		RequestID: client.NewRequestID(), Confirm: client.ConfirmAuto,
	})
	if err != nil {
		t.Fatalf("%+v, %v", done, err)
	}
}

// rotate replaces the keys of tokens and of sealed persons of both regions, and looks that the disks forget the old
// ones while payments go on.
func (m *marked) rotate(t *testing.T) {
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
		visit := m.bill("after-" + use)
		visit.Confirm = client.ConfirmAuto
		if got, err := m.sh.CreatePayment(t.Context(), visit); err != nil || got.Status == client.PaymentDeclined {
			t.Fatalf("%+v, %v", got, err)
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
