package secondopinion_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestStandsAlone: the second opinion imports the standard library alone; what it shared with the program, it could not
// judge.
func TestStandsAlone(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			first, _, _ := strings.Cut(path, "/")
			if err != nil || first == "gongji" || strings.Contains(first, ".") {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
	}
}
