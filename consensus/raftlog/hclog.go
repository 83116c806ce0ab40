package raftlog

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// hclogAdapter carries the words of hashicorp's libraries to slog. Their errors become
// warnings: to them a peer that is down is an error, to us it is a day like any other;
// what is an error for the node comes out of Run.
type hclogAdapter struct{ logger *slog.Logger }

var _ hclog.SinkAdapter = (*hclogAdapter)(nil)

// named returns an hclog.Logger that ends here.
func (a *hclogAdapter) named(name string) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: name, Level: hclog.Off, Output: io.Discard})
	l.RegisterSink(a)
	return l
}

// Accept takes one line.
func (a *hclogAdapter) Accept(name string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	if level >= hclog.Warn {
		to = slog.LevelWarn
	}
	if !a.logger.Enabled(context.Background(), to) {
		return
	}
	attrs := []slog.Attr{slog.String("part", name), slog.String("event", msg)}
	for i := 0; i+1 < len(args); i += 2 {
		attrs = append(attrs, slog.String(snake(fmt.Sprint(args[i])), text(args[i+1])))
	}
	a.logger.LogAttrs(context.Background(), to, "raft library", attrs...)
}

// text renders hclog's values, some of which are a format with arguments.
func text(v any) string {
	if f, ok := v.(hclog.Format); ok && len(f) > 0 {
		return fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
	}
	return fmt.Sprint(v)
}

func snake(key string) string {
	b := []byte(key)
	for i, c := range b {
		if c == '-' || c == ' ' {
			b[i] = '_'
		}
	}
	return string(b)
}
