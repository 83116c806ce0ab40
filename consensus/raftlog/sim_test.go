package raftlog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gongji/consensus"
	"gongji/consensus/consensustest"
	"gongji/consensus/raftlog"
)

// load proposes sums with ids from several clients until stop, on any node, and asks again
// with the same id when the outcome is unknown. It returns how many were acknowledged.
type load struct {
	r    *consensustest.Running
	stop chan struct{}
	wg   sync.WaitGroup
	mu   sync.Mutex
	done int
	cuts int // odd while the power is off: nothing is heard then, nor afterwards what was asked before
}

func startLoad(t *testing.T, r *consensustest.Running, size int) *load {
	t.Helper()
	l := &load{r: r, stop: make(chan struct{})}
	for client := range 8 {
		l.wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.stop:
					return
				case <-time.After(5 * time.Millisecond): // virtual time stands still while anybody works
				}
				l.one(t, fmt.Sprintf("once %d.%d sum 1", client, i), (client+i)%size, true)
				if i%20 == 19 { // fills Pebble's memory, so that it writes between snapshots
					l.one(t, fmt.Sprintf("fill big%d %d", client, 20_000+i), (client+i)%size, false)
					l.one(t, fmt.Sprintf("set large%d %s", client, strings.Repeat("x", 5_000+i)), (client+i)%size, false)
				}
			}
		})
	}
	return l
}

// one repeats a command until it is acknowledged; its node may be down, so it goes round.
func (l *load) one(t *testing.T, command string, node int, counts bool) {
	for {
		cuts := l.cutPower(0)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, err := l.r.Log(node).Propose(ctx, []byte(command))
		cancel()
		if err == nil && l.hear(cuts, counts) {
			return
		}
		if err != nil && !errors.Is(err, consensus.ErrNoLeader) && !errors.Is(err, consensus.ErrUnknown) &&
			!errors.Is(err, consensus.ErrStopped) && !errors.Is(err, consensus.ErrBusy) {
			t.Errorf("%s: %v", command, err)
			return
		}
		node = (node + 1) % 3
		<-time.After(20 * time.Millisecond)
	}
}

// hear counts an answer, unless the power is off or was cut meanwhile.
func (l *load) hear(cuts int, counts bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	heard := l.cuts == cuts && cuts%2 == 0
	if heard && counts {
		l.done++
	}
	return heard
}

func (l *load) cutPower(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cuts += n
	return l.cuts
}

func (l *load) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

// finish ends the load and checks that every acknowledged sum is there, once.
func (l *load) finish(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	if got, want := l.r.Get(0, "sum"), fmt.Sprint(l.acknowledged()); got != want {
		t.Errorf("sum is %s, %s were acknowledged", got, want)
	}
	l.r.Same()
}

// TestPowerCut cuts the power of all nodes at once under load, again and again, each time
// right after a snapshot, with and without some of what was not synced.
func TestPowerCut(t *testing.T) {
	for _, percent := range []int{0, 30} {
		t.Run(fmt.Sprintf("%d percent of what was not synced survives", percent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { powerCuts(t, percent) })
		})
	}
}

func powerCuts(t *testing.T, percent int) {
	g := newMemGroup(t, 3)
	g.tune = func(t *raftlog.Tuning) {
		t.Heartbeat, t.TrailingLogs, t.SegmentSize = time.Second, 16, 64<<10
		t.SnapshotInterval, t.SnapshotThreshold = time.Hour, 1<<30 // only when asked
	}
	rng := rand.New(rand.NewPCG(1, uint64(percent)))
	r := consensustest.Start(t, g.cluster())
	r.Leader()
	l := startLoad(t, r, 3)
	for round := range 8 {
		target := l.acknowledged() + 200
		r.Until("some load", func() bool { return l.acknowledged() >= target })
		for i := range 3 {
			if i != round%3 || round == 0 { // now and then one has an older snapshot
				if err := nodeOf(t, r, i).Snapshot(); err != nil {
					t.Fatal(err)
				}
			}
		}
		l.cutPower(1)
		disks := make([]*consensustest.CrashFS, 3)
		for i := range 3 {
			disks[i] = g.disk(i).PowerCut(percent, rng)
		}
		time.Sleep(50 * time.Millisecond) // the nodes still answer, but from a disk that is lost
		r.StopAll()
		for i := range 3 {
			g.setDisk(i, disks[i])
		}
		l.cutPower(1)
		for i := range 3 {
			r.Run(i)
		}
		r.Leader()
	}
	l.finish(t)
}

// TestKilledOneByOne stops nodes one at a time, hard, under load.
func TestKilledOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGroup(t, 3)
		g.tune = func(t *raftlog.Tuning) {
			t.Heartbeat, t.TrailingLogs, t.SegmentSize = time.Second, 32, 64<<10
			t.SnapshotInterval, t.SnapshotThreshold = 100*time.Millisecond, 64
		}
		rng := rand.New(rand.NewPCG(2, 2))
		r := consensustest.Start(t, g.cluster())
		r.Leader()
		l := startLoad(t, r, 3)
		for round := range 20 {
			target := l.acknowledged() + 100
			r.Until("some load", func() bool { return l.acknowledged() >= target })
			victim := rng.IntN(3)
			if round%2 == 0 {
				victim = r.Leader()
			}
			g.net.isolate(g.addrs[victim], true)
			disk := g.disk(victim).PowerCut(rng.IntN(2)*50, rng)
			if err := r.Stop(victim); err != nil {
				t.Fatalf("round %d: node %d: %v", round, victim, err)
			}
			g.setDisk(victim, disk)
			g.net.isolate(g.addrs[victim], false)
			r.Run(victim)
			r.Until("it has caught up", func() bool {
				return r.Log(victim).Status().AppliedIndex+64 > r.Log((victim+1)%3).Status().AppliedIndex
			})
		}
		l.finish(t)
	})
}

// TestCrashInRestore cuts the power of a follower at every step of being sent a snapshot
// over a log and a state of its own: it opens the old state or the new one, and catches up.
func TestCrashInRestore(t *testing.T) {
	synctest.Test(t, crashInRestore)
}

func crashInRestore(t *testing.T) {
	g := newMemGroup(t, 3)
	g.tune = func(t *raftlog.Tuning) {
		t.Heartbeat, t.TrailingLogs, t.SegmentSize = time.Second, 4, 64<<10
		t.SnapshotInterval, t.SnapshotThreshold = time.Hour, 1<<30
	}
	rng := rand.New(rand.NewPCG(4, 4))
	r := consensustest.Start(t, g.cluster())
	restores := 0
	for step := 10; step < 64; step++ {
		victim := (r.Leader() + 1) % 3
		other := (victim + 1) % 3
		r.Do(other, fmt.Sprintf("set seen %d", step))
		r.Same()
		if err := r.Stop(victim); err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			r.Do(other, fmt.Sprintf("set k%d %d", i, step))
			// raft-wal goes on reading what was cut off in the segment it writes to.
			r.Do(other, fmt.Sprintf("set b%d %s", i, strings.Repeat("x", 10_000)))
		}
		for i := range 3 {
			if i != victim {
				if err := nodeOf(t, r, i).Snapshot(); err != nil {
					t.Fatal(err)
				}
			}
		}
		fs := newTripFS(g.disk(victim), rng.Uint64())
		fs.left, fs.percent = step, step%2*40
		g.setDisk(victim, fs)
		log := r.Run(victim)
		r.Until("the power was cut, or it came so far", func() bool {
			return fs.after() != nil || log.Status().AppliedIndex >= r.Log(other).Status().AppliedIndex
		})
		g.net.isolate(g.addrs[victim], true)
		disk := fs.after()
		if disk == nil {
			disk = fs.PowerCut(0, nil)
		}
		restores += int(log.Status().Snapshots)
		if err := r.Stop(victim); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		g.setDisk(victim, disk)
		g.net.isolate(g.addrs[victim], false)
		r.Run(victim)
		r.Same()
		if r.Stopped(victim) {
			t.Fatalf("step %d: %v", step, r.Ended(victim))
		}
		if got := r.Get(victim, "k11"); got != fmt.Sprint(step) {
			t.Fatalf("step %d: read %q", step, got)
		}
	}
	if restores == 0 {
		t.Error("no snapshot was ever sent")
	}
}

// TestWipedNode: a node that lost its disk comes back by a snapshot, after the log
// was cut, and does not vote before.
func TestWipedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGroup(t, 3)
		g.tune = func(t *raftlog.Tuning) {
			t.Heartbeat, t.TrailingLogs, t.SegmentSize = time.Second, 16, 64<<10
			t.SnapshotInterval, t.SnapshotThreshold = time.Hour, 1<<30
		}
		r := consensustest.Start(t, g.cluster())
		r.Leader()
		l := startLoad(t, r, 3)
		r.Until("some load", func() bool { return l.acknowledged() >= 500 })
		victim := (r.Leader() + 1) % 3
		if err := r.Stop(victim); err != nil {
			t.Fatal(err)
		}
		target := l.acknowledged() + 500
		r.Until("more load", func() bool { return l.acknowledged() >= target })
		for i := range 3 {
			if i != victim {
				if err := nodeOf(t, r, i).Snapshot(); err != nil {
					t.Fatal(err)
				}
			}
		}
		g.setDisk(victim, consensustest.NewCrashFS())
		r.Run(victim)
		r.Until("a snapshot came", func() bool { return r.Log(victim).Status().Snapshots > 0 })
		r.Until("it votes again", func() bool {
			_, err := g.disk(victim).Stat("node" + g.id(victim)[1:] + "/rejoining")
			return err != nil
		})
		l.finish(t)
	})
}

// TestAmnesia: while a node that lost its disk has not caught up, it elects nobody. The
// one entry that it helped to commit stays.
func TestAmnesia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGroup(t, 3)
		g.tune = func(t *raftlog.Tuning) { t.Heartbeat = time.Second }
		r := consensustest.Start(t, g.cluster())
		leader := r.Leader()
		helper, behind := (leader+1)%3, (leader+2)%3
		r.Do(leader, "set k first")
		r.Same()
		if err := r.Stop(behind); err != nil {
			t.Fatal(err)
		}
		r.Do(leader, "set k committed-by-two")
		if err := r.Stop(leader); err != nil {
			t.Fatal(err)
		}
		if err := r.Stop(helper); err != nil {
			t.Fatal(err)
		}
		g.setDisk(helper, consensustest.NewCrashFS())
		r.Run(helper)
		r.Run(behind)
		// Two of three run, and one of them lacks the entry, the other everything.
		<-time.After(2 * time.Minute)
		for _, i := range []int{helper, behind} {
			if l, _ := r.Log(i).Leadership(); l.Leader {
				t.Fatalf("node %d leads without the entry", i)
			}
		}
		r.Run(leader)
		r.Leader()
		if got := r.Get(behind, "k"); got != "committed-by-two" {
			t.Errorf("k is %q", got)
		}
		r.Same()
	})
}
