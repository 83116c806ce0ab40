package regiontest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/adapters"
	"gongji/adapters/embedded"
	"gongji/consensus"
	"gongji/consensus/consensustest"
	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/federation/membus"
	"gongji/gateway/internal/archivist"
	"gongji/gateway/internal/desk"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/premium"
	"gongji/gateway/internal/rotate"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/vault"
)

// The pilot regions.
const (
	Beijing  federation.Region = "110000"
	Shanghai federation.Region = "310000"
	Fuzhou   federation.Region = "350100"
)

// Config says what a Federation is made of. The zero value is the three pilot regions with Books.
type Config struct {
	Codes  []federation.Region // the regions that run
	Absent []federation.Region // the regions that a test plays
	Cores  map[federation.Region]adapters.Core
	Nodes  int // of each region; 0: one
	// OwnRings gives every node a key ring of its own; its keys are copied when the federation is made.
	OwnRings bool
	// RotationRate is how many records a rotation's walk looks at in a second; 0: the gateway's own.
	RotationRate int
	Timing       settle.Timing // zero: settle.DefaultTiming
	Bus          federation.Bus
	// Log wraps what a region's parts see of their log; nil: as it is.
	Log func(federation.Region, consensus.Log) consensus.Log
	// Rules changes a region's rules before they come into force; nil: the pilot's.
	Rules func(federation.Region, *policy.Rules)
	// Like names the pilot region whose rules and institutions a region has that is none itself.
	Like map[federation.Region]federation.Region
	// Directory changes what the directory says; nil: everybody open to everybody.
	Directory func(*federation.DirectoryData)
	// Clock is what every node's wall clock shows; nil: time.Now. It may run ahead of the bubble's time and jump.
	Clock func() time.Time
	// Archives is a folder on disk in which every node keeps its archives of evidence, cut for each message that is there
	// at a look; empty: nobody keeps any. Evidence leaves the state after ArchiveKeep.
	Archives    string
	ArchiveKeep time.Duration
	// Watch is shown the state of a region after every command, on its first node; nil: nobody. It must not block.
	Watch func(federation.Region, ledger.View)
}

// Federation is a few regions on one bus.
type Federation struct {
	Bus       *membus.Bus // nil where Config has another
	Directory *federation.Directory
	Data      federation.DirectoryData // what the directory says
	Root      *Sealer
	Regions   map[federation.Region]*Region

	Roots federation.Roots

	config Config
	bus    federation.Bus
	signed []byte
}

// Region is one region; its parts are those of its first node.
type Region struct {
	*Node

	Code   federation.Region
	Ring   *keyfile.Ring
	Sealer *Sealer
	Group  *consensustest.Group
	Nodes  []*Node

	runs     bool
	restores chan *restore
	clock    func() time.Time
}

// Node is one node of a region.
type Node struct {
	Log      consensus.Log
	Ledger   *ledger.Ledger
	Vault    *vault.Vault
	Settler  *settle.Settler
	Desk     *desk.Desk
	Premiums *premium.Collector
	Rotator  *rotate.Rotator
	Ring     *keyfile.Ring
	Registry *prometheus.Registry
	Output   *Output              // what was logged
	Audits   *Audits              // what was audited
	Archives *archivist.Archivist // nil without Config.Archives

	mem *consensustest.Mem
}

// Output is a log that can be read while it is written.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String is all that was written.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Logger logs to the node's Output.
func (n *Node) Logger() *slog.Logger { return slog.New(slog.NewJSONHandler(n.Output, nil)) }

// Audits are the audited events.
type Audits struct {
	mu   sync.Mutex
	list []string
}

func (a *Audits) add(event string, attrs ...slog.Attr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range attrs {
		event += " " + x.String()
	}
	a.list = append(a.list, event)
}

// Note audits an event at the node.
func (n *Node) Note(event string, attrs ...slog.Attr) { n.Audits.add(event, attrs...) }

// List is all so far, each with its attributes behind it.
func (a *Audits) List() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.list...)
}

func random(b []byte) { _, _ = rand.Read(b) } // never fails: crypto/rand ends the program instead

// New makes the keys, the directory and the regions. It starts nothing.
func New(c Config) (*Federation, error) {
	if len(c.Codes) == 0 && len(c.Absent) == 0 {
		c.Codes = []federation.Region{Beijing, Shanghai, Fuzhou}
	}
	if c.Timing == (settle.Timing{}) {
		c.Timing = settle.DefaultTiming()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	f := &Federation{config: c, bus: c.Bus, Regions: map[federation.Region]*Region{}}
	if f.bus == nil {
		f.Bus = membus.New(1)
		f.bus = f.Bus
	}
	for _, code := range c.Codes {
		f.Regions[code] = &Region{Code: code, runs: true, clock: c.Clock, restores: make(chan *restore)}
	}
	for _, code := range c.Absent {
		f.Regions[code] = &Region{Code: code, clock: c.Clock}
	}
	if err := f.makeDirectory(); err != nil {
		return nil, err
	}
	for _, code := range c.Codes {
		if err := f.makeRegion(f.Regions[code]); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func newSealer(clock func() time.Time, uses ...crypto.Use) (*Sealer, error) {
	suite := emm.New()
	s := &Sealer{suite: suite, ring: keyfile.NewMemory(suite, keyfile.WithClock(clock)), random: random}
	for _, use := range uses {
		if _, err := s.ring.Generate(use); err != nil {
			return nil, fmt.Errorf("regiontest: key: %w", err)
		}
	}
	return s, nil
}

func (f *Federation) makeDirectory() error {
	clock := f.config.Clock
	now := clock().UTC().Truncate(time.Second)
	root, err := newSealer(clock, crypto.UseSign)
	if err != nil {
		return err
	}
	f.Root = root
	f.Data = federation.DirectoryData{Version: 1, Issued: now.AddDate(0, 0, -1), Expires: now.AddDate(2, 0, 0)}
	for code, r := range f.Regions {
		r.Sealer, err = newSealer(
			clock, crypto.UseSign, crypto.UseDecrypt, crypto.UseToken, crypto.UseData, crypto.UseEvidence)
		if err != nil {
			return err
		}
		r.Ring = r.Sealer.ring
		m := federation.Member{Code: code, Name: "pool " + string(code), State: federation.MemberOpen, Protocol: 1}
		for _, use := range []struct {
			ring crypto.Use
			dir  federation.KeyUse
		}{{crypto.UseSign, federation.UseSign}, {crypto.UseDecrypt, federation.UseSeal}} {
			k, failed := directoryKey(r.Ring, use.ring, use.dir, now)
			if failed != nil {
				return failed
			}
			m.Keys = append(m.Keys, k)
		}
		f.Data.Members = append(f.Data.Members, m)
		for other := range f.Regions {
			if code < other {
				f.Data.Pairs = append(f.Data.Pairs, federation.Pair{A: code, B: other, From: "1999-01-01"})
			}
		}
	}
	if f.config.Directory != nil {
		f.config.Directory(&f.Data)
	}
	k, err := directoryKey(root.ring, crypto.UseSign, federation.UseSign, now)
	if err != nil {
		return err
	}
	f.Roots = federation.Roots{Keys: []federation.RootKey{{ID: k.ID, Public: k.Public}}, Threshold: 1}
	return f.signDirectory()
}

func (f *Federation) signDirectory() error {
	var err error
	if f.signed, err = federation.SignDirectory(f.Data, f.Root.Sign); err != nil {
		return fmt.Errorf("regiontest: directory: %w", err)
	}
	f.Directory, err = federation.ReadDirectory(f.Root, f.Roots, f.signed, nil)
	return err
}

// Redirect signs what Data says now as the next version of the directory, and brings it to every region that runs.
func (f *Federation) Redirect(ctx context.Context) error {
	digest := f.Directory.Digest()
	f.Data.Version, f.Data.Previous = f.Data.Version+1, hex.EncodeToString(digest[:])
	f.Data.Issued = f.config.Clock().UTC().Truncate(time.Second)
	if err := f.signDirectory(); err != nil {
		return err
	}
	for _, code := range f.config.Codes {
		if _, err := f.Regions[code].Put(ctx, &ledger.SetDirectory{Signed: f.signed}); err != nil {
			return err
		}
	}
	return nil
}

func directoryKey(
	ring *keyfile.Ring, use crypto.Use, as federation.KeyUse, now time.Time,
) (federation.Key, error) {
	id, err := ring.Current(use)
	if err != nil {
		return federation.Key{}, fmt.Errorf("regiontest: key: %w", err)
	}
	public, err := ring.Public(id)
	return federation.Key{
		ID: id, Use: as, Public: public, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(2, 0, 0),
	}, err
}

func (f *Federation) makeRegion(r *Region) error {
	nodes := max(f.config.Nodes, 1)
	for range nodes {
		r.Nodes = append(r.Nodes, &Node{Registry: prometheus.NewRegistry(), Output: &Output{}, Audits: &Audits{}})
	}
	for _, n := range r.Nodes {
		var book adapters.Book
		if f.config.Cores[r.Code] == nil {
			book = embedded.New(ledger.KeyBook)
		}
		var err error
		n.Ledger, err = ledger.New(ledger.Config{
			Self: r.Code, Hash: r.Sealer.Hash, Book: book, Notify: func(e ledger.Effects) {
				n.Settler.Notify(e)
				n.Premiums.Notify(e)
			},
		})
		if err != nil {
			return err
		}
	}
	r.Group = consensustest.NewGroup(nodes, func(i int) consensus.StateMachine { return f.machine(r, i) }, nil)
	r.Group.SetClock(r.clock)
	for i, n := range r.Nodes {
		n.mem = r.Group.Node(i)
		n.Log = n.mem
		if f.config.Log != nil {
			n.Log = f.config.Log(r.Code, n.mem)
		}
		if err := f.makeNode(r, n); err != nil {
			return err
		}
	}
	r.Node = r.Nodes[0]
	return nil
}

func (f *Federation) makeNode(r *Region, n *Node) error {
	var err error
	if n.Ring, err = f.ringOf(r); err != nil {
		return err
	}
	if n.Vault, err = vault.New(n.Ring, r.Sealer.Hash, random); err != nil {
		return err
	}
	n.Vault.Follow(func() ledger.KeysRecord { return n.Ledger.InForce().Keys })
	metrics, err := settle.NewMetrics(n.Registry)
	if err != nil {
		return err
	}
	n.Settler, err = settle.New(settle.Deps{
		Self: r.Code, Log: n.Log, Ledger: n.Ledger, Bus: f.bus, Sealer: r.Sealer, Ring: n.Ring, Vault: n.Vault,
		Tickets: evidence.NewTickets(r.Code, r.Sealer), Core: f.config.Cores[r.Code], Now: r.clock, Random: random,
		Logger: n.Logger(), Metrics: metrics, Audit: n.Audits.add, Timing: f.config.Timing,
		Archives: f.folder(r, n),
	})
	if err != nil {
		return err
	}
	n.Desk, err = desk.New(desk.Deps{
		Self: r.Code, Log: n.Log, Ledger: n.Ledger, Settle: n.Settler, Vault: n.Vault, Now: r.clock,
		Audit: n.Audits.add, NotReady: func() []string { return nil },
	})
	if err != nil {
		return err
	}
	if err = f.makeRotator(r, n); err != nil {
		return err
	}
	if err = f.makeArchivist(r, n); err != nil {
		return err
	}
	counts, err := premium.NewMetrics(n.Registry)
	if err != nil {
		return err
	}
	n.Premiums, err = premium.New(premium.Deps{
		Log: n.Log, Ledger: n.Ledger, Desk: n.Desk, Vault: n.Vault, Core: f.config.Cores[r.Code], Now: r.clock,
		Logger: n.Logger(), Metrics: counts,
	})
	return err
}

// ErrRefused: a command was refused.
var ErrRefused = errors.New("regiontest: refused")

// Put puts a command into the region's log.
func (r *Region) Put(ctx context.Context, c ledger.Command) (ledger.Outcome, error) {
	o, err := r.Vault.Propose(ctx, r.Log, c)
	if err == nil && o.Code != "" {
		err = fmt.Errorf("%w: %s %s", ErrRefused, o.Code, o.Detail)
	}
	return o, err
}

// Open opens accounts in the region's Book, or makes the persons known to a region with a core.
func (r *Region) Open(ctx context.Context, people ...Person) error {
	c := &ledger.OpenAccounts{}
	for _, p := range people {
		who, err := r.Vault.Person(p.Identity(), r.Vault.NewNo())
		if err != nil {
			return err
		}
		facts := p.Facts
		facts.Year = policy.Year(r.clock())
		c.Accounts = append(c.Accounts, ledger.NewAccount{Person: who, Facts: facts})
	}
	_, err := r.Put(ctx, c)
	return err
}

// View reads the region's state.
func (r *Region) View(see func(v ledger.View) error) error {
	return r.Log.ReadStale(func(rd consensus.Reader) error { return see(r.Ledger.View(rd)) })
}

// Unpack reads what stands on the bus for a region, with its keys, from a place on; what cannot be read is an error.
func (f *Federation) Unpack(lane federation.Lane, from int) ([]*federation.Opened, error) {
	var out []*federation.Opened
	records := f.Bus.Records(lane)
	for i := from; i < len(records); i++ {
		o, err := federation.Unpack(f.Directory, f.Regions[lane.To].Sealer, lane, f.config.Clock(), records[i].Value)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// Pack makes a parcel of a region that the test plays.
func (f *Federation) Pack(from federation.Region, c federation.Content) ([]byte, error) {
	if c.ParcelID == ([federation.IDSize]byte{}) {
		random(c.ParcelID[:])
	}
	if c.Time.IsZero() {
		c.Time = f.config.Clock()
	}
	if c.Protocol == 0 {
		c.Protocol = federation.Version
	}
	return federation.Pack(f.Directory, f.Regions[from].Sealer, from, c)
}
