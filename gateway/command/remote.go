package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
)

const (
	adminTimeout = time.Minute
	answerMax    = 64 << 20 // bytes: a list of all versions of a large region
)

// remote is the operators' listener of any node of the region.
type remote struct {
	Admin   string `required:"" placeholder:"URL" help:"Operators' listener of a node, as http://127.0.0.1:18001."`
	CA      string `placeholder:"FILE" help:"Certificates (PEM) that the listener's own is checked against."`
	TLSCert string `placeholder:"FILE" help:"Client certificate (PEM), where the listener asks for one."`
	TLSKey  string `placeholder:"FILE" help:"Its key (PEM)."`

	Session string `placeholder:"FILE" help:"Where the session's token is kept; else in the user's own folder."`
}

// ask speaks to the listener; a refusal of a document is printed, and is ErrRefused.
func (r remote) ask(ctx context.Context, p *Program, method, path string, body []byte) ([]byte, error) {
	return r.send(ctx, p, call{method, path, "application/yaml", body})
}

// call is one request to the operators' listener.
type call struct {
	method, path string
	kind         string // media type of the body
	body         []byte // nil: none
}

// send is ask for a body of any kind. An act that waits for a second person is said so, and is ErrWaits.
func (r remote) send(ctx context.Context, p *Program, c call) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, c.method, strings.TrimSuffix(r.Admin, "/")+c.path, bytes.NewReader(c.body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if c.body != nil {
		q.Header.Set("Content-Type", c.kind)
	}
	if token := r.token(); token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	listener, err := r.client()
	if err != nil {
		return nil, err
	}
	answer, err := listener.Do(q)
	if err != nil {
		return nil, fmt.Errorf("command: the node was not reached: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, answerMax))
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, fmt.Errorf("command: the node's answer: %w", err)
	}
	switch answer.StatusCode {
	case http.StatusOK, http.StatusNoContent:
		return data, nil
	case http.StatusAccepted:
		return data, p.waits(data)
	}
	return nil, p.refusal(answer.Status, data)
}

// refusal prints why the node refused, and is ErrRefused.
func (p *Program) refusal(status string, data []byte) error {
	if p.problem(data) {
		return ErrRefused
	}
	var refused struct {
		Problems []struct {
			Line     int    `json:"line"`
			Field    string `json:"field"`
			Reason   string `json:"reason"`
			ReasonZH string `json:"reason_zh"`
		} `json:"problems"`
	}
	if json.Unmarshal(data, &refused) != nil || len(refused.Problems) == 0 {
		return fmt.Errorf("%w: %s: %q", ErrRefused, status, strings.TrimSpace(string(data)))
	}
	for _, x := range refused.Problems {
		_, _ = fmt.Fprintf(p.Stderr, "%d: %q: %s / %s\n", x.Line, x.Field, x.Reason, x.ReasonZH)
	}
	return ErrRefused
}

type list struct{ remote }

// Run prints a line for each version.
func (l *list) Run(ctx context.Context, p *Program) error {
	data, err := l.ask(ctx, p, http.MethodGet, "/admin/v1/rules", nil)
	if err != nil {
		return err
	}
	var all struct {
		Region   string `json:"region"`
		Versions []struct {
			EffectiveFrom string `json:"effective_from"`
			State         string `json:"state"`
		} `json:"versions"`
	}
	if err = json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	for _, v := range all.Versions {
		err = errors.Join(err, p.print("%q %q %q\n", all.Region, v.EffectiveFrom, v.State))
	}
	return err
}

type apply struct {
	remote

	File string `arg:"" help:"Document."`
}

// Run checks the document here, then brings it into the region's log.
func (a *apply) Run(ctx context.Context, p *Program) error {
	r, err := rulebook.ReadFile(a.File)
	if err != nil {
		p.wrong(a.File, err)
		return ErrRefused
	}
	doc, err := os.ReadFile(a.File)
	if err != nil {
		return err
	}
	if _, err = a.ask(ctx, p, http.MethodPost, "/admin/v1/rules", doc); err != nil {
		return err
	}
	return p.print("region %s: in force from %s\n", r.Region, r.EffectiveFrom)
}

type withdraw struct {
	remote

	From string `arg:"" help:"The day from which the version would hold, YYYY-MM-DD."`
}

// Run takes the version back.
func (w *withdraw) Run(ctx context.Context, p *Program) error {
	from, err := policy.ParseDate(w.From)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if _, err = w.ask(ctx, p, http.MethodDelete, "/admin/v1/rules/"+from.String(), nil); err != nil {
		return err
	}
	return p.print("withdrawn: %s\n", from)
}
