package ledger

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gongji/adapters"
	"gongji/federation"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/operator"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/wire/wirepb"
)

// ownID reports whether an id was made by a region: ids carry it, so that no region speaks of another's things.
func ownID(letter, id string, region federation.Region) bool {
	return strings.HasPrefix(id, letter+"-"+string(region)+"-")
}

// holdRequest begins a hold. It consumes its number whatever comes of it, and is answered.
func (x *tx) holdRequest(now time.Time, peer federation.Region, m *wirepb.HoldRequest, in *Inbound) {
	latest := now.Add(hold.DecideMax).UnixMicro()
	if !ownID("h", m.GetHoldId(), peer) || !ownID("p", m.GetPaymentId(), peer) ||
		m.GetAmount() <= 0 || m.GetAmount() > money.Max.Fen() || m.GetDecideBy() > latest {
		x.stranger(peer, whyNoHold(m, peer), m.GetHoldId())
		x.send(peer, holdAnswer(m.GetHoldId(), 0, "", policy.CodeNotFound, nil), nil, nil)
		return
	}
	if h := get(x, x.l.holds, m.GetHoldId()); h != nil {
		x.answerAgain(peer, h)
		return
	}
	h := &HoldRecord{
		Hold: hold.Hold{
			ID: m.GetHoldId(), PaymentID: m.GetPaymentId(), Origin: string(peer), GrantID: m.GetGrantId(),
			Asked: money.Amount(m.GetAmount()), DecideBy: time.UnixMicro(m.GetDecideBy()).UTC(),
		},
		Purpose: policy.Purpose(m.GetPurpose()), Institution: m.GetInstitution(), VisitID: m.GetVisitId(),
		InCore: x.l.cfg.Book == nil,
	}
	if !now.Before(h.DecideBy) {
		x.waste(peer)
		x.do(now, h, h.Late(now))
		return
	}
	if link := get(x, x.l.links, string(peer)); link != nil && link.Reuniting() {
		x.stranger(peer, StrangerReconcile, h.ID)
		h.State = hold.Requested
		x.do(now, h, h.Check(now, 0, "", policy.CodeRegionUnreachable))
		return
	}
	g := get(x, x.l.grants, m.GetGrantId())
	if code := x.mayHold(g, in, m.GetTicket()); code != "" {
		if in.Ticket == "" { // a ticket that was refused is audited as such
			x.stranger(peer, StrangerUnknown, h.ID)
		} else {
			x.waste(peer)
		}
		h.State = hold.Requested
		x.do(now, h, h.Check(now, 0, "", code))
		return
	}
	h.Account, h.Beneficiary = string(g.Payer), string(g.Beneficiary)
	if p := get(x, x.l.persons, h.Account); p != nil {
		h.Payer, h.PayerName = p.Masked, p.Called
	}
	x.do(now, h, h.Request(now))
}

// mayHold returns why a hold may not even be looked at: no such grant, another person's, or no ticket for it. All
// of them answer as unknown, so that nobody learns of other people's grants by asking.
func (x *tx) mayHold(g *GrantRecord, in *Inbound, ticket []byte) policy.Code {
	if g == nil || in.Person == nil || in.Ticket != "" || x.badTicket(ticket) {
		return policy.CodeNotFound
	}
	// The ticket was signed by the home that the message names for the person. It must be the home that the grant
	// knows: the number alone would let any region sign for anybody.
	no := in.Person.New // a message of this region to itself names the person by number
	if in.Person.Tokens() != nil {
		no, _ = x.find(in.Person)
	}
	if no == "" || no != string(g.Beneficiary) || in.Person.Region != g.BeneficiaryRegion {
		return policy.CodeNotFound
	}
	return ""
}

// do carries a hold's actions out: in this entry with a Book, by intent with a core outside. It keeps everything
// that follows from the hold's state: what it counts, its deadline, the call under way.
func (x *tx) do(now time.Time, h *HoldRecord, actions []hold.Action) {
	for len(actions) > 0 && x.err == nil {
		a := actions[0]
		actions = actions[1:]
		switch a {
		case hold.CallPerson, hold.CallHold, hold.CallCapture, hold.CallRelease:
			if !h.InCore {
				actions = append(actions, x.callBook(now, h, a)...)
			}
		case hold.TellAnswer:
			x.answer(h)
		case hold.TellOutcome:
			x.tellOutcome(h, false)
		case hold.TellForced:
			x.tellOutcome(h, true)
		case hold.AskOrigin:
			x.send(federation.Region(h.Origin), &wirepb.Body{Kind: &wirepb.Body_Enquiry{Enquiry: &wirepb.Enquiry{
				HoldId: h.ID, PaymentId: h.PaymentID,
			}}}, nil, nil)
		case hold.Free:
		}
		x.recount(h)
		h.Moments = moments(h.Moments, now, uint8(h.State))
	}
	h.Moments = moments(h.Moments, now, uint8(h.State))
	x.recount(h)
	x.post(h)
	x.keepCall(h)
	x.wake(dueHold, h.ID, h.Due, h.WakeAt)
	h.Due = h.WakeAt
	put(x, x.l.holds, h.ID, h)
}

// keepCall notes the call to a core outside that is under way, for the leader of now and for the next one.
func (x *tx) keepCall(h *HoldRecord) {
	if !h.InCore {
		return
	}
	key := stateKey(keyCall, h.ID)
	if h.Calls() == 0 {
		x.Delete(key)
		return
	}
	x.Set(key, nil)
	x.l.effects.Calls = appendOnce(x.l.effects.Calls, h.ID)
}

// callBook is a call to the region's own Book: its answer is there at once.
func (x *tx) callBook(now time.Time, h *HoldRecord, a hold.Action) []hold.Action {
	book := x.l.cfg.Book
	switch a {
	case hold.CallPerson:
		account, ok, err := book.Account(x, h.Account)
		if err != nil {
			x.fail(err)
			return nil
		}
		facts := factsOf(account, ok)
		return x.check(now, h, &facts)
	case hold.CallHold:
		return x.holdInBook(now, h)
	case hold.CallCapture:
		err := book.Capture(x, now, h.ID, h.Take.Fen())
		if reason := x.reason(err); reason != "" {
			return h.CoreRefusedCapture(now)
		}
		x.refill(now, h, h.Amount-h.Take)
		return h.CoreCaptured(now, h.Take)
	case hold.CallRelease:
		err := book.Release(x, now, h.ID)
		if refusal, ok := errors.AsType[*adapters.RefusedError](err); ok && refusal.Reason == adapters.ReasonCaptured {
			x.coreWon(h)
			return h.CoreCaptured(now, money.Amount(refusal.Captured))
		}
		if x.reason(err) == "" && !h.Placed.IsZero() {
			x.refill(now, h, h.Amount)
		}
		return h.CoreReleased(now)
	case hold.TellAnswer, hold.TellOutcome, hold.TellForced, hold.AskOrigin, hold.Free:
	}
	return nil
}

// reason is the refusal in an error of the Book; any other error is a damaged state.
func (x *tx) reason(err error) adapters.Reason {
	if err == nil {
		return ""
	}
	if reason := adapters.ReasonOf(err); reason != "" {
		return reason
	}
	x.fail(err)
	return ""
}

// codeOf is the decline that a core's refusal shows as.
func codeOf(r adapters.Reason) policy.Code {
	switch r {
	case adapters.ReasonBalance:
		return policy.CodeBalanceInsufficient
	case adapters.ReasonStatus:
		return policy.CodePayerNotInsured
	case adapters.ReasonScheme:
		return policy.CodePayerScheme
	case adapters.ReasonUnknownPerson, adapters.ReasonIdentity:
		return policy.CodeNotFound
	case adapters.ReasonClosed, adapters.ReasonReleased, adapters.ReasonCaptured, adapters.ReasonNotHeld,
		adapters.ReasonAbove, adapters.ReasonLate, adapters.ReasonConflict, adapters.ReasonInvalid,
		adapters.ReasonPaid:
	}
	return policy.CodeCoreUnavailable
}

func factsOf(a adapters.Account, known bool) Facts {
	return Facts{
		Known: known, Scheme: a.Scheme, Status: a.Status, Balance: money.Amount(a.Balance), Held: money.Amount(a.Held),
		Year: a.Year, Opening: money.Amount(a.Opening), Provisional: a.Provisional, Credited: money.Amount(a.Credited),
	}
}

func (f *Facts) account() adapters.Account {
	return adapters.Account{
		Scheme: f.Scheme, Status: f.Status, Balance: f.Balance.Fen(), Held: f.Held.Fen(),
		Year: f.Year, Opening: f.Opening.Fen(), Provisional: f.Provisional, Credited: f.Credited.Fen(),
	}
}

// Keys of useRecords: what is held or captured, by what limits it.
func useOpen(account string) string { return joined("o", account) }

func useYear(account string, year int) string {
	return joined("y", account, strconv.Itoa(year))
}

func useVisit(account, origin, visit string) string { return joined("v", account, origin, visit) }

func useGrant(grantID string, year int) string { return joined("g", grantID, strconv.Itoa(year)) }

func (x *tx) used(key string) money.Amount {
	if u := get(x, x.l.uses, key); u != nil {
		return u.Used
	}
	return 0
}

func (x *tx) addUse(key string, by money.Amount) {
	u := get(x, x.l.uses, key)
	if u == nil {
		u = new(useRecord)
	}
	u.Used += by
	if u.Used < 0 {
		x.fail(fmt.Errorf("ledger: a limit's use fell below zero"))
		return
	}
	put(x, x.l.uses, key, u)
}

// recount brings the records of use up to what the hold counts now.
func (x *tx) recount(h *HoldRecord) {
	if by := h.Counts() - h.Counted; by != 0 {
		x.addUse(useYear(h.Account, h.Year), by)
		x.addUse(useVisit(h.Account, h.Origin, h.VisitID), by)
		x.addUse(useGrant(h.GrantID, h.Year), by)
		h.Counted = h.Counts()
	}
	if !h.InCore {
		return // the Book keeps the open holds of its accounts itself
	}
	open := h.Counts()
	if h.State.Final() {
		open = 0
	}
	if by := open - h.Open; by != 0 {
		x.addUse(useOpen(h.Account), by)
		h.Open = open
	}
}

// check holds a request against the rules: who may, and how much.
func (x *tx) check(now time.Time, h *HoldRecord, f *Facts) []hold.Action {
	if h.State != hold.Requested || h.Checked {
		return nil
	}
	h.Year, h.CheckedAt = policy.Year(now), now
	g := get(x, x.l.grants, h.GrantID)
	if g == nil || !f.Known {
		x.endIfGone(now, h.GrantID, f.Standing())
		return h.Check(now, 0, "", policy.CodeNotFound)
	}
	g = x.capped(g, h.Purpose)
	verdict, refused := judge(now, h, g, f, InForce{Rules: x.l.rules, Directory: x.l.dir, Self: x.l.cfg.Self}, x.used)
	h.Verdict = verdict
	x.endIfGone(now, h.GrantID, f.Standing())
	if refused != "" {
		return h.Check(now, 0, "", refused)
	}
	return h.Check(now, verdict.Given, verdict.LimitedBy, "")
}

// judge is the rules' verdict on one hold, and the code of the refusal where nothing is given. Without rules there is
// no verdict, only a code.
func judge(
	now time.Time, h *HoldRecord, g *GrantRecord, f *Facts, in InForce, used func(key string) money.Amount,
) (*Verdict, policy.Code) {
	day := policy.Day(now)
	rules, err := in.Rules.At(day)
	if err != nil {
		return nil, policy.CodePurposeNotOpen
	}
	v := &Verdict{
		Rules: rules.EffectiveFrom, Scheme: f.Scheme, Status: f.Status, Provisional: f.account().InYear(h.Year).Provisional,
		GrantUsable: g.Usable(day), PairOpen: in.PairOpen(now, federation.Region(h.Origin)),
	}
	err = policy.CheckEligible(policy.Use{
		GrantUsable: v.GrantUsable, Scheme: policy.Scheme(f.Scheme), Status: policy.InsuredStatus(f.Status),
		Relation: g.Terms.Relation, PairOpen: v.PairOpen, Scope: policy.ScopeOf(string(in.Self), h.Origin),
		Purpose: h.Purpose, Rules: rules,
	})
	if err != nil {
		return v, policy.CodeOf(err)
	}
	v.decided(ask(h, g, f, rules, used))
	if v.Given <= 0 {
		return v, v.LimitedBy
	}
	return v, ""
}

// ask gathers what the limits depend on; used reads a record of use.
func ask(h *HoldRecord, g *GrantRecord, f *Facts, rules *policy.Rules, used func(key string) money.Amount) policy.Ask {
	open := f.Held
	if h.InCore {
		open = max(used(useOpen(h.Account)), f.Held)
	}
	account := f.account().InYear(h.Year)
	in := policy.Ask{
		Amount: h.Asked, Balance: f.Balance, OpenHolds: open,
		Opening:          money.Amount(account.Opening),
		Credited:         money.Amount(account.Credited),
		UsedYear:         used(useYear(h.Account, h.Year)),
		UsedVisit:        used(useVisit(h.Account, h.Origin, h.VisitID)),
		UsedGrant:        used(useGrant(h.GrantID, h.Year)),
		PaymentLimit:     g.Terms.PerPaymentLimit,
		GrantAnnualLimit: g.Terms.AnnualLimit,
		Terms:            rules.Terms(h.Purpose),
	}
	if g.virtual() { // of the account was asked when the limit was made; in another year its quota is asked anew
		in.Balance, in.OpenHolds = g.Reserve.Left, 0
		in.Reserved, in.QuotaCounted = true, g.Reserve.Year == h.Year
	}
	return in
}

func (x *tx) pairOpen(now time.Time, peer federation.Region) bool {
	return InForce{Rules: x.l.rules, Directory: x.l.dir, Self: x.l.cfg.Self}.PairOpen(now, peer)
}

func holdAnswer(holdID string, amount money.Amount, limitedBy, code policy.Code, h *HoldRecord) *wirepb.Body {
	a := &wirepb.HoldAnswer{HoldId: holdID, Amount: amount.Fen(), LimitedBy: string(limitedBy), Code: string(code)}
	if h != nil && code == "" {
		a.Payer, a.PayerName = h.Payer, h.PayerName
	}
	return &wirepb.Body{Kind: &wirepb.Body_HoldAnswer{HoldAnswer: a}}
}

func (x *tx) answer(h *HoldRecord) {
	code := h.Code
	if h.State == hold.Declined && code == "" {
		code = policy.CodeCoreUnavailable
	}
	x.send(federation.Region(h.Origin), holdAnswer(h.ID, h.Amount, h.LimitedBy, code, h), nil, nil)
}

func (x *tx) tellOutcome(h *HoldRecord, forced bool) {
	state := h.State.String()
	x.send(federation.Region(h.Origin), &wirepb.Body{Kind: &wirepb.Body_Outcome{Outcome: &wirepb.Outcome{
		HoldId: h.ID, ActId: h.Act, State: state, Captured: h.Captured.Fen(), Forced: forced || h.ByForce,
	}}}, nil, nil)
}

// decision finds the hold that an origin decides on. One never seen is recorded as ended, so that a request that
// comes later changes nothing.
func (x *tx) decision(
	now time.Time, peer federation.Region, holdID, paymentID, act string, end hold.State,
) *HoldRecord {
	if !ownID("h", holdID, peer) || !ownID("p", paymentID, peer) {
		x.stranger(peer, StrangerHold, holdID)
		return nil
	}
	h := get(x, x.l.holds, holdID)
	if h == nil || h.State.Final() {
		x.waste(peer)
	}
	if h == nil {
		h = &HoldRecord{Hold: hold.Hold{
			ID: holdID, PaymentID: paymentID, Origin: string(peer), State: end, Act: act, Ended: now,
		}}
	}
	return h
}

func (x *tx) capture(now time.Time, peer federation.Region, m *wirepb.Capture) {
	h := x.decision(now, peer, m.GetHoldId(), m.GetPaymentId(), m.GetActId(), hold.CaptureFailed)
	if h == nil {
		return
	}
	if m.GetAmount() <= 0 {
		x.stranger(peer, StrangerImpossible, h.ID)
		return
	}
	x.do(now, h, h.Capture(now, m.GetActId(), money.Amount(m.GetAmount())))
}

func (x *tx) release(now time.Time, peer federation.Region, m *wirepb.Release) {
	h := x.decision(now, peer, m.GetHoldId(), m.GetPaymentId(), m.GetActId(), hold.Released)
	if h == nil {
		return
	}
	h.Void = h.Void || m.GetDeclined()
	x.do(now, h, h.Release(now, m.GetActId()))
}

// expireHold does what is due, and reports whether the item still stood.
func (x *tx) expireHold(now time.Time, item dueItem) bool {
	h := get(x, x.l.holds, item.id)
	if h == nil || !h.Due.Equal(item.at) {
		return false
	}
	x.do(now, h, h.Expire(now))
	return true
}

// coreResult takes the answer of a core outside, if the hold still waits for that call.
func (x *tx) coreResult(now time.Time, c *CoreResult) Outcome {
	h := get(x, x.l.holds, c.HoldID)
	if h == nil || !h.InCore || h.Calls() != c.Call {
		return Outcome{}
	}
	var next []hold.Action
	switch c.Call {
	case hold.CallPerson:
		if c.Refused != "" {
			if adapters.Reason(c.Refused) == adapters.ReasonUnknownPerson {
				x.endForPayer(now, h.GrantID)
			}
			next = h.Check(now, 0, "", codeOf(adapters.Reason(c.Refused)))
		} else {
			next = x.check(now, h, &c.Facts)
		}
	case hold.CallHold:
		if c.Refused != "" {
			next = h.CoreRefusedHold(now, codeOf(adapters.Reason(c.Refused)))
		} else {
			next = h.CoreHeld(now, c.Amount)
		}
	case hold.CallCapture:
		if c.Refused != "" {
			next = h.CoreRefusedCapture(now)
		} else {
			next = h.CoreCaptured(now, h.Take)
		}
	case hold.CallRelease:
		switch c.Refused {
		case string(adapters.ReasonCaptured):
			x.coreWon(h)
			next = h.CoreCaptured(now, c.Amount)
		case "":
			next = h.CoreReleased(now)
		default:
			return Outcome{} // not confirmed: the call is repeated when the hold wakes
		}
	case hold.TellAnswer, hold.TellOutcome, hold.TellForced, hold.AskOrigin, hold.Free:
		return Outcome{}
	}
	x.do(now, h, next)
	return Outcome{}
}

// forceRelease is an operator's word on a hold in doubt (design 5, "Force").
func (x *tx) forceRelease(now time.Time, c *ForceRelease) Outcome {
	h := get(x, x.l.holds, c.HoldID)
	if h == nil {
		return refuse(policy.CodeNotFound)
	}
	if c.Second != "" && c.Second == c.Operator || !x.both(c.Operator, c.Second, operator.Operate) {
		return refuse(policy.CodeForbidden)
	}
	actions, code := h.Force(now, c.Operator)
	if code == "" && c.Second != "" && len(actions) == 0 {
		actions, code = h.Force(now, c.Second)
	}
	if code != "" {
		return refuse(code)
	}
	x.do(now, h, actions)
	return Outcome{ID: h.ID}
}
