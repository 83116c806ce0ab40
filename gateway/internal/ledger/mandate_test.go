package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
	"gongji/gateway/internal/wire/wirepb"
)

const premium = policy.PurposeResidentPremium

// pairOf is a mother in Fuzhou with a son in Beijing, and the grant between them.
func pairOf(t testing.TB) (*fed, string) {
	t.Helper()
	f := federationOf(t, beijing, shanghai, fuzhou)
	f.son = f.live("Son", beijing, employee(200000, 200000))
	f.mother = f.live("Mother", fuzhou, resident())
	return f, f.grants(f.son, f.mother)
}

// says has a region say something, and lets everybody answer.
func (f *fed) says(from, to federation.Region, body *wirepb.Body) {
	f.t.Helper()
	f.say(from, to, body, nil)
	f.flow()
}

func (f *fed) making(home federation.Region, grantID string) *ledger.MakeMandate {
	return &ledger.MakeMandate{Request: f.request(), MandateID: f.id("m", home), GrantID: grantID, Purpose: premium}
}

// mandated makes a mandate and lets the beneficiary's home know.
func (f *fed) mandated(home federation.Region, grantID string) string {
	f.t.Helper()
	id := f.done(home, f.making(home, grantID)).ID
	f.flow()
	return id
}

// mandates is what the payer's home keeps of a grant's mandates, in words.
func (f *fed) mandates(home federation.Region, grantID string) string {
	f.t.Helper()
	rec, err := f.view(home).Mandates(grantID)
	if err != nil {
		f.t.Fatal(err)
	}
	out := ""
	for _, m := range rec.List {
		out += m.Status
		for _, r := range m.Results {
			out += fmt.Sprintf(" %d %s %s %s", r.Year, r.Status, r.Amount, r.Code)
		}
		out += ";"
	}
	return out
}

// asking is the premium of a person that waits for the leader; nil if there is none.
func (f *fed) asking(home federation.Region) *ledger.PremiumRecord {
	f.t.Helper()
	due := f.view(home).DuePremiums()
	if len(due) == 0 {
		return nil
	}
	rec, err := f.view(home).Premium(due[0])
	if err != nil {
		f.t.Fatal(err)
	}
	return rec
}

// collects lets a region's leader go through its persons once.
func (f *fed) collects(home federation.Region) {
	f.t.Helper()
	f.done(home, &ledger.CollectPremiums{Purpose: premium})
}

func mandateResult(id, status string, year int32, amount int64) *wirepb.Body {
	return &wirepb.Body{Kind: &wirepb.Body_MandateResult{MandateResult: &wirepb.MandateResult{
		MandateId: id, Year: year, Status: status, Amount: amount, Time: begins.UnixMicro(),
	}}}
}

// TestMandateEnds: one active mandate of a grant and purpose; it ends by the payer's word, and with its grant.
func TestMandateEnds(t *testing.T) {
	t.Parallel()
	f, g := pairOf(t)
	home := f.son.home
	first := f.making(home, g)
	id := f.done(home, first).ID
	if out := f.done(home, first); !out.Replay || out.ID != id {
		t.Errorf("a repeat answers %+v", out)
	}
	f.refused(home, f.making(home, g), policy.CodeConflict)
	f.refused(home, f.making(home, "g-nobody"), policy.CodeNotFound)
	f.refused(home, &ledger.EndMandates{Request: f.request(), GrantID: g, MandateID: "m-x"}, policy.CodeNotFound)
	f.done(home, &ledger.EndMandates{Request: f.request(), GrantID: g, MandateID: id})
	f.refused(home, &ledger.EndMandates{Request: f.request(), GrantID: g, MandateID: id}, policy.CodeWrongState)
	f.mandated(home, g)
	if got := f.mandates(home, g); got != "ended;active;" {
		t.Errorf("the grant has %q", got)
	}
	f.done(home, &ledger.RevokeGrant{Request: f.request(), GrantID: g})
	f.flow()
	if got := f.mandates(home, g); got != "ended;ended;" {
		t.Errorf("the revoked grant has %q", got)
	}
	f.refused(home, f.making(home, g), policy.CodeGrantNotActive)
	f.collects(f.mother.home)
	if rec := f.asking(f.mother.home); rec != nil {
		t.Errorf("a premium is begun under a mandate that has ended: %+v", rec)
	}
}

// TestMandatesAreBounded: whoever makes and ends mandates all day fills nothing.
func TestMandatesAreBounded(t *testing.T) {
	t.Parallel()
	f, g := pairOf(t)
	home := f.son.home
	for range 40 {
		id := f.mandated(home, g)
		f.done(home, &ledger.EndMandates{Request: f.request(), GrantID: g, MandateID: id})
		f.flow()
	}
	last := f.mandated(home, g)
	rec, err := f.view(home).Mandates(g)
	if err != nil || len(rec.List) != 32 || rec.List[31].ID != last || f.view(home).GrantOfMandate(last) != g {
		t.Errorf("%d mandates are kept, %v", len(rec.List), err)
	}
}

// TestResultsOfOthers: only the beneficiary's home tells a result, only a possible one counts, and paid is
// its last word.
func TestResultsOfOthers(t *testing.T) {
	t.Parallel()
	f, g := pairOf(t)
	home, right := f.son.home, f.mother.home
	id := f.mandated(home, g)
	f.says(shanghai, home, mandateResult(id, "paid", 2027, 400_00))
	for _, b := range []*wirepb.Body{
		mandateResult(id, "stolen", 2027, 400_00), mandateResult(id, "paid", 2035, 400_00),
		mandateResult(id, "paid", 2027, -1), mandateResult("m-unknown", "paid", 2027, 1),
		{Kind: &wirepb.Body_MandateResult{MandateResult: &wirepb.MandateResult{
			MandateId: id, Year: 2027, Status: "paid", PaymentId: "p-" + string(home) + "-1",
		}}},
		{Kind: &wirepb.Body_MandateResult{MandateResult: &wirepb.MandateResult{
			MandateId: id, Year: 2027, Status: "failed", Code: "王秀英",
		}}},
	} {
		f.says(right, home, b)
	}
	if got := f.mandates(home, g); got != "active;" {
		t.Errorf("after impossible results the grant has %q", got)
	}
	f.says(right, home, mandateResult(id, "paid", 2027, 400_00))
	f.says(right, home, mandateResult(id, "failed", 2027, 400_00))
	if got := f.mandates(home, g); got != "active 2027 paid 400.00 ;" {
		t.Errorf("the grant has %q", got)
	}
}

// TestMandatesOfOthers: only the home of a grant tells of its mandates.
func TestMandatesOfOthers(t *testing.T) {
	t.Parallel()
	f, g := pairOf(t)
	right := f.mother.home
	notice := func(mandate, grant string, purpose policy.Purpose) *wirepb.Body {
		return &wirepb.Body{Kind: &wirepb.Body_MandateNotice{MandateNotice: &wirepb.MandateNotice{
			MandateId: mandate, GrantId: grant, Revision: 9, Purpose: string(purpose), Status: "active",
		}}}
	}
	f.collects(right)
	for _, from := range []federation.Region{beijing, shanghai, fuzhou} {
		if from == right {
			continue
		}
		f.says(from, right, notice("m-999999-1", g, premium))
		f.says(from, right, notice("m-"+string(from)+"-1", "g-"+string(from)+"-unknown", premium))
		f.says(from, right, notice("m-"+string(from)+"-1", g, policy.PurposeDrug))
		if from != f.son.home {
			f.says(from, right, notice("m-"+string(from)+"-1", g, premium))
		}
	}
	if rec := f.asking(right); rec != nil {
		t.Errorf("a premium is begun on somebody's word: %+v", rec)
	}
	f.mandated(f.son.home, g)
	if rec := f.asking(right); rec == nil || rec.Year != 2027 || rec.Amount != yuan(t, "400.00") {
		t.Errorf("the premium is %+v", rec)
	}
}

// TestStaleReports: a leader of yesterday changes nothing.
func TestStaleReports(t *testing.T) {
	t.Parallel()
	f, g := pairOf(t)
	home := f.mother.home
	f.collects(home)
	f.mandated(f.son.home, g)
	rec := f.asking(home)
	report := func(attempt int, word ledger.PremiumWord, code policy.Code) {
		f.done(home, &ledger.PremiumReport{Key: rec.Key(), Attempt: attempt, Word: word, Code: code})
		f.flow()
	}
	report(rec.Attempt+1, ledger.PremiumPaidBefore, "")
	report(rec.Attempt, ledger.PremiumRegistered, "")
	report(rec.Attempt, ledger.PremiumDenied, policy.CodeCoreUnavailable)
	if got := f.asking(home); got == nil || got.State != ledger.StateAsking {
		t.Fatalf("the premium is %+v", got)
	}
	report(rec.Attempt, ledger.PremiumBlocked, policy.CodeOwnAccountFirst)
	if got := f.mandates(f.son.home, g); got != "active 2027 waiting 400.00 own_account_first;" {
		t.Errorf("the grant has %q", got)
	}
	report(rec.Attempt, ledger.PremiumPaidBefore, "")
	f.collects(home)
	if f.asking(home) != nil {
		t.Error("the same day has another attempt")
	}
	f.pass(24 * time.Hour)
	f.collects(home)
	if got := f.asking(home); got == nil || got.Attempt != rec.Attempt+1 {
		t.Errorf("the next day has %+v", got)
	}
	report(rec.Attempt, ledger.PremiumPaidBefore, "")
	report(rec.Attempt+1, ledger.PremiumPaidBefore, "")
	if got := f.mandates(f.son.home, g); got != "active 2027 skipped 0.00 ;" {
		t.Errorf("the grant has %q", got)
	}
}

// TestNeverBegun: a season in which nothing could be begun fails what was promised, and nothing else.
func TestNeverBegun(t *testing.T) {
	t.Parallel()
	f, g := pairOf(t)
	home := f.mother.home
	f.collects(home)
	f.silent[federation.Lane{From: f.son.home, To: home}] = true
	f.done(f.son.home, f.making(f.son.home, g))
	f.pass(time.Hour)
	f.silent[federation.Lane{From: f.son.home, To: home}] = false
	rules, err := rulebook.BuiltIn(string(home))
	if err != nil {
		t.Fatal(err)
	}
	rules.Premiums, rules.EffectiveFrom = nil, policy.Day(f.now)
	f.rules(rules) // the season is over before the mandate arrives
	f.flow()
	for range 3 {
		f.collects(home)
	}
	f.flow()
	if got := f.mandates(f.son.home, g); got != "active 2027 failed 0.00 timeout;" {
		t.Errorf("the grant has %q", got)
	}
}
