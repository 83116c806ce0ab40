package hsm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// Options is what a Client needs. Socket, PIN and Suite must be there.
type Options struct {
	Socket  string
	PIN     []byte // of RoleUser
	Officer []byte // PIN of RoleOfficer; empty: this client cannot destroy keys
	Suite   crypto.Digester
	// Sessions is how many requests are under way at once; 0: sessionsDefault. Others wait their turn.
	Sessions int
	// Dial is the network; nil: the machine's. Tests listen in.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

const (
	sessionsDefault = 8
	officerSessions = 1
)

// Client is the crypto.KeyKeeper of a program whose keys are in a module. Safe for concurrent use. While the module is
// away each call says so at once (crypto.ErrAway), and now and then one of them tries to reach it again.
type Client struct {
	users    *pool
	officers *pool // nil without an officer's PIN
}

var _ crypto.KeyKeeper = (*Client)(nil)

// Open connects to the module and logs in. Errors: ErrPIN, ErrLocked, ErrBusy, crypto.ErrAway.
func Open(o Options) (*Client, error) {
	if o.Socket == "" || o.Suite == nil || len(o.PIN) < PINMin || len(o.PIN) > PINMax {
		return nil, fmt.Errorf("%w: it has %d to %d bytes, and the module a socket", ErrPIN, PINMin, PINMax)
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: dialWithin}).DialContext
	}
	if o.Sessions <= 0 {
		o.Sessions = sessionsDefault
	}
	o.Sessions = min(o.Sessions, SessionsMax/2) // two programs fit
	c := &Client{users: newPool(o, RoleUser, o.PIN, o.Sessions)}
	if len(o.Officer) > 0 {
		c.officers = newPool(o, RoleOfficer, o.Officer, officerSessions)
	}
	if _, err := c.users.ask(opPing, &encoder{}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close ends all sessions. Calls under way may still be answered.
func (c *Client) Close() error {
	c.users.close()
	if c.officers != nil {
		c.officers.close()
	}
	return nil
}

// pool is the sessions of one role.
type pool struct {
	sm.Redacted
	options Options
	role    Role
	pin     []byte
	slots   chan struct{} // one for each request under way

	mu      sync.Mutex
	idle    []*link
	closed  bool
	salt    []byte
	proofs  *proofs // of salt
	wait    time.Duration
	blocked time.Time // nobody dials before
	why     error     // the last failure to reach the module
}

func newPool(o Options, role Role, pin []byte, sessions int) *pool {
	return &pool{options: o, role: role, pin: append([]byte(nil), pin...), slots: make(chan struct{}, sessions)}
}

// link is one session.
type link struct {
	c    net.Conn
	used time.Time
}

// ask makes one request. A session that the module has closed meanwhile (it was started anew, or had enough of idling)
// is replaced by a new one before anything is asked; once a request has been sent it is not repeated.
func (p *pool) ask(op operation, e *encoder) ([]byte, error) {
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	l, err := p.take()
	if err != nil {
		return nil, err
	}
	answer, err := l.round(append([]byte{byte(op)}, e.b...), FrameMax)
	if err != nil {
		_ = l.c.Close()
		return nil, fmt.Errorf("%w: %w", crypto.ErrAway, err)
	}
	p.give(l)
	if refused := errorOf(status(answer[0])); refused != nil {
		return nil, refused
	}
	return answer[1:], nil
}

// round sends a frame and takes its answer, which has at least its status.
func (l *link) round(body []byte, limit int) ([]byte, error) {
	if err := l.c.SetDeadline(time.Now().Add(requestWithin)); err != nil {
		return nil, err
	}
	if err := writeFrame(l.c, body); err != nil {
		return nil, err
	}
	return readFrame(l.c, limit, func() error { return nil })
}

// take is an idle session that still lives, or a new one.
func (p *pool) take() (*link, error) {
	for {
		l := p.pop()
		if l == nil {
			return p.dial()
		}
		if time.Since(l.used) < clientIdle && l.alive() {
			return l, nil
		}
		_ = l.c.Close()
	}
}

func (p *pool) pop() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	l := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return l
}

// give puts a session back.
func (p *pool) give(l *link) {
	l.used = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = l.c.Close()
		return
	}
	p.idle = append(p.idle, l)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, l := range p.idle {
		_ = l.c.Close()
	}
	p.idle = nil
	clear(p.pin)
	p.proofs = nil
}

// dial opens a new session, or says at once that there is none while the last failure is fresh.
func (p *pool) dial() (*link, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, fmt.Errorf("%w: closed", crypto.ErrAway)
	}
	if left := time.Until(p.blocked); left > 0 {
		why := p.why
		p.mu.Unlock()
		return nil, fmt.Errorf("%w (tried again in %s)", why, left.Round(time.Millisecond))
	}
	p.mu.Unlock()
	l, err := p.open()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.wait, p.blocked, p.why = 0, time.Time{}, nil
		return l, nil
	}
	p.wait = min(max(2*p.wait, backoffFirst), backoffMost)
	if errors.Is(err, ErrPIN) || errors.Is(err, ErrLocked) {
		p.wait = pinBackoff
	}
	p.blocked, p.why = time.Now().Add(p.wait), err
	return nil, err
}
