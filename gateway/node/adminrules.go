package node

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"gongji/consensus"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
)

// The operators' part of the regional rules: versions are read, brought in and withdrawn, and a decision is shown with
// the facts that it was made on.

const (
	rulesType    = "application/yaml"
	rulesTimeout = 30 * time.Second
)

func (n *Node) rulesRoutes() []adminRoute {
	return []adminRoute{
		{pattern: "GET /admin/v1/rules", needs: dutyObserve, handler: n.adminRules},
		{pattern: "GET /admin/v1/rules/{from}", needs: dutyObserve, handler: n.adminRulesOf},
		{pattern: "POST /admin/v1/rules", needs: dutyOperate, handler: n.adminSetRules},
		{pattern: "DELETE /admin/v1/rules/{from}", needs: dutyOperate, handler: n.adminWithdrawRules},
		{pattern: "GET /admin/v1/decisions", needs: dutyAudit, handler: n.adminDecisions},
	}
}

// rulesVersion is one version of the rules as the list shows it.
type rulesVersion struct {
	EffectiveFrom string          `json:"effective_from"`
	State         string          `json:"state"` // past, in_force, to_come, replaced
	Rules         json.RawMessage `json:"rules"`
}

// adminRules lists all versions, oldest first, and those that were in force and were replaced on their own day.
func (n *Node) adminRules(w http.ResponseWriter, r *http.Request) {
	out := struct {
		Region   string         `json:"region"`
		Versions []rulesVersion `json:"versions"`
	}{Region: n.cfg.Region, Versions: []rulesVersion{}}
	book, today := n.ledger.InForce().Rules, policy.Day(n.deps.Clock())
	current, err := book.At(today)
	if err != nil {
		current = &policy.Rules{}
	}
	for _, v := range book.Versions() {
		state := "past"
		switch {
		case v.EffectiveFrom == current.EffectiveFrom:
			state = "in_force"
		case v.EffectiveFrom > today:
			state = "to_come"
		}
		out.Versions = append(out.Versions, versionOf(v, state))
	}
	var replaced []policy.Rules
	err = n.log.Read(r.Context(), func(rd consensus.Reader) error {
		var failed error
		replaced, failed = n.ledger.View(rd).ReplacedRules()
		return failed
	})
	if !n.answerOutcome(w, r, ledger.Outcome{}, err) {
		return
	}
	for _, v := range replaced {
		out.Versions = append(out.Versions, versionOf(v, "replaced"))
	}
	n.writeJSON(w, r, out)
}

func versionOf(r policy.Rules, state string) rulesVersion {
	data, err := policy.EncodeRules(r)
	if err != nil {
		data = []byte("null") // rules of a book are valid
	}
	return rulesVersion{EffectiveFrom: r.EffectiveFrom.String(), State: state, Rules: data}
}

// adminRulesOf gives the version of a day, or the "current" one, as a document.
func (n *Node) adminRulesOf(w http.ResponseWriter, r *http.Request) {
	day := policy.Day(n.deps.Clock())
	if from := r.PathValue("from"); from != "current" {
		var err error
		if day, err = policy.ParseDate(from); err != nil {
			n.adminProblem(w, r, policy.CodeInvalidRequest, "A day YYYY-MM-DD, or current.", "请填写日期 YYYY-MM-DD 或 current。")
			return
		}
	}
	rules, err := n.ledger.InForce().Rules.At(day)
	if err != nil || r.PathValue("from") != "current" && rules.EffectiveFrom != day {
		n.adminProblem(w, r, policy.CodeNotFound, "No version holds from that day.", "没有自该日起施行的版本。")
		return
	}
	doc, err := rulebook.Write(*rules)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", rulesType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(doc) //nolint:gosec // YAML that is said to be YAML; nothing renders it
}

// rulesProblem is one thing that is wrong with a document.
type rulesProblem struct {
	Line     int    `json:"line"`
	Field    string `json:"field"`
	Reason   string `json:"reason"`
	ReasonZH string `json:"reason_zh"`
}

// adminSetRules brings a document into the log. The media type must be said: a web page of somebody else cannot say it.
func (n *Node) adminSetRules(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != rulesType {
		n.malformed(w, r, http.StatusUnsupportedMediaType, "The body must be "+rulesType+".", "请求内容类型须为 "+rulesType+"。")
		return
	}
	doc, err := io.ReadAll(http.MaxBytesReader(w, r.Body, rulebook.DocumentMax))
	if err != nil {
		n.adminProblem(w, r, policy.CodeInvalidRequest, err.Error(), "规则文件无法读取或过大。")
		return
	}
	rules, err := rulebook.Read(doc)
	if wrong, ok := errors.AsType[*rulebook.ProblemsError](err); ok {
		n.refuseRules(w, r, wrong.Problems...)
		return
	}
	data, err := policy.EncodeRules(rules)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	n.proposeRules(w, r, "rules_set", rules.EffectiveFrom, &ledger.SetRules{Rules: data})
}

// adminWithdrawRules takes back a version that is not yet in force.
func (n *Node) adminWithdrawRules(w http.ResponseWriter, r *http.Request) {
	from, err := policy.ParseDate(r.PathValue("from"))
	if err != nil {
		n.adminProblem(w, r, policy.CodeInvalidRequest, "A day YYYY-MM-DD.", "请填写日期 YYYY-MM-DD。")
		return
	}
	n.proposeRules(w, r, "rules_withdrawn", from, &ledger.WithdrawRules{From: from})
}

// proposeRules proposes a change of the rules with its line of the audit log, and answers with what came of it.
func (n *Node) proposeRules(w http.ResponseWriter, r *http.Request, event string, from policy.Date, c ledger.Command) {
	ctx, cancel := context.WithTimeout(r.Context(), rulesTimeout)
	defer cancel()
	o, err := n.propose(ctx, event, from.String(), c)
	switch {
	case err != nil:
		n.answerOutcome(w, r, o, err)
	case o.Code != "":
		reason, reasonZH := o.Detail, o.DetailZH
		if reason == "" {
			reason, reasonZH = o.Code.Message(), o.Code.MessageZH()
		}
		n.refuseRules(w, r, rulebook.Problem{
			Field: strings.TrimPrefix(o.Field, "/"), Reason: reason, ReasonZH: reasonZH,
		})
	default:
		n.writeJSON(w, r, map[string]any{"effective_from": from.String(), "unchanged": o.Replay})
	}
}

func (n *Node) refuseRules(w http.ResponseWriter, r *http.Request, wrong ...rulebook.Problem) {
	out := make([]rulesProblem, 0, len(wrong))
	for _, p := range wrong {
		out = append(out, rulesProblem(p))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	n.writeJSON(w, r, map[string]any{"problems": out})
}

// adminDecisions shows what the rules said to the holds of a payment (?payment=) or to one (?hold=), with the facts.
func (n *Node) adminDecisions(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	out := rulebook.Decisions{PaymentID: q.Get("payment"), Region: n.cfg.Region, Decisions: []rulebook.Decision{}}
	err := n.log.Read(r.Context(), func(rd consensus.Reader) error {
		v := n.ledger.View(rd)
		holds, err := v.HoldsOf(q.Get("payment"))
		if id := q.Get("hold"); id != "" && err == nil {
			var h *ledger.HoldRecord
			if h, err = v.Hold(id); h != nil {
				holds = append(holds, h)
			}
		}
		for _, h := range holds {
			out.PaymentID = h.PaymentID
			out.Decisions = append(out.Decisions, n.decision(h))
		}
		return err
	})
	switch {
	case err != nil:
		n.answerOutcome(w, r, ledger.Outcome{}, err)
	case len(out.Decisions) == 0:
		n.adminProblem(w, r, policy.CodeNotFound, "No hold of this region's payers has that id.",
			"本统筹区没有该编号的预扣记录。")
	default:
		n.writeJSON(w, r, out)
	}
}

// decision is what a hold's record says of its decision.
func (n *Node) decision(h *ledger.HoldRecord) rulebook.Decision {
	d := rulebook.Decision{
		HoldID: h.ID, PaymentID: h.PaymentID, GrantID: h.GrantID, Region: n.cfg.Region, VisitRegion: h.Origin,
		Payer: h.Payer, PayerName: h.PayerName, Purpose: string(h.Purpose), Institution: h.Institution, VisitID: h.VisitID,
		CheckedAt: h.CheckedAt, Year: h.Year, Status: h.State.API(), Asked: h.Asked.String(), Held: h.Amount.String(),
		Captured: h.Captured.String(), Code: string(h.Code), LimitedBy: string(h.LimitedBy),
	}
	if v := h.Verdict; v != nil {
		d.Facts = factsOf(v)
	}
	return d
}

func factsOf(v *ledger.Verdict) *rulebook.Facts {
	a := v.Ask
	f := &rulebook.Facts{
		RulesFrom: v.Rules.String(), Scheme: v.Scheme, InsuredStatus: v.Status, GrantUsable: v.GrantUsable,
		PairOpen: v.PairOpen, Balance: a.Balance.String(), OpenHolds: a.OpenHolds.String(),
		YearOpening: a.Opening.String(), OpeningProvisional: v.Provisional, Credited: a.Credited.String(),
		UsedYear: a.UsedYear.String(), UsedVisit: a.UsedVisit.String(), UsedGrant: a.UsedGrant.String(),
		PaymentLimit: a.PaymentLimit.String(), GrantAnnualLimit: a.GrantAnnualLimit.String(),
		AnnualShare: a.Terms.Share.String(), RetainedFloor: a.Terms.Floor.String(), VisitLimit: a.Terms.VisitLimit.String(),
		CarriedOverOnly: a.Terms.CarriedOver, FromVirtualLimit: a.Reserved,
		Given: v.Given.String(), LimitedBy: string(v.LimitedBy),
		Limits: []rulebook.Limit{},
	}
	if a == (policy.Ask{}) {
		return f // refused before any limit was looked at
	}
	for i, code := range policy.LimitCodes() {
		f.Limits = append(f.Limits, rulebook.Limit{
			Code: string(code), InForce: v.Limits[i].InForce, Allows: v.Limits[i].Amount.String(),
		})
	}
	return f
}
