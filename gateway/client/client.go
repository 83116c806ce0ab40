package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Signer signs the message of a request with a platform's SM2 key (default user id), and names the key. sig is DER.
type Signer func(message []byte) (keyID string, sig []byte, err error)

// Options say whom a Client asks. Only Nodes is needed.
type Options struct {
	// Nodes are the base addresses of the nodes of one region: http://127.0.0.1:18001.
	Nodes []string
	// HTTP is used as it is; nil for one that keeps many connections open.
	HTTP *http.Client
	// Sign signs each request; nil sends unsigned ones. Hash is then the SM3 of its argument.
	Sign Signer
	Hash func(data []byte) [32]byte
	// Clock dates signed requests; nil for the system's.
	Clock func() time.Time
	// Attempt is how long one try may take, 0 for AttemptStandard. A call waits longer, if its context lets it.
	Attempt time.Duration
	// Patience is how long a call goes on whose context has no deadline, 0 for PatienceStandard.
	Patience time.Duration
}

// Standard times. One try of a payment takes up to 10 s for its holds, a confirm up to 30 s if told to wait.
const (
	AttemptStandard  = 35 * time.Second
	PatienceStandard = 60 * time.Second
)

// Bounds of the repeats, and of what is read.
const (
	attemptsMax  = 64
	backoffFirst = 20 * time.Millisecond
	backoffMax   = 2 * time.Second
	answerMax    = 16 << 20
	idlePerNode  = 512
)

// The kinds of failure beside *ProblemError.
var (
	// ErrOptions: there is no node to ask, or an address or the signer is not complete.
	ErrOptions = errors.New("client: bad options")
	// ErrUnanswered: time ran out without an answer. Whether something happened is not known: repeat the same request
	// with the same id.
	ErrUnanswered = errors.New("client: no answer")
	// ErrAnswer: the answer is not what a gateway answers.
	ErrAnswer = errors.New("client: not an answer of a gateway")
)

// Client asks the nodes of one region. It repeats the same request, with the same id, after a lost answer, an
// unknown outcome and whatever says that it is retryable, and goes straight to the leader once an answer named it. What
// it signs it dates by the nodes' clock, and signs anew, once, what was too old for the node that got it.
// Safe for concurrent use.
type Client struct {
	nodes    []string
	http     *http.Client
	sign     Signer
	hash     func([]byte) [32]byte
	clock    func() time.Time
	attempt  time.Duration
	patience time.Duration

	mu     sync.Mutex
	leader string        // base address, "" while unknown
	turn   int           // of the node to ask while there is no leader
	skew   time.Duration // of the nodes' clocks against this one's
}

// New makes a client; ErrOptions tells what is missing.
func New(o Options) (*Client, error) {
	c := &Client{
		http: o.HTTP, sign: o.Sign, hash: o.Hash, clock: o.Clock, attempt: o.Attempt, patience: o.Patience,
	}
	for _, n := range o.Nodes {
		u, err := url.Parse(n)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return nil, fmt.Errorf("%w: node %q", ErrOptions, n)
		}
		c.nodes = append(c.nodes, u.Scheme+"://"+u.Host)
	}
	if len(c.nodes) == 0 {
		return nil, fmt.Errorf("%w: no nodes", ErrOptions)
	}
	if c.sign != nil && c.hash == nil {
		return nil, fmt.Errorf("%w: a signer needs SM3", ErrOptions)
	}
	if c.http == nil {
		c.http = &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: idlePerNode, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: false,
		}}
	}
	if c.clock == nil {
		c.clock = time.Now
	}
	if c.attempt <= 0 {
		c.attempt = AttemptStandard
	}
	if c.patience <= 0 {
		c.patience = PatienceStandard
	}
	return c, nil
}

// NewRequestID makes an id that nobody else has made: 26 characters.
func NewRequestID() string { return rand.Text() }

// Request is one call, for those that need more than the methods give.
type Request struct {
	Method string
	Path   string // with its query
	Body   any    // nil for none
}

// Answer is what came back with a 2xx.
type Answer struct {
	Status int
	Replay bool   // the request had been done before: Idempotent-Replay
	Leader string // as the answer named it
	Body   []byte // JSON
}

// Do sends a request until there is an answer, a problem that a repeat cannot mend (*ProblemError), or no time left
// (ErrUnanswered, with the last failure). A write has to carry its request id.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = json.Marshal(r.Body); err != nil {
			return Answer{}, fmt.Errorf("client: %w", err)
		}
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.patience)
		defer cancel()
	}
	var last error
	renewed := false
	for n := range attemptsMax {
		answer, err := c.try(ctx, r.Method, r.Path, body)
		if err == nil {
			return answer, nil
		}
		if !renewed && c.sign != nil && stale(err) {
			renewed = true // a new leader does not take what was signed before its time, nor anybody a clock that is off
			continue
		}
		if final(err) {
			return Answer{}, err
		}
		if last != nil && ctx.Err() != nil {
			err = errors.Join(last, err) // time ran out in the middle of a try: what a node said before is worth more
		}
		last = err
		if pause(ctx, n) != nil {
			break
		}
	}
	return Answer{}, errors.Join(ErrUnanswered, last)
}

// final tells whether a repeat would be answered in the same way.
func final(err error) bool {
	if p, ok := errors.AsType[*ProblemError](err); ok {
		return !p.Problem.Retryable && p.Problem.Outcome != OutcomeUnknown
	}
	return errors.Is(err, errSign)
}

// stale tells whether a request has only to be signed anew: it was not carried out.
func stale(err error) bool {
	p, ok := errors.AsType[*ProblemError](err)
	return ok && p.Problem.Code == codeStale
}

const codeStale = "stale_request"

// errSign: the signer failed; nothing was sent.
var errSign = errors.New("client: cannot sign")

// try sends the request once.
func (c *Client) try(ctx context.Context, method, path string, body []byte) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.attempt)
	defer cancel()
	node := c.pick()
	req, err := http.NewRequestWithContext(ctx, method, node+path, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("client: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if err = c.signed(req, body); err != nil {
		return Answer{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.failed(node)
		return Answer{}, fmt.Errorf("client: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, answerMax+1))
	if err != nil || len(data) > answerMax {
		c.failed(node)
		return Answer{}, errors.Join(ErrAnswer, err)
	}
	c.learn(node, resp.Header.Get("Gongji-Leader"))
	if resp.StatusCode >= http.StatusOK && resp.StatusCode < http.StatusMultipleChoices {
		return Answer{
			Status: resp.StatusCode, Replay: resp.Header.Get("Idempotent-Replay") == "true",
			Leader: resp.Header.Get("Gongji-Leader"), Body: data,
		}, nil
	}
	err = c.problem(node, resp.StatusCode, data)
	if stale(err) {
		c.compare(node, resp.Header.Get("Date"))
	}
	return Answer{}, err
}

// problem reads a problem document.
func (c *Client) problem(node string, status int, data []byte) error {
	var p Problem
	if err := json.Unmarshal(data, &p); err != nil || p.Code == "" {
		c.failed(node)
		return fmt.Errorf("%w: status %d", ErrAnswer, status)
	}
	if p.Status == 0 {
		p.Status = status
	}
	if status >= http.StatusInternalServerError {
		c.failed(node) // perhaps another node knows better
	}
	return &ProblemError{Problem: p}
}

// pick is the leader, or the nodes by turns.
func (c *Client) pick() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader != "" {
		return c.leader
	}
	node := c.nodes[c.turn%len(c.nodes)]
	c.turn++
	return node
}

// failed forgets a leader that did not answer.
func (c *Client) failed(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader == node {
		c.leader = ""
	}
}

// learn remembers the leader that an answer of node named. It never goes from https to http.
func (c *Client) learn(node, leader string) {
	if leader == "" {
		return
	}
	scheme, _, _ := strings.Cut(node, "://")
	if !strings.Contains(leader, "://") {
		leader = scheme + "://" + leader
	}
	u, err := url.Parse(leader)
	if err != nil || u.Host == "" || u.Scheme != scheme {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = u.Scheme + "://" + u.Host
}

// ask is Do with the answer read into a value.
func ask[T any](ctx context.Context, c *Client, r Request) (T, error) {
	var v T
	a, err := c.Do(ctx, r)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(a.Body, &v); err != nil {
		return v, errors.Join(ErrAnswer, err)
	}
	return v, nil
}
