package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"gongji/gateway/client"
)

// platforms are the commands about the keys of platforms.
type platforms struct {
	List     platformList     `cmd:"" help:"List the keys of a running region, revoked ones too."`
	Register platformRegister `cmd:"" help:"Register a key, or change what a registered one may do."`
	Revoke   platformRevoke   `cmd:"" help:"Revoke a key, at once and for good."`
}

type platformList struct {
	remote

	JSON bool `help:"Print what the node answered."`
}

// Run prints a line for each key.
func (l *platformList) Run(ctx context.Context, p *Program) error {
	data, err := l.ask(ctx, p, http.MethodGet, "/admin/v1/platforms", nil)
	if err != nil {
		return err
	}
	if l.JSON {
		return p.print("%s\n", bytes.TrimSpace(data))
	}
	var all client.PlatformList
	if err = json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	for _, k := range all.Platforms {
		state := "in force"
		if k.Revoked != "" {
			state = "revoked " + k.Revoked + ": " + k.Reason
		}
		err = errors.Join(err, p.print("%q %q %q %q %d/s %q\n", k.KeyID, k.Platform, k.Region,
			strings.Join(k.Roles, ","), k.RatePerSecond, state))
	}
	return err
}

type platformRegister struct {
	remote

	Key      string   `arg:"" help:"Id of the key: what the platform sends as Gongji-Key, or its appId."`
	Platform string   `required:"" help:"Whose key it is; request ids belong to the platform."`
	Public   string   `required:"" help:"Public key: base64 of 04, x and y (65 bytes)."`
	Role     []string `required:"" help:"all, read, payments, grants, refunds, statements; several with commas."`
	Region   string   `help:"Region that the platform speaks for; empty: the region asked."`
	Rate     int      `help:"Requests a second; 0: no bound of its own."`
	From     string   `help:"Not before this time (RFC 3339)."`
	Until    string   `help:"Not from this time on (RFC 3339)."`

	CertDigest  string `help:"Only with the client certificate of this key: hex SHA-256 of its SubjectPublicKeyInfo."`
	CertSubject string `help:"Only with a client certificate of this subject (RFC 2253)."`
	Scalars     string `enum:",keep,strings,first_level" default:"" help:"National convention: how numbers are signed."`
	Timestamp   string `enum:",yyyyMMddHHmmss,unix,unix_ms" default:"" help:"National convention: how times are written."`
}

// Run registers the key.
func (r *platformRegister) Run(ctx context.Context, p *Program) error {
	k := client.PlatformKey{
		KeyID: r.Key, Platform: r.Platform, Region: r.Region, Public: r.Public, Roles: r.Role, RatePerSecond: r.Rate,
		NotBefore: r.From, NotAfter: r.Until, CertDigest: r.CertDigest, CertSubject: r.CertSubject,
	}
	if (r.Scalars == "") != (r.Timestamp == "") {
		return fmt.Errorf("%w: --scalars and --timestamp go together", ErrUsage)
	}
	if r.Scalars != "" {
		k.National = &client.PlatformDialect{Scalars: r.Scalars, Timestamp: r.Timestamp}
	}
	return r.change(ctx, p, "/admin/v1/platforms", k, "registered")
}

type platformRevoke struct {
	remote

	Key    string `arg:"" help:"Id of the key."`
	Reason string `required:"" help:"Why; it stands in the list and in the audit log."`
}

// Run revokes the key.
func (r *platformRevoke) Run(ctx context.Context, p *Program) error {
	body := map[string]string{"reason": r.Reason}
	return r.change(ctx, p, "/admin/v1/platforms/"+url.PathEscape(r.Key)+"/revoke", body, "revoked")
}

// change posts a document and says what came of it.
func (r remote) change(ctx context.Context, p *Program, path string, v any, done string) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	data, err := r.send(ctx, p, call{http.MethodPost, path, "application/json", body})
	if err != nil {
		return err
	}
	var c client.PlatformChange
	if err = json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	if c.Unchanged {
		done = "was " + done + " before"
	}
	return p.print("%q: %s\n", c.KeyID, done)
}
