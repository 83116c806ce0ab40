package policy_test

import (
	"errors"
	"testing"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

func TestRuleBook(t *testing.T) {
	t.Parallel()
	version := func(from string, share money.Share) policy.Rules {
		r := pilot(t, "110000")
		r.EffectiveFrom, r.AnnualShare = day(t, from), share
		return r
	}
	book, err := policy.NewRuleBook(version("2026-07-01", 6_500), version("2025-01-01", 5_000),
		version("2026-01-01", 6_000))
	if err != nil {
		t.Fatal(err)
	}
	at := func(b policy.RuleBook, s string) money.Share {
		t.Helper()
		r, err := b.At(day(t, s))
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		return r.AnnualShare
	}
	for s, want := range map[string]money.Share{
		"2025-01-01": 5_000, "2025-12-31": 5_000, "2026-01-01": 6_000, "2026-06-30": 6_000, "2026-07-01": 6_500,
		"9999-12-31": 6_500,
	} {
		if got := at(book, s); got != want {
			t.Errorf("%s: share %s, want %s", s, got, want)
		}
	}
	if _, err := book.At(day(t, "2024-12-31")); !errors.Is(err, policy.ErrNoRules) {
		t.Errorf("before the first: %v", err)
	}
	if _, err := (policy.RuleBook{}).At(day(t, "2026-01-01")); !errors.Is(err, policy.ErrNoRules) {
		t.Errorf("an empty book: %v", err)
	}
	today := day(t, "2026-06-01")
	next, err := book.With(version("2026-07-01", 7_000), today)
	if err != nil || at(next, "2026-07-01") != 7_000 || len(next.Versions()) != 3 {
		t.Errorf("a version to come is not replaced: %v", err)
	}
	if at(book, "2026-07-01") != 6_500 {
		t.Error("With changed the old book")
	}
	next, err = next.With(version("2026-06-01", 6_100), today)
	if err != nil || at(next, "2026-06-01") != 6_100 || at(next, "2026-05-31") != 6_000 || len(next.Versions()) != 4 {
		t.Errorf("a version from today is not added: %v", err)
	}
	if _, err := book.With(version("2026-05-31", 6_100), today); !errors.Is(err, policy.ErrPast) {
		t.Errorf("a version in the past: %v", err)
	}
	other := pilot(t, "310000")
	other.EffectiveFrom = day(t, "2026-08-01")
	if _, err := book.With(other, today); !errors.Is(err, policy.ErrRules) {
		t.Errorf("another region's: %v", err)
	}
	if _, err := policy.NewRuleBook(version("2026-01-01", 1), version("2026-01-01", 2)); !errors.Is(err,
		policy.ErrRules) {
		t.Errorf("a day twice: %v", err)
	}
	many := make([]policy.Rules, policy.VersionsMax+1)
	if _, err := policy.NewRuleBook(many...); !errors.Is(err, policy.ErrVersions) {
		t.Errorf("too many: %v", err)
	}
}
