package ledger

import (
	"maps"
	"slices"
	"time"

	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/operator"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// The destruction of a key is an entry of the log: whether nothing needs it is judged once, for all nodes, and every
// node carries it out when it has applied the entry, one that was down when it comes back.

// Names of lines of the audit log.
const (
	eventKeyDestroyed = "key_destroyed"
)

// CodeKeyNeeded answers a DestroyKey for a key that something needs; Outcome.Field says what for.
const CodeKeyNeeded policy.Code = "key_needed"

// What a key is needed for, by the region's state.
const (
	NeededInForce  = "in_force"
	NeededRotation = "rotation" // it comes or goes with the rotation that is under way
	NeededPersons  = "persons"  // persons may be sealed under it until a rotation of the data key has ended
	NeededListed   = "listed"   // in the directory, valid and not revoked
)

// Needed says what the region still needs one of its keys for at a moment; empty: nothing, by its state. What the
// evidence keeps of persons is not asked: purging that is what destroying an old data key is for.
func (f InForce) Needed(use, id string, now time.Time) string {
	under, on := f.Keys.UnderWay()
	switch {
	case KeyUse(use).Valid() && f.Keys.InForce(KeyUse(use)) == id:
		return NeededInForce
	case on && (under.Old == id || under.New == id):
		return NeededRotation
	case KeyUse(use) == KeyData && !f.Keys.Resealed:
		return NeededPersons
	}
	if f.Directory == nil {
		return ""
	}
	if k, ok := f.Directory.Key(f.Self, id); ok && !k.Revoked && now.Before(k.NotAfter) {
		return NeededListed
	}
	return ""
}

// destroyKey orders the destruction of a key, once.
func (x *tx) destroyKey(now time.Time, c *DestroyKey) Outcome {
	if c.ID == "" || c.Use == "" || c.Reason == "" || !short(idMax, c.ID, c.Use) || !short(textMax, c.Reason) {
		return refuse(policy.CodeInvalidRequest)
	}
	if !x.both(c.Operator, c.Second, operator.Secure) {
		return refuse(policy.CodeForbidden)
	}
	if x.l.gone[c.ID] != nil {
		return Outcome{ID: c.ID, Replay: true}
	}
	state := InForce{Directory: x.l.dir, Self: x.l.cfg.Self, Keys: x.l.rest}
	if why := state.Needed(c.Use, c.ID, now); why != "" {
		return Outcome{Code: CodeKeyNeeded, Field: why}
	}
	if len(x.l.gone) >= destroyedMax {
		return refuse(policy.CodeRateLimited)
	}
	x.keepDestroyed(&DestroyedKey{
		ID: c.ID, Use: c.Use, Operator: c.Operator, Second: c.Second, Reason: c.Reason, Ordered: now,
	})
	return Outcome{ID: c.ID}
}

// keyDestroyed takes a node's word; the same word again changes nothing.
func (x *tx) keyDestroyed(now time.Time, c *KeyDestroyed) Outcome {
	old := x.l.gone[c.ID]
	switch {
	case old == nil:
		return refuse(policy.CodeNotFound)
	case c.Node == "" || !short(idMax, c.Node) || !c.End.valid():
		return refuse(policy.CodeInvalidRequest)
	case old.At(c.Node) == c.End:
		return Outcome{ID: c.ID, Replay: true}
	}
	d := *old
	d.Nodes = slices.Clone(old.Nodes)
	at := slices.IndexFunc(d.Nodes, func(n NodeEnd) bool { return n.Node == c.Node })
	switch {
	case at >= 0:
		d.Nodes[at].End, d.Nodes[at].At = c.End, now
	case len(d.Nodes) >= nodesMax:
		return refuse(policy.CodeRateLimited)
	default:
		d.Nodes = append(d.Nodes, NodeEnd{c.Node, c.End, now})
	}
	x.keepDestroyed(&d)
	result := auditlog.ResultDone
	if !c.End.Gone() {
		result = auditlog.ResultRefused
	}
	line := told(eventKeyDestroyed, d.Operator, d.ID, result, attr("end", string(c.End)), attr("second", d.Second))
	line.Node = c.Node
	x.note(now, line)
	return Outcome{ID: c.ID}
}

func (x *tx) keepDestroyed(d *DestroyedKey) {
	x.Set(stateKey(keyDestroyed, d.ID), record.Encode(d))
	all := maps.Clone(x.l.gone)
	if all == nil {
		all = map[string]*DestroyedKey{}
	}
	all[d.ID] = d
	x.l.gone, x.l.changed = all, true
}
