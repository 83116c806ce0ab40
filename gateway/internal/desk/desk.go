// Package desk is the leader's counter: it takes a request whose form is good, checks what can be known before the log,
// asks the beneficiary's home, puts the command into the log, waits, and reads the answer.
//
// It decides nothing that two requests can race for: that is the log's. What it refuses before the log it refuses
// because the log would, or because a look-up found it (design 5, "Look up first"): then nothing was written and no
// payment exists.
package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/bulletin"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/vault"
)

// Times of the desk.
const (
	holdsWait = 10 * time.Second // POST /v1/payments waits for the holds so long (api.md section 3)
	noticeIn  = 3 * time.Second  // a new or changed grant waits so long until the beneficiary's home knows it
)

// Deps are what a Desk works with.
type Deps struct {
	Self   federation.Region
	Log    consensus.Log
	Ledger *ledger.Ledger
	Settle *settle.Settler
	Vault  *vault.Vault
	Now    func() time.Time
	// Audit notes what somebody may have to answer for; no identity stands in it.
	Audit func(event string, attrs ...slog.Attr)
	// NotReady gives the reasons why this node is not ready, beside those of log and rules.
	NotReady func() []string
}

// Desk is the api.Desk of a node.
type Desk struct{ Deps }

var _ api.Desk = (*Desk)(nil)

// New makes a Desk.
func New(d Deps) (*Desk, error) {
	if d.Log == nil || d.Ledger == nil || d.Settle == nil || d.Vault == nil || d.Now == nil || d.Audit == nil ||
		d.NotReady == nil {
		return nil, errors.New("desk: something is missing in Deps")
	}
	return &Desk{d}, nil
}

func (d *Desk) refusal(code policy.Code) *api.Error {
	return &api.Error{Code: code, Origin: string(d.Self), Outcome: client.OutcomeNone}
}

// refused is the error of a refusing Outcome.
func (d *Desk) refused(o ledger.Outcome) error {
	e := d.refusal(o.Code)
	e.Field, e.Detail, e.DetailZH = o.Field, o.Detail, o.DetailZH
	return e
}

// asked is the error of a query that brought no answer: nothing has happened.
func (d *Desk) asked(err error, region federation.Region) error {
	if _, ok := policy.AsRefusal(err); ok {
		return err
	}
	if errors.Is(err, settle.ErrNotLeading) {
		return consensus.ErrNoLeader
	}
	if errors.Is(err, settle.ErrUnreachable) {
		e := d.refusal(policy.CodeRegionUnreachable)
		e.Region, e.Origin = string(region), string(d.Self)
		return e
	}
	e := d.refusal(policy.CodeCoreUnavailable)
	e.Origin = string(region)
	return e
}

// propose puts a command into the log.
func (d *Desk) propose(ctx context.Context, c ledger.Command) (ledger.Outcome, error) {
	o, err := d.Vault.Propose(ctx, d.Log, c)
	if err != nil {
		return ledger.Outcome{}, err
	}
	if o.Code != "" {
		return o, d.refused(o)
	}
	return o, nil
}

func (d *Desk) view(ctx context.Context, see func(v ledger.View) error) error {
	return d.Log.Read(ctx, func(r consensus.Reader) error { return see(d.Ledger.View(r)) })
}

// Seen finds what a request id was used for.
//
//nolint:revive // the face's interface has these four results
func (d *Desk) Seen(ctx context.Context, key api.RequestKey) (string, string, bool, error) {
	var rec *ledger.RequestRecord
	err := d.view(ctx, func(v ledger.View) error {
		var failed error
		rec, failed = v.Request(key.Platform, key.ID)
		return failed
	})
	switch {
	case err != nil || rec == nil:
		return "", "", false, err
	case rec.Digest != key.Digest:
		return "", "", true, d.refusal(policy.CodeConflict)
	}
	return rec.Thing, rec.ID, true, nil
}

// Member tells whether the directory knows the region.
func (d *Desk) Member(region string) bool {
	if region == string(d.Self) {
		return true
	}
	dir := d.Ledger.InForce().Directory
	if dir == nil {
		return false
	}
	_, ok := dir.Member(federation.Region(region))
	return ok
}

// Ready returns why this node is not ready, and what its operators should know though it is. An expired directory is no
// reason: captures, releases and refunds must find a node.
func (d *Desk) Ready() ([]string, []string) {
	var reasons []string
	lead, _ := d.Log.Leadership()
	if lead.LeaderID == "" {
		reasons = append(reasons, "no leader")
	}
	in := d.Ledger.InForce()
	if _, err := in.Rules.At(policy.Day(d.Now())); err != nil {
		reasons = append(reasons, "no rules in force")
	}
	if in.Directory == nil {
		reasons = append(reasons, "no directory")
	}
	return append(reasons, d.NotReady()...), bulletin.Warnings(in.Directory, d.Now())
}

func request(key api.RequestKey) ledger.Request {
	r := ledger.Request{Platform: key.Platform, ID: key.ID, Digest: key.Digest}
	if key.Signed != nil {
		signed := signature(*key.Signed)
		if s := key.Signed.Request; s != nil {
			kept := ledger.SignedRequest(*s)
			signed.Request = &kept
		}
		r.Signed = &signed
	}
	return r
}

func signature(s api.Signature) ledger.Signed {
	return ledger.Signed{Key: s.KeyID, At: s.At, Nonce: s.Nonce, Attempt: s.Attempt}
}

// Spend leaves the nonce of a request in the log that has left it in no command of its own.
func (d *Desk) Spend(ctx context.Context, s api.Signature) error {
	_, err := d.propose(ctx, &ledger.SpendNonce{Signed: signature(s)})
	return err
}

// identity is the clear identity of a person in a request whose form is good.
func identity(p client.Person) vault.Identity {
	number, err := person.ParseNumber(p.IDNumber)
	if err != nil {
		return vault.Identity{}
	}
	return vault.Identity{IDType: p.IDType, Number: number.Clear(), Name: p.Name, Region: p.Region}
}

// rules are those in force today.
func (d *Desk) rules() (*policy.Rules, error) {
	r, err := d.Ledger.InForce().Rules.At(policy.Day(d.Now()))
	if err != nil {
		return nil, fmt.Errorf("%w: no rules in force yet", consensus.ErrNoLeader)
	}
	return r, nil
}
