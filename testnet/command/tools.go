package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"gongji/testnet/books"
	"gongji/testnet/chaos"
	"gongji/testnet/load"
	"gongji/testnet/probe"
	"gongji/testnet/runner"
	"gongji/testnet/topology"
)

// where names the federation that a tool asks.
type where struct {
	Data string `help:"Data folder of the running federation." type:"path" default:".testnet" placeholder:"DIR"`
}

// node runs one node in this process.
type node struct {
	Config string `help:"Its configuration." type:"path" required:"" placeholder:"FILE"`
}

// Run serves until ctx ends or standard input does.
func (n *node) Run(ctx context.Context, s streams) error { return runner.RunNode(ctx, n.Config, s.err) }

// checkBook is the check.
type checkBook struct{ where }

// Run prints a line for each invariant.
func (c *checkBook) Run(ctx context.Context, s streams) error {
	session, err := topology.ReadSession(c.Data)
	if err != nil {
		return err
	}
	report, err := checkSession(ctx, session)
	if err != nil {
		return err
	}
	if err := report.Print(s.out); err != nil {
		return err
	}
	if !report.OK() {
		return ErrBooks
	}
	return nil
}

// showBooks prints the core systems' accounts.
type showBooks struct{ where }

// Run writes one JSON document.
func (b *showBooks) Run(ctx context.Context, s streams) error {
	session, err := topology.ReadSession(b.Data)
	if err != nil {
		return err
	}
	all, err := books.Read(ctx, session)
	if err != nil {
		return err
	}
	return all.Write(s.out)
}

// loadRun drives payments.
type loadRun struct {
	where
	Rate     string        `help:"Payments a second by the clock, or max." default:"max" placeholder:"N|max"`
	Duration time.Duration `help:"Of the measured window." default:"30s"`
	Clients  int           `help:"That keep busy, with --rate max." default:"512" placeholder:"N"`
	Sweep    bool          `default:"true" help:"After --rate max: 1 to 512 clients, 100/s, a hot account." negatable:""`
	Report   string        `help:"Write the report (JSON) to this file." type:"path" placeholder:"FILE"`
}

// Run drives, and writes the report also when something failed.
func (l *loadRun) Run(ctx context.Context, s streams) error {
	rate, err := l.rate()
	if err != nil {
		return err
	}
	o, done, err := loadOptions(l.Data, s)
	if err != nil {
		return err
	}
	defer done()
	o.Rate, o.Clients, o.Duration, o.Sweep = rate, l.Clients, l.Duration, l.Sweep && rate == 0
	report, failed := load.Run(ctx, o)
	if l.Report != "" && report.Seconds > 0 {
		failed = errors.Join(failed, writeReport(l.Report, report))
	}
	return failed
}

func (l *loadRun) rate() (int, error) {
	if l.Rate == "max" {
		return 0, nil
	}
	n, err := strconv.Atoi(l.Rate)
	if err != nil || n < 1 || n > 100_000 {
		return 0, fmt.Errorf("%w: --rate takes 1 to 100000, or max", ErrUsage)
	}
	return n, nil
}

// loadOptions is a load against the federation in dir; done lets go of its connections.
func loadOptions(dir string, s streams) (load.Options, func(), error) {
	session, err := topology.ReadSession(dir)
	if err != nil {
		return load.Options{}, nil, err
	}
	pairs, err := topology.ReadLoadPairs(dir)
	if err != nil {
		return load.Options{}, nil, err
	}
	var nodes []probe.Node
	for _, r := range session.Regions {
		for _, n := range r.Nodes {
			nodes = append(nodes, probe.Node{API: n.API, Admin: n.Admin, PID: n.PID})
		}
	}
	p, from := probe.New(nodes), source(session)
	apis := map[string]load.API{}
	for code, c := range clients(session) {
		apis[code] = c
	}
	return load.Options{
		Regions: apis, Pairs: pairs, Clients: load.ClientsStandard, Probe: p, Books: federation(session, from),
		Progress: s.err,
	}, func() { p.Close(); from.Close() }, nil
}

// chaosRun drives payments under faults, or under a hostile member.
type chaosRun struct {
	where
	Seed     uint64        `help:"Of the plan of faults; the same seed repeats it." default:"1"`
	Duration time.Duration `help:"Of the faults; with --hostile of all windows of the load." default:"60s"`
	Report   string        `help:"Write the report (JSON) to this file." type:"path" placeholder:"FILE"`
	Hostile  bool          `help:"Instead of faults: a fourth member, in a process of its own, attacks and floods."`
	Flood    int           `help:"Its records a second to each region." default:"100" placeholder:"N"`
	Clients  int           `help:"Of the others that keep busy, with --hostile." default:"128" placeholder:"N"`
	Kinds    []string      `help:"Of the flood; all: ${kinds}." placeholder:"KIND"`
}

// Run strikes, and writes the report also when something failed.
func (c *chaosRun) Run(ctx context.Context, s streams) error {
	if c.Hostile {
		return c.hostile(ctx, s)
	}
	o, done, err := loadOptions(c.Data, s)
	if err != nil {
		return err
	}
	defer done()
	report, failed := chaos.Run(ctx, chaos.Options{
		Seed: c.Seed, Duration: c.Duration, Load: o, Progress: s.err,
		Session: func() (topology.Session, error) { return topology.ReadSession(c.Data) },
	})
	if c.Report != "" && report.Faults != nil {
		failed = errors.Join(failed, writeReport(c.Report, report))
	}
	return failed
}
