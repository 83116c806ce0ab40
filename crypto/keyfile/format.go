package keyfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"gongji/crypto"
)

// magic begins each key file; the digit is the version. Another version has another magic, so that
// an old program refuses a new file whole.
const magic = "GJKEY-1\n"

// Limits of a key file, in bytes.
const (
	idMax      = 64
	secretMax  = 64
	headerSize = len(magic) + 1 + 9 + saltSize + 1 + 4 + 8 + saltSize + crypto.NonceSize + 1 + 1 // without the id
	fileMax    = headerSize + idMax + secretMax + crypto.TagSize
)

// wrapLabel separates the keys that wrap files from every other use of the master key.
const wrapLabel = "gongji key file v1"

// The uses on file; never reused.
const (
	codeSign = iota + 1
	codeDecrypt
	codeToken
	codeData
	codeEvidence
)

func useCode(use crypto.Use) byte {
	switch use {
	case crypto.UseSign:
		return codeSign
	case crypto.UseDecrypt:
		return codeDecrypt
	case crypto.UseToken:
		return codeToken
	case crypto.UseData:
		return codeData
	case crypto.UseEvidence:
		return codeEvidence
	}
	return 0
}

func codeUse(code byte) (crypto.Use, bool) {
	switch code {
	case codeSign:
		return crypto.UseSign, true
	case codeDecrypt:
		return crypto.UseDecrypt, true
	case codeToken:
		return crypto.UseToken, true
	case codeData:
		return crypto.UseData, true
	case codeEvidence:
		return crypto.UseEvidence, true
	}
	return "", false
}

// secretSize is the size of a use's secret in bytes; 0 for an unknown use.
func secretSize(use crypto.Use) int {
	switch use {
	case crypto.UseSign, crypto.UseDecrypt:
		return crypto.PrivateSize
	case crypto.UseToken, crypto.UseEvidence:
		return crypto.HashSize
	case crypto.UseData:
		return crypto.KeySize
	}
	return 0
}

// header is the clear and authenticated part of a key file.
type header struct {
	derivation
	use      crypto.Use
	sequence uint32
	created  time.Time // seconds
	fileSalt [saltSize]byte
	nonce    [crypto.NonceSize]byte
	id       string
	length   int // of the secret
}

func (h *header) encode() []byte {
	out := make([]byte, 0, fileMax)
	out = append(out, magic...)
	out = append(out, h.encodeDerivation()...)
	out = append(out, useCode(h.use))
	out = binary.BigEndian.AppendUint32(out, h.sequence)
	out = binary.BigEndian.AppendUint64(out, uint64(h.created.Unix())) //nolint:gosec // not negative
	out = append(out, h.fileSalt[:]...)
	out = append(out, h.nonce[:]...)
	out = append(out, byte(len(h.id)))
	out = append(out, h.id...)
	return append(out, byte(h.length))
}

func (d derivation) encodeDerivation() []byte {
	out := []byte{d.kdf}
	out = binary.BigEndian.AppendUint32(out, d.cost.Time)
	out = binary.BigEndian.AppendUint32(out, d.cost.MemoryKiB)
	out = append(out, d.cost.Threads)
	return append(out, d.salt[:]...)
}

// file is a key file taken apart. head is the header's bytes.
type file struct {
	header
	head, sealed []byte
}

// decode takes a key file apart. It accepts exactly what encode writes.
func decode(raw []byte) (file, error) {
	if len(raw) < headerSize || len(raw) > fileMax || !bytes.HasPrefix(raw, []byte(magic)) {
		return file{}, ErrFormat
	}
	var f file
	r := reader{rest: raw[len(magic):]}
	f.derivation = r.derivation()
	use, known := codeUse(r.byte())
	f.use = use
	f.sequence = r.uint32()
	seconds := r.uint64()
	copy(f.fileSalt[:], r.take(saltSize))
	copy(f.nonce[:], r.take(crypto.NonceSize))
	f.id = string(r.take(int(r.byte())))
	f.length = int(r.byte())
	f.head, f.sealed = raw[:len(raw)-len(r.rest)], r.rest
	switch {
	case r.short, !known, !f.valid(), !validID(f.id), f.sequence == 0, seconds > timeMax,
		f.length != secretSize(use), len(f.sealed) != f.length+crypto.TagSize:
		return file{}, ErrFormat
	}
	f.created = time.Unix(int64(seconds), 0).UTC() //nolint:gosec // at most timeMax
	return f, nil
}

// timeMax is the last second of the year 9999: what has a month in an id.
const timeMax = 253402300799

// reader takes bytes from the front. After it ran short everything is zero.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.short, r.rest = true, nil
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte {
	b := r.take(1)
	if b == nil {
		return 0
	}
	return b[0]
}

func (r *reader) derivation() derivation {
	d := derivation{kdf: r.byte()}
	d.cost.Time = r.uint32()
	d.cost.MemoryKiB = r.uint32()
	d.cost.Threads = r.byte()
	copy(d.salt[:], r.take(saltSize))
	return d
}

func (r *reader) uint16() uint16 {
	b := r.take(2)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

func (r *reader) uint32() uint32 {
	b := r.take(4)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func (r *reader) uint64() uint64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// validID reports 1 to idMax of a-z, 0-9 and -, which is a file name everywhere.
func validID(id string) bool {
	if id == "" || len(id) > idMax || id[0] == '-' {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// wrap makes the bytes of a key file.
func wrap(suite crypto.Suite, kek *KEK, h header, secret []byte, random io.Reader) ([]byte, error) {
	_, err := io.ReadFull(random, h.fileSalt[:])
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	_, err = io.ReadFull(random, h.nonce[:])
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	h.length = len(secret)
	aead, err := wrapper(suite, kek, &h)
	if err != nil {
		return nil, err
	}
	head := h.encode()
	return aead.Seal(bytes.Clone(head), h.nonce[:], secret, head), nil
}

// unwrap opens a key file. Errors: ErrFormat, ErrKEK.
func unwrap(suite crypto.Suite, kek *KEK, raw []byte) (header, []byte, error) {
	f, err := decode(raw)
	if err != nil {
		return header{}, nil, err
	}
	aead, err := wrapper(suite, kek, &f.header)
	if err != nil {
		return header{}, nil, err
	}
	secret, err := aead.Open(nil, f.nonce[:], f.sealed, f.head)
	if err != nil {
		return header{}, nil, ErrKEK
	}
	return f.header, secret, nil
}

// wrapper is SM4-GCM under the key of one file: HMAC-SM3 of the file's salt under the master key.
func wrapper(suite crypto.Suite, kek *KEK, h *header) (crypto.AEAD, error) {
	master, err := kek.master(suite, h.derivation)
	if err != nil {
		return nil, err
	}
	key := suite.MAC(master[:], []byte(wrapLabel), h.fileSalt[:])
	return suite.AEAD(key[:crypto.KeySize])
}
