package client

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// IDTypeResident is the only kind of document so far: the resident identity card.
const IDTypeResident = "01"

// Person is a person as requests carry one, in the clear. It prints masked, whatever the verb.
type Person struct {
	IDType   string `json:"id_type"`
	IDNumber string `json:"id_number"`
	Name     string `json:"name"`
	Region   string `json:"region"` // the home region, six digits
}

// Masked is the person as answers show one.
func (p Person) Masked() MaskedPerson {
	return MaskedPerson{IDNumber: maskNumber(p.IDNumber), Name: maskName(p.Name), Region: p.Region}
}

// String is masked.
func (p Person) String() string { return p.Masked().String() }

// Format writes String whatever the verb, so that %+v of a request leaks nobody.
func (p Person) Format(f fmt.State, _ rune) {
	if _, err := f.Write([]byte(p.String())); err != nil {
		return // a failing writer is its owner's to notice
	}
}

// MaskedPerson is a person as answers show one: 110101********0011, 张*.
type MaskedPerson struct {
	IDNumber string `json:"id_number"`
	Name     string `json:"name"`
	Region   string `json:"region"`
}

// String is "张* 110101********0011 (110000)".
func (p MaskedPerson) String() string { return p.Name + " " + p.IDNumber + " (" + p.Region + ")" }

// maskNumber shows six and four of eighteen characters; of anything else nothing.
func maskNumber(s string) string {
	if len(s) != 18 {
		return strings.Repeat("*", min(len(s), 18))
	}
	return s[:6] + "********" + s[14:]
}

// maskName shows the first character, and a star for each other.
func maskName(s string) string {
	if s == "" {
		return ""
	}
	_, size := utf8.DecodeRuneInString(s)
	return s[:size] + strings.Repeat("*", utf8.RuneCountInString(s[size:]))
}
