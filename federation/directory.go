package federation

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// Bounds of a directory, besides DirectoryMax and MembersMax.
const (
	aliasesMax   = 64    // aliases of one member
	keysMax      = 16    // keys of one member, old and new together
	nameMax      = 128   // bytes of a name or alias
	publicMax    = 256   // bytes of a public key
	certMax      = 4096  // bytes of a certificate, a member's or an authority's
	authorityMax = 32    // certificates of authorities
	listsMax     = 32    // revocation lists
	listMax      = 65536 // bytes of a revocation list
	rootsMax     = 16    // keys of the federation's root
	pairsMax     = MembersMax * (MembersMax - 1) / 2
	openEnded    = 1<<31 - 1
	secondsADay  = 24 * 60 * 60
	chinaOffset  = 8 * time.Hour // GB/T 7408.1: the country has one zone, without summer time
)

// MemberState is how far a member takes part. Numbers and captures of a member that is not open
// still go on: the state says whether new holds may begin.
type MemberState string

// The states of a member.
const (
	MemberPilot  MemberState = "pilot"
	MemberOpen   MemberState = "open"
	MemberPaused MemberState = "paused"
	MemberClosed MemberState = "closed"
)

// KeyUse is what a key of the directory is for; a key has one use (GM/T 0015: double certificates).
type KeyUse string

// The uses of a key.
const (
	UseSign KeyUse = "sign"
	UseSeal KeyUse = "seal"
)

// Key is a member's public key. Times are whole seconds in UTC.
type Key struct {
	ID        string    `json:"id"` // unique within the member
	Use       KeyUse    `json:"use"`
	Public    []byte    `json:"public"`     // 04 ‖ x ‖ y; base64 in JSON
	NotBefore time.Time `json:"not_before"` // valid from this moment
	NotAfter  time.Time `json:"not_after"`  // and before this one
	Revoked   bool      `json:"revoked"`    // refused from now on, whatever time a parcel claims
	// Certificate is the DER of the X.509 certificate of Public; empty in a federation that runs without
	// certificates. Its content is judged by crypto/cert, not here.
	Certificate []byte `json:"certificate"`
}

// ValidAt reports whether t lies within the key's validity. It says nothing of Revoked.
func (k Key) ValidAt(t time.Time) bool { return !t.Before(k.NotBefore) && t.Before(k.NotAfter) }

// Member is one region of the federation.
type Member struct {
	Code     Region      `json:"code"`
	Name     string      `json:"name"`
	Aliases  []string    `json:"aliases"` // other codes or names that mean this pooling region; sorted
	State    MemberState `json:"state"`
	Protocol uint16      `json:"protocol"` // the highest protocol version that it speaks
	Keys     []Key       `json:"keys"`     // sorted by id
}

// Pair is two regions that may do business with each other, in both directions: A before B. From
// and Until are days of the Chinese calendar day (UTC+8), both included, as 2026-01-31; an empty
// Until has no end.
type Pair struct {
	A     Region `json:"a"`
	B     Region `json:"b"`
	From  string `json:"from"`
	Until string `json:"until"`
}

// DirectoryData is what a directory says: the signed bytes are its JSON.
type DirectoryData struct {
	Version  uint64    `json:"version"`  // from 1, one more with every change
	Previous string    `json:"previous"` // the digest of the version before, in hex; empty in version 1
	Issued   time.Time `json:"issued"`
	Expires  time.Time `json:"expires"`
	Members  []Member  `json:"members"` // sorted by code
	Pairs    []Pair    `json:"pairs"`   // sorted by A, then B
	// Authorities are the DER of the certificates that members' certificates lead to, RevocationLists the DER of
	// the authorities' X.509 revocation lists. Both sorted by their bytes, and opaque here: crypto/cert judges them.
	Authorities     [][]byte `json:"authorities"`
	RevocationLists [][]byte `json:"revocation_lists"`
}

// Directory is a directory whose form was checked. It never changes; safe for concurrent use. What
// it returns is shared: read only.
type Directory struct {
	data    DirectoryData
	digest  [HashSize]byte
	signed  []byte
	members map[Region]*memberIndex
	aliases map[string]Region
	pairs   map[Lane]window
}

type memberIndex struct {
	member *Member
	keys   map[string]*Key
	lanes  []Lane
}

// window is the first and last open day, counted from 1970-01-01.
type window struct{ from, until int }

// Version counts the directories of a federation, from 1.
func (d *Directory) Version() uint64 { return d.data.Version }

// Digest is the digest of the signed bytes; the next version names it.
func (d *Directory) Digest() [HashSize]byte { return d.digest }

// Issued is when the root signed it.
func (d *Directory) Issued() time.Time { return d.data.Issued }

// Expires is the moment from which it allows no new holds.
func (d *Directory) Expires() time.Time { return d.data.Expires }

// Expired reports whether new holds must be refused. Captures, releases and refunds of holds
// already placed go on.
func (d *Directory) Expired(now time.Time) bool { return !now.Before(d.data.Expires) }

// Signed is the envelope that it was read from.
func (d *Directory) Signed() []byte { return d.signed }

// Data is everything it says.
func (d *Directory) Data() DirectoryData { return d.data }

// Members are all members, in the order of their codes.
func (d *Directory) Members() []Member { return d.data.Members }

// Member returns the member with that code.
func (d *Directory) Member(r Region) (*Member, bool) {
	m, ok := d.members[r]
	if !ok {
		return nil, false
	}
	return m.member, true
}

// Resolve returns the region that a code or an alias means.
func (d *Directory) Resolve(codeOrAlias string) (Region, bool) {
	if _, ok := d.members[Region(codeOrAlias)]; ok {
		return Region(codeOrAlias), true
	}
	r, ok := d.aliases[codeOrAlias]
	return r, ok
}

// Key returns a member's key by its id, revoked and expired ones too.
func (d *Directory) Key(r Region, id string) (Key, bool) {
	m, ok := d.members[r]
	if !ok {
		return Key{}, false
	}
	k, ok := m.keys[id]
	if !ok {
		return Key{}, false
	}
	return *k, true
}

// SealKey returns the key to encrypt to r with at a moment: of those valid and not revoked, the one
// that became valid last.
func (d *Directory) SealKey(r Region, at time.Time) (Key, bool) { return d.newest(r, UseSeal, at) }

// SignKey returns the newest key that r may sign with at a moment.
func (d *Directory) SignKey(r Region, at time.Time) (Key, bool) { return d.newest(r, UseSign, at) }

// SignKeys are the keys that r may sign with at a moment, in the order in which r should take them: the newest of those
// that have been valid for a while (settled; ClockSkewMax outside of tests), then the others, the newest last. While a
// key is being replaced there are two, and a peer whose clock is behind would refuse one that has only just become
// valid.
func (d *Directory) SignKeys(r Region, at time.Time, settled time.Duration) []Key {
	m, ok := d.members[r]
	if !ok {
		return nil
	}
	since := at.Add(-settled)
	var keys []Key
	for _, k := range m.member.Keys { // at most keysMax
		if k.Use == UseSign && !k.Revoked && k.ValidAt(at) {
			keys = append(keys, k)
		}
	}
	slices.SortStableFunc(keys, func(a, b Key) int {
		freshA, freshB := a.NotBefore.After(since), b.NotBefore.After(since)
		switch {
		case freshA != freshB && freshA:
			return 1
		case freshA != freshB:
			return -1
		case freshA:
			return a.NotBefore.Compare(b.NotBefore)
		}
		return b.NotBefore.Compare(a.NotBefore)
	})
	return keys
}

func (d *Directory) newest(r Region, use KeyUse, at time.Time) (Key, bool) {
	m, ok := d.members[r]
	if !ok {
		return Key{}, false
	}
	var best *Key
	for i := range m.member.Keys { // at most keysMax
		k := &m.member.Keys[i]
		if k.Use == use && !k.Revoked && k.ValidAt(at) && (best == nil || k.NotBefore.After(best.NotBefore)) {
			best = k
		}
	}
	if best == nil {
		return Key{}, false
	}
	return *best, true
}

// PairOpen reports whether new business between a and b may begin at the moment day, judged by the
// Chinese calendar (UTC+8). A member is always open to itself; a code that is no member is open to
// nobody. The states of members are not judged here.
func (d *Directory) PairOpen(a, b Region, day time.Time) bool {
	if a == b {
		_, ok := d.members[a]
		return ok
	}
	w, ok := d.pairs[unordered(a, b)]
	if !ok {
		return false
	}
	n := dayNumber(day.Add(chinaOffset))
	return n >= w.from && n <= w.until
}

// Lanes are the lanes of self with everyone it has a pair with, whatever the pair's dates: what has
// begun must be able to end. For each peer the lane there comes first, then the lane back; peers in
// the order of their codes.
func (d *Directory) Lanes(self Region) []Lane {
	m, ok := d.members[self]
	if !ok {
		return nil
	}
	return slices.Clone(m.lanes)
}

func unordered(a, b Region) Lane {
	if b < a {
		a, b = b, a
	}
	return Lane{From: a, To: b}
}

// dayNumber is the day of t in UTC, counted from 1970-01-01; t is not before that.
func dayNumber(t time.Time) int { return int(t.Unix() / secondsADay) }

// index builds the look-up tables, and refuses what stands twice or has no form.
func index(data DirectoryData) (*Directory, error) {
	d := &Directory{
		data: data, members: make(map[Region]*memberIndex, len(data.Members)),
		aliases: map[string]Region{}, pairs: make(map[Lane]window, len(data.Pairs)),
	}
	if err := checkHead(&data); err != nil {
		return nil, err
	}
	publics := map[string]bool{}
	for i := range data.Members {
		if i > 0 && data.Members[i-1].Code >= data.Members[i].Code {
			return nil, refuse(RefusedMalformed, "members not in order")
		}
		if err := d.addMember(&data.Members[i], publics); err != nil {
			return nil, err
		}
	}
	if err := d.addAliases(); err != nil {
		return nil, err
	}
	for i := range data.Pairs {
		if i > 0 && comparePairs(data.Pairs[i-1], data.Pairs[i]) >= 0 {
			return nil, refuse(RefusedMalformed, "pairs not in order")
		}
		if err := d.addPair(data.Pairs[i]); err != nil {
			return nil, err
		}
	}
	for _, m := range d.members {
		slices.SortStableFunc(m.lanes, func(x, y Lane) int { return cmp.Compare(peer(x, m), peer(y, m)) })
	}
	return d, nil
}

func peer(l Lane, of *memberIndex) Region {
	if l.From == of.member.Code {
		return l.To
	}
	return l.From
}

func comparePairs(x, y Pair) int { return cmp.Or(cmp.Compare(x.A, y.A), cmp.Compare(x.B, y.B)) }

func checkHead(data *DirectoryData) error {
	switch {
	case data.Version == 0, len(data.Previous) != 0 && len(data.Previous) != 2*HashSize,
		(data.Version == 1) != (data.Previous == ""):
		return refuse(RefusedMalformed, "version")
	case !wholeSecond(data.Issued), !wholeSecond(data.Expires), !data.Issued.Before(data.Expires):
		return refuse(RefusedMalformed, "dates")
	case len(data.Members) == 0, len(data.Members) > MembersMax, data.Pairs == nil, len(data.Pairs) > pairsMax:
		return refuse(RefusedMalformed, "counts")
	case !sortedBlobs(data.Authorities, authorityMax, certMax):
		return refuse(RefusedMalformed, "authorities")
	case !sortedBlobs(data.RevocationLists, listsMax, listMax):
		return refuse(RefusedMalformed, "revocation lists")
	}
	return nil
}

// sortedBlobs reports whether a list is there, in order without repeats, and within its bounds.
func sortedBlobs(list [][]byte, countMax, sizeMax int) bool {
	if list == nil || len(list) > countMax {
		return false
	}
	for i, b := range list {
		if len(b) == 0 || len(b) > sizeMax || (i > 0 && bytes.Compare(list[i-1], b) >= 0) {
			return false
		}
	}
	return true
}

func wholeSecond(t time.Time) bool {
	return validTime(t) && t.Nanosecond() == 0 && t.Location() == time.UTC
}

func (d *Directory) addMember(m *Member, publics map[string]bool) error {
	code := string(m.Code)
	switch m.State {
	case MemberPilot, MemberOpen, MemberPaused, MemberClosed:
	default:
		return refuse(RefusedMalformed, "state of "+code)
	}
	if !m.Code.Valid() || m.Name == "" || len(m.Name) > nameMax ||
		m.Keys == nil || len(m.Keys) > keysMax || m.Aliases == nil || len(m.Aliases) > aliasesMax {
		return refuse(RefusedMalformed, "member "+code)
	}
	keys := make(map[string]*Key, len(m.Keys))
	for i := range m.Keys {
		k := &m.Keys[i]
		if !validKey(k) || (i > 0 && m.Keys[i-1].ID >= k.ID) || publics[string(k.Public)] {
			return refuse(RefusedMalformed, "key of "+code)
		}
		publics[string(k.Public)] = true
		keys[k.ID] = k
	}
	d.members[m.Code] = &memberIndex{member: m, keys: keys}
	return nil
}

func validKey(k *Key) bool {
	return validKeyID(k.ID) && (k.Use == UseSign || k.Use == UseSeal) &&
		len(k.Public) > 0 && len(k.Public) <= publicMax && k.Certificate != nil && len(k.Certificate) <= certMax &&
		wholeSecond(k.NotBefore) && wholeSecond(k.NotAfter) && k.NotBefore.Before(k.NotAfter)
}

// addAliases comes after all members, since no alias may be a member's code.
func (d *Directory) addAliases() error {
	for i := range d.data.Members {
		m := &d.data.Members[i]
		for j, a := range m.Aliases {
			_, code := d.members[Region(a)]
			_, twice := d.aliases[a]
			if a == "" || len(a) > nameMax || code || twice || (j > 0 && m.Aliases[j-1] >= a) {
				return refuse(RefusedMalformed, "alias of "+string(m.Code))
			}
			d.aliases[a] = m.Code
		}
	}
	return nil
}

func (d *Directory) addPair(p Pair) error {
	a, okA := d.members[p.A]
	b, okB := d.members[p.B]
	w, ok := pairWindow(p)
	if !okA || !okB || p.A >= p.B || !ok {
		return refuse(RefusedMalformed, "pair "+string(p.A)+" "+string(p.B))
	}
	d.pairs[Lane{From: p.A, To: p.B}] = w
	there, back := Lane{From: p.A, To: p.B}, Lane{From: p.B, To: p.A}
	a.lanes = append(a.lanes, there, back)
	b.lanes = append(b.lanes, back, there)
	return nil
}

func pairWindow(p Pair) (window, bool) {
	from, err := time.Parse(time.DateOnly, p.From)
	if err != nil || from.Unix() < 0 {
		return window{}, false
	}
	w := window{from: dayNumber(from), until: openEnded}
	if p.Until != "" {
		until, err := time.Parse(time.DateOnly, p.Until)
		if err != nil || until.Before(from) {
			return window{}, false
		}
		w.until = dayNumber(until)
	}
	return w, true
}
