package client

import "strconv"

// Words of a problem's outcome.
const (
	OutcomeNone    = "none"    // nothing happened
	OutcomeDone    = "done"    // it happened
	OutcomeUnknown = "unknown" // repeat the same request to find out
)

// Problem is an error answer (RFC 9457). No person stands in it.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	TitleZH   string `json:"title_zh"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail"`
	DetailZH  string `json:"detail_zh"`
	Origin    string `json:"origin"` // the region that refused
	Retryable bool   `json:"retryable"`
	Outcome   string `json:"outcome"`
	Field     string `json:"field,omitempty"`   // JSON pointer into the request
	Region    string `json:"region,omitempty"`  // the right one, with 421
	Hotline   string `json:"hotline,omitempty"` // of the payer's region, where making a grant failed
}

// ProblemError is the error of every call that was answered with a problem.
type ProblemError struct {
	Problem Problem
}

// Error names code, status and detail.
func (e *ProblemError) Error() string {
	s := "gateway: " + e.Problem.Code + " (" + strconv.Itoa(e.Problem.Status) + ")"
	if e.Problem.Field != "" {
		s += " at " + e.Problem.Field
	}
	if e.Problem.Detail != "" {
		s += ": " + e.Problem.Detail
	}
	return s
}
