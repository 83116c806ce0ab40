package client_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"gongji/gateway/client"
)

// signer signs nothing: these tests are about when is signed, not what.
func signer([]byte) (string, []byte, error) { return "k", []byte("signature"), nil }

func noHash([]byte) [32]byte { return [32]byte{} }

func refusesStale(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte(`{"code":"stale_request","outcome":"none"}`))
}

// TestSignsAnew: what a new leader does not take is signed anew, with a fresh nonce and time, and once only.
func TestSignsAnew(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refuse int
		calls  int
		fails  bool
	}{"once": {1, 2, false}, "always": {100, 2, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nonces := map[string]bool{}
			calls := 0
			node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls++ // one caller, one request at a time
				nonces[r.Header.Get("Gongji-Nonce")] = true
				if calls <= c.refuse {
					refusesStale(w)
					return
				}
				_, _ = w.Write([]byte("{}"))
			}))
			defer node.Close()
			asks, err := client.New(client.Options{Nodes: []string{node.URL}, Sign: signer, Hash: noHash})
			if err != nil {
				t.Fatal(err)
			}
			_, err = asks.Do(t.Context(), client.Request{Method: "GET", Path: "/v1/rules"})
			_, refused := errors.AsType[*client.ProblemError](err)
			if refused != c.fails || calls != c.calls || len(nonces) != calls {
				t.Errorf("%d calls with %d nonces: %v", calls, len(nonces), err)
			}
		})
	}
}

// TestClockThatIsOff: a platform whose clock is off is set right by the first refusal, on a connection that is proven.
func TestClockThatIsOff(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			at, err := time.Parse(time.RFC3339, r.Header.Get("Gongji-Time"))
			if err != nil || time.Since(at).Abs() > 5*time.Minute {
				refusesStale(w)
				return
			}
			_, _ = w.Write([]byte("{}"))
		}))
		asks, err := client.New(client.Options{
			Nodes: []string{node.URL}, Sign: signer, Hash: noHash, Clock: func() time.Time { return time.Now().Add(off) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = asks.Do(t.Context(), client.Request{Method: "GET", Path: "/v1/rules"}); err != nil {
			t.Errorf("off by %s: %v", off, err)
		}
		node.Close()
	}
}
