package ledger

import (
	"time"

	"gongji/gateway/internal/record"
)

// Request is a platform's own name for a write, and the digest of what it asked (api.md section 1).
type Request struct {
	Platform string
	ID       string
	Digest   [32]byte
	Signed   *Signed // nil for an unsigned request, and for the region's own
}

// Walk is the record.Record of a Request.
func (r *Request) Walk(c *record.Coder) {
	record.Str(c, &r.Platform)
	record.Str(c, &r.ID)
	c.Fixed(r.Digest[:])
	record.Opt(c, &r.Signed)
}

// bare is the request as the state keeps it: what was signed is judged once, when its command is applied.
func (r *Request) bare() Request { return Request{Platform: r.Platform, ID: r.ID, Digest: r.Digest} }

// NonceSize is the size of what is kept of a nonce, in bytes: half an SM3 over key id and nonce.
const NonceSize = 16

// Signed is what a signed request leaves in its command, so that it works once, whoever leads (api.md section 1).
type Signed struct {
	Key   string    // id of the platform's key
	At    time.Time // as the request says
	Nonce [NonceSize]byte
	// Attempt is random for each arrival of a request at a leader. The same command again is no replay by itself (a
	// proposal may be repeated inside); the same nonce in another attempt is.
	Attempt uint64
	Request *SignedRequest // to be kept as evidence; nil for what leaves only its nonce, or cannot be kept
}

// Walk is the record.Record of what was signed.
func (s *Signed) Walk(c *record.Coder) {
	record.Str(c, &s.Key)
	c.Time(&s.At)
	c.Fixed(s.Nonce[:])
	c.U64(&s.Attempt)
	record.Opt(c, &s.Request)
}

// RegisterPlatform brings a platform's key into the region, or changes what a key may do: at the word of two security
// officers, or, without a name, of the configuration.
type RegisterPlatform struct {
	Platform PlatformKey
	Operator string
	Second   string
}

// Kind and Walk make a RegisterPlatform a Command.
func (*RegisterPlatform) Kind() Kind { return KindRegisterPlatform }

// Walk walks over the fields.
func (r *RegisterPlatform) Walk(c *record.Coder) {
	c.Sub(&r.Platform)
	record.Str(c, &r.Operator)
	record.Str(c, &r.Second)
}

// RevokePlatform ends a key for good.
type RevokePlatform struct {
	KeyID  string
	Reason string
}

// Kind and Walk make a RevokePlatform a Command.
func (*RevokePlatform) Kind() Kind { return KindRevokePlatform }

// Walk walks over the fields.
func (r *RevokePlatform) Walk(c *record.Coder) {
	record.Str(c, &r.KeyID)
	record.Str(c, &r.Reason)
}

// SpendNonce keeps the nonce of a signed request that makes no other command: a write that was refused before the log
// or had been done before, and a read that is dated ahead of the leader's clock.
type SpendNonce struct{ Signed Signed }

// Kind and Walk make a SpendNonce a Command.
func (*SpendNonce) Kind() Kind { return KindSpendNonce }

// Walk walks over the fields.
func (s *SpendNonce) Walk(c *record.Coder) { c.Sub(&s.Signed) }

func newPlatformCommand(k Kind) Command {
	for _, c := range []Command{new(RegisterPlatform), new(RevokePlatform), new(SpendNonce)} {
		if c.Kind() == k {
			return c
		}
	}
	return nil
}

// PlatformKey is one key of one platform as the region knows it. A platform may have several.
type PlatformKey struct {
	ID       string
	Platform string
	Region   string // it speaks for; a key of another region is known, and refused
	Public   []byte // 04 ‖ x ‖ y
	Roles    []string
	Rate     int       // requests a second; 0: no bound of its own
	From     time.Time // zero: from the beginning
	Until    time.Time // zero: without end
	// CertDigest and CertSubject bind the key to a client certificate, each where it is not empty: the lower-case hex
	// SHA-256 of its SubjectPublicKeyInfo, and its subject as RFC 2253 writes it.
	CertDigest  string
	CertSubject string
	National    *Dialect // set: the key speaks the national mobile-payment convention, and its id is the appId
	Registered  time.Time
	Revoked     time.Time // zero: not
	Reason      string    // of the revocation
}

// Walk is the record.Record of a PlatformKey.
func (k *PlatformKey) Walk(c *record.Coder) {
	record.Str(c, &k.ID)
	record.Str(c, &k.Platform)
	record.Str(c, &k.Region)
	c.Bytes(&k.Public)
	record.Strs(c, &k.Roles)
	record.Int(c, &k.Rate)
	c.Time(&k.From)
	c.Time(&k.Until)
	record.Str(c, &k.CertDigest)
	record.Str(c, &k.CertSubject)
	record.Opt(c, &k.National)
	c.Time(&k.Registered)
	c.Time(&k.Revoked)
	record.Str(c, &k.Reason)
}

// Usable reports whether the key may speak at a time.
func (k *PlatformKey) Usable(now time.Time) bool {
	return k.Revoked.IsZero() && !now.Before(k.From) && (k.Until.IsZero() || now.Before(k.Until))
}

// Dialect is how one peer writes the national mobile-payment convention; the words are those of package national.
type Dialect struct {
	Scalars   string
	Timestamp string
}

// Walk is the record.Record of a Dialect.
func (d *Dialect) Walk(c *record.Coder) {
	record.Str(c, &d.Scalars)
	record.Str(c, &d.Timestamp)
}
