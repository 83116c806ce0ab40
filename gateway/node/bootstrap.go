package node

import (
	"bytes"
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
	"gongji/gateway/internal/bulletin"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
	"gongji/gateway/internal/vault"
)

// The leader brings what the configuration names into the region's state: rules and accounts once; package bulletin
// brings a directory whenever there is a newer one.

const (
	bootstrapAgain = 500 * time.Millisecond
	bootstrapEvery = 2 * time.Second
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
		wait := bootstrapEvery
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
	return errors.Join(n.bringPlatforms(ctx), n.bringRules(ctx), n.bringPeople(ctx), n.bringOfficers(ctx))
}

func (n *Node) put(ctx context.Context, c ledger.Command) error {
	o, err := n.vault.Propose(ctx, n.log, c)
	return refusalOf(o, err)
}

func refusalOf(o ledger.Outcome, err error) error {
	if err == nil && o.Code != "" {
		return fmt.Errorf("node: refused: %s %s", o.Code, o.Detail)
	}
	return err
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

// openBulletin makes what watches for newer directories: on the bus, if it carries them, and in the file.
func (n *Node) openBulletin() error {
	metrics, err := bulletin.NewMetrics(n.registry, n.ledger, n.deps.Clock)
	if err != nil {
		return err
	}
	board, _ := n.bus.(federation.Board) // a bus in a simulation may have none
	n.bulletin, err = bulletin.New(bulletin.Deps{
		Log: n.log, Ledger: n.ledger, Sealer: n.sealer, Roots: n.roots, Board: board, File: n.directoryFile,
		Now: n.deps.Clock, Logger: n.deps.Logger, Audit: n.noted, Metrics: metrics, Judge: n.judgeCertificates,
	})
	return err
}

// directoryFile reads the directory that the configuration names, or was handed in.
func (n *Node) directoryFile() ([]byte, error) {
	if n.deps.Directory != nil {
		return n.deps.Directory, nil
	}
	f, err := os.Open(n.cfg.Directory.File)
	if err != nil {
		return nil, err
	}
	signed, err := io.ReadAll(io.LimitReader(f, federation.DirectoryMax+1))
	return bytes.TrimSpace(signed), errors.Join(err, f.Close())
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
	return n.importPeople(ctx, people, importName, func(ctx context.Context, c *ledger.OpenAccounts) error {
		return n.put(ctx, c)
	})
}

// importPeople brings people in, in batches; the last one ends the import of that name.
func (n *Node) importPeople(
	ctx context.Context, people config.People, name string, put func(context.Context, *ledger.OpenAccounts) error,
) error {
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
		if err := put(ctx, c); err != nil {
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
