package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// keyring are the commands about the keys of a running region: by id, never more.
type keyring struct {
	List      keyringList      `cmd:"" help:"The keys that a node works with, and what each is needed for."`
	Destroy   keyringDestroy   `cmd:"" help:"Destroy a key on every node of the region, for good (two officers)."`
	Destroyed keyringDestroyed `cmd:"" help:"Destructions that were ordered, and which nodes have carried them out."`
}

type keyringList struct{ remote }

// Run prints a line for each key.
func (l *keyringList) Run(ctx context.Context, p *Program) error {
	data, err := l.json(ctx, p, http.MethodGet, "/admin/v1/keyring", nil)
	if err != nil {
		return err
	}
	var all struct {
		Keys []struct {
			ID, Use   string
			NeededFor string `json:"needed_for"`
		}
	}
	if err = json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	for _, k := range all.Keys {
		needed := "may be destroyed"
		if k.NeededFor != "" {
			needed = "needed: " + k.NeededFor
		}
		err = errors.Join(err, p.print("%q %s %s\n", k.ID, k.Use, needed))
	}
	return err
}

type keyringDestroy struct {
	remote

	ID     string `arg:"" help:"The key. It is asked for again: what is sealed under it is lost for ever."`
	Reason string `required:"" help:"Why: it stands in the audit log and in the journals of the keys."`
}

// Run proposes the destruction, after the id was typed again.
func (d *keyringDestroy) Run(ctx context.Context, p *Program) error {
	if err := reasoned(d.Reason); err != nil {
		return err
	}
	if err := p.retyped(d.ID); err != nil {
		return err
	}
	_, err := d.json(ctx, p, http.MethodPost, "/admin/v1/keyring/"+url.PathEscape(d.ID)+"/destroy",
		map[string]string{"id": d.ID, "reason": d.Reason})
	return err
}

type keyringDestroyed struct{ remote }

// Run prints a line for each key, and one for each node that has said something.
func (d *keyringDestroyed) Run(ctx context.Context, p *Program) error {
	data, err := d.json(ctx, p, http.MethodGet, "/admin/v1/keyring/destroyed", nil)
	if err != nil {
		return err
	}
	var all struct {
		Destroyed []struct {
			ID, Use, By, Second, Reason, Ordered string
			Nodes                                []struct{ Node, End, At string }
			Waiting                              []string `json:"waiting_for"`
		}
	}
	if err = json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	for _, k := range all.Destroyed {
		state := "destroyed everywhere"
		if len(k.Waiting) > 0 {
			state = "waits for " + strings.Join(k.Waiting, " ")
		}
		err = errors.Join(err, p.print("%q %s ordered %s by %q and %q, %q: %s\n",
			k.ID, k.Use, k.Ordered, k.By, k.Second, k.Reason, state))
		for _, n := range k.Nodes {
			err = errors.Join(err, p.print("  %s %s %s\n", n.Node, n.End, n.At))
		}
	}
	return err
}
