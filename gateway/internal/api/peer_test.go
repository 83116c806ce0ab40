package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/gateway/internal/api"
	"gongji/gateway/internal/policy"
)

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, 1}
}

func (a *authority) issue(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.next++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name, Organization: []string{"Hospital"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{
			x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth,
		},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func digestOf(c tls.Certificate) string { return api.KeyDigest(c.Leaf.RawSubjectPublicKeyInfo) }

// secure serves over mutual TLS 1.3.
func (a *authority) secure(t testing.TB, s *http.Server) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = s
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{a.issue(t, "gateway")}, ClientCAs: a.pool(),
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// ask reads the rules with a client certificate and returns the status.
func (a *authority) ask(t *testing.T, s *httptest.Server, cert tls.Certificate, header ...string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/rules", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	c := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{cert}, RootCAs: a.pool(), ServerName: "localhost", MinVersion: tls.VersionTLS13,
		},
		DisableKeepAlives: true,
	}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err = resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.Status[:3]
}

// peered is a region whose leader and follower have both listeners, and a key for each way of binding.
type peered struct {
	*authority
	*env

	mine, other, front, rogue      tls.Certificate
	byDigest, bySubject, unbound   key
	direct, fronted, farFront, far *httptest.Server
	nonces                         int
}

func newPeered(t *testing.T) *peered {
	t.Helper()
	p := &peered{
		authority: newAuthority(t), byDigest: newKey(t, "k-digest"), bySubject: newKey(t, "k-subject"),
		unbound: newKey(t, "k-unbound"),
	}
	p.mine, p.other = p.issue(t, "mine"), p.issue(t, "other")
	p.front, p.rogue = p.issue(t, "front"), p.issue(t, "front") // the same name, not the same key
	var faces []*api.Face
	p.env = newEnv(t, func(d *api.Deps) {
		digest, subject := p.byDigest.platform(t, "a", api.RoleAll), p.bySubject.platform(t, "b", api.RoleAll)
		digest.CertDigest, subject.CertSubject = digestOf(p.mine), p.mine.Leaf.Subject.String()
		d.Keys = keysOf(digest, subject, p.unbound.platform(t, "c", api.RoleAll))
	})
	d := p.deps
	for _, log := range []*fakeLog{p.leaderLog, p.followerLog} {
		d.Log = log
		registry := prometheus.NewRegistry()
		d.Metrics, d.Gatherer = registry, registry
		f, err := api.New(d)
		if err != nil {
			t.Fatal(err)
		}
		faces = append(faces, f)
	}
	p.face = faces[0]
	pins := []string{digestOf(p.front)}
	p.direct, p.fronted = p.secure(t, faces[0].Server()), p.secure(t, faces[0].FrontServer(pins))
	p.far, p.farFront = p.secure(t, faces[1].Server()), p.secure(t, faces[1].FrontServer(pins))
	return p
}

func (p *peered) signed(t *testing.T, k key) []string {
	t.Helper()
	p.nonces++
	return k.headers(t, "GET /v1/rules", "", now(), nonce(p.nonces))
}

// TestBoundKeys: a stolen signing key is worth nothing without the certificate that it is bound to, at the leader and
// at a node that hands on.
func TestBoundKeys(t *testing.T) {
	t.Parallel()
	p := newPeered(t)
	for name, server := range map[string]*httptest.Server{"leader": p.direct, "follower": p.far} {
		for _, c := range []struct {
			key  key
			cert tls.Certificate
			want string
		}{
			{p.byDigest, p.mine, "200"},
			{p.byDigest, p.other, "401"},
			{p.bySubject, p.mine, "200"},
			{p.bySubject, p.other, "401"},
			{p.unbound, p.other, "200"},
		} {
			if got := p.ask(t, server, c.cert, p.signed(t, c.key)...); got != c.want {
				t.Errorf("%s: %s with the certificate of %s: %s", name, c.key.id, c.cert.Leaf.Subject.CommonName, got)
			}
		}
		// Who says of himself that he is somebody else is refused, even with a good signature.
		for _, header := range []string{"Gongji-Client-Cert-Digest", "Gongji-Client-Subject"} {
			h := append(p.signed(t, p.byDigest), header, digestOf(p.mine))
			if got := p.ask(t, server, p.other, h...); got != "401" {
				t.Errorf("%s: %s beside the front: %s", name, header, got)
			}
			if got := p.ask(t, server, p.mine, append(h[:8:8], header, "")...); got != "401" {
				t.Errorf("%s: an empty %s beside the front: %s", name, header, got)
			}
		}
	}
	// Without TLS there is no certificate.
	r := p.call(t, p.leader, "GET", "/v1/rules", "", p.signed(t, p.byDigest)...)
	if r.problem.Code != string(policy.CodeUnauthenticated) {
		t.Errorf("without TLS: %d %s", r.status, r.body)
	}
}

// TestTrustedFront: what a pinned front says of its client counts; nobody else's word does, and silence is no client.
func TestTrustedFront(t *testing.T) {
	t.Parallel()
	p := newPeered(t)
	const digest, subject = "Gongji-Client-Cert-Digest", "Gongji-Client-Subject"
	mine, name := digestOf(p.mine), p.mine.Leaf.Subject.String()
	for at, server := range map[string]*httptest.Server{"leader": p.fronted, "follower": p.farFront} {
		for _, c := range []struct {
			what string
			key  key
			cert tls.Certificate
			says []string
			want string
		}{
			{"the right digest", p.byDigest, p.front, []string{digest, mine}, "200"},
			{"the right subject", p.bySubject, p.front, []string{subject, name}, "200"},
			{"another digest", p.byDigest, p.front, []string{digest, digestOf(p.other)}, "401"},
			{"another subject", p.bySubject, p.front, []string{subject, "CN=other"}, "401"},
			{"no client", p.unbound, p.front, nil, "401"},
			{"a client for an unbound key", p.unbound, p.front, []string{digest, digestOf(p.other)}, "200"},
			{"a front of the same name", p.byDigest, p.rogue, []string{digest, mine}, "401"},
			{"the platform itself", p.byDigest, p.mine, []string{digest, mine}, "401"},
			{"two digests", p.byDigest, p.front, []string{digest, mine, digest, mine}, "401"},
			{"no digest's form", p.byDigest, p.front, []string{digest, strings.ToUpper(mine)}, "401"},
			{"a long subject", p.bySubject, p.front, []string{subject, strings.Repeat("x", 2000)}, "401"},
		} {
			h := append(p.signed(t, c.key), c.says...)
			if got := p.ask(t, server, c.cert, h...); got != c.want {
				t.Errorf("%s, %s: %s", at, c.what, got)
			}
		}
	}
}
