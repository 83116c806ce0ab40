package rulebook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// reader walks over a parsed document and gathers what is wrong. After a problem it goes on with the next field.
type reader struct{ problems []Problem }

// say notes a problem at a node.
func (r *reader) say(n *yaml.Node, at, reason, reasonZH string) {
	if len(r.problems) < problemsMax {
		r.problems = append(r.problems, Problem{Line: n.Line, Field: at, Reason: reason, ReasonZH: reasonZH})
	}
}

// err is what was gathered, nil if nothing.
func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return a.Line - b.Line })
	return &ProblemsError{Problems: r.problems}
}

var yamlLine = regexp.MustCompile(`line ([0-9]+): (.*)`)

// parse reads one YAML document; nil if it is none.
func (r *reader) parse(data []byte) *yaml.Node {
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	err := d.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF), err == nil && len(doc.Content) != 1:
		r.say(&yaml.Node{Line: 1}, "", "is empty", "文件为空")
		return nil
	case err != nil:
		r.notYAML(err)
		return nil
	}
	if err = d.Decode(&more); !errors.Is(err, io.EOF) {
		r.say(&yaml.Node{Line: max(more.Line, 1)}, "", "more than one YAML document in the file", "文件中有多个YAML文档")
		return nil
	}
	return doc.Content[0]
}

func (r *reader) notYAML(err error) {
	line, text := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		text = m[2]
		if n, failed := strconv.Atoi(m[1]); failed == nil {
			line = n
		}
	}
	r.say(&yaml.Node{Line: line}, "", "is not YAML: "+text, "不是有效的YAML："+text)
}

// plain refuses what makes a document mean something else than it shows: anchors, aliases, tags.
func (r *reader) plain(at string, n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		r.say(n, at, "anchors, aliases and tags are not allowed", "不允许使用锚点、别名和标签")
		return false
	}
	return true
}

// field is one key of a mapping.
type field struct {
	name     string
	required bool
	read     func(at string, n *yaml.Node)
}

// mapping reads a mapping with known keys, each at most once, in the order of fields: what a later one is held against
// has been read, however the document is ordered.
func (r *reader) mapping(at string, n *yaml.Node, fields []field) {
	found := map[string]*yaml.Node{}
	r.entries(at, n, keysMax, func(key string, k, v *yaml.Node) {
		if !slices.ContainsFunc(fields, func(f field) bool { return f.name == key }) {
			r.unknownKey(at, k, fields)
			return
		}
		found[key] = v
	})
	for _, f := range fields {
		if v := found[f.name]; v != nil {
			f.read(join(at, f.name), v)
		} else if f.required && n.Kind == yaml.MappingNode {
			r.say(n, join(at, f.name), "is missing", "缺少该项")
		}
	}
}

func (r *reader) unknownKey(at string, k *yaml.Node, fields []field) {
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, f.name)
	}
	r.say(k, join(at, shown(k.Value)), "is not a known key; known are "+strings.Join(names, ", "),
		"不是已知的键；可用的键："+strings.Join(names, "、"))
}

// keysMax is how many keys of a mapping are looked at, known or not.
const keysMax = 100

// entries reads a mapping of so many keys at most, none twice.
func (r *reader) entries(at string, n *yaml.Node, most int, entry func(key string, k, v *yaml.Node)) {
	if !r.plain(at, n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.say(n, at, "must be a mapping (key: value)", "应为键值对（键: 值）")
		return
	}
	if len(n.Content)/2 > most {
		r.say(n, at, fmt.Sprintf("has more than %d keys", most), fmt.Sprintf("超过%d项", most))
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if !r.plain(at, k) {
			continue
		}
		if k.Kind != yaml.ScalarNode {
			r.say(k, at, "a key must be a word", "键应为单词")
			continue
		}
		if line, twice := first[k.Value]; twice {
			r.say(k, join(at, shown(k.Value)), fmt.Sprintf("stands twice (first in line %d)", line),
				fmt.Sprintf("重复出现（首次在第%d行）", line))
			continue
		}
		first[k.Value] = k.Line
		entry(k.Value, k, v)
	}
}

// list reads a sequence of so many items at most.
func (r *reader) list(at string, n *yaml.Node, most int, item func(at string, n *yaml.Node)) {
	if !r.plain(at, n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.say(n, at, "must be a list", "应为列表")
		return
	}
	if len(n.Content) > most {
		r.say(n, at, fmt.Sprintf("has more than %d items", most), fmt.Sprintf("超过%d项", most))
		return
	}
	for i, c := range n.Content {
		item(at+"["+strconv.Itoa(i)+"]", c)
	}
}

// Tags of scalars, as YAML resolves them.
const (
	tagText = "!!str"
	tagTime = "!!timestamp"
	tagInt  = "!!int"
	tagBool = "!!bool"
	tagNull = "!!null"
)

// scalar gives the text of a scalar that resolved to one of the tags.
func (r *reader) scalar(at string, n *yaml.Node, want, wantZH string, tags ...string) (string, bool) {
	if !r.plain(at, n) {
		return "", false
	}
	tag := n.ShortTag()
	switch {
	case n.Kind != yaml.ScalarNode:
	case slices.Contains(tags, tag):
		return n.Value, true
	case tag == tagNull:
		r.say(n, at, "is empty; it must be "+want, "为空；应为"+wantZH)
		return "", false
	case slices.Contains(tags, tagText):
		r.say(n, at, "must be "+want+": put it in quotes", "应为"+wantZH+"：请加引号")
		return "", false
	}
	r.say(n, at, "must be "+want, "应为"+wantZH)
	return "", false
}

// parsed reads a text through a parser of its kind.
func parsed[T any](r *reader, at string, n *yaml.Node, want, wantZH string, parse func(string) (T, error)) (T, bool) {
	var none T
	tags := []string{tagText}
	if _, date := any(none).(policy.Date); date {
		tags = append(tags, tagTime) // a date may stand without quotes: its text is used as it is
	}
	s, ok := r.scalar(at, n, want, wantZH, tags...)
	if !ok {
		return none, false
	}
	v, err := parse(s)
	if err != nil {
		r.say(n, at, shownQuoted(s)+" is not "+want, shownQuoted(s)+"不是"+wantZH)
		return none, false
	}
	return v, true
}

func (r *reader) amount(at string, n *yaml.Node) (money.Amount, bool) {
	return parsed(r, at, n, `an amount in yuan with two places, like "500.00"`, "以元为单位、两位小数的金额，如\"500.00\"", money.Parse)
}

func (r *reader) positive(at string, n *yaml.Node) money.Amount {
	a, ok := r.amount(at, n)
	if ok && a == 0 {
		r.say(n, at, "must be above 0.00; leave it out where there is no limit", "应大于0.00；不设限额时请删除该项")
	}
	return a
}

func (r *reader) share(at string, n *yaml.Node) (money.Share, bool) {
	return parsed(r, at, n, `a share from 0 to 1 with at most four places, like "0.60"`,
		"0至1之间、最多四位小数的比例，如\"0.60\"", money.ParseShare)
}

func (r *reader) date(at string, n *yaml.Node) policy.Date {
	d, _ := parsed(r, at, n, "a date YYYY-MM-DD that exists", "存在的日期，格式YYYY-MM-DD", policy.ParseDate)
	return d
}

// text reads a string of so many bytes at most.
func (r *reader) text(at string, n *yaml.Node, most int) string {
	s, ok := r.scalar(at, n, "a text", "文本", tagText)
	if ok && len(s) > most {
		r.say(n, at, fmt.Sprintf("has more than %d bytes", most), fmt.Sprintf("超过%d字节", most))
		return ""
	}
	return s
}

// integer reads a whole number in plain decimal digits.
func (r *reader) integer(at string, n *yaml.Node, low, high int) int {
	want, wantZH := fmt.Sprintf("a whole number from %d to %d", low, high), fmt.Sprintf("%d至%d的整数", low, high)
	s, ok := r.scalar(at, n, want, wantZH, tagInt)
	if !ok {
		return 0
	}
	v, err := strconv.Atoi(s)
	if err != nil || strconv.Itoa(v) != s || v < low || v > high {
		r.say(n, at, "must be "+want, "应为"+wantZH)
		return 0
	}
	return v
}

// truth reads true or false, the words and no others.
func (r *reader) truth(at string, n *yaml.Node) bool {
	s, ok := r.scalar(at, n, "true or false", "true或false", tagBool)
	if ok && s != "true" && s != "false" {
		r.say(n, at, "must be true or false", "应为true或false")
	}
	return s == "true"
}

// word reads one word of a table.
func word[T ~string](r *reader, at string, n *yaml.Node, table []T) T {
	s, ok := r.scalar(at, n, "a word", "单词", tagText)
	if ok && !slices.Contains(table, T(s)) {
		r.unknownWord(at, n, s, listed(table))
		return ""
	}
	return T(s)
}

func (r *reader) unknownWord(at string, n *yaml.Node, s, known string) {
	if policy.Purpose(s).Forbidden() {
		r.say(n, at, s+" can never be opened (R-14)", s+"不得开放（R-14）")
		return
	}
	r.say(n, at, shownQuoted(s)+" is not known; known are "+known, shownQuoted(s)+"不是已知的词；可用："+known)
}

// words reads a list of words of a table, none twice.
func words[T ~string](r *reader, at string, n *yaml.Node, table []T) []T {
	out := []T{}
	r.list(at, n, len(table)*2, func(at string, n *yaml.Node) {
		w := word(r, at, n, table)
		switch {
		case w == "":
		case slices.Contains(out, w):
			r.say(n, at, string(w)+" stands twice", string(w)+"重复出现")
		default:
			out = append(out, w)
		}
	})
	return out
}

func listed[T ~string](table []T) string {
	all := make([]string, 0, len(table))
	for _, w := range table {
		all = append(all, string(w))
	}
	return strings.Join(all, ", ")
}

// join is the name of a key below a field.
func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

// shownMax is how much of a text that may be anything is shown, in characters.
const shownMax = 40

// shown is what is shown of a text that may be anything.
func shown(s string) string {
	if characters := []rune(s); len(characters) > shownMax {
		s = string(characters[:shownMax]) + "…"
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

func shownQuoted(s string) string { return `"` + shown(s) + `"` }
