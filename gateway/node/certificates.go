package node

import (
	"context"
	"log/slog"
	"time"

	"gongji/federation"
	"gongji/gateway/trust"
)

// openTrust makes the watch over what expires, and lets the sealer choose its key by the directory in force.
func (n *Node) openTrust() error {
	watch, err := trust.NewWatch(trust.WatchConfig{
		Self: n.self, Directory: func() *federation.Directory { return n.ledger.InForce().Directory },
		Now: n.deps.Clock, Audit: n.noted, Leads: func() bool {
			lead, _ := n.log.Leadership()
			return lead.Leader
		},
	}, n.registry)
	n.expiries = watch
	n.sealer.own = func() []federation.Key {
		d := n.ledger.InForce().Directory
		if d == nil {
			return nil
		}
		return d.SignKeys(n.self, n.deps.Clock(), n.deps.Settled)
	}
	return err
}

// judgeCertificates refuses a directory that is signed and has wrong certificates. Each directory is audited
// once: the file is read every few seconds.
func (n *Node) judgeCertificates(ctx context.Context, next, present *federation.Directory) error {
	problems := n.certificateProblems(next, present)
	if digest := next.Digest(); digest != n.judged {
		n.judged = digest
		for _, p := range problems {
			n.audited(ctx, "directory_certificate", slog.Uint64("version", next.Version()),
				slog.String("member", string(p.Region)), slog.String("key", p.KeyID), slog.String("reason", string(p.Reason)),
				slog.Bool("refused", !p.Warning))
		}
	}
	return trust.Refused(problems)
}

// certificateProblems is what is wrong with a directory's certificates. present is what is in force, or nil.
func (n *Node) certificateProblems(next, present *federation.Directory) []trust.Problem {
	var before *federation.DirectoryData
	if present != nil {
		data := present.Data()
		before = &data
	}
	problems := trust.CheckDirectory(n.sealer.suite, next.Data(), before, n.deps.Clock())
	if n.cfg.Directory.RequireCertificates {
		problems = append(problems, trust.Require(next.Data())...)
	}
	return problems
}

// expiryView is an expiry as the status shows it.
type expiryView struct {
	Kind     trust.Kind        `json:"kind"`
	Member   federation.Region `json:"member,omitempty"`
	Name     string            `json:"name"`
	Use      federation.KeyUse `json:"use,omitempty"`
	NotAfter time.Time         `json:"not_after"`
	DaysLeft int               `json:"days_left"` // whole days, below zero when it has ended
}

// expiriesShown bounds the status: what ends first is what matters.
const expiriesShown = 32

func (n *Node) expiryViews() []expiryView {
	out := []expiryView{}
	now := n.deps.Clock()
	for _, e := range n.expiries.Expiries() {
		if len(out) == expiriesShown {
			break
		}
		out = append(out, expiryView{
			Kind: e.Kind, Member: e.Region, Name: e.Name, Use: e.Use, NotAfter: e.At, DaysLeft: int(e.DaysLeft(now)),
		})
	}
	return out
}

// directoryView is the directory in force as the status shows it.
type directoryView struct {
	Version uint64    `json:"version"` // 0 while there is none
	Expires time.Time `json:"expires"`
}

func (n *Node) directoryView() directoryView {
	d := n.ledger.InForce().Directory
	if d == nil {
		return directoryView{}
	}
	return directoryView{Version: d.Version(), Expires: d.Expires()}
}
