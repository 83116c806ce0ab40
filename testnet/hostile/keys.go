// Package hostile is a member of the testnet's federation that has its real keys and bad intentions: it lies, replays,
// forges senders, asks for what is another's, invents visits, and floods. Tests and `testnet chaos --hostile` attack
// with it, and find each attack in the audit log of the region that was attacked.
//
// Member has a region's keys, Lanes writes and reads records as any Kafka client can, Insider speaks a region's links,
// Fourth is the member that nobody asked for with its list of attacks, and Run plays them and judges what came of it.
// It knows of the gateways what stands in docs/protocol.md, and shares no code with them beyond package federation.
package hostile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/testnet/topology"
)

// Member speaks with a region's real keys, out of the testnet's data folder. It is a federation.Sealer. Safe for
// concurrent use.
type Member struct {
	Self      federation.Region
	Directory *federation.Directory
	Key       string // signs; empty: the newest of the ring

	ring  *keyfile.Ring
	suite crypto.Suite
}

var _ federation.Sealer = (*Member)(nil)

// Open opens a region's keys and the directory under data. Errors: those of the file system, keys and directory.
func Open(data, code string) (*Member, error) {
	layout := topology.Layout{Dir: data}
	m := &Member{Self: federation.Region(code), suite: emm.New()}
	signed, err := os.ReadFile(layout.Directory())
	if err != nil {
		return nil, fmt.Errorf("hostile: %w", err)
	}
	if m.Directory, err = federation.LoadDirectory(m.Hash, signed); err != nil {
		return nil, err
	}
	kek, err := keyfile.ReadKEK(filepath.Join(layout.Region(code), "kek"))
	if err != nil {
		return nil, err
	}
	m.ring, err = keyfile.Open(filepath.Join(layout.Region(code), "keys"), kek, m.suite)
	return m, err
}

// Close lets go of the keys.
func (m *Member) Close() error { return m.ring.Close() }

// Hash is SM3.
func (m *Member) Hash(parts ...[]byte) [federation.HashSize]byte { return m.suite.Sum(parts...) }

// Sign signs with Key, or the region's newest signing key.
func (m *Member) Sign(message []byte) (string, []byte, error) {
	id := m.Key
	if id == "" {
		var err error
		if id, err = m.ring.Current(crypto.UseSign); err != nil {
			return "", nil, err
		}
	}
	signature, err := m.ring.Sign(id, message)
	return id, signature, err
}

// Verify checks a signature.
func (m *Member) Verify(public, message, signature []byte) error {
	v, err := m.suite.Verifier(crypto.Public(public))
	if err != nil {
		return err
	}
	return v.Verify(message, signature)
}

// zero is the nonce of a content key, which seals once.
func zero() []byte { return make([]byte, crypto.NonceSize) }

// Seal encrypts to a public key.
func (m *Member) Seal(public, content, additional []byte) ([]byte, []byte, error) {
	w, err := m.suite.Wrapper(crypto.Public(public))
	if err != nil {
		return nil, nil, err
	}
	key := make([]byte, crypto.KeySize)
	_, _ = rand.Read(key) // never fails
	wrapped, err := w.Wrap(key)
	if err != nil {
		return nil, nil, err
	}
	aead, err := m.suite.AEAD(key)
	if err != nil {
		return nil, nil, err
	}
	return wrapped, aead.Seal(nil, zero(), content, additional), nil
}

// Open decrypts what was sealed to this region.
func (m *Member) Open(keyID string, wrapped, sealed, additional []byte) ([]byte, error) {
	key, err := m.ring.Unwrap(keyID, wrapped)
	if err != nil {
		return nil, err
	}
	if len(key) != crypto.KeySize {
		return nil, errors.New("hostile: no content key")
	}
	aead, err := m.suite.AEAD(key)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, zero(), sealed, additional)
}
