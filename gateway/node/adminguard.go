package node

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gongji/consensus"
	"gongji/gateway/client"
	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/operator"
	"gongji/gateway/internal/policy"
)

// Around every call of the operators' API: who asks, whether the role has the duty, whether a second person must agree,
// and a line of the audit log before and behind whatever changes something (R-28; GB/T 22239-2019).

const (
	operatorTimeout = 10 * time.Second
	// adminBodyMax bounds every body; each handler has its own, smaller bound. An import of people is the largest.
	adminBodyMax = peopleMax
)

// caller is who asks. Second is the person who approved the act that is being carried out.
type caller struct {
	name    string
	second  string
	role    operator.Role
	session [32]byte
	unnamed bool // nobody is asked who he is: a testnet
}

type callerKey struct{}

// callerOf says who asks; the zero caller for what the node does by itself.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// guard puts the checks around a route.
func (n *Node) guard(r *adminRoute) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		n.adminHeaders(w)
		q.Body = http.MaxBytesReader(w, q.Body, adminBodyMax)
		if r.open {
			r.handler(w, q)
			return
		}
		who, code := n.whoAsks(q, r)
		if code != "" {
			n.refuseOperator(w, q, who, code)
			return
		}
		q = q.WithContext(context.WithValue(q.Context(), callerKey{}, who))
		if r.two && !who.unnamed {
			n.proposeAct(w, q, r)
			return
		}
		n.perform(w, q, r)
	}
}

// adminHeaders are those that keep a browser from doing anything with an answer but show it.
func (n *Node) adminHeaders(w http.ResponseWriter) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if n.cfg.AdminTLS.CertFile != "" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// whoAsks finds the session of a call and holds its operator's role against the duty. Sessions and operators stand in
// the replicated state, so that a revocation counts on every node from the entry on.
func (n *Node) whoAsks(q *http.Request, r *adminRoute) (caller, policy.Code) {
	if n.cfg.Operators.None {
		return caller{unnamed: true}, ""
	}
	text, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	token, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(token) != operator.TokenSize {
		return caller{}, policy.CodeUnauthenticated
	}
	who := caller{session: n.sealer.Hash(token)}
	in, err := n.session(q.Context(), who.session, r.alone)
	s, o := in.s, in.o
	switch {
	case err != nil:
		return caller{}, policy.CodeNoLeader
	case s == nil || o == nil || !s.Good(in.now) || o.State != ledger.OperatorActive:
		return caller{}, policy.CodeUnauthenticated
	}
	who.name, who.role = s.Name, o.Role
	if !o.Role.Has(r.needs) {
		return who, policy.CodeForbidden
	}
	if s.Tired(in.now) && !n.awake(q.Context(), who.session, r.alone) {
		return caller{}, policy.CodeUnauthenticated
	}
	return who, ""
}

// sighted is a session and its operator, nil where there is none, and the moment to judge them at.
type sighted struct {
	s   *ledger.SessionRecord
	o   *ledger.OperatorRecord
	now time.Time
}

// session reads a session and its operator, up to date; as this node has them only where a call must work without a
// leader. Then the newest stamp of the log is the moment: this node's clock may be what is wrong, and who acknowledges
// its jump must not be shut out by it.
func (n *Node) session(ctx context.Context, digest [32]byte, stale bool) (sighted, error) {
	var in sighted
	view := func(r consensus.Reader) error {
		v := n.ledger.View(r)
		var err error
		if in.s, err = v.Session(digest); err != nil || in.s == nil {
			return err
		}
		in.o, err = v.Operator(in.s.Name)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, operatorTimeout)
	defer cancel()
	in.now = n.deps.Clock()
	err := n.log.Read(ctx, view)
	if err != nil && stale {
		in.now = n.log.Status().LastStamp
		err = n.log.ReadStale(view)
	}
	return in, err
}

// awake writes down that a session is used; without a leader it cannot, and only what works alone goes on.
func (n *Node) awake(ctx context.Context, digest [32]byte, alone bool) bool {
	o, err := n.tell(ctx, &ledger.UseSession{Session: digest})
	return err == nil && o.Code == "" || err != nil && alone
}

// tell proposes a command and reads what came of it.
func (n *Node) tell(ctx context.Context, c ledger.Command) (ledger.Outcome, error) {
	if rehearse(ctx) {
		return ledger.Outcome{}, errRehearsed
	}
	ctx, cancel := context.WithTimeout(ctx, operatorTimeout)
	defer cancel()
	data, err := n.log.Propose(ctx, ledger.EncodeCommand(c))
	if err != nil {
		return ledger.Outcome{}, err
	}
	return ledger.DecodeOutcome(data)
}

// propose proposes a command that an operator has caused: its line of the audit log stands in the same entry. One whose
// persons were made with keys that are no longer in force is made anew.
func (n *Node) propose(
	ctx context.Context, event, object string, c ledger.Command, attrs ...auditlog.Attr,
) (ledger.Outcome, error) {
	if rehearse(ctx) {
		return ledger.Outcome{}, errRehearsed
	}
	who := callerOf(ctx)
	l := auditlog.Line{
		Noted: n.deps.Clock(), Node: n.cfg.NodeID, Event: event, Operator: who.name, Object: object, Attrs: attrs,
	}
	if who.second != "" {
		l.Attrs = append(l.Attrs, auditlog.Attr{Name: "second", Value: who.second})
	}
	ctx, cancel := context.WithTimeout(ctx, operatorTimeout)
	defer cancel()
	o, err := n.vault.Propose(ctx, named{n.log, l.Bounded()}, c)
	n.deps.Logger.LogAttrs(ctx, slog.LevelWarn, "audit", slog.String("event", event), slog.String("operator", who.name),
		slog.String("object", object), slog.String("code", string(o.Code)), slog.Bool("done", err == nil && o.Code == ""))
	return o, err
}

// named is the region's log as an operator writes to it: each command carries its line of the audit log.
type named struct {
	consensus.Log

	line auditlog.Line
}

// Propose proposes a command with its line.
func (l named) Propose(ctx context.Context, command []byte) ([]byte, error) {
	return l.Log.Propose(ctx, ledger.EncodeCommand(&ledger.DoneBy{Line: l.line, Command: command}))
}

// perform does a call. Whatever changes something is written down first, and not done if that cannot be; its end is
// written down behind it, and so is every look at records of persons.
func (n *Node) perform(w http.ResponseWriter, q *http.Request, r *adminRoute) {
	who := callerOf(q.Context())
	changes := q.Method != http.MethodGet && q.Method != http.MethodHead
	object := q.Method + " " + q.URL.Path
	if changes && !who.unnamed && n.intend(q.Context(), who, object) != nil && !r.alone {
		n.adminProblem(w, q, policy.CodeNoLeader, "", "")
		return
	}
	seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	r.handler(seen, q)
	if !changes && r.needs != dutyAudit {
		return
	}
	event, result := "operator_act", auditlog.ResultDone
	if !changes {
		event = "operator_read"
	}
	if seen.status >= http.StatusBadRequest {
		result = auditlog.ResultRefused
	}
	attrs := []slog.Attr{
		slog.String("operator", who.name), slog.String("object", object), slog.String("result", result),
		slog.String("status", strconv.Itoa(seen.status)),
	}
	if who.second != "" {
		attrs = append(attrs, slog.String("second", who.second))
	}
	n.audited(q.Context(), event, attrs...)
}

// intend writes into the log that an operator is about to do something.
func (n *Node) intend(ctx context.Context, who caller, object string) error {
	l := auditlog.Line{
		Noted: n.deps.Clock(), Node: n.cfg.NodeID, Event: "operator_act", Operator: who.name, Object: object,
		Result: auditlog.ResultIntended,
	}
	// The batch counts as one of another node, so that it does not stand between a batch of the auditor and its repeat.
	c := &ledger.NoteAudit{Node: n.cfg.NodeID + "/operators", Lines: []auditlog.Line{l.Bounded()}}
	n.deps.Random(c.Batch[:])
	_, err := n.tell(ctx, c)
	return err
}

// refuseOperator answers a call that nobody may make, or not this one, and has it audited.
func (n *Node) refuseOperator(w http.ResponseWriter, q *http.Request, who caller, code policy.Code) {
	n.audited(q.Context(), "operator_refused", slog.String("operator", who.name), slog.String("reason", string(code)),
		slog.String("object", q.Method+" "+q.URL.Path), slog.String("result", auditlog.ResultRefused))
	if code == policy.CodeUnauthenticated {
		w.Header().Set("WWW-Authenticate", `Bearer realm="gongji"`)
	}
	detail, zh := "", ""
	if code == policy.CodeForbidden {
		detail, zh = "Your role has no such duty.", "您的角色没有此项职责。"
	}
	n.adminProblem(w, q, code, detail, zh)
}

// adminProblem answers with a problem document (RFC 9457) of a code of the API, in both languages.
func (n *Node) adminProblem(w http.ResponseWriter, q *http.Request, code policy.Code, detail, detailZH string) {
	n.problem(w, q, &client.Problem{
		Title: code.Message(), TitleZH: code.MessageZH(), Status: code.Status(), Code: string(code), Detail: detail,
		DetailZH: detailZH, Retryable: code.Retryable(),
	})
}

// malformed refuses what an operator has sent, with another status than 400.
func (n *Node) malformed(w http.ResponseWriter, q *http.Request, status int, detail, detailZH string) {
	code := policy.CodeInvalidRequest
	n.problem(w, q, &client.Problem{
		Title: code.Message(), TitleZH: code.MessageZH(), Status: status, Code: string(code), Detail: detail,
		DetailZH: detailZH,
	})
}

// problem answers with a problem document; what is the same in all of them is put in.
func (n *Node) problem(w http.ResponseWriter, q *http.Request, p *client.Problem) {
	p.Type, p.Origin, p.Outcome = "urn:gongji:problem:"+p.Code, n.cfg.Region, client.OutcomeNone
	if p.Detail == "" {
		p.Detail, p.DetailZH = p.Title, p.TitleZH
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		n.deps.Logger.LogAttrs(q.Context(), slog.LevelDebug, "an operator did not take an answer",
			slog.String("error", err.Error()))
	}
}

// answerOutcome answers with what came of a command; done says whether it was done.
func (n *Node) answerOutcome(w http.ResponseWriter, q *http.Request, o ledger.Outcome, err error) bool {
	switch {
	case err != nil && errors.Is(err, consensus.ErrUnknown):
		n.adminProblem(w, q, policy.CodeTimeout, "", "")
	case err != nil:
		n.adminProblem(w, q, policy.CodeNoLeader, "", "")
	case o.Code != "":
		n.adminProblem(w, q, o.Code, o.Detail, o.DetailZH)
	default:
		return true
	}
	return false
}

// readBody reads a JSON body strictly; false when the refusal was answered.
func (n *Node) readBody(w http.ResponseWriter, q *http.Request, limit int64, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, q.Body, limit))
	d.DisallowUnknownFields()
	if d.Decode(into) != nil || !errors.Is(d.Decode(new(any)), io.EOF) {
		n.adminProblem(w, q, policy.CodeInvalidRequest, "", "")
		return false
	}
	return true
}

// statusWriter remembers what was answered.
type statusWriter struct {
	http.ResponseWriter

	status int
}

// WriteHeader remembers the status.
func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap gives http.ResponseController the writer below.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }
