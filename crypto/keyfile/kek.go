package keyfile

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/argon2"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// KEKSize is the size of a key-encryption key in bytes.
const KEKSize = 32

// Bounds of a passphrase in bytes. The lower one is no promise of strength.
const (
	PassphraseMin = 12
	PassphraseMax = 1024
)

// How the master key of a file is made.
const (
	kdfRaw      = 0 // it is the KEK
	kdfArgon2id = 1 // Argon2id of the passphrase
	kdfPBKDF2   = 2 // PBKDF2 with HMAC-SM3 of the passphrase (GM/T 0091)
)

// Iterations of PBKDF2. The default costs some three tenths of a second; a file may ask for no more
// than the highest.
const (
	IterationsMin     = 100_000
	IterationsDefault = 600_000
	IterationsMax     = 2_000_000
)

// derivationsMax bounds the different salts and costs that one KEK works with: each costs a
// derivation.
const derivationsMax = 16

// saltSize is the size of every salt, in bytes.
const saltSize = 16

// Errors of key-encryption keys.
var (
	// ErrPassphrase: the passphrase is shorter or longer than the bounds.
	ErrPassphrase = errors.New("keyfile: passphrase too short or too long")
	// ErrKEK: the key-encryption key does not open the file, or the file was changed.
	ErrKEK = errors.New("keyfile: wrong key-encryption key or changed file")
	// ErrPermissions: a file or folder can be read by others than its owner.
	ErrPermissions = errors.New("keyfile: readable by others")
	// ErrFormat: a file has not the one form that this version writes, or exceeds a bound.
	ErrFormat = errors.New("keyfile: malformed")
	// ErrRewrap: a change of the key-encryption key was begun and not ended; Rewrap ends it.
	ErrRewrap = errors.New("keyfile: the key-encryption key is being changed")
)

// Cost is the work that a passphrase costs, with Argon2id (RFC 9106).
type Cost struct {
	Time      uint32 // passes, 1 to 16
	MemoryKiB uint32 // 8 MiB to 256 MiB
	Threads   uint8  // 1 to 8
}

// DefaultCost is RFC 9106's second recommendation: about a tenth of a second.
func DefaultCost() Cost { return Cost{Time: 3, MemoryKiB: 64 << 10, Threads: 4} }

// valid bounds what a file may ask for: whoever can write it must not make a start take minutes or
// all memory.
func (c Cost) valid() bool {
	return c.Time >= 1 && c.Time <= 16 && c.MemoryKiB >= 8<<10 && c.MemoryKiB <= 256<<10 &&
		c.Threads >= 1 && c.Threads <= 8
}

// derivation says how a master key is made. The zero value is that of a raw KEK. With PBKDF2 the cost
// has the iterations in Time, and nothing else.
type derivation struct {
	kdf  byte
	cost Cost
	salt [saltSize]byte
}

func (d derivation) valid() bool {
	switch d.kdf {
	case kdfRaw:
		return d == derivation{}
	case kdfArgon2id:
		return d.cost.valid()
	case kdfPBKDF2:
		return d.cost == Cost{Time: d.cost.Time} && d.cost.Time >= IterationsMin && d.cost.Time <= IterationsMax
	}
	return false
}

// KEK is a key-encryption key: what the files of a ring are wrapped under. Safe for concurrent use.
type KEK struct {
	sm.Redacted
	secret []byte
	fresh  derivation // for a ring without files

	mu      sync.Mutex
	masters map[derivation][KEKSize]byte // at most derivationsMax
}

// RawKEK takes a key of KEKSize bytes, as a hardware module or a secret store hands out. Errors:
// crypto.ErrKey.
func RawKEK(key []byte) (*KEK, error) {
	if len(key) != KEKSize {
		return nil, crypto.ErrKey
	}
	return &KEK{secret: bytes.Clone(key)}, nil
}

// PassphraseKEK takes a passphrase, from which new files derive their key with Argon2id. Errors:
// ErrPassphrase, ErrFormat for a cost out of bounds.
func PassphraseKEK(passphrase []byte, cost Cost) (*KEK, error) {
	return derivedKEK(passphrase, derivation{kdf: kdfArgon2id, cost: cost})
}

// PBKDF2KEK takes a passphrase, from which new files derive their key with PBKDF2 and HMAC-SM3: for
// who may use the national algorithms only. Argon2id costs an attacker more. Either kind opens the
// files of both. Errors: ErrPassphrase, ErrFormat for iterations out of bounds.
func PBKDF2KEK(passphrase []byte, iterations uint32) (*KEK, error) {
	return derivedKEK(passphrase, derivation{kdf: kdfPBKDF2, cost: Cost{Time: iterations}})
}

func derivedKEK(passphrase []byte, fresh derivation) (*KEK, error) {
	if len(passphrase) < PassphraseMin || len(passphrase) > PassphraseMax {
		return nil, ErrPassphrase
	}
	if !fresh.valid() {
		return nil, ErrFormat
	}
	_, err := io.ReadFull(rand.Reader, fresh.salt[:])
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	return &KEK{
		secret: bytes.Clone(passphrase), fresh: fresh, masters: make(map[derivation][KEKSize]byte),
	}, nil
}

// ReadKEK reads a raw KEK from a file that only its owner can read: 64 hexadecimal digits, and a
// line end if there is one. Errors: ErrPermissions, ErrFormat, those of os.
func ReadKEK(path string) (*KEK, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	raw, err := readPrivate(root, filepath.Base(path), 2*KEKSize+1)
	closeErr := root.Close()
	if err != nil {
		return nil, err
	}
	if closeErr != nil {
		return nil, fmt.Errorf("keyfile: %w", closeErr)
	}
	key, err := hex.DecodeString(string(bytes.TrimSuffix(raw, []byte("\n"))))
	if err != nil || len(key) != KEKSize {
		return nil, fmt.Errorf("%w: key-encryption key", ErrFormat)
	}
	return RawKEK(key)
}

// ReadPassphrase reads a passphrase, or the PIN of a module, from a file that only its owner can read,
// without its line end. Errors: ErrPermissions, ErrFormat, those of os.
func ReadPassphrase(path string) ([]byte, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	raw, err := readPrivate(root, filepath.Base(path), PassphraseMax+2)
	closeErr := root.Close()
	if err != nil {
		return nil, err
	}
	if closeErr != nil {
		return nil, fmt.Errorf("keyfile: %w", closeErr)
	}
	return bytes.TrimRight(raw, "\r\n"), nil
}

// CreateKEK makes a new KEK and the file that ReadKEK reads; the file must not exist. Errors: those
// of os.
func CreateKEK(path string) (*KEK, error) {
	key := make([]byte, KEKSize)
	_, err := io.ReadFull(rand.Reader, key)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	file, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	_, err = file.WriteString(hex.EncodeToString(key) + "\n")
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	return RawKEK(key)
}

// master makes the master key of files with that derivation, once.
func (k *KEK) master(suite crypto.Digester, d derivation) ([KEKSize]byte, error) {
	if (d.kdf == kdfRaw) != (k.fresh.kdf == kdfRaw) {
		return [KEKSize]byte{}, ErrKEK
	}
	if d.kdf == kdfRaw {
		return [KEKSize]byte(k.secret), nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	made, ok := k.masters[d]
	if ok {
		return made, nil
	}
	if len(k.masters) == derivationsMax {
		return [KEKSize]byte{}, fmt.Errorf("%w: more than %d salts", ErrFormat, derivationsMax)
	}
	made, err := d.derive(suite, k.secret)
	if err != nil {
		return [KEKSize]byte{}, err
	}
	k.masters[d] = made
	return made, nil
}

// derive makes the master key of a passphrase.
func (d derivation) derive(suite crypto.Digester, passphrase []byte) ([KEKSize]byte, error) {
	if d.kdf == kdfArgon2id {
		key := argon2.IDKey(passphrase, d.salt[:], d.cost.Time, d.cost.MemoryKiB, d.cost.Threads, KEKSize)
		return [KEKSize]byte(key), nil
	}
	key, err := pbkdf2.Key(suite.Hash, string(passphrase), d.salt[:], int(d.cost.Time), KEKSize)
	if err != nil {
		return [KEKSize]byte{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return [KEKSize]byte(key), nil
}

// readPrivate reads a regular file of at most limit bytes that only its owner can read.
func readPrivate(root *os.Root, name string, limit int64) ([]byte, error) {
	file, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	raw, err := readOpen(file, limit)
	closeErr := file.Close()
	if err != nil {
		return nil, err
	}
	if closeErr != nil {
		return nil, fmt.Errorf("keyfile: %w", closeErr)
	}
	return raw, nil
}

func readOpen(file fs.File, limit int64) ([]byte, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%w: %s", ErrFormat, info.Name())
	}
	if !onlyOwner(info.Mode()) {
		return nil, fmt.Errorf("%w: %s", ErrPermissions, info.Name())
	}
	raw, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("%w: %s", ErrFormat, info.Name())
	}
	return raw, nil
}

// onlyOwner reports that neither group nor others have any right.
func onlyOwner(mode fs.FileMode) bool { return mode.Perm()&0o077 == 0 }
