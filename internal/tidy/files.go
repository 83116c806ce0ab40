package tidy

import (
	"bytes"
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Lengths in lines. What grows past them is two things in one file.
const (
	fileLinesMax = 500
	mainLinesMax = 60 // a main that cannot be imported holds no logic
)

func checkLength(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Go() {
		if f.Test() || f.Generated() {
			continue
		}
		lines := bytes.Count(f.Data, []byte("\n"))
		most := fileLinesMax
		if f.Path == "gateway/main.go" || f.Path == "testnet/main.go" {
			most = mainLinesMax
		}
		if lines > most {
			text := "is longer than " + itoa(most) + " lines: split it by what changes together"
			found = append(found, Finding{f.Path, lines, text})
		}
	}
	return found
}

// checkPackageDoc looks at what people wrote; of generated packages the .proto file is the doc.
func checkPackageDoc(t *Tree) []Finding {
	documented := map[string]bool{}
	for _, f := range t.Go() {
		name := f.Syntax.Name.Name
		if strings.HasSuffix(name, "_test") || f.Generated() {
			continue
		}
		documented[f.Dir()] = documented[f.Dir()] || goodDoc(name, f.Syntax.Doc.Text())
	}
	var found []Finding
	for _, dir := range slices.Sorted(maps.Keys(documented)) {
		if !documented[dir] {
			found = append(found, Finding{dir, 0, `has no package doc: "Package name …", or of a main "Command name …"`})
		}
	}
	return found
}

func goodDoc(name, doc string) bool {
	if name == "main" {
		return strings.HasPrefix(doc, "Command ")
	}
	return strings.HasPrefix(doc, "Package "+name+" ") || strings.HasPrefix(doc, "Package "+name+"\n")
}

var (
	anyTodo  = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)
	goodTodo = regexp.MustCompile(`\bTODO\(#(\d+|n)\):`)
)

// checkTodo: work that is put off is an issue with a number. Prose in docs may speak of the form.
func checkTodo(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Go() {
		for _, group := range f.Syntax.Comments {
			for _, comment := range group.List {
				if badTodo(comment.Text) {
					found = append(found, t.at(f, comment.Pos(), "write TODO(#n): with the number of an issue, or do it"))
				}
			}
		}
	}
	for _, f := range t.Files {
		name := path.Base(f.Path)
		script := slices.Contains([]string{".yml", ".yaml", ".proto", ".sh"}, path.Ext(name))
		if hasElement(f.Path, "testdata") || (!script && name != "Makefile" && !f.In(".ci")) {
			continue
		}
		for i, line := range strings.Split(string(f.Data), "\n") {
			if badTodo(line) {
				found = append(found, Finding{f.Path, i + 1, "write TODO(#n): with the number of an issue, or do it"})
			}
		}
	}
	return found
}

func badTodo(text string) bool { return anyTodo.MatchString(goodTodo.ReplaceAllString(text, "")) }

func checkChangelog(t *Tree) []Finding {
	f := t.Find("CHANGELOG.md")
	if f == nil {
		return []Finding{{"CHANGELOG.md", 0, "is missing"}}
	}
	for i, line := range strings.Split(string(f.Data), "\n") {
		if strings.HasPrefix(line, "## ") {
			if strings.TrimSpace(line) == "## Unreleased" {
				return nil
			}
			return []Finding{{f.Path, i + 1, `the first section must be "## Unreleased"`}}
		}
	}
	return []Finding{{f.Path, 0, `has no section "## Unreleased"`}}
}

func checkSize(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if f.Size > FileBytesMax {
			text := "has " + itoa(int(f.Size)) + " bytes, more than " + itoa(FileBytesMax)
			found = append(found, Finding{f.Path, 0, text})
		}
	}
	return found
}

// machinePath finds folders of somebody's machine. This package speaks of them, and is left out.
var machinePath = regexp.MustCompile(`(^|[\s"'=(:,` + "`" + `])(/(work|root|home|Users)|[A-Za-z]:\\Users)[/\\]`)

func checkMachinePaths(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if strings.Contains(f.Path, "testdata/fuzz/") || f.In("internal/tidy") {
			continue
		}
		for i, line := range bytes.Split(f.Data, []byte("\n")) {
			if m := machinePath.Find(line); m != nil {
				found = append(found, Finding{f.Path, i + 1, "names a path of one machine: " + strings.TrimSpace(string(m))})
			}
		}
	}
	return found
}

// checkDesign: each top folder says beside its code what it is for, why it is not done the obvious way, and where it
// ends.
func checkDesign(t *Tree) []Finding {
	var found []Finding
	for _, folder := range []string{"consensus", "federation", "crypto", "adapters", "gateway", "testnet"} {
		f := t.Find(folder + "/DESIGN.md")
		if f == nil {
			found = append(found, Finding{folder, 0, "has no DESIGN.md"})
			continue
		}
		for _, part := range []string{"Purpose", "Background", "Limits"} {
			if !hasHeading(string(f.Data), part) {
				found = append(found, Finding{f.Path, 0, "has no heading with " + part})
			}
		}
	}
	return found
}

func hasHeading(text, word string) bool {
	return slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool {
		return strings.HasPrefix(line, "#") && strings.Contains(strings.ToLower(line), strings.ToLower(word))
	})
}

// checkSkips: a test that cannot run fails; a skipped test is a promise that nobody keeps.
func checkSkips(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Go() {
		testers := testerNames(f.Syntax)
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && testers[id.Name] {
				found = append(found, t.at(f, call.Pos(), "%s.%s: a test whose parts are missing fails", id.Name, sel.Sel.Name))
			}
			return true
		})
	}
	return found
}

// testerNames collects the names of parameters of the types *testing.T, B, F, testing.TB and *rapid.T.
func testerNames(file *ast.File) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		field, ok := n.(*ast.Field)
		if !ok {
			return true
		}
		kind := field.Type
		if star, ok := kind.(*ast.StarExpr); ok {
			kind = star.X
		}
		if sel, ok := kind.(*ast.SelectorExpr); ok && (isIdent(sel.X, "testing") || isIdent(sel.X, "rapid")) {
			for _, name := range field.Names {
				names[name.Name] = true
			}
		}
		return true
	})
	return names
}

func importsVirtualTime(file *ast.File) bool {
	return slices.ContainsFunc(file.Imports, func(s *ast.ImportSpec) bool {
		return importPath(s) == "testing/synctest"
	})
}

// checkSleeps: code waits on what it waits for. In virtual time (testing/synctest) a sleep is exact, and allowed.
func checkSleeps(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Go() {
		if importsVirtualTime(f.Syntax) || f.In("gateway/internal/simtest") {
			continue
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" && isIdent(sel.X, "time") {
				found = append(found, t.at(f, sel.Pos(), "time.Sleep: wait on the condition, or use testing/synctest"))
			}
			return true
		})
	}
	return found
}
