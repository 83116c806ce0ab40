package hsm

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// Bounds of a PIN, in bytes. It is a machine's: make it of randomness.
const (
	PINMin = 12
	PINMax = 1024
)

// Wrong PINs in a row lock a role, for longer each time; a restart does not help.
const (
	failuresMax = 5
	lockedFirst = time.Minute
	lockedMost  = time.Hour
)

// What deriving a key from a PIN costs: OWASP's least for Argon2id, some thirty milliseconds, once for each client.
const (
	pinPasses = 2
	pinMemory = 19 << 10
	pinLanes  = 1
)

const (
	accessMode fs.FileMode = 0o600
	accessMax              = 4 << 10
	rolesMax               = 2
	authLabel              = "gongji hsm login v1"
)

// stored is what a module knows of a PIN: enough to check it, not enough to log in with.
type stored struct {
	Salt        []byte    `json:"salt"`
	Key         []byte    `json:"key"`    // SM3 of the client's key
	Server      []byte    `json:"server"` // what the module proves itself with
	Failures    int       `json:"failures"`
	LockedUntil time.Time `json:"locked_until"`
}

func (s *stored) valid() bool {
	return len(s.Salt) == saltSize && len(s.Key) == proofSize && len(s.Server) == proofSize && s.Failures >= 0
}

// Access is who may log in to a module: a file beside its keys. Safe for concurrent use.
type Access struct {
	sm.Redacted
	suite crypto.Digester
	path  string
	now   func() time.Time

	mu    sync.Mutex
	roles map[string]*stored
}

// OpenAccess reads the file, which need not be there: then nobody may log in. Errors: those of os, and what is wrong
// with the file.
func OpenAccess(path string, suite crypto.Digester, now func() time.Time) (*Access, error) {
	a := &Access{suite: suite, path: path, now: now, roles: map[string]*stored{}}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hsm: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || info.Size() > accessMax {
		return nil, fmt.Errorf("hsm: %s must be a file that its owner alone can read (chmod 600)", path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("hsm: %w", err)
	}
	if json.Unmarshal(raw, &a.roles) != nil || len(a.roles) > rolesMax {
		return nil, fmt.Errorf("hsm: %s has not the form of a module's access file", path)
	}
	for _, s := range a.roles {
		if s == nil || !s.valid() {
			return nil, fmt.Errorf("hsm: %s has not the form of a module's access file", path)
		}
	}
	return a, nil
}

// SetPIN gives a role a PIN, and unlocks it. Errors: ErrPIN for a length out of bounds, those of os.
func (a *Access) SetPIN(role Role, pin []byte) error {
	if len(pin) < PINMin || len(pin) > PINMax || !role.allowed(opPing) {
		return ErrPIN
	}
	s := &stored{Salt: make([]byte, saltSize)}
	if _, err := io.ReadFull(rand.Reader, s.Salt); err != nil {
		return fmt.Errorf("hsm: %w", err)
	}
	p := prove(a.suite, pin, s.Salt)
	key := a.suite.Sum(p.client[:])
	s.Key, s.Server = key[:], p.server[:]
	a.mu.Lock()
	defer a.mu.Unlock()
	a.roles[role.String()] = s
	return a.save()
}

// Roles lists the roles that have a PIN.
func (a *Access) Roles() []Role {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []Role
	for _, r := range []Role{RoleUser, RoleOfficer} {
		if a.roles[r.String()] != nil {
			out = append(out, r)
		}
	}
	return out
}

// save writes the file whole. The caller holds mu.
func (a *Access) save() error {
	raw, err := json.Marshal(a.roles)
	if err != nil {
		return fmt.Errorf("hsm: %w", err)
	}
	next := a.path + ".new"
	f, err := os.OpenFile(filepath.Clean(next), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, accessMode)
	if err != nil {
		return fmt.Errorf("hsm: %w", err)
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("hsm: %w", err)
	}
	if err = os.Rename(next, a.path); err != nil {
		return fmt.Errorf("hsm: %w", err)
	}
	return nil
}

// salt is what a client derives its key with. Errors: ErrLocked, ErrPIN for a role without a PIN.
func (a *Access) salt(role Role) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.roles[role.String()]
	if !ok {
		return nil, ErrPIN
	}
	if a.now().Before(s.LockedUntil) {
		return nil, ErrLocked
	}
	return s.Salt, nil
}

// check judges a proof, and returns the module's own. A wrong one counts, and the count is on disk before anybody is
// answered. Errors: ErrLocked, ErrPIN, those of os.
func (a *Access) check(role Role, login, proof []byte) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.roles[role.String()]
	if !ok {
		return nil, ErrPIN
	}
	if a.now().Before(s.LockedUntil) {
		return nil, ErrLocked
	}
	mask := a.suite.MAC(s.Key, login)
	var client [proofSize]byte
	if len(proof) == proofSize {
		subtle.XORBytes(client[:], proof, mask[:])
	}
	key := a.suite.Sum(client[:])
	clear(client[:])
	if len(proof) != proofSize || subtle.ConstantTimeCompare(key[:], s.Key) != 1 {
		s.Failures++
		if s.Failures >= failuresMax {
			s.LockedUntil = a.now().Add(min(lockedMost, lockedFirst<<min(s.Failures-failuresMax, 10)))
		}
		return nil, errors.Join(ErrPIN, a.save())
	}
	if s.Failures > 0 {
		s.Failures, s.LockedUntil = 0, time.Time{}
		if err := a.save(); err != nil {
			return nil, err
		}
	}
	own := a.suite.MAC(s.Server, login)
	return own[:], nil
}

// proofs are the keys that a PIN gives to the two sides.
type proofs struct {
	sm.Redacted
	client, server [crypto.HashSize]byte
}

func prove(suite crypto.Digester, pin, salt []byte) *proofs {
	master := argon2.IDKey(pin, salt, pinPasses, pinMemory, pinLanes, crypto.HashSize)
	defer clear(master)
	return &proofs{client: suite.MAC(master, []byte("client")), server: suite.MAC(master, []byte("server"))}
}

// loginOf is what both sides prove themselves over.
func loginOf(role Role, server, client, salt []byte) []byte {
	out := append([]byte(authLabel), byte(role))
	out = append(out, server...)
	out = append(out, client...)
	return append(out, salt...)
}
