package ledger

import (
	"fmt"
	"strconv"
	"time"

	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
)

// Times and bounds of the collection.
const (
	// PremiumsOpenMax is how many attempts of one purpose are under way at the same time: what a core that does not
	// answer can pile up.
	PremiumsOpenMax = 256
	beginMax        = 32  // attempts that one command begins
	passMax         = 256 // mandates that one command looks at
	// leaderFirst and leaderMost are the waits after which the leader is told again what it has not answered, doubling.
	leaderFirst = 10 * time.Second
	leaderMost  = 5 * time.Minute
	// takeMargin is how long before its deadline a payment is taken whose registration is not known.
	takeMargin = time.Minute
)

// PremiumPlatform is the platform of the requests that the collection makes. No platform can have this name.
const PremiumPlatform = "gongji/premium"

// PremiumRequest names the payment of a premium's present attempt: one attempt makes one payment, whoever leads.
func PremiumRequest(p *PremiumRecord) Request {
	return Request{
		Platform: PremiumPlatform, ID: fmt.Sprintf("%s-%d-%s-%d", p.Purpose, p.Year, p.Person, p.Attempt),
	}
}

func premiumKey(p policy.Purpose, year int, no string) string {
	return premiumPrefix(p, year) + joined(no)
}

func premiumPrefix(p policy.Purpose, year int) string {
	return joined("r", string(p), strconv.Itoa(year))
}

func seasonKey(p policy.Purpose) string { return joined("s", string(p)) }

func (x *tx) seasonStep(now time.Time, p policy.Purpose, s *SeasonRecord) (policy.Premium, SeasonStep) {
	return NextStep(x.l.rules, p, s, now)
}

// collectPremiums goes on through the persons with mandates, from where the last command stopped.
func (x *tx) collectPremiums(now time.Time, c *CollectPremiums) Outcome {
	if !c.Purpose.Premium() {
		return refuse(policy.CodeInvalidRequest)
	}
	s := get(x, x.l.seasons, seasonKey(c.Purpose))
	premium, step := x.seasonStep(now, c.Purpose, s)
	if step == SeasonRest {
		return Outcome{}
	}
	if s == nil {
		s = new(SeasonRecord)
	}
	put(x, x.l.seasons, seasonKey(c.Purpose), s)
	most := beginMax
	if step == SeasonClose {
		s.close()
	} else {
		s.pass(now)
		most = min(most, PremiumsOpenMax-s.Open)
	}
	if most <= 0 {
		return Outcome{}
	}
	persons, after, end := x.dutyPage(c.Purpose, s.After, most)
	for _, no := range persons {
		if step == SeasonClose {
			x.closePremium(now, s, premium, c.Purpose, no)
		} else {
			x.beginPremium(now, s, premium, no)
		}
	}
	s.passed(after, end)
	return Outcome{}
}

// dutyPage lists persons with an active mandate behind a key, at most so many; it returns the key to go on behind, and
// whether there are no more.
func (x *tx) dutyPage(p policy.Purpose, after string, most int) ([]string, string, bool) {
	prefix := stateKey(keyDuty, joined(string(p)))
	lo := prefix
	if after != "" {
		lo = append(stateKey(keyDuty, after), 0)
	}
	var persons []string
	looked, end := 0, true
	x.Scan(lo, prefixEnd(prefix), func(key, _ []byte) bool {
		if looked >= passMax || len(persons) >= most {
			end = false
			return false
		}
		looked++
		after = string(key[1:])
		parts := split(key[1:])
		if len(parts) != 3 || (len(persons) > 0 && persons[len(persons)-1] == parts[1]) {
			return true
		}
		if d := get(x, x.l.duties, after); d != nil && d.Active {
			persons = append(persons, parts[1])
		}
		return true
	})
	return persons, after, end
}

// beginPremium begins an attempt, if one is due and somebody can pay.
func (x *tx) beginPremium(now time.Time, s *SeasonRecord, premium policy.Premium, no string) {
	if len(x.payersOf(now, premium.Purpose, no)) > 0 {
		x.attemptPremium(now, s, premium, no)
	}
}

func (x *tx) attemptPremium(now time.Time, s *SeasonRecord, premium policy.Premium, no string) {
	rec := get(x, x.l.premiums, premiumKey(premium.Purpose, s.Year, no))
	if rec != nil && !rec.again() {
		return
	}
	if rec == nil {
		rec = &PremiumRecord{Purpose: premium.Purpose, Year: s.Year, Person: no}
	}
	rec.Attempt++
	rec.Amount, rec.PaymentID, rec.Registered, rec.PaidBefore = premium.Amount, "", false, false
	x.movePremium(rec, StateAsking)
	x.tellLeader(now, rec)
}

// closePremium ends what the season has not paid. What is under way is still settled.
func (x *tx) closePremium(now time.Time, s *SeasonRecord, premium policy.Premium, p policy.Purpose, no string) {
	rec := get(x, x.l.premiums, premiumKey(p, s.Year, no))
	switch {
	case rec == nil:
		if x.promised(now, s, p, no) {
			rec = &PremiumRecord{Purpose: p, Year: s.Year, Person: no, Amount: premium.Amount}
			x.endPremium(now, rec, StateFailed, policy.CodeTimeout)
		}
	case rec.State == StateWaiting:
		x.endPremium(now, rec, StateFailed, rec.Code)
	case rec.State == StateAsking:
		x.endPremium(now, rec, StateFailed, policy.CodeCoreUnavailable)
	}
}

// promised reports whether a person had a mandate in the season, though nothing was ever begun for them.
func (x *tx) promised(now time.Time, s *SeasonRecord, p policy.Purpose, no string) bool {
	for _, d := range x.payersOf(now, p, no) {
		if policy.Day(d.Since) <= s.Day {
			return true
		}
	}
	return false
}

// movePremium brings a premium into a state, with all that follows from it.
func (x *tx) movePremium(rec *PremiumRecord, to PremiumState) {
	if s := get(x, x.l.seasons, seasonKey(rec.Purpose)); s != nil && s.Year == rec.Year {
		if n := s.count(rec.State); n != nil {
			*n--
		}
		*s.count(to)++
		put(x, x.l.seasons, seasonKey(rec.Purpose), s)
	}
	rec.State, rec.Wait = to, 0
	x.wakePremium(rec, time.Time{})
}

func (x *tx) wakePremium(rec *PremiumRecord, at time.Time) {
	x.wake(duePremium, rec.Key(), rec.Due, at)
	rec.Due = at
	put(x, x.l.premiums, rec.Key(), rec)
}

// tellLeader asks the leader for its part, now and again until its word is in the log.
func (x *tx) tellLeader(now time.Time, rec *PremiumRecord) {
	rec.Wait = max(leaderFirst, min(2*rec.Wait, leaderMost))
	at := now.Add(rec.Wait)
	if rec.State == StatePaying && !rec.TakeBy.IsZero() && rec.TakeBy.Before(at) {
		at = rec.TakeBy
	}
	x.wakePremium(rec, at)
	x.l.effects.Premiums = appendOnce(x.l.effects.Premiums, rec.Key())
}

// expirePremium does what is due, and reports whether the item still stood.
func (x *tx) expirePremium(now time.Time, item dueItem) bool {
	rec := get(x, x.l.premiums, item.id)
	if rec == nil || !rec.Due.Equal(item.at) {
		return false
	}
	if rec.State == StatePaying && !rec.TakeBy.IsZero() && !now.Before(rec.TakeBy) {
		x.takeUndecided(rec)
	}
	x.tellLeader(now, rec)
	return true
}

// takeUndecided takes the money of a premium whose registration is not known when the deadline comes: what the core may
// have registered is never given back. If it turns out that it has not, the money is refunded. The decision is dated by
// the time at which it was due, since a region that was away for long decides as if it had been there.
func (x *tx) takeUndecided(rec *PremiumRecord) {
	at := rec.TakeBy
	rec.TakeBy = time.Time{}
	if p := get(x, x.l.payments, rec.PaymentID); p != nil && p.State == payment.Held {
		x.alarm(AlarmPremiumUndecided, p.ID)
		x.takePremium(at, p)
	}
}

// takePremium is the decision to take all that is held for a premium.
func (x *tx) takePremium(at time.Time, p *PaymentRecord) {
	effects, code := p.Confirm(at, p.Covered())
	if code != "" {
		x.alarm(AlarmPremiumOwed, p.ID)
		return
	}
	x.actOnPayment(p, effects)
}

// premiumReport takes the leader's word.
func (x *tx) premiumReport(now time.Time, c *PremiumReport) Outcome {
	rec := get(x, x.l.premiums, c.Key)
	if rec == nil || rec.Attempt != c.Attempt {
		return Outcome{}
	}
	switch {
	case rec.State == StateAsking && c.Word == PremiumPaidBefore:
		rec.PaidBefore = true
		x.endPremium(now, rec, StateSkipped, "")
	case rec.State == StateAsking && c.Word == PremiumBlocked:
		x.premiumMissed(now, rec, c.Code)
	case rec.State == StatePaying && c.Word == PremiumRegistered:
		rec.Registered = true
		x.premiumRegistered(now, rec)
	case rec.State == StatePaying && (c.Word == PremiumDenied || c.Word == PremiumPaidBefore):
		rec.PaidBefore = c.Word == PremiumPaidBefore
		rec.Code = c.Code
		x.returnPremium(now, rec)
	}
	return Outcome{}
}

// premiumStarted binds an attempt to its payment, in the entry that makes the payment.
func (x *tx) premiumStarted(c *CreatePayment) policy.Code {
	rec := get(x, x.l.premiums, c.Premium)
	if rec == nil || rec.State != StateAsking || c.Request != PremiumRequest(rec) {
		return policy.CodeWrongState
	}
	rec.PaymentID = c.PaymentID
	x.movePremium(rec, StateHolding)
	return ""
}

// premiumPayment follows a premium's payment.
func (x *tx) premiumPayment(p *PaymentRecord) {
	rec := get(x, x.l.premiums, p.Premium)
	if rec == nil || rec.PaymentID != p.ID {
		return
	}
	over := p.State.Final() || (p.State == payment.Releasing && p.Cause == payment.CauseShort)
	switch {
	case rec.State == StateHolding && p.State == payment.Held:
		x.premiumHeld(x.now, rec, p)
	case rec.State == StateHolding && over:
		x.premiumMissed(x.now, rec, whyNot(p))
	case rec.State == StateTaking && p.State.Final():
		x.premiumTaken(x.now, rec, p)
	case rec.State == StateReturning && p.State.Final():
		x.premiumReturned(x.now, rec, p)
	}
}

// whyNot is why a payment came to nothing: what its first payer said.
func whyNot(p *PaymentRecord) policy.Code {
	if len(p.Declines) > 0 {
		return p.Declines[0].Code
	}
	return policy.CodeGrantNotActive // there was nobody to ask
}

// premiumHeld: the money is there. A region with a Book keeps the register itself; a core outside is told.
func (x *tx) premiumHeld(now time.Time, rec *PremiumRecord, p *PaymentRecord) {
	if x.l.cfg.Book != nil {
		rec.Registered = true
		x.premiumRegistered(now, rec)
		return
	}
	x.movePremium(rec, StatePaying)
	rec.TakeBy = p.DecideBy.Add(-takeMargin)
	x.tellLeader(now, rec)
}

// premiumRegistered: the premium counts as paid, so the money is taken.
func (x *tx) premiumRegistered(now time.Time, rec *PremiumRecord) {
	p := get(x, x.l.payments, rec.PaymentID)
	if p == nil {
		return
	}
	x.movePremium(rec, StateTaking)
	switch p.State {
	case payment.Held:
		x.takePremium(now, p)
	case payment.Captured, payment.Declined, payment.Released, payment.Expired:
		x.premiumTaken(now, rec, p)
	case payment.Capturing, payment.Requested, payment.Releasing: // its end is awaited
	}
}

// premiumTaken: the premium is registered and its payment over. Without the money somebody has to look.
func (x *tx) premiumTaken(now time.Time, rec *PremiumRecord, p *PaymentRecord) {
	if p.State != payment.Captured {
		x.alarm(AlarmPremiumOwed, p.ID)
	}
	x.endPremium(now, rec, StatePaid, "")
}

// returnPremium: the premium will not be registered, so the money is given back.
func (x *tx) returnPremium(now time.Time, rec *PremiumRecord) {
	p := get(x, x.l.payments, rec.PaymentID)
	if p == nil {
		return
	}
	x.movePremium(rec, StateReturning)
	if p.State == payment.Held {
		effects, code := p.Cancel(now)
		if code == "" {
			x.actOnPayment(p, effects)
			return
		}
	}
	if p.State.Final() {
		x.premiumReturned(now, rec, p)
	}
}

// premiumReturned ends the attempt when its money is back. What was taken undecided is refunded first.
func (x *tx) premiumReturned(now time.Time, rec *PremiumRecord, p *PaymentRecord) {
	if left := p.CapturedSum() - p.RefundedSum(); left > 0 {
		if p.Refunds == 0 {
			r := PremiumRequest(rec)
			r.ID += "-back"
			x.createRefund(now, &CreateRefund{Request: r, PaymentID: p.ID, Amount: left, Reason: "premium refused"})
			return
		}
		if p.Refunding() {
			return
		}
		x.alarm(AlarmPremiumOwed, p.ID) // the refund has failed
	}
	if rec.PaidBefore {
		x.endPremium(now, rec, StateSkipped, "")
		return
	}
	x.premiumMissed(now, rec, rec.Code)
}

// premiumMissed: the attempt has come to nothing. The next day of the season has another.
func (x *tx) premiumMissed(now time.Time, rec *PremiumRecord, code policy.Code) {
	s := get(x, x.l.seasons, seasonKey(rec.Purpose))
	_, step := x.seasonStep(now, rec.Purpose, s)
	over := s == nil || s.Year != rec.Year || s.Closing || s.Closed || step == SeasonClose
	switch {
	case code == policy.CodeBeneficiaryNotInsured:
		x.endPremium(now, rec, StateSkipped, code)
	case len(x.payersOf(now, rec.Purpose, rec.Person)) == 0:
		x.endPremium(now, rec, StateSkipped, policy.CodeGrantNotActive)
	case over:
		x.endPremium(now, rec, StateFailed, code)
	default:
		x.endPremium(now, rec, StateWaiting, code)
	}
}

// endPremium ends an attempt, and tells the payers' homes.
func (x *tx) endPremium(now time.Time, rec *PremiumRecord, to PremiumState, code policy.Code) {
	rec.Code = code
	x.movePremium(rec, to)
	x.tellPayers(now, rec)
}
