package policy

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/person"
)

// Bounds of the parts of rules in this file.
const (
	// PairsMax bounds the pairs that a region lists: three for each pooling region of the country.
	PairsMax = 1000
	// SourcesMax bounds the notes on where figures come from.
	SourcesMax = 200

	sourceTextMax = 300 // characters
)

// Scope is how far a payment goes from the payer's home.
type Scope string

// The scopes.
const (
	ScopeSameRegion    Scope = "same_region"
	ScopeSameProvince  Scope = "same_province" // another region of the same province
	ScopeCrossProvince Scope = "cross_province"
)

// scopes in canonical order, from near to far.
var scopes = []Scope{ScopeSameRegion, ScopeSameProvince, ScopeCrossProvince}

// Scopes are all three, in canonical order; the slice is the caller's.
func Scopes() []Scope { return slices.Clone(scopes) }

// ScopeOf is the scope between the payer's home and another region, by their codes: two regions are of one
// province if the first two digits are equal.
func ScopeOf(home, other string) Scope {
	switch {
	case home == other:
		return ScopeSameRegion
	case len(home) >= 2 && len(other) >= 2 && home[:2] == other[:2]:
		return ScopeSameProvince
	default:
		return ScopeCrossProvince
	}
}

// ScopePurposes are the purposes open for this region's money within one scope, in place of the general list
// . An empty list closes the scope.
type ScopePurposes struct {
	Scope    Scope
	Purposes []Purpose // canonical order
}

// Pair is a region of another province that this region has opened, with dates.
type Pair struct {
	Region string
	From   Date
	Until  Date // the last day; 0: until it is changed
}

// open tells whether the pair holds on a day.
func (p Pair) open(day Date) bool { return day >= p.From && (p.Until == 0 || day <= p.Until) }

// OwnAccount says how the beneficiary's own personal account comes first. The beneficiary's home judges it.
type OwnAccount string

// The modes.
const (
	// OwnExhaust: the own account pays along, at least the lesser of what it has and the self-borne amount.
	OwnExhaust OwnAccount = "exhaust"
	// OwnZeroOnly: a payment is taken only once the own account is empty (or there is none): what it pays of a bill
	// was settled before. What the request says that it pays along does not help, since the gateway cannot see it paid.
	OwnZeroOnly OwnAccount = "zero_only"
)

// Valid tells whether the word is one of the modes.
func (o OwnAccount) Valid() bool { return o == OwnExhaust || o == OwnZeroOnly }

// Source says where a figure of the rules comes from: a document, a requirement, or "invented". Nothing is decided
// by it.
type Source struct {
	Figure string // a key of the rules, or a key and a purpose or scope: "visit_limits.outpatient"
	Text   string
}

// figures are the keys that a Source may name, and whether a purpose or a scope may follow.
var figures = []struct {
	name  string
	words []string
}{
	{"annual_share", nil},
	{"purpose_shares", wordsOf(purposes)},
	{"carried_over_only", nil},
	{"retained_floor", nil},
	{"visit_limits", wordsOf(purposes)},
	{"purposes", wordsOf(purposes)},
	{"purposes_by_scope", wordsOf(scopes)},
	{"relations", wordsOf(relations)},
	{"own_account", nil},
	{"consent", nil},
	{"commitment", nil},
	{"hotline", nil},
	{"pairs", nil},
	{"decide_within_seconds_max", nil},
	{"institutions", nil},
	{"emergency_days", nil},
	{"premiums", wordsOf(purposes)},
}

func wordsOf[T ~string](table []T) []string {
	out := make([]string, 0, len(table))
	for _, w := range table {
		out = append(out, string(w))
	}
	return out
}

// ValidFigure tells whether a Source may name the figure.
func ValidFigure(figure string) bool {
	for _, f := range figures {
		if figure == f.name {
			return true
		}
		if len(figure) > len(f.name)+1 && figure[:len(f.name)] == f.name && figure[len(f.name)] == '.' {
			return slices.Contains(f.words, figure[len(f.name)+1:])
		}
	}
	return false
}

// OpensPurpose tells whether this region's money may serve the purpose within a scope; a scope without a list of
// its own, and "", go by the general list. False for nil.
func (r *Rules) OpensPurpose(s Scope, p Purpose) bool {
	if r == nil {
		return false
	}
	for _, x := range r.ScopePurposes {
		if x.Scope == s {
			return slices.Contains(x.Purposes, p)
		}
	}
	return slices.Contains(r.Purposes, p)
}

// PairOpen tells whether the rules let this region's persons and another region come together on a day.
// Regions of the same province need no pair, and a region that lists none leaves it to the federation's directory,
// which must have opened the pair in any case. False for nil.
func (r *Rules) PairOpen(other string, day Date) bool {
	if r == nil {
		return false
	}
	if len(r.Pairs) == 0 || ScopeOf(r.Region, other) != ScopeCrossProvince {
		return true
	}
	return slices.ContainsFunc(r.Pairs, func(p Pair) bool { return p.Region == other && p.open(day) })
}

// CheckOwnAccount holds a payment against R-12 at the beneficiary's home: balance is that of the beneficiary's own
// account less its open holds (0 for none), ownPaid what the request says that it pays of selfBorne. Nil rules are
// those of a region that says nothing: OwnExhaust. The refusal is own_account_first.
func (r *Rules) CheckOwnAccount(balance, selfBorne, ownPaid money.Amount) error {
	mode := OwnExhaust
	if r != nil && r.OwnAccount != "" {
		mode = r.OwnAccount
	}
	first := ownPaid < min(balance, selfBorne)
	if mode == OwnZeroOnly {
		first = balance > 0
	}
	if first {
		return Refuse(CodeOwnAccountFirst, "")
	}
	return nil
}

func (r *Rules) normalizeScopes() {
	r.ScopePurposes = slices.Clone(r.ScopePurposes)
	for i := range r.ScopePurposes {
		r.ScopePurposes[i].Purposes = inOrder(r.ScopePurposes[i].Purposes, purposes)
	}
	slices.SortStableFunc(r.ScopePurposes, func(a, b ScopePurposes) int {
		return rank(a.Scope, scopes) - rank(b.Scope, scopes)
	})
	if r.OwnAccount == "" {
		r.OwnAccount = OwnExhaust
	}
	r.Pairs = slices.Clone(r.Pairs)
	slices.SortStableFunc(r.Pairs, func(a, b Pair) int {
		return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.From, b.From))
	})
	r.Sources = slices.Clone(r.Sources)
	slices.SortStableFunc(r.Sources, func(a, b Source) int { return cmp.Compare(a.Figure, b.Figure) })
}

func (r *Rules) validScopePurposes() bool {
	words := make([]Scope, 0, len(r.ScopePurposes))
	for _, s := range r.ScopePurposes {
		if !ascending(s.Purposes, purposes) {
			return false
		}
		words = append(words, s.Scope)
	}
	return ascending(words, scopes)
}

// validPairs: other provinces' regions only, and no day twice for one region.
func (r *Rules) validPairs() bool {
	if len(r.Pairs) > PairsMax {
		return false
	}
	for i, p := range r.Pairs {
		if !person.ValidRegion(p.Region) || ScopeOf(r.Region, p.Region) != ScopeCrossProvince || !p.From.Valid() ||
			p.Until != 0 && (!p.Until.Valid() || p.Until < p.From) {
			return false
		}
		if i == 0 || r.Pairs[i-1].Region < p.Region {
			continue
		}
		if before := r.Pairs[i-1]; before.Region != p.Region || before.Until == 0 || before.Until >= p.From {
			return false
		}
	}
	return true
}

func (r *Rules) validSources() bool {
	if len(r.Sources) > SourcesMax {
		return false
	}
	for i, s := range r.Sources {
		if !ValidFigure(s.Figure) || i > 0 && r.Sources[i-1].Figure >= s.Figure || !ValidSource(s.Text) {
			return false
		}
	}
	return true
}

// ValidSource tells whether the text of a Source has a length and characters that can be shown.
func ValidSource(text string) bool {
	return ValidText(text) && utf8.RuneCountInString(text) <= sourceTextMax
}
