package node

import (
	"errors"
	"sync"
	"time"

	"gongji/crypto"
	"gongji/crypto/secondopinion"
	"gongji/federation"
)

// wrappersMax bounds the public keys whose wrappers are kept: every member's, old and new.
const wrappersMax = 2 * federation.MembersMax

// sealer is the federation.Sealer of this region: its key ring, the chosen engine, and the second opinion.
type sealer struct {
	suite   crypto.Suite
	ring    crypto.KeyRing
	opinion *secondopinion.Opinion
	random  func([]byte)
	// own are the keys that this region may sign with now, the one to take first, as the directory in force lists them;
	// empty while there is no directory.
	own func() []federation.Key

	now func() time.Time

	mu       sync.Mutex
	wrappers map[string]crypto.Wrapper
	reloaded time.Time
}

var _ federation.Sealer = (*sealer)(nil)

// errSeal hides the cause on purpose.
var errSeal = errors.New("node: cannot seal or open")

func newSealer(suite crypto.Suite, ring crypto.KeyRing, opinion *secondopinion.Opinion, random func([]byte)) *sealer {
	return &sealer{
		suite: suite, ring: ring, opinion: opinion, random: random, wrappers: map[string]crypto.Wrapper{},
		own: func() []federation.Key { return nil }, now: time.Now,
	}
}

// Hash is SM3.
func (s *sealer) Hash(parts ...[]byte) [federation.HashSize]byte { return s.suite.Sum(parts...) }

// Sign signs with the first key that the directory lists for this moment and the ring has: a new key is published
// beside the old one before anybody signs with it, so no peer meets one that it does not know. Without a directory it
// is the ring's newest.
func (s *sealer) Sign(message []byte) (string, []byte, error) {
	for _, k := range s.own() {
		sig, err := s.ring.Sign(k.ID, message)
		if errors.Is(err, crypto.ErrNoKey) && s.reload() {
			sig, err = s.ring.Sign(k.ID, message)
		}
		if !errors.Is(err, crypto.ErrNoKey) {
			return k.ID, sig, err
		}
	}
	id, err := s.ring.Current(crypto.UseSign)
	if err != nil {
		return "", nil, err
	}
	sig, err := s.ring.Sign(id, message)
	return id, sig, err
}

// Verify asks the chosen engine; the other one is a second opinion and never a second way in.
func (s *sealer) Verify(public, message, signature []byte) error {
	err := s.opinion.Verify(crypto.Public(public), message, signature)
	if errors.Is(err, secondopinion.ErrDisagreement) {
		return federation.ErrDisagreement
	}
	return err
}

func (s *sealer) wrapper(public []byte) (crypto.Wrapper, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, ok := s.wrappers[string(public)]; ok {
		return w, nil
	}
	w, err := s.suite.Wrapper(crypto.Public(public))
	if err != nil {
		return nil, err
	}
	if len(s.wrappers) >= wrappersMax {
		clear(s.wrappers) // keys have changed that often; the present ones come back at once
	}
	s.wrappers[string(public)] = w
	return w, nil
}

// Seal encrypts under a content key of its own.
func (s *sealer) Seal(public, content, additional []byte) ([]byte, []byte, error) {
	w, err := s.wrapper(public)
	if err != nil {
		return nil, nil, errSeal
	}
	key := make([]byte, crypto.KeySize)
	s.random(key)
	aead, err := s.suite.AEAD(key)
	if err != nil {
		return nil, nil, errSeal
	}
	wrapped, err := w.Wrap(key)
	if err != nil {
		return nil, nil, errSeal
	}
	// The key seals this one content and is then forgotten, so its only nonce may be zero.
	var nonce [crypto.NonceSize]byte
	return wrapped, aead.Seal(nil, nonce[:], content, additional), nil
}

// Open reverses Seal.
func (s *sealer) Open(keyID string, wrapped, sealed, additional []byte) ([]byte, error) {
	key, err := s.ring.Unwrap(keyID, wrapped)
	if errors.Is(err, crypto.ErrNoKey) && s.reload() {
		key, err = s.ring.Unwrap(keyID, wrapped)
	}
	if err != nil || len(key) != crypto.KeySize {
		return nil, errSeal
	}
	aead, err := s.suite.AEAD(key)
	if err != nil {
		return nil, errSeal
	}
	var nonce [crypto.NonceSize]byte
	content, err := aead.Open(nil, nonce[:], sealed, additional)
	if err != nil {
		return nil, errSeal
	}
	return content, nil
}

// reload has the ring look for keys that another process made: the operator's command, or another node on a shared
// folder. It reports whether the ring was read again, at most once in reloadAfter: whoever names keys that do not exist
// must not make a node read its folder all the time.
func (s *sealer) reload() bool {
	ring, ok := s.ring.(interface{ Reload() error })
	now := s.now()
	s.mu.Lock()
	due := ok && (s.reloaded.IsZero() || now.Sub(s.reloaded) >= reloadAfter || now.Before(s.reloaded))
	if due {
		s.reloaded = now
	}
	s.mu.Unlock()
	return due && ring.Reload() == nil
}

// reloadAfter is how long a ring that was read again is not read again.
const reloadAfter = 2 * time.Second
