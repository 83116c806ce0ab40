//go:build integration

package node_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"gongji/adapters/embedded"
	"gongji/consensus"
	"gongji/consensus/raftlog"
	"gongji/crypto/sm/emm"
	"gongji/gateway/config"
	"gongji/gateway/internal/ledger"
)

// holderDir names, for the child process, the folder of the node whose log and state it holds open.
const holderDir = "GONGJI_TEST_HOLDER_DIR"

// strange is a name that stands in no program: a core dump of this test's own binary must not have it by itself.
func strange(t *testing.T) string {
	t.Helper()
	b := make([]byte, 8)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	name := "司徒"
	for i := range 3 {
		name += string(rune(0x4e00 + (int(b[2*i])<<8|int(b[2*i+1]))%0x5000))
	}
	return name
}

// TestCoreDump: a process that holds the log and the state of a node open, has read all of both and has no key
// is dumped by gdb's gcore. No clear identity is in the dump; masked ones are, so it was the right place to look.
func TestCoreDump(t *testing.T) {
	t.Parallel()
	f := newField(t, beijing, shanghai)
	payer, remote := insured(shanghai, 911, strange(t), "5000.00"), insured(beijing, 913, strange(t), "5000.00")
	child := insured(beijing, 912, strange(t), "0.00")
	child.Scheme = "390"
	m := &marked{payer: person(shanghai, payer), child: person(beijing, child), remote: person(beijing, remote)}
	sh, bj := f.places(shanghai, 3, payer), f.places(beijing, 3, child, remote)
	m.nodes = append(append(m.nodes, sh...), bj...)
	startAll(t, m.nodes...)
	m.sh, m.bj = ask(t, sh...), ask(t, bj...)
	m.live(t)
	m.afterwards(t)
	for _, p := range m.nodes {
		p.stop()
	}
	control := child.IDNumber[:6] + "********" + child.IDNumber[14:]
	h := newHunt(t, control, payer.IDNumber, payer.Name, child.IDNumber, child.Name, remote.IDNumber, remote.Name)
	for _, p := range []*place{sh[0], bj[0]} {
		h.look("core", p.cfg.NodeID, coreOf(t, p.cfg))
	}
	if h.found["core"] != 2 {
		t.Errorf("the masked number is in %d of 2 dumps", h.found["core"])
	}
}

// coreOf starts a process that holds a stopped node's log and state, and dumps it.
func coreOf(t *testing.T, c config.Config) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHoldOpen$", "-test.v")
	cmd.Env = append(os.Environ(), holderDir+"="+c.DataDir)
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
	lines := bufio.NewScanner(out)
	for lines.Scan() && !bytes.Contains(lines.Bytes(), []byte("held open")) {
		continue
	}
	base := filepath.Join(t.TempDir(), "core")
	dump := exec.CommandContext(t.Context(), "gcore", "-o", base, strconv.Itoa(cmd.Process.Pid))
	if said, err := dump.CombinedOutput(); err != nil {
		t.Errorf("gcore: %v: %s", err, said)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	for lines.Scan() {
		continue
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the holder: %v", err)
	}
	data, err := os.ReadFile(base + "." + strconv.Itoa(cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestHoldOpen is the child process of TestCoreDump, and nothing by itself: it opens log and state without any key,
// reads everything, and waits until it is told to end.
func TestHoldOpen(t *testing.T) {
	dir := os.Getenv(holderDir)
	if dir == "" {
		return
	}
	code, id := beijing, filepath.Base(dir)
	if id[:6] == string(shanghai) {
		code = shanghai
	}
	suite := emm.New()
	l, err := ledger.New(ledger.Config{Self: code, Hash: suite.Sum, Book: embedded.New(ledger.KeyBook)})
	if err != nil {
		t.Fatal(err)
	}
	log, err := raftlog.New(raftlog.Config{
		NodeID: id, Bind: "127.0.0.1:0", Bootstrap: true, Dir: dir, StateMachine: l, Tuning: tuning(), Clock: time.Now,
		Peers: []raftlog.Peer{{ID: id, Addr: "127.0.0.1:0"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- log.Run(ctx) }()
	var held [][]byte
	until(t, "the state is open", func() bool {
		return log.ReadStale(func(r consensus.Reader) error {
			r.Scan(nil, nil, func(key, value []byte) bool {
				held = append(held, bytes.Clone(key), bytes.Clone(value))
				return true
			})
			return nil
		}) == nil && len(held) > 0
	})
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		held = append(held, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("held open: %d pieces", len(held))
	if _, err := bufio.NewReader(os.Stdin).ReadByte(); err == nil {
		t.Error("somebody spoke")
	}
	t.Logf("let go: %d pieces", len(held))
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
