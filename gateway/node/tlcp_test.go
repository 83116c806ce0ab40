//go:build integration

package node_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tjfoc/gmsm/gmtls"
	"github.com/tjfoc/gmsm/sm2"
	gmx509 "github.com/tjfoc/gmsm/x509"

	"gongji/gateway/config"
	"gongji/gateway/internal/api"
	"gongji/internal/freeport"
)

// What the certificates of a pair are for.
const (
	signing = gmx509.KeyUsageDigitalSignature
	sealing = gmx509.KeyUsageKeyEncipherment | gmx509.KeyUsageDataEncipherment | gmx509.KeyUsageKeyAgreement
)

// tlcpAuthority issues SM2 certificates for TLCP.
type tlcpAuthority struct {
	t    testing.TB
	cert *gmx509.Certificate
	key  *sm2.PrivateKey
	next int64
}

func newTLCPAuthority(t testing.TB) *tlcpAuthority {
	t.Helper()
	a := &tlcpAuthority{t: t}
	a.cert, a.key, _ = a.make("tlcp ca", gmx509.KeyUsageCertSign, true)
	return a
}

func (a *tlcpAuthority) make(
	name string, usage gmx509.KeyUsage, ca bool,
) (*gmx509.Certificate, *sm2.PrivateKey, []byte) {
	a.t.Helper()
	key, err := sm2.GenerateKey(rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next++
	template := &gmx509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name, Organization: []string{"Hospital"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: usage, IsCA: ca,
		BasicConstraintsValid: true, DNSNames: []string{"front.example"}, SignatureAlgorithm: gmx509.SM2WithSM3,
		ExtKeyUsage: []gmx509.ExtKeyUsage{gmx509.ExtKeyUsageClientAuth, gmx509.ExtKeyUsageServerAuth},
	}
	parent, signer := a.cert, a.key
	if ca {
		parent, signer = template, key
	}
	encoded, err := gmx509.CreateCertificateToPem(template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	block, _ := pem.Decode(encoded)
	cert, err := gmx509.ParseCertificate(block.Bytes)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key, block.Bytes
}

// issue makes a certificate with its key.
func (a *tlcpAuthority) issue(name string, usage gmx509.KeyUsage) gmtls.Certificate {
	a.t.Helper()
	cert, key, der := a.make(name, usage, false)
	return gmtls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}
}

func (a *tlcpAuthority) pool() *gmx509.CertPool {
	p := gmx509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// subjectOf writes a subject as RFC 2253 does.
func subjectOf(c *gmx509.Certificate) string { return c.Subject.ToRDNSequence().String() }

type tlcpConn struct{}

// clientOf is the certificate that a request's connection was opened with.
func clientOf(r *http.Request) *gmx509.Certificate {
	conn, ok := r.Context().Value(tlcpConn{}).(*gmtls.Conn)
	if !ok || len(conn.ConnectionState().PeerCertificates) == 0 {
		return &gmx509.Certificate{}
	}
	return conn.ConnectionState().PeerCertificates[0]
}

// tlcpFront ends TLCP (double certificates, the client's too) and hands on over mutual TLS 1.3, with the subject and
// the digest of the client's certificate, which the client cannot say itself: what docs/tlcp.md asks of a front.
func tlcpFront(t testing.TB, a *tlcpAuthority, gateway string, to *tls.Config) string {
	t.Helper()
	l, err := gmtls.Listen("tcp", "127.0.0.1:0", &gmtls.Config{
		GMSupport: &gmtls.GMSupport{}, ClientAuth: gmtls.RequireAndVerifyClientCert, ClientCAs: a.pool(),
		Certificates: []gmtls.Certificate{
			a.issue("front.example", signing),
			a.issue("front.example", sealing),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	target := &url.URL{Scheme: "https", Host: gateway}
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{TLSClientConfig: to, DisableKeepAlives: true},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, target.Host
			for name := range r.Out.Header {
				if strings.HasPrefix(name, "Gongji-Client-") {
					r.Out.Header.Del(name)
				}
			}
			cert := clientOf(r.In)
			r.Out.Header.Set("Gongji-Client-Subject", subjectOf(cert))
			r.Out.Header.Set("Gongji-Client-Cert-Digest", api.KeyDigest(cert.RawSubjectPublicKeyInfo))
		},
	}
	s := &http.Server{
		Handler: proxy, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, tlcpConn{}, c)
		},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return l.Addr().String()
}

// askTLCP sends one request over TLCP and returns the status line's code and the body.
func askTLCP(t testing.TB, front string, c *gmtls.Config, request string) (string, error) {
	t.Helper()
	conn, err := gmtls.Dial("tcp", front, c)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if _, err = io.WriteString(conn, request); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	if len(answer) == 0 {
		return "", fmt.Errorf("no answer: %w", err)
	}
	return string(answer), nil
}

// fronted is a running node behind a front that ends TLCP, and a platform whose key is bound to a certificate.
type fronted struct {
	front       string
	tlcp        *tlcpAuthority
	who         *caller
	mine, other gmtls.Certificate
}

func newFronted(t testing.TB) fronted {
	t.Helper()
	f := newField(t, shanghai)
	p := f.serving()
	ca := newAuthority(t, f.dir)
	frontCert, err := tls.LoadX509KeyPair(ca.issue(t, "front"))
	if err != nil {
		t.Fatal(err)
	}
	tlcp := newTLCPAuthority(t)
	w := fronted{
		tlcp: tlcp, who: newCaller(t, "k-hospital"), mine: tlcp.issue("hospital", signing),
		other: tlcp.issue("pharmacy", signing),
	}
	p.cfg.Unsigned = false
	p.cfg.Platforms = []config.Platform{{
		KeyID: w.who.id, Platform: "hospital", Public: w.who.public(), Role: "platform",
		CertDigest: api.KeyDigest(w.mine.Leaf.RawSubjectPublicKeyInfo), CertSubject: subjectOf(w.mine.Leaf),
	}}
	p.cfg.Listen.APIFront = freeport.Addr(t)
	p.cfg.Front.CertFile, p.cfg.Front.KeyFile = ca.issue(t, "gateway")
	p.cfg.Front.ClientCAFile = filepath.Join(f.dir, "ca.crt")
	p.cfg.Front.Pins = []string{api.KeyDigest(frontCert.Leaf.RawSubjectPublicKeyInfo)}
	startAll(t, p)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	w.front = tlcpFront(t, tlcp, p.cfg.Listen.APIFront, &tls.Config{
		Certificates: []tls.Certificate{frontCert}, RootCAs: pool, MinVersion: tls.VersionTLS13,
	})
	return w
}

// files are what a client has on its disk: a certificate, a second one that decrypts, their keys, and whom it trusts.
func (w *fronted) files(ca *tlcpAuthority, cert gmtls.Certificate) map[string][]byte {
	w.tlcp.t.Helper()
	out := map[string][]byte{"ca.crt": certificatePEM(ca.cert.Raw)}
	for name, c := range map[string]gmtls.Certificate{"sign": cert, "seal": w.tlcp.issue("hospital", sealing)} {
		key, ok := c.PrivateKey.(*sm2.PrivateKey)
		if !ok {
			w.tlcp.t.Fatal("no SM2 key")
		}
		secret, err := gmx509.WritePrivateKeyToPem(key, nil)
		if err != nil {
			w.tlcp.t.Fatal(err)
		}
		out[name+".crt"], out[name+".key"] = certificatePEM(c.Certificate[0]), secret
	}
	return out
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestTLCPFront: a platform that speaks TLCP with its SM2 certificate is answered through a front; its key works
// with its certificate only; the front's listener takes nobody else, and the client cannot say who it is.
func TestTLCPFront(t *testing.T) {
	w := newFronted(t)
	ask := func(cert gmtls.Certificate, extra string) string {
		answer, err := askTLCP(t, w.front, &gmtls.Config{
			GMSupport: &gmtls.GMSupport{}, RootCAs: w.tlcp.pool(), ServerName: "front.example",
			Certificates: []gmtls.Certificate{cert, cert},
		}, w.who.wire("/v1/rules", extra))
		if err != nil {
			return err.Error()
		}
		return answer
	}
	if got := ask(w.mine, ""); !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, "annual_share") {
		t.Fatalf("through the front: %s", got)
	}
	forged := "Gongji-Client-Cert-Digest: " + api.KeyDigest(w.mine.Leaf.RawSubjectPublicKeyInfo) + "\r\n" +
		"Gongji-Client-Subject: " + subjectOf(w.mine.Leaf) + "\r\n"
	for name, extra := range map[string]string{"another certificate": "", "one that says it is the first": forged} {
		if got := ask(w.other, extra); !strings.HasPrefix(got, "HTTP/1.1 401") {
			t.Errorf("%s: %s", name, got)
		}
	}
	stranger := newTLCPAuthority(t).issue("hospital", signing)
	if got := ask(stranger, ""); strings.HasPrefix(got, "HTTP") {
		t.Errorf("of another authority: %s", got)
	}
}

// wire is a signed request as it is written to a connection.
func (c *caller) wire(target, extra string) string {
	c.t.Helper()
	h := c.headers(http.MethodGet, target, "")
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: front.example\r\nConnection: close\r\n%s", target, extra)
	for name := range h {
		_, _ = fmt.Fprintf(&b, "%s: %s\r\n", name, h.Get(name))
	}
	return b.String() + "\r\n"
}
