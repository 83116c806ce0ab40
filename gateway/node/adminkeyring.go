package node

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"gongji/crypto"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rotate"
)

// The region's keys as its operators see them: by id, never more. One is destroyed only when two persons agree.

const keyOrderMax = 1 << 10 // bytes of a body

func (n *Node) keyringRoutes() []adminRoute {
	return []adminRoute{
		{pattern: "GET /admin/v1/keyring", needs: dutySecure, alone: true, handler: n.adminKeyring},
		{pattern: "POST /admin/v1/keyring/{id}/destroy", needs: dutySecure, two: true, handler: n.adminDestroyKey},
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

// What a key is needed for.
const (
	neededCurrent = "current" // the newest of its use
	neededInForce = "in_force"
	neededSealed  = "persons" // found or sealed under it until a rotation has ended
	neededListed  = "listed"  // in the directory, valid and not revoked
)

// neededFor says why a key must stay; empty if it may go. What the evidence keeps of persons is not asked: purging that
// is what destroying an old data key is for.
func (n *Node) neededFor(use crypto.Use, id string) string {
	if current, err := n.keys.Current(use); err != nil || current == id {
		return neededCurrent
	}
	if use == crypto.UseToken || use == crypto.UseData {
		if inForce, err := n.vault.InForce(use); err != nil || inForce == id {
			return neededInForce
		}
	}
	state := n.ledger.InForce()
	if rotate.Needed(&state.Keys, use, id) != nil {
		return neededSealed
	}
	if dir := state.Directory; dir != nil {
		if k, ok := dir.Key(n.self, id); ok && !k.Revoked && n.deps.Clock().Before(k.NotAfter) {
			return neededListed
		}
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

// adminDestroyKey destroys a key where this node has it: in its folder, or in its module. The id stands in the body a
// second time, since nobody can take it back.
func (n *Node) adminDestroyKey(w http.ResponseWriter, q *http.Request) {
	var in struct {
		ID     string `json:"id"`
		Reason string `json:"reason"`
	}
	if !n.readBody(w, q, keyOrderMax, &in) {
		return
	}
	id := q.PathValue("id")
	order := crypto.Order{Who: whoOrders(q.Context()), Reason: in.Reason}
	if in.ID != id || !order.Valid() {
		n.adminProblem(w, q, policy.CodeInvalidRequest, "The id must stand in the body again, with a reason.",
			"请求体须重复密钥标识并注明原因。")
		return
	}
	use, err := n.useOf(id)
	if err == nil {
		if why := n.neededFor(use, id); why != "" {
			n.audited(q.Context(), "key_destroy_refused", slog.String("key", id), slog.String("reason", why))
			n.adminProblem(w, q, policy.CodeForbidden, "The key is needed: "+why+".", "该密钥仍在使用："+why+"。")
			return
		}
		n.audited(q.Context(), "key_destroy_begun", slog.String("key", id), slog.String("why", order.Reason))
		err = n.keys.Destroy(id, order)
	}
	n.audited(q.Context(), "key_destroyed", slog.String("key", id), slog.String("why", order.Reason),
		slog.Bool("done", err == nil))
	switch {
	case errors.Is(err, crypto.ErrNoKey):
		n.adminProblem(w, q, policy.CodeNotFound, "", "")
	case errors.Is(err, crypto.ErrAccess):
		n.adminProblem(w, q, policy.CodeForbidden, "This node has no officer's PIN for the key module.",
			"本节点未配置密钥模块的管理员口令。")
	case err != nil:
		n.deps.Logger.LogAttrs(q.Context(), slog.LevelError, "a key was not destroyed", slog.String("error", err.Error()))
		n.adminProblem(w, q, policy.CodeTimeout, "The key may or may not be destroyed; look at the list.",
			"密钥是否已销毁未知，请查看列表。")
	default:
		n.writeJSON(w, q, map[string]any{"destroyed": id})
	}
}

// whoOrders names both persons for the journal of the keys.
func whoOrders(ctx context.Context) string {
	who := callerOf(ctx)
	if who.second == "" {
		return cmp.Or(who.name, "operators' API")
	}
	return who.name + " and " + who.second
}
