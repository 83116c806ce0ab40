package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"gongji/testnet/topology"
)

// How a process that dies is started again.
const (
	restartPause = 2 * time.Second
	quickDeath   = 5 * time.Second // a process that lived shorter has hardly started
	quickMax     = 5               // so many quick deaths in a row end the federation
)

// supervise keeps a node's own process until ctx ends, and starts it again when it dies. Its output goes to the
// node's log file. A node that cannot even start ends the federation.
func (f *Federation) supervise(ctx context.Context, n topology.Node) error {
	for quick := 0; quick < quickMax; {
		began := time.Now()
		err := f.process(ctx, n)
		f.setPID(n.ID, 0)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		if time.Since(began) < quickDeath {
			quick++
		} else {
			quick = 0
		}
		err = f.say("Node %s ended (%v); it is started again.", n.ID, err)
		if err != nil {
			return err
		}
		if !pause(ctx, restartPause) {
			return nil
		}
	}
	return fmt.Errorf("runner: node %s does not stay up; see %s", n.ID, topology.Layout{Dir: f.o.Dir}.Log(n.ID))
}

// process runs the node once. The process ends when its standard input does, so that none is left
// behind by a testnet that was killed.
func (f *Federation) process(ctx context.Context, n topology.Node) error {
	layout := topology.Layout{Dir: f.o.Dir}
	log, err := openLog(layout.Log(n.ID))
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, f.o.Self, "node", "--config", layout.Config(n.ID)) //nolint:gosec // this program
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopWait
	life, err := cmd.StdinPipe()
	if err != nil {
		return errors.Join(err, log.Close())
	}
	err = cmd.Start()
	if err != nil {
		return errors.Join(err, life.Close(), log.Close())
	}
	f.setPID(n.ID, cmd.Process.Pid)
	err = f.tellRestart()
	return errors.Join(err, cmd.Wait(), log.Close())
}

func (f *Federation) setPID(node string, pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pids[node] = pid
}

// tellRestart renews session.json once there is one.
func (f *Federation) tellRestart() error {
	select {
	case <-f.ready:
		return f.writeSession()
	default:
		return nil
	}
}

func openLog(path string) (*os.File, error) {
	return os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
