//go:build integration

package node_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gongji/gateway/config"
)

// java runs the example for Java platforms.
type java struct {
	t         testing.TB
	dir, libs string
}

func newJava(t testing.TB) java {
	t.Helper()
	example, err := filepath.Abs("../../examples/java")
	if err != nil {
		t.Fatal(err)
	}
	j := java{t: t, dir: example, libs: t.TempDir()}
	c := exec.CommandContext(t.Context(), "mvn", "-q", "-B", "-f", filepath.Join(example, "pom.xml"),
		"dependency:copy-dependencies", "-DoutputDirectory="+j.libs)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("java and mvn are needed, and a Maven repository: %v\n%s", err, out)
	}
	return j
}

func (j java) run(args ...string) (string, error) {
	args = append([]string{"-cp", filepath.Join(j.libs, "*"), filepath.Join(j.dir, "Pay.java")}, args...)
	out, err := exec.CommandContext(j.t.Context(), "java", args...).CombinedOutput()
	return string(out), err
}

// TestJava: the Java example makes a key, signs with BouncyCastle as api.md section 1 says, and pays from an
// account in another region. A key that the region does not know and a signature of another key are refused.
func TestJava(t *testing.T) {
	j := newJava(t)
	f := newField(t, beijing, shanghai)
	child, payer := insured(beijing, 922, "司徒丁", "0.00"), insured(beijing, 923, "上官戊", "5000.00")
	child.Scheme = "390"
	m := &household{child: person(beijing, child), remote: person(beijing, payer)}
	key, other := filepath.Join(f.dir, "platform.pem"), filepath.Join(f.dir, "other.pem")
	public, err := j.run("key", key)
	if err != nil {
		t.Fatalf("%v: %s", err, public)
	}
	if out, err := j.run("key", other); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.nodes = []*place{f.places(shanghai, 1)[0], f.places(beijing, 1, child, payer)[0]}
	m.nodes[0].cfg.Platforms = []config.Platform{{
		KeyID: "hospital-1", Platform: "hospital", Public: strings.TrimSpace(public), Role: config.RolePlatform,
	}}
	m.nodes[0].cfg.Unsigned = false
	startAll(t, m.nodes...)
	m.bj = ask(t, m.nodes[1])
	m.grant(t, m.bj, m.remote)
	s := httptest.NewServer(http.HandlerFunc(m.nodes[0].node.Handler().ServeHTTP))
	defer s.Close()
	bill := filepath.Join(f.dir, "bill.json")
	f.write(bill, m.bill("java"))

	strangers := map[string][]string{"an unknown key": {"nobody", key}, "another's key": {"hospital-1", other}}
	for name, args := range strangers {
		out, err := j.run("pay", s.URL, args[0], args[1], bill)
		if err == nil || !strings.Contains(out, "unauthenticated") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	out, err := j.run("pay", s.URL, "hospital-1", key, bill)
	if err != nil || !strings.Contains(out, ": captured\n") || !strings.Contains(out, ": 300.00 yuan\n") {
		t.Errorf("%v: %s", err, out)
	}
}
