package cert

import (
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"gongji/crypto"
	"gongji/crypto/sm"
)

// The contents of the object identifiers that may stand in the federation's certificates.
var (
	oidSM2WithSM3  = []byte{0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75} // 1.2.156.10197.1.501
	oidSM2         = []byte{0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d} // 1.2.156.10197.1.301
	oidECPublicKey = []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01}       // 1.2.840.10045.2.1
	oidSM4         = []byte{0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x68}       // 1.2.156.10197.1.104
	oidSM4ECB      = []byte{0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x68, 0x01} // 1.2.156.10197.1.104.1
)

// depthMax bounds the nesting: a certificate needs nine.
const depthMax = 16

// strict returns nil if der is one element of DER of at most limit bytes: definite lengths in their shortest form, tags
// of one byte, bounded nesting. Libraries loop, recurse or panic on what it refuses.
func strict(der []byte, limit int) error {
	if len(der) > limit {
		return refuse(ReasonMalformed, "%d bytes; the bound is %d", len(der), limit)
	}
	rest, err := element(der, depthMax)
	if err != nil {
		return err
	}
	if len(rest) != 0 {
		return refuse(ReasonMalformed, "bytes behind the end")
	}
	return nil
}

// element checks the first element, and returns what follows it.
func element(der []byte, depth int) ([]byte, error) {
	const constructed, longTag = 0x20, 0x1f
	if len(der) < 2 || der[0]&longTag == longTag {
		return nil, refuse(ReasonMalformed, "not DER")
	}
	length, body := int(der[1]), der[2:]
	if length >= 0x80 {
		var ok bool
		if length, body, ok = longLength(length&0x7f, body); !ok {
			return nil, refuse(ReasonMalformed, "a length that is not DER")
		}
	}
	if length > len(body) {
		return nil, refuse(ReasonMalformed, "cut off")
	}
	content, rest := body[:length], body[length:]
	if der[0]&constructed == 0 {
		return rest, nil
	}
	if depth == 0 {
		return nil, refuse(ReasonMalformed, "nested too deeply")
	}
	for len(content) > 0 {
		var err error
		if content, err = element(content, depth-1); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// longLength reads a length of 1 to 3 bytes in its shortest form.
func longLength(size int, body []byte) (int, []byte, bool) {
	if size < 1 || size > 3 || len(body) < size || body[0] == 0 {
		return 0, nil, false
	}
	length := 0
	for _, b := range body[:size] {
		length = length<<8 | int(b)
	}
	return length, body[size:], length >= 0x80
}

// isSM2WithSM3 reads the content of an AlgorithmIdentifier. GB/T 20518 has no parameters; some issuers write NULL.
func isSM2WithSM3(algorithm cryptobyte.String) bool {
	var oid cryptobyte.String
	if !algorithm.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) || !slices.Equal(oid, oidSM2WithSM3) {
		return false
	}
	var null cryptobyte.String
	return algorithm.Empty() || algorithm.ReadASN1(&null, asn1.NULL) && null.Empty() && algorithm.Empty()
}

// publicOf reads a SubjectPublicKeyInfo: SM2's curve by name, the point uncompressed and on the curve.
func publicOf(info []byte) (crypto.Public, error) {
	var outer, algorithm, kind, curve, bits cryptobyte.String
	input := cryptobyte.String(info)
	if !input.ReadASN1(&outer, asn1.SEQUENCE) || !input.Empty() || !outer.ReadASN1(&algorithm, asn1.SEQUENCE) ||
		!outer.ReadASN1(&bits, asn1.BIT_STRING) || !outer.Empty() {
		return nil, refuse(ReasonMalformed, "public key")
	}
	if !algorithm.ReadASN1(&kind, asn1.OBJECT_IDENTIFIER) || !algorithm.ReadASN1(&curve, asn1.OBJECT_IDENTIFIER) ||
		!algorithm.Empty() || !slices.Equal(kind, oidECPublicKey) || !slices.Equal(curve, oidSM2) {
		return nil, refuse(ReasonAlgorithm, "the key is not on SM2's curve (1.2.156.10197.1.301, by name)")
	}
	return pointOf(bits)
}

// pointOf reads the content of a BIT STRING that holds a point.
func pointOf(bits cryptobyte.String) (crypto.Public, error) {
	var unused uint8
	if !bits.ReadUint8(&unused) || unused != 0 || sm.CheckPublic(crypto.Public(bits)) != nil {
		return nil, refuse(ReasonKey, "not an uncompressed point of the curve")
	}
	return slices.Clone(crypto.Public(bits)), nil
}

// encodePublic is a SubjectPublicKeyInfo.
func encodePublic(public crypto.Public) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(oidECPublicKey) })
			b.AddASN1(asn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(oidSM2) })
		})
		b.AddASN1BitString(public)
	})
	return b.Bytes()
}
