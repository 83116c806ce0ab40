package node

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// reloadEvery is how often at most files are looked at for a change.
const reloadEvery = time.Second

// reloaded is what is made of files, made anew when one of them has changed. What cannot be made leaves the old one in
// force, and is logged once for each change. Safe for concurrent use.
type reloaded[T any] struct {
	paths []string
	load  func() (T, error)
	clock func() time.Time
	log   *slog.Logger

	mu     sync.Mutex
	value  T
	stamps []fileStamp
	looked time.Time
}

type fileStamp struct {
	at   time.Time
	size int64
}

// newReloaded makes the first value, and fails if it cannot.
func newReloaded[T any](
	clock func() time.Time, log *slog.Logger, load func() (T, error), paths ...string,
) (*reloaded[T], error) {
	r := &reloaded[T]{paths: paths, load: load, clock: clock, log: log}
	r.stamps = r.stamp()
	var err error
	r.value, err = load()
	return r, err
}

func (r *reloaded[T]) stamp() []fileStamp {
	out := make([]fileStamp, len(r.paths))
	for i, p := range r.paths {
		if info, err := os.Stat(p); err == nil {
			out[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return out
}

// get is the present value.
func (r *reloaded[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock()
	if passed := now.Sub(r.looked); passed >= 0 && passed < reloadEvery {
		return r.value
	}
	r.looked = now
	stamps := r.stamp()
	changed := false
	for i := range stamps {
		changed = changed || stamps[i] != r.stamps[i]
	}
	if !changed {
		return r.value
	}
	r.stamps = stamps
	value, err := r.load()
	if err != nil {
		r.log.Error("changed files cannot be used; what was read before stays in force",
			slog.Any("files", r.paths), slog.String("error", err.Error()))
		return r.value
	}
	r.value = value
	r.log.Info("changed files were read", slog.Any("files", r.paths))
	return value
}

// serverTLS is TLS 1.3 with a certificate and, with a CA, a client's certificate. Files that change are read again with
// the next connection.
func (n *Node) serverTLS(certFile, keyFile, clientCAFile string) (*tls.Config, error) {
	paths := []string{certFile, keyFile}
	if clientCAFile != "" {
		paths = append(paths, clientCAFile)
	}
	config, err := newReloaded(n.deps.Clock, n.deps.Logger, func() (*tls.Config, error) {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("node: api tls: %w", err)
		}
		c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}
		if clientCAFile == "" {
			return c, nil
		}
		if c.ClientCAs, err = pool(clientCAFile); err != nil {
			return nil, err
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
		// A ticket would let a client in whose certificate the present authorities may no longer vouch for.
		c.SessionTicketsDisabled = true
		return c, nil
	}, paths...)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return config.get(), nil },
	}, nil
}
