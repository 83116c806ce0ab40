package node

import (
	"cmp"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/archivist"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
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
		{pattern: "GET /admin/v1/archives", needs: dutyObserve, handler: n.adminArchives},
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
		n.adminProblem(w, r, policy.CodeInvalidRequest, "payment, hold, grant or mandate is needed.",
			"需要 payment、hold、grant 或 mandate 之一。")
		return
	}
	n.audited(r.Context(), "evidence_read", slog.String("operator", callerOf(r.Context()).name),
		slog.String("object", subject), slog.String("opening", q.Get("opening")))
	bundle, err := n.desk.EvidenceOf(r.Context(), subject, q.Get("opening") == "true", func(v ledger.View) (bool, error) {
		return v.Known(subject)
	})
	if err != nil {
		n.refusedBy(w, r, err)
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
		n.refusedBy(w, r, err)
		return
	}
	n.writeJSON(w, r, trace)
}

// refusedBy answers an operator with the desk's refusal.
func (n *Node) refusedBy(w http.ResponseWriter, r *http.Request, err error) {
	code, refused := policy.CodeNoLeader, &api.Error{}
	if errors.As(err, &refused) {
		code = refused.Code
	} else {
		n.deps.Logger.LogAttrs(r.Context(), slog.LevelError, "evidence could not be read", slog.String("error", err.Error()))
	}
	n.adminProblem(w, r, code, "", "")
}

// archivesMax bounds one answer of adminArchives; the next one begins with from.
const archivesMax = 1000

// archiveView is an archive as operators see it.
type archiveView struct {
	No      uint64    `json:"no"`
	Since   time.Time `json:"since"`
	Cut     time.Time `json:"cut"`
	Sealed  bool      `json:"sealed"`
	Entries uint64    `json:"entries"`
	Digest  string    `json:"digest"`
	InState bool      `json:"in_state"` // the state has it whole
	Here    bool      `json:"here"`     // its file stands on the disk of the node that was asked
}

// adminArchives lists the archives, and how far each node said that its disk has come.
func (n *Node) adminArchives(w http.ResponseWriter, r *http.Request) {
	from, err := strconv.ParseUint(cmp.Or(r.URL.Query().Get("from"), "0"), 10, 64)
	if err != nil {
		n.adminProblem(w, r, policy.CodeInvalidRequest, "from is the number of an archive.", "from 应为档案编号。")
		return
	}
	out := struct {
		Archives []archiveView     `json:"archives"`
		Nodes    map[string]uint64 `json:"nodes"`
	}{Archives: []archiveView{}}
	err = n.log.Read(r.Context(), func(rd consensus.Reader) error {
		v := n.ledger.View(rd)
		var failed error
		if out.Nodes, failed = v.ArchiveHolders(); failed != nil {
			return failed
		}
		return v.Archives(from, func(a *ledger.ArchiveRecord) bool {
			out.Archives = append(out.Archives, archiveView{
				a.No, a.Since, a.Cut, a.Sealed(), a.Entries, hex.EncodeToString(a.Digest[:]), !a.Gone && !a.Dropping, false,
			})
			return len(out.Archives) < archivesMax
		})
	})
	if err != nil {
		n.refusedBy(w, r, err)
		return
	}
	for i := range out.Archives {
		_, missing := os.Stat(filepath.Join(n.archiveDir(), evidence.ArchiveName(out.Archives[i].No)))
		out.Archives[i].Here = missing == nil
	}
	n.writeJSON(w, r, out)
}
