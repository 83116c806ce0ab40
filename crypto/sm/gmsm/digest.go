package gmsm

import (
	"hash"

	"github.com/tjfoc/gmsm/sm3"
)

// chunk bounds what is written to the library's SM3 at once, in bytes: it copies each write and
// keeps the copy.
const chunk = 4 << 10

// digest is a correct hash.Hash around the library's, whose Sum hashes its argument instead of
// appending to it.
type digest struct{ inner hash.Hash }

var _ hash.Hash = (*digest)(nil)

func newDigest() hash.Hash { return &digest{inner: sm3.New()} }

func (d *digest) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), chunk)
		_, err := d.inner.Write(rest[:n])
		if err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

func (d *digest) Sum(b []byte) []byte { return append(b, d.inner.Sum(nil)...) }

func (d *digest) Reset()         { d.inner.Reset() }
func (d *digest) Size() int      { return d.inner.Size() }
func (d *digest) BlockSize() int { return d.inner.BlockSize() }
