package simtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	mutantsFlag     = flag.Bool("mutants", false, "plant the bugs of testdata/mutants, one at a time")
	mutantFlag      = flag.String("mutant", "", "plant only those whose name has this in it")
	mutantSeedsFlag = flag.Int("mutantseeds", 20, "so many seeds may look for a bug")
)

// mutantLimit bounds the build and the run of one planted bug.
const mutantLimit = 12 * time.Minute

// edit is one change of one file: what stands there, exactly once, and what a bug makes of it.
type edit struct{ file, before, after string }

// mutant is a planted bug.
type mutant struct {
	name, about string
	test        string // of a removed check: the package and the tests that see it; empty: the simulation does
	edits       []edit
}

var errMutant = errors.New("not a mutant")

// readMutant reads a patch: a sentence, then "file PATH" and changes between <<<<<<<, ======= and >>>>>>>.
func readMutant(path string) (mutant, error) {
	raw, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return mutant{}, err
	}
	m := mutant{name: strings.TrimSuffix(filepath.Base(path), ".patch")}
	var file string
	var part *string
	for text := range strings.Lines(string(raw)) {
		word := strings.TrimRight(text, "\n")
		switch {
		case word == "<<<<<<<" && part == nil && file != "":
			m.edits = append(m.edits, edit{file: file})
			part = &m.edits[len(m.edits)-1].before
		case word == "=======" && part != nil:
			part = &m.edits[len(m.edits)-1].after
		case word == ">>>>>>>" && part != nil:
			part = nil
		case part != nil:
			*part += text
		case strings.HasPrefix(word, "test "):
			m.test = strings.TrimPrefix(word, "test ")
		case strings.HasPrefix(word, "file "):
			file = strings.TrimPrefix(word, "file ")
		case word != "" && file == "":
			m.about += word
		case word != "":
			return m, fmt.Errorf("%w: %s: %q", errMutant, path, word)
		}
	}
	if m.about == "" || len(m.edits) == 0 || part != nil {
		return m, fmt.Errorf("%w: %s is not complete", errMutant, path)
	}
	return m, nil
}

// overlay writes the changed files beside the sources and tells the go command of them. A text that does not stand in
// its file exactly once is an error: the patch has to follow the code.
func (m mutant) overlay(root, dir string) (string, error) {
	changed := map[string]string{}
	for _, e := range m.edits {
		source := filepath.Join(root, filepath.FromSlash(e.file))
		text, ok := changed[source]
		if !ok {
			raw, err := os.ReadFile(source)
			if err != nil {
				return "", err
			}
			text = string(raw)
		}
		before, after := strings.TrimSuffix(e.before, "\n"), strings.TrimSuffix(e.after, "\n")
		if before == "" || strings.Count(text, before) != 1 {
			return "", fmt.Errorf("%w: %s: its text stands %d times in %s", errMutant, m.name, strings.Count(text, before), e.file)
		}
		changed[source] = strings.Replace(text, before, after, 1)
	}
	replace := map[string]string{}
	for source, text := range changed {
		copied := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[source] = copied
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, raw, 0o600)
}

// verdict is what came of one planted bug.
type verdict struct {
	found bool
	by    string // the first thing that was wrong
	took  time.Duration
}

// build compiles the simulation with the bug, and run looks for it. A bug that does not compile is none.
func (m mutant) build(ctx context.Context, root, dir string) (string, error) {
	args := []string{"test", "-c", "-o", filepath.Join(dir, "sim.test")}
	if len(m.edits) > 0 {
		path, err := m.overlay(root, dir)
		if err != nil {
			return "", err
		}
		args = append(args, "-overlay", path)
	}
	// of this test's own making
	c := exec.CommandContext(ctx, "go", append(args, "./gateway/internal/simtest")...) //nolint:gosec // this package, with the overlay just written
	c.Dir = root
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s does not compile: %w\n%s", m.name, err, out)
	}
	return filepath.Join(dir, "sim.test"), nil
}

func (m mutant) run(ctx context.Context, program string, seeds int) (verdict, error) {
	began := time.Now()
	c := exec.CommandContext(ctx, program, "-test.run", "^TestSim$", "-first", //nolint:gosec // built a moment ago
		"-seeds", fmt.Sprint(seeds), "-test.timeout", mutantLimit.String())
	out, err := c.CombinedOutput()
	v := verdict{took: time.Since(began)}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return v, nil
	case !errors.As(err, &exit):
		return v, err
	}
	v.found = true
	for line := range strings.Lines(string(out)) {
		for _, mark := range []string{"wrong: ", "panic: "} {
			if _, what, ok := strings.Cut(line, mark); ok && v.by == "" {
				v.by = strings.TrimSpace(what)
			}
		}
	}
	if v.by == "" {
		return v, fmt.Errorf("%s ended without a word on what is wrong:\n%s", m.name, out[max(0, len(out)-2000):])
	}
	return v, nil
}

// TestMutants shows that the simulation sees: each planted bug makes it fail, and without one it passes.
func TestMutants(t *testing.T) {
	if !*mutantsFlag {
		return // TestPatches has looked at them
	}
	root := moduleRoot(t)
	for _, m := range append([]mutant{{name: "(none)"}}, allMutants(t)...) {
		if !strings.Contains(m.name, *mutantFlag) {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), mutantLimit)
		program, err := m.build(ctx, root, t.TempDir())
		var v verdict
		if err == nil {
			v, err = m.run(ctx, program, *mutantSeedsFlag)
		}
		cancel()
		planted := len(m.edits) > 0
		switch {
		case err != nil:
			t.Errorf("%s: %v", m.name, err)
		case v.found != planted:
			t.Errorf("%s: found %v in %d seeds: %s", m.name, v.found, *mutantSeedsFlag, v.by)
		}
		t.Logf("%-28s found=%-5v %5.0fs  %s", m.name, v.found, v.took.Seconds(), v.by)
	}
}

// TestPatches holds every patch against the sources, so that a change of the code that a patch no longer fits is
// seen at once.
func TestPatches(t *testing.T) {
	root := moduleRoot(t)
	for _, m := range append(allMutants(t), mutantsOf(t, "checks")...) {
		if _, err := m.overlay(root, t.TempDir()); err != nil {
			t.Error(err)
		}
	}
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func allMutants(t *testing.T) []mutant {
	t.Helper()
	return mutantsOf(t, "mutants")
}

func mutantsOf(t *testing.T, folder string) []mutant {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.patch"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no mutants: %v", err)
	}
	all := make([]mutant, 0, len(paths))
	for _, path := range paths {
		m, err := readMutant(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}
