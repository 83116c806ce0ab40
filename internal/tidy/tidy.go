// Package tidy holds the house rules of this project as checks of its files: who may import whom, how long a file may
// be, what stands in every package. The test of this package runs them over the whole tree.
//
// The files are read and parsed in the test's own process. A rule that asked `go list` would be answered from the
// test cache after a violation was planted, since the cache does not see what a child process reads.
package tidy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the name of the product's module, as in go.mod.
const Module = "gongji"

// FileBytesMax is the size above which no file may stand in the tree: what is larger slows every clone for ever.
const FileBytesMax = 1 << 20

// File is one file of the project.
type File struct {
	Path   string    // from the top of the tree, with slashes
	Size   int64     // bytes
	Data   []byte    // nil above FileBytesMax
	Syntax *ast.File // of Go files outside testdata that parse; else nil
	Broken error     // why a Go file does not parse
}

// Dir is the folder the file stands in; "." is the top.
func (f *File) Dir() string { return path.Dir(f.Path) }

// Test reports whether the file is a Go test file.
func (f *File) Test() bool { return strings.HasSuffix(f.Path, "_test.go") }

// Generated reports whether protoc wrote the file.
func (f *File) Generated() bool { return strings.HasSuffix(f.Path, ".pb.go") }

// In reports whether the file stands in one of the folders or below it.
func (f *File) In(folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return within(f.Dir(), folder) })
}

// Tree is the project as the rules see it.
type Tree struct {
	Positions *token.FileSet
	Files     []*File // in the order of their paths
}

// Go returns the Go files that parse.
func (t *Tree) Go() []*File {
	return slices.DeleteFunc(slices.Clone(t.Files), func(f *File) bool { return f.Syntax == nil })
}

// Find returns the file of that path, or nil.
func (t *Tree) Find(name string) *File {
	i := slices.IndexFunc(t.Files, func(f *File) bool { return f.Path == name })
	if i < 0 {
		return nil
	}
	return t.Files[i]
}

// Load reads the tree. What .gitignore names, .git, and the Go files of folders with a go.mod of their own (other
// modules) are left out.
func Load(fsys fs.FS) (*Tree, error) {
	ignored, err := readIgnored(fsys)
	if err != nil {
		return nil, err
	}
	t := &Tree{Positions: token.NewFileSet()}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case entry.Name() == ".git" || ignored(name, entry.IsDir()):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() || !entry.Type().IsRegular():
			return nil
		}
		f, err := t.read(fsys, name, entry)
		if err != nil {
			return err
		}
		t.Files = append(t.Files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("tidy: reading the tree: %w", err)
	}
	t.dropOtherModules()
	return t, nil
}

func (t *Tree) read(fsys fs.FS, name string, entry fs.DirEntry) (*File, error) {
	info, err := entry.Info()
	if err != nil {
		return nil, err
	}
	f := &File{Path: name, Size: info.Size()}
	if f.Size > FileBytesMax {
		return f, nil
	}
	f.Data, err = fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	if path.Ext(name) == ".go" && !hasElement(name, "testdata") {
		const mode = parser.ParseComments | parser.SkipObjectResolution
		f.Syntax, f.Broken = parser.ParseFile(t.Positions, name, f.Data, mode)
		if f.Broken != nil {
			f.Syntax = nil
		}
	}
	return f, nil
}

// dropOtherModules forgets the Go files of nested modules; their other files stay (a large file is a large file).
func (t *Tree) dropOtherModules() {
	for _, f := range t.Files {
		if path.Base(f.Path) != "go.mod" || f.Dir() == "." {
			continue
		}
		for _, other := range t.Files {
			if other.In(f.Dir()) {
				other.Syntax, other.Broken = nil, nil
			}
		}
	}
}

// readIgnored understands the forms of .gitignore that this project uses: "/name/" and "*.suffix".
func readIgnored(fsys fs.FS) (func(name string, dir bool) bool, error) {
	data, err := fs.ReadFile(fsys, ".gitignore")
	if err != nil {
		return nil, fmt.Errorf("tidy: %w", err)
	}
	lines := strings.Fields(string(data))
	return func(name string, dir bool) bool {
		return slices.ContainsFunc(lines, func(line string) bool {
			if suffix, ok := strings.CutPrefix(line, "*"); ok {
				return strings.HasSuffix(name, suffix)
			}
			return dir && "/"+name+"/" == line
		})
	}, nil
}

// Finding is one breach of one rule.
type Finding struct {
	Path string
	Line int // 0 when the finding concerns the whole file or folder
	Text string
}

// String is path:line: text, as compilers print it.
func (f Finding) String() string {
	if f.Line == 0 {
		return f.Path + ": " + f.Text
	}
	return f.Path + ":" + strconv.Itoa(f.Line) + ": " + f.Text
}

// Rule is one house rule.
type Rule struct {
	Name  string
	Check func(*Tree) []Finding
}

// Rules returns all of them.
func Rules() []Rule {
	return []Rule{
		{"source-parses", checkParses},
		{"import-plan", checkImports},
		{"contracts-use-the-standard-library", checkContracts},
		{"allow-lists", checkAllowLists},
		{"banned-packages", checkBanned},
		{"library-calls", checkLibraryCalls},
		{"secrets-in-constant-time", checkSecrets},
		{"big-numbers", checkBigNumbers},
		{"file-length", checkLength},
		{"package-doc", checkPackageDoc},
		{"todo-form", checkTodo},
		{"changelog", checkChangelog},
		{"file-size", checkSize},
		{"machine-paths", checkMachinePaths},
		{"design-page", checkDesign},
		{"no-skipped-tests", checkSkips},
		{"no-sleeping", checkSleeps},
		{"no-floats-for-money", checkFloats},
		{"requirements-table", checkRequirements},
		{"trust-pages-name-tests", checkTrustPages},
		{"dependencies-have-reasons", checkDependencies},
	}
}

func checkParses(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if f.Broken != nil {
			found = append(found, Finding{f.Path, 0, "does not parse: " + f.Broken.Error()})
		}
	}
	return found
}

// at makes a finding at a node's place.
func (t *Tree) at(f *File, pos token.Pos, format string, args ...any) Finding {
	return Finding{f.Path, t.Positions.Position(pos).Line, fmt.Sprintf(format, args...)}
}

// within reports whether a slash path is folder or stands below it.
func within(name, folder string) bool { return name == folder || strings.HasPrefix(name, folder+"/") }

func hasElement(name, element string) bool { return slices.Contains(strings.Split(name, "/"), element) }

// importPath is the path of an import without its quotes.
func importPath(spec *ast.ImportSpec) string { return strings.Trim(spec.Path.Value, "`\"") }

// standard reports whether an import path is of the standard library: its first element has no dot.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return first != Module && !strings.Contains(first, ".")
}
