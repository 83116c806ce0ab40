// Package config is the configuration of one gateway node: one YAML file, read once at the start.
//
// It is strict. An unknown field, a field given twice or a value of another type is refused, and
// Validate names everything that is wrong at once, each with its field. Every field that is left
// out has a good value (see Default); docs/gateway.example.yaml shows all of them, and a test holds
// that file against this package. Paths that are not absolute stand relative to the file.
//
// What must be equal on all nodes of a region (its rules, the directory in force) is not here but
// in the region's replicated state; the file only names where the first leader takes it from.
package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	yamlv3 "gopkg.in/yaml.v3"
)

// FileMax is how large a configuration file may be, in bytes.
const FileMax = 1 << 20

// ErrInvalid: the configuration cannot be used; the text says what is wrong, a line each.
var ErrInvalid = errors.New("config: invalid")

// Config is the configuration of one node.
type Config struct {
	Region    string     `yaml:"region"`     // six-digit code of the pooling region
	NodeID    string     `yaml:"node_id"`    // of this node; stands in peers
	DataDir   string     `yaml:"data_dir"`   // log, state and snapshots; one node's alone
	Listen    Listen     `yaml:"listen"`     // addresses of this node
	Peers     []Peer     `yaml:"peers"`      // all nodes of the region, this one included
	Kafka     Kafka      `yaml:"kafka"`      // the bus between the regions
	Directory Directory  `yaml:"directory"`  // the federation's signed directory
	Keys      Keys       `yaml:"keys"`       // this region's secret keys
	Crypto    Crypto     `yaml:"crypto"`     // the engine
	Adapter   Adapter    `yaml:"adapter"`    // what keeps the money
	RulesFile string     `yaml:"rules_file"` // a document of rules for a region that has none yet; empty: the built-in one
	Platforms []Platform `yaml:"platforms"`  // who may ask this region
	Unsigned  bool       `yaml:"unsigned"`   // unsigned requests speak for the region's platform; loopback only
	TLS       TLS        `yaml:"tls"`        // between the nodes of the region
	APITLS    APITLS     `yaml:"api_tls"`    // of the API; empty: plain HTTP, on loopback or behind a terminator
	Front     Front      `yaml:"front"`      // of listen.api_front
	National  National   `yaml:"national"`   // the national mobile-payment convention
	Log       Log        `yaml:"log"`        // what is logged
	Tuning    Tuning     `yaml:"tuning"`     // sizes
	Timing    Timing     `yaml:"timing"`     // time limits
	Sweep     Sweep      `yaml:"sweep"`      // the daily sweep of grants
	Rotation  Rotation   `yaml:"rotation"`   // of the keys at rest
	Audit     Audit      `yaml:"audit"`      // the audit log
	Evidence  Evidence   `yaml:"evidence"`   // what regions signed to each other
	Operators Operators  `yaml:"operators"`  // who may ask the operators' listener
	AdminTLS  APITLS     `yaml:"admin_tls"`  // of the operators' listener; empty: plain HTTP, on loopback

	// CoreDumps lets the system write this process's memory to disk when it crashes, keys and persons
	// included, and other programs of its user look into it. For a developer's machine only.
	CoreDumps bool `yaml:"core_dumps"`

	// ListenAnywhere is how an operator says that the plain API and the admin listener are behind
	// something that guards them. Without it both must stand on loopback.
	ListenAnywhere bool `yaml:"listen_anywhere"`
}

// Listen is where a node listens, as host:port.
type Listen struct {
	API   string `yaml:"api"`   // platforms
	Admin string `yaml:"admin"` // operators
	Peer  string `yaml:"peer"`  // nodes of the same region
	// APIFront is for trusted fronts that end their clients' TLCP and say whose certificate they saw; empty: none.
	APIFront string `yaml:"api_front"`
}

// Peer is one node of the region as the others reach it.
type Peer struct {
	ID   string `yaml:"id"`
	Addr string `yaml:"addr"` // host:port of its peer listener
	API  string `yaml:"api"`  // base address of its API, as http://10.0.0.1:18000: what Gongji-Leader tells
}

// Kafka is the bus.
type Kafka struct {
	Brokers      []string `yaml:"brokers"`       // host:port, at least one
	CreateTopics bool     `yaml:"create_topics"` // make the topics of this region's lanes if they are missing
	Replicas     int      `yaml:"replicas"`      // of topics that are made here
}

// Directory is where the signed directory comes from, and who signs it.
type Directory struct {
	File      string `yaml:"file"`
	Roots     []Root `yaml:"roots"`
	Threshold int    `yaml:"threshold"` // how many of the roots must have signed
	// RequireCertificates: a directory whose keys have no certificates is not taken. Off is for a pilot that has no
	// authority yet.
	RequireCertificates bool `yaml:"require_certificates"`
}

// Root is one key of the federation's root.
type Root struct {
	ID     string `yaml:"id"`
	Public string `yaml:"public"` // base64 of 04 ‖ x ‖ y
}

// Keys is where the region's secret keys are: in a folder of wrapped keys, which one of the two files
// opens; or in a module of their own, another process that never hands them out (crypto/hsm).
type Keys struct {
	Dir            string `yaml:"dir"`
	KEKFile        string `yaml:"kek_file"`        // key-encryption key, as written by crypto/keyfile
	PassphraseFile string `yaml:"passphrase_file"` // or a passphrase that it is derived from

	Module         string `yaml:"module"`           // unix:///path of the module's socket, instead of dir
	PINFile        string `yaml:"pin_file"`         // the PIN to work with the module's keys
	OfficerPINFile string `yaml:"officer_pin_file"` // the PIN to destroy keys; empty: this node cannot
}

// ModuleScheme stands in front of the path of a module's socket.
const ModuleScheme = "unix://"

// Socket is the path of the module's socket; empty where the keys stand in a folder.
func (k Keys) Socket() string { return strings.TrimPrefix(k.Module, ModuleScheme) }

// Engines of cryptography.
const (
	EngineEMM  = "emm"
	EngineGMSM = "gmsm"
)

// Crypto chooses the engine.
type Crypto struct {
	Engine string `yaml:"engine"` // emm (default) or gmsm
	// VariableTime is how an operator says that secret keys may be worked with in a time that depends
	// on them: needed for engine gmsm, and for emm on a processor without AES instructions. Who can
	// measure closely enough may then learn a key.
	VariableTime bool `yaml:"variable_time"`
}

// AdapterEmbedded is the account book inside the region's own log: pilots, and the testnet.
const AdapterEmbedded = "embedded"

// Adapter chooses what keeps the money.
type Adapter struct {
	Kind       string `yaml:"kind"`        // embedded
	PeopleFile string `yaml:"people_file"` // embedded: persons and openings, imported once; see People
}

// TLS is what the nodes of a region show each other: TLS 1.3, both sides, one CA of the cluster.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	CAFile   string `yaml:"ca_file"`
}

// Log says what is logged.
type Log struct {
	Level string `yaml:"level"` // debug, info, warn, error
}

// Tuning holds sizes. There is no switch for fsync: what is answered is on disk on a majority.
type Tuning struct {
	SnapshotEntries int           `yaml:"snapshot_entries"`   // entries between two snapshots
	TrailingEntries int           `yaml:"trailing_entries"`   // entries kept behind a snapshot for slow nodes
	SegmentBytes    int           `yaml:"segment_bytes"`      // of one file of the log, preallocated
	MemtableBytes   int           `yaml:"memtable_bytes"`     // of the state store
	CacheBytes      int           `yaml:"cache_bytes"`        // of the state store
	Linger          time.Duration `yaml:"linger"`             // the leader waits so long for more commands when busy
	EntriesInFlight int           `yaml:"entries_in_flight"`  // to one follower, not yet answered
	GCPercent       int           `yaml:"gc_percent"`         // of the Go runtime
	MemoryLimit     int           `yaml:"memory_limit_bytes"` // soft limit of the Go runtime; 0: none
}

// Timing holds time limits of this node. How long a hold, a leg or a decision waits is protocol, equal on all
// nodes, and stands in packages payment and hold.
type Timing struct {
	Election         time.Duration `yaml:"election"`          // without a heartbeat, a follower stands for leader
	ResendAfter      time.Duration `yaml:"resend_after"`      // a message without an ack is sent again
	Heartbeat        time.Duration `yaml:"heartbeat"`         // to each peer region, when nothing else flows
	UnreachableAfter time.Duration `yaml:"unreachable_after"` // a region not heard of for so long is unreachable
	QueryTimeout     time.Duration `yaml:"query_timeout"`     // a look-up at the beneficiary's home
	Shutdown         time.Duration `yaml:"shutdown"`          // requests under way may end
}

// Sweep is the leader's daily look at the insurance of everybody behind a grant.
type Sweep struct {
	FromHour        int `yaml:"from_hour"`         // it begins at this hour in Beijing
	GrantsPerSecond int `yaml:"grants_per_second"` // at most; each grant is seen from both sides
}

// Rotation is the leader's walk through what an old key made, while a key at rest is replaced.
type Rotation struct {
	RecordsPerSecond int `yaml:"records_per_second"` // at most
}

// Audit says where lines of the audit log stand. Whatever leaves the state stands in files that every node writes and
// none removes; GB/T 22239 and the law ask for six months at least.
type Audit struct {
	ArchiveDir string `yaml:"archive_dir"` // files of the log; empty: audit below data_dir
	KeepDays   int    `yaml:"keep_days"`   // lines stay in the state at least that long
}

// Evidence says where the archives of evidence stand. Every node writes them and none removes one.
type Evidence struct {
	ArchiveDir      string `yaml:"archive_dir"`      // files; empty: evidence below data_dir
	KeepDays        int    `yaml:"keep_days"`        // evidence stays in the state, and in bundles, at least that long
	ArchiveMessages int    `yaml:"archive_messages"` // an archive is closed when the day is over, or after so many
}

// Operators says how a region's operators come to be. They stand in the replicated state; here is only the beginning.
type Operators struct {
	// None asks nobody who he is: for a testnet, on loopback listeners only.
	None bool `yaml:"none"`
	// File names the first security officers, two at least: brought in while the region has fewer than two.
	File string `yaml:"file"`
}

// Default is what a field has when the file leaves it out. It is not valid by itself: who and where
// a node is must be said.
func Default() Config {
	return Config{
		Kafka:     Kafka{Replicas: 1},
		Directory: Directory{Threshold: 1, RequireCertificates: true},
		Crypto:    Crypto{Engine: EngineEMM},
		Adapter:   Adapter{Kind: AdapterEmbedded},
		Log:       Log{Level: "info"},
		Tuning: Tuning{
			SnapshotEntries: 65536,     // a restart replays seconds, not minutes
			TrailingEntries: 16384,     // a node that was away for some seconds needs no snapshot
			SegmentBytes:    64 << 20,  // as raft-wal has it
			MemtableBytes:   64 << 20,  // few flushes
			CacheBytes:      128 << 20, // hot records are in memory anyway
			Linger:          2 * time.Millisecond,
			EntriesInFlight: 64, // 2 caps a slow network at a quarter
			GCPercent:       400,
		},
		Timing: Timing{
			Election:         time.Second,
			ResendAfter:      time.Second,
			Heartbeat:        time.Second,
			UnreachableAfter: 5 * time.Second,
			QueryTimeout:     3 * time.Second,
			Shutdown:         5 * time.Second,
		},
		Audit:    Audit{KeepDays: 183},
		Evidence: Evidence{KeepDays: 90, ArchiveMessages: 50_000}, // about 50 MB a file
		Rotation: Rotation{RecordsPerSecond: 1000},                // ten million persons in three hours
		Sweep:    Sweep{GrantsPerSecond: 700},                     // ten million grants, both sides, in eight hours
	}
}

// Load reads the file, fills in the defaults, makes paths absolute and validates. Errors:
// ErrInvalid with everything that is wrong, or the file system's.
func Load(path string) (Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	if info.Size() > FileMax {
		return Config{}, fmt.Errorf("%w: %s has more than %d bytes", ErrInvalid, path, FileMax)
	}
	c, err := Read(path)
	if err != nil {
		return Config{}, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	resolve(&c, filepath.Dir(absolute))
	return c, c.Validate()
}

// Read reads the file over the defaults and does no more: relative paths stay, nothing is
// validated. Load is what a node uses.
func Read(path string) (Config, error) {
	k := koanf.New("\x00") // no delimiter: names with dots are not paths
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return Config{}, fmt.Errorf("%w: %s: %w", ErrInvalid, path, err)
	}
	c := Default()
	err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{
		Tag: "yaml",
		DecoderConfig: &mapstructure.DecoderConfig{
			ErrorUnused: true,
			DecodeHook:  mapstructure.StringToTimeDurationHookFunc(),
			MatchName:   func(key, field string) bool { return key == field }, // words are case-sensitive
		},
	})
	if err != nil {
		const hint = "(codes stand in quotes, times have a unit)"
		return Config{}, fmt.Errorf("%w: %s: %s %s", ErrInvalid, path, flat(err), hint)
	}
	return c, nil
}

// flat puts a decoder's list of errors on one line.
func flat(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// Encode writes the configuration as a file that Load reads back to the same value.
func (c Config) Encode() ([]byte, error) {
	out, err := yamlv3.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return out, nil
}

// Peer returns the entry of that id among the peers.
func (c Config) Peer(id string) (Peer, bool) {
	for _, p := range c.Peers {
		if p.ID == id {
			return p, true
		}
	}
	return Peer{}, false
}

// resolve makes relative paths absolute, from the folder of the configuration file.
func resolve(c *Config, dir string) {
	paths := []*string{
		&c.DataDir, &c.Directory.File, &c.Keys.Dir, &c.Keys.KEKFile, &c.Keys.PassphraseFile,
		&c.Keys.PINFile, &c.Keys.OfficerPINFile, &c.Adapter.PeopleFile,
		&c.RulesFile, &c.Audit.ArchiveDir, &c.Evidence.ArchiveDir, &c.Operators.File,
		&c.AdminTLS.CertFile, &c.AdminTLS.KeyFile, &c.AdminTLS.ClientCAFile, &c.TLS.CertFile, &c.TLS.KeyFile, &c.TLS.CAFile,
		&c.APITLS.CertFile, &c.APITLS.KeyFile, &c.APITLS.ClientCAFile,
		&c.Front.CertFile, &c.Front.KeyFile, &c.Front.ClientCAFile, &c.National.SecretsFile,
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}
