package hsm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"gongji/crypto"
)

const socketMode os.FileMode = 0o600

// Module is what a Server is made of. All but Logger and UIDs must be there.
type Module struct {
	Keys   crypto.KeyKeeper
	Access *Access
	Now    func() time.Time
	Logger *slog.Logger
	// UIDs are the users whose processes may connect; none: only those of the module's own user.
	UIDs []int
}

// Server is the process that has the keys.
type Server struct {
	m Module

	mu       sync.Mutex
	sessions map[net.Conn]struct{}
	made     []time.Time // keys that sessions had made within generateWithin
	group    sync.WaitGroup
}

// NewServer makes a server. It serves nothing yet.
func NewServer(m Module) (*Server, error) {
	if m.Keys == nil || m.Access == nil || m.Now == nil {
		return nil, errors.New("hsm: a module needs keys, an access file and a clock")
	}
	if m.Logger == nil {
		m.Logger = slog.New(slog.DiscardHandler)
	}
	if len(m.UIDs) == 0 {
		m.UIDs = []int{os.Getuid()}
	}
	return &Server{m: m, sessions: make(map[net.Conn]struct{})}, nil
}

// Listen opens the socket; a file that a module left there when it was killed is replaced. Errors: those of os, and
// that another module serves there.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	if err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("hsm: %s is there and is no socket", path)
		}
		c, dialed := (&net.Dialer{Timeout: dialWithin}).DialContext(ctx, "unix", path)
		if dialed == nil {
			return nil, errors.Join(fmt.Errorf("hsm: another module serves on %s", path), c.Close())
		}
		if err = os.Remove(path); err != nil {
			return nil, fmt.Errorf("hsm: %w", err)
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("hsm: %w", err)
	}
	if err = os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("hsm: %w", err), l.Close())
	}
	return l, nil
}

// Serve takes sessions until ctx ends or the listener fails; then it closes all and waits for them.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close()
		s.closeAll()
	})
	defer func() {
		cancel()
		stop()
		_ = l.Close()
		s.closeAll()
		s.group.Wait()
	}()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("hsm: %w", err)
		}
		s.take(ctx, c)
	}
}

func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		_ = c.Close()
	}
}

// take gives a connection a goroutine, if its user may connect and there is a session left.
func (s *Server) take(ctx context.Context, c net.Conn) {
	if err := s.peer(c); err != nil {
		s.audit(ctx, "hsm_connection_refused", slog.String("reason", err.Error()))
		_ = c.Close()
		return
	}
	s.mu.Lock()
	full := len(s.sessions) >= SessionsMax || ctx.Err() != nil
	if !full {
		s.sessions[c] = struct{}{}
	}
	s.mu.Unlock()
	if full {
		s.audit(ctx, "hsm_sessions_full")
		_ = c.SetDeadline(time.Now().Add(dialWithin)) // the socket's own time, not the module's
		_ = writeFrame(c, []byte{byte(statusBusy)})
		_ = c.Close()
		return
	}
	s.group.Go(func() {
		(&session{s: s, c: c}).run(ctx)
		s.mu.Lock()
		delete(s.sessions, c)
		s.mu.Unlock()
		_ = c.Close()
	})
}

func (s *Server) audit(ctx context.Context, event string, attrs ...slog.Attr) {
	s.m.Logger.LogAttrs(ctx, slog.LevelWarn, "audit", append(attrs, slog.String("event", event))...)
}

// mayGenerate counts a key that a session wants made.
func (s *Server) mayGenerate() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.m.Now()
	for len(s.made) > 0 && now.Sub(s.made[0]) >= generateWithin {
		s.made = s.made[1:]
	}
	if len(s.made) >= generateMax {
		return false
	}
	s.made = append(s.made, now)
	return true
}

// session is one connection: first its PIN, then its requests, one after another.
type session struct {
	s    *Server
	c    net.Conn
	role Role
}

func (n *session) run(ctx context.Context) {
	err := n.login(ctx)
	for err == nil {
		err = n.answer(ctx)
	}
}

func (n *session) within(d time.Duration) error { return n.c.SetDeadline(time.Now().Add(d)) }

// login opens the session: hello, role and nonces, proofs.
func (n *session) login(ctx context.Context) error {
	if err := n.within(loginWithin); err != nil {
		return err
	}
	nonce := make([]byte, nonceSize)
	if _, err := io.ReadFull(rand.Reader, nonce); err != nil {
		return err
	}
	hello := append([]byte{byte(statusOK)}, magic...)
	if err := writeFrame(n.c, append(hello, nonce...)); err != nil {
		return err
	}
	login, err := n.receive(1 + nonceSize)
	if err != nil {
		return err
	}
	role := Role(login[0])
	salt, err := n.s.m.Access.salt(role)
	if err != nil {
		return n.refuse(ctx, role, err)
	}
	if err = writeFrame(n.c, append([]byte{byte(statusOK)}, salt...)); err != nil {
		return err
	}
	proof, err := n.receive(proofSize)
	if err != nil {
		return err
	}
	own, err := n.s.m.Access.check(role, loginOf(role, nonce, login[1:], salt), proof)
	if err != nil {
		return n.refuse(ctx, role, err)
	}
	n.role = role
	return writeFrame(n.c, append([]byte{byte(statusOK)}, own...))
}

// receive takes a frame of exactly that size.
func (n *session) receive(size int) ([]byte, error) {
	frame, err := readFrame(n.c, loginMax, func() error { return nil })
	if err != nil {
		return nil, err
	}
	if len(frame) != size {
		return nil, errFrame
	}
	return frame, nil
}

// refuse says so and ends the session.
func (n *session) refuse(ctx context.Context, role Role, why error) error {
	n.s.audit(ctx, "hsm_login_refused", slog.String("role", role.String()), slog.String("reason", why.Error()))
	return errors.Join(why, writeFrame(n.c, []byte{byte(statusOf(why))}))
}

// answer does one request. What cannot be read is answered and ends the session.
func (n *session) answer(ctx context.Context) error {
	if err := n.within(sessionIdle); err != nil {
		return err
	}
	request, err := readFrame(n.c, FrameMax, func() error { return n.within(frameWithin) })
	if err != nil {
		return err
	}
	result, err := n.s.do(ctx, n.role, request)
	clear(request)
	malformed := errors.Is(err, errFrame)
	out := []byte{byte(statusOf(err))}
	switch {
	case malformed:
		out[0] = byte(statusMalformed)
	case err == nil:
		out = append(out, result...)
	}
	clear(result)
	if errors.Is(writeFrame(n.c, out), errFrame) { // opened more than fits: nothing that was sealed here
		return writeFrame(n.c, []byte{byte(statusFailed)})
	}
	clear(out)
	if malformed {
		n.s.audit(ctx, "hsm_request_malformed", slog.String("role", n.role.String()))
		return errFrame
	}
	return nil
}
