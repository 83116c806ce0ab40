package consensustest_test

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gongji/consensus"
	"gongji/consensus/consensustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openMem(_ *testing.T, machine func(int) consensus.StateMachine, h consensus.Handler) consensustest.Cluster {
	g := consensustest.NewGroup(3, machine, h)
	return consensustest.Cluster{
		Size: 3,
		New:  func(node int) (consensus.Log, error) { return g.Node(node), nil },
	}
}

func TestMemContract(t *testing.T) {
	consensustest.RunLogContract(t, openMem)
}

// TestMemClock: stamps follow the test's clock, and never go back with it.
func TestMemClock(t *testing.T) {
	g := consensustest.NewGroup(1, func(int) consensus.StateMachine { return &consensustest.Machine{} }, nil)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	g.SetClock(func() time.Time { return noon })
	r := consensustest.Start(t, consensustest.Cluster{
		Size: 1, New: func(node int) (consensus.Log, error) { return g.Node(node), nil },
	})
	r.Leader()
	r.Do(0, "add n 1")
	r.Do(0, "add n 1")
	g.SetClock(func() time.Time { return noon.Add(-time.Hour) })
	r.Do(0, "add n 1")
	g.SetClock(func() time.Time { return noon.Add(time.Hour) })
	r.Do(0, "add n 1")
	want := []time.Time{noon, noon.Add(time.Microsecond), noon.Add(2 * time.Microsecond), noon.Add(time.Hour)}
	r.Read(0, func(v consensus.Reader) {
		for i, rec := range consensustest.Records(v) {
			if !rec.Stamp.Equal(want[i]) {
				t.Errorf("stamp %d is %v, want %v", i, rec.Stamp, want[i])
			}
		}
	})
}

// TestMemLeader: the test names the leader, and takes it away.
func TestMemLeader(t *testing.T) {
	g := consensustest.NewGroup(3, func(int) consensus.StateMachine { return &consensustest.Machine{} }, nil)
	r := consensustest.Start(t, consensustest.Cluster{
		Size: 3, New: func(node int) (consensus.Log, error) { return g.Node(node), nil },
	})
	r.Until("all run", func() bool {
		for i := range 3 {
			if r.Log(i).Status().State == "stopped" {
				return false
			}
		}
		return true
	})
	g.SetLeader(-1)
	_, changed := r.Log(0).Leadership()
	g.SetLeader(2)
	<-changed
	if l, _ := r.Log(2).Leadership(); !l.Leader {
		t.Errorf("node 2 was made leader and says %v", l)
	}
	r.Do(0, "set k v")
	g.SetLeader(-1)
	if _, err := r.Log(0).Propose(t.Context(), []byte("get k")); !errors.Is(err, consensus.ErrNoLeader) {
		t.Errorf("without a leader: %v", err)
	}
	err := r.Log(1).Read(t.Context(), func(consensus.Reader) error { return nil })
	if !errors.Is(err, consensus.ErrNoLeader) {
		t.Errorf("without a leader: %v", err)
	}
	g.SetLeader(0)
	if got := r.Get(1, "k"); got != "v" {
		t.Errorf("after two changes of leader: %q", got)
	}
}

// TestLinearizableMem checks histories over changes of leader.
func TestLinearizableMem(t *testing.T) {
	g := consensustest.NewGroup(3, func(int) consensus.StateMachine { return &consensustest.Machine{} }, nil)
	r := consensustest.Start(t, consensustest.Cluster{
		Size: 3, New: func(node int) (consensus.Log, error) { return g.Node(node), nil },
	})
	r.Leader()
	next := 0
	consensustest.Linearizable(t, r, func() {
		next = (next + 1) % 3
		g.SetLeader(next)
	})
}
