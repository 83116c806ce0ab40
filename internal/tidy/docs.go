package tidy

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
)

const (
	requirementsPage = "docs/requirements.md"
	requirements     = 30
	dependenciesPage = "docs/adr/0006-dependencies.md"
)

var testName = regexp.MustCompile("`((?:Test|Fuzz|Example)[A-Z]\\w*)`")

// checkRequirements: docs/requirements.md has a row for each requirement, and the tests that it names exist.
func checkRequirements(t *Tree) []Finding {
	page := t.Find(requirementsPage)
	if page == nil {
		return []Finding{{requirementsPage, 0, "is missing"}}
	}
	var found []Finding
	for i := 1; i <= requirements; i++ {
		if row := fmt.Sprintf("\n| R-%02d ", i); !strings.Contains(string(page.Data), row) {
			found = append(found, Finding{page.Path, 0, fmt.Sprintf("has no row for R-%02d", i)})
		}
	}
	known := testFuncs(t)
	for i, line := range strings.Split(string(page.Data), "\n") {
		for _, m := range testName.FindAllStringSubmatch(line, -1) {
			if !known[m[1]] {
				found = append(found, Finding{page.Path, i + 1, "names the test " + m[1] + ", which does not exist"})
			}
		}
	}
	return found
}

func testFuncs(t *Tree) map[string]bool {
	known := map[string]bool{}
	for _, f := range t.Go() {
		if !f.Test() {
			continue
		}
		for _, d := range f.Syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				known[fn.Name.Name] = true
			}
		}
	}
	return known
}

var requireLine = regexp.MustCompile(`^\s*(?:require )?([\w.-]+\.[\w.-]+/\S+) v\S+$`)

// checkDependencies: each direct dependency of go.mod has its reason in the record of dependencies.
func checkDependencies(t *Tree) []Finding {
	module, page := t.Find("go.mod"), t.Find(dependenciesPage)
	if module == nil || page == nil {
		return []Finding{{dependenciesPage, 0, "or go.mod is missing"}}
	}
	var found []Finding
	for i, line := range strings.Split(string(module.Data), "\n") {
		m := requireLine.FindStringSubmatch(strings.TrimRight(line, " \t\r"))
		if m != nil && !strings.Contains(string(page.Data), m[1]) {
			found = append(found, Finding{module.Path, i + 1, m[1] + " has no reason in " + dependenciesPage})
		}
	}
	return found
}
