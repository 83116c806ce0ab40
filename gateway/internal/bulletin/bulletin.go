// Package bulletin brings the federation's directories into the region's log: from the board (the compacted topic that
// everybody reads) and from a file, whichever is there.
//
// Only the leader works. What it reads is judged by the signatures of the federation's root, and against the directory
// in force; the entry judges once more, by the log's stamp. Whoever operates the broker may put anything on the board:
// each record is judged alone and forgotten, so that junk neither hides a good one behind it nor fills memory, and the
// work on it is kept to half of one processor. What is refused is counted, and audited once for each content.
//
// A directory that ages is told of early: at half and at four fifths of its validity, and when it has expired. An
// expired one stops new holds and nothing else.
package bulletin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
)

// Waits of the watch.
const (
	fileEvery = time.Second            // how often the file is read
	fileAgain = 15 * time.Second       // how often a file that was refused is judged again
	again     = 500 * time.Millisecond // after an error of the board or the log
	ageEvery  = 15 * time.Second       // how often the age of the directory is looked at
	restMax   = 200 * time.Millisecond // the longest rest after a record that was refused
)

// Sources of a directory, as counters and audit lines name them.
const (
	sourceBoard = "topic"
	sourceFile  = "file"
)

// refusedContent: Judge did not like what a genuine directory says.
const refusedContent federation.Refusal = "directory_content"

// Deps are what a Watch works with. Board, File or both.
type Deps struct {
	Log    consensus.Log
	Ledger *ledger.Ledger
	Sealer federation.Sealer
	Roots  federation.Roots
	Board  federation.Board       // nil: there is none
	File   func() ([]byte, error) // reads the file, at most federation.DirectoryMax+1 bytes of it; nil: there is none
	// Judge looks at the content of a directory that is genuine, as at its certificates, and may refuse it; present
	// may be nil. It is called by one goroutine at a time. nil: nobody.
	Judge  func(ctx context.Context, next, present *federation.Directory) error
	Now    func() time.Time
	Logger *slog.Logger
	Audit  func(event string, attrs ...slog.Attr)
	// Metrics is where the counts go; see NewMetrics.
	Metrics *Metrics
}

// Watch takes newer directories. Safe for concurrent use.
type Watch struct {
	Deps
	known   known
	judging sync.Mutex
}

// New checks Deps and makes a Watch. It starts nothing.
func New(d Deps) (*Watch, error) {
	if d.Log == nil || d.Ledger == nil || d.Sealer == nil || d.Now == nil || d.Logger == nil || d.Audit == nil ||
		d.Metrics == nil || (d.Board == nil && d.File == nil) {
		return nil, errors.New("bulletin: something is missing in Deps")
	}
	if err := d.Roots.Check(); err != nil {
		return nil, err
	}
	return &Watch{Deps: d}, nil
}

// Run watches whenever this node leads, until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		lead, changed := w.Log.Leadership()
		if lead.Leader {
			w.lead(ctx, changed)
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil
}

func (w *Watch) lead(ctx context.Context, changed <-chan struct{}) {
	leading, cancel := context.WithCancel(ctx)
	defer cancel()
	var g errgroup.Group // nobody fails: what goes wrong is logged and tried again
	g.Go(func() error {
		select {
		case <-changed:
			cancel()
		case <-leading.Done():
		}
		return nil
	})
	if w.Board != nil {
		g.Go(func() error { w.board(leading); return nil })
	}
	if w.File != nil {
		g.Go(func() error { w.file(leading); return nil })
	}
	g.Go(func() error { w.age(leading); return nil })
	_ = g.Wait() // always nil
}

// board reads the topic from its start: it is compacted, and has a few dozen records. A new leader reads all of it,
// since what an old one has passed over may be good by now.
func (w *Watch) board(ctx context.Context) {
	offset, newest, failing := int64(0), uint64(0), false
	for ctx.Err() == nil {
		records, next, err := w.Board.Posted(ctx, offset)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, federation.ErrRewound):
			w.Logger.LogAttrs(ctx, slog.LevelError, "the bus has lost the directories; the topic is read from its start",
				slog.Int64("offset", offset))
			offset, newest = 0, 0
			continue
		case err != nil:
			if !failing {
				w.Logger.LogAttrs(ctx, slog.LevelWarn, "the topic of directories cannot be read; it is tried on",
					slog.String("error", err.Error()))
			}
			failing = true
			pause(ctx, again)
			continue
		}
		failing = false
		for i := range records {
			newest = max(newest, w.posted(ctx, records[i].Value, newest))
		}
		offset = next
	}
}

// posted judges one record of the topic and returns its version, 0 for none. A version below the one in force is
// history while the topic is read for the first time; behind a newer one it is a replay.
func (w *Watch) posted(ctx context.Context, value []byte, newest uint64) uint64 {
	if len(value) == 0 || ctx.Err() != nil {
		return 0 // a key that was taken away
	}
	began := time.Now() // a measurement, no decision
	version, why := w.offer(ctx, value, sourceBoard)
	if why == federation.RefusedDirOlder && version >= newest {
		return version
	}
	if why != "" {
		w.refuse(value, sourceBoard, why, version)
		pause(ctx, min(time.Since(began), restMax))
	}
	return version
}

// file reads the file again and again: it is small, and its time of change may lie.
func (w *Watch) file(ctx context.Context) {
	failing := false
	var bad [federation.HashSize]byte // refused, and not to be judged again before
	var later time.Time
	for ctx.Err() == nil {
		signed, err := w.File()
		sum := w.Sealer.Hash(signed)
		switch {
		case err == nil && sum == bad && time.Now().Before(later):
		case err == nil:
			failing = false
			if version, why := w.offer(ctx, signed, sourceFile); why != "" {
				w.refuse(signed, sourceFile, why, version)
				bad, later = sum, time.Now().Add(fileAgain)
			}
		case !failing:
			failing = true
			w.Logger.LogAttrs(ctx, slog.LevelWarn, "the directory's file cannot be read; it is tried on",
				slog.String("error", err.Error()))
		}
		pause(ctx, fileEvery)
	}
}

// offer brings a directory into the log, again and again while the log is busy, unless it is the one in force or must
// not come after it. It returns its version, and why it was refused: empty for taken and for not new.
func (w *Watch) offer(ctx context.Context, signed []byte, source string) (uint64, federation.Refusal) {
	present := w.Ledger.InForce().Directory
	if present != nil && string(present.Signed()) == string(signed) {
		return present.Version(), ""
	}
	if why, ok := w.known.why(w.Sealer.Hash(signed)); ok {
		return 0, why
	}
	d, err := federation.ReadDirectory(w.Sealer, w.Roots, signed, present)
	if err != nil {
		return w.versionOf(signed, err), reason(err)
	}
	if present != nil && d.Digest() == present.Digest() {
		return d.Version(), "" // the same under other signatures
	}
	if d.Expired(w.Now()) {
		return d.Version(), federation.RefusedDirExpired
	}
	if err := w.judge(ctx, d, present); err != nil {
		w.Logger.LogAttrs(ctx, slog.LevelError, "a directory's content is refused",
			slog.Uint64("version", d.Version()), slog.String("error", err.Error()))
		return d.Version(), refusedContent
	}
	command := ledger.EncodeCommand(&ledger.SetDirectory{Signed: signed})
	for ctx.Err() == nil {
		out, err := w.propose(ctx, command)
		if err == nil && out.Code != "" {
			return d.Version(), federation.Refusal(out.Detail)
		}
		if err == nil {
			w.taken(d, source)
			return d.Version(), ""
		}
		w.Logger.LogAttrs(ctx, slog.LevelWarn, "a directory is not in the log yet; it is tried again",
			slog.Uint64("version", d.Version()), slog.String("error", err.Error()))
		pause(ctx, again)
	}
	return d.Version(), ""
}

func (w *Watch) judge(ctx context.Context, next, present *federation.Directory) error {
	if w.Judge == nil {
		return nil
	}
	w.judging.Lock()
	defer w.judging.Unlock()
	return w.Judge(ctx, next, present)
}

// versionOf is the version of a genuine directory that was refused for its place in the sequence.
func (w *Watch) versionOf(signed []byte, err error) uint64 {
	if reason(err) != federation.RefusedDirOlder {
		return 0
	}
	d, err := federation.LoadDirectory(w.Sealer.Hash, signed)
	if err != nil {
		return 0
	}
	return d.Version()
}

func (w *Watch) propose(ctx context.Context, command []byte) (ledger.Outcome, error) {
	data, err := w.Log.Propose(ctx, command)
	if err != nil {
		return ledger.Outcome{}, fmt.Errorf("bulletin: %w", err)
	}
	return ledger.DecodeOutcome(data)
}

func (w *Watch) taken(d *federation.Directory, source string) {
	w.Metrics.taken.WithLabelValues(source).Inc()
	w.Audit("directory_in_force", slog.Uint64("version", d.Version()), slog.String("source", source),
		slog.String("digest", fmt.Sprintf("%x", d.Digest())), slog.Time("expires", d.Expires()))
}

// refuse counts a refusal, and audits it the first time that this content is seen.
func (w *Watch) refuse(signed []byte, source string, why federation.Refusal, version uint64) {
	first := w.known.add(w.Sealer.Hash(signed), why)
	if first || source != sourceFile { // a file is read every second: it counts once
		w.Metrics.refused.WithLabelValues(source, string(why)).Inc()
	}
	if first {
		w.Audit("directory_refused", slog.String("reason", string(why)), slog.String("source", source),
			slog.Uint64("version", version), slog.Int("bytes", len(signed)))
	}
}

func reason(err error) federation.Refusal {
	if r, ok := errors.AsType[*federation.RefusedError](err); ok {
		return r.Why
	}
	return "fault"
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
