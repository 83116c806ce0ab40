package settle

import (
	"log/slog"
	"time"

	"gongji/gateway/internal/ledger"
)

// stranger audits a message that the log has refused: its sender speaks of what is not its own.
func (t *term) stranger(x ledger.Stranger) {
	t.s.Metrics.messageRefused(x.Peer, x.Reason)
	t.s.Audit("message_refused", slog.String("peer", string(x.Peer)), slog.String("reason", x.Reason),
		slog.String("id", x.ID))
}

// wasted takes from a peer's budget what its messages have cost in the log.
func (t *term) wasted(w ledger.Waste) {
	if p := t.peer(w.Peer); p != nil {
		p.waste.spend(t.s.Now(), time.Duration(w.Messages)*costEntry)
	}
}
