package raftlog_test

import (
	"testing"

	"gongji/consensus"
	"gongji/consensus/consensustest"
)

// TestContract runs on disks in memory; TestContractOnDisk on files and TLS.
func TestContract(t *testing.T) {
	consensustest.RunLogContract(t, func(t *testing.T, machine func(int) consensus.StateMachine,
		handler consensus.Handler,
	) consensustest.Cluster {
		t.Helper()
		g := newMemGroup(t, 3)
		g.machine, g.handler = machine, handler
		return g.cluster()
	})
}

func TestContractOnDisk(t *testing.T) {
	consensustest.RunLogContract(t, func(t *testing.T, machine func(int) consensus.StateMachine,
		handler consensus.Handler,
	) consensustest.Cluster {
		t.Helper()
		g := newDiskGroup(t, 3)
		g.machine, g.handler = machine, handler
		return g.cluster()
	})
}

// TestContractAlone is a group of one.
func TestContractAlone(t *testing.T) {
	consensustest.RunLogContract(t, func(t *testing.T, machine func(int) consensus.StateMachine,
		handler consensus.Handler,
	) consensustest.Cluster {
		t.Helper()
		g := newMemGroup(t, 1)
		g.machine, g.handler = machine, handler
		return g.cluster()
	})
}
