package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/config"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
	"gongji/gateway/internal/vault"
)

// The leader brings what the configuration names into the region's state: rules and accounts once, a directory
// whenever there is a newer one.

const (
	bootstrapAgain = 500 * time.Millisecond
	directoryEvery = 2 * time.Second
	importBatch    = 256
	importName     = "people"
)

// bootstrap works whenever this node leads.
func (n *Node) bootstrap(ctx context.Context) error {
	if n.cfg.Adapter.PeopleFile == "" && n.deps.Core == nil && !n.deps.Silent {
		n.deps.Logger.LogAttrs(ctx, slog.LevelInfo, "no people file: the book starts without accounts")
	}
	for ctx.Err() == nil {
		lead, changed := n.log.Leadership()
		wait := directoryEvery
		if lead.Leader {
			if err := n.bring(ctx); err != nil && ctx.Err() == nil {
				n.deps.Logger.LogAttrs(ctx, slog.LevelError, "what the configuration names could not be brought into the log",
					slog.String("error", err.Error()))
				wait = bootstrapAgain
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
		}
	}
	return nil
}

func (n *Node) bring(ctx context.Context) error {
	return errors.Join(n.bringPlatforms(ctx), n.bringRules(ctx), n.bringDirectory(ctx), n.bringPeople(ctx),
		n.bringOfficers(ctx))
}

func (n *Node) put(ctx context.Context, c ledger.Command) error {
	o, err := n.vault.Propose(ctx, n.log, c)
	if err != nil {
		return err
	}
	if o.Code != "" {
		return fmt.Errorf("node: refused: %s %s", o.Code, o.Detail)
	}
	return nil
}

func (n *Node) bringRules(ctx context.Context) error {
	if len(n.ledger.InForce().Rules.Versions()) > 0 {
		return nil
	}
	rules, err := n.firstRules()
	if err != nil {
		return fmt.Errorf("node: rules: %w", err)
	}
	data, err := policy.EncodeRules(rules)
	if err != nil {
		return fmt.Errorf("node: rules: %w", err)
	}
	return n.put(ctx, &ledger.SetRules{Rules: data})
}

// firstRules are those of a region that has none yet.
func (n *Node) firstRules() (policy.Rules, error) {
	if n.cfg.RulesFile != "" {
		return rulebook.ReadFile(n.cfg.RulesFile)
	}
	return rulebook.BuiltIn(n.cfg.Region)
}

// bringDirectory takes a directory that follows the one in force, is signed and not expired.
func (n *Node) bringDirectory(ctx context.Context) error {
	signed := n.deps.Directory
	if signed == nil {
		f, err := os.Open(n.cfg.Directory.File)
		if err != nil {
			return err
		}
		signed, err = io.ReadAll(io.LimitReader(f, federation.DirectoryMax+1))
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	present := n.ledger.InForce().Directory
	if present != nil && string(present.Signed()) == string(signed) {
		return nil
	}
	next, err := federation.ParseDirectory(n.sealer, n.roots, signed, present, n.deps.Clock())
	if err != nil {
		return fmt.Errorf("node: directory: %w", err)
	}
	if err = n.judgeCertificates(ctx, next, present); err != nil {
		return fmt.Errorf("node: directory: %w", err)
	}
	return n.put(ctx, &ledger.SetDirectory{Signed: signed})
}

// imported returns nil once the accounts are in the state.
func (n *Node) imported(ctx context.Context) error {
	if n.cfg.Adapter.PeopleFile == "" || n.deps.Core != nil {
		return nil
	}
	return n.log.Read(ctx, func(r consensus.Reader) error {
		if !n.ledger.View(r).Imported(importName) {
			return errors.New("node: accounts are being imported")
		}
		return nil
	})
}

func (n *Node) bringPeople(ctx context.Context) error {
	if n.imported(ctx) == nil {
		return nil
	}
	people, err := config.LoadPeople(n.cfg.Adapter.PeopleFile)
	if err != nil {
		return err
	}
	return n.importPeople(ctx, people, importName)
}

// importPeople brings people in, in batches; the last one ends the import of that name.
func (n *Node) importPeople(ctx context.Context, people config.People, name string) error {
	year := policy.Year(n.deps.Clock())
	for i := 0; ; i += importBatch {
		end := min(i+importBatch, len(people.People))
		c := &ledger.OpenAccounts{}
		for _, p := range people.People[i:end] {
			a, err := n.account(p, year)
			if err != nil {
				return err
			}
			c.Accounts = append(c.Accounts, a)
		}
		if end == len(people.People) {
			c.Done = name
		}
		if err := n.put(ctx, c); err != nil {
			return err
		}
		if end == len(people.People) {
			return nil
		}
	}
}

func (n *Node) account(p config.Person, year int) (ledger.NewAccount, error) {
	who, err := person.Parse(person.Input{
		IDType: person.IDTypeResident, IDNumber: p.IDNumber, Name: p.Name, Region: n.cfg.Region,
	})
	if err != nil {
		return ledger.NewAccount{}, fmt.Errorf("node: a person of the people file: %w", err)
	}
	out := ledger.NewAccount{}
	if out.Person, err = n.vault.Person(vault.Of(who), n.vault.NewNo()); err != nil {
		return out, err
	}
	f := ledger.Facts{Known: true, Year: year}
	if _, err = fmt.Sscanf(p.Scheme+" "+p.Status, "%d %d", &f.Scheme, &f.Status); err != nil {
		return out, fmt.Errorf("node: scheme or status of a person: %w", err)
	}
	if f.Balance, err = money.Parse(p.Balance); err != nil {
		return out, fmt.Errorf("node: balance of a person: %w", err)
	}
	if f.Opening, err = money.Parse(p.YearOpening); err != nil {
		return out, fmt.Errorf("node: opening of a person: %w", err)
	}
	out.Facts = f
	return out, nil
}
