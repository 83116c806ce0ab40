// Package auditor brings a node's audit events into the region's audit log, and lets the leader sign checkpoints over
// it.
//
// Events are gathered for a second. Equal ones are one line with a count, and the different ones are bounded, so that a
// flood of refusals costs a bounded number of lines and nothing is lost without being counted. A batch is one command,
// proposed by the node that saw the events (a follower's goes to the leader like any command), and sent again with the
// same id until the log has it: a line that was confirmed is in the chain once, whoever leads. The node's ordinary log
// has each line at once; what a crash takes with it is at most the second that was being gathered.
package auditor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/consensus"
	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/ledger"
)

const (
	gatherFor       = time.Second // lines at most linesMax in that time
	againFirst      = 250 * time.Millisecond
	againMost       = 5 * time.Second
	proposeIn       = 10 * time.Second
	lastWords       = time.Second // a node that stops tries once more
	checkpointEvery = time.Minute
	checkpointLines = 1024 // a checkpoint is made at once when so many lines have none
)

// beganEvent is the line with which a leader begins: the first checkpoint of its time covers it.
const beganEvent = "leadership_began"

// errRefused: the log has the command and did not do it.
var errRefused = errors.New("auditor: refused")

// Log is what the auditor needs of the region's log.
type Log interface {
	Propose(ctx context.Context, command []byte) ([]byte, error)
	Read(ctx context.Context, view func(consensus.Reader) error) error
	Leadership() (consensus.Leadership, <-chan struct{})
}

// Deps are what an Auditor is made of; all are needed but Archive and Registerer.
type Deps struct {
	Region string
	Node   string
	Log    Log
	Ledger *ledger.Ledger
	Now    func() time.Time
	Random func([]byte)
	// Sign signs with the region's newest signing key and names it.
	Sign       func(message []byte) (keyID string, signature []byte, err error)
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Archive keeps files of lines that leave the state; nil keeps all lines in the state.
	Archive *Archive
}

// Auditor gathers and brings in. Safe for concurrent use.
type Auditor struct {
	deps   Deps
	gather *gather
	lines  *prometheus.CounterVec
	waits  prometheus.Gauge
}

// New makes an Auditor. It starts nothing.
func New(d Deps) (*Auditor, error) {
	if d.Log == nil || d.Ledger == nil || d.Now == nil || d.Random == nil || d.Sign == nil || d.Logger == nil {
		return nil, errors.New("auditor: not complete")
	}
	a := &Auditor{
		deps: d, gather: newGather(d.Node),
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gongji_audit_events_total", Help: "Events for the audit log, by event.",
		}, []string{"event"}),
		waits: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gongji_audit_waits", Help: "1 while a batch of the audit log cannot be brought into the region's log.",
		}),
	}
	if d.Registerer == nil {
		return a, nil
	}
	return a, errors.Join(d.Registerer.Register(a.lines), d.Registerer.Register(a.waits))
}

// Note takes an event in. event is a stable name of the program; operator, object and result among the attributes are
// fields of the line. No clear identity may stand in any of them. It never blocks.
func (a *Auditor) Note(ctx context.Context, event string, attrs ...slog.Attr) {
	a.lines.WithLabelValues(event).Inc()
	if a.gather.add(a.deps.Now(), event, attrs) {
		a.deps.Logger.LogAttrs(ctx, slog.LevelWarn, "audit", append(attrs, slog.String("event", event))...)
	}
}

// Run brings lines in until ctx ends.
func (a *Auditor) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			a.last(ctx)
			return nil
		case <-a.gather.wake:
		}
		if pause(ctx, gatherFor) == nil {
			a.bring(ctx, a.batch())
		}
	}
}

func (a *Auditor) batch() *ledger.NoteAudit {
	c := &ledger.NoteAudit{Node: a.deps.Node, Lines: a.gather.take()}
	a.deps.Random(c.Batch[:])
	return c
}

// bring proposes one batch until the log has it.
func (a *Auditor) bring(ctx context.Context, c *ledger.NoteAudit) {
	if len(c.Lines) == 0 {
		return
	}
	for wait := againFirst; ; wait = min(2*wait, againMost) {
		err := a.propose(ctx, c)
		if err == nil {
			a.waits.Set(0)
			return
		}
		a.waits.Set(1)
		if pause(ctx, wait) != nil {
			a.lastTry(ctx, c)
			return
		}
	}
}

// last brings in what is left when the node stops.
func (a *Auditor) last(ctx context.Context) { a.lastTry(ctx, a.batch()) }

func (a *Auditor) lastTry(ctx context.Context, c *ledger.NoteAudit) {
	lead, _ := a.deps.Log.Leadership()
	if len(c.Lines) == 0 || lead.LeaderID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err := a.propose(ctx, c); err != nil {
		a.deps.Logger.LogAttrs(ctx, slog.LevelWarn, "the last lines of the audit log stand in this log only",
			slog.Int("lines", len(c.Lines)), slog.String("error", err.Error()))
	}
}

func (a *Auditor) propose(ctx context.Context, c ledger.Command) error {
	ctx, cancel := context.WithTimeout(ctx, proposeIn)
	defer cancel()
	data, err := a.deps.Log.Propose(ctx, ledger.EncodeCommand(c))
	if err != nil {
		return err
	}
	o, err := ledger.DecodeOutcome(data)
	if err == nil && o.Code != "" {
		err = fmt.Errorf("%w: %s", errRefused, o.Code)
	}
	return err
}

// RunDuties does the leader's part until ctx ends, a line when it begins and checkpoints, and every node's: the
// archive.
func (a *Auditor) RunDuties(ctx context.Context) error {
	led, fresh := false, false
	soon := checkpointEvery
	for {
		lead, changed := a.deps.Log.Leadership()
		if lead.Leader && !led {
			a.Note(ctx, beganEvent)
			soon, fresh = 2*gatherFor, true // the line stands in the log by then
		}
		led = lead.Leader
		timer := time.NewTimer(soon)
		select {
		case <-timer.C:
			a.look(ctx, led, fresh)
			soon, fresh = checkpointEvery/12, false
		case <-changed:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// look makes a checkpoint when one is due, and moves what is old into files.
func (a *Auditor) look(ctx context.Context, leads, began bool) {
	var err error
	if leads {
		err = a.checkpoint(ctx, began)
	}
	if a.deps.Archive != nil {
		err = errors.Join(err, a.archive(ctx, leads))
	}
	if err != nil && ctx.Err() == nil {
		a.deps.Logger.LogAttrs(ctx, slog.LevelError, "the audit log was not signed or not archived",
			slog.String("error", err.Error()))
	}
}

// checkpoint signs the chain where it stands, if enough lines or enough time have passed since the last one, or a
// leader has begun.
func (a *Auditor) checkpoint(ctx context.Context, began bool) error {
	var head ledger.AuditHead
	var oldest time.Time // of the lines without a checkpoint
	err := a.deps.Log.Read(ctx, func(r consensus.Reader) error {
		v := a.deps.Ledger.View(r)
		var failed error
		if head, failed = v.AuditHead(); failed != nil || head.Number == head.Checkpointed {
			return failed
		}
		return v.AuditLines(head.Checkpointed+1, func(e *auditlog.Entry) bool {
			oldest = e.Line.At
			return false
		})
	})
	now := a.deps.Now()
	due := began || head.Number-head.Checkpointed >= checkpointLines || now.Sub(oldest) >= checkpointEvery
	if err != nil || head.Number == head.Checkpointed || !due {
		return err
	}
	p := auditlog.Checkpoint{
		Region: a.deps.Region, Number: head.Number, Digest: head.Digest, At: now.UTC().Truncate(time.Microsecond),
	}
	if p.KeyID, p.Signature, err = a.deps.Sign(p.Message()); err != nil {
		return err
	}
	err = a.propose(ctx, &ledger.KeepCheckpoint{Checkpoint: p})
	if errors.Is(err, errRefused) {
		return nil // another leader's newer one came first
	}
	return err
}

// pause waits, or returns why it may not.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
