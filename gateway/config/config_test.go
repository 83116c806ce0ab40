package config_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"gongji/gateway/config"
)

const sample = "../../docs/gateway.example.yaml"

func TestSampleIsValid(t *testing.T) {
	c, err := config.Load(sample)
	if err != nil {
		t.Fatal(err)
	}
	if !filepath.IsAbs(c.DataDir) || !strings.HasSuffix(c.DataDir, filepath.Join("docs", "data", "110000-1")) {
		t.Errorf("data_dir is %s, want it below the file's folder", c.DataDir)
	}
	if p, ok := c.Peer("110000-2"); !ok || p.API != "http://10.0.0.2:18000" {
		t.Errorf("peer 110000-2: %+v, %v", p, ok)
	}
}

// TestSampleShowsDefaults takes what the sample must say out of it: the rest equals Default.
func TestSampleShowsDefaults(t *testing.T) {
	c, err := config.Read(sample)
	if err != nil {
		t.Fatal(err)
	}
	c.Region, c.NodeID, c.DataDir = "", "", ""
	c.Listen, c.Peers, c.Platforms, c.TLS = config.Listen{}, nil, nil, config.TLS{}
	c.Kafka.Brokers, c.Directory.File, c.Directory.Roots = nil, "", nil
	c.Keys.Dir, c.Keys.KEKFile, c.Operators.File = "", "", ""
	got, want := encode(t, c), encode(t, config.Default())
	if got != want {
		t.Errorf("the sample's defaults differ from the program's:\n%s\nwant:\n%s", got, want)
	}
}

// TestSampleShowsEveryField compares the names in the sample with those that the program writes.
func TestSampleShowsEveryField(t *testing.T) {
	var shown, all map[string]any
	raw, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, &shown); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(encode(t, config.Default())), &all); err != nil {
		t.Fatal(err)
	}
	if got, want := fields("", shown), fields("", all); !slices.Equal(got, want) {
		t.Errorf("fields of the sample:\n%v\nof the program:\n%v", got, want)
	}
}

func fields(prefix string, m map[string]any) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if sub, ok := m[k].(map[string]any); ok {
			out = append(out, fields(prefix+k+".", sub)...)
			continue
		}
		out = append(out, prefix+k)
	}
	return out
}

func encode(t *testing.T, c config.Config) string {
	t.Helper()
	out, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestEncodeLoads(t *testing.T) {
	want, err := config.Load(sample)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(encode(t, want)), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if encode(t, got) != encode(t, want) {
		t.Errorf("read back:\n%s\nwritten:\n%s", encode(t, got), encode(t, want))
	}
}

func TestReadRefuses(t *testing.T) {
	raw, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ edit func(string) string }{
		"unknown field": {func(s string) string { return s + "\nfsync: false\n" }},
		"unknown in section": {func(s string) string {
			return strings.Replace(s, "  level: info", "  level: info\n  colour: x", 1)
		}},
		"other case":         {func(s string) string { return strings.Replace(s, "\nunsigned:", "\nUnsigned:", 1) }},
		"given twice":        {func(s string) string { return s + "\nunsigned: true\n" }},
		"region as a number": {func(s string) string { return strings.Replace(s, `region: "110000"`, "region: 110000", 1) }},
		"word for a switch": {func(s string) string {
			return strings.Replace(s, "\nunsigned: false", "\nunsigned: \"no\"", 1)
		}},
		"time without unit": {func(s string) string { return strings.Replace(s, "heartbeat: 1s", "heartbeat: 1x", 1) }},
		"not YAML":          {func(string) string { return "\t{" }},
		"too large":         {func(s string) string { return s + strings.Repeat("#\n", config.FileMax/2) }},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "node.yaml")
			if err := os.WriteFile(path, []byte(tc.edit(string(raw))), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(path); err == nil {
				t.Error("was read")
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		field string
		spoil func(*config.Config)
	}{
		{"region", func(c *config.Config) { c.Region = "11000" }},
		{"node_id", func(c *config.Config) { c.NodeID = "a b" }},
		{"peers", func(c *config.Config) { c.NodeID = "110000-9" }},
		{"data_dir", func(c *config.Config) { c.DataDir = "" }},
		{"listen.api", func(c *config.Config) { c.Listen.API = "127.0.0.1" }},
		{"listen.api", func(c *config.Config) { c.Listen.API = "10.0.0.1:80" }},
		{"listen.admin", func(c *config.Config) { c.Listen.Admin = "0.0.0.0:81" }},
		{"listen.peer", func(c *config.Config) { c.Listen.Peer = c.Listen.API }},
		{"unsigned", func(c *config.Config) { c.Unsigned, c.ListenAnywhere, c.Listen.API = true, true, "10.0.0.1:80" }},
		{"peers[1].addr", func(c *config.Config) { c.Peers[1].Addr = c.Peers[0].Addr }},
		{"peers[2].api", func(c *config.Config) { c.Peers[2].API = "10.0.0.3:18000" }},
		{"kafka.brokers", func(c *config.Config) { c.Kafka.Brokers = nil }},
		{"directory.roots", func(c *config.Config) { c.Directory.Roots = nil }},
		{"directory.threshold", func(c *config.Config) { c.Directory.Threshold = 2 }},
		{"directory.roots[0].public", func(c *config.Config) { c.Directory.Roots[0].Public = "AAAA" }},
		{"keys", func(c *config.Config) { c.Keys.PassphraseFile = "x" }},
		{"keys", func(c *config.Config) { c.Keys.Module, c.Keys.PINFile = "unix:///run/keys", "pin" }},
		{"keys.pin_file", func(c *config.Config) { c.Keys = config.Keys{Module: "unix:///run/keys"} }},
		{"keys.pin_file", func(c *config.Config) { c.Keys.PINFile = "pin" }},
		{"keys.module", func(c *config.Config) { c.Keys = config.Keys{Module: "unix://run/keys", PINFile: "pin"} }},
		{"keys.module", func(c *config.Config) { c.Keys = config.Keys{Module: "tcp://127.0.0.1:1", PINFile: "pin"} }},
		{"crypto.variable_time", func(c *config.Config) { c.Crypto.Engine = config.EngineGMSM }},
		{"crypto.engine", func(c *config.Config) { c.Crypto.Engine = "openssl" }},
		{"adapter.kind", func(c *config.Config) { c.Adapter.Kind = "paper" }},
		{"platforms[1].key_id", func(c *config.Config) { c.Platforms = append(c.Platforms, c.Platforms[0]) }},
		{"platforms[0].roles", func(c *config.Config) { c.Platforms[0].Roles = []string{"all"} }},
		{"platforms[0].roles", func(c *config.Config) { c.Platforms[0].Role = "" }},
		{"platforms[0].certificate_digest", func(c *config.Config) { c.Platforms[0].CertDigest = "AB" }},
		{"listen.api", func(c *config.Config) {
			c.Listen.API, c.APITLS.CertFile, c.APITLS.KeyFile = "10.0.0.1:80", "c", "k" // clients show nothing
		}},
		{"listen.api_front", func(c *config.Config) { c.Listen.APIFront = c.Listen.API }},
		{"front", func(c *config.Config) { c.Front.CertFile = "x" }},
		{"front.client_ca_file", func(c *config.Config) { c.Listen.APIFront = "10.0.0.1:1" }},
		{"front.pins", func(c *config.Config) { c.Listen.APIFront, c.Front.Pins = "10.0.0.1:1", []string{"x"} }},
		{"platforms[0].role", func(c *config.Config) { c.Platforms[0].Role = "root" }},
		{"tls.ca_file", func(c *config.Config) { c.TLS.CAFile = "" }},
		{"api_tls", func(c *config.Config) { c.APITLS.CertFile = "x" }},
		{"operators.file", func(c *config.Config) { c.Operators.File = "" }},
		{"operators.file", func(c *config.Config) { c.Operators.None = true }},
		{"operators.none", func(c *config.Config) {
			c.Operators = config.Operators{None: true}
			c.Listen.Admin, c.ListenAnywhere = "0.0.0.0:81", true
		}},
		{"admin_tls", func(c *config.Config) { c.AdminTLS.KeyFile = "x" }},
		{"evidence.keep_days", func(c *config.Config) { c.Evidence.KeepDays = 0 }},
		{"evidence.archive_messages", func(c *config.Config) { c.Evidence.ArchiveMessages = 0 }},
		{"audit.keep_days", func(c *config.Config) { c.Audit.KeepDays = 0 }},
		{"log.level", func(c *config.Config) { c.Log.Level = "INFO" }},
		{"tuning.linger", func(c *config.Config) { c.Tuning.Linger = -1 }},
		{"tuning.segment_bytes", func(c *config.Config) { c.Tuning.SegmentBytes = 1 }},
		{"sweep.from_hour", func(c *config.Config) { c.Sweep.FromHour = 24 }},
		{"rotation.records_per_second", func(c *config.Config) { c.Rotation.RecordsPerSecond = 0 }},
		{"sweep.grants_per_second", func(c *config.Config) { c.Sweep.GrantsPerSecond = 0 }},
		{"timing.heartbeat", func(c *config.Config) { c.Timing.Heartbeat = c.Timing.UnreachableAfter }},
	} {
		t.Run(tc.field, func(t *testing.T) {
			c, err := config.Load(sample)
			if err != nil {
				t.Fatal(err)
			}
			tc.spoil(&c)
			err = c.Validate()
			if err == nil || !strings.Contains(err.Error(), "\n  "+tc.field+": ") {
				t.Errorf("Validate gave %v, want a line for %s", err, tc.field)
			}
		})
	}
}

// TestValidateNamesAll: an operator repairs everything in one go.
func TestValidateNamesAll(t *testing.T) {
	err := config.Default().Validate()
	for _, field := range []string{
		"region", "node_id", "data_dir", "listen.api", "peers", "kafka.brokers", "directory.file", "tls.cert_file",
	} {
		if err == nil || !strings.Contains(err.Error(), "\n  "+field+": ") {
			t.Errorf("no line for %s in: %v", field, err)
		}
	}
}

func FuzzReadPeople(f *testing.F) {
	f.Add([]byte(`{"people":[{"id_number":"110101199003070011","name":"张三","scheme":"310","balance":"1.00"}]}`))
	f.Add([]byte(`{"people":[]}{}`))
	f.Add([]byte(`{"people":[{"x":1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := config.ReadPeople(strings.NewReader(string(data)))
		if err != nil && len(p.People) > 0 {
			t.Error("people beside an error")
		}
	})
}
