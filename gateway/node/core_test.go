//go:build integration

package node_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
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

// TestCoreDump: a process that holds the log and the state of a node open, has read all of both and has no key
// is dumped by gdb's gcore. No clear identity is in the dump; masked ones are, so it was the right place to look.
func TestCoreDump(t *testing.T) {
	t.Parallel()
	m := tell(t)
	if err := m.Tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range m.nodes {
		p.stop()
	}
	for _, p := range []*place{m.nodes[0], m.nodes[3]} {
		m.dumped(t, p.cfg)
	}
	for _, found := range m.hunt.Findings() {
		t.Error(found)
	}
	if m.hunt.Found("core") < 2 {
		t.Error("not even the masked number is in both dumps")
	}
}

// dumped starts a process that holds a stopped node's log and state, and hunts in its dump.
func (m *told) dumped(t testing.TB, c config.Config) {
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
	core, err := os.Open(base + "." + strconv.Itoa(cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if err = errors.Join(m.hunt.Stream("core", c.NodeID, core), core.Close()); err != nil {
		t.Error(err)
	}
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
