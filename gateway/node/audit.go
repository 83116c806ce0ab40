package node

import (
	"cmp"
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"gongji/gateway/internal/auditor"
)

// auditFolder is where the files of the audit log stand, below the node's own folder.
const auditFolder = "audit"

func (n *Node) openAudit() error {
	d := auditor.Deps{
		Region: n.cfg.Region, Node: n.cfg.NodeID, Log: n.log, Ledger: n.ledger, Now: n.deps.Clock, Random: n.deps.Random,
		Sign: n.sealer.Sign, Logger: n.deps.Logger, Registerer: n.registry,
	}
	if n.deps.FS == nil { // a simulation keeps nothing on the real disk
		d.Archive = &auditor.Archive{
			Dir:  cmp.Or(n.cfg.Audit.ArchiveDir, filepath.Join(n.cfg.DataDir, auditFolder)),
			Keep: time.Duration(n.cfg.Audit.KeepDays) * 24 * time.Hour,
		}
	}
	var err error
	n.auditor, err = auditor.New(d)
	return err
}

// audited writes what was refused or changed by hand into the audit log, for those who look later.
func (n *Node) audited(ctx context.Context, event string, attrs ...slog.Attr) {
	n.auditor.Note(ctx, event, attrs...)
}

// noted is audited for parts that have no context to hand on.
func (n *Node) noted(event string, attrs ...slog.Attr) {
	n.audited(context.Background(), event, attrs...)
}
