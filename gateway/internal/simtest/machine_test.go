package simtest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gongji/adapters"
	"gongji/consensus/raftlog"
	"gongji/gateway/config"
	"gongji/gateway/internal/settle"
	"gongji/gateway/node"
)

// machine is where one node runs: its disk, its clock, its place on the network. It outlives the node's crashes.
type machine struct {
	w      *world
	region *region
	id     string
	addr   string
	offset atomic.Int64 // of its clock, against the true time

	mu    sync.Mutex
	disk  *vfs.MemFS
	life  *life // nil while it is down
	lives int
}

// life is one start of a node, to its crash or its end.
type life struct {
	m      *machine
	number int
	node   *node.Node
	bus    *faultyBus
	end    *endpoint
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
	fallen atomic.Bool   // its end was wanted: whatever Run says
}

// now is what the machine's clock shows.
func (m *machine) now() time.Time {
	return time.Now().Round(0).Add(time.Duration(m.offset.Load()))
}

// tuning makes a node cheap: small files, and a pace that suits virtual time.
func tuning() raftlog.Tuning {
	return raftlog.Tuning{
		Heartbeat: 2 * time.Second, Election: 2 * time.Second, LeaderLease: time.Second,
		CommitInterval: 100 * time.Millisecond, RPCTimeout: 4 * time.Second,
		SnapshotInterval: 20 * time.Second, SnapshotThreshold: 96, TrailingLogs: 48,
		SegmentSize: 64 << 10, MemTableSize: 128 << 10, LogCache: 64, MaxRPCsInFlight: 8,
	}
}

func timing() settle.Timing {
	t := settle.DefaultTiming()
	t.Heartbeat = 2 * time.Second
	t.Unreachable = 8 * time.Second
	return t
}

func (m *machine) config() config.Config {
	c := config.Default()
	c.Region, c.NodeID, c.DataDir = m.region.code, m.id, "/data"
	c.Listen = config.Listen{Peer: m.addr}
	for _, p := range m.region.machines {
		c.Peers = append(c.Peers, config.Peer{ID: p.id, Addr: p.addr, API: "http://" + p.addr})
	}
	c.Kafka.Brokers, c.Kafka.CreateTopics = []string{brokerAddr}, true
	c.Directory.Roots, c.Directory.Threshold = []config.Root{m.w.root}, 1
	c.Directory.RequireCertificates = false
	c.Adapter.PeopleFile = m.region.peopleFile
	c.Unsigned, c.Operators.None = true, true
	return c
}

// start brings the node up on the machine's disk.
func (m *machine) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life != nil || m.w.over.Load() {
		return nil
	}
	m.lives++
	l := &life{m: m, number: m.lives, end: newEndpoint(m.id), done: make(chan struct{})}
	logger := slog.New(&storyHandler{m.w.story, m.id, nil, l.fallen.Load})
	bus, err := m.w.newBus(l.end, logger, m.seed(1))
	if err != nil {
		return err
	}
	l.bus = bus
	deps := node.Deps{
		Logger: logger, Clock: m.now, Random: randomBytes(m.seed(2)), FS: m.disk, Cache: m.w.cache,
		Listen: func(_, address string) (net.Listener, error) { return m.w.net.listen(l.end, address) },
		Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
			return m.w.net.dial(ctx, l.end, address)
		},
		Bus: bus, Ring: m.region.ring, Directory: m.w.directory, Tuning: tuning(), Settle: timing(), Silent: true,
	}
	if m.region.core != nil {
		deps.Core = &line2core{Core: m.region.core, life: l}
	}
	if l.node, err = node.New(m.config(), deps); err != nil {
		return errors.Join(err, bus.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	m.life = l
	m.w.work.Go(func() { l.run(ctx) })
	return nil
}

// seed is one of its own for each use and life.
func (m *machine) seed(use uint64) uint64 {
	var h uint64 = 14695981039346656037
	for _, b := range []byte(m.id) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return m.w.seed ^ h ^ use<<32 ^ uint64(m.lives)<<40 //nolint:gosec // small numbers
}

func (l *life) run(ctx context.Context) {
	defer close(l.done)
	err := l.node.Run(ctx)
	fallen := l.fallen.Load()
	l.m.w.net.kill(l.end)
	closing := l.bus.Close()
	if !fallen {
		l.m.w.story.fault("node %s stopped by itself: %v", l.m.id, errors.Join(err, closing))
		l.m.mu.Lock()
		if l.m.life == l {
			l.m.life = nil
		}
		l.m.mu.Unlock()
	}
}

// now running, or nil.
func (m *machine) running() *life {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.life
}

// crash takes the power: nothing leaves the machine any more, and its disk has what was synced, and perhaps
// kept percent of the rest.
func (m *machine) crash(kept int, rng *rand.Rand) {
	m.mu.Lock()
	l := m.life
	m.life = nil
	m.mu.Unlock()
	if l == nil {
		return
	}
	l.fallen.Store(true)
	m.w.net.kill(l.end)
	disk := m.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng})
	m.mu.Lock()
	m.disk = disk
	m.mu.Unlock()
	l.cancel()
}

// stop ends the node as an operator does, and waits for it.
func (m *machine) stop() {
	m.mu.Lock()
	l := m.life
	m.life = nil
	m.mu.Unlock()
	if l == nil {
		return
	}
	l.fallen.Store(true)
	l.cancel()
	<-l.done
}

// wipe gives a machine that is down a new disk.
func (m *machine) wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disk = vfs.NewCrashableMem()
}

// errDown: nobody answers at that machine, or did not to the end.
var errDown = errors.New("no answer")

// ask is a request to the machine's API, or its operators' listener. An answer that the machine did not live to give
// is lost.
func (m *machine) ask(ctx context.Context, admin bool, method, path, body string) (int, string, error) {
	l := m.running()
	if l == nil {
		return 0, "", errDown
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	h := l.node.Handler()
	if admin {
		h = l.node.Admin()
	}
	rec := httptest.NewRecorder()
	done := make(chan struct{})
	m.w.work.Go(func() {
		defer close(done)
		h.ServeHTTP(rec, r)
	})
	select {
	case <-done:
	case <-l.end.dead:
		return 0, "", errDown
	case <-ctx.Done():
		return 0, "", ctx.Err()
	}
	select {
	case <-l.end.dead:
		return 0, "", errDown
	default:
		return rec.Code, rec.Body.String(), nil
	}
}

// randomBytes fills slices from a seed.
func randomBytes(seed uint64) func([]byte) {
	var mu sync.Mutex
	var key [32]byte
	for i := range 4 {
		for j := range 8 {
			key[8*i+j] = byte(seed>>(8*j) ^ uint64(i)) //nolint:gosec // the lowest byte is meant
		}
	}
	source := rand.NewChaCha8(key)
	return func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = source.Read(b)
	}
}

// line2core is the line from one life of a node to the core system: with the power gone no call leaves, and no
// answer comes.
type line2core struct {
	adapters.Core
	life *life
}

func (c *line2core) Person(ctx context.Context, p adapters.Person) (adapters.Account, error) {
	if c.life.end.gone() {
		return adapters.Account{}, adapters.ErrUnavailable
	}
	return c.Core.Person(ctx, p)
}

func (c *line2core) Hold(ctx context.Context, call adapters.Call, p adapters.Person, amount, floor int64) (int64, error) {
	if c.life.end.gone() {
		return 0, adapters.ErrUnavailable
	}
	held, err := c.Core.Hold(ctx, call, p, amount, floor)
	return held, c.done("hold", call.Ref, fmt.Sprintf("%d fen", amount), err)
}

func (c *line2core) Capture(ctx context.Context, call adapters.Call, hold string, amount int64) error {
	if c.life.end.gone() {
		return adapters.ErrUnavailable
	}
	err := c.Core.Capture(ctx, call, hold, amount)
	return c.done("capture", hold, fmt.Sprintf("%d fen", amount), err)
}

func (c *line2core) Release(ctx context.Context, call adapters.Call, hold string) error {
	if c.life.end.gone() {
		return adapters.ErrUnavailable
	}
	err := c.Core.Release(ctx, call, hold)
	return c.done("release", hold, "", err)
}

// done tells what the core system answered, and brings the answer if the power is still there.
func (c *line2core) done(what, hold, more string, err error) error {
	answer := "done"
	if err != nil {
		answer = err.Error()
	}
	w := c.life.m.w
	w.story.tell("core", paymentOf(hold), "%s asks %s of %s %s: %s", c.life.m.id, what, hold, more, answer)
	if err == nil {
		w.happened(c.life.m.region, coreDid+what)
	}
	if c.life.end.gone() {
		return adapters.ErrUnknown
	}
	return err
}

// paymentOf is the payment that a hold belongs to.
func paymentOf(hold string) string {
	if i := strings.LastIndexByte(hold, '-'); i > 1 {
		return "p" + hold[1:i]
	}
	return ""
}
