//go:build integration

package node_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// openEuler is the program of testdata/tlcp, which speaks TLCP by a library that has nothing in common with the
// front's: BGMProvider of openEuler, from Maven.
type openEuler struct {
	t    testing.TB
	libs string
}

func newOpenEuler(t testing.TB) openEuler {
	t.Helper()
	e := openEuler{t: t, libs: t.TempDir()}
	pom, err := filepath.Abs("testdata/tlcp/pom.xml")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies",
		"-DoutputDirectory="+e.libs)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("java and mvn are needed, and a Maven repository: %v\n%s", err, out)
	}
	return e
}

// tlcpSuite is what the client offers: the front knows no other that both know.
const tlcpSuite = "ECC_SM4_CBC_SM3"

// asks sends a request with the certificates, keys and authority of files.
func (e openEuler) asks(front string, files map[string][]byte, request string) (string, error) {
	e.t.Helper()
	dir := e.t.TempDir()
	files["request"] = []byte(request)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			e.t.Fatal(err)
		}
	}
	args := []string{"-cp", filepath.Join(e.libs, "*")}
	for _, p := range inside() {
		args = append(args, "--add-opens", "java.base/sun."+p+"=ALL-UNNAMED")
	}
	args = append(args, "testdata/tlcp/Ask.java", front, dir, tlcpSuite)
	out, err := exec.CommandContext(e.t.Context(), "java", args...).CombinedOutput()
	return string(out), err
}

// inside are the packages of Java that the library looks into: it was made for Java 8.
func inside() []string {
	return []string{
		"net.util", "security.action", "security.internal.interfaces", "security.internal.spec", "security.jca",
		"security.pkcs", "security.pkcs12", "security.provider", "security.provider.certpath", "security.rsa",
		"security.ssl", "security.util", "security.validator", "security.x509", "util.logging",
	}
}

// TestTLCPSecondOpinion: a platform that speaks TLCP by another library than the front's, with a double
// certificate, is answered through it. Its key works with its certificate only, whatever it says of itself; the front
// refuses the certificate of another authority, and the client a front of another authority.
func TestTLCPSecondOpinion(t *testing.T) {
	const refused = "javax.net.ssl.SSL"
	e, w := newOpenEuler(t), newFronted(t)
	request := w.who.wire("/v1/rules", "")
	out, err := e.asks(w.front, w.files(w.tlcp, w.mine), request)
	answered := "GMTLS " + tlcpSuite + "\nHTTP/1.1 "
	if err != nil || !strings.HasPrefix(out, answered+"200") || !strings.Contains(out, "annual_share") {
		t.Fatalf("%v: %s", err, out)
	}
	forged := "Gongji-Client-Subject: " + subjectOf(w.mine.Leaf) + "\r\n"
	out, err = e.asks(w.front, w.files(w.tlcp, w.other), w.who.wire("/v1/rules", forged))
	if err != nil || !strings.HasPrefix(out, answered+"401") {
		t.Errorf("another certificate: %v: %s", err, out)
	}
	another := newTLCPAuthority(t)
	stranger := another.issue("hospital", signing)
	if out, err = e.asks(w.front, w.files(w.tlcp, stranger), request); err == nil || !strings.Contains(out, refused) {
		t.Errorf("a client of another authority: %s", out)
	}
	if out, err = e.asks(w.front, w.files(another, w.mine), request); err == nil || !strings.Contains(out, refused) {
		t.Errorf("a front of another authority: %s", out)
	}
}
