package sm

import (
	"bytes"
	"encoding/hex"
	"io"
	"math/big"

	"gongji/crypto"
)

// uncompressed is the first byte of a point whose both coordinates follow. Compressed points are
// refused: gmsm reads and writes them wrongly.
const uncompressed = 0x04

// The recommended curve of GB/T 32918.5. The tables are never written.
var (
	curveP = constant("fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff")
	curveB = constant("28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93")
	curve3 = big.NewInt(3) // a = -3

	bytesP = padded(curveP)
	bytesN = padded(constant("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"))
	// bytesD is n-1, the least number that is no private key: 1 + d must have an inverse.
	bytesD = padded(constant("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54122"))
)

const errPoint fault = "not a point of the curve"

// constant reads one of the constants above. Zero for a typing error, which every test would show.
func constant(text string) *big.Int {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return new(big.Int)
	}
	return new(big.Int).SetBytes(raw)
}

func padded(v *big.Int) [scalarSize]byte {
	var out [scalarSize]byte
	v.FillBytes(out[:])
	return out
}

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
	bigX, bigY := new(big.Int).SetBytes(x), new(big.Int).SetBytes(y)
	// x^3 - 3x + b = x(x^2 - 3) + b
	right := new(big.Int).Mul(bigX, bigX)
	right.Sub(right, curve3)
	right.Mod(right, curveP)
	right.Mul(right, bigX)
	right.Add(right, curveB)
	right.Mod(right, curveP)
	left := bigY.Mul(bigY, bigY)
	left.Mod(left, curveP)
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
