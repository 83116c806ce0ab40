// Package money is the only place that turns text into money and back.
//
// Money is decimal yuan with two places at every border and whole fen (1/100 yuan) inside
// and in the log. shopspring/decimal reads the text; arithmetic is done on whole fen with
// every overflow told. There is no floating point.
package money

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/shopspring/decimal"
)

// Amount is a sum of money in whole fen. Amounts of the domain lie from 0 to Max; only a
// difference that is shown to a person may be negative.
type Amount int64

// Max is the largest amount that the API's form can carry: 999,999,999,999.99 yuan.
const Max Amount = 99_999_999_999_999

// The kinds of failure.
var (
	// ErrForm: the text is not of the form that the API prescribes.
	ErrForm = errors.New("money: not of the form 0.00")
	// ErrRange: the result does not lie from 0 to Max.
	ErrRange = errors.New("money: out of range")
)

// places are the digits behind the point, as the API prescribes.
const places = 2

// wholeDigitsMax are the digits before the point that the API's form allows.
const wholeDigitsMax = 12

// Parse reads exactly the form ^(0|[1-9][0-9]{0,11})\.[0-9]{2}$ (api.md section 1). Signs,
// exponents, white space and leading zeros are ErrForm.
func Parse(s string) (Amount, error) {
	if !hasForm(s) {
		return 0, ErrForm
	}
	d, err := decimal.NewFromString(s)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return Amount(d.Shift(places).IntPart()), nil
}

// hasForm holds s against the form of the API before decimal, which reads more, sees it.
func hasForm(s string) bool {
	whole := len(s) - places - 1
	if whole < 1 || whole > wholeDigitsMax || s[whole] != '.' {
		return false
	}
	if s[0] == '0' && whole > 1 {
		return false
	}
	for i := range len(s) {
		if i != whole && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// FromFen makes an amount of whole fen; ErrRange outside 0 to Max.
func FromFen(fen int64) (Amount, error) {
	a := Amount(fen)
	if a < 0 || a > Max {
		return 0, ErrRange
	}
	return a, nil
}

// Fen gives the amount in whole fen, as it stands in the log.
func (a Amount) Fen() int64 { return int64(a) }

// String writes the form that Parse reads, with a minus sign before a negative difference.
func (a Amount) String() string {
	var buf [24]byte
	return string(a.append(buf[:0]))
}

func (a Amount) append(b []byte) []byte {
	u := uint64(a)
	if a < 0 {
		b = append(b, '-')
		u = -u // two's complement: right for the smallest int64 too
	}
	b = strconv.AppendUint(b, u/100, 10)
	return append(b, '.', byte('0'+u/10%10), byte('0'+u%10))
}

// MarshalText writes the API's form, so that an Amount in a JSON document is a string.
func (a Amount) MarshalText() ([]byte, error) { return a.append(nil), nil }

// UnmarshalText is Parse.
func (a *Amount) UnmarshalText(text []byte) error {
	v, err := Parse(string(text))
	if err != nil {
		return err
	}
	*a = v
	return nil
}

// Add gives a+b; ErrRange if the sum, a or b does not lie from 0 to Max.
func (a Amount) Add(b Amount) (Amount, error) {
	if a < 0 || b < 0 || a > Max || b > Max-a {
		return 0, ErrRange
	}
	return a + b, nil
}

// Sub gives a−b; ErrRange if the difference, a or b does not lie from 0 to Max.
func (a Amount) Sub(b Amount) (Amount, error) {
	if a < 0 || b < 0 || a > Max || b > a {
		return 0, ErrRange
	}
	return a - b, nil
}

// Sum adds all; ErrRange as soon as Add would say so.
func Sum(amounts ...Amount) (Amount, error) {
	total := Amount(0)
	for _, a := range amounts {
		next, err := total.Add(a)
		if err != nil {
			return 0, err
		}
		total = next
	}
	return total, nil
}

// Less is what is left of a after b, never below 0, for limits: a limit that is overdrawn
// (a floor raised, a share lowered) allows nothing. A negative b counts as 0, so that no
// broken count ever raises a limit.
func (a Amount) Less(b Amount) Amount {
	b = max(b, 0)
	if a <= b {
		return 0
	}
	return a - b
}

// Min is the smaller one.
func Min(a, b Amount) Amount { return min(a, b) }

// Larger is the larger one.
func Larger(a, b Amount) Amount { return max(a, b) }
