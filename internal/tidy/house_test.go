package tidy_test

import (
	"os"
	"strings"
	"testing"

	"gongji/internal/tidy"
)

// TestHouse holds every rule against the whole tree.
func TestHouse(t *testing.T) {
	tree, err := tidy.Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Go()) < 10 {
		t.Fatalf("found only %d Go files: the walk is broken", len(tree.Go()))
	}
	for _, rule := range tidy.Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			if found := rule.Check(tree); len(found) > 0 {
				t.Errorf("%d findings:\n%s", len(found), list(found))
			}
		})
	}
}

func list(found []tidy.Finding) string {
	lines := make([]string, len(found))
	for i, f := range found {
		lines[i] = "  " + f.String()
	}
	return strings.Join(lines, "\n")
}
