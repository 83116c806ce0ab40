package node

import (
	"net/http"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

// The operators' part of links that begin anew: a region that was restored from a backup begins a new epoch with each
// peer, the peers go along, and both sides look at what the two do not know alike (design 4).

// differencesShown bounds one list; GET says how many there are.
const differencesShown = 5000

func (n *Node) linkRoutes() []adminRoute {
	return []adminRoute{
		{pattern: "GET /admin/v1/links", needs: dutyObserve, handler: n.adminLinks},
		{pattern: "GET /admin/v1/links/{peer}/differences", needs: dutyObserve, handler: n.adminDifferences},
		{pattern: "POST /admin/v1/links/{peer}/epoch", needs: dutyOperate, two: true, handler: n.adminBeginEpoch},
		{pattern: "POST /admin/v1/links/{peer}/resume", needs: dutyOperate, two: true, handler: n.adminResumeLink},
		{pattern: "POST /admin/v1/links/{peer}/accept", needs: dutyOperate, two: true, handler: n.adminAcceptDifferences},
	}
}

// adminLinks says how every link stands.
func (n *Node) adminLinks(w http.ResponseWriter, q *http.Request) {
	peers, err := n.settler.Peers()
	if n.answerOutcome(w, q, ledger.Outcome{}, err) {
		n.writeJSON(w, q, map[string]any{"links": peers})
	}
}

// difference is one thing that this region and a peer do not know alike. An empty state is a side that does not
// know it.
type difference struct {
	Kind        string `json:"kind"` // leg, hold, refund or return, as this region has it
	ID          string `json:"id"`
	Here        string `json:"here"`
	There       string `json:"there"`
	AmountHere  string `json:"amount_here"`
	AmountThere string `json:"amount_there"`
}

// adminDifferences names what this region and a peer do not know alike. Nobody's identity is in it.
func (n *Node) adminDifferences(w http.ResponseWriter, q *http.Request) {
	peer := federation.Region(q.PathValue("peer"))
	out := struct {
		Peer        federation.Region `json:"peer"`
		Found       int               `json:"found"`
		Compared    bool              `json:"compared"`
		Differences []difference      `json:"differences"`
	}{Peer: peer, Differences: []difference{}}
	err := n.log.Read(q.Context(), func(r consensus.Reader) error {
		v := n.ledger.View(r)
		link, err := v.Link(peer)
		if err != nil || link.Reunion == nil {
			return err
		}
		out.Found, out.Compared = link.Reunion.Found, link.Reunion.Compared
		return v.Differences(peer, func(d ledger.Difference) bool {
			out.Differences = append(out.Differences, difference{
				d.Kind, d.ID, d.Here, d.There, d.AmountHere.String(), d.AmountThere.String(),
			})
			return len(out.Differences) < differencesShown
		})
	})
	if n.answerOutcome(w, q, ledger.Outcome{}, err) {
		n.writeJSON(w, q, out)
	}
}

// onLink puts a command about the link with the peer of the path into the log.
func (n *Node) onLink(
	w http.ResponseWriter, q *http.Request, event string, of func(federation.Region, ledger.LinkRecord) ledger.Command,
) {
	peer := federation.Region(q.PathValue("peer"))
	dir := n.ledger.InForce().Directory
	known := false
	if dir != nil {
		_, known = dir.Member(peer)
	}
	if !known || peer == n.self {
		n.adminProblem(w, q, policy.CodeNotFound, "The directory has no other member of that code.", "目录中没有该统筹区。")
		return
	}
	var link ledger.LinkRecord
	err := n.log.Read(q.Context(), func(r consensus.Reader) error {
		var err error
		link, err = n.ledger.View(r).Link(peer)
		return err
	})
	var out ledger.Outcome
	if err == nil {
		out, err = n.propose(q.Context(), event, string(peer), of(peer, link))
	}
	if n.answerOutcome(w, q, out, err) {
		w.WriteHeader(http.StatusNoContent)
	}
}

// adminBeginEpoch begins the link to a peer anew, after this region was restored from a backup.
func (n *Node) adminBeginEpoch(w http.ResponseWriter, q *http.Request) {
	n.onLink(w, q, "link_epoch_begun", func(peer federation.Region, _ ledger.LinkRecord) ledger.Command {
		return &ledger.BeginEpoch{Peer: peer, Epoch: n.settler.NewEpoch()}
	})
}

// adminResumeLink goes along with a peer that has begun anew: this region's own numbers restart too.
func (n *Node) adminResumeLink(w http.ResponseWriter, q *http.Request) {
	n.onLink(w, q, "link_resumed", func(peer federation.Region, link ledger.LinkRecord) ledger.Command {
		return &ledger.ResumeLink{Peer: peer, Epoch: link.NewEpoch, OwnEpoch: n.settler.NewEpoch()}
	})
}

// adminAcceptDifferences says that the differences with a peer are known and dealt with: new holds are agreed again.
func (n *Node) adminAcceptDifferences(w http.ResponseWriter, q *http.Request) {
	n.onLink(w, q, "differences_accepted", func(peer federation.Region, link ledger.LinkRecord) ledger.Command {
		return &ledger.AcceptDifferences{Peer: peer, Epoch: link.Out.Epoch}
	})
}
