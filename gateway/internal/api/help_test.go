package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"gongji/consensus"
	"gongji/crypto/sm/emm"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

const (
	region  = "110000"
	hotline = "010-12393"
)

// now is noon in Beijing on 2026-11-20.
func now() time.Time { return time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC) }

// number makes an identity number with its check character.
func number(first17 string) string {
	weights := []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += w * int(first17[i]-'0')
	}
	return first17 + string("10X98765432"[sum%11])
}

var (
	payerNumber       = number("11010119900307001")
	beneficiaryNumber = number("35010219650101002")
)

const (
	payerName       = "张建国"
	beneficiaryName = "王秀英"
)

// fakeDesk answers everything with something that is well formed, and remembers what it was asked.
type fakeDesk struct {
	mu    sync.Mutex
	calls []string
	keys  map[string]seenKey // by platform and id
	spent map[[16]byte]uint64
	fail  error // of every call but Seen, Rules, Member and Ready

	last       any // the last form
	wait       time.Duration
	amount     *money.Amount
	caller     string
	ready      []string
	warned     []string
	list       int // things that a search returns at most
	written    api.Written
	spendFails error
	block      chan struct{} // calls tell entered and wait for it, if it is not nil
	entered    chan struct{}
}

// Spend takes a nonce once, as the log does.
func (d *fakeDesk) Spend(_ context.Context, s api.Signature) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if attempt, known := d.spent[s.Nonce]; known && attempt != s.Attempt {
		return &api.Error{Code: policy.CodeStaleRequest}
	}
	d.spent[s.Nonce] = s.Attempt
	return d.spendFails
}

// keysOf knows some keys.
func keysOf(platforms ...api.Platform) func(id string) *api.Platform {
	known := map[string]*api.Platform{}
	for _, p := range platforms {
		known[p.KeyID] = &p
	}
	return func(id string) *api.Platform { return known[id] }
}

type seenKey struct {
	digest   [32]byte
	kind, id string
}

var _ api.Desk = (*fakeDesk)(nil)

func newDesk() *fakeDesk {
	return &fakeDesk{keys: map[string]seenKey{}, spent: map[[16]byte]uint64{}, written: api.Written{Created: true}}
}

func (d *fakeDesk) note(ctx context.Context, call string, form any) error {
	d.mu.Lock()
	d.calls = append(d.calls, call)
	d.last = form
	fail, block := d.fail, d.block
	d.mu.Unlock()
	if block != nil {
		d.entered <- struct{}{}
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fail
}

func (d *fakeDesk) use(key api.RequestKey, kind, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[key.Platform+"/"+key.ID] = seenKey{key.Digest, kind, id}
	d.caller = key.Platform
}

func (d *fakeDesk) taken() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.calls
	d.calls = nil
	return c
}

//nolint:revive // four results, as the interface has them
func (d *fakeDesk) Seen(_ context.Context, key api.RequestKey) (string, string, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, ok := d.keys[key.Platform+"/"+key.ID]
	if !ok {
		return "", "", false, nil
	}
	if k.digest != key.Digest {
		return "", "", true, &api.Error{Code: policy.CodeConflict}
	}
	return k.kind, k.id, true, nil
}

func masked(name, number, region string) client.MaskedPerson {
	return client.Person{IDNumber: number, Name: name, Region: region}.Masked()
}

func aPayment(id string) client.Payment {
	return client.Payment{
		PaymentID: id, Status: client.PaymentHeld, Amount: "200.00", Held: "120.00", Captured: "0.00", Refunded: "0.00",
		CashDue: "80.00", DecideBy: client.FormatTime(now().Add(15 * time.Minute)),
		Legs: []client.Leg{{
			HoldID: "h1", GrantID: "g1", Payer: masked(payerName, payerNumber, region), Region: region, Status: "placed",
			Amount: "120.00", Captured: "0.00", Refunded: "0.00", LimitedBy: "payment_limit",
		}},
	}
}

func aGrant(id string) client.Grant {
	return client.Grant{
		GrantID: id, Status: client.GrantActive, Hotline: hotline, Payer: masked(payerName, payerNumber, region),
		Beneficiary: masked(beneficiaryName, beneficiaryNumber, "350100"), Relation: "parent", Channel: "national_app",
		Consent:   client.Consent{Version: "2026-01", Digest: strings.Repeat("0", 64), Signature: "AAAA"},
		ValidFrom: "2026-11-01", Funding: "balance",
	}
}

func (d *fakeDesk) CreatePayment(
	ctx context.Context, key api.RequestKey, f client.PaymentRequest,
) (client.Payment, api.Written, error) {
	if err := d.note(ctx, "CreatePayment", f); err != nil {
		return client.Payment{}, api.Written{}, err
	}
	d.use(key, api.KindPayment, "p1")
	return aPayment("p1"), d.written, nil
}

func (d *fakeDesk) Quote(ctx context.Context, f client.PaymentRequest) (client.Payment, error) {
	p := aPayment("")
	p.DecideBy, p.Legs[0].HoldID = "", ""
	return p, d.note(ctx, "Quote", f)
}

func bundleOf(id string) string {
	return `{"format":"gongji-evidence-v1","subject":"` + id + `","region":"110000","prepared":"2026-01-01T00:00:00Z",` +
		`"proofs":[],"receipts":[],"own_word":[],"key_id":"k","signature":"AA=="}`
}

func (d *fakeDesk) Trace(ctx context.Context, _, id string) (client.Trace, error) {
	good := true
	event := client.TraceEvent{What: id, SignedBy: "350100", Verified: &good}
	return client.Trace{Events: []client.TraceEvent{event}}, d.note(ctx, "Trace", id)
}

func (d *fakeDesk) Evidence(ctx context.Context, _, id string) ([]byte, error) {
	return []byte(bundleOf(id)), d.note(ctx, "Evidence", id)
}

func (d *fakeDesk) Payment(ctx context.Context, id string) (client.Payment, error) {
	return aPayment(id), d.note(ctx, "Payment", id)
}

func (d *fakeDesk) SearchPayments(
	ctx context.Context, platform string, f client.PaymentSearch,
) ([]client.Payment, string, error) {
	d.mu.Lock()
	d.caller = platform
	list := make([]client.Payment, 0, d.list)
	next := ""
	for i := range d.list {
		if len(list) == f.Limit {
			next = "more"
			break
		}
		list = append(list, aPayment(fmt.Sprint("p", i)))
	}
	d.mu.Unlock()
	return list, next, d.note(ctx, "SearchPayments", f)
}

func (d *fakeDesk) Confirm(
	ctx context.Context, key api.RequestKey, id string, amount *money.Amount, wait time.Duration,
) (client.Payment, api.Written, error) {
	if err := d.note(ctx, "Confirm", id); err != nil {
		return client.Payment{}, api.Written{}, err
	}
	d.mu.Lock()
	d.amount, d.wait = amount, wait
	d.mu.Unlock()
	d.use(key, api.KindPayment, id)
	return aPayment(id), api.Written{}, nil
}

func (d *fakeDesk) Cancel(ctx context.Context, key api.RequestKey, id string) (client.Payment, api.Written, error) {
	if err := d.note(ctx, "Cancel", id); err != nil {
		return client.Payment{}, api.Written{}, err
	}
	d.use(key, api.KindPayment, id)
	return aPayment(id), api.Written{}, nil
}

func (d *fakeDesk) Complete(
	ctx context.Context, key api.RequestKey, id string, f client.Completion,
) (client.Payment, api.Written, error) {
	if err := d.note(ctx, "Complete", f); err != nil {
		return client.Payment{}, api.Written{}, err
	}
	d.use(key, api.KindPayment, id)
	return aPayment(id), api.Written{}, nil
}

func (d *fakeDesk) CreateGrant(
	ctx context.Context, key api.RequestKey, f client.GrantRequest,
) (client.Grant, api.Written, error) {
	if err := d.note(ctx, "CreateGrant", f); err != nil {
		return client.Grant{}, api.Written{}, err
	}
	d.use(key, api.KindGrant, "g1")
	return aGrant("g1"), d.written, nil
}

func (d *fakeDesk) Grant(ctx context.Context, id string) (client.Grant, error) {
	if id == "g-elsewhere" {
		return client.Grant{}, &api.Error{Code: policy.CodeNotHomeRegion, Region: "350100"}
	}
	return aGrant(id), d.note(ctx, "Grant", id)
}

func (d *fakeDesk) SearchGrants(ctx context.Context, f client.GrantSearch) ([]client.Grant, string, error) {
	return nil, "", d.note(ctx, "SearchGrants", f)
}

func (d *fakeDesk) onGrant(
	ctx context.Context, call string, key api.RequestKey, id string, form any,
) (client.Grant, api.Written, error) {
	if err := d.note(ctx, call, form); err != nil {
		return client.Grant{}, api.Written{}, err
	}
	d.mu.Lock()
	_, replay := d.keys[key.Platform+"/"+key.ID]
	d.mu.Unlock()
	d.use(key, api.KindGrant, id)
	return aGrant(id), api.Written{Replay: replay}, nil
}

func (d *fakeDesk) PatchGrant(
	ctx context.Context, key api.RequestKey, id string, f client.GrantPatch,
) (client.Grant, api.Written, error) {
	return d.onGrant(ctx, "PatchGrant", key, id, f)
}

func (d *fakeDesk) RevokeGrant(ctx context.Context, key api.RequestKey, id string) (client.Grant, api.Written, error) {
	return d.onGrant(ctx, "RevokeGrant", key, id, id)
}

func (d *fakeDesk) AcceptGrant(ctx context.Context, key api.RequestKey, id string) (client.Grant, api.Written, error) {
	return d.onGrant(ctx, "AcceptGrant", key, id, id)
}

func (d *fakeDesk) RenounceGrant(
	ctx context.Context, key api.RequestKey, id string,
) (client.Grant, api.Written, error) {
	return d.onGrant(ctx, "RenounceGrant", key, id, id)
}

func (d *fakeDesk) SetOrder(
	ctx context.Context, key api.RequestKey, f client.OrderRequest,
) (client.Order, api.Written, error) {
	if err := d.note(ctx, "SetOrder", f); err != nil {
		return client.Order{}, api.Written{}, err
	}
	d.mu.Lock()
	_, replay := d.keys[key.Platform+"/"+key.ID]
	d.mu.Unlock()
	d.use(key, api.KindOrder, "")
	return client.Order{Beneficiary: f.Beneficiary.Masked()}, api.Written{Replay: replay}, nil
}

func aMandate(id string) client.Mandate {
	return client.Mandate{
		MandateID: id, GrantID: "g1", Purpose: "resident_premium", Status: client.MandateActive, MaxAmount: "400.00",
		Results: []client.PremiumResult{{
			Year: 2027, Status: client.PremiumPaid, Amount: "400.00", PaymentID: "p1", Time: client.FormatTime(now()),
		}},
	}
}

func (d *fakeDesk) CreateMandate(
	ctx context.Context, key api.RequestKey, _ string, f client.MandateRequest,
) (client.Mandate, api.Written, error) {
	if err := d.note(ctx, "CreateMandate", f); err != nil {
		return client.Mandate{}, api.Written{}, err
	}
	d.use(key, api.KindMandate, "m1")
	return aMandate("m1"), api.Written{}, nil
}

func (d *fakeDesk) Mandate(ctx context.Context, id string) (client.Mandate, error) {
	return aMandate(id), d.note(ctx, "Mandate", id)
}

func (d *fakeDesk) Mandates(ctx context.Context, grantID string) (client.MandateList, error) {
	ended := client.Mandate{MandateID: "m2", GrantID: grantID, Purpose: "ltc_premium", Status: client.MandateEnded}
	return client.MandateList{Mandates: []client.Mandate{aMandate("m1"), ended}}, d.note(ctx, "Mandates", grantID)
}

func (d *fakeDesk) EndMandates(
	ctx context.Context, key api.RequestKey, grantID, mandateID string,
) (client.MandateList, api.Written, error) {
	if err := d.note(ctx, "EndMandates", mandateID); err != nil {
		return client.MandateList{}, api.Written{}, err
	}
	d.use(key, api.KindMandates, grantID)
	return client.MandateList{}, api.Written{}, nil
}

func (d *fakeDesk) Commitment(ctx context.Context) (client.Commitment, error) {
	c := client.Commitment{Version: "2026-01", Digest: strings.Repeat("a", 64), Text: "I consent.", TextZH: "本人同意。"}
	return c, d.note(ctx, "Commitment", nil)
}

func (*fakeDesk) Rules(context.Context) (client.Rules, error) {
	return client.Rules{
		AnnualShare: "0.60", RetainedFloor: "0.00", DecideWithinSecondsMax: 900, Hotline: hotline,
		VisitLimits: map[string]string{"outpatient": "500.00"},
		Purposes:    []string{"outpatient"}, Relations: []string{"parent"},
	}, nil
}

func (*fakeDesk) Member(r string) bool { return r == "110000" || r == "310000" || r == "350100" }

func (d *fakeDesk) Ready() ([]string, []string) { return d.ready, d.warned }

// fakeLog knows who leads, and carries what is asked to a handler.
type fakeLog struct {
	consensus.Log // whatever else is called is a nil pointer: the face has no business with it

	mu     sync.Mutex
	leader bool
	id     string
	ask    func(ctx context.Context, request []byte) ([]byte, error)
}

func (l *fakeLog) Leadership() (consensus.Leadership, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return consensus.Leadership{Leader: l.leader, LeaderID: l.id}, nil
}

func (l *fakeLog) Ask(ctx context.Context, request []byte) ([]byte, error) {
	l.mu.Lock()
	ask := l.ask
	l.mu.Unlock()
	if ask == nil {
		return nil, consensus.ErrNoLeader
	}
	return ask(ctx, request)
}

// env is a region of two nodes: the leader and a follower, each with its server.
type env struct {
	desk             *fakeDesk
	leader, follower *httptest.Server
	leaderLog        *fakeLog
	followerLog      *fakeLog
	face             *api.Face
	logs             *safeBuffer
	spec             *spec
	deps             api.Deps
	addresses        map[string]string
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newEnv(t testing.TB, change func(*api.Deps)) *env {
	t.Helper()
	e := &env{
		desk: newDesk(), logs: &safeBuffer{}, spec: readSpec(t),
		addresses: map[string]string{"110000-1": "http://127.0.0.1:18001"},
	}
	e.leaderLog = &fakeLog{leader: true, id: "110000-1"}
	e.followerLog = &fakeLog{id: "110000-1"}
	build := func(log consensus.Log) (*api.Face, *httptest.Server) {
		registry := prometheus.NewRegistry()
		deps := api.Deps{
			Region: region, Desk: e.desk, Log: log, Hasher: emm.New(), UnsignedAllowed: true, Clock: now,
			Addresses: e.addresses, Keys: keysOf(), Attempt: rand.Uint64,
			Logger:  slog.New(slog.NewJSONHandler(e.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Metrics: registry, Gatherer: registry,
		}
		if change != nil {
			change(&deps)
		}
		face, err := api.New(deps)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(nil)
		server.Config = face.Server()
		server.Start()
		t.Cleanup(server.Close)
		e.deps = deps
		return face, server
	}
	e.face, e.leader = build(e.leaderLog)
	_, e.follower = build(e.followerLog)
	e.followerLog.ask = func(ctx context.Context, request []byte) ([]byte, error) {
		return e.face.Handler()(ctx, request), nil
	}
	return e
}

// nameLeader changes where the leader is said to be; the faces share the table.
func (e *env) nameLeader(address string) { e.addresses["110000-1"] = address }

// reply is an answer, read and held against the OpenAPI document.
type reply struct {
	status  int
	header  http.Header
	body    []byte
	problem client.Problem
}

func (e *env) call(t testing.TB, server *httptest.Server, method, target, body string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	r := reply{status: resp.StatusCode, header: resp.Header, body: data}
	if method != http.MethodHead {
		e.spec.check(t, method, target, r)
	}
	if r.status >= 400 && strings.HasPrefix(r.header.Get("Content-Type"), "application/problem+json") {
		if err := json.Unmarshal(data, &r.problem); err != nil {
			t.Fatal(err)
		}
		if r.problem.Status != r.status || r.problem.Origin != region {
			t.Errorf("problem %+v with status %d", r.problem, r.status)
		}
	}
	return r
}

// closed closes what a test has read.
func closed(t testing.TB, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// spec is the OpenAPI document, with its schemas compiled when they are needed.
type spec struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
}

func readSpec(t testing.TB) *spec {
	t.Helper()
	data, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	s := &spec{doc: doc.(map[string]any), compiler: jsonschema.NewCompiler()}
	if err := s.compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return s
}

// at walks down the document.
func (s *spec) at(keys ...string) map[string]any {
	here := s.doc
	for _, k := range keys {
		next, ok := here[k].(map[string]any)
		if !ok {
			return nil
		}
		if ref, isRef := next["$ref"].(string); isRef && strings.HasPrefix(ref, "#/components/responses/") {
			next = s.at("components", "responses", strings.TrimPrefix(ref, "#/components/responses/"))
		}
		here = next
	}
	return here
}

// template finds the path of the document that a request's path fits; one without parameters goes first.
func (s *spec) template(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if s.at("paths", path) != nil {
		return path
	}
	want := strings.Split(path, "/")
	for candidate := range s.at("paths") {
		parts := strings.Split(candidate, "/")
		fits := len(parts) == len(want)
		for i := 0; fits && i < len(parts); i++ {
			fits = strings.HasPrefix(parts[i], "{") || parts[i] == want[i]
		}
		if fits {
			return candidate
		}
	}
	return ""
}

// check holds an answer against what the document says of it.
func (s *spec) check(t testing.TB, method, target string, r reply) {
	t.Helper()
	if r.header.Get("Gongji-Leader") == "" {
		t.Errorf("%s %s: no Gongji-Leader", method, target)
	}
	kind, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
	schema := "#/components/schemas/Problem"
	if op := s.at("paths", s.template(target), strings.ToLower(method)); op != nil {
		responses, _ := op["responses"].(map[string]any)
		status := fmt.Sprint(r.status)
		if responses[status] == nil {
			status = "default"
		}
		media := s.at("paths", s.template(target), strings.ToLower(method), "responses", status, "content", kind, "schema")
		if media == nil {
			t.Errorf("%s %s: %d %s is not in the document: %s", method, target, r.status, kind, r.body)
			return
		}
		ref, ok := media["$ref"].(string)
		if !ok {
			return // text, or the document itself
		}
		schema = ref
	} else if kind != "application/problem+json" {
		t.Errorf("%s %s: %d %s of an unknown operation", method, target, r.status, kind)
	}
	if err := s.validate(schema, r.body); err != nil {
		t.Errorf("%s %s: %d: %v\n%s", method, target, r.status, err, r.body)
	}
}

func (s *spec) validate(ref string, body []byte) error {
	compiled, err := s.compiler.Compile("openapi.json" + ref)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return errors.Join(errors.New("not JSON"), err)
	}
	return compiled.Validate(value)
}

// document is a JSON body that tests take apart.
type document map[string]any

func person(name, number, region string) map[string]any {
	return map[string]any{"id_type": "01", "id_number": number, "name": name, "region": region}
}

func grantBody() document {
	return document{
		"request_id": "g-1", "payer": person(payerName, payerNumber, region),
		"beneficiary": person(beneficiaryName, beneficiaryNumber, "350100"),
		"relation":    "parent", "channel": "national_app",
		"consent": map[string]any{
			"version": "2026-01", "digest": strings.Repeat("a", 64), "signature": "c2lnbmF0dXJl",
		},
		"proofs":     []any{map[string]any{"kind": "household_register", "digest": strings.Repeat("0f", 32)}},
		"valid_from": "2026-11-01", "valid_until": "2027-10-31", "per_payment_limit": "300.00", "annual_limit": "1000.00",
		"funding": "balance",
	}
}

func paymentBody() document {
	return document{
		"request_id":  "p-1",
		"beneficiary": person(beneficiaryName, beneficiaryNumber, "350100"),
		"credential": map[string]any{
			"type": "e_credential", "holder_id_number": beneficiaryNumber, "remote_use": true,
		},
		"institution": map[string]any{"code": "H11010100001", "kind": "hospital"},
		"purpose":     "outpatient", "visit_id": "v-1", "visit_date": "2026-11-20",
		"bill": map[string]any{
			"id": "b-1", "total": "500.00", "fund_paid": "300.00", "self_borne": "200.00", "own_account_paid": "0.00",
		},
		"amount": "200.00", "allow_partial": true, "confirm": "manual", "decide_within_seconds": 900,
		"grants": []any{"g1", "g2"},
	}
}

// set changes, adds or (with remove{}) takes away what a pointer names.
type remove struct{}

func (d document) set(pointer string, value any) document {
	keys := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	here := map[string]any(d)
	for _, k := range keys[:len(keys)-1] {
		if list, ok := here[k].([]any); ok {
			here = list[0].(map[string]any)
			continue
		}
		if k == "0" {
			continue
		}
		here = here[k].(map[string]any)
	}
	last := keys[len(keys)-1]
	if _, gone := value.(remove); gone {
		delete(here, last)
	} else {
		here[last] = value
	}
	return d
}

func (d document) String() string {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return string(b)
}
