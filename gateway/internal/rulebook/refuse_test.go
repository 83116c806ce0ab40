package rulebook_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"gongji/gateway/internal/rulebook"
)

// spoil is a document made from Shanghai's by one replacement, or Shanghai's with something added.
type spoil struct {
	name     string
	old, new string // old "": new is added at the end
	field    string // that is blamed
	schema   bool   // the schema refuses it too; else it takes what only the reader can judge
}

// spoils are refused by the reader, each for one field.
var spoils = []spoil{
	{"unknown key", "", "annual_shares: \"0.60\"\n", "annual_shares", true},
	{"unknown nested key", `version: "2026-01"`, `versions: "2026-01"`, "commitment.versions", true},
	{"missing key", "consent: payer ", "# consent: payer ", "consent", true},
	{"region as a number", `region: "310000"`, `region: 310000`, "region", true},
	{"region of five digits", `region: "310000"`, `region: "31000"`, "region", true},
	{"date that does not exist", "1999-01-01", "1999-02-30", "effective_from", false},
	{"date in another form", "1999-01-01", "01/01/1999", "effective_from", true},
	{"share as a number", `annual_share: "0.70"`, `annual_share: 0.70`, "annual_share", true},
	{"share above one", `annual_share: "0.70"`, `annual_share: "1.10"`, "annual_share", true},
	{"share in percent", `annual_share: "0.70"`, `annual_share: "70%"`, "annual_share", true},
	{"empty value", `annual_share: "0.70"`, `annual_share:`, "annual_share", true},
	{"amount as a number", `retained_floor: "0.00"`, `retained_floor: 0.00`, "retained_floor", true},
	{"amount of one place", `retained_floor: "0.00"`, `retained_floor: "0.0"`, "retained_floor", true},
	{"visit limit of nothing", `outpatient: "500.00"`, `outpatient: "0.00"`, "visit_limits.outpatient", true},
	{"visit limit of an unknown purpose", `outpatient: "500.00"`, `dentist: "500.00"`, "visit_limits.dentist", true},
	{"visit limit of a forbidden purpose", `outpatient: "500.00"`, `fitness: "500.00"`, "visit_limits.fitness", true},
	{"visit limits as a list", "visit_limits:\n  outpatient:", "visit_limits:\n  - outpatient:", "visit_limits", true},
	{"deadline as a text", "max: 900", `max: "900"`, "decide_within_seconds_max", true},
	{"deadline with a point", "max: 900", "max: 900.5", "decide_within_seconds_max", true},
	{"deadline too short", "max: 900", "max: 4", "decide_within_seconds_max", true},
	{"deadline too long", "max: 900", "max: 86401", "decide_within_seconds_max", true},
	{"purpose unknown", "purposes: [outpatient,", "purposes: [dentist,", "purposes[0]", true},
	{"purpose forbidden", "purposes: [outpatient,", "purposes: [wellness,", "purposes[0]", true},
	{"purpose twice", "purposes: [outpatient,", "purposes: [inpatient,", "purposes[1]", true},
	{"purposes as a word", "relations: [spouse,", "relations: spouse #", "relations", true},
	{"relation unknown", "relations: [spouse,", "relations: [cousin,", "relations[0]", true},
	{"hotline of nobody", "021-12393", "021-12345", "hotline", true},
	{"share of a purpose below", "", "purpose_shares: {chronic: \"0.50\"}\n", "purpose_shares.chronic", false},
	{"yes for true", "only: false", "only: yes", "carried_over_only", true},
	{"True for true", "only: false", "only: True", "carried_over_only", false},
	{"scope unknown", "", "purposes_by_scope: {abroad: []}\n", "purposes_by_scope.abroad", true},
	{"own account never", "own_account: exhaust", "own_account: never", "own_account", true},
	{"consent of nobody", "consent: payer ", "consent: nobody ", "consent", true},
	{"version with a space", `version: "2026-01"`, `version: "2026 01"`, "commitment.version", true},
	{"text with a hidden mark", "本人参加", "本\u202e人参加", "commitment.text_zh", false},
	{"no pairs", "", "pairs: []\n", "pairs", true},
	{"pair in the province", "", "pairs: [{region: \"319900\", from: 2026-01-01}]\n", "pairs[0]", false},
	{"pair without a day", "", "pairs: [{region: \"110000\"}]\n", "pairs[0].from", true},
	{
		"pair that ends before", "", "pairs: [{region: \"110000\", from: 2026-01-02, until: 2026-01-01}]\n", "pairs[0]",
		false,
	},
	{
		"pairs that overlap", "",
		"pairs: [{region: \"110000\", from: 2026-01-02}, {region: \"110000\", from: 2027-01-01}]\n", "pairs[1]", false,
	},
	{"emergency of a year", "emergency_days: 14", "emergency_days: 365", "emergency_days", true},
	{"premium of nothing", `amount: "400.00"`, `amount: "0.00"`, "premiums.resident_premium.amount", true},
	{"premium for a drug", "resident_premium: {", "drug: {", "premiums.drug", true},
	{"season that does not exist", `"09-01"`, `"02-30"`, "premiums.resident_premium.season_from", false},
	{"season over the year", `"09-01"`, `"12-32"`, "premiums.resident_premium.season_from", true},
	{"season backwards", `season_to: "12-31"`, `season_to: "08-31"`, "premiums.resident_premium", false},
	{"institution code", "H31000000001", "H-31", "institutions[0].code", true},
	{"institution twice", "I31000000001", "H31000000001", "institutions[1].code", false},
	{"institution kind", "kind: hospital", "kind: clinic", "institutions[0].kind", true},
	{
		"institution for nothing", "kind: tax, purposes: [resident_premium, ltc_premium]", "kind: tax, purposes: []",
		"institutions[3].purposes", true,
	},
	{"source of nothing", "sources: ", "sources:\n  shares: \"x\" ", "sources.shares", true},
	{"source missing", "  hotline: \"R-09", "  #hotline: \"R-09", "hotline", false},
	{"source empty", `hotline: "R-09: 12393 with the region's area code"`, `hotline: ""`, "sources.hotline", true},
	{
		"source of an entry missing", "visit_limits.outpatient: \"R", "visit_limits.drug: \"R", "visit_limits.outpatient",
		false,
	},
}

// spoilt makes the document.
func (s spoil) spoilt(t testing.TB, good string) string {
	t.Helper()
	if s.old == "" {
		return good + s.new
	}
	if !strings.Contains(good, s.old) {
		t.Fatalf("%s: %q is not in the document", s.name, s.old)
	}
	return strings.Replace(good, s.old, s.new, 1)
}

// TestReadAndSchema: what the schema refuses the reader refuses, and what the reader takes the schema takes; the reader
// blames the field.
func TestReadAndSchema(t *testing.T) {
	t.Parallel()
	check := compile(t)
	for _, region := range append(rulebook.Regions(), rulebook.National) {
		if err := check.Validate(value(t, document(t, region))); err != nil {
			t.Errorf("%s: %v", region, err)
		}
	}
	good := document(t, "310000")
	for _, s := range spoils {
		bad := s.spoilt(t, good)
		_, err := rulebook.Read([]byte(bad))
		wrong, ok := errors.AsType[*rulebook.ProblemsError](err)
		if !ok {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		blamed := false
		for _, p := range wrong.Problems {
			blamed = blamed || p.Field == s.field
		}
		if !blamed {
			t.Errorf("%s: %v does not blame %s", s.name, err, s.field)
		}
		if refused := check.Validate(value(t, bad)) != nil; refused != s.schema {
			t.Errorf("%s: the schema refuses it: %v", s.name, refused)
		}
	}
}

// TestReadTakes: what looks odd and is right.
func TestReadTakes(t *testing.T) {
	t.Parallel()
	check := compile(t)
	good := document(t, "310000") + "  purpose_shares: a test\n  purposes_by_scope: a test\n  pairs: a test\n"
	for name, c := range map[string]spoil{
		"comment":        {old: "consent:", new: "# a note\nconsent:"},
		"share of one":   {old: `annual_share: "0.70"`, new: `annual_share: "1"`},
		"quoted date":    {old: "1999-01-01", new: `"1999-01-01"`},
		"nothing opened": {old: "relations: [", new: "relations: [] # ["},
		"share raised":   {new: "purpose_shares: {chronic: \"0.90\"}\n"},
		"scope closed":   {new: "purposes_by_scope: {cross_province: []}\n"},
		"pairs after": {new: "pairs:\n- {region: \"110000\", from: 2026-01-02, until: 2026-01-02}\n" +
			"- {region: \"110000\", from: 2026-01-03}\n"},
		"leap day season": {old: `"09-01"`, new: `"02-29"`},
	} {
		doc := c.spoilt(t, good)
		if _, err := rulebook.Read([]byte(doc)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := check.Validate(value(t, doc)); err != nil {
			t.Errorf("%s: the schema: %v", name, err)
		}
	}
}

// notDocuments are no documents at all.
var notDocuments = []string{
	"", " ", "\n", "---\n", "null", "[]", "1", "a", "{}", "region", "\x00", "\xff", "a: b: c", "a: [", "\t", "&a 1",
	"--- {}\n--- {}\n", "a: &x 1\nb: *x\n", "!!map {}", "<<: {region: \"110000\"}", "? [a]\n: b", "region: !!str 110000",
	"region: \"110000\"\nregion: \"110000\"\n", "*a", "a: *a", "%YAML 9.9\n---\n", "? {a: b}\n: c", "- - - - -",
}

func TestNotADocument(t *testing.T) {
	t.Parallel()
	for _, s := range notDocuments {
		r, err := rulebook.Read([]byte(s))
		wrong, ok := errors.AsType[*rulebook.ProblemsError](err)
		if !ok || len(wrong.Problems) == 0 || r.Region != "" {
			t.Errorf("%q: %v", s, err)
		}
	}
	for name, s := range map[string]string{
		"too long":  document(t, "110000") + strings.Repeat("#", rulebook.DocumentMax),
		"too deep":  strings.Repeat("[", 100_000),
		"too many":  strings.Repeat("a: 1\n", 10_000),
		"many keys": "sources: {" + strings.Repeat("a: b, ", 1_000) + "}",
	} {
		_, err := rulebook.Read([]byte(s))
		wrong, ok := errors.AsType[*rulebook.ProblemsError](err)
		if !ok || len(wrong.Problems) > 200 {
			t.Errorf("%s: %d problems", name, len(wrong.Problems))
		}
	}
}

// compile is the schema.
func compile(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(rulebook.Schema())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err = c.AddResource("urn:gongji:rules.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("urn:gongji:rules.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// value is a document as an editor gives it to a schema: dates are texts.
func value(t testing.TB, doc string) any {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(doc), &n); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	texts(&n)
	var v any
	if err := n.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func texts(n *yaml.Node) {
	if n.ShortTag() == "!!timestamp" {
		n.Tag, n.Style = "!!str", yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		texts(c)
	}
}

// FuzzRead reads documents that anybody made: no panic, every refusal a list of problems, and what is read is written
// and read back to the same.
func FuzzRead(f *testing.F) {
	good := document(f, "310000")
	for _, s := range spoils {
		f.Add([]byte(s.spoilt(f, good)))
	}
	for _, s := range notDocuments {
		f.Add([]byte(s))
	}
	f.Add([]byte(good))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := rulebook.Read(data)
		if err != nil {
			if wrong, ok := errors.AsType[*rulebook.ProblemsError](err); !ok || len(wrong.Problems) == 0 {
				t.Fatalf("another kind of error: %v", err)
			}
			return
		}
		doc, err := rulebook.Write(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := rulebook.Read(doc)
		if err != nil {
			t.Fatalf("%s\n%v", doc, err)
		}
		if changes, err := rulebook.Diff(r, back); err != nil || len(changes) > 0 {
			t.Fatalf("%s\n%v, %v", doc, changes, err)
		}
	})
}
