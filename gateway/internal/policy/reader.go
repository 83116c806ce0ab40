package policy

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// reader is a strict reader of JSON that is led by what is expected, so that nothing but
// the expected shape is read and its depth needs no bound of its own. It exists because a
// domain package imports no decoder, and because encoding/json lets keys come twice and in
// any case of letters. After the first failure every method does nothing.
type reader struct {
	b   []byte
	i   int
	err error
}

// field is one key of an object.
type field struct {
	name     string
	required bool
	read     func()
}

// integerDigitsMax: no number of the rules is longer, and an int holds it on any machine.
const integerDigitsMax = 9

func (s *reader) fail(why string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: at byte %d: %s", ErrRules, s.i, why)
	}
}

// peek skips white space and gives the next byte, 0 at the end or after a failure.
func (s *reader) peek() byte {
	for s.err == nil && s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// take reads one expected byte.
func (s *reader) take(c byte) {
	if s.peek() != c {
		s.fail("expected " + strconv.QuoteRune(rune(c)))
		return
	}
	s.i++
}

// end demands that nothing but white space is left.
func (s *reader) end() {
	if s.peek() != 0 || s.err == nil && s.i != len(s.b) {
		s.fail("bytes behind the document")
	}
}

// list reads elements between brackets until the closing one.
func (s *reader) list(opening, closing byte, element func()) {
	s.take(opening)
	if s.peek() == closing {
		s.i++
		return
	}
	for s.err == nil {
		element()
		if s.peek() == closing {
			s.i++
			return
		}
		s.take(',')
	}
}

// array reads at most n elements.
func (s *reader) array(n int, element func()) {
	s.list('[', ']', func() {
		if n--; n < 0 {
			s.fail("too many elements")
			return
		}
		element()
	})
}

// entries reads an object with keys that are data, at most n; a key that comes twice is
// found by Validate, which wants each word once.
func (s *reader) entries(n int, entry func(key string)) {
	s.list('{', '}', func() {
		if n--; n < 0 {
			s.fail("too many keys")
			return
		}
		key := s.text(wordMax)
		s.take(':')
		entry(key)
	})
}

// object reads an object with known keys, each at most once.
func (s *reader) object(fields []field) {
	seen := make([]bool, len(fields))
	s.list('{', '}', func() {
		key := s.text(wordMax)
		s.take(':')
		if s.err != nil {
			return
		}
		for i, f := range fields {
			if f.name != key {
				continue
			}
			if seen[i] {
				s.fail("key twice: " + key)
				return
			}
			seen[i] = true
			f.read()
			return
		}
		s.fail("unknown key")
	})
	for i, f := range fields {
		if f.required && !seen[i] {
			s.fail("missing key: " + f.name)
		}
	}
}

// integer reads a whole number that is not negative: no sign, point, exponent or leading 0.
func (s *reader) integer() int {
	s.peek()
	start, n := s.i, 0
	for s.err == nil && s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		n = n*10 + int(s.b[s.i]-'0')
		s.i++
		if s.i-start > integerDigitsMax {
			s.fail("number too long")
		}
	}
	if digits := s.i - start; digits == 0 || digits > 1 && s.b[start] == '0' {
		s.fail("expected a whole number")
	}
	return n
}

// text reads a string of at most bytesMax bytes of valid UTF-8.
func (s *reader) text(bytesMax int) string {
	s.take('"')
	var out []byte
	for s.err == nil {
		if s.i >= len(s.b) {
			s.fail("string without end")
			break
		}
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				s.fail("not UTF-8")
			}
			return string(out)
		case c < 0x20:
			s.fail("control character")
		case c == '\\':
			out = s.escape(out)
		default:
			out = append(out, c)
		}
		if len(out) > bytesMax {
			s.fail("string too long")
		}
	}
	return ""
}

// escape reads what follows a backslash.
func (s *reader) escape(out []byte) []byte {
	if s.i >= len(s.b) {
		s.fail("string without end")
		return out
	}
	c := s.b[s.i]
	s.i++
	switch c {
	case '"', '\\', '/':
		return append(out, c)
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'u':
		return utf8.AppendRune(out, s.escapedRune())
	default:
		s.fail("unknown escape")
		return out
	}
}

// escapedRune reads four hex digits, and the second half of a surrogate pair where the
// first asks for it; half a pair is refused.
func (s *reader) escapedRune() rune {
	r := s.hex4()
	if !utf16.IsSurrogate(r) {
		return r
	}
	if s.err != nil || s.i+1 >= len(s.b) || s.b[s.i] != '\\' || s.b[s.i+1] != 'u' {
		s.fail("half a surrogate pair")
		return utf8.RuneError
	}
	s.i += 2
	pair := utf16.DecodeRune(r, s.hex4())
	if pair == utf8.RuneError {
		s.fail("half a surrogate pair")
	}
	return pair
}

// hex4 reads four hex digits.
func (s *reader) hex4() rune {
	if s.err != nil || s.i+4 > len(s.b) {
		s.fail("expected four hex digits")
		return 0
	}
	var r rune
	for _, c := range s.b[s.i : s.i+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			s.fail("expected four hex digits")
			return 0
		}
	}
	s.i += 4
	return r
}
