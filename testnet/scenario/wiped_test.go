//go:build integration && unix

package scenario_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"gongji/gateway/config"
	"gongji/internal/freeport"
	"gongji/testnet/topology"
)

// Sizes that make a log short: what a node has missed is soon gone from it. The log forgets whole files.
const (
	snapshotEntries = 128
	trailingEntries = 32
	segmentBytes    = 4 << 20
)

// shortLogs makes a federation in dir whose nodes cut their logs early.
func shortLogs(t *testing.T, dir string) {
	t.Helper()
	plan := topology.Plan{BasePort: freeport.Base(t), LoadAccounts: loadPairs}
	if err := topology.Make(dir, plan, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, n := range plan.Nodes() {
		path := topology.Layout{Dir: dir}.Config(n.ID)
		c, err := config.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		c.Tuning.SnapshotEntries, c.Tuning.TrailingEntries = snapshotEntries, trailingEntries
		c.Tuning.SegmentBytes = segmentBytes
		raw, err := c.Encode()
		if err == nil {
			err = os.WriteFile(path, raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// cutLeader waits until the leader of some region has deleted the first file of its log, so that nobody can get the
// oldest entries from it, and returns it with a follower of the same region.
func (f *fed) cutLeader(t *testing.T) (topology.SessionNode, topology.SessionNode) {
	t.Helper()
	var leader, follower topology.SessionNode
	until(t, "a leader has deleted the beginning of its log", func(ctx context.Context) bool {
		for _, r := range f.session.Regions {
			for i, n := range r.Nodes {
				m, err := metrics(ctx, n)
				if err != nil || m["consensus_leader"] != 1 || m["consensus_snapshot_cut_seconds_count"] == 0 {
					continue
				}
				wal := filepath.Join(topology.Layout{Dir: f.dir}.Node(n.ID), "data", "wal")
				begin, err := filepath.Glob(filepath.Join(wal, firstSegment))
				all, failed := filepath.Glob(filepath.Join(wal, "*.wal"))
				if err == nil && failed == nil && len(begin) == 0 && len(all) > 0 {
					leader, follower = n, r.Nodes[(i+1)%len(r.Nodes)]
					return true
				}
			}
		}
		return false
	})
	return leader, follower
}

// firstSegment is the file of the log that begins with entry 1.
const firstSegment = "00000000000000000001-*.wal"

// digest is what a node has applied, and the digest of its state there.
func digest(ctx context.Context, n topology.SessionNode) (uint64, string, error) {
	var d struct {
		Applied uint64            `json:"applied"`
		Digests map[string]string `json:"digests"`
	}
	err := readJSON(ctx, n.Admin+"/admin/v1/digest", &d)
	return d.Applied, d.Digests[strconv.FormatUint(d.Applied, 10)], err
}

// TestNodeWipedUnderLoad: a node loses its disk while the others go on and forget what it would need of their logs. It
// comes back by a snapshot of another node, and ends with the same state.
func TestNodeWipedUnderLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	shortLogs(t, dir)
	r := up(t, dir, "--processes")
	d, stop := drove(t, r.fed, r.pairs)
	leader, victim := r.cutLeader(t)

	if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	gone(t, victim.PID)
	if err := os.RemoveAll(filepath.Join(topology.Layout{Dir: dir}.Node(victim.ID), "data")); err != nil {
		t.Fatal(err)
	}
	until(t, "the wiped node has the others' snapshot", func(ctx context.Context) bool {
		m, err := metrics(ctx, victim)
		return err == nil && m["consensus_snapshots_installed_total"] > 0
	})
	t.Logf("%s has its snapshot %s after it was killed", victim.ID, time.Since(killed).Round(time.Millisecond))
	at, _, err := digest(t.Context(), leader)
	if err != nil {
		t.Fatal(err)
	}
	until(t, fmt.Sprintf("the wiped node has applied what the leader had, %d", at), func(ctx context.Context) bool {
		applied, _, err := digest(ctx, victim)
		return err == nil && applied >= at
	})
	t.Logf("%s has caught up at %d %s after it was killed", victim.ID, at, time.Since(killed).Round(time.Millisecond))
	d.mustHave(t, loadRate)
	stop()
	d.settled(t)
	until(t, "the wiped node has the leader's state", func(ctx context.Context) bool {
		i, one, err := digest(ctx, leader)
		j, other, failed := digest(ctx, victim)
		return err == nil && failed == nil && i == j && one != "" && one == other
	})
	r.mustCheck(t)
	again := openFed(t, dir)
	for _, n := range again.nodes(victim.ID[:6]) {
		if n.ID == victim.ID && (n.PID == 0 || n.PID == victim.PID) {
			t.Errorf("%s has pid %d, and had %d", n.ID, n.PID, victim.PID)
		}
	}
	r.end(t)
}
