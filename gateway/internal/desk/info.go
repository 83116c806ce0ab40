package desk

import (
	"context"
	"encoding/hex"
	"encoding/json"

	"gongji/gateway/client"
)

// Commitment is the text in force.
func (d *Desk) Commitment(_ context.Context) (client.Commitment, error) {
	r, err := d.rules()
	if err != nil {
		return client.Commitment{}, err
	}
	digest := d.Vault.Hash([]byte(r.Commitment.TextZH))
	return client.Commitment{
		Version: r.Commitment.Version, Digest: hex.EncodeToString(digest[:]),
		Text: r.Commitment.Text, TextZH: r.Commitment.TextZH,
	}, nil
}

// Rules is the public part of the rules in force.
func (d *Desk) Rules(_ context.Context) (client.Rules, error) {
	r, err := d.rules()
	if err != nil {
		return client.Rules{}, err
	}
	var out client.Rules
	return out, json.Unmarshal(r.PublicJSON(), &out)
}
