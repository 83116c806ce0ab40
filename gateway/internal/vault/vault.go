// Package vault is where clear identities end: it makes the tokens that persons are found by, and seals the
// identities that the log and the state keep.
//
// Clear identity numbers and names exist in memory, inside sealed parcels and in calls to a core system, and
// nowhere else (R-28, design 6). The state knows a random person number; one index maps the keyed token of the
// identity number to it. Rotating the token key rewrites that index alone; destroying a month's data key leaves
// digests.
package vault

import (
	"errors"
	"fmt"
	"io"
	"time"

	"gongji/crypto"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/record"
)

// Bytes of the longest sealed identity.
const sealedMax = 4 << 10

// ErrSealed: a sealed identity cannot be opened, by this region's keys or at all.
var ErrSealed = errors.New("vault: cannot open a sealed identity")

// Identity is a clear identity. It prints masked.
type Identity struct { //nolint:recvcheck // a value must print masked, and Walk must change it
	IDType string
	Number string
	Name   string
	Region string
}

// Walk is the record.Record of an Identity: what is sealed, and what travels in a parcel's persons.
func (i *Identity) Walk(c *record.Coder) {
	record.Str(c, &i.IDType)
	record.Str(c, &i.Number)
	record.Str(c, &i.Name)
	record.Str(c, &i.Region)
}

// String masks.
func (i Identity) String() string { return person.MaskNumber(i.Number) + " " + person.MaskName(i.Name) }

// Format masks, whatever the verb.
func (i Identity) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, i.String()) // fmt has nobody to tell of a failure
}

// MarshalText masks, for JSON and structured logs.
func (i Identity) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// Of is the Identity of a checked person.
func Of(p person.Person) Identity {
	return Identity{IDType: p.IDType, Number: p.Number.Clear(), Name: p.Name.Clear(), Region: p.Region}
}

// Vault makes tokens and seals, under the keys that the state says are in force. Safe for concurrent use.
type Vault struct {
	ring crypto.KeyRing
	hash federation.Hash
	// random fills a slice with random bytes; it cannot fail.
	random func([]byte)
	keys   func() ledger.KeysRecord
}

// New makes a Vault of a key ring that has keys for tokens and data. random must be cryptographic.
func New(ring crypto.KeyRing, hash federation.Hash, random func([]byte)) (*Vault, error) {
	for _, use := range []crypto.Use{crypto.UseToken, crypto.UseData} {
		if _, err := ring.Current(use); err != nil {
			return nil, fmt.Errorf("vault: no key for %s: %w", use, err)
		}
	}
	return &Vault{ring, hash, random, func() ledger.KeysRecord { return ledger.KeysRecord{} }}, nil
}

// Follow tells the vault where the state says which keys are in force. Before the first use.
func (v *Vault) Follow(keys func() ledger.KeysRecord) { v.keys = keys }

// InForce is the key of a use: the one that the state names, or the ring's newest where it names none yet.
func (v *Vault) InForce(use crypto.Use) (string, error) {
	k := v.keys()
	if id := k.InForce(ledger.KeyUse(use)); id != "" {
		return id, nil
	}
	return v.ring.Current(use)
}

// additional is authenticated with every sealed identity: a ciphertext of another use does not open as one.
const additional = "gongji-person-v1"

// Seal encrypts an identity under the data key in force, whose id stands in front.
func (v *Vault) Seal(i Identity) ([]byte, error) {
	id, err := v.InForce(crypto.UseData)
	if err != nil {
		return nil, fmt.Errorf("vault: seal: %w", err)
	}
	return v.SealUnder(id, i)
}

// SealUnder encrypts an identity under one data key.
func (v *Vault) SealUnder(id string, i Identity) ([]byte, error) {
	plain := record.Encode(&i)
	defer clear(plain)
	sealed, err := v.ring.Seal(id, plain, []byte(additional))
	if err != nil {
		return nil, fmt.Errorf("vault: seal: %w", err)
	}
	return record.Encode(&ledger.Envelope{Key: id, Sealed: sealed}), nil
}

// Open reverses Seal, or returns ErrSealed; where the ring has no key of that id the error is crypto.ErrNoKey too.
func (v *Vault) Open(sealed []byte) (Identity, error) {
	var e ledger.Envelope
	if len(sealed) > sealedMax || record.Decode(sealed, &e) != nil {
		return Identity{}, ErrSealed
	}
	plain, err := v.ring.Open(e.Key, e.Sealed, []byte(additional))
	if errors.Is(err, crypto.ErrNoKey) {
		return Identity{}, fmt.Errorf("%w: %w", ErrSealed, crypto.ErrNoKey)
	}
	if errors.Is(err, crypto.ErrAway) {
		return Identity{}, fmt.Errorf("vault: open: %w", err) // it may well open when the module is back
	}
	if err != nil {
		return Identity{}, ErrSealed
	}
	defer clear(plain)
	var i Identity
	if record.Decode(plain, &i) != nil {
		return Identity{}, ErrSealed
	}
	return i, nil
}

// Clear is an identity as a parcel carries it.
func Clear(i Identity) []byte { return record.Encode(&i) }

// Read reads what Clear wrote, as a peer sent it: the number must be one, the name must be readable.
func Read(persons []byte) (Identity, error) {
	var i Identity
	if err := record.Decode(persons, &i); err != nil {
		return Identity{}, fmt.Errorf("vault: persons: %w", err)
	}
	p, err := person.Parse(person.Input{IDType: i.IDType, IDNumber: i.Number, Name: i.Name, Region: i.Region})
	if err != nil {
		return Identity{}, fmt.Errorf("vault: persons: %w", err)
	}
	return Of(p), nil
}

// Bundle seals an identity for messages to other regions, with the commitment that those messages are signed with.
func (v *Vault) Bundle(i Identity) (ledger.Bundle, error) {
	sealed, err := v.Seal(i)
	if err != nil {
		return ledger.Bundle{}, err
	}
	b := ledger.Bundle{Sealed: sealed}
	v.random(b.Salt[:])
	b.Digest = federation.PersonsDigest(v.hash, b.Salt, Clear(i))
	return b, nil
}

// NewNo is a random person number.
func (v *Vault) NewNo() string { return v.ID("n") }

// letters are the 32 characters of an id, in ascending order.
const letters = "0123456789abcdefghjkmnpqrstvwxyz"

// ID is a random id of 100 bits behind a prefix: prefix, hyphen, 20 characters.
func (v *Vault) ID(prefix string) string { return prefix + "-" + v.randomLetters(20) }

// timeLetters hold the milliseconds since 1970, until the year 3084.
const timeLetters = 9

// TimedID is an id that sorts by the time of its making, to the millisecond: prefix, hyphen, 9 characters of time, 13
// random ones (65 bits). Records that are made one after another stand one after another in the state: what is written
// now does not touch what was written long ago.
func (v *Vault) TimedID(prefix string, now time.Time) string {
	var b [timeLetters]byte
	ms := now.UnixMilli()
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = letters[ms&31]
		ms >>= 5
	}
	return prefix + "-" + string(b[:]) + v.randomLetters(13)
}

func (v *Vault) randomLetters(n int) string {
	b := make([]byte, n)
	v.random(b)
	for i := range b {
		b[i] = letters[b[i]&31]
	}
	return string(b)
}

// Hash is the vault's hash, SM3.
func (v *Vault) Hash(parts ...[]byte) [32]byte { return v.hash(parts...) }
