package node

import (
	"cmp"
	"errors"
	"net/http"
	"path/filepath"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/archivist"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/payment"
)

// evidenceFolder is where the archives of evidence stand, below the node's own folder.
const evidenceFolder = "evidence"

// openArchives makes the archivist. A simulation keeps nothing on the real disk, and everything in its state.
func (n *Node) openArchives() error {
	if n.deps.FS != nil {
		return nil
	}
	var err error
	n.archives, err = archivist.New(archivist.Deps{
		Region: federation.Region(n.cfg.Region), Log: n.log, Ledger: n.ledger, Sealer: n.sealer,
		Dir: n.archiveDir(), Node: n.cfg.NodeID, Nodes: len(n.cfg.Peers),
		Keep: time.Duration(n.cfg.Evidence.KeepDays) * 24 * time.Hour,
		Many: uint64(n.cfg.Evidence.ArchiveMessages), Every: cmp.Or(n.deps.ArchiveEvery, archivist.LookStandard), //nolint:gosec // validated
		Now: n.deps.Clock, Logger: n.deps.Logger, Audit: n.noted, Registerer: n.registry,
	})
	return err
}

// archiveDir is where this node's archives stand.
func (n *Node) archiveDir() string {
	return cmp.Or(n.cfg.Evidence.ArchiveDir, filepath.Join(n.cfg.DataDir, evidenceFolder))
}

// archiveFolder is where evidence is read that has left the state.
func (n *Node) archiveFolder() evidence.Folder {
	if n.deps.FS != nil {
		return evidence.Folder{}
	}
	return evidence.Folder{Dir: n.archiveDir(), Hash: n.sealer.Hash}
}

// evidenceRoutes are the operators' calls about evidence.
func (n *Node) evidenceRoutes() []adminRoute {
	return []adminRoute{
		{pattern: "GET /admin/v1/evidence", needs: dutyAudit, handler: n.adminEvidence},
		{pattern: "GET /admin/v1/trace", needs: dutyObserve, handler: n.adminTrace},
	}
}

// adminEvidence makes the bundle of a payment, hold, grant or mandate that this region knows, also as a payer's home.
func (n *Node) adminEvidence(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	subject := cmp.Or(q.Get("payment"), q.Get("grant"), q.Get("mandate"))
	if h := q.Get("hold"); h != "" {
		subject, _ = payment.OfHold(h)
	}
	if subject == "" {
		http.Error(w, "payment, hold, grant or mandate is needed", http.StatusBadRequest)
		return
	}
	bundle, err := n.desk.EvidenceOf(r.Context(), subject, q.Get("opening") == "true", func(v ledger.View) (bool, error) {
		return v.Known(subject)
	})
	if err != nil {
		refusedBy(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(bundle, '\n')) //nolint:gosec // JSON of this node's own making, served as nothing else
}

// adminTrace follows a payment, also from a payer's home.
func (n *Node) adminTrace(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("payment")
	if h := r.URL.Query().Get("hold"); h != "" {
		id, _ = payment.OfHold(h)
	}
	trace, err := n.desk.TraceAnywhere(r.Context(), id)
	if err != nil {
		refusedBy(w, err)
		return
	}
	n.writeJSON(w, r, trace)
}

// refusedBy answers an operator with the desk's refusal.
func refusedBy(w http.ResponseWriter, err error) {
	if e, ok := errors.AsType[*api.Error](err); ok {
		http.Error(w, string(e.Code), e.Code.Status())
		return
	}
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}
