package api

import (
	"log/slog"
	"net/http"
	"strings"
)

// SignedRequest is what a platform signed, as it is kept for somebody to whom the platform denies it.
type SignedRequest struct {
	Method    string
	Target    string // path?query
	Time      string // the header's text
	Nonce     string
	Body      [32]byte // SM3
	Signature []byte   // DER
}

// Bounds of what is kept, in bytes.
const (
	keptTargetMax = 512
	keptTimeMax   = 40
)

// evidenceOf is what can be kept of a request. A target or nonce in which a person may stand is not kept: what a
// platform makes up is text of its own choice, and evidence holds nobody in clear. Such a request is done all the same.
func evidenceOf(r *http.Request, body [32]byte, signature []byte) *SignedRequest {
	s := &SignedRequest{
		Method: r.Method, Target: target(r), Time: r.Header.Get(headerTime), Nonce: r.Header.Get(headerNonce), Body: body,
		Signature: signature,
	}
	if len(s.Target) > keptTargetMax || len(s.Time) > keptTimeMax || !plainTarget(s.Target) ||
		namesNumber(s.Target) || namesNumber(s.Nonce) {
		return nil
	}
	return s
}

// plainTarget reports whether a target has only what the operations' own paths and queries are made of: no name can be
// written with it, encoded or not.
func plainTarget(s string) bool {
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && !strings.ContainsRune("/?=&._-", rune(c)) {
			return false
		}
	}
	return true
}

// notKept tells the audit log of a signed write whose request cannot be evidence.
func (f *Face) notKept(op *operation, c Caller) {
	if op.Write && c.Signed != nil && c.Signed.Request == nil && f.note != nil {
		f.note("request_not_kept", slog.String("reason", "form"), slog.String("operation", op.ID),
			slog.String("key", c.Signed.KeyID))
	}
}
