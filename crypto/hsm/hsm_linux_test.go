package hsm_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gongji/crypto"
	"gongji/crypto/cryptotest"
	"gongji/crypto/hsm"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

// TestMain is also the module of the tests that need one in a process of its own.
func TestMain(m *testing.M) {
	if dir := os.Getenv(moduleEnv); dir != "" {
		if err := childModule(dir); err != nil {
			_, _ = os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	userPIN    = "pin of the gateway's node"
	officerPIN = "pin of the security officer"
)

// module is a module inside the test's process.
type module struct {
	socket string
	access string
	now    func() time.Time
	stop   func() // waits
}

// start serves keys until the test ends or stop is called.
func start(t *testing.T, dir string, keys crypto.KeyKeeper, now func() time.Time) *module {
	t.Helper()
	m := &module{socket: filepath.Join(dir, "s"), access: filepath.Join(dir, "access"), now: now}
	access, err := hsm.OpenAccess(m.access, emm.New(), now)
	if err != nil {
		t.Fatal(err)
	}
	if len(access.Roles()) == 0 {
		err = errors.Join(access.SetPIN(hsm.RoleUser, []byte(userPIN)), access.SetPIN(hsm.RoleOfficer, []byte(officerPIN)))
		if err != nil {
			t.Fatal(err)
		}
	}
	server, err := hsm.NewServer(hsm.Module{Keys: keys, Access: access, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	l, err := hsm.Listen(t.Context(), m.socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(m.stop)
	return m
}

func options(socket string) hsm.Options {
	return hsm.Options{Socket: socket, PIN: []byte(userPIN), Officer: []byte(officerPIN), Suite: emm.New()}
}

func open(t *testing.T, o hsm.Options) *hsm.Client {
	t.Helper()
	c, err := hsm.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// short is a folder whose path fits into a socket's address.
func short(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hsm") //nolint:usetesting // its path would be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestKeeper: the module behind its socket is a key keeper like any other.
func TestKeeper(t *testing.T) {
	t.Parallel()
	cryptotest.RunKeeperContract(t, emm.New(), func(t *testing.T) crypto.KeyKeeper {
		return open(t, options(start(t, short(t), keyfile.NewMemory(emm.New()), time.Now).socket))
	})
}

// TestRoles: who works with keys destroys none, and who destroys keys works with none.
func TestRoles(t *testing.T) {
	t.Parallel()
	m := start(t, short(t), keyfile.NewMemory(emm.New()), time.Now)
	o := options(m.socket)
	o.Officer = nil
	user := open(t, o)
	id, err := user.Generate(crypto.UseData)
	if err != nil {
		t.Fatal(err)
	}
	order := crypto.Order{Who: "x", Reason: "y"}
	if err := user.Destroy(id, order); !errors.Is(err, crypto.ErrAccess) {
		t.Errorf("a user destroyed: %v", err)
	}
	o.Officer = []byte(userPIN)
	if err := open(t, o).Destroy(id, order); !errors.Is(err, crypto.ErrAccess) || !errors.Is(err, hsm.ErrPIN) {
		t.Errorf("with the user's PIN: %v", err)
	}
	if _, err := user.Seal(id, []byte("person"), nil); err != nil {
		t.Errorf("the key is gone: %v", err)
	}
	o.PIN = []byte(officerPIN)
	if _, err := hsm.Open(o); !errors.Is(err, hsm.ErrPIN) {
		t.Errorf("the officer's PIN opened a user's session: %v", err)
	}
	if err := open(t, options(m.socket)).Destroy(id, order); err != nil {
		t.Errorf("the officer: %v", err)
	}
}

// TestLockOut: five wrong PINs lock the role, also over a restart; the right one is then refused until the time is
// over; sessions that are open go on. The client itself tries a wrong PIN once a minute at most.
func TestLockOut(t *testing.T) {
	t.Parallel()
	dir, ring := short(t), keyfile.NewMemory(emm.New())
	clock := cryptotest.NewClock(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	m := start(t, dir, ring, clock.Now)
	before := open(t, options(m.socket))
	wrong := options(m.socket)
	wrong.PIN = []byte("a wrong pin of the same kind")
	for i := range 5 {
		if _, err := hsm.Open(wrong); !errors.Is(err, hsm.ErrPIN) || !errors.Is(err, crypto.ErrAccess) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, err := hsm.Open(options(m.socket)); !errors.Is(err, hsm.ErrLocked) {
		t.Errorf("locked: %v", err)
	}
	if _, err := before.Generate(crypto.UseToken); err != nil {
		t.Errorf("a session that was open: %v", err)
	}
	m.stop()
	m = start(t, dir, ring, clock.Now)
	if _, err := hsm.Open(options(m.socket)); !errors.Is(err, hsm.ErrLocked) {
		t.Errorf("locked, after a restart: %v", err)
	}
	clock.Add(time.Minute)
	if _, err := hsm.Open(wrong); !errors.Is(err, hsm.ErrPIN) {
		t.Errorf("a minute later: %v", err)
	}
	clock.Add(time.Minute)
	if _, err := hsm.Open(options(m.socket)); !errors.Is(err, hsm.ErrLocked) {
		t.Errorf("the sixth locks for longer: %v", err)
	}
	clock.Add(time.Minute)
	open(t, options(m.socket))
	raw, err := os.ReadFile(m.access)
	if err != nil || strings.Contains(string(raw), userPIN) {
		t.Errorf("the PIN stands in the module's file (%v)", err)
	}
	if err := os.Chmod(m.access, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := hsm.OpenAccess(m.access, emm.New(), clock.Now); err == nil {
		t.Error("an access file that others can read was opened")
	}
}

// TestAway: a module that stops is told apart from every other failure, is not asked again at once, and is found again
// when it is back, also by sessions that it had before.
func TestAway(t *testing.T) {
	t.Parallel()
	dir, ring := short(t), keyfile.NewMemory(emm.New())
	m := start(t, dir, ring, time.Now)
	var dials sync.Map
	o := options(m.socket)
	o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Store(time.Now(), true)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	c := open(t, o)
	id, err := c.Generate(crypto.UseToken)
	if err != nil {
		t.Fatal(err)
	}
	m.stop()
	dials.Clear()
	for range 100 {
		if _, err := c.MAC(id, []byte("x")); !errors.Is(err, crypto.ErrAway) {
			t.Fatalf("away: %v", err)
		}
	}
	tried := 0
	dials.Range(func(any, any) bool { tried++; return true })
	if tried > 50 {
		t.Errorf("tried %d times in 100 calls", tried)
	}
	m = start(t, dir, ring, time.Now)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err = c.MAC(id, []byte("x")); err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not found again: %v", err)
		}
	}
	// Between two calls: the idle session is dead, and nobody notices.
	m.stop()
	start(t, dir, ring, time.Now)
	if _, err := c.MAC(id, []byte("x")); err != nil {
		t.Errorf("over a restart: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.MAC(id, []byte("x")); !errors.Is(err, crypto.ErrAway) {
		t.Errorf("closed: %v", err)
	}
}

// TestSessionsBounded: one more session than there may be is told so, and a place that becomes free is taken.
func TestSessionsBounded(t *testing.T) {
	t.Parallel()
	m := start(t, short(t), keyfile.NewMemory(emm.New()), time.Now)
	var conns []net.Conn
	for range hsm.SessionsMax {
		c, err := net.Dial("unix", m.socket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil { // the hello has begun: the session counts
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if _, err := hsm.Open(options(m.socket)); !errors.Is(err, hsm.ErrBusy) || !errors.Is(err, crypto.ErrAway) {
		t.Errorf("%v", err)
	}
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	var err error
	for range 1000 {
		var c *hsm.Client
		if c, err = hsm.Open(options(m.socket)); err == nil {
			if err = c.Close(); err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Errorf("not free again: %v", err)
}

// TestImpostor: a process in the module's place that does not know the PIN learns nothing and is noticed.
func TestImpostor(t *testing.T) {
	t.Parallel()
	dir := short(t)
	socket := filepath.Join(dir, "s")
	l, err := hsm.Listen(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := hsm.Listen(t.Context(), socket); err == nil {
		t.Error("two modules on one socket")
	}
	heard := make(chan []byte, 1)
	go func() { heard <- impostor(l) }()
	if _, err := hsm.Open(options(socket)); !errors.Is(err, hsm.ErrPIN) {
		t.Errorf("%v", err)
	}
	if got := <-heard; strings.Contains(string(got), userPIN) || len(got) == 0 {
		t.Errorf("heard %q", got)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := hsm.Listen(t.Context(), file); err == nil {
		t.Error("a file was replaced")
	}
}

// impostor says yes to everything. The listener's first guest was the second Listen, which only knocks.
func impostor(l net.Listener) []byte {
	knock, err := l.Accept()
	if err != nil {
		return nil
	}
	_ = knock.Close()
	c, err := l.Accept()
	if err != nil {
		return nil
	}
	defer func() { _ = c.Close() }()
	say := func(b []byte) { _, _ = c.Write(append([]byte{0, 0, 0, byte(len(b))}, b...)) }
	hear := make([]byte, 200)
	say(append([]byte("\x00GJHSM-1\n"), make([]byte, 32)...))
	n, _ := c.Read(hear)
	say(make([]byte, 1+16))
	more, _ := c.Read(hear[n:])
	say(make([]byte, 1+32))
	return hear[:n+more]
}

// TestStrangers: a process of a user who was not named gets no session, however open the socket is.
func TestStrangers(t *testing.T) {
	t.Parallel()
	dir := short(t)
	access, err := hsm.OpenAccess(filepath.Join(dir, "access"), emm.New(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := access.SetPIN(hsm.RoleUser, []byte(userPIN)); err != nil {
		t.Fatal(err)
	}
	s, err := hsm.NewServer(hsm.Module{
		Keys: keyfile.NewMemory(emm.New()), Access: access, Now: time.Now, UIDs: []int{os.Getuid() + 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := hsm.Listen(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := hsm.Share(socket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	if _, err := hsm.Open(options(socket)); !errors.Is(err, crypto.ErrAway) {
		t.Errorf("%v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
