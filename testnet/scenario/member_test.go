package scenario_test

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/testnet/topology"
)

// member speaks with a region's real keys, out of the testnet's data folder. It is a federation.Sealer.
type member struct {
	self  federation.Region
	ring  *keyfile.Ring
	suite crypto.Suite
	dir   *federation.Directory
	key   string // signs; empty: the newest of the ring
}

var _ federation.Sealer = (*member)(nil)

func newMember(t *testing.T, data, code string) *member {
	t.Helper()
	layout := topology.Layout{Dir: data}
	m := &member{self: federation.Region(code), suite: emm.New()}
	kek, err := keyfile.ReadKEK(filepath.Join(layout.Region(code), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	if m.ring, err = keyfile.Open(filepath.Join(layout.Region(code), "keys"), kek, m.suite); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.ring.Close() })
	signed, err := os.ReadFile(layout.Directory())
	if err != nil {
		t.Fatal(err)
	}
	if m.dir, err = federation.LoadDirectory(m.Hash, signed); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *member) Hash(parts ...[]byte) [federation.HashSize]byte { return m.suite.Sum(parts...) }

func (m *member) Sign(message []byte) (string, []byte, error) {
	id := m.key
	if id == "" {
		var err error
		if id, err = m.ring.Current(crypto.UseSign); err != nil {
			return "", nil, err
		}
	}
	signature, err := m.ring.Sign(id, message)
	return id, signature, err
}

func (m *member) Verify(public, message, signature []byte) error {
	v, err := m.suite.Verifier(crypto.Public(public))
	if err != nil {
		return err
	}
	return v.Verify(message, signature)
}

// zero is the nonce of a content key, which seals once.
func zero() []byte { return make([]byte, crypto.NonceSize) }

func (m *member) Seal(public, content, additional []byte) ([]byte, []byte, error) {
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

func (m *member) Open(keyID string, wrapped, sealed, additional []byte) ([]byte, error) {
	key, err := m.ring.Unwrap(keyID, wrapped)
	if err != nil {
		return nil, err
	}
	if len(key) != crypto.KeySize {
		return nil, errors.New("no content key")
	}
	aead, err := m.suite.AEAD(key)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, zero(), sealed, additional)
}
