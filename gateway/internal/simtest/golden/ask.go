package golden

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"gongji/federation"
)

// sent is a request as it went to a region's face.
type sent struct {
	region, method, path string
	body                 []byte
}

// answer is what came back.
type answer struct {
	status int
	replay bool
	body   []byte
}

// ask sends a request to a region's face, JSON in and out, and notes a write for "again".
func (w *world) ask(region, method, path string, b body) (answer, error) {
	s := sent{region: region, method: method, path: path}
	if b != nil {
		raw, err := json.Marshal(b)
		if err != nil {
			return answer{}, fmt.Errorf("%w: %w", ErrScript, err)
		}
		s.body = raw
	}
	if b["request_id"] != nil || strings.Contains(path, "request_id=") {
		w.last = s
	}
	return w.send(s)
}

func (w *world) send(s sent) (answer, error) {
	if _, err := w.region(s.region); err != nil {
		return answer{}, err
	}
	r := httptest.NewRequestWithContext(w.t.Context(), s.method, s.path, bytes.NewReader(s.body))
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	w.faces[federation.Region(s.region)].ServeHTTP(rec, r)
	return answer{
		status: rec.Code, replay: rec.Header().Get("Idempotent-Replay") == "true", body: rec.Body.Bytes(),
	}, nil
}

// requestID is a new request id.
func (w *world) requestID() string {
	w.counter++
	return fmt.Sprintf("request-%d", w.counter)
}

// get asks without a body.
func (w *world) get(region, path string) (answer, error) {
	return w.ask(region, http.MethodGet, path, nil)
}

// post asks with one.
func (w *world) post(region, path string, b body) (answer, error) {
	return w.ask(region, http.MethodPost, path, b)
}
