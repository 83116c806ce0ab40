package runner_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"gongji/internal/freeport"
	"gongji/testnet/runner"
	"gongji/testnet/topology"
)

func options(dir string, base int) runner.Options {
	return runner.Options{
		Dir: dir, Continue: true, Progress: &bytes.Buffer{}, Plan: topology.Plan{BasePort: base, LoadAccounts: 3},
	}
}

func TestRefusesWhatRuns(t *testing.T) {
	alive := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer alive.Close()
	dir := t.TempDir()
	session := topology.Session{Regions: []topology.SessionRegion{{
		Code: "110000", Nodes: []topology.SessionNode{{ID: "110000-1", API: alive.URL}},
	}}}
	if err := session.Write(topology.Layout{Dir: dir}.Session()); err != nil {
		t.Fatal(err)
	}
	if err := runner.New(options(dir, freeport.Base(t))).Run(t.Context()); !errors.Is(err, runner.ErrRunning) {
		t.Errorf("Run gave %v", err)
	}
}

func TestRefusesOtherSettings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	base := freeport.Base(t)
	if err := topology.Make(dir, topology.Plan{BasePort: base, LoadAccounts: 3}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, other := range []topology.Plan{{BasePort: base + 1, LoadAccounts: 3}, {Kafka: "127.0.0.1:9", LoadAccounts: 3}} {
		o := options(dir, base)
		o.Plan = other
		if err := runner.New(o).Run(t.Context()); !errors.Is(err, topology.ErrOther) {
			t.Errorf("%+v: Run gave %v", other, err)
		}
	}
}

func TestRefusesTakenPorts(t *testing.T) {
	base := freeport.Base(t)
	l, err := net.Listen("tcp", topology.Kafka(base))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	o := options(filepath.Join(t.TempDir(), "net"), base)
	if err := runner.New(o).Run(ctx); !errors.Is(err, runner.ErrRunning) {
		t.Errorf("Run gave %v", err)
	}
}
