package hsm_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/cryptotest"
	"gongji/crypto/hsm"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

// moduleEnv names the folder of a module: the test's program is then that module.
const moduleEnv = "GONGJI_TEST_MODULE"

// mirrored is a secret whose every bit is turned: what the test's process may know of it, without having it.
func mirrored(secret []byte) []byte {
	out := make([]byte, len(secret))
	for i, b := range secret {
		out[i] = ^b
	}
	return out
}

// childModule serves a ring with known keys until its standard input ends, and tells the keys' ids and their mirrored
// secrets on its standard output.
func childModule(dir string) error {
	kek, err := keyfile.RawKEK(bytes.Repeat([]byte{7}, keyfile.KEKSize))
	if err != nil {
		return err
	}
	ring, err := keyfile.Open(filepath.Join(dir, "keys"), kek, emm.New())
	if err != nil {
		return err
	}
	access, err := hsm.OpenAccess(filepath.Join(dir, "access"), emm.New(), time.Now)
	if err != nil {
		return err
	}
	err = errors.Join(access.SetPIN(hsm.RoleUser, []byte(userPIN)), access.SetPIN(hsm.RoleOfficer, []byte(officerPIN)))
	if err != nil {
		return err
	}
	told := map[string]string{}
	for _, use := range []crypto.Use{
		crypto.UseSign, crypto.UseDecrypt, crypto.UseToken, crypto.UseEvidence, crypto.UseData,
	} {
		private, err := emm.New().Generate()
		if err != nil {
			return err
		}
		secret := private.Bytes()
		if use == crypto.UseData {
			secret = secret[:crypto.KeySize]
		}
		id, err := ring.Import(use, secret)
		if err != nil {
			return err
		}
		told[id] = hex.EncodeToString(mirrored(secret))
	}
	server, err := hsm.NewServer(hsm.Module{
		Keys: ring, Access: access, Now: time.Now, Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	l, err := hsm.Listen(context.Background(), filepath.Join(dir, "s"))
	if err != nil {
		return err
	}
	if err = json.NewEncoder(os.Stdout).Encode(told); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return server.Serve(ctx, l)
}

// child is a module in a process of its own.
type child struct {
	socket  string
	secrets map[string][]byte // by id, mirrored
	errs    *bytes.Buffer
	stop    func()
}

func startChild(t *testing.T) *child {
	t.Helper()
	dir := short(t)
	cmd := exec.CommandContext(context.Background(), os.Args[0])
	cmd.Env = append(os.Environ(), moduleEnv+"="+dir)
	c := &child{socket: filepath.Join(dir, "s"), secrets: map[string][]byte{}, errs: &bytes.Buffer{}}
	cmd.Stderr = c.errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.stop = sync.OnceFunc(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the module ended: %v: %s", err, c.errs)
		}
	})
	t.Cleanup(c.stop)
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the module said nothing: %v", err)
	}
	told := map[string]string{}
	if err := json.Unmarshal(line, &told); err != nil {
		t.Fatal(err)
	}
	for id, text := range told {
		if c.secrets[id], err = hex.DecodeString(text); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// holds reports whether data has the secret in it, or its hexadecimal form, without making either.
func holds(data, mirror []byte) bool {
	half := len(mirror) / 2 // half a secret is bad enough
	for rest := data; ; {
		i := bytes.IndexByte(rest, ^mirror[0])
		if i < 0 || i+half > len(rest) {
			break
		}
		n := 1
		for n < half && rest[i+n] == ^mirror[n] {
			n++
		}
		if n == half {
			return true
		}
		rest = rest[i+1:]
	}
	const digits = "0123456789abcdef"
	for rest := data; ; {
		i := bytes.IndexByte(rest, digits[^mirror[0]>>4])
		if i < 0 || i+2*half > len(rest) {
			return false
		}
		n := 0
		for n < half && rest[i+2*n] == digits[^mirror[n]>>4] && rest[i+2*n+1] == digits[^mirror[n]&15] {
			n++
		}
		if n == half {
			return true
		}
		rest = rest[i+1:]
	}
}

// memory calls look with every part of this process's memory that it can write.
func memory(t *testing.T, look func([]byte)) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mem.Close() }()
	for line := range strings.SplitSeq(string(maps), "\n") {
		var from, to int64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil || !strings.HasPrefix(rights, "rw") {
			continue
		}
		const step = 4 << 20
		for at := from; at < to; at += step {
			buffer := make([]byte, min(step+64, to-at))
			n, _ := mem.ReadAt(buffer, at) // a region may have gone
			look(buffer[:n])
		}
	}
}

// listening is a connection whose traffic is kept.
type listening struct {
	net.Conn

	heard *traffic
}

type traffic struct {
	mu sync.Mutex
	b  []byte
}

func (l listening) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	l.heard.mu.Lock()
	defer l.heard.mu.Unlock()
	l.heard.b = append(l.heard.b, p[:n]...)
	return n, err
}

// TestKeysStayInTheModule: the module is a real process. Whatever is asked of it, well formed or not, by either
// role, no secret of its comes over the socket, and none is in the memory of the process that works with its keys.
func TestKeysStayInTheModule(t *testing.T) {
	m := startChild(t)
	heard := &traffic{}
	o := options(m.socket)
	o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return listening{c, heard}, err
	}
	c := open(t, o)
	for id := range m.secrets {
		useAll(t, c, id)
	}
	hostile(t, o, m)
	if heard.mu.Lock(); len(heard.b) < 10_000 {
		t.Errorf("heard %d bytes only", len(heard.b))
	}
	for id, mirror := range m.secrets {
		if holds(heard.b, mirror) {
			t.Errorf("%s came over the socket", id)
		}
	}
	heard.mu.Unlock()
	control := make([]byte, 32) // something that is there, so that nobody looks in the wrong place
	for i := range control {
		control[i] = byte(rand.IntN(256))
	}
	there, regions := false, 0
	own := mirrored(control)
	memory(t, func(data []byte) {
		regions++
		there = there || holds(data, own)
		for id, mirror := range m.secrets {
			if holds(data, mirror) {
				t.Errorf("%s is in the memory of the process that uses it", id)
			}
		}
	})
	if !there || regions == 0 {
		t.Errorf("the control %d was not found in %d parts of the memory", control[0], regions)
	}
	m.stop()
	for id, mirror := range m.secrets {
		if holds(m.errs.Bytes(), mirror) {
			t.Errorf("%s stands in the module's log", id)
		}
	}
	if !strings.Contains(m.errs.String(), "hsm_request_malformed") {
		t.Errorf("no line of what was malformed: %s", m.errs)
	}
}

// useAll does everything that may be done with a key.
func useAll(t *testing.T, c *hsm.Client, id string) {
	t.Helper()
	suite := emm.New()
	done := 0
	if public, err := c.Public(id); err == nil {
		w, err := suite.Wrapper(public)
		if err != nil {
			t.Fatal(err)
		}
		wrapped, err := w.Wrap([]byte("content key"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Unwrap(id, wrapped); err == nil {
			done++
		}
	}
	for range 50 {
		if _, err := c.Sign(id, []byte("message")); err == nil {
			done++
		}
		if _, err := c.MAC(id, []byte("a"), []byte("b")); err == nil {
			done++
		}
		if sealed, err := c.Seal(id, []byte("person"), []byte("row")); err == nil {
			if _, err := c.Open(id, sealed, []byte("row")); err == nil {
				done++
			}
		}
	}
	if done == 0 {
		t.Errorf("%s: nothing could be done", id)
	}
}

// hostile sends requests of chance, half of them with a real id in the right place, in sessions of both roles.
func hostile(t *testing.T, o hsm.Options, m *child) {
	t.Helper()
	var ids []string
	for id := range m.secrets {
		ids = append(ids, id)
	}
	for round := range 120 {
		role, pin := hsm.RoleUser, userPIN
		if round%5 == 0 {
			role, pin = hsm.RoleOfficer, officerPIN
		}
		request := []byte{byte(rand.IntN(20))}
		if round%2 == 0 {
			id := ids[rand.IntN(len(ids))]
			request = append(request, 0, 0, 0, byte(len(id)))
			request = append(request, id...)
		}
		for range rand.IntN(60) {
			request = append(request, byte(rand.IntN(256)>>rand.IntN(8)))
		}
		if request[0] == 13 { // a destruction that is well formed would be done
			continue
		}
		if err := hsm.Raw(o, role, []byte(pin), request); err != nil && !errors.Is(err, crypto.ErrAway) {
			t.Fatal(err)
		}
	}
}

// TestKeeperInAnotherProcess signs in a real process, and verifies here.
func TestKeeperInAnotherProcess(t *testing.T) {
	m := startChild(t)
	c := open(t, options(m.socket))
	suite := emm.New()
	id, err := c.Current(crypto.UseSign)
	if err != nil {
		t.Fatal(err)
	}
	public, err := c.Public(id)
	if err != nil {
		t.Fatal(err)
	}
	v, err := suite.Verifier(public)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := c.Sign(id, []byte("message"))
	if err != nil || v.Verify([]byte("message"), sig) != nil {
		t.Errorf("%v", err)
	}
}

func BenchmarkModule(b *testing.B) {
	dir := short(b)
	access, err := hsm.OpenAccess(filepath.Join(dir, "access"), emm.New(), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	if err := access.SetPIN(hsm.RoleUser, []byte(userPIN)); err != nil {
		b.Fatal(err)
	}
	s, err := hsm.NewServer(hsm.Module{Keys: keyfile.NewMemory(emm.New()), Access: access, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	l, err := hsm.Listen(b.Context(), filepath.Join(dir, "s"))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	c, err := hsm.Open(hsm.Options{Socket: filepath.Join(dir, "s"), PIN: []byte(userPIN), Suite: emm.New()})
	if err != nil {
		b.Fatal(err)
	}
	cryptotest.RunRingBenchmarks(b, c)
	cancel()
	if err := errors.Join(<-done, c.Close()); err != nil {
		b.Error(err)
	}
}
