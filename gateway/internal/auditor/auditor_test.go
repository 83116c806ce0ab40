package auditor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"gongji/adapters/adaptertest"
	"gongji/consensus"
	"gongji/crypto/sm/emm"
	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/auditor"
	"gongji/gateway/internal/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// group is a region's log without a network: what is proposed is applied, and told or not.
type group struct {
	mu     sync.Mutex
	ledger *ledger.Ledger
	txn    *adaptertest.Txn
	index  uint64
	lead   bool
	change chan struct{}
	// fate decides what becomes of the next command: it is applied or not, and the proposer is told an error or none.
	fate func(c ledger.Command) (applied bool, err error)
	now  func() time.Time
	// unsigned is why nothing can be signed; nil: it can.
	unsigned error
}

func (g *group) Propose(_ context.Context, command []byte) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, err := ledger.DecodeCommand(command)
	if err != nil {
		return nil, err
	}
	applied, failed := true, error(nil)
	if g.fate != nil {
		applied, failed = g.fate(c)
	}
	var out []byte
	if applied {
		g.index++
		out, err = g.ledger.Apply(g.txn, consensus.Command{Index: g.index, Stamp: g.now(), Data: command})
	}
	return out, errors.Join(err, failed)
}

func (g *group) Read(_ context.Context, view func(consensus.Reader) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return view(g.txn)
}

func (g *group) Leadership() (consensus.Leadership, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return consensus.Leadership{Leader: g.lead, LeaderID: "n1"}, g.change
}

func (g *group) entries(t *testing.T) []auditlog.Entry {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []auditlog.Entry
	if err := g.ledger.View(g.txn).AuditLines(0, func(e *auditlog.Entry) bool {
		out = append(out, *e)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func (g *group) checkpoints(t *testing.T) []auditlog.Checkpoint {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []auditlog.Checkpoint
	if err := g.ledger.View(g.txn).AuditCheckpoints(0, func(p *auditlog.Checkpoint) bool {
		out = append(out, *p)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// begin runs an auditor in a bubble of synctest. The function that comes back ends it.
func begin(t *testing.T, g *group, archive *auditor.Archive) (*auditor.Auditor, func()) {
	t.Helper()
	suite := emm.New()
	g.now, g.change, g.txn = time.Now, make(chan struct{}), adaptertest.NewTxn()
	var err error
	if g.ledger, err = ledger.New(ledger.Config{Self: "110000", Hash: suite.Sum}); err != nil {
		t.Fatal(err)
	}
	if err = g.ledger.Reset(g.txn); err != nil {
		t.Fatal(err)
	}
	return g.join(t, "n1", g, archive)
}

// follower is a node of the group that does not lead.
type follower struct{ *group }

func (f follower) Leadership() (consensus.Leadership, <-chan struct{}) {
	return consensus.Leadership{LeaderID: "n1"}, f.change
}

func (g *group) join(t *testing.T, node string, log auditor.Log, archive *auditor.Archive) (*auditor.Auditor, func()) {
	t.Helper()
	batch := byte(0)
	a, err := auditor.New(auditor.Deps{
		Region: "110000", Node: node, Log: log, Ledger: g.ledger, Now: time.Now, Archive: archive,
		Random: func(b []byte) { batch++; b[0] = batch },
		Sign:   func([]byte) (string, []byte, error) { return "sign-1", []byte("signature"), g.unsigned },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = a.Run(ctx) })
	running.Go(func() { _ = a.RunDuties(ctx) })
	return a, func() {
		cancel()
		running.Wait()
	}
}

// TestFlood: an outsider who is refused a hundred thousand times in a second costs one line, whatever else he makes up;
// different refusals cost a bounded number, and none is lost without being counted.
func TestFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &group{}
		a, stop := begin(t, g, nil)
		defer stop()
		for i := range 100_000 {
			a.Note(t.Context(), "parcel_refused", slog.String("peer", "310000"), slog.String("reason", "signature"),
				slog.Int("parcel", i))
		}
		time.Sleep(2 * time.Second)
		lines := g.entries(t)
		if len(lines) != 1 || lines[0].Line.Count != 100_000 || lines[0].Line.Node != "n1" {
			t.Fatalf("%d lines, %+v", len(lines), lines)
		}
		for i := range 10_000 {
			a.Note(t.Context(), "impersonation", slog.String("beneficiary", fmt.Sprint(i)))
		}
		time.Sleep(2 * time.Second)
		lines, told := g.entries(t)[1:], 0
		for _, e := range lines {
			told += e.Line.Count
		}
		if len(lines) > 2*129 || told != 10_000 || lines[len(lines)-1].Line.Event != "audit_overflow" {
			t.Errorf("%d lines for %d events, the last %+v", len(lines), told, lines[len(lines)-1])
		}
	})
}

// TestLeaderChange: batches whose fate is unknown, or that surely did not arrive, stand in the chain once, in order.
func TestLeaderChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		g := &group{fate: func(ledger.Command) (bool, error) {
			tries++
			switch tries % 3 {
			case 0:
				return true, consensus.ErrUnknown // applied, and the answer was lost
			case 1:
				return false, consensus.ErrNoLeader
			}
			return true, nil
		}}
		a, stop := begin(t, g, nil)
		for i := range 20 {
			a.Note(t.Context(), "rules_set", slog.Int("n", i))
			time.Sleep(700 * time.Millisecond)
		}
		stop()
		lines := g.entries(t)
		if len(lines) != 20 {
			t.Fatalf("%d lines", len(lines))
		}
		for i, e := range lines {
			if e.Line.Attrs[0].Value != fmt.Sprint(i) {
				t.Errorf("line %d: %+v", i, e.Line)
			}
		}
	})
}

// TestCheckpointsMade: a leader signs when it begins, and a minute behind what has no checkpoint; a follower never.
func TestCheckpointsMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &group{}
		a, stop := begin(t, g, nil)
		defer stop()
		a.Note(t.Context(), "rules_set")
		time.Sleep(5 * time.Minute)
		if n := len(g.checkpoints(t)); n != 0 {
			t.Fatalf("a follower signed %d", n)
		}
		g.mu.Lock()
		g.lead = true
		close(g.change)
		g.change = make(chan struct{})
		g.mu.Unlock()
		time.Sleep(5 * time.Second)
		points := g.checkpoints(t)
		if len(points) != 1 || points[0].Number != 2 {
			t.Fatalf("the leader that begins signs: %+v", points)
		}
		a.Note(t.Context(), "rules_set")
		time.Sleep(2 * time.Minute)
		if points = g.checkpoints(t); len(points) != 2 || points[1].Number != 3 {
			t.Errorf("%+v", points)
		}
		time.Sleep(time.Hour)
		if points = g.checkpoints(t); len(points) != 2 {
			t.Errorf("nothing new, and %d checkpoints", len(points))
		}
	})
}

// TestArchive: complete blocks become files that verify alone, equal on every node, and leave the state once they are
// old; what is left follows them without a gap.
func TestArchive(t *testing.T) {
	t.Parallel()
	leads, follows := filepath.Join(t.TempDir(), "audit"), filepath.Join(t.TempDir(), "audit")
	synctest.Test(t, func(t *testing.T) {
		g := &group{lead: true}
		a, stop := begin(t, g, &auditor.Archive{Dir: leads, Keep: time.Hour, Min: 100})
		defer stop()
		b, end := g.join(t, "n2", follower{g}, &auditor.Archive{Dir: follows, Keep: time.Hour, Min: 100})
		defer end()
		for i := range 50 {
			for j := range 5 {
				a.Note(t.Context(), "impersonation", slog.Int("n", 10*i+j))
				b.Note(t.Context(), "impersonation", slog.Int("n", 10*i+j))
			}
			time.Sleep(8 * time.Second)
		}
		files := read(t, leads)
		if len(files) < 2 || len(g.entries(t)) != 501 {
			t.Errorf("%d files, %d lines", len(files), len(g.entries(t)))
		}
		time.Sleep(2 * time.Hour)
		left := g.entries(t)
		if len(left) == 0 || left[0].Number < 200 {
			t.Fatalf("%d lines are left", len(left))
		}
		report := verify(t, leads)
		if report.First != 1 || report.Last+1 < left[0].Number || report.Unsigned() != 0 {
			t.Errorf("%+v, and the state goes on at %d", report, left[0].Number)
		}
	})
	if fmt.Sprint(read(t, leads)) != fmt.Sprint(read(t, follows)) {
		t.Error("two nodes wrote different files")
	}
}

// TestArchiveAfterTrouble: lines that nothing could sign for long become files all the same, of a bounded length, when
// the first checkpoint covers them: they verify as one log, are equal on every node, and leave the state.
func TestArchiveAfterTrouble(t *testing.T) {
	t.Parallel()
	leads, follows := filepath.Join(t.TempDir(), "audit"), filepath.Join(t.TempDir(), "audit")
	synctest.Test(t, func(t *testing.T) {
		g := &group{lead: true, unsigned: errors.New("the key's file cannot be read")}
		a, stop := begin(t, g, &auditor.Archive{Dir: leads, Keep: time.Hour, Min: 10})
		defer stop()
		_, end := g.join(t, "n2", follower{g}, &auditor.Archive{Dir: follows, Keep: time.Hour, Min: 10})
		defer end()
		for i := range 10 {
			for j := range 50 {
				a.Note(t.Context(), "impersonation", slog.Int("n", 50*i+j))
			}
			time.Sleep(8 * time.Second)
		}
		if files := read(t, leads); len(files) != 0 || len(g.entries(t)) < 500 {
			t.Fatalf("%d files without any signature, %d lines", len(files), len(g.entries(t)))
		}
		g.mu.Lock()
		g.unsigned = nil
		g.mu.Unlock()
		time.Sleep(2 * time.Hour)
		files := read(t, leads)
		for name, text := range files {
			if n := strings.Count(text, "\n"); n > 162 { // 160 lines, head and checkpoint
				t.Errorf("%s has %d rows", name, n)
			}
		}
		left := g.entries(t)
		report := verify(t, leads)
		if len(files) < 3 || len(left) > 200 || report.First != 1 || report.Last < 300 {
			t.Errorf("%d files, %d lines are left in the state, %+v", len(files), len(left), report)
		}
	})
	if fmt.Sprint(read(t, leads)) != fmt.Sprint(read(t, follows)) {
		t.Error("two nodes wrote different files")
	}
}

func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name()] = string(data)
	}
	return out
}

func verify(t *testing.T, dir string) auditlog.Report {
	t.Helper()
	v := &auditlog.Verifier{Hash: emm.New().Sum, Check: func(*auditlog.Checkpoint) error { return nil }}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err == nil {
			err = v.File(f.Name(), bytes.NewReader(data))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := v.End(nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
