package config

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of lists.
const (
	peersMax     = 9 // a group larger than that gets slower, not safer
	brokersMax   = 64
	rootsMax     = 16
	platformsMax = 4096
	publicSize   = 65 // 04 ‖ x ‖ y
)

var (
	regionForm = regexp.MustCompile(`^[1-9][0-9]{5}$`)
	nameForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
)

// problems gathers what is wrong.
type problems []string

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, field+": "+fmt.Sprintf(format, args...))
}

func (p *problems) check(ok bool, field, text string) {
	if !ok {
		p.add(field, "%s", text)
	}
}

// sweepRateMax bounds what a sweep may ask of a core system in a second.
const sweepRateMax = 100_000

// archiveMessagesMax bounds a file of evidence: about a GB.
const archiveMessagesMax = 1_000_000

// keepDaysMax bounds how long lines of the audit log stand in the state: ten years.
const keepDaysMax = 3660

// Validate returns nil, or ErrInvalid with every fault, each on its line with its field. It looks
// at the values only, never at the files that they name.
func (c Config) Validate() error {
	var p problems
	p.check(regionForm.MatchString(c.Region), "region", "must be a six-digit code in quotes")
	p.check(nameForm.MatchString(c.NodeID), "node_id", "must be 1 to 64 of A-Z a-z 0-9 . _ -")
	p.check(c.DataDir != "", "data_dir", "is missing")
	c.validateAddresses(&p)
	c.validatePeers(&p)
	c.validateFederation(&p)
	c.validateRegion(&p)
	c.validatePlatforms(&p)
	c.validateTLS(&p)
	c.validateFront(&p)
	p.check(!c.Operators.None || loopback(c.Listen.Admin), "operators.none",
		"is allowed only where listen.admin is a loopback address")
	p.check(c.Operators.None == (c.Operators.File == ""), "operators.file",
		"must name the first security officers; or, on a testnet, operators.none instead")
	c.Tuning.validate(&p)
	c.Timing.validate(&p)
	p.check(c.Sweep.FromHour >= 0 && c.Sweep.FromHour < 24, "sweep.from_hour", "must be 0 to 23")
	p.check(c.Sweep.GrantsPerSecond >= 1 && c.Sweep.GrantsPerSecond <= sweepRateMax, "sweep.grants_per_second",
		fmt.Sprintf("must be 1 to %d", sweepRateMax))
	p.check(c.Rotation.RecordsPerSecond >= 1 && c.Rotation.RecordsPerSecond <= sweepRateMax,
		"rotation.records_per_second", fmt.Sprintf("must be 1 to %d", sweepRateMax))
	p.check(c.Audit.KeepDays >= 1 && c.Audit.KeepDays <= keepDaysMax, "audit.keep_days",
		fmt.Sprintf("must be 1 to %d", keepDaysMax))
	p.check(c.Evidence.KeepDays >= 1 && c.Evidence.KeepDays <= keepDaysMax, "evidence.keep_days",
		fmt.Sprintf("must be 1 to %d", keepDaysMax))
	p.check(c.Evidence.ArchiveMessages >= 1 && c.Evidence.ArchiveMessages <= archiveMessagesMax,
		"evidence.archive_messages", fmt.Sprintf("must be 1 to %d", archiveMessagesMax))
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("%w:\n  %s", ErrInvalid, strings.Join(p, "\n  "))
}

func (c Config) validateAddresses(p *problems) {
	seen := map[string]string{}
	listens := []struct{ field, addr string }{
		{"listen.api", c.Listen.API},
		{"listen.admin", c.Listen.Admin},
		{"listen.peer", c.Listen.Peer},
		{"listen.api_front", c.Listen.APIFront},
	}
	if c.Listen.APIFront == "" {
		listens = listens[:3]
	}
	for _, l := range listens {
		if !hostPort(l.addr) {
			p.add(l.field, "must be host:port")
			continue
		}
		if other, twice := seen[l.addr]; twice {
			p.add(l.field, "is the address of %s too", other)
		}
		seen[l.addr] = l.field
	}
	if c.Unsigned && !loopback(c.Listen.API) {
		p.add("unsigned", "is allowed only where listen.api is a loopback address")
	}
	if c.ListenAnywhere {
		return
	}
	if c.APITLS.ClientCAFile == "" && hostPort(c.Listen.API) && !loopback(c.Listen.API) {
		p.add("listen.api", "is not loopback and has no mutual TLS: set api_tls with client_ca_file, or listen_anywhere if "+
			"something else guards it")
	}
	if c.AdminTLS.CertFile == "" && hostPort(c.Listen.Admin) && !loopback(c.Listen.Admin) {
		p.add("listen.admin", "is not loopback and has no TLS: set admin_tls, or listen_anywhere if something else guards it")
	}
}

func (c Config) validatePeers(p *problems) {
	p.check(len(c.Peers) > 0 && len(c.Peers) <= peersMax, "peers", fmt.Sprintf("must be 1 to %d nodes", peersMax))
	ids, addrs := map[string]bool{}, map[string]bool{}
	for i, peer := range c.Peers {
		field := "peers[" + strconv.Itoa(i) + "]"
		p.check(nameForm.MatchString(peer.ID), field+".id", "must be 1 to 64 of A-Z a-z 0-9 . _ -")
		p.check(!ids[peer.ID], field+".id", "stands twice")
		p.check(hostPort(peer.Addr), field+".addr", "must be host:port")
		p.check(!addrs[peer.Addr], field+".addr", "stands twice")
		p.check(baseURL(peer.API), field+".api", "must be http://host:port or https://host:port")
		ids[peer.ID], addrs[peer.Addr] = true, true
	}
	p.check(ids[c.NodeID], "peers", "must contain node_id")
}

func (c Config) validateFederation(p *problems) {
	p.check(len(c.Kafka.Brokers) > 0 && len(c.Kafka.Brokers) <= brokersMax, "kafka.brokers",
		fmt.Sprintf("must be 1 to %d addresses", brokersMax))
	for i, b := range c.Kafka.Brokers {
		p.check(hostPort(b), "kafka.brokers["+strconv.Itoa(i)+"]", "must be host:port")
	}
	p.check(c.Kafka.Replicas >= 1 && c.Kafka.Replicas <= 9, "kafka.replicas", "must be 1 to 9")
	p.check(c.Directory.File != "", "directory.file", "is missing")
	n := len(c.Directory.Roots)
	p.check(n > 0 && n <= rootsMax, "directory.roots", fmt.Sprintf("must be 1 to %d keys", rootsMax))
	p.check(c.Directory.Threshold >= 1 && c.Directory.Threshold <= max(n, 1), "directory.threshold",
		"must be 1 to the number of roots")
	ids := map[string]bool{}
	for i, r := range c.Directory.Roots {
		field := "directory.roots[" + strconv.Itoa(i) + "]"
		p.check(nameForm.MatchString(r.ID), field+".id", "must be 1 to 64 of A-Z a-z 0-9 . _ -")
		p.check(!ids[r.ID], field+".id", "stands twice")
		p.check(publicKey(r.Public), field+".public", "must be the base64 of an SM2 key, 04 ‖ x ‖ y")
		ids[r.ID] = true
	}
}

func (c Config) validateRegion(p *problems) {
	c.Keys.validate(p)
	p.check(slices.Contains([]string{EngineEMM, EngineGMSM}, c.Crypto.Engine), "crypto.engine", "must be emm or gmsm")
	p.check(c.Crypto.Engine != EngineGMSM || c.Crypto.VariableTime, "crypto.variable_time",
		"must be true for engine gmsm: the time it takes depends on the secret keys")
	p.check(c.Adapter.Kind == AdapterEmbedded, "adapter.kind", "must be embedded")
	p.check(slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level), "log.level",
		"must be debug, info, warn or error")
}

func (k Keys) validate(p *problems) {
	if k.Module == "" {
		p.check(k.Dir != "", "keys.dir", "is missing (or keys.module)")
		p.check((k.KEKFile == "") != (k.PassphraseFile == ""), "keys",
			"needs exactly one of kek_file and passphrase_file")
		p.check(k.PINFile == "" && k.OfficerPINFile == "", "keys.pin_file", "is for keys.module only")
		return
	}
	path, ok := strings.CutPrefix(k.Module, ModuleScheme)
	p.check(ok && strings.HasPrefix(path, "/") && len(path) <= socketMax, "keys.module",
		fmt.Sprintf("must be unix:// and an absolute path of at most %d bytes", socketMax))
	p.check(k.Dir == "" && k.KEKFile == "" && k.PassphraseFile == "", "keys",
		"are in a folder or in a module, not in both")
	p.check(k.PINFile != "", "keys.pin_file", "is missing")
}

// socketMax is the longest path of a Unix socket, in bytes.
const socketMax = 107

func (c Config) validateTLS(p *problems) {
	p.check(c.TLS.CertFile != "", "tls.cert_file", "is missing")
	p.check(c.TLS.KeyFile != "", "tls.key_file", "is missing")
	p.check(c.TLS.CAFile != "", "tls.ca_file", "is missing")
	p.check((c.APITLS.CertFile == "") == (c.APITLS.KeyFile == ""), "api_tls", "needs both cert_file and key_file, or none")
	p.check((c.AdminTLS.CertFile == "") == (c.AdminTLS.KeyFile == ""), "admin_tls",
		"needs both cert_file and key_file, or none")
	p.check(c.AdminTLS.ClientCAFile == "" || c.AdminTLS.CertFile != "", "admin_tls.client_ca_file", "needs cert_file")
	p.check(c.APITLS.ClientCAFile == "" || c.APITLS.CertFile != "", "api_tls.client_ca_file", "needs cert_file")
}

func (t Tuning) validate(p *problems) {
	for _, f := range []struct {
		field            string
		value, low, high int
	}{
		{"snapshot_entries", t.SnapshotEntries, 16, 1 << 24},
		{"trailing_entries", t.TrailingEntries, 1, 1 << 24},
		{"segment_bytes", t.SegmentBytes, 4 << 20, 1 << 30}, // one entry must fit with room
		{"memtable_bytes", t.MemtableBytes, 1 << 20, 1 << 30},
		{"cache_bytes", t.CacheBytes, 1 << 20, 1 << 36},
		{"entries_in_flight", t.EntriesInFlight, 1, 1024},
		{"gc_percent", t.GCPercent, 10, 2000},
		{"memory_limit_bytes", t.MemoryLimit, 0, 1 << 40},
	} {
		p.check(f.value >= f.low && f.value <= f.high, "tuning."+f.field, fmt.Sprintf("must be %d to %d", f.low, f.high))
	}
	p.check(t.Linger >= 0 && t.Linger <= 100*time.Millisecond, "tuning.linger", "must be 0s to 100ms")
}

func (t Timing) validate(p *problems) {
	for _, f := range []struct {
		field            string
		value, low, high time.Duration
	}{
		{"election", t.Election, 50 * time.Millisecond, time.Minute},
		{"resend_after", t.ResendAfter, 50 * time.Millisecond, time.Minute},
		{"heartbeat", t.Heartbeat, 50 * time.Millisecond, time.Minute},
		{"unreachable_after", t.UnreachableAfter, 100 * time.Millisecond, 10 * time.Minute},
		{"query_timeout", t.QueryTimeout, 100 * time.Millisecond, time.Minute},
		{"shutdown", t.Shutdown, 0, time.Minute},
	} {
		p.check(f.value >= f.low && f.value <= f.high, "timing."+f.field, fmt.Sprintf("must be %s to %s", f.low, f.high))
	}
	p.check(t.Heartbeat < t.UnreachableAfter, "timing.heartbeat", "is not shorter than unreachable_after")
}

func hostPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 0 && n <= 65535
}

// loopback judges the text alone: a name could be resolved otherwise tomorrow, so of names only
// localhost counts.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

func baseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.Path == "" && u.RawQuery == ""
}

func publicKey(s string) bool {
	b, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(b) == publicSize && b[0] == 4
}
