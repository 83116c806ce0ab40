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

	"gongji/testnet/runner"
	"gongji/testnet/topology"
)

func options(dir string) runner.Options {
	return runner.Options{
		Dir: dir, Continue: true, Progress: &bytes.Buffer{}, Plan: topology.Plan{BasePort: 20500, LoadAccounts: 3},
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
	if err := runner.New(options(dir)).Run(t.Context()); !errors.Is(err, runner.ErrRunning) {
		t.Errorf("Run gave %v", err)
	}
}

func TestRefusesOtherSettings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	if err := topology.Make(dir, topology.Plan{BasePort: 20500, LoadAccounts: 3}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, other := range []topology.Plan{{BasePort: 20600, LoadAccounts: 3}, {Kafka: "127.0.0.1:9", LoadAccounts: 3}} {
		o := options(dir)
		o.Plan = other
		if err := runner.New(o).Run(t.Context()); !errors.Is(err, topology.ErrOther) {
			t.Errorf("%+v: Run gave %v", other, err)
		}
	}
}

func TestRefusesTakenPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:20500")
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
	o := options(filepath.Join(t.TempDir(), "net"))
	if err := runner.New(o).Run(ctx); !errors.Is(err, runner.ErrRunning) {
		t.Errorf("Run gave %v", err)
	}
}
