package node_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gongji/crypto/sm/emm"
	"gongji/gateway/command"
	"gongji/gateway/internal/operator"
)

// console is the command line of one operator at one machine.
type console struct {
	t    testing.TB
	home string
	name string
}

func (c *console) run(args ...string) (string, error) {
	c.t.Helper()
	c.t.Setenv("XDG_CONFIG_HOME", filepath.Join(c.home, "config"))
	var out strings.Builder
	p := command.Program{Stdout: &out, Stderr: &out}
	err := p.Run(c.t.Context(), args)
	return out.String(), err
}

// must runs a command that must end with an error, or none.
func (c *console) must(want error, args ...string) string {
	c.t.Helper()
	out, err := c.run(args...)
	if !errors.Is(err, want) {
		c.t.Fatalf("%s: %q: %v, %s", c.name, args, err, out)
	}
	return out
}

// factors are the flags of an operator's key and passphrases.
func (c *console) factors() []string {
	return []string{
		"--name", c.name, "--key", filepath.Join(c.home, "key"), "--key-passphrase", filepath.Join(c.home, "wrap"),
		"--passphrase-file", filepath.Join(c.home, "word"),
	}
}

func newConsole(t testing.TB, name string) *console {
	t.Helper()
	c := &console{t: t, home: t.TempDir(), name: name}
	for file, text := range map[string]string{"wrap": "the wrapping of " + name, "word": "the word of " + name} {
		if err := os.WriteFile(filepath.Join(c.home, file), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.must(nil, append([]string{"operators", "enroll", "--out", filepath.Join(c.home, "card.json")}, c.factors()...)...)
	return c
}

// listed writes the file of the first officers.
func listed(f *field, officers ...*console) string {
	f.t.Helper()
	list := []any{}
	for _, c := range officers {
		card, err := os.ReadFile(filepath.Join(c.home, "card.json"))
		if err != nil {
			f.t.Fatal(err)
		}
		list = append(list, map[string]any{"registration": jsonOf(card), "role": operator.RoleSecurity})
	}
	path := filepath.Join(f.dir, "operators.json")
	f.write(path, map[string]any{"officers": list})
	return path
}

var waiting = regexp.MustCompile(`approve (\S+) --digest (\S+)`)

// TestCommandLine: officers and an auditor work by the command line: enrolled, taken in by two, logged in, an act of
// two, and an audit log that is exported and proven without the gateway.
func TestCommandLine(t *testing.T) { //nolint:paralleltest // the folder of sessions is the process's environment
	one, two, audrey := newConsole(t, "officer.one"), newConsole(t, "officer.two"), newConsole(t, "audrey")
	f := newField(t, shanghai)
	p := f.places(shanghai, 1, insured(shanghai, 1, "郑一", "100.00"))[0]
	p.cfg.Operators.None, p.cfg.Operators.File = false, listed(f, one, two)
	startAll(t, p)
	server := httptest.NewServer(p.node.Admin())
	defer server.Close()
	admin := []string{"--admin", server.URL}
	at := func(args ...string) []string { return append(args, admin...) }

	one.must(command.ErrRefused, at("whoami")...)
	for _, c := range []*console{one, two} {
		until(t, c.name+" is logged in", func() bool {
			_, err := c.run(append(at("login"), c.factors()...)...)
			return err == nil
		})
	}
	card := filepath.Join(audrey.home, "card.json")
	out := one.must(command.ErrWaits, at("operators", "add", card, "--role", "auditor")...)
	m := waiting.FindStringSubmatch(out)
	one.must(command.ErrRefused, at("acts", "approve", m[1], "--digest", m[2])...)
	two.must(nil, at("acts", "approve", m[1], "--digest", m[2])...)
	if list := one.must(nil, at("operators", "list")...); !strings.Contains(list, `"audrey"`) {
		t.Errorf("%s", list)
	}
	audrey.must(nil, append(at("login"), audrey.factors()...)...)
	if who := audrey.must(nil, at("whoami")...); !strings.HasPrefix(who, "audrey, auditor") {
		t.Errorf("%s", who)
	}
	prove(t, f, audrey, at)
	one.must(nil, at("logout")...)
	one.must(command.ErrRefused, at("acts", "list")...)
	wrong := append(at("login"), one.factors()...)
	wrong[len(wrong)-1] = filepath.Join(two.home, "word")
	one.must(command.ErrRefused, wrong...)
}

// prove exports the log and verifies it, whole and spoilt.
func prove(t testing.TB, f *field, audrey *console, at func(...string) []string) {
	t.Helper()
	directory, whole := filepath.Join(f.dir, "directory.json"), ""
	until(t, "the region has signed its log", func() bool {
		whole = filepath.Join(t.TempDir(), "log.jsonl")
		audrey.must(nil, at("audit", "export", "--out", whole)...)
		_, err := audrey.run("audit", "verify", whole, "--directory", directory)
		return err == nil
	})
	if show := audrey.must(nil, "audit", "show", whole); !strings.Contains(show, `"login" by "officer.one"`) {
		t.Errorf("%s", show)
	}
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	spoilt := filepath.Join(t.TempDir(), "spoilt.jsonl")
	bad := strings.Replace(string(data), `"operator":"officer.one"`, `"operator":"officer.two"`, 1)
	if err := os.WriteFile(spoilt, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	audrey.must(command.ErrRefused, "audit", "verify", spoilt, "--directory", directory)
	root := f.keys.Roots.Keys[0]
	other, err := emm.New().Generate()
	if err != nil {
		t.Fatal(err)
	}
	audrey.must(nil, "audit", "verify", whole, "--directory", directory, "--root", root.ID+"="+base64Of(root.Public))
	audrey.must(command.ErrRefused, "audit", "verify", whole, "--directory", directory,
		"--root", root.ID+"="+base64Of(other.Public()))
}

func jsonOf(data []byte) json.RawMessage { return data }

func base64Of(data []byte) string { return base64.StdEncoding.EncodeToString(data) }
