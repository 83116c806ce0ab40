// Package command is the testnet's command line: it reads the flags and hands the work to the packages beside it.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"gongji/testnet/hostile"
)

// Errors of a command.
var (
	// ErrUsage: the command line cannot be understood.
	ErrUsage = errors.New("usage")
	// ErrBooks: an invariant does not hold; what was printed says which.
	ErrBooks = errors.New("the books do not agree")
)

// dataStandard is where a federation stands if nobody names a folder.
const dataStandard = ".testnet"

const description = "A whole federation of gateways on one machine. Without a command: testnet [--once] [--quiet] " +
	"[--base-port N] [--data DIR] [--kafka ADDR] [--processes] [--report FILE]; see testnet up --help."

// line is the command line.
type line struct {
	Up    up        `cmd:"" default:"withargs" help:"Start a federation, play the story, and stay up (the default)."`
	Check checkBook `cmd:"" help:"Hold the books of a running federation against the money invariants I-1 to I-7."`
	Books showBooks `cmd:"" help:"Print what the core systems themselves say of the accounts, as JSON."`
	Load  loadRun   `cmd:"" help:"Drive two-phase payments between the regions, and report."`
	Chaos chaosRun  `cmd:"" help:"Drive payments under kills, or beside a hostile member; needs --processes."`
	Node  node      `cmd:"" hidden:"" help:"Run one node in this process."`

	Fourth fourth `cmd:"" hidden:"" help:"Be the fourth member of chaos --hostile, told by standard input."`
}

// streams are where a command writes.
type streams struct {
	out, err io.Writer
}

// Run reads args and does what they say, until it is done or ctx ends. Errors: ErrUsage, ErrBooks, those of the
// packages that do the work.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var l line
	helped := false
	parser, err := kong.New(&l, kong.Name("testnet"), kong.Writers(stdout, stderr),
		kong.Description(description),
		kong.Vars{"kinds": strings.Join(hostile.FloodKinds(), ", ")},
		kong.Exit(func(int) { helped = true }), // --help was printed: nothing else is to be done
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(streams{stdout, stderr}))
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
