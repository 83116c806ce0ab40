package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// The kinds of failure of a RuleBook.
var (
	// ErrNoRules: no version is in force on that day.
	ErrNoRules = errors.New("policy: no rules in force")
	// ErrPast: rules may not change for days that are over.
	ErrPast = errors.New("policy: effective before today")
	// ErrVersions: more than VersionsMax versions.
	ErrVersions = errors.New("policy: too many versions of rules")
)

// RuleBook holds the versions of one region's rules by the day from which each holds. It is
// immutable; With makes a new one. The zero value is empty.
type RuleBook struct {
	versions []Rules // by EffectiveFrom, ascending, no day twice
}

// NewRuleBook makes a book of versions in any order, as they stand in the state. It
// normalizes and validates each; all must be of one region and no day may come twice.
func NewRuleBook(versions ...Rules) (RuleBook, error) {
	if len(versions) > VersionsMax {
		return RuleBook{}, ErrVersions
	}
	own := make([]Rules, 0, len(versions))
	for i := range versions {
		own = append(own, versions[i].Normalize())
	}
	slices.SortStableFunc(own, byDay)
	for i := range own {
		if err := own[i].Validate(); err != nil {
			return RuleBook{}, err
		}
		if i > 0 && own[i].Region != own[i-1].Region {
			return RuleBook{}, fmt.Errorf("%w: region %s among those of %s", ErrRules, own[i].Region, own[i-1].Region)
		}
		if i > 0 && own[i].EffectiveFrom == own[i-1].EffectiveFrom {
			return RuleBook{}, fmt.Errorf("%w: effective_from %s twice", ErrRules, own[i].EffectiveFrom)
		}
	}
	return RuleBook{versions: own}, nil
}

func byDay(a, b Rules) int { return cmp.Compare(a.EffectiveFrom, b.EffectiveFrom) }

// With adds a version, or replaces that of the same day. ErrPast if it would hold before
// today: what was decided under the old rules stays explained by them.
func (b RuleBook) With(r Rules, today Date) (RuleBook, error) {
	if r.EffectiveFrom < today {
		return RuleBook{}, ErrPast
	}
	next := make([]Rules, 0, len(b.versions)+1)
	for i := range b.versions {
		if b.versions[i].EffectiveFrom != r.EffectiveFrom {
			next = append(next, b.versions[i])
		}
	}
	return NewRuleBook(append(next, r)...)
}

// At gives the version in force on a Beijing day; ErrNoRules before the first. What it
// points to is shared and must not be changed.
func (b RuleBook) At(day Date) (*Rules, error) {
	i, found := slices.BinarySearchFunc(b.versions, day, func(r Rules, day Date) int {
		return cmp.Compare(r.EffectiveFrom, day)
	})
	if !found {
		i--
	}
	if i < 0 {
		return nil, ErrNoRules
	}
	return &b.versions[i], nil
}

// Versions are all, oldest first; what they share with the book must not be changed.
func (b RuleBook) Versions() []Rules { return slices.Clone(b.versions) }
