//go:build integration && unix

package scenario_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gongji/testnet/topology"
)

// allOK is what the check prints when everything agrees.
const allOK = "I-1 ok\nI-2 ok\nI-3 ok\nI-4 ok\nI-5 ok\nI-6 ok\nI-7 ok\n"

// programMax bounds a command of the testnet; endMax an end that was asked for.
const (
	programMax = 5 * time.Minute
	endMax     = 30 * time.Second
)

// program builds the testnet once for all tests of this package.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gongji-scenario-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "testnet")
	out, err := exec.Command("go", "build", "-o", path, "gongji/testnet").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// call runs a command of the testnet to its end.
func call(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), programMax)
	defer cancel()
	var out, diagnosis bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &diagnosis
	if err = cmd.Run(); err != nil {
		t.Logf("%v: %v\n%s", args, err, &diagnosis)
	}
	return out.String(), err
}

// running is a testnet that stays up, in a process group of its own with its nodes.
type running struct {
	*fed

	cmd    *exec.Cmd
	ended  chan struct{} // closed when it has ended, with err
	err    error
	output *tail
}

// tail keeps the end of what a process wrote.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	l.text = l.text[max(0, len(l.text)-8<<10):]
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// up starts a testnet and waits until it is there.
func up(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	r := &running{
		cmd:   exec.Command(path, append([]string{"--quiet", "--data", dir}, args...)...),
		ended: make(chan struct{}), output: &tail{},
	}
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.cmd.Stderr = r.output
	out, err := r.cmd.StdoutPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The group is this testnet and the nodes that it started.
		_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
		<-r.ended
	})
	session := make(chan struct{})
	go func() {
		told := false
		for s := bufio.NewScanner(out); s.Scan(); {
			if !told && strings.HasPrefix(s.Text(), "session: ") {
				told = true
				close(session)
			}
		}
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	select {
	case <-session:
	case <-r.ended:
		t.Fatalf("the testnet ended: %v\n%s", r.err, r.output)
	}
	r.fed = openFed(t, dir)
	t.Cleanup(func() { // runs before the end of everything
		if t.Failed() {
			r.tellLogs(t)
		}
	})
	return r
}

// tellLogs shows the end of every node's log.
func (r *running) tellLogs(t *testing.T) {
	t.Helper()
	const last = 3 << 10
	for _, region := range r.session.Regions {
		for _, n := range region.Nodes {
			raw, err := os.ReadFile(topology.Layout{Dir: r.dir}.Log(n.ID))
			t.Logf("the log of %s ends with (%v):\n%s", n.ID, err, raw[max(0, len(raw)-last):])
		}
	}
}

// end ends the testnet as its user would.
func (r *running) end(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	limit := time.NewTimer(endMax)
	defer limit.Stop()
	select {
	case <-r.ended:
		if r.err != nil {
			t.Errorf("after SIGINT: %v\n%s", r.err, r.output)
		}
	case <-limit.C:
		t.Errorf("%s after SIGINT it has not ended\n%s", endMax, r.output)
	}
}

// mustCheck runs the testnet's own check: seven times ok.
func (r *running) mustCheck(t *testing.T) {
	t.Helper()
	if out, err := call(t, "check", "--data", r.dir); err != nil || out != allOK {
		t.Errorf("testnet check: %v\n%s", err, out)
	}
}

// gone waits until a process that was killed is no more.
func gone(t *testing.T, pid int) {
	t.Helper()
	until(t, fmt.Sprintf("process %d is gone", pid), func(context.Context) bool {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	})
}
