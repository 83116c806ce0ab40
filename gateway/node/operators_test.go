package node_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"gongji/crypto"
	"gongji/crypto/sm/emm"
	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/operator"
)

// member is an operator with both factors.
type member struct {
	name       string
	key        crypto.Private
	passphrase string
	card       operator.Registration
	token      string
}

func newPerson(t testing.TB, name string) *member {
	t.Helper()
	suite := emm.New()
	key, err := suite.Generate()
	if err != nil {
		t.Fatal(err)
	}
	p := &member{name: name, key: key, passphrase: "passphrase of " + name}
	salt := bytes.Repeat([]byte{1}, operator.SaltSize)
	if p.card, err = operator.Enroll(suite, name, key.Public(), []byte(p.passphrase), salt, key.Sign); err != nil {
		t.Fatal(err)
	}
	return p
}

// call asks the operators' API in somebody's session, over the network where the place has a client for it; a nil
// person has none.
func (p *place) call(who *member, method, path, body string) (int, []byte) {
	p.f.t.Helper()
	q := httptest.NewRequestWithContext(p.f.t.Context(), method, path, strings.NewReader(body))
	if who != nil {
		q.Header.Set("Authorization", "Bearer "+who.token)
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	if p.web != nil {
		return p.overTheNetwork(q)
	}
	w := httptest.NewRecorder()
	p.node.Admin().ServeHTTP(w, q)
	return w.Code, w.Body.Bytes()
}

// challenge is what a node gives to sign.
type challenge struct {
	Challenge    []byte
	Node, Region string
}

func (p *place) challenge() challenge {
	p.f.t.Helper()
	status, body := p.patiently("/admin/v1/challenges", "")
	var c challenge
	if err := json.Unmarshal(body, &c); status != http.StatusOK || err != nil {
		p.f.t.Fatalf("%d %s", status, body)
	}
	return c
}

func (p *place) answer(who *member, c challenge, passphrase string) (int, []byte) {
	p.f.t.Helper()
	signature, err := who.key.Sign(operator.LoginMessage(c.Region, c.Node, who.name, c.Challenge))
	if err != nil {
		p.f.t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"name": who.name, "challenge": c.Challenge, "signature": signature, "passphrase": passphrase,
	})
	if err != nil {
		p.f.t.Fatal(err)
	}
	return p.patiently("/admin/v1/sessions", string(body))
}

// patiently asks again while the rate of logins is used up.
func (p *place) patiently(path, body string) (int, []byte) {
	p.f.t.Helper()
	var status int
	var answer []byte
	until(p.f.t, "the rate of logins allows it", func() bool {
		status, answer = p.call(nil, http.MethodPost, path, body)
		return status != http.StatusTooManyRequests
	})
	return status, answer
}

func (p *place) login(who *member) {
	p.f.t.Helper()
	var in struct{ Token string }
	until(p.f.t, who.name+" is logged in", func() bool { // the first officers come in when the node leads
		status, body := p.answer(who, p.challenge(), who.passphrase)
		return status == http.StatusOK && json.Unmarshal(body, &in) == nil
	})
	who.token = in.Token
}

// want asks, again while the region has no leader, and compares the status.
func (p *place) want(who *member, method, path, body string, status int) []byte {
	p.f.t.Helper()
	var got int
	var answer []byte
	until(p.f.t, "there is a leader for "+path, func() bool {
		got, answer = p.call(who, method, path, body)
		return got != http.StatusServiceUnavailable
	})
	if got != status {
		p.f.t.Fatalf("%s %s: %d %s, want %d", method, path, got, answer, status)
	}
	return answer
}

// staffed is a node whose listener asks who one is, and its people.
func staffed(t testing.TB) (*place, map[string]*member) {
	t.Helper()
	f := newField(t, shanghai)
	p := f.places(shanghai, 1, insured(shanghai, 1, "郑一", "100.00"))[0]
	return p, f.staff(p)
}

// staff starts the nodes of a region with two officers, two operators, an auditor and an observer, all logged in.
func (f *field) staff(places ...*place) map[string]*member {
	f.t.Helper()
	people := map[string]*member{}
	for _, name := range []string{"officer.one", "officer.two", "li", "wang", "audrey", "olga"} {
		people[name] = newPerson(f.t, name)
	}
	file := filepath.Join(f.dir, places[0].cfg.Region+"-operators.json")
	f.write(file, map[string]any{"officers": []any{
		map[string]any{"registration": people["officer.one"].card, "role": "security_officer"},
		map[string]any{"registration": people["officer.two"].card, "role": "security_officer"},
	}})
	for _, p := range places {
		p.cfg.Operators.None, p.cfg.Operators.File = false, file
	}
	startAll(f.t, places...)
	p := places[0]
	p.login(people["officer.one"])
	p.login(people["officer.two"])
	for name, role := range map[string]string{
		"li": "operator", "wang": "operator", "audrey": "auditor", "olga": "observer",
	} {
		card, err := json.Marshal(map[string]any{"registration": people[name].card, "role": role})
		if err != nil {
			f.t.Fatal(err)
		}
		id, digest := p.propose(people["officer.one"], "/admin/v1/operators", string(card))
		p.approve(people["officer.two"], id, digest)
		p.login(people[name])
	}
	return people
}

// approved is what became of an act.
type approved struct {
	State  string
	Status int
	Result string
}

// approve is the second person's word, which must count.
func (p *place) approve(who *member, id, digest string) approved {
	p.f.t.Helper()
	var a approved
	answer := p.want(who, http.MethodPost, "/admin/v1/acts/"+id+"/approve", `{"digest":"`+digest+`"}`, http.StatusOK)
	if err := json.Unmarshal(answer, &a); err != nil {
		p.f.t.Fatal(err)
	}
	return a
}

// propose makes the first call of an act of two persons.
func (p *place) propose(who *member, path, body string) (string, string) {
	p.f.t.Helper()
	var act struct{ ID, Digest string }
	answer := p.want(who, http.MethodPost, path, body, http.StatusAccepted)
	if err := json.Unmarshal(answer, &act); err != nil {
		p.f.t.Fatal(err)
	}
	return act.ID, act.Digest
}

// TestDuties: every call of the operators' API asks for a session and for its duty; what only leads to a session is all
// that asks for none (R-28, GB/T 22239).
func TestDuties(t *testing.T) {
	t.Parallel()
	p, people := staffed(t)
	for _, c := range []struct {
		method, path string
		may          string // names, and nobody else
	}{
		{"GET", "/admin/v1/status", "officer.one li audrey olga"},
		{"GET", "/admin/v1/books", "audrey"},
		{"GET", "/admin/v1/audit", "audrey"},
		{"GET", "/admin/v1/audit/log", "audrey"},
		{"GET", "/admin/v1/evidence?payment=p-310000-x", "audrey"},
		{"GET", "/admin/v1/trace?payment=p-310000-x", "officer.one li audrey olga"},
		{"GET", "/admin/v1/archives", "officer.one li audrey olga"},
		{"GET", "/admin/v1/decisions", "audrey"},
		{"POST", "/admin/v1/rules", "li"},
		{"POST", "/admin/v1/clock/acknowledge", "li"},
		{"GET", "/debug/pprof/", "li"},
		{"POST", "/admin/v1/standing", "li"},
		{"POST", "/admin/v1/operators/nobody/lock", "officer.one"},
		{"GET", "/admin/v1/operators", "officer.one li audrey olga"},
	} {
		for _, name := range []string{"officer.one", "li", "audrey", "olga"} {
			status, body := p.call(people[name], c.method, c.path, "")
			if may := strings.Contains(c.may, name); may == (status == http.StatusForbidden) {
				t.Errorf("%s %s by %s: %d %s", c.method, c.path, name, status, body)
			}
		}
		if status, body := p.call(nil, c.method, c.path, ""); status != http.StatusUnauthorized ||
			!strings.Contains(string(body), `"code":"unauthenticated"`) || !strings.Contains(string(body), "title_zh") {
			t.Errorf("%s %s by nobody: %d %s", c.method, c.path, status, body)
		}
	}
}

// TestLogin attacks the login: a challenge counts once and at one node, for one name; a stolen key without the
// passphrase and a stolen passphrase without the key are worth nothing; a token is worth nothing after the log-out.
func TestLogin(t *testing.T) {
	t.Parallel()
	p, people := staffed(t)
	li, wang := people["li"], people["wang"]
	c := p.challenge()
	if status, _ := p.answer(li, c, li.passphrase); status != http.StatusOK {
		t.Fatal(status)
	}
	refused := func(what string, status int, body []byte) {
		t.Helper()
		if status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	status, body := p.answer(li, c, li.passphrase)
	refused("a challenge again", status, body)
	c = p.challenge()
	c.Challenge[0] ^= 1
	status, body = p.answer(li, c, li.passphrase)
	refused("a challenge of one's own", status, body)
	c = p.challenge()
	c.Node = "310000-2"
	status, body = p.answer(li, c, li.passphrase)
	refused("signed for another node", status, body)
	imposter := *wang
	imposter.name = "li"
	for range 7 { // whoever lacks the key locks nobody out
		status, body = p.answer(&imposter, p.challenge(), li.passphrase)
		refused("another one's key", status, body)
	}
	status, body = p.answer(li, p.challenge(), "not the passphrase")
	refused("without the passphrase", status, body)
	p.login(li)
	p.want(li, http.MethodGet, "/admin/v1/whoami", "", http.StatusOK)
	p.want(li, http.MethodDelete, "/admin/v1/sessions", "", http.StatusNoContent)
	p.want(li, http.MethodGet, "/admin/v1/whoami", "", http.StatusUnauthorized)
	p.login(li)
	p.want(people["officer.one"], http.MethodPost, "/admin/v1/operators/li/lock", "", http.StatusNoContent)
	p.want(li, http.MethodGet, "/admin/v1/whoami", "", http.StatusUnauthorized)
}

// TestActsOfTwo: nobody approves his own act, or one whose content was changed; it happens once, and the other calls of
// two persons ask for the second one too.
func TestActsOfTwo(t *testing.T) {
	t.Parallel()
	p, people := staffed(t)
	li, wang := people["li"], people["wang"]
	path := "/admin/v1/holds/h-310000-1-1/force-release"
	id, digest := p.propose(li, path, `{"reason":"the origin lost its log"}`)
	approve, word := "/admin/v1/acts/"+id+"/approve", `{"digest":"`+digest+`"}`
	p.want(li, http.MethodPost, approve, word, http.StatusForbidden)
	p.want(people["olga"], http.MethodPost, approve, word, http.StatusForbidden)
	p.want(people["officer.one"], http.MethodPost, approve, word, http.StatusForbidden)
	other := operator.Act{Method: "POST", Target: path, ContentType: "application/json", Body: []byte(`{"reason":"x"}`)}
	changed := other.Digest(emm.New())
	p.want(wang, http.MethodPost, approve, `{"digest":"`+hex.EncodeToString(changed[:])+`"}`, http.StatusConflict)
	var done struct {
		State  string
		Status int
	}
	answer := p.want(wang, http.MethodPost, approve, word, http.StatusOK)
	if err := json.Unmarshal(answer, &done); err != nil || done.State != "done" || done.Status != http.StatusNotFound {
		t.Errorf("%s", answer) // there is no such hold
	}
	p.want(wang, http.MethodPost, approve, word, http.StatusConflict)
	id, digest = p.propose(wang, path, `{"reason":"again"}`)
	p.want(li, http.MethodPost, "/admin/v1/acts/"+id+"/reject", `{"digest":"`+digest+`"}`, http.StatusOK)
	for path, status := range map[string]int{ // what a second person could not carry out either
		"/admin/v1/directory": http.StatusBadRequest, "/admin/v1/operators": http.StatusBadRequest,
		"/admin/v1/platforms": http.StatusUnprocessableEntity, "/admin/v1/keyring/none/destroy": http.StatusBadRequest,
	} {
		refusal := p.want(people["officer.one"], http.MethodPost, path, "{}", status)
		if !strings.Contains(string(refusal), `"code":"invalid_request"`) {
			t.Errorf("%s: %s", path, refusal)
		}
	}
	var list struct{ Acts []struct{ State string } }
	err := json.Unmarshal(p.want(li, http.MethodGet, "/admin/v1/acts", "", http.StatusOK), &list)
	states := map[string]int{}
	for _, a := range list.Acts {
		states[a.State]++
	}
	if err != nil || states["rejected"] != 1 || states["pending"] != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestAuditOfOperators: what operators did and were refused stands in the exported log, which verifies; the intention
// stands before the act.
func TestAuditOfOperators(t *testing.T) {
	t.Parallel()
	p, people := staffed(t)
	p.want(people["li"], http.MethodPost, "/admin/v1/clock/acknowledge", "", http.StatusNoContent)
	p.want(people["li"], http.MethodGet, "/admin/v1/books", "", http.StatusForbidden)
	var file []byte
	var seen []string
	until(t, "the log has a checkpoint behind the act", func() bool {
		file = p.want(people["audrey"], http.MethodGet, "/admin/v1/audit/log", "", http.StatusOK)
		seen = nil
		v := &auditlog.Verifier{
			Hash: emm.New().Sum, Check: func(*auditlog.Checkpoint) error { return nil },
			Line: func(e *auditlog.Entry) {
				seen = append(seen, e.Line.Event+" "+e.Line.Operator+" "+e.Line.Object+" "+e.Line.Result)
			},
		}
		if err := v.File("export", bytes.NewReader(file)); err != nil {
			t.Fatal(err)
		}
		all := strings.Join(seen, "\n")
		return strings.Contains(all, "operator_refused li GET /admin/v1/books refused") &&
			strings.Contains(all, "operator_act li POST /admin/v1/clock/acknowledge done")
	})
	all := strings.Join(seen, "\n")
	for _, line := range []string{
		"operator_put configuration officer.one done", "operator_put officer.one li done", "login li operator done",
		"act_proposed officer.one POST /admin/v1/operators intended",
		"operator_act li POST /admin/v1/clock/acknowledge intended",
	} {
		if !strings.Contains(all, line) {
			t.Errorf("%q is not in\n%s", line, all)
		}
	}
	if strings.Index(all, "acknowledge intended") > strings.Index(all, "acknowledge done") {
		t.Error("the intention stands behind the act")
	}
}
