package runner

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"gongji/gateway/config"
	"gongji/gateway/node"
	"gongji/testnet/topology"
)

// Memory of a process that holds all nodes: few collections, and a soft limit well below what the testnet
// promises to stay under.
const (
	gcPercent   = 400
	memoryLimit = 900 << 20
)

// runHere runs the node in this process, with a log file of its own.
func (f *Federation) runHere(ctx context.Context, n topology.Node) error {
	layout := topology.Layout{Dir: f.o.Dir}
	log, err := openLog(layout.Log(n.ID))
	if err != nil {
		return err
	}
	return errors.Join(runNode(ctx, layout.Config(n.ID), log), log.Close())
}

// shareMemory sets this process up for all nodes at once; the function undoes it.
func (f *Federation) shareMemory() func() {
	if f.o.Processes {
		return func() {}
	}
	oldPercent, oldLimit := debug.SetGCPercent(gcPercent), debug.SetMemoryLimit(memoryLimit)
	return func() {
		debug.SetGCPercent(oldPercent)
		debug.SetMemoryLimit(oldLimit)
	}
}

// RunNode runs one node in a process of its own, until ctx ends or standard input does: a testnet
// that was killed leaves no nodes behind.
func RunNode(ctx context.Context, path string, log io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // ends with the process: a read of standard input cannot be broken off
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	debug.SetGCPercent(c.Tuning.GCPercent)
	return runNode(ctx, path, log)
}

func runNode(ctx context.Context, path string, log io.Writer) error {
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	var level slog.Level
	err = level.UnmarshalText([]byte(c.Log.Level))
	if err != nil {
		return err
	}
	n, err := node.New(c, node.Deps{Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: level}))})
	if err != nil {
		return err
	}
	return n.Run(ctx)
}
