package rulebook

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"gongji/gateway/internal/policy"
)

// Change is one thing in which two versions of rules differ.
type Change struct {
	Field string // "annual_share", "purposes", "institutions[H11000000001].name"
	From  string // "" if it is new
	To    string // "" if it is gone
}

// String is one line: + what is new, - what is gone, ~ what is another.
func (c Change) String() string {
	label := c.Field
	if zh := labelZH(c.Field); zh != "" {
		label += " (" + zh + ")"
	}
	switch {
	case c.From == "":
		return "+ " + label + ": " + c.To
	case c.To == "":
		return "- " + label + ": " + c.From
	default:
		return "~ " + label + ": " + c.From + " -> " + c.To
	}
}

// Diff is everything in which b differs from a, in the order of a document. Errors: policy.ErrRules for rules that are
// not valid.
func Diff(a, b policy.Rules) ([]Change, error) {
	before, err := flatten(a)
	if err != nil {
		return nil, err
	}
	after, err := flatten(b)
	if err != nil {
		return nil, err
	}
	var out []Change
	for _, f := range before.order {
		if to := after.of[f]; to != before.of[f] {
			out = append(out, Change{Field: name(f), From: before.of[f], To: to})
		}
	}
	for _, f := range after.order {
		if _, had := before.of[f]; !had {
			out = append(out, Change{Field: name(f), To: after.of[f]})
		}
	}
	slices.SortStableFunc(out, func(a, b Change) int { return place(a.Field) - place(b.Field) })
	return out, nil
}

// flat is rules as fields with one text each, in order. The fields of a list of words have the word behind listMark.
type flat struct {
	of    map[string]string
	order []string
}

const listMark = "\x00"

// name is the field without what told the words of a list apart.
func name(f string) string {
	before, _, _ := strings.Cut(f, listMark)
	return before
}

func flatten(r policy.Rules) (flat, error) {
	f := flat{of: map[string]string{}}
	data, err := policy.EncodeRules(r)
	if err != nil {
		return f, err
	}
	var doc yaml.Node
	if err = yaml.Unmarshal(data, &doc); err != nil {
		return f, fmt.Errorf("rulebook: internal error: the canonical form is no YAML: %w", err)
	}
	f.add("", doc.Content[0])
	return f, nil
}

func (f *flat) add(at string, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			f.add(join(at, n.Content[i].Value), n.Content[i+1])
		}
	case yaml.SequenceNode:
		if len(n.Content) == 0 {
			f.put(at, "[]")
		}
		for _, c := range n.Content {
			if c.Kind == yaml.ScalarNode {
				f.put(at+listMark+c.Value, c.Value)
				continue
			}
			f.add(at+"["+itemName(c)+"]", c)
		}
	case yaml.ScalarNode, yaml.DocumentNode, yaml.AliasNode:
		f.put(at, n.Value)
	}
}

func (f *flat) put(at, text string) {
	if text == "" {
		text = `""`
	}
	f.of[at] = text
	f.order = append(f.order, at)
}

// itemName tells the items of a list apart: an institution by its code, a pair by region and first day.
func itemName(n *yaml.Node) string {
	var parts []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i].Value; key == "code" || key == "region" || key == "from" {
			parts = append(parts, n.Content[i+1].Value)
		}
	}
	return strings.Join(parts, " ")
}

// place orders the fields as a document has them.
func place(f string) int {
	top, _, _ := strings.Cut(f, ".")
	top, _, _ = strings.Cut(top, "[")
	d := &document{reader: &reader{}, lines: map[string]*yaml.Node{}}
	return slices.IndexFunc(d.fields(), func(x field) bool { return x.name == top })
}
