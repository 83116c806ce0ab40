package adapters_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gongji/adapters"
)

func TestBusinessYear(t *testing.T) {
	t.Parallel()
	midnight := time.Date(2026, 12, 31, 16, 0, 0, 0, time.UTC)
	for at, want := range map[time.Time]int{
		midnight.Add(-time.Nanosecond): 2026,
		midnight:                       2027,
		midnight.In(time.FixedZone("elsewhere", -10*3600)): 2027,
		midnight.Add(365*24*time.Hour - time.Nanosecond):   2027,
		midnight.Add(365 * 24 * time.Hour):                 2028,
		time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC):       2028,
	} {
		if got := adapters.BusinessYear(at); got != want {
			t.Errorf("%v lies in %d, want %d", at, got, want)
		}
	}
}

func TestInYear(t *testing.T) {
	t.Parallel()
	a := adapters.Account{Scheme: 310, Status: 1, Balance: 70, Held: 20, Year: 2026, Opening: 100, Credited: 5}
	for _, year := range []int{0, 2025, 2026} {
		if a.InYear(year) != a {
			t.Errorf("the account changed in %d: %+v", year, a.InYear(year))
		}
	}
	want := a
	want.Year, want.Opening, want.Provisional, want.Credited = 2027, 70, true, 0
	if got := a.InYear(2027); got != want || got.InYear(2027) != want {
		t.Errorf("in a new year %+v, want %+v", got, want)
	}
}

// TestPublish: what a provisional opening has above the published one came in since the year began.
func TestPublish(t *testing.T) {
	t.Parallel()
	a := adapters.Account{Balance: 90, Year: 2026, Opening: 100, Provisional: true, Credited: 7}
	want := a
	want.Opening, want.Provisional, want.Credited = 60, false, 47
	if got := a.Publish(60); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	want.Opening, want.Credited = 130, 7
	if got := a.Publish(130); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestReasonOf(t *testing.T) {
	t.Parallel()
	refused := &adapters.RefusedError{Reason: adapters.ReasonBalance}
	if got := adapters.ReasonOf(fmt.Errorf("settle: %w", refused)); got != adapters.ReasonBalance {
		t.Errorf("reason of a wrapped refusal is %q", got)
	}
	for _, err := range []error{nil, adapters.ErrUnknown, errors.New("refused: balance")} {
		if got := adapters.ReasonOf(err); got != "" {
			t.Errorf("%v has the reason %q", err, got)
		}
	}
	if !strings.Contains(refused.Error(), "balance") {
		t.Errorf("the error hides its reason: %v", refused)
	}
}

func TestAdmitted(t *testing.T) {
	t.Parallel()
	for _, one := range []bool{false, true} {
		for _, two := range []bool{false, true} {
			c := adapters.Capabilities{NativeHolds: true, RemembersRefusals: one, ReleaseIsFinal: two}
			if c.Admitted() != (one || two) {
				t.Errorf("%+v admitted: %v", c, c.Admitted())
			}
		}
	}
}

func TestHoldState(t *testing.T) {
	t.Parallel()
	names := []string{"none", "open", "captured", "released", "refused", "HoldState(5)"}
	for number, name := range names {
		if got := adapters.HoldState(number).String(); got != name {
			t.Errorf("state %d is %q, want %q: the numbers are stored", number, got, name)
		}
	}
}

// TestPersonHides holds that no printing or logging of a person shows the identity.
func TestPersonHides(t *testing.T) {
	t.Parallel()
	p := adapters.Person{IDType: "01", Number: "110101199003070017", Name: "synthetic"}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %v", p, p, p, p, struct{ P adapters.Person }{p})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", slog.Any("person", p))
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", slog.Any("person", p))
	if strings.Contains(out.String(), p.Number) || strings.Contains(out.String(), p.Name) {
		t.Errorf("an identity was shown: %s", out.String())
	}
}
