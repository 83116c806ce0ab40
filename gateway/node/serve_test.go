package node_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/gateway/config"
	"gongji/gateway/node"
	"gongji/internal/freeport"
)

// serving is a node with sockets.
func (f *field) serving(people ...config.Person) *place {
	f.t.Helper()
	p := f.places(shanghai, 1, people...)[0]
	p.deps.Silent = false
	p.cfg.Listen.API, p.cfg.Listen.Admin = freeport.Addr(f.t), freeport.Addr(f.t)
	p.cfg.Timing.Shutdown = 10 * time.Second
	return p
}

func fetch(t testing.TB, c *http.Client, method, url string) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, body
}

// TestServes: API and operators' listener; the end of Run closes both, and the node comes back on the same addresses.
func TestServes(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	p := f.serving(insured(shanghai, 1, "郑一", "100.00"))
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 2 {
		startAll(t, p)
		for path, want := range map[string]int{
			"/healthz": 200, "/readyz": 200, "/metrics": 200, "/openapi.json": 200, "/v1/rules": 200, "/none": 404,
		} {
			until(t, path, func() bool {
				status, _ := fetch(t, plain, http.MethodGet, "http://"+p.cfg.Listen.API+path)
				return status == want
			})
		}
		operators := "http://" + p.cfg.Listen.Admin
		var status struct {
			Log struct{ State string }
		}
		code, body := fetch(t, plain, http.MethodGet, operators+"/admin/v1/status")
		if err := json.Unmarshal(body, &status); code != 200 || err != nil || status.Log.State != "leader" {
			t.Errorf("status: %d %s", code, body)
		}
		var digests struct {
			Applied uint64            `json:"applied"`
			Digests map[string]string `json:"digests"`
		}
		code, body = fetch(t, plain, http.MethodGet, operators+"/admin/v1/digest")
		if err := json.Unmarshal(body, &digests); code != 200 || err != nil {
			t.Errorf("digest: %d %s", code, body)
		}
		if code, body = fetch(t, plain, http.MethodPost, operators+"/admin/v1/clock/acknowledge"); code != 204 {
			t.Errorf("acknowledge: %d %s", code, body)
		}
		if code, body = fetch(t, plain, http.MethodGet, operators+"/debug/pprof/"); code != 200 {
			t.Errorf("pprof: %d %s", code, body)
		}
		p.stop()
		dialer := net.Dialer{Timeout: time.Second}
		if c, err := dialer.DialContext(context.Background(), "tcp", p.cfg.Listen.API); err == nil {
			_ = c.Close()
			t.Error("the API still listens")
		}
	}
}

// TestPortTaken: a node that cannot listen ends with the reason, and leaves nothing running.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	p := f.serving()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	p.cfg.Listen.API = taken.Addr().String()
	p.deps.Listen = func(string, string) (net.Listener, error) { return p.listener, nil }
	n, err := node.New(p.cfg, p.deps)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); err == nil {
		t.Error("ran without its API")
	}
}

// authority makes certificates for 127.0.0.1.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, dir string) *authority {
	t.Helper()
	a := &authority{dir: dir}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.write(t, "ca.crt", "CERTIFICATE", der)
	return a
}

func (a *authority) write(t testing.TB, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// issue writes a certificate and its key and returns their files.
func (a *authority) issue(t testing.TB, name string) (string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return a.write(t, name+".crt", "CERTIFICATE", der), a.write(t, name+".key", "EC PRIVATE KEY", secret)
}

// TestTLS: the API under TLS 1.3, with client certificates where the configuration names their CA; the nodes among each
// other with certificates of the cluster's CA.
func TestTLS(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	p := f.serving()
	ca := newAuthority(t, f.dir)
	p.cfg.TLS.CAFile = filepath.Join(f.dir, "ca.crt")
	p.cfg.TLS.CertFile, p.cfg.TLS.KeyFile = ca.issue(t, "node")
	p.cfg.APITLS.CertFile, p.cfg.APITLS.KeyFile = ca.issue(t, "api")
	p.cfg.APITLS.ClientCAFile = p.cfg.TLS.CAFile
	startAll(t, p)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	certificate, err := tls.LoadX509KeyPair(ca.issue(t, "client"))
	if err != nil {
		t.Fatal(err)
	}
	with := func(c *tls.Config) *http.Client {
		c.RootCAs = pool
		return &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
	}
	url := "https://" + p.cfg.Listen.API + "/healthz"
	good := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}
	if status, _ := fetch(t, with(good), http.MethodGet, url); status != 200 {
		t.Errorf("answered %d", status)
	}
	for name, c := range map[string]*tls.Config{
		"no certificate": {MinVersion: tls.VersionTLS13},
		"TLS 1.2":        {Certificates: good.Certificates, MaxVersion: tls.VersionTLS12}, //nolint:gosec // it is to be refused
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := with(c).Do(r); err == nil {
			_ = answer.Body.Close()
			t.Errorf("%s: answered %d", name, answer.StatusCode)
		}
	}
}

// TestNewRefuses: a node that could not work is not made: keys, certificates, roots, platform keys that are not there.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	missing := filepath.Join(f.dir, "none")
	platform := func(public string) func(*config.Config, *node.Deps) {
		return func(c *config.Config, _ *node.Deps) {
			c.Platforms = []config.Platform{{KeyID: "k", Platform: "p", Public: public, Role: config.RolePlatform}}
		}
	}
	for name, spoil := range map[string]func(*config.Config, *node.Deps){
		"root":              func(c *config.Config, _ *node.Deps) { c.Directory.Roots[0].Public = "?" },
		"threshold":         func(c *config.Config, _ *node.Deps) { c.Directory.Threshold = 2 },
		"certificate":       func(c *config.Config, _ *node.Deps) { c.TLS.CertFile = missing },
		"key file":          func(c *config.Config, d *node.Deps) { d.Ring, c.Keys.KEKFile = nil, missing },
		"passphrase file":   func(c *config.Config, d *node.Deps) { d.Ring, c.Keys.PassphraseFile = nil, missing },
		"empty ring":        func(_ *config.Config, d *node.Deps) { d.Ring = keyfile.NewMemory(emm.New()) },
		"platform's key":    platform("AA=="),
		"platform's base64": platform("?"),
	} {
		p := f.places(shanghai, 1)[0]
		spoil(&p.cfg, &p.deps)
		if _, err := node.New(p.cfg, p.deps); err == nil {
			t.Errorf("%s: a node was made", name)
		}
		if err := p.listener.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestKeyFiles: the ring comes from wrapped files, by a key-encryption key or a passphrase, with either engine.
func TestKeyFiles(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	kek := filepath.Join(f.dir, "kek")
	wrapping, err := keyfile.CreateKEK(kek)
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(f.dir, "keys")
	ring, err := keyfile.Open(keys, wrapping, emm.New())
	if err != nil {
		t.Fatal(err)
	}
	for _, use := range []crypto.Use{
		crypto.UseSign, crypto.UseDecrypt, crypto.UseToken, crypto.UseData, crypto.UseEvidence,
	} {
		if _, err := ring.Generate(use); err != nil {
			t.Fatal(err)
		}
	}
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	p := f.places(shanghai, 1, insured(shanghai, 1, "郑一", "100.00"))[0]
	p.deps.Ring = nil
	p.cfg.Keys = config.Keys{Dir: keys, KEKFile: kek}
	for _, engine := range []string{config.EngineEMM, config.EngineGMSM} {
		p.cfg.Crypto.Engine, p.cfg.Crypto.VariableTime = engine, engine == config.EngineGMSM
		startAll(t, p)
		if got := p.books(); len(got.Accounts) != 1 {
			t.Errorf("%s: %+v", engine, got)
		}
		p.stop()
	}
	passphrase := filepath.Join(f.dir, "passphrase")
	if err := os.WriteFile(passphrase, []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.cfg.Keys = config.Keys{Dir: keys, PassphraseFile: passphrase}
	if _, err := node.New(p.cfg, p.deps); err == nil {
		t.Error("the keys opened under another secret")
	}
}
