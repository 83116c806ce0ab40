// Command gateway runs one node of one region's gateway: `go run ./gateway --config FILE`; `go run ./gateway rules`
// checks, compares and explains a region's rules. docs/gateway.example.yaml shows every field of the configuration;
// docs/operations.md says how to run a cluster.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"gongji/gateway/command"
	"gongji/gateway/config"
	"gongji/gateway/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	program := command.Program{
		Stdout: os.Stdout, Stderr: os.Stderr,
		Serve: func(ctx context.Context, path string) error { return serve(ctx, path, os.Stdout) },
		Ask:   command.AskTerminal, Secret: command.AskSecret, Backup: node.Backup, Restore: node.Restore,
	}
	err := program.Run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(command.Status(err))
	}
}

func serve(ctx context.Context, path string, stdout io.Writer) error {
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	if !c.CoreDumps {
		if err = command.NoCoreDumps(); err != nil {
			return err
		}
	}
	debug.SetGCPercent(c.Tuning.GCPercent)
	if c.Tuning.MemoryLimit > 0 {
		debug.SetMemoryLimit(int64(c.Tuning.MemoryLimit))
	}
	var level slog.Level
	err = level.UnmarshalText([]byte(c.Log.Level))
	if err != nil {
		return err
	}
	n, err := node.New(c, node.Deps{Logger: slog.New(slog.NewJSONHandler(stdout, &slog.HandlerOptions{Level: level}))})
	if err != nil {
		return err
	}
	return n.Run(ctx)
}
