package tidy

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"unicode"
)

// secretWords are the last words of names that hold what nobody may find out by measuring: comparing them byte by byte
// tells how many of the first bytes were right.
func secretWords() []string {
	return []string{"mac", "hmac", "secret", "secrets", "pin", "passphrase", "password"}
}

// checkSecrets: secrets are compared with crypto/subtle.
func checkSecrets(t *Tree) []Finding {
	var found []Finding
	for _, f := range t.Go() {
		if f.Test() || f.Generated() || f.Path == "crypto/sm/selftest.go" || // published vectors
			f.In("crypto/cryptotest", "testnet", "gateway/internal/simtest", "tools") {
			continue
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			if comparesSecret(n) {
				found = append(found, t.at(f, n.Pos(), "compares a secret byte by byte: use subtle.ConstantTimeCompare"))
			}
			return true
		})
	}
	return found
}

func comparesSecret(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if n.Op != token.EQL && n.Op != token.NEQ {
			return false
		}
		return (secretName(n.X) && !constant(n.Y)) || (secretName(n.Y) && !constant(n.X))
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		if !ok || (!isIdent(sel.X, "bytes") && !isIdent(sel.X, "slices") && !isIdent(sel.X, "strings")) {
			return false
		}
		return (sel.Sel.Name == "Equal" || sel.Sel.Name == "Compare") && slices.ContainsFunc(n.Args, secretName)
	}
	return false
}

// constant: nil, an empty text or a number tells nothing of a secret but that there is one.
func constant(e ast.Expr) bool {
	_, literal := e.(*ast.BasicLit)
	return literal || isIdent(e, "nil")
}

// secretName looks at the last word of what is named, sliced or called.
func secretName(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return slices.Contains(secretWords(), lastWord(e.Name))
	case *ast.SelectorExpr:
		return secretName(e.Sel)
	case *ast.SliceExpr:
		return secretName(e.X)
	case *ast.ParenExpr:
		return secretName(e.X)
	case *ast.CallExpr:
		if len(e.Args) == 1 && !secretName(e.Fun) { // a conversion, as string(secret)
			_, simple := e.Fun.(*ast.Ident)
			return simple && !isIdent(e.Fun, "len") && secretName(e.Args[0])
		}
		return secretName(e.Fun)
	}
	return false
}

func lastWord(name string) string {
	i := strings.LastIndexFunc(name, func(r rune) bool { return !unicode.IsUpper(r) })
	if i == len(name)-1 { // ends in small letters: from the capital before them
		i = max(strings.LastIndexFunc(name, unicode.IsUpper), 0)
		return strings.ToLower(name[i:])
	}
	return strings.ToLower(name[i+1:])
}

// bigNumbers are the folders whose files may use math/big, whose time depends on its numbers: for public values, in the
// engine that is known for it, and in tests.
func bigNumbers() []string {
	return []string{"crypto/sm/gmsm", "crypto/cert", "crypto/cryptotest", "testnet"}
}

func checkBigNumbers(t *Tree) []Finding {
	files := []string{
		"crypto/sm/point.go",           // points of public keys and ciphertexts
		"gateway/command/certissue.go", // serial numbers of certificates
	}
	var found []Finding
	for _, f := range t.Go() {
		if f.Test() || f.In(bigNumbers()...) || slices.Contains(files, f.Path) {
			continue
		}
		for _, spec := range f.Syntax.Imports {
			if importPath(spec) == "math/big" {
				found = append(found, t.at(f, spec.Pos(), "imports math/big: its time depends on the numbers, and keys are some"))
			}
		}
	}
	return found
}
