package federation

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// directoryContext stands before the bytes that the root signs.
const directoryContext = "gongji-directory-v1\x00"

// Roots are the federation's root keys: a directory needs good signatures of Threshold different
// ones (1 of 1, 2 of 3).
type Roots struct {
	Keys      []RootKey
	Threshold int
}

// RootKey is one key of the root.
type RootKey struct {
	ID     string
	Public []byte
}

// ErrRoots: no keys, a threshold out of range, or a key that stands twice.
var ErrRoots = errors.New("federation: bad roots")

// Check returns ErrRoots unless the roots can be used.
func (r Roots) Check() error {
	if r.Threshold < 1 || r.Threshold > len(r.Keys) || len(r.Keys) > rootsMax {
		return fmt.Errorf("%w: %d of %d", ErrRoots, r.Threshold, len(r.Keys))
	}
	for i, k := range r.Keys {
		if !validKeyID(k.ID) || len(k.Public) == 0 || len(k.Public) > publicMax {
			return fmt.Errorf("%w: key at %d", ErrRoots, i)
		}
		for _, o := range r.Keys[:i] {
			if o.ID == k.ID || bytes.Equal(o.Public, k.Public) {
				return fmt.Errorf("%w: key %s stands twice", ErrRoots, k.ID)
			}
		}
	}
	return nil
}

// signedDirectory is the file's form. Directory is the deflated JSON of the DirectoryData, and exactly what is signed:
// nothing is unpacked before its signatures are good. This JSON, and that of the directory within, has one form
// only: what encoding/json writes for these types. So no field can stand twice, be unknown, or be
// read differently by somebody else.
type signedDirectory struct {
	Directory  []byte               `json:"directory"`
	Signatures []directorySignature `json:"signatures"`
}

type directorySignature struct {
	KeyID     string `json:"key_id"`
	Signature []byte `json:"signature"`
}

// SignFunc signs a message and names the key; a Sealer's Sign is one.
type SignFunc func(message []byte) (keyID string, signature []byte, err error)

// SignDirectory checks data, puts it in order and signs it with every signer. Previous is to be set
// by the caller, from the Digest of the version before. Errors: *RefusedError with RefusedMalformed
// for data that nobody would take, the signer's.
func SignDirectory(data DirectoryData, signers ...SignFunc) ([]byte, error) {
	data = ordered(data)
	if _, err := index(data); err != nil {
		return nil, err
	}
	text, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("federation: directory: %w", err)
	}
	body, err := deflated(text)
	if err != nil {
		return nil, err
	}
	if len(signers) > rootsMax {
		return nil, refuse(RefusedMalformed, "signatures")
	}
	out := signedDirectory{Directory: body, Signatures: make([]directorySignature, 0, len(signers))}
	for _, sign := range signers {
		if err = out.add(sign); err != nil {
			return nil, err
		}
	}
	return out.encode()
}

func (e *signedDirectory) add(sign SignFunc) error {
	id, signature, err := sign(directoryMessage(e.Directory))
	if err != nil {
		return fmt.Errorf("federation: sign directory: %w", err)
	}
	e.Signatures = slices.DeleteFunc(e.Signatures, func(s directorySignature) bool { return s.KeyID == id })
	if len(e.Signatures) == rootsMax {
		return refuse(RefusedMalformed, "signatures")
	}
	e.Signatures = append(e.Signatures, directorySignature{KeyID: id, Signature: signature})
	return nil
}

func (e *signedDirectory) encode() ([]byte, error) {
	envelope, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("federation: directory: %w", err)
	}
	if len(envelope) > DirectoryMax {
		return nil, refuse(RefusedMalformed, "too large")
	}
	return envelope, nil
}

// CountersignDirectory adds a signature to a directory that has none, or too few yet; one of the same key is replaced.
// What is signed is checked for form only: look at it with LoadDirectory first. Errors: *RefusedError, the signer's.
func CountersignDirectory(h Hash, signed []byte, sign SignFunc) ([]byte, error) {
	e, err := decodeSigned(signed)
	if err != nil {
		return nil, err
	}
	if _, err = decodeDirectory(h, e, signed); err != nil {
		return nil, err
	}
	if err = e.add(sign); err != nil {
		return nil, err
	}
	return e.encode()
}

// DirectorySigners are the ids of the roots whose good signature stands on a directory, in the order of roots. Errors:
// *RefusedError, ErrRoots.
func DirectorySigners(s Sealer, roots Roots, signed []byte) ([]string, error) {
	if err := roots.Check(); err != nil {
		return nil, err
	}
	e, err := decodeSigned(signed)
	if err != nil {
		return nil, err
	}
	return signers(s, roots, e), nil
}

// deflated is how the text of a directory travels: a national one, with certificates and every pair open, is 6 MB of
// text and 0.6 MB so.
func deflated(text []byte) ([]byte, error) {
	if len(text) > DirectoryTextMax {
		return nil, refuse(RefusedMalformed, "too large")
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("federation: directory: %w", err)
	}
	if _, err = w.Write(text); err != nil {
		return nil, fmt.Errorf("federation: directory: %w", err)
	}
	if err = w.Close(); err != nil {
		return nil, fmt.Errorf("federation: directory: %w", err)
	}
	return b.Bytes(), nil
}

// inflated is the text of a directory, at most DirectoryTextMax bytes of it, with nothing behind.
func inflated(body []byte) ([]byte, bool) {
	packed := bytes.NewReader(body) // an io.ByteReader: nothing behind the end is read
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(packed), DirectoryTextMax+1))
	return text, err == nil && len(text) <= DirectoryTextMax && packed.Len() == 0
}

// ordered returns data in the order that parsing asks for, without changing the caller's slices.
// Times become whole seconds of UTC.
func ordered(data DirectoryData) DirectoryData {
	second := func(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
	data.Issued, data.Expires = second(data.Issued), second(data.Expires)
	data.Members = append([]Member{}, data.Members...)
	slices.SortFunc(data.Members, func(x, y Member) int { return cmp.Compare(x.Code, y.Code) })
	for i := range data.Members {
		m := &data.Members[i]
		m.Aliases = append([]string{}, m.Aliases...)
		slices.Sort(m.Aliases)
		m.Keys = append([]Key{}, m.Keys...)
		slices.SortFunc(m.Keys, func(x, y Key) int { return cmp.Compare(x.ID, y.ID) })
		for j := range m.Keys {
			m.Keys[j].NotBefore, m.Keys[j].NotAfter = second(m.Keys[j].NotBefore), second(m.Keys[j].NotAfter)
			if m.Keys[j].Certificate == nil {
				m.Keys[j].Certificate = []byte{} // "", not null: each content has one form
			}
		}
	}
	data.Pairs = append([]Pair{}, data.Pairs...)
	for i, p := range data.Pairs {
		if p.B < p.A {
			data.Pairs[i].A, data.Pairs[i].B = p.B, p.A
		}
	}
	slices.SortFunc(data.Pairs, comparePairs)
	data.Authorities = append([][]byte{}, data.Authorities...)
	slices.SortFunc(data.Authorities, bytes.Compare)
	data.RevocationLists = append([][]byte{}, data.RevocationLists...)
	slices.SortFunc(data.RevocationLists, bytes.Compare)
	return data
}

func directoryMessage(body []byte) []byte { return append([]byte(directoryContext), body...) }

// ParseDirectory reads a signed directory that a region is offered. previous is the one in force,
// or nil at the first. Refused are: bad form (RefusedMalformed), fewer good signatures than the
// threshold (RefusedDirUnsigned), a version below previous (RefusedDirOlder), another content under
// the same version or a next version that does not name previous (RefusedDirForked), and a
// directory past its end (RefusedDirExpired). A version that skips some cannot be held against
// previous; the root's signature vouches for it. Errors: *RefusedError, ErrRoots.
func ParseDirectory(s Sealer, roots Roots, signed []byte, previous *Directory, now time.Time) (*Directory, error) {
	d, err := ReadDirectory(s, roots, signed, previous)
	if err != nil {
		return nil, err
	}
	if d.Expired(now) {
		return nil, refuse(RefusedDirExpired, d.data.Expires.Format(time.RFC3339))
	}
	return d, nil
}

// ReadDirectory is ParseDirectory without a clock: it takes an expired directory too. For a region
// that starts again while its newest directory has run out: parcels must still open, so that
// captures and releases go on. Ask Expired.
func ReadDirectory(s Sealer, roots Roots, signed []byte, previous *Directory) (*Directory, error) {
	if err := roots.Check(); err != nil {
		return nil, err
	}
	e, err := decodeSigned(signed)
	if err != nil {
		return nil, err
	}
	if !rootsAgree(s, roots, e) {
		return nil, refuse(RefusedDirUnsigned, "")
	}
	d, err := decodeDirectory(s.Hash, e, signed)
	if err != nil {
		return nil, err
	}
	if err := d.Follows(previous); err != nil {
		return nil, err
	}
	return d, nil
}

// LoadDirectory reads a directory that was already accepted (it stands in the region's own log),
// checking its form and not its signatures. Error: *RefusedError with RefusedMalformed.
func LoadDirectory(h Hash, signed []byte) (*Directory, error) {
	e, err := decodeSigned(signed)
	if err != nil {
		return nil, err
	}
	return decodeDirectory(h, e, signed)
}

// Follows returns nil if d may come after previous: a later version that names it if it is the next one, or the very
// same. previous may be nil. Error: *RefusedError with RefusedDirOlder or RefusedDirForked.
func (d *Directory) Follows(previous *Directory) error {
	switch {
	case previous == nil:
		return nil
	case d.Version() < previous.Version():
		return refuse(RefusedDirOlder, fmt.Sprintf("version %d after %d", d.Version(), previous.Version()))
	case d.Version() == previous.Version() && d.digest != previous.digest,
		d.Version() == previous.Version()+1 && d.data.Previous != hex.EncodeToString(previous.digest[:]):
		return refuse(RefusedDirForked, fmt.Sprintf("version %d", d.Version()))
	}
	return nil
}

func decodeSigned(signed []byte) (signedDirectory, error) {
	var e signedDirectory
	if len(signed) > DirectoryMax || !decodeCanonical(bytes.TrimSpace(signed), &e) || len(e.Signatures) > rootsMax {
		return e, refuse(RefusedMalformed, "directory envelope")
	}
	for _, s := range e.Signatures {
		if !validKeyID(s.KeyID) || len(s.Signature) == 0 || len(s.Signature) > signatureMax {
			return e, refuse(RefusedMalformed, "directory signature")
		}
	}
	return e, nil
}

// decodeCanonical reads JSON into v and reports whether it is exactly what json.Marshal writes for
// v.
func decodeCanonical(b []byte, v any) bool {
	if json.Unmarshal(b, v) != nil {
		return false
	}
	again, err := json.Marshal(v)
	return err == nil && bytes.Equal(b, again)
}

func rootsAgree(s Sealer, roots Roots, e signedDirectory) bool {
	return len(signers(s, roots, e)) >= roots.Threshold
}

// signers are the roots, not the signatures: one root signing twice is one.
func signers(s Sealer, roots Roots, e signedDirectory) []string {
	message := directoryMessage(e.Directory)
	var good []string
	for _, k := range roots.Keys {
		if slices.ContainsFunc(e.Signatures, func(g directorySignature) bool {
			return g.KeyID == k.ID && s.Verify(k.Public, message, g.Signature) == nil
		}) {
			good = append(good, k.ID)
		}
	}
	return good
}

func decodeDirectory(h Hash, e signedDirectory, signed []byte) (*Directory, error) {
	var data DirectoryData
	text, ok := inflated(e.Directory)
	if !ok || !decodeCanonical(text, &data) {
		return nil, refuse(RefusedMalformed, "directory")
	}
	d, err := index(data)
	if err != nil {
		return nil, err
	}
	d.digest = h(e.Directory)
	d.signed = cloneBytes(signed)
	return d, nil
}
