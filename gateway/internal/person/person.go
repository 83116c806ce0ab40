// Package person holds persons as they come in from outside: an identity number checked by
// GB 11643-1999, a name, and the region where the person is insured.
//
// Clear numbers and names are in memory only. Every type here prints masked, with
// fmt and in JSON; what needs the clear text asks for it by Clear. No error of this package
// carries a number or a name.
package person

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The kinds of failure beside ErrNumber.
var (
	// ErrIDType: a kind of document that is not read yet.
	ErrIDType = errors.New("person: unknown id_type")
	// ErrName: no name, too long, not UTF-8, or with characters that cannot be shown.
	ErrName = errors.New("person: not a valid name")
	// ErrRegion: not a six-digit administrative code.
	ErrRegion = errors.New("person: not a region code")
)

// IDTypeResident is the resident identity card (psn_cert_type 01), the only document so far.
const IDTypeResident = "01"

// NameMax are the characters of a name at most.
const NameMax = 50

// FieldError says which field of a person is wrong; Err is one of the errors above. It
// never carries what stood in the field.
type FieldError struct {
	Field string // id_type, id_number, name, region
	Err   error
}

// Error names the field and the kind.
func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap gives the kind.
func (e *FieldError) Unwrap() error { return e.Err }

// Name is a person's name, 1 to NameMax characters. It prints masked, and compares with
// Equal, like Number.
type Name struct{ text secret }

// ParseName checks length, UTF-8, and that every character can be shown: no control or
// format character, no line or paragraph separator.
func ParseName(s string) (Name, error) {
	// The bound in bytes comes first, so that a long text costs nothing.
	if s == "" || len(s) > NameMax*utf8.UTFMax || !utf8.ValidString(s) || utf8.RuneCountInString(s) > NameMax {
		return Name{}, ErrName
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return Name{}, ErrName
		}
	}
	return Name{text: newSecret(s)}, nil
}

// Clear gives the name itself, for the core system, a sealed parcel, and for nothing else.
func (n Name) Clear() string { return n.text.get() }

// Equal tells whether the two are the same name, byte for byte.
func (n Name) Equal(other Name) bool { return n.Clear() == other.Clear() }

// Masked is the first character and a star for each other (api.md section 1).
func (n Name) Masked() string { return MaskName(n.Clear()) }

// MaskName masks a name; "" stays "".
func MaskName(s string) string {
	if s == "" {
		return ""
	}
	_, size := utf8.DecodeRuneInString(s)
	return s[:size] + strings.Repeat("*", utf8.RuneCountInString(s[size:]))
}

// String is Masked.
func (n Name) String() string { return n.Masked() }

// Format writes Masked whatever the verb.
func (n Name) Format(f fmt.State, _ rune) { writeMasked(f, n.Masked()) }

// MarshalText is Masked.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.Masked()), nil }

// ValidRegion tells whether s has the form of a region code: six digits, the first not 0.
// Whether the federation knows the region is the directory's to say: pools have codes that
// GB/T 2260 lacks.
func ValidRegion(s string) bool {
	if len(s) != 6 || s[0] == '0' {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Person is a checked person.
type Person struct {
	IDType string
	Number Number
	Name   Name
	Region string // home region
}

// Equal tells whether document, name and home region are the same.
func (p Person) Equal(other Person) bool {
	return p.IDType == other.IDType && p.Number.Equal(other.Number) && p.Name.Equal(other.Name) &&
		p.Region == other.Region
}

// Input is a person as it stands in a request, unchecked. It prints masked too, unless it
// stands in an unexported field of what is printed: keep it no longer than Parse needs.
type Input struct {
	IDType   string
	IDNumber string
	Name     string
	Region   string
}

// Parse checks all fields in the order of Input; the first wrong one is a FieldError.
func Parse(in Input) (Person, error) {
	if in.IDType != IDTypeResident {
		return Person{}, &FieldError{Field: "id_type", Err: ErrIDType}
	}
	number, err := ParseNumber(in.IDNumber)
	if err != nil {
		return Person{}, &FieldError{Field: "id_number", Err: err}
	}
	name, err := ParseName(in.Name)
	if err != nil {
		return Person{}, &FieldError{Field: "name", Err: err}
	}
	if !ValidRegion(in.Region) {
		return Person{}, &FieldError{Field: "region", Err: ErrRegion}
	}
	return Person{IDType: in.IDType, Number: number, Name: name, Region: in.Region}, nil
}

// String is masked: "张* 110101********0011 (110000)".
func (p Person) String() string {
	return p.Name.Masked() + " " + p.Number.Masked() + " (" + p.Region + ")"
}

// Format writes String whatever the verb.
func (p Person) Format(f fmt.State, _ rune) { writeMasked(f, p.String()) }

// String is masked, whatever stands in the fields.
func (in Input) String() string {
	region := in.Region
	if !ValidRegion(region) {
		region = "?" // anything may stand there, an identity number too
	}
	return MaskName(in.Name) + " " + MaskNumber(in.IDNumber) + " (" + region + ")"
}

// Format writes String whatever the verb.
func (in Input) Format(f fmt.State, _ rune) { writeMasked(f, in.String()) }
