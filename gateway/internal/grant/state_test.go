package grant_test

import (
	"testing"

	"pgregory.net/rapid"

	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

var statuses = []grant.Status{
	grant.StatusPending, grant.StatusActive, grant.StatusSuspended, grant.StatusRevoked, grant.StatusEnded,
}

// The whole table: what each stored status is before, within and after its validity.
func TestEffectiveStatus(t *testing.T) {
	t.Parallel()
	before, first, last, after := day(t, "2026-10-31"), day(t, "2026-11-01"), day(t, "2027-10-31"), day(t, "2027-11-01")
	type row struct {
		effective   grant.Status
		usable      bool
		disposition grant.Disposition
	}
	for status, want := range map[grant.Status]map[policy.Date]row{
		grant.StatusPending: {
			before: {"pending_beneficiary", false, grant.PassOver}, first: {
				"pending_beneficiary", false,
				grant.PassOver,
			},
			last: {"pending_beneficiary", false, grant.PassOver}, after: {"ended", false, grant.PassOver},
		},
		grant.StatusActive: {
			before: {"active", false, grant.Decline}, first: {"active", true, grant.Ask},
			last: {"active", true, grant.Ask}, after: {"ended", false, grant.PassOver},
		},
		grant.StatusSuspended: {
			before: {"suspended", false, grant.Decline}, first: {"suspended", false, grant.Decline},
			last: {"suspended", false, grant.Decline}, after: {"ended", false, grant.PassOver},
		},
		grant.StatusRevoked: {
			before: {"revoked", false, grant.PassOver}, first: {"revoked", false, grant.PassOver},
			last: {"revoked", false, grant.PassOver}, after: {"revoked", false, grant.PassOver},
		},
		grant.StatusEnded: {
			before: {"ended", false, grant.PassOver}, first: {"ended", false, grant.PassOver},
			last: {"ended", false, grant.PassOver}, after: {"ended", false, grant.PassOver},
		},
	} {
		g := made(t)
		g.Status = status
		for d, w := range want {
			if got := (row{g.EffectiveStatus(d), g.Usable(d), g.Entry().Disposition(d)}); got != w {
				t.Errorf("%s on %s: %v, want %v", status, d, got, w)
			}
			if g.Blocks(d) != !w.effective.Final() {
				t.Errorf("%s on %s: Blocks %v", status, d, g.Blocks(d))
			}
		}
		g.Terms.ValidUntil = 0
		if g.EffectiveStatus(day(t, "9999-12-31")) != status {
			t.Errorf("%s without an end ends", status)
		}
	}
	odd := grant.Entry{Status: "frozen"}
	if odd.Usable(first) || odd.Disposition(first) != grant.PassOver || odd.Status.Valid() {
		t.Error("an unknown status can be used")
	}
	for _, s := range statuses {
		if !s.Valid() {
			t.Errorf("%s is not valid", s)
		}
	}
}

// The whole table of transitions: status by act.
func TestTransitions(t *testing.T) {
	t.Parallel()
	at := noon(t, "2026-12-01")
	acts := map[string]func(grant.Grant) (grant.Grant, error){
		"suspend": func(g grant.Grant) (grant.Grant, error) { return g.Suspend(at) },
		"resume":  func(g grant.Grant) (grant.Grant, error) { return g.Resume(at) },
		"limit": func(g grant.Grant) (grant.Grant, error) {
			return g.Change(grant.Patch{AnnualLimit: new(money.Amount(5))}, at)
		},
		"revoke": func(g grant.Grant) (grant.Grant, error) { return g.Revoke(at) },
		"accept": func(g grant.Grant) (grant.Grant, error) { return g.Accept(at) },
		"end":    func(g grant.Grant) (grant.Grant, error) { return g.End(at, grant.CausePayerInsurance) },
	}
	allowed := map[grant.Status]map[string]grant.Status{
		grant.StatusPending: {"revoke": "revoked", "accept": "active", "end": "ended"},
		grant.StatusActive: {
			"suspend": "suspended", "resume": "active", "limit": "active", "revoke": "revoked",
			"end": "ended",
		},
		grant.StatusSuspended: {
			"suspend": "suspended", "resume": "active", "limit": "suspended",
			"revoke": "revoked", "end": "ended",
		},
		grant.StatusRevoked: {},
		grant.StatusEnded:   {},
	}
	for _, s := range statuses {
		for name, act := range acts {
			old := made(t)
			old.Status = s
			g, err := act(old)
			want, ok := allowed[s][name]
			if !ok {
				refused(t, string(s)+" "+name, err, policy.CodeWrongState, "")
				continue
			}
			if err != nil || g.Status != want {
				t.Errorf("%s %s: %s, %v; want %s", s, name, g.Status, err, want)
			}
			changed := want != s || name == "limit"
			if changed != (g.Version == old.Version+1) || !changed && g.Version != old.Version {
				t.Errorf("%s %s: version %d after %d", s, name, g.Version, old.Version)
			}
			if changed != g.ChangedAt.Equal(at) || !g.CreatedAt.Equal(old.CreatedAt) {
				t.Errorf("%s %s: stamps %s, %s", s, name, g.CreatedAt, g.ChangedAt)
			}
		}
	}
	// By itself ended: nothing more, whatever is stored.
	late := noon(t, "2027-11-01")
	for _, s := range statuses {
		g := made(t)
		g.Status = s
		for name, act := range map[string]func() (grant.Grant, error){
			"change": func() (grant.Grant, error) {
				return g.Change(grant.Patch{ValidUntil: new(day(t, "2028-01-01"))}, late)
			},
			"revoke": func() (grant.Grant, error) { return g.Revoke(late) },
			"accept": func() (grant.Grant, error) { return g.Accept(late) },
			"end":    func() (grant.Grant, error) { return g.End(late, grant.CausePayerInsurance) },
		} {
			_, err := act()
			refused(t, "over: "+string(s)+" "+name, err, policy.CodeWrongState, "")
		}
	}
}

func text(s string) grant.Change { return grant.Change{Set: true, Text: s} }

func null() grant.Change { return grant.Change{Set: true, Null: true} }

func TestPatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		in    grant.PatchInput
		check func(grant.Grant) bool
		same  bool
	}{
		{"all", grant.PatchInput{
			ValidFrom: text("2026-12-01"), ValidUntil: text("2026-12-31"), PerPaymentLimit: text("1.00"),
			AnnualLimit: text("2.00"), Status: text("suspended"),
		}, func(g grant.Grant) bool {
			return g.Terms.ValidFrom.String() == "2026-12-01" && g.Terms.ValidUntil.String() == "2026-12-31" &&
				g.Terms.PerPaymentLimit == 100 && g.Terms.AnnualLimit == 200 && g.Status == grant.StatusSuspended
		}, false},
		{
			"null removes",
			grant.PatchInput{ValidUntil: null(), PerPaymentLimit: null(), AnnualLimit: null()},
			func(g grant.Grant) bool {
				return g.Terms.ValidUntil == 0 && g.Terms.PerPaymentLimit == 0 && g.Terms.AnnualLimit == 0
			}, false,
		},
		{"one limit", grant.PatchInput{PerPaymentLimit: text("9.99")}, func(g grant.Grant) bool {
			return g.Terms.PerPaymentLimit == 999 && g.Terms.AnnualLimit == 1000_00 && g.Terms.ValidUntil != 0
		}, false},
		{"the present status again", grant.PatchInput{Status: text("active")}, func(g grant.Grant) bool {
			return g.Status == grant.StatusActive
		}, true},
		{
			"the present limit again",
			grant.PatchInput{PerPaymentLimit: text("300.00")},
			func(grant.Grant) bool { return true }, true,
		},
		{"null of what cannot be removed counts as absent", grant.PatchInput{
			ValidFrom: null(), Status: null(), AnnualLimit: text("1.00"),
		}, func(g grant.Grant) bool {
			return g.Terms.AnnualLimit == 100 && g.Terms.ValidFrom.String() == "2026-11-01" &&
				g.Status == grant.StatusActive
		}, false},
		{"until today", grant.PatchInput{ValidUntil: text(today)}, func(g grant.Grant) bool {
			return g.Usable(day(t, today)) && g.EffectiveStatus(day(t, "2026-11-21")) == grant.StatusEnded
		}, false},
		{"from later", grant.PatchInput{ValidFrom: text("2027-10-31")}, func(g grant.Grant) bool {
			return !g.Usable(day(t, today)) && g.Status == grant.StatusActive
		}, false},
		{
			"both past the old end",
			grant.PatchInput{ValidFrom: text("2028-01-01"), ValidUntil: text("2028-01-01")},
			func(g grant.Grant) bool { return g.Terms.ValidFrom == g.Terms.ValidUntil }, false,
		},
		{
			"past the old end without end",
			grant.PatchInput{ValidFrom: text("2028-01-01"), ValidUntil: null()},
			func(g grant.Grant) bool { return g.Terms.ValidUntil == 0 }, false,
		},
	} {
		old := made(t)
		p, err := grant.ParsePatch(c.in, day(t, today))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		g, err := old.Change(p, noon(t, today))
		if err != nil || !c.check(g) {
			t.Errorf("%s: %+v, %v", c.name, g, err)
		}
		if c.same != (g.Version == old.Version) {
			t.Errorf("%s: version %d", c.name, g.Version)
		}
	}
}

func TestPatchRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		in    grant.PatchInput
		code  policy.Code
		field string
	}{
		{"nothing", grant.PatchInput{}, "invalid_request", ""},
		{"nothing but null", grant.PatchInput{Status: null(), ValidFrom: null()}, "invalid_request", ""},
		{"status", grant.PatchInput{Status: text("revoked")}, "invalid_request", "/status"},
		{"status ended", grant.PatchInput{Status: text("ended")}, "invalid_request", "/status"},
		{"status pending", grant.PatchInput{Status: text("pending_beneficiary")}, "invalid_request", "/status"},
		{"status empty", grant.PatchInput{Status: text("")}, "invalid_request", "/status"},
		{"limit 0", grant.PatchInput{PerPaymentLimit: text("0.00")}, "invalid_amount", "/per_payment_limit"},
		{"limit", grant.PatchInput{AnnualLimit: text("1")}, "invalid_amount", "/annual_limit"},
		{"from", grant.PatchInput{ValidFrom: text("x")}, "invalid_request", "/valid_from"},
		{"until", grant.PatchInput{ValidUntil: text("2026-11-31")}, "invalid_request", "/valid_until"},
		{"until yesterday", grant.PatchInput{ValidUntil: text("2026-11-19")}, "invalid_request", "/valid_until"},
		{"until before from", grant.PatchInput{
			ValidFrom: text("2027-01-02"), ValidUntil: text("2027-01-01"),
		}, "invalid_request", "/valid_until"},
	} {
		_, err := grant.ParsePatch(c.in, day(t, today))
		refused(t, c.name, err, c.code, c.field)
	}
	// Only the grant knows: the other end of the validity.
	g := made(t)
	_, err := g.Change(grant.Patch{ValidFrom: new(day(t, "2027-11-01"))}, noon(t, today))
	refused(t, "from behind the end", err, "invalid_request", "/valid_from")
	g.Terms.ValidFrom = day(t, "2027-01-01")
	_, err = g.Change(grant.Patch{ValidUntil: new(day(t, "2026-12-31"))}, noon(t, today))
	refused(t, "until before the start", err, "invalid_request", "/valid_until")
	// A 400 comes before the 409, and patches from a log are checked again.
	g.Status = grant.StatusRevoked
	_, err = g.Change(grant.Patch{}, noon(t, today))
	refused(t, "nothing to change of a revoked one", err, "invalid_request", "")
	for _, p := range []grant.Patch{
		{ValidFrom: new(policy.Date(0))}, {PerPaymentLimit: new(money.Amount(-1))}, {AnnualLimit: new(money.Max + 1)},
	} {
		if err := p.Check(day(t, today)); policy.CodeOf(err).Status() != 400 {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// Through any sequence of acts: versions only grow, a final grant stays as it is, validity
// never lies the wrong way round, what is refused changes nothing.
func TestAnyHistory(t *testing.T) {
	t.Parallel()
	base := made(t)
	rapid.Check(t, func(t *rapid.T) {
		g := base
		if rapid.Bool().Draw(t, "pending") {
			g.Status = grant.StatusPending
		}
		at := g.CreatedAt
		for range rapid.IntRange(1, 30).Draw(t, "acts") {
			at = at.AddDate(0, 0, rapid.IntRange(0, 60).Draw(t, "days"))
			today := policy.Day(at)
			var next grant.Grant
			var err error
			switch rapid.SampledFrom([]string{
				"patch", "patch", "patch", "suspend", "resume", "accept", "revoke",
				"end",
			}).Draw(t, "act") {
			case "patch":
				p := grant.Patch{}
				date := rapid.Map(rapid.IntRange(-100, 400), func(n int) *policy.Date { return new(today.AddDays(n)) })
				if rapid.Bool().Draw(t, "from") {
					p.ValidFrom = date.Draw(t, "valid_from")
				}
				if rapid.Bool().Draw(t, "until") {
					p.ValidUntil = date.Draw(t, "valid_until")
				}
				if rapid.Bool().Draw(t, "limit") {
					p.AnnualLimit = new(money.Amount(rapid.Int64Range(0, 5).Draw(t, "annual_limit")))
				}
				next, err = g.Change(p, at)
			case "suspend":
				next, err = g.Suspend(at)
			case "resume":
				next, err = g.Resume(at)
			case "accept":
				next, err = g.Accept(at)
			case "revoke":
				next, err = g.Revoke(at)
			case "end":
				next, err = g.End(at, grant.CausePayerInsurance)
			}
			if g.EffectiveStatus(today).Final() && err == nil {
				t.Fatalf("a grant that is %s changed", g.EffectiveStatus(today))
			}
			if err != nil {
				if _, ok := policy.AsRefusal(err); !ok {
					t.Fatalf("not a refusal: %v", err)
				}
				continue
			}
			if next.Version < g.Version || next.Version > g.Version+1 || next.Version == g.Version &&
				next.Status != g.Status {
				t.Fatalf("version %d after %d", next.Version, g.Version)
			}
			if u := next.Terms.ValidUntil; u != 0 && (u < next.Terms.ValidFrom || u < today) {
				t.Fatalf("valid from %s until %s on %s", next.Terms.ValidFrom, u, today)
			}
			if next.ID != g.ID || next.Payer != g.Payer || next.Beneficiary != g.Beneficiary ||
				next.CreatedAt != g.CreatedAt {
				t.Fatal("what never changes has changed")
			}
			g = next
		}
	})
}
