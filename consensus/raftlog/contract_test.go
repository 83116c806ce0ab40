package raftlog_test

import (
	"testing"
	"testing/synctest"
	"time"

	"gongji/consensus"
	"gongji/consensus/consensustest"
	"gongji/consensus/raftlog"
)

// TestContract runs on disks in memory, in virtual time.
func TestContract(t *testing.T) {
	for _, size := range []int{1, 3} {
		for _, part := range consensustest.Parts() {
			name := map[int]string{1: "alone/", 3: "three/"}[size] + part.Name
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { part.Run(t, openMem(size)) })
			})
		}
	}
}

func openMem(size int) consensustest.Open {
	return func(t *testing.T, machine func(int) consensus.StateMachine, h consensus.Handler) consensustest.Cluster {
		t.Helper()
		g := newMemGroup(t, size)
		g.machine, g.handler = machine, h
		return g.cluster()
	}
}

// TestContractOnDisk runs on files with fsync, over TLS.
func TestContractOnDisk(t *testing.T) {
	consensustest.RunLogContract(t, func(t *testing.T, machine func(int) consensus.StateMachine,
		h consensus.Handler,
	) consensustest.Cluster {
		t.Helper()
		t.Parallel()
		g := newDiskGroup(t, 3)
		g.machine, g.handler = machine, h
		g.tune = func(t *raftlog.Tuning) { t.Heartbeat = time.Second }
		return g.cluster()
	})
}
