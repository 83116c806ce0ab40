package evidence

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// ErrDirectories: no directory that was given can answer for a signature.
var ErrDirectories = errors.New("evidence: directories")

// Directories are versions of the federation's directory. Keys rotate, so each signature is judged by the version that
// was in force when it was made.
type Directories struct {
	list []*federation.Directory // by version
}

// NewDirectories takes versions, in any order, whose own signatures were checked.
func NewDirectories(list ...*federation.Directory) (*Directories, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: none was given", ErrDirectories)
	}
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b *federation.Directory) int { return int(a.Version()) - int(b.Version()) }) //nolint:gosec // versions count from 1
	for i := 1; i < len(sorted); i++ {
		before, d := sorted[i-1], sorted[i]
		if d.Version() == before.Version() && d.Digest() != before.Digest() {
			return nil, fmt.Errorf("%w: two different versions %d", ErrDirectories, d.Version())
		}
		digest := before.Digest()
		if d.Version() == before.Version()+1 && d.Data().Previous != hex.EncodeToString(digest[:]) {
			return nil, fmt.Errorf("%w: version %d does not follow version %d", ErrDirectories, d.Version(), before.Version())
		}
	}
	return &Directories{sorted}, nil
}

// At is the version that was in force at a moment: the newest that was issued by then.
func (d *Directories) At(t time.Time) (*federation.Directory, error) {
	for _, dir := range slices.Backward(d.list) {
		if !dir.Issued().After(t) {
			return dir, nil
		}
	}
	return nil, fmt.Errorf("%w: the oldest that was given was issued on %s, after the signature of %s", ErrDirectories,
		d.list[0].Issued().Format(time.RFC3339), t.Format(time.RFC3339))
}

// revokedLater names the version that has revoked a key after a signature; 0 for none.
func (d *Directories) revokedLater(r federation.Region, key string, signed time.Time) (uint64, time.Time) {
	for _, dir := range d.list {
		if k, ok := dir.Key(r, key); ok && k.Revoked && dir.Issued().After(signed) {
			return dir.Version(), dir.Issued()
		}
	}
	return 0, time.Time{}
}

// Line is one sentence of a report.
type Line struct {
	Time   time.Time // when it was signed
	Region string    // who signed
	ZH, EN string
}

// Report is what a good bundle says.
type Report struct {
	Subject  string
	Region   string
	Prepared time.Time
	Lines    []Line
	Doubts   []Line // what holds, but whose key was revoked afterwards
	Proofs   int
	Receipts int
	Requests int // of platforms
	Bodies   int // of them, whose body was shown
	// Persons is how many messages name the person that was asked about, and how many name one.
	Persons, PersonsAll int
}

// Verifier checks bundles. Safe for concurrent use.
type Verifier struct {
	Sealer      federation.Sealer // only Hash and Verify are used
	Directories *Directories
	// Platforms are public keys of platforms by key id, from elsewhere: one that signed must be the one given.
	Platforms map[string][]byte
	// Bodies are bodies of requests that somebody shows: each is held against the digests that platforms signed.
	Bodies [][]byte
	// Person is held against the persons that the bundle opens; nil: against none.
	Person *vault.Identity
}

type verifying struct {
	*Verifier

	b   *Bundle
	out *Report
}

// Verify checks every signature, path, chain and key of a bundle, and that all of it is about its subject, and says in
// words what it proves. Errors: ErrBundle with what is wrong, ErrDirectories.
func (v *Verifier) Verify(data []byte) (*Report, error) {
	b, err := Decode(data)
	if err != nil {
		return nil, err
	}
	x := &verifying{v, b, &Report{Subject: b.Subject, Region: b.Region, Prepared: b.Prepared}}
	if err := x.whole(); err != nil {
		return nil, err
	}
	for i, data := range b.Proofs {
		if err := x.proof(data); err != nil {
			return nil, fmt.Errorf("proof %d: %w", i+1, err)
		}
	}
	for i := range b.Receipts {
		if err := x.receipt(&b.Receipts[i]); err != nil {
			return nil, fmt.Errorf("receipt %d: %w", i+1, err)
		}
	}
	for i := range b.Requests {
		if err := x.request(&b.Requests[i]); err != nil {
			return nil, fmt.Errorf("request %d: %w", i+1, err)
		}
	}
	if len(b.Missing) > 0 {
		x.out.Doubts = append(x.out.Doubts, incomplete(b))
	}
	// A ticket stands in the bundle and in the hold requests that show it: it is said once.
	slices.SortFunc(x.out.Lines, func(a, c Line) int {
		return cmp.Or(a.Time.Compare(c.Time), strings.Compare(a.EN, c.EN))
	})
	x.out.Lines = slices.CompactFunc(x.out.Lines, func(a, c Line) bool { return a.Time.Equal(c.Time) && a.EN == c.EN })
	return x.out, nil
}

// whole checks the signature of the region that made the bundle.
func (x *verifying) whole() error {
	dir, err := x.Directories.At(x.b.Prepared)
	if err != nil {
		return err
	}
	region := federation.Region(x.b.Region)
	key, ok := dir.Key(region, x.b.KeyID)
	switch {
	case !ok || key.Use != federation.UseSign:
		return fmt.Errorf("%w: it is signed with key %q, which the directory does not know of %s", ErrBundle, x.b.KeyID,
			region)
	case key.Revoked:
		return fmt.Errorf("%w: it is signed with key %q, which was revoked by then", ErrBundle, x.b.KeyID)
	case !key.ValidAt(x.b.Prepared):
		return fmt.Errorf("%w: it is signed with key %q, which was not valid then", ErrBundle, x.b.KeyID)
	}
	message, err := x.b.message()
	if err != nil {
		return err
	}
	if x.Sealer.Verify(key.Public, message, x.b.Signature) != nil {
		return fmt.Errorf("%w: something in it was changed after %s had signed it", ErrBundle, region)
	}
	x.doubt(region, x.b.KeyID, x.b.Prepared)
	return nil
}

// doubt notes that a key was revoked after it signed.
func (x *verifying) doubt(r federation.Region, key string, signed time.Time) {
	version, at := x.Directories.revokedLater(r, key, signed)
	if version == 0 {
		return
	}
	x.out.Doubts = append(x.out.Doubts, revoked(r, key, signed, version, at))
}

// header finds the directory of a header's time.
func (x *verifying) header(raw []byte) (*federation.Directory, error) {
	h, err := federation.DecodeHeader(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return x.Directories.At(h.Time)
}

func (x *verifying) proof(data []byte) error {
	p, err := federation.DecodeProof(data)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	dir, err := x.header(p.Header)
	if err != nil {
		return err
	}
	h, err := federation.VerifyProof(dir, x.Sealer, p)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	body, err := wire.Decode(p.Body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	ticket := body.GetTicket()
	switch {
	case Subject(body) != x.b.Subject:
		return fmt.Errorf("%w: it is about something else than %s", ErrBundle, x.b.Subject)
	case string(h.To) != x.b.Region && ticket == nil:
		return fmt.Errorf("%w: it was not told to %s", ErrBundle, x.b.Region)
	case ticket != nil && p.Class != federation.Answer, ticket == nil && p.Class != federation.Numbered:
		return fmt.Errorf("%w: a message of the wrong class", ErrBundle)
	}
	x.out.Proofs++
	x.doubt(h.From, h.SignKey, h.Time)
	x.person(&p)
	x.out.Lines = append(x.out.Lines, said(h.Time, string(h.From), string(h.To), body))
	return x.within(body)
}

// within checks the ticket that a hold request shows.
func (x *verifying) within(body *wirepb.Body) error {
	data := body.GetHoldRequest().GetTicket()
	if len(data) == 0 {
		return nil
	}
	if err := x.proof(data); err != nil {
		return fmt.Errorf("its ticket: %w", err)
	}
	return nil
}

// person holds the person that was asked about against a message that opens its own.
func (x *verifying) person(p *federation.Proof) {
	if p.PersonsDigest == [federation.HashSize]byte{} {
		return
	}
	x.out.PersonsAll++
	if x.Person != nil && p.PersonsSalt != [federation.SaltSize]byte{} &&
		federation.PersonsDigest(x.Sealer.Hash, p.PersonsSalt, vault.Clear(*x.Person)) == p.PersonsDigest {
		x.out.Persons++
	}
}

func (x *verifying) receipt(r *Receipt) error {
	dir, err := x.header(r.Header)
	if err != nil {
		return err
	}
	h, err := federation.VerifyHeader(dir, x.Sealer, r.Header, r.Signature)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	if string(h.To) != x.b.Region || len(r.Before) != federation.HashSize || r.First == 0 || len(r.Contents) == 0 ||
		h.Ack.Number != r.First+uint64(len(r.Contents))-1 {
		return fmt.Errorf("%w: the receipt is for other messages", ErrBundle)
	}
	chain := [federation.HashSize]byte(r.Before)
	var whole []*wirepb.Body
	for i := range r.Contents {
		content, body, err := x.content(&r.Contents[i])
		if err != nil {
			return err
		}
		if body != nil {
			whole = append(whole, body)
		}
		chain = federation.Chain(x.Sealer.Hash, chain, r.First+uint64(i), content) //nolint:gosec // an index
	}
	if chain != h.Ack.Chain {
		return fmt.Errorf("%w: %s signed for other content", ErrBundle, h.From)
	}
	x.out.Receipts++
	x.doubt(h.From, h.SignKey, h.Time)
	for _, body := range whole {
		x.out.Lines = append(x.out.Lines, received(h.Time, x.b.Region, string(h.From), body))
		if err := x.within(body); err != nil {
			return err
		}
	}
	return nil
}

// content is the digest of one message of a receipt, and its body where it is about the subject.
func (x *verifying) content(c *Content) ([federation.HashSize]byte, *wirepb.Body, error) {
	var persons [federation.HashSize]byte
	if len(c.Digest) > 0 {
		if len(c.Digest) != federation.HashSize || len(c.Body) > 0 || len(c.Persons) > 0 {
			return persons, nil, fmt.Errorf("%w: a content in two forms", ErrBundle)
		}
		return [federation.HashSize]byte(c.Digest), nil, nil
	}
	if len(c.Persons) > 0 {
		if len(c.Persons) != federation.HashSize || bytes.Equal(c.Persons, persons[:]) {
			return persons, nil, fmt.Errorf("%w: the digest of persons", ErrBundle)
		}
		persons = [federation.HashSize]byte(c.Persons)
	}
	body, err := wire.Decode(c.Body)
	if err != nil {
		return persons, nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	if Subject(body) != x.b.Subject {
		return persons, nil, fmt.Errorf("%w: a message about something else than %s", ErrBundle, x.b.Subject)
	}
	return federation.ContentDigest(x.Sealer.Hash, c.Body, persons), body, nil
}
