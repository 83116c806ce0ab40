package money_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"testing"

	"pgregory.net/rapid"

	"gongji/gateway/internal/money"
)

// form is the API's own expression (api.md section 1), which the code does not use.
var form = regexp.MustCompile(`^(0|[1-9][0-9]{0,11})\.[0-9]{2}$`)

func TestParse(t *testing.T) {
	t.Parallel()
	for s, fen := range map[string]int64{
		"0.00": 0, "0.01": 1, "0.10": 10, "1.00": 100, "500.00": 50_000, "4084.00": 408_400,
		"999999999999.99": int64(money.Max), "100000000000.05": 10_000_000_000_005,
	} {
		a, err := money.Parse(s)
		if err != nil || a.Fen() != fen {
			t.Errorf("Parse(%q) = %d, %v; want %d", s, a.Fen(), err, fen)
		}
		if a.String() != s {
			t.Errorf("%d.String() = %q, want %q", fen, a.String(), s)
		}
	}
}

// Everything that some parser of decimals takes and the API does not.
var notMoney = []string{
	"", ".", "0", "1", "00.00", "01.00", "0.0", "0.000", ".00", "1.", "1,00", "1.0.0", "+1.00", "-1.00", "-0.00",
	" 1.00", "1.00 ", "1.00\n", "1e2", "1.e2", "1.0e", "0x1.00", "NaN", "Inf", "1_000.00", "1,000.00", "１.００",
	"1000000000000.00", "9999999999999.99", "1.٠٠", "null", "1.00\x00", "\"1.00\"", "1.-1", "1.+1", "--.00",
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range notMoney {
		if a, err := money.Parse(s); !errors.Is(err, money.ErrForm) || a != 0 {
			t.Errorf("Parse(%q) = %v, %v; want ErrForm", s, a, err)
		}
	}
}

func TestStringOfAnyInt(t *testing.T) {
	t.Parallel()
	for a, want := range map[money.Amount]string{
		-1: "-0.01", -100: "-1.00", -12_345: "-123.45",
		math.MaxInt64: "92233720368547758.07", math.MinInt64: "-92233720368547758.08",
	} {
		if got := a.String(); got != want {
			t.Errorf("%d.String() = %q, want %q", int64(a), got, want)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	type doc struct {
		Amount money.Amount `json:"amount"`
		Share  money.Share  `json:"share"`
	}
	b, err := json.Marshal(doc{Amount: 12_345, Share: 6_000})
	if err != nil || string(b) != `{"amount":"123.45","share":"0.60"}` {
		t.Fatalf("Marshal = %s, %v", b, err)
	}
	var d doc
	if err := json.Unmarshal(b, &d); err != nil || d.Amount != 12_345 || d.Share != 6_000 {
		t.Fatalf("Unmarshal = %+v, %v", d, err)
	}
	for _, bad := range []string{`{"amount":1.00}`, `{"amount":"1"}`, `{"share":"1.01"}`, `{"share":0.6}`} {
		if err := json.Unmarshal([]byte(bad), &d); err == nil {
			t.Errorf("Unmarshal(%s) passed", bad)
		}
	}
	if d.Amount != 12_345 || d.Share != 6_000 {
		t.Errorf("a failure changed the value: %+v", d)
	}
}

func TestFromFen(t *testing.T) {
	t.Parallel()
	for fen, ok := range map[int64]bool{
		0: true, 1: true, int64(money.Max): true,
		-1: false, int64(money.Max) + 1: false, math.MaxInt64: false, math.MinInt64: false,
	} {
		a, err := money.FromFen(fen)
		if ok != (err == nil) || ok && a.Fen() != fen || !ok && !errors.Is(err, money.ErrRange) {
			t.Errorf("FromFen(%d) = %v, %v", fen, a, err)
		}
	}
}

// edges are the amounts at which arithmetic goes wrong first.
var edges = []money.Amount{
	0, 1, 2, 99, 100, 101, 50_000, money.Max - 1, money.Max, money.Max + 1, -1, math.MaxInt64, math.MinInt64,
}

// anyAmount draws edges and all that lies between.
func anyAmount() *rapid.Generator[money.Amount] {
	return rapid.OneOf(rapid.SampledFrom(edges), rapid.Map(rapid.Int64(), func(v int64) money.Amount {
		return money.Amount(v)
	}), rapid.Map(rapid.Int64Range(0, int64(money.Max)), func(v int64) money.Amount { return money.Amount(v) }))
}

// inDomain tells whether v is an amount of the domain.
func inDomain(v *big.Int) bool {
	return v.Sign() >= 0 && v.Cmp(big.NewInt(int64(money.Max))) <= 0
}

func TestArithmeticAgainstBig(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyAmount().Draw(t, "a"), anyAmount().Draw(t, "b")
		x, y := big.NewInt(a.Fen()), big.NewInt(b.Fen())
		operands := inDomain(x) && inDomain(y)
		check := func(what string, got money.Amount, err error, want *big.Int) {
			if ok := operands && inDomain(want); ok != (err == nil) {
				t.Fatalf("%s: error %v, want ok %v", what, err, ok)
			} else if ok && want.Cmp(big.NewInt(got.Fen())) != 0 {
				t.Fatalf("%s = %d, want %s", what, got.Fen(), want)
			} else if !ok && (got != 0 || !errors.Is(err, money.ErrRange)) {
				t.Fatalf("%s = %d, %v; want ErrRange", what, got.Fen(), err)
			}
		}
		sum, err := a.Add(b)
		check("Add", sum, err, new(big.Int).Add(x, y))
		diff, err := a.Sub(b)
		check("Sub", diff, err, new(big.Int).Sub(x, y))
		total, err := money.Sum(a, b)
		check("Sum", total, err, new(big.Int).Add(x, y))
		less := a.Less(b)
		if less < 0 || less > max(a, 0) {
			t.Fatalf("%d less %d = %d leaves 0 to a", a, b, less)
		}
		if operands && a >= b && less != a-b || operands && a < b && less != 0 {
			t.Fatalf("%d less %d = %d", a, b, less)
		}
		if money.Min(a, b)+money.Larger(a, b) != a+b || money.Min(a, b) > money.Larger(a, b) {
			t.Fatal("Min and Larger are not the two")
		}
	})
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := money.Amount(rapid.Int64Range(0, int64(money.Max)).Draw(t, "fen"))
		s := a.String()
		if !form.MatchString(s) {
			t.Fatalf("%q has not the form", s)
		}
		if back, err := money.Parse(s); err != nil || back != a {
			t.Fatalf("Parse(%q) = %d, %v; want %d", s, back, err, a)
		}
	})
}

func TestShareParse(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]money.Share{
		"0": 0, "0.0": 0, "0.00": 0, "0.6": 6000, "0.60": 6000, "0.7": 7000, "0.605": 6050, "0.0001": 1,
		"0.9999": 9999, "1": 10_000, "1.0": 10_000, "1.0000": 10_000,
	} {
		got, err := money.ParseShare(s)
		if err != nil || got != want || !got.Valid() {
			t.Errorf("ParseShare(%q) = %d, %v; want %d", s, got, err, want)
		}
		if again, err := money.ParseShare(got.String()); err != nil || again != got {
			t.Errorf("ParseShare(%q) = %d, %v; want %d", got.String(), again, err, got)
		}
	}
	for _, s := range []string{
		"", ".", "0.", ".6", "1.", "1.0001", "1.1", "2", "00.6", "0.60000", "-0.6", "+0.6", "0,6", "60%", "6e-1",
		"0.6 ", " 0.6", "0x1", "1e0", "NaN", "0.６",
	} {
		if got, err := money.ParseShare(s); !errors.Is(err, money.ErrShare) || got != 0 {
			t.Errorf("ParseShare(%q) = %v, %v; want ErrShare", s, got, err)
		}
	}
	for s, want := range map[money.Share]string{
		0: "0.00", 1: "0.0001", 6000: "0.60", 6050: "0.605", 6055: "0.6055", 10_000: "1.00", -6000: "-0.60",
	} {
		if s.String() != want {
			t.Errorf("Share(%d).String() = %q, want %q", s, s.String(), want)
		}
	}
}

func TestShareOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		share money.Share
		of    money.Amount
		want  money.Amount
	}{
		{6000, 1, 0}, // 60 % of one fen is nothing
		{6000, 2, 1}, // 1.2 fen
		{7000, 3, 2}, // 2.1 fen
		{9999, 10_000, 9999},
		{9999, 9_999, 9998},
		{1, 9_999, 0},
		{1, 10_000, 1},
		{6000, money.Max, 59_999_999_999_999},
		{10_000, money.Max, money.Max},
		{0, money.Max, 0},
		{6000, 0, 0},
		{6000, -100, 0},
		{-1, 100, 0},
		{10_001, 100, 100},
		{9999, math.MaxInt64, 9_222_449_699_651_090_329},
	} {
		if got := c.share.Of(c.of); got != c.want {
			t.Errorf("%s of %d = %d, want %d", c.share, c.of, got, c.want)
		}
	}
}

func TestShareOfAgainstBig(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := money.Share(rapid.Int32Range(0, int32(money.Whole)).Draw(t, "share"))
		a := money.Amount(rapid.Int64Min(0).Draw(t, "amount"))
		want := new(big.Int).Mul(big.NewInt(int64(s)), big.NewInt(a.Fen()))
		want.Quo(want, big.NewInt(int64(money.Whole)))
		if got := s.Of(a); want.Cmp(big.NewInt(got.Fen())) != 0 {
			t.Fatalf("%s of %d = %d, want %s", s, a, got, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range append([]string{"0.00", "0.01", "999999999999.99"}, notMoney...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := money.Parse(s)
		if form.MatchString(s) != (err == nil) {
			t.Fatalf("Parse(%q): %v", s, err)
		}
		if err == nil && (a.String() != s || a < 0 || a > money.Max) {
			t.Fatalf("Parse(%q) = %d, which prints %q", s, a, a.String())
		}
	})
}

func FuzzParseShare(f *testing.F) {
	shareForm := regexp.MustCompile(`^(0(\.[0-9]{1,4})?|1(\.0{1,4})?)$`)
	for _, s := range []string{"0", "0.60", "1.0000", "1.0001", "-0", "1e0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := money.ParseShare(s)
		if shareForm.MatchString(s) != (err == nil) || err == nil && !v.Valid() {
			t.Fatalf("ParseShare(%q) = %v, %v", s, v, err)
		}
		if back, e := money.ParseShare(v.String()); e != nil || back != v {
			t.Fatalf("%q does not come back: %v, %v", v.String(), back, e)
		}
	})
}

func ExampleShare_Of() {
	share, _ := money.ParseShare("0.60")
	opening, _ := money.Parse("4084.01")
	fmt.Println(share.Of(opening))
	// Output: 2450.40
}
