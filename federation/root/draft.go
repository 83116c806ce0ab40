// Package root is what the federation's office does with the directory: it prepares the next version as a draft that
// people can read, has it signed by the root's keys one after the other, and says in words what it changes.
//
// A draft is the JSON of a federation.DirectoryData, unsigned. Every change is a function here, so that the command
// line and the testnet make directories by the same code. Nothing here has a clock or touches a file.
package root

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"gongji/federation"
)

// ErrDraft: a change that the draft cannot take. The text says why, and what to do.
var ErrDraft = errors.New("directory")

// Begin is the first version, without members, valid from now until expires.
func Begin(now, expires time.Time) federation.DirectoryData {
	return federation.DirectoryData{
		Version: 1, Issued: second(now), Expires: second(expires), Members: []federation.Member{},
		Pairs: []federation.Pair{}, Authorities: [][]byte{}, RevocationLists: [][]byte{},
	}
}

// Next is the version after d, with the same content, issued now and valid until expires; the zero time keeps the
// end of d.
func Next(d *federation.Directory, now, expires time.Time) federation.DirectoryData {
	digest := d.Digest()
	data := clone(d.Data())
	data.Version, data.Previous, data.Issued = data.Version+1, hex.EncodeToString(digest[:]), second(now)
	if !expires.IsZero() {
		data.Expires = second(expires)
	}
	return data
}

func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// clone copies what the functions here change.
func clone(d federation.DirectoryData) federation.DirectoryData {
	d.Members = slices.Clone(d.Members)
	for i := range d.Members {
		d.Members[i].Aliases = slices.Clone(d.Members[i].Aliases)
		d.Members[i].Keys = slices.Clone(d.Members[i].Keys)
	}
	d.Pairs = slices.Clone(d.Pairs)
	d.Authorities, d.RevocationLists = slices.Clone(d.Authorities), slices.Clone(d.RevocationLists)
	return d
}

// Encode writes a draft for people to read.
func Encode(d federation.DirectoryData) ([]byte, error) {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDraft, err)
	}
	return append(text, '\n'), nil
}

// Decode reads a draft; an unknown field is an error, since it would be lost without a word.
func Decode(text []byte) (federation.DirectoryData, error) {
	var d federation.DirectoryData
	if err := strict(text, &d); err != nil {
		return d, fmt.Errorf("%w: not a draft: %w", ErrDraft, err)
	}
	return d, nil
}

// DecodeMember reads what a region offers of itself.
func DecodeMember(text []byte) (federation.Member, error) {
	var m federation.Member
	if err := strict(text, &m); err != nil {
		return m, fmt.Errorf("%w: not a region's offer: %w", ErrDraft, err)
	}
	return m, nil
}

func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind its end")
	}
	return nil
}

func member(d *federation.DirectoryData, code federation.Region) (*federation.Member, error) {
	for i := range d.Members {
		if d.Members[i].Code == code {
			return &d.Members[i], nil
		}
	}
	return nil, fmt.Errorf("%w: %s is no member; add-region brings it in", ErrDraft, code)
}

// AddRegion takes a new member in.
func AddRegion(d *federation.DirectoryData, m federation.Member) error {
	if _, err := member(d, m.Code); err == nil {
		return fmt.Errorf("%w: %s is a member already; rotate brings new keys", ErrDraft, m.Code)
	}
	if m.State == "" {
		m.State = federation.MemberPilot
	}
	d.Members = append(d.Members, m)
	slices.SortFunc(d.Members, func(a, b federation.Member) int { return compare(a.Code, b.Code) })
	return nil
}

func compare(a, b federation.Region) int { return bytes.Compare([]byte(a), []byte(b)) }

// Rotate lists a member's new keys beside the old ones, and lets the old ones of the same uses end at a moment; the
// zero time leaves them. Keys that are listed already stay as they are. Parcels under way are signed with old keys and
// sealed to them, so the end should lie days after the new keys are known everywhere.
func Rotate(d *federation.DirectoryData, code federation.Region, keys []federation.Key, end time.Time) error {
	m, err := member(d, code)
	if err != nil {
		return err
	}
	var fresh []federation.Key
	for _, k := range keys {
		if !slices.ContainsFunc(m.Keys, func(o federation.Key) bool { return o.ID == k.ID }) {
			fresh = append(fresh, k)
		}
	}
	if len(fresh) == 0 {
		return fmt.Errorf("%w: the offer has no key that %s does not have", ErrDraft, code)
	}
	for i := range m.Keys {
		old := &m.Keys[i]
		replaced := slices.ContainsFunc(fresh, func(k federation.Key) bool { return k.Use == old.Use })
		if replaced && !end.IsZero() && end.Before(old.NotAfter) {
			if !second(end).After(old.NotBefore) {
				return fmt.Errorf("%w: key %s would end before it begins", ErrDraft, old.ID)
			}
			old.NotAfter = second(end)
		}
	}
	m.Keys = append(m.Keys, fresh...)
	slices.SortFunc(m.Keys, func(a, b federation.Key) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	return nil
}

// SetState pauses, resumes or closes a member: one that is paused or closed takes no new hold and ends what has begun.
func SetState(d *federation.DirectoryData, code federation.Region, state federation.MemberState) error {
	m, err := member(d, code)
	if err != nil {
		return err
	}
	if m.State == state {
		return fmt.Errorf("%w: %s is %s already", ErrDraft, code, state)
	}
	m.State = state
	return nil
}

// OpenPair opens business between two members, on the Chinese days from the first to the last, both included; no last
// day is no end. A pair that stands there already gets the new days.
func OpenPair(d *federation.DirectoryData, p federation.Pair) error {
	if p.B < p.A {
		p.A, p.B = p.B, p.A
	}
	for _, code := range []federation.Region{p.A, p.B} {
		if _, err := member(d, code); err != nil {
			return err
		}
	}
	i := pair(d, p)
	if i < 0 {
		d.Pairs = append(d.Pairs, p)
		slices.SortFunc(d.Pairs, func(x, y federation.Pair) int {
			return bytes.Compare([]byte(x.A+x.B), []byte(y.A+y.B)) // codes have one length
		})
		return nil
	}
	if d.Pairs[i] == p {
		return fmt.Errorf("%w: %s and %s are open on these days already", ErrDraft, p.A, p.B)
	}
	d.Pairs[i] = p
	return nil
}

func pair(d *federation.DirectoryData, p federation.Pair) int {
	return slices.IndexFunc(d.Pairs, func(o federation.Pair) bool {
		return o.A == p.A && o.B == p.B || o.A == p.B && o.B == p.A
	})
}

// ClosePair sets the last day of a pair. It stays listed, so that what has begun can end.
func ClosePair(d *federation.DirectoryData, a, b federation.Region, last string) error {
	i := pair(d, federation.Pair{A: a, B: b})
	if i < 0 {
		return fmt.Errorf("%w: %s and %s are no pair", ErrDraft, a, b)
	}
	p := &d.Pairs[i]
	if p.Until == last {
		return fmt.Errorf("%w: %s is the last day of %s and %s already", ErrDraft, last, p.A, p.B)
	}
	p.Until = last
	p.From = min(p.From, last) // a pair that was to open later has had no day
	return nil
}

// Revoke marks one key of a member, or all of them if id is empty: from the moment at which a region applies this
// version, nothing signed with it counts there.
func Revoke(d *federation.DirectoryData, code federation.Region, id string) error {
	m, err := member(d, code)
	if err != nil {
		return err
	}
	found := false
	for i := range m.Keys {
		if k := &m.Keys[i]; (id == "" || k.ID == id) && !k.Revoked {
			k.Revoked, found = true, true
		}
	}
	if !found {
		return fmt.Errorf("%w: %s has no key %s that is not revoked", ErrDraft, code, id)
	}
	return nil
}

// Certify lists the certificate of a member's key.
func Certify(d *federation.DirectoryData, code federation.Region, id string, der []byte) error {
	m, err := member(d, code)
	if err != nil {
		return err
	}
	for i := range m.Keys {
		if m.Keys[i].ID == id {
			m.Keys[i].Certificate = der
			return nil
		}
	}
	return fmt.Errorf("%w: %s has no key %s", ErrDraft, code, id)
}

// Trust lists certificates of authorities, and revocation lists, beside those that are there.
func Trust(d *federation.DirectoryData, authorities, lists [][]byte) {
	add := func(to *[][]byte, from [][]byte) {
		for _, der := range from {
			if !slices.ContainsFunc(*to, func(o []byte) bool { return bytes.Equal(o, der) }) {
				*to = append(*to, der)
			}
		}
		slices.SortFunc(*to, bytes.Compare)
	}
	add(&d.Authorities, authorities)
	add(&d.RevocationLists, lists)
}
