package ledger

import (
	"errors"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/policy"
)

func readDirectory(r consensus.Reader, h federation.Hash) (*federation.Directory, error) {
	signed, ok := r.Get(stateKey(keyMeta, metaDirectory))
	if !ok {
		return nil, nil //nolint:nilnil // a region without a directory is one that has not been told yet
	}
	return federation.LoadDirectory(h, signed)
}

// setDirectory takes a newer directory. The leader has verified the root's signatures; what depends on the moment is
// judged here, by the log's stamp and against the directory that is in force at this entry: an older one changes
// nothing, a forked or expired one is refused. The reason stands in Detail.
func (x *tx) setDirectory(now time.Time, c *SetDirectory) Outcome {
	d, err := federation.LoadDirectory(x.l.cfg.Hash, c.Signed)
	if err != nil {
		return Outcome{Code: policy.CodeInvalidRequest, Detail: err.Error()}
	}
	if x.l.dir != nil && d.Version() < x.l.dir.Version() {
		return Outcome{}
	}
	switch err := d.Follows(x.l.dir); {
	case err != nil:
		return Outcome{Code: policy.CodeConflict, Detail: reasonOf(err)}
	case x.l.dir != nil && d.Version() == x.l.dir.Version():
		return Outcome{}
	case d.Expired(now):
		return Outcome{Code: policy.CodeExpired, Detail: string(federation.RefusedDirExpired)}
	}
	x.silenced(now, x.l.dir, d)
	x.l.dir, x.l.changed = d, true
	x.Set(stateKey(keyMeta, metaDirectory), c.Signed)
	return Outcome{}
}

func reasonOf(err error) string {
	if r, ok := errors.AsType[*federation.RefusedError](err); ok {
		return string(r.Why)
	}
	return err.Error()
}

// Lost is a parcel that was authentic when it was received, and no longer when its entry was applied: the directory
// that is in force by then has revoked its key, or taken it away. It counts as lost.
type Lost struct {
	Peer federation.Region
	Why  federation.Refusal
}

// trusts returns why what a region has signed with a key counts for nothing now; empty: it counts. A parcel received
// before a revocation and applied after it moves no money.
func (x *tx) trusts(region federation.Region, key string) federation.Refusal {
	if x.l.dir == nil {
		return ""
	}
	if _, ok := x.l.dir.Member(region); !ok {
		return federation.RefusedSenderUnknown
	}
	switch k, ok := x.l.dir.Key(region, key); {
	case !ok || k.Use != federation.UseSign:
		return federation.RefusedKeyUnknown
	case k.Revoked:
		return federation.RefusedKeyRevoked
	}
	return ""
}

// lost reports whether a parcel counts as lost. One without a key's name comes from the log of a program before keys
// were judged here; its leader has judged it.
func (x *tx) lost(peer federation.Region, p *Parcel) bool {
	if p.SignKey == "" {
		return false
	}
	why := x.trusts(peer, p.SignKey)
	if why == "" {
		return false
	}
	x.l.effects.Lost = appendOnce(x.l.effects.Lost, Lost{Peer: peer, Why: why})
	return true
}

// badTicket reports whether the key that a ticket was signed with counts for nothing by now. Everything else about a
// ticket was checked by the leader that proposed the command.
func (x *tx) badTicket(ticket []byte) bool {
	if len(ticket) == 0 {
		return false
	}
	proof, err := federation.DecodeProof(ticket)
	if err != nil {
		return false // the leader has refused it: mayHold sees that
	}
	h, err := federation.DecodeHeader(proof.Header)
	return err == nil && x.trusts(h.From, h.SignKey) != ""
}
