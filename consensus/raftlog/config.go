package raftlog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"gongji/consensus"
)

// Peer is one member of a group.
type Peer struct {
	ID   string // unique in the group for ever: an id of a member that lost its disk is better not used again
	Addr string // host:port that the other members dial
}

// Config is everything a Node needs. Zero values of the optional fields mean the
// defaults named beside them.
type Config struct {
	NodeID string // this node; one of Peers when Bootstrap is set
	Bind   string // address to listen on; empty means Advertise
	// Advertise is the address that the others dial. Empty means that of NodeID in Peers.
	Advertise string
	// Peers are the members to form the group from, this node among them. They are used
	// when there is no state yet; afterwards the members in the log count.
	Peers []Peer
	// Bootstrap forms the group from Peers if this node has no state and enough of the
	// others have none either. A node without state whose group exists joins it instead.
	Bootstrap bool
	Dir       string // folder of this node: log, state, snapshots

	StateMachine consensus.StateMachine
	Handler      consensus.Handler // for Ask; nil refuses with an empty answer

	// FS is the file system that everything goes through: the log with its metadata, the
	// state, the snapshots. Nil means the operating system's.
	FS vfs.FS
	// Listen and Dial are the network. Nil means TCP.
	Listen func(network, addr string) (net.Listener, error)
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLSServer and TLSClient protect the streams between members; the server's has to ask
	// for client certificates. Both nil means plain streams, which only a simulation may use.
	TLSServer *tls.Config
	TLSClient *tls.Config
	// Clock is the wall clock that stamps are taken from. Nil means time.Now.
	Clock func() time.Time

	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil keeps the metrics unregistered
	Cache      *pebble.Cache         // shared block cache; nil means one of its own of CacheSize
	Tuning     Tuning
}

// Tuning are the knobs. A zero field means its default.
type Tuning struct {
	Heartbeat      time.Duration // without a leader for this long: election. 1s
	Election       time.Duration // of a candidate; also bounds a transfer of leadership. Heartbeat
	LeaderLease    time.Duration // a leader without a majority steps down after this. Heartbeat/2
	CommitInterval time.Duration // how soon an idle follower learns what is committed. 20ms
	RPCTimeout     time.Duration // I/O deadline of raft's calls, and of status calls between members. 10s

	SnapshotInterval  time.Duration // how often raft looks whether a snapshot is due; drawn from [1,2) times this. 2m
	SnapshotThreshold uint64        // entries since the last snapshot that make one due. 8192
	// TrailingLogs are the entries kept behind a snapshot, so that a follower needs no
	// snapshot after a short absence. Size it to (transfer + restore time) x entries per
	// second, else a slow follower asks for snapshots for ever. 10240
	TrailingLogs uint64

	SegmentSize  int   // bytes of one log file, preallocated. 64 MiB; 8 MiB is enough for tests and testnets
	MemTableSize int   // bytes of Pebble's memtable. 16 MiB
	CacheSize    int64 // bytes of the block cache when Cache is nil. 64 MiB

	// Linger is how long the leader gathers commands for the next entry, and only while others are
	// under way: a command alone never waits, and the end of the others ends the waiting.
	// At most 10ms; negative switches it off. 2ms
	Linger time.Duration
	// EntriesInFlight is how many entries the leader has under way. 4
	EntriesInFlight int
	// MaxRPCsInFlight is raft's pipeline to each follower. 2, the library's default, caps a
	// group with 20 ms between members at 5,500 entries/s; 64 gives 21,000, and its buffered
	// channels make the known wedge of the pipeline unlikely (the lag alarm watches for it).
	// 1 switches the pipeline off. 64
	MaxRPCsInFlight int
	// MaxAppendEntries bounds one append call, and so the memory for it: 32 packs of 512 KiB
	// are 16 MiB. In steady state EntriesInFlight bounds it anyway. 32
	MaxAppendEntries int
	LogCache         int // entries kept in memory to send to followers, since raft-wal reads from disk. 512

	// DiskLimit is how long a write of the log may be under way before the leader gives
	// its leadership away; after three times as long the node stops. 5s
	DiskLimit time.Duration
	// LagAlarm is how many entries a follower may be behind before it counts as stuck when
	// it makes no progress for ten seconds. 1024
	LagAlarm uint64
}

const (
	lingerMax         = 10 * time.Millisecond
	defaultSegment    = 64 << 20
	segmentMin        = 64 << 10
	defaultMemTable   = 16 << 20
	defaultCache      = 64 << 20
	defaultThreshold  = 8192
	defaultTrailing   = 10240
	defaultRPCs       = 64
	defaultAppend     = 32
	defaultInFlight   = 4
	defaultLogCache   = 512
	defaultLagAlarm   = 1024
	inFlightMax       = 64
	peersMax          = 15 // members of one group; more only cost latency
	maxAppendEntries  = 1024
	diskLimitMultiple = 3 // a write under way for this many DiskLimits stops the node
)

// withDefaults returns t with its zero fields filled in.
func (t Tuning) withDefaults() Tuning {
	def(&t.Heartbeat, time.Second)
	def(&t.Election, t.Heartbeat)
	def(&t.LeaderLease, t.Heartbeat/2)
	def(&t.CommitInterval, 20*time.Millisecond)
	def(&t.RPCTimeout, 10*time.Second)
	def(&t.SnapshotInterval, 2*time.Minute)
	def(&t.SnapshotThreshold, defaultThreshold)
	def(&t.TrailingLogs, defaultTrailing)
	def(&t.SegmentSize, defaultSegment)
	def(&t.MemTableSize, defaultMemTable)
	def(&t.CacheSize, defaultCache)
	def(&t.Linger, 2*time.Millisecond)
	def(&t.EntriesInFlight, defaultInFlight)
	def(&t.MaxRPCsInFlight, defaultRPCs)
	def(&t.MaxAppendEntries, defaultAppend)
	def(&t.LogCache, defaultLogCache)
	def(&t.DiskLimit, 5*time.Second)
	def(&t.LagAlarm, defaultLagAlarm)
	return t
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// withDefaults returns c with everything optional filled in.
func (c Config) withDefaults() Config {
	c.Tuning = c.Tuning.withDefaults()
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Advertise == "" {
		c.Advertise = c.addrOf(c.NodeID)
	}
	if c.Bind == "" {
		c.Bind = c.Advertise
	}
	if c.Listen == nil {
		c.Listen = func(network, addr string) (net.Listener, error) {
			var lc net.ListenConfig
			return lc.Listen(context.Background(), network, addr)
		}
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	return c
}

func (c Config) addrOf(id string) string {
	for _, p := range c.Peers {
		if p.ID == id {
			return p.Addr
		}
	}
	return ""
}

// Validate says everything that is wrong with c, each wrapping ErrConfig, or nil.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...))
		}
	}
	bad(c.NodeID == "", "node id is empty")
	bad(c.Dir == "", "dir is empty")
	bad(c.StateMachine == nil, "state machine is missing")
	bad(c.Advertise == "", "no address to advertise: node %q is not among the peers", c.NodeID)
	bad(len(c.Peers) > peersMax, "%d peers, at most %d", len(c.Peers), peersMax)
	bad((c.TLSServer == nil) != (c.TLSClient == nil), "one of the two TLS configs is missing")
	bad(c.TLSServer != nil && c.TLSServer.ClientAuth != tls.RequireAndVerifyClientCert,
		"TLS server does not ask members for their certificates")
	bad(c.Bootstrap && c.addrOf(c.NodeID) == "", "node %q is not among the peers to form the group from", c.NodeID)
	seen := make(map[string]bool, 2*len(c.Peers))
	for _, p := range c.Peers {
		bad(p.ID == "" || p.Addr == "", "peer %q at %q is not complete", p.ID, p.Addr)
		bad(seen["id "+p.ID] || seen["at "+p.Addr], "peer %q at %q is named twice", p.ID, p.Addr)
		seen["id "+p.ID], seen["at "+p.Addr] = true, true
	}
	return errors.Join(append(errs, c.Tuning.validate()...)...)
}

func (t Tuning) validate() []error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...))
		}
	}
	const least = 5 * time.Millisecond // of the raft library
	bad(t.Heartbeat < least || t.Election < t.Heartbeat, "heartbeat %v, election %v", t.Heartbeat, t.Election)
	bad(t.LeaderLease < least || t.LeaderLease > t.Heartbeat, "leader lease %v", t.LeaderLease)
	bad(t.CommitInterval < time.Millisecond, "commit interval %v", t.CommitInterval)
	bad(t.RPCTimeout <= 0, "rpc timeout %v", t.RPCTimeout)
	bad(t.SnapshotInterval < least, "snapshot interval %v", t.SnapshotInterval)
	bad(t.SegmentSize < segmentMin || t.SegmentSize > 1<<30, "segment size %d", t.SegmentSize)
	bad(t.MemTableSize < 64<<10 || t.MemTableSize > 1<<30, "memtable size %d", t.MemTableSize)
	bad(t.CacheSize < 0, "cache size %d", t.CacheSize)
	bad(t.Linger > lingerMax, "linger %v, at most %v", t.Linger, lingerMax)
	bad(t.EntriesInFlight < 1 || t.EntriesInFlight > inFlightMax, "entries in flight %d", t.EntriesInFlight)
	bad(t.MaxRPCsInFlight < 1, "rpcs in flight %d", t.MaxRPCsInFlight)
	bad(t.MaxAppendEntries < t.EntriesInFlight || t.MaxAppendEntries > maxAppendEntries,
		"append entries %d", t.MaxAppendEntries)
	bad(t.LogCache < 1, "log cache %d", t.LogCache)
	bad(t.DiskLimit < least, "disk limit %v", t.DiskLimit)
	return errs
}
