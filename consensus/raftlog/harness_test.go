package raftlog_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"gongji/consensus"
	"gongji/consensus/consensustest"
	"gongji/consensus/raftlog"
	"gongji/internal/freeport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network is a net of pipes between nodes named by ports, inside one process. It can cut
// single nodes off. A zero network is ready.
type network struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
	cut       map[string]bool
	conns     map[net.Conn]string // server ends, by address; and client ends, by the caller's
}

type pipeListener struct {
	net   *network
	addr  string
	conns chan net.Conn
	end   chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.end:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() {
		close(l.end)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		if l.net.listeners[l.addr] == l {
			delete(l.net.listeners, l.addr)
		}
	})
	return nil
}

func (l *pipeListener) Addr() net.Addr { return addr(l.addr) }

type addr string

func (addr) Network() string  { return "pipe" }
func (a addr) String() string { return string(a) }

func (n *network) listen(_, at string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = make(map[string]*pipeListener)
		n.cut = make(map[string]bool)
		n.conns = make(map[net.Conn]string)
	}
	if n.listeners[at] != nil {
		return nil, fmt.Errorf("%s is in use", at)
	}
	l := &pipeListener{net: n, addr: at, conns: make(chan net.Conn), end: make(chan struct{})}
	n.listeners[at] = l
	return l, nil
}

// dialFrom is the Dial of the node at from.
func (n *network) dialFrom(from string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, to string) (net.Conn, error) {
		n.mu.Lock()
		l, dark := n.listeners[to], n.cut[to] || n.cut[from]
		n.mu.Unlock()
		if dark {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		if l == nil {
			return nil, fmt.Errorf("nobody listens on %s", to)
		}
		server, client := net.Pipe()
		select {
		case l.conns <- server:
		case <-l.end:
			return nil, fmt.Errorf("nobody listens on %s", to)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.conns[server], n.conns[client] = to, from
		return client, nil
	}
}

// isolate cuts a node off, or joins it again.
func (n *network) isolate(at string, off bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[at] = off
	if !off {
		return
	}
	for c, who := range n.conns {
		if who == at {
			c.Close()
			delete(n.conns, c)
		}
	}
}

// group is a cluster of raftlog nodes under test.
type group struct {
	t       testing.TB
	size    int
	machine func(int) consensus.StateMachine
	handler consensus.Handler
	tune    func(*raftlog.Tuning)
	with    func(node int, c *raftlog.Config) // last word on each node's config

	net   *network // nil: real TCP with TLS
	addrs []string
	certs *certificates

	mu    sync.Mutex
	disks []vfs.FS               // nil: the operating system's
	kept  *consensustest.CrashFS // holds a backup
	dirs  []string
}

func plainMachine(int) consensus.StateMachine { return &consensustest.Machine{} }

// newMemGroup has its disks in memory, and pipes for a network.
func newMemGroup(t testing.TB, size int) *group {
	t.Helper()
	g := &group{t: t, size: size, machine: plainMachine, net: &network{}}
	for i := range size {
		g.addrs = append(g.addrs, "node:"+strconv.Itoa(i+1))
		g.disks = append(g.disks, consensustest.NewCrashFS())
		g.dirs = append(g.dirs, "node"+strconv.Itoa(i+1))
	}
	return g
}

// newDiskGroup has real files, and TLS over TCP.
func newDiskGroup(t testing.TB, size int) *group {
	t.Helper()
	g := &group{t: t, size: size, machine: plainMachine, certs: newCertificates(t)}
	root := t.TempDir()
	for i := range size {
		g.addrs = append(g.addrs, freeport.Addr(t))
		g.disks = append(g.disks, nil)
		g.dirs = append(g.dirs, filepath.Join(root, "node"+strconv.Itoa(i+1)))
	}
	return g
}

func (g *group) id(node int) string { return "n" + strconv.Itoa(node+1) }

func (g *group) config(node int) raftlog.Config {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := raftlog.Config{
		NodeID: g.id(node), Dir: g.dirs[node], FS: g.disks[node], Bootstrap: true,
		StateMachine: g.machine(node), Handler: g.handler,
		Tuning: raftlog.Tuning{
			Heartbeat: 200 * time.Millisecond, SegmentSize: 256 << 10, MemTableSize: 256 << 10, CacheSize: 1 << 20,
			CommitInterval: 10 * time.Millisecond,
		},
	}
	for i := range g.size {
		c.Peers = append(c.Peers, raftlog.Peer{ID: g.id(i), Addr: g.addrs[i]})
	}
	if g.net != nil {
		c.Listen, c.Dial = g.net.listen, g.net.dialFrom(g.addrs[node])
	} else {
		c.TLSServer, c.TLSClient = g.certs.server, g.certs.client
	}
	if os.Getenv("RAFTLOG_TRACE") != "" {
		c.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).
			With(slog.String("node", c.NodeID))
	}
	if g.tune != nil {
		g.tune(&c.Tuning)
	}
	if g.with != nil {
		g.with(node, &c)
	}
	return c
}

func (g *group) cluster() consensustest.Cluster {
	return consensustest.Cluster{
		Size: g.size,
		New:  func(node int) (consensus.Log, error) { return raftlog.New(g.config(node)) },
	}
}

func (g *group) disk(node int) *consensustest.CrashFS {
	g.mu.Lock()
	defer g.mu.Unlock()
	fs, ok := g.disks[node].(*consensustest.CrashFS)
	if !ok {
		g.t.Fatal("not a disk in memory")
	}
	return fs
}

func (g *group) setDisk(node int, fs vfs.FS) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.disks[node] = fs
}

// nodeOf is a node with the calls that consensus.Log does not have.
func nodeOf(t testing.TB, r *consensustest.Running, node int) *raftlog.Node {
	t.Helper()
	n, ok := r.Log(node).(*raftlog.Node)
	if !ok {
		t.Fatal("not a raftlog.Node")
	}
	return n
}

type certificates struct{ server, client *tls.Config }

func newCertificates(t testing.TB) *certificates {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &certificates{
		server: &tls.Config{
			Certificates: []tls.Certificate{cert}, ClientCAs: pool,
			ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
		},
		client: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool, MinVersion: tls.VersionTLS13},
	}
}
