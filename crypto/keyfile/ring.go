// Package keyfile is a crypto.KeyRing whose keys stand in files, each wrapped with SM4-GCM under a
// key-encryption key that comes from a passphrase (Argon2id) or is handed in. It also keeps a ring
// in memory, for tests.
//
// The ring works with keys and hands none out: a caller knows ids. What leaves it is a key file
// wrapped under another key-encryption key (Export), which Restore takes. A key's id carries its
// use and its month.
//
// Each file is one key: a strict header (version, derivation, use, sequence, time, id), which is
// authenticated, and the sealed secret. The folder is the owner's alone (0700, files 0600) or the
// ring does not open.
package keyfile

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// Errors of a ring.
var (
	// ErrDestroyed: the key was destroyed and does not come back.
	ErrDestroyed = crypto.ErrDestroyed
	// ErrExists: the ring has a key of that id.
	ErrExists = errors.New("keyfile: key exists")
	// ErrFull: the ring has KeysMax keys, or its sequence numbers are used up.
	ErrFull = crypto.ErrFull
	// ErrUse: no such use.
	ErrUse = crypto.ErrUse
)

// Ring is a crypto.KeyRing. Safe for concurrent use; several processes may open one folder, and see
// each other's changes with Reload.
type Ring struct {
	suite  crypto.Suite
	dir    *directory // nil in memory
	kek    *KEK       // nil in memory
	now    func() time.Time
	random io.Reader
	limit  int // KeysMax, or less in a test
	order  crypto.Order

	months sync.Mutex // of those who ask for a month's key
	mu     sync.Mutex // of those who change the table
	looked time.Time  // when an unknown id last had the folder read; under mu
	table  atomic.Pointer[table]
}

var _ crypto.KeyKeeper = (*Ring)(nil)

// table is never changed once it is stored.
type table struct {
	keys      map[string]*key
	current   map[crypto.Use]*key
	destroyed map[string]struct{}
	fresh     derivation // of the next file
	sequence  uint32     // the highest
}

// Option changes how a ring works.
type Option func(*Ring)

// WithClock has new keys dated by now instead of time.Now.
func WithClock(now func() time.Time) Option { return func(r *Ring) { r.now = now } }

// WithRandom has keys, ids and nonces drawn from random instead of crypto/rand: for simulations
// that have to repeat, never for a ring that guards anything. Signatures and wraps still take the
// system's randomness.
func WithRandom(random io.Reader) Option {
	return func(r *Ring) { r.random = &lockedReader{inner: random} }
}

// WithOrder has the journal name who and why for everything but destructions, which have their own
// order. Without it both are this program.
func WithOrder(order crypto.Order) Option {
	return func(r *Ring) { r.order = crypto.Order{Who: printable(order.Who), Reason: printable(order.Reason)} }
}

type lockedReader struct {
	mu    sync.Mutex
	inner io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inner.Read(p)
}

// NewMemory returns an empty ring that writes nothing: for tests and simulations.
func NewMemory(suite crypto.Suite, options ...Option) *Ring {
	r := newRing(suite, options)
	r.table.Store(&table{})
	return r
}

// Open opens the ring in the folder dir, and makes the folder if it is not there. A key file that
// does not open is an error: a node must not start with a part of its keys. Errors: ErrPermissions,
// ErrFormat, ErrKEK, ErrFull, those of os.
func Open(dir string, kek *KEK, suite crypto.Suite, options ...Option) (*Ring, error) {
	if kek == nil {
		return nil, ErrKEK
	}
	r := newRing(suite, options)
	folder, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	r.dir, r.kek = folder, kek
	r.table.Store(&table{})
	err = r.Reload()
	if err != nil {
		return nil, errors.Join(err, folder.close())
	}
	return r, nil
}

func newRing(suite crypto.Suite, options []Option) *Ring {
	r := &Ring{
		suite: suite, now: time.Now, random: rand.Reader, limit: KeysMax,
		order: crypto.Order{Who: "program", Reason: "none given"},
	}
	for _, option := range options {
		option(r)
	}
	return r
}

// Close lets go of the folder. The ring's keys still work.
func (r *Ring) Close() error {
	if r.dir == nil {
		return nil
	}
	return r.dir.close()
}

// Reload reads the folder again, every file of it: keys that another process made appear, those that
// it destroyed go. Errors as Open.
func (r *Ring) Reload() error {
	if r.dir == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refresh(true)
}

// refresh reads the folder; the files of known keys only when all are to be checked. The caller
// holds mu.
func (r *Ring) refresh(all bool) error {
	pending, err := r.dir.pending()
	if err != nil {
		return err
	}
	if pending {
		return ErrRewrap
	}
	ids, destroyed, err := r.dir.list(r.limit)
	if err != nil {
		return err
	}
	old := r.table.Load()
	keys := make(map[string]*key, len(ids))
	fresh := old.fresh
	if fresh == (derivation{}) {
		fresh = r.kek.fresh
	}
	for _, id := range ids {
		if _, gone := destroyed[id]; gone {
			err = r.dir.remove(id) // a crash came between the mark and the removal
			if err != nil {
				return err
			}
			continue
		}
		known, ok := old.keys[id]
		if ok && !all {
			keys[id] = known
			continue
		}
		h, secret, err := r.readKey(id)
		if err != nil {
			return err
		}
		fresh = h.derivation
		if ok {
			keys[id] = known
			continue
		}
		keys[id], err = newKey(r.suite, h, secret, r.random)
		if err != nil {
			return fmt.Errorf("%w: %s", err, id)
		}
	}
	r.store(keys, destroyed, fresh)
	return nil
}

func (r *Ring) readKey(id string) (header, []byte, error) {
	raw, err := r.dir.read(id)
	if err != nil {
		return header{}, nil, err
	}
	h, secret, err := unwrap(r.suite, r.kek, raw)
	if err != nil {
		return header{}, nil, fmt.Errorf("%w: %s", err, id)
	}
	if h.id != id {
		return header{}, nil, fmt.Errorf("%w: %s holds another key", ErrFormat, id)
	}
	return h, secret, nil
}

// store makes the next table, and wipes the keys that are no longer in it. The caller holds mu.
func (r *Ring) store(keys map[string]*key, destroyed map[string]struct{}, fresh derivation) {
	old := r.table.Load()
	next := &table{keys: keys, destroyed: destroyed, fresh: fresh, current: make(map[crypto.Use]*key)}
	for _, k := range keys {
		next.sequence = max(next.sequence, k.sequence)
		if at, ok := next.current[k.use]; !ok || newer(k, at) < 0 {
			next.current[k.use] = k
		}
	}
	r.table.Store(next)
	for id, k := range old.keys {
		if keys[id] != k {
			k.wipe()
		}
	}
}

// newer orders keys, newest first. Two processes may have given one sequence number twice.
func newer(a, b *key) int {
	return cmp.Or(cmp.Compare(b.sequence, a.sequence), cmp.Compare(b.id, a.id))
}

// IDs returns the ids of a use, newest first. It never fails.
func (r *Ring) IDs(use crypto.Use) ([]string, error) { return r.ids(use), nil }

func (r *Ring) ids(use crypto.Use) []string {
	var found []*key
	for _, k := range r.table.Load().keys {
		if k.use == use {
			found = append(found, k)
		}
	}
	slices.SortFunc(found, newer)
	ids := make([]string, len(found))
	for i, k := range found {
		ids[i] = k.id
	}
	return ids
}

// Generate makes a new key, which is then the current one of its use, and returns its id. Errors:
// ErrUse, ErrFull, those of os.
func (r *Ring) Generate(use crypto.Use) (string, error) { return r.generate(use, r.now()) }

// Monthly returns the data key of the month of t (China Standard Time), and makes it if there is
// none. Errors as Generate.
func (r *Ring) Monthly(t time.Time) (string, error) {
	r.months.Lock()
	defer r.months.Unlock()
	prefix := idPrefix(crypto.UseData, t)
	id, ok := r.beginning(prefix)
	if !ok && r.dir != nil { // another process may have made it
		r.mu.Lock()
		err := r.refresh(false)
		r.mu.Unlock()
		if err != nil {
			return "", err
		}
		id, ok = r.beginning(prefix)
	}
	if ok {
		return id, nil
	}
	return r.generate(crypto.UseData, t)
}

// beginning is the newest data key whose id begins so.
func (r *Ring) beginning(prefix string) (string, bool) {
	for _, id := range r.ids(crypto.UseData) {
		if strings.HasPrefix(id, prefix) {
			return id, true
		}
	}
	return "", false
}

func (r *Ring) generate(use crypto.Use, month time.Time) (string, error) {
	size := secretSize(use)
	if size == 0 {
		return "", ErrUse
	}
	if use == crypto.UseSign || use == crypto.UseDecrypt {
		secret, err := sm.NewScalar(r.random)
		if err != nil {
			return "", fmt.Errorf("keyfile: %w", err)
		}
		return r.add(ActGenerate, use, month, secret)
	}
	secret := make([]byte, size)
	_, err := io.ReadFull(r.random, secret)
	if err != nil {
		return "", fmt.Errorf("keyfile: %w", err)
	}
	return r.add(ActGenerate, use, month, secret)
}

// Import adds a secret that was made elsewhere, as a new key, and returns its id. It is 32 bytes
// for UseSign, UseDecrypt, UseToken and UseEvidence and 16 for UseData. Errors: ErrUse,
// crypto.ErrKey, as Generate.
func (r *Ring) Import(use crypto.Use, secret []byte) (string, error) {
	if secretSize(use) == 0 {
		return "", ErrUse
	}
	if len(secret) != secretSize(use) {
		return "", crypto.ErrKey
	}
	return r.add(ActImport, use, r.now(), slices.Clone(secret))
}

// zone is China Standard Time: months end when they end for the people concerned.
func zone() *time.Location { return time.FixedZone("CST", 8*60*60) }

// idPrefix is what the ids of a use and month begin with, as data-202611-.
func idPrefix(use crypto.Use, t time.Time) string {
	return string(use) + "-" + t.In(zone()).Format("200601") + "-"
}

// idRandom is the random part of an id, in bytes.
const idRandom = 8

// add makes a key of a secret, which it keeps.
func (r *Ring) add(act Act, use crypto.Use, month time.Time, secret []byte) (string, error) {
	var tail [idRandom]byte
	_, err := io.ReadFull(r.random, tail[:])
	if err != nil {
		return "", fmt.Errorf("keyfile: %w", err)
	}
	id := idPrefix(use, month) + hex.EncodeToString(tail[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	h := header{use: use, id: id, created: r.now().UTC().Truncate(time.Second)}
	err = r.change(act, id, r.order, func() error { return r.insert(h, secret) })
	if err != nil {
		return "", err
	}
	return id, nil
}

// insert writes a key and makes it known, with the next sequence number. The caller holds mu.
func (r *Ring) insert(h header, secret []byte) error {
	old := r.table.Load()
	if _, gone := old.destroyed[h.id]; gone {
		return ErrDestroyed
	}
	if _, ok := old.keys[h.id]; ok {
		return ErrExists
	}
	if len(old.keys)+len(old.destroyed) >= r.limit || old.sequence == 1<<32-1 {
		return ErrFull
	}
	if !validID(h.id) || h.created.Unix() < 0 || h.created.Unix() > timeMax {
		return ErrFormat
	}
	fresh := old.fresh
	if r.kek != nil && fresh == (derivation{}) {
		fresh = r.kek.fresh
	}
	h.derivation = fresh
	if h.sequence == 0 {
		h.sequence = old.sequence + 1
	}
	k, err := newKey(r.suite, h, secret, r.random)
	if err != nil {
		return err
	}
	if r.dir != nil {
		raw, err := wrap(r.suite, r.kek, h, secret, r.random)
		if err != nil {
			return err
		}
		err = r.dir.write(h.id+suffix, raw)
		if err != nil {
			return err
		}
	}
	keys := make(map[string]*key, len(old.keys)+1)
	maps.Copy(keys, old.keys)
	keys[h.id] = k
	r.store(keys, old.destroyed, fresh)
	return nil
}
