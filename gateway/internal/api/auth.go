package api

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
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

// UnsignedPlatform is the platform of unsigned requests. No platform of the configuration may have its name.
const UnsignedPlatform = "unsigned"

// Role says what a platform may do.
type Role string

// The roles.
const (
	RoleRead  Role = "read"  // everything that changes nothing, quotes and searches included
	RoleWrite Role = "write" // everything
)

// Platform is one key of one platform. A platform may have several keys.
type Platform struct {
	KeyID         string
	Platform      string
	Region        string // the region it speaks for; a key of another region is known, and refused
	Role          Role
	RatePerSecond int // of this key, 0 for no bound
	Revoked       bool
	Verifier      crypto.Verifier
}

// Bounds of the signing headers.
const (
	keyIDMax     = 128
	nonceMin     = 16
	nonceMax     = 64
	signatureMax = 128 // base64 of at most crypto.SigMax bytes
)

// platformKey is a Platform with what is remembered of it.
type platformKey struct {
	Platform

	rate   *bucket
	nonces *nonces
}

// auth finds out who is speaking.
type auth struct {
	region   string
	unsigned bool
	keys     map[string]*platformKey // fixed at start
	hash     Hasher
	clock    func() time.Time
}

func newAuth(d Deps) (*auth, error) {
	a := &auth{
		region: d.Region, unsigned: d.UnsignedAllowed, hash: d.Hasher, clock: d.Clock,
		keys: make(map[string]*platformKey, len(d.Platforms)),
	}
	for _, p := range d.Platforms {
		switch {
		case p.KeyID == "" || len(p.KeyID) > keyIDMax || p.Verifier == nil || p.RatePerSecond < 0:
			return nil, fmt.Errorf("api: platform key %q is not complete", p.KeyID)
		case p.Platform == "" || p.Platform == UnsignedPlatform:
			return nil, fmt.Errorf("api: key %q has no platform of its own", p.KeyID)
		case p.Role != RoleRead && p.Role != RoleWrite:
			return nil, fmt.Errorf("api: key %q has the unknown role %q", p.KeyID, p.Role)
		case !person.ValidRegion(p.Region):
			return nil, fmt.Errorf("api: key %q has no region", p.KeyID)
		case a.keys[p.KeyID] != nil:
			return nil, fmt.Errorf("api: key %q stands twice", p.KeyID)
		}
		a.keys[p.KeyID] = &platformKey{
			Platform: p, rate: newBucket(p.RatePerSecond), nonces: newNonces(noncesOf(p.RatePerSecond)),
		}
	}
	return a, nil
}

// identify returns the caller, or why there is none. The order keeps strangers cheap and harmless: nobody's rate or
// nonce is touched before the signature was found right.
func (a *auth) identify(r *http.Request, body []byte, write bool) (Caller, *Error) {
	h := r.Header
	if h.Get(headerKey) == "" && h.Get(headerSignature) == "" && h.Get(headerTime) == "" && h.Get(headerNonce) == "" {
		if !a.unsigned {
			return Caller{}, &Error{Code: policy.CodeUnauthenticated}
		}
		return Caller{Platform: UnsignedPlatform, Unsigned: true}, nil
	}
	key, known := a.keys[h.Get(headerKey)]
	nonce := h.Get(headerNonce)
	at, err := time.Parse(time.RFC3339, h.Get(headerTime))
	if !known || key.Revoked || !validNonce(nonce) || err != nil {
		return Caller{}, &Error{Code: policy.CodeUnauthenticated}
	}
	now := a.clock()
	if off := now.Sub(at); off > nonceWindow || off < -nonceWindow {
		return Caller{}, &Error{Code: policy.CodeStaleRequest}
	}
	if a.verify(key, r, body) != nil {
		return Caller{}, &Error{Code: policy.CodeUnauthenticated}
	}
	if e := a.admit(key, nonce, at, now); e != nil {
		return Caller{}, e
	}
	switch {
	case key.Region != a.region:
		return Caller{}, &Error{Code: policy.CodeRegionMismatch}
	case write && key.Role != RoleWrite:
		return Caller{}, &Error{Code: policy.CodeForbidden}
	}
	return Caller{Platform: key.Platform.Platform}, nil
}

// admit holds a request that is surely its platform's against the platform's rate and nonces.
func (a *auth) admit(key *platformKey, nonce string, at, now time.Time) *Error {
	if !key.rate.take(now) {
		return &Error{Code: policy.CodeRateLimited}
	}
	sum := a.hash.Sum([]byte(nonce))
	switch key.nonces.add(nonceID(sum[:16]), at, now) {
	case nonceSeen:
		return &Error{Code: policy.CodeStaleRequest}
	case nonceFull:
		return &Error{Code: policy.CodeRateLimited}
	case nonceNew:
	}
	return nil
}

// errUnsigned: the signature is not there in its form, or wrong.
var errUnsigned = errors.New("api: no signature")

func (a *auth) verify(key *platformKey, r *http.Request, body []byte) error {
	text := r.Header.Get(headerSignature)
	if text == "" || len(text) > signatureMax {
		return errUnsigned
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return errUnsigned
	}
	sum := a.hash.Sum(body)
	message := r.Method + "\n" + target(r) + "\n" + r.Header.Get(headerTime) + "\n" + r.Header.Get(headerNonce) + "\n" +
		hex.EncodeToString(sum[:]) + "\n"
	return key.Verifier.Verify([]byte(message), sig)
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
