package tidy

import (
	"regexp"
	"strings"
)

const dependenciesPage = "docs/adr/0006-dependencies.md"

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

// trustPages say what is defended against and what a standard asks, each with the test that shows it.
func trustPages() []string { return []string{"docs/threat-model.md", "docs/compliance.md"} }

// checkTrustPages: every test that these pages name exists, and each page names some.
func checkTrustPages(t *Tree) []Finding {
	tests := namedByTests(t)
	var found []Finding
	for _, name := range trustPages() {
		page := t.Find(name)
		if page == nil {
			found = append(found, Finding{name, 0, "is missing"})
			continue
		}
		named := 0
		for i, line := range strings.Split(string(page.Data), "\n") {
			for _, m := range testName.FindAllStringSubmatch(line, -1) {
				named++
				if _, known := tests[m[1]]; !known {
					found = append(found, Finding{name, i + 1, "names the test " + m[1] + ", which does not exist"})
				}
			}
		}
		if named == 0 {
			found = append(found, Finding{name, 0, "names no test"})
		}
	}
	return found
}
