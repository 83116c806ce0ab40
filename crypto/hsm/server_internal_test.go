package hsm

import (
	"bytes"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

// TestSessionTimes: a session that does not log in, that begins a frame and does not end it, or that asks nothing for
// long, is closed.
func TestSessionTimes(t *testing.T) {
	t.Parallel()
	frame := func(body []byte) []byte { return append([]byte{0, 0, 0, byte(len(body))}, body...) }
	for name, test := range map[string]struct {
		send  []byte
		ready bool // logged in
		want  time.Duration
	}{
		"silent before login": {nil, false, loginWithin},
		"half a login":        {[]byte{0, 0}, false, loginWithin},
		"idle":                {frame([]byte{byte(opPing)}), true, sessionIdle},
		"half a frame":        {[]byte{0, 0, 1, 0, 1}, true, frameWithin},
		"half a head":         {[]byte{0, 0}, true, sessionIdle},
		"no frame":            {[]byte{0, 0, 0, 0}, true, 0},
		"frame too long":      {[]byte{1, 0, 0, 0}, true, 0},
		"malformed request":   {frame([]byte{99}), true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { closedAfter(t, test.send, test.ready, test.want) })
		})
	}
}

func closedAfter(t *testing.T, send []byte, ready bool, want time.Duration) {
	t.Helper()
	s, err := NewServer(Module{Keys: keyfile.NewMemory(emm.New()), Access: &Access{}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	began, ended := time.Now(), make(chan time.Time, 1)
	go func() {
		n := &session{s: s, c: there, role: RoleUser}
		if ready {
			for n.answer(t.Context()) == nil {
			}
		} else {
			_ = n.login(t.Context())
		}
		ended <- time.Now()
		_ = there.Close()
	}()
	go func() { // takes whatever is answered
		buffer := make([]byte, 1024)
		for {
			if _, err := here.Read(buffer); err != nil {
				return
			}
		}
	}()
	if _, err := here.Write(send); err != nil {
		t.Log(err) // it was closed while this was sent
	}
	if got := (<-ended).Sub(began); got != want {
		t.Errorf("closed after %s, want %s", got, want)
	}
	_ = here.Close()
	synctest.Wait()
}

// TestGenerateBounded: a program that went mad cannot fill the ring.
func TestGenerateBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	s, err := NewServer(Module{
		Keys: keyfile.NewMemory(emm.New()), Access: &Access{}, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	var e encoder
	e.text(string(crypto.UseToken))
	request := append([]byte{byte(opGenerate)}, e.b...)
	for range generateMax {
		if _, err := s.do(t.Context(), RoleUser, bytes.Clone(request)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.do(t.Context(), RoleUser, request); !errors.Is(err, crypto.ErrFull) {
		t.Errorf("%v", err)
	}
	now = now.Add(generateWithin)
	if _, err := s.do(t.Context(), RoleUser, request); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	var far encoder
	far.number(now.Add(365 * 24 * time.Hour).Unix())
	if _, err := s.do(t.Context(), RoleUser, append([]byte{byte(opMonthly)}, far.b...)); !errors.Is(err, ErrMonth) {
		t.Errorf("next year's key: %v", err)
	}
}

// TestRights is the whole table of who may ask for what.
func TestRights(t *testing.T) {
	t.Parallel()
	for op := range operation(20) {
		user := op >= opPing && op < opDestroy
		officer := op == opPing || op == opIDs || op == opDestroy
		if RoleUser.allowed(op) != user || RoleOfficer.allowed(op) != officer || Role(0).allowed(op) || Role(3).allowed(op) {
			t.Errorf("operation %d", op)
		}
	}
}

// TestStatuses: every error that a request may end with comes back as itself.
func TestStatuses(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		nil, crypto.ErrNoKey, crypto.ErrOpen, crypto.ErrSignature, crypto.ErrKey, crypto.ErrUse, crypto.ErrFull,
		crypto.ErrDestroyed, crypto.ErrOrder, crypto.ErrAccess, ErrMonth, ErrLocked, ErrBusy, ErrPIN,
	} {
		if got := errorOf(statusOf(err)); !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
	if got := errorOf(statusOf(errors.New("disk full"))); !errors.Is(got, ErrRequest) {
		t.Errorf("another error became %v", got)
	}
}

// FuzzRequest: no request crashes the module, and no answer has a secret of its keys in it.
func FuzzRequest(f *testing.F) {
	ring := keyfile.NewMemory(emm.New())
	secrets := map[crypto.Use][]byte{
		crypto.UseToken: bytes.Repeat([]byte{0x5a, 0x11}, 16), crypto.UseData: bytes.Repeat([]byte{0xa5, 0x12}, 8),
		crypto.UseSign: bytes.Repeat([]byte{0x3c, 0x13}, 16), crypto.UseDecrypt: bytes.Repeat([]byte{0x4d, 0x14}, 16),
	}
	for use, secret := range secrets {
		id, err := ring.Import(use, secret)
		if err != nil {
			f.Fatal(err)
		}
		for op := opPing; op <= opDestroy; op++ {
			var e encoder
			e.text(id)
			f.Add(byte(RoleUser), append([]byte{byte(op)}, e.b...))
			e.bytes([]byte("content"))
			f.Add(byte(RoleUser), append([]byte{byte(op)}, e.b...))
			e.bytes([]byte("additional"))
			f.Add(byte(RoleOfficer), append([]byte{byte(op)}, e.b...))
		}
	}
	access, err := OpenAccess(filepath.Join(f.TempDir(), "access"), emm.New(), time.Now)
	if err != nil {
		f.Fatal(err)
	}
	s, err := NewServer(Module{Keys: ring, Access: access, Now: time.Now})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, role byte, request []byte) {
		if len(request) > 0 && operation(request[0]) == opDestroy {
			role = byte(RoleUser) // keep the keys for the next request
		}
		sent := bytes.Clone(request)
		result, err := s.do(t.Context(), Role(role), request)
		if err != nil && len(result) > crypto.HashSize {
			t.Errorf("%d bytes beside %v", len(result), err)
		}
		for use, secret := range secrets {
			if bytes.Contains(result, secret[:crypto.KeySize]) && !bytes.Contains(sent, secret[:crypto.KeySize]) {
				t.Errorf("the %s key in the answer to %x", use, sent)
			}
		}
	})
}
