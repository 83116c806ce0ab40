package check_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gongji/gateway/client"
	"gongji/testnet/check"
)

var noon = time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC)

func sec(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }

// world is a federation in memory: lines by region, digests by node.
type world struct {
	lines   map[string][]client.AuditLine
	digests map[string]map[uint64]string
	down    map[string]bool
	reads   int
	onRead  func(w *world)
}

func (w *world) Audit(_ context.Context, region string, visit func(client.AuditLine) error) error {
	w.reads++
	if w.onRead != nil {
		w.onRead(w)
	}
	if w.down[region] {
		return errors.New("down")
	}
	for _, l := range w.lines[region] {
		if err := visit(l); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) Digests(_ context.Context, node string) (map[uint64]string, error) {
	if w.down[node] {
		return nil, errors.New("down")
	}
	return w.digests[node], nil
}

// parts are pointers into the lines of a good world, for a test to spoil.
type parts struct {
	account    *client.AuditAccount
	hold, open *client.AuditHold // captured; and one that is still placed
	payment    *client.AuditPayment
	waiting    *client.AuditPayment // held
	grant      *client.AuditGrant
	rules      *client.AuditRules
	bill       *client.AuditBill
	capture    *client.AuditMovement
	homeEnd    *client.AuditEnd
	world      *world
}

// good is one payment of 120.00 held and 100.00 captured, one of 50.00 still held, visit region 310000, home 110000.
func good() parts {
	hold := &client.AuditHold{
		ID: "h1-1", PaymentID: "p1", Origin: "310000", GrantID: "g1", Account: "a1", State: "captured",
		Asked: 20000, Amount: 12000, Take: 10000, Captured: 10000, Year: 2026, Purpose: "outpatient",
		VisitRegion: "310000", VisitID: "v1", Checked: true, CheckedAt: sec(1), PlacedAt: sec(1), EndedAt: sec(5),
		CoreState: "captured", CoreHeld: 12000, CoreCaptured: 10000,
	}
	open := &client.AuditHold{
		ID: "h2-1", PaymentID: "p2", Origin: "310000", GrantID: "g1", Account: "a1", State: "placed",
		Asked: 5000, Amount: 5000, Year: 2026, Purpose: "outpatient", VisitRegion: "310000", VisitID: "v1",
		Checked: true, CheckedAt: sec(7), PlacedAt: sec(7), CoreState: "open", CoreHeld: 5000,
	}
	account := &client.AuditAccount{
		Region: "110000", Account: "a1", Opening: 100000, Captured: 10000, Balance: 90000, Held: 5000,
		YearOpening: 90000, Year: 2026,
	}
	grant := &client.AuditGrant{ID: "g1", PerPayment: 12000, Annual: 20000, Status: "active"}
	rules := &client.AuditRules{AnnualShare: "0.60", Floor: 20000, VisitLimits: map[string]int64{"outpatient": 50000}}
	moves := []*client.AuditMovement{
		{Account: "a1", Seq: 1, At: sec(0), Kind: "credit", Ref: "opening", Amount: 100000, Balance: 100000},
		{Account: "a1", Seq: 2, At: sec(1), Kind: "hold", Ref: "h1-1", Amount: 12000, Balance: 100000, Held: 12000},
		{Account: "a1", Seq: 3, At: sec(5), Kind: "capture", Ref: "h1-1", Amount: 10000, Balance: 90000, Held: 2000},
		{Account: "a1", Seq: 4, At: sec(5), Kind: "release", Ref: "h1-1", Amount: 2000, Balance: 90000},
		{Account: "a1", Seq: 5, At: sec(7), Kind: "hold", Ref: "h2-1", Amount: 5000, Balance: 90000, Held: 5000},
	}
	payment := &client.AuditPayment{
		ID: "p1", State: "captured", Amount: 20000, SelfBorne: 25000, OwnAccountPaid: 0, Held: 12000, Confirmed: 10000,
		Captured: 10000, BillKey: "b1", VisitID: "v1", Created: sec(0), DecideBy: sec(900),
		Legs: []client.AuditLeg{{
			HoldID: "h1-1", GrantID: "g1", Region: "110000", State: "captured", Asked: 20000, Amount: 12000, Share: 10000,
			Captured: 10000,
		}},
	}
	waiting := &client.AuditPayment{
		ID: "p2", State: "held", Amount: 5000, SelfBorne: 25000, Held: 5000, BillKey: "b1", VisitID: "v1", Created: sec(6),
		DecideBy: sec(900), Legs: []client.AuditLeg{{
			HoldID: "h2-1", GrantID: "g1", Region: "110000", State: "placed", Asked: 5000, Amount: 5000,
		}},
	}
	bill := &client.AuditBill{Key: "b1", Used: 15000}
	homeEnd := &client.AuditEnd{Index: 9, Stamp: sec(8), Accounts: 1, Movements: len(moves), Holds: 2}
	home := []client.AuditLine{{Rules: rules}, {Account: account}, {Grant: grant}}
	for _, m := range moves {
		home = append(home, client.AuditLine{Movement: m})
	}
	home = append(home, client.AuditLine{Hold: hold}, client.AuditLine{Hold: open}, client.AuditLine{End: homeEnd})
	visit := []client.AuditLine{
		{Rules: &client.AuditRules{AnnualShare: "0.70"}},
		{Payment: payment},
		{Payment: waiting},
		{Bill: bill},
		{End: &client.AuditEnd{Index: 5, Stamp: sec(8), Payments: 2}},
	}
	w := &world{
		lines: map[string][]client.AuditLine{"110000": home, "310000": visit},
		digests: map[string]map[uint64]string{
			"110000-1": {1: "a", 2: "b"}, "110000-2": {2: "b"}, "110000-3": {1: "a", 2: "b", 3: "c"},
			"310000-1": {7: "x"}, "310000-2": {7: "x"}, "310000-3": {7: "x"},
		},
		down: map[string]bool{},
	}
	return parts{account, hold, open, payment, waiting, grant, rules, bill, moves[2], homeEnd, w}
}

func (p parts) federation(t *testing.T) check.Federation {
	t.Helper()
	return check.Federation{
		Regions: []check.Region{
			{Code: "110000", Nodes: []string{"110000-1", "110000-2", "110000-3"}},
			{Code: "310000", Nodes: []string{"310000-1", "310000-2", "310000-3"}},
		},
		Source: p.world, TempDir: t.TempDir(), Now: func() time.Time { return sec(10) },
	}
}

func TestGoodBooks(t *testing.T) {
	r, err := check.Once(t.Context(), good().federation(t))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.Print(&out); err != nil || !r.OK() {
		t.Errorf("%v\n%s", err, &out)
	}
	want := "I-1 ok\nI-2 ok\nI-3 ok\nI-4 ok\nI-5 ok\nI-6 ok\nI-7 ok\n"
	if out.String() != want {
		t.Errorf("printed %q", out.String())
	}
}

// TestPlantedViolations spoils one thing at a time; the invariant that speaks of it must tell.
func TestPlantedViolations(t *testing.T) {
	for _, tc := range []struct {
		name  string
		tells check.Invariant
		spoil func(p parts)
	}{
		{"money vanished", check.Balances, func(p parts) { p.account.Balance-- }},
		{"taken twice", check.Balances, func(p parts) { p.account.Captured, p.account.Balance = 20000, 80000 }},
		{"a movement is missing", check.Balances, func(p parts) { p.capture.Seq = 9 }},
		{"a movement took more", check.Balances, func(p parts) { p.capture.Amount++ }},
		{"credits without movement", check.Balances, func(p parts) { p.account.Credits, p.account.Balance = 1, 90001 }},
		{"audit cut short", check.Balances, func(p parts) { p.homeEnd.Holds++ }},
		{"held without a hold", check.OpenHolds, func(p parts) { p.account.Held++ }},
		{"hold lost in the core", check.OpenHolds, func(p parts) { p.open.CoreState, p.open.CoreHeld = "released", 0 }},
		{"captured otherwise in the core", check.OpenHolds, func(p parts) { p.hold.CoreCaptured = 9999 }},
		{"holds above the floor", check.OpenHolds, func(p parts) { p.rules.Floor = 85001 }},
		{"released and still held", check.OpenHolds, func(p parts) { p.open.State = "released" }},
		{"hold on no account", check.OpenHolds, func(p parts) { p.open.Account = "a2" }},
		{"reserve lost in the core", check.OpenHolds, func(p parts) { p.grant.Account, p.grant.Reserve = "a1", 700 }},
		{"reserve that counts nowhere", check.OpenHolds, func(p parts) {
			p.grant.Account, p.grant.Reserve, p.grant.Reserved = "a1", 700, 700
		}},
		{"reserve of a revoked grant", check.OpenHolds, func(p parts) {
			p.grant.Account, p.grant.Reserve, p.grant.Reserved, p.grant.Status = "a1", 700, 700, "revoked"
			p.account.Held += 700
		}},
		{"other amount at home", check.LegsAndHolds, func(p parts) { p.open.Amount, p.open.CoreHeld = 4999, 4999 }},
		{"other outcome at home", check.LegsAndHolds, func(p parts) { p.hold.State = "released" }},
		{"hold without a leg", check.LegsAndHolds, func(p parts) { p.waiting.Legs = nil }},
		{"leg without a hold", check.LegsAndHolds, func(p parts) { p.waiting.Legs[0].HoldID = "h9-1" }},
		{"two holds for a leg", check.LegsAndHolds, func(p parts) { p.open.ID = "h1-1" }},
		{"leg under way", check.LegsAndHolds, func(p parts) { p.waiting.Legs[0].State = "capturing" }},
		{"leg of another region", check.LegsAndHolds, func(p parts) { p.payment.Legs[0].Region = "350100" }},
		{"captured above the hold", check.Bounds, func(p parts) { p.hold.Captured = 12001 }},
		{"refunded above the capture", check.Bounds, func(p parts) { p.hold.Refunded = 10001 }},
		{"held above the amount", check.Bounds, func(p parts) { p.payment.Held = 20001 }},
		{"above the self-borne part", check.Bounds, func(p parts) { p.payment.SelfBorne = 19999 }},
		{"own account counts", check.Bounds, func(p parts) { p.payment.OwnAccountPaid = 5001 }},
		{"legs do not add up", check.Bounds, func(p parts) { p.payment.Legs[0].Captured = 9999 }},
		{"bill paid twice", check.Bounds, func(p parts) { p.waiting.Held, p.waiting.Amount = 16000, 16000 }},
		{"bill noted otherwise", check.Bounds, func(p parts) { p.bill.Used = 1 }},
		{"payment that never ends", check.Ends, func(p parts) { p.waiting.DecideBy = noon.Add(-21 * time.Second) }},
		{"replica differs", check.Replicas, func(p parts) { p.world.digests["110000-2"][2] = "z" }},
		{"no majority answers", check.Replicas, func(p parts) {
			p.world.down["310000-1"], p.world.down["310000-2"] = true, true
		}},
		{"nothing to compare", check.Replicas, func(p parts) { p.world.digests["310000-3"] = map[uint64]string{8: "x"} }},
		{"quota of the year", check.Limits, func(p parts) { p.account.YearOpening = 24998 }},
		{"share is no number", check.Limits, func(p parts) { p.rules.AnnualShare = "much" }},
		{"visit limit", check.Limits, func(p parts) { p.rules.VisitLimits["outpatient"] = 14999 }},
		{"limit of one payment", check.Limits, func(p parts) { p.grant.PerPayment = 11999 }},
		{"limit of the grant's year", check.Limits, func(p parts) { p.grant.Annual = 14999 }},
		{"no such grant", check.Limits, func(p parts) { p.grant.ID = "g2" }},
		{"below the floor for a moment", check.Limits, func(p parts) { p.rules.Floor = 88001 }},
		{"placed unchecked", check.Limits, func(p parts) { p.open.Checked = false }},
		{"no rules", check.Limits, func(p parts) { p.world.lines["310000"] = p.world.lines["310000"][1:] }},
		{"region down", check.Balances, func(p parts) { p.world.down["110000"] = true }},
		{"audit without end", check.Ends, func(p parts) {
			p.world.lines["310000"] = p.world.lines["310000"][:3]
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := good()
			tc.spoil(p)
			r, err := check.Once(t.Context(), p.federation(t))
			if err != nil {
				t.Fatal(err)
			}
			if r.OK() || r.Of(tc.tells) == "ok" {
				t.Errorf("%s was not told: %v", tc.tells, r.Map())
			}
		})
	}
}

// TestFairLimits: what was within the limits of its time stays so.
func TestFairLimits(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(p parts)
	}{
		{"a release gives back to the quota", func(p parts) { p.account.YearOpening = 25000 }}, // 60 % = 150.00
		{"a grant's limits lowered later", func(p parts) {
			p.grant.PerPayment, p.grant.Annual, p.grant.Since = 1, 1, sec(9)
		}},
		{"another year's hold", func(p parts) { p.hold.Year, p.account.YearOpening = 2025, 8334 }},
		{"a node that is down", func(p parts) { p.world.down["310000-2"] = true }},
		{"declined leg without hold", func(p parts) {
			leg := client.AuditLeg{HoldID: "h2-2", GrantID: "g9", Region: "110000", State: "declined"}
			p.waiting.Legs = append(p.waiting.Legs, leg)
		}},
		{"given up, and ended at home", func(p parts) {
			leg := client.AuditLeg{HoldID: "h2-2", GrantID: "g1", Region: "110000", State: "released", Asked: 9, GivenUp: true}
			p.waiting.Legs = append(p.waiting.Legs, leg)
			late := *p.open
			late.ID, late.State, late.Asked, late.Amount, late.EndedAt = "h2-2", "released", 9, 9, sec(8)
			late.CoreState, late.CoreHeld = "released", 0
			p.world.lines["110000"] = append([]client.AuditLine{{Hold: &late}}, p.world.lines["110000"]...)
			p.homeEnd.Holds++
		}},
		// A parcel that comes late brings requests together with their releases: one entry, so one stamp.
		{"asked and released in one entry, twice", func(p parts) {
			p.account.YearOpening = 26700 // 60 % = 160.20, of which 150.00 are taken or held by then
			for _, id := range []string{"h2-2", "h2-3"} {
				leg := client.AuditLeg{HoldID: id, GrantID: "g1", Region: "110000", State: "released", Asked: 1000, GivenUp: true}
				p.waiting.Legs = append(p.waiting.Legs, leg)
				late := *p.open
				late.ID, late.State, late.Asked, late.Amount = id, "released", 1000, 1000
				late.CheckedAt, late.PlacedAt, late.EndedAt = sec(8), sec(8), sec(8)
				late.CoreState, late.CoreHeld = "released", 0
				p.world.lines["110000"] = append([]client.AuditLine{{Hold: &late}}, p.world.lines["110000"]...)
				p.homeEnd.Holds++
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := good()
			tc.change(p)
			r, err := check.Once(t.Context(), p.federation(t))
			if err != nil {
				t.Fatal(err)
			}
			if !r.OK() {
				t.Errorf("%v", r.Map())
			}
		})
	}
}

func TestWaitForQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := good()
		p.waiting.Legs[0].State = "requested"
		p.world.onRead = func(w *world) {
			if w.reads == 7 {
				p.waiting.Legs[0].State = "placed"
			}
		}
		r, err := check.Wait(t.Context(), p.federation(t))
		if err != nil || !r.OK() {
			t.Errorf("%v, %v", r.Map(), err)
		}
		start := time.Now()
		p.account.Balance++
		r, err = check.Wait(t.Context(), p.federation(t))
		if err != nil || r.OK() {
			t.Errorf("%v, %v", r.Map(), err)
		}
		if waited := time.Since(start); waited < check.Quiet || waited > check.Quiet+time.Second {
			t.Errorf("waited %s", waited)
		}
	})
}

// TestLargeBooks goes past what a check keeps in memory.
func TestLargeBooks(t *testing.T) {
	p := good()
	const accounts = 60_000 // two lines each
	lines := p.world.lines["110000"]
	end := lines[len(lines)-1]
	lines = lines[:len(lines)-1]
	for i := range accounts {
		id := "x" + time.Duration(i).String()
		lines = append(lines,
			client.AuditLine{Account: &client.AuditAccount{Region: "110000", Account: id, Opening: 5, Balance: 5}},
			client.AuditLine{Movement: &client.AuditMovement{
				Account: id, Seq: 1, At: sec(0), Kind: "credit", Ref: "opening", Amount: 5, Balance: 5,
			}})
	}
	p.homeEnd.Accounts, p.homeEnd.Movements = p.homeEnd.Accounts+accounts, p.homeEnd.Movements+accounts
	p.world.lines["110000"] = append(lines, end)
	r, err := check.Once(t.Context(), p.federation(t))
	if err != nil || !r.OK() {
		t.Errorf("%v, %v", r.Map(), err)
	}
}

func TestHTTP(t *testing.T) {
	p := good()
	serve := func(region, node string) *httptest.Server {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /admin/v1/audit", func(w http.ResponseWriter, _ *http.Request) {
			e := json.NewEncoder(w)
			for _, l := range p.world.lines[region] {
				if e.Encode(l) != nil {
					return
				}
			}
		})
		mux.HandleFunc("GET /admin/v1/digest", func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"applied": 9, "digests": p.world.digests[node]})
		})
		s := httptest.NewServer(mux)
		t.Cleanup(s.Close)
		return s
	}
	f := p.federation(t)
	admin := map[string]string{}
	for _, r := range f.Regions {
		for i, n := range r.Nodes {
			admin[n] = "http://127.0.0.1:1" // the first one is down
			if i > 0 {
				admin[n] = serve(r.Code, n).URL
			}
		}
	}
	source := check.NewHTTP(f.Regions, admin)
	defer source.Close()
	f.Source = source
	r, err := check.Once(t.Context(), f)
	if err != nil || !r.OK() {
		t.Errorf("%v, %v", r.Map(), err)
	}
}

func TestTextsAreBounded(t *testing.T) {
	p := good()
	for i := range 100 {
		p.world.lines["310000"] = append([]client.AuditLine{{Payment: &client.AuditPayment{
			ID: "q" + time.Duration(i).String(), State: "held", DecideBy: noon.Add(-time.Hour),
		}}}, p.world.lines["310000"]...)
	}
	r, err := check.Once(t.Context(), p.federation(t))
	if err != nil {
		t.Fatal(err)
	}
	if text := r.Of(check.Ends); !strings.HasSuffix(text, "; and 97 more") || len(text) > 500 {
		t.Errorf("said %q", text)
	}
}
