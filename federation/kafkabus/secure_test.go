package kafkabus_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"gongji/federation"
	"gongji/federation/federationtest"
	"gongji/federation/kafkabus"
)

// certificate is a certificate for 127.0.0.1 that vouches for itself.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: private}, pool
}

// TestTLSAndSASL: the right password under TLS works; a wrong one, no TLS, and a stranger's certificate do not.
func TestTLSAndSASL(t *testing.T) {
	t.Parallel()
	cert, pool := certificate(t)
	_, strangers := certificate(t)
	c, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.Ports(0), kfake.EnableSASL(), kfake.Superuser("PLAIN", "gongji", "right"),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	options := func(pool *x509.CertPool, password string) kafkabus.Options {
		return kafkabus.Options{
			Brokers: c.ListenAddrs(), CreateTopics: true, SASL: kafkabus.Plain("gongji", password),
			TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}, PublishTimeout: 300 * time.Millisecond,
		}
	}
	good := newBus(t, options(pool, "right"))
	if err := federationtest.Publish(t.Context(), good, lane, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := federationtest.Collect(t.Context(), good, lane, 0, 1); err != nil {
		t.Fatal(err)
	}
	plain := options(pool, "right")
	plain.TLS = nil
	for name, o := range map[string]kafkabus.Options{
		"wrong password": options(pool, "wrong"), "no TLS": plain, "a stranger's certificate": options(strangers, "right"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := newBus(t, o).Publish(ctx, lane, []byte("x")); !errors.Is(err, federation.ErrBus) {
				t.Fatalf("got %v, want ErrBus", err)
			}
		})
	}
}
