package raftlog_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gongji/consensus"
	"gongji/consensus/consensustest"
	"gongji/consensus/raftlog"
)

// hangFS hangs in Sync of files whose path has a part, while told to.
type hangFS struct {
	vfs.FS
	part string

	mu   sync.Mutex
	hang chan struct{} // not nil: hang until closed
}

func (h *hangFS) set(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case on && h.hang == nil:
		h.hang = make(chan struct{})
	case !on && h.hang != nil:
		close(h.hang)
		h.hang = nil
	}
}

func (h *hangFS) wait() {
	h.mu.Lock()
	hang := h.hang
	h.mu.Unlock()
	if hang != nil {
		<-hang
	}
}

func (h *hangFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := h.FS.OpenReadWrite(name, c, o...)
	if err != nil || !strings.Contains(name, h.part) {
		return f, err
	}
	return &hangFile{File: f, fs: h}, nil
}

type hangFile struct {
	vfs.File
	fs *hangFS
}

func (f *hangFile) Sync() error {
	f.fs.wait()
	return f.File.Sync()
}

func (f *hangFile) SyncData() error {
	f.fs.wait()
	return f.File.SyncData()
}

// hangGroup has disks whose log can be made to hang.
func hangGroup(t *testing.T) (*group, []*hangFS) {
	t.Helper()
	g := newMemGroup(t, 3)
	g.tune = func(t *raftlog.Tuning) { t.Heartbeat, t.DiskLimit = time.Second, 2*time.Second }
	disks := make([]*hangFS, 3)
	for i := range disks {
		disks[i] = &hangFS{FS: g.disks[i], part: "/wal/"}
		g.setDisk(i, disks[i])
	}
	return g, disks
}

// TestHungDiskOfLeader: the leader's log hangs for a while: another leads, and the first comes
// back as a follower with an equal state.
func TestHungDiskOfLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, disks := hangGroup(t)
		r := consensustest.Start(t, g.cluster())
		first := r.Leader()
		r.Do(first, "add n 1")
		disks[first].set(true)
		answer := make(chan error, 1)
		go func() {
			_, err := r.Log(first).Propose(context.Background(), []byte("once a n 1"))
			answer <- err
		}()
		if err := <-answer; !errors.Is(err, consensus.ErrUnknown) {
			t.Errorf("a command in the hung write was answered %v", err)
		}
		if got := r.Log(first).Status().Refused; got != "disk_slow" {
			t.Errorf("refused is %q", got)
		}
		r.Until("another leads", func() bool { return r.Leader() != first })
		second := r.Leader()
		if got := r.Do(second, "once a n 1"); got != "2" {
			t.Errorf("the repeat found %s", got)
		}
		disks[first].set(false)
		r.Until("the disk is well again", func() bool { return r.Log(first).Status().Refused == "" })
		r.Do(first, "once b n 1")
		r.Same()
		if r.Stopped(first) {
			t.Errorf("node ended: %v", r.Ended(first))
		}
		if got := r.Get(first, "n"); got != "3" {
			t.Errorf("n is %s", got)
		}
	})
}

// TestDeadDisk: a log that hangs for ever ends the node, and the others go on.
func TestDeadDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, disks := hangGroup(t)
		r := consensustest.Start(t, g.cluster())
		first := r.Leader()
		r.Do(first, "add n 1")
		disks[first].set(true)
		go func() { _, _ = r.Log(first).Propose(context.Background(), []byte("add n 1")) }()
		if err := r.Ended(first); !errors.Is(err, raftlog.ErrDisk) {
			t.Errorf("node ended with %v", err)
		}
		r.Do((first+1)%3, "add n 5")
		disks[first].set(false) // lets the goroutines go that were left behind
		r.Run(first)
		r.Same()
	})
}

// failFS fails writes to the log when told to.
type failFS struct {
	vfs.FS
	mu   sync.Mutex
	fail error
}

func (f *failFS) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

func (f *failFS) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fail
}

func (f *failFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.OpenReadWrite(name, c, o...)
	if err != nil || !strings.Contains(name, "/wal/") {
		return file, err
	}
	return &failFile{File: file, fs: f}, nil
}

type failFile struct {
	vfs.File
	fs *failFS
}

func (f *failFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.fs.failure(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, at)
}

// TestFailingDisk: one failed write of the log ends the node, whoever it is.
func TestFailingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGroup(t, 3)
		disks := make([]*failFS, 3)
		for i := range disks {
			disks[i] = &failFS{FS: g.disks[i]}
			g.setDisk(i, disks[i])
		}
		r := consensustest.Start(t, g.cluster())
		leader := r.Leader()
		follower := (leader + 1) % 3
		r.Do(leader, "add n 1")
		full := errors.New("no space left")
		disks[follower].set(full)
		r.Do(leader, "add n 1")
		if err := r.Ended(follower); !errors.Is(err, raftlog.ErrDisk) || !errors.Is(err, full) {
			t.Errorf("follower ended with %v", err)
		}
		disks[follower].set(nil)
		r.Run(follower)
		r.Same()
		disks[leader].set(full)
		if _, err := r.Log(leader).Propose(t.Context(), []byte("once x n 1")); !errors.Is(err, consensus.ErrUnknown) {
			t.Errorf("answered %v", err)
		}
		if err := r.Ended(leader); !errors.Is(err, raftlog.ErrDisk) {
			t.Errorf("leader ended with %v", err)
		}
		disks[leader].set(nil)
		r.Run(leader)
		if got := r.Do(follower, "once x n 1"); got != "3" {
			t.Errorf("the repeat found %s", got)
		}
		r.Same()
	})
}

// skew is a node's wrong clock.
type skew struct {
	mu  sync.Mutex
	off time.Duration
}

func (s *skew) set(off time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = off
}

func (s *skew) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.off)
}

func skewGroup(t *testing.T) (*group, []*skew) {
	t.Helper()
	g := newMemGroup(t, 3)
	g.tune = func(t *raftlog.Tuning) { t.Heartbeat = time.Second }
	clocks := []*skew{{}, {}, {}}
	g.with = func(node int, c *raftlog.Config) { c.Clock = clocks[node].now }
	return g, clocks
}

// lastStamp is the newest stamp in the state.
func lastStamp(r *consensustest.Running, node int) time.Time {
	var last time.Time
	r.Read(node, func(v consensus.Reader) {
		if records := consensustest.Records(v); len(records) > 0 {
			last = records[len(records)-1].Stamp
		}
	})
	return last
}

// TestClockOff: a leader whose clock goes wrong by seconds hands over and says why; it may lead
// again when its clock is right.
func TestClockOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, clocks := skewGroup(t)
		r := consensustest.Start(t, g.cluster())
		first := r.Leader()
		r.Do(first, "add n 1")
		clocks[first].set(3 * time.Second)
		r.Until("another leads", func() bool { return r.Leader() != first })
		r.Do(first, "add n 1")
		s := r.Log(first).Status()
		if s.Refused != "clock_off" || s.ClockOffset < 2*time.Second {
			t.Errorf("refused %q, offset %v", s.Refused, s.ClockOffset)
		}
		if ahead := time.Until(lastStamp(r, first)); ahead > time.Second {
			t.Errorf("stamps are %v ahead", ahead)
		}
		clocks[first].set(0)
		r.Until("it may lead again", func() bool { return r.Log(first).Status().Refused == "" })
	})
}

// TestSkewedFollower: a follower with a wrong clock changes nothing, and is not given the
// leadership; alone with another it may not take it either.
func TestSkewedFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, clocks := skewGroup(t)
		clocks[2].set(-365 * 24 * time.Hour)
		r := consensustest.Start(t, g.cluster())
		for range 6 { // whoever is elected first: node 2 never serves
			leader := r.Leader()
			if leader == 2 {
				t.Fatal("the node whose clock is a year behind leads")
			}
			r.Do(2, "add n 1")
			if err := r.Stop(leader); err != nil {
				t.Fatal(err)
			}
			<-time.After(10 * time.Second)
			for i := range 3 {
				// The other has half of two clocks for it: which is wrong nobody can tell.
				if l, _ := r.Log(i).Leadership(); l.Leader && i != leader {
					t.Fatalf("node %d leads without a majority of clocks", i)
				}
			}
			r.Run(leader)
		}
		if got := r.Log(2).Status().Refused; got != "clock_off" {
			t.Errorf("refused %q", got)
		}
		r.Leader()
		if off := time.Since(lastStamp(r, 0)); off.Abs() > time.Minute {
			t.Errorf("last stamp is off by %v", off)
		}
	})
}

// TestClockJump: a leader whose clock jumps by a year stamps nothing with it, and waits for an
// operator even if the clock comes back.
func TestClockJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, clocks := skewGroup(t)
		r := consensustest.Start(t, g.cluster())
		first := r.Leader()
		r.Do(first, "add n 1")
		clocks[first].set(365 * 24 * time.Hour)
		// The very next command: before any look of the watch.
		_, err := r.Log(first).Propose(t.Context(), []byte("add n 1"))
		if !errors.Is(err, consensus.ErrNoLeader) {
			t.Errorf("with the clock a year ahead: %v", err)
		}
		r.Until("another leads", func() bool { return r.Leader() != first })
		r.Do(first, "add n 1")
		if ahead := time.Until(lastStamp(r, first)); ahead > time.Second {
			t.Errorf("stamps are %v ahead", ahead)
		}
		clocks[first].set(0)
		<-time.After(time.Minute)
		if got := r.Log(first).Status().Refused; got != "clock_jump" {
			t.Errorf("refused %q", got)
		}
		nodeOf(t, r, first).AcknowledgeClock()
		r.Until("it may lead again", func() bool { return r.Log(first).Status().Refused == "" })
	})
}

// TestDiverged: a replica that writes something else than the others stops itself.
func TestDiverged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGroup(t, 3)
		g.tune = func(t *raftlog.Tuning) { t.Heartbeat = time.Second }
		r := consensustest.Start(t, g.cluster())
		odd := (r.Leader() + 1) % 3
		if err := r.Stop(odd); err != nil {
			t.Fatal(err)
		}
		g.machine = func(node int) consensus.StateMachine {
			if node == odd {
				return &consensustest.Machine{Salt: "different"}
			}
			return &consensustest.Machine{}
		}
		r.Run(odd)
		for range 2 * consensus.DigestInterval {
			if _, err := r.Try((odd+1)%3, "add n 1"); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Ended(odd); !errors.Is(err, raftlog.ErrDiverged) {
			t.Errorf("the odd one ended with %v", err)
		}
		r.Do((odd+1)%3, "add n 1")
	})
}

// TestUnknown: the leader is cut off with a command under way. The answer is unknown; the
// repeat with the same id finds out, and counts once.
func TestUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGroup(t, 3)
		g.tune = func(t *raftlog.Tuning) { t.Heartbeat = time.Second }
		r := consensustest.Start(t, g.cluster())
		first := r.Leader()
		r.Do(first, "add n 1")
		g.net.isolate(g.addrs[first], true)
		_, err := r.Log(first).Propose(t.Context(), []byte("once a n 10"))
		if !errors.Is(err, consensus.ErrUnknown) {
			t.Errorf("cut off: %v", err)
		}
		err = r.Log(first).Read(t.Context(), func(consensus.Reader) error { return nil })
		if !errors.Is(err, consensus.ErrNoLeader) {
			t.Errorf("read while cut off: %v", err)
		}
		r.Until("another leads", func() bool { return r.Leader() != first })
		second := r.Leader()
		r.Do(second, "set k v")
		if got := r.Do(second, "once a n 10"); got != "11" {
			t.Errorf("the repeat found %s", got)
		}
		g.net.isolate(g.addrs[first], false)
		r.Same()
		if got := r.Do(first, "once a n 10"); got != "11" {
			t.Errorf("and again: %s", got)
		}
		if got := r.Get(first, "n"); got != "11" {
			t.Errorf("n is %s", got)
		}
	})
}

// TestLostAnswer: a follower's caller is left without an answer when the leader dies: that is
// unknown, while a leader that cannot be reached is no leader.
func TestLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		g := newMemGroup(t, 3)
		g.tune = func(t *raftlog.Tuning) { t.Heartbeat = time.Second }
		g.machine = func(int) consensus.StateMachine { return &consensustest.Machine{Gate: gate} }
		r := consensustest.Start(t, g.cluster())
		leader := r.Leader()
		follower := (leader + 1) % 3
		r.Do(follower, "add n 1")
		answer := make(chan error, 1)
		go func() {
			_, err := r.Log(follower).Propose(context.Background(), []byte("wait"))
			answer <- err
		}()
		r.Until("it is under way", func() bool {
			s := r.Log(leader).Status()
			return s.CommitIndex > s.AppliedIndex
		})
		g.net.isolate(g.addrs[leader], true)
		if err := <-answer; !errors.Is(err, consensus.ErrUnknown) {
			t.Errorf("answer lost: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := r.Log(follower).Propose(ctx, []byte("add n 1")); !errors.Is(err, consensus.ErrNoLeader) {
			t.Errorf("leader out of reach: %v", err)
		}
		close(gate)
		g.net.isolate(g.addrs[leader], false)
		r.Same()
	})
}

// TestLinearizable checks a history over changes of leader, in virtual time.
func TestLinearizable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGroup(t, 3)
		g.tune = func(t *raftlog.Tuning) { t.Heartbeat = time.Second }
		r := consensustest.Start(t, g.cluster())
		r.Leader()
		consensustest.Linearizable(t, r, func() {
			leader := r.Leader()
			g.net.isolate(g.addrs[leader], true)
			r.Until("another leads", func() bool { return r.Leader() != leader })
			g.net.isolate(g.addrs[leader], false)
		})
		r.Same()
	})
}

// TestLinearizableOnDisk does so with real files, TLS and time; the leader is stopped and
// started.
func TestLinearizableOnDisk(t *testing.T) {
	g := newDiskGroup(t, 3)
	g.tune = func(t *raftlog.Tuning) { t.Heartbeat = 500 * time.Millisecond }
	r := consensustest.Start(t, g.cluster())
	r.Leader()
	consensustest.Linearizable(t, r, func() {
		leader := r.Leader()
		if err := r.Stop(leader); err != nil {
			t.Error(err)
		}
		r.Run(leader)
	})
	r.Same()
}
