package node

import (
	"context"
	"net/http"
	"strconv"

	"gongji/consensus"
	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

// The audit log as auditors read it. GET /admin/v1/audit is older and something else: what the books are checked from.

func (n *Node) auditRoutes() []adminRoute {
	return []adminRoute{
		{pattern: "GET /admin/v1/audit/log", needs: dutyAudit, handler: n.adminAuditLog},
		{pattern: "GET /admin/v1/audit/checkpoint", needs: dutyObserve, handler: n.adminCheckpoint},
	}
}

// adminAuditLog writes the lines that stand in the state, from a number on (?from=), as a file that verifies alone.
func (n *Node) adminAuditLog(w http.ResponseWriter, q *http.Request) {
	from, err := strconv.ParseUint(q.URL.Query().Get("from"), 10, 64)
	if q.URL.Query().Get("from") == "" {
		from, err = 1, nil
	}
	if err != nil || from == 0 {
		n.adminProblem(w, q, policy.CodeInvalidRequest, "from is the number of a line, from 1.", "from 为记录编号，从 1 开始。")
		return
	}
	ctx, cancel := context.WithTimeout(q.Context(), auditTimeout)
	defer cancel()
	begun := false
	err = n.log.Read(ctx, func(r consensus.Reader) error {
		v := n.ledger.View(r)
		head, failed := v.AuditHead()
		if failed != nil {
			return failed
		}
		begun = true
		w.Header().Set("Content-Type", "application/x-ndjson")
		return exportAudit(w, n.cfg.Region, v, head, max(from, head.Forgotten+1))
	})
	if err != nil && !begun {
		n.adminProblem(w, q, policy.CodeNoLeader, "", "")
	}
}

func exportAudit(w http.ResponseWriter, region string, v ledger.View, head ledger.AuditHead, first uint64) error {
	h := auditlog.Header{Region: region, First: first, Before: head.Before}
	if first > head.Forgotten+1 {
		if err := v.AuditLines(first-1, func(e *auditlog.Entry) bool {
			h.Before = e.Digest
			return false
		}); err != nil {
			return err
		}
	}
	points := map[uint64]auditlog.Checkpoint{}
	if err := v.AuditCheckpoints(first, func(p *auditlog.Checkpoint) bool {
		points[p.Number] = *p
		return true
	}); err != nil {
		return err
	}
	out, err := auditlog.NewWriter(w, h)
	if err != nil {
		return err
	}
	failed := v.AuditLines(first, func(e *auditlog.Entry) bool {
		err = out.Entry(e)
		if p, ok := points[e.Number]; ok && err == nil {
			err = out.Checkpoint(&p)
		}
		return err == nil
	})
	if failed == nil {
		failed = err
	}
	if failed != nil {
		return failed
	}
	return out.Flush()
}

// adminCheckpoint gives the newest checkpoint: whoever keeps it elsewhere finds out when lines before it are missing.
func (n *Node) adminCheckpoint(w http.ResponseWriter, q *http.Request) {
	var newest *auditlog.Checkpoint
	err := n.log.Read(q.Context(), func(r consensus.Reader) error {
		v := n.ledger.View(r)
		head, failed := v.AuditHead()
		if failed != nil {
			return failed
		}
		return v.AuditCheckpoints(head.Checkpointed, func(p *auditlog.Checkpoint) bool {
			newest = p
			return true
		})
	})
	switch {
	case err != nil:
		n.adminProblem(w, q, policy.CodeNoLeader, "", "")
	case newest == nil:
		n.adminProblem(w, q, policy.CodeNotFound, "", "")
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(auditlog.EncodeCheckpoint(newest))
	}
}
