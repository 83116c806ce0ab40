// Package chaos drives payments through a running federation while its nodes are killed and frozen. The seed makes
// the plan of faults: the same seed and length give the same plan, fault by fault.
//
// It works on the processes of a testnet that was started with --processes, by the pids of its session: a kill is
// SIGKILL, after which the testnet starts the node again; a freeze stops the process for some seconds, which the
// others see as a network that is cut, with a leader who still believes in himself when he comes back. Faults of
// the broker and of core systems, and clocks, are the simulator's business (gateway/internal/simtest).
package chaos

import (
	"math/rand/v2"
	"time"
)

// Kind says what a fault does.
type Kind string

// The kinds.
const (
	KillOne    Kind = "kill_one"    // any node
	KillRegion Kind = "kill_region" // all nodes of a region at once
	FreezeOne  Kind = "freeze_one"  // any node, for a while
	FreezeTwo  Kind = "freeze_two"  // a majority of a region, for a while
)

// Fault is one planned fault. Region and Node are indexes from 0 into the session; Node is the first one struck.
type Fault struct {
	At     time.Duration `json:"at_ns"`
	Kind   Kind          `json:"kind"`
	Region int           `json:"region"`
	Node   int           `json:"node"`
	Length time.Duration `json:"length_ns"` // of a freeze
}

// Distances between faults: the next one may come before the last is over.
const (
	firstFault = 2 * time.Second
	faultEvery = 4 * time.Second // on average
	freezeMin  = 500 * time.Millisecond
	freezeMax  = 5 * time.Second
	calmAtEnd  = 5 * time.Second
)

// Plan makes the plan of a run over some regions of some nodes each.
func Plan(seed uint64, length time.Duration, regions, nodes int) []Fault {
	r := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // a plan that can be repeated
	kinds := []Kind{KillOne, KillOne, KillOne, FreezeOne, FreezeOne, FreezeTwo, KillRegion}
	var plan []Fault
	for at := firstFault; at < length-calmAtEnd; at += time.Duration(r.Int64N(2 * int64(faultEvery))) {
		f := Fault{At: at, Kind: kinds[r.IntN(len(kinds))], Region: r.IntN(regions), Node: r.IntN(nodes)}
		freeze := freezeMin + time.Duration(r.Int64N(int64(freezeMax-freezeMin)))
		if f.Kind == FreezeOne || f.Kind == FreezeTwo {
			f.Length = freeze
		}
		plan = append(plan, f)
	}
	return plan
}

// struck are the nodes (indexes) that a fault strikes.
func (f Fault) struck(nodes int) []int {
	switch f.Kind {
	case KillOne, FreezeOne:
		return []int{f.Node}
	case FreezeTwo:
		return []int{f.Node, (f.Node + 1) % nodes}
	case KillRegion:
		all := make([]int, nodes)
		for i := range all {
			all[i] = i
		}
		return all
	}
	return nil
}
