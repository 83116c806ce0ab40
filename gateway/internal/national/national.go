// Package national speaks the national mobile-payment convention: JSON envelopes that are signed with SM2, and whose
// data is encrypted with SM4. It is pure: keys, times and engines are handed in.
//
// A sender puts the clear data into the envelope, signs, encrypts the data into encData and removes it; a receiver
// decrypts, puts the data back and verifies. Nothing of the data may be used before.
//
// The cipher is weak on purpose of nobody: SM4-ECB shows equal blocks, is not authenticated, and its key has at most 64
// bits, since it is made of 16 hex characters. It is here for compatibility on the wire and must travel inside TLS or
// TLCP; nothing is ever stored under it.
package national

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The words that every envelope says.
const (
	EncTypeSM4  = "SM4"
	SignTypeSM2 = "SM2"
)

// AppIDMin is how short an appId can be, in bytes: its first sixteen are a key.
const AppIDMin = 16

// Bounds.
const (
	blockSize = 16
	rawSize   = 64 // R ‖ S
)

// Errors. ErrEnvelope says what is wrong with the form; ErrData never says why.
var (
	ErrEnvelope = errors.New("national: bad envelope")
	ErrData     = errors.New("national: data refused")
)

// Block makes an SM4 of a key of 16 bytes.
type Block func(key []byte) (cipher.Block, error)

// Scalars is how a peer writes numbers and truth values into the sign string.
type Scalars string

// The ways that were seen.
const (
	ScalarsKept       Scalars = "keep"        // as in JSON
	ScalarsStrings    Scalars = "strings"     // inside data each becomes a string; top-level keys sort without case
	ScalarsFirstLevel Scalars = "first_level" // those directly inside data become strings
)

// Timestamp is how a peer writes the time.
type Timestamp string

// The ways that were seen.
const (
	TimestampLocal   Timestamp = "yyyyMMddHHmmss" // Beijing time
	TimestampSeconds Timestamp = "unix"
	TimestampMillis  Timestamp = "unix_ms"
)

// Dialect is how one peer writes the convention. Only the agreed one is tried, never another.
type Dialect struct {
	Scalars   Scalars
	Timestamp Timestamp
}

// Valid reports whether the words are known.
func (d Dialect) Valid() bool {
	s := d.Scalars == ScalarsKept || d.Scalars == ScalarsStrings || d.Scalars == ScalarsFirstLevel
	return s && (d.Timestamp == TimestampLocal || d.Timestamp == TimestampSeconds || d.Timestamp == TimestampMillis)
}

const localForm = "20060102150405"

func beijing() *time.Location { return time.FixedZone("", 8*60*60) }

// Format writes a time.
func (t Timestamp) Format(at time.Time) string {
	switch t {
	case TimestampSeconds:
		return strconv.FormatInt(at.Unix(), 10)
	case TimestampMillis:
		return strconv.FormatInt(at.UnixMilli(), 10)
	case TimestampLocal:
	}
	return at.In(beijing()).Format(localForm)
}

// Parse reads a time, or returns ErrEnvelope.
func (t Timestamp) Parse(s string) (time.Time, error) {
	if t == TimestampLocal {
		at, err := time.ParseInLocation(localForm, s, beijing())
		if err != nil || len(s) != len(localForm) {
			return time.Time{}, fmt.Errorf("%w: timestamp", ErrEnvelope)
		}
		return at, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != s {
		return time.Time{}, fmt.Errorf("%w: timestamp", ErrEnvelope)
	}
	if t == TimestampSeconds {
		return time.Unix(n, 0), nil
	}
	return time.UnixMilli(n), nil
}

// DataKey derives the key that data travels under from an app's id and secret.
func DataKey(sm4 Block, appID, secret string) ([]byte, error) {
	if len(appID) < AppIDMin || secret == "" {
		return nil, fmt.Errorf("%w: an appId has at least %d bytes, and a secret", ErrEnvelope, AppIDMin)
	}
	b, err := sm4([]byte(appID[:AppIDMin]))
	if err != nil {
		return nil, err
	}
	return []byte(encrypt(b, []byte(secret))[:blockSize]), nil
}

// Encrypt makes encData: the upper-case hex of SM4-ECB with PKCS#7 padding.
func Encrypt(sm4 Block, key, plain []byte) (string, error) {
	b, err := sm4(key)
	if err != nil {
		return "", err
	}
	return encrypt(b, plain), nil
}

func encrypt(b cipher.Block, plain []byte) string {
	pad := blockSize - len(plain)%blockSize
	out := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	for i := 0; i < len(out); i += blockSize {
		b.Encrypt(out[i:], out[i:])
	}
	return strings.ToUpper(hex.EncodeToString(out))
}

// Decrypt opens encData, or returns ErrData. What it returns is not authentic before the envelope was verified.
func Decrypt(sm4 Block, key []byte, encData string) ([]byte, error) {
	out, err := hex.DecodeString(encData)
	if err != nil || len(out) == 0 || len(out)%blockSize != 0 {
		return nil, ErrData
	}
	b, err := sm4(key)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(out); i += blockSize {
		b.Decrypt(out[i:], out[i:])
	}
	pad := int(out[len(out)-1])
	if pad == 0 || pad > blockSize || !bytes.HasSuffix(out, bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, ErrData
	}
	return out[:len(out)-pad], nil
}

// RawSignature reads signData, the Base64 of R ‖ S, and returns its 64 bytes and the DER that engines take.
func RawSignature(signData string) ([]byte, []byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(signData)
	if err != nil || len(raw) != rawSize {
		return nil, nil, ErrData
	}
	body := append(derInteger(raw[:rawSize/2]), derInteger(raw[rawSize/2:])...)
	return raw, append([]byte{0x30, byte(len(body))}, body...), nil
}

// derInteger writes a positive integer of at most 32 bytes in its shortest form.
func derInteger(b []byte) []byte {
	b = bytes.TrimLeft(b, "\x00")
	if len(b) == 0 || b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return append([]byte{0x02, byte(len(b))}, b...)
}

// SignData writes what an engine signed (strict DER) as signData.
func SignData(der []byte) (string, error) {
	raw := make([]byte, 0, rawSize)
	if len(der) < 2 || der[0] != 0x30 || int(der[1]) != len(der)-2 {
		return "", ErrData
	}
	rest := der[2:]
	for range 2 {
		if len(rest) < 2 || rest[0] != 0x02 || int(rest[1]) > len(rest)-2 {
			return "", ErrData
		}
		number := bytes.TrimLeft(rest[2:2+int(rest[1])], "\x00")
		rest = rest[2+int(rest[1]):]
		if len(number) > rawSize/2 {
			return "", ErrData
		}
		raw = append(raw, make([]byte, rawSize/2-len(number))...)
		raw = append(raw, number...)
	}
	if len(rest) != 0 {
		return "", ErrData
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}
