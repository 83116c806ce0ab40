package ledger

import (
	"strconv"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/wire/wirepb"
)

// seen sorts a request: not to be taken at all (its key or its nonce), new, done before, or its id used for something
// else. Every command of a platform comes through here first.
func (x *tx) seen(r Request) (Outcome, bool) {
	if code := x.admit(r.Signed); code != "" {
		return refuse(code), true
	}
	rec := get(x, x.l.requests, joined(r.Platform, r.ID))
	switch {
	case rec == nil:
		return Outcome{}, false
	case rec.Digest != r.Digest:
		return refuse(policy.CodeConflict), true
	}
	return Outcome{Replay: true, ID: rec.ID}, true
}

// remember binds a request's id to what it made. Refusals are not remembered: they use no id up.
func (x *tx) remember(now time.Time, r Request, thing, id string) {
	put(x, x.l.requests, joined(r.Platform, r.ID), &RequestRecord{Digest: r.Digest, Thing: thing, ID: id, At: now})
	x.keepAsked(now, &r, thing, id)
}

func billKey(institution, bill string) string { return joined(institution, bill) }

// billDays is how far back a bill's visit may lie: as long as request ids are kept.
const billDays = RequestDays

// createPayment is the first entry of a payment. The checks that two requests can race for are made here and
// nowhere else: the request id and the bill.
func (x *tx) createPayment(now time.Time, c *CreatePayment) Outcome {
	if out, done := x.seen(c.Request); done {
		return out
	}
	if len(c.Ticket) > ticketMax || x.badTicket(c.Ticket) {
		return refuse(policy.CodeRegionUnreachable) // no message could carry it: an answer that no honest home gives
	}
	day := policy.Day(now)
	if c.VisitDate > day || c.VisitDate < day.AddDays(-billDays) {
		return Outcome{Code: policy.CodeInvalidRequest, Field: "/visit_date"}
	}
	key := billKey(c.Institution, c.Bill.ID)
	var used money.Amount
	if b := get(x, x.l.bills, key); b != nil {
		used = b.Used
	}
	if used+c.Amount > c.Bill.SelfBorne-c.Bill.OwnPaid {
		return Outcome{Code: policy.CodeAmountExceedsSelfBorne, Field: "/amount"}
	}
	p := &PaymentRecord{
		Payment: payment.Payment{
			ID: c.PaymentID, Amount: c.Amount, AllowPartial: c.AllowPartial, AutoConfirm: c.AutoConfirm,
			DecideBy: now.Add(c.DecideWithin.Truncate(time.Microsecond)), // as the state keeps it
		},
		Request: c.Request.bare(), Beneficiary: x.beneficiary(&c.Beneficiary), Persons: c.Persons, Credential: c.Credential,
		Institution: c.Institution, InstKind: c.InstKind, Purpose: c.Purpose,
		VisitID: c.VisitID, VisitDate: c.VisitDate, Bill: c.Bill, Ticket: c.Ticket, Premium: c.Premium,
	}
	p.DecideWithin = c.DecideWithin
	p.Candidates, p.Declines = x.candidates(now, c.Offers)
	if c.Purpose == policy.PurposeEmergency {
		p.CompleteBy = x.completeBy(c.VisitDate, day)
	}
	if get(x, x.l.payments, c.PaymentID) != nil {
		return refuse(policy.CodeConflict) // ids are random: only a leader that repeats itself comes here
	}
	if c.Premium != "" {
		if code := x.premiumStarted(c); code != "" {
			return refuse(code)
		}
	}
	x.remember(now, c.Request, ThingPayment, c.PaymentID)
	x.Set(stateKey(keyByVisit, joined(c.VisitID, aged(now, c.PaymentID))), nil)
	x.Set(stateKey(keyByBill, joined(c.Bill.ID, aged(now, c.PaymentID))), nil)
	put(x, x.l.payments, c.PaymentID, p)
	x.actOnPayment(p, p.Start(now))
	return Outcome{ID: c.PaymentID}
}

// beneficiary is the beneficiary as a payment keeps them: for this region's own payers by number.
func (x *tx) beneficiary(p *Person) Person {
	no, _ := x.find(p)
	return p.untokened(no)
}

// candidates sorts what the look-up offered. The offers come from another region: what is no grant's id, and what goes
// beyond what a payment ever asks, is passed over.
func (x *tx) candidates(now time.Time, offers []Offer) ([]payment.Candidate, []payment.Decline) {
	var candidates []payment.Candidate
	var declines []payment.Decline
	for _, o := range offers {
		region := federation.Region(o.Region)
		if o.GrantID == "" || len(o.GrantID) > idMax || (o.Region != "" && !region.Valid()) {
			continue
		}
		code := o.Code
		if code == "" {
			code = x.mayAsk(now, region)
		}
		if code != "" {
			declines = append(declines, payment.Decline{GrantID: o.GrantID, Region: o.Region, Code: code})
			continue
		}
		if len(candidates) < payment.CandidateMax {
			candidates = append(candidates, payment.Candidate{GrantID: o.GrantID, Region: o.Region})
		}
	}
	return candidates, declines
}

// mayAsk returns why no new hold may be asked of a region now.
func (x *tx) mayAsk(now time.Time, peer federation.Region) policy.Code {
	if x.l.dir != nil && x.l.dir.Expired(now) {
		return policy.CodeRegionUnreachable
	}
	if peer == x.l.cfg.Self {
		return ""
	}
	if x.l.dir == nil {
		return policy.CodeRegionUnreachable
	}
	if !x.pairOpen(now, peer) {
		return policy.CodeRegionPairClosed
	}
	link := get(x, x.l.links, string(peer))
	if link != nil && (link.Out.Waiting() >= outboxMax || link.NewEpoch != 0 || link.In.Forked ||
		link.Differs() || link.Reuniting()) {
		return policy.CodeRegionUnreachable
	}
	return ""
}

// actOnPayment writes down what a payment's step has to tell its legs, and keeps everything that follows from its
// state.
func (x *tx) actOnPayment(p *PaymentRecord, effects []payment.Effect) {
	for _, e := range effects {
		x.tell(p, e)
	}
	key := billKey(p.Institution, p.Bill.ID)
	if counts := p.Counts(); counts != p.Counted {
		b := get(x, x.l.bills, key)
		if b == nil {
			b = new(billRecord)
		}
		b.Used += counts - p.Counted
		p.Counted = counts
		put(x, x.l.bills, key, b)
	}
	if p.State != payment.Requested {
		// Nobody will be asked with this ticket any more. What only a hold request carries need not be written again with
		// every step: the payers' homes keep it as evidence. A completion brings its own ticket, for the same person.
		if len(p.Legs) == 0 || p.asksOthers() || p.Beneficiary.Region == string(x.l.cfg.Self) {
			p.Ticket = nil // it is evidence with the hold requests that were sent, or this region's own word
		}
		if p.CompletableUntil().IsZero() {
			p.Persons, p.Beneficiary.Sealed = Bundle{}, nil
		}
	}
	wake := p.Wake()
	x.wake(duePayment, p.ID, p.Due, wake)
	p.Due = wake
	p.Moments = moments(p.Moments, x.now, uint8(p.State))
	put(x, x.l.payments, p.ID, p)
	x.l.effects.Payments = appendOnce(x.l.effects.Payments, p.ID)
	if p.Premium != "" {
		x.premiumPayment(p)
	}
}

// actID names the origin's decision on one leg: the same on every repeat.
func actID(l *payment.Leg) string { return l.HoldID + "/" + strconv.Itoa(int(l.Share)) }

func (x *tx) tell(p *PaymentRecord, e payment.Effect) {
	l := &p.Legs[e.Leg]
	to := federation.Region(l.Region)
	switch e.Do {
	case payment.AskHold:
		x.send(to, &wirepb.Body{Kind: &wirepb.Body_HoldRequest{HoldRequest: &wirepb.HoldRequest{
			HoldId: l.HoldID, PaymentId: p.ID, GrantId: l.GrantID, Amount: l.Asked.Fen(),
			DecideBy: p.DecideBy.UnixMicro(), Purpose: string(p.Purpose), Institution: p.Institution,
			VisitId: p.VisitID, Ticket: p.Ticket,
		}}}, &p.Persons, &p.Beneficiary)
	case payment.TellCapture:
		x.send(to, &wirepb.Body{Kind: &wirepb.Body_Capture{Capture: &wirepb.Capture{
			HoldId: l.HoldID, PaymentId: p.ID, ActId: actID(l), Amount: l.Share.Fen(),
		}}}, nil, nil)
	case payment.TellRelease:
		x.send(to, &wirepb.Body{Kind: &wirepb.Body_Release{Release: &wirepb.Release{
			HoldId: l.HoldID, PaymentId: p.ID, ActId: actID(l), Declined: nothingCame(p, l),
		}}}, nil, nil)
	}
}

// asksOthers reports whether a payer of another region was asked.
func (p *PaymentRecord) asksOthers() bool {
	for i := range p.Legs {
		if p.Legs[i].Region != string(regionOfID(p.ID)) {
			return true
		}
	}
	return false
}

// nothingCame reports whether a leg that is given back stands in no answer, and so in no statement: of a payment that
// came to nothing, of an attempt before the last, or one whose answer was not waited for.
func nothingCame(p *PaymentRecord, l *payment.Leg) bool {
	return p.Cause == payment.CauseShort || l.Earlier || l.Amount == 0
}

func (x *tx) confirm(now time.Time, c *Confirm) Outcome {
	p, out, done := x.decide(c.Request, c.PaymentID)
	if done {
		return out
	}
	if p.Premium != "" {
		return refuse(policy.CodeWrongState) // the collection decides, by what is registered
	}
	amount := c.Amount
	if c.All {
		amount = p.Covered()
	}
	effects, code := p.Confirm(now, amount)
	if code != "" {
		return refuse(code)
	}
	x.remember(now, c.Request, ThingPayment, p.ID)
	x.actOnPayment(p, effects)
	return Outcome{ID: p.ID}
}

func (x *tx) cancel(now time.Time, c *Cancel) Outcome {
	p, out, done := x.decide(c.Request, c.PaymentID)
	if done {
		return out
	}
	if p.Premium != "" {
		return refuse(policy.CodeWrongState) // the collection decides, by what is registered
	}
	effects, code := p.Cancel(now)
	if code != "" {
		return refuse(code)
	}
	x.remember(now, c.Request, ThingPayment, p.ID)
	x.actOnPayment(p, effects)
	return Outcome{ID: p.ID}
}

func (x *tx) decide(r Request, paymentID string) (*PaymentRecord, Outcome, bool) {
	if out, done := x.seen(r); done {
		return nil, out, true
	}
	p := get(x, x.l.payments, paymentID)
	if p == nil {
		return nil, refuse(policy.CodeNotFound), true
	}
	return p, Outcome{}, false
}

// expirePayment does what is due, and reports whether the item still stood.
func (x *tx) expirePayment(now time.Time, item dueItem) bool {
	p := get(x, x.l.payments, item.id)
	if p == nil || !p.Due.Equal(item.at) {
		return false
	}
	x.actOnPayment(p, p.Expire(now))
	return true
}

// paymentOf finds the payment of a hold id that a peer names, if the peer is the home of that leg.
func (x *tx) paymentOf(peer federation.Region, holdID string) *PaymentRecord {
	id, ok := payment.OfHold(holdID)
	if ok {
		if p := get(x, x.l.payments, id); p != nil {
			if l := p.Leg(holdID); l != nil && l.Region == string(peer) {
				return p
			}
		}
	}
	x.stranger(peer, StrangerPayment, holdID)
	return nil
}

func (x *tx) holdAnswer(now time.Time, peer federation.Region, m *wirepb.HoldAnswer) {
	p := x.paymentOf(peer, m.GetHoldId())
	if p == nil {
		return
	}
	if m.GetCode() != "" {
		code := policy.Code(m.GetCode())
		if !code.MayDecline() {
			code = policy.CodeCoreUnavailable
		}
		x.actOnPayment(p, p.Refused(now, m.GetHoldId(), code))
		return
	}
	if m.GetAmount() <= 0 {
		x.stranger(peer, StrangerImpossible, m.GetHoldId())
		return
	}
	l := p.Leg(m.GetHoldId())
	l.Payer, l.PayerName = m.GetPayer(), m.GetPayerName()
	limitedBy := policy.Code(m.GetLimitedBy())
	if !limitedBy.MayDecline() {
		limitedBy = ""
	}
	x.actOnPayment(p, p.Placed(now, m.GetHoldId(), money.Amount(m.GetAmount()), limitedBy))
}

func (x *tx) outcome(now time.Time, peer federation.Region, m *wirepb.Outcome) {
	p := x.paymentOf(peer, m.GetHoldId())
	if p == nil {
		return
	}
	before := p.State
	var effects []payment.Effect
	switch m.GetState() {
	case hold.Captured.String():
		p.LegCapturedBy(m.GetHoldId(), money.Amount(m.GetCaptured()))
	case hold.Released.String(), hold.Declined.String():
		effects = p.LegReleasedBy(now, m.GetHoldId(), m.GetForced())
	case hold.CaptureFailed.String():
		effects = p.LegFailed(now, m.GetHoldId())
	default:
		x.stranger(peer, StrangerImpossible, m.GetHoldId())
		return
	}
	x.actOnPayment(p, effects)
	x.shortfall(before, p)
}

// enquiry answers a home whose hold is in doubt, with the leg's decision sent again.
func (x *tx) enquiry(now time.Time, peer federation.Region, m *wirepb.Enquiry) {
	answer := &wirepb.EnquiryAnswer{HoldId: m.GetHoldId()}
	p := x.paymentOf(peer, m.GetHoldId())
	if p == nil {
		answer.Unknown = true
	} else {
		effects, undecided := p.Enquired(now, m.GetHoldId())
		x.actOnPayment(p, effects)
		if !undecided {
			return
		}
		answer.Undecided = true
	}
	x.send(peer, &wirepb.Body{Kind: &wirepb.Body_EnquiryAnswer{EnquiryAnswer: answer}}, nil, nil)
}
