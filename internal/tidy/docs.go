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
