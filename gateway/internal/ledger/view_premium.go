package ledger

import (
	"time"

	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/policy"
)

// Mandates reads the mandates of a grant that this region keeps; nil when it never had one.
func (v View) Mandates(grantID string) (*MandatesRecord, error) {
	return read[MandatesRecord](v.r, keyMandate, mandatesKey(grantID))
}

// GrantOfMandate is the grant that a mandate of this region belongs to; empty for none.
func (v View) GrantOfMandate(mandateID string) string {
	id, _ := v.r.Get(mandateKey(mandateID))
	return string(id)
}

// Season reads how far the collection of a purpose has come.
func (v View) Season(p policy.Purpose) (*SeasonRecord, error) {
	return read[SeasonRecord](v.r, keyPremium, seasonKey(p))
}

// Premium reads a premium by its key.
func (v View) Premium(key string) (*PremiumRecord, error) {
	return read[PremiumRecord](v.r, keyPremium, key)
}

// Premiums visits the premiums of a purpose and year, in the order of the persons' numbers, until visit returns false.
func (v View) Premiums(p policy.Purpose, year int, visit func(*PremiumRecord) bool) error {
	return within(v.r, stateKey(keyPremium, premiumPrefix(p, year)), visit)
}

// PremiumGrants are the grants by which a premium may be paid on a day, in the person's order of use.
func (v View) PremiumGrants(p policy.Purpose, no string, now time.Time) ([]string, error) {
	index, err := v.Index(no)
	if err != nil {
		return nil, err
	}
	listed, err := v.Order(no)
	if err != nil {
		return nil, err
	}
	entries := make([]grant.Entry, 0, len(index))
	for i := range index {
		e := index[i].Entry
		d, err := read[DutyRecord](v.r, keyDuty, dutyKey(p, no, e.ID))
		if err != nil {
			return nil, err
		}
		if d != nil && d.Active && !e.EffectiveStatus(policy.Day(now)).Final() {
			entries = append(entries, e)
		}
	}
	ids := make([]string, 0, len(entries))
	for _, e := range grant.Arrange(listed, entries) {
		ids = append(ids, e.ID)
	}
	return ids[:min(len(ids), grant.OrderMax)], nil
}

// DuePremiums lists the premiums that wait for the leader, at most as many as can be under way.
func (v View) DuePremiums() []string {
	var keys []string
	lo := []byte{keyDue}
	v.r.Scan(lo, prefixEnd(lo), func(key, _ []byte) bool {
		if len(key) > 10 && key[9] == duePremium {
			keys = append(keys, string(key[10:]))
		}
		return len(keys) < PremiumsOpenMax*len(policy.PremiumPurposes())
	})
	return keys
}
