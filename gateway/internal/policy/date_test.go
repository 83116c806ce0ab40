package policy_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gongji/gateway/internal/policy"
)

// day reads a date that a test is sure of.
func day(t testing.TB, s string) policy.Date {
	t.Helper()
	d, err := policy.ParseDate(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return d
}

var badDates = []string{
	"", "2026-11-2", "2026-1-02", "26-11-20", "2026/11/20", "20261120", "2026-11-20 ", " 2026-11-20", "2026-11-20T00",
	"2026-13-01", "2026-00-01", "2026-01-00", "2026-01-32", "2026-02-29", "2100-02-29", "2026-04-31", "0000-01-01",
	"-001-01-01", "2026-+1-01", "2026-11-２", "２０26-01-01", "2026--1-1",
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"0001-01-01", "1582-10-10", "1969-12-31", "1970-01-01", "2000-02-29", "2024-02-29",
		"9999-12-31",
	} {
		d := day(t, s)
		if d.String() != s || !d.Valid() {
			t.Errorf("%s prints %s", s, d)
		}
		std, err := time.Parse(time.DateOnly, s)
		if err != nil || d.Year() != std.Year() || policy.Day(std.Add(-8*time.Hour)) != d {
			t.Errorf("%s is not package time's day", s)
		}
	}
	if day(t, "0001-01-01") != 1 {
		t.Error("days are counted from 0001-01-01")
	}
	for _, s := range badDates {
		if d, err := policy.ParseDate(s); !errors.Is(err, policy.ErrDate) || d != 0 {
			t.Errorf("ParseDate(%q) = %s, %v", s, d, err)
		}
	}
	var none policy.Date
	if none.String() != "" || none.Valid() || none.Year() != 0 || none.AddDays(1) != 0 || !none.Start().IsZero() {
		t.Error("the zero date is no date")
	}
}

func TestNewDate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		y  int
		m  time.Month
		d  int
		ok bool
	}{
		{2026, 11, 20, true},
		{0, 1, 1, false},
		{10_000, 1, 1, false},
		{2026, 0, 1, false},
		{2026, 13, 1, false},
		{2026, 2, 29, false},
		{2024, 2, 29, true},
		{2026, 1, 0, false},
		{2026, 1, 32, false},
		{-1 << 62, 1, 1, false},
	} {
		if _, err := policy.NewDate(c.y, c.m, c.d); c.ok != (err == nil) {
			t.Errorf("NewDate(%d, %d, %d): %v", c.y, c.m, c.d, err)
		}
	}
}

// The business day turns at midnight in Beijing, which is 16:00 UTC.
func TestDayOfInstant(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"2026-11-20T15:59:59.999999Z": "2026-11-20", "2026-11-20T16:00:00Z": "2026-11-21",
		"2026-12-31T15:59:59Z": "2026-12-31", "2026-12-31T16:00:00Z": "2027-01-01",
		"2026-12-31T23:00:00+08:00": "2026-12-31",
		"1969-12-31T15:59:59Z":      "1969-12-31", "1969-12-31T16:00:00Z": "1970-01-01",
		"1960-02-29T01:00:00Z":      "1960-02-29",
		"2027-01-01T05:00:00+14:00": "2026-12-31",
	} {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		if got := policy.Day(at).String(); got != want {
			t.Errorf("Day(%s) = %s, want %s", s, got, want)
		}
		if got := policy.Year(at); got != day(t, want).Year() {
			t.Errorf("Year(%s) = %d", s, got)
		}
	}
	for _, far := range []time.Time{{}, time.Unix(-1<<40, 0), time.Unix(1<<40, 0)} {
		if d := policy.Day(far); d != 0 && !d.Valid() {
			t.Errorf("Day(%v) = %d", far, d)
		}
	}
	if got := policy.Day(time.Unix(1<<40, 0)); got != 0 {
		t.Errorf("a day after 9999 is %d", got)
	}
}

func TestDateProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := policy.Date(rapid.Int32Range(1, 3_652_059).Draw(t, "day"))
		if back, err := policy.ParseDate(d.String()); err != nil || back != d {
			t.Fatalf("%d prints %s, which reads as %d, %v", d, d, back, err)
		}
		start := d.Start()
		if policy.Day(start) != d || policy.Day(start.Add(-time.Nanosecond)) != d-1 || start.Year() != d.Year() {
			t.Fatalf("%s starts at %s", d, start)
		}
		if policy.Day(start.Add(24*time.Hour-1)) != d {
			t.Fatalf("%s ends early", d)
		}
		n := rapid.IntRange(-4_000_000, 4_000_000).Draw(t, "n")
		want := start.AddDate(0, 0, n).In(policy.Beijing())
		if got := d.AddDays(n); got.Valid() && got.String() != want.Format(time.DateOnly) {
			t.Fatalf("%s + %d = %s, want %s", d, n, got, want)
		} else if !got.Valid() && want.Year() >= 1 && want.Year() <= 9999 {
			t.Fatalf("%s + %d is none, want %s", d, n, want)
		}
		var read policy.Date
		text, err := d.MarshalText()
		if err != nil || read.UnmarshalText(text) != nil || read != d {
			t.Fatalf("%s does not come back from %s", d, text)
		}
	})
}

func FuzzParseDate(f *testing.F) {
	for _, s := range append([]string{"2026-11-20", "0001-01-01"}, badDates...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := policy.ParseDate(s)
		std, stdErr := time.Parse(time.DateOnly, s)
		ok := stdErr == nil && std.Year() > 0
		if ok != (err == nil) || ok && d.String() != s {
			t.Fatalf("ParseDate(%q) = %s, %v; package time: %v", s, d, err, stdErr)
		}
	})
}
