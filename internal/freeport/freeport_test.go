package freeport_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"gongji/internal/freeport"
)

// TestMain is also another process that wants a port: it prints one, and keeps it until its input ends.
func TestMain(m *testing.M) {
	if os.Getenv("GONGJI_TEST_OTHER") == "" {
		os.Exit(m.Run())
	}
	port, err := freeport.Port(context.Background())
	fmt.Println(port, err)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func listen(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
}

// TestNobodyHasTheSame: what is lent at one time, here and in other processes, is all different and can be listened on.
func TestNobodyHasTheSame(t *testing.T) {
	seen := map[int]string{}
	lent := func(who string, first, n int) {
		for port := first; port < first+n; port++ {
			if other := seen[port]; other != "" {
				t.Fatalf("%d is lent to %s and to %s", port, other, who)
			}
			if port < 20_000 || port > 32_767 {
				t.Fatalf("%d is out of bounds", port)
			}
			seen[port] = who
		}
	}
	for i := range 3 {
		lent("another process", other(t), 1)
		base := freeport.Base(t)
		lent(fmt.Sprintf("base %d", i), base, freeport.Span)
		listen(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(base)))
	}
	for range freeport.Span + 1 { // more than one block has
		addr := freeport.Addr(t)
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		lent("a single one", n, 1)
		listen(t, addr)
	}
}

// other asks another process, which runs until the test ends.
func other(t *testing.T) int {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "GONGJI_TEST_OTHER=1")
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
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(strings.Fields(line)[0])
	if err != nil || port == 0 {
		t.Fatalf("%q: %v", line, err)
	}
	return port
}

// TestGivesBack: more tests than there are ports can follow each other.
func TestGivesBack(t *testing.T) {
	for range 40 {
		t.Run("base", func(t *testing.T) { freeport.Base(t) })
	}
	for range 2 * 13_000 {
		t.Run("single", func(t *testing.T) { freeport.Addr(t) })
	}
}

// TestSkipsWhatIsTaken: a block in which somebody else listens is not lent.
func TestSkipsWhatIsTaken(t *testing.T) {
	var base int
	t.Run("first", func(t *testing.T) { base = freeport.Base(t) })
	taken := base + freeport.Span/2
	listen(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(taken)))
	if again := freeport.Base(t); again <= taken && taken < again+freeport.Span {
		t.Errorf("%d is lent again from %d, with %d taken", again, base, taken)
	}
}
