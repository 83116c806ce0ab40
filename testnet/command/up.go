package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gongji/testnet/check"
	"gongji/testnet/runner"
	"gongji/testnet/story"
	"gongji/testnet/topology"
)

// up starts a federation.
type up struct {
	Once         bool   `help:"End after the story and the check of the books."`
	Quiet        bool   `help:"No story."`
	BasePort     int    `help:"First port (default 18000)." placeholder:"N"`
	Data         string `help:"Data folder that goes on (default: a new .testnet)." type:"path" placeholder:"DIR"`
	Kafka        string `help:"Use the Kafka broker at this address instead of the embedded one." placeholder:"ADDR"`
	Processes    bool   `help:"Each node its own process."`
	Report       string `help:"Write a report (JSON) to this file." type:"path" placeholder:"FILE"`
	LoadAccounts int    `help:"Payers' accounts that the load can use." default:"3000" placeholder:"N"`
}

// upReport is what --report gets.
type upReport struct {
	OK           bool              `json:"ok"`
	ReadySeconds float64           `json:"ready_seconds"`
	Story        *story.Told       `json:"story,omitempty"`
	Invariants   map[string]string `json:"invariants"`
	Error        string            `json:"error,omitempty"`
}

// Run starts, plays, checks, and stays up until ctx ends.
func (u *up) Run(ctx context.Context, s streams) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir := u.Data
	if dir == "" {
		dir = dataStandard
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	federation := runner.New(runner.Options{
		Dir: dir, Continue: u.Data != "", Processes: u.Processes, Progress: s.err, Self: self,
		Plan: topology.Plan{BasePort: u.BasePort, Kafka: u.Kafka, LoadAccounts: u.LoadAccounts},
	})
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- federation.Run(running) }() // its end is waited for below, on every way out
	select {
	case end := <-ended:
		return end
	case <-federation.Ready():
	}
	// The story ends when the federation does: nobody would answer.
	playing, cut := context.WithCancelCause(running)
	defer cut(nil)
	report := upReport{ReadySeconds: time.Since(began).Seconds()}
	told := make(chan error, 1)
	go func() { told <- u.play(playing, s, dir, &report) }()
	select {
	case err = <-told:
	case end := <-ended:
		cut(end)
		return errors.Join(end, <-told)
	}
	if err != nil || u.Once || ctx.Err() != nil {
		stop()
		return errors.Join(interrupted(ctx, err), <-ended)
	}
	return <-ended
}

// interrupted forgives what failed because the user ended it.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// play tells the story, checks the books, and says how to go on.
func (u *up) play(ctx context.Context, s streams, dir string, report *upReport) error {
	session, err := topology.ReadSession(dir)
	if err != nil {
		return err
	}
	failed := u.tell(ctx, s, session, dir, report)
	if failed != nil {
		report.Error = failed.Error()
	}
	report.OK = failed == nil
	if u.Report != "" && ctx.Err() == nil {
		failed = errors.Join(failed, writeReport(u.Report, report))
	}
	if failed != nil {
		return failed
	}
	_, err = fmt.Fprintf(s.out, "\nsession: %s\n", topology.Layout{Dir: dir}.Session())
	if err != nil || u.Once || u.Quiet {
		return err
	}
	return goOn(s.out, session)
}

func (u *up) tell(
	ctx context.Context, s streams, session topology.Session, dir string, report *upReport,
) error {
	if !u.Quiet {
		regions := story.Regions{}
		for code, c := range clients(session) {
			regions[code] = c
		}
		told, err := story.Tell(ctx, regions, s.out, time.Now())
		report.Story = &told
		if err != nil {
			return err
		}
		if err := prove(ctx, s.out, session, dir, &told); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(s.out, "\n── The books of all three regions 对账"); err != nil {
			return err
		}
	}
	checked, err := checkSession(ctx, session)
	if err != nil {
		return err
	}
	report.Invariants = checked.Map()
	if !u.Quiet || !checked.OK() {
		if err := checked.Print(s.out); err != nil {
			return err
		}
	}
	if !checked.OK() {
		return ErrBooks
	}
	return nil
}

// checkSession checks a running federation.
func checkSession(ctx context.Context, session topology.Session) (*check.Report, error) {
	source := source(session)
	defer source.Close()
	return check.Wait(ctx, federation(session, source))
}

func writeReport(path string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, append(raw, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
