package node

import (
	"io"
	"net/http"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/trust"
)

// What operators may do by hand about holds in doubt, and how officers bring a directory in by hand.

const (
	forceMax       = 2 << 10 // bytes of a forced release
	forceReasonMax = 200     // characters
	inDoubtShown   = 1000    // holds of one list
	directoryByOne = ledger.ActBodyMax
)

func (n *Node) holdRoutes() []adminRoute {
	return []adminRoute{
		{pattern: "GET /admin/v1/holds/in-doubt", needs: dutyOperate, handler: n.adminInDoubt},
		{pattern: "POST /admin/v1/holds/{id}/force-release", needs: dutyOperate, two: true, handler: n.adminForceRelease},
		{pattern: "POST /admin/v1/directory", needs: dutySecure, two: true, handler: n.adminDirectory},
	}
}

// doubtful is a hold in doubt. The payer's name is masked, as it stands in the state.
type doubtful struct {
	HoldID    string    `json:"hold_id"`
	PaymentID string    `json:"payment_id"`
	Origin    string    `json:"origin"`
	Payer     string    `json:"payer"`
	Amount    string    `json:"amount"`
	Placed    time.Time `json:"placed"`
	DecideBy  time.Time `json:"decide_by"`
	Forced    []string  `json:"forced,omitempty"`
}

// adminInDoubt lists the holds that wait for the origin's word, or for two operators.
func (n *Node) adminInDoubt(w http.ResponseWriter, q *http.Request) {
	out := []doubtful{}
	err := n.log.Read(q.Context(), func(r consensus.Reader) error {
		return n.ledger.View(r).Open(ledger.Opened{Holds: func(h *ledger.HoldRecord) bool {
			if h.State == hold.InDoubt {
				out = append(out, doubtful{
					h.ID, h.PaymentID, h.Origin, h.PayerName, h.Amount.String(), h.Placed, h.DecideBy, h.Forced,
				})
			}
			return len(out) < inDoubtShown
		}})
	})
	if n.answerOutcome(w, q, ledger.Outcome{}, err) {
		n.writeJSON(w, q, map[string]any{"holds": out})
	}
}

// adminForceRelease gives back what a hold in doubt has reserved, at the word of two operators. It counts only if the
// hold is still in doubt when the entry is applied; the origin is told, and every signed message about it is kept.
func (n *Node) adminForceRelease(w http.ResponseWriter, q *http.Request) {
	var in struct {
		Reason string `json:"reason"`
	}
	if !n.readBody(w, q, forceMax, &in) {
		return
	}
	who := callerOf(q.Context())
	switch {
	case in.Reason == "" || len([]rune(in.Reason)) > forceReasonMax:
		n.adminProblem(w, q, policy.CodeInvalidRequest, "A reason of 1 to 200 characters is needed.", "须填写 1 至 200 字的理由。")
		return
	case who.name == "" || who.second == "":
		n.adminProblem(w, q, policy.CodeForbidden, "A forced release needs two operators.", "强制释放须由两名操作员共同完成。")
		return
	}
	id := q.PathValue("id")
	out, err := n.propose(q.Context(), "force_release", id, &ledger.ForceRelease{
		HoldID: id, Operator: who.name, Second: who.second, Reason: in.Reason,
	})
	if n.answerOutcome(w, q, out, err) {
		w.WriteHeader(http.StatusNoContent)
	}
}

// adminDirectory brings a directory in by hand, for a region that the topic and the file do not reach. It is held to
// the same: the root's signatures, its predecessor, its expiry, its certificates.
func (n *Node) adminDirectory(w http.ResponseWriter, q *http.Request) {
	signed, err := io.ReadAll(http.MaxBytesReader(w, q.Body, directoryByOne))
	if err != nil {
		n.adminProblem(w, q, policy.CodeInvalidRequest, "The directory is too large to be brought in by hand.",
			"目录过大，不能人工导入。")
		return
	}
	present := n.ledger.InForce().Directory
	d, err := federation.ParseDirectory(n.sealer, n.roots, signed, present, n.deps.Clock())
	if err == nil {
		err = trust.Refused(n.certificateProblems(d, present))
	}
	if err != nil {
		n.adminProblem(w, q, policy.CodeInvalidRequest, err.Error(), "目录未通过校验。")
		return
	}
	out, err := n.propose(q.Context(), "directory_set", d.Data().Issued.Format(time.RFC3339),
		&ledger.SetDirectory{Signed: signed})
	if n.answerOutcome(w, q, out, err) {
		w.WriteHeader(http.StatusNoContent)
	}
}
