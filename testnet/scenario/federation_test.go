package scenario_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gongji/gateway/client"
	"gongji/testnet/check"
	"gongji/testnet/topology"
)

// fed is a running federation, as anybody outside knows it.
type fed struct {
	dir     string
	session topology.Session
	pairs   []topology.Pair
	regions map[string]*client.Client
}

func openFed(t *testing.T, dir string) *fed {
	t.Helper()
	f := &fed{dir: dir, regions: map[string]*client.Client{}}
	var err error
	if f.session, err = topology.ReadSession(dir); err != nil {
		t.Fatal(err)
	}
	if f.pairs, err = topology.ReadLoadPairs(dir); err != nil {
		t.Fatal(err)
	}
	for _, r := range f.session.Regions {
		var nodes []string
		for _, n := range r.Nodes {
			nodes = append(nodes, n.API)
		}
		if f.regions[r.Code], err = client.New(client.Options{Nodes: nodes}); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f *fed) nodes(code string) []topology.SessionNode {
	r, _ := f.session.Region(code)
	return r.Nodes
}

// waitMax bounds every wait of a test; what takes so long does not come.
const waitMax = 2 * time.Minute

// until asks again and again until done says yes.
func until(t *testing.T, what string, done func(ctx context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMax)
	defer cancel()
	if !untilCtx(ctx, done) {
		t.Fatalf("after %s still not: %s", waitMax, what)
	}
}

func untilCtx(ctx context.Context, done func(ctx context.Context) bool) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func person(p topology.Person) client.Person {
	return client.Person{IDType: client.IDTypeResident, IDNumber: p.IDNumber, Name: p.Name, Region: p.Region}
}

// grant makes a pair's grant, and waits until the beneficiary's home knows it.
func (f *fed) grant(t *testing.T, pair topology.Pair) string {
	t.Helper()
	home := f.regions[pair.Payer.Region]
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
	who := person(pair.Beneficiary)
	until(t, "the beneficiary's home knows the grant", func(ctx context.Context) bool {
		list, err := f.regions[who.Region].SearchGrants(ctx, client.GrantSearch{Beneficiary: &who})
		for _, known := range list.Grants {
			if known.GrantID == g.GrantID {
				return err == nil
			}
		}
		return false
	})
	return g.GrantID
}

// request is a payment of one bill.
func request(pair topology.Pair, amount string) client.PaymentRequest {
	id := client.NewRequestID()
	return client.PaymentRequest{
		RequestID: id, Beneficiary: person(pair.Beneficiary),
		Credential:  client.Credential{Type: client.CredentialECredential, HolderIDNumber: pair.Beneficiary.IDNumber},
		Institution: client.Institution{Code: "H" + pair.Visit + "00001", Kind: "hospital"}, Purpose: "outpatient",
		VisitID: id, VisitDate: time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly),
		Bill: client.Bill{ID: id, Total: amount, FundPaid: "0.00", SelfBorne: amount}, Amount: amount,
	}
}

// pay carries a payment from the request to its end and returns how it ended. A *client.ProblemError says that no
// payment was made.
func (f *fed) pay(ctx context.Context, pair topology.Pair, amount string) (client.Payment, error) {
	c := f.regions[pair.Visit]
	p, err := c.CreatePayment(ctx, request(pair, amount))
	if err != nil {
		return p, err
	}
	confirmation := client.Confirmation{RequestID: client.NewRequestID()}
	for id := p.PaymentID; err == nil && !ended(p.Status); {
		if p.Status == client.PaymentHeld { // at once, or only after an answer that the decision is under way
			p, err = c.Confirm(ctx, id, confirmation, 5*time.Second)
			continue
		}
		if !pause(ctx, 50*time.Millisecond) {
			return p, ctx.Err()
		}
		p, err = c.Payment(ctx, id)
	}
	return p, err
}

func ended(status string) bool {
	switch status {
	case client.PaymentCaptured, client.PaymentDeclined, client.PaymentReleased, client.PaymentExpired:
		return true
	}
	return false
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// mustCapture pays and expects all of it captured.
func (f *fed) mustCapture(t *testing.T, pair topology.Pair, amount string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMax)
	defer cancel()
	p, err := f.pay(ctx, pair, amount)
	if err != nil || p.Status != client.PaymentCaptured || p.Captured != amount {
		t.Fatalf("%+v, %v; want %s captured", p, err, amount)
	}
}

// get asks a node over plain HTTP.
func get(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s: %s", url, answer.Status), answer.Body.Close())
	}
	return answer.Body, nil
}

// metrics reads one node's metrics, each under its name with labels as it is written.
func metrics(ctx context.Context, node topology.SessionNode) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := get(ctx, node.API+"/metrics")
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	out := map[string]float64{}
	for s := bufio.NewScanner(body); s.Scan(); {
		name, text, ok := strings.Cut(s.Text(), "} ")
		if ok {
			name += "}"
		} else {
			name, text, ok = strings.Cut(s.Text(), " ")
		}
		if v, err := strconv.ParseFloat(text, 64); ok && err == nil {
			out[name] = v
		}
	}
	return out, nil
}

// counted sums a metric over the nodes of a region: whichever of them led when it happened. Nodes that are down count
// nothing.
func (f *fed) counted(ctx context.Context, code, name string) float64 {
	sum := 0.0
	for _, n := range f.nodes(code) {
		if m, err := metrics(ctx, n); err == nil {
			sum += m[name]
		}
	}
	return sum
}

// books is a region's audit.
type books struct {
	accounts map[string]client.AuditAccount
	holds    map[string]client.AuditHold
	payments map[string]client.AuditPayment
}

// read reads the audit of a region from whichever node answers.
func (f *fed) read(ctx context.Context, t *testing.T, code string) books {
	t.Helper()
	b := books{map[string]client.AuditAccount{}, map[string]client.AuditHold{}, map[string]client.AuditPayment{}}
	source := f.source()
	defer source.Close()
	err := source.Audit(ctx, code, func(l client.AuditLine) error {
		switch {
		case l.Account != nil:
			b.accounts[l.Account.Account] = *l.Account
		case l.Hold != nil:
			b.holds[l.Hold.ID] = *l.Hold
		case l.Payment != nil:
			b.payments[l.Payment.ID] = *l.Payment
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (f *fed) checked() []check.Region {
	var out []check.Region
	for _, r := range f.session.Regions {
		region := check.Region{Code: r.Code}
		for _, n := range r.Nodes {
			region.Nodes = append(region.Nodes, n.ID)
		}
		out = append(out, region)
	}
	return out
}

func (f *fed) source() *check.HTTP {
	admin := map[string]string{}
	for _, r := range f.session.Regions {
		for _, n := range r.Nodes {
			admin[n.ID] = n.Admin
		}
	}
	return check.NewHTTP(f.checked(), admin)
}

// link is one side of a link, as the operators' listener tells it.
type link struct {
	Region  string `json:"region"`
	Waiting uint64 `json:"waiting"`
	Applied uint64 `json:"applied"`
	Acked   uint64 `json:"acked"`
	Forked  bool   `json:"forked"`
}

// links are a region's links as the node that is farthest has them.
func (f *fed) links(ctx context.Context, code string) (map[string]link, error) {
	best := map[string]link{}
	var failed error
	for _, n := range f.nodes(code) {
		var status struct {
			Peers []link `json:"peers"`
		}
		if err := readJSON(ctx, n.Admin+"/admin/v1/status", &status); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for _, l := range status.Peers {
			if b, ok := best[l.Region]; !ok || l.Applied+l.Acked > b.Applied+b.Acked || l.Forked {
				best[l.Region] = l
			}
		}
	}
	if len(best) == 0 {
		return nil, errors.Join(errors.New("nobody answers"), failed)
	}
	return best, nil
}

func readJSON(ctx context.Context, url string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := get(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(json.NewDecoder(body).Decode(v), body.Close())
}

// audited is how many events of a kind, about a peer and for a reason, a region's audit log tells of; -1 where it
// cannot be read.
func (f *fed) audited(ctx context.Context, code, event, peer, reason string) float64 {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := get(ctx, f.nodes(code)[0].Admin+"/admin/v1/audit/log")
	if err != nil {
		return -1
	}
	defer func() { _ = body.Close() }()
	type attr struct{ Name, Value string }
	events := 0
	for lines := json.NewDecoder(body); ; {
		var row struct {
			Entry struct {
				Event string
				Count int
				Attrs []attr
			}
		}
		switch err := lines.Decode(&row); {
		case errors.Is(err, io.EOF):
			return float64(events)
		case err != nil:
			return -1
		}
		if e := row.Entry; e.Event == event && slices.Contains(e.Attrs, attr{"peer", peer}) &&
			slices.Contains(e.Attrs, attr{"reason", reason}) {
			events += e.Count
		}
	}
}

// logLines returns the lines of a region's node logs that have all of the words.
func (f *fed) logLines(t *testing.T, code string, words ...string) []string {
	t.Helper()
	var out []string
	for _, n := range f.nodes(code) {
		raw, err := os.ReadFile(topology.Layout{Dir: f.dir}.Log(n.ID))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			has := true
			for _, w := range words {
				has = has && strings.Contains(line, w)
			}
			if has {
				out = append(out, line)
			}
		}
	}
	return out
}
