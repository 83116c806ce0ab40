//go:build integration && unix

package scenario_test

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gongji/federation"
	"gongji/federation/federationtest/realkafka"
	"gongji/internal/freeport"
	"gongji/testnet/hostile"
	"gongji/testnet/topology"
)

// Times of the scenarios with a real Kafka.
const (
	kafkaDown = 5 * time.Second
	// flowLimit is a generous bound on what is promised to take 3 s; kafka.Reader needs more than 15 s.
	flowLimit = 14 * time.Second
	loadPairs = 30
)

func realKafka(t *testing.T) *realkafka.Broker {
	t.Helper()
	b, err := realkafka.Start(t.Context(), filepath.Join(t.TempDir(), "kafka"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Kill(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestStoryOnRealKafka: the testnet's story, over a real broker.
func TestStoryOnRealKafka(t *testing.T) {
	broker := realKafka(t)
	dir := filepath.Join(t.TempDir(), "net")
	out, err := call(t, "--once", "--kafka", broker.Addr(), "--base-port", strconv.Itoa(freeport.Base(t)), "--data", dir)
	if err != nil || !strings.Contains(out, allOK) {
		t.Fatalf("%v\n%s", err, out)
	}
	client := lanesOf(t, broker.Addr())
	for _, topic := range topology.Topics() {
		codes := strings.Split(topic, ".")
		lane := federation.Lane{From: federation.Region(codes[1]), To: federation.Region(codes[2])}
		if n := len(client.all(t, lane)); n == 0 {
			t.Errorf("nothing was ever said on %s of the real broker", topic)
		}
	}
}

// underLoad starts a federation on a real broker, and a load on it.
func underLoad(t *testing.T, broker *realkafka.Broker, args ...string) (*running, *drive, func()) {
	t.Helper()
	r := up(t, filepath.Join(t.TempDir(), "net"), append(args, "--kafka", broker.Addr(),
		"--base-port", strconv.Itoa(freeport.Base(t)), "--load-accounts", strconv.Itoa(loadPairs))...)
	d, stop := drove(t, r.fed, r.pairs)
	d.mustHave(t, 3*loadRate)
	return r, d, stop
}

// down is how long a broker stays away.
func down(t *testing.T) {
	t.Helper()
	if !pause(t.Context(), kafkaDown) {
		t.Fatal(t.Context().Err())
	}
}

// back starts the broker again, and waits until messages flow on every lane and new payments are captured.
func back(t *testing.T, r *running, d *drive, broker *realkafka.Broker) {
	t.Helper()
	before := r.arrivals(t.Context())
	if err := broker.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	listens := time.Now()
	if took := r.flowing(t, listens, before); took > flowLimit {
		t.Errorf("messages flow on every lane %s after the broker is back, want within %s", took, flowLimit)
	}
	d.mustHave(t, 3*loadRate)
	t.Logf("%d payments captured %s after the broker is back", 3*loadRate, time.Since(listens).Round(time.Millisecond))
}

// TestKafkaKilledUnderLoad: the only broker dies and comes back; nothing is lost.
func TestKafkaKilledUnderLoad(t *testing.T) {
	broker := realKafka(t)
	r, d, stop := underLoad(t, broker)
	if err := broker.Kill(); err != nil {
		t.Fatal(err)
	}
	down(t)
	back(t, r, d, broker)
	stop()
	d.settled(t)
	r.mustCheck(t)
	r.end(t)
}

// unread returns how many parcels with numbered messages stand on a lane behind the first ones.
func unread(
	ctx context.Context, t *testing.T, client plain, to *hostile.Member, lane federation.Lane, first int,
) int {
	t.Helper()
	records, err := client.All(ctx, lane)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range records[first:] {
		o, err := federation.Unpack(to.Directory, to, lane, time.Now(), r.Value)
		if err != nil {
			t.Fatal(err)
		}
		for i := range o.Messages {
			if o.Messages[i].Class == federation.Numbered {
				n++
				break
			}
		}
	}
	return n
}

// signal sends a signal to all processes of a region.
func (f *fed) signal(t *testing.T, code string, s syscall.Signal) {
	t.Helper()
	for _, n := range f.nodes(code) {
		if err := syscall.Kill(n.PID, s); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKafkaLosesItsDiskUnderLoad: the broker comes back empty. One region stood still before, so there is what the
// broker had acknowledged to the senders and nobody had read. The links send it again.
func TestKafkaLosesItsDiskUnderLoad(t *testing.T) {
	broker := realKafka(t)
	r, d, stop := underLoad(t, broker, "--processes")
	const still = "110000"
	client, to := lanesOf(t, broker.Addr()), r.member(t, still)
	r.signal(t, still, syscall.SIGSTOP)
	for _, lane := range lanesTo(still) {
		first := len(client.all(t, lane))
		// What answers a fetch that was under way is read later; of three parcels at least two are lost.
		until(t, "three parcels that nobody has read on "+lane.Topic(), func(ctx context.Context) bool {
			return unread(ctx, t, client, to, lane, first) >= 3
		})
	}
	if err := broker.Kill(); err != nil {
		t.Fatal(err)
	}
	r.signal(t, still, syscall.SIGCONT)
	if err := broker.Wipe(t.Context()); err != nil {
		t.Fatal(err)
	}
	down(t)
	back(t, r, d, broker)
	stop()
	rewound := r.byLane(t.Context(), `gongji_lanes_rewound_total{peer="%s"}`)
	for lane, n := range rewound {
		if n == 0 {
			t.Errorf("nobody noticed that %s was lost", lane.Topic())
		}
	}
	resent := 0.0
	for _, n := range r.byLane(t.Context(), `gongji_messages_resent_total{peer="%s"}`) {
		resent += n
	}
	t.Logf("%d lanes rewound, %v messages resent", len(rewound), resent)
	d.settled(t)
	r.mustCheck(t)
	r.end(t)
}
