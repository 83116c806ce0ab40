package ledger

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"gongji/consensus"
	"gongji/gateway/internal/operator"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// Bounds of platforms and nonces.
const (
	platformsMax = 4096
	// NonceWindow is what the time of a request may be off by, in either direction (api.md section 1).
	NonceWindow = 300 * time.Second
	// noncesKeyMax bounds what is remembered of one key, noncesMax of all; beyond either a request is rate_limited. A
	// nonce costs some 100 bytes of memory, and lives for as long as its time can be of use: NonceWindow, or twice that
	// if it was dated ahead.
	noncesKeyMax = 1 << 20
	noncesMax    = 1 << 21
	forgottenMax = 512 // nonces that one command forgets
)

func (x *tx) dispatchPlatform(now time.Time, cmd Command) (Outcome, bool) {
	switch c := cmd.(type) {
	case *RegisterPlatform:
		return x.registerPlatform(now, c), true
	case *RevokePlatform:
		return x.revokePlatform(now, c), true
	case *SpendNonce:
		return refuse(x.admit(&c.Signed)), true
	}
	return Outcome{}, false
}

func readPlatforms(r consensus.Reader) (map[string]*PlatformKey, error) {
	keys := map[string]*PlatformKey{}
	var failed error
	lo := []byte{keyPlatform}
	r.Scan(lo, prefixEnd(lo), func(key, value []byte) bool {
		k := new(PlatformKey)
		failed = record.Decode(value, k)
		keys[string(key[1:])] = k
		return failed == nil
	})
	return keys, failed
}

// Platforms are the keys of platforms by id, revoked ones too.
func (v View) Platforms() (map[string]*PlatformKey, error) { return readPlatforms(v.r) }

// registerPlatform takes a new key, or changes roles, rate, validity, binding and dialect of a known one. Whose a key
// is never changes, and a revoked one never comes back.
func (x *tx) registerPlatform(now time.Time, c *RegisterPlatform) Outcome {
	k := c.Platform
	if k.ID == "" || len(k.ID) > 2*idMax || k.Platform == "" || len(k.Public) == 0 || k.Rate < 0 {
		return refuse(policy.CodeInvalidRequest)
	}
	if c.Operator+c.Second != "" && !x.both(c.Operator, c.Second, operator.Secure) {
		return refuse(policy.CodeForbidden)
	}
	k.Registered, k.Revoked, k.Reason = now, time.Time{}, ""
	if old := x.l.keys[k.ID]; old != nil {
		if !old.Revoked.IsZero() {
			return refuse(policy.CodeWrongState)
		}
		if old.Platform != k.Platform || old.Region != k.Region || !bytes.Equal(old.Public, k.Public) {
			return refuse(policy.CodeConflict)
		}
		k.Registered = old.Registered
		if bytes.Equal(record.Encode(old), record.Encode(&k)) {
			return Outcome{ID: k.ID, Replay: true}
		}
	} else if len(x.l.keys) >= platformsMax {
		return refuse(policy.CodeRateLimited)
	}
	x.keepPlatform(&k)
	return Outcome{ID: k.ID}
}

// revokePlatform ends a key. Requests that it has signed and whose command is not yet applied are refused there.
func (x *tx) revokePlatform(now time.Time, c *RevokePlatform) Outcome {
	old := x.l.keys[c.KeyID]
	switch {
	case old == nil:
		return refuse(policy.CodeNotFound)
	case !old.Revoked.IsZero():
		return Outcome{ID: old.ID, Replay: true}
	}
	k := *old
	k.Revoked, k.Reason = now, c.Reason
	x.keepPlatform(&k)
	return Outcome{ID: k.ID}
}

func (x *tx) keepPlatform(k *PlatformKey) {
	x.Set(stateKey(keyPlatform, k.ID), record.Encode(k))
	keys := maps.Clone(x.l.keys)
	if keys == nil {
		keys = map[string]*PlatformKey{}
	}
	keys[k.ID] = k
	x.l.keys, x.l.changed = keys, true
}

// nonceRecord is what the state keeps of a nonce.
type nonceRecord struct {
	Key     string
	Attempt uint64
}

// Walk is the record.Record of a nonceRecord.
func (n *nonceRecord) Walk(c *record.Coder) {
	record.Str(c, &n.Key)
	c.U64(&n.Attempt)
}

// nonces is the state's keyNonce, found by nonce.
type nonces struct {
	seen   map[[NonceSize]byte]uint64 // attempt
	perKey map[string]int
	first  int64 // microseconds: what is forgotten first; 0 if there is none
}

func newNonces() nonces {
	return nonces{seen: map[[NonceSize]byte]uint64{}, perKey: map[string]int{}}
}

func nonceKey(until int64, nonce []byte) []byte {
	b := append(make([]byte, 0, 9+NonceSize), keyNonce)
	b = binary.BigEndian.AppendUint64(b, uint64(until)) //nolint:gosec // stamps are after 1970
	return append(b, nonce...)
}

// splitNonce reads a key of the state that nonceKey wrote.
func splitNonce(key []byte) (int64, [NonceSize]byte, bool) {
	if len(key) != 9+NonceSize {
		return 0, [NonceSize]byte{}, false
	}
	//nolint:gosec // written by nonceKey
	return int64(binary.BigEndian.Uint64(key[1:])), [NonceSize]byte(key[9:]), true
}

func readNonces(r consensus.Reader) (nonces, error) {
	n := newNonces()
	var failed error
	lo := []byte{keyNonce}
	r.Scan(lo, prefixEnd(lo), func(key, value []byte) bool {
		until, nonce, ok := splitNonce(key)
		rec := new(nonceRecord)
		if failed = record.Decode(value, rec); failed != nil || !ok {
			failed = cmpErr(failed)
			return false
		}
		if n.first == 0 {
			n.first = until
		}
		n.seen[nonce] = rec.Attempt
		n.perKey[rec.Key]++
		return true
	})
	return n, failed
}

func cmpErr(err error) error {
	if err != nil {
		return err
	}
	return record.ErrDamaged
}

// noncesOf is how many nonces one key may leave. A key that keeps its rate never reaches it.
func noncesOf(rate int) int {
	if rate <= 0 {
		return noncesKeyMax
	}
	return min((rate+1)*int(2*NonceWindow/time.Second), noncesKeyMax)
}

// admit judges who signed a request and whether it came before, and keeps its nonce: why not, or nothing. The stamp is
// the clock. A request is remembered until its time is too old for the stamp, and one that is too old is refused, so
// that nothing comes twice.
func (x *tx) admit(s *Signed) policy.Code {
	if s == nil {
		return ""
	}
	k := x.l.keys[s.Key]
	if k == nil || !k.Usable(x.now) {
		return policy.CodeUnauthenticated
	}
	until := s.At.Add(NonceWindow)
	if x.now.After(until) || s.At.After(x.now.Add(NonceWindow)) {
		return policy.CodeStaleRequest
	}
	n := &x.l.nonces
	if attempt, known := n.seen[s.Nonce]; known {
		if attempt != s.Attempt {
			return policy.CodeStaleRequest
		}
		return ""
	}
	if len(n.seen) >= noncesMax || n.perKey[s.Key] >= noncesOf(k.Rate) {
		return policy.CodeRateLimited
	}
	at := until.UnixMicro()
	x.Set(nonceKey(at, s.Nonce[:]), record.Encode(&nonceRecord{s.Key, s.Attempt}))
	n.seen[s.Nonce] = s.Attempt
	n.perKey[s.Key]++
	if n.first == 0 || at < n.first {
		n.first = at
	}
	return ""
}

// forgetNonces drops some of those whose requests are too old by now.
func (x *tx) forgetNonces(now time.Time) {
	n := &x.l.nonces
	if n.first == 0 || n.first >= now.UnixMicro() {
		return
	}
	var gone [][]byte
	lo := nonceKey(n.first, nil) // not before: what was forgotten leaves marks that are slow to pass
	n.first = 0
	x.Scan(lo, prefixEnd([]byte{keyNonce}), func(key, value []byte) bool {
		until, nonce, ok := splitNonce(key)
		rec := new(nonceRecord)
		if err := record.Decode(value, rec); err != nil || !ok {
			x.fail(cmpErr(err))
			return false
		}
		if until >= now.UnixMicro() || len(gone) == forgottenMax {
			n.first = until
			return false
		}
		gone = append(gone, slices.Clone(key))
		delete(n.seen, nonce)
		if n.perKey[rec.Key]--; n.perKey[rec.Key] == 0 {
			delete(n.perKey, rec.Key)
		}
		return true
	})
	for _, key := range gone {
		x.Delete(key)
	}
}
