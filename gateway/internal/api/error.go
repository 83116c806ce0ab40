package api

import (
	"gongji/gateway/internal/policy"
)

// Error is a refusal as the face answers it. Everything but Code may stay empty: Outcome is then "none", Origin this
// region, and the details are the code's own texts. No person may stand in any field.
type Error struct {
	Code     policy.Code
	Detail   string
	DetailZH string
	Field    string // JSON pointer into the request
	Region   string // the right one, with not_home_region
	Outcome  string // client.OutcomeNone, OutcomeDone, OutcomeUnknown
	Origin   string // the region that refused

	status int // where it is not the code's own: 413
}

// Error names code and field.
func (e *Error) Error() string {
	s := "api: " + string(e.Code)
	if e.Field != "" {
		s += " at " + e.Field
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}
