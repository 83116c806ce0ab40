package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"gongji/crypto/sm/emm"
)

// anyJSON draws a document as encoding/json knows them, without nulls.
func anyJSON(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 3
		if depth > 0 {
			kinds = 5
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return rapid.Bool().Draw(t, "bool")
		case 1:
			const form = `-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,6})?([eE][+-]?[0-9]{1,3})?`
			return json.Number(rapid.StringMatching(form).Draw(t, "number"))
		case 2:
			return rapid.String().Draw(t, "string")
		case 3:
			return rapid.SliceOfN(anyJSON(depth-1), 0, 4).Draw(t, "array")
		default:
			return anyObject(depth-1).Draw(t, "object")
		}
	})
}

func anyObject(depth int) *rapid.Generator[map[string]any] {
	return rapid.MapOfN(rapid.String(), anyJSON(depth), 0, 5)
}

// printed writes a document in one of the many ways that mean the same.
func printed(t *rapid.T, v any) string {
	space := func() string { return rapid.SampledFrom([]string{"", "", " ", "\n\t", "\r\n "}).Draw(t, "space") }
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		keys = rapid.Permutation(keys).Draw(t, "order")
		var parts []string
		for _, k := range keys {
			parts = append(parts, space()+quoted(t, k)+space()+":"+space()+printed(t, v[k])+space())
		}
		if rapid.Bool().Draw(t, "null") {
			if _, taken := v["none"]; !taken {
				parts = append(parts, `"none":null`)
			}
		}
		return "{" + strings.Join(parts, ",") + space() + "}"
	case []any:
		var parts []string
		for _, item := range v {
			parts = append(parts, space()+printed(t, item)+space())
		}
		return "[" + strings.Join(parts, ",") + space() + "]"
	case string:
		return quoted(t, v)
	case json.Number:
		return string(v)
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return "null"
}

// quoted writes a string with more or fewer escapes.
func quoted(t *rapid.T, s string) string {
	if rapid.Bool().Draw(t, "ascii") {
		var b strings.Builder
		b.WriteByte('"')
		for _, r := range s {
			const hex = "0123456789aBcDeF"
			units := []rune{r}
			if r > 0xffff {
				units = []rune{0xd800 + (r-0x10000)>>10, 0xdc00 + (r-0x10000)&0x3ff}
			}
			for _, u := range units {
				b.WriteString(`\u` + string([]byte{hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15]}))
			}
		}
		b.WriteByte('"')
		return b.String()
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Fatalf(format string, args ...any)
}

func canonical(t fataler, text string) string {
	n, err := parse([]byte(text), false)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return string(appendCanonical(nil, &n))
}

// TestCanonical: one content has one canonical text, whatever the order of keys, white space and escapes; the
// canonical text is JSON of the same content, and its own canonical text.
func TestCanonical(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		doc := any(anyObject(3).Draw(t, "document"))
		one, two := printed(t, doc), printed(t, doc)
		c := canonical(t, one)
		if other := canonical(t, two); other != c {
			t.Fatalf("%q and %q: %q and %q", one, two, c, other)
		}
		if again := canonical(t, c); again != c {
			t.Fatalf("%q is not its own canonical text: %q", c, again)
		}
		if !json.Valid([]byte(c)) {
			t.Fatalf("%q is no JSON", c)
		}
	})
}

// TestDigestsDiffer: other content, method or path has another digest.
func TestDigestsDiffer(t *testing.T) {
	t.Parallel()
	suite := emm.New()
	rapid.Check(t, func(t *rapid.T) {
		one, two := anyObject(2).Draw(t, "one"), anyObject(2).Draw(t, "two")
		a, b := canonical(t, printed(t, one)), canonical(t, printed(t, two))
		parsed := func(s string) *node {
			n, err := parse([]byte(s), false)
			if err != nil {
				t.Fatal(err)
			}
			return &n
		}
		if same := digest(suite, "POST", "/a", parsed(a)) == digest(suite, "POST", "/a", parsed(b)); same != (a == b) {
			t.Fatalf("%q and %q", a, b)
		}
		first := digest(suite, "POST", "/a", parsed(a))
		for _, other := range [][32]byte{
			digest(suite, "PUT", "/a", parsed(a)), digest(suite, "POST", "/b", parsed(a)),
			digest(suite, "POS", "T/a", parsed(a)),
			digest(suite, "POST", "/a", nil),
		} {
			if other == first {
				t.Fatal("method and path are no part of the digest")
			}
		}
	})
	// Neither what stands for a default nor an empty list is the same as nothing.
	texts := []string{
		`{}`, `{"a":false}`, `{"a":"false"}`, `{"a":0}`, `{"a":"0"}`, `{"a":""}`, `{"a":[]}`, `{"a":{}}`, `{"a":[{}]}`,
		`{"b":{}}`,
	}
	seen := map[string]string{}
	for _, s := range texts {
		c := canonical(t, s)
		if was, ok := seen[c]; ok {
			t.Errorf("%s and %s are the same", s, was)
		}
		seen[c] = s
	}
}

// TestNumbers: numbers are compared by value, and never lose a digit.
func TestNumbers(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"0", "-0", "0.0", "0e5", "-0.00E-7"}, {"900", "900.0", "9e2", "9E+2", "0.9e3", "90000e-2"}, {"-1.5", "-15e-1"},
	} {
		for _, s := range same {
			if canonical(t, s) != canonical(t, same[0]) {
				t.Errorf("%s is not %s", s, same[0])
			}
		}
	}
	distinct := []string{
		"9007199254740992", "9007199254740993", "0.1", "0.10000000000000001", "1e999999999", "1e9999999999999", "-1", "1",
	}
	seen := map[string]bool{}
	for _, s := range distinct {
		if c := canonical(t, s); seen[c] {
			t.Errorf("%s is not alone", s)
		} else {
			seen[c] = true
		}
	}
	for text, want := range map[string]int{"0": 0, "5": 5, "9e2": 900, "900.0": 900, "-3": -3, "1e14": 1e14} {
		if v, ok := integer(canonical(t, text)); !ok || v != want {
			t.Errorf("%s: %d %t", text, v, ok)
		}
	}
	for _, text := range []string{"0.5", "1e-1", "1e15", "1e999999999", "1e99999999999", "1234567890123456"} {
		if v, ok := integer(canonical(t, text)); ok {
			t.Errorf("%s: %d", text, v)
		}
	}
	for _, text := range []string{"01", "-", "1.", ".1", "1e", "1e+", "+1", "0x1", "1_0", "Infinity", "--1", "1 2"} {
		if _, err := parse([]byte(text), false); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

// TestDepth: 32 levels are taken, 33 are not.
func TestDepth(t *testing.T) {
	t.Parallel()
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if _, err := parse(nested(depthMax), false); err != nil {
		t.Error(err)
	}
	if _, err := parse(nested(depthMax+1), false); err == nil {
		t.Error("a level too many is taken")
	}
}

// FuzzParse: no bytes make the reader fail otherwise than with a refusal; what it takes, encoding/json takes, with
// the same content; and the canonical text is a fixed point.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1,"b":[true,false,null,"x\u0041\ud83d\ude00"],"c":{"d":-1.5e3}}`, `{"a":1,"a":2}`, `[[[[]]]]`, `"\ud800"`,
		"\xff", `{"a":1}x`, `1e400`, `{"\u0061":1,"a":2}`, "{\"a\":\"\x01\"}", ` { } `, strings.Repeat("[", 40),
		`-0.0`, `nul`,
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, keepNulls bool) {
		n, err := parse(data, keepNulls)
		if err != nil {
			return
		}
		if !utf8.Valid(data) || !json.Valid(data) {
			t.Fatalf("%q is taken", data)
		}
		c := appendCanonical(nil, &n)
		again, err := parse(c, keepNulls)
		if err != nil && len(c) <= BodyMax {
			t.Fatalf("%q: %v", c, err)
		}
		if err == nil && string(appendCanonical(nil, &again)) != string(c) {
			t.Fatalf("%q is no fixed point", c)
		}
	})
}

// FuzzForms: no document makes a form panic, and a form that has no failure has its required fields.
func FuzzForms(f *testing.F) {
	f.Add([]byte(`{"request_id":"a","payer":{"id_type":"01"},"proofs":[{}],"consent":[]}`))
	f.Add([]byte(`{"request_id":"a","beneficiary":{"id_type":"01","id_number":"110101199003070011","name":"x",` +
		`"region":"110000"},"grants":["a","a"],"bill":{"total":1},"credential":{"type":"kin_account"},` +
		`"amount":"1.00","limit":5,"valid_until":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, keepNulls := range []bool{false, true} {
			n, err := parse(data, keepNulls)
			if err != nil {
				return
			}
			fresh := func() *form { return &form{members: func(string) bool { return true }, today: 739_000} }
			for _, read := range []func(*form, *node) string{
				func(f *form, n *node) string { return grantForm(f, n).RequestID },
				func(f *form, n *node) string { return patchForm(f, n).RequestID },
				func(f *form, n *node) string { return orderForm(f, n).RequestID },
				func(f *form, n *node) string { return actForm(f, n).RequestID },
				func(f *form, n *node) string { r, _ := paymentForm(f, n, false); return r.RequestID },
				func(f *form, n *node) string { paymentForm(f, n, true); return "none" },
				func(f *form, n *node) string { r, _ := confirmForm(f, n); return r.RequestID },
				func(f *form, n *node) string { grantSearchForm(f, n); return "none" },
				func(f *form, n *node) string { paymentSearchForm(f, n); return "none" },
			} {
				form := fresh()
				if id := read(form, &n); form.failure() == nil && form.wrongValue() == nil && !validID(id) {
					t.Fatalf("%q is taken with the id %q", data, id)
				}
			}
		}
	})
}

// FuzzFrames: no bytes make the decoders panic, and what they take is written again in the same way.
func FuzzFrames(f *testing.F) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "/v1/payments?wait=5", http.NoBody)
	if err != nil {
		f.Fatal(err)
	}
	r.Header.Set(headerKey, "k")
	frame, err := encodeRequest(r, []byte(`{"request_id":"a"}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frame)
	f.Add(encodeAnswer(answer{
		status: 201, code: "conflict", replay: true, retryAfter: true, kind: problemType, body: []byte("x"),
	}))
	f.Add([]byte{frameVersion})
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, body, err := decodeRequest(t.Context(), data); err == nil {
			again, err := encodeRequest(r, body)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := decodeRequest(t.Context(), again); err != nil {
				t.Fatal(err)
			}
		}
		if a, err := decodeAnswer(data); err == nil {
			b, err := decodeAnswer(encodeAnswer(a))
			if err != nil || b.status != a.status || string(b.body) != string(a.body) || b.code != a.code || b.kind != a.kind ||
				b.replay != a.replay || b.retryAfter != a.retryAfter {
				t.Fatalf("%v and %v", a, b)
			}
		}
	})
}

// TestFrame: what is carried is what came.
func TestFrame(t *testing.T) {
	t.Parallel()
	const uri = "/v1/grants/g%311?request_id=a&x=%20"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, uri, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range forwarded() {
		r.Header.Set(name, strings.Repeat("v", i+1))
	}
	r.Header.Set("Cookie", "stays here")
	frame, err := encodeRequest(r, []byte("body"))
	if err != nil {
		t.Fatal(err)
	}
	got, body, err := decodeRequest(t.Context(), frame)
	if err != nil || string(body) != "body" || got.Method != r.Method || target(got) != target(r) ||
		got.URL.Path != "/v1/grants/g11" || got.Header.Get("Cookie") != "" {
		t.Fatal(got, err)
	}
	for _, name := range forwarded() {
		if got.Header.Get(name) != r.Header.Get(name) {
			t.Error(name)
		}
	}
	r.URL.RawQuery = strings.Repeat("q", targetMax)
	if _, err := encodeRequest(r, nil); err == nil {
		t.Error("an address of any length is carried")
	}
}

func start() time.Time { return time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC) }

// TestNonceWindow: a nonce is remembered as long as its request could be sent again, and not much longer.
func TestNonceWindow(t *testing.T) {
	t.Parallel()
	now := start()
	for _, off := range []time.Duration{-nonceWindow, 0, nonceWindow} {
		n := newNonces(10)
		at := now.Add(off)
		if n.add(nonceID{1}, at, now) != nonceNew {
			t.Fatal("a new nonce is not new")
		}
		for later := now; !later.After(at.Add(nonceWindow)); later = later.Add(time.Second) {
			if n.add(nonceID{1}, at, later) != nonceSeen {
				t.Fatalf("forgotten %s after, with a time off by %s", later.Sub(now), off)
			}
		}
		n.forget(at.Add(nonceWindow + nonceSlack))
		if len(n.seen) != 0 || len(n.slots) != 0 {
			t.Errorf("still remembered: %d", len(n.seen))
		}
	}
}

// TestNonceBound: a full memory refuses, and recovers.
func TestNonceBound(t *testing.T) {
	t.Parallel()
	n, now := newNonces(3), start()
	for i := range 5 {
		want := nonceNew
		if i >= 3 {
			want = nonceFull
		}
		if got := n.add(nonceID{byte(i)}, now, now); got != want {
			t.Errorf("nonce %d: %d", i, got)
		}
	}
	now = now.Add(nonceLife)
	if n.add(nonceID{9}, now, now) != nonceNew || len(n.seen) != 1 {
		t.Error("the memory stays full")
	}
	if noncesOf(10) < 10*int(nonceLife/time.Second) || noncesOf(0) != noncesMax || noncesOf(1<<30) != noncesMax {
		t.Error("a key that keeps its rate fills its memory")
	}
}

// TestBucket: over any stretch of time at most a second's worth more than the rate goes through.
func TestBucket(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.IntRange(1, 5000).Draw(t, "rate")
		b, now := newBucket(rate), start()
		for _, step := range rapid.SliceOfN(rapid.Int64Range(-1e6, 3e9), 1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(step))
			b.take(now)
		}
		taken := 0
		for b.take(now) {
			if taken++; taken > rate {
				t.Fatal("a burst without end")
			}
		}
	})
	b, now := newBucket(100), start()
	taken := 0
	for range 10_000 { // 10 s, 1000 requests a second
		now = now.Add(time.Millisecond)
		if b.take(now) {
			taken++
		}
	}
	if taken < 1090 || taken > 1100 {
		t.Errorf("%d in 10 s at 100 a second", taken)
	}
	if free := newBucket(0); !free.take(now) {
		t.Error("no rate is no bound")
	}
}

// BenchmarkPaymentForm is what the face computes for one payment: read the body, fill the form, digest it.
func BenchmarkPaymentForm(b *testing.B) {
	body := []byte(`{"request_id":"p-1","beneficiary":{"id_type":"01","id_number":"110101199003070011","name":"张三",` +
		`"region":"110000"},"credential":{"type":"e_credential","holder_id_number":"110101199003070011"},` +
		`"institution":{"code":"H1","kind":"hospital"},"purpose":"outpatient","visit_id":"v","visit_date":"2026-11-20",` +
		`"bill":{"id":"b","total":"500.00","fund_paid":"300.00","self_borne":"200.00"},"amount":"200.00"}`)
	suite := emm.New()
	for b.Loop() {
		n, err := parse(body, false)
		if err != nil {
			b.Fatal(err)
		}
		f := &form{members: func(string) bool { return true }, today: 739_575}
		paymentForm(f, &n, false)
		digest(suite, "POST", "/v1/payments", &n)
	}
}

// TestStrict: what is broken is refused for itself, and not only because nobody asked for the field that it stands
// in.
func TestStrict(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", `\ud800`, `\udc00`, `\ud800\ud800`, `\ud800x`, `\ud800\n`,
		`\ud800\u0041`, `\udc00\ud800`, `\u12g4`, `\u12`, `\x`, "\x00", "\n", "\x1f", `\`,
	} {
		for _, form := range []string{`{"a":"` + text + `"}`, `{"` + text + `":1}`, `["` + text + `"]`} {
			if _, err := parse([]byte(form), false); err == nil {
				t.Errorf("%q is taken", form)
			}
		}
	}
	for text, want := range map[string]string{
		`\u0041\n\/\"\\`: "A\n/\"\\", `\ud83d\ude00`: "\U0001f600", `\ufffd`: "\ufffd",
		"\ufffd\u007f": "\ufffd\u007f", `\u0000`: "\x00",
	} {
		n, err := parse([]byte(`"`+text+`"`), false)
		if err != nil || n.text != want {
			t.Errorf("%q: %q, %v", text, n.text, err)
		}
	}
}
