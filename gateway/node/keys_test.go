package node_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/hsm"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/config"
	"gongji/gateway/node"
)

// keyModule is a region's keys behind a socket.
type keyModule struct {
	dir  string
	stop func() // waits
}

const (
	modulePIN  = "pin of the node"
	officerPIN = "pin of the officer"
)

// module starts a module that has a region's keys.
func (f *field) module(code federation.Region) *keyModule {
	f.t.Helper()
	dir, err := os.MkdirTemp("", "keys") // t.TempDir is too long for a socket
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	access, err := hsm.OpenAccess(filepath.Join(dir, "access"), emm.New(), time.Now)
	if err != nil {
		f.t.Fatal(err)
	}
	err = errors.Join(access.SetPIN(hsm.RoleUser, []byte(modulePIN)), access.SetPIN(hsm.RoleOfficer, []byte(officerPIN)))
	for name, pin := range map[string]string{"pin": modulePIN, "officer": officerPIN} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(pin+"\n"), 0o600))
	}
	if err != nil {
		f.t.Fatal(err)
	}
	m := &keyModule{dir: dir}
	f.serveKeys(m, code)
	return m
}

func (f *field) serveKeys(m *keyModule, code federation.Region) {
	f.t.Helper()
	access, err := hsm.OpenAccess(filepath.Join(m.dir, "access"), emm.New(), time.Now)
	if err != nil {
		f.t.Fatal(err)
	}
	s, err := hsm.NewServer(hsm.Module{Keys: f.keys.Regions[code].Ring, Access: access, Now: time.Now})
	if err != nil {
		f.t.Fatal(err)
	}
	l, err := hsm.Listen(context.Background(), filepath.Join(m.dir, "s"))
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Error(err)
		}
	})
	f.t.Cleanup(m.stop)
}

// onModule has a node work with the keys of a module.
func (p *place) onModule(m *keyModule) {
	p.deps.Ring = nil
	p.cfg.Keys = config.Keys{
		Module: config.ModuleScheme + filepath.Join(m.dir, "s"), PINFile: filepath.Join(m.dir, "pin"),
		OfficerPINFile: filepath.Join(m.dir, "officer"),
	}
}

// TestKeysInAModule: two regions whose keys are in modules make grants and payments across the border. While a
// region's module is away nothing of its goes wrong for good: it says so, is not ready, and goes on when it is back.
func TestKeysInAModule(t *testing.T) {
	t.Parallel()
	f := newField(t, beijing, shanghai)
	payer := insured(shanghai, 911, "郑一", "5000.00")
	child := insured(beijing, 912, "郑二", "0.00")
	child.Scheme = "390"
	remote := insured(beijing, 913, "郑三", "5000.00")
	m := &household{payer: person(shanghai, payer), child: person(beijing, child), remote: person(beijing, remote)}
	keysOfSh, keysOfBj := f.module(shanghai), f.module(beijing)
	sh, bj := f.places(shanghai, 1, payer)[0], f.places(beijing, 1, child, remote)[0]
	sh.onModule(keysOfSh)
	bj.onModule(keysOfBj)
	m.nodes = []*place{sh, bj}
	startAll(t, m.nodes...)
	m.sh, m.bj = ask(t, sh), ask(t, bj)
	m.live(t)

	keysOfSh.stop()
	until(t, "the node says that its keys are away", func() bool {
		r := string(sh.get("/readyz"))
		return strings.Contains(r, "keys")
	})
	soon, cancel := context.WithTimeout(t.Context(), 2*time.Second) // the client would try for a minute
	defer cancel()
	if p, err := m.sh.CreatePayment(soon, m.bill("away")); err == nil && p.Status == client.PaymentHeld {
		t.Errorf("a payment without keys: %+v", p)
	}
	f.serveKeys(keysOfSh, shanghai)
	var p client.Payment
	until(t, "payments are made again", func() bool {
		var err error
		p, err = m.sh.CreatePayment(t.Context(), m.bill("back"))
		return err == nil && p.Status == client.PaymentHeld
	})
	confirmed, err := m.sh.Confirm(t.Context(), p.PaymentID, client.Confirmation{RequestID: client.NewRequestID()}, 0)
	if err != nil {
		t.Errorf("%+v, %v", confirmed, err)
	}
}

// TestModuleRefused: a node whose PIN is wrong, or whose module is not there, does not start.
func TestModuleRefused(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	m := f.module(shanghai)
	for name, test := range map[string]struct {
		spoil func(*config.Config)
		want  error
	}{
		"wrong pin": {func(c *config.Config) { c.Keys.PINFile = c.Keys.OfficerPINFile }, hsm.ErrPIN},
		"no pin":    {func(c *config.Config) { c.Keys.PINFile += "x" }, os.ErrNotExist},
		"no module": {func(c *config.Config) { c.Keys.Module += "x" }, crypto.ErrAway},
		"gmsm":      {func(c *config.Config) { c.Crypto.Engine = config.EngineGMSM }, node.ErrVariableTime},
	} {
		p := f.places(shanghai, 1)[0]
		p.onModule(m)
		test.spoil(&p.cfg)
		if _, err := node.New(p.cfg, p.deps); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := p.listener.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestVariableTime: a node that may work in variable time says so in its metrics and in the audit log.
func TestVariableTime(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	p := f.places(shanghai, 1)[0]
	p.cfg.Crypto = config.Crypto{Engine: config.EngineGMSM, VariableTime: true}
	startAll(t, p)
	if got := string(p.get("/metrics")); !strings.Contains(got, "gongji_crypto_variable_time 1") {
		t.Error("the metric does not tell")
	}
	until(t, "the audit log has it", func() bool { return strings.Contains(string(f.log.bytes()), "keys_variable_time") })
	if code, _ := p.admin(http.MethodGet, "/admin/v1/status"); code != http.StatusOK {
		t.Errorf("%d", code)
	}
}

// TestDestroyByOperators: a key that nothing needs is destroyed with a reason, in the module; one that is
// current, in force, listed, or has persons sealed under it is not, and neither is one whose id does not stand in the
// body.
func TestDestroyByOperators(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	ring := f.keys.Regions[shanghai].Ring
	old, err := ring.Current(crypto.UseData)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := ring.Current(crypto.UseDecrypt)
	if err != nil {
		t.Fatal(err)
	}
	for _, use := range []crypto.Use{crypto.UseData, crypto.UseDecrypt} { // so that neither is the newest
		if _, err := ring.Generate(use); err != nil {
			t.Fatal(err)
		}
	}
	p := f.places(shanghai, 1)[0]
	p.onModule(f.module(shanghai))
	startAll(t, p)
	needed := func(id, why string) {
		t.Helper()
		answer := p.want(nil, http.MethodPost, "/admin/v1/keyring/"+id+"/destroy", `{"id":"`+id+`","reason":"over"}`,
			http.StatusConflict)
		if text := string(answer); !strings.Contains(text, `"code":"key_needed"`) || !strings.Contains(text, `"`+why+": ") {
			t.Errorf("%s: %s", id, text)
		}
	}
	needed(old, "persons")
	until(t, "a rotation begins", func() bool {
		return p.operator("/admin/v1/keys/rotate", `{"use":"data","operator":"li"}`) == http.StatusOK
	})
	until(t, "it has ended", func() bool {
		_, answer := p.admin(http.MethodGet, "/admin/v1/keys/rotation")
		return strings.Contains(string(answer), `"stage":"done"`)
	})
	current, err := ring.Current(crypto.UseData)
	if err != nil {
		t.Fatal(err)
	}
	needed(current, "in_force")
	needed(listed, "listed")
	unlisted, err := ring.Current(crypto.UseDecrypt)
	if err != nil {
		t.Fatal(err)
	}
	needed(unlisted, "current")
	for _, ask := range []struct {
		id, body string
		want     int
	}{
		{old, `{"id":"` + current + `","reason":"over"}`, http.StatusBadRequest},
		{old, `{"id":"` + old + `"}`, http.StatusBadRequest},
		{old, `{"id":"` + old + `","reason":"over","force":true}`, http.StatusBadRequest},
		{"data-202001-0000000000000000", `{"id":"data-202001-0000000000000000","reason":"over"}`, http.StatusNotFound},
		{old, `{"id":"` + old + `","reason":"its month is over"}`, http.StatusOK},
		{old, `{"id":"` + old + `","reason":"its month is over"}`, http.StatusOK}, // asked again: how far it is
	} {
		if got := p.operator("/admin/v1/keyring/"+ask.id+"/destroy", ask.body); got != ask.want {
			t.Errorf("%s %s: %d, want %d", ask.id, ask.body, got, ask.want)
		}
	}
	until(t, "the module has destroyed it, and the node says so", func() bool {
		_, list := p.admin(http.MethodGet, "/admin/v1/keyring/destroyed")
		return strings.Contains(string(list), `"end":"destroyed"`) && strings.Contains(string(list), `"waiting_for":[]`)
	})
	code, body := p.admin(http.MethodGet, "/admin/v1/keyring")
	if code != http.StatusOK || strings.Contains(string(body), old) || !strings.Contains(string(body), listed) {
		t.Errorf("%d %s", code, body)
	}
	if ids, err := ring.IDs(crypto.UseData); len(ids) != 2 || err != nil {
		t.Errorf("%v, %v", ids, err)
	}
}
