package consensustest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"gongji/consensus"
)

// Cluster makes the Logs of a group under test. New returns a Log that does not run yet, on
// what its predecessor of the same number left on its disk.
type Cluster struct {
	Size int
	New  func(node int) (consensus.Log, error)
}

// Running starts and stops the nodes of a Cluster.
type Running struct {
	t       testing.TB
	cluster Cluster

	mu    sync.Mutex
	nodes []*running
}

type running struct {
	log    consensus.Log
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
}

// patience bounds every waiting in these tests. A test that reaches it has failed.
const patience = 60 * time.Second

// Start runs all nodes; they are stopped when the test ends.
func Start(t testing.TB, c Cluster) *Running {
	t.Helper()
	r := &Running{t: t, cluster: c, nodes: make([]*running, c.Size)}
	t.Cleanup(r.StopAll)
	for i := range c.Size {
		r.Run(i)
	}
	return r
}

// Run starts a node that does not run.
func (r *Running) Run(node int) consensus.Log {
	r.t.Helper()
	log, err := r.cluster.New(node)
	if err != nil {
		r.t.Fatalf("node %d: %v", node, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &running{log: log, cancel: cancel, ended: make(chan struct{})}
	r.mu.Lock()
	r.nodes[node] = n
	r.mu.Unlock()
	go func() {
		n.err = log.Run(ctx)
		close(n.ended)
	}()
	return log
}

func (r *Running) node(node int) *running {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nodes[node]
}

// Log returns a node's Log, which may have stopped.
func (r *Running) Log(node int) consensus.Log { return r.node(node).log }

// Stop stops a node and returns what its Run returned.
func (r *Running) Stop(node int) error {
	r.t.Helper()
	n := r.node(node)
	n.cancel()
	return r.Ended(node)
}

// Ended waits until a node's Run has returned, and returns its error.
func (r *Running) Ended(node int) error {
	r.t.Helper()
	n := r.node(node)
	select {
	case <-n.ended:
		return n.err
	case <-time.After(patience):
		r.t.Errorf("node %d does not end", node)
		return errors.New("consensustest: does not end")
	}
}

// Stopped says whether a node's Run has returned.
func (r *Running) Stopped(node int) bool {
	select {
	case <-r.node(node).ended:
		return true
	default:
		return false
	}
}

// StopAll stops all nodes at once. Those that stopped by themselves keep their errors.
func (r *Running) StopAll() {
	r.mu.Lock()
	nodes := append([]*running(nil), r.nodes...)
	r.mu.Unlock()
	for _, n := range nodes {
		if n != nil {
			n.cancel()
		}
	}
	for i, n := range nodes {
		if n != nil {
			_ = r.Ended(i)
		}
	}
}

// Leader waits until one of the running nodes serves as leader and returns its number.
func (r *Running) Leader() int {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		for i := range r.nodes {
			if n := r.node(i); n != nil && !r.Stopped(i) {
				if l, _ := n.log.Leadership(); l.Leader {
					return i
				}
			}
		}
		r.pause()
	}
	r.t.Fatal("no leader")
	return -1
}

// pause lets a little time pass, real or virtual.
func (r *Running) pause() { <-time.After(5 * time.Millisecond) }

// Until waits until cond holds.
func (r *Running) Until(what string, cond func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain: %s", what)
		}
		r.pause()
	}
}

// Do proposes a command on a node and asks again as long as nothing was proposed. It fails
// the test on any other error.
func (r *Running) Do(node int, command string) string {
	r.t.Helper()
	value, err := r.Try(node, command)
	if err != nil {
		r.t.Fatalf("%.60q on node %d: %v", command, node, err)
	}
	return value
}

// Try proposes a command on a node and asks again as long as nothing was proposed.
func (r *Running) Try(node int, command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		value, err := r.Log(node).Propose(ctx, []byte(command))
		again := errors.Is(err, consensus.ErrNoLeader) || errors.Is(err, consensus.ErrBusy)
		if !again || ctx.Err() != nil {
			return string(value), err
		}
		r.pause()
	}
}

// Get reads a key on a node, linearizably.
func (r *Running) Get(node int, key string) string {
	r.t.Helper()
	var got string
	r.Read(node, func(v consensus.Reader) { got = string(value(v, key)) })
	return got
}

// Read reads on a node, linearizably, and asks again as long as there is no leader.
func (r *Running) Read(node int, view func(consensus.Reader)) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := r.Log(node).Read(ctx, func(v consensus.Reader) error {
			view(v)
			return nil
		})
		if err == nil {
			return
		}
		if !errors.Is(err, consensus.ErrNoLeader) || ctx.Err() != nil {
			r.t.Fatalf("read on node %d: %v", node, err)
		}
		r.pause()
	}
}

// Same waits until all running nodes are at the same index and compares their digests.
func (r *Running) Same() {
	r.t.Helper()
	var all []consensus.Status
	r.Until("all nodes at one index", func() bool {
		all = all[:0]
		for i := range r.nodes {
			if !r.Stopped(i) {
				all = append(all, r.Log(i).Status())
			}
		}
		for _, s := range all {
			if s.AppliedIndex != all[0].AppliedIndex {
				return false
			}
		}
		return true
	})
	for _, s := range all {
		if s.Digest != all[0].Digest {
			r.t.Fatalf("at index %d: %s has %s, %s has %s", s.AppliedIndex, s.ID, s.Digest, all[0].ID, all[0].Digest)
		}
	}
}
