package tidy

import (
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

const (
	requirementsPage = "docs/requirements.md"
	requirements     = 30
	// notYet stands in the row of a requirement that a later release is to bring.
	notYet = "not yet"
	// scenarios is the folder of the golden scenarios, whose titles name the requirements that they show.
	scenarios = "gateway/internal/simtest/testdata"
)

var (
	testName     = regexp.MustCompile("`((?:Test|Fuzz|Example)[A-Z]\\w*)`")
	scenarioName = regexp.MustCompile("`([a-z0-9-]+\\.txt)`")
	requirement  = regexp.MustCompile(`\bR-\d\d\b`)
	requiredRow  = regexp.MustCompile(`^\| (R-\d\d) \|(.*)\|\s*$`)
)

// checkRequirements: docs/requirements.md has one row for each requirement: id, in short, where, tests. The tests that
// a row names exist. A requirement that is built has a test in its row, and is named by a test itself, in its doc
// comment or in a scenario's title; a row that says "not yet" in its cell of tests is let off.
func checkRequirements(t *Tree) []Finding {
	page := t.Find(requirementsPage)
	if page == nil {
		return []Finding{{requirementsPage, 0, "is missing"}}
	}
	tests, titles := namedByTests(t), namedByScenarios(t)
	var found []Finding
	seen := map[string]bool{}
	for i, line := range strings.Split(string(page.Data), "\n") {
		at := func(format string, args ...any) {
			found = append(found, Finding{page.Path, i + 1, fmt.Sprintf(format, args...)})
		}
		for _, m := range testName.FindAllStringSubmatch(line, -1) {
			if _, known := tests[m[1]]; !known {
				at("names the test %s, which does not exist", m[1])
			}
		}
		row := requiredRow.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		id := row[1]
		if seen[id] {
			at("has a second row for %s", id)
		}
		seen[id] = true
		checkRow(id, row[2], tests, titles, at)
	}
	for i := range requirements {
		if id := fmt.Sprintf("R-%02d", i+1); !seen[id] {
			found = append(found, Finding{page.Path, 0, "has no row for " + id})
		}
	}
	return found
}

// checkRow holds a row's cell of tests against the tests. The maps hold the ids that each test and scenario names.
func checkRow(id, row string, tests, titles map[string][]string, at func(format string, args ...any)) {
	cells := strings.Split(row, "|")
	cell := cells[len(cells)-1]
	for _, m := range scenarioName.FindAllStringSubmatch(cell, -1) {
		if !slices.Contains(titles[m[1]], id) {
			at("%s: no title in %s/%s names it", id, scenarios, m[1])
		}
	}
	if strings.Contains(cell, notYet) {
		return
	}
	if !testName.MatchString(cell) && !scenarioName.MatchString(cell) {
		at("%s has no test: name one, or write %q", id, notYet)
	}
	for _, named := range []map[string][]string{tests, titles} {
		for _, ids := range named {
			if slices.Contains(ids, id) {
				return
			}
		}
	}
	at("%s is named by no test: its doc comment or a scenario's title has to", id)
}

// namedByTests finds every test, with the requirements that its doc comment names.
func namedByTests(t *Tree) map[string][]string {
	known := map[string][]string{}
	for _, f := range t.Go() {
		if !f.Test() {
			continue
		}
		for _, d := range f.Syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				known[fn.Name.Name] = append(known[fn.Name.Name], requirement.FindAllString(fn.Doc.Text(), -1)...)
			}
		}
	}
	return known
}

// namedByScenarios finds the requirements that stand in the titles of each file of scenarios, before the colon.
func namedByScenarios(t *Tree) map[string][]string {
	named := map[string][]string{}
	for _, f := range t.Files {
		name, ours := strings.CutPrefix(f.Path, scenarios+"/")
		if !ours || strings.Contains(name, "/") {
			continue
		}
		for line := range strings.SplitSeq(string(f.Data), "\n") {
			if title, ok := strings.CutPrefix(line, "# "); ok {
				ids, _, _ := strings.Cut(title, ":")
				named[name] = append(named[name], requirement.FindAllString(ids, -1)...)
			}
		}
	}
	return named
}
