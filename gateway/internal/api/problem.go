package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"gongji/consensus"
	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
)

// codeInternal is a fault of the gateway itself, which api.md has no code for: its table lists refusals. The
// outcome says what a program has to do.
const codeInternal policy.Code = "internal"

const (
	problemType  = "application/problem+json"
	documentType = "application/json"
	// typePrefix makes the problem's type a name that does not have to lead anywhere (RFC 9457 section 3.1.1).
	typePrefix = "urn:gongji:problem:"
	// retryAfterSeconds stands in Retry-After of what may be tried again soon.
	retryAfterSeconds = "1"
)

// refusal makes an *Error of whatever a desk, the log or a context answered. effect says whether the request could
// have had one: only then is its outcome unknown.
func refusal(err error, effect bool) *Error {
	unknown := client.OutcomeNone
	if effect {
		unknown = client.OutcomeUnknown
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if r, ok := policy.AsRefusal(err); ok {
		return &Error{Code: r.Code, Field: r.Field, Detail: r.Detail, DetailZH: r.DetailZH}
	}
	switch {
	case errors.Is(err, consensus.ErrNoLeader), errors.Is(err, consensus.ErrStopped):
		return &Error{Code: policy.CodeNoLeader}
	case errors.Is(err, consensus.ErrBusy):
		return &Error{Code: policy.CodeRateLimited}
	case errors.Is(err, consensus.ErrTooLarge):
		return errTooLarge()
	case errors.Is(err, consensus.ErrUnknown),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{Code: policy.CodeTimeout, Outcome: unknown}
	default:
		return &Error{Code: codeInternal, Outcome: unknown}
	}
}

// problem writes out what an Error leaves to its code.
func (f *Face) problem(e *Error) client.Problem {
	p := client.Problem{
		Type: typePrefix + string(e.Code), Title: e.Code.Message(), TitleZH: e.Code.MessageZH(),
		Status: e.Code.Status(), Code: string(e.Code), Detail: e.Detail, DetailZH: e.DetailZH,
		Origin: e.Origin, Retryable: e.Code.Retryable(), Outcome: e.Outcome, Field: e.Field, Region: e.Region,
	}
	if e.Code == codeInternal {
		p.Title, p.TitleZH = "The gateway has a fault.", "系统内部错误。"
		p.Retryable = true // the same request, with its id, has one effect at most
	}
	if e.status != 0 {
		p.Status = e.status
	}
	if p.Detail == "" {
		p.Detail = p.Title
	}
	if p.DetailZH == "" {
		p.DetailZH = p.TitleZH
	}
	if p.Origin == "" {
		p.Origin = f.region
	}
	if p.Outcome == "" {
		p.Outcome = client.OutcomeNone
	}
	return p
}

// answer is one answer on its way out, here or through another node.
type answer struct {
	status     int
	code       policy.Code // of a problem, for metrics and logs
	replay     bool
	retryAfter bool
	kind       string // content type
	body       []byte
}

// document makes an answer of a value that has been made by this package or the desk: it always encodes.
func document(status int, value any) (answer, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return answer{}, err
	}
	return answer{status: status, kind: documentType, body: append(body, '\n')}, nil
}

func (f *Face) problemAnswer(p client.Problem) answer {
	a, err := document(p.Status, p)
	if err != nil { // a struct of strings: cannot be
		a = answer{status: http.StatusInternalServerError}
	}
	a.kind = problemType
	a.code = policy.Code(p.Code)
	a.retryAfter = p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable
	return a
}

// refuse is problemAnswer of an Error.
func (f *Face) refuse(e *Error) answer { return f.problemAnswer(f.problem(e)) }

// send writes an answer; a caller that went away is no news.
func (f *Face) send(w http.ResponseWriter, a answer) {
	h := w.Header()
	if leader := f.leader(); leader != "" {
		h.Set(headerLeader, leader)
	}
	h.Set("Content-Type", a.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if a.replay {
		h.Set(headerReplay, "true")
	}
	if a.retryAfter {
		h.Set("Retry-After", retryAfterSeconds)
	}
	w.WriteHeader(a.status)
	if _, err := w.Write(a.body); err != nil {
		return
	}
}
