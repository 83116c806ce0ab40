package node_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"gongji/crypto"
	"gongji/gateway/command"
)

// desk is an operator at a command line that speaks to a listener which asks for a certificate.
type desk struct {
	*console

	admin []string // the flags of the listener
	typed string   // what is answered to a question
}

// at runs a command against the listener.
func (d *desk) at(args ...string) (string, error) {
	d.t.Helper()
	var out strings.Builder
	p := command.Program{Stdout: &out, Stderr: &out, Ask: func(string) (string, error) { return d.typed, nil }}
	err := p.Run(d.t.Context(), append(args, d.admin...))
	return out.String(), err
}

// says runs a command that must end with an error, or none, and say something.
func (d *desk) says(want error, text string, args ...string) string {
	d.t.Helper()
	out, err := d.at(args...)
	if !errors.Is(err, want) || !strings.Contains(out, text) {
		d.t.Fatalf("%s: %q: %v, %s\nwant %v and %q", d.name, args, err, out, want, text)
	}
	return out
}

// desks seats operators at the listener of a region, logged in; the first two are its officers.
func desks(t testing.TB, p *place, names ...string) []*desk {
	t.Helper()
	var all []*desk
	for _, name := range names {
		all = append(all, &desk{console: newConsole(t, name)})
	}
	p.cfg.Operators.None, p.cfg.Operators.File = false, listed(p.f, all[0].console, all[1].console)
	startAll(t, p)
	for i, d := range all {
		d.admin = []string{
			"--admin", "https://" + p.cfg.Listen.Admin, "--ca", filepath.Join(p.f.dir, "ca.crt"),
			"--tls-cert", filepath.Join(p.f.dir, "console.crt"), "--tls-key", filepath.Join(p.f.dir, "console.key"),
			"--session", filepath.Join(d.home, "session"),
		}
		if i >= 2 {
			add := []string{"operators", "add", filepath.Join(d.home, "card.json"), "--role", "operator"}
			if out, err := both(all[0], all[1], add...); err != nil {
				t.Fatalf("%v %s", err, out)
			}
		}
		until(t, d.name+" is logged in", func() bool {
			_, err := d.at(append([]string{"login"}, d.factors()...)...)
			return err == nil
		})
	}
	return all
}

// both has one propose what the other approves, and gives what the second one is told.
func both(one, two *desk, args ...string) (string, error) {
	one.t.Helper()
	out, err := one.at(args...)
	m := waiting.FindStringSubmatch(out)
	switch {
	case err == nil || errors.Is(err, command.ErrWaits) && m == nil:
		one.t.Fatalf("%q by one person: %v %s", args, err, out)
	case !errors.Is(err, command.ErrWaits):
		return out, err // what nobody could carry out is refused before a second person is asked
	}
	return two.at("acts", "approve", m[1], "--digest", m[2])
}

// TestConsole: operators at the command line, over TLS with a client certificate: sessions, keys, their
// rotation and destruction, platforms, links, holds and acts. What is refused is said in both languages.
func TestConsole(t *testing.T) { //nolint:paralleltest // the folder of sessions is the process's environment
	f := newField(t, shanghai)
	old, err := f.keys.Regions[shanghai].Ring.Current(crypto.UseEvidence)
	if err == nil {
		_, err = f.keys.Regions[shanghai].Ring.Generate(crypto.UseEvidence)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := f.places(shanghai, 1, insured(shanghai, 1, "郑一", "100.00"))[0]
	f.secured(p)
	all := desks(t, p, "officer.one", "officer.two", "li", "wang")
	one, two, li, wang := all[0], all[1], all[2], all[3]
	for what, without := range map[string]desk{
		"no certificate of ours": {console: li.console, admin: append(append([]string{}, li.admin[:4]...), li.admin[8:]...)},
		"a listener of others":   {console: li.console, admin: append(append([]string{}, li.admin[:2]...), li.admin[4:]...)},
	} {
		if out, err := without.at("whoami"); err == nil || !strings.Contains(err.Error(), "the node was not reached") {
			t.Errorf("%s: %v %s", what, err, out)
		}
	}
	half := desk{console: li.console, admin: append(append([]string{}, li.admin[:6]...), li.admin[8:]...)}
	half.says(command.ErrUsage, "", "whoami")
	nobody := desk{console: li.console, admin: append(append([]string{}, li.admin[:8]...), "--session", "none")}
	nobody.says(command.ErrRefused, "gateway login", "whoami")
	li.says(nil, "li, operator of region 310000", "whoami")

	consoleOfKeys(t, one, two, li, old)
	consoleOfPlatforms(t, one, two, li)

	li.says(nil, "", "holds", "in-doubt")
	li.says(nil, "", "links", "list")
	for _, args := range [][]string{
		{"holds", "force-release", "h-110000-none-1", "--reason", "test"},
		{"links", "begin", "110000"},
		{"links", "resume", "310000"},
		{"links", "accept", "110000"},
	} {
		out, err := both(li, wang, args...)
		if !errors.Is(err, command.ErrRefused) || !strings.Contains(out, "not_found: ") || !strings.Contains(out, "。") {
			t.Errorf("%q: %v %s", args, err, out)
		}
		one.says(command.ErrRefused, "forbidden: Your role has no such duty. / 您的角色没有此项职责。", args...)
	}
	release := []string{"holds", "force-release", "h-110000-none-1", "--reason", "x"}
	m := waiting.FindStringSubmatch(li.says(command.ErrWaits, "", release...))
	li.says(command.ErrRefused, "forbidden", "acts", "approve", m[1], "--digest", m[2])
	wang.says(nil, `"target":"/admin/v1/holds/h-110000-none-1/force-release"`, "acts", "show", m[1])
	wang.says(nil, "rejected", "acts", "reject", m[1], "--digest", m[2])
	wang.says(command.ErrRefused, "wrong_state", "acts", "approve", m[1], "--digest", m[2])
	wang.says(nil, "rejected POST \"/admin/v1/holds/h-110000-none-1/force-release\" by \"li\" \"wang\"", "acts", "list")
	li.says(nil, "", "logout")
	li.says(command.ErrRefused, "会话不存在", "links", "list")
}

// consoleOfKeys looks at the keys, rotates one and destroys another.
func consoleOfKeys(t testing.TB, one, two, li *desk, old string) {
	t.Helper()
	one.says(nil, `"`+old+`" evidence may be destroyed`, "keyring", "list")
	li.says(command.ErrRefused, "forbidden", "keyring", "list")
	one.typed = "something else"
	one.says(command.ErrRefused, "", "keyring", "destroy", old, "--reason", "over")
	one.typed = old
	if out, err := both(one, two, "keyring", "destroy", old, "--reason", "over"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	until(t, "it is destroyed", func() bool {
		out, err := one.at("keyring", "destroyed")
		return err == nil && strings.Contains(out, `"officer.one" and "officer.two", "over": destroyed everywhere`) &&
			strings.Contains(out, "  310000-1 destroyed ")
	})
	shown := one.says(nil, "in force data: ", "rotation", "show")
	_, inForce, _ := strings.Cut(shown, "in force data: ")
	inForce, _, _ = strings.Cut(inForce, "\n")
	one.typed = inForce
	out, err := both(one, two, "keyring", "destroy", inForce, "--reason", "over")
	if !errors.Is(err, command.ErrRefused) || !strings.Contains(out, "key_needed") || !strings.Contains(out, "请先完成轮换") {
		t.Errorf("a key in force: %v %s", err, out)
	}
	li.says(command.ErrRefused, "forbidden", "rotation", "start", "token", "--operator", "li")
	one.says(command.ErrRefused, "no_rotation: ", "rotation", "cancel", "--operator", "officer.one")
	one.says(command.ErrRefused, " / 没有处于准备阶段的密钥轮换", "rotation", "cancel", "--operator", "officer.one")
	one.says(nil, "rotation data: ", "rotation", "start", "data", "--operator", "officer.one")
	until(t, "the rotation has ended", func() bool {
		out, err := one.at("rotation", "show")
		done := strings.Contains(out, "rotation data: done")
		return err == nil && done && strings.Contains(out, "may be destroyed: "+inForce)
	})
	if out, err := both(one, two, "keyring", "destroy", inForce, "--reason", "rotated"); err != nil {
		t.Errorf("%v %s", err, out)
	}
}

// consoleOfPlatforms registers a key by two and revokes it by one.
func consoleOfPlatforms(t testing.TB, one, two, li *desk) {
	t.Helper()
	key := newCaller(t, "k-hospital")
	register := []string{
		"platforms", "register", key.id, "--platform", "hospital", "--public", key.public(), "--role", "read",
	}
	li.says(command.ErrRefused, "forbidden", register...)
	if out, err := both(one, two, register...); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	one.says(nil, `"k-hospital" "hospital" "310000" "read" 0/s "in force"`, "platforms", "list")
	register[6] = "AAAA"
	out, err := both(one, two, register...)
	if !errors.Is(err, command.ErrRefused) || !strings.Contains(out, "平台密钥登记内容不正确") {
		t.Errorf("%v %s", err, out)
	}
	one.says(command.ErrRefused, "/ ", "platforms", "revoke", "k-none", "--reason", "x")
	one.says(nil, `"k-hospital": revoked`, "platforms", "revoke", key.id, "--reason", "lost")
	one.says(nil, `: lost"`, "platforms", "list")
}

// TestOperatorsListener: the listener speaks TLS 1.3 with holders of a certificate of the configured authority,
// and with nobody else, whatever session they have.
func TestOperatorsListener(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	p := f.places(shanghai, 1, insured(shanghai, 1, "郑一", "100.00"))[0]
	f.secured(p)
	people := f.staff(p)
	good := p.web.Transport.(*http.Transport).TLSClientConfig
	p.want(people["olga"], http.MethodGet, "/admin/v1/status", "", http.StatusOK)
	p.want(nil, http.MethodGet, "/admin/v1/status", "", http.StatusUnauthorized)
	other := newAuthority(t, t.TempDir())
	stranger, err := tls.LoadX509KeyPair(other.issue(t, "stranger"))
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(c *tls.Config){
		"no certificate":           func(c *tls.Config) { c.Certificates = nil },
		"a certificate of others":  func(c *tls.Config) { c.Certificates = []tls.Certificate{stranger} },
		"TLS 1.2":                  func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
		"the listener's is unsafe": func(c *tls.Config) { c.RootCAs = nil },
	} {
		c := good.Clone()
		change(c)
		p.web = &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
		if status, body := p.call(people["olga"], http.MethodGet, "/admin/v1/status", ""); status != 0 {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
}
