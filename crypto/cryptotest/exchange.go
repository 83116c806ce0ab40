package cryptotest

import (
	"math/big"
	"slices"
	"testing"

	"gongji/crypto"
	"gongji/crypto/sm/vectors"
)

// vectorsKeyExchange: the key exchange of GB/T 32918.3 is not part of the contract; parcels carry
// their own key. The vector still checks the engine's public keys, digests and key range, under
// arithmetic that is written for this test.
func vectorsKeyExchange(t *testing.T, suite crypto.Suite, _ Raw) {
	v, err := vectors.SM2Standard()
	must(t, v, err)
	k := v.KeyExchange
	dA, dB := affineKey(t, suite, k.DA), affineKey(t, suite, k.DB)
	rA, rB := affineKey(t, suite, k.RA), affineKey(t, suite, k.RB)
	z := slices.Concat(identity(suite, dA.public, k.IDA), identity(suite, dB.public, k.IDB))
	same(t, "key of A", agree(suite, dA, rA, dB, rB, z), k.K)
	same(t, "key of B", agree(suite, dB, rB, dA, rA, z), k.K)
}

// affine is a private key with its point.
type affine struct {
	d, x, y *big.Int
	public  crypto.Public
}

func affineKey(t *testing.T, suite crypto.Suite, d []byte) affine {
	t.Helper()
	private, err := suite.Private(d)
	must(t, private, err)
	key := private.Public()
	return affine{
		d:      new(big.Int).SetBytes(d),
		x:      new(big.Int).SetBytes(key[1:33]),
		y:      new(big.Int).SetBytes(key[33:]),
		public: key,
	}
}

// identity is Z of a user.
func identity(suite crypto.Suite, key crypto.Public, id []byte) []byte {
	v, err := vectors.SM2Standard()
	if err != nil {
		return nil
	}
	bits := len(id) * 8
	z := suite.Sum([]byte{byte(bits >> 8), byte(bits)}, id, v.Curve.A, v.Curve.B, v.Curve.GX, v.Curve.GY, key[1:])
	return z[:]
}

// agree computes a side's key of 16 bytes: V = t(P + x̂R), K = KDF(V ‖ z), where z is ZA ‖ ZB.
func agree(suite crypto.Suite, own, fresh, peer, peerFresh affine, z []byte) []byte {
	n := number(hexN)
	hat := func(x *big.Int) *big.Int {
		w := new(big.Int).Lsh(big.NewInt(1), 127)
		low := new(big.Int).And(x, new(big.Int).Sub(w, big.NewInt(1)))
		return low.Add(low, w)
	}
	factor := new(big.Int).Mul(hat(fresh.x), fresh.d)
	factor.Add(factor, own.d).Mod(factor, n)
	x, y := multiply(hat(peerFresh.x), peerFresh.x, peerFresh.y)
	x, y = add(x, y, peer.x, peer.y)
	x, y = multiply(factor, x, y)
	sum := suite.Sum(scalar(x, 0), scalar(y, 0), z, []byte{0, 0, 0, 1})
	return sum[:16]
}

// add is affine addition on the curve; nil is the point at infinity.
func add(x1, y1, x2, y2 *big.Int) (*big.Int, *big.Int) {
	if x1 == nil {
		return x2, y2
	}
	p := number(hexP)
	slope, below := new(big.Int), new(big.Int)
	if x1.Cmp(x2) == 0 {
		if y1.Cmp(y2) != 0 {
			return nil, nil
		}
		slope.Mul(x1, x1).Mul(slope, big.NewInt(3)).Sub(slope, big.NewInt(3))
		below.Lsh(y1, 1)
	} else {
		slope.Sub(y2, y1)
		below.Sub(x2, x1).Mod(below, p)
	}
	slope.Mul(slope, below.ModInverse(below, p)).Mod(slope, p)
	x := new(big.Int).Mul(slope, slope)
	x.Sub(x, x1).Sub(x, x2).Mod(x, p)
	y := new(big.Int).Sub(x1, x)
	y.Mul(y, slope).Sub(y, y1).Mod(y, p)
	return x, y
}

func multiply(k, x, y *big.Int) (*big.Int, *big.Int) {
	var outX, outY *big.Int
	for i := k.BitLen() - 1; i >= 0; i-- {
		if outX != nil {
			outX, outY = add(outX, outY, outX, outY)
		}
		if k.Bit(i) == 1 {
			outX, outY = add(outX, outY, x, y)
		}
	}
	return outX, outY
}
