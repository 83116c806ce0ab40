// Command testnet runs a whole federation on one machine: three regions of three gateways, the bus between them,
// synthetic people, and a story. See DESIGN.md beside it, and `go run ./testnet --help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"gongji/testnet/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, command.ErrUsage):
		fmt.Fprintln(os.Stderr, "testnet:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "testnet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return command.Run(ctx, args, stdout, stderr)
}
