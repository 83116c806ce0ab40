package grant_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/policy"
)

// entry is a grant as the beneficiary's home knows it, made in the n-th second.
func entry(id string, n int64, s grant.Status) grant.Entry {
	return grant.Entry{ID: id, Status: s, CreatedAt: time.Unix(n, 0).UTC(), ValidFrom: 1}
}

func ids(entries []grant.Entry) []string {
	out := []string{}
	for _, e := range entries {
		out = append(out, e.ID)
	}
	return out
}

func own(t testing.TB) []grant.Entry {
	t.Helper()
	late := entry("late", 4, grant.StatusActive)
	late.ValidFrom = day(t, "2027-01-01")
	over := entry("over", 7, grant.StatusActive)
	over.ValidUntil = day(t, "2026-11-19")
	return []grant.Entry{
		entry("c", 3, grant.StatusActive), entry("a", 1, grant.StatusActive), entry("b", 2, grant.StatusSuspended),
		late,
		entry("pending", 5, grant.StatusPending), entry("revoked", 6, grant.StatusRevoked), over,
		entry("d", 3, grant.StatusActive), entry("ended", 8, grant.StatusEnded),
	}
}

func TestArrange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		listed, all, usable []string
	}{
		{nil, []string{"a", "b", "c", "d", "late", "pending", "revoked", "over", "ended"}, []string{"a", "c", "d"}},
		{[]string{}, []string{"a", "b", "c", "d", "late", "pending", "revoked", "over", "ended"}, []string{
			"a", "c",
			"d",
		}},
		{
			[]string{"d", "b", "a"},
			[]string{"d", "b", "a", "c", "late", "pending", "revoked", "over", "ended"},
			[]string{"d", "a", "c"},
		},
		{[]string{"gone", "d", "d", "a"}, []string{
			"d", "a", "b", "c", "late", "pending", "revoked", "over",
			"ended",
		}, []string{"d", "a", "c"}},
	} {
		before := own(t)
		got := grant.Arrange(c.listed, before)
		if !slices.Equal(ids(got), c.all) {
			t.Errorf("%v: %v, want %v", c.listed, ids(got), c.all)
		}
		if u := grant.UsableIDs(got, day(t, today)); !slices.Equal(u, c.usable) {
			t.Errorf("%v: usable %v, want %v", c.listed, u, c.usable)
		}
		if !slices.Equal(ids(before), ids(own(t))) {
			t.Error("Arrange changed its argument")
		}
	}
	if u := grant.UsableIDs(nil, day(t, today)); u == nil || len(u) != 0 {
		t.Error("no grants are an empty list, not null")
	}
}

func TestCheckOrder(t *testing.T) {
	t.Parallel()
	long := make([]string, grant.OrderMax+1)
	for i := range long {
		long[i] = fmt.Sprint(i)
	}
	for _, c := range []struct {
		name  string
		ids   []string
		code  policy.Code
		field string
	}{
		{"default", nil, "", ""},
		{"default again", []string{}, "", ""},
		{"some", []string{"d", "a"}, "", ""},
		{"suspended, pending and not yet valid ones may be listed", []string{"b", "pending", "late"}, "", ""},
		{"unknown", []string{"a", "x"}, "not_found", "/grants/1"},
		{"empty id", []string{""}, "invalid_request", "/grants/0"},
		{"twice", []string{"a", "d", "a"}, "invalid_request", "/grants/2"},
		{"unknown twice", []string{"x", "x"}, "invalid_request", "/grants/1"},
		{"too many", long, "invalid_request", "/grants"},
		{"revoked", []string{"a", "revoked"}, "grant_not_active", "/grants/1"},
		{"ended", []string{"ended"}, "grant_not_active", "/grants/0"},
		{"over since yesterday", []string{"over"}, "grant_not_active", "/grants/0"},
		{"unknown behind revoked", []string{"revoked", "x"}, "not_found", "/grants/1"},
	} {
		err := grant.CheckOrder(c.ids, own(t), day(t, today))
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		refused(t, c.name, err, c.code, c.field)
	}
}

func TestArrangeProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.IntRange(0, 30), 0, 12, rapid.ID[int]).Draw(t, "grants")
		var entries []grant.Entry
		for _, n := range names {
			made := rapid.Int64Range(0, 3).Draw(t, "made")
			entries = append(entries, entry(fmt.Sprintf("g%02d", n), made, rapid.SampledFrom(statuses).Draw(t,
				"status")))
		}
		var listed []string
		for _, n := range rapid.SliceOf(rapid.IntRange(0, 35)).Draw(t, "listed") {
			listed = append(listed, fmt.Sprintf("g%02d", n))
		}
		got := grant.Arrange(listed, entries)
		if !slices.Equal(slices.Sorted(slices.Values(ids(got))), slices.Sorted(slices.Values(ids(entries)))) {
			t.Fatalf("%v became %v", ids(entries), ids(got))
		}
		for i := 1; i < len(got); i++ {
			a, b := slices.Index(listed, got[i-1].ID), slices.Index(listed, got[i].ID)
			switch {
			case a >= 0 && b >= 0 && a > b, a < 0 && b >= 0:
				t.Fatalf("%v: %v", listed, ids(got))
			case a < 0 && b < 0 && got[i-1].CreatedAt.After(got[i].CreatedAt):
				t.Fatalf("not as they were made: %v", ids(got))
			}
		}
		slices.Reverse(entries) // the order in which the state yields them does not matter
		if !slices.Equal(ids(got), ids(grant.Arrange(listed, entries))) {
			t.Fatal("the order of the argument shows")
		}
	})
}
