package ledger_test

import (
	"errors"
	"testing"
	"time"

	"gongji/adapters/adaptertest"
	"gongji/adapters/embedded"
	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
	"gongji/gateway/internal/rulebook"
)

func setRules(t *testing.T, change func(r *policy.Rules)) *ledger.SetRules {
	t.Helper()
	r, err := rulebook.BuiltIn("110000")
	if err != nil {
		t.Fatal(err)
	}
	change(&r)
	data, err := policy.EncodeRules(r)
	if err != nil {
		t.Fatal(err)
	}
	return &ledger.SetRules{Rules: data}
}

// TestRulesFromTheirDay: a version holds from its day on; the same day again replaces it; nothing else is touched.
func TestRulesFromTheirDay(t *testing.T) {
	t.Parallel()
	f := family(t)
	tomorrow := policy.Day(f.now).AddDays(1)
	floor := func(day policy.Date, floor string) *ledger.SetRules {
		return setRules(t, func(r *policy.Rules) { r.EffectiveFrom, r.RetainedFloor = day, yuan(t, floor) })
	}
	f.done(beijing, floor(tomorrow, "50.00"))
	f.done(beijing, floor(tomorrow, "150.00"))
	f.want(f.pays(beijing, f.mother, "60.00"), "held 60.00/60.00; 110000 placed 60.00")
	f.pass(24 * time.Hour)
	f.flow()
	f.want(f.pays(beijing, f.mother, "60.00"),
		"held 60.00/60.00; 110000 placed 50.00 retained_floor; 310000 placed 10.00")
	in := f.regions[beijing].nodes[0].l.InForce()
	if n := len(in.Rules.Versions()); n != 2 || in.Self != beijing {
		t.Errorf("%d versions", n)
	}
	f.refused(beijing, setRules(t, func(r *policy.Rules) { r.Region = "310000" }), policy.CodeInvalidRegion)
	f.refused(beijing, &ledger.SetRules{Rules: []byte("{}")}, policy.CodeInvalidRequest)
}

// TestDirectories: an older one changes nothing, and nonsense is refused.
func TestDirectories(t *testing.T) {
	t.Parallel()
	f := family(t)
	f.directory(nil)
	newest := f.regions[beijing].nodes[0].l.InForce().Directory
	old := federation.DirectoryData{
		Version: 1, Issued: begins.AddDate(-1, 0, 0), Expires: begins.AddDate(1, 0, 0),
		Members: []federation.Member{{Code: beijing, Name: "alone", State: federation.MemberOpen}},
	}
	signed, err := federation.SignDirectory(old, rootSigns)
	if err != nil {
		t.Fatal(err)
	}
	f.done(beijing, &ledger.SetDirectory{Signed: signed})
	if got := f.regions[beijing].nodes[0].l.InForce().Directory; got != newest || got.Version() < 2 {
		t.Errorf("version %d is in force", got.Version())
	}
	f.refused(beijing, &ledger.SetDirectory{Signed: []byte("nonsense")}, policy.CodeInvalidRequest)
}

// TestBeforeAnything: a region that has no rules and no directory yet refuses, and asks nobody.
func TestBeforeAnything(t *testing.T) {
	t.Parallel()
	f := &fed{t: t, now: begins, regions: map[federation.Region]*region{}}
	l, err := ledger.New(ledger.Config{Self: beijing, Hash: hash, Book: embedded.New(ledger.KeyBook)})
	if err != nil {
		t.Fatal(err)
	}
	txn := adaptertest.NewTxn()
	if err := l.Reset(txn); err != nil {
		t.Fatal(err)
	}
	do := func(c ledger.Command) ledger.Outcome {
		f.now = f.now.Add(time.Microsecond)
		data, err := l.Apply(txn, consensus.Command{Stamp: f.now, Data: ledger.EncodeCommand(c)})
		if err != nil {
			t.Fatal(err)
		}
		out, err := ledger.DecodeOutcome(data)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	son, mother := someone{"110101199003070011", "Son", beijing}, someone{"350101199003070011", "Mother", fuzhou}
	if out := do(f.granting(son, mother, f.terms(beijing))); out.Code != policy.CodeRelationNotAllowed {
		t.Errorf("%+v", out)
	}
	p := ledger.CreatePayment{
		Request: f.request(), PaymentID: "p-110000-1", Amount: 1, Bill: ledger.Bill{SelfBorne: 1},
		VisitDate: policy.Day(f.now), DecideWithin: time.Minute, AllowPartial: true,
		Offers: []ledger.Offer{{GrantID: "g-350100-1", Region: "350100"}, {GrantID: "g-110000-1", Region: "110000"}},
	}
	if out := do(&p); out.Code != "" {
		t.Errorf("%+v", out)
	}
	rec, err := l.View(txn).Payment(p.PaymentID)
	if err != nil || shape(rec) !=
		"declined 0.00/0.01; 110000 declined 0.00; -350100 region_unreachable; -110000 not_found" {
		t.Errorf("%s, %v", shape(rec), err)
	}
}

// TestOpenAccounts: once for each person; one that the Book does not take may be said again.
func TestOpenAccounts(t *testing.T) {
	t.Parallel()
	f := federationOf(t, beijing)
	s := someone{"110101199003070011", "Li", beijing}
	bad := &ledger.OpenAccounts{Accounts: []ledger.NewAccount{{Person: f.person(beijing, s), Facts: employee(-1, 0)}}}
	if out := f.apply(beijing, bad); out.Code != policy.CodeInvalidRequest {
		t.Errorf("%+v", out)
	}
	good := &ledger.OpenAccounts{
		Accounts: []ledger.NewAccount{{Person: f.person(beijing, s), Facts: employee(500, 500)}}, Done: "people",
	}
	v := f.view(beijing)
	if v.Imported("people") {
		t.Error("imported before")
	}
	f.done(beijing, good)
	f.wantAccount(s, "5.00", "0.00")
	good.Accounts[0].Facts = employee(900, 900)
	f.done(beijing, good)
	f.wantAccount(s, "5.00", "0.00")
	if !f.view(beijing).Imported("people") || f.view(beijing).Imported("peopl") {
		t.Error("the end of the import is not remembered")
	}
	p, err := f.view(beijing).Person(f.number(beijing, s))
	if err != nil || p == nil || !p.InBook || p.Region != "110000" {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestRequestIDsAreKept 400 days and then forgotten, a few at each tick; payments and bills stay.
func TestRequestIDsAreKept(t *testing.T) {
	t.Parallel()
	f := family(t)
	first := f.bill(shanghai, f.mother, "1.00")
	f.done(shanghai, first)
	f.pass(24 * time.Hour)
	for range 200 {
		f.done(shanghai, f.bill(shanghai, f.mother, "0.01"))
	}
	last := f.bill(shanghai, f.mother, "1.00")
	f.done(shanghai, last)
	f.flow()
	kept := func(c *ledger.CreatePayment) bool {
		rec, err := f.view(shanghai).Request(c.Request.Platform, c.Request.ID)
		if err != nil {
			t.Fatal(err)
		}
		return rec != nil
	}
	ticks := func() {
		for range 12 {
			f.done(shanghai, &ledger.Tick{})
		}
	}
	f.now = begins.Add(400*24*time.Hour - time.Hour)
	ticks()
	if !kept(first) || !kept(last) {
		t.Fatal("forgotten too early")
	}
	f.now = begins.Add(400*24*time.Hour + time.Hour)
	ticks()
	if kept(first) || !kept(last) {
		t.Fatalf("kept: the old one %v, the young one %v", kept(first), kept(last))
	}
	f.now = begins.Add(402 * 24 * time.Hour)
	ticks()
	if kept(last) {
		t.Error("still there")
	}
	if f.payment(first.PaymentID) == nil {
		t.Error("the payment is gone")
	}
	// What is left of the bill: its id can be used again, its amount cannot, and the visit is too old.
	again := *first
	f.refused(shanghai, &again, policy.CodeInvalidRequest)
	before := f.regions[shanghai].nodes[0].txn.Clone()
	ticks()
	if !before.Equal(f.regions[shanghai].nodes[0].txn) {
		t.Error("a tick without anything to do writes")
	}
}

// TestStops: a log entry or a state that cannot be read stops the node.
func TestStops(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.pays(shanghai, f.mother, "10.00")
	n := f.regions[shanghai].nodes[0]
	at := func(data []byte) error {
		f.now = f.now.Add(time.Microsecond)
		_, err := n.l.Apply(n.txn.Clone(), consensus.Command{Stamp: f.now, Data: data})
		return err
	}
	for _, data := range [][]byte{nil, {1}, {2, 1}, {1, 0}, {1, 99}} {
		if err := at(data); !errors.Is(err, ledger.ErrCommand) {
			t.Errorf("%x: %v", data, err)
		}
	}
	if err := at([]byte{1, byte(ledger.KindConfirm), 0xff}); !errors.Is(err, record.ErrDamaged) {
		t.Error(err)
	}
	broken := n.txn.Clone()
	broken.Set([]byte("p"+p.ID), []byte{0xff, 0xff, 0xff})
	if err := n.l.Reset(broken); err != nil {
		t.Fatal(err)
	}
	data := ledger.EncodeCommand(&ledger.Cancel{Request: f.request(), PaymentID: p.ID})
	if _, err := n.l.Apply(broken, consensus.Command{Stamp: f.now, Data: data}); !errors.Is(err, record.ErrDamaged) {
		t.Error(err)
	}
	for _, key := range []string{"d", "mdirectory", "mrules/x"} {
		broken := f.regions[shanghai].nodes[0].txn.Clone()
		broken.Set([]byte(key), []byte{0xff})
		if err := n.l.Reset(broken); err == nil {
			t.Errorf("a broken %q was read", key)
		}
	}
	if err := n.l.Reset(n.txn); err != nil {
		t.Fatal(err)
	}
}

// TestNew needs a region and a hash.
func TestNew(t *testing.T) {
	t.Parallel()
	for _, cfg := range []ledger.Config{{}, {Self: "1", Hash: hash}, {Self: beijing}} {
		if _, err := ledger.New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg.Self)
		}
	}
	l, err := ledger.New(ledger.Config{Self: beijing, Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	in := l.InForce()
	if in.Self != beijing || in.Directory != nil || !in.PairOpen(begins, beijing) || in.PairOpen(begins, shanghai) {
		t.Errorf("%+v", in)
	}
	if !l.NextDue().IsZero() {
		t.Error("something is due")
	}
}

// TestNextDue is when the region has to be woken.
func TestNextDue(t *testing.T) {
	t.Parallel()
	f := family(t)
	l := f.regions[shanghai].nodes[0].l
	p := f.payment(f.done(shanghai, f.bill(shanghai, f.mother, "10.00")).ID)
	if !l.NextDue().Equal(p.Legs[0].Deadline) {
		t.Errorf("%s, the leg's deadline is %s", l.NextDue(), p.Legs[0].Deadline)
	}
	if e := f.regions[shanghai].last; len(e.Payments) != 1 || e.Payments[0] != p.ID ||
		len(e.Peers) != 1 || e.Peers[0] != beijing || e.Index != f.regions[shanghai].index {
		t.Errorf("%+v", e)
	}
	f.flow()
	f.pass(time.Minute)
	if due := l.NextDue(); !due.Equal(p.DecideBy) {
		t.Errorf("%s, decide_by is %s", due, p.DecideBy)
	}
}
