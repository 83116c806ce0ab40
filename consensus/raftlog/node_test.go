package raftlog_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"gongji/consensus"
	"gongji/consensus/consensustest"
	"gongji/consensus/raftlog"
)

// TestValidate: each wrong field is named, and a good config passes.
func TestValidate(t *testing.T) {
	good := raftlog.Config{
		NodeID: "a", Dir: "d", StateMachine: &consensustest.Machine{}, Bootstrap: true,
		Peers: []raftlog.Peer{{ID: "a", Addr: "h:1"}, {ID: "b", Addr: "h:2"}},
	}
	if err := good.Validate(); err != nil {
		t.Errorf("a good one: %v", err)
	}
	for want, spoil := range map[string]func(c *raftlog.Config){
		"node id is empty":         func(c *raftlog.Config) { c.NodeID = "" },
		"dir is empty":             func(c *raftlog.Config) { c.Dir = "" },
		"state machine is missing": func(c *raftlog.Config) { c.StateMachine = nil },
		"no address to advertise":  func(c *raftlog.Config) { c.NodeID = "c" },
		"named twice":              func(c *raftlog.Config) { c.Peers[1].ID = "a" },
		"not complete":             func(c *raftlog.Config) { c.Peers[1].Addr = "" },
		"TLS configs is missing":   func(c *raftlog.Config) { c.TLSServer = newCertificates(t).server },
		"linger":                   func(c *raftlog.Config) { c.Tuning.Linger = time.Second },
		"segment size":             func(c *raftlog.Config) { c.Tuning.SegmentSize = 1 },
		"entries in flight":        func(c *raftlog.Config) { c.Tuning.EntriesInFlight = -1 },
		"leader lease":             func(c *raftlog.Config) { c.Tuning.LeaderLease = time.Hour },
		"does not ask members": func(c *raftlog.Config) {
			certs := newCertificates(t)
			c.TLSServer, c.TLSClient = certs.client, certs.client
		},
	} {
		c := good
		c.Peers = append([]raftlog.Peer(nil), good.Peers...)
		spoil(&c)
		err := c.Validate()
		if !errors.Is(err, raftlog.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if _, err := raftlog.New(c); err == nil {
			t.Errorf("%s: New takes it", want)
		}
	}
}

// TestMembers takes a fourth node in, removes the first, and the leader too.
func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGroup(t, 4)
		g.tune = func(t *raftlog.Tuning) { t.Heartbeat = time.Second }
		g.with = func(node int, c *raftlog.Config) {
			if node == 3 { // not one of those who form the group
				c.Bootstrap = false
				return
			}
			c.Peers = c.Peers[:3]
		}
		r := consensustest.Start(t, g.cluster())
		leader := r.Leader()
		for i := range 20 {
			r.Do(leader, fmt.Sprintf("set k%d v", i))
		}
		if l, _ := r.Log(3).Leadership(); l.LeaderID != "" {
			t.Errorf("a stranger knows the leader: %v", l)
		}
		follower := nodeOf(t, r, (leader+1)%3)
		peer := raftlog.Peer{ID: g.id(3), Addr: g.addrs[3]}
		if err := follower.AddNode(t.Context(), peer); !errors.Is(err, consensus.ErrNoLeader) {
			t.Errorf("on a follower: %v", err)
		}
		if err := nodeOf(t, r, leader).AddNode(t.Context(), peer); err != nil {
			t.Fatal(err)
		}
		if err := nodeOf(t, r, leader).AddNode(t.Context(), peer); err != nil {
			t.Errorf("again: %v", err)
		}
		r.Same()
		if got := r.Get(3, "k19"); got != "v" {
			t.Errorf("the new member has %q", got)
		}
		gone := (leader + 1) % 3
		if err := nodeOf(t, r, leader).RemoveNode(t.Context(), g.id(gone)); err != nil {
			t.Fatal(err)
		}
		if err := nodeOf(t, r, leader).RemoveNode(t.Context(), "nobody"); err == nil {
			t.Error("removed nobody")
		}
		if err := r.Stop(gone); err != nil {
			t.Fatal(err)
		}
		if err := nodeOf(t, r, leader).RemoveNode(t.Context(), g.id(leader)); !errors.Is(err, consensus.ErrNoLeader) {
			t.Errorf("the leader removes itself: %v", err)
		}
		r.Until("another leads", func() bool { return r.Leader() != leader })
		next := r.Leader()
		if err := nodeOf(t, r, next).RemoveNode(t.Context(), g.id(leader)); err != nil {
			t.Fatal(err)
		}
		if err := r.Stop(leader); err != nil {
			t.Fatal(err)
		}
		r.Do(next, "set after removal")
		if peers := r.Log(next).Status().Peers; len(peers) != 2 {
			t.Errorf("members %v", peers)
		}
	})
}

// TestTwoRegions: nodes of two groups live in one process, share a cache and a registry.
func TestTwoRegions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := pebble.NewCache(2 << 20)
		defer cache.Unref()
		registry := prometheus.NewRegistry()
		var regions []*consensustest.Running
		for _, region := range []string{"310000", "110000"} {
			g := newMemGroup(t, 3)
			g.with = func(node int, c *raftlog.Config) {
				c.Cache = cache
				c.Registerer = prometheus.WrapRegistererWith(
					prometheus.Labels{"region": region, "node": g.id(node)}, registry)
			}
			r := consensustest.Start(t, g.cluster())
			r.Leader()
			r.Do(0, "set region "+region)
			regions = append(regions, r)
		}
		if a, b := regions[0].Get(1, "region"), regions[1].Get(1, "region"); a != "310000" || b != "110000" {
			t.Errorf("regions read %s and %s", a, b)
		}
		// A node that is started again in this process takes its metrics over.
		if err := regions[0].Stop(0); err != nil {
			t.Fatal(err)
		}
		regions[0].Run(0)
		regions[0].Same()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]int)
		for _, f := range families {
			seen[f.GetName()] = len(f.GetMetric())
		}
		for _, name := range []string{
			"consensus_commands_total", "consensus_commands_per_entry", "consensus_apply_seconds",
			"consensus_log_write_seconds", "consensus_clock_offset_seconds", "consensus_snapshots_installed_total",
		} {
			if seen[name] != 6 {
				t.Errorf("%s has %d series, want one for each node", name, seen[name])
			}
		}
		for _, r := range regions {
			r.StopAll()
		}
	})
}

// copyTree copies a folder between file systems.
func copyTree(t *testing.T, from, to vfs.FS, dir string) {
	t.Helper()
	if err := to.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	names, err := from.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := from.PathJoin(dir, name)
		info, err := from.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			copyTree(t, from, to, path)
			continue
		}
		in, err := from.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := to.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(in.Close(), out.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStateAhead: a state that is ahead of its log, and a log that lost its beginning, are
// refused with what to do.
func TestStateAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGroup(t, 1)
		g.tune = func(t *raftlog.Tuning) { t.TrailingLogs, t.SegmentSize = 1, 64<<10 }
		r := consensustest.Start(t, g.cluster())
		r.Leader()
		r.Do(0, "add n 1")
		if err := r.Stop(0); err != nil {
			t.Fatal(err)
		}
		old := consensustest.NewCrashFS()
		copyTree(t, g.disks[0], old, "node1/wal")
		r.Run(0)
		r.Leader()
		for i := range 20 {
			r.Do(0, fmt.Sprintf("set k %d%s", i, strings.Repeat("x", 10_000)))
		}
		if err := nodeOf(t, r, 0).Snapshot(); err != nil {
			t.Fatal(err)
		}
		r.Do(0, "add n 1")
		if err := r.Stop(0); err != nil {
			t.Fatal(err)
		}
		whole := g.disks[0]
		// The state of today over the log of yesterday.
		ahead := consensustest.NewCrashFS()
		copyTree(t, old, ahead, "node1/wal")
		copyTree(t, whole, ahead, "node1/state/live")
		g.setDisk(0, ahead)
		r.Run(0)
		if err := r.Ended(0); !errors.Is(err, raftlog.ErrStateAhead) {
			t.Errorf("state ahead of the log: %v", err)
		}
		// The log of today, without a state and without a snapshot.
		behind := consensustest.NewCrashFS()
		copyTree(t, whole, behind, "node1/wal")
		g.setDisk(0, behind)
		r.Run(0)
		if err := r.Ended(0); !errors.Is(err, raftlog.ErrStateBehind) {
			t.Errorf("log without its beginning: %v", err)
		}
		// The log of today with its snapshots, without the live state: restored.
		restored := consensustest.NewCrashFS()
		copyTree(t, whole, restored, "node1/wal")
		copyTree(t, whole, restored, "node1/state/checkpoints")
		g.setDisk(0, restored)
		r.Run(0)
		r.Leader()
		if got := r.Get(0, "n"); got != "2" {
			t.Errorf("restored n is %s", got)
		}
	})
}

// TestTornSnapshot: a newest snapshot with a file missing is not used in silence.
func TestTornSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGroup(t, 1)
		r := consensustest.Start(t, g.cluster())
		r.Leader()
		r.Do(0, "add n 1")
		if err := nodeOf(t, r, 0).Snapshot(); err != nil {
			t.Fatal(err)
		}
		if err := r.Stop(0); err != nil {
			t.Fatal(err)
		}
		fs := g.disks[0]
		names, err := fs.List("node1/state/checkpoints")
		if err != nil || len(names) != 1 {
			t.Fatalf("snapshots %v, %v", names, err)
		}
		db := fs.PathJoin("node1/state/checkpoints", names[0], "db")
		files, err := fs.List(db)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, ".sst") {
				if err := fs.Remove(fs.PathJoin(db, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := fs.RemoveAll("node1/state/live"); err != nil {
			t.Fatal(err)
		}
		r.Run(0)
		if err := r.Ended(0); !errors.Is(err, raftlog.ErrSnapshot) {
			t.Errorf("torn snapshot: %v", err)
		}
	})
}

// TestSnapshotInReplay: no snapshot is taken of a state that is ahead of what raft counts.
func TestSnapshotInReplay(t *testing.T) {
	err := raftlog.SnapshotInReplay(vfs.NewMem(), &consensustest.Machine{})
	if err == nil || !strings.Contains(err.Error(), "replayed") {
		t.Errorf("snapshot during a replay: %v", err)
	}
}

// TestFolderInUse: one folder has one node.
func TestFolderInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGroup(t, 1)
		r := consensustest.Start(t, g.cluster())
		r.Leader()
		second, err := raftlog.New(g.config(0))
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a second node on the folder: %v", err)
		}
		if err := second.Run(t.Context()); !errors.Is(err, consensus.ErrStopped) {
			t.Errorf("run twice: %v", err)
		}
	})
}
