// Package command is the command line of the gateway: running a node, and what a region's staff do with its rules.
//
//	gateway --config FILE                          run one node (also: gateway serve --config FILE)
//	gateway backup, gateway restore                the state of a region that has lost all its nodes
//	gateway rules check FILE...                    say everything that is wrong with documents of rules
//	gateway rules diff A B                         what B changes
//	gateway rules explain --payment FILE           read a recorded decision to a citizen
//	gateway rules show REGION, gateway rules schema   the built-in documents, and the schema
//	gateway cert root, csr, issue, check, show, revoke, crl, import-key   the federation's certificates
//	gateway keys init|list|generate|backup|restore|destroy|rewrap|verify   the region's secret keys
//	gateway keys pin, gateway keys serve           the keys in a process of their own
//	gateway directory …                            the federation's directory: drafts, the root's signatures, publication
//	gateway rules list, apply, withdraw --admin URL   the versions of a running region
//	gateway rotation start USE --admin URL         replace a key at rest of a running region; also show, cancel
//	gateway keyring list, destroy, destroyed --admin URL   a running region's keys, by two officers on every node
//	gateway platforms list, register, revoke --admin URL   the keys of platforms
//	gateway login, logout, whoami --admin URL      a session of an operator
//	gateway operators, acts, holds --admin URL     operators, acts of two persons, holds in doubt
//	gateway audit export, show, verify             the audit log; verify needs no gateway
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/alecthomas/kong"

	"gongji/gateway/config"
)

// ErrUsage: the command line cannot be understood. The text says why.
var ErrUsage = errors.New("command: usage")

// ErrRefused: what was looked at is not good, or the region refused it; what is wrong has been printed.
var ErrRefused = errors.New("command: refused")

// Program is one run of the command line.
type Program struct {
	Stdout io.Writer
	Stderr io.Writer
	// Serve runs one node with the configuration of a file until ctx ends.
	Serve func(ctx context.Context, configFile string) error
	// Backup copies a node's state into a new folder, Restore fills the empty folder of a node with it; the text says
	// what was copied.
	Backup  func(c config.Config, to string) (string, error)
	Restore func(c config.Config, from string) (string, error)
	// Ask asks who runs the command and gives the line that was typed; Secret does not show it. Nil:
	// there is nobody to ask.
	Ask    func(question string) (string, error)
	Secret func(question string) ([]byte, error)
	// Now is the clock; nil: the system's.
	Now func() time.Time
}

const description = "One node of one region's gateway, and its rules. docs/operations.md says how to run a cluster."

// line is the command line.
type line struct {
	Serve serve `cmd:"" default:"withargs" help:"Run one node."`

	Backup  backup  `cmd:"" help:"Copy the newest snapshot of a node's state into a new folder."`
	Restore restore `cmd:"" help:"Fill the empty folder of a node with a backup, after the loss of a whole region."`

	Keys  keys  `cmd:"" help:"The region's secret keys: make, list, back up, restore, destroy, verify, serve."`
	Rules rules `cmd:"" help:"Regional rules as documents: check, compare, explain, bring into force."`

	Rotation rotation `cmd:"" help:"Replace a key at rest of a running region, under load."`

	Cert certificates `cmd:"" help:"SM2 certificates: ask, issue, check, revoke."`

	Keyring keyring `cmd:"" help:"The keys of a running region: list, destroy on every node (two officers)."`

	Platforms platforms `cmd:"" help:"Keys of platforms that may ask a running region: list, register, revoke."`

	Login     login     `cmd:"" help:"Begin a session at the operators' listener."`
	Logout    logout    `cmd:"" help:"End it."`
	Whoami    sessionOf `cmd:"" help:"Whose session it is."`
	Operators operators `cmd:"" help:"Operators: enroll, list, add, lock, unlock, remove."`
	Acts      acts      `cmd:"" help:"Acts of two persons: list, show, approve, reject."`
	Holds     holds     `cmd:"" help:"Holds in doubt, and their release by two operators."`
	Audit     audit     `cmd:"" help:"The audit log: export, show, verify."`
	Links     links     `cmd:"" help:"Links with other regions: how they stand, and a new beginning after a restore."`

	Directory directory `cmd:"" help:"The federation's directory: prepare, sign, publish, verify."`
	Evidence  proofs    `cmd:"" help:"Check bundles and archives of evidence, offline."`
}

type serve struct {
	Config string `default:"gateway.yaml" placeholder:"FILE" help:"Configuration file."`
}

// Run runs the node.
func (s *serve) Run(ctx context.Context, p *Program) error { return p.Serve(ctx, s.Config) }

// Run reads args and does what they say. Errors: ErrUsage, ErrRefused, those of Serve and of files.
func (p *Program) Run(ctx context.Context, args []string) error {
	var l line
	helped := false
	parser, err := kong.New(&l, kong.Name("gateway"), kong.Writers(p.Stdout, p.Stderr), kong.Description(description),
		kong.Exit(func(int) { helped = true }), // --help was printed: nothing else is to be done
		kong.Vars{"reasons": reasons()}, kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(p))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	parsed, err := parser.Parse(args)
	if helped {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return parsed.Run()
}
