package simtest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

var checksFlag = flag.Bool("checks", false, "take away the checks of testdata/checks, one at a time")

// removedLimit bounds the build and the run of the tests of one removed check.
const removedLimit = 5 * time.Minute

// TestChecksRemoved shows that each check of what a peer sends has a test that fails without it: the patches of
// testdata/checks take one away each, and name the package and the tests.
func TestChecksRemoved(t *testing.T) {
	if !*checksFlag {
		return // TestPatches has looked at them
	}
	root := moduleRoot(t)
	for _, m := range mutantsOf(t, "checks") {
		if !strings.Contains(m.name, *mutantFlag) {
			continue
		}
		began := time.Now()
		by, err := m.seen(t.Context(), root, t.TempDir())
		switch {
		case err != nil:
			t.Errorf("%s: %v", m.name, err)
		case by == "":
			t.Errorf("%s: no test of %s fails without the check", m.name, m.test)
		}
		t.Logf("%-24s %4.0fs  %s", m.name, time.Since(began).Seconds(), by)
	}
}

// seen runs the tests that a patch names, with the patch, and returns the first that failed.
func (m mutant) seen(ctx context.Context, root, dir string) (string, error) {
	where, tests, ok := strings.Cut(m.test, " ")
	if !ok {
		return "", fmt.Errorf("%w: %s names no test", errMutant, m.name)
	}
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, removedLimit)
	defer cancel()
	c := exec.CommandContext(ctx, "go", "test", "-count=1", "-vet=off", //nolint:gosec // a patch of this folder
		"-overlay", overlay, "-run", "^("+tests+")$", where)
	c.Dir = root
	out, err := c.CombinedOutput()
	if err == nil {
		return "", nil
	}
	if _, ran := errors.AsType[*exec.ExitError](err); !ran {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		if _, what, found := strings.Cut(line, "--- FAIL: "); found {
			return strings.TrimSpace(what), nil
		}
	}
	return "", fmt.Errorf("%w: %s: it did not come to a test:\n%s", errMutant, m.name, out[max(0, len(out)-2000):])
}
