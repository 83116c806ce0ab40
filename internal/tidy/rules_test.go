package tidy_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"gongji/internal/tidy"
)

const tested = "package x_test\n\nimport \"testing\"\n\nfunc TestPlain(t *testing.T) {\n\tt.%s\n}\n"

// clean is a small tree without a fault; each case plants one.
func clean() map[string]string {
	const module = "module gongji\n\nrequire (\n\texample.org/a v1.0.0\n\texample.org/b v1.0.0 // indirect\n)\n"
	files := map[string]string{
		".gitignore":                    "/.testnet/\n*.out\n",
		"go.mod":                        module,
		"CHANGELOG.md":                  "# Changelog\n\n## Unreleased\n\n- something\n\n## 0.1.0\n",
		"docs/adr/0006-dependencies.md": "example.org/a: because.\n",
		"docs/requirements.md":          "| id | test |\n",
		"docs/threat-model.md":          "shown by `TestPlain`\n",
		"docs/compliance.md":            "shown by `TestPlain`\n",
		"gateway/main.go":               "// Command gateway serves.\npackage main\n\nimport _ \"gongji/gateway/node\"\n",
		"gateway/node/node.go":          imports("node", "gongji/consensus/raftlog"),
		"gateway/internal/api/x.go":     imports("api", "gongji/consensus") + "\nvar gauge = float64(1)\n",
		"gateway/internal/money/x.go":   imports("money", "github.com/shopspring/decimal"),
		"consensus/consensus_test.go":   fmt.Sprintf(tested, "Parallel()"),
		"testnet/testdata/broken.go":    "this is no Go",
		".testnet/state/x.go":           "this is no Go either",
		"tools/go.mod":                  "module gongji/tools\n",
		"tools/tools.go":                "package tools\n\nimport _ \"log\"\n",
	}
	for _, folder := range []string{"consensus", "federation", "crypto", "adapters", "gateway", "testnet"} {
		files[folder+"/DESIGN.md"] = "# It\n\n## Purpose\n\n## Background\n\n## Limits\n"
	}
	for _, folder := range []string{"consensus", "federation", "crypto", "adapters", "consensus/raftlog"} {
		name := folder[strings.LastIndex(folder, "/")+1:]
		files[folder+"/"+name+".go"] = imports(name, "time") + "\n// TODO(#12): more.\n"
	}
	var rows, titles strings.Builder
	for i := range 28 {
		fmt.Fprintf(&rows, "| R-%02d | short | where | `TestPlain` |\n", i+1)
		fmt.Fprintf(&titles, "# R-%02d: a title\n", i+1)
	}
	rows.WriteString("| R-29 | short | where | `a.txt` |\n| R-30 | short | where | not yet |\n")
	files["docs/requirements.md"] += rows.String()
	files["gateway/internal/simtest/testdata/a.txt"] = titles.String() + "# R-29: a title that speaks of R-30\n"
	return files
}

func load(t *testing.T, files map[string]string) *tidy.Tree {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tree, err := tidy.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func imports(pkg, path string) string {
	return "// Package " + pkg + " is planted.\npackage " + pkg + "\n\nimport _ \"" + path + "\"\n"
}

func calls(path, expression string) string {
	return "// Package sm is planted.\npackage sm\n\nimport lib \"" + path + "\"\n\nvar planted = " + expression + "\n"
}

// planted is one fault, the rule that must find it, and the file that the finding must name.
type planted struct {
	rule, file, text string
	gone             bool // the file is taken away instead
	at               string
}

func plantedImports() []planted {
	const raft, kafka = "github.com/hashicorp/raft-wal", "github.com/segmentio/kafka-go/protocol"
	plan := []planted{
		{file: "consensus/x.go", text: imports("consensus", "gongji/federation")},
		{file: "consensus/x_test.go", text: imports("consensus", "gongji/crypto")},
		{file: "federation/membus/x.go", text: imports("membus", "gongji/gateway/client")},
		{file: "crypto/sm/x.go", text: imports("sm", "gongji/adapters")},
		{file: "adapters/rest/x.go", text: imports("rest", "gongji/consensus")},
		{file: "gateway/config/x.go", text: imports("config", "gongji/testnet/story")},
		{file: "internal/other/x.go", text: imports("other", "gongji/gateway/client")},
		{file: "newfolder/x.go", text: imports("newfolder", "gongji/consensus")},
		{file: "gateway/node/x.go", text: imports("node", raft)},
		{file: "consensus/consensustest/x_test.go", text: imports("consensustest", raft)},
		{file: "gateway/node/x.go", text: imports("node", kafka)},
		{file: "gateway/internal/settle/x.go", text: imports("settle", "github.com/cockroachdb/pebble/v2")},
		{file: "gateway/node/x.go", text: imports("node", "github.com/twmb/franz-go/pkg/kfake")},
		{file: "crypto/keyfile/x.go", text: imports("keyfile", "github.com/tjfoc/gmsm/sm2")},
		{file: "crypto/cryptotest/x.go", text: imports("cryptotest", "github.com/emmansun/gmsm/sm2")},
		{file: "gateway/internal/wire/x.go", text: imports("wire", "github.com/shopspring/decimal")},
		{file: "testnet/story/x.go", text: imports("story", "gongji/gateway/node")},
		{file: "gateway/client/x.go", text: imports("client", "gongji/gateway/node")},
		{file: "testnet/story/x.go", text: imports("story", "gongji/consensus")},
		{file: "gateway/node/x.go", text: imports("node", "gongji/internal/freeport")},
		{file: "consensus/raftlog/x_test.go", text: imports("raftlog", "gongji/internal/tidy")},
		{file: "gateway/internal/settle/x.go", text: imports("settle", "gongji/federation/kafkabus")},
		{file: "gateway/internal/ledger/x.go", text: imports("ledger", "gongji/adapters/embedded")},
		{file: "gateway/internal/api/y.go", text: imports("api", "gongji/gateway/internal/settle")},
		{file: "gateway/internal/console/y_test.go", text: imports("console", "gongji/gateway/internal/wire")},
	}
	for i := range plan {
		plan[i].rule = "import-plan"
	}
	return append(plan, []planted{
		{
			rule: "contracts-use-the-standard-library", file: "federation/x.go",
			text: imports("federation", "golang.org/x/sync/errgroup"),
		},
		{rule: "allow-lists", file: "gateway/internal/hold/x.go", text: imports("hold", "sync")},
		{rule: "allow-lists", file: "gateway/internal/policy/x.go", text: imports("policy", "gongji/gateway/internal/vault")},
		{rule: "allow-lists", file: "gateway/internal/payment/x.go", text: imports("payment", "gongji/federation")},
		{rule: "allow-lists", file: "gateway/internal/ledger/x.go", text: imports("ledger", "net/http")},
		{rule: "allow-lists", file: "gateway/internal/ledger/x.go", text: imports("ledger", "gongji/crypto")},
		{rule: "secrets-in-constant-time", file: "crypto/x.go", text: imports("crypto", "bytes") +
			"\nfunc f(mac, want []byte) bool { return bytes.Equal(mac, want) }\n"},
		{rule: "secrets-in-constant-time", file: "gateway/node/x.go", text: imports("node", "fmt") +
			"\nfunc f(given, wantPIN string) bool { return given == wantPIN }\n"},
		{rule: "big-numbers", file: "crypto/keyfile/x.go", text: imports("keyfile", "math/big")},
		{rule: "banned-packages", file: "testnet/x.go", text: imports("main", "log")},
		{rule: "banned-packages", file: "testnet/x_test.go", text: imports("main", "math/rand")},
	}...)
}

func plantedCalls() []planted {
	const tjfoc, emmansun = "github.com/tjfoc/gmsm", "github.com/emmansun/gmsm"
	plan := []planted{
		{text: imports("sm", tjfoc+"/gmtls")},
		{text: imports("sm", tjfoc+"/x509")},
		{text: imports("sm", emmansun+"/pkcs7")},
		{text: calls(tjfoc+"/sm4", "lib.Sm4GCM")},
		{text: calls(tjfoc+"/sm4", "lib.SetIV")},
		{text: calls(tjfoc+"/sm2", "lib.Decompress(nil)")},
		{text: calls(emmansun+"/sm2", "lib.VerifyASN1")},
		{text: calls(emmansun+"/sm2", "key.Sign(random, message, nil)")},
	}
	for i := range plan {
		plan[i].rule, plan[i].file = "library-calls", "crypto/sm/emm/x.go"
	}
	return plan
}

func plantedRest() []planted {
	const (
		doc      = "// Package x is planted.\npackage x\n\n"
		domain   = "gateway/internal/policy/x.go"
		api      = "gateway/internal/api/x.go"
		audit    = "gateway/internal/audit"
		table    = "docs/requirements.md"
		sleeping = "package x\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n"
	)
	return []planted{
		{rule: "source-parses", file: "gateway/x.go", text: "package"},
		{rule: "file-length", file: "gateway/internal/settle/x.go", text: doc + strings.Repeat("// a\n", 500)},
		{rule: "file-length", file: "gateway/main.go", text: "package main\n" + strings.Repeat("// a\n", 60)},
		{rule: "package-doc", file: audit + "/x.go", text: "package audit\n", at: audit},
		{rule: "package-doc", file: audit + "/x.go", text: "// Audits.\npackage audit\n", at: audit},
		{rule: "package-doc", file: "gateway/main.go", text: "package main\n", at: "gateway"},
		{rule: "todo-form", file: "gateway/x.go", text: doc + "// TODO: later\n"},
		{rule: "todo-form", file: "gateway/x.go", text: doc + "// FIXME(#3): later\n"},
		{rule: "todo-form", file: ".ci/run", text: "# TODO later\n"},
		{rule: "changelog", file: "CHANGELOG.md", text: "# Changelog\n\n## 1.0\n"},
		{rule: "changelog", file: "CHANGELOG.md", gone: true},
		{rule: "file-size", file: "docs/big.bin", text: strings.Repeat("x", tidy.FileBytesMax+1)},
		{rule: "machine-paths", file: "docs/operations.md", text: "see /ho" + "me/somebody/gongji\n"},
		{rule: "design-page", file: "crypto/DESIGN.md", gone: true, at: "crypto"},
		{rule: "design-page", file: "crypto/DESIGN.md", text: "# Purpose\n"},
		{rule: "no-skipped-tests", file: "gateway/x_test.go", text: fmt.Sprintf(tested, "Skip(\"no Kafka\")")},
		{rule: "no-skipped-tests", file: "gateway/x_test.go", text: fmt.Sprintf(tested, "SkipNow()")},
		{rule: "no-sleeping", file: "gateway/x_test.go", text: sleeping},
		{rule: "no-floats-for-money", file: domain, text: doc + "type t struct{ n float64 }\n"},
		{rule: "no-floats-for-money", file: domain, text: doc + "const share = 0.6\n"},
		{rule: "no-floats-for-money", file: api, text: doc + "func f(amount int64) float64 { return 1 }\n"},
		{rule: "requirements-table", file: table, text: "| R-01 | short | where | `TestPlain` |\n"},
		{rule: "requirements-table", file: table, text: clean()[table] + "`TestNowhere`\n"},
		{rule: "requirements-table", file: table, text: clean()[table] + "| R-07 | twice | where | `TestPlain` |\n"},
		{rule: "requirements-table", file: table, text: strings.Replace(clean()[table], "`TestPlain`", "", 1)},
		{rule: "requirements-table", file: table, text: strings.Replace(clean()[table], "`TestPlain`", "`b.txt`", 1)},
		{rule: "requirements-table", file: table, text: strings.Replace(clean()[table], "not yet", "`TestPlain`", 1)},
		{rule: "requirements-table", file: table, text: strings.Replace(clean()[table], "not yet", "`a.txt`", 1)},
		{rule: "trust-pages-name-tests", file: "docs/compliance.md", gone: true},
		{rule: "trust-pages-name-tests", file: "docs/compliance.md", text: "nothing is shown\n"},
		{rule: "trust-pages-name-tests", file: "docs/threat-model.md", text: "shown by `TestPlain`, `TestNowhere`\n"},
		{rule: "dependencies-have-reasons", file: "go.mod", text: "module gongji\n\nrequire example.org/new v1.0.0\n"},
	}
}

func TestRulesPassCleanTree(t *testing.T) {
	t.Parallel()
	tree := load(t, clean())
	for _, rule := range tidy.Rules() {
		if found := rule.Check(tree); len(found) > 0 {
			t.Errorf("%s:\n%s", rule.Name, list(found))
		}
	}
}

// TestRulesCatchPlantedFaults plants one fault at a time. A rule without a planted fault is one that nobody has seen
// work.
func TestRulesCatchPlantedFaults(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i, p := range append(append(plantedImports(), plantedCalls()...), plantedRest()...) {
		seen[p.rule] = true
		t.Run(fmt.Sprintf("%02d-%s", i, p.rule), func(t *testing.T) {
			t.Parallel()
			checkPlanted(t, p)
		})
	}
	for _, rule := range tidy.Rules() {
		if !seen[rule.Name] {
			t.Errorf("no fault is planted for %s", rule.Name)
		}
	}
}

func checkPlanted(t *testing.T, p planted) {
	t.Helper()
	files := maps.Clone(clean())
	files[p.file] = p.text
	if p.gone {
		delete(files, p.file)
	}
	tree := load(t, files)
	for _, rule := range tidy.Rules() {
		if rule.Name != p.rule {
			continue
		}
		for _, f := range rule.Check(tree) {
			if f.Path == p.file || f.Path == p.at {
				return
			}
		}
	}
	t.Errorf("%s did not find the fault in %s:\n%.300s", p.rule, p.file, p.text)
}

// TestAllowed plants what looks like a fault and is none.
func TestAllowed(t *testing.T) {
	t.Parallel()
	digest := strings.Replace(calls("github.com/emmansun/gmsm/sm2", "lib.P256()"),
		"\nvar planted", "\nfunc verifyDigest() bool { return lib.VerifyASN1(nil, nil, nil) }\n\nvar planted", 1)
	files := clean()
	maps.Copy(files, map[string]string{
		"consensus/raftlog/store.go":                imports("raftlog", "github.com/hashicorp/raft-wal"),
		"federation/kafkabus/bus.go":                imports("kafkabus", "github.com/segmentio/kafka-go"),
		"federation/kafkabus/broker_test.go":        imports("kafkabus", "github.com/twmb/franz-go/pkg/kfake"),
		"crypto/sm/gmsm/x.go":                       calls("github.com/tjfoc/gmsm/sm4", "lib.NewCipher"),
		"crypto/sm/emm/x.go":                        digest,
		"gateway/internal/ledger/x.go":              imports("ledger", "container/heap"),
		"gateway/internal/ledger/y.go":              imports("ledger", "gongji/adapters"),
		"gateway/internal/ledger/x_test.go":         imports("ledger", "gongji/consensus/consensustest"),
		"gateway/internal/ledger/ledgerpb/x.pb.go":  imports("ledgerpb", "reflect"),
		"gateway/internal/settle/x.go":              imports("settle", "gongji/adapters"),
		"gateway/internal/simtest/x_test.go":        imports("simtest", "gongji/gateway/node"),
		"testnet/runner/x.go":                       imports("runner", "gongji/gateway/node"),
		"testnet/runner/y.go":                       imports("runner", "gongji/consensus/raftlog"),
		"gateway/internal/settle/sleep_test.go":     imports("settle", "testing/synctest") + "\nfunc f() { time.Sleep(1) }\n",
		"gateway/internal/settle/testdata/x.go":     "package x\n\nimport _ \"unsafe\"\n",
		"gateway/internal/settle/testdata/fuzz/F/1": "[]byte(\" /ro" + "ot/x\")\n",
	})
	tree := load(t, files)
	for _, rule := range tidy.Rules() {
		if found := rule.Check(tree); len(found) > 0 {
			t.Errorf("%s:\n%s", rule.Name, list(found))
		}
	}
}

func TestLoadNeedsIgnoreFile(t *testing.T) {
	t.Parallel()
	if _, err := tidy.Load(fstest.MapFS{}); err == nil {
		t.Fatal("a tree without .gitignore was read")
	}
}
