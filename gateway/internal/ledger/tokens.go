package ledger

import (
	"encoding/binary"
	"errors"

	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// CodeStaleKeys answers a command whose persons were tokened or sealed under keys that are not in force when it
// applies. Nothing has happened; whoever proposed it makes it anew. No face ever shows it.
const CodeStaleKeys policy.Code = "stale_keys"

// ErrStaleKeys: tokens were made under keys that are not those of the state that was read. They are made anew.
var ErrStaleKeys = errors.New("ledger: tokens of keys that are not in force")

// Tokened is what a person is found by, under one key.
type Tokened struct {
	Key   string   // id
	Token [32]byte // of the number
	Name  [32]byte // of number and name together
}

// Walk is the record.Record of a Tokened.
func (t *Tokened) Walk(c *record.Coder) {
	record.Str(c, &t.Key)
	c.Fixed(t.Token[:])
	c.Fixed(t.Name[:])
}

// Tokens are what a person is found by: under the key in force and, while tokens are being rotated, under the other.
type Tokens []Tokened

// under finds the tokens of a key. Before the state names a key all of them are of the one that there is.
func (ts Tokens) under(key string) *Tokened {
	for i := range ts {
		if ts[i].Key == key || key == "" {
			return &ts[i]
		}
	}
	return nil
}

// good reports whether these tokens can find the person whatever the rotation has come to. With one of the two missing
// somebody known would look new, and one human would have two numbers.
func (ts Tokens) good(k *KeysRecord) bool {
	if ts.under(k.Token) == nil {
		return false
	}
	leaving, needed := k.OtherToken()
	return !needed || ts.under(leaving) != nil
}

// Tokens are those of a person as a command carries them; nil for a person who is named by number.
func (p *Person) Tokens() Tokens {
	if p.Token == ([32]byte{}) {
		return nil
	}
	ts := Tokens{{Key: p.Key, Token: p.Token, Name: p.Name}}
	if p.Also != nil {
		ts = append(ts, *p.Also)
	}
	return ts
}

// SetTokens replaces the tokens of a person.
func (p *Person) SetTokens(ts Tokens) {
	p.Token, p.Name, p.Key, p.Also = [32]byte{}, [32]byte{}, "", nil
	if len(ts) > 0 {
		p.Token, p.Name, p.Key = ts[0].Token, ts[0].Name, ts[0].Key
	}
	if len(ts) > 1 {
		also := ts[1]
		p.Also = &also
	}
}

// untokened is a person as a record keeps them: tokens stand in the index and nowhere else, or rotating the key would
// leave some behind. number is theirs, empty for nobody known.
func (p *Person) untokened(number string) Person {
	kept := *p
	kept.SetTokens(nil)
	kept.New = number
	return kept
}

// Envelope is a sealed person as log and state have it: the id of the key, and what it sealed.
type Envelope struct {
	Key    string
	Sealed []byte
}

// Walk is the record.Record of an Envelope.
func (e *Envelope) Walk(c *record.Coder) {
	record.Str(c, &e.Key)
	c.Bytes(&e.Sealed)
}

// SealedUnder is the id of the key of a sealed person; empty for nothing, and for what is no envelope.
func SealedUnder(sealed []byte) string {
	var e Envelope
	if len(sealed) == 0 || record.Decode(sealed, &e) != nil {
		return ""
	}
	return e.Key
}

// PersonsOf are the persons and bundles that a command carries, to be made anew when their keys are stale.
func PersonsOf(cmd Command) ([]*Person, []*Bundle) {
	switch c := cmd.(type) {
	case *CreatePayment:
		return []*Person{&c.Beneficiary}, []*Bundle{&c.Persons}
	case *Complete:
		return c.persons()
	case *MakeGrant:
		return []*Person{&c.Payer, &c.Beneficiary}, []*Bundle{&c.Persons}
	case *SetOrder:
		return []*Person{&c.Beneficiary}, nil
	case *SetStanding:
		return []*Person{&c.Person}, nil
	case *OpenAccounts:
		persons := make([]*Person, 0, len(c.Accounts))
		for i := range c.Accounts {
			persons = append(persons, &c.Accounts[i].Person)
		}
		return persons, nil
	case *Deliver:
		return c.persons(), nil
	}
	return nil, nil
}

func (p *Complete) persons() ([]*Person, []*Bundle) {
	var persons []*Person
	var bundles []*Bundle
	if p.Beneficiary != nil {
		persons = append(persons, p.Beneficiary)
	}
	if p.Persons != nil {
		bundles = append(bundles, p.Persons)
	}
	return persons, bundles
}

func (d *Deliver) persons() []*Person {
	var persons []*Person
	for i := range d.Parcels {
		for j := range d.Parcels[i].Messages {
			m := &d.Parcels[i].Messages[j]
			for _, p := range []*Person{m.Person, m.Persons} {
				if p != nil {
					persons = append(persons, p)
				}
			}
		}
	}
	return persons
}

// stale reports whether a command was made with keys that are not in force. It must not be applied: an old leader's
// command would bring an old token or an old key back, or take a person in twice.
func (x *tx) stale(cmd Command) bool {
	k := &x.l.rest
	if k.Token == "" && k.Data == "" {
		return false
	}
	persons, bundles := PersonsOf(cmd)
	for _, p := range persons {
		if k.Token != "" && !p.Tokens().good(k) || x.sealedOld(p.Sealed) {
			return true
		}
	}
	for _, b := range bundles {
		if x.sealedOld(b.Sealed) {
			return true
		}
	}
	return false
}

func (x *tx) sealedOld(sealed []byte) bool {
	return x.l.rest.Data != "" && len(sealed) > 0 && SealedUnder(sealed) != x.l.rest.Data
}

// generation is the place of the index of tokens in the state: the first one has its own letter.
func generation(n uint64) (byte, string) {
	if n == 0 {
		return keyToken, ""
	}
	return keyTokens, string(binary.BigEndian.AppendUint64(nil, n))
}

// indexOf is the index of a generation, and where in it a token stands.
func (x *tx) indexOf(n uint64, token [32]byte) (*table[tokenRecord, *tokenRecord], string) {
	_, in := generation(n)
	if n == 0 {
		return x.l.tokens, string(token[:])
	}
	return x.l.renewed, in + string(token[:])
}

func (x *tx) tokened(n uint64, token [32]byte) string {
	table, key := x.indexOf(n, token)
	if t := get(x, table, key); t != nil {
		return t.Person
	}
	return ""
}

// find finds a person: their number (empty when the region does not know them) and the tokens by which they were found.
// The new index is asked first; who is not in it yet is in the old one.
func (x *tx) find(p *Person) (string, *Tokened) {
	k, ts := &x.l.rest, p.Tokens()
	now := ts.under(k.Token)
	if now == nil {
		return "", nil
	}
	if no := x.tokened(k.Generation, now.Token); no != "" {
		return no, now
	}
	leaving, moving := k.OtherToken()
	if !moving {
		return "", nil
	}
	if old := ts.under(leaving); old != nil {
		if no := x.tokened(k.Generation-1, old.Token); no != "" {
			return no, old
		}
	}
	return "", nil
}
