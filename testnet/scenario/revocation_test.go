package scenario_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"gongji/federation"
	"gongji/federation/root"
)

// versions is how many directories are published one after the other; the last one revokes.
const versions = 10

// TestRevocationReachesEverybody: a directory that is put on the topic is in force on every node of every
// region; and nothing of a revoked region is heard from then on. How long it takes is measured with processes and a
// real broker: TestRevocationOfProcesses.
func TestRevocationReachesEverybody(t *testing.T) {
	f := here(t, 3)
	o := newOffice(t, f.dir, f.session.Kafka...)
	states := []federation.MemberState{federation.MemberPaused, federation.MemberOpen}
	var took []time.Duration
	for n := range versions {
		version, began := o.publish(t, func(d *federation.DirectoryData) error {
			if n == versions-1 {
				return root.Revoke(d, "350100", "")
			}
			return root.SetState(d, "350100", states[n%2])
		})
		took = append(took, f.inForce(t, version).Sub(began))
	}
	// Fuzhou's own nodes know it too and sign nothing any more: to the others it falls silent.
	until(t, "nobody hears Fuzhou", func(ctx context.Context) bool {
		return f.counted(ctx, "110000", `gongji_peer_unreachable{peer="350100"}`) > 0
	})
	tell(t, "versions of the directory, one process, embedded broker", took)
}

// tell prints what was measured.
func tell(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	t.Logf(`{"what": %q, "count": %d, "p50_ms": %d, "p99_ms": %d, "max_ms": %d, "goal_p99_ms": 5000}`, what, len(took),
		took[len(took)/2].Milliseconds(), took[len(took)*99/100].Milliseconds(), took[len(took)-1].Milliseconds())
}
