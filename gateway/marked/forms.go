package marked

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf16"

	"gongji/crypto/sm/emm"
)

// Form is one way in which a clear text could stand in data.
type Form struct {
	Name  string
	Bytes []byte
}

// Forms are all the ways that are looked for: UTF-8 and UTF-16, as they are, in hex and in base64 at every alignment;
// escaped as in JSON and in URLs; the digits of a number packed two in a byte; and digests without a key, which
// whoever counts through all numbers can turn back.
func Forms(text string) []Form {
	utf8 := []byte(text)
	little, big := wide(text, binary.LittleEndian), wide(text, binary.BigEndian)
	forms := []Form{{"utf-8", utf8}, {"utf-16le", little}, {"utf-16be", big}}
	for _, f := range forms[:3] {
		digits := hex.EncodeToString(f.Bytes)
		forms = append(forms, Form{f.Name + " hex", []byte(digits)},
			Form{f.Name + " HEX", []byte(strings.ToUpper(digits))})
		forms = append(forms, base64Forms(f)...)
	}
	if escaped := escape(text); escaped != text {
		percent := url.QueryEscape(text)
		forms = append(forms, Form{"json escapes", []byte(escaped)},
			Form{"JSON escapes", []byte(strings.ReplaceAll(strings.ToUpper(escaped), `\U`, `\u`))},
			Form{"URL", []byte(percent)}, Form{"url", []byte(lowered(percent))})
	}
	forms = append(forms, packed(text)...)
	for name, sum := range map[string][32]byte{"sha-256": sha256.Sum256(utf8), "sm3": emm.New().Sum(utf8)} {
		digits := hex.EncodeToString(sum[:])
		forms = append(forms, Form{name, sum[:]}, Form{name + " hex", []byte(digits)},
			Form{name + " HEX", []byte(strings.ToUpper(digits))},
			Form{name + " base64", []byte(base64.RawStdEncoding.EncodeToString(sum[:])[:42])})
	}
	return forms
}

func wide(text string, order binary.AppendByteOrder) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

// base64Forms are what base64 of a longer text has in it: the characters of the whole groups of three bytes, which
// depend on where the first one begins.
func base64Forms(f Form) []Form {
	var out []Form
	for shift := range 3 {
		skip := (3 - shift) % 3 // bytes that share a group with what stands in front
		whole := f.Bytes[min(skip, len(f.Bytes)):]
		whole = whole[:len(whole)/3*3]
		std := base64.RawStdEncoding.EncodeToString(whole)
		name := fmt.Sprintf("%s base64 at %d", f.Name, shift)
		out = append(out, Form{name, []byte(std)})
		if safe := base64.RawURLEncoding.EncodeToString(whole); safe != std {
			out = append(out, Form{name + " (url)", []byte(safe)})
		}
	}
	return out
}

// escape writes what is not ASCII as \uXXXX.
func escape(text string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(text)) {
		if u < 0x80 {
			b.WriteByte(byte(u))
		} else {
			fmt.Fprintf(&b, `\u%04x`, u)
		}
	}
	return b.String()
}

// lowered writes the hex digits behind each per cent sign small.
func lowered(percent string) string {
	b := []byte(percent)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(percent[i+1:i+3]))
		}
	}
	return string(b)
}

// packedDigits are the digits of a number that are looked for packed, from either of the first two on.
const packedDigits = 16

// packed are a number's digits two in a byte, with the first one in the high or in the low half.
func packed(text string) []Form {
	var out []Form
	for start := range 2 {
		if len(text) < start+packedDigits {
			break
		}
		digits := text[start : start+packedDigits]
		high, err := hex.DecodeString(digits)
		if err != nil || strings.Trim(digits, "0123456789") != "" {
			break
		}
		low := make([]byte, len(high))
		for i, b := range high {
			low[i] = b<<4 | b>>4
		}
		out = append(out, Form{fmt.Sprintf("packed from %d", start), high},
			Form{fmt.Sprintf("packed from %d, halves swapped", start), low})
	}
	return out
}
