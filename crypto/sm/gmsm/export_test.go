package gmsm

import (
	"bytes"
	"crypto/cipher"
	"io"
	"math/big"

	"gongji/crypto"
)

// VerifyDigest is for the vectors over a digest.
func VerifyDigest(public crypto.Public, digest, sig []byte) bool {
	return newSuite().verifyDigest(public, digest, sig)
}

// Block is the block cipher alone, for the vectors of other modes. It is not safe for concurrent
// use.
func Block(key []byte) (cipher.Block, error) { return newBlock(key) }

// SignWith signs with a nonce.
func SignWith(d, k, id, message []byte) ([]byte, error) {
	p, err := newSuite().private(d)
	if err != nil {
		return nil, err
	}
	return p.sign(id, message, fixed(k))
}

// WrapWith wraps with a nonce.
func WrapWith(public crypto.Public, k, secret []byte) ([]byte, error) {
	p, err := newSuite().peer(public)
	if err != nil {
		return nil, err
	}
	return p.wrap(secret, fixed(k))
}

// fixed is randomness of which the library makes the nonce k: 40 bytes that hold k-1.
func fixed(k []byte) io.Reader {
	less := new(big.Int).Sub(new(big.Int).SetBytes(k), big.NewInt(1))
	return bytes.NewReader(less.FillBytes(make([]byte, 40)))
}
