package rulebook

import (
	"bytes"
	"fmt"

	"gopkg.in/yaml.v3"

	"gongji/gateway/internal/policy"
)

// indent of a written document, in spaces.
const indent = 2

// Write writes rules as a document that Read reads back to the same rules. Comments of a document that they came from
// are lost. Errors: policy.ErrRules for rules that are not valid.
func Write(r policy.Rules) ([]byte, error) {
	data, err := policy.EncodeRules(r)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node // the canonical form is JSON, and so YAML: only its looks are changed
	if err = yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("rulebook: internal error: the canonical form is no YAML: %w", err)
	}
	root := doc.Content[0]
	root.Style = 0
	for i := 0; i+1 < len(root.Content); i += 2 {
		root.Content[i].Style = 0
		open(root.Content[i+1])
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(indent)
	if err = e.Encode(&doc); err != nil {
		return nil, fmt.Errorf("rulebook: %w", err)
	}
	return out.Bytes(), nil
}

// open gives one value of a document its looks: mappings in lines, lists of words in one line, keys without quotes.
func open(n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		n.Style = 0
		for i := 0; i+1 < len(n.Content); i += 2 {
			n.Content[i].Style = 0
			open(n.Content[i+1])
		}
	case yaml.SequenceNode:
		if len(n.Content) > 0 && n.Content[0].Kind == yaml.MappingNode {
			n.Style = 0
		}
		for _, c := range n.Content {
			if c.Kind == yaml.ScalarNode {
				c.Style = 0
			}
			open(c)
		}
	case yaml.ScalarNode, yaml.DocumentNode, yaml.AliasNode:
	}
}
