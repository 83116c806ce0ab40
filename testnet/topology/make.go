package topology

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/config"
)

// Errors of a data folder.
var (
	// ErrForeign: the folder holds files and no federation; nothing was touched.
	ErrForeign = errors.New("topology: the folder is not empty and holds no federation")
	// ErrOther: the folder's federation was made with other settings.
	ErrOther = errors.New("topology: the folder's federation was made differently")
)

// Plan is how a federation is made. It is kept in the folder, since a federation that goes on must
// have the addresses that stand in its logs.
type Plan struct {
	BasePort     int    `json:"base_port"`
	Kafka        string `json:"kafka"` // a real broker's address; "" for the embedded one
	LoadAccounts int    `json:"load_accounts"`
}

// Brokers is the address of the bus.
func (p Plan) Brokers() []string {
	if p.Kafka != "" {
		return []string{p.Kafka}
	}
	return []string{Kafka(p.BasePort)}
}

// Nodes are the plan's nodes.
func (p Plan) Nodes() []Node { return Nodes(p.BasePort) }

// Validate returns an error that says what cannot be.
func (p Plan) Validate() error {
	if p.BasePort < 1024 || p.BasePort > 65535-portSpan {
		return fmt.Errorf("topology: the base port must be 1024 to %d", 65535-portSpan)
	}
	if p.LoadAccounts < 3 || p.LoadAccounts > LoadAccountsMax {
		return fmt.Errorf("topology: the load needs 3 to %d accounts", LoadAccountsMax)
	}
	return nil
}

// Prepared reads the plan of the folder's federation; ok is false when there is none.
func Prepared(dir string) (Plan, bool, error) {
	raw, err := os.ReadFile(filepath.Clean(Layout{dir}.State()))
	if errors.Is(err, fs.ErrNotExist) {
		return Plan{}, false, nil
	}
	if err != nil {
		return Plan{}, false, fmt.Errorf("topology: %w", err)
	}
	var p Plan
	if err := json.Unmarshal(raw, &p); err != nil {
		return Plan{}, false, fmt.Errorf("topology: %s: %w", Layout{dir}.State(), err)
	}
	return p, true, p.Validate()
}

// Clear empties the folder if it holds a federation. Errors: ErrForeign, the file system's.
func Clear(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("topology: %w", err)
	}
	_, err = os.Stat(Layout{dir}.State())
	if err != nil && len(entries) > 0 {
		return fmt.Errorf("%w: %s", ErrForeign, dir)
	}
	// The mark goes last: what was half emptied is still known as ours.
	for _, e := range entries {
		if e.Name() != filepath.Base(Layout{dir}.State()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	if len(entries) > 0 {
		err = errors.Join(err, os.Remove(Layout{dir}.State()))
	}
	if err != nil {
		return fmt.Errorf("topology: %w", err)
	}
	return nil
}

// Make makes a federation in an empty or missing folder. now dates keys, certificates and directory.
func Make(dir string, plan Plan, now time.Time) error {
	if err := plan.Validate(); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("topology: %w", err)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("topology: %w", err)
	}
	m := &making{layout: Layout{absolute}, plan: plan, now: now}
	// The mark comes first, so that a making that was interrupted can be cleared; Complete says that it was not.
	if err := writeJSON(m.layout.State(), plan); err != nil {
		return err
	}
	for _, step := range []func() error{m.secrets, m.people, m.rules, m.nodes} {
		if err := step(); err != nil {
			return err
		}
	}
	return writeFile(m.layout.complete(), nil)
}

// Complete reports whether the making of the folder's federation came to its end.
func Complete(dir string) bool {
	_, err := os.Stat(Layout{dir}.complete())
	return err == nil
}

func (l Layout) complete() string { return filepath.Join(l.Dir, "made") }

// making is one Make.
type making struct {
	layout Layout
	plan   Plan
	now    time.Time
	root   config.Root
}

func (m *making) secrets() error {
	keys := map[string][]federation.Key{}
	certifier, err := newCertifier(m.now)
	if err != nil {
		return err
	}
	for _, r := range Regions() {
		if keys[r.Code], err = certifier.makeRegionKeys(m.layout.Region(r.Code), r.Code, m.now); err != nil {
			return err
		}
		if err = m.certificates(r); err != nil {
			return err
		}
	}
	if err = m.fourth(certifier); err != nil {
		return err
	}
	root, err := makeDirectory(m.layout, keys, certifier, m.now)
	m.root = root
	return err
}

func (m *making) certificates(r Region) error {
	ca, err := newAuthority(m.layout.Region(r.Code), "testnet "+r.Code, m.now)
	if err != nil {
		return err
	}
	for _, n := range m.plan.Nodes() {
		if n.Region != r.Code {
			continue
		}
		if err := os.MkdirAll(m.layout.Node(n.ID), 0o700); err != nil {
			return fmt.Errorf("topology: %w", err)
		}
		if err := ca.issue(m.layout.Node(n.ID), n.ID); err != nil {
			return err
		}
	}
	return nil
}

// people writes whom each region's book starts with, and the load's pairs.
func (m *making) people() error {
	files := map[string]*config.People{}
	for _, r := range Regions() {
		files[r.Code] = &config.People{}
	}
	seen := map[string]bool{}
	add := func(p Person) {
		if seen[p.IDNumber] {
			return
		}
		seen[p.IDNumber] = true
		file := files[p.Region]
		file.People = append(file.People, config.Person{
			IDNumber: p.IDNumber, Name: p.Name, Scheme: p.Scheme, Status: p.Status,
			Balance: p.Balance, YearOpening: p.YearOpening, Family: p.Family,
		})
	}
	for _, p := range People() {
		add(p)
	}
	pairs := LoadPairs(m.plan.LoadAccounts)
	for _, pair := range pairs {
		add(pair.Payer)
		add(pair.Beneficiary)
	}
	for code, file := range files {
		if err := writeJSON(filepath.Join(m.layout.Region(code), peopleName), file); err != nil {
			return err
		}
	}
	return writeJSON(m.layout.LoadPairs(), pairs)
}

// regionRules is a rules file as a gateway imports it.
type regionRules struct {
	Region        string `json:"region"`
	EffectiveFrom string `json:"effective_from"`
	Rules
	Consent       string             `json:"consent"`
	Commitment    commitment         `json:"commitment"`
	Institutions  []institution      `json:"institutions"`
	EmergencyDays int                `json:"emergency_days"`
	Premiums      map[string]premium `json:"premiums"`
	Sources       map[string]string  `json:"sources"`
}

// premium is what is collected for a purpose, once a year in a season.
type premium struct {
	Amount     string `json:"amount"`
	SeasonFrom string `json:"season_from"` // month and day
	SeasonTo   string `json:"season_to"`
}

type commitment struct {
	Version string `json:"version"`
	Text    string `json:"text"`
	TextZH  string `json:"text_zh"`
}

type institution struct {
	Code     string   `json:"code"`
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Purposes []string `json:"purposes"`
}

func (m *making) rules() error {
	for _, r := range Regions() {
		file := regionRules{
			Region: r.Code, EffectiveFrom: rulesFrom, Rules: r.Rules, Consent: "payer",
			Commitment:    commitment{Version: "2026-01", Text: commitmentText, TextZH: commitmentTextZH},
			EmergencyDays: emergencyDays,
			Premiums:      map[string]premium{"resident_premium": {"400.00", "09-01", "12-31"}},
			Sources:       map[string]string{},
		}
		for _, figure := range []string{
			"annual_share", "retained_floor", "visit_limits", "decide_within_seconds_max", "purposes", "relations", "hotline",
			"consent", "emergency_days", "premiums",
		} {
			file.Sources[figure] = "the testnet's own figures, after R-02, R-09, R-14, R-16, R-17, R-20"
		}
		for _, i := range r.Institutions() {
			file.Institutions = append(file.Institutions, institution{i.Code, i.Name, i.Kind, i.Purposes})
		}
		if err := writeJSON(filepath.Join(m.layout.Region(r.Code), rulesName), file); err != nil {
			return err
		}
	}
	return nil
}

func (m *making) nodes() error {
	for _, n := range m.plan.Nodes() {
		c, err := m.config(n).Encode()
		if err != nil {
			return err
		}
		if err := writeFile(m.layout.Config(n.ID), c); err != nil {
			return err
		}
		if _, err := config.Load(m.layout.Config(n.ID)); err != nil {
			return err
		}
	}
	return nil
}

// config is a node's configuration. Sizes are small: nine nodes share one machine. Paths are relative, so that
// the folder can be moved.
func (m *making) config(n Node) config.Config {
	region := filepath.Join("..", "..", "regions", n.Region)
	c := config.Default()
	c.Region, c.NodeID, c.DataDir = n.Region, n.ID, "data"
	c.Listen = config.Listen{API: n.API, Admin: n.Admin, Peer: n.Peer}
	for _, peer := range m.plan.Nodes() {
		if peer.Region == n.Region {
			c.Peers = append(c.Peers, config.Peer{ID: peer.ID, Addr: peer.Peer, API: peer.APIURL()})
		}
	}
	c.Kafka.Brokers, c.Kafka.CreateTopics = m.plan.Brokers(), true
	c.Directory.File = filepath.Join("..", "..", filepath.Base(m.layout.Directory()))
	c.Directory.Roots = []config.Root{m.root}
	c.Crypto.VariableTime = emm.CheckPlatform() != nil // a demonstration runs on any machine, and says so
	c.Keys.Dir, c.Keys.KEKFile = filepath.Join(region, keysName), filepath.Join(region, kekName)
	c.Adapter.PeopleFile = filepath.Join(region, peopleName)
	c.RulesFile = filepath.Join(region, rulesName)
	c.TLS = config.TLS{CertFile: certName, KeyFile: keyName, CAFile: filepath.Join(region, caName)}
	c.Unsigned, c.Operators.None = true, true
	c.Tuning.SegmentBytes = 8 << 20 // raft-wal preallocates it
	c.Tuning.MemtableBytes = 16 << 20
	c.Tuning.CacheBytes = 32 << 20
	return c
}

func writeJSON(path string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("topology: %w", err)
	}
	return writeFile(path, append(raw, '\n'))
}
