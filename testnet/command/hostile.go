package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"gongji/testnet/chaos"
	"gongji/testnet/hostile"
	"gongji/testnet/topology"
)

// floodMax bounds a flood: more than a broker on one machine takes measures the broker.
const floodMax = 10_000

// hostile has the fourth member attack, and writes the report also when something failed.
func (c *chaosRun) hostile(ctx context.Context, s streams) error {
	unknown := slices.ContainsFunc(c.Kinds, func(k string) bool { return !slices.Contains(hostile.FloodKinds(), k) })
	if c.Flood < 1 || c.Flood > floodMax || c.Clients < 1 || unknown {
		return fmt.Errorf("%w: --flood takes 1 to %d, --clients 1 or more, --kinds some of %s", ErrUsage, floodMax,
			strings.Join(hostile.FloodKinds(), ", "))
	}
	session, err := topology.ReadSession(c.Data)
	if err != nil {
		return err
	}
	for _, r := range session.Regions {
		for _, n := range r.Nodes {
			if n.PID == 0 {
				return chaos.ErrProcesses
			}
		}
	}
	o, done, err := loadOptions(c.Data, s)
	if err != nil {
		return err
	}
	defer done()
	o.Clients = c.Clients
	report, failed := chaos.Hostile(ctx, chaos.HostileOptions{
		Data: c.Data, Duration: c.Duration, Flood: c.Flood, Kinds: c.Kinds, Load: o, Session: session, Progress: s.err,
		Start: func() (hostile.Attacker, func() (time.Duration, error), error) { return c.start(ctx, s) },
	})
	if len(report.Attacks) > 0 {
		failed = errors.Join(failed, report.Print(s.out))
	}
	if c.Report != "" && len(report.Attacks) > 0 {
		failed = errors.Join(failed, writeReport(c.Report, report))
	}
	return failed
}

// start starts the fourth member as a process of its own.
func (c *chaosRun) start(ctx context.Context, s streams) (hostile.Attacker, func() (time.Duration, error), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, self, "fourth", "--data", c.Data) //nolint:gosec // this program
	cmd.Stderr = s.err
	p, err := hostile.Start(cmd)
	if err != nil {
		return nil, nil, err
	}
	_, err = fmt.Fprintf(s.err, "The fourth member is process %d.\n", p.PID())
	return p, p.Close, err
}

// fourth is the fourth member's process.
type fourth struct{ where }

// Run does what standard input says, until it ends.
func (f *fourth) Run(ctx context.Context, s streams) error {
	session, err := topology.ReadSession(f.Data)
	if err != nil {
		return err
	}
	return hostile.Serve(ctx, f.Data, session.Kafka, os.Stdin, s.out)
}
