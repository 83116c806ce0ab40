// Package node puts one gateway node together: it is the only place that knows every part, and owns every goroutine.
//
// It has no logic of its own. New wires: key ring and engine, bus, the region's log with the ledger on it, settle,
// desk and the faces. Run starts them and stops them in the opposite order: first the faces (nobody new is let in),
// then settle (nothing new is sent), then the log, then the bus.
package node

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"gongji/adapters"
	"gongji/adapters/embedded"
	"gongji/consensus"
	"gongji/consensus/raftlog"
	"gongji/crypto"
	"gongji/crypto/secondopinion"
	"gongji/crypto/sm/emm"
	"gongji/crypto/sm/gmsm"
	"gongji/federation"
	"gongji/federation/kafkabus"
	"gongji/gateway/config"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/archivist"
	"gongji/gateway/internal/auditor"
	"gongji/gateway/internal/bulletin"
	"gongji/gateway/internal/desk"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/premium"
	"gongji/gateway/internal/rotate"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/vault"
	"gongji/gateway/trust"
)

// Deps are what a program may hand in instead of what the configuration names. All are optional; a simulation hands
// in most of them.
type Deps struct {
	Logger *slog.Logger
	Clock  func() time.Time // the wall clock
	Random func([]byte)     // fills a slice with random bytes
	FS     vfs.FS           // of log, state and snapshots
	Cache  *pebble.Cache    // shared by the nodes of one process
	// Listen and Dial are the network between the nodes of a region.
	Listen func(network, addr string) (net.Listener, error)
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	// KafkaDial is the network to the brokers.
	KafkaDial func(ctx context.Context, network, addr string) (net.Conn, error)
	Bus       federation.Bus
	Ring      crypto.KeyKeeper
	Core      adapters.Core // a core system outside; then the region has no Book
	Directory []byte        // signed
	Tuning    raftlog.Tuning
	Settle    settle.Timing
	// Settled is how long a new signing key has been valid when this region takes it; 0 is federation.ClockSkewMax.
	Settled time.Duration
	// ArchiveEvery is how often a node looks after the archives of evidence; 0 is archivist.LookStandard.
	ArchiveEvery time.Duration
	// Silent serves no sockets: the API is asked through Handler.
	Silent bool
}

// Node is one node of a region.
type Node struct {
	cfg      config.Config
	deps     Deps
	self     federation.Region
	log      *raftlog.Node
	ledger   *ledger.Ledger
	settler  *settle.Settler
	auditor  *auditor.Auditor
	archives *archivist.Archivist // nil in a simulation
	logins   *logins
	officers []enrolled // of the operators' file
	premiums *premium.Collector
	expiries *trust.Watch
	judged   [federation.HashSize]byte // the directory whose certificates were audited last
	bulletin *bulletin.Watch
	bus      federation.Bus
	owned    []io.Closer // opened by New
	keys     crypto.KeyKeeper
	watch    keyWatch
	sealer   *sealer
	vault    *vault.Vault
	rotator  *rotate.Rotator
	roots    federation.Roots
	face     *api.Face
	desk     *desk.Desk

	platforms *platforms
	registry  *prometheus.Registry
	ready     chan struct{}
}

// New wires a node of a valid configuration. It starts nothing. The engine's self test has passed when it returns.
func New(cfg config.Config, deps Deps) (*Node, error) {
	n := &Node{
		cfg: cfg, deps: deps.withDefaults(cfg), self: federation.Region(cfg.Region),
		registry: prometheus.NewRegistry(), ready: make(chan struct{}),
	}
	if err := n.registry.Register(collectors.NewGoCollector()); err != nil {
		return nil, err
	}
	if err := n.registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		n.openCrypto, n.openBus, n.openLog, n.openAudit, n.openArchives, n.openOperators, n.openTrust, n.openRotator,
		n.openSettle, n.openBulletin, n.openFace,
	} {
		if err := step(); err != nil {
			return nil, errors.Join(err, n.close())
		}
	}
	return n, nil
}

func (d Deps) withDefaults(cfg config.Config) Deps {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	d.Logger = d.Logger.With(slog.String("region", cfg.Region), slog.String("node", cfg.NodeID))
	if d.Clock == nil {
		d.Clock = time.Now // the one place where a node's clock comes from
	}
	if d.Random == nil {
		d.Random = func(b []byte) { _, _ = rand.Read(b) } // never fails: crypto/rand ends the program instead
	}
	if d.Settled == 0 {
		d.Settled = federation.ClockSkewMax
	}
	if d.Settle == (settle.Timing{}) {
		d.Settle = settle.DefaultTiming()
		d.Settle.Resend, d.Settle.Heartbeat = cfg.Timing.ResendAfter, cfg.Timing.Heartbeat
		d.Settle.Unreachable, d.Settle.Query = cfg.Timing.UnreachableAfter, cfg.Timing.QueryTimeout
		d.Settle.SweepFrom, d.Settle.SweepRate = time.Duration(cfg.Sweep.FromHour)*time.Hour, cfg.Sweep.GrantsPerSecond
	}
	return d
}

// disagreements is the folder, below the node's own, in which signatures are kept that the two engines judge
// differently.
const disagreements = "disagreements"

// openCrypto opens the key ring and lets the engines prove themselves.
func (n *Node) openCrypto() error {
	chosen, other := emm.New(), gmsm.New()
	if n.cfg.Crypto.Engine == config.EngineGMSM {
		chosen, other = other, chosen
	}
	for _, s := range []crypto.Suite{chosen, other} {
		if err := s.SelfTest(); err != nil {
			return fmt.Errorf("node: engine %s: %w", s.Name(), err)
		}
	}
	if err := n.openKeys(chosen); err != nil {
		return err
	}
	doubts := secondopinion.Config{
		Chosen: chosen, Other: other, Now: n.deps.Clock, Logger: n.deps.Logger, Registerer: n.registry,
	}
	if n.deps.FS == nil { // a simulation keeps nothing on the real disk
		folder, err := secondopinion.NewFolder(filepath.Join(n.cfg.DataDir, disagreements))
		if err != nil {
			return err
		}
		doubts.Sink = folder
	}
	opinion, err := secondopinion.New(doubts)
	if err != nil {
		return err
	}
	n.sealer = newSealer(chosen, n.keys, opinion, n.deps.Random)
	n.sealer.now = n.deps.Clock
	if n.vault, err = vault.New(n.keys, n.sealer.Hash, n.deps.Random); err != nil {
		return err
	}
	return n.readRoots()
}

func (n *Node) readRoots() error {
	n.roots.Threshold = n.cfg.Directory.Threshold
	for _, r := range n.cfg.Directory.Roots {
		public, err := base64.StdEncoding.DecodeString(r.Public)
		if err != nil {
			return fmt.Errorf("node: root %s: %w", r.ID, err)
		}
		n.roots.Keys = append(n.roots.Keys, federation.RootKey{ID: r.ID, Public: public})
	}
	return n.roots.Check()
}

func (n *Node) openBus() error {
	n.bus = n.deps.Bus
	if n.bus != nil {
		return nil
	}
	bus, err := kafkabus.New(kafkabus.Options{
		Brokers: n.cfg.Kafka.Brokers, Dial: n.deps.KafkaDial, CreateTopics: n.cfg.Kafka.CreateTopics,
		Replication: n.cfg.Kafka.Replicas, ClientID: n.cfg.NodeID, Logger: n.deps.Logger,
	})
	if err != nil {
		return err
	}
	n.bus = bus
	n.owned = append(n.owned, bus)
	return nil
}

func (n *Node) openLog() error {
	var book adapters.Book
	if n.deps.Core == nil {
		book = embedded.New(ledger.KeyBook)
	}
	var err error
	n.ledger, err = ledger.New(ledger.Config{
		Self: n.self, Hash: n.sealer.Hash, Book: book,
		Notify: func(e ledger.Effects) {
			n.settler.Notify(e)
			n.premiums.Notify(e)
		},
	})
	if err != nil {
		return err
	}
	n.vault.Follow(func() ledger.KeysRecord { return n.ledger.InForce().Keys })
	server, client, err := n.peerTLS()
	if err != nil {
		return err
	}
	cfg := raftlog.Config{
		NodeID: n.cfg.NodeID, Bind: n.cfg.Listen.Peer, Bootstrap: true, Dir: n.cfg.DataDir,
		StateMachine: n.ledger,
		Handler:      func(ctx context.Context, request []byte) []byte { return n.face.Handler()(ctx, request) },
		FS:           n.deps.FS, Listen: n.deps.Listen, Dial: n.deps.Dial, TLSServer: server, TLSClient: client,
		Clock: n.deps.Clock, Logger: n.deps.Logger, Registerer: n.registry, Cache: n.deps.Cache, Tuning: n.tuning(),
	}
	for _, p := range n.cfg.Peers {
		cfg.Peers = append(cfg.Peers, raftlog.Peer{ID: p.ID, Addr: p.Addr})
	}
	n.log, err = raftlog.New(cfg)
	return err
}

// snapshotLook is how often a node looks whether a snapshot is due. The library's own two to four minutes would let the
// log of a busy region grow to many times the entries that the configuration says.
const snapshotLook = 10 * time.Second

func (n *Node) tuning() raftlog.Tuning {
	if n.deps.Tuning != (raftlog.Tuning{}) {
		return n.deps.Tuning
	}
	t := n.cfg.Tuning
	return raftlog.Tuning{
		Heartbeat:         n.cfg.Timing.Election,
		SnapshotInterval:  snapshotLook,
		SnapshotThreshold: uint64(t.SnapshotEntries), TrailingLogs: uint64(t.TrailingEntries),
		SegmentSize: t.SegmentBytes, MemTableSize: t.MemtableBytes, CacheSize: int64(t.CacheBytes),
		Linger: t.Linger, MaxRPCsInFlight: t.EntriesInFlight,
	}
}

func (n *Node) openSettle() error {
	metrics, err := settle.NewMetrics(n.registry)
	if err != nil {
		return err
	}
	n.settler, err = settle.New(settle.Deps{
		Self: n.self, Log: n.log, Ledger: n.ledger, Bus: n.bus, Sealer: n.sealer, Ring: n.sealer.ring, Vault: n.vault,
		Tickets: evidence.NewTickets(n.self, n.sealer), Core: n.deps.Core, Now: n.deps.Clock, Random: n.deps.Random,
		Logger: n.deps.Logger, Metrics: metrics, Timing: n.deps.Settle,
		Audit: n.noted, Archives: n.archiveFolder(),
	})
	return err
}

func (n *Node) openFace() error {
	d, err := desk.New(desk.Deps{
		Self: n.self, Log: n.log, Ledger: n.ledger, Settle: n.settler, Vault: n.vault, Now: n.deps.Clock,
		NotReady: n.notReady, Audit: n.noted,
	})
	if err != nil {
		return err
	}
	if err = n.openPremiums(d); err != nil {
		return err
	}
	n.desk = d
	addresses := make(map[string]string, len(n.cfg.Peers))
	for _, p := range n.cfg.Peers {
		addresses[p.ID] = p.API
	}
	n.platforms = newPlatforms(n.ledger, n.sealer.suite)
	for _, p := range n.cfg.Platforms {
		if _, err = n.platformOf(p); err != nil {
			return err
		}
	}
	spoken, err := n.nationalKeys()
	if err != nil {
		return err
	}
	n.face, err = api.New(api.Deps{
		Region: n.cfg.Region, Desk: d, Log: n.log, Addresses: addresses, Hasher: n.sealer.suite, Keys: n.platforms.key,
		Attempt: n.attempt, Audit: n.noted, National: spoken,
		UnsignedAllowed: n.cfg.Unsigned, Clock: n.deps.Clock, Logger: n.deps.Logger, Metrics: n.registry,
		Gatherer: n.registry,
	})
	return err
}

func (n *Node) openPremiums(d *desk.Desk) error {
	metrics, err := premium.NewMetrics(n.registry)
	if err != nil {
		return err
	}
	n.premiums, err = premium.New(premium.Deps{
		Log: n.log, Ledger: n.ledger, Desk: d, Vault: n.vault, Core: n.deps.Core, Now: n.deps.Clock,
		Logger: n.deps.Logger, Metrics: metrics,
	})
	return err
}

// notReady asks bus and state what keeps this node from working.
func (n *Node) notReady() []string { return n.missing(context.Background()) }

func (n *Node) missing(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	var reasons []string
	if dir := n.ledger.InForce().Directory; dir != nil {
		if err := n.bus.Ready(ctx, dir.Lanes(n.self)); err != nil {
			reasons = append(reasons, "the bus cannot be reached")
		}
	}
	if err := n.log.Read(ctx, func(consensus.Reader) error { return nil }); err != nil {
		reasons = append(reasons, "the state cannot be read up to date")
	}
	if n.platformsMissing() {
		reasons = append(reasons, "the platforms' keys are not in the state yet")
	}
	if lacking := n.rotator.Lacking(); len(lacking) > 0 {
		reasons = append(reasons, "keys in force are missing here: "+strings.Join(lacking, " "))
	}
	if err := n.imported(ctx); err != nil {
		reasons = append(reasons, "the accounts are not imported yet")
	}
	if _, err := n.keys.Current(crypto.UseSign); err != nil {
		reasons = append(reasons, "the keys cannot be worked with")
	}
	return reasons
}

// Ready is closed when the node serves and knows a leader, the rules, the directory and the bus.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Handler is the node's API, for a program that serves it itself.
func (n *Node) Handler() http.Handler { return n.face }

// Log is the node's log, for status and for tests of the whole.
func (n *Node) Log() *raftlog.Node { return n.log }

// Run serves until ctx ends, or returns why the node had to stop.
func (n *Node) Run(ctx context.Context) error {
	// The log outlives the faces and settle: what they have begun may still be answered.
	logCtx, stopLog := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLog()
	work, stopWork := context.WithCancel(ctx)
	defer stopWork()
	var logGroup errgroup.Group
	logGroup.Go(func() error {
		defer stopWork() // without its log a node has nothing to say
		return n.log.Run(logCtx)
	})
	g, gctx := errgroup.WithContext(work)
	g.Go(func() error { return n.settler.Run(gctx) })
	g.Go(func() error { return n.auditor.Run(gctx) })
	g.Go(func() error { return n.auditor.RunDuties(gctx) })
	if n.archives != nil {
		g.Go(func() error { return n.archives.Run(gctx) })
	}
	g.Go(func() error { return n.premiums.Run(gctx) })
	g.Go(func() error { return n.expiries.Run(gctx) })
	g.Go(func() error { return n.rotator.Run(gctx) })
	g.Go(func() error { return n.bootstrap(gctx) })
	g.Go(func() error { return n.guardKeys(gctx) })
	g.Go(func() error { return n.bulletin.Run(gctx) })
	g.Go(func() error { return n.becomeReady(gctx) })
	g.Go(func() error { return n.face.Watch(gctx) })
	if !n.deps.Silent {
		g.Go(func() error { return n.serve(gctx) })
	}
	err := g.Wait()
	stopLog()
	err = errors.Join(err, logGroup.Wait(), n.close())
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// close releases what New has opened itself, the last first.
func (n *Node) close() error {
	var err error
	for _, c := range slices.Backward(n.owned) {
		err = errors.Join(err, c.Close())
	}
	return err
}

const (
	readyEvery  = 50 * time.Millisecond // how often a starting node looks whether it is ready
	readyWithin = time.Second           // bus and state answer within that, or count as not ready
)

func (n *Node) becomeReady(ctx context.Context) error {
	ticker := time.NewTicker(readyEvery)
	defer ticker.Stop()
	for {
		lead, _ := n.log.Leadership()
		if lead.LeaderID != "" && len(n.missing(ctx)) == 0 {
			close(n.ready)
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
