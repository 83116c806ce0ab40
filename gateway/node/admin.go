package node

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"slices"
	"strconv"
	"time"

	"gongji/adapters"
	"gongji/consensus"
	"gongji/gateway/client"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/operator"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
)

// The operators' listener. Everything that is asked of it passes the guard (adminguard.go).

const (
	adminHeader  = 5 * time.Second
	auditTimeout = 2 * time.Minute

	adminHeaderMax = 16 << 10
)

func (n *Node) adminServer() *http.Server {
	return &http.Server{Handler: n.Admin(), ReadHeaderTimeout: adminHeader, MaxHeaderBytes: adminHeaderMax}
}

// adminRoute is one call of the operators' API: who may make it, and whether a second person must agree first.
type adminRoute struct {
	pattern string
	needs   duty
	two     bool // done only when a second person has approved it
	open    bool // asks for no session: what leads to one
	alone   bool // must work without a leader: the session is read as this node has it
	handler http.HandlerFunc
}

// duty is what a call asks of an operator; the roles are made of duties.
type duty = operator.Duty

// The duties.
const (
	dutyObserve = operator.Observe // sees how the region is, no personal data
	dutyOperate = operator.Operate // changes how the region runs
	dutySecure  = operator.Secure  // keys, directory, platforms, operators
	dutyAudit   = operator.Audit   // reads records of persons, decisions and the audit log
)

// adminRoutes are all calls of the operators' API.
func (n *Node) adminRoutes() []adminRoute {
	routes := []adminRoute{
		{pattern: "GET /admin/v1/status", needs: dutyObserve, alone: true, handler: n.adminStatus},
		{pattern: "GET /admin/v1/books", needs: dutyAudit, handler: n.adminBooks},
		{pattern: "GET /admin/v1/audit", needs: dutyAudit, handler: n.adminAudit},
		{pattern: "GET /admin/v1/digest", needs: dutyObserve, alone: true, handler: n.adminDigest},
		{pattern: "GET /admin/v1/index", needs: dutyObserve, handler: n.adminIndex},
		{pattern: "POST /admin/v1/index/rebuild", needs: dutyOperate, handler: n.adminRebuild},
		{pattern: "POST /admin/v1/standing", needs: dutyOperate, handler: n.adminStanding},
		{pattern: "POST /admin/v1/people", needs: dutyOperate, handler: n.adminPeople},
		{pattern: "POST /admin/v1/clock/acknowledge", needs: dutyOperate, alone: true, handler: n.adminClock},
		{pattern: "/debug/pprof/", needs: dutyOperate, alone: true, handler: pprof.Index},
		{pattern: "/debug/pprof/profile", needs: dutyOperate, alone: true, handler: pprof.Profile},
		{pattern: "/debug/pprof/trace", needs: dutyOperate, alone: true, handler: pprof.Trace},
	}
	return slices.Concat(routes, n.rulesRoutes(), n.loginRoutes(), n.operatorRoutes(), n.actRoutes(), n.auditRoutes(),
		n.holdRoutes(), n.platformRoutes(), n.rotationRoutes(), n.keyringRoutes(),
		n.linkRoutes(), n.evidenceRoutes())
}

// Admin is the operators' API of this node.
func (n *Node) Admin() http.Handler {
	mux := http.NewServeMux()
	for _, r := range n.adminRoutes() {
		mux.HandleFunc(r.pattern, n.guard(&r))
	}
	return mux
}

func (n *Node) adminClock(w http.ResponseWriter, _ *http.Request) {
	n.log.AcknowledgeClock()
	w.WriteHeader(http.StatusNoContent)
}

func (n *Node) writeJSON(w http.ResponseWriter, r *http.Request, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		n.deps.Logger.LogAttrs(r.Context(), slog.LevelDebug, "an operator did not take an answer",
			slog.String("error", err.Error()))
	}
}

func (n *Node) adminStatus(w http.ResponseWriter, r *http.Request) {
	peers, err := n.settler.Peers()
	if !n.answerOutcome(w, r, ledger.Outcome{}, err) {
		return
	}
	n.writeJSON(w, r, map[string]any{
		"log": n.log.Status(), "peers": peers, "directory": n.directoryView(), "expiries": n.expiryViews(),
	})
}

func (n *Node) adminDigest(w http.ResponseWriter, r *http.Request) {
	digests := make(map[string]string)
	var applied uint64
	for index, d := range n.log.Digests() {
		digests[strconv.FormatUint(index, 10)] = d
		applied = max(applied, index)
	}
	n.writeJSON(w, r, map[string]any{"applied": applied, "digests": digests})
}

// book is one account as the core system itself has it.
type book struct {
	Region   string `json:"region"`
	IDNumber string `json:"id_number"`
	Opening  string `json:"opening"`
	Balance  string `json:"balance"`
	Held     string `json:"held"`
}

// adminBooks says what the Book has, with clear identities: for the testnet and for the region's own staff.
func (n *Node) adminBooks(w http.ResponseWriter, r *http.Request) {
	if n.ledger.Book() == nil {
		n.adminProblem(w, r, policy.CodeNotSupported, "This region's core system is outside.", "本统筹区使用外部核心系统。")
		return
	}
	out := struct {
		Accounts []book `json:"accounts"`
	}{Accounts: []book{}}
	err := n.log.Read(r.Context(), func(rd consensus.Reader) error {
		v := n.ledger.View(rd)
		return v.Accounts(func(no string, a adapters.Account, opening money.Amount) error {
			if a.Scheme != adapters.SchemeEmployee {
				return nil
			}
			p, err := v.Person(no)
			if err != nil || p == nil {
				return err
			}
			who, err := n.vault.Open(p.Sealed)
			if err != nil {
				return err
			}
			out.Accounts = append(out.Accounts, book{
				Region: n.cfg.Region, IDNumber: who.Number, Opening: opening.String(),
				Balance: money.Amount(a.Balance).String(), Held: money.Amount(a.Held).String(),
			})
			return nil
		})
	})
	if n.answerOutcome(w, r, ledger.Outcome{}, err) {
		n.writeJSON(w, r, out)
	}
}

// adminAudit writes everything that the invariants I-1 to I-7 are checked from, one line each. Nobody's identity is
// in it.
func (n *Node) adminAudit(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), auditTimeout)
	defer cancel()
	w.Header().Set("Content-Type", "application/x-ndjson")
	a := &audit{n: n, out: json.NewEncoder(w)}
	if err := n.log.Read(ctx, a.write); err != nil && a.lines == 0 {
		n.answerOutcome(w, r, ledger.Outcome{}, err)
	}
}

type audit struct {
	n     *Node
	out   *json.Encoder
	lines int
	end   client.AuditEnd
	err   error
}

func (a *audit) line(l client.AuditLine) bool {
	a.lines++
	a.err = a.out.Encode(l)
	return a.err == nil
}

func (a *audit) write(r consensus.Reader) error {
	v := a.n.ledger.View(r)
	a.rules()
	steps := []func(ledger.View) error{a.accounts, a.grants, a.holds, a.payments, a.bills}
	for _, step := range steps {
		if err := step(v); err != nil {
			return err
		}
		if a.err != nil {
			return a.err
		}
	}
	st := a.n.log.Status()
	a.end.Index, a.end.Digest, a.end.Stamp = st.AppliedIndex, st.Digest, st.LastStamp
	a.line(client.AuditLine{End: &a.end})
	return a.err
}

func (a *audit) rules() {
	for _, rules := range a.n.ledger.InForce().Rules.Versions() {
		limits := map[string]int64{}
		for _, l := range rules.VisitLimits {
			limits[string(l.Purpose)] = l.Limit.Fen()
		}
		a.line(client.AuditLine{Rules: &client.AuditRules{
			AnnualShare: rules.AnnualShare.String(), Floor: rules.RetainedFloor.Fen(), VisitLimits: limits,
			From: rules.EffectiveFrom.Start(),
		}})
	}
}

func (a *audit) accounts(v ledger.View) error {
	if a.n.ledger.Book() == nil {
		return nil
	}
	return v.Accounts(func(no string, acc adapters.Account, opening money.Amount) error {
		line := client.AuditAccount{
			Region: a.n.cfg.Region, Account: no, Opening: opening.Fen(), Balance: acc.Balance, Held: acc.Held,
			YearOpening: acc.Opening, Year: acc.Year,
		}
		err := v.Movements(no, func(m adapters.Movement) bool {
			switch m.Kind {
			case adapters.KindCapture:
				line.Captured += m.Amount
			case adapters.KindRefund:
				line.Refunded += m.Amount
			case adapters.KindCredit:
				if m.Ref != adapters.RefOpening {
					line.Credits += m.Amount
				}
			case adapters.KindHold, adapters.KindRelease:
			}
			a.end.Movements++
			return a.line(client.AuditLine{Movement: &client.AuditMovement{
				Account: no, Seq: m.Seq, At: m.At, Kind: string(m.Kind), Ref: m.Ref, Amount: m.Amount,
				Balance: m.Balance, Held: m.Held,
			}})
		})
		a.end.Accounts++
		a.line(client.AuditLine{Account: &line})
		if err != nil {
			return err
		}
		return a.err
	})
}

func (a *audit) grants(v ledger.View) error {
	var failed error
	err := v.Grants(func(g *ledger.GrantRecord) bool {
		line := client.AuditGrant{
			ID: g.ID, PerPayment: g.Terms.PerPaymentLimit.Fen(), Annual: g.Terms.AnnualLimit.Fen(),
			Status: string(g.EffectiveStatus(policy.Day(a.n.deps.Clock()))), Since: g.ChangedAt,
		}
		if g.Reserve.Number > 0 && a.n.ledger.Book() != nil {
			var found adapters.Hold
			if found, failed = v.BookHold(g.ReserveRef()); failed != nil {
				return false
			}
			line.Account, line.Reserve = string(g.Payer), g.Reserve.Left.Fen()
			if found.State == adapters.HoldOpen {
				line.Reserved = found.Held
			}
		}
		return a.line(client.AuditLine{Grant: &line})
	})
	return errors.Join(failed, err)
}

func (a *audit) holds(v ledger.View) error {
	var failed error
	err := v.Holds(func(h *ledger.HoldRecord) bool {
		line := client.AuditHold{
			ID: h.ID, PaymentID: h.PaymentID, Origin: h.Origin, GrantID: h.GrantID, Account: h.Account,
			State: h.State.String(), Asked: h.Asked.Fen(), Amount: h.Amount.Fen(), Take: h.Take.Fen(),
			Captured: h.Captured.Fen(), Year: h.Year, Purpose: string(h.Purpose), VisitRegion: h.Origin, VisitID: h.VisitID,
			LimitedBy: string(h.LimitedBy), Code: string(h.Code), Checked: h.Checked, CheckedAt: h.CheckedAt,
			PlacedAt: h.Placed, EndedAt: h.Ended, DecideBy: h.DecideBy,
			Refunded: h.Refunded.Fen(), Refunding: h.Refunding.Fen(),
		}
		if h.State == hold.Captured {
			if line.Returns, failed = returnsOf(v, h.ID); failed != nil {
				return false
			}
		}
		if b := a.n.ledger.Book(); b != nil {
			var found adapters.Hold
			if found, failed = v.BookHold(h.ID); failed != nil {
				return false
			}
			line.CoreState, line.CoreHeld, line.CoreCaptured = found.State.String(), found.Held, found.Captured
			line.CoreRefunded = found.Refunded
		}
		a.end.Holds++
		return a.line(client.AuditLine{Hold: &line})
	})
	if failed != nil {
		return failed
	}
	return err
}

func returnsOf(v ledger.View, holdID string) ([]client.AuditReturn, error) {
	list, err := v.ReturnsOf(holdID)
	var out []client.AuditReturn
	for _, r := range list {
		out = append(out, client.AuditReturn{
			RefundID: r.RefundID, Amount: r.Amount.Fen(), State: r.State.String(), EndedAt: r.Ended,
		})
	}
	return out, err
}

func (a *audit) payments(v ledger.View) error {
	return v.Payments(func(p *ledger.PaymentRecord) bool {
		line := client.AuditPayment{
			ID: p.ID, State: p.State.String(), Cause: cause(p.Cause), Amount: p.Amount.Fen(),
			SelfBorne: p.Bill.SelfBorne.Fen(), OwnAccountPaid: p.Bill.OwnPaid.Fen(), Held: p.Held.Fen(),
			Confirmed: p.Confirmed.Fen(), Captured: p.CapturedSum().Fen(), Refunded: p.RefundedSum().Fen(),
			BillKey:     p.Institution + "/" + p.Bill.ID,
			Institution: p.Institution, VisitID: p.VisitID, Created: p.Created, DecideBy: p.DecideBy,
		}
		for i := range p.Legs {
			l := &p.Legs[i]
			line.Legs = append(line.Legs, client.AuditLeg{
				HoldID: l.HoldID, GrantID: l.GrantID, Region: l.Region, State: l.State.String(), Asked: l.Asked.Fen(),
				Amount: l.Amount.Fen(), Share: l.Share.Fen(), Captured: l.Captured.Fen(), GivenUp: l.GivenUp,
				Refunded: l.Refunded.Fen(), Refunding: l.Refunding.Fen(),
			})
		}
		a.end.Payments++
		return a.line(client.AuditLine{Payment: &line})
	})
}

func (a *audit) bills(v ledger.View) error {
	return v.Bills(func(institution, bill string, used money.Amount) bool {
		return a.line(client.AuditLine{Bill: &client.AuditBill{Key: institution + "/" + bill, Used: used.Fen()}})
	})
}

func cause(c payment.Cause) string {
	switch c {
	case payment.CauseCancelled:
		return "cancelled"
	case payment.CauseExpired:
		return "expired"
	case payment.CauseShort:
		return "short"
	case payment.CauseNone:
	}
	return ""
}
