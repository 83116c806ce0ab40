package policy

import (
	"errors"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/person"
)

// Refusal is a refusal with its stable code. It carries no personal data.
type Refusal struct { //nolint:errname // the domain's word; the API's face speaks of it everywhere
	Code     Code
	Field    string // JSON pointer into the request, where one field is to blame
	Detail   string // a sentence more than the code says, or ""
	DetailZH string
}

// Error names code and field.
func (r *Refusal) Error() string {
	s := "refused: " + string(r.Code)
	if r.Field != "" {
		s += " at " + r.Field
	}
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	return s
}

// Refuse makes a refusal of one field; "" where the whole is refused.
func Refuse(code Code, field string) error { return &Refusal{Code: code, Field: field} }

// RefuseWith makes a refusal with a sentence in both languages.
func RefuseWith(code Code, field, detail, detailZH string) error {
	return &Refusal{Code: code, Field: field, Detail: detail, DetailZH: detailZH}
}

// AsRefusal finds the refusal in an error; false if there is none.
func AsRefusal(err error) (*Refusal, bool) {
	return errors.AsType[*Refusal](err)
}

// CodeOf is the code of the refusal in an error, "" if there is none.
func CodeOf(err error) Code {
	if r, ok := AsRefusal(err); ok {
		return r.Code
	}
	return ""
}

// ParsePerson checks a person of a request; field points to the person ("/payer"). The
// refusal's code is invalid_id_number, invalid_region or invalid_request.
func ParsePerson(in person.Input, field string) (person.Person, error) {
	p, err := person.Parse(in)
	if err == nil {
		return p, nil
	}
	if wrong, ok := errors.AsType[*person.FieldError](err); ok {
		field += "/" + wrong.Field
	}
	switch {
	case errors.Is(err, person.ErrNumber):
		return person.Person{}, Refuse(CodeInvalidIDNumber, field)
	case errors.Is(err, person.ErrRegion):
		return person.Person{}, Refuse(CodeInvalidRegion, field)
	default:
		return person.Person{}, Refuse(CodeInvalidRequest, field)
	}
}

// ParseAmount reads money of a request, 0.00 included; else the refusal is invalid_amount.
func ParseAmount(s, field string) (money.Amount, error) {
	a, err := money.Parse(s)
	if err != nil {
		return 0, Refuse(CodeInvalidAmount, field)
	}
	return a, nil
}

// ParsePositive reads an amount or a limit of a request, which may not be 0.00.
func ParsePositive(s, field string) (money.Amount, error) {
	a, err := ParseAmount(s, field)
	if err == nil && a == 0 {
		err = Refuse(CodeInvalidAmount, field)
	}
	return a, err
}

// ParseDay reads a date of a request; else the refusal is invalid_request.
func ParseDay(s, field string) (Date, error) {
	d, err := ParseDate(s)
	if err != nil {
		return 0, Refuse(CodeInvalidRequest, field)
	}
	return d, nil
}
