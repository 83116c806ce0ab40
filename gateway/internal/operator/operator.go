// Package operator says who the operators of a region are and what each may do: roles made of duties, the registration
// by which one becomes known, what is signed at a login, and what two persons agree on.
//
// An operator has two factors, as GB/T 22239-2019 asks at level 3: an SM2 key, which signs a challenge, and a
// passphrase. The region keeps the public key and a derivation of the passphrase (PBKDF2 with HMAC-SM3), never more.
// Duties are separate: who runs the system does not decide about keys and operators, and neither of them is who looks
// at the records of both.
package operator

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"regexp"

	"gongji/crypto"
)

// Duty is what a call of the operators' API asks of the caller.
type Duty string

// The duties.
const (
	Observe Duty = "observe" // sees how the region is, no personal data
	Operate Duty = "operate" // changes how the region runs
	Secure  Duty = "secure"  // keys, directory, platforms, operators
	Audit   Duty = "audit"   // reads records of persons, decisions and the audit log
)

// Role is what an operator is. Each has one.
type Role string

// The roles (GB/T 22239-2019: system, security and audit management are separate).
const (
	RoleObserver Role = "observer"
	RoleOperator Role = "operator"
	RoleSecurity Role = "security_officer"
	RoleAuditor  Role = "auditor"
)

// Valid tells whether there is such a role.
func (r Role) Valid() bool { return r.Has(Observe) }

// Has tells whether the role has a duty. None has two of operate, secure and audit.
func (r Role) Has(d Duty) bool {
	switch r {
	case RoleObserver:
		return d == Observe
	case RoleOperator:
		return d == Observe || d == Operate
	case RoleSecurity:
		return d == Observe || d == Secure
	case RoleAuditor:
		return d == Observe || d == Audit
	}
	return false
}

// Bounds. The lower bound of a passphrase is no promise of strength; the key is what cannot be guessed.
const (
	PassphraseMin = 12 // bytes
	PassphraseMax = 1024
	IterationsMin = 100_000 // of PBKDF2
	IterationsMax = 2_000_000
	Iterations    = 200_000 // what a new registration has: some tenths of a second
	SaltSize      = 16
	ChallengeSize = 32
	TokenSize     = 32
)

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9._-]{1,31}$`)

// ValidName tells whether a name is one of an operator: 2 to 32 of a-z 0-9 . _ - and a letter first.
func ValidName(name string) bool { return nameForm.MatchString(name) }

// ErrRegistration: a registration is not complete, out of bounds, or not signed by its own key.
var ErrRegistration = errors.New("operator: not a good registration")

// ErrPassphrase: a passphrase is shorter or longer than the bounds.
var ErrPassphrase = fmt.Errorf("operator: a passphrase has %d to %d bytes", PassphraseMin, PassphraseMax)

// Registration is what an operator hands to the security officers: never the key, never the passphrase.
type Registration struct {
	Name       string `json:"name"`
	Public     []byte `json:"public"` // 04 ‖ x ‖ y
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
	Hash       []byte `json:"hash"`      // of the passphrase
	Signature  []byte `json:"signature"` // by the key, over the rest
}

const (
	registrationTag = "gongji operator registration 1\n"
	loginTag        = "gongji operator login 1\n"
	actTag          = "gongji act of two persons 1\n"
)

// Message is what the registration's own key signs.
func (r *Registration) Message() []byte {
	b := parts([]byte(registrationTag), []byte(r.Name), r.Public, r.Salt, r.Hash)
	return binary.BigEndian.AppendUint64(b, uint64(max(r.Iterations, 0))) //nolint:gosec // not negative
}

// parts puts each part behind its length, after a tag.
func parts(tag []byte, list ...[]byte) []byte {
	out := bytes.Clone(tag)
	for _, p := range list {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p))) //nolint:gosec // bounded by the callers
		out = append(out, p...)
	}
	return out
}

// Check returns nil, or ErrRegistration.
func (r *Registration) Check(suite crypto.Suite) error {
	if !ValidName(r.Name) || len(r.Salt) != SaltSize || len(r.Hash) != crypto.HashSize ||
		r.Iterations < IterationsMin || r.Iterations > IterationsMax {
		return ErrRegistration
	}
	v, err := suite.Verifier(crypto.Public(r.Public))
	if err != nil || v.Verify(r.Message(), r.Signature) != nil {
		return ErrRegistration
	}
	return nil
}

// Fits tells whether a passphrase is the registration's.
func (r *Registration) Fits(newHash func() hash.Hash, passphrase []byte) bool {
	derived, err := derive(newHash, passphrase, r.Salt, r.Iterations)
	return err == nil && subtle.ConstantTimeCompare(derived, r.Hash) == 1
}

func derive(newHash func() hash.Hash, passphrase, salt []byte, iterations int) ([]byte, error) {
	if len(passphrase) < PassphraseMin || len(passphrase) > PassphraseMax {
		return nil, ErrPassphrase
	}
	return pbkdf2.Key(newHash, string(passphrase), salt, iterations, crypto.HashSize)
}

// Enroll makes the registration of an operator. salt has SaltSize random bytes; sign signs with the key of public.
func Enroll(
	suite crypto.Suite, name string, public crypto.Public, passphrase, salt []byte, sign func([]byte) ([]byte, error),
) (Registration, error) {
	derived, err := derive(suite.Hash, passphrase, salt, Iterations)
	if err != nil {
		return Registration{}, err
	}
	r := Registration{Name: name, Public: public, Salt: salt, Iterations: Iterations, Hash: derived}
	if r.Signature, err = sign(r.Message()); err != nil {
		return Registration{}, err
	}
	return r, r.Check(suite)
}

// LoginMessage is what an operator's key signs at a login: for one region and one node, by one name, once.
func LoginMessage(region, node, name string, challenge []byte) []byte {
	return parts([]byte(loginTag), []byte(region), []byte(node), []byte(name), challenge)
}

// Act is a call that two persons agree on.
type Act struct {
	Method      string
	Target      string // path and query
	ContentType string
	Body        []byte
}

// Digest is what the second person approves: it binds all of the act.
func (a *Act) Digest(d crypto.Digester) [crypto.HashSize]byte {
	return d.Sum(parts([]byte(actTag), []byte(a.Method), []byte(a.Target), []byte(a.ContentType), a.Body))
}
