package tidy

import (
	"slices"
	"strings"
)

// floors says which top folders a top folder may import; see the picture in docs/onboarding.md. Test files too:
// a test that needs a folder beside its own stands on the wrong floor.
func floors() map[string][]string {
	return map[string][]string{
		"consensus":  {"consensus"},
		"federation": {"federation"},
		"crypto":     {"crypto"},
		"adapters":   {"adapters"},
		"gateway":    {"gateway", "consensus", "federation", "crypto", "adapters"},
		"testnet":    {"testnet", "gateway", "consensus", "federation", "crypto", "adapters"},
		"internal":   {"internal"},
	}
}

// freeport is for the tests of all floors; a fence stands around it.
const freeport = "internal/freeport"

// fence keeps what stands behind it to a few folders.
type fence struct {
	behind string   // an import path; all that starts with it and a slash or hyphen is behind the fence too
	only   []string // the folders that may import it
	tests  []string // folders whose test files may
	why    string
}

func fences() []fence {
	return []fence{
		{behind: "github.com/hashicorp/raft", only: []string{"consensus/raftlog"}, why: "only consensus/raftlog may"},
		{
			behind: "github.com/cockroachdb/pebble",
			only: []string{
				"consensus/raftlog", "consensus/consensustest", "gateway/node", "gateway/internal/simtest", "gateway/marked",
			},
			why: "the state is reached through consensus.Txn",
		},
		{
			behind: "github.com/segmentio/kafka-go",
			only:   []string{"federation/kafkabus", "federation/federationtest", "testnet", "gateway/marked"},
			why:    "only federation/kafkabus and testnet may",
		},
		{
			behind: "github.com/twmb/franz-go",
			only:   []string{"testnet", "gateway/internal/simtest", "federation/federationtest"},
			tests:  []string{"federation/kafkabus", "gateway"},
			why:    "the embedded broker is for the testnet and for tests",
		},
		{
			behind: "github.com/tjfoc/gmsm", only: []string{"crypto/sm"}, tests: []string{"gateway/node"}, // its TLCP as a front
			why: "only crypto/sm may",
		},
		{
			behind: "github.com/emmansun/gmsm", only: []string{"crypto/sm", "crypto/cert"},
			why: "only crypto/sm and crypto/cert may",
		},
		{
			behind: "github.com/shopspring/decimal", only: []string{"gateway/internal/money"},
			tests: []string{"gateway", "adapters", "testnet"},
			why:   "money is decimal at the border only: gateway/internal/money",
		},
		{
			behind: Module + "/" + freeport, only: []string{freeport, "federation/federationtest"},
			tests: []string{"consensus", "federation", "gateway", "testnet"}, why: "it lends ports to tests",
		},
		{behind: Module + "/testnet", only: []string{"testnet"}, why: "nobody imports the testnet"},
		{
			behind: Module + "/gateway/node", only: []string{"gateway/node", "gateway/internal/simtest", "testnet/runner"},
			why: "only gateway's main, testnet/runner and the simulator may wire nodes",
		},
	}
}

// denial forbids a folder some imports.
type denial struct {
	in     []string
	except []string
	tests  bool // test files too
	deny   []string
	why    string
}

func denials() []denial {
	implementations := []string{
		Module + "/consensus/", Module + "/federation/", Module + "/crypto/", Module + "/adapters/",
	}
	return []denial{
		{
			in: []string{"gateway/internal"}, except: []string{"gateway/internal/simtest"}, deny: implementations,
			why: "take the contract; gateway/node wires the implementation",
		},
		{
			in: []string{"gateway/internal/api", "gateway/internal/console"}, tests: true,
			deny: []string{Module + "/gateway/internal/settle", Module + "/gateway/internal/wire"},
			why:  "faces propose and read; they move no money and do not speak to other regions",
		},
		{
			in: []string{"testnet"}, except: []string{"testnet/runner"}, tests: true, deny: []string{Module + "/consensus"},
			why: "the testnet runs the program and asks its API",
		},
	}
}

func checkImports(t *Tree) []Finding {
	allowed := floors()
	var found []Finding
	for _, f := range t.Go() {
		for _, spec := range f.Syntax.Imports {
			imported := importPath(spec)
			for _, why := range slices.Concat(offFloor(f, imported, allowed), fenced(f, imported), denied(f, imported)) {
				found = append(found, t.at(f, spec.Pos(), "imports %s: %s", imported, why))
			}
		}
	}
	return found
}

func offFloor(f *File, imported string, allowed map[string][]string) []string {
	target, ours := strings.CutPrefix(imported, Module+"/")
	if !ours {
		return nil
	}
	from, _, _ := strings.Cut(f.Path, "/")
	to, _, _ := strings.Cut(target, "/")
	if slices.Contains(allowed[from], to) || target == freeport {
		return nil
	}
	return []string{from + " may import only " + strings.Join(allowed[from], ", ")}
}

func fenced(f *File, imported string) []string {
	var why []string
	for _, fence := range fences() {
		if !behind(imported, fence.behind) || f.In(fence.only...) || isMain(f, fence.behind) {
			continue
		}
		if !f.Test() || !f.In(fence.tests...) {
			why = append(why, fence.why)
		}
	}
	return why
}

// isMain lets the program's main package, and nothing below it, wire a node.
func isMain(f *File, fence string) bool {
	return fence == Module+"/gateway/node" && f.Dir() == "gateway"
}

// behind also takes versions and siblings: raft and raft-wal, pebble and pebble/v2.
func behind(imported, root string) bool {
	rest, ok := strings.CutPrefix(imported, root)
	return ok && (rest == "" || rest[0] == '/' || rest[0] == '-')
}

func denied(f *File, imported string) []string {
	var why []string
	for _, d := range denials() {
		if !f.In(d.in...) || f.In(d.except...) || (f.Test() && !d.tests) {
			continue
		}
		for _, deny := range d.deny {
			if imported == deny || strings.HasPrefix(imported, strings.TrimSuffix(deny, "/")+"/") {
				why = append(why, d.why)
			}
		}
	}
	return why
}

// checkContracts: the root package of a library folder is a contract that anybody may take without taking a library.
func checkContracts(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Go() {
		if f.Test() || !slices.Contains([]string{"consensus", "federation", "crypto", "adapters"}, f.Dir()) {
			continue
		}
		for _, spec := range f.Syntax.Imports {
			if !standard(importPath(spec)) {
				const text = "imports %s: a contract uses the standard library only"
				found = append(found, t.at(f, spec.Pos(), text, importPath(spec)))
			}
		}
	}
	return found
}

// allowList is all that some folders may import outside of tests.
type allowList struct {
	in    []string
	exact []string
	under []string // these and what stands below them
	why   string
}

func allowLists() []allowList {
	domain := []string{
		"gateway/internal/money", "gateway/internal/person", "gateway/internal/grant",
		"gateway/internal/hold", "gateway/internal/payment", "gateway/internal/policy", "gateway/internal/refund",
	}
	ours := make([]string, len(domain))
	for i, d := range domain {
		ours[i] = Module + "/" + d
	}
	return []allowList{
		{
			in: domain,
			exact: slices.Concat(ours, []string{
				"cmp", "errors", "fmt", "iter", "maps", "math", "math/bits", "slices", "strconv", "strings", "time",
				"unicode", "unicode/utf16", "unicode/utf8", "github.com/shopspring/decimal",
			}),
			why: "the domain is pure: no I/O, no goroutine, no clock, no randomness",
		},
		{
			in: []string{"gateway/internal/ledger"},
			exact: []string{
				"bytes", "cmp", "container/heap", "errors", "fmt", "io", "iter", "maps", "math", "math/bits", "slices",
				"strconv", "strings", "sync/atomic", "time", "unicode/utf8",
				Module + "/consensus", Module + "/federation", Module + "/adapters",
			},
			under: []string{"encoding", "hash", "google.golang.org/protobuf", Module + "/gateway/internal"},
			why:   "the state machine is deterministic and reads nothing but its state and its command",
		},
	}
}

func checkAllowLists(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Go() {
		if f.Test() || f.Generated() {
			continue
		}
		for _, list := range allowLists() {
			if f.In(list.in...) {
				found = append(found, t.beyond(f, list)...)
			}
		}
	}
	return found
}

func (t *Tree) beyond(f *File, list allowList) []Finding {
	var found []Finding
	for _, spec := range f.Syntax.Imports {
		imported := importPath(spec)
		under := slices.ContainsFunc(list.under, func(root string) bool { return within(imported, root) })
		if !under && !slices.Contains(list.exact, imported) {
			found = append(found, t.at(f, spec.Pos(), "imports %s: %s", imported, list.why))
		}
	}
	return found
}

func banned() map[string]string {
	return map[string]string{
		"io/ioutil":             "use io and os",
		"log":                   "use log/slog, handed in by the constructor",
		"math/rand":             "use math/rand/v2, or crypto/rand for anything secret",
		"github.com/pkg/errors": "use errors and fmt.Errorf with %w",
		"unsafe":                "not in this project",
		"reflect":               "not in this project",
	}
}

func checkBanned(t *Tree) []Finding {
	reasons := banned()
	var found []Finding
	for _, f := range t.Go() {
		if f.Generated() {
			continue
		}
		for _, spec := range f.Syntax.Imports {
			if why, ok := reasons[importPath(spec)]; ok {
				found = append(found, t.at(f, spec.Pos(), "imports %s: %s", importPath(spec), why))
			}
		}
	}
	return found
}
