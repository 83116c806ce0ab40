package sm

import (
	"gongji/crypto"
)

// The tags of DER that signatures and wrapped secrets use.
const (
	tagInteger  = 0x02
	tagOctets   = 0x04
	tagSequence = 0x30
)

// scalarSize is the size of a coordinate and of r and s, in bytes.
const scalarSize = 32

// The parsers' findings.
const (
	errDER    fault = "not strict DER"
	errRange  fault = "out of range"
	errLength fault = "wrong length"
)

// element splits der into the content of its first element, which must have the tag, and what
// follows it. Only definite lengths in their shortest form pass: DER has one encoding of each
// value.
func element(der []byte, tag byte) ([]byte, []byte, error) {
	if len(der) < 2 || der[0] != tag {
		return nil, nil, errDER
	}
	length, body := int(der[1]), der[2:]
	switch {
	case length < 0x80:
	case length == 0x81 && len(body) >= 1 && body[0] >= 0x80:
		length, body = int(body[0]), body[1:]
	case length == 0x82 && len(body) >= 2 && body[0] != 0:
		length, body = int(body[0])<<8|int(body[1]), body[2:]
	default:
		return nil, nil, errDER
	}
	if length > len(body) {
		return nil, nil, errDER
	}
	return body[:length], body[length:], nil
}

// unsigned reads an INTEGER of at most 256 bits that is not negative and minimally encoded into
// value.
func unsigned(der []byte, value *[scalarSize]byte) ([]byte, error) {
	content, rest, err := element(der, tagInteger)
	if err != nil {
		return nil, err
	}
	if len(content) == 0 || content[0] >= 0x80 {
		return nil, errDER
	}
	if content[0] == 0 && len(content) > 1 {
		if content[1] < 0x80 {
			return nil, errDER
		}
		content = content[1:]
	}
	if len(content) > scalarSize {
		return nil, errRange
	}
	copy(value[scalarSize-len(content):], content)
	return rest, nil
}

// appendHeader appends a tag and the shortest form of a length below 65,536.
func appendHeader(dst []byte, tag byte, length int) []byte {
	switch {
	case length < 0x80:
		return append(dst, tag, byte(length))
	case length < 0x100:
		return append(dst, tag, 0x81, byte(length))
	default:
		return append(dst, tag, 0x82, byte(length>>8), byte(length))
	}
}

// appendUnsigned appends value as a minimal INTEGER.
func appendUnsigned(dst []byte, value *[scalarSize]byte) []byte {
	v := value[:]
	for len(v) > 1 && v[0] == 0 {
		v = v[1:]
	}
	if v[0] >= 0x80 {
		dst = appendHeader(dst, tagInteger, len(v)+1)
		return append(append(dst, 0), v...)
	}
	return append(appendHeader(dst, tagInteger, len(v)), v...)
}

// Signature is an SM2 signature taken apart, both numbers big endian and padded.
type Signature struct{ R, S [scalarSize]byte }

// ParseSignature reads a strict DER signature (GM/T 0009) with 1 <= r, s <= n-1. Each (r, s) has
// one encoding: a changed encoding of a genuine signature is refused, so the bytes may stand for
// the signature.
func ParseSignature(der []byte) (Signature, error) {
	var sig Signature
	if len(der) > crypto.SigMax {
		return sig, errLength
	}
	content, rest, err := element(der, tagSequence)
	if err != nil {
		return sig, err
	}
	inner, err := unsigned(content, &sig.R)
	if err != nil {
		return sig, err
	}
	inner, err = unsigned(inner, &sig.S)
	if err != nil {
		return sig, err
	}
	if len(inner) != 0 || len(rest) != 0 {
		return sig, errDER
	}
	if !inOrder(&sig.R) || !inOrder(&sig.S) {
		return sig, errRange
	}
	return sig, nil
}

// DER is the signature's one encoding.
func (s *Signature) DER() []byte {
	body := make([]byte, 0, crypto.SigMax)
	body = appendUnsigned(body, &s.R)
	body = appendUnsigned(body, &s.S)
	return append(appendHeader(make([]byte, 0, crypto.SigMax), tagSequence, len(body)), body...)
}

// Ciphertext is an SM2 ciphertext taken apart: the point C1, the digest C3, the masked secret C2.
type Ciphertext struct {
	C1 crypto.Public
	C3 []byte
	C2 []byte
}

// ParseCiphertext reads the strict DER of GM/T 0009 (x, y, C3, C2) of at most crypto.WrapMax bytes.
// C1 is on the curve: a point off it, handed to a decryption that does not look, gives bits of the
// private key away. The parts of the result point into der, except C1.
func ParseCiphertext(der []byte) (Ciphertext, error) {
	var c Ciphertext
	if len(der) > crypto.WrapMax {
		return c, errLength
	}
	content, rest, err := element(der, tagSequence)
	if err != nil || len(rest) != 0 {
		return c, errDER
	}
	var x, y [scalarSize]byte
	content, err = unsigned(content, &x)
	if err != nil {
		return c, err
	}
	content, err = unsigned(content, &y)
	if err != nil {
		return c, err
	}
	c.C3, content, err = element(content, tagOctets)
	if err != nil {
		return c, err
	}
	c.C2, content, err = element(content, tagOctets)
	if err != nil {
		return c, err
	}
	if len(content) != 0 {
		return c, errDER
	}
	if len(c.C3) != crypto.HashSize || len(c.C2) == 0 {
		return c, errLength
	}
	c.C1 = Uncompressed(&x, &y)
	return c, CheckPublic(c.C1)
}

// DER is the ciphertext's one encoding. C1 has crypto.PublicSize bytes.
func (c *Ciphertext) DER() []byte {
	var x, y [scalarSize]byte
	copy(x[:], c.C1[1:1+scalarSize])
	copy(y[:], c.C1[1+scalarSize:])
	body := make([]byte, 0, crypto.WrapMax)
	body = appendUnsigned(body, &x)
	body = appendUnsigned(body, &y)
	body = append(appendHeader(body, tagOctets, len(c.C3)), c.C3...)
	body = append(appendHeader(body, tagOctets, len(c.C2)), c.C2...)
	return append(appendHeader(make([]byte, 0, len(body)+4), tagSequence, len(body)), body...)
}

// Raw is the form 04 ‖ x ‖ y ‖ C3 ‖ C2.
func (c *Ciphertext) Raw() []byte {
	raw := make([]byte, 0, len(c.C1)+len(c.C3)+len(c.C2))
	raw = append(raw, c.C1...)
	raw = append(raw, c.C3...)
	return append(raw, c.C2...)
}

// FromRaw takes the form 04 ‖ x ‖ y ‖ C3 ‖ C2 apart, without looking at the point.
func FromRaw(raw []byte) (Ciphertext, error) {
	if len(raw) <= crypto.PublicSize+crypto.HashSize || raw[0] != uncompressed {
		return Ciphertext{}, errLength
	}
	return Ciphertext{
		C1: raw[:crypto.PublicSize],
		C3: raw[crypto.PublicSize : crypto.PublicSize+crypto.HashSize],
		C2: raw[crypto.PublicSize+crypto.HashSize:],
	}, nil
}
