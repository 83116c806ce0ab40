package node

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"time"

	"gongji/consensus"
	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/operator"
	"gongji/gateway/internal/policy"
)

// Acts of two persons. The first call is written down and answered with 202; the call of another operator who approves
// exactly its digest carries it out, at that one's node, once.

const (
	decisionMax  = 1 << 10 // bytes of an approval
	actResultMax = 4 << 10 // bytes of an answer that are kept
	actShown     = 2 << 10 // bytes of a body in the list
	actEndIn     = 30 * time.Second
)

func (n *Node) actRoutes() []adminRoute {
	return []adminRoute{
		{pattern: "GET /admin/v1/acts", needs: dutyObserve, handler: n.adminActs},
		{pattern: "GET /admin/v1/acts/{id}", needs: dutyObserve, handler: n.adminAct},
		{pattern: "POST /admin/v1/acts/{id}/approve", needs: dutyObserve, handler: n.adminApprove},
		{pattern: "POST /admin/v1/acts/{id}/reject", needs: dutyObserve, handler: n.adminReject},
	}
}

// proposeAct is the first person's call.
func (n *Node) proposeAct(w http.ResponseWriter, q *http.Request, r *adminRoute) {
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, ledger.ActBodyMax))
	if err != nil {
		n.adminProblem(w, q, policy.CodeInvalidRequest, "The body is too large for an act of two persons.",
			"请求内容超过双人操作的上限。")
		return
	}
	if !n.rehearsed(w, q, r, body) {
		return
	}
	var random [16]byte
	n.deps.Random(random[:])
	c := &ledger.ProposeAct{
		ID:    "a-" + hex.EncodeToString(random[:]),
		Needs: r.needs, By: callerOf(q.Context()).name,
	}
	c.Act = operator.Act{
		Method: q.Method, Target: q.URL.RequestURI(), ContentType: q.Header.Get("Content-Type"), Body: body,
	}
	c.Digest = c.Act.Digest(n.sealer.suite)
	out, err := n.tell(q.Context(), c)
	if !n.answerOutcome(w, q, out, err) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	n.writeJSON(w, q, map[string]any{
		"id": c.ID, "digest": hex.EncodeToString(c.Digest[:]), "expires_in_seconds": int(ledger.ActWaits / time.Second),
	})
}

// rehearsal is a call that goes as far as its command, and proposes none.
type rehearsal struct{ reached bool }

type rehearsalKey struct{}

// errRehearsed ends a rehearsal where the command would go into the log. Nobody is told of it.
var errRehearsed = errors.New("node: a rehearsal")

// rehearse notes, in a rehearsal, that a command was reached. What comes of a command is decided in the log, when two
// persons have agreed.
func rehearse(ctx context.Context) bool {
	r, ok := ctx.Value(rehearsalKey{}).(*rehearsal)
	if ok {
		r.reached = true
	}
	return ok
}

// rehearsed holds the first person's call against the same checks that stand before its command when it is carried out,
// so that a second person is not troubled with what cannot be done. It answers and audits the refusal.
func (n *Node) rehearsed(w http.ResponseWriter, q *http.Request, r *adminRoute, body []byte) bool {
	who, seen := callerOf(q.Context()), &rehearsal{}
	both := who
	both.second = "?"
	again := q.Clone(context.WithValue(context.WithValue(q.Context(), callerKey{}, both), rehearsalKey{}, seen))
	again.Body = io.NopCloser(bytes.NewReader(body))
	kept := &keptAnswer{header: w.Header().Clone(), status: http.StatusOK}
	r.handler(kept, again)
	if seen.reached {
		return true
	}
	n.audited(q.Context(), "operator_act", slog.String("operator", who.name),
		slog.String("object", q.Method+" "+q.URL.Path), slog.String("result", auditlog.ResultRefused),
		slog.String("status", strconv.Itoa(kept.status)))
	maps.Copy(w.Header(), kept.header)
	w.WriteHeader(kept.status)
	if _, err := w.Write(kept.body); err != nil {
		n.deps.Logger.DebugContext(q.Context(), "an answer was not sent", slog.Any("error", err))
	}
	return false
}

// shownAct is an act as the API shows it.
type shownAct struct {
	ID          string          `json:"id"`
	State       ledger.ActState `json:"state"`
	Method      string          `json:"method"`
	Target      string          `json:"target"`
	ContentType string          `json:"content_type,omitempty"`
	Body        string          `json:"body"` // of a list: its beginning
	BodyBytes   int             `json:"body_bytes"`
	Digest      string          `json:"digest"`
	Needs       operator.Duty   `json:"needs"`
	By          string          `json:"by"`
	Second      string          `json:"second,omitempty"`
	Proposed    time.Time       `json:"proposed"`
	Expires     *time.Time      `json:"expires,omitempty"`
	Decided     *time.Time      `json:"decided,omitempty"`
	Status      int             `json:"status,omitempty"`
	Result      string          `json:"result,omitempty"`
}

func shown(a *ledger.ActRecord, most int) shownAct {
	out := shownAct{
		ID: a.ID, State: a.State, Method: a.Act.Method, Target: a.Act.Target, ContentType: a.Act.ContentType,
		Body: string(bytes.ToValidUTF8(a.Act.Body[:min(len(a.Act.Body), most)], []byte("?"))), BodyBytes: len(a.Act.Body),
		Digest: hex.EncodeToString(a.Digest[:]), Needs: a.Needs, By: a.By, Second: a.Second, Proposed: a.Proposed,
		Status: a.Status, Result: a.Result,
	}
	if a.State == ledger.ActPending {
		out.Expires = &a.Due
	}
	if !a.Decided.IsZero() {
		out.Decided = &a.Decided
	}
	return out
}

// adminActs lists acts: those that wait first, then those that are over.
func (n *Node) adminActs(w http.ResponseWriter, q *http.Request) {
	waiting, over := []shownAct{}, []shownAct{}
	err := n.log.Read(q.Context(), func(r consensus.Reader) error {
		return n.ledger.View(r).Acts(func(a *ledger.ActRecord) bool {
			if a.State == ledger.ActPending {
				waiting = append(waiting, shown(a, actShown))
			} else {
				over = append(over, shown(a, 0))
			}
			return true
		})
	})
	if n.answerOutcome(w, q, ledger.Outcome{}, err) {
		n.writeJSON(w, q, map[string]any{"acts": append(waiting, over...)})
	}
}

// adminAct shows one act whole.
func (n *Node) adminAct(w http.ResponseWriter, q *http.Request) {
	a, err := n.act(q)
	if err == nil && a == nil {
		n.adminProblem(w, q, policy.CodeNotFound, "", "")
		return
	}
	if n.answerOutcome(w, q, ledger.Outcome{}, err) {
		n.writeJSON(w, q, shown(a, ledger.ActBodyMax))
	}
}

func (n *Node) act(q *http.Request) (*ledger.ActRecord, error) {
	var a *ledger.ActRecord
	err := n.log.Read(q.Context(), func(r consensus.Reader) error {
		var err error
		a, err = n.ledger.View(r).Act(q.PathValue("id"))
		return err
	})
	return a, err
}

// decide brings the caller's word into the log; nil when the refusal was answered.
func (n *Node) decide(w http.ResponseWriter, q *http.Request, approve bool) *ledger.ActRecord {
	var in struct {
		Digest string `json:"digest"`
	}
	if !n.readBody(w, q, decisionMax, &in) {
		return nil
	}
	digest, err := hex.DecodeString(in.Digest)
	if err != nil || len(digest) != 32 {
		n.adminProblem(w, q, policy.CodeInvalidRequest, "", "")
		return nil
	}
	out, err := n.tell(q.Context(), &ledger.DecideAct{
		ID: q.PathValue("id"), Digest: [32]byte(digest), Approve: approve, By: callerOf(q.Context()).name,
	})
	if !n.answerOutcome(w, q, out, err) {
		return nil
	}
	a, err := n.act(q)
	if err == nil && a == nil {
		err = errors.New("node: an act is gone")
	}
	if !n.answerOutcome(w, q, ledger.Outcome{}, err) {
		return nil
	}
	return a
}

func (n *Node) adminReject(w http.ResponseWriter, q *http.Request) {
	if a := n.decide(w, q, false); a != nil {
		n.writeJSON(w, q, shown(a, 0))
	}
}

// adminApprove carries an act out. Only the one call whose approval the log took comes here, so it happens once at
// most; if this node stops meanwhile, the act stays approved without a result, and people look what became of it.
func (n *Node) adminApprove(w http.ResponseWriter, q *http.Request) {
	a := n.decide(w, q, true)
	if a == nil {
		return
	}
	status, result := n.carryOut(q.Context(), a)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Context()), actEndIn)
	defer cancel()
	out, err := n.tell(ctx, &ledger.DecideAct{ID: a.ID, Digest: a.Digest, Status: status, Result: result})
	if !n.answerOutcome(w, q, out, err) {
		return
	}
	a.State, a.Status, a.Result = ledger.ActDone, status, result
	n.writeJSON(w, q, shown(a, 0))
}

// carryOut makes the call that was written down, in the name of both.
func (n *Node) carryOut(ctx context.Context, a *ledger.ActRecord) (int, string) {
	ctx = context.WithValue(context.WithoutCancel(ctx), callerKey{}, caller{name: a.By, second: a.Second})
	ctx, cancel := context.WithTimeout(ctx, actEndIn)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, a.Act.Method, a.Act.Target, bytes.NewReader(a.Act.Body))
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	q.Header.Set("Content-Type", a.Act.ContentType)
	mux := http.NewServeMux()
	for _, r := range n.adminRoutes() {
		if r.two {
			mux.HandleFunc(r.pattern, func(w http.ResponseWriter, q *http.Request) { n.perform(w, q, &r) })
		}
	}
	kept := &keptAnswer{header: http.Header{}, status: http.StatusOK}
	mux.ServeHTTP(kept, q)
	return kept.status, string(bytes.ToValidUTF8(kept.body, []byte("?")))
}

// keptAnswer is the answer of an act, its beginning.
type keptAnswer struct {
	header http.Header
	status int
	body   []byte
}

// Header is the answer's; nobody sees it.
func (k *keptAnswer) Header() http.Header { return k.header }

// WriteHeader keeps the status.
func (k *keptAnswer) WriteHeader(status int) { k.status = status }

// Write keeps the beginning.
func (k *keptAnswer) Write(p []byte) (int, error) {
	k.body = append(k.body, p[:min(len(p), actResultMax-len(k.body))]...)
	return len(p), nil
}
