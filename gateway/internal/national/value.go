package national

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// depthMax bounds how deep values may be nested.
const depthMax = 32

// Object is a JSON object: its values are nil, bool, json.Number, string, []any and Object. Numbers keep their digits,
// since they are signed as they were written.
type Object map[string]any

// ParseObject reads one object, or returns ErrEnvelope. A key given twice is refused: two readers could take two
// values for the signed one.
func ParseObject(data []byte) (Object, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrEnvelope)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	o, ok := v.(Object)
	if _, err = d.Token(); !ok || !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: one JSON object is needed", ErrEnvelope)
	}
	return o, nil
}

var errJSON = errors.New("bad JSON")

func parseValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil || depth > depthMax {
		return nil, errJSON // what is wrong could hold what was sent
	}
	switch t {
	case json.Delim('{'):
		return parseMembers(d, depth)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, wrong := parseValue(d, depth+1)
			if wrong != nil {
				return nil, wrong
			}
			list = append(list, v)
		}
		if _, err = d.Token(); err != nil {
			return nil, errJSON
		}
		return list, nil
	}
	return t, nil
}

func parseMembers(d *json.Decoder, depth int) (any, error) {
	o := Object{}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if _, twice := o[key]; err != nil || !ok || twice {
			return nil, errJSON
		}
		if o[key], err = parseValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errJSON
	}
	return o, nil
}

// prune drops null, "", {} and [] recursively, elements of arrays too. Zero and false stay.
func prune(v any) (any, bool) {
	switch x := v.(type) {
	case nil:
		return nil, false
	case string:
		return x, x != ""
	case []any:
		out := make([]any, 0, len(x))
		for _, e := range x {
			if kept, ok := prune(e); ok {
				out = append(out, kept)
			}
		}
		return out, len(out) > 0
	case Object:
		out := Object{}
		for k, e := range x {
			if kept, ok := prune(e); ok {
				out[k] = kept
			}
		}
		return out, len(out) > 0
	}
	return v, true
}

// stringify turns numbers and truth values into strings, down to a depth.
func stringify(v any, depth int) any {
	switch x := v.(type) {
	case json.Number:
		return x.String()
	case bool:
		return scalar(x)
	case []any:
		if depth == 0 {
			return x
		}
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = stringify(e, depth-1)
		}
		return out
	case Object:
		if depth == 0 {
			return x
		}
		out := Object{}
		for k, e := range x {
			out[k] = stringify(e, depth-1)
		}
		return out
	}
	return v
}

// scalar is a value as it stands in the sign string, outside of JSON.
func scalar(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case json.Number:
		return x.String()
	case bool:
		if x {
			return "true"
		}
		return "false"
	}
	return string(appendValue(nil, v))
}

// JSON writes a value in compact form, keys sorted, with nothing escaped that need not be.
func (o Object) JSON() []byte { return appendValue(nil, o) }

func appendValue(dst []byte, v any) []byte {
	switch x := v.(type) {
	case nil:
		return append(dst, "null"...)
	case string:
		return appendString(dst, x)
	case []any:
		dst = append(dst, '[')
		for i, e := range x {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, e)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for i, k := range sorted(x, strings.Compare) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, k), ':')
			dst = appendValue(dst, x[k])
		}
		return append(dst, '}')
	}
	return append(dst, scalar(v)...)
}

func sorted(o Object, by func(a, b string) int) []string {
	keys := make([]string, 0, len(o))
	for k := range o {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if c := by(a, b); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	return keys
}

const hexDigits = "0123456789abcdef"

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		c := s[i]
		if at := strings.IndexByte("\"\\\b\f\n\r\t", c); at >= 0 {
			dst = append(dst, '\\', "\"\\bfnrt"[at])
			continue
		}
		if c < ' ' {
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
