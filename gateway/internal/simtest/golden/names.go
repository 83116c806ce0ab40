package golden

import (
	"fmt"
	"slices"
	"strings"
)

// names gives ids names that are the same every time.
type names struct {
	byID   map[string]string
	byName map[string]string
	counts map[string]int
	last   map[string]string // the id that a kind had last
}

func newNames() *names {
	return &names{
		byID: map[string]string{}, byName: map[string]string{}, counts: map[string]int{}, last: map[string]string{},
	}
}

// Kinds of names.
const (
	aGrant   = "grant"
	aPayment = "pay"
	aHold    = "hold"
	aRefund  = "refund"
	aMandate = "mandate"
)

// of is the name of an id of a kind.
func (n *names) of(kind, id string) string {
	if id == "" {
		return ""
	}
	if name, ok := n.byID[id]; ok {
		return name
	}
	n.counts[kind]++
	name := fmt.Sprintf("$%s%d", kind, n.counts[kind])
	n.byID[id], n.byName[name], n.last[kind] = name, id, id
	return name
}

// itself lets an id that the scenario invents keep its own name.
func (n *names) itself(id string) {
	if _, known := n.byID[id]; !known {
		n.byID[id] = id
	}
}

// id is what a name stands for; a word that is no name stands for itself.
func (n *names) id(word string) (string, error) {
	if !strings.HasPrefix(word, "$") {
		return word, nil
	}
	id, ok := n.byName[word]
	if !ok {
		return "", fmt.Errorf("%w: nothing is called %s", ErrScript, word)
	}
	return id, nil
}

// target takes the id that a command speaks of from its words, and returns the words that are left: the id that it
// names, or the last of its kind.
func (n *names) target(kind string, words []string) (string, []string, error) {
	i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "$") || strings.HasPrefix(w, "id:") })
	if i < 0 {
		if n.last[kind] == "" {
			return "", nil, fmt.Errorf("%w: there is no %s yet", ErrScript, kind)
		}
		return n.last[kind], words, nil
	}
	rest := slices.Delete(slices.Clone(words), i, i+1)
	id, err := n.id(strings.TrimPrefix(words[i], "id:"))
	return id, rest, err
}
