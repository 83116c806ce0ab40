// Package rulebook is the regional rules as documents that a region's own staff write, check and explain: one YAML file
// for one version of one region's rules, with the day from which it holds.
//
// Read is strict and names everything that is wrong at once, each with its line, its field and a reason in English and
// Chinese: an unknown key, a key given twice, an amount without quotes (R-22: money is no floating point number), a
// figure without a source. What it gives is a policy.Rules that the ledger takes as it is. rules.schema.json says
// the same for editors, as far as a schema can; tests hold the two against each other.
//
// Write is the way back, Diff tells two versions apart, and Explain says in words why a hold got what it got, from
// the facts recorded with the decision and from nothing else. The documents of the pilot regions and a national
// default are part of the program: BuiltIn.
package rulebook

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"gongji/gateway/internal/policy"
)

// ErrDocument: the document is not one of rules. The error is a *ProblemsError, which lists what is wrong.
var ErrDocument = errors.New("rulebook: not a valid document of rules")

// National is the region code of the national default: a document to begin from, in force nowhere.
const National = "100000"

// DocumentMax is how large a document may be, in bytes.
const DocumentMax = policy.RulesBytesMax

// problemsMax bounds the list of what is wrong: more are not read by anybody.
const problemsMax = 100

// Problem is one thing that is wrong with a document.
type Problem struct {
	Line     int    // from 1; 0 where no line is to blame
	Field    string // "visit_limits.outpatient", "institutions[2].code"; "" for the whole
	Reason   string
	ReasonZH string
}

// String is one line with both languages.
func (p Problem) String() string {
	field := p.Field
	if field == "" {
		field = "document"
	}
	return fmt.Sprintf("line %d: %s: %s / 第%d行：%s", p.Line, field, p.Reason, p.Line, p.ReasonZH)
}

// ProblemsError is everything that is wrong with a document, in the order of its lines.
type ProblemsError struct{ Problems []Problem }

// Error lists the problems, a line each.
func (e *ProblemsError) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	lines = append(lines, ErrDocument.Error())
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes it an ErrDocument.
func (e *ProblemsError) Unwrap() error { return ErrDocument }

//go:embed regions/*.yaml
var regions embed.FS

//go:embed rules.schema.json
var schema []byte

// Schema is the JSON Schema of a document (draft 2020-12). The slice is the caller's.
func Schema() []byte { return slices.Clone(schema) }

// Regions are the regions with a built-in document, the national default not among them.
func Regions() []string {
	entries, err := fs.ReadDir(regions, "regions")
	if err != nil {
		return nil // an embedded folder can be read; without it there are none
	}
	var out []string
	for _, e := range entries {
		if code := strings.TrimSuffix(e.Name(), ".yaml"); code != National {
			out = append(out, code)
		}
	}
	return out
}

// Document is the built-in document of a region, or of National; policy.ErrNoRules for another.
func Document(region string) ([]byte, error) {
	data, err := fs.ReadFile(regions, "regions/"+region+".yaml")
	if err != nil {
		return nil, fmt.Errorf("rulebook: region %q has no built-in document: %w", region, policy.ErrNoRules)
	}
	return data, nil
}

// ReadFile reads a document from a file. Errors: those of Read and of the file system.
func ReadFile(path string) (policy.Rules, error) {
	f, err := os.Open(path)
	if err != nil {
		return policy.Rules{}, fmt.Errorf("rulebook: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, DocumentMax+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return policy.Rules{}, fmt.Errorf("rulebook: %w", err)
	}
	return Read(data)
}

// BuiltIn reads the built-in document of a region, or of National; policy.ErrNoRules for another.
func BuiltIn(region string) (policy.Rules, error) {
	data, err := Document(region)
	if err != nil {
		return policy.Rules{}, err
	}
	return Read(data)
}
