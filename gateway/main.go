// Command gateway runs one node of one region's gateway: `go run ./gateway --config FILE`.
// docs/gateway.example.yaml shows every field of the file; docs/operations.md says how to run a cluster.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"gongji/gateway/config"
	"gongji/gateway/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", "gateway.yaml", "configuration `file`")
	err := flags.Parse(args)
	if err != nil {
		return err
	}
	c, err := config.Load(*path)
	if err != nil {
		return err
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
