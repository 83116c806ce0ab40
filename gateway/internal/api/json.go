package api

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"gongji/gateway/internal/policy"
)

// Bounds of a request's body. A body within BodyMax cannot make the reader work more than a small multiple of its
// length.
const (
	BodyMax   = 64 << 10 // bytes
	depthMax  = 32       // objects and arrays inside each other
	valuesMax = 4096     // values of all kinds in one body; the largest form has some hundreds
)

// kind is the JSON type of a node.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

// node is one JSON value. encoding/json is no help here: it takes the last of two equal keys, mends broken UTF-8
// and lone surrogates, and matches keys whatever their case.
type node struct {
	kind  kind
	flag  bool     // of a bool
	text  string   // of a string, decoded; of a number, canonical
	items []node   // of an array, or the values of an object
	keys  []string // of an object, beside items
}

// member finds a value of an object, nil if it has none.
func (n *node) member(key string) *node {
	for i, k := range n.keys {
		if k == key {
			return &n.items[i]
		}
	}
	return nil
}

// parser walks over the bytes of one document.
type parser struct {
	data      []byte
	at        int
	values    int
	keepNulls bool
	path      []string // of keys and indexes, for the pointer of an error
}

// parse reads one JSON document strictly: UTF-8, no key twice at any depth, no lone surrogates, nothing behind it,
// at most depthMax deep. Null members of objects are left out unless keepNulls (PATCH gives them a meaning).
func parse(data []byte, keepNulls bool) (node, error) {
	if len(data) > BodyMax {
		return node{}, errTooLarge()
	}
	if !utf8.Valid(data) {
		return node{}, malformed("", "The body is not UTF-8.", "请求体不是有效的 UTF-8 编码。")
	}
	p := parser{data: data, keepNulls: keepNulls}
	root, err := p.value(0)
	if err != nil {
		return node{}, err
	}
	p.space()
	if p.at != len(p.data) {
		return node{}, malformed("", "Bytes stand behind the document.", "JSON 文档之后有多余内容。")
	}
	return root, nil
}

// malformed is an invalid_request of the form.
func malformed(field, detail, detailZH string) *Error {
	return &Error{Code: policy.CodeInvalidRequest, Field: field, Detail: detail, DetailZH: detailZH}
}

// errTooLarge is the one refusal with a status of its own.
func errTooLarge() *Error {
	return &Error{
		Code: policy.CodeInvalidRequest, status: 413,
		Detail: "The body is larger than 64 KiB.", DetailZH: "请求体超过 64 KiB。",
	}
}

func (p *parser) syntax() error {
	return malformed(pointer(p.path), "This is not JSON.", "不是有效的 JSON。")
}

func (p *parser) space() {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// peek is the next byte behind white space, 0 at the end (a zero byte is no JSON either).
func (p *parser) peek() byte {
	p.space()
	if p.at == len(p.data) {
		return 0
	}
	return p.data[p.at]
}

func (p *parser) value(depth int) (node, error) {
	if p.values++; p.values > valuesMax {
		return node{}, malformed("", "The document has too many values.", "JSON 内容过多。")
	}
	switch c := p.peek(); {
	case c == '{' || c == '[':
		if depth == depthMax {
			return node{}, malformed("", "The document is nested too deeply.", "JSON 嵌套过深。")
		}
		if c == '{' {
			return p.object(depth + 1)
		}
		return p.array(depth + 1)
	case c == '"':
		s, err := p.str()
		return node{kind: kindString, text: s}, err
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case p.word("true"):
		return node{kind: kindBool, flag: true}, nil
	case p.word("false"):
		return node{kind: kindBool}, nil
	case p.word("null"):
		return node{}, nil
	default:
		return node{}, p.syntax()
	}
}

func (p *parser) word(w string) bool {
	if !bytes.HasPrefix(p.data[p.at:], []byte(w)) {
		return false
	}
	p.at += len(w)
	return true
}

func (p *parser) array(depth int) (node, error) {
	n := node{kind: kindArray}
	p.at++
	if p.peek() == ']' {
		p.at++
		return n, nil
	}
	for {
		p.path = append(p.path, strconv.Itoa(len(n.items)))
		item, err := p.value(depth)
		if err != nil {
			return node{}, err
		}
		p.path = p.path[:len(p.path)-1]
		n.items = append(n.items, item)
		switch p.peek() {
		case ',':
			p.at++
		case ']':
			p.at++
			return n, nil
		default:
			return node{}, p.syntax()
		}
	}
}

func (p *parser) object(depth int) (node, error) {
	n := node{kind: kindObject}
	seen := keySet{}
	p.at++
	if p.peek() == '}' {
		p.at++
		return n, nil
	}
	for {
		if err := p.pair(&n, &seen, depth); err != nil {
			return node{}, err
		}
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			return n, nil
		default:
			return node{}, p.syntax()
		}
	}
}

// pair reads one key and its value into n.
func (p *parser) pair(n *node, seen *keySet, depth int) error {
	if p.peek() != '"' {
		return p.syntax()
	}
	key, err := p.str()
	if err != nil {
		return err
	}
	p.path = append(p.path, key)
	if !seen.add(key) {
		return malformed(pointer(p.path), "A key is given twice.", "同一字段出现两次。")
	}
	if p.peek() != ':' {
		return p.syntax()
	}
	p.at++
	v, err := p.value(depth)
	if err != nil {
		return err
	}
	p.path = p.path[:len(p.path)-1]
	if v.kind == kindNull && !p.keepNulls {
		return nil
	}
	n.keys = append(n.keys, key)
	n.items = append(n.items, v)
	return nil
}

// keySet finds a key that comes twice. A body of 64 KiB can hold thousands of keys, so that comparing each with
// each would be a way to burn the processor.
type keySet struct {
	few  []string
	many map[string]struct{}
}

// keysFew are compared one by one, which is faster than a map.
const keysFew = 24

func (s *keySet) add(key string) bool {
	if s.many != nil {
		if _, ok := s.many[key]; ok {
			return false
		}
		s.many[key] = struct{}{}
		return true
	}
	if slices.Contains(s.few, key) {
		return false
	}
	s.few = append(s.few, key)
	if len(s.few) > keysFew {
		s.many = make(map[string]struct{}, 2*len(s.few))
		for _, k := range s.few {
			s.many[k] = struct{}{}
		}
	}
	return true
}

// str reads a string; the bytes are known to be UTF-8.
func (p *parser) str() (string, error) {
	p.at++
	start := p.at
	var decoded []byte // nil while the text stands in the input as it is
	for p.at < len(p.data) {
		c := p.data[p.at]
		switch {
		case c == '"':
			text := string(append(decoded, p.data[start:p.at]...))
			p.at++
			return text, nil
		case c < ' ':
			return "", p.syntax()
		case c == '\\':
			decoded = append(decoded, p.data[start:p.at]...)
			r, ok := p.escape()
			if !ok {
				return "", p.syntax()
			}
			decoded = utf8.AppendRune(decoded, r)
			start = p.at
		default:
			p.at++
		}
	}
	return "", p.syntax()
}

// escape reads one escape, a surrogate pair as one.
func (p *parser) escape() (rune, bool) {
	if p.at+1 >= len(p.data) {
		return 0, false
	}
	c := p.data[p.at+1]
	if c != 'u' {
		p.at += 2
		i := strings.IndexByte(`"\/bfnrt`, c)
		if i < 0 {
			return 0, false
		}
		return rune("\"\\/\b\f\n\r\t"[i]), true
	}
	first, ok := p.hex4(p.at + 2)
	if !ok {
		return 0, false
	}
	p.at += len(`\u0000`)
	if !utf16.IsSurrogate(first) {
		return first, true
	}
	if p.at+1 >= len(p.data) || p.data[p.at] != '\\' || p.data[p.at+1] != 'u' {
		return 0, false
	}
	second, ok := p.hex4(p.at + 2)
	r := utf16.DecodeRune(first, second)
	p.at += len(`\u0000`)
	return r, ok && r != utf8.RuneError
}

func (p *parser) hex4(at int) (rune, bool) {
	if at+4 > len(p.data) {
		return 0, false
	}
	v := rune(0)
	for _, c := range p.data[at : at+4] {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			v = v<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// number reads a number of the JSON grammar into its canonical text.
func (p *parser) number() (node, error) {
	start := p.at
	p.accept('-')
	whole := p.digits()
	if whole == "" || len(whole) > 1 && whole[0] == '0' {
		return node{}, p.syntax()
	}
	fraction, exponent := "", ""
	if p.accept('.') {
		if fraction = p.digits(); fraction == "" {
			return node{}, p.syntax()
		}
	}
	if p.accept('e') || p.accept('E') {
		from := p.at
		if !p.accept('+') {
			p.accept('-')
		}
		if p.digits() == "" {
			return node{}, p.syntax()
		}
		exponent = string(p.data[from:p.at])
	}
	raw := string(p.data[start:p.at])
	return node{kind: kindNumber, text: canonicalNumber(raw, whole, fraction, exponent)}, nil
}

func (p *parser) accept(c byte) bool {
	if p.at < len(p.data) && p.data[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) digits() string {
	start := p.at
	for p.at < len(p.data) && p.data[p.at] >= '0' && p.data[p.at] <= '9' {
		p.at++
	}
	return string(p.data[start:p.at])
}

// pointerKeyMax are the characters of a key that a pointer may show.
const pointerKeyMax = 40

// pointer makes a JSON pointer (RFC 6901). It ends before the first key that is not a word of lower-case letters:
// what a caller took for a key may be anything, a person too, and no person stands in a problem.
func pointer(path []string) string {
	var b strings.Builder
	for _, key := range path {
		if !plainKey(key) {
			break
		}
		b.WriteByte('/')
		b.WriteString(key)
	}
	return b.String()
}

func plainKey(key string) bool {
	if index, err := strconv.Atoi(key); err == nil && index >= 0 && index < BodyMax {
		return true
	}
	if key == "" || len(key) > pointerKeyMax {
		return false
	}
	for i := range len(key) {
		if (key[i] < 'a' || key[i] > 'z') && key[i] != '_' {
			return false
		}
	}
	return true
}
