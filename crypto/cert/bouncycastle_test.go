//go:build integration

package cert_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/cert"
)

// stranger is the Java program of testdata/java, which knows BouncyCastle and nothing of ours.
type stranger struct {
	t    *testing.T
	dir  string
	libs string
}

// newStranger has Maven fetch BouncyCastle.
func newStranger(t *testing.T) stranger {
	t.Helper()
	s := stranger{t: t, dir: t.TempDir(), libs: t.TempDir()}
	pom, err := filepath.Abs("testdata/java/pom.xml")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies",
		"-DoutputDirectory="+s.libs)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("java and mvn are needed, and a Maven repository: %v\n%s", err, out)
	}
	return s
}

func (s stranger) run(what string) {
	s.t.Helper()
	c := exec.CommandContext(s.t.Context(), "java", "-cp", filepath.Join(s.libs, "*"), "testdata/java/Interop.java", what,
		s.dir)
	if out, err := c.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("done")) {
		s.t.Fatalf("%s: %v\n%s", what, err, out)
	}
}

func (s stranger) write(name string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s stranger) read(name string) []byte {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return content
}

// TestBouncyCastle: certificates, requests, revocation lists, signatures, SM2 ciphertexts and SM4-GCM, both
// ways.
func TestBouncyCastle(t *testing.T) {
	s, f := newStranger(t), newFederation(t)
	s.run("make")
	moment := time.Now()
	roots := [][]byte{s.read("bc-root.der")}
	trust := must[*cert.Trust](t)(cert.NewTrust(f.suite, roots, nil, moment))
	sign, seal := parse(t, s.read("bc-sign.der")), parse(t, s.read("bc-seal.der"))
	for use, c := range map[cert.Use]*cert.Certificate{cert.UseSign: sign, cert.UseSeal: seal} {
		if err := c.Check(use, "110000"); err != nil {
			t.Error(err)
		}
		if err := trust.Check(c, moment); err != nil {
			t.Error(err)
		}
	}
	listed := must[*cert.Trust](t)(cert.NewTrust(f.suite, roots, [][]byte{s.read("bc-list.der")}, moment))
	refused(t, listed.Check(sign, moment), cert.ReasonRevoked)
	if err := listed.Check(seal, moment); err != nil {
		t.Error(err)
	}
	r := must[*cert.Request](t)(cert.ParseRequest(f.suite, s.read("bc-request.der")))
	if !bytes.Equal(r.Public, sign.Public) || r.Region != "110000" {
		t.Errorf("%+v", r)
	}
	v := must[crypto.Verifier](t)(f.suite.Verifier(sign.Public))
	if err := v.Verify([]byte("signed by a stranger"), s.read("bc-signature")); err != nil {
		t.Error(err)
	}

	for name, der := range map[string][]byte{
		"root.der": f.rootDER, "middle.der": f.middleDER, "sign.der": f.sign, "seal.der": f.seal,
		"request.der": f.request.Raw,
		"list.der":    list(t, f.middle, 3, parse(t, f.sign).Serial), "message": []byte("signed by a region"),
		"signature": must[[]byte](t)(f.ring.Sign(f.signID, []byte("signed by a region"))), "additional": []byte("header"),
	} {
		s.write(name, der)
	}
	key := bytes.Repeat([]byte{0x3c, 0x81}, crypto.KeySize/2)
	aead := must[crypto.AEAD](t)(f.suite.AEAD(key))
	content := []byte("a parcel's content")
	s.write("sealed", aead.Seal(nil, make([]byte, crypto.NonceSize), content, []byte("header")))
	wrapper := must[crypto.Wrapper](t)(f.suite.Wrapper(seal.Public))
	s.write("wrapped", must[[]byte](t)(wrapper.Wrap(key)))
	s.run("read")
	if opened, err := f.ring.Unwrap(f.sealID, s.read("bc-wrapped")); err != nil || !bytes.Equal(opened, key) {
		t.Errorf("%x, %v", opened, err)
	}
	nonce := make([]byte, crypto.NonceSize)
	nonce[len(nonce)-1] = 1
	opened, err := aead.Open(nil, nonce, s.read("bc-sealed"), []byte("header"))
	if err != nil || !bytes.Equal(opened, content) {
		t.Errorf("%q, %v", opened, err)
	}
}
