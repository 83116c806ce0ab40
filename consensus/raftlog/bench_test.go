package raftlog_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"gongji/consensus"
	"gongji/consensus/consensustest"
	"gongji/consensus/raftlog"
)

// echo applies a command by one write, as cheaply as can be.
type echo struct{}

func (echo) Apply(txn consensus.Txn, c consensus.Command) ([]byte, error) {
	txn.Set(c.Data[:16], c.Data)
	return c.Data[:16], nil
}
func (echo) Applied(uint64)               {}
func (echo) Reset(consensus.Reader) error { return nil }

// BenchmarkPropose: three nodes, files with fsync, TLS, commands of 256 bytes, proposed on
// the leader by so many at once.
func BenchmarkPropose(b *testing.B) {
	for _, proposers := range []int{1, 16, 128, 512} {
		b.Run(fmt.Sprintf("proposers=%d", proposers), func(b *testing.B) { benchPropose(b, proposers, nil, false) })
	}
}

// BenchmarkForward: the same through a follower.
func BenchmarkForward(b *testing.B) {
	for _, proposers := range []int{1, 128} {
		b.Run(fmt.Sprintf("proposers=%d", proposers), func(b *testing.B) { benchPropose(b, proposers, nil, true) })
	}
}

// BenchmarkKnobs: what the knobs that were chosen on purpose are worth, at 128 proposers.
func BenchmarkKnobs(b *testing.B) {
	for _, knob := range []struct {
		name string
		set  func(*raftlog.Tuning)
	}{
		{"default", func(*raftlog.Tuning) {}},
		{"rpcs=2", func(t *raftlog.Tuning) { t.MaxRPCsInFlight = 2 }},
		{"entries=1", func(t *raftlog.Tuning) { t.EntriesInFlight = 1 }},
		{"entries=16", func(t *raftlog.Tuning) { t.EntriesInFlight = 16 }},
		{"linger=off", func(t *raftlog.Tuning) { t.Linger = -1 }},
		{"cache=1", func(t *raftlog.Tuning) { t.LogCache = 1 }},
	} {
		b.Run(knob.name, func(b *testing.B) { benchPropose(b, 128, knob.set, false) })
	}
}

func benchPropose(b *testing.B, proposers int, tune func(*raftlog.Tuning), forward bool) {
	b.Helper()
	g := newDiskGroup(b, 3)
	g.machine = func(int) consensus.StateMachine { return echo{} }
	g.tune = func(t *raftlog.Tuning) {
		*t = raftlog.Tuning{Heartbeat: 2 * time.Second, SegmentSize: 8 << 20}
		if tune != nil {
			tune(t)
		}
	}
	r := consensustest.Start(b, g.cluster())
	at := r.Leader()
	if forward {
		at = (at + 1) % 3
	}
	log := r.Log(at)
	r.Until("it knows the leader", func() bool {
		l, _ := log.Leadership()
		return l.LeaderID != ""
	})
	before := r.Log(r.Leader()).Status()
	drive(b, proposers, func(n int64) error {
		command := fmt.Appendf(make([]byte, 0, 256), "%016d", n)
		_, err := log.Propose(context.Background(), command[:256])
		return err
	})
	after := r.Log(r.Leader()).Status()
	b.ReportMetric(float64(after.Commands-before.Commands)/float64(max(after.Entries-before.Entries, 1)), "cmds/entry")
	r.StopAll()
}

// drive calls fn b.N times from so many goroutines and reports rate and percentiles.
func drive(b *testing.B, proposers int, fn func(n int64) error) {
	b.Helper()
	var (
		next  atomic.Int64
		wg    sync.WaitGroup
		mu    sync.Mutex
		times []time.Duration
	)
	cpu := cpuTime(b)
	b.ResetTimer()
	for range proposers {
		wg.Go(func() {
			var mine []time.Duration
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				start := time.Now()
				if err := fn(n); err != nil {
					b.Error(err)
					return
				}
				mine = append(mine, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			times = append(times, mine...)
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(times)
	if len(times) > 0 {
		b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cmds/s")
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-us/cmd")
}

// cpuTime is what this process has used: all three nodes and the proposers.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStore compares raft on our log store with raft on a store in memory, without
// anything else of ours: three nodes over TCP, one entry for each command.
func BenchmarkStore(b *testing.B) {
	for _, proposers := range []int{1, 16, 128, 512} {
		for _, store := range []string{"wal", "memory"} {
			b.Run(fmt.Sprintf("proposers=%d/store=%s", proposers, store), func(b *testing.B) {
				leader := bareGroup(b, store)
				command := make([]byte, 256)
				drive(b, proposers, func(int64) error { return leader.Apply(command, time.Minute).Error() })
			})
		}
	}
}

// bareGroup is three plain rafts; it returns the leader.
func bareGroup(b *testing.B, store string) *raft.Raft {
	b.Helper()
	var members raft.Configuration
	var nodes []*raft.Raft
	var transports []*raft.NetworkTransport
	for i := range 3 {
		t, err := raft.NewTCPTransportWithConfig("127.0.0.1:0", nil, &raft.NetworkTransportConfig{
			MaxPool: 3, MaxRPCsInFlight: 64, Timeout: 10 * time.Second, Logger: hclog.NewNullLogger(),
		})
		if err != nil {
			b.Fatal(err)
		}
		transports = append(transports, t)
		members.Servers = append(members.Servers, raft.Server{
			ID: raft.ServerID(fmt.Sprint(i)), Address: t.LocalAddr(),
		})
	}
	for i, t := range transports {
		cfg := raft.DefaultConfig()
		cfg.LocalID, cfg.Logger, cfg.BatchApplyCh = raft.ServerID(fmt.Sprint(i)), hclog.NewNullLogger(), true
		logs, stable, closeLog := bareStore(b, store)
		snaps := raft.NewInmemSnapshotStore()
		if err := raft.BootstrapCluster(cfg, logs, stable, snaps, t, members); err != nil {
			b.Fatal(err)
		}
		cached, err := raft.NewLogCache(512, logs)
		if err != nil {
			b.Fatal(err)
		}
		node, err := raft.NewRaft(cfg, &raft.MockFSM{}, cached, stable, snaps, t)
		if err != nil {
			b.Fatal(err)
		}
		nodes = append(nodes, node)
		b.Cleanup(func() {
			if err := node.Shutdown().Error(); err != nil {
				b.Error(err)
			}
			closeLog()
		})
	}
	for {
		for _, node := range nodes {
			if node.State() == raft.Leader {
				return node
			}
		}
		<-time.After(10 * time.Millisecond)
	}
}

func bareStore(b *testing.B, store string) (raft.LogStore, raft.StableStore, func()) {
	b.Helper()
	if store == "memory" {
		s := raft.NewInmemStore()
		return s, s, func() {}
	}
	s, closeLog, err := raftlog.OpenLogForTest(b.TempDir(), 8<<20)
	if err != nil {
		b.Fatal(err)
	}
	return s, s, closeLog
}
