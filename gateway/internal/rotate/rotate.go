// Package rotate replaces the keys at rest of a running region: the key of the tokens that persons are found by, the
// data key that persons are sealed under, the key of the leaves' salts (design 6, R-28).
//
// The state says which keys are in force and how far a rotation is (ledger, apply_keys.go). Here every node says
// whether it has the new key, and the leader brings it into force and then walks through what the old key made: it
// opens each sealed person, makes the token or the seal anew, and proposes pages of them. Everything may be done twice
// and by two leaders: a page counts only where the walk stands.
package rotate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"gongji/consensus"
	"gongji/crypto"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/vault"
)

// Timing are the waits and the rate of a rotation.
type Timing struct {
	Look    time.Duration // how often a node looks at what is to be done
	Rate    int           // records that the walk looks at in a second
	Stalled time.Duration // a rotation that has not moved for so long is told to operators
}

// DefaultTiming leaves a busy region its strength.
func DefaultTiming() Timing {
	return Timing{Look: 250 * time.Millisecond, Rate: 1000, Stalled: 5 * time.Minute}
}

// Waits that nobody sets.
const (
	fitEvery      = 10 * time.Second // how often a node tries the keys in force when nothing has changed
	reloadEvery   = time.Second      // how often a missing key is looked for
	handOverEvery = 10 * time.Second // how often a leader without a key tries to find another one
)

// Deps are what a Rotator works with.
type Deps struct {
	Node     string // this node's id
	Log      consensus.Log
	Ledger   *ledger.Ledger
	Vault    *vault.Vault
	Ring     crypto.KeyKeeper
	HandOver func(ctx context.Context)       // gives leadership to another node
	Forget   func(ctx context.Context) error // makes this node's disk forget what was deleted
	Now      func() time.Time
	Logger   *slog.Logger
	Metrics  *Metrics
	Audit    func(event string, attrs ...slog.Attr)
	Timing   Timing
}

// Rotator is one node's part of the rotations. Safe for concurrent use.
type Rotator struct {
	Deps
	fitness
	forgotten uint64 // the rotation after which this node's disk has forgotten
	pending   bool   // it has been seen under way, or done within Stalled
	stalled   uint64 // the rotation whose standing still was told
	reason    string // why the last page was not made
	carried   int    // orders to destroy a key that were looked at
	carriedAt time.Time
}

// New checks Deps and makes a Rotator. It starts nothing.
func New(d Deps) (*Rotator, error) {
	if d.Node == "" || d.Log == nil || d.Ledger == nil || d.Vault == nil || d.Ring == nil || d.HandOver == nil ||
		d.Forget == nil || d.Now == nil || d.Logger == nil || d.Metrics == nil || d.Audit == nil || d.Timing.Look <= 0 ||
		d.Timing.Rate <= 0 || d.Timing.Stalled <= 0 {
		return nil, errors.New("rotate: something is missing in Deps")
	}
	return &Rotator{Deps: d}, nil
}

// Run does this node's part until ctx ends.
func (r *Rotator) Run(ctx context.Context) error {
	ticker := time.NewTicker(r.Timing.Look)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		if err := r.look(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, consensus.ErrNoLeader) {
			r.Logger.LogAttrs(ctx, slog.LevelWarn, "the rotation of a key waits", slog.String("error", err.Error()))
		}
	}
}

// look does what is to be done now.
func (r *Rotator) look(ctx context.Context) error {
	state := r.Ledger.InForce()
	k := state.Keys
	r.Metrics.show(&k)
	if err := r.carryOut(ctx, state.Destroyed); err != nil && !errors.Is(err, consensus.ErrNoLeader) && ctx.Err() == nil {
		r.Logger.LogAttrs(ctx, slog.LevelWarn, "a destruction of keys waits", slog.String("error", err.Error()))
	}
	r.tryKeys(ctx, &k)
	lead, _ := r.Log.Leadership()
	under, on := k.UnderWay()
	if !on && under.Stage == ledger.RotationDone {
		if err := r.forget(ctx, &under); err != nil {
			return err
		}
	}
	r.pending = r.pending || on
	if under.Stage == ledger.RotationPreparing && !slices.Contains(under.Confirmed, r.Node) {
		if err := r.confirm(ctx, &under); err != nil {
			return err
		}
	}
	if !lead.Leader {
		r.Metrics.stalled.Set(0)
		return nil
	}
	r.tellStalled(&under, on)
	if on {
		return r.advance(ctx, &under)
	}
	return r.name(ctx, &k)
}

// name brings the keys of the leader's ring into the state where it names none yet. From then on a key that somebody
// puts into a ring is used only when a rotation says so.
func (r *Rotator) name(ctx context.Context, k *ledger.KeysRecord) error {
	n := &ledger.NameKeys{}
	for use, at := range map[ledger.KeyUse]*string{
		ledger.KeyToken: &n.Token, ledger.KeyData: &n.Data, ledger.KeyEvidence: &n.Evidence,
	} {
		if k.InForce(use) != "" {
			continue
		}
		id, err := r.Ring.Current(crypto.Use(use))
		if err == nil {
			*at = id
		}
	}
	if *n == (ledger.NameKeys{}) {
		return nil
	}
	_, err := r.propose(ctx, n)
	return err
}

// confirm says in the log that this node has the coming key, if it does.
func (r *Rotator) confirm(ctx context.Context, under *ledger.RotationRecord) error {
	err := r.Vault.Proves(crypto.Use(under.Use), under.New, under.Probe)
	if errors.Is(err, crypto.ErrNoKey) && r.reload() {
		err = r.Vault.Proves(crypto.Use(under.Use), under.New, under.Probe)
	}
	if err != nil {
		return fmt.Errorf("rotate: %s: %w", under.New, err)
	}
	_, err = r.propose(ctx, &ledger.ConfirmKey{Rotation: under.Number, Node: r.Node})
	return err
}

// advance does the leader's next step: the key comes into force when every member has it, then the walk goes on.
func (r *Rotator) advance(ctx context.Context, under *ledger.RotationRecord) error {
	if under.Stage == ledger.RotationMoving {
		return r.walk(ctx)
	}
	members := r.members()
	if len(missing(members, under.Confirmed)) > 0 {
		return nil
	}
	o, err := r.propose(ctx, &ledger.StageRotation{Rotation: under.Number, Nodes: members})
	if err == nil && o.Code == "" {
		r.Audit("rotation_key_in_force", slog.String("use", string(under.Use)), slog.String("key", under.New),
			slog.Uint64("rotation", under.Number))
	}
	return err
}

// members are the nodes of the group, this one included.
func (r *Rotator) members() []string {
	members := r.Log.Status().Peers
	if !slices.Contains(members, r.Node) {
		members = append(slices.Clone(members), r.Node)
	}
	return members
}

func missing(members, confirmed []string) []string {
	var out []string
	for _, m := range members {
		if !slices.Contains(confirmed, m) {
			out = append(out, m)
		}
	}
	return out
}

func (r *Rotator) propose(ctx context.Context, c ledger.Command) (ledger.Outcome, error) {
	data, err := r.Log.Propose(ctx, ledger.EncodeCommand(c))
	if err != nil {
		return ledger.Outcome{}, err
	}
	return ledger.DecodeOutcome(data)
}

// forget makes this node's disk forget the old key's work, once after each rotation that it has seen, and after a start
// soon behind one.
func (r *Rotator) forget(ctx context.Context, done *ledger.RotationRecord) error {
	if r.forgotten == done.Number || done.Use == ledger.KeyEvidence {
		return nil
	}
	if !r.pending && r.Now().Sub(done.Ended) > r.Timing.Stalled {
		r.forgotten = done.Number
		return nil
	}
	if err := r.Forget(ctx); err != nil {
		return err
	}
	r.forgotten, r.pending = done.Number, false
	r.Audit("rotation_forgotten", slog.Uint64("rotation", done.Number), slog.String("old", done.Old))
	return nil
}

// tellStalled tells operators of a rotation that does not move.
func (r *Rotator) tellStalled(under *ledger.RotationRecord, on bool) {
	moved := under.Started
	if under.Moved.After(moved) {
		moved = under.Moved
	}
	late := on && r.Now().Sub(moved) > r.Timing.Stalled
	r.Metrics.stand(late)
	if !late || r.stalled == under.Number {
		return
	}
	r.stalled = under.Number
	why := r.reason
	if under.Stage == ledger.RotationPreparing {
		why = fmt.Sprintf("not confirmed by %v", missing(r.members(), under.Confirmed))
	}
	r.Audit("rotation_stalled", slog.Uint64("rotation", under.Number), slog.String("use", string(under.Use)),
		slog.String("stage", under.Stage.String()), slog.String("reason", why))
}

// Errors of Start, Cancel and MayDestroy.
var (
	// ErrUnderWay: one rotation after the other.
	ErrUnderWay = errors.New("rotate: a rotation is under way")
	// ErrNone: there is no rotation that could be given up; one that moves records goes on to its end.
	ErrNone = errors.New("rotate: no rotation is being prepared")
	// ErrUse: there is no such use of a key at rest.
	ErrUse = errors.New("rotate: a key is for token, data or evidence")
	// ErrNeeded: a key is in force, or something in the state can only be read with it.
	ErrNeeded = errors.New("rotate: the key is needed")
)

// Start begins a rotation. The new key is the ring's newest if it is newer than the one in force: so it can be made and
// copied to every node beforehand. Else this node makes one, and the rotation waits until every node has it.
func (r *Rotator) Start(ctx context.Context, use ledger.KeyUse, operator string) error {
	if !use.Valid() {
		return ErrUse
	}
	k, err := r.keys(ctx)
	if err != nil {
		return err
	}
	if _, on := k.UnderWay(); on {
		return ErrUnderWay
	}
	old := k.InForce(use)
	if old == "" {
		return fmt.Errorf("%w: the state names no key yet", consensus.ErrNoLeader)
	}
	id, err := r.newest(crypto.Use(use), old)
	if err != nil {
		return err
	}
	probe, err := r.Vault.Probe(crypto.Use(use), id)
	if err != nil {
		return err
	}
	o, err := r.propose(ctx, &ledger.StartRotation{Use: use, New: id, Probe: probe, Operator: operator})
	switch {
	case err != nil:
		return err
	case o.Code != "":
		return fmt.Errorf("%w: %s", ErrUnderWay, o.Code)
	}
	r.Audit("rotation_started", slog.String("use", string(use)), slog.String("old", old), slog.String("new", id),
		slog.String("operator", operator))
	return nil
}

func (r *Rotator) newest(use crypto.Use, old string) (string, error) {
	if err := r.Ring.Reload(); err != nil {
		return "", err
	}
	ids, err := r.Ring.IDs(use)
	if err != nil {
		return "", err
	}
	if len(ids) > 0 && ids[0] != old {
		return ids[0], nil
	}
	return r.Ring.Generate(use)
}

// Cancel gives up a rotation that is still being prepared.
func (r *Rotator) Cancel(ctx context.Context, operator string) error {
	k, err := r.keys(ctx)
	if err != nil {
		return err
	}
	o, err := r.propose(ctx, &ledger.StageRotation{Rotation: k.Rotation.Number, Cancel: true})
	switch {
	case err != nil:
		return err
	case o.Code == policy.CodeWrongState:
		return ErrNone
	}
	r.Audit("rotation_cancelled", slog.Uint64("rotation", k.Rotation.Number), slog.String("operator", operator))
	return nil
}

// keys reads the state, up to date.
func (r *Rotator) keys(ctx context.Context) (ledger.KeysRecord, error) {
	var k ledger.KeysRecord
	err := r.Log.Read(ctx, func(rd consensus.Reader) error {
		var err error
		k, err = r.Ledger.View(rd).Keys()
		return err
	})
	return k, err
}

// MayDestroy returns nil if this region needs a key no more: ErrNeeded with the reason else. What the evidence keeps of
// persons is unreadable afterwards; its digests stay.
func (r *Rotator) MayDestroy(ctx context.Context, use crypto.Use, id string) error {
	state := r.Ledger.InForce()
	var err error
	if state.Keys, err = r.keys(ctx); err != nil {
		return err
	}
	if why := state.Needed(string(use), id, r.Now()); why != "" {
		return fmt.Errorf("%w: %s: %s", ErrNeeded, id, why)
	}
	return nil
}
