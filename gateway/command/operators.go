package command

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"gongji/crypto"
	"gongji/crypto/sm/emm"
	"gongji/gateway/internal/operator"
)

type operators struct {
	Enroll enroll   `cmd:"" help:"Make the key of an operator, and the registration for the security officers."`
	List   opList   `cmd:"" help:"All operators."`
	Add    opAdd    `cmd:"" help:"Take somebody in, or change role, key or passphrase: two officers."`
	Lock   opLock   `cmd:"" help:"Lock an operator at once; sessions end."`
	Unlock opUnlock `cmd:"" help:"Take the lock off: two officers."`
	Remove opRemove `cmd:"" help:"Remove an operator for good."`
}

type enroll struct {
	factors

	Out string `required:"" placeholder:"FILE" help:"The registration; there is no secret in it."`
}

// Run makes a key if the folder has none, and the registration.
func (e *enroll) Run(p *Program) error {
	ring, word, err := e.open()
	if err != nil {
		return err
	}
	id, err := ring.Current(crypto.UseSign)
	if errors.Is(err, crypto.ErrNoKey) {
		id, err = ring.Generate(crypto.UseSign)
	}
	var public crypto.Public
	if err == nil {
		public, err = ring.Public(id)
	}
	if err != nil {
		return errors.Join(err, ring.Close())
	}
	salt := make([]byte, operator.SaltSize)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the program instead
	card, err := operator.Enroll(emm.New(), e.Name, public, word, salt, func(m []byte) ([]byte, error) {
		return ring.Sign(id, m)
	})
	if err = errors.Join(err, ring.Close()); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	data, err := json.MarshalIndent(card, "", "  ")
	if err != nil {
		return err
	}
	if err = os.WriteFile(e.Out, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return p.print("%s: hand it to the security officers\n", e.Out)
}

type opList struct{ remote }

// Run prints a line for each operator.
func (l *opList) Run(ctx context.Context, p *Program) error {
	data, err := l.json(ctx, p, http.MethodGet, "/admin/v1/operators", nil)
	if err != nil {
		return err
	}
	var all struct {
		Operators []struct {
			Name, Role, State string
			Sessions          int
			LockedUntil       string `json:"locked_until"`
		}
	}
	if err = json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	for _, o := range all.Operators {
		err = errors.Join(err, p.print("%-24q %-18q %-8q sessions %d %s\n",
			o.Name, o.Role, o.State, o.Sessions, o.LockedUntil))
	}
	return err
}

type opAdd struct {
	remote

	File string `arg:"" help:"Registration, from gateway operators enroll."`
	Role string `required:"" enum:"observer,operator,security_officer,auditor" help:"${enum}"`
}

// Run proposes the operator.
func (a *opAdd) Run(ctx context.Context, p *Program) error {
	data, err := os.ReadFile(a.File)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	var card operator.Registration
	if json.Unmarshal(data, &card) != nil || card.Check(emm.New()) != nil {
		return fmt.Errorf("%w: %s is no registration that its own key has signed", ErrRefused, a.File)
	}
	_, err = a.json(ctx, p, http.MethodPost, "/admin/v1/operators", map[string]any{"registration": card, "role": a.Role})
	return err
}

// named is a call about one operator.
type named struct {
	remote

	Name string `arg:"" help:"The operator."`
}

func (n *named) tell(ctx context.Context, p *Program, what string) error {
	_, err := n.json(ctx, p, http.MethodPost, "/admin/v1/operators/"+url.PathEscape(n.Name)+"/"+what, nil)
	return err
}

type opLock struct{ named }

// Run locks.
func (o *opLock) Run(ctx context.Context, p *Program) error { return o.tell(ctx, p, "lock") }

type opUnlock struct{ named }

// Run takes the lock off.
func (o *opUnlock) Run(ctx context.Context, p *Program) error { return o.tell(ctx, p, "unlock") }

type opRemove struct{ named }

// Run removes.
func (o *opRemove) Run(ctx context.Context, p *Program) error { return o.tell(ctx, p, "remove") }

type acts struct {
	List    actList    `cmd:"" help:"Acts that wait, then those that are over."`
	Show    actShow    `cmd:"" help:"One act with all of its content."`
	Approve actApprove `cmd:"" help:"Agree to exactly this act; it is carried out."`
	Reject  actReject  `cmd:"" help:"Refuse it."`
}

type actList struct{ remote }

// Run prints a line for each act.
func (l *actList) Run(ctx context.Context, p *Program) error {
	data, err := l.json(ctx, p, http.MethodGet, "/admin/v1/acts", nil)
	if err != nil {
		return err
	}
	var all struct {
		Acts []struct{ ID, State, Method, Target, By, Second, Digest string }
	}
	if err = json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	for _, a := range all.Acts {
		err = errors.Join(err, p.print("%s %s %s %q by %q %q digest %s\n",
			a.ID, a.State, a.Method, a.Target, a.By, a.Second, a.Digest))
	}
	return err
}

type actShow struct {
	remote

	ID string `arg:"" help:"The act."`
}

// Run prints the act as the node has it.
func (s *actShow) Run(ctx context.Context, p *Program) error {
	data, err := s.json(ctx, p, http.MethodGet, "/admin/v1/acts/"+url.PathEscape(s.ID), nil)
	if err != nil {
		return err
	}
	return p.print("%s", data)
}

// decision is a word on an act; the digest says that the same content was seen.
type decision struct {
	remote

	ID     string `arg:"" help:"The act."`
	Digest string `required:"" help:"Its digest, as list, show or the first person gave it."`
}

func (d *decision) say(ctx context.Context, p *Program, what string) error {
	data, err := d.json(ctx, p, http.MethodPost, "/admin/v1/acts/"+url.PathEscape(d.ID)+"/"+what,
		map[string]string{"digest": d.Digest})
	if err != nil {
		return err
	}
	var a struct {
		State, Result string
		Status        int
	}
	if err = json.Unmarshal(data, &a); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	if a.Status < http.StatusBadRequest {
		return p.print("%s: %s, status %d %q\n", d.ID, a.State, a.Status, a.Result)
	}
	if err = p.print("%s: %s, status %d\n", d.ID, a.State, a.Status); err != nil {
		return err
	}
	if p.problem([]byte(a.Result)) {
		return ErrRefused
	}
	return fmt.Errorf("%w: %q", ErrRefused, a.Result)
}

type actApprove struct{ decision }

// Run approves.
func (a *actApprove) Run(ctx context.Context, p *Program) error { return a.say(ctx, p, "approve") }

type actReject struct{ decision }

// Run rejects.
func (a *actReject) Run(ctx context.Context, p *Program) error { return a.say(ctx, p, "reject") }

type holds struct {
	InDoubt      inDoubt      `cmd:"" name:"in-doubt" help:"Holds that wait for the origin's word, or for two operators."`
	ForceRelease forceRelease `cmd:"" name:"force-release" help:"Give back what a hold in doubt reserves: two operators."`
}

type inDoubt struct{ remote }

// Run prints a line for each hold.
func (l *inDoubt) Run(ctx context.Context, p *Program) error {
	data, err := l.json(ctx, p, http.MethodGet, "/admin/v1/holds/in-doubt", nil)
	if err != nil {
		return err
	}
	var all struct {
		Holds []struct {
			HoldID   string `json:"hold_id"`
			Origin   string `json:"origin"`
			Payer    string `json:"payer"`
			Amount   string `json:"amount"`
			DecideBy string `json:"decide_by"`
		}
	}
	if err = json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	for _, h := range all.Holds {
		err = errors.Join(err, p.print("%s from %s, %s of %s, to be decided by %s\n",
			h.HoldID, h.Origin, h.Amount, h.Payer, h.DecideBy))
	}
	return err
}

type forceRelease struct {
	remote

	Hold   string `arg:"" help:"The hold."`
	Reason string `required:"" help:"Why: it stands in the audit log."`
}

// Run proposes the release.
func (f *forceRelease) Run(ctx context.Context, p *Program) error {
	_, err := f.json(ctx, p, http.MethodPost, "/admin/v1/holds/"+url.PathEscape(f.Hold)+"/force-release",
		map[string]string{"reason": f.Reason})
	return err
}
