package ledger

import (
	"bytes"

	"gongji/gateway/internal/record"
)

// Found is a person whom a look-up found.
type Found struct {
	No     string        // empty: the region does not know them
	Person *PersonRecord // nil for nobody
	Named  bool          // the name is theirs too
}

// Find finds a person by tokens: first by those of the key in force, then by those of the key that is leaving. Another
// error: ErrStaleKeys.
func (v View) Find(ts Tokens) (Found, error) {
	k, err := readKeys(v.r)
	if err != nil {
		return Found{}, err
	}
	if !ts.good(&k) {
		return Found{}, ErrStaleKeys
	}
	f, err := v.found(k.Generation, ts.under(k.Token))
	leaving, moving := k.OtherToken()
	if err != nil || f.No != "" || !moving {
		return f, err
	}
	return v.found(k.Generation-1, ts.under(leaving))
}

func (v View) found(n uint64, t *Tokened) (Found, error) {
	letter, in := generation(n)
	rec, err := read[tokenRecord](v.r, letter, in+string(t.Token[:]))
	if err != nil || rec == nil {
		return Found{}, err
	}
	p, err := v.Person(rec.Person)
	return Found{No: rec.Person, Person: p, Named: p != nil && p.Name == t.Name}, err
}

// Keys reads which keys are in force, and the newest rotation.
func (v View) Keys() (KeysRecord, error) { return readKeys(v.r) }

// SealedItem is one sealed person in the state.
type SealedItem struct {
	Key    []byte // of the record, without its letter
	Place  int
	Sealed []byte
}

// TokenItem is one person in the old index.
type TokenItem struct {
	Token  [32]byte
	Person string
	Sealed []byte
}

// WalkPage is what a rotation looks at next.
type WalkPage struct {
	Seen   int64
	Tokens []TokenItem
	Sealed []SealedItem // under other keys than the new one
	Next   []byte
	Last   bool
}

// pageBytes bounds the sealed bytes of one page, so that the command that makes them anew is no large entry.
const pageBytes = 128 << 10

// WalkPage reads at most limit records behind where a rotation's walk stands, and not more than PageMax.
func (v View) WalkPage(k *KeysRecord, limit int) (WalkPage, error) {
	r := &k.Rotation
	letter, in := r.Step.prefix(), ""
	if r.Step == StepTokens {
		letter, in = generation(k.Generation - 1)
	}
	prefix := stateKey(letter, in)
	lo := bytes.Clone(prefix)
	if len(r.After) > 0 {
		lo = append(append(lo, r.After...), 0)
	}
	page := WalkPage{Last: true}
	var failed error
	size := 0
	v.r.Scan(lo, prefixEnd(prefix), func(key, value []byte) bool {
		if page.Seen >= int64(min(max(limit, 1), PageMax)) || size >= pageBytes {
			page.Last = false
			return false
		}
		page.Seen++
		page.Next = bytes.Clone(key[len(prefix):])
		if r.Step == StepTokens {
			failed = page.token(page.Next, value)
		} else {
			failed = page.sealed(r, page.Next, value)
		}
		size += len(value)
		return failed == nil
	})
	if failed != nil {
		return page, failed
	}
	for i := range page.Tokens {
		p, err := v.Person(page.Tokens[i].Person)
		if err != nil {
			return page, err
		}
		if p != nil {
			page.Tokens[i].Sealed = p.Sealed
		}
	}
	return page, nil
}

func (p *WalkPage) token(key, value []byte) error {
	var t tokenRecord
	if err := record.Decode(value, &t); err != nil {
		return err
	}
	if len(key) == 32 {
		p.Tokens = append(p.Tokens, TokenItem{Token: [32]byte(key), Person: t.Person})
	}
	return nil
}

func (p *WalkPage) sealed(r *RotationRecord, key, value []byte) error {
	all, err := sealedIn(r.Step, value)
	for i, at := range all {
		if len(*at) > 0 && SealedUnder(*at) != r.New {
			p.Sealed = append(p.Sealed, SealedItem{Key: key, Place: i, Sealed: bytes.Clone(*at)})
		}
	}
	return err
}

// sealedIn are the sealed persons of a record.
func sealedIn(step WalkStep, value []byte) ([]*[]byte, error) {
	switch step {
	case StepPersons:
		p := new(PersonRecord)
		err := record.Decode(value, p)
		return p.sealed(), err
	case StepPayments:
		p := new(PaymentRecord)
		err := record.Decode(value, p)
		return p.sealed(), err
	case StepGrants:
		g := new(GrantRecord)
		err := record.Decode(value, g)
		return g.sealed(), err
	case StepOutbox:
		m := new(OutMessage)
		err := record.Decode(value, m)
		if m.Persons == nil {
			return nil, err
		}
		return []*[]byte{&m.Persons.Sealed}, err
	case StepTokens:
	}
	return nil, nil
}
