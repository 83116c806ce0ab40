package cryptotest

import (
	"bytes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
	"slices"
	"testing"

	"gongji/crypto"
	"gongji/crypto/sm/vectors"
)

func vectorsBlock(t *testing.T, _ crypto.Suite, raw Raw) {
	list, err := vectors.SM4()
	must(t, list, err)
	for _, v := range list {
		block, err := raw.Block(v.Key)
		must(t, block, err)
		data := bytes.Clone(v.Plaintext)
		for range v.Iterations {
			block.Encrypt(data, data)
		}
		same(t, "encrypted", data, v.Ciphertext)
		if v.Iterations > 1 {
			continue // once back is enough
		}
		block.Decrypt(data, data)
		same(t, "decrypted", data, v.Plaintext)
	}
}

// mode is one vector of sm4_modes_openssl.json.
type mode struct {
	Cipher, XTSStandard                      string
	Key, IV, AAD, Tag, Plaintext, Ciphertext vectors.Hex
}

// vectorsModes: of the modes only GCM is part of the contract. The others check the engine's block
// under the standard library's modes, and under a CCM and an XTS that are written for this test.
func vectorsModes(t *testing.T, suite crypto.Suite, raw Raw) {
	var set struct{ Vectors []mode }
	read(t, "sm4_modes_openssl.json", &set)
	if len(set.Vectors) != 13 {
		t.Fatalf("%d vectors", len(set.Vectors))
	}
	for _, v := range set.Vectors {
		t.Run(v.Cipher+" "+v.XTSStandard, func(t *testing.T) {
			block, err := raw.Block(v.Key[:crypto.KeySize])
			must(t, block, err)
			got := make([]byte, len(v.Plaintext))
			switch v.Cipher {
			case "SM4-ECB":
				block.Encrypt(got, v.Plaintext)
			case "SM4-CBC":
				cipher.NewCBCEncrypter(block, v.IV).CryptBlocks(got, v.Plaintext)
			case "SM4-OFB":
				//nolint:staticcheck // deprecated for use; this is a vector
				cipher.NewOFB(block, v.IV).XORKeyStream(got, v.Plaintext)
			case "SM4-CFB":
				//nolint:staticcheck // deprecated for use; this is a vector
				cipher.NewCFBEncrypter(block, v.IV).XORKeyStream(got, v.Plaintext)
			case "SM4-CTR":
				cipher.NewCTR(block, v.IV).XORKeyStream(got, v.Plaintext)
			case "SM4-GCM":
				sealed := aead(t, suite, v.Key).Seal(nil, v.IV, v.Plaintext, v.AAD)
				same(t, "tag", sealed[len(v.Plaintext):], v.Tag)
				got = sealed[:len(v.Plaintext)]
			case "SM4-CCM":
				sealed := ccmSeal(block, len(v.Tag), v.IV, v.Plaintext, v.AAD)
				same(t, "tag", sealed[len(v.Plaintext):], v.Tag)
				got = sealed[:len(v.Plaintext)]
			case "SM4-XTS":
				tweak, err := raw.Block(v.Key[crypto.KeySize:])
				must(t, tweak, err)
				got = xtsSeal(block, tweak, v.IV, v.Plaintext, v.XTSStandard != "IEEE")
			default:
				t.Fatal("unknown mode")
			}
			same(t, v.Cipher, got, v.Ciphertext)
		})
	}
}

// ccmValid has the sizes of NIST SP 800-38C.
func ccmValid(tagSize int, nonce []byte) bool {
	return tagSize >= 4 && tagSize <= 16 && tagSize%2 == 0 && len(nonce) >= 7 && len(nonce) <= 13
}

// ccmCounter is the counter block of CCM.
func ccmCounter(nonce []byte, n uint64) []byte {
	var out [16]byte
	binary.BigEndian.PutUint64(out[8:], n)
	out[0] = byte(14 - len(nonce))
	copy(out[1:], nonce)
	return out[:]
}

// ccmTag is CCM's CBC-MAC. Additional data is below 65,280 bytes.
func ccmTag(block cipher.Block, tagSize int, nonce, plaintext, additional []byte) []byte {
	first := ccmCounter(nonce, uint64(len(plaintext)))
	first[0] |= byte((tagSize - 2) / 2 << 3)
	if len(additional) > 0 {
		first[0] |= 0x40
	}
	input := first
	pad := func() {
		for len(input)%16 != 0 {
			input = append(input, 0)
		}
	}
	if len(additional) > 0 {
		input = binary.BigEndian.AppendUint16(input, uint16(len(additional)))
		input = append(input, additional...)
		pad()
	}
	input = append(input, plaintext...)
	pad()
	var mac [16]byte
	for ; len(input) > 0; input = input[16:] {
		subtle.XORBytes(mac[:], mac[:], input[:16])
		block.Encrypt(mac[:], mac[:])
	}
	var mask [16]byte
	block.Encrypt(mask[:], ccmCounter(nonce, 0))
	subtle.XORBytes(mac[:], mac[:], mask[:])
	return mac[:tagSize]
}

func ccmSeal(block cipher.Block, tagSize int, nonce, plaintext, additional []byte) []byte {
	out := bytes.Clone(plaintext)
	cipher.NewCTR(block, ccmCounter(nonce, 1)).XORKeyStream(out, out)
	return append(out, ccmTag(block, tagSize, nonce, plaintext, additional)...)
}

func ccmOpen(block cipher.Block, tagSize int, nonce, sealed, additional []byte) ([]byte, bool) {
	if !ccmValid(tagSize, nonce) || len(sealed) < tagSize {
		return nil, false
	}
	out := make([]byte, len(sealed)-tagSize)
	cipher.NewCTR(block, ccmCounter(nonce, 1)).XORKeyStream(out, sealed[:len(out)])
	tag := ccmTag(block, tagSize, nonce, out, additional)
	return out, subtle.ConstantTimeCompare(tag, sealed[len(out):]) == 1
}

// xtsSeal is XTS of IEEE 1619 with ciphertext stealing; GB/T 17964 multiplies the tweak with the
// bits of each byte in the other order.
func xtsSeal(block, tweaks cipher.Block, iv, plaintext []byte, gb bool) []byte {
	tweak := make([]byte, 16)
	tweaks.Encrypt(tweak, iv)
	double := func() {
		if gb {
			reverseBits(tweak)
		}
		carry := byte(0)
		for i := range tweak {
			carry, tweak[i] = tweak[i]>>7, tweak[i]<<1|carry
		}
		tweak[0] ^= carry * 0x87
		if gb {
			reverseBits(tweak)
		}
	}
	one := func(in []byte) []byte {
		out := make([]byte, 16)
		subtle.XORBytes(out, in, tweak)
		block.Encrypt(out, out)
		subtle.XORBytes(out, out, tweak)
		double()
		return out
	}
	var sealed []byte
	rest := plaintext
	for ; len(rest) >= 16; rest = rest[16:] {
		sealed = append(sealed, one(rest[:16])...)
	}
	if len(rest) == 0 {
		return sealed
	}
	last := slices.Clone(sealed[len(sealed)-16:])
	stolen := one(append(slices.Clone(rest), last[len(rest):]...))
	return append(append(sealed[:len(sealed)-16], stolen...), last[:len(rest)]...)
}

func reverseBits(b []byte) {
	for i := range b {
		b[i] = bits.Reverse8(b[i])
	}
}
