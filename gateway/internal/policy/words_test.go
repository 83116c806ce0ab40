package policy_test

import (
	"slices"
	"testing"
	"unicode"
	"unicode/utf8"

	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
)

// codeTable is api.md section 4, typed again: a renamed or moved code fails here.
var codeTable = map[int][]policy.Code{
	400: {"invalid_request", "invalid_id_number", "invalid_amount", "invalid_relation", "invalid_region"},
	401: {"unauthenticated", "stale_request"},
	403: {"forbidden", "region_mismatch"},
	404: {"not_found"},
	409: {"conflict", "wrong_state", "expired", "duplicate_grant"},
	421: {"not_home_region"},
	422: {
		"payer_scheme", "relation_not_allowed", "payer_not_insured", "beneficiary_not_insured", "region_pair_closed",
		"consent_outdated", "grant_not_active", "identity_mismatch", "kin_account", "amount_exceeds_self_borne",
		"own_account_first", "credential_mismatch", "remote_use_required", "purpose_forbidden", "purpose_not_open",
		"institution_not_designated", "balance_insufficient", "annual_quota", "retained_floor", "visit_limit",
		"payment_limit", "grant_annual_limit", "refund_exceeds_captured", "account_closed",
	},
	429: {"rate_limited"},
	501: {"not_supported"},
	502: {"core_unavailable", "region_unreachable"},
	503: {"no_leader"},
	504: {"timeout"},
}

func TestCodes(t *testing.T) {
	t.Parallel()
	count := 0
	for status, codes := range codeTable {
		for _, c := range codes {
			count++
			if !c.Valid() || c.Status() != status {
				t.Errorf("%s: status %d, want %d", c, c.Status(), status)
			}
			if c.Message() == "" || !slices.ContainsFunc([]rune(c.MessageZH()), func(r rune) bool {
				return unicode.Is(unicode.Han, r)
			}) || !utf8.ValidString(c.MessageZH()) {
				t.Errorf("%s has no text in both languages", c)
			}
			if want := status == 429 || status >= 502; c.Retryable() != want {
				t.Errorf("%s: retryable %v", c, c.Retryable())
			}
		}
	}
	all := policy.Codes()
	if len(all) != count || len(slices.Compact(slices.Sorted(slices.Values(all)))) != count {
		t.Errorf("%d codes, the page has %d", len(all), count)
	}
	unknown := policy.Code("other")
	if unknown.Valid() || unknown.Status() != 500 || unknown.Retryable() || unknown.Message() != "" ||
		unknown.MayDecline() {
		t.Error("an unknown code is known")
	}
}

func TestDeclineCodes(t *testing.T) {
	t.Parallel()
	want := []policy.Code{
		"not_found", "grant_not_active", "payer_scheme", "payer_not_insured", "relation_not_allowed",
		"region_pair_closed", "purpose_not_open", "balance_insufficient", "annual_quota", "retained_floor",
		"visit_limit", "payment_limit", "grant_annual_limit", "core_unavailable", "region_unreachable",
	}
	if got := policy.DeclineCodes(); !slices.Equal(got, want) {
		t.Errorf("DeclineCodes() = %v", got)
	}
	for _, c := range policy.Codes() {
		if c.MayDecline() != slices.Contains(want, c) {
			t.Errorf("%s: MayDecline %v", c, c.MayDecline())
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	open := []policy.Purpose{
		"outpatient", "inpatient", "emergency", "chronic", "drug", "device", "consumable", "resident_premium",
		"ltc_premium", "checkup", "vaccine", "supplementary_insurance",
	}
	if !slices.Equal(policy.Purposes(), open) {
		t.Errorf("Purposes() = %v", policy.Purposes())
	}
	never := []policy.Purpose{"public_health", "fitness", "wellness"}
	if !slices.Equal(policy.ForbiddenPurposes(), never) {
		t.Errorf("ForbiddenPurposes() = %v", policy.ForbiddenPurposes())
	}
	for _, p := range open {
		if got, err := policy.ParsePurpose(string(p), "/purpose"); err != nil || got != p || !p.Openable() ||
			p.Forbidden() {
			t.Errorf("%s: %v", p, err)
		}
	}
	for _, p := range never {
		_, err := policy.ParsePurpose(string(p), "/purpose")
		if policy.CodeOf(err) != policy.CodePurposeForbidden || p.Openable() || !p.Forbidden() {
			t.Errorf("%s: %v", p, err)
		}
	}
	for _, s := range []string{"", "Outpatient", "outpatient ", "premium", "null"} {
		_, err := policy.ParsePurpose(s, "/purpose")
		if r, ok := policy.AsRefusal(err); !ok || r.Code != policy.CodeInvalidRequest || r.Field != "/purpose" {
			t.Errorf("%q: %v", s, err)
		}
	}
	relations := []policy.Relation{
		"spouse", "parent", "child", "sibling", "paternal_grandparent", "maternal_grandparent", "paternal_grandchild",
		"maternal_grandchild",
	}
	if !slices.Equal(policy.Relations(), relations) {
		t.Errorf("Relations() = %v", policy.Relations())
	}
	if policy.Relation("cousin").Valid() || policy.Relation("").Valid() || !policy.Relation("parent").Valid() {
		t.Error("a wrong relation passes")
	}
	if !policy.KindTax.Valid() || policy.InstitutionKind("clinic").Valid() || policy.Channel("APP").Valid() ||
		!policy.ChannelCounter.Valid() || !policy.ConsentBoth.Valid() || policy.Consent("").Valid() {
		t.Error("a word is wrong")
	}
}

func TestParseHelpers(t *testing.T) {
	t.Parallel()
	good := person.Input{IDType: "01", IDNumber: "110101199003070011", Name: "张三", Region: "110000"}
	if _, err := policy.ParsePerson(good, "/payer"); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		spoil func(*person.Input)
		code  policy.Code
		field string
	}{
		{func(in *person.Input) { in.IDType = "02" }, policy.CodeInvalidRequest, "/payer/id_type"},
		{func(in *person.Input) { in.IDNumber = "1" }, policy.CodeInvalidIDNumber, "/payer/id_number"},
		{func(in *person.Input) { in.Name = "" }, policy.CodeInvalidRequest, "/payer/name"},
		{func(in *person.Input) { in.Region = "x" }, policy.CodeInvalidRegion, "/payer/region"},
	} {
		in := good
		c.spoil(&in)
		_, err := policy.ParsePerson(in, "/payer")
		if r, ok := policy.AsRefusal(err); !ok || r.Code != c.code || r.Field != c.field || r.Error() == "" {
			t.Errorf("%s: %v", c.field, err)
		}
	}
	if a, err := policy.ParseAmount("0.00", "/a"); err != nil || a != 0 {
		t.Error("0.00 is an amount")
	}
	for _, s := range []string{"0.00", "1", "-1.00", ""} {
		if _, err := policy.ParsePositive(s, "/a"); policy.CodeOf(err) != policy.CodeInvalidAmount {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := policy.ParseDay("2026-2-1", "/d"); policy.CodeOf(err) != policy.CodeInvalidRequest {
		t.Error("a wrong date passes")
	}
	if _, ok := policy.AsRefusal(person.ErrName); ok || policy.CodeOf(nil) != "" {
		t.Error("a refusal is seen where none is")
	}
}
