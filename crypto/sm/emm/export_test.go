package emm

import (
	"bytes"
	"crypto/cipher"

	"github.com/emmansun/gmsm/sm4"

	"gongji/crypto"
)

// VerifyDigest is for the vectors over a digest.
func VerifyDigest(public crypto.Public, digest, sig []byte) bool {
	return verifyDigest(public, digest, sig)
}

// Block is the block cipher alone, for the vectors of other modes.
func Block(key []byte) (cipher.Block, error) { return sm4.NewCipher(key) }

// WrapWith wraps with nonces, one after the other until one serves.
func WrapWith(public crypto.Public, nonces, secret []byte) ([]byte, error) {
	p, err := newPeer(public)
	if err != nil {
		return nil, err
	}
	return p.wrap(secret, bytes.NewReader(nonces))
}
