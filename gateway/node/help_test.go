package node_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gongji/consensus/raftlog"
	"gongji/federation"
	"gongji/federation/membus"
	"gongji/gateway/client"
	"gongji/gateway/config"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/node"
	"gongji/internal/freeport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	beijing  = regiontest.Beijing
	shanghai = regiontest.Shanghai
)

// patience is how long a test waits for what has to come.
const patience = time.Minute

// until waits for a condition.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// output is a log that can be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.b.Bytes())
}

// field is a federation whose regions are nodes on this machine's disk, with a bus in memory.
type field struct {
	t    testing.TB
	keys *regiontest.Federation
	bus  *membus.Bus
	dir  string
	log  *output
}

func newField(t testing.TB, codes ...federation.Region) *field {
	t.Helper()
	keys, err := regiontest.New(regiontest.Config{Absent: codes})
	if err != nil {
		t.Fatal(err)
	}
	f := &field{t: t, keys: keys, bus: membus.New(1), dir: t.TempDir(), log: &output{}}
	t.Cleanup(func() {
		if err := f.bus.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// place is where one node of a region runs.
type place struct {
	f        *field
	cfg      config.Config
	deps     node.Deps
	listener net.Listener

	node *node.Node
	stop func()       // waits
	web  *http.Client // asks the operators' listener over the network; nil: its handler
}

// places are the nodes of a region, not started. people goes into its people file.
func (f *field) places(code federation.Region, n int, people ...config.Person) []*place {
	f.t.Helper()
	file := filepath.Join(f.dir, string(code)+"-people.json")
	f.write(file, config.People{People: people})
	directory := filepath.Join(f.dir, "directory.json")
	if err := os.WriteFile(directory, f.keys.Directory.Signed(), 0o600); err != nil {
		f.t.Fatal(err)
	}
	var out []*place
	var peers []config.Peer
	for i := range n {
		l, err := net.Listen("tcp", freeport.Addr(f.t))
		if err != nil {
			f.t.Fatal(err)
		}
		id := fmt.Sprintf("%s-%d", code, i+1)
		peers = append(peers, config.Peer{ID: id, Addr: l.Addr().String(), API: "http://" + id})
		out = append(out, &place{f: f, listener: l})
	}
	for i, p := range out {
		c := config.Default()
		c.Region, c.NodeID, c.Peers = string(code), peers[i].ID, peers
		c.DataDir = filepath.Join(f.dir, "data", peers[i].ID)
		c.Listen.Peer = peers[i].Addr
		c.Directory.File = directory
		c.Directory.RequireCertificates = false // the tests of certificates bring their own
		c.Directory.Roots = []config.Root{{
			ID: f.keys.Roots.Keys[0].ID, Public: base64.StdEncoding.EncodeToString(f.keys.Roots.Keys[0].Public),
		}}
		c.Adapter.PeopleFile, c.Unsigned = file, true
		c.Operators.None = true
		p.cfg = c
		p.deps = node.Deps{
			Logger: slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Bus:    f.bus, Ring: f.keys.Regions[code].Ring, Silent: true, Tuning: tuning(), Settle: settle.DefaultTiming(),
		}
	}
	return out
}

func tuning() raftlog.Tuning {
	return raftlog.Tuning{
		Heartbeat: 300 * time.Millisecond, Election: 300 * time.Millisecond, LeaderLease: 200 * time.Millisecond,
		SnapshotInterval: 500 * time.Millisecond, SnapshotThreshold: 16, TrailingLogs: 8,
		SegmentSize: 1 << 20, MemTableSize: 256 << 10,
	}
}

func (f *field) write(path string, v any) {
	f.t.Helper()
	data, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// start brings a node up; the test's end stops it.
func (p *place) start() {
	p.f.t.Helper()
	l := p.listener
	if l == nil { // it was up before: the address is free again
		var err error
		until(p.f.t, "the address is free", func() bool {
			l, err = net.Listen("tcp", p.cfg.Listen.Peer)
			return err == nil
		})
	}
	p.listener = nil
	p.deps.Listen = func(string, string) (net.Listener, error) { return l, nil }
	var err error
	if p.node, err = node.New(p.cfg, p.deps); err != nil {
		p.f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.node.Run(ctx); err != nil {
			p.f.t.Errorf("node %s: %v", p.cfg.NodeID, err)
		}
	}()
	p.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	p.f.t.Cleanup(p.stop)
}

// startAll starts nodes and waits until they are ready.
func startAll(t testing.TB, places ...*place) {
	t.Helper()
	for _, p := range places {
		p.start()
	}
	for _, p := range places {
		select {
		case <-p.node.Ready():
		case <-time.After(patience):
			t.Fatalf("%s is not ready: %s", p.cfg.NodeID, p.f.log.bytes())
		}
	}
}

// asking asks the nodes' handlers: the name of a node is its host.
type asking []*place

func (a asking) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, p := range a {
		if p.cfg.NodeID == r.URL.Host {
			r.RemoteAddr = "127.0.0.1:1"
			w := httptest.NewRecorder()
			p.node.Handler().ServeHTTP(w, r)
			return w.Result(), nil
		}
	}
	return nil, fmt.Errorf("no node %s", r.URL.Host)
}

// ask makes a client of the nodes of a region.
func ask(t testing.TB, places ...*place) *client.Client {
	t.Helper()
	var nodes []string
	for _, p := range places {
		nodes = append(nodes, "http://"+p.cfg.NodeID)
	}
	c, err := client.New(client.Options{Nodes: nodes, HTTP: &http.Client{Transport: asking(places)}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// admin asks a node's operators' listener.
func (p *place) admin(method, path string) (int, []byte) {
	w := httptest.NewRecorder()
	p.node.Admin().ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody))
	return w.Code, w.Body.Bytes()
}

// get asks a node's API.
func (p *place) get(path string) []byte {
	w := httptest.NewRecorder()
	p.node.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	return w.Body.Bytes()
}

// operator asks the operators' API with a body.
func (p *place) operator(path, body string) int {
	w := httptest.NewRecorder()
	p.node.Admin().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
	return w.Code
}

func insured(code federation.Region, n int, name, balance string) config.Person {
	return config.Person{
		IDNumber: regiontest.Number(string(code), n), Name: name, Scheme: "310", Status: "1",
		Balance: balance, YearOpening: balance,
	}
}
