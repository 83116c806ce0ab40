package command

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// rotation are the commands about the rotation of a running region's keys at rest.
type rotation struct {
	Start  rotationStart  `cmd:"" help:"Begin: the newest key of that use comes into force when every node has it."`
	Show   rotationShow   `cmd:"" help:"Print which keys are in force and how far the newest rotation is."`
	Cancel rotationCancel `cmd:"" help:"Give up a rotation that not every node could follow yet."`
}

// rotationState is what the listener answers, as far as it is printed.
type rotationState struct {
	InForce  map[string]string `json:"in_force"`
	Rotation *struct {
		Use     string   `json:"use"`
		Old     string   `json:"old"`
		New     string   `json:"new"`
		Stage   string   `json:"stage"`
		Missing []string `json:"not_confirmed"`
		Step    string   `json:"step"`
		Seen    int64    `json:"seen"`
		Changed int64    `json:"changed"`
	} `json:"rotation"`
	Destroyable []string `json:"destroyable"`
}

func (r remote) rotation(ctx context.Context, p *Program, method, path string, order map[string]string) error {
	var body []byte
	if order != nil {
		var err error
		if body, err = json.Marshal(order); err != nil {
			return err
		}
	}
	data, err := r.ask(ctx, p, method, path, body)
	if err != nil {
		return err
	}
	var s rotationState
	if err = json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	return p.printRotation(&s)
}

func (p *Program) printRotation(s *rotationState) error {
	uses := make([]string, 0, len(s.InForce))
	for use := range s.InForce {
		uses = append(uses, use)
	}
	slices.Sort(uses)
	for _, use := range uses {
		if err := p.print("in force %s: %s\n", use, s.InForce[use]); err != nil {
			return err
		}
	}
	if r := s.Rotation; r != nil {
		err := p.print("rotation %s: %s, %s to %s, %d looked at, %d made anew\n", r.Use, r.Stage, r.Old, r.New, r.Seen,
			r.Changed)
		if err == nil && len(r.Missing) > 0 {
			err = p.print("waits for the key on: %s\n", strings.Join(r.Missing, " "))
		}
		if err != nil {
			return err
		}
	}
	for _, id := range s.Destroyable {
		if err := p.print("may be destroyed: %s\n", id); err != nil {
			return err
		}
	}
	return nil
}

type rotationStart struct {
	remote

	Use      string `arg:"" enum:"token,data,evidence" help:"What the key is for: token, data or evidence."`
	Operator string `required:"" help:"Who orders it."`
}

// Run begins a rotation.
func (s *rotationStart) Run(ctx context.Context, p *Program) error {
	return s.rotation(ctx, p, http.MethodPost, "/admin/v1/keys/rotate",
		map[string]string{"use": s.Use, "operator": s.Operator})
}

type rotationShow struct{ remote }

// Run prints how it stands.
func (s *rotationShow) Run(ctx context.Context, p *Program) error {
	return s.rotation(ctx, p, http.MethodGet, "/admin/v1/keys/rotation", nil)
}

type rotationCancel struct {
	remote

	Operator string `required:"" help:"Who orders it."`
}

// Run gives the rotation up.
func (c *rotationCancel) Run(ctx context.Context, p *Program) error {
	return c.rotation(ctx, p, http.MethodPost, "/admin/v1/keys/rotation/cancel", map[string]string{"operator": c.Operator})
}
