// Package policy holds a region's rules as dated data, and decides by them.
//
// Every figure is data of a region with the day from which it holds:
// nothing in the code knows a share, a floor or a limit. Regions write theirs as documents,
// which package rulebook reads. Rules are state changed by commands, so they have a strict,
// bounded, canonical form in bytes (EncodeRules, DecodeRules).
//
// Decide and CheckEligible are functions of their arguments alone: no clock, no I/O. The
// business day and year are Beijing's (Day, Year).
package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/person"
)

// Bounds of one version of a region's rules.
const (
	// InstitutionsMax bounds the list, and with it the command that carries the rules.
	InstitutionsMax = 5000
	// EmergencyDaysMax bounds the time after a visit in which an emergency can be completed.
	EmergencyDaysMax = 90
	// VersionsMax bounds a rule book: one change a week for almost ten years.
	VersionsMax = 500
	// DecideWithinSecondsMin is the shortest deadline that a request may ask (api.md section 3).
	DecideWithinSecondsMin = 5
	// decideWithinSecondsCeiling: a hold keeps a citizen's money from use; a day is the most
	// that a region may let a platform think.
	decideWithinSecondsCeiling = 24 * 60 * 60

	commitmentTextMax  = 20_000 // bytes
	versionMax         = 64     // bytes
	institutionCodeMax = 32     // bytes
	institutionNameMax = 100    // characters
	hotlineNumber      = "12393"
)

// ErrRules: rules that no region can have. The text says which part.
var ErrRules = errors.New("policy: invalid rules")

// VisitLimit is what one payer's account may give to one visit for a purpose.
type VisitLimit struct {
	Purpose Purpose
	Limit   money.Amount // above 0
}

// PurposeShare raises the annual share for a purpose, where the region says so (R-16:
// chronic or major disease).
type PurposeShare struct {
	Purpose Purpose
	Share   money.Share // not below the annual share
}

// Premium is a yearly premium that the region's insured may have paid from a relative's account
// . A day of the year is month*100 + day of the Beijing calendar: 901 is 1 September.
type Premium struct {
	Purpose    Purpose      // PurposeResidentPremium or PurposeLTCPremium
	Amount     money.Amount // above 0, for one person and year
	SeasonFrom int          // the first day of the season
	SeasonTo   int          // the last day, not before the first
}

// InSeason tells whether the premium is collected on a Beijing day.
func (p Premium) InSeason(day Date) bool {
	d := day.MonthDay()
	return d >= p.SeasonFrom && d <= p.SeasonTo
}

// DaysLeft is how many days of the season are left on a day of it, that day included.
func (p Premium) DaysLeft(day Date) int {
	last, err := NewDate(day.Year(), time.Month(p.SeasonTo/100), p.SeasonTo%100)
	if err != nil { // 29 February of another year
		last = day
	}
	return int(last-day) + 1
}

// Institution is one that the region designated, with what for.
type Institution struct {
	Code     string // 1 to 32 of A-Z a-z 0-9
	Name     string
	Kind     InstitutionKind
	Purposes []Purpose // canonical order, at least one
}

// Commitment is the text that a payer signs. Its digest is the SM3 of the UTF-8
// bytes of TextZH, which the caller computes: this package knows no cryptography.
type Commitment struct {
	Version string // 1 to 64 of A-Z a-z 0-9 . _ -
	Text    string // English
	TextZH  string // the text in force
}

// Rules is one version of a region's rules. The lists stand in canonical order (Normalize);
// a Rules in a RuleBook is shared and must not be changed.
type Rules struct {
	Region        string
	EffectiveFrom Date

	// Of the money of this region's accounts, wherever it is used.
	AnnualShare   money.Share
	PurposeShares []PurposeShare
	RetainedFloor money.Amount
	VisitLimits   []VisitLimit
	// CarriedOver: only what was carried over from earlier years can be shared; see Decide.
	CarriedOver   bool
	Purposes      []Purpose       // open for this money
	ScopePurposes []ScopePurposes // in place of Purposes within a scope; canonical order
	Relations     []Relation      // allowed
	Consent       Consent
	Commitment    Commitment
	Hotline       string // area code, hyphen, 12393
	// Pairs are the regions of other provinces that this region has opened; none: those of the directory.
	Pairs []Pair

	// Of beneficiaries insured in this region, whoever's money pays.
	OwnAccount OwnAccount // Normalize makes "" OwnExhaust

	// Of bills in this region, whoever's money pays.
	DecideWithinSecondsMax int
	Institutions           []Institution
	// EmergencyDays is how many days after the visit an emergency can be completed by a grant made
	// afterwards; 0: not at all.
	EmergencyDays int
	// Premiums are collected for the persons insured in this region, in canonical order.
	Premiums []Premium

	// Sources say where the figures come from, by figure.
	Sources []Source
}

// Premium finds the premium of a purpose; false for nil.
func (r *Rules) Premium(p Purpose) (Premium, bool) {
	if r != nil {
		for _, x := range r.Premiums {
			if x.Purpose == p {
				return x, true
			}
		}
	}
	return Premium{}, false
}

// AllowsRelation tells whether the region allows the relation; false for nil.
func (r *Rules) AllowsRelation(rel Relation) bool {
	return r != nil && slices.Contains(r.Relations, rel)
}

// Terms are what Decide needs of the rules for a purpose. Nil gives a share of 0, with which
// nothing is given.
func (r *Rules) Terms(p Purpose) Terms {
	if r == nil {
		return Terms{}
	}
	t := Terms{Share: r.AnnualShare, Floor: r.RetainedFloor, CarriedOver: r.CarriedOver}
	for _, s := range r.PurposeShares {
		if s.Purpose == p {
			t.Share = s.Share
		}
	}
	for _, l := range r.VisitLimits {
		if l.Purpose == p {
			t.VisitLimit = l.Limit
		}
	}
	return t
}

// Designated tells whether the region lists the institution with that kind and purpose
// false for nil.
func (r *Rules) Designated(code string, kind InstitutionKind, p Purpose) bool {
	i, ok := r.Institution(code)
	return ok && i.Kind == kind && slices.Contains(i.Purposes, p)
}

// Institution finds one by its code; what it shares with the rules must not be changed.
func (r *Rules) Institution(code string) (Institution, bool) {
	if r == nil {
		return Institution{}, false
	}
	n, ok := slices.BinarySearchFunc(r.Institutions, code, func(i Institution, code string) int {
		return cmp.Compare(i.Code, code)
	})
	if !ok {
		return Institution{}, false
	}
	return r.Institutions[n], true
}

// Normalize gives a copy that shares nothing with r, its lists in canonical order. It does
// not check; Validate does.
func (r *Rules) Normalize() Rules {
	out := *r
	out.Purposes = inOrder(r.Purposes, purposes)
	out.Relations = inOrder(r.Relations, relations)
	out.PurposeShares = slices.Clone(r.PurposeShares)
	slices.SortStableFunc(out.PurposeShares, func(a, b PurposeShare) int {
		return rank(a.Purpose, purposes) - rank(b.Purpose, purposes)
	})
	out.VisitLimits = slices.Clone(r.VisitLimits)
	slices.SortStableFunc(out.VisitLimits, func(a, b VisitLimit) int {
		return rank(a.Purpose, purposes) - rank(b.Purpose, purposes)
	})
	out.Institutions = slices.Clone(r.Institutions)
	for i := range out.Institutions {
		out.Institutions[i].Purposes = inOrder(out.Institutions[i].Purposes, purposes)
	}
	slices.SortStableFunc(out.Institutions, func(a, b Institution) int { return cmp.Compare(a.Code, b.Code) })
	out.Premiums = slices.Clone(r.Premiums)
	slices.SortStableFunc(out.Premiums, func(a, b Premium) int {
		return rank(a.Purpose, purposes) - rank(b.Purpose, purposes)
	})
	out.normalizeScopes()
	return out
}

// rank is the place of a word in its table; unknown words come last.
func rank[T comparable](word T, table []T) int {
	if i := slices.Index(table, word); i >= 0 {
		return i
	}
	return len(table)
}

// inOrder gives a sorted copy.
func inOrder[T comparable](words, table []T) []T {
	out := slices.Clone(words)
	slices.SortStableFunc(out, func(a, b T) int { return rank(a, table) - rank(b, table) })
	return out
}

// Validate checks every part; the first wrong one is an ErrRules. Lists must stand in
// canonical order without repetition, as Normalize leaves them.
func (r *Rules) Validate() error {
	checks := []struct {
		part string
		ok   bool
	}{
		{"region", person.ValidRegion(r.Region)},
		{"effective_from", r.EffectiveFrom.Valid()},
		{"annual_share", r.AnnualShare.Valid()},
		{"purpose_shares", r.validShares()},
		{"retained_floor", validAmount(r.RetainedFloor)},
		{"visit_limits", r.validVisitLimits()},
		{"decide_within_seconds_max", r.DecideWithinSecondsMax >= DecideWithinSecondsMin &&
			r.DecideWithinSecondsMax <= decideWithinSecondsCeiling},
		{"purposes", ascending(r.Purposes, purposes)},
		{"relations", ascending(r.Relations, relations)},
		{"hotline", ValidHotline(r.Hotline)},
		{"consent", r.Consent.Valid()},
		{"commitment", r.Commitment.valid()},
		{"emergency_days", r.EmergencyDays >= 0 && r.EmergencyDays <= EmergencyDaysMax},
		{"premiums", r.validPremiums()},
		{"purposes_by_scope", r.validScopePurposes()},
		{"own_account", r.OwnAccount.Valid()},
		{"pairs", r.validPairs()},
		{"sources", r.validSources()},
	}
	for _, c := range checks {
		if !c.ok {
			return fmt.Errorf("%w: %s", ErrRules, c.part)
		}
	}
	return r.validateInstitutions()
}

// ascending tells whether the words are all in the table, in its order, none twice.
func ascending[T comparable](words, table []T) bool {
	last := -1
	for _, w := range words {
		i := slices.Index(table, w)
		if i <= last {
			return false
		}
		last = i
	}
	return true
}

func validAmount(a money.Amount) bool { return a >= 0 && a <= money.Max }

func (r *Rules) validShares() bool {
	words := make([]Purpose, 0, len(r.PurposeShares))
	for _, s := range r.PurposeShares {
		if !s.Share.Valid() || s.Share < r.AnnualShare {
			return false
		}
		words = append(words, s.Purpose)
	}
	return ascending(words, purposes)
}

func (r *Rules) validVisitLimits() bool {
	words := make([]Purpose, 0, len(r.VisitLimits))
	for _, l := range r.VisitLimits {
		if l.Limit <= 0 || l.Limit > money.Max {
			return false
		}
		words = append(words, l.Purpose)
	}
	return ascending(words, purposes)
}

func (r *Rules) validPremiums() bool {
	words := make([]Purpose, 0, len(r.Premiums))
	for _, p := range r.Premiums {
		known := p.Purpose == PurposeResidentPremium || p.Purpose == PurposeLTCPremium
		if !known || p.Amount <= 0 || p.Amount > money.Max ||
			!validMonthDay(p.SeasonFrom) || !validMonthDay(p.SeasonTo) || p.SeasonTo < p.SeasonFrom {
			return false
		}
		words = append(words, p.Purpose)
	}
	return ascending(words, purposes)
}

// ValidHotline tells whether a hotline is an area code of three or four digits that begins with 0, a hyphen and
// 12393.
func ValidHotline(s string) bool {
	area, number, ok := strings.Cut(s, "-")
	if !ok || number != hotlineNumber || len(area) < 3 || len(area) > 4 || area[0] != '0' {
		return false
	}
	return only(area, "0123456789")
}

// only tells whether s consists of the given ASCII characters.
func only(s, characters string) bool {
	for i := range len(s) {
		if strings.IndexByte(characters, s[i]) < 0 {
			return false
		}
	}
	return true
}

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func (c Commitment) valid() bool {
	return ValidVersion(c.Version) && ValidText(c.Text) && ValidText(c.TextZH)
}

// ValidVersion tells whether the name of a version of a text has 1 to 64 of A-Z a-z 0-9 . _ -.
func ValidVersion(s string) bool {
	return s != "" && len(s) <= versionMax && only(s, alphanumeric+"._-")
}

// ValidText tells whether a text that persons sign has a length and characters that can be shown.
func ValidText(s string) bool {
	return s != "" && len(s) <= commitmentTextMax && utf8.ValidString(s) && !strings.ContainsFunc(s, hidden)
}

// hidden characters have no place in what a person signs; a new line has.
func hidden(r rune) bool { return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }

func (r *Rules) validateInstitutions() error {
	if len(r.Institutions) > InstitutionsMax {
		return fmt.Errorf("%w: more than %d institutions", ErrRules, InstitutionsMax)
	}
	for n, i := range r.Institutions {
		switch {
		case !ValidInstitutionCode(i.Code):
			return fmt.Errorf("%w: institutions[%d].code", ErrRules, n)
		case n > 0 && r.Institutions[n-1].Code >= i.Code:
			return fmt.Errorf("%w: institutions[%d].code twice or out of order", ErrRules, n)
		case !ValidInstitutionName(i.Name):
			return fmt.Errorf("%w: institutions[%d].name", ErrRules, n)
		case !i.Kind.Valid():
			return fmt.Errorf("%w: institutions[%d].kind", ErrRules, n)
		case len(i.Purposes) == 0 || !ascending(i.Purposes, purposes):
			return fmt.Errorf("%w: institutions[%d].purposes", ErrRules, n)
		}
	}
	return nil
}

// ValidInstitutionCode tells whether a code has 1 to 32 of A-Z a-z 0-9.
func ValidInstitutionCode(s string) bool {
	return s != "" && len(s) <= institutionCodeMax && only(s, alphanumeric)
}

// ValidInstitutionName tells whether a name has 1 to 100 characters on one line.
func ValidInstitutionName(s string) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= institutionNameMax &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '\n' || hidden(r) })
}
