package sm

import (
	"bytes"
	"io"
	"math/big"

	"gongji/crypto"
)

// uncompressed is the first byte of a point whose both coordinates follow. Compressed points are
// refused: gmsm reads and writes them wrongly.
const uncompressed = 0x04

// The recommended curve of GB/T 32918.5, big endian; its a is -3. The tables are never written.
var (
	bytesP = [scalarSize]byte{
		0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	}
	bytesB = [scalarSize]byte{
		0x28, 0xe9, 0xfa, 0x9e, 0x9d, 0x9f, 0x5e, 0x34, 0x4d, 0x5a, 0x9e, 0x4b, 0xcf, 0x65, 0x09, 0xa7,
		0xf3, 0x97, 0x89, 0xf5, 0x15, 0xab, 0x8f, 0x92, 0xdd, 0xbc, 0xbd, 0x41, 0x4d, 0x94, 0x0e, 0x93,
	}
	bytesN = [scalarSize]byte{
		0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x72, 0x03, 0xdf, 0x6b, 0x21, 0xc6, 0x05, 0x2b, 0x53, 0xbb, 0xf4, 0x09, 0x39, 0xd5, 0x41, 0x23,
	}
	// bytesD is n-1, the least number that is no private key: 1 + d must have an inverse.
	bytesD = [scalarSize]byte{
		0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x72, 0x03, 0xdf, 0x6b, 0x21, 0xc6, 0x05, 0x2b, 0x53, 0xbb, 0xf4, 0x09, 0x39, 0xd5, 0x41, 0x22,
	}
)

const errPoint fault = "not a point of the curve"

// inOrder reports 1 <= v <= n-1. v is public.
func inOrder(v *[scalarSize]byte) bool {
	return *v != [scalarSize]byte{} && bytes.Compare(v[:], bytesN[:]) < 0
}

// Uncompressed is 04 ‖ x ‖ y.
func Uncompressed(x, y *[scalarSize]byte) crypto.Public {
	out := make(crypto.Public, 0, crypto.PublicSize)
	out = append(out, uncompressed)
	out = append(out, x[:]...)
	return append(out, y[:]...)
}

// CheckPublic returns nil if public is 04 ‖ x ‖ y with x, y < p on the curve. The order of the
// curve is prime, so each such point is a valid key.
func CheckPublic(public crypto.Public) error {
	if len(public) != crypto.PublicSize || public[0] != uncompressed {
		return errLength
	}
	x, y := public[1:1+scalarSize], public[1+scalarSize:]
	if bytes.Compare(x, bytesP[:]) >= 0 || bytes.Compare(y, bytesP[:]) >= 0 {
		return errRange
	}
	p, b := new(big.Int).SetBytes(bytesP[:]), new(big.Int).SetBytes(bytesB[:])
	bigX, bigY := new(big.Int).SetBytes(x), new(big.Int).SetBytes(y)
	// x^3 - 3x + b = x(x^2 - 3) + b
	right := new(big.Int).Mul(bigX, bigX)
	right.Sub(right, big.NewInt(3))
	right.Mod(right, p)
	right.Mul(right, bigX)
	right.Add(right, b)
	right.Mod(right, p)
	left := bigY.Mul(bigY, bigY)
	left.Mod(left, p)
	if left.Cmp(right) != 0 {
		return errPoint
	}
	return nil
}

// CheckPrivate returns nil if d has crypto.PrivateSize bytes and 1 <= d <= n-2 (GB/T 32918.1). It
// takes the same time for each d.
func CheckPrivate(d []byte) error {
	if len(d) != crypto.PrivateSize {
		return errLength
	}
	var bits byte
	borrow := 0 // of d - (n-1), from the last byte to the first
	for i := scalarSize - 1; i >= 0; i-- {
		bits |= d[i]
		borrow = (int(d[i]) - int(bytesD[i]) - borrow) >> 8 & 1
	}
	zero := (int(bits) - 1) >> 8 & 1
	if borrow == 0 || zero == 1 {
		return errRange
	}
	return nil
}

// scalarTries bounds the draws of NewScalar. One draw fails with a chance of 2^-32.
const scalarTries = 16

// NewScalar draws a private key from random, uniformly.
func NewScalar(random io.Reader) ([]byte, error) {
	d := make([]byte, crypto.PrivateSize)
	for range scalarTries {
		_, err := io.ReadFull(random, d)
		if err != nil {
			return nil, err
		}
		if CheckPrivate(d) == nil {
			return d, nil
		}
	}
	return nil, errRange
}
