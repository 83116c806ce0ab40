package api

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// Hasher is what the face needs of the crypto suite: the SM3 of the concatenation of parts.
type Hasher interface {
	Sum(parts ...[]byte) [32]byte
}

// digest names the content of a write: method, path and canonical body. Query parameters are no content: a repeat may
// wait longer than the first try did.
func digest(h Hasher, method, path string, body *node) [32]byte {
	var head []byte
	head = binary.AppendUvarint(head, uint64(len(method)))
	head = append(head, method...)
	head = binary.AppendUvarint(head, uint64(len(path)))
	head = append(head, path...)
	if body != nil {
		head = appendCanonical(head, body)
	}
	return h.Sum(head)
}

// appendCanonical writes the one text that all bodies of the same content share: keys sorted by their bytes, no white
// space, one form for each number and string, null members gone (unless the parser was told to keep them).
func appendCanonical(dst []byte, n *node) []byte {
	switch n.kind {
	case kindNull:
		return append(dst, "null"...)
	case kindBool:
		return strconv.AppendBool(dst, n.flag)
	case kindNumber:
		return append(dst, n.text...)
	case kindString:
		return appendQuoted(dst, n.text)
	case kindArray:
		dst = append(dst, '[')
		for i := range n.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendCanonical(dst, &n.items[i])
		}
		return append(dst, ']')
	case kindObject:
		return appendObject(dst, n)
	}
	return dst
}

func appendObject(dst []byte, n *node) []byte {
	order := make([]int, len(n.keys))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(n.keys[a], n.keys[b]) })
	dst = append(dst, '{')
	for i, at := range order {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, n.keys[at])
		dst = append(dst, ':')
		dst = appendCanonical(dst, &n.items[at])
	}
	return append(dst, '}')
}

// appendQuoted escapes what JSON must have escaped, and nothing else (as RFC 8785 does).
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// exponentDigitsMax bounds what is computed with; no field takes a number anywhere near.
const exponentDigitsMax = 9

// canonicalNumber writes a number as its digits without zeros at either end, and a power of ten: 900, 900.0 and 9e2
// are the same number, and 90000000000000000001 is not 90000000000000000000. No floating point is involved.
func canonicalNumber(raw, whole, fraction, exponent string) string {
	power := 0
	if exponent != "" {
		if len(exponent) > exponentDigitsMax {
			return raw
		}
		e, err := strconv.Atoi(exponent)
		if err != nil {
			return raw
		}
		power = e
	}
	power -= len(fraction)
	digits := strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(digits, "0")
	if short == "" {
		return "0"
	}
	power += len(digits) - len(short)
	sign := ""
	if raw[0] == '-' {
		sign = "-"
	}
	if power == 0 {
		return sign + short
	}
	return sign + short + "e" + strconv.Itoa(power)
}

// integerDigitsMax are the digits of an integer that a field may have; far above every bound.
const integerDigitsMax = 15

// integer reads a canonical number that is whole.
func integer(text string) (int, bool) {
	mantissa, power, scaled := strings.Cut(text, "e")
	zeros := 0
	if scaled {
		e, err := strconv.Atoi(power)
		if err != nil || e < 0 || e > integerDigitsMax {
			return 0, false
		}
		zeros = e
	}
	if len(mantissa)+zeros > integerDigitsMax {
		return 0, false
	}
	v, err := strconv.Atoi(mantissa + strings.Repeat("0", zeros))
	return v, err == nil
}
