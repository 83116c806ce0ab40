package person_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"gongji/gateway/internal/person"
)

// samples are GB 11643-1999's own two, and the one of the API's page.
var samples = []string{"11010519491231002X", "440524188001010014", "110101199003070011"}

// check is the check character by the definition of ISO 7064 MOD 11-2, not by the weights
// of the table: double and add, then what makes the sum 1 modulo 11.
func check(digits string) string {
	p := 0
	for _, d := range digits {
		p = (p + int(d-'0')) * 2 % 11
	}
	c := (12 - p) % 11
	if c == 10 {
		return "X"
	}
	return fmt.Sprint(c)
}

func TestParseNumber(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		n, err := person.ParseNumber(s)
		if err != nil || n.Clear() != s || n.IsZero() {
			t.Errorf("%s: %v", s, err)
		}
		if want := check(s[:17]); s[17:] != want {
			t.Errorf("%s: the definition gives %s", s, want)
		}
	}
	lower, err := person.ParseNumber("11010519491231002x")
	upper, _ := person.ParseNumber("11010519491231002X")
	if err != nil || !lower.Equal(upper) || lower.Clear() != "11010519491231002X" {
		t.Errorf("x does not count as X: %v", err)
	}
}

// withCheck completes 17 digits.
func withCheck(digits string) string { return digits + check(digits) }

func TestParseNumberDates(t *testing.T) {
	t.Parallel()
	for birth, ok := range map[string]bool{
		"20000229": true, "19000228": true, "19000229": false, "20240229": true, "20230229": false, "19491231": true,
		"19491232": false, "19490431": false, "19490430": true, "19491301": false, "19490001": false, "19490100": false,
		"17991231": false, "18000101": true, "00000101": false, "99991231": true,
	} {
		_, err := person.ParseNumber(withCheck("110101" + birth + "001"))
		if ok != (err == nil) {
			t.Errorf("birth %s: %v", birth, err)
		}
	}
	// A withdrawn region (512000, Chongqing's former counties), and the corps' prefix.
	for _, region := range []string{"512221", "660100", "999999", "000000"} {
		if _, err := person.ParseNumber(withCheck(region + "19800101" + "123")); err != nil {
			t.Errorf("region %s refused: %v", region, err)
		}
	}
}

var badNumbers = []string{
	"", "110101900307001", "11010119900307001", "1101011990030700111", "110101199003070012", "11010119900307001X",
	"X10101199003070011", "11010119900307001 ", " 11010119900307001", "1101011990030700１1", "11010519491231002Ｘ",
	"11010119900307001\x00", "-10101199003070011", "1101O1199003070011", "11010519491231002XX",
}

func TestParseNumberRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range badNumbers {
		n, err := person.ParseNumber(s)
		if !errors.Is(err, person.ErrNumber) || !n.IsZero() || n.Masked() != "" {
			t.Errorf("%q: %v, %v", s, n, err)
		}
		if len(s) > 6 && strings.Contains(fmt.Sprint(err), s) {
			t.Errorf("the error carries what was given: %v", err)
		}
	}
}

// Every single wrong digit, and every swap of neighbours that changes something, is found:
// that is what MOD 11-2 is for.
func TestNumberFindsSlips(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		digits := "110101" + "1990" + "0307" + fmt.Sprintf("%03d", rapid.IntRange(0, 999).Draw(t, "sequence"))
		good := withCheck(digits)
		if _, err := person.ParseNumber(good); err != nil {
			t.Fatalf("%s refused", good)
		}
		i := rapid.IntRange(0, 16).Draw(t, "at")
		slip := []byte(good)
		slip[i] = byte('0' + rapid.IntRange(0, 9).Draw(t, "digit"))
		if _, err := person.ParseNumber(string(slip)); string(slip) != good && err == nil {
			t.Fatalf("%s passed for %s", slip, good)
		}
		swap := []byte(good)
		j := rapid.IntRange(0, 15).Draw(t, "swap")
		swap[j], swap[j+1] = swap[j+1], swap[j]
		if _, err := person.ParseNumber(string(swap)); string(swap) != good && err == nil {
			t.Fatalf("%s passed for %s", swap, good)
		}
	})
}

func TestMask(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"": "", "张": "张", "张三": "张*", "欧阳小明": "欧***", "阿卜杜拉·买买提": "阿*******", "𠮷野家": "𠮷**", "Li": "L*",
	} {
		if got := person.MaskName(s); got != want {
			t.Errorf("MaskName(%q) = %q, want %q", s, got, want)
		}
	}
	for s, want := range map[string]string{
		"": "", "110101199003070011": "110101********0011", "11010519491231002X": "110105********002X", "123": "***",
		strings.Repeat("1", 500): strings.Repeat("*", 18),
	} {
		if got := person.MaskNumber(s); got != want {
			t.Errorf("MaskNumber(%q) = %q, want %q", s, got, want)
		}
	}
}

func TestParseName(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"张", "张三", "阿卜杜拉·买买提", "𠮷", "Jean-Luc O'Neill", "伊斯坎德尔　江", strings.Repeat("长", 50), strings.Repeat("𠮷", 50),
	} {
		n, err := person.ParseName(s)
		if err != nil || n.Clear() != s {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{
		"", strings.Repeat("长", 51), strings.Repeat("a", 51), "张\x00三", "张\n", "\t张", "张\u007f", "张\u0085", "\xff\xfe",
		"张\xe4\xb8", "张\u202e三", "张\u200b三", "张\u2028三", "\ufeff张", strings.Repeat("a", 1<<20),
	} {
		if n, err := person.ParseName(s); !errors.Is(err, person.ErrName) || n.Clear() != "" {
			t.Errorf("%q passed", s)
		}
	}
}

func TestValidRegion(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"110000", "310000", "350100", "439900", "430199", "660000"} {
		if !person.ValidRegion(s) {
			t.Errorf("%s refused", s)
		}
	}
	for _, s := range []string{"", "11000", "1100000", "010000", "11000a", "１10000", "-10000", " 11000", "110000\n"} {
		if person.ValidRegion(s) {
			t.Errorf("%q passed", s)
		}
	}
}

func good() person.Input {
	return person.Input{IDType: "01", IDNumber: "110101199003070011", Name: "张三", Region: "110000"}
}

func TestParse(t *testing.T) {
	t.Parallel()
	p, err := person.Parse(good())
	if err != nil {
		t.Fatal(err)
	}
	if p.IDType != "01" || p.Number.Clear() != "110101199003070011" || p.Name.Clear() != "张三" || p.Region != "110000" {
		t.Error("a field was lost")
	}
	for _, c := range []struct {
		field string
		err   error
		spoil func(*person.Input)
	}{
		{"id_type", person.ErrIDType, func(in *person.Input) { in.IDType = "02"; in.IDNumber = "" }},
		{"id_type", person.ErrIDType, func(in *person.Input) { in.IDType = "" }},
		{"id_type", person.ErrIDType, func(in *person.Input) { in.IDType = "1" }},
		{"id_number", person.ErrNumber, func(in *person.Input) { in.IDNumber = "110101199003070012"; in.Name = "" }},
		{"name", person.ErrName, func(in *person.Input) { in.Name = ""; in.Region = "" }},
		{"region", person.ErrRegion, func(in *person.Input) { in.Region = "11" }},
	} {
		in := good()
		c.spoil(&in)
		_, err := person.Parse(in)
		var wrong *person.FieldError
		if !errors.As(err, &wrong) || wrong.Field != c.field || !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.field, err)
		}
	}
}

// nested is how a person travels in other structs.
type nested struct {
	Person person.Person
	Number person.Number
	Name   person.Name
	Input  person.Input
	List   []person.Person
	Map    map[string]person.Person
	Ptr    *person.Person

	// fmt reads these without asking any method.
	person person.Person
	number person.Number
	name   person.Name
	list   []person.Person
	ptr    *person.Number
}

// nothing prints a person in the clear, whatever the verb, the nesting, the encoder.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	p, err := person.Parse(good())
	if err != nil {
		t.Fatal(err)
	}
	in := good()
	n := nested{
		Person: p, Number: p.Number, Name: p.Name, Input: in,
		List: []person.Person{p}, Map: map[string]person.Person{"a": p}, Ptr: &p,
		person: p, number: p.Number, name: p.Name, list: []person.Person{p}, ptr: &p.Number,
	}
	var texts []string
	for _, v := range []any{
		p, &p, p.Number, &p.Number, p.Name, in, &in, n, &n,
		[]any{n},
		map[string]person.Number{"a": p.Number},
	} {
		for _, verb := range []string{
			"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%U", "%10.40s",
			"%o",
		} {
			texts = append(texts, fmt.Sprintf(verb, v))
		}
		texts = append(texts, fmt.Errorf("wrapped: %v", v).Error())
	}
	n.Input = person.Input{} // the unchecked one is text; a wrong verb shows it
	for _, v := range []any{p, p.Number, p.Name, n} {
		texts = append(texts, fmt.Sprintf("%p", v))
	}
	for _, v := range []any{p, p.Number, p.Name, &n.Number, map[string]person.Number{"a": p.Number}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("a", slog.Any("person", v))
		slog.New(slog.NewTextHandler(&log, nil)).Info("a", slog.Any("person", v))
		texts = append(texts, log.String())
	}
	other, err := person.Parse(person.Input{IDType: "01", IDNumber: samples[2], Name: "张四", Region: "110000"})
	if err != nil || p.Equal(other) || !p.Equal(p) || !p.Number.Equal(other.Number) || p.Name.Equal(other.Name) {
		t.Errorf("Equal is wrong: %v", err)
	}
	secrets := []string{
		"19900307", "张三", "三", fmt.Sprintf("%x", "19900307"), fmt.Sprintf("%X", "三"),
		fmt.Sprintf("%x", "三"),
	}
	for _, s := range texts {
		if i := slices.IndexFunc(secrets, func(secret string) bool { return strings.Contains(s, secret) }); i >= 0 {
			t.Errorf("%q leaks %q", s, secrets[i])
		}
	}
	if p.String() != "张* 110101********0011 (110000)" || in.String() != p.String() {
		t.Errorf("String() = %q, %q", p.String(), in.String())
	}
	swapped := person.Input{IDNumber: "张三", Name: "", Region: "110101199003070011"} // typed into the wrong boxes
	if s := fmt.Sprintf("%+v", swapped); strings.Contains(s, "1990") || strings.Contains(s, "三") {
		t.Errorf("%q leaks", s)
	}
}

func FuzzParseNumber(f *testing.F) {
	for _, s := range append(slices.Clone(samples), badNumbers...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := person.ParseNumber(s)
		if err != nil {
			if !n.IsZero() {
				t.Fatal("a refused number is kept")
			}
			return
		}
		c := n.Clear()
		if len(c) != 18 || c[17:] != check(c[:17]) || !strings.EqualFold(c, s) {
			t.Fatalf("%q became %q", s, c)
		}
		if again, err := person.ParseNumber(c); err != nil || !again.Equal(n) {
			t.Fatalf("%q does not come back: %v", c, err)
		}
		if m := n.Masked(); len(m) != 18 || m[6:14] != "********" {
			t.Fatalf("masked as %q", m)
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"张三", "", "张\u202e", "\xff", strings.Repeat("长", 51)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := person.ParseName(s)
		if err != nil {
			return
		}
		count := utf8.RuneCountInString(s)
		if n.Clear() != s || count < 1 || count > person.NameMax {
			t.Fatalf("%q became %q", s, n.Clear())
		}
		if m := n.Masked(); utf8.RuneCountInString(m) != count || strings.Count(m, "*") < count-1 {
			t.Fatalf("%q masked as %q", s, m)
		}
	})
}
