package person

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrNumber: not a resident identity number of GB 11643-1999. It never carries the number.
var ErrNumber = errors.New("person: not a valid identity number")

// numberLen are the characters of a number: six of region, eight of birth date, three of
// sequence, one check character (GB 11643-1999 clause 4).
const numberLen = 18

// weights and checks are the MOD 11-2 system of ISO 7064 as GB 11643-1999 applies it.
var (
	weights = [numberLen - 1]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	checks  = [11]byte{'1', '0', 'X', '9', '8', '7', '6', '5', '4', '3', '2'}
)

// Number is a checked resident identity number. It prints masked with every verb of fmt and
// in JSON; only Clear gives it away. The zero value is no number. Compare with Equal.
type Number struct{ text secret }

// secret keeps a text where fmt does not find it: fmt reads the unexported fields of a
// struct without asking their methods, but prints a pointer below the first level as an
// address. Two pointers to the same text differ, so == on it is a compile error.
type secret struct {
	_     [0]func()
	clear *string
}

// newSecret keeps s.
func newSecret(s string) secret { return secret{clear: &s} }

// get is the text, "" for the zero value.
func (s secret) get() string {
	if s.clear == nil {
		return ""
	}
	return *s.clear
}

// ParseNumber reads 18 characters with a real birth date and the right check character;
// a final x counts as X. The first six digits are not held against today's list of regions:
// numbers keep codes that were withdrawn long ago.
func ParseNumber(s string) (Number, error) {
	if len(s) != numberLen {
		return Number{}, ErrNumber
	}
	sum := 0
	for i, w := range weights {
		if s[i] < '0' || s[i] > '9' {
			return Number{}, ErrNumber
		}
		sum += w * int(s[i]-'0')
	}
	last := s[numberLen-1]
	if last == 'x' {
		last = 'X'
	}
	if last != checks[sum%len(checks)] || !validBirth(s[6:14]) {
		return Number{}, ErrNumber
	}
	if s[numberLen-1] != last {
		s = s[:numberLen-1] + "X"
	}
	return Number{text: newSecret(s)}, nil
}

// birthYearMin: nobody insured was born before; a year 0000 is a typing error.
const birthYearMin = 1800

// validBirth tells whether the eight digits are a day of the calendar.
func validBirth(digits string) bool {
	n := 0
	for i := range len(digits) {
		n = n*10 + int(digits[i]-'0')
	}
	year, month, day := n/10_000, n/100%100, n%100
	if year < birthYearMin || month < 1 || month > 12 || day < 1 {
		return false
	}
	// Day 0 of the next month is the last day of this one.
	return day <= time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// Clear gives the number itself, for the core system, a sealed parcel or a token, and for
// nothing else.
func (n Number) Clear() string { return n.text.get() }

// Equal tells whether the two are the same number.
func (n Number) Equal(other Number) bool { return n.Clear() == other.Clear() }

// IsZero tells whether there is no number.
func (n Number) IsZero() bool { return n.Clear() == "" }

// Masked is six digits, eight stars, four characters (api.md section 1); "" for no number.
func (n Number) Masked() string { return MaskNumber(n.Clear()) }

// MaskNumber masks a number of 18 characters; everything else becomes stars altogether.
func MaskNumber(s string) string {
	if len(s) != numberLen {
		return strings.Repeat("*", min(len(s), numberLen))
	}
	return s[:6] + "********" + s[14:]
}

// String is Masked.
func (n Number) String() string { return n.Masked() }

// Format writes Masked whatever the verb, so that no %d or %#v leaks the number.
func (n Number) Format(f fmt.State, _ rune) { writeMasked(f, n.Masked()) }

// MarshalText is Masked, so that a number in a JSON document by mistake is masked. An
// answer or command that needs the number writes Clear itself.
func (n Number) MarshalText() ([]byte, error) { return []byte(n.Masked()), nil }

// writeMasked writes s; a failing writer is its owner's to notice.
func writeMasked(f fmt.State, s string) {
	if _, err := f.Write([]byte(s)); err != nil {
		return
	}
}
