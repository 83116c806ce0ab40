package tidy

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// moneyWords mark a line that speaks of money.
var moneyWords = regexp.MustCompile(
	`(?i)amount|balance|money|fen\b|yuan|captured|refund|cash|opening|quota|self_?borne|\bheld\b|floor\b`,
)

// checkFloats: money is whole fen, or decimal at the border. Where only money is spoken of no floating point may
// stand at all; elsewhere in the gateway (metrics, rates) it may not stand on a line that names money.
func checkFloats(t *Tree) []Finding {
	strict := []string{
		"adapters", "gateway/internal/money", "gateway/internal/person", "gateway/internal/grant",
		"gateway/internal/hold",
		"gateway/internal/payment", "gateway/internal/policy", "gateway/internal/refund", "gateway/internal/ledger",
		"gateway/internal/wire",
	}
	var found []Finding
	for _, f := range t.Go() {
		if f.Test() || f.Generated() || !f.In("adapters", "gateway") {
			continue
		}
		lines := strings.Split(string(f.Data), "\n")
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			if n == nil || !floating(n) {
				return true
			}
			line := t.Positions.Position(n.Pos()).Line
			only := f.In(strict...) && !f.In("adapters/adaptertest") // a simulated core draws its faults
			if only || moneyWords.MatchString(lines[line-1]) {
				found = append(found, t.at(f, n.Pos(), "floating point near money: use money.Amount or whole fen (R-22)"))
			}
			return true
		})
	}
	return found
}

// floating recognises floating-point types, literals, and the calls that make or read them.
func floating(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.Ident:
		return slices.Contains([]string{
			"float32", "float64", "ParseFloat", "FormatFloat", "Float64", "InexactFloat64", "NewFromFloat", "NewFromFloat32",
		}, n.Name)
	case *ast.BasicLit:
		return n.Kind == token.FLOAT
	default:
		return false
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
