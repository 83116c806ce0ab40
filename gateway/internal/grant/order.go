package grant

import (
	"cmp"
	"slices"
	"strconv"

	"gongji/gateway/internal/policy"
)

// OrderMax are the grants that an order can list. Longer lists are invalid_request.
const OrderMax = 256

// CheckOrder holds a new order of use against the beneficiary's own grants on a
// Beijing day. Refused: more than OrderMax ids or an id twice (invalid_request), one that is
// none of these grants (not_found), one revoked or ended (grant_not_active). No id at all is
// right: it restores the default.
func CheckOrder(ids []string, own []Entry, day policy.Date) error {
	if err := CheckIDs(ids, "/grants"); err != nil {
		return err
	}
	known := make(map[string]Entry, len(own))
	for _, e := range own {
		known[e.ID] = e
	}
	for i, id := range ids {
		if _, ok := known[id]; !ok {
			return policy.Refuse(policy.CodeNotFound, element("/grants", i))
		}
	}
	for i, id := range ids {
		if known[id].EffectiveStatus(day).Final() {
			return policy.Refuse(policy.CodeGrantNotActive, element("/grants", i))
		}
	}
	return nil
}

// CheckIDs refuses a list of grant ids that is too long, or names an empty id or one twice
// (invalid_request). An empty list passes; a payment, which may not name one, looks itself.
func CheckIDs(ids []string, field string) error {
	if len(ids) > OrderMax {
		return policy.Refuse(policy.CodeInvalidRequest, field)
	}
	seen := make(map[string]bool, len(ids))
	for i, id := range ids {
		if id == "" || seen[id] {
			return policy.Refuse(policy.CodeInvalidRequest, element(field, i))
		}
		seen[id] = true
	}
	return nil
}

func element(field string, i int) string { return field + "/" + strconv.Itoa(i) }

// Arrange gives all of a beneficiary's grants in the order of use: the listed ones, then the
// others as they were made (the id decides between equal stamps). Listed ids that are none of
// these grants are left out. Neither argument is changed.
func Arrange(listed []string, own []Entry) []Entry {
	place := make(map[string]int, len(listed))
	for _, id := range listed {
		if _, ok := place[id]; !ok {
			place[id] = len(place) // not the index: an id twice would leave a gap behind the list's end
		}
	}
	out := slices.Clone(own)
	slices.SortStableFunc(out, func(a, b Entry) int {
		return cmp.Or(
			cmp.Compare(rank(place, a.ID), rank(place, b.ID)),
			a.CreatedAt.Compare(b.CreatedAt),
			cmp.Compare(a.ID, b.ID),
		)
	})
	return out
}

// rank is the place in the list, or behind all of it.
func rank(place map[string]int, id string) int {
	if i, ok := place[id]; ok {
		return i
	}
	return len(place)
}

// UsableIDs are the ids of those that can be used on a Beijing day, in the order given.
func UsableIDs(arranged []Entry, day policy.Date) []string {
	out := make([]string, 0, len(arranged))
	for _, e := range arranged {
		if e.Usable(day) {
			out = append(out, e.ID)
		}
	}
	return out
}
