package policy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
)

// pilot gives a pilot region's rules.
func pilot(t testing.TB, region string) policy.Rules {
	t.Helper()
	r, err := rulebook.BuiltIn(region)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	allPurposes = `"outpatient","inpatient","emergency","chronic","drug","device","consumable","resident_premium",` +
		`"ltc_premium","checkup","vaccine","supplementary_insurance"`
	allRelations = `"spouse","parent","child","sibling","paternal_grandparent","maternal_grandparent",` +
		`"paternal_grandchild","maternal_grandchild"`
	fuzhouPurposes = `"outpatient","inpatient","emergency","chronic","drug","device","consumable","resident_premium",` +
		`"ltc_premium","vaccine"`
)

// The figures of api.md section 6, typed again.
func TestPilotRules(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]string{
		"110000": `{"annual_share":"0.60","retained_floor":"0.00","visit_limits":{},"decide_within_seconds_max":900,` +
			`"purposes":[` + allPurposes + `],"relations":[` + allRelations + `],"hotline":"010-12393"}`,
		"310000": `{"annual_share":"0.70","retained_floor":"0.00","visit_limits":{"outpatient":"500.00"},` +
			`"decide_within_seconds_max":900,"purposes":[` + allPurposes + `],"relations":[` + allRelations + `],` +
			`"hotline":"021-12393"}`,
		"350100": `{"annual_share":"0.70","retained_floor":"2000.00","visit_limits":{},` +
			`"decide_within_seconds_max":900,"purposes":[` + fuzhouPurposes + `],"relations":[` +
			allRelations + `],"hotline":"0591-12393"}`,
	} {
		r := pilot(t, region)
		if got := string(r.PublicJSON()); got != want {
			t.Errorf("%s:\n got %s\nwant %s", region, got, want)
		}
		if r.Consent != policy.ConsentPayer || r.Region != region {
			t.Errorf("%s: %s of %s", region, r.Consent, r.Region)
		}
		checkPilotInstitutions(t, r)
	}
	if !slices.Equal(rulebook.Regions(), []string{"110000", "310000", "350100"}) {
		t.Errorf("PilotRegions() = %v", rulebook.Regions())
	}
	if _, err := rulebook.BuiltIn("440100"); !errors.Is(err, policy.ErrNoRules) {
		t.Errorf("another region: %v", err)
	}
}

// checkPilotInstitutions: each purpose has an institution, R-14's places are kept.
func checkPilotInstitutions(t *testing.T, r policy.Rules) {
	t.Helper()
	of := map[policy.InstitutionKind]string{}
	for _, i := range r.Institutions {
		of[i.Kind] = i.Code
	}
	for p, kind := range map[policy.Purpose]policy.InstitutionKind{
		"outpatient": "hospital", "inpatient": "hospital", "emergency": "hospital", "chronic": "hospital",
		"drug": "pharmacy", "device": "pharmacy", "consumable": "pharmacy", "checkup": "hospital",
		"vaccine":          "hospital",
		"resident_premium": "tax", "ltc_premium": "tax", "supplementary_insurance": "insurer",
	} {
		for _, k := range []policy.InstitutionKind{"hospital", "pharmacy", "tax", "insurer"} {
			if got := r.Designated(of[k], k, p); got != (k == kind) {
				t.Errorf("%s: %s for %s: %v", r.Region, k, p, got)
			}
		}
		if r.Designated(of[kind], "other", p) || r.Designated("H999", kind, p) || r.Designated("", kind, p) {
			t.Errorf("%s: an unlisted institution or kind passes", r.Region)
		}
	}
	if _, ok := r.Institution("nobody"); ok {
		t.Error("an unknown institution is found")
	}
}

func TestNilRulesAllowNothing(t *testing.T) {
	t.Parallel()
	var none *policy.Rules
	if none.OpensPurpose("", "outpatient") || none.PairOpen("310000", 1) ||
		none.AllowsRelation("parent") || none.Designated("H1", "hospital", "outpatient") {
		t.Error("no rules allow something")
	}
	in := ask()
	in.Terms = none.Terms("outpatient")
	if d := policy.Decide(in); d.Given != 0 || d.LimitedBy != policy.CodeAnnualQuota {
		t.Errorf("no rules give %s", d.Given)
	}
}

func TestTerms(t *testing.T) {
	t.Parallel()
	r := pilot(t, "310000")
	r.PurposeShares = []policy.PurposeShare{{Purpose: "chronic", Share: 9_000}}
	for p, want := range map[policy.Purpose]policy.Terms{
		"outpatient": {Share: 7_000, VisitLimit: 500_00},
		"chronic":    {Share: 9_000}, // the share raised, no visit limit
		"inpatient":  {Share: 7_000},
	} {
		if got := r.Terms(p); got != want {
			t.Errorf("%s: %+v, want %+v", p, got, want)
		}
	}
}

// spoils make good rules bad, each in one part.
var spoils = map[string]func(*policy.Rules){
	"region":                func(r *policy.Rules) { r.Region = "11000" },
	"no day":                func(r *policy.Rules) { r.EffectiveFrom = 0 },
	"share above 1":         func(r *policy.Rules) { r.AnnualShare = 10_001 },
	"share below 0":         func(r *policy.Rules) { r.AnnualShare = -1 },
	"purpose share lower":   func(r *policy.Rules) { r.PurposeShares = []policy.PurposeShare{{"chronic", 1}} },
	"purpose share unknown": func(r *policy.Rules) { r.PurposeShares = []policy.PurposeShare{{"other", 9_000}} },
	"purpose share twice": func(r *policy.Rules) {
		r.PurposeShares = []policy.PurposeShare{{"chronic", 9_000}, {"chronic", 9_000}}
	},
	"floor below 0":     func(r *policy.Rules) { r.RetainedFloor = -1 },
	"floor too high":    func(r *policy.Rules) { r.RetainedFloor = money.Max + 1 },
	"visit limit 0":     func(r *policy.Rules) { r.VisitLimits[0].Limit = 0 },
	"visit limit high":  func(r *policy.Rules) { r.VisitLimits[0].Limit = money.Max + 1 },
	"visit limit twice": func(r *policy.Rules) { r.VisitLimits = append(r.VisitLimits, r.VisitLimits[0]) },
	"visit limit of a forbidden purpose": func(r *policy.Rules) {
		r.VisitLimits = []policy.VisitLimit{{"fitness", 1}}
	},
	"deadline too short":  func(r *policy.Rules) { r.DecideWithinSecondsMax = 4 },
	"deadline too long":   func(r *policy.Rules) { r.DecideWithinSecondsMax = 86_401 },
	"forbidden purpose":   func(r *policy.Rules) { r.Purposes = append(r.Purposes, "wellness") },
	"unknown purpose":     func(r *policy.Rules) { r.Purposes = []policy.Purpose{""} },
	"purpose twice":       func(r *policy.Rules) { r.Purposes = append(r.Purposes, r.Purposes[0]) },
	"unknown relation":    func(r *policy.Rules) { r.Relations = append(r.Relations, "cousin") },
	"relation twice":      func(r *policy.Rules) { r.Relations = append(r.Relations, "spouse") },
	"hotline of no area":  func(r *policy.Rules) { r.Hotline = "12393" },
	"hotline short area":  func(r *policy.Rules) { r.Hotline = "01-12393" },
	"hotline long area":   func(r *policy.Rules) { r.Hotline = "05911-12393" },
	"hotline other":       func(r *policy.Rules) { r.Hotline = "010-12345" },
	"hotline no zero":     func(r *policy.Rules) { r.Hotline = "591-12393" },
	"hotline letters":     func(r *policy.Rules) { r.Hotline = "0a1-12393" },
	"consent":             func(r *policy.Rules) { r.Consent = "" },
	"commitment version":  func(r *policy.Rules) { r.Commitment.Version = "2026 01" },
	"commitment text":     func(r *policy.Rules) { r.Commitment.Text = "" },
	"commitment text_zh":  func(r *policy.Rules) { r.Commitment.TextZH = "承诺\u202e书" },
	"commitment too long": func(r *policy.Rules) { r.Commitment.TextZH = strings.Repeat("书", 7_000) },
	"commitment bytes":    func(r *policy.Rules) { r.Commitment.Text = "\xff" },
	"institution code":    func(r *policy.Rules) { r.Institutions[0].Code = "H-1" },
	"institution no code": func(r *policy.Rules) { r.Institutions[0].Code = "" },
	"institution twice":   func(r *policy.Rules) { r.Institutions[1] = r.Institutions[0] },
	"institution name":    func(r *policy.Rules) { r.Institutions[0].Name = "a\nb" },
	"institution long":    func(r *policy.Rules) { r.Institutions[0].Name = strings.Repeat("院", 101) },
	"institution kind":    func(r *policy.Rules) { r.Institutions[0].Kind = "clinic" },
	"institution for nothing": func(r *policy.Rules) {
		r.Institutions[0].Purposes = nil
	},
	"institution for a forbidden purpose": func(r *policy.Rules) {
		r.Institutions[0].Purposes = []policy.Purpose{"public_health"}
	},
	"too many institutions": func(r *policy.Rules) {
		one := r.Institutions[0]
		r.Institutions = nil
		for i := range policy.InstitutionsMax + 1 {
			one.Code = "H" + strconv.Itoa(100_000+i)
			r.Institutions = append(r.Institutions, one)
		}
	},
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, spoil := range spoils {
		base := pilot(t, "310000")
		r := base.Normalize() // a copy of its own
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&r)
		r = r.Normalize()
		if err := r.Validate(); !errors.Is(err, policy.ErrRules) {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := policy.EncodeRules(r); !errors.Is(err, policy.ErrRules) || b != nil {
			t.Errorf("%s is encoded: %v", name, err)
		}
		if _, err := policy.NewRuleBook(r); !errors.Is(err, policy.ErrRules) {
			t.Errorf("%s stands in a book: %v", name, err)
		}
	}
}

func TestNormalizeCopies(t *testing.T) {
	t.Parallel()
	r := pilot(t, "310000")
	before, err := policy.EncodeRules(r)
	if err != nil {
		t.Fatal(err)
	}
	c := r.Normalize()
	c.Purposes[0], c.Relations[0], c.VisitLimits[0].Limit = "x", "x", 1
	c.Institutions[0].Name, c.Institutions[0].Purposes[0] = "x", "x"
	if after, err := policy.EncodeRules(r); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the copy shares with the original: %v", err)
	}
	slices.Reverse(r.Purposes)
	slices.Reverse(r.Relations)
	slices.Reverse(r.Institutions)
	if after, err := policy.EncodeRules(r); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the order of lists changes the bytes: %v", err)
	}
}

// anyRules draws valid rules.
func anyRules() *rapid.Generator[policy.Rules] {
	return rapid.Custom(func(t *rapid.T) policy.Rules {
		base, err := rulebook.BuiltIn(rapid.SampledFrom(rulebook.Regions()).Draw(t, "region"))
		if err != nil {
			t.Fatal(err)
		}
		text := rapid.StringOfN(rapid.SampledFrom([]rune("承诺书\"\\/\n aZ\u2028𠮷<>&")), 1, 40, -1)
		subset := func(label string) []policy.Purpose {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(policy.Purposes()), 0, 12, rapid.ID).Draw(t, label)
		}
		base.EffectiveFrom = policy.Date(rapid.Int32Range(1, 3_652_059).Draw(t, "day"))
		base.AnnualShare = money.Share(rapid.Int32Range(0, 10_000).Draw(t, "share"))
		base.RetainedFloor = amounts().Draw(t, "floor")
		base.PurposeShares, base.VisitLimits = nil, nil
		for _, p := range subset("shares") {
			base.PurposeShares = append(base.PurposeShares, policy.PurposeShare{
				Purpose: p, Share: money.Share(rapid.Int32Range(int32(base.AnnualShare), 10_000).Draw(t, "raised")),
			})
		}
		for _, p := range subset("limits") {
			base.VisitLimits = append(base.VisitLimits, policy.VisitLimit{Purpose: p, Limit: max(1,
				amounts().Draw(t, "limit"))})
		}
		base.Purposes = subset("purposes")
		base.Relations = rapid.SliceOfNDistinct(rapid.SampledFrom(policy.Relations()), 0, 8, rapid.ID).Draw(t,
			"relations")
		base.Consent = rapid.SampledFrom([]policy.Consent{"payer", "both"}).Draw(t, "consent")
		base.DecideWithinSecondsMax = rapid.IntRange(5, 86_400).Draw(t, "seconds")
		base.Commitment.Text, base.Commitment.TextZH = text.Draw(t, "text"), text.Draw(t, "text_zh")
		base.Institutions = base.Institutions[:rapid.IntRange(0, len(base.Institutions)).Draw(t, "institutions")]
		return withScopes(t, base)
	})
}

func TestRulesRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := anyRules().Draw(t, "rules")
		b, err := policy.EncodeRules(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := policy.DecodeRules(b)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		again, err := policy.EncodeRules(back)
		if err != nil || !bytes.Equal(b, again) {
			t.Fatalf("%s\nbecame\n%s: %v", b, again, err)
		}
		if !json.Valid(b) || !json.Valid(r.PublicJSON()) {
			t.Fatalf("not JSON: %s", b)
		}
		// Written by another hand: other order of keys, white space, escapes; the same rules.
		var generic map[string]any
		if err := json.Unmarshal(b, &generic); err != nil {
			t.Fatal(err)
		}
		other, err := json.MarshalIndent(generic, " ", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if back, err = policy.DecodeRules(other); err != nil {
			t.Fatalf("%s: %v", other, err)
		}
		if again, err = policy.EncodeRules(back); err != nil || !bytes.Equal(b, again) {
			t.Fatalf("%s\nbecame\n%s: %v", other, again, err)
		}
	})
}

// badRules are documents made from a good one by one replacement.
var badRules = []struct{ name, old, new string }{
	{"unknown key", `"region":`, `"regoin":1,"region":`},
	{"unknown nested key", `"version":`, `"v":"1","version":`},
	{"key in capitals", `"region":`, `"Region":`},
	{"key twice", `"hotline":`, `"hotline":"010-12393","hotline":`},
	{"nested key twice", `"version":`, `"version":"1","version":`},
	{"visit limit twice", `"outpatient":"500.00"`, `"outpatient":"500.00","outpatient":"500.00"`},
	{"missing key", `"hotline":"021-12393",`, ``},
	{"null", `"021-12393"`, `null`},
	{"number as text", `900`, `"900"`},
	{"text as number", `"0.70"`, `0.70`},
	{"float", `900`, `900.0`},
	{"exponent", `900`, `9e2`},
	{"negative", `900`, `-900`},
	{"leading zero", `900`, `0900`},
	{"very long number", `900`, `900000000000000000000000`},
	{"no number", `900`, ``},
	{"array as object", `{"outpatient":"500.00"}`, `["500.00"]`},
	{"wrong money", `"500.00"`, `"500"`},
	{"wrong share", `"0.70"`, `"1.70"`},
	{"wrong date", `1999-01-01`, `1999-02-30`},
	{"trailing comma in object", `"500.00"}`, `"500.00",}`},
	{"trailing comma in array", `"vaccine",`, `"vaccine",,`},
	{"no colon", `"region":`, `"region"`},
	{"bad escape", `021-12393`, `\x21-12393`},
	{"cut escape", `021-12393`, `021-12393\u00`},
	{"half a surrogate", `021-12393`, `\ud842`},
	{"two first halves", `021-12393`, `\ud842\ud842`},
	{"control character", `021-12393`, "021\n-12393"},
	{"broken UTF-8", `021-12393`, "021\xff"},
	{"comment", `{"region"`, `/* */{"region"`},
	{"byte order mark", `{"region"`, "\ufeff{\"region\""},
	{"single quotes", `"021-12393"`, `'021-12393'`},
	{"too long text", `021-12393`, strings.Repeat("1", 100)},
	{"too many purposes", `"purposes":[`, `"purposes":[` + strings.Repeat(`"drug",`, 20)},
	{"too many limits", `{"outpatient"`, `{` + strings.Repeat(`"drug":"1.00",`, 20) + `"outpatient"`},
	{"depth", `"relations":[`, `"relations":` + strings.Repeat("[", 100_000)},
}

func TestDecodeRulesRefuses(t *testing.T) {
	t.Parallel()
	good, err := policy.EncodeRules(pilot(t, "310000"))
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(name string, data []byte) {
		if r, err := policy.DecodeRules(data); !errors.Is(err, policy.ErrRules) || r.Region != "" {
			t.Errorf("%s passed: %v", name, err)
		}
	}
	for _, c := range badRules {
		bad := bytes.Replace(good, []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(good, bad) {
			t.Errorf("%s changes nothing", c.name)
		}
		refuse(c.name, bad)
	}
	for i := range good { // every cut
		refuse("cut", good[:i])
	}
	for _, behind := range []string{"x", "{}", ",", "\x00", "null"} {
		refuse("bytes behind: "+behind, append(slices.Clone(good), behind...))
	}
	for _, other := range []string{"", " ", "null", "[]", "{}", `"a"`, "1", "{", "}", "\x00"} {
		refuse(other, []byte(other))
	}
	refuse("too long", append(slices.Clone(good), bytes.Repeat([]byte(" "), policy.RulesBytesMax)...))
	if _, err := policy.DecodeRules(append(append([]byte(" \n\t\r"), good...), " \n"...)); err != nil {
		t.Errorf("white space around is refused: %v", err)
	}
}

func TestDecodeEscapes(t *testing.T) {
	t.Parallel()
	good, err := policy.EncodeRules(pilot(t, "310000"))
	if err != nil {
		t.Fatal(err)
	}
	b := bytes.Replace(good, []byte(`"version":"2026-01"`), []byte(`"version":"\u0032026-01"`), 1)
	b = bytes.Replace(b, []byte(`"text":"`), []byte(`"text":"\"\\\/\n\uD842\uDFB7`), 1)
	r, err := policy.DecodeRules(b)
	if err != nil || r.Commitment.Version != "2026-01" || !strings.HasPrefix(r.Commitment.Text, "\"\\/\n𠮷") {
		t.Errorf("%q, %v", r.Commitment, err)
	}
}

// The largest region fits into the bound.
func TestEncodeLargest(t *testing.T) {
	t.Parallel()
	r := pilot(t, "110000")
	one := r.Institutions[0]
	one.Name = strings.Repeat("院", 20)
	r.Institutions = nil
	for i := range policy.InstitutionsMax {
		one.Code = "H1100" + strconv.Itoa(1_000_000+i)
		r.Institutions = append(r.Institutions, one)
	}
	b, err := policy.EncodeRules(r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := policy.DecodeRules(b)
	if err != nil || !back.Designated("H11001004999", "hospital", "vaccine") || back.Designated("H11001005000",
		"hospital", "vaccine") {
		t.Errorf("%d bytes: %v", len(b), err)
	}
	for i := range r.Institutions {
		r.Institutions[i].Name = strings.Repeat("院", 100)
	}
	if _, err := policy.EncodeRules(r); !errors.Is(err, policy.ErrRules) {
		t.Errorf("longer than the bound: %v", err)
	}
}

func FuzzDecodeRules(f *testing.F) {
	for _, region := range rulebook.Regions() {
		good, err := policy.EncodeRules(pilot(f, region))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(good)
		for _, c := range badRules {
			if len(c.new) < 1_000 {
				f.Add(bytes.Replace(good, []byte(c.old), []byte(c.new), 1))
			}
		}
	}
	f.Add([]byte(`{"region":"\ud83d\ude00"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := policy.DecodeRules(data)
		if err != nil {
			if !errors.Is(err, policy.ErrRules) {
				t.Fatalf("another kind of error: %v", err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("read what is not JSON: %q", data)
		}
		b, err := policy.EncodeRules(r)
		if err != nil {
			t.Fatalf("cannot encode what was read: %v", err)
		}
		back, err := policy.DecodeRules(b)
		if err != nil {
			t.Fatalf("cannot read what was encoded: %v", err)
		}
		if again, err := policy.EncodeRules(back); err != nil || !bytes.Equal(b, again) {
			t.Fatalf("%s\nbecame\n%s: %v", b, again, err)
		}
	})
}
