package node

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"gongji/consensus"
	"gongji/crypto"
	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

// The region's keys as its operators see them: by id, never more. One is destroyed only when two persons agree.

const keyOrderMax = 1 << 10 // bytes of a body

func (n *Node) keyringRoutes() []adminRoute {
	return []adminRoute{
		{pattern: "GET /admin/v1/keyring", needs: dutySecure, alone: true, handler: n.adminKeyring},
		{pattern: "POST /admin/v1/keyring/{id}/destroy", needs: dutySecure, two: true, handler: n.adminDestroyKey},
		{pattern: "GET /admin/v1/keyring/destroyed", needs: dutySecure, handler: n.adminDestroyed},
	}
}

// shownKey is a key as the API shows it.
type shownKey struct {
	ID  string     `json:"id"`
	Use crypto.Use `json:"use"`
	// NeededFor says why the key cannot be destroyed; empty if it can.
	NeededFor string `json:"needed_for,omitempty"`
}

// adminKeyring lists the keys that this node works with.
func (n *Node) adminKeyring(w http.ResponseWriter, q *http.Request) {
	out := []shownKey{}
	for _, use := range []crypto.Use{
		crypto.UseSign, crypto.UseDecrypt, crypto.UseToken, crypto.UseData, crypto.UseEvidence,
	} {
		ids, err := n.keys.IDs(use)
		if err != nil {
			n.adminProblem(w, q, policy.CodeTimeout, "The keys cannot be reached.", "密钥模块暂不可用。")
			return
		}
		for _, id := range ids {
			out = append(out, shownKey{ID: id, Use: use, NeededFor: n.neededFor(use, id)})
		}
	}
	n.writeJSON(w, q, map[string]any{"keys": out})
}

// neededCurrent: the key is the newest of its use at this node. The region's state says what else needs one.
const neededCurrent = "current"

// neededFor says why a key must stay; empty if it may go.
func (n *Node) neededFor(use crypto.Use, id string) string {
	state := n.ledger.InForce()
	if why := state.Needed(string(use), id, n.deps.Clock()); why != "" {
		return why
	}
	if use == crypto.UseToken || use == crypto.UseData || use == crypto.UseEvidence {
		if inForce, err := n.vault.InForce(use); err != nil || inForce == id { // the state may name none yet
			return ledger.NeededInForce
		}
	}
	if current, err := n.keys.Current(use); err != nil || current == id {
		return neededCurrent
	}
	return ""
}

// useOf finds the use of a key.
func (n *Node) useOf(id string) (crypto.Use, error) {
	for _, use := range []crypto.Use{
		crypto.UseSign, crypto.UseDecrypt, crypto.UseToken, crypto.UseData, crypto.UseEvidence,
	} {
		ids, err := n.keys.IDs(use)
		if err != nil {
			return "", err
		}
		if slices.Contains(ids, id) {
			return use, nil
		}
	}
	return "", crypto.ErrNoKey
}

// adminDestroyKey orders the destruction of a key on every node of the region. The id stands in the body a second time,
// since nobody can take it back.
func (n *Node) adminDestroyKey(w http.ResponseWriter, q *http.Request) {
	var in struct {
		ID     string `json:"id"`
		Reason string `json:"reason"`
	}
	if !n.readBody(w, q, keyOrderMax, &in) {
		return
	}
	id := q.PathValue("id")
	if in.ID != id || !(crypto.Order{Who: "x", Reason: in.Reason}).Valid() {
		n.adminProblem(w, q, policy.CodeInvalidRequest, "The id must stand in the body again, with a reason.",
			"请求体须重复密钥标识并注明原因。")
		return
	}
	use, err := n.useOf(id)
	known := n.ledger.InForce().Destroyed[id]
	switch {
	case err != nil && known != nil:
		use = crypto.Use(known.Use)
	case errors.Is(err, crypto.ErrNoKey):
		n.adminProblem(w, q, policy.CodeNotFound, "This node has no such key: ask one that has it.",
			"本节点没有该密钥，请向持有该密钥的节点提出。")
		return
	case err != nil:
		n.adminProblem(w, q, policy.CodeTimeout, "The keys cannot be reached.", "密钥模块暂不可用。")
		return
	default:
		if why := n.neededFor(use, id); why != "" {
			n.audited(q.Context(), "key_destroy_refused", slog.String("key", id), slog.String("reason", why))
			n.keyNeeded(w, q, why)
			return
		}
	}
	n.orderDestruction(w, q, &ledger.DestroyKey{ID: id, Use: string(use), Reason: in.Reason})
}

// orderDestruction writes the order down in the name of both, and shows how far it is.
func (n *Node) orderDestruction(w http.ResponseWriter, q *http.Request, c *ledger.DestroyKey) {
	who := callerOf(q.Context())
	c.Operator, c.Second = who.name, who.second
	out, err := n.propose(q.Context(), "key_destroy_ordered", c.ID, c)
	if err == nil && out.Code == ledger.CodeKeyNeeded {
		n.keyNeeded(w, q, out.Field)
		return
	}
	var all map[string]*ledger.DestroyedKey
	if err == nil && out.Code == "" {
		all, err = n.destroyed(q.Context())
	}
	if n.answerOutcome(w, q, out, err) && all[c.ID] != nil {
		n.writeJSON(w, q, n.showDestroyed(all[c.ID]))
	}
}

// keyNeeded refuses the destruction of a key that something needs.
func (n *Node) keyNeeded(w http.ResponseWriter, q *http.Request, why string) {
	text := neededTexts[why]
	n.problem(w, q, &client.Problem{
		Title: "The key is needed.", TitleZH: "该密钥仍在使用。", Status: http.StatusConflict,
		Code: string(ledger.CodeKeyNeeded), Detail: why + ": " + text.en, DetailZH: why + "：" + text.zh,
	})
}

// neededTexts say what a key is needed for, and what would have to come first.
var neededTexts = map[string]struct{ en, zh string }{
	neededCurrent:         {"it is the newest of its use here; make another one first.", "它是本节点该用途最新的密钥，请先生成新密钥。"},
	ledger.NeededInForce:  {"it is in force; rotate first.", "该密钥正在生效，请先完成轮换。"},
	ledger.NeededRotation: {"a rotation of it is under way; wait for its end.", "该密钥正在轮换，请等待轮换结束。"},
	ledger.NeededPersons: {
		"persons may be sealed under it; rotate the data key once, to the end.", "可能仍有人员信息由其加密，请先完成一次数据密钥轮换。",
	},
	ledger.NeededListed: {
		"the directory lists it, valid and not revoked; revoke it or let it end first.", "目录中该密钥仍有效，请先吊销或待其到期。",
	},
}

// shownDestroyed is a destruction as the API shows it.
type shownDestroyed struct {
	ID      string     `json:"id"`
	Use     string     `json:"use"`
	By      string     `json:"by,omitempty"`
	Second  string     `json:"second,omitempty"`
	Reason  string     `json:"reason"`
	Ordered time.Time  `json:"ordered"`
	Nodes   []shownEnd `json:"nodes"`
	Waiting []string   `json:"waiting_for"` // members of the region that still have it, as far as is known
}

type shownEnd struct {
	Node string        `json:"node"`
	End  ledger.KeyEnd `json:"end"`
	At   time.Time     `json:"at"`
}

func (n *Node) showDestroyed(d *ledger.DestroyedKey) shownDestroyed {
	out := shownDestroyed{
		ID: d.ID, Use: d.Use, By: d.Operator, Second: d.Second, Reason: d.Reason, Ordered: d.Ordered, Nodes: []shownEnd{},
		Waiting: []string{},
	}
	for _, e := range d.Nodes {
		out.Nodes = append(out.Nodes, shownEnd(e))
	}
	for _, member := range n.log.Status().Peers {
		if !d.At(member).Gone() {
			out.Waiting = append(out.Waiting, member)
		}
	}
	return out
}

func (n *Node) destroyed(ctx context.Context) (map[string]*ledger.DestroyedKey, error) {
	var all map[string]*ledger.DestroyedKey
	err := n.log.Read(ctx, func(r consensus.Reader) error {
		var failed error
		all, failed = n.ledger.View(r).Destroyed()
		return failed
	})
	return all, err
}

// adminDestroyed lists the destructions that were ordered, and which nodes have carried them out.
func (n *Node) adminDestroyed(w http.ResponseWriter, q *http.Request) {
	all, err := n.destroyed(q.Context())
	if !n.answerOutcome(w, q, ledger.Outcome{}, err) {
		return
	}
	out := []shownDestroyed{}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		out = append(out, n.showDestroyed(all[id]))
	}
	n.writeJSON(w, q, map[string]any{"destroyed": out})
}
