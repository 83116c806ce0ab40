package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReloadedCertificates: a certificate that was replaced is shown with the next connection, without a restart; what
// cannot be read leaves the old one in force.
func TestReloadedCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "api.crt"), filepath.Join(dir, "api.key")
	now := time.Now()
	writeCertificate(t, cert, key, 1)
	n := &Node{deps: Deps{Clock: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler)}}
	config, err := n.serverTLS(cert, key, "")
	if err != nil {
		t.Fatal(err)
	}
	shown := func() int64 {
		t.Helper()
		c, err := config.GetConfigForClient(&tls.ClientHelloInfo{})
		if err != nil || c.MinVersion != tls.VersionTLS13 {
			t.Fatalf("%+v, %v", c, err)
		}
		leaf, err := x509.ParseCertificate(c.Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	if got := shown(); got != 1 {
		t.Fatalf("certificate %d", got)
	}
	writeCertificate(t, cert, key, 2)
	now = now.Add(2 * reloadEvery)
	if err = os.Chtimes(cert, now, now); err != nil {
		t.Fatal(err)
	}
	if got := shown(); got != 2 {
		t.Errorf("after the change: certificate %d", got)
	}
	if err = os.WriteFile(cert, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * reloadEvery)
	if got := shown(); got != 2 {
		t.Errorf("after a broken file: certificate %d", got)
	}
	if _, err = n.serverTLS(cert, key, ""); err == nil {
		t.Error("a node begins with a broken file")
	}
}

func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "api"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: secret},
	} {
		if err = os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSecretsOfApps: the file is its owner's alone, each line is an appId and a secret, and no error tells a line.
func TestSecretsOfApps(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	const good = "# apps\nAPP-0123456789AB SYNTHETIC-SECRET-1\n\nAPP-0123456789CD SYNTHETIC-SECRET-2\n"
	write(good, 0o600)
	if got, err := readSecrets(path); err != nil || len(got) != 2 || got["APP-0123456789CD"] != "SYNTHETIC-SECRET-2" {
		t.Errorf("%d secrets, %v", len(got), err)
	}
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
	}{
		"for the group": {good, 0o640}, "for all": {good, 0o604}, "no secret": {"APP-0123456789AB\n", 0o600},
		"short": {"APP-0123456789AB SYNTHETIC\n", 0o600}, "twice": {good + good, 0o600},
		"three words": {"APP-0123456789AB SYNTHETIC-SECRET-1 x\n", 0o600},
	} {
		write(c.text, c.mode)
		if _, err := readSecrets(path); err == nil || strings.Contains(err.Error(), "SYNTHETIC") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readSecrets(path + "-none"); err == nil {
		t.Error("no file is taken")
	}
}
