package overapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/simtest/regiontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a federation with its faces.
type world struct {
	*regiontest.Federation

	t     *testing.T
	faces map[federation.Region]*api.Face
	next  int
}

// object is a JSON document as it is sent.
type object = map[string]any

func with(t *testing.T, c regiontest.Config, act func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f, err := regiontest.New(c)
		if err != nil {
			t.Fatal(err)
		}
		f.Start(t)
		w := &world{Federation: f, t: t, faces: map[federation.Region]*api.Face{}}
		for code, r := range f.Regions {
			w.faces[code], err = api.New(api.Deps{
				Region: string(code), Desk: r.Desk, Log: r.Log, Hasher: emm.New(), UnsignedAllowed: true, Clock: time.Now,
				Logger: r.Logger(), Metrics: r.Registry, Gatherer: r.Registry,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		passes(1200 * time.Millisecond) // every leader has joined its peers
		act(w)
	})
}

func passes(d time.Duration) {
	synctest.Wait()
	<-time.After(d)
	synctest.Wait()
}

func (w *world) open(people ...regiontest.Person) {
	w.t.Helper()
	for _, p := range people {
		if err := w.Regions[federation.Region(p.Region)].Open(w.t.Context(), p); err != nil {
			w.t.Fatal(err)
		}
	}
}

// grant makes a grant at the payer's home and waits until the beneficiary's home knows of it.
func (w *world) grant(payer, beneficiary regiontest.Person, change ...func(*client.GrantRequest)) string {
	w.t.Helper()
	home := w.Regions[federation.Region(payer.Region)]
	id, err := home.Grant(w.t.Context(), payer, beneficiary, change...)
	if err != nil {
		w.t.Fatal(err)
	}
	passes(100 * time.Millisecond)
	return id
}

// post sends a document and returns the status and what was answered: a T, or the problem's code.
func post[T any](w *world, at federation.Region, path string, body any) (int, T, string) {
	w.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(w.t.Context(), "POST", path, bytes.NewReader(raw))
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	w.faces[at].ServeHTTP(rec, r)
	var out T
	if rec.Code < 300 {
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
			w.t.Fatalf("%s: %v", rec.Body, err)
		}
		return rec.Code, out, ""
	}
	var problem struct{ Code, Outcome string }
	if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil || problem.Code == "" || problem.Outcome != "none" {
		w.t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
	}
	return rec.Code, out, problem.Code
}

func (w *world) id(what string) string {
	w.next++
	return fmt.Sprint(what, "-", w.next)
}

func personOf(p regiontest.Person) object {
	return object{"id_type": "01", "id_number": p.IDNumber, "name": p.Name, "region": p.Region}
}

// payment is a request for a bill of its own that is as large as the amount.
func (w *world) payment(at federation.Region, who regiontest.Person, amount string) object {
	visit := w.id("visit")
	return object{
		"request_id": w.id("request"), "beneficiary": personOf(who),
		"credential":  object{"type": "e_credential", "holder_id_number": who.IDNumber},
		"institution": object{"code": "H" + string(at) + "00001", "kind": "hospital"},
		"purpose":     "outpatient", "visit_id": visit, "visit_date": "2000-01-01",
		"bill":   object{"id": visit, "total": amount, "fund_paid": "0.00", "self_borne": amount},
		"amount": amount,
	}
}

// shape is a payment's answer in one line.
func shape(p client.Payment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s of %s, took %s, gave back %s, cash due %s", p.Status, p.Held, p.Amount, p.Captured, p.Refunded,
		p.CashDue)
	for _, l := range p.Legs {
		fmt.Fprintf(&b, "; %s %s %s", l.Region, l.Status, l.Amount)
		if l.LimitedBy != "" {
			b.WriteString(" " + l.LimitedBy)
		}
	}
	for _, d := range p.Declines {
		b.WriteString("; -" + d.Region + " " + d.Code)
	}
	return b.String()
}
