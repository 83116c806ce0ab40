package rulebook_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
)

// document is a built-in document.
func document(t testing.TB, region string) string {
	t.Helper()
	data, err := rulebook.Document(region)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// builtIn are built-in rules.
func builtIn(t testing.TB, region string) policy.Rules {
	t.Helper()
	r, err := rulebook.BuiltIn(region)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestBuiltIn: the documents that ship with the program are valid, each of its region, with the figures of
// api.md section 6, and every figure says where it comes from.
func TestBuiltIn(t *testing.T) {
	t.Parallel()
	if got := rulebook.Regions(); !slices.Equal(got, []string{"110000", "310000", "350100"}) {
		t.Errorf("regions %v", got)
	}
	for region, want := range map[string]struct {
		share, floor, visit string
		purposes            int
		consent             policy.Consent
	}{
		"110000":          {"0.60", "0.00", "", 12, policy.ConsentPayer},
		"310000":          {"0.70", "0.00", "500.00", 12, policy.ConsentPayer},
		"350100":          {"0.70", "2000.00", "", 10, policy.ConsentPayer},
		rulebook.National: {"0.50", "0.00", "", 9, policy.ConsentBoth},
	} {
		r := builtIn(t, region)
		visit := ""
		if len(r.VisitLimits) == 1 && r.VisitLimits[0].Purpose == policy.PurposeOutpatient {
			visit = r.VisitLimits[0].Limit.String()
		}
		if r.Region != region || r.AnnualShare.String() != want.share || r.RetainedFloor.String() != want.floor ||
			visit != want.visit || len(r.Purposes) != want.purposes || r.Consent != want.consent ||
			len(r.Relations) != len(policy.Relations()) || r.DecideWithinSecondsMax != 900 {
			t.Errorf("%s: %+v", region, r)
		}
		if len(r.Sources) < 8 {
			t.Errorf("%s has only %d sources", region, len(r.Sources))
		}
		if p, ok := r.Premium(policy.PurposeResidentPremium); !ok || p.Amount.String() != "400.00" || p.SeasonFrom != 901 ||
			p.SeasonTo != 1231 {
			t.Errorf("%s: premium %+v", region, p)
		}
	}
	for _, other := range []string{"", "440100", "../regions/110000", "110000.yaml"} {
		if _, err := rulebook.BuiltIn(other); !errors.Is(err, policy.ErrNoRules) {
			t.Errorf("%q: %v", other, err)
		}
	}
}

// TestRoundTrip: rules that are written as a document read back to the same rules.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, err := rulebook.BuiltIn(rapid.SampledFrom(append(rulebook.Regions(), rulebook.National)).Draw(t, "region"))
		if err != nil {
			t.Fatal(err)
		}
		r.AnnualShare = money.Share(rapid.Int32Range(0, 10_000).Draw(t, "share"))
		r.RetainedFloor = money.Amount(rapid.Int64Range(0, money.Max.Fen()).Draw(t, "floor"))
		r.CarriedOver = rapid.Bool().Draw(t, "carried over")
		r.OwnAccount = rapid.SampledFrom([]policy.OwnAccount{policy.OwnExhaust, policy.OwnZeroOnly}).Draw(t, "own")
		r.Purposes = rapid.SliceOfNDistinct(rapid.SampledFrom(policy.Purposes()), 0, 12, rapid.ID).Draw(t, "purposes")
		text := rapid.StringOfN(rapid.SampledFrom([]rune("承诺\"\\/\n aZ:#-{}[]\u2028𠮷<>&'|>%@`!*&? ")), 1, 40, -1)
		r.Commitment.Text, r.Commitment.TextZH = text.Draw(t, "text"), text.Draw(t, "text_zh")
		if rapid.Bool().Draw(t, "pairs") {
			r.Pairs = []policy.Pair{{Region: "440100", From: 740_000, Until: 740_100}, {Region: "440100", From: 740_101}}
		}
		for _, f := range []string{"carried_over_only", "own_account", "pairs", "visit_limits"} {
			if !slices.ContainsFunc(r.Sources, func(s policy.Source) bool { return s.Figure == f }) {
				r.Sources = append(r.Sources, policy.Source{Figure: f, Text: text.Draw(t, "source")})
			}
		}
		doc, err := rulebook.Write(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := rulebook.Read(doc)
		if err != nil {
			t.Fatalf("%s\n%v", doc, err)
		}
		changes, err := rulebook.Diff(r, back)
		if err != nil || len(changes) > 0 {
			t.Fatalf("%s\nreads back with %v, %v", doc, changes, err)
		}
		again, err := rulebook.Write(back)
		if err != nil || !bytes.Equal(doc, again) {
			t.Fatalf("%s\nis written again as\n%s", doc, again)
		}
	})
}

// TestCanonicalFormIsADocument: the JSON that stands in the log can be read too.
func TestCanonicalFormIsADocument(t *testing.T) {
	t.Parallel()
	r := builtIn(t, "310000")
	data, err := policy.EncodeRules(r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := rulebook.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	if changes, err := rulebook.Diff(r, back); err != nil || len(changes) > 0 {
		t.Errorf("%v, %v", changes, err)
	}
}

// TestWhatIsWrong: everything that is wrong is named at once, with line, field and both languages.
func TestWhatIsWrong(t *testing.T) {
	t.Parallel()
	doc := document(t, "310000")
	for _, c := range [][2]string{
		{`annual_share: "0.70"`, `annual_share: 0.70`},
		{`retained_floor: "0.00"`, `retained_floor: "1e3"`},
		{"consent: payer", "consent: nobody"},
		{`hotline: "021-12393"`, `hotlin: "021-12393"`},
	} {
		if !strings.Contains(doc, c[0]) {
			t.Fatalf("%q is not in the document", c[0])
		}
		doc = strings.Replace(doc, c[0], c[1], 1)
	}
	_, err := rulebook.Read([]byte(doc))
	wrong, ok := errors.AsType[*rulebook.ProblemsError](err)
	if !ok || !errors.Is(err, rulebook.ErrDocument) {
		t.Fatal(err)
	}
	lines := strings.Split(doc, "\n")
	var fields []string
	for _, p := range wrong.Problems {
		fields = append(fields, p.Field)
		if p.Reason == "" || p.ReasonZH == "" || p.Line < 1 || !strings.Contains(err.Error(), p.String()) {
			t.Errorf("%+v", p)
		}
		if key, _, _ := strings.Cut(p.Field, "."); p.Field != "hotline" && !strings.HasPrefix(lines[p.Line-1], key) {
			t.Errorf("%s stands in line %d, which is %q", p.Field, p.Line, lines[p.Line-1])
		}
	}
	slices.Sort(fields)
	if want := []string{"annual_share", "consent", "hotlin", "hotline", "retained_floor"}; !slices.Equal(fields, want) {
		t.Errorf("named are %v, want %v", fields, want)
	}
}

// TestPublishedSchema: docs has the schema that the program has.
func TestPublishedSchema(t *testing.T) {
	t.Parallel()
	published, err := os.ReadFile("../../../docs/rules.schema.json")
	if err != nil || !bytes.Equal(published, rulebook.Schema()) {
		t.Errorf("docs/rules.schema.json is not gateway/internal/rulebook/rules.schema.json: %v", err)
	}
}
