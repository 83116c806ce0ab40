package money

import (
	"errors"
	"fmt"

	"github.com/shopspring/decimal"
)

// Share is a part of a whole in ten-thousandths, 0 to 10000 (R-16: the annual share of an
// account's year-opening balance).
type Share int32

// Whole is the share that takes everything.
const Whole Share = 10_000

// ErrShare: the text is not a share from 0 to 1 with at most four places.
var ErrShare = errors.New("money: not a share from 0 to 1")

// sharePlaces are the digits behind the point that a Share can carry.
const sharePlaces = 4

// ParseShare reads a decimal from 0 to 1 with one to four places behind the point, or none
// ("0.60", "0.605", "1"); anything else is ErrShare.
func ParseShare(s string) (Share, error) {
	if len(s) < 1 || len(s) > len("0.")+sharePlaces || s[0] != '0' && s[0] != '1' {
		return 0, ErrShare
	}
	if len(s) > 1 && (s[1] != '.' || len(s) == 2) {
		return 0, ErrShare
	}
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, ErrShare
		}
	}
	d, err := decimal.NewFromString(s)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrShare, err)
	}
	v := Share(d.Shift(sharePlaces).IntPart())
	if v > Whole {
		return 0, ErrShare
	}
	return v, nil
}

// Valid tells whether the share lies from 0 to Whole.
func (s Share) Valid() bool { return s >= 0 && s <= Whole }

// String writes two to four places: "0.60", "0.605".
func (s Share) String() string {
	sign := ""
	v := int64(s)
	if v < 0 {
		sign, v = "-", -v
	}
	switch {
	case v%100 == 0:
		return fmt.Sprintf("%s%d.%02d", sign, v/10_000, v%10_000/100)
	case v%10 == 0:
		return fmt.Sprintf("%s%d.%03d", sign, v/10_000, v%10_000/10)
	default:
		return fmt.Sprintf("%s%d.%04d", sign, v/10_000, v%10_000)
	}
}

// MarshalText is String.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseShare.
func (s *Share) UnmarshalText(text []byte) error {
	v, err := ParseShare(string(text))
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// Of gives ⌊s × a⌋ to the fen, by integers; 0 for an amount or share that is not
// positive, and a itself for a share above Whole.
func (s Share) Of(a Amount) Amount {
	if s <= 0 || a <= 0 {
		return 0
	}
	if s >= Whole {
		return a
	}
	// a = q·10000 + r, so ⌊s·a/10000⌋ = s·q + ⌊s·r/10000⌋, and nothing overflows.
	q, r := int64(a)/int64(Whole), int64(a)%int64(Whole)
	return Amount(int64(s)*q + int64(s)*r/int64(Whole))
}
