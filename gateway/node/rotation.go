package node

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"gongji/consensus"
	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/rotate"
)

func (n *Node) openRotator() error {
	metrics, err := rotate.NewMetrics(n.registry)
	if err != nil {
		return err
	}
	timing := rotate.DefaultTiming()
	timing.Rate = n.cfg.Rotation.RecordsPerSecond
	n.rotator, err = rotate.New(rotate.Deps{
		Node: n.cfg.NodeID, Log: n.log, Ledger: n.ledger, Vault: n.vault, Ring: n.keys, HandOver: n.log.HandOver,
		Forget: n.log.Forget, Now: n.deps.Clock, Logger: n.deps.Logger, Metrics: metrics, Audit: n.noted, Timing: timing,
	})
	return err
}

// rotationRoutes are the calls about the rotation of the keys at rest.
func (n *Node) rotationRoutes() []adminRoute {
	return []adminRoute{
		{pattern: "GET /admin/v1/keys/rotation", needs: dutyObserve, handler: n.adminRotation},
		{pattern: "POST /admin/v1/keys/rotate", needs: dutySecure, handler: n.adminRotate},
		{pattern: "POST /admin/v1/keys/rotation/cancel", needs: dutySecure, handler: n.adminCancelRotation},
	}
}

// rotationOrder is the body of both orders; a cancellation has no use. With a session the operator is the session's.
type rotationOrder struct {
	Use      ledger.KeyUse `json:"use"`
	Operator string        `json:"operator"`
}

const (
	rotationMax = 4 << 10 // bytes of an order
	rotatorMax  = 64      // bytes of an operator's name
)

func readRotation(w http.ResponseWriter, r *http.Request) (rotationOrder, error) {
	var o rotationOrder
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, rotationMax))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return o, err
	}
	if !errors.Is(d.Decode(new(any)), io.EOF) || o.Operator == "" || len(o.Operator) > rotatorMax {
		return o, errors.New("one object with an operator of 1 to 64 bytes")
	}
	return o, nil
}

// adminRotate begins a rotation.
func (n *Node) adminRotate(w http.ResponseWriter, r *http.Request) {
	o, err := readRotation(w, r)
	if err != nil {
		n.refuseRotation(w, r, http.StatusBadRequest, rotationRefused{"invalid_request", err.Error(), "请求格式不正确"})
		return
	}
	n.answerRotation(w, r, n.rotator.Start(r.Context(), o.Use, cmp.Or(callerOf(r.Context()).name, o.Operator)))
}

// adminCancelRotation gives up a rotation that is being prepared.
func (n *Node) adminCancelRotation(w http.ResponseWriter, r *http.Request) {
	o, err := readRotation(w, r)
	if err != nil {
		n.refuseRotation(w, r, http.StatusBadRequest, rotationRefused{"invalid_request", err.Error(), "请求格式不正确"})
		return
	}
	n.answerRotation(w, r, n.rotator.Cancel(r.Context(), cmp.Or(callerOf(r.Context()).name, o.Operator)))
}

// adminRotation tells how the rotation stands.
func (n *Node) adminRotation(w http.ResponseWriter, r *http.Request) { n.answerRotation(w, r, nil) }

func (n *Node) answerRotation(w http.ResponseWriter, r *http.Request, err error) {
	var p rotate.Progress
	if err == nil {
		p, err = n.rotator.Progress(r.Context())
	}
	switch {
	case err == nil:
		n.writeJSON(w, r, p)
	case errors.Is(err, rotate.ErrUse):
		n.refuseRotation(w, r, http.StatusBadRequest, rotationRefused{
			"invalid_request", err.Error(), "密钥用途应为 token、data 或 evidence",
		})
	case errors.Is(err, rotate.ErrUnderWay):
		n.refuseRotation(w, r, http.StatusConflict, rotationRefused{"rotation_under_way", err.Error(), "已有密钥轮换正在进行"})
	case errors.Is(err, rotate.ErrNone):
		n.refuseRotation(w, r, http.StatusConflict, rotationRefused{"no_rotation", err.Error(), "没有处于准备阶段的密钥轮换"})
	case errors.Is(err, consensus.ErrNoLeader), errors.Is(err, consensus.ErrUnknown):
		n.refuseRotation(w, r, http.StatusServiceUnavailable, rotationRefused{"no_leader", err.Error(), "暂无主节点，请稍后重试"})
	default:
		n.refuseRotation(w, r, http.StatusServiceUnavailable, rotationRefused{"key_store", err.Error(), "密钥库不可用"})
	}
}

// rotationRefused is why an order was not carried out.
type rotationRefused struct{ code, en, zh string }

func (n *Node) refuseRotation(w http.ResponseWriter, r *http.Request, status int, why rotationRefused) {
	n.problem(w, r, &client.Problem{
		Title: "The rotation was refused.", TitleZH: "密钥轮换请求被拒绝。", Status: status, Code: why.code,
		Detail: why.en, DetailZH: why.zh, Retryable: status == http.StatusServiceUnavailable,
	})
}
