package raftlog_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gongji/consensus/consensustest"
	"gongji/consensus/raftlog"
)

// backedUp is a group of three that has gone on after its backup, and stopped.
func backedUp(t *testing.T) (*group, *consensustest.Running, raftlog.Saved) {
	t.Helper()
	g := newMemGroup(t, 3)
	r := consensustest.Start(t, g.cluster())
	for range 3 { // some terms: the first one is not a special case
		leader := r.Leader()
		if err := r.Stop(leader); err != nil {
			t.Fatal(err)
		}
		r.Leader()
		r.Run(leader)
	}
	leader := r.Leader()
	for range 5 {
		r.Do(leader, "add n 1")
	}
	if err := nodeOf(t, r, leader).Snapshot(); err != nil {
		t.Fatal(err)
	}
	g.kept = g.disk(leader)
	saved, err := raftlog.Backup(g.kept, g.dirs[leader], "backup")
	if err != nil {
		t.Fatal(err)
	}
	r.Do(leader, "add n 1") // lost
	r.StopAll()
	return g, r, saved
}

func (g *group) peers() []raftlog.Peer { return g.config(0).Peers }

// TestRestoredGroup: a group that is restored from a backup of one node has the state of then, goes on above the terms
// of then, survives the loss of any leader, and takes a node back that has lost its disk afterwards.
func TestRestoredGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, r, saved := backedUp(t)
		if saved.Index == 0 || saved.Term < 2 || len(saved.Peers) != 3 {
			t.Fatalf("%+v", saved)
		}
		for i := range g.size {
			fresh := consensustest.NewCrashFS()
			copyTree(t, g.kept, fresh, "backup")
			if _, err := raftlog.Restore(fresh, "backup", g.dirs[i], g.peers()); err != nil {
				t.Fatal(err)
			}
			g.setDisk(i, fresh)
			r.Run(i)
		}
		leader := r.Leader()
		if got := r.Get(leader, "n"); got != "5" {
			t.Errorf("n is %s, want what it was then", got)
		}
		if term := nodeOf(t, r, leader).Status().Term; term <= saved.Term {
			t.Errorf("the group goes on in term %d, and the backup is of term %d", term, saved.Term)
		}
		for i := range g.size {
			leader = r.Leader()
			r.Do(leader, "add n 1")
			if err := r.Stop(leader); err != nil {
				t.Fatal(err)
			}
			other := r.Leader()
			if got, want := r.Get(other, "n"), fmt.Sprint(6+i); got != want {
				t.Errorf("after the loss of a leader n is %s, want %s", got, want)
			}
			r.Run(leader)
		}
		leader = r.Leader()
		lost := (leader + 1) % g.size
		if err := r.Stop(lost); err != nil {
			t.Fatal(err)
		}
		g.setDisk(lost, consensustest.NewCrashFS())
		r.Run(lost)
		r.Do(leader, "add n 1")
		if got := r.Get(lost, "n"); got != "9" {
			t.Errorf("a node without its disk has n %s", got)
		}
		r.StopAll()
	})
}

// TestRestoreRefuses: what could be believed and is wrong.
func TestRestoreRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, r, saved := backedUp(t)
		try := func(name string, want error, dir string, spoil func(fs vfs.FS), peers []raftlog.Peer) {
			t.Helper()
			fresh := consensustest.NewCrashFS()
			copyTree(t, g.kept, fresh, "backup")
			spoil(fresh)
			if _, err := raftlog.Restore(fresh, "backup", dir, peers); !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		nothing := func(vfs.FS) {}
		try("over another node", raftlog.ErrOccupied, g.dirs[0], func(fs vfs.FS) {
			if err := fs.MkdirAll(g.dirs[0]+"/wal", 0o700); err != nil {
				t.Fatal(err)
			}
		}, g.peers())
		try("another group", raftlog.ErrOtherGroup, "x", nothing, g.peers()[:2])
		moved := g.peers()
		moved[1].Addr = "elsewhere:1"
		try("other addresses", raftlog.ErrOtherGroup, "x", nothing, moved)
		try("no backup", raftlog.ErrNoBackup, "x", func(fs vfs.FS) { _ = fs.Remove("backup/meta.json") }, g.peers())
		try("a file is gone", raftlog.ErrSnapshot, "x", func(fs vfs.FS) {
			names, _ := fs.List("backup/db")
			_ = fs.Remove("backup/db/" + names[len(names)-1])
		}, g.peers())
		if _, err := raftlog.Backup(g.kept, g.dirs[0], "backup"); !errors.Is(err, raftlog.ErrOccupied) {
			t.Errorf("over another backup: %v", err)
		}
		if _, err := raftlog.Backup(g.kept, "nowhere", "other"); err == nil {
			t.Error("a backup of nothing")
		}
		// A snapshot that was copied by hand: the log knows nothing of its term.
		fresh := consensustest.NewCrashFS()
		copyTree(t, g.kept, fresh, "backup")
		if err := fresh.MkdirAll(g.dirs[0]+"/state/checkpoints", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := fresh.Rename("backup", g.dirs[0]+"/state/checkpoints/"+saved.ID); err != nil {
			t.Fatal(err)
		}
		g.setDisk(0, fresh)
		r.Run(0)
		if err := r.Ended(0); !errors.Is(err, raftlog.ErrLogLost) {
			t.Errorf("a snapshot copied by hand: %v", err)
		}
		r.StopAll()
	})
}
