package golden

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// body is a JSON object under construction.
type body map[string]any

// set puts a value at a dotted path; nil takes the field away.
func (b body) set(path string, value any) {
	first, rest, nested := strings.Cut(path, ".")
	if !nested {
		if value == nil {
			delete(b, first)
		} else {
			b[first] = value
		}
		return
	}
	child, ok := b[first].(body)
	if !ok {
		child = body{}
		b[first] = child
	}
	child.set(rest, value)
}

// short are the words for fields deep in a body.
var short = map[string]string{
	"self_borne": "bill.self_borne", "fund_paid": "bill.fund_paid", "total": "bill.total", "bill": "bill.id",
	"own_account_paid": "bill.own_account_paid", "credential": "credential.type", "remote_use": "credential.remote_use",
	"holder": "credential.holder_id_number", "institution": "institution.code",
}

// pairs splits words into those of the form key=value and the others.
func pairs(words []string) ([][2]string, []string) {
	var given [][2]string
	var rest []string
	for _, word := range words {
		if key, value, ok := strings.Cut(word, "="); ok {
			given = append(given, [2]string{key, value})
		} else {
			rest = append(rest, word)
		}
	}
	return given, rest
}

// fill sets the given fields of a body.
func (w *world) fill(b body, given [][2]string) error {
	for _, kv := range given {
		path := kv[0]
		if long, ok := short[path]; ok {
			path = long
		}
		value, err := w.value(path, kv[1])
		if err != nil {
			return err
		}
		b.set(path, value)
	}
	return nil
}

// value reads a value as its field has it: "" is no field at all, null is null, [a,b] is a list, +15d and today are days,
// a name stands for its id, a person's name for the person, and everything else is a string but for true, false and the
// two numbers of the API.
func (w *world) value(path, text string) (any, error) {
	switch {
	case text == "":
		return nil, nil //nolint:nilnil // no field
	case text == "null":
		return json.RawMessage("null"), nil
	case text == "true" || text == "false":
		return text == "true", nil
	case strings.HasPrefix(text, "#"):
		return json.Number(text[1:]), nil
	case slices.Contains([]string{"decide_within_seconds", "limit_of_page"}, path):
		return json.Number(text), nil
	case strings.HasPrefix(text, "["):
		return w.list(path, strings.Trim(text, "[]"))
	case strings.HasPrefix(text, "$"):
		return w.names.id(text)
	case path == "credential.holder_id_number":
		if p := w.people[text]; p != nil {
			return p.IDNumber, nil
		}
		return text, nil
	case path == "grants[]":
		w.names.itself(text)
		return text, nil
	case slices.Contains([]string{"payer", "beneficiary", "person"}, path):
		p, err := w.person(text)
		if err != nil {
			return nil, err
		}
		return inClear(p), nil
	}
	return w.day(text), nil
}

func (w *world) list(path, text string) (any, error) {
	all := []any{}
	for word := range strings.SplitSeq(text, ",") {
		if word == "" {
			continue
		}
		v, err := w.value(path+"[]", word)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// day turns today, today+3d and today-15d into a date of the federation's clock.
func (w *world) day(text string) string {
	rest, ok := strings.CutPrefix(text, "today")
	if !ok {
		return text
	}
	days := 0
	if rest != "" {
		n, err := strconv.Atoi(strings.TrimSuffix(rest, "d"))
		if err != nil {
			return text
		}
		days = n
	}
	return w.now().In(beijing()).AddDate(0, 0, days).Format("2006-01-02")
}

// inClear is a person as requests carry one.
func inClear(p *someone) body {
	return body{"id_type": p.IDType, "id_number": p.IDNumber, "name": p.Name, "region": p.Region}
}

// couple reads payer→beneficiary.
func (w *world) couple(word string) (*someone, *someone, error) {
	a, b, ok := strings.Cut(strings.ReplaceAll(word, "->", "→"), "→")
	if !ok {
		return nil, nil, fmt.Errorf("%w: %q is not payer→beneficiary", ErrScript, word)
	}
	payer, err := w.person(a)
	if err != nil {
		return nil, nil, err
	}
	beneficiary, err := w.person(b)
	return payer, beneficiary, err
}

// take removes "at REGION" from the words; otherwise is the region of a command that does not say it.
func at(words []string, otherwise string) (string, []string) {
	i := slices.Index(words, "at")
	if i < 0 || i+1 >= len(words) {
		return otherwise, words
	}
	return words[i+1], slices.Delete(slices.Clone(words), i, i+2)
}
