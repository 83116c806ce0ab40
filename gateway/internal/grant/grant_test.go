package grant_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
)

const digest = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"

// day reads a date that a test is sure of.
func day(t testing.TB, s string) policy.Date {
	t.Helper()
	d, err := policy.ParseDate(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return d
}

// noon is an instant within a Beijing day.
func noon(t testing.TB, s string) time.Time {
	t.Helper()
	return day(t, s).Start().Add(12 * time.Hour).UTC()
}

// refused demands a refusal with a code and, if given, a field.
func refused(t testing.TB, what string, err error, code policy.Code, field string) {
	t.Helper()
	r, ok := policy.AsRefusal(err)
	if !ok || r.Code != code || field != "" && r.Field != field {
		t.Errorf("%s: %v, want %s at %q", what, err, code, field)
	}
}

// input is the request of api.md section 2.
func input() grant.Input {
	return grant.Input{
		Payer:       person.Input{IDType: "01", IDNumber: "110101199003070011", Name: "张三", Region: "110000"},
		Beneficiary: person.Input{IDType: "01", IDNumber: "11010519491231002x", Name: "张大", Region: "350100"},
		Relation:    "parent", Channel: "national_app",
		Consent:   grant.Consent{Version: "2026-01", Digest: digest, Signature: "MEUCIQ=="},
		Proofs:    []grant.Proof{{Kind: "household_register", Digest: digest}},
		ValidFrom: "2026-11-01", ValidUntil: new("2027-10-31"),
		PerPaymentLimit: new("300.00"), AnnualLimit: new("1000.00"), Funding: new("balance"),
	}
}

const today = "2026-11-20"

func TestParse(t *testing.T) {
	t.Parallel()
	r, err := grant.Parse(input(), day(t, today))
	if err != nil {
		t.Fatal(err)
	}
	if r.Payer.Region != "110000" || r.Beneficiary.Number.Clear() != "11010519491231002X" {
		t.Error("a person was lost")
	}
	terms := r.Terms
	if terms.Relation != "parent" || terms.Channel != "national_app" || terms.Funding != "balance" ||
		terms.Consent != input().Consent || len(terms.Proofs) != 1 || terms.Proofs[0] != input().Proofs[0] ||
		terms.ValidFrom != day(t, "2026-11-01") || terms.ValidUntil != day(t, "2027-10-31") ||
		terms.PerPaymentLimit != 300_00 || terms.AnnualLimit != 1000_00 || terms.ClerkID != "" ||
		terms.ScanDigest != "" {
		t.Errorf("terms %+v", terms)
	}
	in := input()
	in.ValidUntil, in.PerPaymentLimit, in.AnnualLimit, in.Funding, in.Proofs = nil, nil, nil, nil, nil
	r, err = grant.Parse(in, day(t, today))
	if err != nil || r.Terms.ValidUntil != 0 || r.Terms.PerPaymentLimit != 0 || r.Terms.AnnualLimit != 0 ||
		r.Terms.Funding != grant.FundingBalance || r.Terms.Proofs != nil {
		t.Errorf("without the optional ones: %+v, %v", r.Terms, err)
	}
	in = input()
	in.Funding, in.Limit = new("virtual_limit"), new("9.00")
	if r, err = grant.Parse(in, day(t, today)); err != nil || r.Terms.Limit != 9_00 ||
		r.Terms.Funding != grant.FundingVirtualLimit {
		t.Errorf("a virtual limit: %+v, %v", r.Terms, err)
	}
	in = input()
	in.Channel, in.ClerkID, in.ScanDigest = "counter", new("c-17"), new(strings.ToUpper(digest))
	if r, err = grant.Parse(in, day(t, today)); err != nil || r.Terms.ClerkID != "c-17" || r.Terms.ScanDigest == "" {
		t.Errorf("at a counter: %v", err)
	}
	for _, s := range []string{"spouse", "child", "sibling", "paternal_grandparent", "maternal_grandchild"} {
		in = input()
		in.Relation = s
		if _, err = grant.Parse(in, day(t, today)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// badInputs are requests that api.md refuses with a 400 or 501, each wrong in one thing.
var badInputs = []struct {
	name  string
	spoil func(*grant.Input)
	code  policy.Code
	field string
}{
	{"payer id_type", func(in *grant.Input) { in.Payer.IDType = "02" }, "invalid_request", "/payer/id_type"},
	{
		"payer number", func(in *grant.Input) { in.Payer.IDNumber = "110101199003070012" }, "invalid_id_number",
		"/payer/id_number",
	},
	{"payer name", func(in *grant.Input) { in.Payer.Name = "" }, "invalid_request", "/payer/name"},
	{"payer region", func(in *grant.Input) { in.Payer.Region = "11" }, "invalid_region", "/payer/region"},
	{
		"beneficiary number", func(in *grant.Input) { in.Beneficiary.IDNumber = "" }, "invalid_id_number",
		"/beneficiary/id_number",
	},
	{
		"beneficiary name", func(in *grant.Input) { in.Beneficiary.Name = "\x00" }, "invalid_request",
		"/beneficiary/name",
	},
	{
		"beneficiary region", func(in *grant.Input) { in.Beneficiary.Region = "" }, "invalid_region",
		"/beneficiary/region",
	},
	{"relation", func(in *grant.Input) { in.Relation = "cousin" }, "invalid_relation", "/relation"},
	{"relation in capitals", func(in *grant.Input) { in.Relation = "Parent" }, "invalid_relation", "/relation"},
	{"no relation", func(in *grant.Input) { in.Relation = "" }, "invalid_relation", "/relation"},
	{"payer is beneficiary", func(in *grant.Input) { in.Beneficiary = in.Payer }, "invalid_relation", ""},
	{"payer is beneficiary, other name and region", func(in *grant.Input) {
		in.Payer.IDNumber = "11010519491231002X"
	}, "invalid_relation", ""},
	{"channel", func(in *grant.Input) { in.Channel = "fax" }, "invalid_request", "/channel"},
	{
		"counter without clerk", func(in *grant.Input) { in.Channel = "counter"; in.ScanDigest = new(digest) },
		"invalid_request", "/clerk_id",
	},
	{
		"counter without scan", func(in *grant.Input) { in.Channel = "counter"; in.ClerkID = new("c") },
		"invalid_request", "/scan_digest",
	},
	{"clerk without counter", func(in *grant.Input) { in.ClerkID = new("c") }, "invalid_request", "/clerk_id"},
	{"scan without counter", func(in *grant.Input) { in.ScanDigest = new(digest) }, "invalid_request", "/scan_digest"},
	{
		"clerk empty", func(in *grant.Input) { in.Channel = "counter"; in.ClerkID = new("") }, "invalid_request",
		"/clerk_id",
	},
	{
		"clerk's form", func(in *grant.Input) { in.Channel = "counter"; in.ClerkID = new("张") }, "invalid_request",
		"/clerk_id",
	},
	{
		"scan's form", func(in *grant.Input) { in.Channel = "counter"; in.ScanDigest = new("ab") }, "invalid_request",
		"/scan_digest",
	},
	{"no version", func(in *grant.Input) { in.Consent.Version = "" }, "invalid_request", "/consent/version"},
	{"no digest", func(in *grant.Input) { in.Consent.Digest = "" }, "invalid_request", "/consent/digest"},
	{"no signature", func(in *grant.Input) { in.Consent.Signature = "" }, "invalid_request", "/consent/signature"},
	{
		"signature's form", func(in *grant.Input) { in.Consent.Signature = "MEUC*Q==" }, "invalid_request",
		"/consent/signature",
	},
	{
		"signature cut", func(in *grant.Input) { in.Consent.Signature = "MEUCIQ=" }, "invalid_request",
		"/consent/signature",
	},
	{
		"signature of padding", func(in *grant.Input) { in.Consent.Signature = "====" }, "invalid_request",
		"/consent/signature",
	},
	{
		"signature in url form", func(in *grant.Input) { in.Consent.Signature = "ab-_" }, "invalid_request",
		"/consent/signature",
	},
	{
		"signature with a line end", func(in *grant.Input) { in.Consent.Signature = "MEU\n" }, "invalid_request",
		"/consent/signature",
	},
	{
		"signature too long", func(in *grant.Input) { in.Consent.Signature = strings.Repeat("AAAA", 2049) },
		"invalid_request", "/consent/signature",
	},
	{"too many proofs", func(in *grant.Input) { in.Proofs = make([]grant.Proof, 17) }, "invalid_request", "/proofs"},
	{"proof's kind", func(in *grant.Input) { in.Proofs[0].Kind = "" }, "invalid_request", "/proofs/0/kind"},
	{
		"proof's digest", func(in *grant.Input) { in.Proofs[0].Digest = digest[1:] }, "invalid_request",
		"/proofs/0/digest",
	},
	{
		"proof's digest no hex", func(in *grant.Input) { in.Proofs[0].Digest = "g" + digest[1:] }, "invalid_request",
		"/proofs/0/digest",
	},
	{"no valid_from", func(in *grant.Input) { in.ValidFrom = "" }, "invalid_request", "/valid_from"},
	{"valid_from", func(in *grant.Input) { in.ValidFrom = "2026-11-31" }, "invalid_request", "/valid_from"},
	{"valid_until", func(in *grant.Input) { in.ValidUntil = new("2027-1-1") }, "invalid_request", "/valid_until"},
	{"until empty", func(in *grant.Input) { in.ValidUntil = new("") }, "invalid_request", "/valid_until"},
	{"until before from", func(in *grant.Input) { in.ValidFrom = "2027-11-01" }, "invalid_request", "/valid_until"},
	{"until yesterday", func(in *grant.Input) { in.ValidUntil = new("2026-11-19") }, "invalid_request", "/valid_until"},
	{
		"per_payment_limit", func(in *grant.Input) { in.PerPaymentLimit = new("300") }, "invalid_amount",
		"/per_payment_limit",
	},
	{
		"per_payment_limit 0", func(in *grant.Input) { in.PerPaymentLimit = new("0.00") }, "invalid_amount",
		"/per_payment_limit",
	},
	{"annual_limit 0", func(in *grant.Input) { in.AnnualLimit = new("0.00") }, "invalid_amount", "/annual_limit"},
	{
		"annual_limit negative", func(in *grant.Input) { in.AnnualLimit = new("-1.00") }, "invalid_amount",
		"/annual_limit",
	},
	{"funding", func(in *grant.Input) { in.Funding = new("credit") }, "invalid_request", "/funding"},
	{"limit of a balance", func(in *grant.Input) { in.Limit = new("1.00") }, "invalid_request", "/limit"},
	{
		"virtual limit without limit", func(in *grant.Input) { in.Funding = new("virtual_limit") }, "invalid_request",
		"/limit",
	},
	{
		"virtual limit 0", func(in *grant.Input) { in.Funding, in.Limit = new("virtual_limit"), new("0.00") },
		"invalid_amount", "/limit",
	},
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range badInputs {
		in := input()
		c.spoil(&in)
		_, err := grant.Parse(in, day(t, today))
		refused(t, c.name, err, c.code, c.field)
		if r, ok := policy.AsRefusal(err); ok && r.Code.Status() != 400 && r.Code != policy.CodeNotSupported {
			t.Errorf("%s: Parse may answer 400s only", c.name)
		}
	}
	in := input()
	in.ValidUntil = new(today) // today itself is right, as is a start in the past or far ahead
	if _, err := grant.Parse(in, day(t, today)); err != nil {
		t.Errorf("until today: %v", err)
	}
	in = input()
	in.ValidFrom, in.ValidUntil = "2030-01-01", new("2030-01-01")
	if _, err := grant.Parse(in, day(t, today)); err != nil {
		t.Errorf("one day in 2030: %v", err)
	}
}

// facts with which a grant is made.
func facts(t testing.TB) grant.Facts {
	t.Helper()
	rules, err := rulebook.BuiltIn("110000")
	if err != nil {
		t.Fatal(err)
	}
	return grant.Facts{
		ID: "g-1", Payer: "p-1", Beneficiary: "p-2", PayerRegion: "110000", BeneficiaryRegion: "350100",
		PayerStanding:       policy.Standing{Known: true, Scheme: 310, Status: 1},
		BeneficiaryStanding: policy.Standing{Known: true, Scheme: 390, Status: 1},
		Rules:               &rules, CommitmentDigest: digest, PairOpen: true, At: noon(t, today),
	}
}

func terms(t testing.TB) grant.Terms {
	t.Helper()
	r, err := grant.Parse(input(), day(t, today))
	if err != nil {
		t.Fatal(err)
	}
	return r.Terms
}

// made is the grant of api.md section 2.
func made(t testing.TB) grant.Grant {
	t.Helper()
	g, err := grant.New(terms(t), facts(t))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestNew(t *testing.T) {
	t.Parallel()
	g := made(t)
	if g.ID != "g-1" || g.Payer != "p-1" || g.Beneficiary != "p-2" || g.PayerRegion != "110000" ||
		g.BeneficiaryRegion != "350100" || g.Status != grant.StatusActive || g.Version != 1 ||
		!g.CreatedAt.Equal(noon(t, today)) || !g.ChangedAt.Equal(g.CreatedAt) || g.Terms.PerPaymentLimit != 300_00 {
		t.Errorf("%+v", g)
	}
	f := facts(t)
	f.BothConsents = true
	if g, err := grant.New(terms(t), f); err != nil || g.Status != grant.StatusPending {
		t.Errorf("a pair that asks for both consents: %s, %v", g.Status, err)
	}
	f = facts(t)
	f.Rules.Consent = policy.ConsentBoth
	if g, err := grant.New(terms(t), f); err != nil || g.Status != grant.StatusPending {
		t.Errorf("rules that ask for both consents: %s, %v", g.Status, err)
	}
}

// The first failing check answers: each case spoils one more thing, from the last to the first.
func TestNewOrderOfChecks(t *testing.T) {
	t.Parallel()
	f, in := facts(t), terms(t)
	for _, c := range []struct {
		code  policy.Code
		field string
		spoil func()
	}{
		{"duplicate_grant", "", func() { f.Duplicate = true }},
		{"consent_outdated", "/consent", func() { in.Consent.Digest = strings.Repeat("0", 64) }},
		{"region_pair_closed", "", func() { f.PairOpen = false }},
		{"relation_not_allowed", "/relation", func() { f.Rules.Relations = []policy.Relation{"spouse", "child"} }},
		{"beneficiary_not_insured", "", func() { f.BeneficiaryStanding.Status = 2 }},
		{"identity_mismatch", "/beneficiary", func() { f.BeneficiaryStanding = policy.Standing{} }},
		{"payer_not_insured", "", func() { f.PayerStanding.Status = 4 }},
		{"payer_scheme", "", func() { f.PayerStanding.Scheme = 390 }},
		{"identity_mismatch", "/payer", func() { f.PayerStanding = policy.Standing{} }},
		{"invalid_relation", "/beneficiary", func() { f.Beneficiary = f.Payer }},
		{"invalid_request", "/valid_until", func() { in.ValidUntil = day(t, "2026-11-19") }},
		{"invalid_request", "/limit", func() { in.Funding = grant.FundingVirtualLimit }},
		{"invalid_relation", "/relation", func() { in.Relation = "friend" }},
	} {
		c.spoil()
		g, err := grant.New(in, f)
		refused(t, string(c.code), err, c.code, c.field)
		if g.ID != "" {
			t.Errorf("%s: a grant is made", c.code)
		}
	}
	f = facts(t)
	in = terms(t)
	in.Consent.Version = "2025-01"
	_, err := grant.New(in, f)
	refused(t, "another version", err, "consent_outdated", "/consent")
	in = terms(t)
	in.Consent.Digest = strings.ToUpper(digest)
	_, err = grant.New(in, f)
	refused(t, "upper case digest", err, "consent_outdated", "/consent")
	f.Rules = nil
	_, err = grant.New(terms(t), f)
	refused(t, "no rules", err, "relation_not_allowed", "")
	_, err = grant.New(grant.Terms{}, grant.Facts{})
	refused(t, "nothing at all", err, "invalid_relation", "")
}

// Terms from a log that Parse never saw are checked again.
func TestTermsCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spoil func(*grant.Terms)
		code  policy.Code
		field string
	}{
		{func(x *grant.Terms) { x.Channel = "" }, "invalid_request", "/channel"},
		{func(x *grant.Terms) { x.Channel = "counter" }, "invalid_request", "/clerk_id"},
		{func(x *grant.Terms) { x.ScanDigest = digest }, "invalid_request", "/scan_digest"},
		{func(x *grant.Terms) { x.ValidFrom = 0 }, "invalid_request", "/valid_from"},
		{func(x *grant.Terms) { x.ValidUntil = -5 }, "invalid_request", "/valid_until"},
		{func(x *grant.Terms) { x.PerPaymentLimit = -1 }, "invalid_amount", "/per_payment_limit"},
		{func(x *grant.Terms) { x.AnnualLimit = 1 << 62 }, "invalid_amount", "/annual_limit"},
		{func(x *grant.Terms) { x.Funding = "" }, "invalid_request", "/funding"},
	} {
		x := terms(t)
		c.spoil(&x)
		refused(t, c.field, x.Check(day(t, today)), c.code, c.field)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("110101199003070011", "张三", "parent", "counter", "2026-01", digest, "MEUCIQ==", "2026-11-01",
		"2027-10-31", "300.00", "balance")
	f.Add("", "", "", "", "", "", "", "", "", "", "")
	f.Fuzz(func(t *testing.T, number, name, relation, channel, version, dig, signature, from, until, limit,
		funding string,
	) {
		in := input()
		in.Payer.IDNumber, in.Payer.Name, in.Relation, in.Channel = number, name, relation, channel
		in.Consent = grant.Consent{Version: version, Digest: dig, Signature: signature}
		in.ValidFrom, in.ValidUntil, in.PerPaymentLimit, in.Funding = from, &until, &limit, &funding
		in.ClerkID, in.ScanDigest, in.Limit = &name, &dig, &limit
		now := day(t, today)
		r, err := grant.Parse(in, now)
		if err != nil {
			if rf, ok := policy.AsRefusal(err); !ok || strings.Contains(rf.Error(), "110101") {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if err := r.Terms.Check(now); err != nil {
			t.Fatalf("Parse lets pass what Check refuses: %v", err)
		}
		if _, err := base64.StdEncoding.DecodeString(signature); err != nil {
			t.Fatalf("signature %q passed: %v", signature, err)
		}
		if r.Terms.ValidUntil < now || r.Terms.ValidUntil < r.Terms.ValidFrom || r.Terms.PerPaymentLimit <= 0 {
			t.Fatalf("terms %+v", r.Terms)
		}
	})
}

// A signature as a channel makes it passes, whatever its bytes.
func TestSignatureForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := input()
		in.Consent.Signature = base64.StdEncoding.EncodeToString(rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t,
			"signature"))
		if _, err := grant.Parse(in, policy.Day(time.Unix(1_795_000_000, 0))); err != nil {
			t.Fatalf("%q: %v", in.Consent.Signature, err)
		}
	})
}
