package marked

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// Listener hunts in whatever the nodes answer: bodies, problems and headers.
type Listener struct {
	Hunt *Hunt
	Next http.RoundTripper
}

// RoundTrip asks Next and looks at the answer.
func (l *Listener) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.Next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	l.Hunt.Look("answers", r.Method+" "+answer.Status, body)
	for key, values := range answer.Header {
		for _, v := range values {
			l.Hunt.Look("answers", "header "+key, []byte(v))
		}
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}
