package command_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gongji/crypto"
	"gongji/crypto/cert"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

// pki is the files of a pilot federation: a root, an authority and a region, each with a key folder of its own.
type pki struct {
	t   *testing.T
	dir string
}

func (k pki) path(parts ...string) string { return filepath.Join(append([]string{k.dir}, parts...)...) }

// ring makes a key folder.
func (k pki) ring(name string, uses ...crypto.Use) {
	k.t.Helper()
	kek, err := keyfile.CreateKEK(k.path(name + ".kek"))
	if err != nil {
		k.t.Fatal(err)
	}
	ring, err := keyfile.Open(k.path(name), kek, emm.New())
	if err != nil {
		k.t.Fatal(err)
	}
	for _, use := range uses {
		if _, err = ring.Generate(use); err != nil {
			k.t.Fatal(err)
		}
	}
	if err = ring.Close(); err != nil {
		k.t.Fatal(err)
	}
}

// cert runs a command that must succeed.
func (k pki) cert(args ...string) string {
	k.t.Helper()
	out, errs, err := run(k.t, append([]string{"cert"}, args...)...)
	if err != nil {
		k.t.Fatalf("cert %v: %v\n%s%s", args, err, out, errs)
	}
	return out
}

// fails runs a command that must fail, and say why.
func (k pki) fails(why string, args ...string) {
	k.t.Helper()
	out, errs, err := run(k.t, append([]string{"cert"}, args...)...)
	if err == nil || !strings.Contains(errs+err.Error(), why) {
		k.t.Errorf("cert %v: %v, want %q\n%s%s", args, err, why, out, errs)
	}
}

func (k pki) with(name string, args ...string) []string {
	return append(args, "--keys", k.path(name), "--kek", k.path(name+".kek"))
}

func newPKI(t *testing.T) pki {
	t.Helper()
	k := pki{t: t, dir: t.TempDir()}
	k.ring("root")
	k.ring("ca", crypto.UseSign)
	k.ring("region", crypto.UseSign, crypto.UseDecrypt)
	k.cert(k.with("root", "root", "--name", "Pilot Root", "--out", k.path("root.pem"))...)
	k.cert(k.with("ca", "csr", "--authority", "Pilot Regions", "--out", k.path("ca.csr"))...)
	k.cert(k.with("root", "issue", "--ca", k.path("root.pem"), "--authority", "--days", "3650", "--out",
		k.dir, k.path("ca.csr"))...)
	k.cert(k.with("region", "csr", "--region", "350100", "--organization", "福州医保", "--out", k.path("region.csr"))...)
	k.cert(k.with("ca", "issue", "--ca", k.path("authority.pem"), "--region", "350100", "--out", k.dir,
		k.path("region.csr"))...)
	return k
}

// TestCert: a federation's certificates from nothing to revocation, by the command line alone.
func TestCert(t *testing.T) {
	t.Parallel()
	k := newPKI(t)
	sign, seal := k.path("350100-sign.pem"), k.path("350100-seal.pem")
	trusted := []string{"check", "--ca", k.path("root.pem"), "--ca", k.path("authority.pem")}
	out := k.cert(append(trusted, "--region", "350100", sign, seal)...)
	if !strings.Contains(out, "for sign") || !strings.Contains(out, "for seal") {
		t.Error(out)
	}
	k.fails("usage", append(trusted, "--use", "seal", sign)...)
	k.fails("subject", append(trusted, "--region", "110000", sign)...)
	k.fails("validity", append(trusted, "--at", "2040-01-01T00:00:00Z", sign)...)
	k.fails("issuer_unknown", "check", "--ca", k.path("root.pem"), sign)

	list := []string{"--ca", k.path("authority.pem"), "--list", k.path("ca.crl")}
	k.cert(k.with("ca", append([]string{"crl"}, list...)...)...)
	k.cert(append(trusted, "--crl", k.path("ca.crl"), sign, seal)...)
	revoke := k.with("ca", append([]string{"revoke", "--certificate", sign, "--reason", "key_compromise"}, list...)...)
	k.cert(revoke...)
	k.fails("revoked", append(trusted, "--crl", k.path("ca.crl"), sign)...)
	k.cert(append(trusted, "--crl", k.path("ca.crl"), seal)...)
	k.fails("already", revoke...)
	shown := k.cert("show", sign, k.path("region.csr"), k.path("ca.crl"))
	if !strings.Contains(shown, "list 2 of") || !strings.Contains(shown, "reason code 1") ||
		!strings.Contains(shown, "350100") {
		t.Error(shown)
	}
}

// TestCertRefuses: a wrong command changes nothing, and says what to do.
func TestCertRefuses(t *testing.T) {
	t.Parallel()
	k := newPKI(t)
	k.fails("is there already", k.with("root", "root", "--name", "x", "--out", k.path("root.pem"))...)
	k.fails("must say the same", k.with("ca", "issue", "--ca", k.path("authority.pem"), "--region", "110000",
		"--out", k.dir, k.path("region.csr"))...)
	k.fails("has not the key", k.with("region", "issue", "--ca", k.path("authority.pem"), "--region", "350100",
		"--out", k.dir, k.path("region.csr"))...)
	k.fails("--region", k.with("region", "csr", "--region", "3501", "--out", k.path("x"))...)
	k.fails("no encryption key", k.with("ca", "csr", "--region", "350100", "--out", k.path("x"))...)
	k.fails("--kek", "csr", "--keys", k.path("region"), "--region", "350100", "--out", k.path("x"))
	notes := k.path("notes.txt")
	if err := os.WriteFile(notes, []byte("no certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.fails("has no", "show", notes)
	k.fails("--days", k.with("ca", "crl", "--ca", k.path("authority.pem"), "--list", k.path("x"), "--days", "0")...)
	k.cert(k.with("ca", "crl", "--ca", k.path("authority.pem"), "--list", k.path("ca.crl"))...)
	k.fails("not one of", k.with("root", "crl", "--ca", k.path("root.pem"), "--list", k.path("ca.crl"))...)
}

// TestCertImport: a pair from a key management centre comes into the ring, and its certificate can be issued.
func TestCertImport(t *testing.T) {
	t.Parallel()
	k := newPKI(t)
	suite := emm.New()
	raw, err := os.ReadFile(k.path("region.csr"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	r, err := cert.ParseRequest(suite, block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := suite.Generate()
	if err != nil {
		t.Fatal(err)
	}
	der, err := cert.Envelope(suite, r.Seal, pair, make([]byte, crypto.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	if err = os.WriteFile(k.path("envelope"), der, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := k.cert(k.with("region", "import-key", k.path("envelope"))...); !strings.Contains(out, "decrypt-") {
		t.Error(out)
	}
	if err = os.Mkdir(k.path("kmc"), 0o700); err != nil {
		t.Fatal(err)
	}
	k.cert(k.with("ca", "issue", "--ca", k.path("authority.pem"), "--region", "350100", "--seal-key", k.path("envelope"),
		"--out", k.path("kmc"), k.path("region.csr"))...)
	k.fails("no encryption key", k.with("ca", "import-key", k.path("envelope"))...)
}
