package gmsm

import (
	"crypto/cipher"
	"sync"

	"github.com/tjfoc/gmsm/sm4"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// aead is GCM of the standard library over the library's raw block: the library's own Sm4GCM is not
// GCM. Its block keeps scratch inside, so that two goroutines that share one corrupt each other's
// messages without an error: each call takes a whole one from the pool.
type aead struct {
	sm.Redacted
	pool sync.Pool
}

func newAEAD(key []byte) (*aead, error) {
	if len(key) != crypto.KeySize {
		return nil, crypto.ErrKey
	}
	own := [crypto.KeySize]byte(key)
	first, err := newGCM(own[:])
	if err != nil {
		return nil, crypto.ErrKey
	}
	a := &aead{}
	a.pool.New = func() any {
		gcm, err := newGCM(own[:])
		if err != nil {
			return nil
		}
		return gcm
	}
	a.pool.Put(first)
	return a, nil
}

func newBlock(key []byte) (cipher.Block, error) { return sm4.NewCipher(key) }

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := newBlock(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (a *aead) Seal(dst, nonce, plaintext, additional []byte) []byte {
	gcm, ok := a.pool.Get().(cipher.AEAD)
	if !ok {
		return nil // cannot be: the same key made one in newAEAD
	}
	defer a.pool.Put(gcm)
	return gcm.Seal(dst, nonce, plaintext, additional)
}

func (a *aead) Open(dst, nonce, ciphertext, additional []byte) ([]byte, error) {
	if len(nonce) != crypto.NonceSize || len(ciphertext) < crypto.TagSize {
		return nil, crypto.ErrOpen
	}
	gcm, ok := a.pool.Get().(cipher.AEAD)
	if !ok {
		return nil, crypto.ErrOpen
	}
	defer a.pool.Put(gcm)
	opened, err := gcm.Open(dst, nonce, ciphertext, additional)
	if err != nil {
		return nil, crypto.ErrOpen
	}
	return opened, nil
}

// Block returns bare SM4. What it returns is for one goroutine at a time: the library keeps a scratch area in it.
func (*suite) Block(key []byte) (cipher.Block, error) {
	if len(key) != crypto.KeySize {
		return nil, crypto.ErrKey
	}
	block, err := sm4.NewCipher(key)
	if err != nil {
		return nil, crypto.ErrKey
	}
	return block, nil
}
