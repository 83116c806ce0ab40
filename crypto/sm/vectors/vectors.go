// Package vectors holds the published vectors that both engines run as a self test at start: GB/T
// 32918.5 (SM2), GM/T 0004 (SM3), GM/T 0002 (SM4), RFC 8998 (SM4-GCM), a valid signature that one
// library refused for years, and inputs that have to be refused. The source stands inside each
// file. The larger sets are in crypto/cryptotest.
package vectors

import (
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

//go:embed *.json
var files embed.FS

// Hex is bytes that stand in JSON as hexadecimal digits.
type Hex []byte

// UnmarshalText reads hexadecimal digits.
func (h *Hex) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil {
		return err
	}
	*h = raw
	return nil
}

// Standard is GB/T 32918.5, Annexes A to C.
type Standard struct {
	Curve struct {
		P, A, B, GX, GY, N Hex
	} `json:"curve"`
	Sign struct {
		ID, D, X, Y, Msg, ZA, E, K, R, S Hex
	} `json:"sign"`
	Encrypt struct {
		D, Plaintext, K, C1, C2, C3 Hex

		ASN1 Hex `json:"asn1_gmt0009"`
	} `json:"encrypt"`
	KeyExchange struct {
		IDA, IDB, DA, DB, RA, RB, K Hex

		Length int `json:"klen"`
	} `json:"key_exchange"`
}

// More is SM2 from other projects. E stands for a digest that was signed without the user id.
type More struct {
	D       Hex        `json:"private_key_d"`
	VerifyE []OfDigest `json:"verify_e"`
	Decrypt []struct {
		ASN1, Plaintext Hex
	} `json:"decrypt"`
	MustAccept []OfDigest `json:"must_accept_carry_bug"`
	SignFixedK []struct {
		ID, Msg, D, K, R, S Hex
	} `json:"sign_fixed_k"`
}

// OfDigest is a signature over a digest. The public key is SPKI's last 65 bytes, or that of More.D.
type OfDigest struct {
	Note         string
	SPKI, E, Sig Hex
}

// Negative is one input of sm2_negative.json.
type Negative struct {
	Name, Kind, Expect   string
	Pub, Msg, Sig, D, Ct Hex
}

// Digest is one SM3.
type Digest struct{ Msg, Digest Hex }

// MAC is one HMAC-SM3.
type MAC struct{ Key, Msg, Tag Hex }

// Block is SM4 applied Iterations times.
type Block struct {
	Key, Plaintext, Ciphertext Hex
	Iterations                 int
}

// AEAD is one sealed message. Alg is SM4-GCM or SM4-CCM.
type AEAD struct {
	Alg                                         string
	Key, Nonce, AAD, Plaintext, Ciphertext, Tag Hex
}

// SM2Standard reads GB/T 32918.5.
func SM2Standard() (Standard, error) { return load[Standard]("sm2_gbt32918_5.json") }

// SM2More reads the vectors of other projects.
func SM2More() (More, error) { return load[More]("sm2_more.json") }

// SM2Negative reads what has to be refused, and one that has to be accepted.
func SM2Negative() ([]Negative, error) {
	set, err := load[struct{ Vectors []Negative }]("sm2_negative.json")
	return set.Vectors, err
}

// SM3 reads digests and MACs.
func SM3() ([]Digest, []MAC, error) {
	set, err := load[struct {
		Digests []Digest
		HMAC    []MAC
	}]("sm3.json")
	return set.Digests, set.HMAC, err
}

// SM4 reads GM/T 0002; the last one has a million iterations.
func SM4() ([]Block, error) {
	set, err := load[struct{ Vectors []Block }]("sm4_block.json")
	return set.Vectors, err
}

// RFC8998 reads its Appendix A.
func RFC8998() ([]AEAD, error) {
	set, err := load[struct{ Vectors []AEAD }]("rfc8998_sm4_aead.json")
	return set.Vectors, err
}

func load[T any](name string) (T, error) {
	var value T
	raw, err := files.ReadFile(name)
	if err != nil {
		return value, fmt.Errorf("vectors: %w", err)
	}
	err = json.Unmarshal(raw, &value)
	if err != nil {
		return value, fmt.Errorf("vectors: %s: %w", name, err)
	}
	return value, nil
}
