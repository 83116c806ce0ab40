package api

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"gongji/crypto"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
)

// The headers of a signed request (api.md section 1), and of every answer.
const (
	headerKey       = "Gongji-Key"
	headerTime      = "Gongji-Time"
	headerNonce     = "Gongji-Nonce"
	headerSignature = "Gongji-Signature"
	headerLeader    = "Gongji-Leader"
	headerReplay    = "Idempotent-Replay"
)

// UnsignedPlatform is the platform of unsigned requests. No registered platform may have its name.
const UnsignedPlatform = "unsigned"

// Platform is one key of one platform, as it is in force. A platform may have several keys.
type Platform struct {
	KeyID         string
	Platform      string
	Region        string // the region it speaks for; a key of another region is known, and refused
	Roles         []Role
	RatePerSecond int // of this key, 0 for no bound
	From, Until   time.Time
	Revoked       bool
	CertDigest    string // a KeyDigest that the connection must have; empty: any
	CertSubject   string // a subject that the connection must have; empty: any
	Verifier      crypto.Verifier
	National      *National // nil: the key does not speak the national convention
}

// KeyIDMax bounds the id of a key, in bytes.
const KeyIDMax = 64

// Check says what is wrong with a platform's key, whoever brings it; nil if nothing is.
func (p *Platform) Check() error {
	switch {
	case p.KeyID == "" || len(p.KeyID) > KeyIDMax || p.Verifier == nil || p.RatePerSecond < 0:
		return fmt.Errorf("api: platform key %q is not complete", p.KeyID)
	case p.Platform == "" || p.Platform == UnsignedPlatform:
		return fmt.Errorf("api: key %q has no platform of its own", p.KeyID)
	case !ValidRoles(p.Roles):
		return fmt.Errorf("api: key %q has an unknown role, or none, in %q", p.KeyID, p.Roles)
	case !person.ValidRegion(p.Region):
		return fmt.Errorf("api: key %q has no region", p.KeyID)
	case p.CertDigest != "" && !ValidDigest(p.CertDigest):
		return fmt.Errorf("api: the certificate digest of key %q is not 64 lower-case hex digits", p.KeyID)
	}
	return nil
}

// usable reports whether the key may speak now.
func (p *Platform) usable(now time.Time) bool {
	return !p.Revoked && !now.Before(p.From) && (p.Until.IsZero() || now.Before(p.Until))
}

// Signature is what a signed request leaves in its command.
type Signature struct {
	KeyID   string
	At      time.Time      // as the request says
	Nonce   [16]byte       // digest of key id and nonce
	Attempt uint64         // random for each arrival
	Request *SignedRequest // of a write: what was signed, to be kept as evidence; nil where it cannot be kept
}

// Bounds of the signing headers.
const (
	nonceMin     = 16
	nonceMax     = 64
	signatureMax = 128 // base64 of at most crypto.SigMax bytes
)

// heard is what this node remembers of one key.
type heard struct {
	rate     *bucket
	perSec   int
	remember *nonces
}

// auth finds out who is speaking. What is in force it asks for each time.
type auth struct {
	region   string
	unsigned bool
	keys     func(id string) *Platform // nil: unknown
	hash     Hasher
	clock    func() time.Time
	random   func() uint64
	term     term

	mu    sync.Mutex
	heard map[string]*heard // of keys that have signed: at most as many as are registered
}

func newAuth(d Deps) *auth {
	return &auth{
		region: d.Region, unsigned: d.UnsignedAllowed, hash: d.Hasher, clock: d.Clock, keys: d.Keys, random: d.Attempt,
		heard: map[string]*heard{},
	}
}

// claim is what a request says of itself, before anything of it was checked.
type claim struct {
	key     *Platform
	at      time.Time
	nonce   []byte // what makes it one of its kind
	message []byte
	sig     []byte
	request *SignedRequest // what of it is evidence
}

// refusedClaim is a refusal with a reason for the audit log, which the caller is not told.
type refusedClaim struct {
	code   policy.Code
	reason string
	key    string
}

func (r *refusedClaim) answer() *Error { return &Error{Code: r.code} }

// identify returns the caller, or why there is none.
func (a *auth) identify(r *http.Request, body []byte, op Operation) (Caller, *refusedClaim) {
	h := r.Header
	if h.Get(headerKey) == "" && h.Get(headerSignature) == "" && h.Get(headerTime) == "" && h.Get(headerNonce) == "" {
		if !a.unsigned {
			return Caller{}, &refusedClaim{policy.CodeUnauthenticated, "unsigned", ""}
		}
		return Caller{Platform: UnsignedPlatform, Unsigned: true}, nil
	}
	c := claim{key: a.keys(h.Get(headerKey)), nonce: []byte(h.Get(headerNonce))}
	var err error
	c.at, err = time.Parse(time.RFC3339, h.Get(headerTime))
	switch {
	case c.key == nil:
		return Caller{}, &refusedClaim{policy.CodeUnauthenticated, "unknown_key", ""}
	case !validNonce(h.Get(headerNonce)) || err != nil:
		return Caller{}, &refusedClaim{policy.CodeUnauthenticated, "form", c.key.KeyID}
	}
	c.message = message(r, body, a.hash)
	if c.sig, err = signatureOf(h.Get(headerSignature)); err != nil {
		return Caller{}, &refusedClaim{policy.CodeUnauthenticated, "form", c.key.KeyID}
	}
	if op.Write {
		sum := a.hash.Sum(body)
		c.request = evidenceOf(r, sum, c.sig)
	}
	return a.judge(c, peerOf(r), op)
}

// judge holds a claim against what is in force. The order keeps strangers cheap and harmless: nobody's rate or nonce is
// touched before the signature was found right.
func (a *auth) judge(c claim, at peer, op Operation) (Caller, *refusedClaim) {
	now := a.clock()
	wrong := func(code policy.Code, reason string) (Caller, *refusedClaim) {
		return Caller{}, &refusedClaim{code, reason, c.key.KeyID}
	}
	if !c.key.usable(now) {
		return wrong(policy.CodeUnauthenticated, "key_not_in_force")
	}
	if off := now.Sub(c.at); off > nonceWindow || off < -nonceWindow {
		return wrong(policy.CodeStaleRequest, "time")
	}
	if c.key.Verifier.Verify(c.message, c.sig) != nil {
		return wrong(policy.CodeUnauthenticated, "signature")
	}
	if !c.key.bound(at) {
		return wrong(policy.CodeUnauthenticated, "certificate")
	}
	if !op.Write && c.at.Before(a.term.began()) {
		return wrong(policy.CodeStaleRequest, "before_term") // the nonces of another leader's reads are not known here
	}
	signed := Signature{KeyID: c.key.KeyID, At: c.at, Attempt: a.random(), Request: c.request}
	sum := a.hash.Sum(append(append([]byte(c.key.KeyID), 0), c.nonce...))
	copy(signed.Nonce[:], sum[:])
	if code, reason := a.admit(c.key, &signed, now); code != "" {
		return wrong(code, reason)
	}
	switch {
	case c.key.Region != a.region:
		return wrong(policy.CodeRegionMismatch, "region")
	case !mayAny(c.key.Roles, op):
		return wrong(policy.CodeForbidden, "role")
	}
	// The leader's memory ends with its term. What is dated ahead could come again after it: its nonce goes to the log.
	return Caller{Platform: c.key.Platform, Signed: &signed, Ahead: c.at.After(now)}, nil
}

// admit holds a request that is surely its platform's against the platform's rate and nonces.
func (a *auth) admit(key *Platform, s *Signature, now time.Time) (policy.Code, string) {
	a.mu.Lock()
	h := a.heard[key.KeyID]
	if h == nil || h.perSec != key.RatePerSecond {
		next := &heard{rate: newBucket(key.RatePerSecond), perSec: key.RatePerSecond}
		if next.remember = newNonces(noncesOf(key.RatePerSecond)); h != nil {
			next.remember = h.remember.resized(noncesOf(key.RatePerSecond))
		}
		h = next
		a.heard[key.KeyID] = h
	}
	a.mu.Unlock()
	if !h.rate.take(now) {
		return policy.CodeRateLimited, "rate"
	}
	switch h.remember.add(s.Nonce, s.At, now) {
	case nonceSeen:
		return policy.CodeStaleRequest, "replay"
	case nonceFull:
		return policy.CodeRateLimited, "nonces"
	case nonceNew:
	}
	return "", ""
}

// errUnsigned: the signature is not there in its form.
var errUnsigned = errors.New("api: no signature")

func signatureOf(text string) ([]byte, error) {
	if text == "" || len(text) > signatureMax {
		return nil, errUnsigned
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}

// message is what is signed.
func message(r *http.Request, body []byte, hash Hasher) []byte {
	sum := hash.Sum(body)
	return []byte(r.Method + "\n" + target(r) + "\n" + r.Header.Get(headerTime) + "\n" + r.Header.Get(headerNonce) +
		"\n" + hex.EncodeToString(sum[:]) + "\n")
}

// target is path?query as it was sent, which is what was signed.
func target(r *http.Request) string {
	if len(r.RequestURI) > 0 && r.RequestURI[0] == '/' {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

func validNonce(s string) bool {
	if len(s) < nonceMin || len(s) > nonceMax {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// audit notes and counts a refusal, with a reason that is no secret of the caller's and holds nothing of the request.
func (f *Face) audit(event, reason string, attrs ...slog.Attr) {
	f.metrics.refused.WithLabelValues(reason).Inc()
	if f.note != nil {
		f.note(event, append(attrs, slog.String("reason", reason))...)
	}
}

func (f *Face) auditClaim(op *operation, r *refusedClaim) {
	f.audit("platform_refused", r.reason, slog.String("operation", op.ID), slog.String("key", r.key),
		slog.String("code", string(r.code)))
}
