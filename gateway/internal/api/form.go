package api

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gongji/gateway/client"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
)

// Bounds of single fields. The page leaves them open; they keep what is stored for ever small.
const (
	idMax     = 64  // of what a request id and the ids of things may have
	labelMax  = 128 // characters of a free word: visit, bill, institution
	cursorMax = 512
)

// form reads one body. It keeps the first failure of two kinds, since a replay or conflict is answered between them:
// what is not well formed (wrong type, missing, unknown), and what has its form but a value that will not do.
type form struct {
	members func(region string) bool
	today   policy.Date

	broken *Error
	wrong  *Error
}

// breaks keeps the first failure of form.
func (f *form) breaks(field, detail, detailZH string) {
	if f.broken == nil {
		f.broken = malformed(field, detail, detailZH)
	}
}

// refuse keeps the first wrong value.
func (f *form) refuse(code policy.Code, field string) { f.refuseWith(code, field, "", "") }

func (f *form) refuseWith(code policy.Code, field, detail, detailZH string) {
	if f.wrong == nil {
		f.wrong = &Error{Code: code, Field: field, Detail: detail, DetailZH: detailZH}
	}
}

// must says whether a field has to be there.
type must bool

const (
	required must = true
	optional must = false
)

// object reads the members of one JSON object, and remembers which were asked for: what nobody asked for is unknown.
type object struct {
	form  *form
	at    string // its pointer
	node  *node
	asked []string
}

// root is the object that the body must be.
func (f *form) root(body *node) *object {
	o := &object{form: f, node: body}
	if body.kind != kindObject {
		f.breaks("", "The body must be an object.", "请求体必须是 JSON 对象。")
		o.node = &node{kind: kindObject}
	}
	return o
}

// take finds a member of one type; nil if there is none, or one of another type.
func (o *object) take(key string, want kind, m must) *node {
	n := o.any(key, m)
	if n == nil || n.kind == want {
		return n
	}
	o.form.breaks(o.pointer(key), "The field has the wrong type.", "字段类型不正确。")
	return nil
}

func (o *object) any(key string, m must) *node {
	o.asked = append(o.asked, key)
	n := o.node.member(key)
	if n == nil && m == required {
		o.form.breaks(o.pointer(key), "The field is missing.", "缺少必填字段。")
	}
	return n
}

func (o *object) pointer(key string) string { return o.at + "/" + key }

// done refuses what was not asked for.
func (o *object) done() {
	for _, key := range o.node.keys {
		if !slices.Contains(o.asked, key) {
			field := o.at
			if plainKey(key) {
				field = o.pointer(key)
			}
			o.form.breaks(field, "The field is unknown.", "存在未知字段。")
			return
		}
	}
}

// ignore takes a member whatever it is.
func (o *object) ignore(key string) { o.asked = append(o.asked, key) }

// child is an object inside; never nil, so that its fields can be asked for.
func (o *object) child(key string, m must) *object {
	n := o.take(key, kindObject, m)
	if n == nil {
		// One failure is kept already, or the object is optional and its owner looks whether it is there.
		return &object{form: &form{}, at: o.pointer(key), node: &node{kind: kindObject}}
	}
	return &object{form: o.form, at: o.pointer(key), node: n}
}

func (o *object) text(key string, m must) string {
	if n := o.take(key, kindString, m); n != nil {
		return n.text
	}
	return ""
}

// has tells whether a member is there (null is not).
func (o *object) has(key string) bool { return o.node.member(key) != nil }

// flag reads a bool with its default.
func (o *object) flag(key string, standard bool) *bool {
	if n := o.take(key, kindBool, optional); n != nil {
		standard = n.flag
	}
	return &standard
}

// whole reads an integer between lo and hi; nil if it is absent.
func (o *object) whole(key string, lo, hi int) *int {
	n := o.take(key, kindNumber, optional)
	if n == nil {
		return nil
	}
	v, ok := integer(n.text)
	if !ok {
		o.form.breaks(o.pointer(key), "The field must be a whole number.", "字段必须是整数。")
		return nil
	}
	if v < lo || v > hi {
		o.form.refuseWith(policy.CodeInvalidRequest, o.pointer(key), "The number is out of range.", "数值超出范围。")
		return nil
	}
	return &v
}

// amount reads money. Another JSON type is invalid_amount, not a failure of form (api.md section 1).
func (o *object) amount(key string, m must) (money.Amount, string) {
	n := o.any(key, m)
	if n == nil {
		return 0, ""
	}
	if n.kind != kindString {
		o.form.refuse(policy.CodeInvalidAmount, o.pointer(key))
		return 0, ""
	}
	a, err := money.Parse(n.text)
	if err != nil {
		o.form.refuse(policy.CodeInvalidAmount, o.pointer(key))
		return 0, ""
	}
	return a, n.text
}

// positive reads an amount or a limit, which may not be 0.00.
func (o *object) positive(key string, m must) (money.Amount, string) {
	a, text := o.amount(key, m)
	if text != "" && a == 0 {
		o.form.refuse(policy.CodeInvalidAmount, o.pointer(key))
	}
	return a, text
}

// day reads a date; no date if it is absent or none.
func (o *object) day(key string, m must) (policy.Date, string) {
	n := o.take(key, kindString, m)
	if n == nil {
		return 0, ""
	}
	d, err := policy.ParseDate(n.text)
	if err != nil {
		o.form.refuseWith(policy.CodeInvalidRequest, o.pointer(key), "This is not a date.", "日期格式不正确。")
		return 0, ""
	}
	return d, n.text
}

// requestID reads the id of a write, whose form is judged with the form of the body.
func (o *object) requestID() string {
	id := o.text("request_id", required)
	if o.has("request_id") && !validID(id) {
		o.form.breaks("/request_id", "request_id has 1 to 64 of A-Z a-z 0-9 . _ -", "request_id 格式不正确。")
	}
	return id
}

// word reads one of a few words.
func (o *object) word(key string, m must, known func(string) bool) string {
	n := o.take(key, kindString, m)
	if n == nil {
		return ""
	}
	if !known(n.text) {
		o.form.refuseWith(policy.CodeInvalidRequest, o.pointer(key), "The word is unknown.", "取值不在允许范围内。")
	}
	return n.text
}

// label reads a free word of a platform's: an id of a visit or bill, a code.
func (o *object) label(key string, m must) string {
	return o.word(key, m, func(s string) bool { return printable(s, labelMax) })
}

// ids reads a list of grants, none of them twice; nil if it is absent.
func (o *object) ids(key string, m must) []string {
	n := o.take(key, kindArray, m)
	if n == nil {
		return nil
	}
	list := make([]string, 0, len(n.items))
	for i := range n.items {
		at := o.pointer(key) + "/" + strconv.Itoa(i)
		switch item := &n.items[i]; {
		case item.kind != kindString:
			o.form.breaks(at, "The field has the wrong type.", "字段类型不正确。")
		case !validID(item.text):
			o.form.refuseWith(policy.CodeInvalidRequest, at, "This is not an id.", "编号格式不正确。")
		default:
			list = append(list, item.text)
		}
	}
	o.form.judged(grant.CheckIDs(list, o.pointer(key)))
	return list
}

// person reads a person in the clear and checks all of it. An x of the number becomes X.
func (o *object) person(key string, m must) client.Person {
	c := o.child(key, m)
	in := person.Input{
		IDType: c.text("id_type", required), IDNumber: c.text("id_number", required),
		Name: c.text("name", required), Region: c.text("region", required),
	}
	c.done()
	if o.form.broken != nil || !o.has(key) {
		return client.Person{}
	}
	p, err := policy.ParsePerson(in, c.at)
	if err != nil {
		if r, ok := policy.AsRefusal(err); ok {
			o.form.refuse(r.Code, r.Field)
		}
		return client.Person{}
	}
	if !o.form.members(p.Region) {
		o.form.refuse(policy.CodeInvalidRegion, c.pointer("region"))
	}
	return client.Person{IDType: p.IDType, IDNumber: p.Number.Clear(), Name: p.Name.Clear(), Region: p.Region}
}

// validID is the form of a request id, and of the ids that the gateway makes.
func validID(s string) bool {
	if s == "" || len(s) > idMax {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !alphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
}

// printable tells whether s has one to most characters that can all be shown.
func printable(s string, most int) bool {
	if s == "" || utf8.RuneCountInString(s) > most {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// item is an object in a list.
func (o *object) item(key string, index int, n *node) *object {
	at := o.pointer(key) + "/" + strconv.Itoa(index)
	if n.kind != kindObject {
		o.form.breaks(at, "The field has the wrong type.", "字段类型不正确。")
		return &object{form: &form{}, at: at, node: &node{kind: kindObject}}
	}
	return &object{form: o.form, at: at, node: n}
}
