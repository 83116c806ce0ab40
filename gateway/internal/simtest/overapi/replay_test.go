package overapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/crypto"
	"gongji/crypto/sm/emm"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/simtest/regiontest"
)

// region is one region of three nodes, with a face on each, and a platform that signs.
type region struct {
	*regiontest.Region

	t     *testing.T
	faces []*api.Face
	key   crypto.Private
	next  int
}

func ofThree(t *testing.T, act func(r *region)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f, err := regiontest.New(regiontest.Config{Nodes: 3})
		if err != nil {
			t.Fatal(err)
		}
		f.Start(t)
		r := &region{Region: f.Regions[regiontest.Shanghai], t: t}
		if r.key, err = emm.New().Generate(); err != nil {
			t.Fatal(err)
		}
		r.put(&ledger.RegisterPlatform{Platform: ledger.PlatformKey{
			ID: "k-1", Platform: "hospital", Region: string(regiontest.Shanghai), Public: r.key.Public(), Roles: []string{"all"},
		}})
		for _, n := range r.Nodes {
			registry := prometheus.NewRegistry()
			face, err := api.New(api.Deps{
				Region: string(regiontest.Shanghai), Desk: n.Desk, Log: n.Log, Hasher: emm.New(), Clock: time.Now,
				Keys: r.keysOf(n), Logger: n.Logger(), Metrics: registry, Gatherer: registry,
			})
			if err != nil {
				t.Fatal(err)
			}
			r.faces = append(r.faces, face)
		}
		r.leads(0)
		passes(time.Second)
		act(r)
	})
}

func (r *region) put(c ledger.Command) {
	r.t.Helper()
	if _, err := r.Put(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
}

// keysOf is what a node's state has in force.
func (r *region) keysOf(n *regiontest.Node) func(id string) *api.Platform {
	return func(id string) *api.Platform {
		k := n.Ledger.InForce().Platforms[id]
		if k == nil {
			return nil
		}
		v, err := emm.New().Verifier(k.Public)
		if err != nil {
			r.t.Error(err)
			return nil
		}
		return &api.Platform{
			KeyID: k.ID, Platform: k.Platform, Region: k.Region, Roles: []api.Role{api.RoleAll}, Verifier: v,
			Revoked: !k.Revoked.IsZero(),
		}
	}
}

// signed is a request as it goes over the wire: to be sent as often as one likes.
type signed struct {
	method, target, body string
	header               http.Header
}

func (r *region) sign(method, target string, body any, at time.Time) signed {
	r.t.Helper()
	s := signed{method: method, target: target, header: http.Header{}}
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			r.t.Fatal(err)
		}
		s.body = string(raw)
	}
	r.next++
	stamp, nonce := client.FormatTime(at), fmt.Sprintf("nonce-%016d", r.next)
	sum := emm.New().Sum([]byte(s.body))
	sig, err := r.key.Sign([]byte(method + "\n" + target + "\n" + stamp + "\n" + nonce + "\n" +
		hex.EncodeToString(sum[:]) + "\n"))
	if err != nil {
		r.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Gongji-Key": "k-1", "Gongji-Time": stamp, "Gongji-Nonce": nonce,
		"Gongji-Signature": base64.StdEncoding.EncodeToString(sig),
	} {
		s.header.Set(name, value)
	}
	return s
}

// send sends the bytes to a node and returns the status, the problem's code and whether it was a repeat.
func (r *region) send(node int, s signed) (int, string, bool) {
	r.t.Helper()
	q := httptest.NewRequestWithContext(r.t.Context(), s.method, s.target, bytes.NewReader([]byte(s.body)))
	q.Header = s.header.Clone()
	rec := httptest.NewRecorder()
	r.faces[node].ServeHTTP(rec, q)
	var p struct{ Code string }
	if rec.Code >= 300 {
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
			r.t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
	return rec.Code, p.Code, rec.Header().Get("Idempotent-Replay") == "true"
}

// leads makes another node the leader.
func (r *region) leads(node int) {
	r.Group.SetLeader(node)
	passes(time.Second)
}

const stale = "stale_request"

// TestReplayAcrossLeaders: what was signed works once, whoever leads: a write's nonce stands in the log, whether
// its command was applied, refused, or not made at all; a read signed before the present term is refused, and so is one
// that was dated ahead of it and has been answered before.
func TestReplayAcrossLeaders(t *testing.T) {
	ofThree(t, func(r *region) {
		mother := regiontest.Resident("310000", "母亲", 1)
		if err := r.Open(r.t.Context(), mother); err != nil {
			t.Fatal(err)
		}
		order := func(grants ...string) signed {
			r.next++
			body := object{
				"request_id": fmt.Sprint("r-", r.next), "beneficiary": personOf(mother), "grants": append([]string{}, grants...),
			}
			return r.sign("PUT", "/v1/beneficiaries/order", body, time.Now())
		}
		done, refused, twice := order(), order("g-310000-none"), order("g-310000-none", "g-310000-none")
		repeat := r.sign("PUT", "/v1/beneficiaries/order", json.RawMessage(done.body), time.Now())
		read := r.sign("GET", "/v1/rules", nil, time.Now())
		ahead := r.sign("GET", "/v1/rules", nil, time.Now().Add(2*time.Minute))
		for i, c := range []struct {
			s      signed
			status int
			replay bool
		}{
			{done, 200, false}, {refused, 404, false}, {twice, 400, false}, {repeat, 200, true}, {read, 200, false}, {ahead, 200, false},
		} {
			if status, code, replay := r.send(0, c.s); status != c.status || replay != c.replay {
				t.Fatalf("request %d: %d %s, a repeat: %t", i, status, code, replay)
			}
		}
		inFlight := order()
		fresh := r.sign("GET", "/v1/rules", nil, time.Now())
		for i, node := range []int{0, 1, 2, 0} {
			if i > 0 {
				r.leads(node)
			}
			for name, s := range map[string]signed{
				"an applied write": done, "a refused write": refused, "a repeated write": repeat, "a read": read,
				"a read dated ahead": ahead, "a write that never came to the log": twice,
			} {
				if status, code, _ := r.send(node, s); status != 401 || code != stale {
					t.Errorf("%s, again at node %d: %d %s", name, node, status, code)
				}
			}
			if node == 1 {
				// What no leader has seen: a write works after the change, a read has to be signed anew.
				if status, code, _ := r.send(node, inFlight); status != 200 {
					t.Errorf("a write signed under the last leader: %d %s", status, code)
				}
				if status, code, _ := r.send(node, fresh); code != stale {
					t.Errorf("a read signed under the last leader: %d %s", status, code)
				}
			}
			if status, code, _ := r.send(node, r.sign("GET", "/v1/rules", nil, time.Now())); status != 200 {
				t.Errorf("a new read at node %d: %d %s", node, status, code)
			}
		}
		// When the dated one's time has come, the read passes the check of the term; its nonce is in the log.
		passes(3 * time.Minute)
		if status, code, _ := r.send(0, ahead); status != 401 || code != stale {
			t.Errorf("the read that was dated ahead, in its time: %d %s", status, code)
		}
	})
}

// TestRevokedAtOnce: from the entry that revokes a key, no node takes it, and what was let in before is refused by the
// log.
func TestRevokedAtOnce(t *testing.T) {
	ofThree(t, func(r *region) {
		if status, code, _ := r.send(0, r.sign("GET", "/v1/rules", nil, time.Now())); status != 200 {
			t.Fatalf("before: %d %s", status, code)
		}
		r.put(&ledger.RevokePlatform{KeyID: "k-1", Reason: "lost"})
		for node := range r.faces {
			r.leads(node)
			if status, code, _ := r.send(node, r.sign("GET", "/v1/rules", nil, time.Now())); code != "unauthenticated" {
				t.Errorf("node %d: %d %s", node, status, code)
			}
		}
	})
}
