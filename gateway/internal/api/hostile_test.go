package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/policy"
)

// endless is a body of any length that counts what was taken of it.
type endless struct {
	left  int
	taken int
	mu    sync.Mutex
}

func (e *endless) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range n {
		p[i] = '['
	}
	e.left -= n
	e.taken += n
	return n, nil
}

func (e *endless) read() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.taken
}

// TestLargeBody: 10 MB are refused with 413, whether their length is told or not, and are not read.
func TestLargeBody(t *testing.T) {
	e := newEnv(t, nil)
	const size = 10 << 20
	for name, length := range map[string]int64{"told": size, "chunked": -1} {
		for target, hotlined := range map[string]bool{"/v1/grants": true, "/v1/payments": false} {
			t.Run(name+target, func(t *testing.T) {
				body := &endless{left: size}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.follower.URL+target, body)
				if err != nil {
					t.Fatal(err)
				}
				req.ContentLength = length
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				data, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				if err := resp.Body.Close(); err != nil {
					t.Error(err)
				}
				if resp.StatusCode != http.StatusRequestEntityTooLarge ||
					!strings.Contains(string(data), `"code":"invalid_request"`) ||
					strings.Contains(string(data), hotline) != hotlined {
					t.Errorf("%d %s", resp.StatusCode, data)
				}
				if body.read() == size {
					t.Error("all of it was read")
				}
			})
		}
	}
	// The limit itself.
	pad := func(n int) string {
		body := document{"request_id": "x-1"}.String()
		return strings.Replace(body, "{", "{"+strings.Repeat(" ", n-len(body)), 1)
	}
	if r := e.call(t, e.follower, "POST", "/v1/payments/p1/cancel", pad(api.BodyMax)); r.status != 200 {
		t.Errorf("64 KiB: %d %s", r.status, r.body)
	}
	if r := e.call(t, e.follower, "POST", "/v1/payments/p1/cancel", pad(api.BodyMax+1)); r.status != 413 {
		t.Errorf("64 KiB and a byte: %d", r.status)
	}
}

// TestDeepBody: a body may be nested 100,000 levels deep, and is refused.
func TestDeepBody(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	for _, open := range []string{"[", `{"a":`} {
		body := strings.Repeat(open, 100_000)
		r := e.call(t, e.leader, "POST", "/v1/payments", body)
		if r.problem.Code != string(policy.CodeInvalidRequest) {
			t.Errorf("%d %s", r.status, r.body)
		}
		r = e.call(t, e.leader, "POST", "/v1/payments", body[:api.BodyMax])
		if r.status != 400 {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	many := `{"request_id":[` + strings.Repeat("1,", 30_000) + "1]}"
	if r := e.call(t, e.leader, "POST", "/v1/payments", many); r.status != 400 {
		t.Errorf("many values: %d", r.status)
	}
	var keys strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&keys, `"k%d":1,`, i)
	}
	if r := e.call(t, e.leader, "POST", "/v1/payments", "{"+keys.String()+`"k0":1}`); r.status != 400 {
		t.Errorf("many keys: %d", r.status)
	}
}

// TestNoPerson: whatever a request carries, no person stands in a problem or in the log.
func TestNoPerson(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	secrets := []string{payerNumber, beneficiaryNumber, payerName, beneficiaryName, "11010119900307", "zhang-jianguo"}
	leaks := func(what, text string) {
		t.Helper()
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s holds %s: %s", what, s, text)
			}
		}
	}
	var cases []refusalCase
	for _, s := range secrets {
		for _, pointer := range []string{
			"/request_id", "/payer", "/payer/id_type", "/payer/name", "/payer/region", "/relation", "/channel",
			"/consent/digest", "/valid_from", "/per_payment_limit", "/funding",
			"/" + s, "/payer/" + s, "/consent/" + s, "/proofs/0/" + s,
		} {
			cases = append(cases, refusalCase{name: pointer, body: grantBody().set(pointer, s).String()})
		}
		twice := strings.Replace(grantBody().String(), "{", fmt.Sprintf(`{"%s":1,"%s":2,`, s, s), 1)
		cases = append(cases, refusalCase{name: "twice", body: twice}, refusalCase{name: "cut", body: `{"` + s + `":`},
			refusalCase{name: "text", body: s})
	}
	e.desk.fail = errors.New("disk full")
	for _, c := range cases {
		for _, target := range []string{"/v1/grants", "/v1/payments", "/v1/grants/search", "/v1/" + payerNumber} {
			r := e.call(t, e.follower, "POST", target, c.body, "X-Name", payerNumber)
			if r.status < 400 {
				t.Errorf("%s %s is taken", target, c.name)
			}
			leaks(target+" "+c.name, string(r.body))
		}
	}
	for _, target := range []string{
		"/v1/payments/" + payerNumber, "/v1/grants/" + payerNumber + "?request_id=" + payerNumber,
	} {
		leaks(target, string(e.call(t, e.leader, "GET", target, "").body))
		leaks(target, string(e.call(t, e.leader, "DELETE", target, "", "Gongji-Key", payerNumber).body))
	}
	if e.logs.String() == "" {
		t.Error("nothing was logged")
	}
	leaks("the log", e.logs.String())
}

// panicky throws what it was asked.
type panicky struct{ *fakeDesk }

func (panicky) CreateGrant(
	_ context.Context, _ api.RequestKey, f client.GrantRequest,
) (client.Grant, api.Written, error) {
	panic(f.Payer.Name)
}

// TestPanic: a fault of the program is an answer, and says nothing of the person that caused it.
func TestPanic(t *testing.T) {
	t.Parallel()
	e := newEnv(t, func(d *api.Deps) { d.Desk = panicky{d.Desk.(*fakeDesk)} })
	for range 3 {
		r := e.call(t, e.follower, "POST", "/v1/grants", grantBody().String())
		if r.status != 500 || r.problem.Code != "internal" || r.problem.Outcome != client.OutcomeUnknown {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	if logs := e.logs.String(); strings.Contains(logs, payerName) || !strings.Contains(logs, "panic in a request") {
		t.Errorf("logs: %s", logs)
	}
}

// TestConcurrent: above the bound a request is refused at once, and nothing was done.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	e := newEnv(t, func(d *api.Deps) { d.ConcurrentMax = 2 })
	e.desk.block, e.desk.entered = make(chan struct{}), make(chan struct{}, 8)
	done := make(chan int, 2)
	for range 2 {
		go func() {
			resp, err := http.Get(e.leader.URL + "/v1/payments/p1")
			if err != nil {
				done <- 0
				return
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			done <- resp.StatusCode
		}()
	}
	for range 2 {
		<-e.desk.entered
	}
	r := e.call(t, e.leader, "GET", "/v1/payments/p1", "")
	if r.status != 429 || r.problem.Code != string(policy.CodeRateLimited) || r.problem.Outcome != client.OutcomeNone {
		t.Errorf("%d %s", r.status, r.body)
	}
	if through := e.call(t, e.follower, "GET", "/v1/payments/p1", ""); through.status != 429 {
		t.Errorf("through another node: %d", through.status)
	}
	if r := e.call(t, e.leader, "GET", "/healthz", ""); r.status != 200 {
		t.Errorf("healthz: %d", r.status)
	}
	close(e.desk.block)
	for range 2 {
		if status := <-done; status != 200 {
			t.Errorf("a request that was let in: %d", status)
		}
	}
	if r := e.call(t, e.leader, "GET", "/v1/payments/p1", ""); r.status != 200 {
		t.Errorf("afterwards: %d", r.status)
	}
}

// TestRawRequests: what no Go client sends.
func TestRawRequests(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"path of two slashes", "GET //v1/rules HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"absolute", "GET http://elsewhere/v1/rules HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"star", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{
			"length and chunks", "POST /v1/payments HTTP/1.1\r\nHost: x\r\n" +
				"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
		},
		{"cut body", "POST /v1/payments HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{}", 400},
		{"long header", "GET /v1/rules HTTP/1.1\r\nHost: x\r\nGongji-Key: " + strings.Repeat("k", 5000) + "\r\n\r\n", 401},
	} {
		for _, server := range []string{e.leader.Listener.Addr().String(), e.follower.Listener.Addr().String()} {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(c.name, err)
			}
			if resp.StatusCode != c.status {
				t.Errorf("%s: %d", c.name, resp.StatusCode)
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			closed(t, conn)
		}
	}
}
