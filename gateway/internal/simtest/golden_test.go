package simtest_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"gongji/gateway/internal/simtest/golden"
)

var rewriteFlag = flag.Bool("rewrite", false, "write the answers that TestGolden gets into its files")

// TestGolden plays the scenarios in testdata, each for the requirements that its title names, and holds every answer
// against the one in the file. A situation alone: -run 'TestGolden/limits/R-16'.
func TestGolden(t *testing.T) {
	t.Parallel()
	const least = 60 // situations
	situations := 0
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := golden.Parse("gateway/internal/simtest/"+filepath.ToSlash(path), string(raw))
		if err != nil {
			t.Fatal(err)
		}
		situations += len(f.Situations)
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { playFile(t, f, path) })
	}
	if situations < least {
		t.Errorf("%d situations, fewer than %d", situations, least)
	}
}

// playFile plays the situations of a file, and rewrites it if that is asked.
func playFile(t *testing.T, f *golden.File, path string) {
	if !*rewriteFlag {
		t.Parallel()
	}
	for _, s := range f.Situations {
		t.Run(s.Title, func(t *testing.T) {
			if !*rewriteFlag {
				t.Parallel()
			}
			synctest.Test(t, func(t *testing.T) {
				if err := golden.Play(t, s); err != nil {
					t.Errorf("%s: %v", f.Path, err)
				}
			})
			if !*rewriteFlag {
				for _, d := range f.Diffs(s) {
					t.Error("\n" + d)
				}
			}
		})
	}
	if *rewriteFlag {
		if err := os.WriteFile(path, []byte(f.Rewritten()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
