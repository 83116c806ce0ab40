package secondopinion_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/crypto"
	"gongji/crypto/secondopinion"
	"gongji/crypto/sm/emm"
	"gongji/crypto/sm/gmsm"
)

// engine is emm with a verdict of its own, and counts what it is asked.
type engine struct {
	crypto.Suite
	name    string
	verdict func(genuine bool, message []byte) bool
	asked   atomic.Int64
	during  func() // while it works
}

func (e *engine) Name() string { return e.name }

func (e *engine) Verifier(public crypto.Public) (crypto.Verifier, error) {
	inner, err := e.Suite.Verifier(public)
	if err != nil {
		return nil, err
	}
	return verifier{e, inner}, nil
}

type verifier struct {
	engine *engine
	inner  crypto.Verifier
}

func (v verifier) Verify(message, sig []byte) error {
	v.engine.asked.Add(1)
	if v.engine.during != nil {
		v.engine.during()
	}
	if v.engine.verdict(v.inner.Verify(message, sig) == nil, message) {
		return nil
	}
	return crypto.ErrSignature
}

func right(genuine bool, _ []byte) bool { return genuine }

// refusing refuses the genuine signatures of messages with that beginning: a fault as the carry
// fault was.
func refusing(beginning string) func(bool, []byte) bool {
	return func(genuine bool, message []byte) bool {
		return genuine && !bytes.HasPrefix(message, []byte(beginning))
	}
}

// fixture is an Opinion with everything that a test looks at.
type fixture struct {
	*secondopinion.Opinion
	chosen, other *engine
	private       crypto.Private
	registry      *prometheus.Registry
	log           *bytes.Buffer

	mu   sync.Mutex
	now  time.Time
	kept []secondopinion.Disagreement
	sink error
}

func (f *fixture) Keep(found secondopinion.Disagreement) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = append(f.kept, found)
	return f.sink
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func newFixture(t *testing.T, change func(*secondopinion.Config)) *fixture {
	t.Helper()
	f := &fixture{
		chosen:   &engine{Suite: emm.New(), name: "chosen", verdict: right},
		other:    &engine{Suite: emm.New(), name: "other", verdict: right},
		registry: prometheus.NewRegistry(),
		log:      &bytes.Buffer{},
		now:      time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	}
	private, err := emm.New().Generate()
	if err != nil {
		t.Fatal(err)
	}
	f.private = private
	config := secondopinion.Config{
		Chosen: f.chosen, Other: f.other, Registerer: f.registry, Sink: f,
		Logger: slog.New(slog.NewJSONHandler(f.log, nil)),
		Now: func() time.Time {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.now
		},
	}
	if change != nil {
		change(&config)
	}
	f.Opinion, err = secondopinion.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) sign(t *testing.T, message string) []byte {
	t.Helper()
	sig, err := f.private.Sign([]byte(message))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// expect verifies and checks the verdict.
func (f *fixture) expect(t *testing.T, message string, sig []byte, want error) {
	t.Helper()
	err := f.Verify(f.private.Public(), []byte(message), sig)
	if err != want { //nolint:errorlint // exactly these
		t.Errorf("%q: %v, want %v", message, err, want)
	}
}

func (f *fixture) counter(t *testing.T, name string) int {
	t.Helper()
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "gongji_crypto_"+name {
			return int(family.GetMetric()[0].GetCounter().GetValue())
		}
	}
	t.Fatalf("no counter %s", name)
	return 0
}

func TestAgreement(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	good, bad := f.sign(t, "good"), f.sign(t, "other")
	for range secondopinion.SampleDefault - 1 {
		f.expect(t, "good", good, nil)
	}
	if n := f.other.asked.Load(); n != 0 {
		t.Errorf("asked %d times before the sample is due", n)
	}
	f.expect(t, "good", good, nil)
	if n := f.other.asked.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	f.pass(time.Second)
	f.expect(t, "good", bad, crypto.ErrSignature)
	f.expect(t, "good", bad, crypto.ErrSignature) // within the second
	f.pass(time.Second - time.Nanosecond)
	f.expect(t, "good", bad, crypto.ErrSignature)
	if n := f.other.asked.Load(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
	f.pass(time.Nanosecond)
	f.expect(t, "good", bad, crypto.ErrSignature)
	if n := f.other.asked.Load(); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
	if f.counter(t, "second_opinions_total") != 3 || f.counter(t, "second_opinions_skipped_total") != 2 ||
		f.counter(t, "engine_disagreements_total") != 0 || len(f.kept) != 0 || f.log.Len() != 0 {
		t.Errorf("%v, %s", f.kept, f.log)
	}
	f.pass(-time.Hour) // a clock that was set back must not silence it
	f.expect(t, "good", bad, crypto.ErrSignature)
	if n := f.other.asked.Load(); n != 4 {
		t.Errorf("asked %d times after the clock went back, want 4", n)
	}
}

// TestWrongRefusal: the chosen engine refuses a valid signature. It is not accepted, but left
// unacknowledged, now and at each repeat.
func TestWrongRefusal(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.chosen.verdict = refusing("poison")
	sig := f.sign(t, "poison pill")
	for range 3 { // also within the interval, where nobody is asked
		f.expect(t, "poison pill", sig, secondopinion.ErrDisagreement)
	}
	f.expect(t, "good", f.sign(t, "good"), nil)
	f.pass(time.Minute)
	f.expect(t, "poison pill", sig, secondopinion.ErrDisagreement)
	if f.other.asked.Load() != 1 || f.counter(t, "engine_disagreements_total") != 1 || len(f.kept) != 1 {
		t.Errorf("asked %d, kept %d", f.other.asked.Load(), len(f.kept))
	}
	found := f.kept[0]
	if string(found.Message) != "poison pill" || !bytes.Equal(found.Signature, sig) || found.ChosenAccepts ||
		!bytes.Equal(found.Public, f.private.Public()) || found.Chosen != "chosen" || found.Other != "other" ||
		found.Digest != emm.New().Sum([]byte("poison pill")) || !found.Time.Equal(f.now.Add(-time.Minute)) {
		t.Errorf("%+v", found)
	}
	text := f.log.String()
	if !strings.Contains(text, `"msg":"engines_disagree"`) || strings.Contains(text, "poison") {
		t.Error(text)
	}
}

// TestWrongAcceptance: the other engine refuses what the chosen one accepts. Nobody knows who is
// right.
func TestWrongAcceptance(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *secondopinion.Config) { c.Sample = 1 })
	f.chosen.verdict = func(bool, []byte) bool { return true }
	forged := f.sign(t, "another")
	f.expect(t, "forged", forged, secondopinion.ErrDisagreement)
	f.expect(t, "forged", forged, secondopinion.ErrDisagreement)
	if len(f.kept) != 1 || !f.kept[0].ChosenAccepts {
		t.Errorf("%+v", f.kept)
	}
}

// TestOtherNeverAccepts: an engine that takes everything lets nothing in.
func TestOtherNeverAccepts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.other.verdict = func(bool, []byte) bool { return true }
	for i := range 20 {
		message := fmt.Sprint("forged ", i)
		err := f.Verify(f.private.Public(), []byte(message), f.sign(t, "another"))
		if err == nil {
			t.Fatal("accepted")
		}
		f.pass(time.Duration(i%2) * time.Second)
	}
}

func TestNoSample(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *secondopinion.Config) { c.Sample = -1 })
	sig := f.sign(t, "good")
	for range 300 {
		f.expect(t, "good", sig, nil)
		f.pass(time.Second)
	}
	if n := f.other.asked.Load(); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

// TestOneAtATime: while the other engine works for one peer, the others get the chosen engine's
// verdict.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	second, err := emm.New().Generate()
	if err != nil {
		t.Fatal(err)
	}
	forged := f.sign(t, "another")
	entered, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.other.during = func() {
		once.Do(func() {
			close(entered)
			<-leave
		})
	}
	done := make(chan error)
	go func() { done <- f.Verify(f.private.Public(), []byte("m"), forged) }()
	<-entered
	if err := f.Verify(second.Public(), []byte("m"), forged); !errors.Is(err, crypto.ErrSignature) {
		t.Error(err)
	}
	close(leave)
	if err := <-done; !errors.Is(err, crypto.ErrSignature) {
		t.Error(err)
	}
	if f.other.asked.Load() != 1 || f.counter(t, "second_opinions_skipped_total") != 1 {
		t.Errorf("asked %d times", f.other.asked.Load())
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *secondopinion.Config) { c.Interval = time.Nanosecond })
	f.chosen.verdict = func(bool, []byte) bool { return false }
	f.other.verdict = func(bool, []byte) bool { return true }
	first := f.sign(t, "message 0")
	for i := range secondopinion.RememberedMax + 10 {
		f.expect(t, fmt.Sprint("message ", i), first, secondopinion.ErrDisagreement)
		f.pass(time.Second)
	}
	if len(f.kept) != secondopinion.KeptMax {
		t.Errorf("%d are kept", len(f.kept))
	}
	if n := f.counter(t, "engine_disagreements_lost_total"); n != secondopinion.RememberedMax+10-secondopinion.KeptMax {
		t.Errorf("%d are lost", n)
	}
	asked := f.other.asked.Load()
	f.expect(t, fmt.Sprint("message ", secondopinion.RememberedMax), first, secondopinion.ErrDisagreement)
	if f.other.asked.Load() != asked {
		t.Error("a remembered one is asked about again")
	}
	f.expect(t, "message 0", first, secondopinion.ErrDisagreement)
	if f.other.asked.Load() != asked+1 {
		t.Error("the oldest one is still remembered")
	}
}

func TestLongMessage(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.chosen.verdict = refusing("")
	long := strings.Repeat("x", secondopinion.MessageMax+1)
	f.expect(t, long, f.sign(t, long), secondopinion.ErrDisagreement)
	if len(f.kept) != 1 || f.kept[0].Message != nil || f.kept[0].Digest != emm.New().Sum([]byte(long)) {
		t.Errorf("%d bytes kept", len(f.kept[0].Message))
	}
}

func TestManyPeers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	sig := f.sign(t, "m")
	f.expect(t, "m", sig, nil)
	stranger := func(i int) crypto.Public {
		d := bytes.Repeat([]byte{1}, crypto.PrivateSize)
		d[30], d[31] = byte(i>>8), byte(i)
		private, err := emm.New().Private(d)
		if err != nil {
			t.Fatal(err)
		}
		return private.Public()
	}
	for i := range secondopinion.PeersMax + 5 {
		if err := f.Verify(stranger(i), []byte("m"), sig); !errors.Is(err, crypto.ErrSignature) {
			t.Fatal(err)
		}
	}
	f.expect(t, "m", sig, nil)
	for _, bad := range []crypto.Public{nil, {4}, make(crypto.Public, crypto.PublicSize)} {
		if err := f.Verify(bad, []byte("m"), sig); !errors.Is(err, crypto.ErrKey) {
			t.Errorf("%x: %v", bad, err)
		}
		if v, err := f.Verifier("peer", bad); !errors.Is(err, crypto.ErrKey) || v != nil {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

func TestVerifier(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	f.chosen.verdict = refusing("poison")
	v, err := f.Verifier("350100", f.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	var contract crypto.Verifier = v
	if err := contract.Verify([]byte("good"), f.sign(t, "good")); err != nil {
		t.Error(err)
	}
	sig := f.sign(t, "poison")
	if err := contract.Verify([]byte("poison"), sig); !errors.Is(err, secondopinion.ErrDisagreement) {
		t.Error(err)
	}
	if len(f.kept) != 1 || f.kept[0].Peer != "350100" {
		t.Errorf("%+v", f.kept)
	}
}

// TestConcurrent is for the race detector, with the two real engines.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *secondopinion.Config) {
		c.Chosen, c.Other, c.Sample, c.Interval = emm.New(), gmsm.New(), 1, time.Nanosecond
	})
	good, bad := f.sign(t, "good"), f.sign(t, "bad")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 30 {
				f.pass(time.Microsecond)
				if err := f.Verify(f.private.Public(), []byte("good"), good); err != nil {
					t.Error(err)
				}
				if err := f.Verify(f.private.Public(), []byte("good"), bad); !errors.Is(err, crypto.ErrSignature) {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if f.counter(t, "engine_disagreements_total") != 0 || f.counter(t, "second_opinions_total") == 0 {
		t.Error("the engines disagree, or nobody was asked")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	whole := secondopinion.Config{
		Chosen: emm.New(), Other: gmsm.New(), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
	if _, err := secondopinion.New(whole); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*secondopinion.Config){
		"chosen":   func(c *secondopinion.Config) { c.Chosen = nil },
		"other":    func(c *secondopinion.Config) { c.Other = nil },
		"clock":    func(c *secondopinion.Config) { c.Now = nil },
		"logger":   func(c *secondopinion.Config) { c.Logger = nil },
		"interval": func(c *secondopinion.Config) { c.Interval = -1 },
	} {
		config := whole
		change(&config)
		if _, err := secondopinion.New(config); !errors.Is(err, secondopinion.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	whole.Registerer = prometheus.NewRegistry()
	_, err := secondopinion.New(whole)
	_, again := secondopinion.New(whole)
	if err != nil || again == nil {
		t.Errorf("registered twice: %v, %v", err, again)
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "found")
	folder, err := secondopinion.NewFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(c *secondopinion.Config) { c.Sink = folder })
	f.chosen.verdict = refusing("poison")
	f.expect(t, "poison", f.sign(t, "poison"), secondopinion.ErrDisagreement)
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	info, err := entries[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	raw, err := os.ReadFile(filepath.Join(path, entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	var record map[string]any
	err = json.Unmarshal(raw, &record)
	if err != nil || record["message"] != "706f69736f6e" || record["chosen"] != "chosen" {
		t.Errorf("%s, %v", raw, err)
	}
	folder.Limit(1)
	if err := folder.Keep(secondopinion.Disagreement{}); !errors.Is(err, secondopinion.ErrFolderFull) {
		t.Error(err)
	}
	f.pass(time.Second)
	f.expect(t, "poison too", f.sign(t, "poison too"), secondopinion.ErrDisagreement)
	if f.counter(t, "engine_disagreements_lost_total") != 1 {
		t.Error("what could not be kept is not counted")
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := folder.Keep(secondopinion.Disagreement{}); err == nil {
		t.Error("kept without a folder")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secondopinion.NewFolder(file); err == nil {
		t.Error("a file for a folder")
	}
}
